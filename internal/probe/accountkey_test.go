package probe_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/patchbay/patchbay/internal/connection"
	"github.com/patchbay/patchbay/internal/localcloud/cql"
	"github.com/patchbay/patchbay/internal/localcloud/gremlin"
	"github.com/patchbay/patchbay/internal/localcloud/mongo"
	"github.com/patchbay/patchbay/internal/probe"
	"github.com/patchbay/patchbay/internal/problem"
)

// An account of Cosmos DB, whichever of the three protocols it speaks.

const masterKey = "canary+/key=="

// doors is an account's state as its protocol peer asks for it.
type doors struct {
	mongo.Memory
	mu     sync.Mutex
	key    string
	closed bool
}

func (d *doors) current(user string) []string {
	d.mu.Lock()
	defer d.mu.Unlock()
	if user != "" && user != "acc" || d.key == "" {
		return nil
	}
	return []string{d.key}
}

func (d *doors) set(key string, closed bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.key, d.closed = key, closed
}

func (d *doors) Allow(netip.Addr) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.closed {
		return errors.New("closed")
	}
	return nil
}

type mongoDoors struct{ *doors }

func (d mongoDoors) Secrets(user string) (out []mongo.Secret) {
	for _, key := range d.current(user) {
		out = append(out, mongo.Secret{Password: key})
	}
	return out
}

type cqlDoors struct{ *doors }

func (d cqlDoors) Secrets(user string) (out []cql.Secret) {
	for _, key := range d.current(user) {
		out = append(out, cql.Secret{Password: key})
	}
	return out
}

type gremlinDoors struct{ *doors }

func (d gremlinDoors) Keys() (out []gremlin.Key) {
	for _, key := range d.current("") {
		out = append(out, gremlin.Key{Secret: key})
	}
	return out
}

func (d gremlinDoors) Has(database, graph string) bool {
	return slices.Contains(d.Collections(database), graph)
}

// speaking is one of the protocols.
type speaking struct {
	target, protocol, fact string
	clients                []string
	serve                  func(l net.Listener, a *authority, d *doors) interface{ Close() error }
}

func protocols() []speaking {
	return []speaking{
		{"cosmos-mongo", "mongo", "mongoEndpoint", []string{"dotnet", "java", "python", "nodejs", "go", "springBoot", "none"},
			func(l net.Listener, a *authority, d *doors) interface{ Close() error } {
				return mongo.Serve(l, mongo.Config{TLS: tlsOf(a), Host: mongoDoors{d}, Address: "acc.test:10255", ReplicaSet: "globaldb"})
			}},
		{"cosmos-cassandra", "cql", "cassandraEndpoint", []string{"dotnet", "java", "python", "nodejs", "go", "springBoot", "none"},
			func(l net.Listener, a *authority, d *doors) interface{ Close() error } {
				return cql.Serve(l, cql.Config{TLS: tlsOf(a), Host: cqlDoors{d}, Address: netip.MustParseAddrPort("127.0.0.1:10350"), Datacenter: "West Europe"})
			}},
		{"cosmos-gremlin", "gremlin", "gremlinEndpoint", []string{"dotnet", "java", "python", "nodejs", "go", "php", "none"},
			func(l net.Listener, a *authority, d *doors) interface{ Close() error } {
				return gremlin.Serve(l, tlsOf(a), gremlinDoors{d})
			}},
	}
}

// keyAccount is a running account behind the name acc.test, with ARM at arm.test.
type keyAccount struct {
	speaking
	t     *testing.T
	doors *doors
	roots *authority
	port  string
	arm   *httptest.Server
}

