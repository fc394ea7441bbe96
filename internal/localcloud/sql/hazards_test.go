package sql_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	mssql "github.com/microsoft/go-mssqldb"
	"github.com/microsoft/go-mssqldb/msdsn"

	"github.com/patchbay/patchbay/internal/localcloud/provider"
	"github.com/patchbay/patchbay/internal/localcloud/providertest"
	localsql "github.com/patchbay/patchbay/internal/localcloud/sql"
	"github.com/patchbay/patchbay/internal/localcloud/tds"
)

const (
	serverID  = "/subscriptions/s/resourceGroups/g/providers/Microsoft.Sql/servers/server1"
	audience  = "https://database.windows.net"
	adminName = "boss"
	password  = "Correct-Horse-7;'%@"
)

// scene is one provider with a server and a database.
type scene struct {
	t        *testing.T
	cloud    *providertest.Cloud
	provider provider.Provider
	front    *providertest.Front
}

func stage(t *testing.T) *scene {
	t.Helper()
	s := &scene{t: t, cloud: providertest.New(t)}
	s.start()
	t.Cleanup(func() {
		if err := s.provider.Close(); err != nil {
			t.Error(err)
		}
	})
	s.run("PUT", serverID, provider.Document{"location": "westeurope", "properties": map[string]any{"administratorLogin": adminName, "administratorLoginPassword": password}})
	s.run("PUT", serverID+"/databases/db1", provider.Document{"location": "West Europe"})
	return s
}

func (s *scene) start() {
	s.provider = localsql.New(s.cloud)
	s.front = providertest.NewFront(s.cloud, s.provider)
}

func (s *scene) run(method, path string, body provider.Document) provider.Document {
	s.t.Helper()
	r, err := s.front.Run(s.t.Context(), method, path, body)
	if err != nil {
		s.t.Fatalf("%s %s: %v", method, path, err)
	}
	return r.Body
}

// refused makes a call that must fail and returns its code.
func (s *scene) refused(method, path string, body provider.Document) string {
	s.t.Helper()
	_, err := s.front.Run(s.t.Context(), method, path, body)
	var f *provider.Fault
	if !errors.As(err, &f) {
		s.t.Fatalf("%s %s: %v, want a refusal", method, path, err)
	}
	return f.Code
}

func (s *scene) letIn() {
	s.run("PUT", serverID+"/firewallRules/all", provider.Document{"properties": map[string]any{"startIpAddress": "127.0.0.0", "endIpAddress": "127.255.255.255"}})
}

func (s *scene) setAdmin(sid string) {
	s.run("PUT", serverID+"/administrators/ActiveDirectory", provider.Document{"properties": map[string]any{"administratorType": "ActiveDirectory", "login": "whoever", "sid": sid}})
}

func (s *scene) config(database string) msdsn.Config {
	host := s.cloud.Address(serverID)
	tlsConfig := s.cloud.ClientTLS()
	tlsConfig.ServerName = host
	return msdsn.Config{Host: host, Port: 1433, Database: database, Protocols: []string{"tcp"}, Encryption: msdsn.EncryptionRequired, TLSConfig: tlsConfig,
		DialTimeout: 5 * time.Second, ConnTimeout: 10 * time.Second, DisableRetry: true}
}

func (s *scene) byPassword(database, user, secret string) *sql.DB {
	cfg := s.config(database)
	cfg.User, cfg.Password = user, secret
	return s.open(mssql.NewConnectorConfig(cfg))
}

func (s *scene) byToken(token string) *sql.DB {
	s.t.Helper()
	c, err := mssql.NewSecurityTokenConnector(s.config("db1"), func(context.Context) (string, error) { return token, nil })
	if err != nil {
		s.t.Fatal(err)
	}
	return s.open(c)
}

func (s *scene) open(c *mssql.Connector) *sql.DB {
	db := sql.OpenDB(c)
	s.t.Cleanup(func() { db.Close() })
	return db
}

func (s *scene) app(name string) provider.Principal {
	return s.cloud.Directory().NewManagedIdentity("/sites/"+name, name)
}

