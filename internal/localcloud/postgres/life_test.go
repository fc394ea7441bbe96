package postgres

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/patchbay/patchbay/internal/localcloud/provider"
)

func TestStopStart(t *testing.T) {
	t.Parallel()
	b := withServer(t)
	conn := b.session(login, password, "app")
	b.exec(conn, "CREATE TABLE kept (n int)")
	b.run("POST", "/stop", nil)
	if got := provider.Text(b.get(""), "properties", "state"); got != "Stopped" {
		t.Errorf("state %q", got)
	}
	if err := conn.Ping(b.ctx); err == nil {
		t.Error("a session outlived the server")
	}
	if _, err := b.dial(login, password, "app"); err == nil || !strings.Contains(err.Error(), "refused") {
		t.Errorf("stopped server: %v, want connection refused", err)
	}
	if f := b.fault("PUT", "/databases/more", nil); f.Status != 409 {
		t.Errorf("database on a stopped server: %v", f)
	}
	b.allow("later", "127.0.0.3", "127.0.0.3")
	b.run("POST", "/start", nil)
	if got := provider.Text(b.get(""), "properties", "state"); got != "Ready" {
		t.Errorf("state %q", got)
	}
	b.exec(b.session(login, password, "app"), "INSERT INTO kept VALUES (1)")
	b.run("POST", "/restart", nil)
	b.exec(b.session(login, password, "app"), "INSERT INTO kept VALUES (2)")
}

func TestResume(t *testing.T) {
	t.Parallel()
	b := withServer(t)
	_, admin := b.admin("root-admin")
	app := b.principal(admin, "app")
	b.exec(b.session(login, password, "app"), "CREATE TABLE kept (n int)")

	if err := b.p.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := b.dial(login, password, "app"); err == nil {
		t.Error("the server outlived its cloud")
	}
	b.boot()
	if err := b.p.Resume(b.ctx); err != nil {
		t.Fatal(err)
	}
	b.exec(b.session(login, password, "app"), "INSERT INTO kept VALUES (1)")
	b.session("app", b.token(app), "app")

	// The cloud is killed: its listeners go with it, the server process does not.
	killed := b.p.(*Provider).server(serverID)
	killed.gate.close()
	pid := killed.cluster.cmd.Process.Pid
	b.boot()
	if err := b.p.Resume(b.ctx); err != nil {
		t.Fatal(err)
	}
	b.exec(b.session(login, password, "app"), "INSERT INTO kept VALUES (2)")
	if killed.cluster.isOurs(pid) {
		t.Error("the old process still runs")
	}

	// Stopped stays stopped.
	b.run("POST", "/stop", nil)
	if err := b.p.Close(); err != nil {
		t.Fatal(err)
	}
	b.boot()
	if err := b.p.Resume(b.ctx); err != nil {
		t.Fatal(err)
	}
	if _, err := b.dial(login, password, "app"); err == nil {
		t.Error("a stopped server was started")
	}
	root := b.cloud.Store().Private(serverID)[rootKey]
	b.run("DELETE", "", nil) // stopped before this cloud started
	if _, err := os.Stat(root); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("data folder after delete: %v", err)
	}
}

func TestUpdate(t *testing.T) {
	t.Parallel()
	b := withServer(t)
	const next = "N3xt-password"
	b.run("PATCH", "", provider.Document{"tags": map[string]any{"a": "b"}, "properties": map[string]any{
		"administratorLoginPassword": next, "storage": map[string]any{"storageSizeGB": 64}, "state": "Dropping",
	}})
	b.session(login, next, "app")
	b.refused(login, password, "app", "28P01")
	doc := b.get("")
	if provider.At(doc, "properties", "storage", "storageSizeGB") != 64.0 || provider.At(doc, "properties", "storage", "tier") != "P4" ||
		provider.Text(doc, "properties", "state") != "Ready" || provider.Text(doc, "tags", "a") != "b" || provider.At(doc, "properties", "administratorLoginPassword") != nil {
		t.Errorf("after the patch: %v", doc)
	}
	// A PUT of the whole server changes it in place.
	b.run("PUT", "", body(map[string]any{"administratorLogin": login, "administratorLoginPassword": password}))
	b.session(login, password, "app")
	if f := b.fault("PATCH", "", provider.Document{"properties": map[string]any{"administratorLogin": "other"}}); f.Status != 400 {
		t.Errorf("new administrator login: %v", f)
	}
}

