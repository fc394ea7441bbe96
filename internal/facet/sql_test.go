package facet_test

import (
	"context"
	"database/sql"
	"fmt"
	"net"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	mssql "github.com/microsoft/go-mssqldb"
	"github.com/microsoft/go-mssqldb/msdsn"

	"github.com/patchbay/patchbay/internal/arm/armtest"
	"github.com/patchbay/patchbay/internal/connection"
	"github.com/patchbay/patchbay/internal/engine"
	"github.com/patchbay/patchbay/internal/engine/drivertest"
	"github.com/patchbay/patchbay/internal/facet"
	"github.com/patchbay/patchbay/internal/localcloud/provider"
	"github.com/patchbay/patchbay/internal/localcloud/providertest"
	localsql "github.com/patchbay/patchbay/internal/localcloud/sql"
	"github.com/patchbay/patchbay/internal/localcloud/tds"
	"github.com/patchbay/patchbay/internal/plan"
	"github.com/patchbay/patchbay/internal/problem"
)

var (
	_ engine.Driver = (*facet.SQLAdmin)(nil)
	_ engine.Driver = (*facet.SQLUser)(nil)
)

const (
	sqlServer   = group + "/providers/Microsoft.Sql/servers/sqlone"
	sqlPassword = "Root-pass-1"
	engineApp   = "66666666-6666-4666-8666-666666666666"
)

func newSQLARM(t *testing.T) *armtest.Server {
	const api = "2023-08-01"
	s := armtest.New(t,
		armtest.Type{Name: "Microsoft.Sql/servers", Versions: []string{api}, Async: armtest.Async202},
		armtest.Type{Name: "Microsoft.Sql/servers/firewallRules", Versions: []string{api}},
		armtest.Type{Name: "Microsoft.Sql/servers/administrators", Versions: []string{api}, Async: armtest.Async202,
			Put: func(resource string, _, after armtest.Object) error {
				p := after["properties"].(armtest.Object)
				if !strings.HasSuffix(resource, "/ActiveDirectory") || p["administratorType"] != "ActiveDirectory" || p["login"] == "" || p["sid"] == "" {
					return &armtest.Refusal{Status: 400, Code: "InvalidParameterValue", Message: "not an administrator"}
				}
				return nil
			}})
	s.Set(sqlServer, armtest.Object{})
	s.Set(sqlServer+"/firewallRules/office", armtest.Object{"properties": armtest.Object{"startIpAddress": "192.0.2.1", "endIpAddress": "192.0.2.9"}})
	return s
}

func setSQLAdmin(s *armtest.Server, login, sid string) {
	s.Set(sqlServer+"/administrators/ActiveDirectory", armtest.Object{"properties": armtest.Object{
		"administratorType": "ActiveDirectory", "login": login, "sid": sid, "tenantId": "their-tenant"}})
}

func sqlAdminFacet() connection.Facet {
	return facetOf(connection.KindAccess, sqlServer, principal, map[string]string{connection.AttrPrincipalID: principal, connection.AttrLogin: "patchbay-engine"})
}

func TestSQLAdmin(t *testing.T) {
	t.Parallel()
	for name, before := range map[string]string{"nobody": "", "somebody": stranger} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			drivertest.Run(t, drivertest.Case{Make: func(t *testing.T) drivertest.World {
				s := newSQLARM(t)
				if before != "" {
					setSQLAdmin(s, "dba", before)
				}
				w := onARM(s, sqlServer, facet.NewSQLAdmin(s.Client(), here, engineApp), sqlAdminFacet(), nil)
				w.Parameters = []string{connection.AttrLogin} // a label
				return w
			}})
		})
	}
}

func TestSQLFirewall(t *testing.T) {
	t.Parallel()
	drivertest.Run(t, drivertest.Case{Make: func(t *testing.T) drivertest.World {
		s := newSQLARM(t)
		other := wall(sqlServer, "patchbay_two", "203.0.113.1", "203.0.113.4")
		w := onARM(s, sqlServer, facet.NewSQLFirewall(s.Client()), wall(sqlServer, "patchbay_one", "198.51.100.7", "198.51.100.7"), &other)
		return changing(w, wall(sqlServer, "patchbay_one", "198.51.100.7", "198.51.100.8"))
	}})
}

