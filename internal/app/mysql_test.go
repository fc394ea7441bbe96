package app

import (
	"context"
	"crypto/tls"
	"database/sql"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"os"
	"strings"
	"testing"

	driver "github.com/go-sql-driver/mysql"
	"github.com/google/go-cmp/cmp"
)

const (
	mysqlVersion  = "2023-12-30"
	mysqlAudience = "https://ossrdbms-aad.database.windows.net"
	mysqlAdmin    = "myadmin"
)

func (c *cloudUnderTest) mysqlServer() string {
	return c.group() + "/providers/Microsoft.DBforMySQL/flexibleServers/my1"
}

// makeMySQL makes a server with a database and somebody as its Entra administrator.
func (c *cloudUnderTest) makeMySQL() principal {
	c.t.Helper()
	reader, id := c.makeIdentity("reader"), c.mysqlServer()
	c.arm("PUT", id, mysqlVersion, map[string]any{
		"location":   "westeurope",
		"identity":   map[string]any{"type": "UserAssigned", "userAssignedIdentities": map[string]any{reader.id: map[string]any{}}},
		"properties": map[string]any{"administratorLogin": mysqlAdmin, "administratorLoginPassword": adminPassword, "version": "8.0.21"},
	})
	c.arm("PUT", id+"/databases/db1", mysqlVersion, map[string]any{"properties": map[string]any{}})
	c.arm("PUT", id+"/firewallRules/tests", mysqlVersion, map[string]any{"properties": map[string]any{"startIpAddress": testAddress, "endIpAddress": testAddress}})
	dba := c.newPrincipal("dba")
	c.appoint("dba", dba, reader)
	return dba
}

// appoint makes somebody the server's one Entra administrator.
func (c *cloudUnderTest) appoint(login string, who principal, reader userIdentity) {
	c.t.Helper()
	c.arm("PUT", c.mysqlServer()+"/administrators/ActiveDirectory", mysqlVersion, map[string]any{"properties": map[string]any{
		"administratorType": "ActiveDirectory", "login": login, "sid": who.ObjectID, "tenantId": c.ready.TenantID, "identityResourceId": reader.id,
	}})
}

func mysqlByIdentity(c *cloudUnderTest) map[string]any {
	return body(c.mysqlServer()+"/databases/db1", map[string]any{"authType": "systemAssignedIdentity"})
}

// mysql opens the server as somebody, from the tests' own address.
func (c *cloudUnderTest) mysql(user, secret string) *sql.DB {
	c.t.Helper()
	host := c.arm("GET", c.mysqlServer(), mysqlVersion, nil).text("properties", "fullyQualifiedDomainName")
	roots, err := rootsWith(c.ready.CAFile)
	if err != nil {
		c.t.Fatal(err)
	}
	cfg := driver.NewConfig()
	cfg.Net, cfg.Addr, cfg.User, cfg.Passwd, cfg.DBName = "tcp", host+":3306", user, secret, "db1"
	cfg.TLS, cfg.AllowCleartextPasswords = &tls.Config{RootCAs: roots, ServerName: host, MinVersion: tls.VersionTLS12}, true
	cfg.DialFunc = (&net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(testAddress)}}).DialContext
	connector, err := driver.NewConnector(cfg)
	if err != nil {
		c.t.Fatal(err)
	}
	db := sql.OpenDB(connector)
	c.t.Cleanup(func() { _ = db.Close() })
	return db
}

// mysqlColumn runs a query as the server's administrator and returns its first column.
func (c *cloudUnderTest) mysqlColumn(query string) []string {
	c.t.Helper()
	rows, err := c.mysql(mysqlAdmin, adminPassword).QueryContext(c.t.Context(), query)
	if err != nil {
		c.t.Fatalf("%s: %v", query, err)
	}
	defer rows.Close()
	var out []string
	for rows.Next() {
		var text string
		if err := rows.Scan(&text); err != nil {
			c.t.Fatal(err)
		}
		out = append(out, text)
	}
	return out
}

