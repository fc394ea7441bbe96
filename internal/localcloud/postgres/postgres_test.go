package postgres

import (
	"strings"
	"testing"

	"github.com/patchbay/patchbay/internal/localcloud/provider"
)

func TestServerLife(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	r, err := b.front.Do(b.ctx, "PUT", serverID, body(map[string]any{
		"administratorLogin": login, "administratorLoginPassword": password, "version": "15", "createMode": "Default",
	}))
	if err != nil {
		t.Fatal(err)
	}
	wantStatus(t, r.Status, 202)
	if r.Body != nil {
		t.Errorf("answered a body with 202: %v", r.Body)
	}
	if f := b.fault("GET", "", nil); f.Status != 404 {
		t.Errorf("before it is done: %v, want 404", f)
	}
	if err := r.Finish(b.ctx); err != nil {
		t.Fatal(err)
	}
	doc := b.get("")
	for path, want := range map[string]string{
		"fullyQualifiedDomainName": b.cloud.Address(serverID), "administratorLogin": login, "version": "15", "state": "Ready",
	} {
		if got := provider.Text(doc, "properties", path); got != want {
			t.Errorf("%s = %q, want %q", path, got, want)
		}
	}
	if got := provider.Text(doc, "properties", "network", "publicNetworkAccess"); got != "Enabled" {
		t.Errorf("publicNetworkAccess = %q", got)
	}
	for _, name := range neverRead {
		if provider.At(doc, "properties", name) != nil {
			t.Errorf("%s is readable", name)
		}
	}
	if doc["name"] != "Db1" || doc["type"] != serverType || doc["id"] != serverID {
		t.Errorf("identity: %v %v %v", doc["id"], doc["name"], doc["type"])
	}

	b.allow("me", "127.0.0.1", "127.0.0.1")
	b.run("PUT", "/databases/orders", nil)
	conn := b.session(login, password, "orders")
	b.exec(conn, "CREATE TABLE t (n int)", "INSERT INTO t VALUES (1)")
	b.run("DELETE", "", nil)
	if _, err := b.dial(login, password, "orders"); err == nil {
		t.Error("a deleted server takes sign-ins")
	}
	if f := b.fault("GET", "/databases/orders", nil); f.Status != 404 {
		t.Errorf("child of a deleted server: %v", f)
	}
	if s := b.run("DELETE", "", nil).Status; s != 204 {
		t.Errorf("second delete: %d, want 204", s)
	}
}

func TestEntraSignIn(t *testing.T) {
	t.Parallel()
	b := withServer(t)
	_, admin := b.admin("the-admin")
	app := b.principal(admin, "my app, O=x") // a name that tries to break out of the bind's name
	b.exec(admin, `GRANT ALL ON DATABASE app TO "my app, O=x"`)
	conn := b.session("my app, O=x", b.token(app), "app")
	var user string
	if err := conn.QueryRow(b.ctx, "SELECT session_user").Scan(&user); err != nil || user != "my app, O=x" {
		t.Fatalf("session_user %q, %v", user, err)
	}

	rows := map[string][2]string{
		"another principal's token": {"my app, O=x", b.token(b.identity("other"))},
		"no token":                  {"my app, O=x", "x"},
		"administrator's token":     {"my app, O=x", b.token(b.identity("the-admin"))},
	}
	wrong, _, err := b.cloud.Directory().Token(app.ObjectID, "https://vault.azure.net")
	if err != nil {
		t.Fatal(err)
	}
	rows["another audience"] = [2]string{"my app, O=x", wrong}
	for name, row := range rows {
		t.Run(name, func(t *testing.T) { b.refused(row[0], row[1], "app", "28000") })
	}
	good := b.token(app)
	b.cloud.Advance(24 * 3600e9)
	b.refused("my app, O=x", good, "app", "28000")
	b.session("my app, O=x", b.token(app), "app")
	b.cloud.Directory().Remove(app.ObjectID)
	if logged := b.cloud.Logged(); strings.Contains(logged, good) {
		t.Error("a token was logged")
	}
}
