package storage

import (
	"maps"
	"net/http"

	"github.com/patchbay/patchbay/internal/arm/id"
	"github.com/patchbay/patchbay/internal/localcloud/provider"
)

// at walks down members of a document; nil where there is none.
func at(d map[string]any, path ...string) any {
	var v any = d
	for _, p := range path {
		switch m := v.(type) {
		case map[string]any:
			v = m[p]
		case provider.Document:
			v = m[p]
		default:
			return nil
		}
	}
	return v
}

// text is at for strings; "" where there is none.
func text(d map[string]any, path ...string) string {
	s, _ := at(d, path...).(string)
	return s
}

// flag is at for booleans, with what absence means.
func flag(d map[string]any, absent bool, path ...string) bool {
	if v, ok := at(d, path...).(bool); ok {
		return v
	}
	return absent
}

// merge applies a JSON merge patch and returns the result; neither argument changes.
func merge(base, patch map[string]any) map[string]any {
	out := maps.Clone(base)
	if out == nil {
		out = map[string]any{}
	}
	for k, v := range patch {
		sub, isMap := v.(map[string]any)
		switch {
		case v == nil:
			delete(out, k)
		case isMap:
			old, _ := out[k].(map[string]any)
			out[k] = merge(old, sub)
		default:
			out[k] = v
		}
	}
	return out
}

// identify writes the members every document carries.
func identify(i id.ID, kind string, d map[string]any) provider.Document {
	out := provider.Document(maps.Clone(d))
	out["id"], out["name"], out["type"] = i.String(), i.Name(), kind
	return out
}

func badRequest(code, message string) error {
	return &provider.Fault{Status: http.StatusBadRequest, Code: code, Message: message}
}

func notFound(resourceID string) error {
	return &provider.Fault{Status: http.StatusNotFound, Code: "ResourceNotFound", Message: "The resource '" + resourceID + "' was not found."}
}