// mysqlWorld is what a connection could change: the administrator, the rules, the users
// and what they may do, the site's settings and its identity.
func (c *cloudUnderTest) mysqlWorld() map[string]string {
	c.t.Helper()
	identity := c.carried("app1")
	if identity == "None" {
		identity = ""
	}
	return map[string]string{
		"admin":    string(c.arm("GET", c.mysqlServer()+"/administrators", mysqlVersion, nil).Raw),
		"rules":    string(c.arm("GET", c.mysqlServer()+"/firewallRules", mysqlVersion, nil).Raw),
		"users":    strings.Join(c.mysqlColumn("SELECT CONCAT(User, ' ', plugin) FROM mysql.user WHERE User LIKE 'aad%' ORDER BY 1"), "\n"),
		"grants":   strings.Join(c.mysqlColumn("SELECT CONCAT(GRANTEE, TABLE_SCHEMA, PRIVILEGE_TYPE) FROM information_schema.SCHEMA_PRIVILEGES WHERE GRANTEE LIKE '%aad%' ORDER BY 1"), "\n"),
		"settings": fmt.Sprint(c.settings("app1")),
		"identity": identity,
	}
}

// countMySQL is countVisit on MySQL, with nothing but the app's settings.
func countMySQL(w http.ResponseWriter, r *http.Request) {
	v, err := visitMySQL(r.Context())
	if err != nil {
		http.Error(w, err.Error(), http.StatusServiceUnavailable)
		return
	}
	_ = json.NewEncoder(w).Encode(v)
}

func visitMySQL(ctx context.Context) (v visits, err error) {
	cfg, err := driver.ParseDSN(os.Getenv("AZURE_MYSQL_CONNECTIONSTRING"))
	if err != nil {
		return v, err
	}
	if cfg.Passwd, err = identityToken(ctx, "MYSQL", mysqlAudience); err != nil {
		return v, err
	}
	cfg.AllowCleartextPasswords = true
	connector, err := driver.NewConnector(cfg)
	if err != nil {
		return v, err
	}
	db := sql.OpenDB(connector)
	defer db.Close()
	for _, s := range []string{"CREATE TABLE IF NOT EXISTS visits (n int auto_increment primary key)", "INSERT INTO visits VALUES ()"} {
		if _, err := db.ExecContext(ctx, s); err != nil {
			return v, err
		}
	}
	err = db.QueryRowContext(ctx, "SELECT COUNT(*), CURRENT_USER() FROM visits").Scan(&v.Count, &v.User)
	return v, err
}

// mysqlStage is a server with a foreign administrator, an app that runs, and a connector.
func mysqlStage(t *testing.T) (*cloudUnderTest, *connector, principal) {
	t.Helper()
	c := startCloud(t)
	c.makeGroup()
	c.makeWitness("app1")
	dba := c.makeMySQL()
	return c, c.newConnector(), dba
}