func (s speaking) start(t *testing.T) *keyAccount {
	t.Helper()
	a, err := newAuthority()
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	k := &keyAccount{speaking: s, t: t, doors: &doors{key: masterKey}, roots: a}
	if err := k.doors.Create("shop", "lines"); err != nil {
		t.Fatal(err)
	}
	_, k.port, _ = net.SplitHostPort(l.Addr().String())
	server := s.serve(l, a, k.doors)
	t.Cleanup(func() {
		if err := server.Close(); err != nil {
			t.Error(err)
		}
	})
	k.arm = httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case r.Method != http.MethodPost || r.Header.Get("Authorization") != "Bearer canary-token":
			http.Error(w, "{}", http.StatusForbidden)
		case strings.Contains(r.URL.Path, "listConnectionStrings"):
			fmt.Fprintf(w, `{"connectionStrings":[{"connectionString":"mongodb://acc:%s@acc.test:10255/?ssl=true&replicaSet=globaldb"}]}`, url.QueryEscape(masterKey))
		default:
			fmt.Fprintf(w, `{"primaryMasterKey":%q}`, masterKey)
		}
	}))
	k.arm.TLS = tlsOf(a)
	k.arm.StartTLS()
	t.Cleanup(k.arm.Close)
	return k
}

func (k *keyAccount) options() probe.Options {
	return probe.Options{Roots: k.roots.roots, Dial: func(ctx context.Context, network, address string) (net.Conn, error) {
		at := "127.0.0.1:" + k.port
		if strings.HasPrefix(address, "arm.test") {
			at = k.arm.Listener.Addr().String()
		}
		return new(net.Dialer).DialContext(ctx, network, at)
	}}
}

func (k *keyAccount) facts(more map[string]string) connection.Facts {
	all := map[string]string{k.fact: "https://acc.test:443/", "audience": "https://arm.test/", "location": "West Europe", "apiVersion": "2025-10-15"}
	maps.Copy(all, more)
	return known(k.target, k.protocol, all)
}

func (k *keyAccount) settings(c *connection.Connection, change map[string]string) map[string]connection.Value {
	values := map[string]string{"host": "acc.test", "login": "acc", "account": "acc", "accountKey": masterKey, "database": "shop", "keyspace": "shop", "graph": "lines",
		"location": "West Europe", "endpoint": "https://acc.documents.test:443/", "management": "https://arm.test", "subscriptionId": "s", "resourceGroup": "rg"}
	maps.Copy(values, change)
	return written(k.t, k.target, c, principalValues(values))
}

const (
	keySettings = "Configured connection information validated."
	keyNetwork  = "Target network access validated."
)

func TestAccountKeyEveryClient(t *testing.T) {
	t.Parallel()
	for _, s := range protocols() {
		k := s.start(t)
		p := probe.New(k.options())
		for _, client := range k.clients {
			c := link(k.target, secret, client)
			check(t, p.Probe(t.Context(), c, k.facts(nil), k.settings(c, nil)), "", exists, open, fine)
			got := p.Probe(t.Context(), c, k.facts(nil), k.settings(c, map[string]string{"accountKey": "canary-old"}))
			check(t, got, "patchbay repair --id "+linker+" --force", exists, open, finding(keySettings, "failure", problem.LoginRefused))
		}
	}
}

func TestAccountKeyFaults(t *testing.T) {
	t.Parallel()
	for _, s := range protocols() {
		k := s.start(t)
		p := probe.New(k.options())
		c := link(k.target, secret, "go")
		k.doors.set("", false)
		got := p.Probe(t.Context(), c, k.facts(map[string]string{"keysOff": "true"}), k.settings(c, nil))
		check(t, got, "disableLocalAuth", exists, open, finding(keySettings, "failure", problem.KeyAccessDisabled))
		k.doors.set(masterKey, true)
		got = p.Probe(t.Context(), c, k.facts(nil), k.settings(c, nil))
		check(t, got, "patchbay repair", exists, finding("Target service firewall validated.", "failure", problem.FirewallClosed))
		got = p.Probe(t.Context(), c, k.facts(map[string]string{connection.FactAddresses: "20.0.0.1"}), k.settings(c, nil))
		check(t, got, "does not let in Patchbay's own address", exists, open, unproven)
		k.doors.set(masterKey, false)
		missing := k.settings(c, nil)
		for name := range missing {
			delete(missing, name)
			break
		}
		check(t, p.Probe(t.Context(), c, k.facts(nil), missing), "patchbay repair", exists, open, finding(keySettings, "failure", problem.SettingMissing))
		nobody := k.options()
		nobody.Dial = func(ctx context.Context, network, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, network, "127.0.0.1:1")
		}
		check(t, probe.New(nobody).Probe(t.Context(), c, k.facts(nil), k.settings(c, nil)), "nothing listens", exists, finding(keyNetwork, "failure", problem.TargetNoAnswer))
	}
}

