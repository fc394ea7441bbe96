package api_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/patchbay/patchbay/internal/api"
	"github.com/patchbay/patchbay/internal/problem"
)

// serve makes a client of a handler, over a socket and in process.
func serve(t *testing.T, handle http.HandlerFunc) map[string]*api.Client {
	t.Helper()
	s := httptest.NewServer(handle)
	t.Cleanup(s.Close)
	return map[string]*api.Client{
		"socket":     api.NewClient(api.Options{Endpoint: s.URL + "/", HTTP: s.Client()}),
		"in process": api.NewClient(api.Options{Endpoint: "https://in.process", HTTP: api.InProcess(handle)}),
	}
}

func TestClientRequests(t *testing.T) {
	t.Parallel()
	var got string
	clients := serve(t, func(w http.ResponseWriter, r *http.Request) {
		raw, _ := io.ReadAll(r.Body)
		got = fmt.Sprintf("%s %s %s%s%s", r.Method, r.RequestURI, r.Header.Get("Content-Type"), r.Header.Get(api.NoKeepHeader), raw)
		w.Header().Set("Azure-AsyncOperation", "https://elsewhere/op?api-version=1")
		_, _ = io.WriteString(w, `{}`)
	})
	ctx := context.Background()
	body := map[string]any{"a": 1}
	for where, c := range clients {
		for want, send := range map[string]func() error{
			"GET /s%2520x/l?api-version=2024-07-01-preview ":                                   func() error { _, err := c.Linker(ctx, "/s%20x/l"); return err },
			"GET /s/providers/Microsoft.ServiceLinker/linkers?api-version=2024-07-01-preview ": func() error { _, err := c.Linkers(ctx, "/s"); return err },
			"PUT /l?api-version=2024-07-01-preview application/jsontrue{\"a\":1}":              func() error { _, err := c.PutLinker(ctx, "/l", body, api.PutOptions{NoKeepSecret: true}); return err },
			"PATCH /l?api-version=2024-07-01-preview application/json{\"a\":1}":                func() error { _, err := c.PatchLinker(ctx, "/l", body); return err },
			"DELETE /l?api-version=2024-07-01-preview&force=true ":                             func() error { _, err := c.DeleteLinker(ctx, "/l", true); return err },
			"POST /l/validateLinker?api-version=2024-07-01-preview ":                           func() error { _, err := c.ValidateLinker(ctx, "/l"); return err },
			"POST /l/listConfigurations?api-version=2024-07-01-preview ":                       func() error { _, err := c.ListConfigurations(ctx, "/l"); return err },
			"GET /op?api-version=1 ":                                                 func() error { _, _, err := c.Status(ctx, "https://elsewhere/op?api-version=1"); return err },
			"GET /raw//x%2Fy?q=%20 ":                                                 func() error { _, err := c.Raw(ctx, "GET", "raw//x%2Fy?q=%20", nil); return err },
			"POST /raw application/json[]":                                           func() error { _, err := c.Raw(ctx, "POST", "/raw", []byte("[]")); return err },
			"POST /s/providers/Patchbay/drift?api-version=2026-11-01 ":               func() error { _, err := c.Drift(ctx, "/s"); return err },
			"POST /providers/Patchbay/drift?api-version=2026-11-01 ":                 func() error { _, err := c.Drift(ctx, ""); return err },
			"GET /providers/Patchbay/operations?api-version=2026-11-01&source=%2Fs ": func() error { _, err := c.Operations(ctx, "/s"); return err },
			"GET /providers/Patchbay/operations/a%20b?api-version=2026-11-01 ":       func() error { _, err := c.Operation(ctx, "a b"); return err },
			"POST /s/providers/Patchbay/connections/c/repair?api-version=2026-11-01 ": func() error {
				_, err := c.Repair(ctx, "/s/providers/microsoft.servicelinker/LINKERS/c", false)
				return err
			},
			"POST /s/providers/Patchbay/connections/c/plan?api-version=2026-11-01&delete=true application/json{}": func() error {
				_, err := c.Plan(ctx, "/s/providers/Microsoft.ServiceLinker/linkers/c", nil, true)
				return err
			},
		} {
			if err := send(); err != nil || got != want {
				t.Errorf("%s: sent %q, want %q (%v)", where, got, want, err)
			}
		}
	}
}

