package localcloud_test

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/patchbay/patchbay/internal/localcloud"
	"github.com/patchbay/patchbay/internal/localcloud/provider"
)

// things is a tiny provider: a type that answers 202, one that answers 201 at once,
// keys behind a POST, and a type that breaks.
type things struct {
	cloud provider.Cloud
	gate  chan struct{} // long work waits here when it is not nil
}

func (p *things) Resume(context.Context) error { return nil }
func (p *things) Close() error                 { return nil }

func (p *things) Types() []provider.Type {
	keys := map[string]provider.Action{
		"listkeys": {Handle: func(context.Context, *provider.Request) (*provider.Answer, error) {
			return &provider.Answer{Body: map[string]any{"keys": []any{"k"}}}, nil
		}},
		"regeneratekey": {Handle: func(_ context.Context, r *provider.Request) (*provider.Answer, error) {
			return &provider.Answer{Body: map[string]any{"rotated": r.Body["keyName"]}}, nil
		}},
	}
	panics := func(context.Context, *provider.Request) (*provider.Answer, error) { panic("canary") }
	return []provider.Type{
		{Name: "Test.Things/slow", APIVersions: []string{thingAPI, "2023-01-01-preview"}, Async202: true, Put: p.put, Delete: p.remove},
		{Name: "Test.Things/seen", APIVersions: []string{thingAPI}, Put: p.putSeen, Delete: p.remove, Actions: keys},
		{Name: "Test.Things/seen/parts", APIVersions: []string{thingAPI}, Put: p.putSeen},
		{Name: "Test.Things/broken", APIVersions: []string{thingAPI}, Put: panics},
	}
}

func (p *things) wait(ctx context.Context) {
	if p.gate == nil {
		return
	}
	select {
	case <-p.gate:
	case <-ctx.Done():
	}
}

func (p *things) document(r *provider.Request, state string) provider.Document {
	return provider.Document{"id": r.ID.String(), "name": r.ID.Name(), "type": r.ID.Type(), "etag": "", "properties": map[string]any{"provisioningState": state}}
}

func (p *things) put(_ context.Context, r *provider.Request) (*provider.Answer, error) {
	return &provider.Answer{Status: 202, Later: func(ctx context.Context) error {
		p.wait(ctx)
		if strings.HasPrefix(r.ID.Name(), "panic") {
			panic("canary")
		}
		if strings.HasPrefix(r.ID.Name(), "bad") {
			return &provider.Fault{Status: 400, Code: "NoGood", Message: "not this one"}
		}
		p.cloud.Store().Put(r.ID.String(), p.document(r, "Succeeded"))
		return nil
	}}, nil
}

func (p *things) putSeen(_ context.Context, r *provider.Request) (*provider.Answer, error) {
	d := p.document(r, "Creating")
	p.cloud.Store().Put(r.ID.String(), d)
	return &provider.Answer{Status: 201, Body: d, Later: func(ctx context.Context) error {
		p.wait(ctx)
		if strings.HasPrefix(r.ID.Name(), "bad") {
			return &provider.Fault{Status: 400, Code: "NoGood", Message: "not this one"}
		}
		return nil
	}}, nil
}

func (p *things) remove(_ context.Context, r *provider.Request) (*provider.Answer, error) {
	return &provider.Answer{Later: func(ctx context.Context) error {
		p.wait(ctx)
		p.cloud.Store().Delete(r.ID.String())
		return nil
	}}, nil
}

func withThings(gate chan struct{}) func(*localcloud.Config) {
	return func(c *localcloud.Config) {
		c.Providers = func(cloud provider.Cloud) []provider.Provider { return []provider.Provider{&things{cloud, gate}} }
	}
}

func (w *world) thing(kind, name string) string {
	return w.group + "/providers/Test.Things/" + kind + "/" + name
}