// An application is named by its client id, as the portal does; whoever was administrator
// comes back to the letter, a third stays, and what nobody knows any more is not guessed.
func TestSQLAdminGivesBack(t *testing.T) {
	t.Parallel()
	s := newSQLARM(t)
	setSQLAdmin(s, "dba", stranger)
	was := fmt.Sprint(s.Doc(sqlServer + "/administrators/ActiveDirectory")["properties"])
	d, f := facet.NewSQLAdmin(s.Client(), here, engineApp), sqlAdminFacet()
	before := drivertest.Observe(t, d, f)[0]
	if !before.Exists || before.Attrs[connection.AttrPrincipalID].Text != stranger || before.Why == "" {
		t.Fatalf("state %+v", before)
	}
	give := func(restore *connection.State) error {
		basis, err := d.Read(t.Context(), []connection.Facet{f})
		if err != nil {
			t.Fatal(err)
		}
		_, err = d.Write(t.Context(), basis, []plan.Change{{Facet: f, Action: plan.Remove, Restore: restore}})
		return err
	}
	now := func() armtest.Object {
		p, _ := s.Doc(sqlServer + "/administrators/ActiveDirectory")["properties"].(armtest.Object)
		return p
	}
	drivertest.Apply(t, d, plan.Update, f)
	if now()["sid"] != engineApp {
		t.Errorf("the engine is administrator as %v", now())
	}
	if err := give(&connection.State{Unknown: true, Why: "the seal key is another one"}); !problem.Is(err, problem.Remainder) || now()["sid"] != engineApp {
		t.Errorf("lost predecessor: %v, %v", err, now())
	}
	if err := give(&before); err != nil || fmt.Sprint(now()) != was {
		t.Errorf("given back: %v, %v; it was %s", err, now(), was)
	}
	drivertest.Apply(t, d, plan.Update, f)
	setSQLAdmin(s, "third", "55555555-5555-4555-8555-555555555555")
	if err := give(&before); err != nil || now()["login"] != "third" {
		t.Errorf("a third: %v, %v", err, now())
	}
}

// sqlBench is the local cloud's SQL server, whose Entra administrator is the engine.
type sqlBench struct {
	t      *testing.T
	cloud  *providertest.Cloud
	front  *providertest.Front
	engine provider.Principal
	root   *sql.DB
}

const sqlDB = sqlServer + "/databases/it's [db]"

func newSQL(t *testing.T) *sqlBench {
	t.Helper()
	b := &sqlBench{t: t, cloud: providertest.New(t)}
	p := localsql.New(b.cloud)
	t.Cleanup(func() {
		if err := p.Close(); err != nil {
			t.Error(err)
		}
	})
	b.front = providertest.NewFront(b.cloud, p)
	b.engine = b.cloud.Directory().NewManagedIdentity(group+"/engine", "patchbay-engine")
	b.put(sqlServer, provider.Document{"location": "westeurope", "properties": map[string]any{"administratorLogin": "boss", "administratorLoginPassword": sqlPassword}})
	b.put(sqlDB, provider.Document{"location": "westeurope"})
	b.put(sqlServer+"/firewallRules/all", provider.Document{"properties": map[string]any{"startIpAddress": "127.0.0.1", "endIpAddress": "127.0.0.1"}})
	b.put(sqlServer+"/administrators/ActiveDirectory", provider.Document{"properties": map[string]any{"administratorType": "ActiveDirectory", "login": "engine", "sid": b.engine.ClientID}})
	host := b.cloud.Address(sqlServer)
	cfg := msdsn.Config{Host: host, Port: 1433, Database: "it's [db]", User: "boss", Password: sqlPassword, Protocols: []string{"tcp"}, Encryption: msdsn.EncryptionRequired, TLSConfig: b.cloud.ClientTLS()}
	cfg.TLSConfig.ServerName = host
	b.root = sql.OpenDB(mssql.NewConnectorConfig(cfg))
	t.Cleanup(func() { b.root.Close() })
	return b
}

func (b *sqlBench) put(path string, d provider.Document) {
	b.t.Helper()
	if _, err := b.front.Run(b.t.Context(), "PUT", path, d); err != nil {
		b.t.Fatalf("PUT %s: %v", path, err)
	}
}

func (b *sqlBench) must(statements ...string) {
	b.t.Helper()
	for _, s := range statements {
		if _, err := b.root.ExecContext(b.t.Context(), s); err != nil {
			b.t.Fatalf("%s: %v", s, err)
		}
	}
}

func (b *sqlBench) column(query string) []string {
	b.t.Helper()
	rows, err := b.root.QueryContext(b.t.Context(), query)
	if err != nil {
		b.t.Fatalf("%s: %v", query, err)
	}
	defer rows.Close()
	var out []string
	for rows.Next() {
		var a, c sql.NullString
		if err := rows.Scan(&a, &c); err != nil {
			b.t.Fatal(err)
		}
		out = append(out, a.String+"|"+c.String)
	}
	return out
}

