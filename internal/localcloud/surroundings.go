package localcloud

import (
	"crypto/tls"
	"os"
	"path/filepath"
	"time"

	"github.com/patchbay/patchbay/internal/localcloud/provider"
)

// The methods in this file are the cloud as its providers see it.

// Store keeps the documents.
func (c *Cloud) Store() provider.Store { return c.store }

// Directory is sign-in.
func (c *Cloud) Directory() provider.Directory { return c.directory }

// Authorizer decides by role assignments.
func (c *Cloud) Authorizer() provider.Authorizer { return c.rights }

// URL is the public base.
func (c *Cloud) URL() string { return c.cfg.URL }

// Dir is a folder of the provider's own under the data folder, made when missing.
func (c *Cloud) Dir(name string) string {
	dir := filepath.Join(c.dir, name)
	if err := os.MkdirAll(dir, 0o711); err != nil {
		c.cfg.Logf("make folder %s: %v", name, err)
	}
	return dir
}

// ServerTLS is the configuration for the endpoint's listener and for data planes.
func (c *Cloud) ServerTLS() *tls.Config { return c.authority.ServerTLS() }

// CertFiles returns certificate, key and authority as files.
func (c *Cloud) CertFiles() (cert, key, ca string) { return c.authority.Files() }

// Address is a resource's own loopback address.
func (c *Cloud) Address(resourceID string) string { return c.addresses.of(resourceID) }

// Suffix is the host suffix of a kind of data plane.
func (c *Cloud) Suffix(kind string) string {
	if s, ok := suffixes[kind]; ok {
		return s
	}
	return kind + ".local"
}

// Now is the time.
func (c *Cloud) Now() time.Time { return time.Now() }

// Logf writes a line to the cloud's log.
func (c *Cloud) Logf(format string, args ...any) { c.cfg.Logf(format, args...) }
