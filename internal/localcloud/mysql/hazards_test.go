package mysql

import (
	"bytes"
	"crypto/tls"
	"encoding/json"
	"net"
	"strings"
	"testing"

	"github.com/patchbay/patchbay/internal/localcloud/provider"
)

func TestPasswordSignIn(t *testing.T) {
	t.Parallel()
	b := withServer(t)
	db := b.session(admin, password, "app")
	b.exec(db, "CREATE TABLE t (n int primary key, s text)", "INSERT INTO t VALUES (1, 'ü')")
	var s string
	if err := db.QueryRowContext(b.ctx, "SELECT s FROM t WHERE n = ?", 1).Scan(&s); err != nil || s != "ü" { // prepared
		t.Errorf("read %q: %v", s, err)
	}
	b.refused(way{user: admin, secret: "wrong", database: "app"}, 1045)
	b.refused(way{user: admin, secret: password, database: "nowhere"}, 1049)
	b.refused(way{user: "nobody", secret: password}, 1045)
	b.refused(way{user: "root"}, 1045)
	b.refused(way{user: "root", secret: password}, 1045)
	b.refused(way{user: admin, secret: password, database: "app", plain: true}, 3159)
	b.run("PUT", "/configurations/require_secure_transport", properties(map[string]any{"value": "OFF"}))
	if db, err := b.open(way{user: admin, secret: password, database: "app", plain: true}); err != nil {
		t.Errorf("without TLS where none is required: %v", err)
	} else {
		_ = db.Close()
	}
	b.denied(db, "SELECT 1 INTO OUTFILE '/tmp/x'", 1227)
	b.denied(db, "SET GLOBAL max_connections = 5", 1227)
}

func TestFirewall(t *testing.T) {
	t.Parallel()
	b := withServer(t)
	b.refused(way{user: admin, secret: password, from: "127.0.0.3"}, 9000)
	b.allow("three", "127.0.0.2", "127.0.0.3")
	db, err := b.open(way{user: admin, secret: password, from: "127.0.0.3"})
	if err != nil {
		t.Fatalf("let in: %v", err)
	}
	var who string
	if err := db.QueryRowContext(b.ctx, "SELECT USER()").Scan(&who); err != nil || who != admin+"@127.0.0.3" {
		t.Errorf("the server sees %q: %v", who, err)
	}
	_ = db.Close()
	b.run("DELETE", "/firewallRules/three", nil)
	b.refused(way{user: admin, secret: password, from: "127.0.0.3"}, 9000)
	b.run("PATCH", "", properties(map[string]any{"network": map[string]any{"publicNetworkAccess": "Disabled"}}))
	if _, err := b.open(way{user: admin, secret: password}); err == nil || sqlCode(err) != 0 {
		t.Errorf("no public access: %v, want a connection that is hung up on", err)
	}
	if f := b.fault("PUT", "/firewallRules/bad", properties(map[string]any{"startIpAddress": "10.0.0.9", "endIpAddress": "10.0.0.1"})); f.Status != 400 {
		t.Errorf("a range backwards: %v", f)
	}
}

func TestTokenSignIn(t *testing.T) {
	t.Parallel()
	b := withServer(t)
	boss, root := b.entraAdmin("boss")
	app := b.user(root, "app-user")
	other := b.identity("other")

	db := b.session("app-user", b.token(app, publicAudience), "app")
	b.exec(db, "CREATE TABLE t (n int)", "INSERT INTO t VALUES (1)")
	b.denied(db, "CREATE DATABASE more", 1044)
	b.denied(db, "CREATE AADUSER 'x' IDENTIFIED BY '"+other.ClientID+"'", 1227)

	for name, secret := range map[string]string{
		"another audience":  b.token(app, "https://management.azure.com/"),
		"another principal": b.token(other, publicAudience),
		"the administrator": b.token(boss, publicAudience),
		"no token":          "secret",
		"nothing":           "",
	} {
		t.Run(name, func(t *testing.T) { b.refused(way{user: "app-user", secret: secret, database: "app"}, 1045) })
	}
	b.refused(way{user: "app-user", secret: b.token(app, publicAudience), plain: true}, 3159)
	b.run("PUT", "/configurations/require_secure_transport", properties(map[string]any{"value": "OFF"}))
	b.refused(way{user: "app-user", secret: b.token(app, publicAudience), plain: true}, 1045)
	if _, err := b.open(way{user: "app-user", secret: b.token(app, publicAudience), noClear: true}); err == nil || !strings.Contains(err.Error(), "clear text") {
		t.Errorf("a client that sends nothing in clear: %v", err)
	}
	b.cloud.Directory().Remove(app.ObjectID)
	b.refused(way{user: "app-user", secret: b.token(other, publicAudience)}, 1045)
}

