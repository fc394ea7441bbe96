package web

import (
	"encoding/json"
	"strings"
)

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
