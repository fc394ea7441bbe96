package app

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const (
	identityVersion = "2024-11-30"
	managedIdentity = "Microsoft.ManagedIdentity/userAssignedIdentities"
)

// userIdentity is a user-assigned identity of the cloud.
type userIdentity struct{ id, clientID, principalID string }

func (c *cloudUnderTest) makeIdentity(name string) userIdentity {
	c.t.Helper()
	id := c.group() + "/providers/" + managedIdentity + "/" + name
	a := c.arm("PUT", id, identityVersion, map[string]any{"location": "westeurope"})
	return userIdentity{id, a.text("properties", "clientId"), a.text("properties", "principalId")}
}

// attach gives a site an identity as somebody else would, keeping what it has.
func (c *cloudUnderTest) attach(site string, kind string, users ...userIdentity) {
	c.t.Helper()
	block := map[string]any{"type": kind}
	if len(users) > 0 {
		ids := map[string]any{}
		for _, u := range users {
			ids[u.id] = map[string]any{}
		}
		block["userAssignedIdentities"] = ids
	}
	c.arm("PATCH", c.site(site), siteVersion, map[string]any{"identity": block})
}

// carried tells what identities a site has: the type, and the names of the user-assigned ones.
func (c *cloudUnderTest) carried(site string) string {
	c.t.Helper()
	a := c.arm("GET", c.site(site), siteVersion, nil)
	users, _ := a.at("identity", "userAssignedIdentities").(map[string]any)
	words := []string{a.text("identity", "type")}
	for _, id := range slices.Sorted(maps.Keys(users)) {
		words = append(words, id[strings.LastIndex(id, "/")+1:])
	}
	return strings.TrimSpace(strings.Join(words, " "))
}

// holders lists who has a role on a scope itself.
func (c *cloudUnderTest) holders(scope string) []string {
	c.t.Helper()
	var out []string
	for _, id := range c.assignments(scope) {
		out = append(out, c.arm("GET", id, roleVersion, nil).text("properties", "principalId"))
	}
	return out
}

// entrants lists who a cache's access policies let in.
func (c *cloudUnderTest) entrants() []string {
	c.t.Helper()
	var out []string
	list, _ := c.arm("GET", c.cache()+"/accessPolicyAssignments", cacheVersion, nil).at("value").([]any)
	for _, v := range list {
		m, _ := v.(map[string]any)
		p, _ := m["properties"].(map[string]any)
		out = append(out, fmt.Sprint(p["objectId"]))
	}
	return out
}

// users are the database users of pg1 that stand for identities. Whom they are bound to
// the server tells only by whom it lets in.
func (c *cloudUnderTest) users() []string {
	c.t.Helper()
	return c.sql("pg1", `SELECT rolname::text FROM pg_roles WHERE rolname LIKE 'aad\_%' ORDER BY 1`)
}

// three ways to the same three targets.

func (u userIdentity) auth(c *cloudUnderTest) map[string]any {
	return map[string]any{"authType": "userAssignedIdentity", "clientId": u.clientID, "subscriptionId": c.ready.SubscriptionID}
}

func (p principal) auth() map[string]any {
	return map[string]any{"authType": "servicePrincipalSecret", "clientId": p.ClientID, "principalId": p.ObjectID, "secret": p.ClientSecret}
}

// targetsFor are connections to each target with one way of signing in, by name.
func (c *cloudUnderTest) targetsFor(auth map[string]any) map[string]map[string]any {
	return map[string]map[string]any{
		"blob":  body(c.account()+"/blobServices/default", auth),
		"cache": body(c.cache()+"/databases/0", auth),
		"pg":    body(c.server("pg1")+"/databases/db1", auth),
	}
}

// left is the world without the difference between a switch that was never touched and
// one that is off.
func (c *cloudUnderTest) left() map[string]string {
	c.t.Helper()
	out := c.world()
	if out["aad"] == "<nil>" {
		out["aad"] = "false"
	}
	return out
}

// rooms is a cloud with all three targets, some apps that run, and a connector before it.
func rooms(t *testing.T, apps ...string) (*cloudUnderTest, *connector) {
	t.Helper()
	c := startCloud(t)
	c.makeGroup()
	c.makeCache()
	c.makeAccount()
	c.makeServer("pg1")
	c.letTestsIn("pg1")
	for _, name := range apps {
		c.makeWitness(name)
		c.putSettings(name, map[string]string{actAs: asWitness, "AZURE_AUTHORITY_HOST": c.ready.Endpoint})
	}
	return c, c.newConnector().start()
}

