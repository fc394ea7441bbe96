package app

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"
)

// definitionVersion is the api-version of custom roles.
const definitionVersion = "2022-04-01"

// restricted is a principal whose only rights are those of a custom role of its own:
// everything, less what a case takes away.
type restricted struct {
	principal
	cloud *cloudUnderTest
	role  string
}

func (c *cloudUnderTest) newRestricted(name string) *restricted {
	c.t.Helper()
	r := &restricted{principal: c.newPrincipal(name), cloud: c, role: uuid.NewString()}
	r.lacks()
	c.assign(r.role, r.ObjectID, "/subscriptions/"+c.ready.SubscriptionID)
	return r
}

// lacks takes actions away, and gives back those taken before.
func (r *restricted) lacks(actions ...string) {
	r.cloud.t.Helper()
	r.cloud.arm("PUT", "/subscriptions/"+r.cloud.ready.SubscriptionID+"/providers/Microsoft.Authorization/roleDefinitions/"+r.role, definitionVersion,
		map[string]any{"properties": map[string]any{"roleName": "All but some " + r.role, "assignableScopes": []string{"/subscriptions/" + r.cloud.ready.SubscriptionID},
			"permissions": []any{map[string]any{"actions": []string{"*"}, "notActions": append([]string{}, actions...)}}}})
}

// actionOf is the action ARM asks for a request, by ARM's own rule: the types of the
// path, and the verb. Reading one's own permissions and polling needs none.
func actionOf(r logged) (string, bool) {
	_, tail, found := cutLast(r.Path, "/providers/")
	words := strings.Split(tail, "/")
	types := words[0]
	for i := 1; i+1 < len(words); i += 2 {
		types += "/" + words[i]
	}
	alone := "" // a list, or the verb of a POST
	if len(words)%2 == 0 {
		alone = "/" + words[len(words)-1]
	}
	if !found || strings.Contains(tail, "operationStatuses") || strings.Contains(tail, "operationResults") || alone == "/permissions" {
		return "", false
	}
	switch r.Method {
	case "GET":
		return types + alone + "/read", true
	case "POST":
		return types + alone + "/action", true
	case "DELETE":
		return types + "/delete", true
	}
	return types + "/write", true
}

func cutLast(s, sep string) (before, after string, found bool) {
	if i := strings.LastIndex(s, sep); i >= 0 {
		return s[:i], s[i+len(sep):], true
	}
	return s, "", false
}

// needs are the actions a connection's life asks of the engine, taken from the log of
// an undisturbed create and delete, each with the resource it is asked on.
func (s *connector) needs(t *testing.T, body map[string]any) map[string]string {
	t.Helper()
	s.cloud.forget()
	for _, method := range []string{"PUT", "DELETE"} {
		if op := s.do(method, s.linker("app1", "whole"), body); op.text("status") != "Succeeded" {
			t.Fatalf("%s undisturbed: %s", method, op.Raw)
		}
		body = nil
	}
	found := map[string]string{}
	for _, r := range s.cloud.requests() {
		action, ok := actionOf(r)
		if ok && r.Caller == s.engine.ObjectID {
			found[action] = resourceOf(r.Path)
		}
	}
	return found
}

// resourceOf is the id of the top-level resource a path lies under.
func resourceOf(path string) string {
	words := strings.Split(path, "/")
	return strings.Join(words[:min(len(words), 9)], "/")
}

// rightsStage is a stage whose engine and caller hold custom roles.
func rightsStage(t *testing.T) (s *connector, engine, caller *restricted) {
	t.Helper()
	c := startCloud(t)
	c.makeGroup()
	c.makeSite("app1", map[string]string{"FOREIGN": "theirs"})
	c.makeCache()
	c.makeAccount()
	c.makeServer("pg1")
	engine, caller = c.newRestricted("patchbay-engine"), c.newRestricted("some-caller")
	s = &connector{cloud: c, home: shortDir(t), engine: engine.principal}
	return s.start(), engine, caller
}

// callAs is call with another token.
func (s *connector) callAs(token, method, path string, body any) answer {
	version := linkerVersion
	if strings.Contains(path, "/providers/Patchbay") {
		version = "2026-11-01"
	}
	return s.cloud.call(s.ready.Endpoint, token, method, path+"?api-version="+version, body)
}

// operations counts what the server has ever accepted.
func (s *connector) operations() int {
	s.cloud.t.Helper()
	list, _ := s.call("GET", "/providers/Patchbay/operations", nil).at("value").([]any)
	return len(list)
}

