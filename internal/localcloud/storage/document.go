package storage

import (
	"net/http"

	"github.com/patchbay/patchbay/internal/localcloud/provider"
)

// flag is provider.At for booleans, with what absence means.
func flag(d map[string]any, absent bool, path ...string) bool {
	if v, ok := provider.At(d, path...).(bool); ok {
		return v
	}
	return absent
}

func notFound(resourceID string) error {
	return &provider.Fault{Status: http.StatusNotFound, Code: "ResourceNotFound", Message: "The resource '" + resourceID + "' was not found."}
}
