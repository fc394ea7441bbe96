package server_test

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/patchbay/patchbay/internal/engine"
	"github.com/patchbay/patchbay/internal/problem"
	"github.com/patchbay/patchbay/internal/server"
)

// fakeARM answers GETs by folded path with JSON, a status, or 404, and notes who asked.
type fakeARM struct {
	*httptest.Server
	mu      sync.Mutex
	answers map[string]any
	calls   []string
	tokens  map[string]bool
}

func newARM(t *testing.T, answers map[string]any) *fakeARM {
	a := &fakeARM{answers: map[string]any{}, tokens: map[string]bool{}}
	for path, answer := range answers {
		a.answers[strings.ToLower(path)] = answer
	}
	a.Server = httptest.NewServer(http.HandlerFunc(a.answer))
	t.Cleanup(a.Close)
	return a
}

func (a *fakeARM) answer(w http.ResponseWriter, r *http.Request) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.calls = append(a.calls, r.URL.Path)
	a.tokens[r.Header.Get("Authorization")] = true
	key := strings.ToLower(r.URL.Path)
	if filter := r.URL.Query().Get("$filter"); filter != "" {
		key += "?" + strings.ToLower(filter)
	}
	if r.URL.Query().Get("page") != "" {
		key += "#" + r.URL.Query().Get("page")
	}
	switch answer := a.answers[key].(type) {
	case nil:
		w.WriteHeader(http.StatusNotFound)
	case int:
		w.Header().Set("WWW-Authenticate", `Bearer claims="abc"`)
		w.WriteHeader(answer)
	case string:
		_, _ = w.Write([]byte(strings.ReplaceAll(answer, "BASE", a.URL)))
	default:
		_ = json.NewEncoder(w).Encode(answer)
	}
}

const (
	group       = "/subscriptions/11111111-1111-1111-1111-111111111111/resourceGroups/Rg"
	permissions = "/providers/Microsoft.Authorization/permissions"
)

func entries(actions ...string) string {
	raw, _ := json.Marshal(map[string]any{"value": []any{map[string]any{"actions": actions, "notActions": []string{"*/delete"}}}})
	return string(raw)
}

func rights(pairs ...string) []engine.Right {
	var out []engine.Right
	for i := 0; i < len(pairs); i += 2 {
		out = append(out, engine.Right{Action: pairs[i], Scope: pairs[i+1]})
	}
	return out
}

func TestByToken(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		answers map[string]any
		ask     []engine.Right
		want    []engine.Right
		code    problem.Code
	}{
		"allowed":                {map[string]any{source + permissions: entries("Microsoft.Web/*", "Microsoft.ServiceLinker/*")}, rights("microsoft.servicelinker/linkers/WRITE", source, "Microsoft.Web/sites/read", strings.ToUpper(source)), nil, ""},
		"subtracted":             {map[string]any{source + permissions: entries("*")}, rights("Microsoft.ServiceLinker/linkers/delete", source), rights("Microsoft.ServiceLinker/linkers/delete", source), ""},
		"another entry gives it": {map[string]any{source + permissions: `{"value":[{"actions":["*"],"notActions":["*/delete"]},{"actions":["Microsoft.ServiceLinker/linkers/delete"]}]}`}, rights("Microsoft.ServiceLinker/linkers/delete", source), nil, ""},
		"some lacking, in order": {map[string]any{source + permissions: entries("*/read")}, rights("a/read", source, "b/write", source, "c/read", source, "d/action", source), rights("b/write", source, "d/action", source), ""},
		"not there yet":          {map[string]any{group + permissions: entries("*")}, rights("Microsoft.Web/sites/write", source), nil, ""},
		"nothing readable":       {map[string]any{source + permissions: 403}, rights("a/read", source), rights("a/read", source), ""},
		"nothing anywhere":       {nil, rights("a/read", source), rights("a/read", source), ""},
		"two pages": {map[string]any{source + permissions: `{"value":[],"nextLink":"BASE` + source + permissions + `?page=2"}`, source + permissions + "#2": entries("*")},
			rights("a/read", source), nil, ""},
		"next page elsewhere": {map[string]any{source + permissions: `{"value":[],"nextLink":"https://evil.test/"}`}, rights("a/read", source), nil, problem.ARMRefused},
		"no JSON":             {map[string]any{source + permissions: "<html>"}, rights("a/read", source), nil, problem.ARMRefused},
		"throttled":           {map[string]any{source + permissions: 429}, rights("a/read", source), nil, problem.ARMThrottled},
		"broken":              {map[string]any{source + permissions: 500}, rights("a/read", source), nil, problem.ARMRefused},
		"token not taken":     {map[string]any{source + permissions: 401}, rights("a/read", source), nil, problem.TokenInvalid},
		"not a scope":         {nil, rights("a/read", "/subscriptions//x"), nil, problem.PathMalformed},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a := newARM(t, c.answers)
			got, err := server.ByToken{ARM: a.URL, HTTP: http.DefaultClient}.Check(context.Background(), server.Caller{Token: "tok"}, c.ask)
			if c.code != "" {
				if !problem.Is(err, c.code) {
					t.Errorf("error %v, want %s", err, c.code)
				}
				return
			}
			if d := cmp.Diff(c.want, got); err != nil || d != "" {
				t.Error(err, d)
			}
			if len(a.tokens) != 1 || !a.tokens["Bearer tok"] {
				t.Errorf("tokens sent: %v", a.tokens)
			}
		})
	}
}

