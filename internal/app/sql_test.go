package app

import (
	"context"
	"crypto/tls"
	"database/sql"
	"encoding/json"
	"errors"
	"net"
	"net/http"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	mssql "github.com/microsoft/go-mssqldb"
	"github.com/microsoft/go-mssqldb/msdsn"
)

const sqlVersion = "2023-08-01"

// sqlVisit is the app at work in its database: it makes its table, adds a row, counts.
func sqlVisit(w http.ResponseWriter, r *http.Request) {
	token, err := identityToken(r.Context(), "SQL", "https://database.windows.net")
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadGateway)
		return
	}
	cfg := msdsn.Config{Host: os.Getenv("AZURE_SQL_HOST"), Port: 1433, Database: os.Getenv("AZURE_SQL_DATABASE")}
	if text := os.Getenv("FABRIC_SQL_CONNECTIONSTRING"); text != "" {
		if cfg, err = msdsn.Parse(text); err != nil {
			http.Error(w, err.Error(), http.StatusBadGateway)
			return
		}
	}
	cfg.TLSConfig = &tls.Config{ServerName: cfg.Host, MinVersion: tls.VersionTLS12}
	db, err := openSQL(cfg, token, "")
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadGateway)
		return
	}
	defer db.Close()
	var v visits
	_, err = db.ExecContext(r.Context(), "CREATE TABLE visits (at int)")
	if number := sqlNumber(err); number != 0 && number != 2714 {
		http.Error(w, err.Error(), http.StatusServiceUnavailable)
		return
	}
	if _, err = db.ExecContext(r.Context(), "INSERT INTO visits VALUES (@p1)", 1); err == nil {
		err = db.QueryRowContext(r.Context(), "SELECT COUNT(*) FROM visits").Scan(&v.Count)
	}
	if err == nil {
		err = db.QueryRowContext(r.Context(), "SELECT USER_NAME()").Scan(&v.User)
	}
	if err != nil {
		http.Error(w, err.Error(), http.StatusServiceUnavailable)
		return
	}
	_ = json.NewEncoder(w).Encode(v)
}

// openSQL signs in with a token, or with the password in cfg where there is none, from
// an address of this machine.
func openSQL(cfg msdsn.Config, token, from string) (*sql.DB, error) {
	cfg.Protocols, cfg.Encryption, cfg.DialTimeout, cfg.ConnTimeout = []string{"tcp"}, msdsn.EncryptionRequired, 10*time.Second, 30*time.Second
	connector := mssql.NewConnectorConfig(cfg)
	if token != "" {
		var err error
		if connector, err = mssql.NewSecurityTokenConnector(cfg, func(context.Context) (string, error) { return token, nil }); err != nil {
			return nil, err
		}
	}
	if from != "" {
		connector.Dialer = &net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(from)}}
	}
	return sql.OpenDB(connector), nil
}

func sqlNumber(err error) int32 {
	var said mssql.Error
	if !errors.As(err, &said) {
		return 0
	}
	return said.Number
}

func (c *cloudUnderTest) sqlServer() string {
	return c.group() + "/providers/Microsoft.Sql/servers/sql1"
}

func (c *cloudUnderTest) sqlDatabase() string { return c.sqlServer() + "/databases/db1" }

// makeSQL makes a server with a database, an administrator of the directory, and a way in
// for the tests.
func (c *cloudUnderTest) makeSQL(admin principal) {
	c.t.Helper()
	c.arm("PUT", c.sqlServer(), sqlVersion, map[string]any{"location": "westeurope", "properties": map[string]any{
		"administratorLogin": "sqladmin", "administratorLoginPassword": adminPassword}})
	c.arm("PUT", c.sqlDatabase(), sqlVersion, map[string]any{"location": "westeurope"})
	c.arm("PUT", c.sqlServer()+"/firewallRules/tests", sqlVersion, map[string]any{"properties": map[string]any{"startIpAddress": testAddress, "endIpAddress": testAddress}})
	if admin.ClientID != "" {
		c.arm("PUT", c.sqlServer()+"/administrators/ActiveDirectory", sqlVersion, map[string]any{"properties": map[string]any{
			"administratorType": "ActiveDirectory", "login": "Them & Co", "sid": admin.ObjectID, "tenantId": c.ready.TenantID}})
	}
}