func TestAsync202StaysInvisible(t *testing.T) {
	t.Parallel()
	gate := make(chan struct{})
	w := start(t, withThings(gate))
	path := w.thing("slow", "One")
	a := w.must(202, "PUT", path, thingAPI, doc{"location": "westeurope"})
	if a.raw != "" || a.header.Get("Location") == "" || a.header.Get("Retry-After") != "1" {
		t.Errorf("202 with body %q and headers %v", a.raw, a.header)
	}
	w.refused(404, "ResourceNotFound", "GET", path, thingAPI, nil)
	if op := w.must(200, "GET", a.header.Get("Azure-AsyncOperation"), "", nil); at(op.body, "status") != "InProgress" || op.header.Get("Retry-After") == "" {
		t.Errorf("operation: %s", op.raw)
	}
	if l := w.must(202, "GET", a.header.Get("Location"), "", nil); l.raw != "" {
		t.Errorf("Location before the end: %s", l.raw)
	}
	_, stranger := w.principal("stranger")
	stranger.must(404, "GET", a.header.Get("Azure-AsyncOperation"), "", nil)
	gate <- struct{}{}
	if op := w.finished(a); op["status"] != "Succeeded" || op["endTime"] == nil {
		t.Errorf("operation: %v", op)
	}
	if got := w.must(200, "GET", a.header.Get("Location"), "", nil); at(got.body, "id") != path {
		t.Errorf("Location after the end: %s", got.raw)
	}
	w.must(200, "GET", path, thingAPI, nil)

	d := w.must(202, "DELETE", path, thingAPI, nil)
	w.must(200, "GET", path, thingAPI, nil)
	gate <- struct{}{}
	w.finished(d)
	w.must(404, "GET", path, thingAPI, nil)
	w.must(204, "GET", d.header.Get("Location"), "", nil)
	w.must(204, "DELETE", path, thingAPI, nil)
}

func TestAsync201IsVisibleAtOnce(t *testing.T) {
	t.Parallel()
	gate := make(chan struct{})
	w := start(t, withThings(gate))
	path := w.thing("seen", "One")
	a := w.must(201, "PUT", path, thingAPI, doc{})
	if at(a.body, "properties", "provisioningState") != "Creating" || a.header.Get("Location") != "" {
		t.Errorf("201 with %s", a.raw)
	}
	if s := at(w.must(200, "GET", path, thingAPI, nil).body, "properties", "provisioningState"); s != "Creating" {
		t.Errorf("state while it runs: %v", s)
	}
	gate <- struct{}{}
	w.finished(a)
	if s := at(w.must(200, "GET", path, thingAPI, nil).body, "properties", "provisioningState"); s != "Succeeded" {
		t.Errorf("state after the end: %v", s)
	}
}

func TestAsyncFailures(t *testing.T) {
	t.Parallel()
	w := start(t, withThings(nil))
	for _, c := range []struct{ kind, name, code string }{
		{"slow", "bad1", "NoGood"}, {"seen", "bad2", "NoGood"}, {"slow", "panic1", "InternalServerError"},
	} {
		a := w.call("PUT", w.thing(c.kind, c.name), thingAPI, doc{})
		op := w.finished(a)
		if op["status"] != "Failed" || at(op, "error", "code") != c.code {
			t.Errorf("%s: %v", c.name, op)
		}
		if raw, _ := json.Marshal(op); strings.Contains(string(raw), "canary") {
			t.Errorf("the client learns of a panic: %s", raw)
		}
	}
	if s := at(w.must(200, "GET", w.thing("seen", "bad2"), thingAPI, nil).body, "properties", "provisioningState"); s != "Failed" {
		t.Errorf("state of a failed create: %v", s)
	}
	w.must(404, "GET", w.thing("slow", "bad1"), thingAPI, nil)
	a := w.refused(500, "InternalServerError", "PUT", w.thing("broken", "x"), thingAPI, doc{})
	if strings.Contains(a.raw, "canary") || strings.Contains(a.raw, "goroutine") {
		t.Errorf("the client learns of a panic: %s", a.raw)
	}
}

func TestAsyncDelay(t *testing.T) {
	t.Parallel()
	w := start(t, withThings(nil))
	w.lever(doc{"action": "asyncDelay", "seconds": 3600})
	a := w.must(202, "PUT", w.thing("slow", "late"), thingAPI, doc{})
	if a.header.Get("Retry-After") != "3600" {
		t.Errorf("Retry-After is %s", a.header.Get("Retry-After"))
	}
	if op := w.must(200, "GET", a.header.Get("Azure-AsyncOperation"), "", nil); at(op.body, "status") != "InProgress" {
		t.Errorf("operation: %s", op.raw)
	}
}

