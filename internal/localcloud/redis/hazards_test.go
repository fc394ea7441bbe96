package redis

import (
	"bufio"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	client "github.com/redis/go-redis/v9"

	"github.com/patchbay/patchbay/internal/localcloud/provider"
	"github.com/patchbay/patchbay/internal/localcloud/providertest"
)

func TestKeySignIn(t *testing.T) {
	t.Parallel()
	b := withCache(t)
	primary, secondary := b.keys()
	wantErr(t, b.client("", "", "127.0.0.1", tlsPort, 2).Get(b.ctx, "k").Err(), "NOAUTH")
	wantErr(t, b.client("", "", "127.0.0.1", tlsPort, 3).Set(b.ctx, "k", "v", 0).Err(), "NOAUTH")
	for _, c := range [][2]string{{"", "wrong"}, {"default", primary[:len(primary)-1]}, {"someone", primary}, {"", ""}} {
		for _, proto := range []int{2, 3} {
			err := b.client(c[0], c[1], "127.0.0.1", tlsPort, proto).Ping(b.ctx).Err()
			if err == nil || !strings.HasPrefix(err.Error(), "WRONGPASS") && !strings.HasPrefix(err.Error(), "NOAUTH") {
				t.Errorf("%q with protocol %d: %v", c, proto, err)
			}
		}
	}
	open := b.app("", secondary)
	if err := open.Ping(b.ctx).Err(); err != nil {
		t.Fatal(err)
	}
	r := b.run("POST", "/regenerateKey", provider.Document{"keyType": "Secondary"})
	if now := provider.Text(r.Body, "secondaryKey"); now == secondary || provider.Text(r.Body, "primaryKey") != primary {
		t.Error("the wrong key was regenerated")
	}
	wantErr(t, b.app("", secondary).Ping(b.ctx).Err(), "WRONGPASS")
	for _, key := range []string{primary, provider.Text(r.Body, "secondaryKey")} {
		if err := b.app("default", key).Ping(b.ctx).Err(); err != nil {
			t.Errorf("a current key: %v", err)
		}
	}
	if err := open.Ping(b.ctx).Err(); err != nil {
		t.Errorf("the open session: %v", err)
	}
	r2 := b.run("POST", "/regenerateKey", provider.Document{"keyType": "Primary"})
	if provider.Text(r2.Body, "primaryKey") == primary || provider.Text(r2.Body, "secondaryKey") != provider.Text(r.Body, "secondaryKey") {
		t.Error("the wrong key was regenerated")
	}
	wantErr(t, b.app("", primary).Ping(b.ctx).Err(), "WRONGPASS")
	primary = provider.Text(r2.Body, "primaryKey")
	b.run("PATCH", "", provider.Document{"properties": map[string]any{"disableAccessKeyAuthentication": true}})
	wantErr(t, b.app("", primary).Ping(b.ctx).Err(), "WRONGPASS")
	if doc := fmt.Sprint(b.run("GET", "", nil).Body); strings.Contains(doc, primary) || strings.Contains(b.cloud.Logged(), primary) {
		t.Error("a key shows in the document or the log")
	}
}

func TestEntraSignIn(t *testing.T) {
	t.Parallel()
	b := withCache(t)
	app, other := b.identity("app"), b.identity("other")
	token := b.token(app, publicAudience)
	wantErr(t, b.app(app.ObjectID, token).Ping(b.ctx).Err(), "WRONGPASS") // no assignment
	pending, err := b.front.Do(b.ctx, "PUT", cacheID+"/accessPolicyAssignments/a1", provider.Document{"properties": map[string]any{
		"accessPolicyName": "Data Contributor", "objectId": app.ObjectID, "objectIdAlias": "app",
	}})
	if err != nil || pending.Status != 201 {
		t.Fatalf("%+v, %v", pending, err)
	}
	wantErr(t, b.app(app.ObjectID, token).Ping(b.ctx).Err(), "WRONGPASS") // not in force yet
	if err := pending.Finish(b.ctx); err != nil {
		t.Fatal(err)
	}
	c := b.app(app.ObjectID, token)
	if err := c.Set(b.ctx, "k", "v", 0).Err(); err != nil {
		t.Fatal(err)
	}
	if err := b.app(app.ObjectID, b.token(app, b.cloud.URL()+"/redis")).Ping(b.ctx).Err(); err != nil {
		t.Errorf("the local audience: %v", err)
	}
	for name, pair := range map[string][2]string{
		"another's token":  {app.ObjectID, b.token(other, publicAudience)},
		"another's name":   {other.ObjectID, token},
		"another audience": {app.ObjectID, b.token(app, "https://vault.azure.net")},
		"token as the key": {"default", token},
		"no token":         {app.ObjectID, "x"},
	} {
		t.Run(name, func(t *testing.T) { wantErr(t, b.app(pair[0], pair[1]).Ping(b.ctx).Err(), "WRONGPASS") })
	}
	b.run("PATCH", "", provider.Document{"properties": map[string]any{"redisConfiguration": map[string]any{"aad-enabled": "False"}}})
	wantErr(t, b.app(app.ObjectID, token).Ping(b.ctx).Err(), "WRONGPASS")
	b.run("PATCH", "", provider.Document{"properties": map[string]any{"redisConfiguration": map[string]any{"aad-enabled": "True"}}})

	b.run("DELETE", "/accessPolicyAssignments/a1", nil)
	wantErr(t, c.Get(b.ctx, "k").Err(), "NOPERM") // the open session loses its rights
	wantErr(t, b.app(app.ObjectID, token).Ping(b.ctx).Err(), "WRONGPASS")

	b.assign("a2", "Data Owner", app)
	b.cloud.Advance(2 * time.Hour)
	wantErr(t, c.Get(b.ctx, "k").Err(), "NOAUTH") // the token behind the session has ended
	wantErr(t, b.app(app.ObjectID, token).Ping(b.ctx).Err(), "WRONGPASS")
	if err := b.app(app.ObjectID, b.token(app, publicAudience)).Ping(b.ctx).Err(); err != nil {
		t.Errorf("a fresh token: %v", err)
	}
}

