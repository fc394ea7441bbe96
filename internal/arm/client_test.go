package arm_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"

	"github.com/patchbay/patchbay/internal/arm"
	"github.com/patchbay/patchbay/internal/problem"
)

const (
	version  = "2024-01-01"
	resource = "/subscriptions/s/resourceGroups/g/providers/Microsoft.Test/things/one"
	canary   = "canary-5f0b"
)

type token struct{ err error }

func (t token) GetToken(context.Context, policy.TokenRequestOptions) (azcore.AccessToken, error) {
	return azcore.AccessToken{Token: canary, ExpiresOn: time.Now().Add(time.Hour)}, t.err
}

// step is one scripted answer.
type step struct {
	expect string // "GET /path", checked when given
	status int
	header map[string]string
	body   string
	drop   bool
}

// script serves the steps in order; {host} in headers and bodies is the server's address.
func script(t *testing.T, steps ...step) (*httptest.Server, func() int) {
	t.Helper()
	var mu sync.Mutex
	next := 0
	var server *httptest.Server
	server = httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		if next >= len(steps) {
			t.Errorf("unexpected %s %s", r.Method, r.URL)
			w.WriteHeader(http.StatusTeapot)
			return
		}
		s := steps[next]
		next++
		if got := r.Method + " " + r.URL.Path; s.expect != "" && s.expect != got {
			t.Errorf("request %d is %s, want %s", next, got, s.expect)
		}
		if s.drop {
			panic(http.ErrAbortHandler)
		}
		for name, value := range s.header {
			w.Header().Set(name, strings.ReplaceAll(value, "{host}", server.URL))
		}
		w.WriteHeader(s.status)
		fmt.Fprint(w, strings.ReplaceAll(s.body, "{host}", server.URL))
	}))
	server.Config.ErrorLog = nil
	t.Cleanup(server.Close)
	return server, func() int { mu.Lock(); defer mu.Unlock(); return next }
}

