// Package providertest is a small local cloud for the tests of resource
// providers: an in-memory store, a directory that signs real RS256 tokens, an
// authorizer driven by a table, certificates from an authority of its own, and a
// front that hands calls to a provider's types the way the real front door does.
//
// It promises the behaviour the contract in package provider names and nothing
// more; it must not be used outside tests, and it knows no resource type.
package providertest

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"math/rand/v2"
	"net"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/patchbay/patchbay/internal/arm/id"
	"github.com/patchbay/patchbay/internal/localcloud/provider"
)

// Cloud is a provider.Cloud for one test. The zero value is of no use; see New.
type Cloud struct {
	t         testing.TB
	store     *Store
	directory *Directory
	grants    *Grants
	authority *authority
	dir       string

	mu        sync.Mutex
	addresses map[string]string
	offset    time.Duration
	logged    []string
}

var _ provider.Cloud = (*Cloud)(nil)

// New makes a cloud whose files lie in the test's temporary folder.
func New(t testing.TB) *Cloud {
	t.Helper()
	dir := t.TempDir()
	a, err := newAuthority(dir)
	if err != nil {
		t.Fatal(err)
	}
	c := &Cloud{t: t, store: NewStore(), grants: &Grants{}, authority: a, dir: dir, addresses: map[string]string{}}
	c.directory, err = newDirectory(c.URL(), c.Now)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// Store implements provider.Cloud.
func (c *Cloud) Store() provider.Store { return c.store }

// Directory implements provider.Cloud.
func (c *Cloud) Directory() provider.Directory { return c.directory }

// Authorizer implements provider.Cloud.
func (c *Cloud) Authorizer() provider.Authorizer { return c.grants }

// Grants is the authorizer's table, for tests to fill.
func (c *Cloud) Grants() *Grants { return c.grants }

// URL implements provider.Cloud. Nothing listens there.
func (c *Cloud) URL() string { return "https://127.0.0.1:8443" }

// Dir implements provider.Cloud.
func (c *Cloud) Dir(name string) string { return filepath.Join(c.dir, name) }

// ServerTLS implements provider.Cloud.
func (c *Cloud) ServerTLS() *tls.Config { return c.authority.serverTLS() }

// ClientTLS trusts the cloud's authority and nobody else.
func (c *Cloud) ClientTLS() *tls.Config {
	return &tls.Config{RootCAs: c.authority.pool, MinVersion: tls.VersionTLS12}
}

// CertPool holds the cloud's authority.
func (c *Cloud) CertPool() *x509.CertPool { return c.authority.pool }

// CertFiles implements provider.Cloud.
func (c *Cloud) CertFiles() (cert, key, ca string) {
	return c.authority.path("server.pem"), c.authority.path("server.key"), c.authority.path("ca.pem")
}

// Address implements provider.Cloud. Addresses are drawn at random from
// loopback so that test processes running side by side do not meet.
func (c *Cloud) Address(resourceID string) string {
	c.mu.Lock()
	defer c.mu.Unlock()
	key := id.Fold(resourceID)
	if a, ok := c.addresses[key]; ok {
		return a
	}
	a := fmt.Sprintf("127.%d.%d.%d", 80+rand.IntN(40), rand.IntN(256), 1+rand.IntN(254))
	c.addresses[key] = a
	if err := c.authority.include(net.ParseIP(a)); err != nil {
		c.t.Errorf("issue certificate: %v", err)
	}
	return a
}

// Suffix implements provider.Cloud.
func (c *Cloud) Suffix(kind string) string { return kind + ".test" }

// Now implements provider.Cloud.
func (c *Cloud) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return time.Now().Add(c.offset)
}

// Advance moves the cloud's clock.
func (c *Cloud) Advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.offset += d
}

// Logf implements provider.Cloud; lines are kept for Logged.
func (c *Cloud) Logf(format string, args ...any) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.logged = append(c.logged, fmt.Sprintf(format, args...))
}

// Logged returns every line logged so far, joined by newlines.
func (c *Cloud) Logged() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return strings.Join(c.logged, "\n")
}