// problemOf reads the problem that rides in an error envelope.
func problemOf(a answer) map[string]string {
	out := map[string]string{}
	body, _ := a.at("error").(map[string]any)
	list, _ := body["additionalInfo"].([]any)
	for _, v := range list {
		m, _ := v.(map[string]any)
		info, _ := m["info"].(map[string]any)
		for k, v := range info {
			out[k] = fmt.Sprint(v)
		}
	}
	out["envelope"], _ = body["message"].(string)
	return out
}

// refusedFor holds an answer to what a missing right must give: a refusal that names
// action and resource, one of the codes, nothing written, no operation.
func (s *connector) refusedFor(t *testing.T, title string, a answer, action, resource string, before int, codes ...string) {
	t.Helper()
	p := problemOf(a)
	said := strings.ToLower(p["envelope"] + " " + p["fix"])
	if a.Status != 403 || !slices.Contains(codes, p["code"]) {
		t.Errorf("%s: answered %d %s, want 403 %v: %s", title, a.Status, p["code"], codes, a.Raw)
	}
	if !strings.Contains(said, strings.ToLower(action)) || !strings.Contains(said, strings.ToLower(resource)) {
		t.Errorf("%s: does not name %s on %s: %s", title, action, resource, said)
	}
	if got := s.writes(); len(got) > 0 {
		t.Errorf("%s: wrote %v", title, got)
	}
	if now := s.operations(); now != before {
		t.Errorf("%s: an operation was accepted", title)
	}
}

// planned is one connection and the actions its life needs, besides what our own
// resource type asks of the caller.
type planned struct {
	name    string
	body    func(*cloudUnderTest) map[string]any
	actions []string
}

func plannedConnections() []planned {
	site := []string{"Microsoft.Web/sites/read", "Microsoft.Web/sites/config/list/action", "Microsoft.Web/sites/config/write"}
	server := "Microsoft.DBforPostgreSQL/flexibleServers"
	return []planned{
		{"blob", blobByIdentity, append([]string{"Microsoft.Web/sites/write", "Microsoft.Storage/storageAccounts/read",
			"Microsoft.Authorization/roleAssignments/read", "Microsoft.Authorization/roleAssignments/write", "Microsoft.Authorization/roleAssignments/delete"}, site...)},
		{"cache", cacheByKey, append([]string{"Microsoft.Cache/redis/read", "Microsoft.Cache/redis/firewallRules/read", "Microsoft.Cache/redis/listKeys/action"}, site...)},
		{"pgid", func(c *cloudUnderTest) map[string]any { return databaseByIdentity(c, "pg1") }, append([]string{"Microsoft.Web/sites/write",
			server + "/read", server + "/write", server + "/databases/read",
			server + "/administrators/read", server + "/administrators/write", server + "/administrators/delete",
			server + "/firewallRules/read", server + "/firewallRules/write", server + "/firewallRules/delete"}, site...)},
	}
}

// TestEveryRightIsAskedBeforehand takes each action that a connection needs from the
// engine, then from the caller: the create is refused before anything is written.
func TestEveryRightIsAskedBeforehand(t *testing.T) {
	t.Parallel()
	s, engine, caller := rightsStage(t)
	c := s.cloud
	tokens := map[string]string{
		"caller":                     c.signIn(caller.principal, c.ready.Endpoint),
		"caller with a token for us": c.signIn(caller.principal, s.ready.Endpoint),
	}
	for _, k := range plannedConnections() {
		body := k.body(c)
		needs := s.needs(t, body)
		if d := cmp.Diff(slices.Sorted(slices.Values(k.actions)), slices.Sorted(maps.Keys(needs))); d != "" {
			t.Errorf("%s: actions of an undisturbed run: %s", k.name, d)
		}
		before, world := s.operations(), c.snapshot()
		for action, resource := range needs {
			c.forget()
			engine.lacks(action)
			a := s.call("PUT", s.linker("app1", k.name), body)
			s.refusedFor(t, k.name+", engine lacks "+action, a, action, resource, before, "ENGINE_LACKS_RIGHT", "TARGET_UNREADABLE")
			engine.lacks()
			caller.lacks(action)
			for who, token := range tokens {
				a := s.callAs(token, "PUT", s.linker("app1", k.name), body)
				s.refusedFor(t, k.name+", "+who+" lacks "+action, a, action, resource, before, "CALLER_LACKS_RIGHT")
			}
			caller.lacks()
		}
		if d := cmp.Diff(world, c.snapshot()); d != "" {
			t.Errorf("%s: the world is another one after all refusals: %s", k.name, d)
		}
		if got := s.call("GET", s.linker("app1", k.name), nil).Status; got != 404 {
			t.Errorf("%s: GET after all refusals: %d", k.name, got)
		}
	}
}