// askSQL runs statements as the server's administrator and returns the last one's rows, cells by "|".
func (c *cloudUnderTest) askSQL(statements ...string) []string {
	c.t.Helper()
	host := c.arm("GET", c.sqlServer(), sqlVersion, nil).text("properties", "fullyQualifiedDomainName")
	roots, err := rootsWith(c.ready.CAFile)
	if err != nil {
		c.t.Fatal(err)
	}
	db, err := openSQL(msdsn.Config{Host: host, Port: 1433, Database: "db1", User: "sqladmin", Password: adminPassword,
		TLSConfig: &tls.Config{RootCAs: roots, ServerName: host, MinVersion: tls.VersionTLS12}}, "", testAddress)
	if err != nil {
		c.t.Fatal(err)
	}
	defer db.Close()
	var out []string
	for _, statement := range statements {
		out = nil
		rows, err := db.QueryContext(c.t.Context(), statement)
		if err != nil {
			c.t.Fatalf("%s: %v", statement, err)
		}
		names, _ := rows.Columns()
		for rows.Next() {
			cells, into := make([]sql.NullString, len(names)), make([]any, len(names))
			for n := range cells {
				into[n] = &cells[n]
			}
			if err := rows.Scan(into...); err != nil {
				c.t.Fatal(err)
			}
			words := make([]string, len(cells))
			for n, cell := range cells {
				words[n] = cell.String
			}
			out = append(out, strings.Join(words, "|"))
		}
		if err := errors.Join(rows.Err(), rows.Close()); err != nil {
			c.t.Fatalf("%s: %v", statement, err)
		}
	}
	return out
}

// sqlWorld is everything of the server that a connection may touch.
func (c *cloudUnderTest) sqlWorld() map[string]string {
	c.t.Helper()
	out := map[string]string{"users": strings.Join(c.askSQL("SELECT name FROM sys.database_principals WHERE type = 'E' ORDER BY name"), " "),
		"members": strings.Join(c.sqlMembers(), " "), "notes": strings.Join(c.askSQL("SELECT name, value FROM sys.extended_properties ORDER BY name"), " ")}
	admin := c.call(c.ready.Endpoint, c.token, "GET", c.sqlServer()+"/administrators/ActiveDirectory?api-version="+sqlVersion, nil)
	out["admin"] = string(admin.Raw)
	if admin.Status == http.StatusNotFound {
		out["admin"] = ""
	}
	out["rules"] = string(c.arm("GET", c.sqlServer()+"/firewallRules", sqlVersion, nil).Raw)
	out["server"] = string(c.arm("GET", c.sqlServer(), sqlVersion, nil).Raw)
	return out
}

func (c *cloudUnderTest) sqlMembers() []string {
	c.t.Helper()
	return c.askSQL(`SELECT m.name, r.name FROM sys.database_role_members x JOIN sys.database_principals m ON m.principal_id = x.member_principal_id
		JOIN sys.database_principals r ON r.principal_id = x.role_principal_id ORDER BY m.name, r.name`)
}

func sqlLinker(c *cloudUnderTest, auth map[string]any) map[string]any {
	b := body(c.sqlDatabase(), auth)
	b["properties"].(map[string]any)["clientType"] = "none"
	return b
}

// sqlRoom is a cloud with a SQL server that somebody administrates, an app, and a connector.
func sqlRoom(t *testing.T) (*cloudUnderTest, *connector) {
	t.Helper()
	c := startCloud(t)
	c.makeGroup()
	c.makeSQL(c.newPrincipal("dba"))
	c.makeWitness("app1")
	c.putSettings("app1", map[string]string{actAs: asWitness})
	return c, c.newConnector().start()
}