func client(t *testing.T, server *httptest.Server, change ...func(*arm.Options)) *arm.Client {
	t.Helper()
	o := arm.Options{
		Endpoint: server.URL, Audience: "https://arm.test", Credential: token{}, HTTP: server.Client(),
		RetryDelay: time.Millisecond, MaxRetryDelay: 3 * time.Second, PollInterval: time.Millisecond, MaxPollInterval: time.Millisecond,
	}
	for _, f := range change {
		f(&o)
	}
	c, err := arm.New(o)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

type thing struct {
	Name       string
	Properties struct{ ProvisioningState string }
}

func failed(code string) string {
	return fmt.Sprintf(`{"error":{"code":%q,"message":"because"}}`, code)
}

// Each row is one way a write is answered; out is what the caller gets.
func TestLongRunning(t *testing.T) {
	t.Parallel()
	async := map[string]string{"Azure-AsyncOperation": "{host}/op?api-version=x", "Location": "{host}/loc?api-version=x", "Retry-After": "1"}
	location := map[string]string{"Location": "{host}/loc?api-version=x"}
	get, done := "GET "+resource, `{"name":"one"}`
	for _, row := range []struct {
		name   string
		method string
		steps  []step
		want   string // name in the final resource
		code   problem.Code
	}{
		{"put at once", "PUT", []step{{status: 200, body: done}}, "one", ""},
		{"put created without a state", "PUT", []step{{status: 201, body: done}}, "one", ""},
		{"location beside 201 is only an address", "PUT", []step{{status: 201, body: done, header: location}}, "one", ""},
		{"put with async operation", "PUT", []step{
			{status: 202, header: async}, {expect: "GET /op", status: 200, body: `{"status":"InProgress"}`},
			{expect: "GET /op", status: 200, body: `{"status":"Succeeded"}`}, {expect: get, status: 200, body: done}}, "one", ""},
		{"polls survive throttling", "PATCH", []step{
			{status: 202, header: async}, {status: 429, header: map[string]string{"retry-after-ms": "1"}},
			{status: 200, body: `{"status":"succeeded"}`}, {expect: get, status: 200, body: done}}, "one", ""},
		{"put with location", "PUT", []step{
			{status: 202, header: location}, {expect: "GET /loc", status: 202}, {expect: "GET /loc", status: 204}, {expect: get, status: 200, body: done}}, "one", ""},
		{"put with provisioning state", "PUT", []step{
			{status: 201, body: `{"properties":{"provisioningState":"Creating"}}`}, {expect: get, status: 200, body: `{"properties":{"provisioningState":"Updating"}}`},
			{expect: get, status: 200, body: `{"name":"one","properties":{"provisioningState":"Succeeded"}}`}}, "one", ""},
		{"put accepted without a way to poll", "PUT", []step{{status: 202}, {expect: get, status: 200, body: done}}, "one", ""},
		{"async operation fails", "PUT", []step{
			{status: 202, header: async}, {status: 200, body: `{"status":"Failed","error":{"code":"NoRoom","message":"full"}}`}}, "", problem.ARMFailed},
		{"async operation is canceled", "PUT", []step{{status: 202, header: async}, {status: 200, body: `{"status":"Canceled"}`}}, "", problem.ARMFailed},
		{"provisioning fails", "PUT", []step{{status: 200, body: `{"properties":{"provisioningState":"Failed"}}`}}, "", problem.ARMFailed},
		{"location ends in an error", "PUT", []step{{status: 202, header: location}, {status: 409, body: failed("Busy")}}, "", problem.ARMFailed},
		{"delete with location ends when it is gone", "DELETE", []step{{status: 202, header: location}, {status: 404, body: failed("ResourceNotFound")}}, "", ""},
		{"delete of nothing", "DELETE", []step{{status: 404, body: failed("ResourceNotFound")}}, "", ""},
		{"delete of nothing, said politely", "DELETE", []step{{status: 204}}, "", ""},
		{"delete with async operation", "DELETE", []step{{status: 202, header: async}, {status: 200, body: `{"status":"Succeeded"}`}}, "", ""},
		{"another host gets no token", "PUT", []step{{status: 202, header: map[string]string{"Azure-AsyncOperation": "https://evil.example/op"}}}, "", problem.ARMRefused},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			server, served := script(t, row.steps...)
			c := client(t, server)
			var out thing
			err := write(t.Context(), c, row.method, &out)
			if row.code != "" {
				if !problem.Is(err, row.code) {
					t.Fatalf("error %v, want %s", err, row.code)
				}
			} else if err != nil {
				t.Fatal(err)
			}
			if out.Name != row.want {
				t.Errorf("resource %q, want %q", out.Name, row.want)
			}
			if n := served(); n != len(row.steps) {
				t.Errorf("%d of %d answers were asked for", n, len(row.steps))
			}
		})
	}
}

func write(ctx context.Context, c *arm.Client, method string, out any) error {
	switch method {
	case "PUT":
		return c.Put(ctx, resource, version, map[string]any{}, out)
	case "PATCH":
		return c.Patch(ctx, resource, version, map[string]any{}, out)
	}
	return c.Delete(ctx, resource, version)
}

func TestNoFinalReadWhenNobodyWantsIt(t *testing.T) {
	t.Parallel()
	server, served := script(t, step{status: 202, header: map[string]string{"Azure-AsyncOperation": "{host}/op"}}, step{status: 200, body: `{"status":"Succeeded"}`})
	if err := client(t, server).Put(t.Context(), resource, version, map[string]any{}, nil); err != nil {
		t.Fatal(err)
	}
	if served() != 2 {
		t.Errorf("%d requests, want 2", served())
	}
}