func TestAccessPolicies(t *testing.T) {
	t.Parallel()
	b := withCache(t)
	ok := func(err error) string {
		switch {
		case err == nil || errors.Is(err, client.Nil):
			return "ok"
		case strings.HasPrefix(err.Error(), "NOPERM"):
			return "NOPERM"
		}
		return err.Error()
	}
	calls := map[string]func(c *client.Client) error{
		"get":    func(c *client.Client) error { return c.Get(b.ctx, "k").Err() },
		"select": func(c *client.Client) error { return c.Do(b.ctx, "SELECT", 1).Err() },
		"set":    func(c *client.Client) error { return c.Set(b.ctx, "k", "v", 0).Err() },
		"script": func(c *client.Client) error {
			return c.Eval(b.ctx, "return redis.call('set','k','v')", []string{"k"}).Err()
		},
		"readjob": func(c *client.Client) error {
			return c.EvalRO(b.ctx, "return redis.call('get','k')", []string{"k"}).Err()
		},
		"tx": func(c *client.Client) error {
			_, err := c.TxPipelined(b.ctx, func(p client.Pipeliner) error { p.Set(b.ctx, "k", "v", 0); return nil })
			return err
		},
		"flush": func(c *client.Client) error { return c.FlushDB(b.ctx).Err() },
	}
	for policy, want := range map[string]map[string]string{
		"Data Owner":       {"get": "ok", "select": "ok", "set": "ok", "script": "ok", "readjob": "ok", "tx": "ok", "flush": "ok"},
		"Data Contributor": {"get": "ok", "select": "ok", "set": "ok", "script": "ok", "readjob": "ok", "tx": "ok", "flush": "NOPERM"},
		"Data Reader":      {"get": "ok", "select": "ok", "set": "NOPERM", "script": "NOPERM", "readjob": "NOPERM", "tx": "NOPERM", "flush": "NOPERM"},
	} {
		p := b.identity(policy)
		b.assign(strings.ReplaceAll(policy, " ", ""), policy, p)
		c := b.app(p.ObjectID, b.token(p, publicAudience))
		for name, call := range calls {
			if got := ok(call(c)); got != want[name] {
				t.Errorf("%s may %s: %s, want %s", policy, name, got, want[name])
			}
		}
	}
	r := b.run("GET", "/accessPolicies/", nil)
	if n := len(r.Body["value"].([]any)); n != 3 {
		t.Errorf("%d policies listed", n)
	}
}

func TestFirewall(t *testing.T) {
	t.Parallel()
	b := withCache(t)
	key, _ := b.keys()
	from := func(source string) error { return b.client("", key, source, tlsPort, 3).Ping(b.ctx).Err() }
	if err := from("127.0.0.5"); err != nil {
		t.Errorf("no rule: %v", err)
	}
	rule := func(first, last string) provider.Document {
		return provider.Document{"properties": map[string]any{"startIP": first, "endIP": last}}
	}
	if s := b.run("PUT", "/firewallRules/one", rule("127.0.0.5", "127.0.0.6")).Status; s != 201 {
		t.Errorf("new rule: %d", s)
	}
	if s := b.run("PUT", "/firewallRules/one", rule("127.0.0.5", "127.0.0.7")).Status; s != 200 {
		t.Errorf("changed rule: %d", s)
	}
	if err := from("127.0.0.7"); err != nil {
		t.Errorf("inside: %v", err)
	}
	if err := from("127.0.0.8"); err == nil {
		t.Error("outside the first rule, and let in")
	}
	b.run("DELETE", "/firewallRules/one", nil)
	if err := from("127.0.0.8"); err != nil {
		t.Errorf("after the last rule: %v", err)
	}
	b.run("PATCH", "", provider.Document{"properties": map[string]any{"publicNetworkAccess": "Disabled"}})
	if err := from("127.0.0.8"); err == nil {
		t.Error("public access is off, and let in")
	}
}

