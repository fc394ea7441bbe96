package store

import (
	"encoding/json"

	"github.com/patchbay/patchbay/internal/localcloud/provider"
)

// normalize copies a document and turns whatever Go values it holds into the
// JSON values that provider.Document promises.
func normalize(d provider.Document) provider.Document {
	raw, err := json.Marshal(d)
	if err != nil {
		// Only a channel, a function or a cycle can get here: a fault of the caller's code.
		panic("store: document is not JSON: " + err.Error())
	}
	var out provider.Document
	_ = json.Unmarshal(raw, &out) // what was just encoded decodes
	if out == nil {
		out = provider.Document{}
	}
	return out
}

// clone copies JSON values deeply.
func clone(v any) any {
	switch v := v.(type) {
	case provider.Document:
		out := make(provider.Document, len(v))
		for k, m := range v {
			out[k] = clone(m)
		}
		return out
	case map[string]any:
		out := make(map[string]any, len(v))
		for k, m := range v {
			out[k] = clone(m)
		}
		return out
	case []any:
		out := make([]any, len(v))
		for n, m := range v {
			out[n] = clone(m)
		}
		return out
	}
	return v
}
