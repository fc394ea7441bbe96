// Package mysql is the local cloud's Microsoft.DBforMySQL: flexible servers, each
// backed by a MariaDB server process of its own.
//
// Real: the server, its accounts, rights, databases and passwords; and before it, on
// the real port 3306 of the server's own address, a gate that enforces TLS, the
// firewall and public access by the caller's address, checks Entra tokens as passwords
// (signature, audience, expiry, and the principal the account is bound to) and knows
// CREATE AADUSER; the one Entra administrator, which needs a user-assigned identity
// that the server carries; start, stop, restart and deletion.
//
// Not real: it is MariaDB, not MySQL 8, and says so (no caching_sha2_password, no
// roles by that name, other collations); TLS ends at the gate, so the server inside
// sees none and REQUIRE SSL on an account shuts it out; an administrator can write the
// system tables; the identity's Graph permissions are not asked for and principals are
// not found by name; storage, compute, backup, replicas, high availability and private
// networking are kept as documents only; data is not safe against a crash of the machine.
//
// The package must never let the superuser in over the network, and never write a
// password or a token to a log, an argument or a document.
package mysql

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"sync"
	"sync/atomic"

	"golang.org/x/sync/errgroup"

	"github.com/patchbay/patchbay/internal/arm/id"
	"github.com/patchbay/patchbay/internal/localcloud/identity"
	"github.com/patchbay/patchbay/internal/localcloud/provider"
)

const (
	serverType   = "Microsoft.DBforMySQL/flexibleServers"
	databaseType = serverType + "/databases"
	firewallType = serverType + "/firewallRules"
	adminType    = serverType + "/administrators"
	settingType  = serverType + "/configurations"
)

// apiVersions are those published for flexible servers that know administrators.
var apiVersions = []string{
	"2021-12-01-preview", "2022-01-01", "2023-06-01-preview", "2023-06-30", "2023-10-01-preview", "2023-12-01-preview", "2023-12-30",
	"2024-02-01-preview", "2024-06-01-preview", "2024-10-01-preview", "2024-12-01-preview", "2024-12-30", "2025-06-01-preview", "2025-12-01-preview",
}

// Provider serves the namespace; make one with New.
type Provider struct {
	cloud      provider.Cloud
	identities *identity.Identities

	mu      sync.Mutex
	servers map[string]*server // by folded id
	closed  atomic.Bool
}

// New makes the provider. It starts nothing; Resume does, and so do writes.
func New(cloud provider.Cloud) provider.Provider {
	return &Provider{cloud: cloud, identities: identity.New(cloud, ""), servers: map[string]*server{}}
}

// Types implements provider.Provider.
func (p *Provider) Types() []provider.Type {
	types := []provider.Type{
		{Name: serverType, Put: p.putServer, Patch: p.patchServer, Delete: p.deleteServer, Actions: map[string]provider.Action{
			"start":   {Handle: p.power("Ready", (*server).powerOn)},
			"stop":    {Handle: p.power("Stopped", (*server).powerOff)},
			"restart": {Handle: p.power("Ready", (*server).restart)},
		}},
		{Name: databaseType, Put: p.putDatabase, Delete: p.deleteDatabase},
		{Name: firewallType, Put: p.putRule, Delete: p.deleteRule},
		{Name: adminType, Put: p.putAdmin, Delete: p.deleteAdmin},
		{Name: settingType, Get: p.getSetting, List: p.listSettings, Put: p.putSetting, Patch: p.putSetting},
	}
	for n := range types {
		types[n].APIVersions, types[n].Async202 = apiVersions, true
	}
	return types
}

// Resume implements provider.Provider: it starts every server that was not
// stopped. One that does not start is Inaccessible and is tried again next time.
func (p *Provider) Resume(ctx context.Context) error {
	var work errgroup.Group
	work.SetLimit(4)
	for _, doc := range p.cloud.Store().Under("", serverType) {
		if provider.Text(doc, "properties", "state") == "Stopped" {
			continue
		}
		work.Go(func() error {
			s := p.server(provider.Text(doc, "id"))
			s.op.Lock()
			defer s.op.Unlock()
			state := "Ready"
			if err := s.powerOn(ctx); err != nil {
				p.cloud.Logf("resume MySQL server %s: %v", s.id, err)
				state = "Disabled"
			}
			s.setState(state)
			return nil
		})
	}
	return work.Wait()
}

// Close implements provider.Provider.
func (p *Provider) Close() error {
	p.closed.Store(true)
	p.mu.Lock()
	defer p.mu.Unlock()
	var stopping sync.WaitGroup
	for _, s := range p.servers {
		stopping.Go(func() {
			s.op.Lock()
			defer s.op.Unlock()
			s.halt()
		})
	}
	stopping.Wait()
	return nil
}

// server returns the entry of one server, making it on first sight.
func (p *Provider) server(resourceID string) *server {
	p.mu.Lock()
	defer p.mu.Unlock()
	key := id.Fold(resourceID)
	if s, ok := p.servers[key]; ok {
		return s
	}
	s := &server{provider: p, id: resourceID, realm: realmOf(resourceID)}
	p.servers[key] = s
	return s
}

// realmOf is a short name for a server that is safe in files.
func realmOf(resourceID string) string {
	sum := sha256.Sum256([]byte(id.Fold(resourceID)))
	return hex.EncodeToString(sum[:8])
}