func (s *scene) token(p provider.Principal, audience string) string {
	s.t.Helper()
	token, _, err := s.cloud.Directory().Token(p.ObjectID, audience)
	if err != nil {
		s.t.Fatal(err)
	}
	return token
}

// refusal is the first message of a session or a statement that must fail.
func (s *scene) refusal(err error) mssql.Error {
	s.t.Helper()
	var said mssql.Error
	if !errors.As(err, &said) {
		s.t.Fatalf("got %v, want a server's error", err)
	}
	if len(said.All) > 0 {
		return said.All[0]
	}
	return said
}

func (s *scene) wantNumber(what string, db *sql.DB, want int32) mssql.Error {
	s.t.Helper()
	err := db.PingContext(s.t.Context())
	if want == 0 {
		if err != nil {
			s.t.Errorf("%s: %v", what, err)
		}
		return mssql.Error{}
	}
	said := s.refusal(err)
	if said.Number != want {
		s.t.Errorf("%s: error %d (%s), want %d", what, said.Number, said.Message, want)
	}
	return said
}

func (s *scene) exec(db *sql.DB, statement string) {
	s.t.Helper()
	if _, err := db.ExecContext(s.t.Context(), statement); err != nil {
		s.t.Fatalf("%s: %v", statement, err)
	}
}

func hexSID(t *testing.T, guid string) string {
	t.Helper()
	raw, err := tds.SID(guid)
	if err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf("0x%x", raw)
}

// TestFirewall: a server without rules lets nobody in, and names who asked.
func TestFirewall(t *testing.T) {
	t.Parallel()
	s := stage(t)
	db := s.byPassword("db1", adminName, password)
	if said := s.wantNumber("no rule", db, 40615); !strings.Contains(said.Message, "'127.0.0.1'") || !strings.Contains(said.Message, "'server1'") {
		t.Errorf("it says %q", said.Message)
	}
	s.run("PUT", serverID+"/firewallRules/other", provider.Document{"properties": map[string]any{"startIpAddress": "10.0.0.1", "endIpAddress": "10.0.0.9"}})
	s.wantNumber("another's rule", db, 40615)
	s.run("PUT", serverID+"/firewallRules/AllowAllWindowsAzureIps", provider.Document{"properties": map[string]any{"startIpAddress": "0.0.0.0", "endIpAddress": "0.0.0.0"}})
	s.wantNumber("all of Azure", db, 0)
	s.run("DELETE", serverID+"/firewallRules/AllowAllWindowsAzureIps", nil)
	s.wantNumber("without it again", s.byPassword("db1", adminName, password), 40615)
	s.letIn()
	s.wantNumber("its own rule", s.byPassword("db1", adminName, password), 0)
	s.run("PATCH", serverID, provider.Document{"properties": map[string]any{"publicNetworkAccess": "Disabled"}})
	s.wantNumber("no public access", s.byPassword("db1", adminName, password), 47073)
	for _, bad := range []map[string]any{{}, {"startIpAddress": "10.0.0.9", "endIpAddress": "10.0.0.1"}, {"startIpAddress": "::1", "endIpAddress": "::1"}} {
		if got := s.refused("PUT", serverID+"/firewallRules/bad", provider.Document{"properties": bad}); got != "InvalidParameterValue" {
			t.Errorf("%v: %s", bad, got)
		}
	}
}

