package postgres

import (
	"bytes"
	"crypto/tls"
	"encoding/binary"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/patchbay/patchbay/internal/localcloud/provider"
)

func TestBindName(t *testing.T) {
	t.Parallel()
	for dn, want := range map[string]struct {
		role, realm string
		ok          bool
	}{
		"CN=app,O=ab12":         {"app", "ab12", true},
		"CN=a,O=x,O=ab12":       {"a,O=x", "ab12", true}, // a role that looks like another server's
		"CN=CN=,O=ab12":         {"CN=", "ab12", true},
		"CN=,O=ab12":            {},
		"app,O=ab12":            {},
		"CN=app":                {},
		"":                      {},
		`CN=a"b\c d,O=00ff00ff`: {`a"b\c d`, "00ff00ff", true},
	} {
		role, realm, ok := bindName(dn)
		if role != want.role || realm != want.realm || ok != want.ok {
			t.Errorf("bindName(%q) = %q %q %v", dn, role, realm, ok)
		}
	}
}

func FuzzBindName(f *testing.F) {
	f.Add("app")
	f.Add("a,O=b")
	f.Fuzz(func(t *testing.T, role string) {
		got, realm, ok := bindName(bindPrefix + role + bindSuffix + "00ff")
		if role == "" {
			return
		}
		if !ok || got != role || realm != "00ff" {
			t.Errorf("%q came back as %q %q %v", role, got, realm, ok)
		}
	})
}

func TestHostRules(t *testing.T) {
	t.Parallel()
	base := hostRules{gate: "127.77.0.1", admin: "me", password: true, entra: true, requireTLS: true, ldapPort: 9, realm: "ab"}
	for name, c := range map[string]struct {
		change func(*hostRules)
		has    string
		lacks  string
	}{
		"admin before Entra": {func(*hostRules) {}, "\nhostssl all \"me\" 127.77.0.1/32 scram-sha-256\nhostssl all +azure_ad_user 127.77.0.1/32 ldap ", "\nhost all all"},
		"no Entra":           {func(h *hostRules) { h.entra = false }, "hostssl all +azure_ad_user 127.77.0.1/32 reject", "ldap"},
		"no password":        {func(h *hostRules) { h.password = false }, "hostssl all all 127.77.0.1/32 reject", "scram"},
		"no admin":           {func(h *hostRules) { h.admin = "" }, "ldapsuffix=\",O=ab\"", `""`},
		"plain allowed":      {func(h *hostRules) { h.requireTLS = false }, "\nhost all all 127.77.0.1/32 scram-sha-256", "hostssl"},
		"superuser shut out": {func(*hostRules) {}, "host all azuresu all reject", "0.0.0.0/0"},
		"quoted":             {func(h *hostRules) { h.admin = `a"b` }, `"a""b"`, `"a"b"`},
	} {
		h := base
		c.change(&h)
		if got := h.render(); !strings.Contains(got, c.has) || strings.Contains(got, c.lacks) {
			t.Errorf("%s: want %q, not %q in\n%s", name, c.has, c.lacks, got)
		}
	}
}

// The example of RFC 7677, in the form the server stores.
const (
	secretWord = "pencil"
	verifier   = "SCRAM-SHA-256$4096:W22ZaJ0SNY7soEsUEjb6gQ==$WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY=:wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU="
)

func TestVerifier(t *testing.T) {
	t.Parallel()
	if !verifierMatches(verifier, secretWord) {
		t.Error("the right password is refused")
	}
	for _, c := range [][2]string{
		{verifier, "Pencil"}, {verifier, ""}, {"", secretWord}, {"md5abc", secretWord},
		{strings.Replace(verifier, "4096", "99999999999", 1), secretWord}, {strings.Replace(verifier, "4096", "0", 1), secretWord},
		{strings.Replace(verifier, "W22Z", "!!!!", 1), secretWord}, {"SCRAM-SHA-256$4096:$:", ""},
	} {
		if verifierMatches(c[0], c[1]) {
			t.Errorf("%q opens %q", c[1], c[0])
		}
	}
}

func FuzzVerifier(f *testing.F) {
	f.Add(verifier, "x")
	f.Add("SCRAM-SHA-256$1:$:", "")
	f.Fuzz(func(t *testing.T, v, password string) {
		if len(v) < 100 && verifierMatches(v, password) {
			t.Errorf("%q opens %q", password, v)
		}
	})
}

func startup(code uint32, body string) []byte {
	out := binary.BigEndian.AppendUint32(nil, uint32(len(body)+8))
	return append(binary.BigEndian.AppendUint32(out, code), body...)
}

func FuzzStartup(f *testing.F) {
	f.Add(startup(codeSSL, ""))
	f.Add(startup(protocol3, "user\x00me\x00database\x00db\x00\x00"))
	f.Add(startup(protocol3, "user\x00me"))
	f.Add([]byte{0, 0, 0, 1})
	f.Fuzz(func(t *testing.T, raw []byte) {
		_, body, err := readStartup(bytes.NewReader(raw))
		if err == nil && len(body) > maxStartup {
			t.Errorf("%d bytes taken", len(body))
		}
		startupNames(body)
	})
}