// TestCallerNeedsRightsForEveryVerb takes actions from the caller of each verb: on the
// source the linker's own, elsewhere what the plan needs. Nothing is accepted.
func TestCallerNeedsRightsForEveryVerb(t *testing.T) {
	t.Parallel()
	s, _, caller := rightsStage(t)
	c := s.cloud
	if op := s.do("PUT", s.linker("app1", "blob"), blobByIdentity(c)); op.text("status") != "Succeeded" {
		t.Fatalf("create: %s", op.Raw)
	}
	const linkers, assignments = "Microsoft.ServiceLinker/linkers/", "Microsoft.Authorization/roleAssignments/"
	at, ours := s.linker("app1", "blob"), c.site("app1")+"/providers/Patchbay"
	empty := map[string]any{}
	cases := []struct {
		method, path string
		body         any
		action, on   string
	}{
		{"PUT", s.linker("app1", "other"), blobByIdentity(c), linkers + "write", c.site("app1")},
		{"PUT", at, cacheByKey(c), linkers + "write", c.site("app1")},
		{"PUT", at, cacheByKey(c), "Microsoft.Cache/redis/listKeys/action", c.cache()},
		{"PATCH", at, empty, linkers + "write", c.site("app1")},
		{"PATCH", at, empty, assignments + "write", c.account()},
		{"DELETE", at, nil, linkers + "delete", c.site("app1")},
		{"DELETE", at, nil, assignments + "delete", c.account()},
		{"DELETE", at, nil, "Microsoft.Web/sites/config/write", c.site("app1")},
		{"GET", at, nil, linkers + "read", c.site("app1")},
		{"GET", c.site("app1") + "/providers/Microsoft.ServiceLinker/linkers", nil, linkers + "read", c.site("app1")},
		{"POST", at + "/validateLinker", nil, linkers + "validateLinker/action", c.site("app1")},
		{"POST", at + "/listConfigurations", nil, linkers + "listConfigurations/action", c.site("app1")},
		{"POST", ours + "/connections/blob/plan", nil, linkers + "read", c.site("app1")},
		{"POST", ours + "/connections/blob/drift", nil, linkers + "read", c.site("app1")},
		{"POST", ours + "/drift", nil, linkers + "read", c.site("app1")},
		{"POST", ours + "/connections/blob/repair", nil, linkers + "write", c.site("app1")},
		{"POST", ours + "/connections/blob/repair", nil, assignments + "write", c.account()},
	}
	token, before, world := c.signIn(caller.principal, c.ready.Endpoint), s.operations(), c.snapshot()
	for _, k := range cases {
		title := k.method + " " + k.path[strings.LastIndex(k.path, "/providers/"):] + " without " + k.action
		c.forget()
		caller.lacks(k.action)
		s.refusedFor(t, title, s.callAs(token, k.method, k.path, k.body), k.action, k.on, before, "CALLER_LACKS_RIGHT")
		caller.lacks()
	}
	if d := cmp.Diff(world, c.snapshot()); d != "" {
		t.Errorf("the world is another one after all refusals: %s", d)
	}
	if a := s.callAs(token, "DELETE", at, nil); a.Status != 202 {
		t.Errorf("the caller with all rights again: %d %s", a.Status, a.Raw)
	} else {
		s.await(a.Header.Get("X-Patchbay-Operation"))
	}
}

// TestTargetsAreNotShownToThoseWhoCannotSeeThem: who may change the app but not read
// the target learns nothing of it by asking us, not even whether it is there.
func TestTargetsAreNotShownToThoseWhoCannotSeeThem(t *testing.T) {
	t.Parallel()
	s, _, caller := rightsStage(t)
	c := s.cloud
	token := c.signIn(caller.principal, c.ready.Endpoint)
	caller.lacks("Microsoft.Storage/*", "Microsoft.Cache/*", "Microsoft.DBforPostgreSQL/*")
	missing := strings.Replace(c.account(), "store1", "nowhere", 1)
	bodies := map[string]map[string]any{
		"a target": blobByIdentity(c), "no target": body(missing+"/blobServices/default", map[string]any{"authType": "systemAssignedIdentity"}),
		"a key": cacheByKey(c), "no database": body(c.server("pg1")+"/databases/none", map[string]any{"authType": "systemAssignedIdentity"}),
	}
	for name, body := range bodies {
		for _, to := range []struct{ method, path string }{
			{"PUT", s.linker("app1", "x")}, {"POST", c.site("app1") + "/providers/Patchbay/connections/x/plan"},
		} {
			a := s.callAs(token, to.method, to.path, body)
			if p := problemOf(a); a.Status != 403 || p["code"] != "CALLER_LACKS_RIGHT" {
				t.Errorf("%s with %s: %d %s", to.method, name, a.Status, a.Raw)
			}
		}
	}
}

