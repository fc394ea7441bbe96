package app

import (
	"bytes"
	"encoding/json"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestServicePrincipalLife: one service principal, three targets, an app that really
// signs in as it. The site itself gets no identity.
func TestServicePrincipalLife(t *testing.T) {
	t.Parallel()
	c, s := rooms(t, "app1")
	p := c.newPrincipal("shopper")
	before, world := c.settings("app1"), c.left()
	for _, name := range []string{"blob", "cache", "pg"} {
		were := c.settings("app1")
		s.put(t, name, c.targetsFor(p.auth())[name])
		want, prefix := c.documented(name, "aad_pg"), "AZURE_"+services[name]+"_"
		want[prefix+"CLIENTID"], want[prefix+"CLIENTSECRET"], want[prefix+"TENANTID"] = p.ClientID, p.ClientSecret, c.ready.TenantID
		if d := cmp.Diff(want, c.added("app1", were)); d != "" {
			t.Errorf("settings of %s: %s", name, d)
		}
	}
	one := []string{p.ObjectID}
	if h, e, u := c.holders(c.account()), c.entrants(), c.users(); !slices.Equal(h, one) || !slices.Equal(e, one) || !slices.Equal(u, []string{"aad_pg"}) {
		t.Errorf("roles %v, policies %v, users %v", h, e, u)
	}
	if got := c.carried("app1"); got != "" {
		t.Errorf("the app carries %q", got)
	}
	c.works(t, "app1", "connected")
	for name := range services {
		if d := s.drift("app1", name); d.text("state") != "InSync" {
			t.Errorf("drift of %s: %s", name, d.Raw)
		}
		for item, result := range s.validated(t, "app1", name) {
			if result != "success" { // nothing is left unproven: there is a secret to sign in with
				t.Errorf("validation of %s: %s %q", name, item, result)
			}
		}
	}
	s.hidesEverywhere(t, p.ClientSecret)
	for _, name := range []string{"cache", "pg", "blob"} {
		s.remove(t, name)
	}
	if d := cmp.Diff(world, c.left()); d != "" {
		t.Errorf("after all deletes: %s", d)
	}
	if d := cmp.Diff(before, c.settings("app1")); d != "" {
		t.Errorf("settings after all deletes: %s", d)
	}
}

// hidesEverywhere looks for a secret in what the server answers and keeps.
func (s *connector) hidesEverywhere(t *testing.T, secret string) {
	t.Helper()
	for _, path := range []string{s.cloud.site("app1") + "/providers/Microsoft.ServiceLinker/linkers", "/providers/Patchbay/operations"} {
		if a := s.call("GET", path, nil); a.Status != 200 || bytes.Contains(a.Raw, []byte(secret)) {
			t.Errorf("GET %s: %d, or it shows the secret", path, a.Status)
		}
	}
	for name := range services {
		a := s.call("POST", s.cloud.site("app1")+"/providers/Patchbay/connections/"+name+"/plan", map[string]any{})
		if a.Status != 200 || bytes.Contains(a.Raw, []byte(secret)) {
			t.Errorf("the plan of %s: %d, or it shows the secret", name, a.Status)
		}
		a = s.call("POST", s.linker("app1", name)+"/listConfigurations", nil)
		if a.Status != 200 || !bytes.Contains(a.Raw, []byte(secret)) {
			t.Errorf("listConfigurations of %s: %d, or it lacks the secret", name, a.Status)
		}
	}
	looked := 0
	err := filepath.WalkDir(s.home, func(path string, file fs.DirEntry, err error) error {
		if err != nil || file.IsDir() {
			return err
		}
		raw, err := os.ReadFile(path)
		if bytes.Contains(raw, []byte(secret)) {
			t.Errorf("%s holds the secret", path)
		}
		looked++
		return err
	})
	if err != nil || looked < 4 {
		t.Errorf("%d files were looked at: %v", looked, err)
	}
}

// TestServicePrincipalKeepsItsSecret: a linker that is read and written back, or patched,
// goes on with the secret it has; another principal needs its own.
func TestServicePrincipalKeepsItsSecret(t *testing.T) {
	t.Parallel()
	c, s := rooms(t, "app1")
	p, another := c.newPrincipal("shopper"), c.newPrincipal("another")
	s.put(t, "blob", c.targetsFor(p.auth())["blob"])
	const id, secret, endpoint = "AZURE_STORAGEBLOB_CLIENTID", "AZURE_STORAGEBLOB_CLIENTSECRET", "AZURE_STORAGEBLOB_RESOURCEENDPOINT"
	holds := func(when, wantID, wantSecret string) {
		t.Helper()
		if got := c.settings("app1"); got[id] != wantID || got[secret] != wantSecret {
			t.Errorf("%s the app signs in as %q, or has another secret", when, got[id])
		}
	}
	linker := s.call("GET", s.linker("app1", "blob"), nil)
	if linker.at("properties", "authInfo", "secret") != nil {
		t.Errorf("GET shows a secret: %s", linker.Raw)
	}
	s.put(t, "blob", linker.Body)
	holds("after GET and PUT", p.ClientID, p.ClientSecret)
	s.must(t, "PATCH", s.linker("app1", "blob"), map[string]any{"properties": map[string]any{"clientType": "python"}})
	holds("after PATCH", p.ClientID, p.ClientSecret)
	// What somebody took away comes back, secret and all.
	c.putSettings("app1", map[string]string{"FOREIGN": "theirs"})
	s.repair(t, "app1", "blob")
	holds("repaired", p.ClientID, p.ClientSecret)

	before := s.operations()
	c.forget()
	other := map[string]any{"authType": "servicePrincipalSecret", "clientId": another.ClientID, "principalId": another.ObjectID}
	linker.Body["properties"].(map[string]any)["authInfo"] = other
	for method, answered := range map[string]answer{
		"PUT":   s.call("PUT", s.linker("app1", "blob"), linker.Body),
		"PATCH": s.call("PATCH", s.linker("app1", "blob"), map[string]any{"properties": map[string]any{"authInfo": other}}),
	} {
		sentence(t, method+" of another principal without its secret", answered, 400, "SECRET_NEEDED")
	}
	s.quiet(t, "another principal without its secret", before)
	holds("refused", p.ClientID, p.ClientSecret)
	other["secret"] = another.ClientSecret
	s.must(t, "PATCH", s.linker("app1", "blob"), map[string]any{"properties": map[string]any{"authInfo": other}})
	holds("changed", another.ClientID, another.ClientSecret)
	if got := c.holders(c.account()); !slices.Equal(got, []string{another.ObjectID}) {
		t.Errorf("changed, the role is held by %v", got)
	}
	// And to an identity: no secret is left behind, nor a right of the principal.
	u := c.makeIdentity("user")
	s.must(t, "PATCH", s.linker("app1", "blob"), map[string]any{"properties": map[string]any{"authInfo": u.auth(c)}})
	if got := c.settings("app1"); got[id] != u.clientID || got[endpoint] == "" {
		t.Errorf("as an identity: %v", got)
	} else if _, there := got[secret]; there {
		t.Error("as an identity the app still has the secret")
	}
	if got := c.holders(c.account()); !slices.Equal(got, []string{u.principalID}) || c.carried("app1") != "UserAssigned user" {
		t.Errorf("as an identity: roles %v, the app carries %q", got, c.carried("app1"))
	}
	s.remove(t, "blob")
	if got := c.settings("app1"); len(got) != 1 || len(c.holders(c.account())) != 0 || c.carried("app1") != "" {
		t.Errorf("after delete: %v", got)
	}
}

// TestServicePrincipalWithoutKeeping: a secret that was not to be kept is asked for by
// name, and its absence does not stand in the way of a delete.
func TestServicePrincipalWithoutKeeping(t *testing.T) {
	t.Parallel()
	c, s := rooms(t, "app1")
	p := c.newPrincipal("shopper")
	world := c.left()
	raw, err := json.Marshal(c.targetsFor(p.auth())["pg"])
	if err != nil {
		t.Fatal(err)
	}
	a := s.raw(t, "PUT", versioned(s.linker("app1", "pg")), "Bearer "+c.token, map[string]string{"Content-Type": "application/json", "X-Patchbay-No-Keep-Secret": "true"}, raw)
	if op := s.await(a.Header.Get("X-Patchbay-Operation")); op.text("status") != "Succeeded" {
		t.Fatalf("create: %s", op.Raw)
	}
	sentence(t, "a repair", s.call("POST", c.site("app1")+"/providers/Patchbay/connections/pg/repair", nil), 400, "SECRET_NEEDED")
	s.remove(t, "pg")
	if d := cmp.Diff(world, c.left()); d != "" || len(c.added("app1", map[string]string{actAs: "", "AZURE_AUTHORITY_HOST": ""})) != 0 {
		t.Errorf("after delete: %s %v", d, c.settings("app1"))
	}
}

// TestServicePrincipalSecretIsTried: a wrong secret is found out by a validation; a
// right one that was withdrawn, too.
func TestServicePrincipalSecretIsTried(t *testing.T) {
	t.Parallel()
	c, s := rooms(t, "app1")
	p := c.newPrincipal("shopper")
	p.ClientSecret = "wrong"
	for name, linker := range c.targetsFor(p.auth()) {
		s.put(t, name, linker)
		got := s.validated(t, "app1", name)["Configured connection information validated."]
		if !strings.HasPrefix(got, "failure LOGIN_REFUSED") || !strings.Contains(got, "cannot sign in") {
			t.Errorf("%s: %q", name, got)
		}
	}
}

// leftOut is a step that is left out of a connection, and what then must not be there.
type leftOut struct {
	name    string
	change  func(properties map[string]any)
	absent  []string // what the engine must not write, as parts of paths
	present []string // what it must
}

func optOuts() []leftOut {
	set := func(object, member, value string) func(map[string]any) {
		return func(p map[string]any) {
			o, _ := p[object].(map[string]any)
			if o == nil {
				o = map[string]any{}
				p[object] = o
			}
			o[member] = value
		}
	}
	grants := []string{"roleAssignments", "accessPolicyAssignments", "/administrators", "/sites/app1$", "/redis/cache1$", "/flexibleServers/pg1$"}
	return []leftOut{
		{"network", set("publicNetworkSolution", "action", "optOut"), []string{"firewallRules", "/storageAccounts/store1$"}, []string{"appsettings"}},
		{"settings", set("configurationInfo", "action", "optOut"), []string{"appsettings"}, nil},
		{"auth", set("authInfo", "authMode", "optOutAllAuth"), grants, []string{"appsettings"}},
	}
}

// TestOptOuts leaves each step out of a connection to each target, signed in each way.
func TestOptOuts(t *testing.T) {
	t.Parallel()
	c, s := rooms(t, "app1")
	// Everything has a firewall that shuts out the app; the engine's own way in is open.
	door := map[string]any{"properties": map[string]any{"startIpAddress": localEgress, "endIpAddress": localEgress}}
	c.arm("PUT", c.server("pg1")+"/firewallRules/engine", serverVersion, door)
	c.arm("PUT", c.cache()+"/firewallRules/engine", cacheVersion, map[string]any{"properties": map[string]any{"startIP": localEgress, "endIP": localEgress}})
	c.arm("PATCH", c.account(), accountVersion, map[string]any{"location": "westeurope", "properties": map[string]any{"networkAcls": map[string]any{"defaultAction": "Deny", "bypass": "None"}}})
	u, p := c.makeIdentity("shopper"), c.newPrincipal("shopper")
	world, settings := c.left(), c.settings("app1")
	for way, auth := range map[string]func() map[string]any{
		"system identity": identity, "user identity": func() map[string]any { return u.auth(c) }, "service principal": p.auth,
	} {
		for name := range services {
			for _, out := range optOuts() {
				title := name + " by " + way + " without " + out.name
				linker := c.targetsFor(auth())[name]
				out.change(linker["properties"].(map[string]any))
				c.forget()
				s.put(t, "x", linker)
				for _, w := range s.writes() {
					if wrote(w, out.absent) {
						t.Errorf("%s: wrote %s %s", title, w.Method, w.Path)
					}
				}
				for _, part := range out.present {
					if !slices.ContainsFunc(s.writes(), func(w logged) bool { return wrote(w, []string{part}) }) {
						t.Errorf("%s: did not write %s", title, part)
					}
				}
				s.optedOut(t, title, out.name, name, auth()["clientId"])
				if d := s.drift("app1", "x"); d.text("state") != "InSync" {
					t.Errorf("%s: %s", title, d.Raw)
				}
				for item, result := range s.validated(t, "app1", "x") {
					// Without its rights a principal whose sign-in is tried is turned away, as it should be.
					tried := out.name == "auth" && way == "service principal"
					if strings.HasPrefix(result, "failure") && out.name != "network" && !tried {
						t.Errorf("%s: %s %s", title, item, result)
					}
				}
				s.remove(t, "x")
				if d := cmp.Diff(world, c.left()); d != "" || !cmp.Equal(settings, c.settings("app1")) {
					t.Fatalf("%s: after delete: %s %v", title, d, c.settings("app1"))
				}
			}
		}
	}
}

func wrote(w logged, parts []string) bool {
	return slices.ContainsFunc(parts, func(part string) bool {
		if whole, end := strings.CutSuffix(part, "$"); end {
			return strings.HasSuffix(strings.ToLower(w.Path), strings.ToLower(whole))
		}
		return strings.Contains(strings.ToLower(w.Path), strings.ToLower(part))
	})
}

// optedOut holds the world to what a connection without one step leaves in it.
func (s *connector) optedOut(t *testing.T, title, step, target string, clientID any) {
	t.Helper()
	c := s.cloud
	granted := len(c.holders(c.account())) + len(c.entrants()) + len(c.users())
	if (step == "auth") != (granted == 0) || step == "auth" && c.carried("app1") != "" {
		t.Errorf("%s: %d rights, the app carries %q", title, granted, c.carried("app1"))
	}
	settings := c.added("app1", map[string]string{actAs: "", "AZURE_AUTHORITY_HOST": ""})
	if (step == "settings") != (len(settings) == 0) {
		t.Errorf("%s: settings %v", title, settings)
	}
	if step != "settings" && clientID != nil && settings["AZURE_"+services[target]+"_CLIENTID"] != clientID {
		t.Errorf("%s: the app is not told whom it signs in as: %v", title, settings)
	}
}

// TestOptingOutLater: what a later request leaves out is taken away, and comes back.
func TestOptingOutLater(t *testing.T) {
	t.Parallel()
	c, s := rooms(t, "app1")
	u := c.makeIdentity("shopper")
	world := c.left()
	for name, linker := range c.targetsFor(u.auth(c)) {
		s.put(t, name, linker)
	}
	with := c.left()
	auth := func(mode any) map[string]any {
		a := u.auth(c)
		a["authMode"] = mode
		return map[string]any{"properties": map[string]any{"authInfo": a}}
	}
	for name := range services {
		s.must(t, "PATCH", s.linker("app1", name), auth("optOutAllAuth"))
	}
	if h, e, users := c.holders(c.account()), c.entrants(), c.users(); len(h)+len(e)+len(users) != 0 || c.carried("app1") != "" {
		t.Errorf("without rights: roles %v, policies %v, users %v, the app carries %q", h, e, users, c.carried("app1"))
	}
	for name := range services {
		s.must(t, "PATCH", s.linker("app1", name), auth(nil))
	}
	if d := cmp.Diff(with, c.left()); d != "" {
		t.Errorf("with rights again: %s", d)
	}
	c.works(t, "app1", "with rights again")
	for name := range services {
		s.must(t, "PATCH", s.linker("app1", name), map[string]any{"properties": map[string]any{"configurationInfo": map[string]any{"action": "optOut"}}})
	}
	if got := c.added("app1", map[string]string{actAs: "", "AZURE_AUTHORITY_HOST": ""}); len(got) != 0 {
		t.Errorf("without settings: %v", got)
	}
	for name := range services {
		s.remove(t, name)
	}
	if d := cmp.Diff(world, c.left()); d != "" {
		t.Errorf("after all deletes: %s", d)
	}
}

// TestIdentityOptionsOfTheCommandLine creates connections as people do.
func TestIdentityOptionsOfTheCommandLine(t *testing.T) {
	t.Parallel()
	c := startCloud(t)
	c.makeGroup()
	c.makeAccount()
	c.makeSite("app1", map[string]string{"FOREIGN": "theirs"})
	u, p := c.makeIdentity("shopper"), c.newPrincipal("shopper")
	term := c.alone()
	file := filepath.Join(term.home, "secret")
	if err := os.WriteFile(file, []byte(p.ClientSecret+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	run := func(code int, words string, args ...string) said {
		t.Helper()
		got := term.run(append(strings.Fields(words), args...)...)
		if got.code != code || strings.Contains(got.out+got.err, p.ClientSecret) {
			t.Fatalf("%s: exit %d, or it shows the secret\n%s%s", words, got.code, got.out, got.err)
		}
		return got
	}
	const create, at = "webapp connection create storage-blob -g rg1 -n app1 --tg rg1 --account store1 --client-type go --connection ", "-g rg1 -n app1 --connection "
	run(0, create+"byuser --user-identity client-id="+u.clientID+" subs-id="+c.ready.SubscriptionID)
	run(0, create+"byprincipal --service-principal client-id="+p.ClientID+" object-id="+p.ObjectID+" secret=@"+file)
	run(0, create+"without --opt-out auth configinfo publicnetwork --user-identity client-id="+u.clientID+" subs-id="+c.ready.SubscriptionID)
	settings := c.settings("app1")
	if settings["AZURE_STORAGEBLOB_CLIENTID"] != u.clientID || settings["AZURE_STORAGEBLOB_BYPRINCIPAL_CLIENTSECRET"] != p.ClientSecret {
		t.Errorf("settings %v", settings)
	}
	if got := c.carried("app1"); got != "UserAssigned shopper" {
		t.Errorf("the app carries %q", got)
	}
	for _, name := range []string{"byuser", "byprincipal", "without"} {
		run(0, "webapp connection validate "+at+name)
	}
	// A secret that was kept need not be given again; another principal's must.
	run(0, "webapp connection update storage-blob "+at+"byprincipal --client-type python")
	wrong := run(3, "webapp connection update storage-blob "+at+"byuser --user-identity client-id="+p.ClientID+" subs-id="+c.ready.SubscriptionID)
	if !strings.Contains(wrong.err, "IDENTITY_NOT_FOUND") || !strings.Contains(wrong.err, "patchbay rest GET") {
		t.Errorf("a client id of nobody: %s", wrong.err)
	}
	for words, missing := range map[string]string{
		"--user-identity client-id=x": "subs-id=", "--service-principal client-id=x object-id=y": "secret=", "--service-principal client-id=x secret=@" + file: "object-id=",
	} {
		if got := run(2, create+"bad "+words); !strings.Contains(got.err, missing) {
			t.Errorf("%s: %s", words, got.err)
		}
	}
	for _, name := range []string{"byuser", "byprincipal", "without"} {
		run(0, "webapp connection delete --yes "+at+name)
	}
	if got := c.settings("app1"); len(got) != 1 || len(c.holders(c.account())) != 0 || c.carried("app1") != "" {
		t.Errorf("after all deletes: %v", got)
	}
}