// TestSQLIdentityLife: the app's own identity gets a user, works, and is gone again; who
// administrates the server is the same throughout.
func TestSQLIdentityLife(t *testing.T) {
	t.Parallel()
	c, s := sqlRoom(t)
	settings, world := c.settings("app1"), c.sqlWorld()
	s.put(t, "sql", sqlLinker(c, map[string]any{"authType": "systemAssignedIdentity"}))
	during := c.sqlWorld()
	if during["admin"] != world["admin"] || during["server"] != world["server"] {
		t.Errorf("the administrator was %s and is %s", world["admin"], during["admin"])
	}
	if want := []string{"aad_sql|db_datareader", "aad_sql|db_datawriter", "aad_sql|db_ddladmin"}; !slices.Equal(c.sqlMembers(), want) {
		t.Errorf("members %v, want %v", c.sqlMembers(), want)
	}
	host := c.arm("GET", c.sqlServer(), sqlVersion, nil).text("properties", "fullyQualifiedDomainName")
	want := map[string]string{"AZURE_SQL_HOST": host, "AZURE_SQL_PORT": "1433", "AZURE_SQL_DATABASE": "db1", "AZURE_SQL_AUTHENTICATION": "azure-active-directory-default"}
	if d := cmp.Diff(want, c.added("app1", settings)); d != "" {
		t.Errorf("settings: %s", d)
	}
	for _, count := range []string{`"Count":1`, `"Count":2`} {
		if status, said := c.visit(t, "app1", "/sql"); status != 200 || !strings.Contains(said, count) || !strings.Contains(said, `"User":"aad_sql"`) {
			t.Fatalf("the app is answered %d %s, want %s", status, said, count)
		}
	}
	if d := s.drift("app1", "sql"); d.text("state") != "InSync" {
		t.Errorf("drift: %s", d.Raw)
	}
	for item, result := range s.validated(t, "app1", "sql") {
		if !strings.HasPrefix(result, "success") {
			t.Errorf("validation: %s %q", item, result)
		}
	}
	if now := c.sqlWorld(); now["admin"] != world["admin"] {
		t.Errorf("after a validation the administrator is %s", now["admin"])
	}
	s.remove(t, "sql")
	if d := cmp.Diff(world, c.sqlWorld()); d != "" {
		t.Errorf("after the delete: %s", d)
	}
	if d := cmp.Diff(settings, c.settings("app1")); d != "" {
		t.Errorf("settings after the delete: %s", d)
	}
	if rows := c.askSQL("SELECT COUNT(*) FROM visits"); !slices.Equal(rows, []string{"2"}) {
		t.Errorf("the app's data is %v", rows)
	}
}

// TestSQLUndoPutsTheAdministratorBack: whatever a create fails at, whoever administrated the
// server does so afterwards, and nobody where there was nobody.
func TestSQLUndoPutsTheAdministratorBack(t *testing.T) {
	t.Parallel()
	c, s := sqlRoom(t)
	for _, name := range []string{"somebody", "nobody"} {
		if name == "nobody" {
			c.arm("DELETE", c.sqlServer()+"/administrators/ActiveDirectory", sqlVersion, nil)
		}
		world := c.sqlWorld()
		c.faults(map[string]any{"method": "PUT", "path": "/sites/app1/config/appsettings$", "status": 409})
		op := s.do("PUT", s.linker("app1", "sql"), sqlLinker(c, map[string]any{"authType": "systemAssignedIdentity"}))
		c.faults()
		if op.text("status") != "Failed" {
			t.Fatalf("%s: the create ended %s", name, op.Raw)
		}
		if d := cmp.Diff(world, c.sqlWorld()); d != "" {
			t.Errorf("%s: after the undo: %s", name, d)
		}
		s.remove(t, "sql")
	}
}

