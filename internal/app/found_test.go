package app

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// must sends a change and expects it to succeed.
func (s *connector) must(t *testing.T, method, path string, body any) answer {
	t.Helper()
	op := s.do(method, path, body)
	if op.text("status") != "Succeeded" {
		t.Fatalf("%s %s: %d %s", method, path[strings.LastIndex(path, "/")+1:], op.Status, op.Raw)
	}
	return op
}

// put makes a connection of app1; remove deletes it.
func (s *connector) put(t *testing.T, name string, body map[string]any) answer {
	t.Helper()
	return s.must(t, "PUT", s.linker("app1", name), body)
}

func (s *connector) remove(t *testing.T, name string) answer {
	t.Helper()
	return s.must(t, "DELETE", s.linker("app1", name), nil)
}

// TestForeignKeyUnderOurNameComesBack: a key that somebody wrote in another case is
// the same key to App Service. It is replaced under its own spelling and comes back.
func TestForeignKeyUnderOurNameComesBack(t *testing.T) {
	t.Parallel()
	c, s := stage(t)
	s.start()
	s.put(t, "cache", cacheByKey(c))
	during := c.settings("app1")
	if got := during["azure_redis_connectionstring"]; !strings.HasPrefix(got, "rediss://") || len(during) != 2 {
		t.Errorf("while connected: %v", during)
	}
	s.remove(t, "cache")
	if after := c.settings("app1"); len(after) != 2 || after["azure_redis_connectionstring"] != "mine" || after["FOREIGN"] != "theirs" {
		t.Errorf("after delete: %v", after)
	}
}

// TestChangedKeyIsLeftAndReported: what somebody wrote over our value is theirs.
func TestChangedKeyIsLeftAndReported(t *testing.T) {
	t.Parallel()
	c, s := stage(t)
	s.start()
	const name = "AZURE_STORAGEBLOB_RESOURCEENDPOINT"
	s.put(t, "blob", blobByIdentity(c))
	settings := c.settings("app1")
	settings[name] = "https://elsewhere.example.com/"
	c.putSettings("app1", settings)
	drift := s.call("POST", c.site("app1")+"/providers/Patchbay/connections/blob/drift", nil)
	if drift.text("state") != "Drifted" || !strings.Contains(string(drift.Raw), `"reason":"changed"`) {
		t.Errorf("drift: %s", drift.Raw)
	}
	s.repair(t, "app1", "blob")
	if got := c.settings("app1")[name]; got != settings[name] {
		t.Errorf("after a repair: %q", got)
	}
	op := s.remove(t, "blob")
	if got := c.settings("app1")[name]; got != settings[name] {
		t.Errorf("after delete: %q", got)
	}
	if said := op.text("message"); !strings.Contains(said, name) || !strings.Contains(said, "changed") {
		t.Errorf("the delete does not say what it left: %s", op.Raw)
	}
	if len(c.assignments(c.account())) != 0 || s.identityOf("app1") != "None" {
		t.Errorf("the rest is not gone: %v, identity %s", c.assignments(c.account()), s.identityOf("app1"))
	}
}

// identityOf is the type of a site's identity.
func (s *connector) identityOf(site string) string {
	kind := s.cloud.arm("GET", s.cloud.site(site), siteVersion, nil).text("identity", "type")
	if kind == "" {
		return "None"
	}
	return kind
}

// TestRolesThatWereThereSurvive: a right the app's identity had before us, be it from
// above or at the account itself, is found, used and never taken away.
func TestRolesThatWereThereSurvive(t *testing.T) {
	t.Parallel()
	for name, scope := range map[string]func(*cloudUnderTest) string{"inherited": (*cloudUnderTest).group, "at the account": (*cloudUnderTest).account} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c, s := stage(t)
			s.start()
			c.arm("PATCH", c.site("app1"), siteVersion, map[string]any{"identity": map[string]any{"type": "SystemAssigned"}})
			principal := c.arm("GET", c.site("app1"), siteVersion, nil).text("identity", "principalId")
			c.assign(blobDataContributor, principal, scope(c))
			before := c.assignments(scope(c))
			c.forget()
			s.put(t, "blob", blobByIdentity(c))
			for _, w := range s.writes() {
				if strings.Contains(w.Path, "roleAssignments") || !strings.Contains(w.Path, "/config/appsettings") {
					t.Errorf("create wrote %s %s", w.Method, w.Path)
				}
			}
			s.remove(t, "blob")
			if after := c.assignments(scope(c)); !slices.Equal(before, after) {
				t.Errorf("assignments before %v, after %v", before, after)
			}
			if kind := s.identityOf("app1"); kind != "SystemAssigned" {
				t.Errorf("the identity that was on is %s", kind)
			}
		})
	}
}

