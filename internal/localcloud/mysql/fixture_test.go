package mysql

import (
	"context"
	"crypto/tls"
	"database/sql"
	"errors"
	"net"
	"testing"
	"time"

	driver "github.com/go-sql-driver/mysql"

	"github.com/patchbay/patchbay/internal/localcloud/provider"
	"github.com/patchbay/patchbay/internal/localcloud/providertest"
)

const (
	group      = "/subscriptions/0000/resourceGroups/Rg"
	serverID   = group + "/providers/Microsoft.DBforMySQL/flexibleServers/Db1"
	identityID = group + "/providers/Microsoft.ManagedIdentity/userAssignedIdentities/reader"

	admin    = "myadmin"
	password = "Canary-9f2!'x\\"
)

// bench is one cloud with one provider and, once made, one server.
type bench struct {
	t     *testing.T
	ctx   context.Context
	cloud *providertest.Cloud
	front *providertest.Front
	p     provider.Provider
}

func newBench(t *testing.T) *bench {
	t.Helper()
	b := &bench{t: t, ctx: t.Context(), cloud: providertest.New(t)}
	reader := b.cloud.Directory().NewManagedIdentity(identityID, "reader")
	b.cloud.Store().Put(identityID, provider.Document{"id": identityID, "name": "reader", "type": "Microsoft.ManagedIdentity/userAssignedIdentities",
		"properties": map[string]any{"principalId": reader.ObjectID, "clientId": reader.ClientID}})
	b.boot()
	return b
}

// boot makes a provider over the cloud, as a fresh process would.
func (b *bench) boot() {
	b.p = New(b.cloud)
	b.front = providertest.NewFront(b.cloud, b.p)
	p := b.p.(*Provider)
	b.t.Cleanup(func() {
		if err := p.Close(); err != nil {
			b.t.Errorf("close: %v", err)
		}
		for _, s := range p.servers { // folders outside the test's own are ours to remove
			s.op.Lock()
			s.destroy()
			s.op.Unlock()
		}
	})
}

// withServer makes a server that carries an identity, and one database, its firewall open.
func withServer(t *testing.T) *bench {
	t.Helper()
	b := newBench(t)
	b.run("PUT", "", provider.Document{
		"location":   "westeurope",
		"identity":   map[string]any{"type": "UserAssigned", "userAssignedIdentities": map[string]any{identityID: map[string]any{}}},
		"properties": map[string]any{"administratorLogin": admin, "administratorLoginPassword": password, "version": "8.0.21"},
	})
	b.run("PUT", "/databases/app", provider.Document{"properties": map[string]any{}})
	b.allow("all", "127.0.0.1", "127.0.0.1")
	return b
}

func (b *bench) allow(name, first, last string) {
	b.t.Helper()
	b.run("PUT", "/firewallRules/"+name, properties(map[string]any{"startIpAddress": first, "endIpAddress": last}))
}

func properties(p map[string]any) provider.Document { return provider.Document{"properties": p} }

// run makes a call on the server and finishes it; anything but success ends the test.
func (b *bench) run(method, path string, d provider.Document) *providertest.Result {
	b.t.Helper()
	r, err := b.front.Run(b.ctx, method, serverID+path, d)
	if err != nil {
		b.t.Fatalf("%s %s: %v", method, path, err)
	}
	return r
}

// fault makes a call that must be refused.
func (b *bench) fault(method, path string, d provider.Document) *provider.Fault {
	b.t.Helper()
	_, err := b.front.Run(b.ctx, method, serverID+path, d)
	var f *provider.Fault
	if !errors.As(err, &f) {
		b.t.Fatalf("%s %s: got %v, want a fault", method, path, err)
	}
	return f
}

func (b *bench) get(path string) provider.Document {
	b.t.Helper()
	return b.run("GET", path, nil).Body
}

// way is how somebody comes to the server.
type way struct {
	user, secret, database string
	from                   string // "" is 127.0.0.1
	plain                  bool   // without TLS
	noClear                bool   // refuses to send a password in clear
}