func TestRefusalsOfTheFrontDoor(t *testing.T) {
	t.Parallel()
	w := start(t, withThings(nil))
	site := w.newSite("doors", nil)
	sub := "/subscriptions/" + w.ready.SubscriptionID
	other := "/subscriptions/" + uuid.NewString()
	big := `{"a":"` + strings.Repeat("x", 5<<20) + `"}`
	cases := []struct {
		name, method, path, version string
		body                        any
		status                      int
		code, says                  string
	}{
		{"no api-version", "GET", site, "", nil, 400, "MissingApiVersionParameter", "?api-version="},
		{"empty api-version", "GET", site + "?api-version=", "", nil, 400, "MissingApiVersionParameter", ""},
		{"unknown core version", "GET", w.group, "2001-01-01", nil, 400, "InvalidApiVersionParameter", "The api-version '2001-01-01' is invalid. The supported versions are '2025-04-01,"},
		{"unknown type version", "GET", w.thing("slow", "x"), "2001-01-01", nil, 400, "NoRegisteredProviderFound", "API version '2001-01-01' for type 'slow'. The supported api-versions are '2024-01-01, 2023-01-01-preview'."},
		{"unknown version with location", "PUT", w.thing("slow", "x"), "2001-01-01", doc{"location": "mars"}, 400, "NoRegisteredProviderFound", "location 'mars'"},
		{"unknown type", "GET", w.thing("none", "x"), thingAPI, nil, 404, "InvalidResourceType", "The resource type 'none' could not be found in the namespace 'Test.Things'"},
		{"unknown namespace", "GET", w.group + "/providers/No.Such/a/b", thingAPI, nil, 404, "InvalidResourceNamespace", "'No.Such'"},
		{"malformed subscription", "GET", "/subscriptions/abc/resourceGroups/x", coreAPI, nil, 400, "InvalidSubscriptionId", "'abc'"},
		{"missing subscription", "GET", other + "/resourceGroups/x", coreAPI, nil, 404, "SubscriptionNotFound", other[15:]},
		{"missing group", "GET", sub + "/resourceGroups/none", coreAPI, nil, 404, "ResourceGroupNotFound", "Resource group 'none'"},
		{"resource in a missing group", "PUT", sub + "/resourceGroups/none/providers/Microsoft.Web/sites/a", webAPI, doc{"location": "x"}, 404, "ResourceGroupNotFound", "'none'"},
		{"missing resource", "GET", w.site("none"), webAPI, nil, 404, "ResourceNotFound", "The Resource 'Microsoft.Web/sites/none' under resource group 'Rg1' was not found."},
		{"patch of a missing resource", "PATCH", w.site("none"), webAPI, doc{}, 404, "ResourceNotFound", ""},
		{"action on a missing resource", "POST", w.site("none") + "/restart", webAPI, nil, 404, "ResourceNotFound", ""},
		{"child of a missing parent", "PUT", w.thing("seen", "none") + "/parts/p", thingAPI, doc{}, 404, "ParentResourceNotFound", "because the parent resource '" + w.thing("seen", "none")},
		{"unknown action", "POST", site + "/dance", webAPI, nil, 404, "InvalidResourceAction", "'dance'"},
		{"key listing is a POST", "GET", w.thing("seen", "x") + "/listKeys", thingAPI, nil, 404, "InvalidResourceType", ""},
		{"method that a type lacks", "PATCH", w.thing("slow", "x"), thingAPI, doc{}, 405, "MethodNotAllowed", "PATCH"},
		{"write of a list", "PUT", w.group + "/providers/Microsoft.Web/sites", webAPI, doc{}, 405, "MethodNotAllowed", ""},
		{"unknown method", "PROPFIND", site, webAPI, nil, 405, "MethodNotAllowed", ""},
		{"not JSON", "PUT", site, webAPI, "{not json", 400, "InvalidRequestContent", ""},
		{"JSON but not an object", "PUT", site, webAPI, "[1]", 400, "InvalidRequestContent", ""},
		{"no body", "PUT", site, webAPI, nil, 400, "InvalidRequestContent", "body is required"},
		{"large body", "PUT", site, webAPI, big, 413, "RequestContentTooLarge", "4 MB"},
		{"escaped slash", "GET", w.group + "/providers/Microsoft.Web/sites/a%2fb", webAPI, nil, 400, "InvalidRequestUri", ""},
		{"dot segments", "GET", w.group + "/providers/Microsoft.Web/sites/%2e%2e", webAPI, nil, 400, "InvalidRequestUri", ""},
		{"control character", "GET", w.group + "/providers/Microsoft.Web/sites/a%00b", webAPI, nil, 400, "InvalidRequestUri", ""},
		{"not UTF-8", "GET", w.group + "/providers/Microsoft.Web/sites/a%ff", webAPI, nil, 400, "InvalidRequestUri", ""},
		{"empty segment", "GET", sub + "//resourceGroups", coreAPI, nil, 400, "InvalidRequestUri", ""},
		{"half a path", "GET", sub + "/resourceGroups/Rg1/stray/x/y/z", coreAPI, nil, 400, "InvalidRequestUri", ""},
		{"nowhere", "GET", "/", coreAPI, nil, 400, "InvalidRequestUri", ""},
		{"bad group name", "PUT", sub + "/resourceGroups/a*b", coreAPI, doc{"location": "westeurope"}, 400, "InvalidResourceGroup", ""},
		{"group without a location", "PUT", sub + "/resourceGroups/fresh", coreAPI, doc{}, 400, "LocationRequired", ""},
		{"group moved", "PUT", w.group, coreAPI, doc{"location": "eastus"}, 409, "InvalidResourceGroupLocation", ""},
	}
	for _, c := range cases {
		a := w.call(c.method, c.path, c.version, c.body)
		if a.status != c.status || a.code() != c.code || !strings.Contains(a.message(), c.says) {
			t.Errorf("%s: %d %.300s, want %d %s with %q", c.name, a.status, a.raw, c.status, c.code, c.says)
		}
	}
}

