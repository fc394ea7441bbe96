package server

import (
	"context"
	"net/http"
	"strings"

	"github.com/patchbay/patchbay/internal/api"
	"github.com/patchbay/patchbay/internal/problem"
)

// plain finds the handler of an address that is no resource: health and documents.
// These need no token.
func (s *server) plain(path string) func(*exchange) {
	switch {
	case path == "/livez":
		return func(x *exchange) { x.health(nil) }
	case path == "/readyz":
		return func(x *exchange) { x.health(s.Ready) }
	case strings.HasPrefix(strings.ToLower(path), "/openapi/"):
		return func(x *exchange) { x.document(strings.ToLower(path[len("/openapi/"):])) }
	}
	return nil
}

// health answers 200, or 503 with the reason when check fails.
func (x *exchange) health(check func(context.Context) error) {
	if !x.readOnly() {
		return
	}
	if check != nil {
		if err := check(x.r.Context()); err != nil {
			x.Log.Warn("not ready", "error", err)
			x.text(http.StatusServiceUnavailable, "text/plain; charset=utf-8", []byte("not ready\n"))
			return
		}
	}
	x.text(http.StatusOK, "text/plain; charset=utf-8", []byte("ok\n"))
}

// readOnly refuses methods that are not for reading; it tells whether to go on.
func (x *exchange) readOnly() bool {
	switch x.r.Method {
	case http.MethodGet, http.MethodHead:
		return true
	}
	x.w.Header().Set("Allow", "GET, HEAD, OPTIONS")
	if x.r.Method == http.MethodOptions {
		x.w.WriteHeader(http.StatusNoContent)
		return false
	}
	x.refuse(problem.New(problem.MethodNotAllowed, x.r.URL.Path, "this address is only for reading"))
	return false
}

func (x *exchange) text(status int, contentType string, body []byte) {
	x.w.Header().Set("Content-Type", contentType)
	x.w.Header().Set("X-Content-Type-Options", "nosniff")
	x.w.WriteHeader(status)
	_, _ = x.w.Write(body) // a client that is gone needs no answer
}

func (x *exchange) document(name string) {
	if !x.readOnly() {
		return
	}
	raw, err := documentNamed(name)
	if err != nil {
		x.refuse(err)
		return
	}
	x.text(http.StatusOK, "application/json", raw)
}

// documentNamed finds an OpenAPI document by its address below /openapi/.
func documentNamed(name string) ([]byte, error) {
	space, file, _ := strings.Cut(name, "/")
	version, isJSON := strings.CutSuffix(file, ".json")
	switch {
	case isJSON && space == strings.ToLower(api.Provider) && api.Version(version).Known():
		return api.Document(api.Version(version))
	case isJSON && space == strings.ToLower(api.Namespace) && version == api.NamespaceV:
		return api.PatchbayDocument()
	}
	return nil, problem.New(problem.RouteUnknown, "", "there is no document of that name")
}