// The app signs in as its identity and keeps its data; the server's one administrator is
// who it was before, after everything.
func TestMySQLLife(t *testing.T) {
	t.Parallel()
	c, s, dba := mysqlStage(t)
	s.start()
	before := c.mysqlWorld()
	path := s.linker("app1", "orders")
	if op := s.do("PUT", path, mysqlByIdentity(c)); op.text("status") != "Succeeded" {
		t.Fatalf("create: %s", op.Raw)
	}
	connected := c.mysqlWorld()
	if connected["admin"] != before["admin"] {
		t.Errorf("the administrator changed: %s", cmp.Diff(before["admin"], connected["admin"]))
	}
	if err := c.mysql("dba", c.signIn(dba, mysqlAudience)).PingContext(t.Context()); err != nil {
		t.Errorf("the administrator signs in no more: %v", err)
	}
	if status, said := c.visit(t, "app1", "/mysql"); status != 200 || !strings.Contains(said, `"Count":1`) || !strings.Contains(said, "aad_orders@%") {
		t.Errorf("the app: %d %s", status, said)
	}
	for item, result := range s.validated(t, "app1", "orders") {
		if !strings.HasPrefix(result, "success") {
			t.Errorf("validated: %s: %s", item, result)
		}
	}
	if _, err := c.mysql(mysqlAdmin, adminPassword).ExecContext(t.Context(), "DROP USER 'aad_orders'@'%'"); err != nil {
		t.Fatal(err)
	}
	s.repair(t, "app1", "orders")
	if diff := cmp.Diff(connected, c.mysqlWorld()); diff != "" {
		t.Errorf("mended, but not as before: %s", diff)
	}
	if op := s.do("DELETE", path, nil); op.text("status") != "Succeeded" {
		t.Fatalf("delete: %s", op.Raw)
	}
	if diff := cmp.Diff(before, c.mysqlWorld()); diff != "" {
		t.Errorf("after delete: %s", diff)
	}
	if got := c.mysqlColumn("SELECT COUNT(*) FROM db1.visits"); len(got) != 1 || got[0] != "1" {
		t.Errorf("the app's table holds %v", got)
	}
}

// A create that the site refuses leaves nothing, and the administrator is back.
func TestMySQLUndo(t *testing.T) {
	t.Parallel()
	c, s, _ := mysqlStage(t)
	s.start()
	before := c.mysqlWorld()
	c.faults(map[string]any{"method": "PUT", "path": "/config/appsettings$", "status": 403})
	if op := s.do("PUT", s.linker("app1", "orders"), mysqlByIdentity(c)); op.text("status") != "Failed" {
		t.Errorf("a refused create: %s", op.Raw)
	}
	c.faults()
	if diff := cmp.Diff(before, c.mysqlWorld()); diff != "" {
		t.Errorf("after the undo: %s", diff)
	}
}

// Killed wherever: the next server finishes, and the administrator is who it was before the
// first of them. Where the server died before it took that place, somebody else is appointed
// before the next one comes; then it is that one.
func TestMySQLKilled(t *testing.T) {
	t.Parallel()
	c, s, dba := mysqlStage(t)
	other, reader := c.newPrincipal("other"), c.makeIdentity("reader")
	path := s.linker("app1", "orders")
	create, remove := change{"PUT", path, mysqlByIdentity(c)}, change{"DELETE", path, nil}
	s.start()
	before := c.mysqlWorld()
	for n := 3; ; n += 2 {
		s.stop()
		s.start(fmt.Sprintf("%s=%d", dieAt, n))
		if s.sendToMortal(create) {
			if n < 9 {
				t.Fatalf("a run survived entry %d", n)
			}
			break
		}
		if c.mysqlWorld()["admin"] == before["admin"] {
			c.appoint("other", other, reader)
			before["admin"] = c.mysqlWorld()["admin"]
		}
		s.start()
		op := s.await(s.newest())
		now := c.mysqlWorld()
		if now["admin"] != before["admin"] {
			t.Fatalf("killed at entry %d: %s", n, cmp.Diff(before["admin"], now["admin"]))
		}
		if op.text("status") != "Succeeded" {
			t.Errorf("killed at entry %d: %s", n, op.Raw)
		}
		s.do(remove.method, remove.path, remove.body)
		if diff := cmp.Diff(before, c.mysqlWorld()); diff != "" {
			t.Fatalf("killed at entry %d, then deleted: %s", n, diff)
		}
		c.appoint("dba", dba, reader)
		before["admin"] = c.mysqlWorld()["admin"]
	}
}