func TestEntraUsersAreBoundToClientIDs(t *testing.T) {
	t.Parallel()
	b := withServer(t)
	_, root := b.entraAdmin("boss")
	p := b.identity("app")
	b.denied(root, "CREATE AADUSER 'app' IDENTIFIED BY '"+p.ClientID+"'", 1105) // validation of object ids is on
	b.exec(root, "SET aad_auth_validate_oids_in_tenant = OFF", "CREATE AADUSER 'app' IDENTIFIED BY '"+p.ObjectID+"'")
	b.refused(way{user: "app", secret: b.token(p, publicAudience)}, 1045)
	b.denied(root, "CREATE AADUSER 'app' IDENTIFIED BY '"+p.ClientID+"'", 1396)
	b.exec(root, "CREATE AADUSER IF NOT EXISTS 'app' IDENTIFIED BY '"+p.ClientID+"'", "DROP USER 'app'@'%'", "CREATE AADUSER 'app' IDENTIFIED BY '"+p.ClientID+"';")
	var plugin, bound string
	if err := root.QueryRowContext(b.ctx, "SELECT plugin, authentication_string FROM mysql.user WHERE User = 'app'").Scan(&plugin, &bound); err != nil {
		t.Fatal(err)
	}
	if plugin != "aad_auth" || !strings.Contains(bound, p.ClientID) {
		t.Errorf("mysql.user shows %s, %s", plugin, bound)
	}
	b.session("app", b.token(p, publicAudience), "")
	b.denied(root, "CREATE AADUSER '"+strings.Repeat("x", 33)+"' IDENTIFIED BY '"+p.ClientID+"'", 1470)
	b.denied(root, "CREATE AADUSER 'y' IDENTIFIED BY 'no id'", 1105)
	b.denied(root, "CREATE AADUSER 'y' IDENTIFIED BY '"+p.ClientID+"' REQUIRE SSL", 1064)
	b.denied(root, "SET aad_auth_validate_oids_in_tenant = MAYBE", 1064)
}

// A user that was dropped and made again with a password is an ordinary one.
func TestDroppedUserIsNoLongerBound(t *testing.T) {
	t.Parallel()
	b := withServer(t)
	_, root := b.entraAdmin("boss")
	app := b.user(root, "app")
	b.exec(root, "DROP USER app")
	b.refused(way{user: "app", secret: b.token(app, publicAudience)}, 1045)
	b.exec(root, "CREATE USER app IDENTIFIED BY 'Plain-1234'")
	b.session("app", "Plain-1234", "")
	b.refused(way{user: "app", secret: b.token(app, publicAudience)}, 1045)
	b.run("PUT", "/configurations/aad_auth_only", properties(map[string]any{"value": "ON"}))
	b.refused(way{user: "app", secret: "Plain-1234"}, 1045)
	b.refused(way{user: admin, secret: password}, 1045)
}

func TestOneEntraAdministrator(t *testing.T) {
	t.Parallel()
	b := withServer(t)
	first, root := b.entraAdmin("first")
	app := b.user(root, "app")
	second, next := b.entraAdmin("second")
	b.refused(way{user: "first", secret: b.token(first, publicAudience)}, 1045)
	if _, err := root.ExecContext(b.ctx, "CREATE AADUSER 'late' IDENTIFIED BY '"+app.ClientID+"'"); err == nil {
		t.Error("a session of the former administrator makes users")
	}
	b.session("app", b.token(app, publicAudience), "app") // users stay
	b.user(next, "later")

	list, _ := b.run("GET", "/administrators/", nil).Body["value"].([]any)
	if len(list) != 1 {
		t.Errorf("%d administrators", len(list))
	}
	if got := provider.Text(b.get("/administrators/ActiveDirectory"), "properties", "sid"); got != second.ObjectID {
		t.Errorf("administrator %s, want %s", got, second.ObjectID)
	}
	b.run("DELETE", "/administrators/ActiveDirectory", nil)
	b.refused(way{user: "second", secret: b.token(second, publicAudience)}, 1045)
	b.session("app", b.token(app, publicAudience), "app")
}