// look is every user with its id, its roles, its schemas and what is noted on it.
func (b *sqlBench) look() map[string][]string {
	return map[string][]string{
		"users": b.column("SELECT name, default_schema_name FROM sys.database_principals WHERE type = 'E' ORDER BY name"),
		"members": b.column(`SELECT m.name, r.name FROM sys.database_role_members x JOIN sys.database_principals m ON m.principal_id = x.member_principal_id
			JOIN sys.database_principals r ON r.principal_id = x.role_principal_id ORDER BY m.name, r.name`),
		"schemas": b.column("SELECT s.name, p.name FROM sys.schemas s JOIN sys.database_principals p ON p.principal_id = s.principal_id ORDER BY s.name"),
		"notes":   b.column("SELECT name, value FROM sys.extended_properties ORDER BY name"),
	}
}

func (b *sqlBench) driver() (*facet.SQLUser, *atomic.Bool) {
	shut := &atomic.Bool{}
	return facet.NewSQLUser(facet.SQLUserOptions{
		Token: func(context.Context) (string, error) {
			token, _, err := b.cloud.Directory().Token(b.engine.ObjectID, "https://database.windows.net")
			return token, err
		},
		Roots: b.cloud.CertPool(),
		Dial: func(ctx context.Context, network, address string) (net.Conn, error) {
			if shut.Load() {
				return nil, &net.OpError{Op: "dial", Net: network, Err: fmt.Errorf("the gate is closed")}
			}
			return (&net.Dialer{}).DialContext(ctx, network, address)
		},
		Patience: facet.Patience{Limit: 200 * time.Millisecond, Pause: time.Millisecond},
	}), shut
}

func (b *sqlBench) facet(name, client, grant string) connection.Facet {
	return facetOf(connection.KindDBUser, sqlDB, name, map[string]string{connection.AttrDatabase: "it's [db]", connection.AttrHost: b.cloud.Address(sqlServer),
		connection.AttrPrincipalID: principal, connection.AttrClientID: client, connection.AttrGrant: grant, connection.AttrMark: uid})
}

func (b *sqlBench) sid(guid string) string {
	raw, err := tds.SID(guid)
	if err != nil {
		b.t.Fatal(err)
	}
	return fmt.Sprintf("0x%x", raw)
}

func TestSQLUser(t *testing.T) {
	t.Parallel()
	drivertest.Run(t, drivertest.Case{Make: func(t *testing.T) drivertest.World {
		b := newSQL(t)
		b.must("CREATE USER [theirs] WITH SID = "+b.sid(stranger)+", TYPE = E", "ALTER ROLE db_datareader ADD MEMBER [theirs]", "CREATE SCHEMA [s] AUTHORIZATION [theirs]")
		d, shut := b.driver()
		changed := b.facet("aad_it's [one]", engineApp, "read")
		return drivertest.World{
			Driver: d, Facet: b.facet("aad_it's [one]", engineApp, "readwrite"), Changed: &changed, Unknowable: true,
			Look: func() any { return b.look() },
			Vanish: func() {
				if _, err := b.front.Run(b.t.Context(), "DELETE", sqlDB, nil); err != nil {
					b.t.Fatal(err)
				}
			},
			Refuse:     func() { shut.Store(true) },
			Parameters: []string{connection.AttrDatabase, connection.AttrHost, connection.AttrMark, connection.AttrPrincipalID},
		}
	}})
}

func wantRows(t *testing.T, what string, got []string, want ...string) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Errorf("%s: %q, want %q", what, got, want)
	}
}

// A user that was there keeps its name and what it had.
func TestSQLUserJoinsTheirs(t *testing.T) {
	t.Parallel()
	b := newSQL(t)
	d, _ := b.driver()
	b.must("CREATE USER [theirs] WITH SID = "+b.sid(engineApp)+", TYPE = E", "ALTER ROLE db_datareader ADD MEMBER [theirs]")
	before := b.look()
	f := b.facet("aad_one", engineApp, "readwrite")
	drivertest.Apply(t, d, plan.Create, f)
	wantRows(t, "members", b.look()["members"], "theirs|db_datareader", "theirs|db_datawriter", "theirs|db_ddladmin")
	drivertest.Apply(t, d, plan.Remove, f)
	if got := fmt.Sprint(b.look()); got != fmt.Sprint(before) {
		t.Errorf("it was %v and is %s", before, got)
	}
	b.must("ALTER ROLE db_owner ADD MEMBER [theirs]")
	if s := drivertest.Observe(t, d, f)[0]; !s.Exists || s.Mark != "" {
		t.Errorf("a user with all it needs: %+v", s)
	}
}