// Two apps are joined to one server side by side: both get in, and the administrator comes
// back once, whichever operation ends last.
func TestMySQLSideBySide(t *testing.T) {
	t.Parallel()
	c, s, _ := mysqlStage(t)
	c.makeWitness("app2")
	s.start()
	before := c.mysqlWorld()
	both := func(method string, body any) {
		var ids []string
		for _, app := range []string{"app1", "app2"} {
			a := s.call(method, s.linker(app, "from"+app), body)
			ids = append(ids, a.Header.Get("X-Patchbay-Operation"))
		}
		for _, id := range ids {
			if op := s.await(id); op.text("status") != "Succeeded" {
				t.Errorf("%s: %s", method, op.Raw)
			}
		}
		if now := c.mysqlWorld(); now["admin"] != before["admin"] {
			t.Errorf("after %s: %s", method, cmp.Diff(before["admin"], now["admin"]))
		}
	}
	for range 3 {
		both("PUT", mysqlByIdentity(c))
		for _, app := range []string{"app1", "app2"} {
			if status, said := c.visit(t, app, "/mysql"); status != 200 || !strings.Contains(said, "aad_from"+app) {
				t.Errorf("%s: %d %s", app, status, said)
			}
		}
		both("DELETE", nil)
	}
	if diff := cmp.Diff(before, c.mysqlWorld()); diff != "" {
		t.Errorf("afterwards: %s", diff)
	}
}

// An update that fails after the app's identity was switched off brings it back as another
// principal: the database user is bound to the new client id, and the app gets in.
func TestMySQLUndoneUpdate(t *testing.T) {
	t.Parallel()
	c, s, _ := mysqlStage(t)
	s.start()
	path := s.linker("app1", "orders")
	if op := s.do("PUT", path, mysqlByIdentity(c)); op.text("status") != "Succeeded" {
		t.Fatalf("create: %s", op.Raw)
	}
	before := c.mysqlWorld()
	principal := c.arm("GET", c.site("app1"), siteVersion, nil).text("identity", "principalId")
	byPassword := body(c.mysqlServer()+"/databases/db1", map[string]any{"authType": "secret", "name": mysqlAdmin, "secretInfo": map[string]any{"secretType": "rawValue", "value": adminPassword}})
	c.faults(map[string]any{"method": "PATCH", "path": "(?i)/sites/app1$", "drop": true, "when": "after", "times": 3})
	op := s.do("PUT", path, byPassword)
	c.faults()
	if op.text("status") != "Failed" {
		t.Fatalf("update: %s", op.Raw)
	}
	if c.arm("GET", c.site("app1"), siteVersion, nil).text("identity", "principalId") == principal {
		t.Fatal("the identity was not replaced: nothing is proven")
	}
	if diff := cmp.Diff(before, c.mysqlWorld()); diff != "" {
		t.Errorf("after the undo: %s", diff)
	}
	if status, said := c.visit(t, "app1", "/mysql"); status != 200 || !strings.Contains(said, "aad_orders") {
		t.Errorf("the app: %d %s", status, said)
	}
}

// A server that could look nobody up is refused before anything is written.
func TestMySQLRefused(t *testing.T) {
	t.Parallel()
	c, s, _ := mysqlStage(t)
	s.start()
	c.arm("DELETE", c.mysqlServer()+"/administrators/ActiveDirectory", mysqlVersion, nil)
	c.arm("PATCH", c.mysqlServer(), mysqlVersion, map[string]any{"identity": map[string]any{"type": "None"}})
	before := c.mysqlWorld()
	c.forget()
	a := s.call("PUT", s.linker("app1", "orders"), mysqlByIdentity(c))
	if a.Status < 400 || !strings.Contains(string(a.Raw), "AUTH_UNSUPPORTED") || !strings.Contains(string(a.Raw), "identity assign") {
		t.Errorf("no identity: %d %s", a.Status, a.Raw)
	}
	for _, r := range c.requests() {
		if r.Caller == s.engine.ObjectID && r.Method != "GET" {
			t.Errorf("wrote %s %s", r.Method, r.Path)
		}
	}
	if diff := cmp.Diff(before, c.mysqlWorld()); diff != "" {
		t.Error(diff)
	}
}