// added are the settings a site has besides those of before.
func (c *cloudUnderTest) added(site string, before map[string]string) map[string]string {
	c.t.Helper()
	out := c.settings(site)
	for k := range before {
		delete(out, k)
	}
	return out
}

// documented are the settings each target's page lists for client type go, of a cloud
// whose hosts are its own.
func (c *cloudUnderTest) documented(name, user string) map[string]string {
	c.t.Helper()
	switch name {
	case "blob":
		return map[string]string{"AZURE_STORAGEBLOB_RESOURCEENDPOINT": c.arm("GET", c.account(), accountVersion, nil).text("properties", "primaryEndpoints", "blob")}
	case "cache":
		return map[string]string{"AZURE_REDIS_HOST": c.arm("GET", c.cache(), cacheVersion, nil).text("properties", "hostName")}
	}
	host := c.arm("GET", c.server("pg1"), serverVersion, nil).text("properties", "fullyQualifiedDomainName")
	return map[string]string{"AZURE_POSTGRESQL_CONNECTIONSTRING": "host=" + host + " dbname=db1 sslmode=require user=" + user}
}

// services are the middle words of each connection's settings.
var services = map[string]string{"blob": "STORAGEBLOB", "cache": "REDIS", "pg": "POSTGRESQL"}

// works has the app use all it is connected to.
func (c *cloudUnderTest) works(t *testing.T, site, when string) {
	t.Helper()
	for _, path := range []string{"/blob", "/redis", "/pg"} {
		if status, said := c.visit(t, site, path); status != 200 {
			t.Errorf("%s %s is answered %d %s at %s", when, site, status, said, path)
		}
	}
}

// drift is how a connection differs from what it needs.
func (s *connector) drift(site, name string) answer {
	return s.call("POST", s.cloud.site(site)+"/providers/Patchbay/connections/"+name+"/drift", nil)
}

// validated is what a validation found, by item name, from the operation's own report.
func (s *connector) validated(t *testing.T, site, name string) map[string]string {
	t.Helper()
	a := s.call("POST", s.linker(site, name)+"/validateLinker", nil)
	s.await(a.Header.Get("X-Patchbay-Operation"))
	status := s.cloud.call("", s.cloud.token, "GET", a.Header.Get("Azure-AsyncOperation"), nil)
	list, _ := status.at("properties", "validationDetail").([]any)
	out := map[string]string{}
	for _, v := range list {
		m, _ := v.(map[string]any)
		words := []string{fmt.Sprint(m["result"])}
		for _, member := range []string{"errorCode", "description"} {
			if text, _ := m[member].(string); text != "" {
				words = append(words, text)
			}
		}
		out[fmt.Sprint(m["name"])] = strings.Join(words, " ")
	}
	if len(out) == 0 {
		t.Fatalf("validation of %s: %s", name, status.Raw)
	}
	return out
}

// TestUserIdentityLife: one identity, three targets, an app that really uses them.
func TestUserIdentityLife(t *testing.T) {
	t.Parallel()
	c, s := rooms(t, "app1")
	u := c.makeIdentity("shopper")
	before, world := c.settings("app1"), c.left()
	for _, name := range []string{"blob", "cache", "pg"} {
		were := c.settings("app1")
		s.put(t, name, c.targetsFor(u.auth(c))[name])
		want := c.documented(name, "aad_pg")
		want["AZURE_"+services[name]+"_CLIENTID"] = u.clientID
		if d := cmp.Diff(want, c.added("app1", were)); d != "" {
			t.Errorf("settings of %s: %s", name, d)
		}
		if got := c.carried("app1"); got != "UserAssigned shopper" {
			t.Errorf("with %s the app carries %q", name, got)
		}
	}
	if got := c.holders(c.account()); !slices.Equal(got, []string{u.principalID}) {
		t.Errorf("the role is held by %v", got)
	}
	if got := c.entrants(); !slices.Equal(got, []string{u.principalID}) {
		t.Errorf("the access policy is for %v", got)
	}
	if got := c.users(); !slices.Equal(got, []string{"aad_pg"}) {
		t.Errorf("database users %v", got)
	}
	c.works(t, "app1", "connected")
	for name := range services {
		if d := s.drift("app1", name); d.text("state") != "InSync" {
			t.Errorf("drift of %s: %s", name, d.Raw)
		}
		found := s.validated(t, "app1", name)
		for _, item := range []string{"Managed Identity existence validated.", "Managed Identity permissions validated."} {
			if found[item] != "success" {
				t.Errorf("validation of %s: %s %q", name, item, found[item])
			}
		}
	}
	for _, step := range []struct{ name, carries string }{{"cache", "UserAssigned shopper"}, {"blob", "UserAssigned shopper"}, {"pg", ""}} {
		s.remove(t, step.name)
		if got := c.carried("app1"); got != step.carries {
			t.Errorf("without %s the app carries %q, want %q", step.name, got, step.carries)
		}
	}
	if d := cmp.Diff(world, c.left()); d != "" {
		t.Errorf("after all deletes: %s", d)
	}
	if d := cmp.Diff(before, c.settings("app1")); d != "" {
		t.Errorf("settings after all deletes: %s", d)
	}
}