func TestRefuse(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		sent []byte
		want string // in the answer; "" for none at all
	}{
		"startup":             {startup(protocol3, "user\x00me\x00database\x00db\x00\x00"), `host "10.1.2.3", user "me", database "db", no encryption`},
		"newer minor version": {startup(protocol3+2, "user\x00me\x00\x00"), `user "me", database "me"`},
		"after GSS":           {append(startup(codeGSS, ""), startup(protocol3, "user\x00me\x00\x00")...), "Nno"},
		"cancel":              {startup(codeCancel, "12345678"), ""},
		"protocol 2":          {startup(2<<16, ""), ""},
		"too long":            {startup(protocol3, strings.Repeat("x", maxStartup)), ""},
		"too short":           {[]byte{0, 0, 0, 4, 0, 0, 0, 0}, ""},
		"cut off":             {[]byte{0, 0}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			client, server := net.Pipe()
			go func() {
				defer server.Close()
				_ = refuse(server, &tls.Config{}, netip.MustParseAddr("10.1.2.3"))
			}()
			go func() { _, _ = client.Write(c.sent); closeIfCut(client, c.sent) }()
			var got bytes.Buffer
			_, _ = got.ReadFrom(client)
			text := got.String()
			if c.want == "Nno" {
				if !strings.HasPrefix(text, "N") || !strings.Contains(text, "no pg_hba.conf") {
					t.Errorf("answered %q", text)
				}
				return
			}
			if (c.want == "") != (text == "") || !strings.Contains(text, c.want) {
				t.Errorf("answered %q, want %q", text, c.want)
			}
			if text != "" && (text[0] != 'E' || int(binary.BigEndian.Uint32([]byte(text[1:5]))) != len(text)-1) {
				t.Errorf("not one whole ErrorResponse: %q", text)
			}
		})
	}
}

// closeIfCut hangs up after an unfinished message, as a dead client would.
func closeIfCut(c net.Conn, sent []byte) {
	if len(sent) < 8 {
		_ = c.Close()
	}
}

func FuzzParseRange(f *testing.F) {
	f.Add("1.2.3.4", "1.2.3.5", "1.2.3.4")
	f.Add("0.0.0.0", "0.0.0.0", "127.0.0.1")
	f.Fuzz(func(t *testing.T, first, last, from string) {
		r, err := parseRange(first, last)
		a, err2 := netip.ParseAddr(from)
		if err != nil || err2 != nil {
			return
		}
		if r.last.Less(r.first) {
			t.Errorf("%v ends before it starts", r)
		}
		if r.holds(a) && r != azureServices && (a.Less(r.first) || r.last.Less(a)) {
			t.Errorf("%v holds %v", r, a)
		}
	})
}

func TestAdmit(t *testing.T) {
	t.Parallel()
	doc := func(access string) provider.Document {
		return provider.Document{"properties": map[string]any{"network": map[string]any{"publicNetworkAccess": access}}}
	}
	rule := func(first, last string) []provider.Document {
		return []provider.Document{{"properties": map[string]any{"startIpAddress": first, "endIpAddress": last}}}
	}
	for name, c := range map[string]struct {
		access string
		rules  []provider.Document
		from   string
		want   verdict
	}{
		"no rule":                  {"Enabled", nil, "127.0.0.1", denied},
		"inside":                   {"Enabled", rule("10.0.0.1", "10.0.0.9"), "10.0.0.9", open},
		"mapped address":           {"Enabled", rule("10.0.0.1", "10.0.0.9"), "::ffff:10.0.0.9", open},
		"outside":                  {"Enabled", rule("10.0.0.1", "10.0.0.9"), "10.0.1.1", denied},
		"Azure, loopback":          {"Enabled", rule("0.0.0.0", "0.0.0.0"), "127.3.2.1", open},
		"Azure, from elsewhere":    {"Enabled", rule("0.0.0.0", "0.0.0.0"), "8.8.8.8", denied},
		"a broken rule":            {"Enabled", rule("x", "y"), "127.0.0.1", denied},
		"public access is off":     {"Disabled", rule("0.0.0.0", "255.255.255.255"), "127.0.0.1", closed},
		"everything, from nowhere": {"Enabled", rule("0.0.0.0", "255.255.255.255"), "::1", denied},
	} {
		if got := admit(doc(c.access), c.rules, netip.MustParseAddr(c.from)); got != c.want {
			t.Errorf("%s: %v, want %v", name, got, c.want)
		}
	}
}

func TestFindBinaries(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	install := func(where string, programs ...string) string {
		if err := os.MkdirAll(filepath.Join(dir, where), 0o755); err != nil {
			t.Fatal(err)
		}
		for _, p := range programs {
			if err := os.WriteFile(filepath.Join(dir, where, p), []byte("#!/bin/sh\n"), 0o755); err != nil {
				t.Fatal(err)
			}
		}
		return filepath.Join(dir, where)
	}
	install("v/9/bin", "postgres", "initdb")
	install("v/15/bin", "postgres", "initdb")
	install("v/16/bin", "postgres")
	half := install("half", "postgres")
	whole := install("whole", "postgres", "initdb")
	pattern := filepath.Join(dir, "v/*/bin")
	for name, c := range map[string]struct{ path, pattern, want string }{
		"path first":       {half + ":" + whole, pattern, whole},
		"newest packaged":  {half, pattern, filepath.Join(dir, "v/15/bin")},
		"nothing anywhere": {half, filepath.Join(dir, "none/*"), ""},
	} {
		b, err := findBinaries(c.path, c.pattern)
		if (err != nil) != (c.want == "") || err == nil && filepath.Dir(b.postgres) != c.want {
			t.Errorf("%s: %v, %v", name, b, err)
		}
	}
	if _, err := Available(); err != nil {
		t.Errorf("here: %v", err)
	}
}
