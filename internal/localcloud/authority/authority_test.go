package authority_test

import (
	"crypto/tls"
	"crypto/x509"
	"net"
	"os"
	"testing"

	"github.com/patchbay/patchbay/internal/localcloud/authority"
)

func open(t *testing.T, dir string, hosts ...string) *authority.Authority {
	t.Helper()
	a, err := authority.Open(dir, hosts)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func pool(t *testing.T, a *authority.Authority) *x509.CertPool {
	t.Helper()
	_, _, ca := a.Files()
	raw, err := os.ReadFile(ca)
	if err != nil {
		t.Fatal(err)
	}
	p := x509.NewCertPool()
	p.AppendCertsFromPEM(raw)
	return p
}

func TestServerCertificateHoldsTheAddressConnectedTo(t *testing.T) {
	t.Parallel()
	a := open(t, t.TempDir(), "cloud.example")
	roots := pool(t, a)
	for _, c := range []struct {
		listen, name string
		ok           bool
	}{
		{"127.0.0.1:0", "", true}, {"127.0.0.1:0", "localhost", true}, {"127.0.0.1:0", "cloud.example", true},
		{"127.99.3.4:0", "", true}, {"127.0.0.1:0", "elsewhere.example", false},
	} {
		l, err := tls.Listen("tcp", c.listen, a.ServerTLS())
		if err != nil {
			t.Fatal(err)
		}
		done := make(chan struct{})
		go func() {
			defer close(done)
			conn, err := l.Accept()
			if err == nil {
				_ = conn.(*tls.Conn).Handshake()
				_ = conn.Close()
			}
		}()
		name := c.name
		if name == "" {
			name, _, _ = net.SplitHostPort(l.Addr().String())
		}
		conn, err := tls.Dial("tcp", l.Addr().String(), &tls.Config{RootCAs: roots, ServerName: name})
		if (err == nil) != c.ok {
			t.Errorf("%s as %s: %v", c.listen, name, err)
		}
		if err == nil {
			_ = conn.Close()
		}
		_ = l.Close()
		<-done
	}
}

func TestAuthorityStaysTheSame(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	first := open(t, dir, "127.77.9.1")
	roots := pool(t, first)
	second := open(t, dir, "127.77.9.1")
	if err := second.Allow("late.example"); err != nil {
		t.Fatal(err)
	}
	cert, key, _ := second.Files()
	pair, err := tls.LoadX509KeyPair(cert, key)
	if err != nil {
		t.Fatal(err)
	}
	for _, host := range []string{"127.77.9.1", "late.example", "::1"} {
		if _, err := pair.Leaf.Verify(x509.VerifyOptions{Roots: roots, DNSName: host}); err != nil {
			t.Errorf("%s: %v", host, err)
		}
	}
	for _, file := range []string{key, dir + "/ca-key.pem"} {
		if info, err := os.Stat(file); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s: %v, %v", file, info.Mode(), err)
		}
	}
}