func TestPathsThatClientsWriteOddly(t *testing.T) {
	t.Parallel()
	w := start(t)
	site := w.newSite("CaseKept", nil)
	want := w.site("CaseKept")
	for _, path := range []string{site, strings.ToUpper(site), strings.ToLower(site), "/" + site, site + "/", strings.Replace(site, "CaseKept", "%43aseKept", 1)} {
		if got := at(w.must(200, "GET", path, webAPI, nil).body, "id"); got != want {
			t.Errorf("GET %s answers id %v", path, got)
		}
	}
	w.must(200, "PUT", strings.ToUpper(site), webAPI, doc{"location": "westeurope", "tags": doc{"a": "b"}})
	got := w.must(200, "GET", site, webAPI, nil).body
	if at(got, "id") != want || at(got, "name") != "CaseKept" || at(got, "tags", "a") != "b" {
		t.Errorf("after a write in other case: %v", got)
	}
	child := w.must(200, "PUT", strings.ToUpper(site)+"/config/appsettings", webAPI, doc{"properties": doc{}}).body
	if id := at(child, "id"); id != want+"/config/appsettings" {
		t.Errorf("a child under an id in other case has the id %v", id)
	}
	w.must(200, "GET", strings.ToLower(w.group), coreAPI, nil)
	if id := at(w.must(200, "PUT", strings.ToUpper(w.group), coreAPI, doc{"location": "West Europe"}).body, "id"); id != w.group {
		t.Errorf("the group's id became %v", id)
	}
	if n := len(at(w.must(200, "GET", strings.ToLower(w.group)+"/providers/microsoft.web/SITES", webAPI, nil).body, "value").([]any)); n != 1 {
		t.Errorf("%d sites listed", n)
	}
	if a := w.call("HEAD", w.group, coreAPI, nil); a.status != 204 {
		t.Errorf("HEAD of a group: %d", a.status)
	}
}

