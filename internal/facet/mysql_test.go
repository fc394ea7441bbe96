package facet_test

import (
	"context"
	"crypto/tls"
	"database/sql"
	"fmt"
	"net"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	driver "github.com/go-sql-driver/mysql"

	"github.com/patchbay/patchbay/internal/connection"
	"github.com/patchbay/patchbay/internal/engine"
	"github.com/patchbay/patchbay/internal/engine/drivertest"
	"github.com/patchbay/patchbay/internal/facet"
	"github.com/patchbay/patchbay/internal/localcloud/mysql"
	"github.com/patchbay/patchbay/internal/localcloud/provider"
	"github.com/patchbay/patchbay/internal/localcloud/providertest"
	"github.com/patchbay/patchbay/internal/plan"
	"github.com/patchbay/patchbay/internal/problem"
)

var (
	_ engine.Driver = (*facet.MySQLAdmin)(nil)
	_ engine.Driver = (*facet.MySQLUser)(nil)
)

const (
	mysqlServer   = group + "/providers/Microsoft.DBforMySQL/flexibleServers/myone"
	mysqlAudience = "https://ossrdbms-aad.database.windows.net"
	mysqlRoot     = "myadmin"
	mysqlPassword = "Root-pass-1"
)

// mysqlBench is a real MariaDB behind the local cloud's gate, whose Entra administrator is
// the engine.
type mysqlBench struct {
	t      *testing.T
	cloud  *providertest.Cloud
	engine provider.Principal
	root   *sql.DB
	serial atomic.Int32
}

func newMySQL(t *testing.T) *mysqlBench {
	t.Helper()
	b := &mysqlBench{t: t, cloud: providertest.New(t)}
	p := mysql.New(b.cloud)
	t.Cleanup(func() {
		if err := p.Close(); err != nil {
			t.Error(err)
		}
	})
	reader := group + "/providers/Microsoft.ManagedIdentity/userAssignedIdentities/reader"
	who := b.cloud.Directory().NewManagedIdentity(reader, "reader")
	b.cloud.Store().Put(reader, provider.Document{"id": reader, "name": "reader", "type": "Microsoft.ManagedIdentity/userAssignedIdentities",
		"properties": map[string]any{"principalId": who.ObjectID, "clientId": who.ClientID}})
	b.engine = b.cloud.Directory().NewManagedIdentity(group+"/engine", engineLogin)
	front := providertest.NewFront(b.cloud, p)
	put := func(path string, d provider.Document) {
		if _, err := front.Run(t.Context(), "PUT", mysqlServer+path, d); err != nil {
			t.Fatalf("PUT %s: %v", path, err)
		}
	}
	put("", provider.Document{"location": "westeurope",
		"identity":   map[string]any{"type": "UserAssigned", "userAssignedIdentities": map[string]any{reader: map[string]any{}}},
		"properties": map[string]any{"administratorLogin": mysqlRoot, "administratorLoginPassword": mysqlPassword}})
	put("/firewallRules/all", provider.Document{"properties": map[string]any{"startIpAddress": "127.0.0.1", "endIpAddress": "127.0.0.1"}})
	put("/administrators/ActiveDirectory", provider.Document{"properties": map[string]any{"administratorType": "ActiveDirectory",
		"login": engineLogin, "sid": b.engine.ObjectID, "identityResourceId": reader}})
	t.Cleanup(func() { // the folder may lie outside the test's own
		_, _ = front.Run(context.Background(), "DELETE", mysqlServer, nil)
	})
	b.root = b.open(mysqlRoot, mysqlPassword, "")
	return b
}

func (b *mysqlBench) host() string { return b.cloud.Address(mysqlServer) }

