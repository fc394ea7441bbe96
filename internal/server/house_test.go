package server_test

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/patchbay/patchbay/internal/api"
	"github.com/patchbay/patchbay/internal/api/apitest"
	"github.com/patchbay/patchbay/internal/engine"
	"github.com/patchbay/patchbay/internal/server"
)

const (
	source = "/subscriptions/11111111-1111-1111-1111-111111111111/resourceGroups/Rg/providers/Microsoft.Web/sites/Shop"
	linker = source + "/providers/Microsoft.ServiceLinker/linkers/Db_1"
	ours   = source + "/providers/Patchbay/connections/Db_1"
	body   = `{"properties": {"targetService": {"type": "AzureResource", "id": "/subscriptions/s/resourceGroups/g/providers/Microsoft.DBforPostgreSQL/flexibleServers/pg/databases/shop"},
		"authInfo": {"authType": "secret", "name": "ann", "secretInfo": {"secretType": "rawValue", "value": "canary-1"}}, "clientType": "python", "secretStore": {}}}`
)

// house is a server on a fake engine. Every answer of ours it gives is held to the
// published documents.
type house struct {
	t         *testing.T
	engine    *fakeEngine
	rights    *fakeRights
	handler   http.Handler
	contracts contracts
}

type contracts struct {
	linkers map[string]*apitest.Contract
	own     *apitest.Contract
}

var loadContracts = sync.OnceValues(func() (contracts, error) {
	c := contracts{linkers: map[string]*apitest.Contract{}}
	for _, v := range api.Versions() {
		loaded, err := apitest.Load(v)
		if err != nil {
			return c, err
		}
		c.linkers[string(v)] = loaded
	}
	c.linkers[api.StatusVersion] = c.linkers[string(api.Newest)]
	var err error
	c.own, err = apitest.LoadPatchbay()
	return c, err
})

// fakeRights denies the listed rights ("action scope", folded) and notes what was asked.
type fakeRights struct {
	mu     sync.Mutex
	denied map[string]bool
	asked  []engine.Right
	fails  error
}

func (f *fakeRights) Check(_ context.Context, _ server.Caller, rights []engine.Right) ([]engine.Right, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.asked = append(f.asked, rights...)
	var missing []engine.Right
	for _, r := range rights {
		if f.denied[strings.ToLower(r.Action+" "+r.Scope)] {
			missing = append(missing, r)
		}
	}
	return missing, f.fails
}

func (f *fakeRights) deny(action, scope string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.denied[strings.ToLower(action+" "+scope)] = true
}

func build(t *testing.T, change func(*server.Config)) *house {
	t.Helper()
	loaded, err := loadContracts()
	if err != nil {
		t.Fatal(err)
	}
	h := &house{t: t, engine: newFake(), rights: &fakeRights{denied: map[string]bool{}}, contracts: loaded}
	config := server.Config{
		Engine: h.engine, Rights: h.rights, Tokens: server.Myself{ObjectID: "oid-1", Name: "ann@example.com"},
		PublicURL: "https://patchbay.test", Follow: time.Millisecond, Hold: time.Millisecond,
		SupportTypes: func() []api.SupportType {
			return []api.SupportType{{Source: "webapp", Target: "redis", AuthTypes: []string{"secret"}, ClientTypes: []string{"python"}}}
		},
	}
	if change != nil {
		change(&config)
	}
	h.handler = server.New(config)
	return h
}

// canary is what secrets look like in these tests.
var canary = regexp.MustCompile(`canary-\d`)

// answer is what a request got.
type answer struct {
	status int
	header http.Header
	raw    string
	body   map[string]any
}

// at picks a member by names, "" when it is not there.
func (a answer) at(names ...string) any {
	var value any = a.body
	for _, name := range names {
		object, _ := value.(map[string]any)
		value = object[name]
	}
	return value
}

// call sends a request and checks its answer against the documents.
func (h *house) call(method, target, body string) answer {
	h.t.Helper()
	return h.send(sent(h.t, method, target, body))
}

// raw is call for what may answer a secret.
func (h *house) raw(method, target, body string) answer {
	h.t.Helper()
	w := httptest.NewRecorder()
	h.handler.ServeHTTP(w, sent(h.t, method, target, body))
	a := answer{status: w.Code, header: w.Header(), raw: w.Body.String()}
	_ = json.Unmarshal(w.Body.Bytes(), &a.body) // not every answer is an object
	return a
}

