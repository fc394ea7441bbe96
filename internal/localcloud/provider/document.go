package provider

import (
	"maps"
	"net/http"

	"github.com/patchbay/patchbay/internal/arm/id"
)

// At walks down members of a document; nil where there is none.
func At(d map[string]any, path ...string) any {
	var v any = d
	for _, p := range path {
		switch m := v.(type) {
		case map[string]any:
			v = m[p]
		case Document:
			v = m[p]
		default:
			return nil
		}
	}
	return v
}

// Text is At for strings; "" where there is none.
func Text(d map[string]any, path ...string) string {
	s, _ := At(d, path...).(string)
	return s
}

// Merge applies a JSON merge patch and returns the result; neither argument changes.
func Merge(base, patch map[string]any) map[string]any {
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
			out[k] = Merge(old, sub)
		default:
			out[k] = v
		}
	}
	return out
}

// Identify writes the members every document carries.
func Identify(i id.ID, kind string, d map[string]any) Document {
	out := Document(maps.Clone(d))
	out["id"], out["name"], out["type"] = i.String(), i.Name(), kind
	return out
}

// BadRequest is a 400 with a code and a sentence.
func BadRequest(code, message string) error {
	return &Fault{Status: http.StatusBadRequest, Code: code, Message: message}
}