// TestPasswords: the administrator's, and nobody's else; a new one counts at once.
func TestPasswords(t *testing.T) {
	t.Parallel()
	s := stage(t)
	s.letIn()
	for name, c := range map[string]struct {
		user, password, database string
		want                     int32
	}{
		"right": {adminName, password, "db1", 0}, "login with the server's name": {adminName + "@server1", password, "db1", 0}, "upper case": {"BOSS", password, "DB1", 0},
		"master": {adminName, password, "", 0}, "wrong": {adminName, "wrong", "db1", 18456}, "empty": {adminName, "", "db1", 18456}, "another's": {"other", password, "db1", 18456},
		"no such database": {adminName, password, "db2", 4060}, "no such database, wrong password": {adminName, "wrong", "db2", 18456},
	} {
		s.wantNumber(name, s.byPassword(c.database, c.user, c.password), c.want)
	}
	s.run("PATCH", serverID, provider.Document{"properties": map[string]any{"administratorLoginPassword": "Another-Horse-8"}})
	s.wantNumber("the old one", s.byPassword("db1", adminName, password), 18456)
	s.wantNumber("the new one", s.byPassword("db1", adminName, "Another-Horse-8"), 0)
	for _, bad := range []map[string]any{{"administratorLoginPassword": "short1A"}, {"administratorLoginPassword": "alllowercase"}, {"administratorLogin": "other"}} {
		s.refused("PATCH", serverID, provider.Document{"properties": bad})
	}
	doc := fmt.Sprint(s.run("GET", serverID, nil))
	if strings.Contains(doc, password) || strings.Contains(s.cloud.Logged(), password) || strings.Contains(doc, "Another-Horse-8") {
		t.Error("a password is shown")
	}
}

// TestOneAdministrator: whoever becomes administrator takes the place of the one before.
func TestOneAdministrator(t *testing.T) {
	t.Parallel()
	s := stage(t)
	s.letIn()
	first, second := s.app("first"), s.app("second")
	s.wantNumber("nobody yet", s.byToken(s.token(first, audience)), 18456)
	s.setAdmin(first.ObjectID)
	s.wantNumber("by object id", s.byToken(s.token(first, audience)), 0)
	s.setAdmin(second.ClientID)
	s.wantNumber("by client id", s.byToken(s.token(second, audience)), 0)
	s.wantNumber("the one before", s.byToken(s.token(first, audience)), 18456)
	if got := s.refused("PUT", serverID+"/administrators/Second", provider.Document{"properties": map[string]any{"administratorType": "ActiveDirectory", "login": "x", "sid": first.ObjectID}}); got != "InvalidAdministratorName" {
		t.Errorf("a second one: %s", got)
	}
	s.run("DELETE", serverID+"/administrators/ActiveDirectory", nil)
	s.wantNumber("removed", s.byToken(s.token(second, audience)), 18456)
	if admin := s.run("GET", serverID, nil)["properties"].(map[string]any)["administrators"]; admin != nil {
		t.Errorf("the server shows %v without being asked to expand it", admin)
	}
}

// TestEntraOnly: passwords end, and the administrator cannot go.
func TestEntraOnly(t *testing.T) {
	t.Parallel()
	s := stage(t)
	s.letIn()
	toggle := func(on bool) provider.Document {
		return provider.Document{"properties": map[string]any{"azureADOnlyAuthentication": on}}
	}
	if got := s.refused("PUT", serverID+"/azureADOnlyAuthentications/Default", toggle(true)); got != "AadAdminNotConfigured" {
		t.Errorf("without an administrator: %s", got)
	}
	who := s.app("who")
	s.setAdmin(who.ClientID)
	s.run("PUT", serverID+"/azureADOnlyAuthentications/Default", toggle(true))
	if said := s.wantNumber("a password", s.byPassword("db1", adminName, password), 18456); !strings.Contains(said.Message, "Active Directory only authentication is enabled") {
		t.Errorf("it says %q", said.Message)
	}
	s.wantNumber("a token", s.byToken(s.token(who, audience)), 0)
	s.refused("DELETE", serverID+"/administrators/ActiveDirectory", nil)
	list, _ := s.run("GET", serverID+"/azureADOnlyAuthentications/", nil)["value"].([]any)
	if len(list) != 1 || provider.At(list[0].(map[string]any), "properties", "azureADOnlyAuthentication") != true {
		t.Errorf("listed as %v", list)
	}
	s.run("DELETE", serverID+"/azureADOnlyAuthentications/Default", nil)
	s.wantNumber("a password again", s.byPassword("db1", adminName, password), 0)
}