func TestClientReadsAllPages(t *testing.T) {
	t.Parallel()
	for where, c := range serve(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Query().Get("page") == "2" {
			_, _ = io.WriteString(w, `{"value":[{"name":"b"}]}`)
			return
		}
		_, _ = io.WriteString(w, `{"value":[{"name":"a"}],"nextLink":"https://elsewhere`+r.URL.Path+`?api-version=1&page=2"}`)
	}) {
		all, err := c.Linkers(context.Background(), "/s")
		if d := cmp.Diff([]map[string]any{{"name": "a"}, {"name": "b"}}, all); err != nil || d != "" {
			t.Errorf("%s: %v %s", where, err, d)
		}
	}
}

func TestClientErrors(t *testing.T) {
	t.Parallel()
	ours := api.NewErrorDetail("Conflict", "words", problem.New(problem.ConnectionBusy, "/l", "busy").WithFix("wait"))
	raw := plainError(t, ours)
	for answer, want := range map[string]struct {
		status int
		code   problem.Code
		detail string
		fix    string
	}{
		raw: {409, problem.ConnectionBusy, "busy", "wait"},
		`{"error":{"code":"ResourceGroupNotFound","message":"no group"}}`:                                                  {404, problem.RouteUnknown, "(ResourceGroupNotFound) no group", ""},
		`{"error":{"code":"AuthorizationFailed","message":"no"}}`:                                                          {403, problem.CallerLacksRight, "(AuthorizationFailed) no", ""},
		`{"error":{"code":"X","message":"no","additionalInfo":[{"type":"PolicyViolation","info":{"code":"STORE_FULL"}}]}}`: {400, problem.ARMRefused, "(X) no", ""},
		`{"error":{"code":"X","message":"no","additionalInfo":[{"type":"PatchbayProblem","info":7}]}}`:                     {401, problem.TokenInvalid, "(X) no", ""},
		`<html>`: {502, problem.ARMRefused, "the server answered 502 Bad Gateway", ""},
		``:       {429, problem.ARMThrottled, "the server answered 429 Too Many Requests", ""},
	} {
		for where, c := range serve(t, func(w http.ResponseWriter, r *http.Request) {
			w.WriteHeader(want.status)
			_, _ = io.WriteString(w, answer)
		}) {
			_, err := c.Linker(context.Background(), "/l")
			p := problem.As(err)
			if p == nil || p.Code != want.code || p.Detail != want.detail || p.Fix != want.fix {
				t.Errorf("%s: %s: %#v", where, answer, p)
			}
			if got, err := c.Raw(context.Background(), "GET", "/l", nil); err == nil || got.Status != want.status || string(got.Body) != answer {
				t.Errorf("%s: raw: %+v %v", where, got, err)
			}
		}
	}
}

func plainError(t *testing.T, e api.ErrorDetail) string {
	t.Helper()
	raw, err := jsonMarshal(api.ErrorBody{Error: e})
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

func TestClientCannotReach(t *testing.T) {
	t.Parallel()
	s := httptest.NewServer(http.NotFoundHandler())
	s.Close()
	c := api.NewClient(api.Options{Endpoint: s.URL, HTTP: http.DefaultClient})
	if _, err := c.Linker(context.Background(), "/l"); !problem.Is(err, problem.ARMUnreached) {
		t.Errorf("%v", err)
	}
	gone, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := c.Linker(gone, "/l"); !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
	for cause, want := range map[error]problem.Code{
		errors.New("no token"):                             problem.SignInFailed,
		problem.New(problem.NoContext, "", "nothing here"): problem.NoContext,
	} {
		c := api.NewClient(api.Options{HTTP: http.DefaultClient, Token: func(context.Context) (string, error) { return "", cause }})
		if _, err := c.Linker(context.Background(), "/l"); !problem.Is(err, want) {
			t.Errorf("%v", err)
		}
	}
}

func TestClientSendsItsToken(t *testing.T) {
	t.Parallel()
	var got string
	c := api.NewClient(api.Options{Endpoint: "https://x", APIVersion: api.V20220501, Token: func(context.Context) (string, error) { return "tok", nil },
		HTTP: api.InProcess(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			got = r.Header.Get("Authorization") + " " + r.URL.Query().Get("api-version") + " " + r.Host
			_, _ = io.WriteString(w, "{}")
		}))})
	if _, err := c.Linker(context.Background(), "/l"); err != nil || got != "Bearer tok 2022-05-01 x" {
		t.Errorf("%q %v", got, err)
	}
}