func (b *mysqlBench) open(user, secret, database string) *sql.DB {
	cfg := driver.NewConfig()
	cfg.Net, cfg.Addr, cfg.User, cfg.Passwd, cfg.DBName = "tcp", b.host()+":3306", user, secret, database
	cfg.TLS, cfg.AllowCleartextPasswords = b.cloud.ClientTLS(), true
	cfg.TLS.ServerName, cfg.TLS.MinVersion = b.host(), tls.VersionTLS12
	cfg.InterpolateParams, cfg.Logger = true, &driver.NopLogger{}
	connector, err := driver.NewConnector(cfg)
	if err != nil {
		b.t.Fatal(err)
	}
	db := sql.OpenDB(connector)
	db.SetMaxOpenConns(8)
	b.t.Cleanup(func() { _ = db.Close() })
	return db
}

func (b *mysqlBench) token(p provider.Principal) string {
	b.t.Helper()
	token, _, err := b.cloud.Directory().Token(p.ObjectID, mysqlAudience)
	if err != nil {
		b.t.Fatal(err)
	}
	return token
}

func (b *mysqlBench) must(t *testing.T, statements ...string) {
	t.Helper()
	for _, s := range statements {
		if _, err := b.root.ExecContext(t.Context(), s); err != nil {
			t.Fatalf("%s: %v", s, err)
		}
	}
}

// column returns a query's rows, their columns joined.
func (b *mysqlBench) column(t *testing.T, query string, args ...any) []string {
	t.Helper()
	rows, err := b.root.QueryContext(t.Context(), query, args...)
	if err != nil {
		t.Fatalf("%s: %v", query, err)
	}
	defer rows.Close()
	out := []string{}
	for rows.Next() {
		var text string
		if err := rows.Scan(&text); err != nil {
			t.Fatal(err)
		}
		out = append(out, text)
	}
	return out
}

func quote(name string) string { return "`" + strings.ReplaceAll(name, "`", "``") + "`" }

// names are a user and a database that every quoting mistake breaks.
func (b *mysqlBench) names(t *testing.T) (user, database string) {
	n := b.serial.Add(1)
	user, database = fmt.Sprintf("aad_it's \"%d\" \\x;", n), fmt.Sprintf("d_%d`%%\\b'", n)
	b.must(t, "CREATE DATABASE "+quote(database), "CREATE TABLE "+quote(database)+".theirs (n int)", "INSERT INTO "+quote(database)+".theirs VALUES (1)")
	return user, database
}

func (b *mysqlBench) options() (facet.MySQLUserOptions, *atomic.Bool) {
	shut := &atomic.Bool{}
	return facet.MySQLUserOptions{
		Token: func(context.Context) (string, error) { return b.token(b.engine), nil },
		Roots: b.cloud.CertPool(),
		Dial: func(ctx context.Context, network, address string) (net.Conn, error) {
			if shut.Load() {
				return nil, &net.OpError{Op: "dial", Net: network, Err: fmt.Errorf("the gate is closed")}
			}
			return (&net.Dialer{}).DialContext(ctx, network, address)
		},
		Patience: facet.Patience{Limit: 200 * time.Millisecond, Pause: time.Millisecond},
	}, shut
}

func (b *mysqlBench) driver() *facet.MySQLUser {
	o, _ := b.options()
	return facet.NewMySQLUser(o)
}

func (b *mysqlBench) facet(user, database, client string) connection.Facet {
	return facetOf(connection.KindDBUser, mysqlServer, user, map[string]string{
		connection.AttrDatabase: database, connection.AttrHost: b.host(), connection.AttrPrincipalID: principal, connection.AttrClientID: client,
		connection.AttrLogin: engineLogin, connection.AttrGrant: "readwrite"})
}

const mysqlClient = "44444444-4444-4444-8444-444444444444"

