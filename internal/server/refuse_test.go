package server_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/patchbay/patchbay/internal/api"
	"github.com/patchbay/patchbay/internal/problem"
	"github.com/patchbay/patchbay/internal/server"
)

func TestOddPaths(t *testing.T) {
	t.Parallel()
	const v = "?api-version=2024-04-01"
	invalid := struct {
		status int
		code   string
	}{400, "InvalidResourceId"}
	missing := struct {
		status int
		code   string
	}{404, "InvalidResourceType"}
	for path, want := range map[string]struct {
		status int
		code   string
	}{
		source + "/providers/Microsoft.ServiceLinker/linkers/a%2Fb":                                           invalid,
		source + "/providers/Microsoft.ServiceLinker/linkers/a%00b":                                           invalid,
		source + "/providers/Microsoft.ServiceLinker/linkers/..":                                              invalid,
		source + "/providers/Microsoft.ServiceLinker/linkers/%2e%2E":                                          invalid,
		source + "/providers/Microsoft.ServiceLinker/linkers/":                                                invalid,
		source + "/providers/Microsoft.ServiceLinker//linkers/a":                                              invalid,
		source + "//providers/Microsoft.ServiceLinker/linkers/a":                                              invalid,
		source + "/providers/Microsoft.ServiceLinker/linkers/a%5Cb":                                           invalid,
		source + "/providers/Microsoft.ServiceLinker/linkers/a%252Fb":                                         invalid,
		source + "/providers/Microsoft.ServiceLinker/linkers/a%0Ab":                                           invalid,
		source + "/providers/Microsoft.ServiceLinker/linkers/a%FFb":                                           invalid,
		source + "/providers%2FMicrosoft.ServiceLinker%2Flinkers/a":                                           invalid,
		source + "/providers%252FMicrosoft.ServiceLinker%252Flinkers/a":                                       invalid,
		source + "/x/../providers/Microsoft.ServiceLinker/linkers/a":                                          invalid,
		"/providers/Microsoft.ServiceLinker/linkers/a":                                                        missing,
		"/subscriptions/s/providers/Microsoft.ServiceLinker/linkers/a":                                        invalid,
		"/subscriptions/s/resourceGroups/g/providers/Microsoft.ServiceLinker/linkers":                         invalid,
		"/subscriptions/s/resourceGroups/g/providers/Microsoft.Web/providers/Microsoft.ServiceLinker/linkers": invalid,
		source + "/providers/Microsoft.ServiceLinker/rehearsals/a":                                            missing,
		source + "/providers/Microsoft.ServiceLinker/linkers/a/turn":                                          missing,
		"/subscriptions/s/resourceGroups/g/providers/Microsoft.ServiceLinker/locations/l/connectors/a/turn":   missing,
		"/subscriptions/s/providers/Microsoft.ServiceLinker/locations/l/connectors/a":                         missing,
		"/somewhere/else": missing,
		"/":               missing,
		"/subscriptions/s/providers/Microsoft.ServiceLinker":          missing, // registration is upstream's, and there is none
		"/subscriptions/s/providers/Microsoft.ServiceLinker/register": missing,
	} {
		t.Run(path, func(t *testing.T) {
			t.Parallel()
			h := build(t, nil)
			a := h.call(http.MethodGet, path+v, "")
			if a.status != want.status || a.at("error", "code") != want.code {
				t.Errorf("answered %d %s", a.status, a.raw)
			}
			if h.engine.asked() > 0 {
				t.Error("the engine was asked")
			}
		})
	}
}

