package redis

import (
	"encoding/json"
	"fmt"
	"testing"
)

func TestZZShape(t *testing.T) {
	b := withCache(t)
	for _, kind := range []string{cacheType} {
		for _, d := range b.cloud.Store().Under("", kind) {
			fmt.Println(line(d))
		}
	}
}

func line(d map[string]any) string {
	raw, _ := json.Marshal(map[string]any{"method": "PUT", "path": d["id"], "apiVersion": "2024-11-01", "body": d})
	return string(raw)
}
