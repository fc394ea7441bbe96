package mysql

import (
	"bytes"
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestParseStatement(t *testing.T) {
	t.Parallel()
	type parsed struct {
		S        statement
		Ours, OK bool
	}
	other := parsed{}
	for text, want := range map[string]parsed{
		"CREATE AADUSER 'a' IDENTIFIED BY 'b'":                            {statement{create: true, name: "a", id: "b"}, true, true},
		"create  aaduser if not exists `a``b` identified by \"it''s\" ; ": {statement{create: true, ifNotExists: true, name: "a`b", id: "it''s"}, true, true},
		"/* x */ CREATE /* y */ AADUSER name IDENTIFIED BY 'b' -- done\n": {statement{create: true, name: "name", id: "b"}, true, true},
		`CREATE AADUSER 'a\'\\b' IDENTIFIED BY 'c'`:                       {statement{create: true, name: `a'\b`, id: "c"}, true, true},
		"CREATE AADUSER 'a@b.c'":                                          {statement{create: true, name: "a@b.c"}, true, true},
		"CREATE AADUSER 'a' IDENTIFIED BY 'b'; DROP DATABASE app":         {statement{create: true, name: "a", id: "b"}, true, false},
		"CREATE AADUSER":                                                    {statement{create: true}, true, false},
		"CREATE AADUSER 'a' IDENTIFIED BY b":                                {statement{create: true, name: "a"}, true, false},
		"CREATE AADUSER 'a' IDENTIFIED BY 'b":                               {statement{create: true, name: "a"}, true, false},
		"CREATE AADUSER 'a'@'%' IDENTIFIED BY 'b'":                          {statement{create: true, name: "a"}, true, false},
		"SET aad_auth_validate_oids_in_tenant = OFF":                        {statement{}, true, true},
		"set session aad_auth_validate_oids_in_tenant=on;":                  {statement{on: true}, true, true},
		"SET @@session.aad_auth_validate_oids_in_tenant = 1":                {statement{on: true}, true, true},
		"SET @@aad_auth_validate_oids_in_tenant = 0":                        {statement{}, true, true},
		"SET aad_auth_validate_oids_in_tenant = OFF, sql_mode = ''":         {statement{}, true, false},
		"SET sql_mode = 'aad_auth_validate_oids_in_tenant'":                 other,
		"SELECT 'CREATE AADUSER'":                                           other,
		"CREATE USER 'a' IDENTIFIED BY 'b'":                                 other,
		"DROP USER 'a'":                                                     other,
		"":                                                                  other,
		"/*!80000 CREATE AADUSER 'a' IDENTIFIED BY 'b' */":                  other,
		"/* CREATE AADUSER 'a'":                                             other,
		"INSERT INTO t VALUES ('x') # CREATE AADUSER 'a' IDENTIFIED BY 'b'": other,
	} {
		s, ours, ok := parseStatement(text)
		got := parsed{s, ours, ok}
		if !ours {
			got = parsed{Ours: ours}
		}
		if !want.OK && ours { // what was read before the mistake does not matter
			got.S, want.S = statement{}, statement{}
		}
		if diff := cmp.Diff(want, got, cmp.AllowUnexported(statement{}, parsed{})); diff != "" {
			t.Errorf("%s: %s", text, diff)
		}
	}
}

func FuzzParseStatement(f *testing.F) {
	for _, s := range []string{"CREATE AADUSER 'a' IDENTIFIED BY 'b'", "SET aad_auth_validate_oids_in_tenant = OFF", "/*", "'\\", "`", "ü\xff"} {
		f.Add(s, "x'y\\")
	}
	f.Fuzz(func(t *testing.T, text, name string) {
		parseStatement(text) // must end and not panic
		if strings.ContainsRune(name, 0) || name == "" {
			return
		}
		s, ours, ok := parseStatement("CREATE AADUSER " + literal(name) + " IDENTIFIED BY " + literal(text))
		if !ours || !ok || s.name != name || s.id != text {
			t.Errorf("%q, %q read back as %+v, %v, %v", name, text, s, ours, ok)
		}
	})
}

// A packet whoever sends it must not bring the gate down, and what is passed on means the same.
func FuzzLogin(f *testing.F) {
	f.Add([]byte{})
	l := login{caps: capProtocol41 | capSecure | capWithDB | capPluginAuth | capAttributes, user: "app", auth: []byte("12345678901234567890"), database: "db", plugin: nativePlugin, rest: []byte{0}}
	f.Add(l.inner())
	f.Fuzz(func(t *testing.T, raw []byte) {
		l, err := parseLogin(raw)
		if err != nil {
			return
		}
		again, err := parseLogin(l.inner())
		if err != nil {
			t.Fatalf("what is passed on cannot be read: %v", err)
		}
		if again.user != l.user || again.database != l.database || len(l.auth) <= 250 && !bytes.Equal(again.auth, l.auth) || !bytes.Equal(again.rest, l.rest) {
			t.Errorf("%+v became %+v", l, again)
		}
		if again.caps&(capSSL|capCompress|capZstd) != 0 {
			t.Error("TLS or compression is passed on")
		}
	})
}

func FuzzGreeting(f *testing.F) {
	f.Add([]byte("\n5.5.5-10.11.19\x00\x04\x00\x00\x003^_Bku,t\x00\xfe\xf7\x08\x02\x00\xff\x81\x15\x00\x00\x00\x00\x00\x00\x1d\x00\x00\x00*oqlKquwuf!m\x00mysql_native_password\x00"))
	f.Fuzz(func(t *testing.T, raw []byte) {
		g, err := parseGreeting(raw)
		if err != nil {
			return
		}
		shown, err := parseGreeting(g.shown())
		if err != nil || !bytes.Equal(shown.salt, g.salt) {
			t.Fatalf("what is shown cannot be read: %v", err)
		}
		if caps := shown.capabilities(); caps&capSSL == 0 || caps&(capCompress|capZstd) != 0 {
			t.Errorf("capabilities %x", caps)
		}
	})
}

func TestPacketLimits(t *testing.T) {
	t.Parallel()
	if _, err := readPacket(bytes.NewReader([]byte{0xff, 0xff, 0xff, 0}), maxHandshake); !errors.Is(err, errPacket) {
		t.Errorf("a packet of 16 MiB before sign-in: %v", err)
	}
	p := packet{7, []byte("abc")}
	got, err := readPacket(bytes.NewReader(p.bytes()), maxHandshake)
	if err != nil || got.seq != 7 || string(got.payload) != "abc" {
		t.Errorf("%+v, %v", got, err)
	}
}

func TestBinariesAreFoundWherePackagesPutThem(t *testing.T) {
	t.Parallel()
	if _, err := findBinaries(t.TempDir(), []string{t.TempDir()}); err == nil {
		t.Error("found a server in empty folders")
	}
	b, err := findBinaries("", packaged)
	if err != nil || !strings.HasSuffix(b.server, "/mariadbd") || !strings.HasSuffix(b.install, "/mariadb-install-db") {
		t.Errorf("%+v, %v", b, err)
	}
	if path, err := Available(); err != nil || path == "" {
		t.Errorf("available: %s, %v", path, err)
	}
}