func TestMethods(t *testing.T) {
	t.Parallel()
	h := made(t, nil)
	for path, allow := range map[string]string{
		source + "/providers/Microsoft.ServiceLinker/linkers": "GET, HEAD, OPTIONS",
		linker:                         "DELETE, GET, HEAD, OPTIONS, PATCH, PUT",
		linker + "/validateLinker":     "OPTIONS, POST",
		linker + "/listConfigurations": "OPTIONS, POST",
		"/providers/Microsoft.ServiceLinker/operations": "GET, HEAD, OPTIONS",
		"/livez": "GET, HEAD, OPTIONS",
		"/openapi/microsoft.servicelinker/2024-04-01.json": "GET, HEAD, OPTIONS",
	} {
		refused := h.call("LINK", path+"?api-version=2024-04-01", "")
		h.expect(refused, http.StatusMethodNotAllowed, "MethodNotAllowed", "METHOD_NOT_ALLOWED")
		asked := h.call(http.MethodOptions, path, "")
		if asked.status != http.StatusNoContent || asked.header.Get("Allow") != allow || refused.header.Get("Allow") != allow {
			t.Errorf("%s: OPTIONS %d, Allow %q and %q, want %q", path, asked.status, asked.header.Get("Allow"), refused.header.Get("Allow"), allow)
		}
	}
	if head := h.linkers(http.MethodHead, "", ""); head.status != http.StatusOK || head.header.Get("Content-Type") == "" {
		t.Errorf("HEAD: %d %v", head.status, head.header)
	}
}

func TestVersions(t *testing.T) {
	t.Parallel()
	h := made(t, nil)
	for query, want := range map[string]struct {
		status  int
		code    string
		message string
	}{
		"":                                {400, "MissingApiVersionParameter", "The api-version query parameter (?api-version=) is required for all requests."},
		"?api-version=":                   {400, "MissingApiVersionParameter", "is required"},
		"?api-version=2019-01-01":         {400, "NoRegisteredProviderFound", "API version '2019-01-01' for type 'Microsoft.ServiceLinker/linkers'. The supported api-versions are '2024-07-01-preview, 2024-04-01, 2023-04-01-preview, 2022-11-01-preview, 2022-05-01'."},
		"?api-version=2026-11-01":         {400, "NoRegisteredProviderFound", "2026-11-01"},
		"?api-version=latest%00%0a<x>":    {400, "InvalidApiVersionParameter", "The api-version 'latest??<x>' is invalid. The supported versions are '2024-07-01-preview, "},
		"?api-version=2022-05-01&x=1":     {200, "", ""},
		"?api-version=2023-04-01-preview": {200, "", ""},
	} {
		a := h.call(http.MethodGet, linker+query, "")
		message, _ := a.at("error", "message").(string)
		code, _ := a.at("error", "code").(string)
		if a.status != want.status || code != want.code || !strings.Contains(message, want.message) {
			t.Errorf("%q: %d %s", query, a.status, a.raw)
		}
	}
	h.expect(h.call(http.MethodGet, "/providers/Patchbay/operations?api-version=2024-04-01", ""), 400, "NoRegisteredProviderFound", "API_VERSION_UNKNOWN")
}

// endless is a body that never ends.
type endless struct{ read int }

func (e *endless) Read(p []byte) (int, error) {
	e.read += len(p)
	return len(p), nil
}

func TestBodies(t *testing.T) {
	t.Parallel()
	h := build(t, nil)
	h.expect(h.linkers(http.MethodPut, "", "{not json"), http.StatusBadRequest, "InvalidRequestContent", "BODY_NOT_JSON")
	h.expect(h.linkers(http.MethodPut, "", ""), http.StatusBadRequest, "InvalidRequestContent", "BODY_NOT_JSON")
	wrong := h.linkers(http.MethodPut, "", `{"properties": {"targetService": {"type": 4}}}`)
	h.expect(wrong, http.StatusBadRequest, "InvalidRequestContent", "BODY_INVALID")
	if wrong.at("error", "target") != "/properties/targetService/type" {
		t.Errorf("target: %s", wrong.raw)
	}
	big := strings.Repeat(" ", 10<<20) + body
	h.expect(h.linkers(http.MethodPut, "", big), http.StatusRequestEntityTooLarge, "RequestContentTooLarge", "BODY_TOO_LARGE")

	stream := &endless{}
	r := httptest.NewRequest(http.MethodPut, "https://patchbay.test"+linker+"?api-version=2024-04-01", stream)
	r.ContentLength = -1
	h.expect(h.send(r), http.StatusRequestEntityTooLarge, "RequestContentTooLarge", "BODY_TOO_LARGE")
	if stream.read > 10<<20 {
		t.Errorf("%d bytes of an endless body were read", stream.read)
	}
	if h.engine.asked() > 0 {
		t.Error("the engine was asked")
	}
	full := strings.Repeat(" ", 4<<20-len(body)) + body
	if a := h.linkers(http.MethodPut, "", full); a.status != http.StatusCreated {
		t.Errorf("a body of exactly 4 MB: %d", a.status)
	}
}