// A user of ours serves a second connection, and goes with the last.
func TestSQLUserIsShared(t *testing.T) {
	t.Parallel()
	b := newSQL(t)
	d, _ := b.driver()
	one, two := b.facet("aad_one", engineApp, "readwrite"), b.facet("aad_two", engineApp, "readwrite")
	drivertest.Apply(t, d, plan.Create, one)
	if s := drivertest.Observe(t, d, two)[0]; s.Exists || s.Why == "" {
		t.Errorf("before it is noted: %+v", s)
	}
	drivertest.Apply(t, d, plan.Create, two)
	wantRows(t, "users", b.look()["users"], "aad_one|dbo")
	drivertest.Apply(t, d, plan.Remove, one)
	wantRows(t, "with one left", b.look()["users"], "aad_one|dbo")
	if s := drivertest.Observe(t, d, two)[0]; !s.Exists {
		t.Errorf("the other: %+v", s)
	}
	drivertest.Apply(t, d, plan.Remove, two)
	wantRows(t, "with none left", b.look()["users"])
}

// A name that is somebody else's user is not taken from them.
func TestSQLUserNameTaken(t *testing.T) {
	t.Parallel()
	b := newSQL(t)
	d, _ := b.driver()
	b.must("CREATE USER [app1] WITH SID = " + b.sid(stranger) + ", TYPE = E")
	f := b.facet("app1", engineApp, "read")
	drivertest.Apply(t, d, plan.Create, f)
	users := b.look()["users"]
	if len(users) != 2 || users[0] != "app1|dbo" || !strings.HasPrefix(users[1], "app1_") {
		t.Errorf("users %q", users)
	}
	drivertest.Apply(t, d, plan.Remove, f)
	wantRows(t, "users", b.look()["users"], "app1|dbo")
}

// An identity that was switched off and on is another application: its user is made anew,
// and what the old one owned passes over; when it goes, that passes to dbo.
func TestSQLUserIsReboundWithItsSchemas(t *testing.T) {
	t.Parallel()
	b := newSQL(t)
	d, _ := b.driver()
	drivertest.Apply(t, d, plan.Create, b.facet("aad_one", stranger, "read"))
	b.must("CREATE SCHEMA [mine] AUTHORIZATION [aad_one]", "CREATE TABLE mine.t (id int)", "ALTER ROLE db_backupoperator ADD MEMBER [aad_one]")
	f := b.facet("aad_one", engineApp, "read")
	if s := drivertest.Observe(t, d, f)[0]; !s.Exists || s.Attrs[connection.AttrClientID].Text != stranger {
		t.Errorf("the old one's user: %+v", s)
	}
	drivertest.Apply(t, d, plan.Update, f)
	wantRows(t, "owner", b.column("SELECT s.name, p.name FROM sys.schemas s JOIN sys.database_principals p ON p.principal_id = s.principal_id WHERE s.name = 'mine'"), "mine|aad_one")
	wantRows(t, "members", b.look()["members"], "aad_one|db_backupoperator", "aad_one|db_datareader")
	if s := drivertest.Observe(t, d, f)[0]; !s.Exists || s.Attrs[connection.AttrClientID].Text != engineApp || s.Mark != uid {
		t.Errorf("the new one's user: %+v", s)
	}
	drivertest.Apply(t, d, plan.Remove, f)
	wantRows(t, "owner", b.column("SELECT s.name, p.name FROM sys.schemas s JOIN sys.database_principals p ON p.principal_id = s.principal_id WHERE s.name = 'mine'"), "mine|dbo")
	wantRows(t, "tables", b.column("SELECT name, type FROM sys.tables"), "t|U ")
}

// FuzzSQLName: a quoted name comes back from the other side as it went, and is one word.
func FuzzSQLName(f *testing.F) {
	for _, name := range []string{"a", "it's [one]", "]]", "x]; DROP USER [dbo]; --", "é\n", " "} {
		f.Add(name)
	}
	f.Fuzz(func(t *testing.T, name string) {
		quoted := facet.SQLName(name)
		inner, ok := strings.CutPrefix(quoted, "[")
		inner, ok2 := strings.CutSuffix(inner, "]")
		if !ok || !ok2 || strings.Contains(strings.ReplaceAll(inner, "]]", ""), "]") || strings.ReplaceAll(inner, "]]", "]") != strings.ReplaceAll(name, "\x00", "") {
			t.Errorf("%q is quoted %q", name, quoted)
		}
	})
}

func FuzzSQLSID(f *testing.F) {
	f.Add("00112233-4455-6677-8899-aabbccddeeff")
	f.Fuzz(func(t *testing.T, guid string) {
		sid, err := facet.SQLSID(guid)
		theirs, theirErr := tds.SID(guid)
		if err == nil && theirErr == nil && string(sid) != string(theirs) {
			t.Errorf("%s: %x here, %x there", guid, sid, theirs)
		}
		if err == nil && strings.ReplaceAll(facet.SQLGUID(sid), "-", "") != strings.ToLower(strings.ReplaceAll(guid, "-", "")) {
			t.Errorf("%s comes back as %s", guid, facet.SQLGUID(sid))
		}
	})
}