func (b *mysqlBench) world(t *testing.T) drivertest.World {
	user, database := b.names(t)
	options, shut := b.options()
	return drivertest.World{
		Driver: facet.NewMySQLUser(options),
		Facet:  b.facet(user, database, mysqlClient),
		Look: func() any {
			return []any{
				b.column(t, "SELECT CONCAT_WS(' ', User, Host, plugin, authentication_string) FROM mysql.user WHERE User = ?", user),
				b.column(t, "SELECT CONCAT_WS(' ', GRANTEE, TABLE_SCHEMA, PRIVILEGE_TYPE) FROM information_schema.SCHEMA_PRIVILEGES WHERE GRANTEE LIKE CONCAT('%', ?, '%') ORDER BY 1", user),
				b.column(t, "SELECT n FROM "+quote(database)+".theirs"),
			}
		},
		Refuse:     func() { shut.Store(true) },
		Unknowable: true,
		Parameters: []string{connection.AttrDatabase, connection.AttrHost, connection.AttrLogin, connection.AttrPrincipalID},
	}
}

func TestMySQLUser(t *testing.T) {
	t.Parallel()
	b := newMySQL(t)
	t.Run("driver", func(t *testing.T) {
		t.Parallel()
		drivertest.Run(t, drivertest.Case{Make: b.world})
	})
	for name, test := range map[string]func(*testing.T, *mysqlBench){
		"grants": mysqlGrantsFollow, "rebinds": mysqlRebinds, "foreign": mysqlLeavesForeign, "definers": mysqlKeepsDefiners, "closed": mysqlSaysWhy,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t, b)
		})
	}
}

// mysqlGrantsFollow: what a user may do follows the word of the catalog, wider or narrower.
func mysqlGrantsFollow(t *testing.T, b *mysqlBench) {
	user, database := b.names(t)
	app := b.cloud.Directory().NewManagedIdentity(group+"/app1", "app1")
	d, action := b.driver(), plan.Create
	for _, row := range []struct{ grant, may, might string }{
		{"readwrite", "INSERT INTO theirs VALUES (2); CREATE TABLE mine (n int); ALTER TABLE mine ADD m int; CREATE TEMPORARY TABLE scratch (n int)", "DROP TABLE theirs"},
		{"all", "CREATE VIEW v AS SELECT 1; DROP VIEW v; DROP TABLE mine", "CREATE USER other"},
		{"read", "DO (SELECT COUNT(*) FROM theirs)", "INSERT INTO theirs VALUES (3)"},
		{"readwrite", "DELETE FROM theirs", "TRUNCATE theirs"},
	} {
		f := b.facet(user, database, app.ClientID)
		f.Want[connection.AttrGrant] = connection.Plain(row.grant)
		if state := drivertest.Apply(t, d, action, f)[0]; !drivertest.Matches(f, state) {
			t.Fatalf("%s: state %+v", row.grant, state)
		}
		action = plan.Update
		db := b.open(user, b.token(app), database)
		for _, s := range strings.Split(row.may, "; ") {
			if _, err := db.ExecContext(t.Context(), s); err != nil {
				t.Errorf("%s: %s: %v", row.grant, s, err)
			}
		}
		if _, err := db.ExecContext(t.Context(), row.might); err == nil {
			t.Errorf("%s: may %s", row.grant, row.might)
		}
	}
	// d_1 must not be a pattern: a sibling that matches it stays closed.
	sibling := strings.Replace(database, "_", "x", 1)
	b.must(t, "CREATE DATABASE "+quote(sibling))
	if err := b.open(user, b.token(app), sibling).PingContext(t.Context()); err == nil {
		t.Error("the user may use a database whose name only resembles its own")
	}
}