func TestByTokenReadsAScopeOnce(t *testing.T) {
	t.Parallel()
	a := newARM(t, map[string]any{source + permissions: entries("*")})
	ask := rights("a/read", source, "b/read", strings.ToLower(source), "c/read", source)
	if _, err := (server.ByToken{ARM: a.URL, HTTP: http.DefaultClient}).Check(context.Background(), server.Caller{}, ask); err != nil || len(a.calls) != 1 {
		t.Errorf("%v, %d calls", err, len(a.calls))
	}
}

func TestChallengeGoesThrough(t *testing.T) {
	t.Parallel()
	a := newARM(t, map[string]any{source + permissions: 401})
	h := build(t, func(c *server.Config) { c.Rights = server.ByToken{ARM: a.URL, HTTP: http.DefaultClient} })
	got := h.linkers(http.MethodGet, "", "")
	h.expect(got, http.StatusUnauthorized, "InvalidAuthenticationToken", "TOKEN_INVALID")
	if got.header.Get("WWW-Authenticate") != `Bearer claims="abc"` {
		t.Errorf("challenge: %q", got.header.Get("WWW-Authenticate"))
	}
}

func TestARMDown(t *testing.T) {
	t.Parallel()
	a := newARM(t, nil)
	a.Close()
	h := build(t, func(c *server.Config) { c.Rights = server.ByToken{ARM: a.URL, HTTP: http.DefaultClient} })
	h.expect(h.linkers(http.MethodGet, "", ""), http.StatusBadGateway, "BadGateway", "UPSTREAM_UNREACHED")
}

const (
	assignments = "/providers/Microsoft.Authorization/roleAssignments?atScope() and assignedTo('o''1')"
	denials     = "/providers/Microsoft.Authorization/denyAssignments?atScope() and assignedTo('o''1')"
	role        = "/subscriptions/s/providers/Microsoft.Authorization/roleDefinitions/"
)

func assigned(role, condition string) string {
	raw, _ := json.Marshal(map[string]any{"value": []any{map[string]any{"properties": map[string]any{"roleDefinitionId": role, "condition": condition}}}})
	return string(raw)
}

func definition(actions ...string) string {
	raw, _ := json.Marshal(map[string]any{"properties": map[string]any{"permissions": []any{map[string]any{"actions": actions}}}})
	return string(raw)
}

