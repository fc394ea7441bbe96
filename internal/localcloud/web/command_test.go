package web

import (
	"encoding/json"
	"testing"
)

func FuzzReadMap(f *testing.F) {
	f.Add(`{"a":"1","A":"2"}`)
	f.Add(`{"a":{"value":"x","type":"Custom"}}`)
	f.Fuzz(func(t *testing.T, raw string) {
		var props map[string]any
		if json.Unmarshal([]byte(raw), &props) != nil {
			return
		}
		for _, pairs := range []bool{false, true} {
			values, err := readMap(props, pairs)
			if err == nil && len(values) != len(props) {
				t.Errorf("%s: %d of %d settings", raw, len(values), len(props))
			}
		}
	})
}