func TestTokens(t *testing.T) {
	t.Parallel()
	w := start(t)
	dir := w.cloud.Directory()
	me, err := dir.Verify(w.token, w.ready.Endpoint)
	if err != nil {
		t.Fatal(err)
	}
	elsewhere, _, _ := dir.Token(me.ObjectID, "https://other.example")
	slash, _, _ := dir.Token(me.ObjectID, w.ready.Endpoint+"/")
	parts := strings.Split(w.token, ".")
	none := base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"none","typ":"JWT"}`))
	payload, _ := base64.RawURLEncoding.DecodeString(parts[1])
	forged := strings.Replace(string(payload), me.ObjectID, uuid.NewString(), 1)
	foreign := open(t) // another cloud with another key
	gone, caller := w.principal("gone")
	dir.Remove(gone.ObjectID)
	cases := []struct{ name, token, code string }{
		{"missing", "", "AuthenticationFailed"},
		{"garbage", "abc", "InvalidAuthenticationToken"},
		{"unsigned", none + "." + parts[1] + ".", "InvalidAuthenticationToken"},
		{"unsigned with the old signature", none + "." + parts[1] + "." + parts[2], "InvalidAuthenticationToken"},
		{"changed", parts[0] + "." + base64.RawURLEncoding.EncodeToString([]byte(forged)) + "." + parts[2], "InvalidAuthenticationToken"},
		{"another audience", elsewhere, "InvalidAuthenticationToken"},
		{"another cloud", foreign.token, "InvalidAuthenticationToken"},
		{"principal removed", caller.token, "InvalidAuthenticationToken"},
	}
	for _, c := range cases {
		for _, path := range []string{w.group, "/_local/requests"} {
			a := w.as(c.token).refused(401, c.code, "GET", path, coreAPI, nil)
			if !strings.Contains(a.header.Get("WWW-Authenticate"), `error="invalid_token"`) {
				t.Errorf("%s: WWW-Authenticate is %q", c.name, a.header.Get("WWW-Authenticate"))
			}
			if c.token != "" && strings.Contains(a.raw, c.token) {
				t.Errorf("%s: the answer repeats the token", c.name)
			}
		}
	}
	w.as(slash).must(200, "GET", w.group, coreAPI, nil)
	w.lever(doc{"action": "expireTokens"})
	a := w.refused(401, "ExpiredAuthenticationToken", "GET", w.group, coreAPI, nil)
	if challenge := a.header.Get("WWW-Authenticate"); !strings.Contains(challenge, `error="insufficient_claims", claims="`) {
		t.Errorf("a withdrawn token is challenged with %q", challenge)
	}
	w.as(w.signIn(w.ready.ClientID, w.ready.ClientSecret)).must(200, "GET", w.group, coreAPI, nil)
}

func TestTokensExpireByThemselves(t *testing.T) {
	t.Parallel()
	w := open(t, func(c *localcloud.Config) { c.TokenLifetime = 2 * time.Second })
	until(t, "the token has expired", func() bool {
		return w.call("GET", "/subscriptions", coreAPI, nil).code() == "ExpiredAuthenticationToken"
	})
}

func TestFaults(t *testing.T) {
	t.Parallel()
	w := start(t)
	site := w.newSite("faulty", nil)
	put := func() (answer, error) {
		return w.try("PUT", site, webAPI, doc{"location": "westeurope", "tags": doc{"n": uuid.NewString()}})
	}
	tag := func() any { return at(w.must(200, "GET", site, webAPI, nil).body, "tags", "n") }
	cases := []struct {
		name   string
		fault  doc
		status int // 0: the connection is dropped
		worked bool
	}{
		{"refused before the work", doc{"method": "PUT", "path": "/sites/faulty$", "status": 403, "times": 1}, 403, false},
		{"refused after the work", doc{"method": "PUT", "path": "/SITES/faulty$", "status": 500, "when": "after", "times": 1}, 500, true},
		{"dropped before the work", doc{"method": "put", "path": "/sites/", "drop": true, "times": 1}, 0, false},
		{"dropped after the work", doc{"method": "PUT", "drop": true, "when": "after", "times": 1}, 0, true},
		{"throttled", doc{"method": "PUT", "status": 429, "retryAfter": 7, "times": 1}, 429, false},
		{"delayed", doc{"method": "PUT", "delayMs": 30, "times": 1}, 200, true},
		{"certain", doc{"method": "PUT", "status": 503, "probability": 1}, 503, false},
		{"another path", doc{"method": "PUT", "path": "/other$", "status": 503}, 200, true},
	}
	for _, c := range cases {
		w.must(200, "PUT", "/_local/faults", "", []doc{c.fault})
		before, began := tag(), time.Now()
		a, err := put()
		if c.status == 0 && err == nil || c.status != 0 && (err != nil || a.status != c.status) {
			t.Errorf("%s: %d, %v", c.name, a.status, err)
		}
		if ms, _ := c.fault["delayMs"].(int); time.Since(began) < time.Duration(ms)*time.Millisecond {
			t.Errorf("%s: answered after %v", c.name, time.Since(began))
		}
		if n := c.fault["retryAfter"]; n != nil && (a.header.Get("Retry-After") != "7" || a.code() != "SubscriptionRequestsThrottled") {
			t.Errorf("%s: %v %s", c.name, a.header, a.raw)
		}
		if worked := tag() != before; worked != c.worked {
			t.Errorf("%s: the work was done: %v, want %v", c.name, worked, c.worked)
		}
		if left := w.must(200, "GET", "/_local/faults", "", nil).raw; c.fault["times"] == 1 && strings.TrimSpace(left) != "[]" {
			t.Errorf("%s: left %s", c.name, left)
		}
	}
	w.must(200, "DELETE", "/_local/faults", "", nil)
	for _, bad := range []any{`{"status":500}`, `[{"status":200}]`, `[{}]`, `[{"status":500,"when":"later"}]`, `[{"status":500,"path":"("}]`, `[{"status":500,"pth":"x"}]`} {
		w.refused(400, "InvalidRequestContent", "PUT", "/_local/faults", "", bad)
	}
}