// TestSIDBinding: an application's user is bound by its client id; by its object id it is
// nobody's, and the server makes it without a word.
func TestSIDBinding(t *testing.T) {
	t.Parallel()
	s := stage(t)
	s.letIn()
	admin, right, wrong := s.app("admin"), s.app("right"), s.app("wrong")
	s.setAdmin(admin.ClientID)
	db := s.byToken(s.token(admin, audience))
	s.exec(db, "CREATE USER [right] WITH SID = "+hexSID(t, right.ClientID)+", TYPE = E")
	s.exec(db, "CREATE USER [wrong] WITH SID = "+hexSID(t, wrong.ObjectID)+", TYPE = E")
	s.wantNumber("by client id", s.byToken(s.token(right, audience)), 0)
	s.wantNumber("by object id", s.byToken(s.token(wrong, audience)), 18456)
	s.wantNumber("another audience", s.byToken(s.token(right, "https://storage.azure.com")), 18456)
	s.wantNumber("the audience with a slash", s.byToken(s.token(right, audience+"/")), 0)
	token := s.token(right, audience)
	s.wantNumber("forged", s.byToken(token[:len(token)-6]+"AAAAAA"), 18456)
	s.cloud.Advance(2 * time.Hour)
	s.wantNumber("expired", s.byToken(token), 18456)
}

// TestDirectoryLookups: FROM EXTERNAL PROVIDER searches the directory, which neither a
// password session nor an application at a server without an identity may.
func TestDirectoryLookups(t *testing.T) {
	t.Parallel()
	s := stage(t)
	s.letIn()
	admin, app := s.app("admin"), s.app("app")
	s.setAdmin(admin.ClientID)
	statement := "CREATE USER [app] FROM EXTERNAL PROVIDER WITH OBJECT_ID = '" + app.ObjectID + "'"
	_, err := s.byPassword("db1", adminName, password).ExecContext(t.Context(), statement)
	if got := s.refusal(err).Number; got != 33159 {
		t.Errorf("with a password: error %d", got)
	}
	db := s.byToken(s.token(admin, audience))
	_, err = db.ExecContext(t.Context(), statement)
	if got := s.refusal(err).Number; got != 33134 {
		t.Errorf("without a server identity: error %d", got)
	}
	s.run("PATCH", serverID, provider.Document{"identity": map[string]any{"type": "SystemAssigned"}})
	s.exec(db, statement)
	s.wantNumber("the user", s.byToken(s.token(app, audience)), 0)
}

// TestDatabases: one that pauses does not answer; what a deleted one held is gone; a
// restart keeps the rest.
func TestDatabases(t *testing.T) {
	t.Parallel()
	s := stage(t)
	s.letIn()
	s.exec(s.byPassword("db1", adminName, password), "CREATE TABLE kept (id int); INSERT INTO kept VALUES (7)")
	s.run("POST", serverID+"/databases/db1/pause", nil)
	s.wantNumber("paused", s.byPassword("db1", adminName, password), 40613)
	s.run("POST", serverID+"/databases/db1/resume", nil)
	if err := s.provider.Close(); err != nil {
		t.Fatal(err)
	}
	s.start()
	if err := s.provider.Resume(t.Context()); err != nil {
		t.Fatal(err)
	}
	var id int
	if err := s.byPassword("db1", adminName, password).QueryRowContext(t.Context(), "SELECT id FROM kept").Scan(&id); err != nil || id != 7 {
		t.Errorf("after a restart the table holds %d: %v", id, err)
	}
	s.run("DELETE", serverID+"/databases/db1", nil)
	s.run("PUT", serverID+"/databases/db1", provider.Document{"location": "westeurope"})
	_, err := s.byPassword("db1", adminName, password).ExecContext(t.Context(), "SELECT id FROM kept")
	if got := s.refusal(err).Number; got != 208 {
		t.Errorf("a new database of the name: error %d", got)
	}
	if got := s.refused("PUT", serverID+"/databases/db3", provider.Document{"location": "northeurope"}); got != "LocationMismatch" {
		t.Errorf("elsewhere: %s", got)
	}
	s.run("DELETE", serverID, nil)
	if err := s.byPassword("db1", adminName, password).PingContext(t.Context()); err == nil {
		t.Error("a deleted server answers")
	}
}
