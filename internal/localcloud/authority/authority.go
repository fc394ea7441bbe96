// Package authority makes the local cloud's certificates: a certificate authority
// of its own, the server certificate, and certificates that also hold the address
// a connection came in on.
//
// It promises that the authority stays the same across restarts of one data
// folder, so that clients trust it once. Keys are ECDSA, in files only their owner
// reads. It never signs for names or addresses outside the list and loopback.
package authority

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"sync"
	"time"
)

const (
	authorityDays = 3650
	serverDays    = 825 // the longest some clients accept
)

// Authority signs server certificates. Make one with Open.
type Authority struct {
	dir  string
	cert *x509.Certificate
	key  *ecdsa.PrivateKey

	mu    sync.Mutex
	hosts []string
	base  *tls.Certificate
	byIP  map[string]*tls.Certificate
}

// Open reads or makes the authority under dir and issues the server certificate
// for loopback and hosts (names or addresses).
func Open(dir string, hosts []string) (*Authority, error) {
	a := &Authority{dir: dir, byIP: map[string]*tls.Certificate{}}
	if err := a.open(); err != nil {
		return nil, err
	}
	a.hosts = append([]string{"localhost", "127.0.0.1", "::1"}, hosts...)
	return a, a.reissue()
}

func (a *Authority) open() error {
	pair, err := tls.LoadX509KeyPair(a.caFile(), a.file("ca-key.pem"))
	if errors.Is(err, fs.ErrNotExist) {
		return a.create()
	}
	if err != nil {
		return fmt.Errorf("read certificate authority: %w", err)
	}
	key, ok := pair.PrivateKey.(*ecdsa.PrivateKey)
	if !ok {
		return errors.New("read certificate authority: not an ECDSA key")
	}
	a.cert, a.key = pair.Leaf, key
	return nil
}

func (a *Authority) create() error {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return fmt.Errorf("make authority key: %w", err)
	}
	tmpl := template("Patchbay local cloud authority", authorityDays)
	tmpl.IsCA, tmpl.BasicConstraintsValid = true, true
	tmpl.KeyUsage = x509.KeyUsageCertSign | x509.KeyUsageCRLSign
	der, err := x509.CreateCertificate(rand.Reader, tmpl, tmpl, key.Public(), key)
	if err != nil {
		return fmt.Errorf("make authority certificate: %w", err)
	}
	if a.cert, err = x509.ParseCertificate(der); err != nil {
		return fmt.Errorf("read back authority certificate: %w", err)
	}
	a.key = key
	if err := writeKey(a.file("ca-key.pem"), key); err != nil {
		return err
	}
	return writePEM(a.caFile(), "CERTIFICATE", 0o644, der)
}

func template(name string, days int) *x509.Certificate {
	serial, _ := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 120)) // crypto/rand does not fail
	return &x509.Certificate{
		SerialNumber: serial,
		Subject:      pkix.Name{CommonName: name},
		NotBefore:    time.Now().Add(-time.Hour),
		NotAfter:     time.Now().AddDate(0, 0, days),
	}
}

// Allow adds a host to the server certificate and rewrites its file.
func (a *Authority) Allow(host string) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, h := range a.hosts {
		if h == host {
			return nil
		}
	}
	a.hosts = append(a.hosts, host)
	return a.reissueLocked()
}

func (a *Authority) reissue() error {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.reissueLocked()
}

func (a *Authority) reissueLocked() error {
	cert, err := a.issue(a.hosts)
	if err != nil {
		return err
	}
	a.base, a.byIP = cert, map[string]*tls.Certificate{}
	key := cert.PrivateKey.(*ecdsa.PrivateKey)
	if err := writeKey(a.file("server-key.pem"), key); err != nil {
		return err
	}
	return writePEM(a.file("server.pem"), "CERTIFICATE", 0o644, cert.Certificate...)
}

func (a *Authority) issue(hosts []string) (*tls.Certificate, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("make server key: %w", err)
	}
	tmpl := template("Patchbay local cloud", serverDays)
	tmpl.KeyUsage = x509.KeyUsageDigitalSignature
	tmpl.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
	for _, h := range hosts {
		if ip := net.ParseIP(h); ip != nil {
			tmpl.IPAddresses = append(tmpl.IPAddresses, ip)
		} else {
			tmpl.DNSNames = append(tmpl.DNSNames, h)
		}
	}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, a.cert, key.Public(), a.key)
	if err != nil {
		return nil, fmt.Errorf("sign server certificate: %w", err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, fmt.Errorf("read back server certificate: %w", err)
	}
	return &tls.Certificate{Certificate: [][]byte{der, a.cert.Raw}, PrivateKey: key, Leaf: leaf}, nil
}

// ServerTLS is a configuration whose certificate also holds the loopback address
// that the client connected to.
func (a *Authority) ServerTLS() *tls.Config {
	return &tls.Config{MinVersion: tls.VersionTLS12, GetCertificate: a.certificate}
}

func (a *Authority) certificate(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	ip := localIP(hello.Conn)
	if ip == nil || !ip.IsLoopback() || a.base.Leaf.VerifyHostname(ip.String()) == nil {
		return a.base, nil
	}
	if cert, ok := a.byIP[ip.String()]; ok {
		return cert, nil
	}
	cert, err := a.issue(append([]string{ip.String()}, a.hosts...))
	if err == nil {
		a.byIP[ip.String()] = cert
	}
	return cert, err
}

func localIP(c net.Conn) net.IP {
	if c == nil {
		return nil
	}
	if addr, ok := c.LocalAddr().(*net.TCPAddr); ok {
		return addr.IP
	}
	return nil
}

// Files returns certificate, key and authority as files for child processes.
func (a *Authority) Files() (cert, key, ca string) {
	return a.file("server.pem"), a.file("server-key.pem"), a.caFile()
}

func (a *Authority) caFile() string          { return a.file("ca.pem") }
func (a *Authority) file(name string) string { return filepath.Join(a.dir, name) }

func writeKey(path string, key *ecdsa.PrivateKey) error {
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return fmt.Errorf("encode key: %w", err)
	}
	return writePEM(path, "PRIVATE KEY", 0o600, der)
}

// writePEM replaces a file whole, so that a reader never sees half of it.
func writePEM(path, kind string, mode fs.FileMode, blocks ...[]byte) error {
	var raw []byte
	for _, der := range blocks {
		raw = append(raw, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der})...)
	}
	if err := os.WriteFile(path+".new", raw, mode); err != nil {
		return fmt.Errorf("write certificate file: %w", err)
	}
	if err := os.Rename(path+".new", path); err != nil {
		return fmt.Errorf("write certificate file: %w", err)
	}
	return nil
}
