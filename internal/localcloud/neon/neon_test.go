package neon

import (
	"context"
	"errors"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/patchbay/patchbay/internal/localcloud/provider"
	"github.com/patchbay/patchbay/internal/localcloud/providertest"
)

const organizationID = "/subscriptions/0000/resourceGroups/Rg/providers/Neon.Postgres/organizations/o"

type bench struct {
	t     *testing.T
	cloud *providertest.Cloud
	front *providertest.Front
	p     provider.Provider
}

func newBench(t *testing.T) *bench {
	t.Helper()
	b := &bench{t: t, cloud: providertest.New(t)}
	b.boot()
	return b
}

func (b *bench) boot() {
	p := New(b.cloud)
	b.t.Cleanup(func() { _ = p.Close() })
	b.p, b.front = p, providertest.NewFront(b.cloud, p)
}

func (b *bench) run(method, path string, d provider.Document) *providertest.Result {
	b.t.Helper()
	r, err := b.front.Run(b.t.Context(), method, organizationID+path, d)
	if err != nil {
		b.t.Fatalf("%s %s: %v", method, path, err)
	}
	return r
}

func (b *bench) project() {
	b.t.Helper()
	b.run("PUT", "", provider.Document{"location": "westeurope", "properties": map[string]any{
		"marketplaceDetails": map[string]any{}, "userDetails": map[string]any{}, "companyDetails": map[string]any{},
	}})
	b.run("PUT", "/projects/p", provider.Document{"properties": map[string]any{}})
}

// uri is what the action hands out.
func (b *bench) uri(role, database string) string {
	b.t.Helper()
	r := b.run("POST", "/projects/p/getConnectionUri", provider.Document{"roleName": role, "databaseName": database})
	return provider.Text(r.Body, "connectionStringUri")
}

// connect opens a session with a connection string, and nothing else known.
func (b *bench) connect(uri string) (*pgx.Conn, error) {
	cfg, err := pgx.ParseConfig(uri)
	if err != nil {
		b.t.Fatal(err)
	}
	if cfg.TLSConfig != nil {
		cfg.TLSConfig.RootCAs, cfg.TLSConfig.InsecureSkipVerify, cfg.TLSConfig.ServerName = b.cloud.CertPool(), false, cfg.Host
	}
	ctx, cancel := context.WithTimeout(b.t.Context(), 10*time.Second)
	b.t.Cleanup(cancel)
	c, err := pgx.ConnectConfig(ctx, cfg)
	if err == nil {
		b.t.Cleanup(func() { _ = c.Close(context.WithoutCancel(ctx)) })
	}
	return c, err
}

func TestProject(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.project()
	uri := b.uri(firstRole, firstDatabase)
	c, err := b.connect(uri)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.Exec(t.Context(), "CREATE TABLE hits (n int); INSERT INTO hits VALUES (7)"); err != nil {
		t.Fatal(err)
	}
	u, _ := url.Parse(uri)
	for what, bad := range map[string]string{
		"a wrong password": strings.Replace(uri, "npg_", "npg-", 1),
		"no TLS":           strings.Replace(uri, "sslmode=require", "sslmode=disable", 1),
		"another role":     strings.Replace(uri, firstRole, "azuresu", 1),
	} {
		var refused *pgconn.PgError
		if _, err := b.connect(bad); !errors.As(err, &refused) || !strings.HasPrefix(refused.Code, "28") {
			t.Errorf("%s: %v", what, err)
		}
	}
	if password, _ := u.User.Password(); strings.Contains(b.cloud.Logged(), password) {
		t.Error("the log holds a password")
	}
	if err := b.p.Close(); err != nil {
		t.Fatal(err)
	}
	b.boot()
	if err := b.p.Resume(t.Context()); err != nil {
		t.Fatal(err)
	}
	if c, err = b.connect(b.uri(firstRole, firstDatabase)); err != nil {
		t.Fatal(err)
	}
	var n int
	if err := c.QueryRow(t.Context(), "SELECT n FROM hits").Scan(&n); err != nil || n != 7 {
		t.Errorf("after a restart: %d, %v", n, err)
	}
	b.run("DELETE", "/projects/p", nil)
	if _, err := b.connect(uri); err == nil {
		t.Error("a deleted project answers")
	}
}

func TestRolesAndDatabases(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.project()
	b.run("PUT", "/projects/p/branches/main/neonRoles/app", provider.Document{"properties": map[string]any{}})
	b.run("PUT", "/projects/p/branches/main/neonDatabases/or'ders", provider.Document{"properties": map[string]any{"ownerName": "app"}})
	uri := b.uri("app", "or'ders")
	if _, err := b.connect(uri); err != nil {
		t.Fatal(err)
	}
	b.run("PUT", "/projects/p/branches/main/neonRoles/app", provider.Document{"properties": map[string]any{}})
	if b.uri("app", "or'ders") != uri {
		t.Error("a second write gives another password")
	}
	got := b.run("GET", "/projects/p/branches/main/neonRoles/app", nil).Body
	if state := provider.Text(got, "properties", "provisioningState"); state != succeeded {
		t.Error(state)
	}
	for path, want := range map[string]string{
		"/projects/p/branches/main/neonDatabases/x": "InvalidRequestContent", "/projects/q/branches/main": "ParentResourceNotFound",
		"/projects/p/branches/main/neonRoles/pg_x": "InvalidRequestContent",
	} {
		var f *provider.Fault
		if _, err := b.front.Run(t.Context(), "PUT", organizationID+path, provider.Document{"properties": map[string]any{"ownerName": "nobody"}}); !errors.As(err, &f) || f.Code != want {
			t.Errorf("%s: %v, want %s", path, err, want)
		}
	}
	var f *provider.Fault
	if _, err := b.front.Run(t.Context(), "POST", organizationID+"/projects/p/getConnectionUri", provider.Document{"roleName": "nobody", "databaseName": firstDatabase}); !errors.As(err, &f) || f.Status != 404 {
		t.Errorf("a role that is not there: %v", err)
	}
}