func TestPanic(t *testing.T) {
	t.Parallel()
	var log bytes.Buffer
	h := build(t, func(c *server.Config) { c.Log = slog.New(slog.NewTextHandler(&log, nil)) })
	h.engine.broken = fmt.Errorf("canary-1 in a panic")
	a := h.call(http.MethodGet, source+"/providers/Microsoft.ServiceLinker/linkers?api-version=2024-04-01", "")
	h.expect(a, http.StatusInternalServerError, "InternalServerError", "INTERNAL")
	if strings.Contains(log.String(), "canary") || !strings.Contains(log.String(), "panic while answering") || !strings.Contains(log.String(), a.header.Get("x-ms-correlation-request-id")) {
		t.Errorf("log: %s", log.String())
	}
}

func TestHealthAndDocuments(t *testing.T) {
	t.Parallel()
	ready := errors.New("the store is locked by canary-1")
	h := build(t, func(c *server.Config) {
		c.Ready = func(ctx context.Context) error { return ready }
		c.Tokens = server.NewJWKS(server.JWKSConfig{})
	})
	if a := h.call(http.MethodGet, "/livez", ""); a.status != http.StatusOK {
		t.Errorf("livez: %d", a.status)
	}
	if a := h.call(http.MethodGet, "/readyz", ""); a.status != http.StatusServiceUnavailable || a.raw != "not ready\n" {
		t.Errorf("readyz: %d %s", a.status, a.raw)
	}
	ready = nil
	if a := h.call(http.MethodGet, "/readyz", ""); a.status != http.StatusOK {
		t.Errorf("readyz: %d %s", a.status, a.raw)
	}
	documents := []string{"/OpenAPI/Patchbay/2026-11-01.json"}
	for _, v := range api.Versions() {
		documents = append(documents, "/openapi/microsoft.servicelinker/"+string(v)+".json")
	}
	for _, path := range documents {
		if a := h.call(http.MethodGet, path, ""); a.status != http.StatusOK || a.at("openapi") != "3.0.3" {
			t.Errorf("%s: %d", path, a.status)
		}
	}
	for _, path := range []string{"/openapi/", "/openapi/microsoft.servicelinker/2020-01-01.json", "/openapi/patchbay/2026-11-01", "/openapi/other/2024-04-01.json"} {
		h.expect(h.call(http.MethodGet, path, ""), http.StatusNotFound, "InvalidResourceType", "ROUTE_UNKNOWN")
	}
}

// Each code of the registry has an ARM code, and no two that mean different things
// look alike by accident: our own code rides along.
func TestEveryProblemHasAnAnswer(t *testing.T) {
	t.Parallel()
	for _, row := range problem.Registry() {
		h := build(t, nil)
		h.engine.refuse = problem.New(row.Code, "", "why")
		a := h.linkers(http.MethodPut, "", body)
		wantStatus := row.Status
		if wantStatus < 400 {
			wantStatus = 500
		}
		if row.Code == problem.ConnectionNotFound {
			continue // a PUT makes what is not there
		}
		code, _ := a.at("error", "code").(string)
		if a.status != wantStatus || code == "" || strings.ContainsAny(code, "_ ") {
			t.Errorf("%s: %d %s", row.Code, a.status, a.raw)
		}
	}
}