// repair has a connection repaired and expects that to work.
func (s *connector) repair(t *testing.T, site, name string) {
	t.Helper()
	if op := s.do("POST", s.cloud.site(site)+"/providers/Patchbay/connections/"+name+"/repair", nil); op.text("status") != "Succeeded" {
		t.Fatalf("repair %s: %s", name, op.Raw)
	}
}

// TestAppWithoutItsRoleIsRefusedByTheDataPlane: a storage account that is asked by the
// app itself says whether the role is there.
func TestAppWithoutItsRoleIsRefusedByTheDataPlane(t *testing.T) {
	t.Parallel()
	c := startCloud(t)
	c.makeGroup()
	c.makeAccount()
	c.makeWitness("app1")
	s := c.newConnector().start()
	if op := s.do("PUT", s.linker("app1", "blob"), blobByIdentity(c)); op.text("status") != "Succeeded" {
		t.Fatalf("create: %s", op.Raw)
	}
	expect := func(when string, status int, words string) {
		t.Helper()
		if got, said := c.visit(t, "app1", "/blob"); got != status || !strings.Contains(said, words) {
			t.Errorf("%s the app is answered %d %s, want %d %s", when, got, said, status, words)
		}
	}
	expect("connected", 200, "<Containers")
	for _, id := range c.assignments(c.account()) {
		c.arm("DELETE", id, roleVersion, nil)
	}
	expect("without its role", 403, "AuthorizationPermissionMismatch")
	s.repair(t, "app1", "blob")
	expect("repaired", 200, "<Containers")
}

// assignments lists the ids of the role assignments made at a scope itself.
func (c *cloudUnderTest) assignments(scope string) []string {
	c.t.Helper()
	list, _ := c.arm("GET", scope+"/providers/Microsoft.Authorization/roleAssignments", roleVersion, nil).at("value").([]any)
	var ids []string
	for _, v := range list {
		m, _ := v.(map[string]any)
		if id := fmt.Sprint(m["id"]); strings.HasPrefix(strings.ToLower(id), strings.ToLower(scope)+"/") {
			ids = append(ids, id)
		}
	}
	return ids
}

// TestAppKeepsItsTableWhenItsIdentityComesBack: off and on again the identity is
// another one. The database refuses it until the connection is repaired; then rows
// and owner are those of before.
func TestAppKeepsItsTableWhenItsIdentityComesBack(t *testing.T) {
	t.Parallel()
	c := startCloud(t)
	c.makeGroup()
	c.makeServer("pg1")
	c.makeWitness("app1")
	s := c.newConnector().start()
	if op := s.do("PUT", s.linker("app1", "db"), databaseByIdentity(c, "pg1")); op.text("status") != "Succeeded" {
		t.Fatalf("create: %s", op.Raw)
	}
	first := c.counted(t, "app1")
	if first.Count != 1 || first.Owner != first.User {
		t.Fatalf("the app's first visit: %+v", first)
	}
	principal := func() string { return c.arm("GET", c.site("app1"), siteVersion, nil).text("identity", "principalId") }
	was := principal()
	for n, turn := range []struct{ off, on string }{{"None", ""}, {"None", "SystemAssigned"}} {
		for _, kind := range []string{turn.off, turn.on} {
			if kind != "" {
				c.arm("PATCH", c.site("app1"), siteVersion, map[string]any{"identity": map[string]any{"type": kind}})
			}
		}
		if status, said := c.visit(t, "app1", "/pg"); status != 503 {
			t.Errorf("turn %d: before the repair the app is answered %d %s", n, status, said)
		}
		s.repair(t, "app1", "db")
		now := c.counted(t, "app1")
		if now.Count != first.Count+n+1 || now.Owner != first.Owner || now.User != first.User {
			t.Errorf("turn %d: after the repair %+v, first %+v", n, now, first)
		}
		if is := principal(); is == was || is == "" {
			t.Errorf("turn %d: the identity is %q, it was %q", n, is, was)
		}
		was = principal()
	}
}

// counted has the app count a visit in its database.
func (c *cloudUnderTest) counted(t *testing.T, site string) visits {
	t.Helper()
	status, said := c.visit(t, site, "/pg")
	var v visits
	if err := json.Unmarshal([]byte(said), &v); err != nil || status != 200 {
		t.Fatalf("the app is answered %d %s", status, said)
	}
	return v
}