// TestAccountKeyByIdentity: with the principal's token the app's whole way is gone, by
// way of ARM; without one no more is said than was seen.
func TestAccountKeyByIdentity(t *testing.T) {
	t.Parallel()
	for _, s := range protocols() {
		k := s.start(t)
		c := link(k.target, system, "python")
		check(t, probe.New(k.options()).Probe(t.Context(), c, k.facts(nil), k.settings(c, nil)), "asks ARM for the account's key", exists, open, fine)
		off := k.facts(map[string]string{"keysOff": "true"})
		check(t, probe.New(k.options()).Probe(t.Context(), c, off, k.settings(c, nil)), `patchbay rest PATCH `+group+`/providers/Microsoft.DocumentDB/databaseAccounts/acc?api-version=2025-10-15 -b '{"properties":{"disableLocalAuth":false}}' --wait`,
			exists, open, finding(keySettings, "failure", problem.KeyAccessDisabled))
		onData := link(k.target, system, "python", func(c *connection.Connection) { c.Properties.Auth.Roles = []string{"Cosmos DB Built-in Data Reader"} })
		check(t, probe.New(k.options()).Probe(t.Context(), onData, off, k.settings(onData, nil)), "only the app has its identity's token", exists, open, fine)
		for token, want := range map[string][]string{
			"canary-token": {exists, open, fine},
			"canary-other": {exists, open, fine, finding("Managed Identity permissions validated.", "warning", "")},
		} {
			o := k.options()
			o.SignIn = directory(t, "https://arm.test/", token)
			c := principal(k.target, "python")
			check(t, probe.New(o).Probe(t.Context(), c, k.facts(nil), k.settings(c, nil)), "", want...)
		}
	}
}

func TestCassandraPlaces(t *testing.T) {
	t.Parallel()
	k := protocols()[1].start(t)
	p := probe.New(k.options())
	c := link(k.target, secret, "springBoot")
	got := p.Probe(t.Context(), c, k.facts(nil), k.settings(c, map[string]string{"location": "East US"}))
	check(t, got, "data centre", exists, open, finding(keySettings, "failure", problem.SettingChanged))
	got = p.Probe(t.Context(), c, k.facts(nil), k.settings(c, map[string]string{"keyspace": `or"ders`}))
	check(t, got, "patchbay rest PUT", exists, open, finding(keySettings, "failure", problem.DatabaseMissing))
}

func TestGremlinGraphMissing(t *testing.T) {
	t.Parallel()
	k := protocols()[2].start(t)
	c := link(k.target, secret, "php")
	got := probe.New(k.options()).Probe(t.Context(), c, k.facts(nil), k.settings(c, map[string]string{"graph": "others"}))
	check(t, got, `-b '{"properties":{"resource":{"id":"others"}}}'`, exists, open, finding(keySettings, "failure", problem.DatabaseMissing))
}

// TestAtlas: the secret is the whole connection string, for Java with a word before it.
func TestAtlas(t *testing.T) {
	t.Parallel()
	k := protocols()[0].start(t)
	k.target = "mongodb-atlas"
	p := probe.New(k.options())
	for _, client := range []string{"dotnet", "java", "php", "ruby", "django", "springBoot", "none"} {
		c := link("mongodb-atlas", secret, client)
		whole := func(password string) map[string]connection.Value {
			return written(t, "mongodb-atlas", c, map[string]string{"password": "mongodb://acc:" + url.QueryEscape(password) + "@acc.test:10255/?tls=true"})
		}
		check(t, p.Probe(t.Context(), c, k.facts(nil), whole(masterKey)), "", exists, open, fine)
		check(t, p.Probe(t.Context(), c, k.facts(nil), whole("canary-old")), "--secret secret=@FILE", exists, open, finding(keySettings, "failure", problem.LoginRefused))
	}
	c := link("mongodb-atlas", secret, "go")
	nonsense := written(t, "mongodb-atlas", c, map[string]string{"password": "mongodb://acc:canary@acc.test:1:2/?x"})
	check(t, p.Probe(t.Context(), c, k.facts(nil), nonsense), "", exists, open, finding(keySettings, "failure", problem.SettingChanged))
}