// TestUserIdentityThatWasThereStays: an identity somebody attached before us, and one
// that is none of our business, are there after us.
func TestUserIdentityThatWasThereStays(t *testing.T) {
	t.Parallel()
	c, s := rooms(t, "app1")
	u, other := c.makeIdentity("shopper"), c.makeIdentity("other")
	c.attach("app1", "SystemAssigned, UserAssigned", u, other)
	before := c.carried("app1")
	own := s.identityPrincipal("app1")
	c.forget()
	s.put(t, "blob", c.targetsFor(u.auth(c))["blob"])
	for _, w := range s.writes() {
		if strings.HasSuffix(w.Path, "/sites/app1") {
			t.Errorf("the identity that was there was written: %s %s", w.Method, w.Path)
		}
	}
	s.remove(t, "blob")
	if now := c.carried("app1"); now != before || s.identityPrincipal("app1") != own {
		t.Errorf("the app carries %q, before %q", now, before)
	}
	c.attach("app1", "SystemAssigned, UserAssigned", other) // a PATCH keeps what it does not name
	c.arm("PATCH", c.site("app1"), siteVersion, map[string]any{"identity": map[string]any{"type": "SystemAssigned, UserAssigned",
		"userAssignedIdentities": map[string]any{u.id: nil}}})
	s.put(t, "blob", c.targetsFor(u.auth(c))["blob"])
	if now := c.carried("app1"); now != "SystemAssigned, UserAssigned other shopper" {
		t.Errorf("attached, the app carries %q", now)
	}
	s.remove(t, "blob")
	if now := c.carried("app1"); now != "SystemAssigned, UserAssigned other" || s.identityPrincipal("app1") != own {
		t.Errorf("detached, the app carries %q", now)
	}
}

func (s *connector) identityPrincipal(site string) string {
	return s.cloud.arm("GET", s.cloud.site(site), siteVersion, nil).text("identity", "principalId")
}

// TestUserIdentityDriftAndRepair: somebody detaches the identity, then somebody deletes it.
func TestUserIdentityDriftAndRepair(t *testing.T) {
	t.Parallel()
	c, s := rooms(t, "app1")
	u := c.makeIdentity("shopper")
	world := c.left()
	for name, linker := range c.targetsFor(u.auth(c)) {
		s.put(t, name, linker)
	}
	c.attach("app1", "None")
	if status, said := c.visit(t, "app1", "/blob"); status == 200 {
		t.Errorf("without its identity the app is answered %d %s", status, said)
	}
	for name := range services {
		d := s.drift("app1", name)
		if d.text("state") != "Drifted" || !strings.Contains(string(d.Raw), `"kind":"identity"`) || !strings.Contains(string(d.Raw), `"reason":"missing"`) {
			t.Errorf("drift of %s: %s", name, d.Raw)
		}
		if got := s.validated(t, "app1", name)["Managed Identity existence validated."]; !strings.HasPrefix(got, "failure IDENTITY_OFF") || !strings.Contains(got, "shopper") {
			t.Errorf("validation of %s: %q", name, got)
		}
	}
	s.repair(t, "app1", "blob")
	if got := c.carried("app1"); got != "UserAssigned shopper" {
		t.Errorf("repaired, the app carries %q", got)
	}
	c.works(t, "app1", "repaired")
	for name := range services {
		if d := s.drift("app1", name); d.text("state") != "InSync" {
			t.Errorf("repaired, drift of %s: %s", name, d.Raw)
		}
	}
	c.arm("DELETE", u.id, identityVersion, nil)
	for name := range services {
		if d := s.drift("app1", name); d.text("state") != "Unreadable" || d.text("problem", "code") != "IDENTITY_NOT_FOUND" {
			t.Errorf("without the identity itself, drift of %s: %s", name, d.Raw)
		}
		found := s.validated(t, "app1", name)
		if got := found["Managed Identity existence validated."]; !strings.HasPrefix(got, "failure IDENTITY_NOT_FOUND") {
			t.Errorf("without the identity itself, validation of %s: %v", name, found)
		}
		a := s.call("POST", c.site("app1")+"/providers/Patchbay/connections/"+name+"/repair", nil)
		sentence(t, "repair without the identity itself", a, 404, "IDENTITY_NOT_FOUND")
	}
	for name := range services {
		s.remove(t, name)
	}
	if d := cmp.Diff(world, c.left()); d != "" {
		t.Errorf("after all deletes: %s", d)
	}
	if got := c.carried("app1"); got != "" {
		t.Errorf("after all deletes the app carries %q", got)
	}
}