func TestByAssignment(t *testing.T) {
	t.Parallel()
	ask := rights("Microsoft.ServiceLinker/linkers/write", source)
	for name, c := range map[string]struct {
		answers map[string]any
		want    []engine.Right
	}{
		"contributor":     {map[string]any{source + assignments: assigned(role+"1", ""), role + "1": definition("*")}, nil},
		"reader":          {map[string]any{source + assignments: assigned(role+"1", ""), role + "1": definition("*/read")}, ask},
		"conditional":     {map[string]any{source + assignments: assigned(role+"1", "@Resource[x] == 1"), role + "1": definition("*")}, ask},
		"nothing":         {map[string]any{source + assignments: `{"value":[]}`}, ask},
		"not there yet":   {map[string]any{group + assignments: assigned(role+"1", ""), role + "1": definition("*")}, nil},
		"denied":          {map[string]any{source + assignments: assigned(role+"1", ""), role + "1": definition("*"), source + denials: `{"value":[{"properties":{"permissions":[{"actions":["*/write"]}]}}]}`}, ask},
		"denied to other": {map[string]any{source + assignments: assigned(role+"1", ""), role + "1": definition("*"), source + denials: `{"value":[{"properties":{"excludePrincipals":[{"id":"O'1"}],"permissions":[{"actions":["*/write"]}]}}]}`}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a := newARM(t, c.answers)
			checker := server.ByAssignment{ARM: a.URL, HTTP: http.DefaultClient, Token: func(context.Context) (string, error) { return "own", nil }}
			got, err := checker.Check(context.Background(), server.Caller{ObjectID: "o'1", Token: "callers"}, ask)
			if d := cmp.Diff(c.want, got); err != nil || d != "" {
				t.Error(err, d)
			}
			if len(a.tokens) != 1 || !a.tokens["Bearer own"] {
				t.Errorf("tokens sent: %v", a.tokens)
			}
		})
	}
	checker := server.ByAssignment{Token: func(context.Context) (string, error) { return "", errors.New("no") }}
	if _, err := checker.Check(context.Background(), server.Caller{}, ask); !problem.Is(err, problem.SignInFailed) {
		t.Errorf("%v", err)
	}
}

// named is a checker that finds one right missing, which tells which one it is.
type named string

func (n named) Check(context.Context, server.Caller, []engine.Right) ([]engine.Right, error) {
	return rights(string(n), ""), nil
}

func TestByAudience(t *testing.T) {
	t.Parallel()
	b := server.ByAudience{Forward: named("forward"), Assigned: named("assigned")}
	for forwardable, want := range map[bool]string{true: "forward", false: "assigned"} {
		got, err := b.Check(context.Background(), server.Caller{Forwardable: forwardable}, nil)
		if err != nil || got[0].Action != want {
			t.Errorf("%v: %v %v", forwardable, got, err)
		}
	}
	if got, err := (server.Unchecked{}).Check(context.Background(), server.Caller{}, rights("a", "b")); got != nil || err != nil {
		t.Error(got, err)
	}
}

// Each route needs its action on the source before the engine hears of it.
func TestRoutesNeedRights(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ method, path, action string }{
		{http.MethodGet, source + "/providers/Microsoft.ServiceLinker/linkers?api-version=2024-04-01", "linkers/read"},
		{http.MethodGet, linker + "?api-version=2024-04-01", "linkers/read"},
		{http.MethodPut, linker + "?api-version=2024-04-01", "linkers/write"},
		{http.MethodPatch, linker + "?api-version=2024-04-01", "linkers/write"},
		{http.MethodDelete, linker + "?api-version=2024-04-01", "linkers/delete"},
		{http.MethodPost, linker + "/validateLinker?api-version=2024-04-01", "linkers/validateLinker/action"},
		{http.MethodPost, linker + "/listConfigurations?api-version=2024-04-01", "linkers/listConfigurations/action"},
		{http.MethodPost, ours + "/plan?api-version=2026-11-01", "linkers/read"},
		{http.MethodPost, ours + "/drift?api-version=2026-11-01", "linkers/read"},
		{http.MethodPost, ours + "/repair?api-version=2026-11-01", "linkers/write"},
		{http.MethodPost, source + "/providers/Patchbay/drift?api-version=2026-11-01", "linkers/read"},
	} {
		h := made(t, nil)
		h.rights.deny("Microsoft.ServiceLinker/"+c.action, source)
		before := h.engine.asked()
		a := h.call(c.method, c.path, body)
		h.expect(a, http.StatusForbidden, "AuthorizationFailed", "CALLER_LACKS_RIGHT")
		message, _ := a.at("error", "message").(string)
		want := "The client 'ann@example.com' with object id 'oid-1' does not have authorization to perform action 'Microsoft.ServiceLinker/" + c.action + "' over scope '" + source + "'"
		if !strings.HasPrefix(message, want) || h.engine.asked() != before {
			t.Errorf("%s %s: %s", c.method, c.path, message)
		}
	}
}