func TestThrottle(t *testing.T) {
	t.Parallel()
	w := start(t, func(c *localcloud.Config) { c.Throttle = &localcloud.Throttle{Reads: 2, Refill: time.Hour} })
	for want := 1; want >= 0; want-- {
		if left := w.must(200, "GET", w.group, coreAPI, nil).header.Get("X-Ms-Ratelimit-Remaining-Subscription-Reads"); left != itoa(want) {
			t.Errorf("%s calls left, want %d", left, want)
		}
	}
	a := w.refused(429, "SubscriptionRequestsThrottled", "GET", w.group, coreAPI, nil)
	if a.header.Get("Retry-After") != "3600" || !strings.Contains(a.message(), "'read' requests for subscription '"+w.ready.SubscriptionID) {
		t.Errorf("%v %s", a.header, a.raw)
	}
	w.must(200, "PUT", w.group, coreAPI, doc{"location": "westeurope"})
	w.lever(doc{"action": "throttle"})
	w.must(200, "GET", w.group, coreAPI, nil)
}

func TestRequestLog(t *testing.T) {
	t.Parallel()
	for _, bodies := range []bool{false, true} {
		w := start(t, func(c *localcloud.Config) { c.RecordBodies = bodies })
		w.must(204, "DELETE", "/_local/requests", "", nil)
		w.must(404, "PUT", w.site("x")+"/config/appsettings", webAPI, doc{"properties": doc{"A": "canary"}})
		_, _ = w.form("/adfs/oauth2/token", w.ready.ClientID, "canary", w.ready.Endpoint+"/.default")
		a := w.must(200, "GET", "/_local/requests", "", nil)
		var list []doc
		if err := json.Unmarshal([]byte(a.raw), &list); err != nil || len(list) != 1 {
			t.Fatalf("log: %v %s", err, a.raw)
		}
		e := list[0]
		if e["method"] != "PUT" || e["path"] != w.site("x")+"/config/appsettings" || e["apiVersion"] != webAPI || e["status"] != 404.0 || e["caller"] == "" || e["start"] == nil {
			t.Errorf("entry: %v", e)
		}
		if strings.Contains(a.raw, "canary") != bodies {
			t.Errorf("bodies recorded: %s, want %v", a.raw, bodies)
		}
	}
}

func TestAnswersCarryTheUsualHeaders(t *testing.T) {
	t.Parallel()
	w := start(t)
	a := w.call("GET", w.group, coreAPI, nil, "x-ms-client-request-id", "mine", "x-ms-return-client-request-id", "true", "x-ms-correlation-request-id", "corr")
	for k, want := range map[string]string{"X-Ms-Client-Request-Id": "mine", "X-Ms-Correlation-Request-Id": "corr"} {
		if got := a.header.Get(k); got != want {
			t.Errorf("%s is %q", k, got)
		}
	}
	for _, k := range []string{"X-Ms-Request-Id", "X-Ms-Routing-Request-Id", "Strict-Transport-Security", "X-Ms-Ratelimit-Remaining-Subscription-Reads", "Date"} {
		if a.header.Get(k) == "" {
			t.Errorf("%s is missing", k)
		}
	}
}