// TestFirewallRulesThatWereThereSurvive: somebody's rule for the app's address is
// enough, and stays. Other rules are never touched.
func TestFirewallRulesThatWereThereSurvive(t *testing.T) {
	t.Parallel()
	c, s := stage(t)
	s.start()
	rules := c.server("pg1") + "/firewallRules"
	rule := func(name, start, end string) {
		t.Helper()
		c.arm("PUT", rules+"/"+name, serverVersion, map[string]any{"properties": map[string]any{"startIpAddress": start, "endIpAddress": end}})
	}
	rule("office", "127.0.0.1", "127.0.0.1")
	rule("other", "198.51.100.1", "198.51.100.9")
	c.forget()
	s.put(t, "db", databaseByPassword(c, "pg1", "pgadmin", adminPassword))
	for _, w := range s.writes() {
		if strings.Contains(strings.ToLower(w.Path), "firewallrules") && !strings.Contains(w.Path, "patchbay_engine_") {
			t.Errorf("create wrote %s %s", w.Method, w.Path)
		}
	}
	if got := c.names(rules, serverVersion); got != "office other" {
		t.Errorf("while connected: %s", got)
	}
	s.remove(t, "db")
	if got := c.names(rules, serverVersion); got != "office other" {
		t.Errorf("after delete: %s", got)
	}
	// Without it, ours is needed, and goes with the connection.
	s.put(t, "db", databaseByPassword(c, "pg1", "pgadmin", adminPassword))
	c.arm("DELETE", rules+"/office", serverVersion, nil)
	s.repair(t, "app1", "db")
	if got := c.names(rules, serverVersion); !strings.Contains(got, "patchbay_") {
		t.Errorf("after a repair without somebody's rule: %s", got)
	}
	s.remove(t, "db")
	if got := c.names(rules, serverVersion); got != "other" {
		t.Errorf("after the second delete: %s", got)
	}
}

// TestStorageRuleThatWasThereSurvives is the same for a list of addresses.
func TestStorageRuleThatWasThereSurvives(t *testing.T) {
	t.Parallel()
	c, s := stage(t)
	s.start()
	acls := map[string]any{"defaultAction": "Deny", "bypass": "AzureServices", "ipRules": []any{map[string]any{"value": "127.0.0.1", "action": "Allow"}, map[string]any{"value": "203.0.113.0/24", "action": "Allow"}}}
	c.arm("PATCH", c.account(), accountVersion, map[string]any{"properties": map[string]any{"networkAcls": acls}})
	before := fmt.Sprint(c.arm("GET", c.account(), accountVersion, nil).at("properties", "networkAcls"))
	s.put(t, "blob", blobByIdentity(c))
	s.remove(t, "blob")
	if after := fmt.Sprint(c.arm("GET", c.account(), accountVersion, nil).at("properties", "networkAcls")); after != before {
		t.Errorf("networkAcls before %s, after %s", before, after)
	}
}

// TestSharedIdentityStaysUntilTheLastOwnerGoes: two connections of one app sign in
// with one identity.
func TestSharedIdentityStaysUntilTheLastOwnerGoes(t *testing.T) {
	t.Parallel()
	for _, order := range [][]string{{"blob", "pgid"}, {"pgid", "blob"}} {
		t.Run("first "+order[0], func(t *testing.T) {
			t.Parallel()
			c, s := stage(t)
			s.start()
			before := c.snapshot()
			s.put(t, "blob", blobByIdentity(c))
			s.put(t, "pgid", databaseByIdentity(c, "pg1"))
			principal := c.arm("GET", c.site("app1"), siteVersion, nil).text("identity", "principalId")
			s.remove(t, order[0])
			if now := c.arm("GET", c.site("app1"), siteVersion, nil).text("identity", "principalId"); now != principal || now == "" {
				t.Errorf("after the first delete the identity is %q, it was %q", now, principal)
			}
			if a := s.call("POST", c.site("app1")+"/providers/Patchbay/connections/"+order[1]+"/drift", nil); a.text("state") != "InSync" {
				t.Errorf("the other connection: %s", a.Raw)
			}
			s.remove(t, order[1])
			after := c.snapshot()
			for k := range before {
				if before[k] != after[k] && k != "entra" {
					t.Errorf("%s was %q, is %q", k, before[k], after[k])
				}
			}
		})
	}
}

// TestDeleteWhenTheTargetIsGone: what lay on it went with it.
func TestDeleteWhenTheTargetIsGone(t *testing.T) {
	t.Parallel()
	c, s := stage(t)
	s.start()
	before := c.settings("app1")
	s.put(t, "blob", blobByIdentity(c))
	s.put(t, "cache", cacheByKey(c))
	s.put(t, "pgid", databaseByIdentity(c, "pg1"))
	for path, version := range map[string]string{c.account(): accountVersion, c.cache(): cacheVersion, c.server("pg1"): serverVersion} {
		c.arm("DELETE", path, version, nil)
	}
	for _, name := range []string{"blob", "cache", "pgid"} {
		s.remove(t, name)
		if got := s.call("GET", s.linker("app1", name), nil).Status; got != 404 {
			t.Errorf("GET %s after delete: %d", name, got)
		}
	}
	if after := c.settings("app1"); fmt.Sprint(before) != fmt.Sprint(after) || s.identityOf("app1") != "None" {
		t.Errorf("settings %v, were %v; identity %s", after, before, s.identityOf("app1"))
	}
}

