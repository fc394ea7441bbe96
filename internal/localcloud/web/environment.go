package web

import (
	"encoding/json"
	"slices"
	"strings"
)

const basePath = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

// connectionPrefixes are what the variable of a connection string starts with, by
// its folded type.
var connectionPrefixes = map[string]string{
	"sqlazure": "SQLAZURECONNSTR_", "sqlserver": "SQLCONNSTR_", "mysql": "MYSQLCONNSTR_", "postgresql": "POSTGRESQLCONNSTR_",
	"custom": "CUSTOMCONNSTR_", "notificationhub": "NOTIFICATIONHUBCONNSTR_", "servicebus": "SERVICEBUSCONNSTR_",
	"eventhub": "EVENTHUBCONNSTR_", "apihub": "APIHUBCONNSTR_", "docdb": "DOCDBCONNSTR_", "rediscache": "REDISCACHECONNSTR_",
}

// connectionVariables are a site's connection strings as its process sees them.
func (s *Sites) connectionVariables(siteID string) map[string]string {
	vars := map[string]string{}
	for name, raw := range s.settings(siteID, connectionStrings) {
		var pair struct{ Value, Type string }
		if json.Unmarshal([]byte(raw), &pair) != nil {
			continue // a value that is not text has no variable
		}
		prefix, ok := connectionPrefixes[strings.ToLower(pair.Type)]
		if !ok {
			prefix = connectionPrefixes["custom"]
		}
		vars[prefix+name] = pair.Value
	}
	return vars
}

// environment lays the base, the settings and the platform's own variables over
// each other, the last winning, and leaves out what no environment can carry.
func environment(home string, layers ...map[string]string) []string {
	merged := map[string]string{"PATH": basePath, "HOME": home, "LANG": "C.UTF-8"}
	for _, layer := range layers {
		for k, v := range layer {
			merged[k] = v
		}
	}
	var env []string
	for k, v := range merged {
		if k != "" && !strings.ContainsAny(k, "=\x00") && !strings.Contains(v, "\x00") {
			env = append(env, k+"="+v)
		}
	}
	slices.Sort(env)
	return env
}