// Each row of the error table, with what a person reads.
func TestErrors(t *testing.T) {
	t.Parallel()
	const denied = `{"error":{"code":"AuthorizationFailed","message":"The client 'x' with object id 'y' does not have authorization to perform action 'Microsoft.Web/sites/read' over scope '/subscriptions/s' or the scope is invalid."}}`
	const locked = `{"error":{"code":"ScopeLocked","message":"The scope '/a' cannot perform write operation because following scope(s) are locked: '/subscriptions/s/resourceGroups/g'. Please remove the lock and try again."}}`
	const unregistered = `{"error":{"code":"MissingSubscriptionRegistration","message":"The subscription is not registered to use namespace 'Microsoft.Web'."}}`
	for _, row := range []struct {
		name   string
		answer step
		code   problem.Code
		detail string
		fix    string
	}{
		{"not signed in", step{status: 401, body: failed("ExpiredAuthenticationToken")}, problem.SignInFailed, "ExpiredAuthenticationToken", ""},
		{"no right", step{status: 403, body: denied}, problem.EngineLacksRight, "may not perform Microsoft.Web/sites/read on /subscriptions/s", "role that holds Microsoft.Web/sites/read"},
		{"no right, said otherwise", step{status: 403, body: failed("AuthorizationFailed")}, problem.EngineLacksRight, "because", ""},
		{"no linked right", step{status: 403, body: failed("LinkedAuthorizationFailed")}, problem.EngineLacksRight, "because", ""},
		{"forbidden by policy", step{status: 403, body: failed("RequestDisallowedByPolicy")}, problem.ARMRefused, "RequestDisallowedByPolicy", ""},
		{"locked", step{status: 409, body: locked}, problem.ScopeLocked, "lock on /subscriptions/s/resourceGroups/g", "az lock list --resource /subscriptions/s/resourceGroups/g"},
		{"not registered", step{status: 409, body: unregistered}, problem.ARMRefused, "not registered", "az provider register --namespace Microsoft.Web"},
		{"throttled beyond patience", step{status: 429, header: map[string]string{"Retry-After": "77"}, body: failed("TooManyRequests")}, problem.ARMThrottled, "1m17s", ""},
		{"not found", step{status: 404, body: failed("ResourceNotFound")}, problem.ARMRefused, "ResourceNotFound", ""},
		{"details", step{status: 400, body: `{"error":{"code":"A","message":"outer","details":[{"code":"B","message":"inner"}]}}`}, problem.ARMRefused, "outer inner", ""},
		{"bare object", step{status: 400, body: `{"Code":"BadRequest","Message":"odd"}`}, problem.ARMRefused, "BadRequest: odd", ""},
		{"no JSON", step{status: 400, body: "<html>"}, problem.ARMRefused, "HTTP 400", ""},
		{"JSON of another shape", step{status: 200, body: `{"name":{}}`}, problem.ARMRefused, "makes no sense", ""},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			server, _ := script(t, row.answer)
			var out thing
			err := client(t, server).Get(t.Context(), resource, version, &out)
			p := problem.As(err)
			if p.Code != row.code || !strings.Contains(p.Error(), row.detail) || !strings.Contains(p.Fix, row.fix) {
				t.Errorf("got %s %q fix %q", p.Code, p.Error(), p.Fix)
			}
			if p.Resource != resource || !strings.HasPrefix(p.Attempt, "read ") {
				t.Errorf("about %q while %q", p.Resource, p.Attempt)
			}
			var e *arm.Error
			if row.answer.status >= 400 && (!errors.As(err, &e) || e.Status != row.answer.status) {
				t.Errorf("cause %#v", e)
			}
			if arm.IsNotFound(err) != (row.answer.status == 404) {
				t.Error("IsNotFound is wrong")
			}
		})
	}
	if action, scope, ok := arm.DeniedRight(&arm.Error{Status: 403, Message: "to perform action 'A' over scope '/s'"}); !ok || action != "A" || scope != "/s" {
		t.Errorf("denied right read as %q %q %v", action, scope, ok)
	}
}