// mysqlRebinds: the identity came back under another client id; rights elsewhere stay.
func mysqlRebinds(t *testing.T, b *mysqlBench) {
	user, database := b.names(t)
	d, f := b.driver(), b.facet(user, database, mysqlClient)
	drivertest.Apply(t, d, plan.Create, f)
	b.must(t, "GRANT SELECT ON mysql.help_topic TO '"+strings.NewReplacer(`\`, `\\`, `'`, `''`).Replace(user)+"'@'%'")
	app := b.cloud.Directory().NewManagedIdentity(group+"/app2", "app2")
	again := b.facet(user, database, app.ClientID)
	basis, err := d.Read(t.Context(), []connection.Facet{again})
	if err != nil {
		t.Fatal(err)
	}
	states, err := d.Write(t.Context(), basis, []plan.Change{{Facet: again, Action: plan.Update, Reason: plan.Replaced}})
	if err != nil || !drivertest.Matches(again, states[0]) {
		t.Fatalf("rebind: %+v, %v", states, err)
	}
	db := b.open(user, b.token(app), database)
	for _, s := range []string{"INSERT INTO theirs VALUES (5)", "DO (SELECT COUNT(*) FROM mysql.help_topic)"} {
		if _, err := db.ExecContext(t.Context(), s); err != nil {
			t.Errorf("%s: %v", s, err)
		}
	}
}

// mysqlLeavesForeign: a user that is somebody else's is not taken over.
func mysqlLeavesForeign(t *testing.T, b *mysqlBench) {
	user, database := b.names(t)
	d := b.driver()
	drivertest.Apply(t, d, plan.Create, b.facet(user, database, mysqlClient))
	other := b.facet(user, database, stranger)
	if _, err := drivertest.TryApply(t, d, plan.Create, other); !problem.Is(err, problem.DBUserMissing) {
		t.Errorf("another's user: %v", err)
	}
	basis, err := d.Read(t.Context(), []connection.Facet{other})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := d.Write(t.Context(), basis, []plan.Change{{Facet: other, Action: plan.Update, Reason: plan.New}}); !problem.Is(err, problem.DBUserMissing) {
		t.Errorf("another's user, as an update: %v", err)
	}
	if s := drivertest.Observe(t, d, b.facet(user, database, mysqlClient))[0]; !s.Exists || s.Attrs[connection.AttrClientID].Text != mysqlClient {
		t.Errorf("it changed: %+v", s)
	}
	// An ordinary user is bound to nobody.
	b.must(t, "CREATE USER plain_"+fmt.Sprint(b.serial.Add(1))+" IDENTIFIED BY 'Plain-1234'")
}

// mysqlKeepsDefiners: what runs in the user's name must not break; the error says what.
func mysqlKeepsDefiners(t *testing.T, b *mysqlBench) {
	user, database := b.names(t)
	app := b.cloud.Directory().NewManagedIdentity(group+"/app3", "app3")
	d, f := b.driver(), b.facet(user, database, app.ClientID)
	f.Want[connection.AttrGrant] = connection.Plain("all")
	drivertest.Apply(t, d, plan.Create, f)
	db := b.open(user, b.token(app), database)
	if _, err := db.ExecContext(t.Context(), "CREATE VIEW counted AS SELECT COUNT(*) FROM theirs"); err != nil {
		t.Fatal(err)
	}
	_, err := drivertest.TryApply(t, d, plan.Remove, f)
	if !problem.Is(err, problem.Remainder) || !strings.Contains(err.Error(), "counted") {
		t.Errorf("drop of a definer: %v", err)
	}
	b.must(t, "DROP VIEW "+quote(database)+".counted")
	drivertest.Apply(t, d, plan.Remove, f)
	if got := b.column(t, "SELECT n FROM "+quote(database)+".theirs"); !slices.Equal(got, []string{"1"}) {
		t.Errorf("the data: %v", got)
	}
}

// mysqlSaysWhy: a refusal carries the server's number, and no token.
func mysqlSaysWhy(t *testing.T, b *mysqlBench) {
	user, database := b.names(t)
	options, _ := b.options()
	options.Token = func(context.Context) (string, error) { return "canary-token", nil }
	d := facet.NewMySQLUser(options)
	state := drivertest.Observe(t, d, b.facet(user, database, mysqlClient))[0]
	if !state.Unknown || !strings.Contains(state.Why, "1045") {
		t.Errorf("state %+v", state)
	}
	_, err := drivertest.TryApply(t, d, plan.Create, b.facet(user, database, mysqlClient))
	if !problem.Is(err, problem.DatabaseRefused) || strings.Contains(fmt.Sprint(err), "canary") {
		t.Errorf("refused: %v", err)
	}
}