func TestClientRefusesNonsense(t *testing.T) {
	t.Parallel()
	for where, c := range serve(t, func(w http.ResponseWriter, r *http.Request) { _, _ = io.WriteString(w, "<html>") }) {
		ctx := context.Background()
		_, linker := c.Linker(ctx, "/l")
		_, put := c.PutLinker(ctx, "/l", nil, api.PutOptions{})
		_, _, status := c.Status(ctx, "/x")
		_, _, address := c.Status(ctx, ":%")
		for _, err := range []error{linker, put, status, address} {
			if !problem.Is(err, problem.ARMRefused) {
				t.Errorf("%s: %v", where, err)
			}
		}
	}
}

// Closing the body ends the handler, and Close waits for it.
func TestInProcessEndsWithItsBody(t *testing.T) {
	t.Parallel()
	ended := false
	doer := api.InProcess(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(http.StatusAccepted)
		w.WriteHeader(http.StatusTeapot) // only the first counts
		<-r.Context().Done()
		ended = true
	}))
	r := httptest.NewRequest(http.MethodGet, "https://x/y", nil)
	response, err := doer.Do(r)
	if err != nil || response.StatusCode != http.StatusAccepted {
		t.Fatal(response, err)
	}
	if err := response.Body.Close(); err != nil || !ended {
		t.Error("the handler did not end", err)
	}
}

func TestInProcessHandlerThatDoesNothing(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		handle http.HandlerFunc
		status int
	}{
		"silent":   {func(http.ResponseWriter, *http.Request) {}, http.StatusOK},
		"panicked": {func(http.ResponseWriter, *http.Request) { panic("no") }, http.StatusInternalServerError},
		"flushed":  {func(w http.ResponseWriter, _ *http.Request) { _ = http.NewResponseController(w).Flush() }, http.StatusOK},
	} {
		response, err := api.InProcess(c.handle).Do(httptest.NewRequest(http.MethodGet, "https://x/y", nil))
		if err != nil || response.StatusCode != c.status {
			t.Fatalf("%s: %v %v", name, response, err)
		}
		if raw, err := io.ReadAll(response.Body); err != nil || len(raw) > 0 {
			t.Errorf("%s: %q %v", name, raw, err)
		}
		_ = response.Body.Close()
	}
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Millisecond)
	defer cancel()
	stuck := http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
	if _, err := api.InProcess(stuck).Do(httptest.NewRequest(http.MethodGet, "https://x/y", nil).WithContext(ctx)); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("%v", err)
	}
}

func TestEventsThatBreakOff(t *testing.T) {
	t.Parallel()
	for stream, want := range map[string]problem.Code{
		"":                                   problem.StillRunning,
		": waiting\n\n":                      problem.StillRunning,
		"event: end\ndata: {\"status\":\n\n": problem.ARMUnreached,
		"event: error\ndata: {\"error\":{\"code\":\"X\",\"additionalInfo\":[{\"type\":\"PatchbayProblem\",\"info\":{\"code\":\"STORE_FAILED\"}}]}}\n\n": problem.StoreFailed,
		"event: end\ndata: {\"status\":\"Succeeded\"}\n\n": "",
	} {
		for where, c := range serve(t, func(w http.ResponseWriter, r *http.Request) { _, _ = io.WriteString(w, stream) }) {
			op, err := c.Events(context.Background(), "o", nil)
			if want == "" && (err != nil || op.Status != "Succeeded") || want != "" && !problem.Is(err, want) {
				t.Errorf("%s: %q: %v", where, stream, err)
			}
		}
	}
}

func FuzzEvents(f *testing.F) {
	for _, seed := range []string{"id: 1\nevent: entry\ndata: {}\n\n", ": c\n\n", "data:a\ndata:b\n\ndata\n\n", "event:x\r\ndata: y\r\n\r\n"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, stream string) {
		count := 0
		if err := api.ReadEvents(strings.NewReader(stream), func(string, []byte) error { count++; return nil }); err == nil && count > strings.Count(stream, "data") {
			t.Errorf("%d events in %q", count, stream)
		}
	})
}