func TestOperationsNeedRights(t *testing.T) {
	t.Parallel()
	h := build(t, nil)
	put := h.linkers(http.MethodPut, "", body)
	id := h.engine.newest().ID
	h.rights.deny("Microsoft.ServiceLinker/linkers/read", source)
	h.expect(h.call(http.MethodGet, poll(t, put), ""), http.StatusForbidden, "AuthorizationFailed", "CALLER_LACKS_RIGHT")
	h.expect(h.own(http.MethodGet, "/providers/Patchbay/operations/"+id, ""), http.StatusForbidden, "AuthorizationFailed", "CALLER_LACKS_RIGHT")
	h.expect(h.own(http.MethodGet, "/providers/Patchbay/operations/"+id+"/events", ""), http.StatusForbidden, "AuthorizationFailed", "CALLER_LACKS_RIGHT")
	if list := h.own(http.MethodGet, "/providers/Patchbay/operations", ""); list.raw != `{"value":[]}` {
		t.Errorf("list: %s", list.raw)
	}
	if drift := h.own(http.MethodPost, "/providers/Patchbay/drift", ""); drift.raw != `{"value":[]}` {
		t.Errorf("drift: %s", drift.raw)
	}
	h.rights.deny("Microsoft.ServiceLinker/linkers/write", source)
	for _, verb := range []string{"resume", "undo"} {
		h.expect(h.own(http.MethodPost, "/providers/Patchbay/operations/"+id+"/"+verb, ""), http.StatusForbidden, "AuthorizationFailed", "CALLER_LACKS_RIGHT")
	}
}

// What a change needs beyond the source is asked before it is accepted, too.
func TestChangeNeedsThePlansRights(t *testing.T) {
	t.Parallel()
	const target = "/subscriptions/s/resourceGroups/g/providers/Microsoft.Cache/redis/r"
	h := build(t, nil)
	h.engine.rights = rights("Microsoft.Web/sites/config/write", source, "Microsoft.Authorization/roleAssignments/write", target)
	h.rights.deny("Microsoft.Authorization/roleAssignments/write", target)
	a := h.linkers(http.MethodPut, "", body)
	h.expect(a, http.StatusForbidden, "LinkedAuthorizationFailed", "CALLER_LACKS_RIGHT")
	if message, _ := a.at("error", "message").(string); !strings.Contains(message, "'Microsoft.Authorization/roleAssignments/write' over scope '"+target+"'") {
		t.Error(message)
	}
	if len(h.engine.operations) > 0 {
		t.Error("an operation was accepted")
	}
	if a := h.own(http.MethodPost, ours+"/repair", ""); a.status != http.StatusNotFound {
		t.Errorf("repair of nothing: %d", a.status)
	}
}

// The engine looks at a target with rights of its own: what it saw is not for those who
// may not look there themselves, in a refusal or in a plan.
func TestWhatTheEngineSawIsForThoseWhoMaySeeIt(t *testing.T) {
	t.Parallel()
	const target, look = "/subscriptions/s/resourceGroups/g/providers/Microsoft.Cache/redis/r", "Microsoft.Cache/redis/read"
	h := build(t, nil)
	h.engine.rights = rights(look, target)
	h.engine.refuse = &engine.Refused{Rights: h.engine.rights, Cause: problem.New(problem.TargetNotFound, target, "there is no cache")}
	h.expect(h.linkers(http.MethodPut, "", body), http.StatusNotFound, "ResourceNotFound", "TARGET_NOT_FOUND")
	h.expect(h.own(http.MethodPost, ours+"/plan", body), http.StatusNotFound, "ResourceNotFound", "TARGET_NOT_FOUND")
	h.rights.deny(look, target)
	for range 2 {
		h.expect(h.linkers(http.MethodPut, "", body), http.StatusForbidden, "LinkedAuthorizationFailed", "CALLER_LACKS_RIGHT")
		h.expect(h.own(http.MethodPost, ours+"/plan", body), http.StatusForbidden, "LinkedAuthorizationFailed", "CALLER_LACKS_RIGHT")
		h.engine.refuse = nil
	}
}