// TestUserIdentitySharedByTwoApps: what the two have in common is there once, and goes
// with the last of them.
func TestUserIdentitySharedByTwoApps(t *testing.T) {
	t.Parallel()
	c, s := rooms(t, "app1", "app2")
	u := c.makeIdentity("shopper")
	world := c.left()
	for _, app := range []string{"app1", "app2"} {
		for name, linker := range c.targetsFor(u.auth(c)) {
			s.must(t, "PUT", s.linker(app, name), linker)
		}
	}
	granted := func(when string) {
		t.Helper()
		one := []string{u.principalID}
		if h, e, u := c.holders(c.account()), c.entrants(), c.users(); !slices.Equal(h, one) || !slices.Equal(e, one) || !slices.Equal(u, []string{"aad_pg"}) {
			t.Errorf("%s: roles %v, policies %v, users %v", when, h, e, u)
		}
	}
	granted("both connected")
	c.works(t, "app1", "both connected")
	c.works(t, "app2", "both connected")
	for name := range services {
		s.remove(t, name)
	}
	if one, two := c.carried("app1"), c.carried("app2"); one != "" || two != "UserAssigned shopper" {
		t.Errorf("app1 carries %q, app2 %q", one, two)
	}
	granted("app1 gone")
	c.works(t, "app2", "app1 gone")
	for name := range services {
		if d := s.drift("app2", name); d.text("state") != "InSync" {
			t.Errorf("app1 gone, drift of app2's %s: %s", name, d.Raw)
		}
	}
	for name := range services {
		s.must(t, "DELETE", s.linker("app2", name), nil)
	}
	if d := cmp.Diff(world, c.left()); d != "" {
		t.Errorf("after all deletes: %s", d)
	}
}

// TestDatabaseUserOfSomebodyElseIsNotTaken: two connections of one name sign in as two
// identities; each has its own user.
func TestDatabaseUserOfSomebodyElseIsNotTaken(t *testing.T) {
	t.Parallel()
	c, s := rooms(t, "app1", "app2")
	one, two := c.makeIdentity("one"), c.makeIdentity("two")
	s.must(t, "PUT", s.linker("app1", "pg"), c.targetsFor(one.auth(c))["pg"])
	s.must(t, "PUT", s.linker("app2", "pg"), c.targetsFor(two.auth(c))["pg"])
	name := s.call("GET", s.linker("app2", "pg"), nil).text("properties", "authInfo", "userName")
	if first := c.counted(t, "app1"); first.User != "aad_pg" || first.Owner != "aad_pg" {
		t.Errorf("app1 is %+v", first)
	}
	if status, said := c.visit(t, "app2", "/pg"); status != 503 || !strings.Contains(said, "permission denied for table visits") || name == "" || name == "aad_pg" {
		t.Errorf("app2 as %q is answered %d %s", name, status, said) // signed in, and app1's table is none of its business
	}
	// app1 changes to the other identity: its user is rebound, its tables stay its own.
	s.must(t, "PUT", s.linker("app1", "pg"), c.targetsFor(two.auth(c))["pg"])
	if now := c.counted(t, "app1"); now != (visits{2, "aad_pg", "aad_pg"}) || c.carried("app1") != "UserAssigned two" {
		t.Errorf("after the change %+v; the app carries %q", now, c.carried("app1"))
	}
}

// TestUserIdentityWritesAreUndone fails each write of a create and of a delete in turn.
func TestUserIdentityWritesAreUndone(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"blob", "cache"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c, s := stage(t)
			s.start()
			u := c.makeIdentity("shopper")
			c.attach("app1", "SystemAssigned")
			// A switch that was touched once is off, not absent.
			c.arm("PATCH", c.cache(), cacheVersion, map[string]any{"properties": map[string]any{"redisConfiguration": map[string]any{"aad-enabled": "false"}}})
			linker := c.targetsFor(u.auth(c))[name]
			create := func() answer { return s.do("PUT", s.linker("app1", "x"), linker) }
			remove := func() answer { return s.do("DELETE", s.linker("app1", "x"), nil) }
			s.failEach(t, "create", create, remove)
			create()
			s.failEach(t, "delete", remove, create)
			if got := c.carried("app1"); got != "SystemAssigned, UserAssigned shopper" {
				t.Errorf("the app carries %q", got)
			}
		})
	}
}

