package redis

import (
	"net/http"
	"strings"

	"github.com/patchbay/patchbay/internal/localcloud/provider"
)

// flag is provider.At for booleans. Cache settings spell them as strings in any case.
func flag(d map[string]any, path ...string) bool {
	switch v := provider.At(d, path...).(type) {
	case bool:
		return v
	case string:
		return strings.EqualFold(v, "true")
	}
	return false
}

func notFound(resourceID string) error {
	return &provider.Fault{Status: http.StatusNotFound, Code: "ResourceNotFound", Message: "The resource '" + resourceID + "' was not found."}
}