func TestAdministratorNeedsTheServersIdentity(t *testing.T) {
	t.Parallel()
	b := withServer(t)
	p := b.identity("boss")
	foreign := adminBody("boss", p.ObjectID)
	foreign["properties"].(map[string]any)["identityResourceId"] = identityID + "2"
	lacking := adminBody("boss", p.ObjectID)
	delete(lacking["properties"].(map[string]any), "identityResourceId")
	for name, k := range map[string]struct {
		path string
		body provider.Document
	}{
		"a foreign identity": {"ActiveDirectory", foreign},
		"no identity":        {"ActiveDirectory", lacking},
		"another name":       {p.ObjectID, adminBody("boss", p.ObjectID)},
		"no object id":       {"ActiveDirectory", adminBody("boss", "boss")},
		"the password admin": {"ActiveDirectory", adminBody(admin, p.ObjectID)},
		"a long login":       {"ActiveDirectory", adminBody(strings.Repeat("x", 33), p.ObjectID)},
	} {
		if f := b.fault("PUT", "/administrators/"+k.path, k.body); f.Status != 400 {
			t.Errorf("%s: %v", name, f)
		}
	}
	b.run("PUT", "/administrators/ActiveDirectory", adminBody("boss", p.ObjectID))
	if f := b.fault("PATCH", "", provider.Document{"identity": map[string]any{"type": "None"}}); f.Status != 400 {
		t.Errorf("taking the identity away: %v", f)
	}
	if f := b.fault("PATCH", "", provider.Document{"identity": map[string]any{"type": "SystemAssigned"}}); f.Status != 400 {
		t.Errorf("a system-assigned identity: %v", f)
	}
}

func TestStoppedServer(t *testing.T) {
	t.Parallel()
	b := withServer(t)
	db := b.session(admin, password, "app")
	b.exec(db, "CREATE TABLE kept (n int)")
	b.run("POST", "/stop", nil)
	if got := provider.Text(b.get(""), "properties", "state"); got != "Stopped" {
		t.Errorf("state %q", got)
	}
	if _, err := b.open(way{user: admin, secret: password}); err == nil || !strings.Contains(err.Error(), "refused") {
		t.Errorf("stopped server: %v, want connection refused", err)
	}
	if f := b.fault("PUT", "/databases/more", nil); f.Status != 409 {
		t.Errorf("database on a stopped server: %v", f)
	}
	if f := b.fault("PUT", "/administrators/ActiveDirectory", adminBody("boss", b.identity("boss").ObjectID)); f.Status != 409 {
		t.Errorf("administrator on a stopped server: %v", f)
	}
	b.run("POST", "/start", nil)
	b.exec(b.session(admin, password, "app"), "INSERT INTO kept VALUES (1)")
	b.run("POST", "/restart", nil)
	b.exec(b.session(admin, password, "app"), "INSERT INTO kept VALUES (2)")
}

func TestResume(t *testing.T) {
	t.Parallel()
	b := withServer(t)
	boss, root := b.entraAdmin("boss")
	app := b.user(root, "app")
	b.exec(b.session("app", b.token(app, publicAudience), "app"), "CREATE TABLE kept (n int)")
	if err := b.p.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := b.open(way{user: admin, secret: password}); err == nil {
		t.Error("the server outlived its cloud")
	}
	b.boot()
	if err := b.p.Resume(b.ctx); err != nil {
		t.Fatal(err)
	}
	b.exec(b.session("app", b.token(app, publicAudience), "app"), "INSERT INTO kept VALUES (1)")
	b.user(b.session("boss", b.token(boss, publicAudience), ""), "later")
}

func TestDelete(t *testing.T) {
	t.Parallel()
	b := withServer(t)
	root := b.cloud.Store().Private(serverID)[rootKey]
	b.run("DELETE", "/databases/app", nil)
	b.refused(way{user: admin, secret: password, database: "app"}, 1049)
	b.run("DELETE", "", nil)
	if _, err := b.open(way{user: admin, secret: password}); err == nil {
		t.Error("a deleted server lets in")
	}
	if d := (&daemon{root: root}); d.exists() {
		t.Error("the data is still there")
	}
	if got := b.run("DELETE", "", nil).Status; got != 204 {
		t.Errorf("second delete: %d", got)
	}
}

