package probe_test

import (
	"context"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/patchbay/patchbay/internal/catalog"
	"github.com/patchbay/patchbay/internal/connection"
	"github.com/patchbay/patchbay/internal/probe"
	"github.com/patchbay/patchbay/internal/problem"
)

const (
	group    = "/subscriptions/11111111-1111-1111-1111-111111111111/resourceGroups/rg"
	site     = group + "/providers/Microsoft.Web/sites/shop"
	linker   = site + "/providers/Microsoft.ServiceLinker/linkers/orders"
	secret   = connection.AuthSecret
	system   = connection.AuthSystemIdentity
	password = `p;w '"d%`
)

// ids of a connection's target by the catalog's name.
var ids = map[string]string{
	"postgres-flexible": group + "/providers/Microsoft.DBforPostgreSQL/flexibleServers/pg1/databases/orders",
	"mysql-flexible":    group + "/providers/Microsoft.DBforMySQL/flexibleServers/my1/databases/orders",
	"redis":             group + "/providers/Microsoft.Cache/redis/cache1/databases/0",
	"storage-blob":      group + "/providers/Microsoft.Storage/storageAccounts/account1/blobServices/default",
	"cosmos-mongo":      group + "/providers/Microsoft.DocumentDB/databaseAccounts/acc/mongodbDatabases/shop",
	"cosmos-cassandra":  group + "/providers/Microsoft.DocumentDB/databaseAccounts/acc/cassandraKeyspaces/shop",
	"cosmos-gremlin":    group + "/providers/Microsoft.DocumentDB/databaseAccounts/acc/gremlinDatabases/shop/graphs/lines",
	"mongodb-atlas":     group + "/providers/MongoDB.Atlas/organizations/o",
}

func link(target, auth, client string, change ...func(*connection.Connection)) *connection.Connection {
	c := &connection.Connection{ID: linker, Name: "orders", Source: site, Properties: connection.Properties{
		Target: connection.Target{Type: "AzureResource", ID: ids[target]}, Auth: &connection.Auth{Type: auth}, ClientType: client,
	}}
	if target == "postgres-flexible" && auth == secret {
		c.Properties.Auth.Name = "app"
	}
	for _, f := range change {
		f(c)
	}
	return c
}

// known makes the facts of a target out of plain words.
func known(target, protocol string, more map[string]string) connection.Facts {
	facts := connection.Facts{connection.FactTarget: connection.Plain(target), connection.FactProtocol: connection.Plain(protocol)}
	for name, text := range more {
		facts[name] = connection.Plain(text)
	}
	return facts
}

// written renders the settings the catalog writes for a connection.
func written(t *testing.T, target string, c *connection.Connection, values map[string]string) map[string]connection.Value {
	t.Helper()
	all, err := catalog.Default()
	if err != nil {
		t.Fatal(err)
	}
	tg, _ := all.Get(target)
	facts := connection.Facts{}
	for name, text := range values {
		facts[name] = connection.Plain(text)
	}
	var custom map[string]string
	if c.Properties.Configuration != nil {
		custom = c.Properties.Configuration.CustomizedKeys
	}
	settings, err := tg.Settings(c.Properties.Auth.Type, c.Properties.ClientType, facts, catalog.Options{Infix: c.Infix, Custom: custom})
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]connection.Value{}
	for _, s := range settings {
		out[s.Name] = s.Value
	}
	return out
}

// dialTo sends every connection to one port of loopback, from a given address.
func dialTo(port, from string) probe.DialFunc {
	d := &net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(from)}}
	return func(ctx context.Context, network, _ string) (net.Conn, error) {
		return d.DialContext(ctx, network, net.JoinHostPort("127.0.0.1", port))
	}
}

// line prints findings without their fixes: name, result, code.
func lines(findings []connection.Finding) string {
	var out []string
	for _, f := range findings {
		out = append(out, strings.TrimSpace(f.Name+" "+f.Result+" "+f.Code))
	}
	return strings.Join(out, "\n")
}

const (
	exists   = "Target resource existence validated. success"
	open     = "Target service firewall validated. success"
	fine     = "Configured connection information validated. success"
	unproven = "Configured connection information validated (except for username/password). success"
)

func finding(name, result string, code problem.Code) string {
	return strings.TrimSpace(name + " " + result + " " + string(code))
}

// check compares findings and looks for a phrase in what the last one says; no
// finding may hold a secret, and every failure must come with a fix.
func check(t *testing.T, got []connection.Finding, phrase string, want ...string) {
	t.Helper()
	if lines(got) != strings.Join(want, "\n") {
		t.Fatalf("got\n%s\nwant\n%s", lines(got), strings.Join(want, "\n"))
	}
	last := got[len(got)-1]
	if !strings.Contains(last.Description+" "+last.Fix, phrase) {
		t.Errorf("%q, %q does not say %q", last.Description, last.Fix, phrase)
	}
	for _, f := range got {
		for _, s := range []string{password, "canary"} {
			if strings.Contains(f.Description+f.Fix, s) {
				t.Errorf("%q holds a secret", f.Description+f.Fix)
			}
		}
		if f.Result == connection.ResultFailure && (f.Fix == "" || f.Description == "" || f.Code == "") {
			t.Errorf("a failure without description, code or fix: %+v", f)
		}
	}
}

func TestNothingToKnockAt(t *testing.T) {
	t.Parallel()
	if got := probe.New(probe.Options{}).Probe(context.Background(), link("redis", secret, "go"), connection.Facts{}, nil); got != nil {
		t.Error(got)
	}
}

func TestStopped(t *testing.T) {
	t.Parallel()
	facts := known("postgres-flexible", "postgres", map[string]string{"stopped": "true", "state": "Stopped", "startCommand": "patchbay rest POST x/start"})
	got := probe.New(probe.Options{Dial: func(context.Context, string, string) (net.Conn, error) {
		t.Error("a stopped target is dialled")
		return nil, context.Canceled
	}}).Probe(context.Background(), link("postgres-flexible", secret, "go"), facts, nil)
	check(t, got, "patchbay rest POST x/start", exists, finding("Target network access validated.", "failure", problem.TargetStopped))
}

// TestBounded holds that a target which takes connections and never speaks ends
// the probe in time, whatever its protocol.
func TestBounded(t *testing.T) {
	t.Parallel()
	silent, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = silent.Close() })
	_, port, _ := net.SplitHostPort(silent.Addr().String())
	for target, protocol := range map[string]string{"postgres-flexible": "postgres", "mysql-flexible": "mysql", "redis": "redis", "storage-blob": "blob"} {
		c := link(target, secret, "go")
		settings := written(t, target, c, map[string]string{
			"host": "h.test", "port": "6380", "database": "0", "username": "app", "password": "x", "redisKey": "x",
			"storageAccount": "account1", "accountKey": "eA==", "endpoint": "https://h.test/"})
		p := probe.New(probe.Options{Dial: dialTo(port, "127.0.0.1"), Timeout: 150 * time.Millisecond})
		start := time.Now()
		got := p.Probe(context.Background(), c, known(target, protocol, nil), settings)
		if took := time.Since(start); took > 3*time.Second {
			t.Errorf("%s took %s", target, took)
		}
		check(t, got, "does not answer in time", exists, finding("Target network access validated.", "failure", problem.TargetNoAnswer))
	}
}