func TestRegistration(t *testing.T) {
	t.Parallel()
	w := start(t, withThings(nil))
	base := "/subscriptions/" + w.ready.SubscriptionID + "/providers/"
	state := func(ns string) any { return at(w.must(200, "GET", base+ns, coreAPI, nil).body, "registrationState") }
	for ns, want := range map[string]string{"Microsoft.Web": "Registered", "microsoft.servicelinker": "Registered", "Microsoft.KeyVault": "NotRegistered"} {
		if got := state(ns); got != want {
			t.Errorf("%s is %v, want %s", ns, got, want)
		}
	}
	w.must(200, "POST", base+"Microsoft.KeyVault/register", coreAPI, nil)
	w.must(200, "POST", base+"test.things/unregister", coreAPI, nil)
	if state("Microsoft.KeyVault") != "Registered" || state("Test.Things") != "Unregistered" {
		t.Error("registration does not follow its actions")
	}
	w.refused(409, "MissingSubscriptionRegistration", "PUT", w.thing("seen", "a"), thingAPI, doc{})
	got := w.must(200, "GET", base+"Test.Things", coreAPI, nil)
	if at(got.body, "resourceTypes", 1, "resourceType") != "seen" || at(got.body, "resourceTypes", 3, "apiVersions", 0) != thingAPI {
		t.Errorf("provider: %s", got.raw)
	}
	w.refused(404, "InvalidResourceNamespace", "GET", base+"No.Such", coreAPI, nil)
	w.must(200, "GET", "/subscriptions/"+w.ready.SubscriptionID+"/providers", coreAPI, nil)
}

func TestSubscriptionsAndTenants(t *testing.T) {
	t.Parallel()
	w := start(t)
	hidden := w.must(201, "POST", "/_local/subscriptions", "", doc{"displayName": "hidden"}).body["subscriptionId"].(string)
	list := at(w.must(200, "GET", "/subscriptions", "2019-11-01", nil).body, "value").([]any)
	if len(list) != 1 || at(list[0], "subscriptionId") != w.ready.SubscriptionID || at(list[0], "tenantId") != w.ready.TenantID || at(list[0], "state") != "Enabled" {
		t.Errorf("subscriptions: %v", list)
	}
	w.refused(403, "AuthorizationFailed", "GET", "/subscriptions/"+hidden, coreAPI, nil)
	w.refused(403, "AuthorizationFailed", "GET", "/subscriptions/"+hidden+"/resourceGroups/x/providers/Microsoft.Web/sites/y", webAPI, nil)
	if got := at(w.must(200, "GET", "/tenants", "2022-12-01", nil).body, "value", 0, "tenantId"); got != w.ready.TenantID {
		t.Errorf("tenant: %v", got)
	}
	w.must(200, "GET", "/subscriptions/"+w.ready.SubscriptionID+"/locations", "2022-12-01", nil)
}

func TestGroupDeletionTakesEverything(t *testing.T) {
	t.Parallel()
	w := start(t, withThings(nil))
	site := w.newSite("inside", doc{"identity": doc{"type": "SystemAssigned"}, "properties": doc{"siteConfig": doc{"appCommandLine": "/bin/sleep 600"}}})
	principal := at(w.must(200, "GET", site, webAPI, nil).body, "identity", "principalId").(string)
	w.finished(w.must(201, "PUT", w.thing("seen", "a"), thingAPI, doc{}))
	if n := len(at(w.must(200, "GET", w.group+"/resources", coreAPI, nil).body, "value").([]any)); n != 2 {
		t.Errorf("%d resources listed", n)
	}
	filtered := w.must(200, "GET", w.group+"/resources?$filter=resourceType%20eq%20%27Microsoft.Web/sites%27%20and%20resourceGroup%20eq%20%27RG1%27", coreAPI, nil)
	if at(filtered.body, "value", 0, "id") != site {
		t.Errorf("filtered: %s", filtered.raw)
	}
	a := w.must(202, "DELETE", w.group, coreAPI, nil)
	if op := w.finished(a); op["status"] != "Succeeded" {
		t.Fatalf("operation: %v", op)
	}
	w.refused(404, "ResourceGroupNotFound", "GET", w.group, coreAPI, nil)
	w.must(404, "GET", "/_local/sites/inside", "", nil)
	if _, ok := w.cloud.Directory().Lookup(principal); ok {
		t.Error("the site's principal is still there")
	}
	w.must(201, "PUT", w.group, coreAPI, doc{"location": "eastus"})
	w.must(404, "GET", site, webAPI, nil)
}