func TestPasswordStaysHidden(t *testing.T) {
	t.Parallel()
	b := withServer(t)
	if raw, err := json.Marshal(b.get("")); err != nil || strings.Contains(string(raw), "Canary") {
		t.Errorf("the password is shown: %s, %v", raw, err)
	}
	b.run("PATCH", "", properties(map[string]any{"administratorLoginPassword": "Another-1234"}))
	b.session(admin, "Another-1234", "app")
	b.refused(way{user: admin, secret: password}, 1045)
	if f := b.fault("PATCH", "", properties(map[string]any{"administratorLoginPassword": "short"})); f.Status != 400 {
		t.Errorf("a weak password: %v", f)
	}
}

// A session stays with who signed in: there is no way to become another user in it.
func TestChangeUserIsRefused(t *testing.T) {
	t.Parallel()
	b := withServer(t)
	raw, err := net.Dial("tcp", net.JoinHostPort(b.cloud.Address(serverID), "3306"))
	if err != nil {
		t.Fatal(err)
	}
	defer raw.Close()
	first, err := readPacket(raw, maxHandshake)
	if err != nil {
		t.Fatal(err)
	}
	g, err := parseGreeting(first.payload)
	if err != nil || g.capabilities()&capSSL == 0 {
		t.Fatalf("greeting %x: %v", g.capabilities(), err)
	}
	l := login{caps: capProtocol41 | capSecure | capPluginAuth, maxPacket: maxPacket, charset: 45, user: admin, auth: scramble(password, g.salt), plugin: nativePlugin}
	hello := l.inner()
	ask := bytes.Clone(hello[:sslRequestSize])
	ask[1] |= capSSL >> 8
	if _, err := raw.Write(packet{1, ask}.bytes()); err != nil {
		t.Fatal(err)
	}
	cfg := b.cloud.ClientTLS()
	cfg.ServerName = b.cloud.Address(serverID)
	conn := tls.Client(raw, cfg)
	for _, step := range []struct {
		send packet
		want byte
	}{
		{packet{2, hello}, markOK},
		{packet{0, append([]byte{commandChange}, "root\x00\x00mysql\x00"...)}, markError},
		{packet{0, append([]byte{commandQuery}, "DO 1"...)}, markOK}, // the session goes on
	} {
		if _, err := conn.Write(step.send.bytes()); err != nil {
			t.Fatal(err)
		}
		got, err := readPacket(conn, maxHandshake)
		if err != nil || got.mark() != step.want || got.seq != step.send.seq+1 {
			t.Fatalf("answer %d %x %q: %v", got.seq, got.mark(), got.payload, err)
		}
	}
}

func TestPlatformStatementsAreNotPrepared(t *testing.T) {
	t.Parallel()
	b := withServer(t)
	_, root := b.entraAdmin("boss")
	if _, err := root.PrepareContext(b.ctx, "CREATE AADUSER 'x' IDENTIFIED BY '"+b.identity("x").ClientID+"'"); sqlCode(err) != 1295 {
		t.Errorf("prepared: %v", err)
	}
	b.denied(b.session(admin, password, ""), "CREATE AADUSER 'x' IDENTIFIED BY '"+b.identity("x").ClientID+"'", 1227) // not even the password administrator
}

// What is large passes through whole, in both directions.
func TestLargeValues(t *testing.T) {
	t.Parallel()
	b := withServer(t)
	db := b.session(admin, password, "app")
	b.exec(db, "CREATE TABLE t (v LONGBLOB)")
	value := bytes.Repeat([]byte("0123456789abcdef"), 512<<10) // 8 MiB, under the server's max_allowed_packet
	if _, err := db.ExecContext(b.ctx, "INSERT INTO t VALUES (?)", value); err != nil {
		t.Fatal(err)
	}
	var got []byte
	if err := db.QueryRowContext(b.ctx, "SELECT v FROM t").Scan(&got); err != nil || !bytes.Equal(got, value) {
		t.Errorf("read %d bytes: %v", len(got), err)
	}
}
