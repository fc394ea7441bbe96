// Package neon is the local cloud's Neon.Postgres: organizations with projects,
// branches, roles, databases and endpoints, each branch a PostgreSQL server of its own.
//
// Real: the server, its roles with generated passwords, its databases, TLS; the
// connection string an action hands out, with the password in it. A new project comes
// with branch main, role neondb_owner, database neondb and an endpoint, as Neon makes it.
//
// Not real: a branch begins empty instead of with its parent's data; computes scale and
// suspend on paper only; the version is the installed one; the marketplace is not asked.
// There is no firewall: Neon's lists of addresses are no part of its Azure resource.
//
// The package must never write a password to a log or a document.
package neon

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base32"
	"encoding/hex"
	"errors"
	"fmt"
	"net/netip"
	"path/filepath"
	"strings"
	"sync"

	"github.com/patchbay/patchbay/internal/arm/id"
	"github.com/patchbay/patchbay/internal/localcloud/postgres"
	"github.com/patchbay/patchbay/internal/localcloud/provider"
)

const (
	organizationType = "Neon.Postgres/organizations"
	projectType      = organizationType + "/projects"
	branchType       = projectType + "/branches"
	roleType         = branchType + "/neonRoles"
	databaseType     = branchType + "/neonDatabases"
	endpointType     = branchType + "/endpoints"

	succeeded = "Succeeded"
)

// apiVersions are those published for the namespace; the last is mem.
var apiVersions = []string{"2024-08-01-preview", "2025-03-01", "2025-06-23-preview"}

// Provider serves the namespace; make one with New.
type Provider struct {
	cloud provider.Cloud

	mu       sync.Mutex // held while servers start and stop
	branches map[string]*postgres.Instance
	closed   bool
}

// New makes the provider. It starts nothing; Resume does, and so do writes.
func New(cloud provider.Cloud) provider.Provider {
	return &Provider{cloud: cloud, branches: map[string]*postgres.Instance{}}
}

// Types implements provider.Provider.
func (p *Provider) Types() []provider.Type {
	types := []provider.Type{
		{Name: organizationType, Put: p.putOrganization, Patch: p.putOrganization, Delete: p.delete},
		{Name: projectType, Put: p.putProject, Delete: p.delete, Actions: map[string]provider.Action{
			"getconnectionuri": {Handle: p.connectionURI, Right: projectType + "/getConnectionUri/action"},
		}},
		{Name: branchType, Put: p.putBranch, Delete: p.delete},
		{Name: roleType, Put: p.putRole, Delete: p.delete},
		{Name: databaseType, Put: p.putDatabase, Delete: p.delete},
		{Name: endpointType, Put: p.putEndpoint, Delete: p.delete},
	}
	for n := range types {
		types[n].APIVersions = apiVersions
	}
	return types
}

// Resume implements provider.Provider: it starts every branch's server again.
func (p *Provider) Resume(ctx context.Context) error {
	var errs []error
	for _, doc := range p.cloud.Store().Under("", branchType) {
		if _, err := p.server(ctx, provider.Text(doc, "id")); err != nil {
			p.cloud.Logf("resume Neon branch %s: %v", provider.Text(doc, "id"), err)
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

// Close implements provider.Provider.
func (p *Provider) Close() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.closed = true
	for _, running := range p.branches {
		running.Close()
	}
	p.branches = map[string]*postgres.Instance{}
	return nil
}

// server is a branch's running server, started on first sight.
func (p *Provider) server(ctx context.Context, branch string) (*postgres.Instance, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return nil, errors.New("the local cloud is closing")
	}
	key := id.Fold(branch)
	if running, ok := p.branches[key]; ok {
		return running, nil
	}
	private := p.cloud.Store().Private(branch)
	root := private["root"]
	if root == "" {
		sum := sha256.Sum256([]byte(key))
		root = filepath.Join(p.cloud.Dir("neon"), hex.EncodeToString(sum[:8]))
	}
	address := p.cloud.Address(branch)
	running, err := postgres.StartInstance(ctx, postgres.InstanceOptions{
		Root: root, Address: address, CertFiles: p.cloud.CertFiles, TLS: p.cloud.ServerTLS(),
		Admit: func(netip.Addr) bool { return true },
	})
	if err != nil {
		return nil, fmt.Errorf("start branch: %w", err)
	}
	p.branches[key] = running
	p.cloud.Store().SetPrivate(branch, map[string]string{"root": running.Root()})
	return running, nil
}

// stop ends the servers at and below a resource, with their data.
func (p *Provider) stop(resourceID string) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	var errs []error
	for key, running := range p.branches {
		if own := id.Fold(resourceID); key == own || strings.HasPrefix(key, own+"/") {
			errs = append(errs, running.Destroy())
			delete(p.branches, key)
		}
	}
	return errors.Join(errs...)
}

// newPassword looks like Neon's.
func newPassword() string {
	raw := make([]byte, 10)
	rand.Read(raw) //nolint:errcheck // never fails
	return "npg_" + base32.StdEncoding.EncodeToString(raw)
}