// What is tried again, and what is not.
func TestRetries(t *testing.T) {
	t.Parallel()
	ok := step{status: 200, body: `{"name":"one"}`}
	get := func(ctx context.Context, c *arm.Client) error { return c.Get(ctx, resource, version, nil) }
	put := func(ctx context.Context, c *arm.Client) error {
		return c.Put(ctx, resource, version, map[string]string{"a": "b"}, nil)
	}
	post := func(verb string) func(context.Context, *arm.Client) error {
		return func(ctx context.Context, c *arm.Client) error {
			return c.Post(ctx, resource+"/"+verb, version, nil, nil)
		}
	}
	for _, row := range []struct {
		name  string
		call  func(context.Context, *arm.Client) error
		steps []step
		code  problem.Code
	}{
		{"500 then fine", get, []step{{status: 500}, ok}, ""},
		{"408 and 503 then fine", put, []step{{status: 408}, {status: 503}, ok}, ""},
		{"429 with its own delay", put, []step{{status: 429, header: map[string]string{"Retry-After": "1"}}, ok}, ""},
		{"cut connection", put, []step{{drop: true}, ok}, ""},
		{"three times is enough", get, []step{{status: 500}, {status: 500}, {status: 500}}, problem.ARMRefused},
		{"cut for good", put, []step{{drop: true}, {drop: true}, {drop: true}}, problem.ARMUnreached},
		{"another operation under way", put, []step{{status: 409, body: failed("AnotherOperationInProgress")}, ok}, ""},
		{"other conflicts are final", put, []step{{status: 409, body: failed("Conflict")}}, problem.ARMRefused},
		{"400 is final", put, []step{{status: 400}}, problem.ARMRefused},
		{"501 is final", get, []step{{status: 501}}, problem.ARMRefused},
		{"list actions are safe", post("listKeys"), []step{{status: 500}, ok}, ""},
		{"settings list is safe", post("config/appsettings/list"), []step{{drop: true}, ok}, ""},
		{"other actions are not", post("restart"), []step{{status: 500}}, problem.ARMRefused},
		{"nor after a cut", post("restart"), []step{{drop: true}}, problem.ARMUnreached},
		{"but after 429", post("restart"), []step{{status: 429}, ok}, ""},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			server, served := script(t, row.steps...)
			err := row.call(t.Context(), client(t, server))
			if (row.code == "") != (err == nil) || (row.code != "" && !problem.Is(err, row.code)) {
				t.Errorf("error %v, want %q", err, row.code)
			}
			if served() != len(row.steps) {
				t.Errorf("%d requests, want %d", served(), len(row.steps))
			}
		})
	}
}

func TestListFollowsPages(t *testing.T) {
	t.Parallel()
	server, _ := script(t,
		step{status: 200, body: `{"value":[{"name":"a"}],"nextLink":"{host}/more?page=2"}`},
		step{expect: "GET /more", status: 200, body: `{"value":[],"nextLink":"{host}/more?page=3"}`},
		step{status: 200, body: `{"value":[{"name":"b"}],"nextLink":null}`})
	all, err := arm.ListAll[thing](t.Context(), client(t, server), resource+"/parts", version)
	if err != nil || len(all) != 2 || all[1].Name != "b" {
		t.Errorf("got %+v, %v", all, err)
	}
	server, _ = script(t, step{status: 200, body: `{"value":[],"nextLink":"http://evil.example/"}`})
	if err := client(t, server).List(t.Context(), resource, version, func(json.RawMessage) error { return nil }); !problem.Is(err, problem.ARMRefused) {
		t.Errorf("a foreign next page gave %v", err)
	}
}