// TestFailureLeavesTheOthersRights: the second app's create fails at its last write; what
// the first app has in common with it stays.
func TestFailureLeavesTheOthersRights(t *testing.T) {
	t.Parallel()
	c, s := rooms(t, "app1", "app2")
	u := c.makeIdentity("shopper")
	for name, linker := range c.targetsFor(u.auth(c)) {
		s.put(t, name, linker)
	}
	world := c.left()
	c.faults(map[string]any{"method": "PUT", "path": "(?i)/sites/app2/config/appsettings$", "status": 403, "when": "before", "times": 10})
	for name, linker := range c.targetsFor(u.auth(c)) {
		if op := s.do("PUT", s.linker("app2", name), linker); op.text("status") != "Failed" {
			t.Errorf("create %s: %s", name, op.Raw)
		}
	}
	c.faults()
	if d := cmp.Diff(world, c.left()); d != "" || c.carried("app2") != "" {
		t.Errorf("after the failures app2 carries %q; %s", c.carried("app2"), d)
	}
	c.works(t, "app1", "after the failures")
	for name := range services {
		s.must(t, "DELETE", s.linker("app2", name), nil)
		s.remove(t, name)
	}
	if h, e, u := c.holders(c.account()), c.entrants(), c.users(); len(h) != 0 || len(e) != 0 || len(u) != 0 {
		t.Errorf("after all deletes: roles %v, policies %v, users %v", h, e, u)
	}
}

// TestUserIdentityRefused: nothing is written for an identity that cannot be found, may not
// be seen or may not be handed on.
func TestUserIdentityRefused(t *testing.T) {
	t.Parallel()
	s, engine, caller := rightsStage(t)
	c := s.cloud
	u := c.makeIdentity("shopper")
	linker := func(change func(map[string]any)) map[string]any {
		auth := u.auth(c)
		change(auth)
		return body(c.account()+"/blobServices/default", auth)
	}
	same := func(map[string]any) {}
	unknown := func(a map[string]any) { a["clientId"] = "00000000-0000-4000-8000-00000000dead" }
	before, world := s.operations(), c.snapshot()
	c.forget()
	sentence(t, "an unknown client id", s.call("PUT", s.linker("app1", "x"), linker(unknown)), 404, "IDENTITY_NOT_FOUND")
	elsewhere := func(a map[string]any) { a["subscriptionId"] = "00000000-0000-4000-8000-00000000dead" }
	sentence(t, "an unknown subscription", s.call("PUT", s.linker("app1", "x"), linker(elsewhere)), 403, "CALLER_LACKS_RIGHT")
	sentence(t, "a name for a client id", s.call("PUT", s.linker("app1", "x"), linker(func(a map[string]any) { a["clientId"] = "shopper" })), 400, "BODY_INVALID")
	sentence(t, "no client id", s.call("PUT", s.linker("app1", "x"), linker(func(a map[string]any) { delete(a, "clientId") })), 400, "BODY_INVALID")
	token := c.signIn(caller.principal, c.ready.Endpoint)
	for _, action := range []string{managedIdentity + "/read", managedIdentity + "/assign/action"} {
		engine.lacks(action)
		a := s.call("PUT", s.linker("app1", "x"), linker(same))
		if p := problemOf(a); a.Status != 403 || !strings.Contains(p["envelope"], action) {
			t.Errorf("the engine lacks %s: %d %s", action, a.Status, a.Raw)
		}
		engine.lacks()
		caller.lacks(action)
		s.refusedFor(t, "the caller lacks "+action, s.callAs(token, "PUT", s.linker("app1", "x"), linker(same)), action, u.id, before, "CALLER_LACKS_RIGHT")
		if action == managedIdentity+"/read" {
			a := s.callAs(token, "PUT", s.linker("app1", "x"), linker(unknown))
			s.refusedFor(t, "the caller may not look for it", a, action, "/subscriptions/"+c.ready.SubscriptionID, before, "CALLER_LACKS_RIGHT")
		}
		caller.lacks()
	}
	s.quiet(t, "refused identities", before)
	if d := cmp.Diff(world, c.snapshot()); d != "" {
		t.Error(d)
	}
}