func (b *bench) open(w way) (*sql.DB, error) {
	cfg := driver.NewConfig()
	cfg.Net, cfg.Addr, cfg.User, cfg.Passwd, cfg.DBName = "tcp", net.JoinHostPort(b.cloud.Address(serverID), "3306"), w.user, w.secret, w.database
	cfg.AllowCleartextPasswords, cfg.Logger = !w.noClear, &driver.NopLogger{}
	if !w.plain {
		cfg.TLS = b.cloud.ClientTLS()
		cfg.TLS.ServerName = b.cloud.Address(serverID)
		cfg.TLS.MinVersion = tls.VersionTLS12
	}
	from := w.from
	if from == "" {
		from = "127.0.0.1"
	}
	cfg.DialFunc = (&net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(from)}, Timeout: 10 * time.Second}).DialContext
	connector, err := driver.NewConnector(cfg)
	if err != nil {
		return nil, err
	}
	db := sql.OpenDB(connector)
	db.SetMaxOpenConns(1) // one session, so that what it is told stays
	if err := db.PingContext(b.ctx); err != nil {
		return nil, errors.Join(err, db.Close())
	}
	return db, nil
}

// session is open that must succeed.
func (b *bench) session(user, secret, database string) *sql.DB {
	b.t.Helper()
	db, err := b.open(way{user: user, secret: secret, database: database})
	if err != nil {
		b.t.Fatalf("sign in as %s: %v", user, err)
	}
	b.t.Cleanup(func() { _ = db.Close() })
	return db
}

// refused is open that must fail with one of the server's errors.
func (b *bench) refused(w way, code uint16) {
	b.t.Helper()
	db, err := b.open(w)
	if err == nil {
		_ = db.Close()
		b.t.Fatalf("%s signed in", w.user)
	}
	if sqlCode(err) != code {
		b.t.Fatalf("sign in as %s: got %v, want error %d", w.user, err, code)
	}
}

// exec runs statements that must succeed.
func (b *bench) exec(db *sql.DB, statements ...string) {
	b.t.Helper()
	for _, s := range statements {
		if _, err := db.ExecContext(b.ctx, s); err != nil {
			b.t.Fatalf("%s: %v", s, err)
		}
	}
}

// denied runs a statement that must fail with one of the server's errors.
func (b *bench) denied(db *sql.DB, statement string, code uint16) {
	b.t.Helper()
	if _, err := db.ExecContext(b.ctx, statement); sqlCode(err) != code {
		b.t.Fatalf("%s: got %v, want error %d", statement, err, code)
	}
}

// identity makes a principal.
func (b *bench) identity(name string) provider.Principal {
	return b.cloud.Directory().NewManagedIdentity(group+"/providers/Microsoft.Web/sites/"+name, name)
}

func (b *bench) token(p provider.Principal, audience string) string {
	b.t.Helper()
	t, _, err := b.cloud.Directory().Token(p.ObjectID, audience)
	if err != nil {
		b.t.Fatal(err)
	}
	return t
}

func adminBody(login, sid string) provider.Document {
	return properties(map[string]any{"administratorType": "ActiveDirectory", "login": login, "sid": sid,
		"tenantId": providertest.Tenant, "identityResourceId": identityID})
}

// entraAdmin makes a principal the Entra administrator and signs it in.
func (b *bench) entraAdmin(name string) (provider.Principal, *sql.DB) {
	b.t.Helper()
	p := b.identity(name)
	b.run("PUT", "/administrators/ActiveDirectory", adminBody(name, p.ObjectID))
	return p, b.session(name, b.token(p, publicAudience), "")
}

// user makes an ordinary Entra user through an administrator's session.
func (b *bench) user(admin *sql.DB, name string) provider.Principal {
	b.t.Helper()
	p := b.identity(name)
	b.exec(admin, "SET aad_auth_validate_oids_in_tenant = OFF", "CREATE AADUSER '"+name+"' IDENTIFIED BY '"+p.ClientID+"'",
		"GRANT ALL PRIVILEGES ON `app`.* TO '"+name+"'@'%'")
	return p
}
