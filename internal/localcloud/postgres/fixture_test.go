package postgres

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/patchbay/patchbay/internal/localcloud/provider"
	"github.com/patchbay/patchbay/internal/localcloud/providertest"
)

const (
	group    = "/subscriptions/0000/resourceGroups/Rg"
	serverID = group + "/providers/Microsoft.DBforPostgreSQL/flexibleServers/Db1"

	login    = "pgadmin"
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
	b.boot()
	return b
}

// boot makes a provider over the cloud, as a fresh process would.
func (b *bench) boot() {
	b.p = New(b.cloud)
	b.front = providertest.NewFront(b.cloud, b.p)
	p := b.p
	b.t.Cleanup(func() {
		if err := p.Close(); err != nil {
			b.t.Errorf("close: %v", err)
		}
		// Folders outside the test's own are ours to remove.
		for _, s := range p.(*Provider).servers {
			s.op.Lock()
			s.destroy()
			s.op.Unlock()
		}
	})
}

func body(properties map[string]any) provider.Document {
	return provider.Document{"location": "westeurope", "properties": properties}
}

// withServer makes a server with Entra sign-in and one database, its firewall open.
func withServer(t *testing.T) *bench {
	t.Helper()
	b := newBench(t)
	b.run("PUT", "", body(map[string]any{
		"administratorLogin": login, "administratorLoginPassword": password, "version": "15",
		"authConfig": map[string]any{"activeDirectoryAuth": "Enabled", "passwordAuth": "Enabled", "tenantId": providertest.Tenant},
	}))
	b.run("PUT", "/databases/app", provider.Document{"properties": map[string]any{}})
	b.allow("all", "127.0.0.1", "127.0.0.1")
	return b
}

func (b *bench) allow(name, first, last string) {
	b.t.Helper()
	b.run("PUT", "/firewallRules/"+name, provider.Document{"properties": map[string]any{"startIpAddress": first, "endIpAddress": last}})
}

// run makes a call on the server and finishes it; anything but success ends the test.
func (b *bench) run(method, path string, d provider.Document) *providertest.Result {
	b.t.Helper()
	r, err := b.front.Run(b.ctx, method, serverID+path, d)
	if err != nil {
		b.t.Fatalf("%s %s: %v", method, path, err)
	}
	return r
}

// fault makes a call that must be refused at once.
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

// dial opens a session as an app would: over TLS, checking the certificate.
func (b *bench) dial(user, secret, database string) (*pgx.Conn, error) {
	return b.dialFrom("127.0.0.1", user, secret, database, true)
}

func (b *bench) dialFrom(source, user, secret, database string, secure bool) (*pgx.Conn, error) {
	cfg, err := pgx.ParseConfig("sslmode=disable")
	if err != nil {
		return nil, err
	}
	cfg.Host, cfg.Port, cfg.User, cfg.Password, cfg.Database = b.cloud.Address(serverID), 5432, user, secret, database
	cfg.Fallbacks = nil
	if secure {
		cfg.TLSConfig = b.cloud.ClientTLS()
		cfg.TLSConfig.ServerName = cfg.Host
	}
	d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(source)}, Timeout: 10 * time.Second}
	cfg.DialFunc = d.DialContext
	return pgx.ConnectConfig(b.ctx, cfg)
}

// session is dial that must succeed.
func (b *bench) session(user, secret, database string) *pgx.Conn {
	b.t.Helper()
	conn, err := b.dial(user, secret, database)
	if err != nil {
		b.t.Fatalf("sign in as %s: %v", user, err)
	}
	b.t.Cleanup(func() { _ = conn.Close(context.Background()) })
	return conn
}

// refused is dial that must fail with a SQLSTATE.
func (b *bench) refused(user, secret, database, state string) *pgconn.PgError {
	b.t.Helper()
	conn, err := b.dial(user, secret, database)
	if err == nil {
		_ = conn.Close(b.ctx)
		b.t.Fatalf("%s signed in", user)
	}
	return b.state(err, state)
}

func (b *bench) state(err error, want string) *pgconn.PgError {
	b.t.Helper()
	var e *pgconn.PgError
	if !errors.As(err, &e) || e.Code != want {
		b.t.Fatalf("got %v, want SQLSTATE %s", err, want)
	}
	return e
}

// exec runs statements that must succeed.
func (b *bench) exec(conn *pgx.Conn, statements ...string) {
	b.t.Helper()
	for _, s := range statements {
		if _, err := conn.Exec(b.ctx, s); err != nil {
			b.t.Fatalf("%s: %v", s, err)
		}
	}
}

// identity makes a principal.
func (b *bench) identity(name string) provider.Principal {
	return b.cloud.Directory().NewManagedIdentity(group+"/providers/Microsoft.Web/sites/"+name, name)
}

func (b *bench) token(p provider.Principal) string {
	b.t.Helper()
	t, _, err := b.cloud.Directory().Token(p.ObjectID, publicAudience)
	if err != nil {
		b.t.Fatal(err)
	}
	return t
}

// admin makes an Entra administrator and signs it in to a database.
func (b *bench) admin(name string) (provider.Principal, *pgx.Conn) {
	b.t.Helper()
	p := b.identity(name)
	b.run("PUT", "/administrators/"+p.ObjectID, adminBody(name))
	return p, b.session(name, b.token(p), "postgres")
}

func adminBody(name string) provider.Document {
	return provider.Document{"properties": map[string]any{
		"principalName": name, "principalType": "ServicePrincipal", "tenantId": providertest.Tenant,
	}}
}

// principal makes an ordinary mapped role through an administrator's session.
func (b *bench) principal(admin *pgx.Conn, name string) provider.Principal {
	b.t.Helper()
	p := b.identity(name)
	b.exec(admin, fmt.Sprintf("SELECT pgaadauth_create_principal_with_oid('%s', '%s', 'service', false, false)", name, p.ObjectID))
	return p
}

func wantStatus(t *testing.T, got, want int) {
	t.Helper()
	if got != want {
		t.Fatalf("status %d (%s), want %d", got, http.StatusText(got), want)
	}
}