// TestProtocol speaks the protocol by hand where clients hide it.
func TestProtocol(t *testing.T) {
	t.Parallel()
	b := withCache(t)
	b.run("PATCH", "", provider.Document{"properties": map[string]any{"enableNonSslPort": true}})
	key, _ := b.keys()
	for name, c := range map[string]struct{ sent, want string }{
		"hello before sign-in":  {"HELLO 3", "-NOAUTH HELLO must"},
		"hello, wrong key":      {"HELLO 3 AUTH default nope", "-WRONGPASS"},
		"hello, right key":      {"HELLO 2 AUTH default " + key, "*14"},
		"hello, name set":       {"HELLO 2 AUTH default " + key + " SETNAME me", "*14"},
		"hello, auth cut short": {"HELLO 2 AUTH default", "-NOAUTH HELLO must"},
		"auth, too many":        {"AUTH a b c", "-ERR wrong number"},
		"auth, too few":         {"AUTH", "-ERR wrong number"},
		"a bare key":            {"AUTH " + key, "+OK"},
		"not signed in":         {"GET k", "-NOAUTH"},
		"unknown, unsigned":     {"NONSENSE", "-NOAUTH"},
		"quit":                  {"QUIT", "+OK"},
	} {
		t.Run(name, func(t *testing.T) {
			conn, err := net.Dial("tcp", net.JoinHostPort(b.cloud.Address(cacheID), "6379"))
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			_ = conn.SetDeadline(time.Now().Add(5 * time.Second))
			words := strings.Fields(c.sent)
			fmt.Fprintf(conn, "*%d\r\n", len(words))
			for _, w := range words {
				fmt.Fprintf(conn, "$%d\r\n%s\r\n", len(w), w)
			}
			line, err := bufio.NewReader(conn).ReadString('\n')
			if err != nil || !strings.HasPrefix(line, c.want) {
				t.Errorf("answered %q, %v", line, err)
			}
		})
	}
}

func TestPlainPort(t *testing.T) {
	t.Parallel()
	b := withCache(t)
	key, _ := b.keys()
	plain := func() error { return b.client("", key, "127.0.0.1", plainPort, 3).Ping(b.ctx).Err() }
	if plain() == nil {
		t.Error("the port without TLS is open")
	}
	b.run("PATCH", "", provider.Document{"properties": map[string]any{"enableNonSslPort": true}})
	if err := plain(); err != nil {
		t.Error(err)
	}
	b.run("PATCH", "", provider.Document{"properties": map[string]any{"enableNonSslPort": false}})
	if plain() == nil {
		t.Error("the port without TLS is open again")
	}
}

func TestDatabases(t *testing.T) {
	t.Parallel()
	b := withCache(t)
	key, _ := b.keys()
	c := b.app("", key).Conn()
	defer c.Close()
	if err := c.Select(b.ctx, 15).Err(); err != nil {
		t.Error(err)
	}
	wantErr(t, c.Select(b.ctx, 16).Err(), "ERR DB index is out of range")
	// A key that expires does so by the clock.
	if err := c.Set(b.ctx, "brief", "v", 20*time.Millisecond).Err(); err != nil {
		t.Fatal(err)
	}
	for deadline := time.Now().Add(5 * time.Second); c.Exists(b.ctx, "brief").Val() != 0; time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("a key outlived its time")
		}
	}
}

func TestUpdateIsSeenWhenDone(t *testing.T) {
	t.Parallel()
	b := withCache(t)
	r, err := b.front.Do(b.ctx, "PATCH", cacheID, provider.Document{"tags": map[string]any{"a": "b"}, "properties": map[string]any{"disableAccessKeyAuthentication": true, "hostName": "x"}})
	if err != nil || r.Status != 200 || provider.Text(r.Body, "properties", "provisioningState") != "Updating" {
		t.Fatalf("answered %+v, %v", r, err)
	}
	doc := b.run("GET", "", nil).Body
	if flag(doc, "properties", "disableAccessKeyAuthentication") || provider.Text(doc, "properties", "provisioningState") != "Updating" {
		t.Errorf("in between: %v", doc)
	}
	var f *provider.Fault
	if _, err := b.front.Do(b.ctx, "PATCH", cacheID, provider.Document{}); !errors.As(err, &f) || f.Status != 409 {
		t.Errorf("a second update meanwhile: %v", err)
	}
	if err := r.Finish(b.ctx); err != nil {
		t.Fatal(err)
	}
	doc = b.run("GET", "", nil).Body
	if !flag(doc, "properties", "disableAccessKeyAuthentication") || provider.Text(doc, "properties", "provisioningState") != "Succeeded" ||
		provider.Text(doc, "tags", "a") != "b" || provider.Text(doc, "properties", "hostName") != b.cloud.Address(cacheID) {
		t.Errorf("at the end: %v", doc)
	}
}

