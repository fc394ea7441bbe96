package process

import (
	"slices"
	"strings"
)

const basePath = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

// Environment lays the base, the settings and the platform's own variables over
// each other, the last winning, and leaves out what no environment can carry.
func Environment(home string, layers ...map[string]string) []string {
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