// TestSQLUsersOfOneIdentity: a database takes one user per principal, so two connections of an
// app share it, and it goes with the last; a user that was there before keeps what it had.
func TestSQLUsersOfOneIdentity(t *testing.T) {
	t.Parallel()
	c, s := sqlRoom(t)
	own := map[string]any{"authType": "systemAssignedIdentity"}
	world := c.sqlWorld()
	s.put(t, "one", sqlLinker(c, own))
	s.put(t, "two", sqlLinker(c, own))
	if got := c.askSQL("SELECT name FROM sys.database_principals WHERE type = 'E'"); !slices.Equal(got, []string{"aad_one"}) {
		t.Errorf("users %v", got)
	}
	s.remove(t, "one")
	if status, said := c.visit(t, "app1", "/sql"); status == 200 {
		t.Errorf("the settings of the first connection are gone, and the app is answered %s", said)
	}
	if got := c.sqlMembers(); len(got) != 3 {
		t.Errorf("with one connection left: members %v", got)
	}
	s.remove(t, "two")
	if d := cmp.Diff(world, c.sqlWorld()); d != "" {
		t.Errorf("after both deletes: %s", d)
	}
	p := c.newPrincipal("veteran")
	sp := map[string]any{"authType": "servicePrincipalSecret", "clientId": p.ClientID, "principalId": p.ObjectID, "secret": p.ClientSecret}
	c.askSQL("CREATE USER [veteran] WITH SID = 0x"+sidHex(t, p.ClientID)+", TYPE = E", "ALTER ROLE db_datareader ADD MEMBER [veteran]")
	world = c.sqlWorld()
	s.put(t, "sql", sqlLinker(c, sp))
	if want := []string{"veteran|db_datareader", "veteran|db_datawriter", "veteran|db_ddladmin"}; !slices.Equal(c.sqlMembers(), want) {
		t.Errorf("members %v, want %v", c.sqlMembers(), want)
	}
	for item, result := range s.validated(t, "app1", "sql") {
		if result != "success" {
			t.Errorf("validation: %s %q", item, result)
		}
	}
	s.remove(t, "sql")
	if d := cmp.Diff(world, c.sqlWorld()); d != "" {
		t.Errorf("what was there before: %s", d)
	}
}

// sidHex writes a GUID as SQL Server keeps it.
func sidHex(t *testing.T, guid string) string {
	t.Helper()
	p := strings.Split(guid, "-")
	if len(p) != 5 {
		t.Fatalf("no GUID: %s", guid)
	}
	turn := func(s string) string {
		var out string
		for n := len(s) - 2; n >= 0; n -= 2 {
			out += s[n : n+2]
		}
		return out
	}
	return turn(p[0]) + turn(p[1]) + turn(p[2]) + p[3] + p[4]
}