func TestResume(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	p := b.boot()
	b.run("PUT", "", cacheBody(nil))
	key, _ := b.keys()
	if err := b.app("", key).Set(b.ctx, "k", "v", 0).Err(); err != nil {
		t.Fatal(err)
	}
	if err := p.Close(); err != nil {
		t.Fatal(err)
	}
	if err := b.app("", key).Ping(b.ctx).Err(); err == nil {
		t.Error("the cache outlived its cloud")
	}
	if err := b.boot().Resume(b.ctx); err != nil {
		t.Fatal(err)
	}
	if err := b.app("", key).Get(b.ctx, "k").Err(); !errors.Is(err, client.Nil) {
		t.Errorf("after a restart: %v, want an empty cache", err)
	}
}

func TestRefusedWrites(t *testing.T) {
	t.Parallel()
	b := withCache(t)
	rule := func(first, last string) provider.Document {
		return provider.Document{"properties": map[string]any{"startIP": first, "endIP": last}}
	}
	p := b.identity("app")
	b.assign("taken", "Data Owner", p)
	for name, c := range map[string]struct {
		method, path string
		body         provider.Document
		status       int
	}{
		"rule name":        {"PUT", "/firewallRules/a-b", rule("1.1.1.1", "1.1.1.1"), 400},
		"rule range":       {"PUT", "/firewallRules/a", rule("1.1.1.2", "1.1.1.1"), 400},
		"rule IPv6":        {"PUT", "/firewallRules/a", rule("::1", "::1"), 400},
		"unknown policy":   {"PUT", "/accessPolicyAssignments/a", provider.Document{"properties": map[string]any{"accessPolicyName": "x", "objectId": "o", "objectIdAlias": "a"}}, 400},
		"second for one":   {"PUT", "/accessPolicyAssignments/a", provider.Document{"properties": map[string]any{"accessPolicyName": "Data Reader", "objectId": p.ObjectID, "objectIdAlias": "a"}}, 400},
		"unknown key":      {"POST", "/regenerateKey", provider.Document{"keyType": "third"}, 400},
		"unknown policies": {"GET", "/accessPolicies/none", nil, 404},
	} {
		t.Run(name, func(t *testing.T) {
			var f *provider.Fault
			if _, err := b.front.Run(b.ctx, c.method, cacheID+c.path, c.body); !errors.As(err, &f) || f.Status != c.status {
				t.Errorf("got %v, want %d", err, c.status)
			}
		})
	}
	empty := &bench{t: t, ctx: b.ctx, cloud: providertest.New(t)}
	empty.boot()
	for call, body := range map[string]provider.Document{
		"POST /listKeys": nil, "POST /regenerateKey": {"keyType": "Primary"}, "PATCH ": {}, "PUT /firewallRules/a": rule("1.1.1.1", "1.1.1.1"), "GET /accessPolicies/Data Owner": nil,
	} {
		method, path, _ := strings.Cut(call, " ")
		var f *provider.Fault
		if _, err := empty.front.Run(b.ctx, method, cacheID+path, body); !errors.As(err, &f) || f.Status != 404 {
			t.Errorf("%s without a cache: %v", call, err)
		}
	}
}

func FuzzParseRange(f *testing.F) {
	f.Add("1.2.3.4", "1.2.3.5")
	f.Fuzz(func(t *testing.T, first, last string) {
		r, err := parseRange(first, last)
		if err == nil && (r.last.Less(r.first) || !r.first.Is4()) {
			t.Errorf("%q-%q became %v", first, last, r)
		}
	})
}

func TestAdmits(t *testing.T) {
	t.Parallel()
	broken := []provider.Document{{"properties": map[string]any{"startIP": "x", "endIP": "y"}}}
	if admits(provider.Document{}, broken, netip.MustParseAddr("127.0.0.1")) {
		t.Error("a broken rule opens the cache")
	}
	if admits(nil, nil, netip.MustParseAddr("127.0.0.1")) {
		t.Error("a cache that is gone admits")
	}
}