// sent is a request as a listener hands it on.
func sent(t *testing.T, method, target, body string) *http.Request {
	t.Helper()
	r := httptest.NewRequest(method, "https://patchbay.test/", strings.NewReader(body))
	if body == "" {
		r.Body = http.NoBody
	}
	if err := setTarget(r, target); err != nil {
		t.Fatal(err)
	}
	return r
}

// setTarget sets a raw request target as a listener would.
func setTarget(r *http.Request, target string) error {
	u, err := r.URL.Parse("https://patchbay.test")
	if err != nil {
		return err
	}
	parsed, err := parseTarget(target)
	if err != nil {
		return err
	}
	u.Path, u.RawPath, u.RawQuery = parsed.Path, parsed.RawPath, parsed.RawQuery
	r.URL, r.RequestURI = u, target
	return nil
}

func (h *house) send(r *http.Request) answer {
	h.t.Helper()
	w := httptest.NewRecorder()
	h.handler.ServeHTTP(w, r)
	result := w.Result()
	raw, err := io.ReadAll(result.Body)
	if err != nil {
		h.t.Fatal(err)
	}
	a := answer{status: result.StatusCode, header: result.Header, raw: string(raw)}
	if strings.HasPrefix(result.Header.Get("Content-Type"), "application/json") && len(raw) > 0 {
		if err := json.Unmarshal(raw, &a.body); err != nil {
			h.t.Fatalf("%v in %s", err, raw)
		}
	}
	h.judge(r, a)
	if canary.MatchString(a.raw) && !strings.Contains(r.URL.Path, "listConfigurations") && !strings.Contains(r.URL.Path, "generateConfigurations") {
		h.t.Errorf("%s %s: a secret is answered: %s", r.Method, r.URL.Path, a.raw)
	}
	return a
}

// judge holds an answer to the document of its version.
func (h *house) judge(r *http.Request, a answer) {
	h.t.Helper()
	if a.body == nil || r.Method == http.MethodHead {
		return
	}
	version := r.URL.Query().Get("api-version")
	contract := h.contracts.linkers[version]
	if version == api.NamespaceV {
		contract = h.contracts.own
	}
	if contract == nil || a.status >= http.StatusBadRequest {
		contract = nil
		h.envelope(r, a)
	}
	if contract == nil {
		return
	}
	path := "/" + strings.TrimLeft(r.URL.Path, "/")
	if err := contract.Response(r.Method, path, a.status, a.header, []byte(a.raw)); err != nil {
		h.t.Errorf("%v in %s", err, a.raw)
	}
}

// envelope checks that an error has ARM's form and our data.
func (h *house) envelope(r *http.Request, a answer) {
	h.t.Helper()
	if a.status < http.StatusBadRequest {
		return
	}
	var e api.ErrorBody
	if err := json.Unmarshal([]byte(a.raw), &e); err != nil || e.Error.Code == "" || e.Error.Message == "" || len(e.Error.AdditionalInfo) != 1 {
		h.t.Errorf("%s %s: %d without a full envelope: %s (%v)", r.Method, r.URL.Path, a.status, a.raw, err)
	}
}

func (h *house) linkers(method, suffix, body string) answer {
	h.t.Helper()
	return h.call(method, linker+suffix+"?api-version="+string(api.Newest), body)
}

func (h *house) own(method, path, body string) answer {
	h.t.Helper()
	joiner := "?"
	if strings.Contains(path, "?") {
		joiner = "&"
	}
	return h.call(method, path+joiner+"api-version="+api.NamespaceV, body)
}

// made is a house with one connection that stands.
func made(t *testing.T, change func(*server.Config)) *house {
	t.Helper()
	h := build(t, change)
	if a := h.linkers(http.MethodPut, "", body); a.status != http.StatusCreated {
		t.Fatalf("PUT answers %d: %s", a.status, a.raw)
	}
	h.engine.end("Succeeded", nil)
	return h
}

// expect checks an answer's status and error code.
func (h *house) expect(a answer, status int, armCode, ourCode string) {
	h.t.Helper()
	if a.status != status || a.at("error", "code") != armCode {
		h.t.Errorf("answered %d %v, want %d %s: %s", a.status, a.at("error", "code"), status, armCode, a.raw)
	}
	var e api.ErrorBody
	_ = json.Unmarshal([]byte(a.raw), &e)
	if p := api.ProblemOf(a.status, e.Error); string(p.Code) != ourCode {
		h.t.Errorf("our code is %s, want %s", p.Code, ourCode)
	}
}