// TestDeleteWhenTheDatabaseIsGone: users belong to the server and are removed there.
func TestDeleteWhenTheDatabaseIsGone(t *testing.T) {
	t.Parallel()
	c, s := stage(t)
	s.start()
	c.letTestsIn("pg1")
	before := c.snapshot()
	s.put(t, "pgid", databaseByIdentity(c, "pg1"))
	c.arm("DELETE", c.server("pg1")+"/databases/db1", serverVersion, nil)
	s.remove(t, "pgid")
	c.arm("PUT", c.server("pg1")+"/databases/db1", serverVersion, map[string]any{"properties": map[string]any{}})
	if users := c.world()["users"]; users != "" {
		t.Errorf("users left: %s", users)
	}
	if d := cmp.Diff(before, c.snapshot()); d != "" {
		t.Errorf("not as before: %s", d)
	}
}

// TestDeleteWhenTheServerIsStopped: the rest goes, the connection stays and names what
// remains; force writes it off.
func TestDeleteWhenTheServerIsStopped(t *testing.T) {
	t.Parallel()
	c, s := stage(t)
	s.start()
	settings := c.settings("app1")
	s.put(t, "pgid", databaseByIdentity(c, "pg1"))
	c.arm("POST", c.server("pg1")+"/stop", serverVersion, nil)
	op := s.do("DELETE", s.linker("app1", "pgid"), nil)
	if op.text("status") != "Failed" || op.text("problem", "code") != "REMAINDER" {
		t.Fatalf("delete at a stopped server: %s", op.Raw)
	}
	if said := op.text("problem", "message"); !strings.Contains(said, "aad_pgid") {
		t.Errorf("the remainder is not named: %s", said)
	}
	if fix := op.text("problem", "fix"); !strings.Contains(fix, "/flexibleServers/pg1/start") || !strings.Contains(fix, "connection delete") {
		t.Errorf("the fix of the remainder: %s", fix)
	}
	if got := s.call("GET", s.linker("app1", "pgid"), nil); got.text("properties", "provisioningState") != "Failed" {
		t.Errorf("the connection: %s", got.Raw)
	}
	if after := c.settings("app1"); fmt.Sprint(after) != fmt.Sprint(settings) {
		t.Errorf("settings %v, were %v", after, settings)
	}
	forced := s.must(t, "DELETE", s.linker("app1", "pgid")+"?force=true", nil)
	if said := forced.text("message"); !strings.Contains(said, "aad_pgid") {
		t.Errorf("what was written off is not named: %s", forced.Raw)
	}
	if got := s.call("GET", s.linker("app1", "pgid"), nil).Status; got != 404 {
		t.Errorf("GET after a forced delete: %d", got)
	}
	if kind := s.identityOf("app1"); kind != "None" {
		t.Errorf("the identity is %s", kind)
	}
}

// TestDeleteGoesOnWhenTheServerRunsAgain: a remainder is taken up by the next delete.
func TestDeleteGoesOnWhenTheServerRunsAgain(t *testing.T) {
	t.Parallel()
	c, s := stage(t)
	s.start()
	before := c.snapshot()
	s.put(t, "pgid", databaseByIdentity(c, "pg1"))
	c.arm("POST", c.server("pg1")+"/stop", serverVersion, nil)
	if op := s.do("DELETE", s.linker("app1", "pgid"), nil); op.text("status") != "Failed" {
		t.Fatalf("delete at a stopped server: %s", op.Raw)
	}
	c.arm("POST", c.server("pg1")+"/start", serverVersion, nil)
	s.remove(t, "pgid")
	after := c.snapshot()
	for k := range before {
		if before[k] != after[k] {
			t.Errorf("%s was %q, is %q", k, before[k], after[k])
		}
	}
}

// TestVanishedSiteCountsAsDone: what was on the site went with it; what the connection
// put elsewhere is still taken back.
func TestVanishedSiteCountsAsDone(t *testing.T) {
	t.Parallel()
	c, s := stage(t)
	s.start()
	before := map[string]string{"roles": c.grants(), "rules": c.names(c.server("pg1")+"/firewallRules", serverVersion)}
	s.put(t, "blob", blobByIdentity(c))
	s.put(t, "cache", cacheByKey(c))
	s.put(t, "pgid", databaseByIdentity(c, "pg1"))
	c.arm("DELETE", c.site("app1"), siteVersion, nil)
	for _, name := range []string{"blob", "cache", "pgid"} {
		s.remove(t, name)
		if got := s.call("GET", s.linker("app1", name), nil).Status; got != 404 {
			t.Errorf("GET %s after delete: %d", name, got)
		}
	}
	c.makeSite("app1", map[string]string{})
	after := map[string]string{"roles": c.grants(), "rules": c.names(c.server("pg1")+"/firewallRules", serverVersion)}
	if fmt.Sprint(before) != fmt.Sprint(after) {
		t.Errorf("before %v, after %v", before, after)
	}
}
