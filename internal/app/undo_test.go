package app

import (
	"encoding/json"
	"fmt"
	"regexp"
	"sort"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// snapshot is everything a connection may touch, as plain ARM calls show it.
func (c *cloudUnderTest) snapshot() map[string]string {
	c.t.Helper()
	out := map[string]string{}
	for k, v := range c.settings("app1") {
		out["setting "+k] = v
	}
	kind := c.arm("GET", c.site("app1"), siteVersion, nil).text("identity", "type")
	if kind == "" {
		kind = "None"
	}
	out["identity"] = kind
	for _, list := range []struct{ path, version string }{
		{c.server("pg1") + "/firewallRules", serverVersion}, {c.server("pg1") + "/administrators", serverVersion}, {c.cache() + "/accessPolicyAssignments", cacheVersion},
	} {
		out[list.path] = c.names(list.path, list.version)
	}
	out["roles"] = c.grants()
	out["entra"] = c.arm("GET", c.server("pg1"), serverVersion, nil).text("properties", "authConfig", "activeDirectoryAuth")
	out["aad"] = "false" // unset means off
	if on := c.arm("GET", c.cache(), cacheVersion, nil).text("properties", "redisConfiguration", "aad-enabled"); on != "" {
		out["aad"] = on
	}
	return out
}

// names lists what a collection holds, in order.
func (c *cloudUnderTest) names(path, version string) string {
	c.t.Helper()
	var names []string
	list, _ := c.arm("GET", path, version, nil).at("value").([]any)
	for _, v := range list {
		m, _ := v.(map[string]any)
		names = append(names, fmt.Sprint(m["name"]))
	}
	sort.Strings(names)
	return strings.Join(names, " ")
}

// grants lists who has a role on the storage account itself; the app's identity by the
// app's name, because it cannot come back under an id it once had.
func (c *cloudUnderTest) grants() string {
	c.t.Helper()
	var names []string
	app := c.arm("GET", c.site("app1"), siteVersion, nil).text("identity", "principalId")
	list, _ := c.arm("GET", c.account()+"/providers/Microsoft.Authorization/roleAssignments", roleVersion, nil).at("value").([]any)
	for _, v := range list {
		raw, _ := json.Marshal(v)
		if strings.Contains(strings.ToLower(string(raw)), strings.ToLower(`"scope":"`+c.account())) {
			who := string(regexp.MustCompile(`"principalId":"[^"]+"`).Find(raw))
			if app != "" && strings.Contains(who, app) {
				who = "app1"
			}
			names = append(names, who)
		}
	}
	sort.Strings(names)
	return strings.Join(names, " ")
}

// stage is a cloud with one of everything and a connector before it.
func stage(t testing.TB) (*cloudUnderTest, *connector) {
	t.Helper()
	c := startCloud(t)
	c.makeGroup()
	c.makeSite("app1", map[string]string{"FOREIGN": "theirs", "azure_redis_connectionstring": "mine"})
	c.makeCache()
	c.makeAccount()
	c.makeServer("pg1")
	return c, c.newConnector()
}

// writes lists the writes of our engine since the log was emptied, once each.
func (s *connector) writes() []logged {
	s.cloud.t.Helper()
	seen := map[string]bool{}
	var out []logged
	for _, r := range s.cloud.requests() {
		write := r.Method == "PUT" || r.Method == "PATCH" || r.Method == "DELETE"
		if key := r.Method + " " + strings.ToLower(r.Path); write && r.Caller == s.engine.ObjectID && !seen[key] {
			seen[key] = true
			out = append(out, r)
		}
	}
	return out
}

// hurts are the ways a write can fail. times is how often, retries included; the undo
// that comes after them meets a healthy cloud.
func hurts() []map[string]any {
	return []map[string]any{
		{"name": "403", "status": 403, "when": "before", "times": 1},
		{"name": "500", "status": 500, "when": "before", "times": 3},
		{"name": "drop before", "drop": true, "when": "before", "times": 3},
		{"name": "drop after", "drop": true, "when": "after", "times": 3},
	}
}

// TestEveryWriteIsUndone fails each write of each verb in each way, as recorded from
// an undisturbed run, and compares the world with what it was before.
func TestEveryWriteIsUndone(t *testing.T) {
	t.Parallel()
	type linker func(c *cloudUnderTest) map[string]any
	bodies := map[string]struct{ first, other linker }{
		"pgid": {func(c *cloudUnderTest) map[string]any { return databaseByIdentity(c, "pg1") },
			func(c *cloudUnderTest) map[string]any { return databaseByPassword(c, "pg1", "pgadmin", adminPassword) }},
		"blob": {blobByIdentity, func(c *cloudUnderTest) map[string]any {
			return body(c.account()+"/blobServices/default", map[string]any{"authType": "secret"})
		}},
		"cache": {cacheByKey, func(c *cloudUnderTest) map[string]any {
			return body(c.cache()+"/databases/0", map[string]any{"authType": "systemAssignedIdentity"})
		}},
	}
	for name, is := range bodies {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c, s := stage(t)
			s.start()
			create := func() answer { return s.do("PUT", s.linker("app1", name), is.first(c)) }
			update := func() answer { return s.do("PUT", s.linker("app1", name), is.other(c)) }
			remove := func() answer { return s.do("DELETE", s.linker("app1", name), nil) }
			s.failEach(t, "create", create, remove)
			create()
			s.failEach(t, "update", update, create)
			s.failEach(t, "delete", remove, create)
		})
	}
}

// failEach records what do writes, restores with back, then fails each write in turn.
// A failed deletion of scaffolding is healed by trying again: then the verb succeeds.
func (s *connector) failEach(t *testing.T, verb string, do, back func() answer) {
	c := s.cloud
	before := c.snapshot()
	c.forget()
	if op := do(); op.text("status") != "Succeeded" {
		t.Fatalf("%s undisturbed: %s", verb, op.Raw)
	}
	writes := s.writes()
	if len(writes) == 0 {
		t.Fatalf("%s wrote nothing", verb)
	}
	after := c.snapshot()
	back()
	for _, w := range writes {
		for _, hurt := range hurts() {
			fault := map[string]any{"method": w.Method, "path": "(?i)^" + regexp.QuoteMeta(w.Path) + "$"}
			for k, v := range hurt {
				if k != "name" {
					fault[k] = v
				}
			}
			c.faults(fault)
			op := do()
			c.faults()
			title := fmt.Sprintf("%s, %s %s, %s", verb, w.Method, w.Path[strings.LastIndex(w.Path, "/providers/"):], hurt["name"])
			switch now := c.snapshot(); op.text("status") {
			case "Failed":
				if d := cmp.Diff(before, now); d != "" {
					t.Errorf("%s: not as before: %s\n%s", title, d, op.Raw)
				}
			case "Succeeded":
				if d := cmp.Diff(after, now); d != "" {
					t.Errorf("%s: healed, but not as after: %s", title, d)
				}
				back()
			default:
				t.Errorf("%s: %d %s", title, op.Status, op.Raw)
			}
		}
	}
}