func TestDatabases(t *testing.T) {
	t.Parallel()
	b := withServer(t)
	name := `we"ird 'db`
	b.run("PUT", "/databases/"+name, provider.Document{"properties": map[string]any{"charset": "UTF8", "collation": "xx_XX.utf8"}})
	b.run("PUT", "/databases/"+name, nil) // again is no error
	conn := b.session(login, password, name)
	b.exec(conn, "CREATE TABLE public.t (n int)") // azure_pg_admin owns the database
	r, err := b.front.Run(b.ctx, "GET", serverID+"/databases/", nil)
	if err != nil {
		t.Fatal(err)
	}
	if n := len(r.Body["value"].([]any)); n != 3 { // app, postgres and ours
		t.Errorf("%d databases listed", n)
	}
	b.run("DELETE", "/databases/"+name, nil)
	b.refused(login, password, name, "3D000")
	if f := b.fault("DELETE", "/databases/postgres", nil); f.Status != 400 {
		t.Errorf("delete of postgres: %v", f)
	}
	if s := b.run("DELETE", "/databases/ghost", nil).Status; s != 204 {
		t.Errorf("delete of nothing: %d", s)
	}
	if _, err := b.front.Run(b.ctx, "PUT", serverID+"/databases/bad", provider.Document{"properties": map[string]any{"charset": "NONSENSE"}}); err == nil {
		t.Error("an unknown charset was taken")
	}
}

func TestConfigurations(t *testing.T) {
	t.Parallel()
	b := withServer(t)
	b.run("PUT", "/configurations/statement_timeout", provider.Document{"properties": map[string]any{"value": "1234", "source": "user-override"}})
	doc := b.get("/configurations/statement_timeout")
	if provider.Text(doc, "properties", "value") != "1234" || provider.Text(doc, "properties", "defaultValue") != "0" || provider.Text(doc, "properties", "source") != "user-override" {
		t.Errorf("reads as %v", doc)
	}
	var value string
	if err := b.session(login, password, "app").QueryRow(b.ctx, "SHOW statement_timeout").Scan(&value); err != nil || value != "1234ms" {
		t.Errorf("in a session: %q, %v", value, err)
	}
	for path, status := range map[string]int{"archive_command": 404, "ssl": 404, "lock_timeout": 400} {
		if f := b.fault("PUT", "/configurations/"+path, provider.Document{"properties": map[string]any{"value": "never"}}); f.Status != status {
			t.Errorf("%s: %v, want %d", path, f, status)
		}
	}
	r, err := b.front.Run(b.ctx, "GET", serverID+"/configurations/", nil)
	if err != nil || len(r.Body["value"].([]any)) != len(settable) {
		t.Errorf("list: %v, %v", r, err)
	}
}

func TestServerRefused(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	ok := map[string]any{"administratorLogin": login, "administratorLoginPassword": password}
	for name, change := range map[string]map[string]any{
		"no login":        {"administratorLogin": nil},
		"reserved login":  {"administratorLogin": "azure_superuser"},
		"platform login":  {"administratorLogin": "AzureSU"},
		"pg_ login":       {"administratorLogin": "pg_me"},
		"quoted login":    {"administratorLogin": `a"b`},
		"no password":     {"administratorLoginPassword": nil},
		"short password":  {"administratorLoginPassword": "aB1"},
		"plain password":  {"administratorLoginPassword": "aaaaaaaaaaaa"},
		"no way to enter": {"authConfig": map[string]any{"activeDirectoryAuth": "Disabled", "passwordAuth": "Disabled"}},
	} {
		t.Run(name, func(t *testing.T) {
			f := b.fault("PUT", "", body(provider.Merge(ok, change)))
			if f.Status != 400 || strings.Contains(f.Message, password) {
				t.Errorf("got %v", f)
			}
		})
	}
	if f := b.fault("PUT", "", provider.Document{"properties": ok}); f.Code != "LocationRequired" {
		t.Errorf("no location: %v", f)
	}
	for _, call := range []string{"PATCH", "POST /stop"} {
		method, path, _ := strings.Cut(call, " ")
		if f := b.fault(method, path, nil); f.Status != 404 {
			t.Errorf("%s on nothing: %v", call, f)
		}
	}
}

// TestSecretsStayOut plants a password and a token and looks where they must not be.
func TestSecretsStayOut(t *testing.T) {
	t.Parallel()
	b := withServer(t)
	root, admin := b.admin("root-admin")
	token := b.token(root)
	_, err := admin.Exec(b.ctx, "ALTER ROLE "+login+" PASSWORD '"+strings.ReplaceAll(password, "'", "''")+"' NONSENSE")
	b.state(err, "42601")
	b.refused("root-admin", token+"x", "postgres", "28000")
	s := b.p.(*Provider).server(serverID)
	cmdline, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", s.cluster.cmd.Process.Pid))
	if err != nil {
		t.Fatal(err)
	}
	log, err := os.ReadFile(filepath.Join(s.cluster.root, "server.log"))
	if err != nil {
		t.Fatal(err)
	}
	doc := fmt.Sprint(b.get(""), b.cloud.Store().Private(serverID))
	for where, text := range map[string]string{"arguments": string(cmdline), "server log": string(log), "cloud log": b.cloud.Logged(), "documents": doc} {
		for _, secret := range []string{password, "Canary", token[len(token)-40:]} {
			if strings.Contains(text, secret) {
				t.Errorf("%s holds a secret: %s", where, text)
			}
		}
	}
}