// TestFabricLife: a database of Microsoft Fabric, which is no ARM resource. The engine, a
// contributor of its workspace, makes the user; the app works; then it is out again.
func TestFabricLife(t *testing.T) {
	t.Parallel()
	c := startCloud(t)
	c.makeGroup()
	c.makeWitness("app1")
	c.putSettings("app1", map[string]string{actAs: asWitness})
	s := c.newConnector().start()
	const workspace, database = "13c65326-ecab-43f6-8a05-60927aaa4cec", "4fdf6efe-23a9-4d74-8c4a-4ecc70c4d323"
	capacity := c.group() + "/providers/Microsoft.Fabric/capacities/f1"
	c.arm("PUT", capacity, "2023-11-01", map[string]any{"location": "westeurope"})
	lever := c.arm("PUT", "/_local/fabric/"+workspace+"/"+database, "1", map[string]any{"displayName": "orders", "capacity": capacity})
	path := "/v1/workspaces/" + workspace + "/SqlDatabases/" + database
	owner := c.signIn(c.user(), "https://api.fabric.microsoft.com")
	shown := c.call(c.ready.Endpoint, owner, "GET", path, nil)
	if d := cmp.Diff(lever.at("item"), any(shown.Body)); d != "" || shown.Status != 200 {
		t.Fatalf("Fabric shows %d %s: %s", shown.Status, shown.Raw, d)
	}
	for what, token := range map[string]string{"a token for ARM": c.token, "no token": "", "a stranger": c.signIn(c.newPrincipal("stranger"), "https://api.fabric.microsoft.com")} {
		if a := c.call(c.ready.Endpoint, token, "GET", path, nil); a.Status != 401 && a.Status != 403 {
			t.Errorf("with %s Fabric answers %d %s", what, a.Status, a.Raw)
		}
	}
	settings := c.settings("app1")
	linker := map[string]any{"properties": map[string]any{"clientType": "none", "authInfo": map[string]any{"authType": "systemAssignedIdentity", "userName": "app1"},
		"targetService":         map[string]any{"type": "FabricPlatform", "endpoint": "https://api.fabric.microsoft.com" + path},
		"publicNetworkSolution": map[string]any{"action": "optOut"},
		"configurationInfo": map[string]any{"additionalConnectionStringProperties": map[string]any{
			"Server": "tcp:" + shown.text("properties", "serverFqdn"), "Database": shown.text("properties", "databaseName")}}}}
	s.put(t, "fabric", linker)
	if status, said := c.visit(t, "app1", "/sql"); status != 200 || !strings.Contains(said, `"User":"app1"`) {
		t.Errorf("the app is answered %d %s", status, said)
	}
	if d := s.drift("app1", "fabric"); d.text("state") != "InSync" {
		t.Errorf("drift: %s", d.Raw)
	}
	text := c.settings("app1")["FABRIC_SQL_CONNECTIONSTRING"]
	s.remove(t, "fabric")
	if d := cmp.Diff(settings, c.settings("app1")); d != "" {
		t.Errorf("settings after the delete: %s", d)
	}
	c.putSettings("app1", map[string]string{actAs: asWitness, "FABRIC_SQL_CONNECTIONSTRING": text})
	if status, said := c.visit(t, "app1", "/sql"); status == 200 || !strings.Contains(said, "18456") && !strings.Contains(said, "Identity") && !strings.Contains(said, "no token") {
		t.Errorf("after the delete the app is answered %d %s", status, said)
	}
}

// TestSQLTwoAtOnce: two apps are connected to one server at the same time. There is one place
// of administrator; neither takes it from under the other, and whoever had it has it again.
func TestSQLTwoAtOnce(t *testing.T) {
	t.Parallel()
	c, s := sqlRoom(t)
	c.makeSite("app2", map[string]string{"A": "b"})
	world := c.sqlWorld()
	own := sqlLinker(c, map[string]any{"authType": "systemAssignedIdentity"})
	for round := range 3 {
		for _, call := range []struct {
			method string
			body   any
		}{{"PUT", own}, {"DELETE", nil}} {
			var running []string
			for _, site := range []string{"app1", "app2"} {
				a := s.call(call.method, s.linker(site, "sql_"+site), call.body)
				if a.Status >= 300 {
					t.Fatalf("%s: %d %s", call.method, a.Status, a.Raw)
				}
				running = append(running, a.Header.Get("X-Patchbay-Operation"))
			}
			for _, id := range running {
				if op := s.await(id); op.text("status") != "Succeeded" {
					t.Errorf("round %d: %s: %s", round, call.method, op.Raw)
				}
			}
			if now := c.sqlWorld(); now["admin"] != world["admin"] || now["rules"] != world["rules"] && call.method == "DELETE" {
				t.Errorf("round %d: after %s the administrator is %s, the rules %s", round, call.method, now["admin"], now["rules"])
			}
		}
	}
	if d := cmp.Diff(world, c.sqlWorld()); d != "" {
		t.Errorf("after all: %s", d)
	}
}