func TestKeysAreListedByPost(t *testing.T) {
	t.Parallel()
	w := start(t, withThings(nil))
	thing := w.thing("seen", "keys")
	w.finished(w.must(201, "PUT", thing, thingAPI, doc{}))
	w.must(200, "POST", thing+"/listKeys", thingAPI, nil)
	w.must(404, "GET", thing+"/listKeys", thingAPI, nil)
	got := w.lever(doc{"action": "rotateKey", "id": thing, "body": doc{"keyName": "second"}})
	if got.body["rotated"] != "second" {
		t.Errorf("rotateKey answers %s", got.raw)
	}
	w.refused(400, "InvalidRequestContent", "POST", "/_local/advance", "", doc{"action": "unknown"})
	w.must(404, "GET", "/_local/nothing", "", nil)
}

func TestPreconditions(t *testing.T) {
	t.Parallel()
	w := start(t, withThings(nil))
	thing := w.thing("seen", "tagged")
	if a := w.call("PUT", thing, thingAPI, doc{}, "If-Match", "*"); a.status != 412 || a.code() != "PreconditionFailed" {
		t.Errorf("If-Match on a missing resource: %d %s", a.status, a.raw)
	}
	w.finished(w.must(201, "PUT", thing, thingAPI, doc{}))
	etag := at(w.must(200, "GET", thing, thingAPI, nil).body, "etag").(string)
	for _, c := range []struct {
		header, value string
		status        int
	}{{"If-None-Match", "*", 412}, {"If-Match", `"other"`, 412}, {"If-Match", etag, 201}, {"If-Match", etag, 412}} {
		if a := w.call("PUT", thing, thingAPI, doc{}, c.header, c.value); a.status != c.status {
			t.Errorf("%s: %s answers %d, want %d", c.header, c.value, a.status, c.status)
		}
	}
}

func TestReset(t *testing.T) {
	t.Parallel()
	w := start(t)
	w.newSite("passing", doc{"identity": doc{"type": "SystemAssigned"}})
	seeded, engine := w.principal("engine")
	if err := w.cloud.Assign("Reader", seeded.ObjectID, "/subscriptions/"+w.ready.SubscriptionID); err != nil {
		t.Fatal(err)
	}
	passing := w.must(201, "POST", "/_local/principals", "", doc{"displayName": "passing"}).body
	w.assign(w.group, readerRole, passing["objectId"].(string))
	w.must(201, "PUT", "/subscriptions/"+w.ready.SubscriptionID+"/providers/Microsoft.Authorization/locks/l", lockAPI, doc{"properties": doc{"level": "CanNotDelete"}})
	w.must(200, "PUT", "/_local/faults", "", []doc{{"status": 500, "path": "never"}})
	w.lever(doc{"action": "reset"})
	if got := at(w.must(200, "GET", "/subscriptions/"+w.ready.SubscriptionID+"/resourcegroups", coreAPI, nil).body, "value"); len(got.([]any)) != 0 {
		t.Errorf("groups left: %v", got)
	}
	engine.must(200, "GET", "/subscriptions/"+w.ready.SubscriptionID, coreAPI, nil)
	if _, ok := w.cloud.Directory().Lookup(passing["objectId"].(string)); ok {
		t.Error("a passing principal is still there")
	}
	if left := strings.TrimSpace(w.must(200, "GET", "/_local/faults", "", nil).raw); left != "[]" {
		t.Errorf("faults left: %s", left)
	}
	again, err := w.cloud.NewServicePrincipal("engine")
	if err != nil || again != seeded {
		t.Errorf("the seeded principal became %v (%v)", again, err)
	}
	w.must(201, "PUT", w.group, coreAPI, doc{"location": "westeurope"})
}