func TestHeadersQueryAndObserver(t *testing.T) {
	t.Parallel()
	var seen atomic.Pointer[http.Request]
	server := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { seen.Store(r) }))
	t.Cleanup(server.Close)
	var mu sync.Mutex
	var calls []arm.Call
	for _, bodies := range []bool{false, true} {
		c := client(t, server, func(o *arm.Options) {
			o.UserAgent, o.RecordBodies = "patchbay/test", bodies
			o.Observer = func(one arm.Call) { mu.Lock(); defer mu.Unlock(); calls = append(calls, one) }
		})
		ctx := arm.WithCorrelation(t.Context(), "11111111-2222-3333-4444-555555555555")
		if err := c.Put(ctx, resource+"?$filter=atScope() or x eq 'a b'", version, map[string]string{"secret": canary}, nil); err != nil {
			t.Fatal(err)
		}
	}
	r := seen.Load()
	if q := r.URL.Query(); q.Get("api-version") != version || q.Get("$filter") != "atScope() or x eq 'a b'" || strings.Contains(r.URL.RawQuery, "+") {
		t.Errorf("query %q", r.URL.RawQuery)
	}
	if h := r.Header; h.Get("Authorization") != "Bearer "+canary || h.Get("x-ms-correlation-request-id") == "" || h.Get("x-ms-client-request-id") == "" || !strings.HasPrefix(h.Get("User-Agent"), "patchbay/test") {
		t.Errorf("headers %v", h)
	}
	if len(calls) != 2 || calls[0].Body != nil || !strings.Contains(string(calls[1].Body), canary) {
		t.Fatalf("calls %+v", calls)
	}
	if got := calls[0]; got.Method != "PUT" || got.Path != resource || got.APIVersion != version || got.Status != 200 || got.Duration <= 0 {
		t.Errorf("call %+v", got)
	}
}

func TestSignInFailureIsNotTheNetwork(t *testing.T) {
	t.Parallel()
	server, served := script(t)
	c := client(t, server, func(o *arm.Options) { o.Credential = token{errors.New("no account\nlong report")} })
	err := c.Get(t.Context(), resource, version, nil)
	if p := problem.As(err); p.Code != problem.SignInFailed || p.Detail != "no account" || served() != 0 {
		t.Errorf("got %v after %d requests", err, served())
	}
}

func TestEndedContextIsNoProblem(t *testing.T) {
	t.Parallel()
	server, _ := script(t, step{status: 202, header: map[string]string{"Location": "{host}/loc"}})
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	c := client(t, server, func(o *arm.Options) { o.PollInterval, o.MaxPollInterval = time.Hour, 0 })
	if err := c.Put(ctx, resource, version, map[string]any{}, nil); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v", err)
	}
}

func TestNewRefusesBadOptions(t *testing.T) {
	t.Parallel()
	for _, o := range []arm.Options{
		{Endpoint: "http://plain.test", Audience: "a", Credential: token{}},
		{Endpoint: "://", Audience: "a", Credential: token{}},
		{Endpoint: "https://x.test", Credential: token{}},
		{Endpoint: "https://x.test", Audience: "a"},
	} {
		if _, err := arm.New(o); err == nil {
			t.Errorf("%+v was taken", o)
		}
	}
}

func TestUntrustedServerIsUnreached(t *testing.T) {
	t.Parallel()
	server, _ := script(t)
	c := client(t, server, func(o *arm.Options) { o.HTTP = arm.HTTPClient(nil) })
	if err := c.Get(t.Context(), resource, version, nil); !problem.Is(err, problem.ARMUnreached) {
		t.Errorf("got %v", err)
	}
}

func TestErrorsCarryNoToken(t *testing.T) {
	t.Parallel()
	server, _ := script(t, step{drop: true}, step{drop: true}, step{drop: true})
	err := client(t, server).Put(t.Context(), resource, version, map[string]string{"secret": canary}, nil)
	if text := fmt.Sprintf("%+v %#v %s", err, problem.As(err), err); strings.Contains(text, canary) {
		t.Errorf("secret in %s", text)
	}
}
