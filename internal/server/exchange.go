package server

import (
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"runtime/debug"
	"slices"
	"strings"

	"github.com/google/uuid"

	"github.com/patchbay/patchbay/internal/api"
	"github.com/patchbay/patchbay/internal/engine"
	"github.com/patchbay/patchbay/internal/problem"
)

// bodyLimit is the largest body a request may have, as for ARM.
const bodyLimit = 4 << 20

// exchange is one request while it is answered.
type exchange struct {
	*server
	w           *recorder
	r           *http.Request
	place       place
	caller      Caller
	version     string
	correlation string
}

// recorder notes whether an answer was begun.
type recorder struct {
	http.ResponseWriter
	begun bool
}

func (r *recorder) WriteHeader(status int) {
	r.begun = r.begun || status >= http.StatusOK
	r.ResponseWriter.WriteHeader(status)
}

func (r *recorder) Write(p []byte) (int, error) {
	r.begun = true
	return r.ResponseWriter.Write(p)
}

// Unwrap lets http.ResponseController reach the connection.
func (r *recorder) Unwrap() http.ResponseWriter { return r.ResponseWriter }

// answer runs what every request of ours goes through, then its handler.
func (x *exchange) answer() error {
	x.stamp()
	handle, methods := x.place.handler(x.r.Method)
	if x.r.Method == http.MethodOptions {
		x.w.Header().Set("Allow", methods)
		x.w.WriteHeader(http.StatusNoContent)
		return nil
	}
	if handle == nil {
		x.w.Header().Set("Allow", methods)
		return problem.New(problem.MethodNotAllowed, x.place.kind, "%s does not answer %s; it answers %s", x.place.kind, printableMethod(x.r.Method), methods)
	}
	caller, err := x.Tokens.Verify(x.r.Context(), bearer(x.r))
	if err != nil {
		return err
	}
	x.caller = caller
	x.version = x.r.URL.Query().Get("api-version")
	if err := api.CheckVersion(x.version, x.place.kind, x.place.versions...); err != nil {
		return err
	}
	return handle(x)
}

func printableMethod(method string) string {
	if len(method) > 16 {
		return "that method"
	}
	return method
}

func bearer(r *http.Request) string {
	scheme, token, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	if !strings.EqualFold(scheme, "Bearer") {
		return ""
	}
	return strings.TrimSpace(token)
}

// stamp sets the headers every answer of ours carries.
func (x *exchange) stamp() {
	h := x.w.Header()
	h.Set("x-ms-request-id", uuid.NewString())
	h.Set("x-ms-correlation-request-id", x.correlation)
	h.Set("Cache-Control", "no-store")
	h.Set("X-Content-Type-Options", "nosniff")
}

// body reads the request's body, at most bodyLimit.
func (x *exchange) body() ([]byte, error) {
	tooLarge := problem.New(problem.BodyTooLarge, x.place.id(), "the body is larger than 4 MB")
	if x.r.ContentLength > bodyLimit {
		return nil, tooLarge
	}
	raw, err := io.ReadAll(http.MaxBytesReader(x.w, x.r.Body, bodyLimit))
	var limit *http.MaxBytesError
	if errors.As(err, &limit) {
		return nil, tooLarge
	}
	if err != nil {
		return nil, problem.New(problem.BodyNotJSON, x.place.id(), "the body could not be read to its end").Because(err)
	}
	return raw, nil
}

// need refuses the request unless the caller holds every right.
func (x *exchange) need(rights ...engine.Right) error {
	if len(rights) == 0 {
		return nil
	}
	missing, err := x.Rights.Check(x.r.Context(), x.caller, rights)
	if err != nil {
		return err
	}
	if len(missing) == 0 {
		return nil
	}
	return x.lacks(missing)
}

// may keeps those of the sources on which the caller holds an action.
func (x *exchange) may(action string, sources []string) (map[string]bool, error) {
	needed := map[string]engine.Right{} // by source
	var rights []engine.Right
	for _, source := range sources {
		if key := fold(source); needed[key] == (engine.Right{}) {
			needed[key] = rightOn(action, source)
			if !slices.Contains(rights, needed[key]) {
				rights = append(rights, needed[key])
			}
		}
	}
	allowed := map[string]bool{}
	if len(rights) == 0 {
		return allowed, nil
	}
	missing, err := x.Rights.Check(x.r.Context(), x.caller, rights)
	for source, right := range needed {
		if !slices.Contains(missing, right) {
			allowed[source] = true
		}
	}
	return allowed, err
}

func (x *exchange) json(status int, value any) error {
	raw, err := json.Marshal(value)
	if err != nil {
		return problem.New(problem.Internal, x.place.id(), "the answer cannot be written").Because(err)
	}
	x.w.Header().Set("Content-Type", "application/json; charset=utf-8")
	x.w.WriteHeader(status)
	_, err = x.w.Write(raw)
	if err != nil {
		x.Log.Debug("the client is gone", "error", err)
	}
	return nil
}

// rescue turns a panic into an answer. What was panicked with goes to the log only.
func (x *exchange) rescue() {
	recovered := recover()
	if recovered == nil {
		return
	}
	if recovered == http.ErrAbortHandler { //nolint:errorlint // the sentinel is compared as net/http does
		panic(recovered)
	}
	x.Log.Error("panic while answering", "method", x.r.Method, "path", x.r.URL.Path, "correlation", x.correlation, "stack", string(debug.Stack()))
	x.refuse(problem.New(problem.Internal, "", "something broke inside Patchbay; correlation id %s", x.correlation))
}

// publicURL is what addresses in answers begin with.
func (x *exchange) publicURL() string {
	if x.PublicURL != "" {
		return strings.TrimRight(x.PublicURL, "/")
	}
	scheme := "https"
	if x.r.TLS == nil && x.r.URL.Scheme != "https" && x.r.RemoteAddr != "" {
		scheme = "http"
	}
	return scheme + "://" + x.r.Host
}

func sortedKeys(in map[string]bool) []string {
	keys := make([]string, 0, len(in))
	for k := range in {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}
