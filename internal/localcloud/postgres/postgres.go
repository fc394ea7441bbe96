// Package postgres is the local cloud's Microsoft.DBforPostgreSQL: flexible
// servers, each backed by a PostgreSQL server process of its own.
//
// Real: the server, its roles, databases, TLS and passwords; sign-in with an
// Entra token as the password, checked for signature, audience, expiry and object
// id by a responder the unmodified server asks over LDAP; the pgaadauth functions
// in database postgres; firewall rules and public access, held by a gate on the
// real port 5432 of the server's own address; start, stop, restart and deletion;
// the handful of configurations in the table.
//
// Not real: the version is the installed one whatever version was asked for
// (minorVersion tells); storage, compute, backup, replicas, high availability and
// private networking are kept as documents only; a collation the machine lacks
// becomes C; Entra groups have no members; the mfa claim is not asked for; data
// is not safe against a crash of the machine (fsync is off); a role granted an
// Entra role signs in by password but not by SCRAM on the wire.
//
// The package must never let an administrator become superuser, and never write a
// password or a token to a log, an argument or a document.
package postgres

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"sync"

	"golang.org/x/sync/errgroup"

	"github.com/patchbay/patchbay/internal/arm/id"
	"github.com/patchbay/patchbay/internal/localcloud/provider"
)

const (
	serverType   = "Microsoft.DBforPostgreSQL/flexibleServers"
	databaseType = serverType + "/databases"
	firewallType = serverType + "/firewallRules"
	adminType    = serverType + "/administrators"
	settingType  = serverType + "/configurations"
	capableType  = "Microsoft.DBforPostgreSQL/locations/capabilities"
)

// apiVersions are those published for flexible servers.
var apiVersions = []string{
	"2021-06-01", "2021-06-01-preview", "2022-01-20-preview", "2022-03-08-preview", "2022-12-01",
	"2023-03-01-preview", "2023-06-01-preview", "2023-12-01-preview", "2024-03-01-preview", "2024-08-01",
	"2024-11-01-preview", "2025-01-01-preview", "2025-06-01-preview", "2025-08-01", "2026-01-01-preview", "2026-04-01-preview",
}

// Provider serves the namespace; make one with New.
type Provider struct {
	cloud provider.Cloud

	mu      sync.Mutex
	servers map[string]*server // by folded id
	signIn  *signIn
	closed  bool
}

// New makes the provider. It starts nothing; Resume does, and so do writes.
func New(cloud provider.Cloud) provider.Provider {
	return &Provider{cloud: cloud, servers: map[string]*server{}}
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
		{Name: capableType, List: capabilities},
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
				p.cloud.Logf("resume PostgreSQL server %s: %v", s.id, err)
				state = "Inaccessible"
			}
			s.setState(state)
			return nil
		})
	}
	return work.Wait()
}

// Close implements provider.Provider.
func (p *Provider) Close() error {
	p.mu.Lock()
	p.closed = true
	var stopping sync.WaitGroup
	for _, s := range p.servers {
		stopping.Go(func() {
			s.op.Lock()
			defer s.op.Unlock()
			s.halt()
		})
	}
	responder := p.signIn
	p.signIn = nil
	p.mu.Unlock()
	stopping.Wait()
	if responder == nil {
		return nil
	}
	return responder.close()
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

// realmOf is a short name for a server that is safe in files and rules.
func realmOf(resourceID string) string {
	sum := sha256.Sum256([]byte(id.Fold(resourceID)))
	return hex.EncodeToString(sum[:8])
}

// responder starts the sign-in check on first use and returns its port.
func (p *Provider) responder() (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return 0, errors.New("the local cloud is closing")
	}
	if p.signIn == nil {
		s, err := startSignIn(p.check)
		if err != nil {
			return 0, err
		}
		p.signIn = s
	}
	return p.signIn.port, nil
}

// check is the bindCheck of every server. It takes no operation's lock: a server
// that is being stopped waits for the sign-ins it has asked about.
func (p *Provider) check(ctx context.Context, realm, role, secret string) (err error) {
	defer func() {
		if err != nil {
			p.cloud.Logf("PostgreSQL sign-in of %q refused: %v", role, err)
		}
	}()
	s := p.byRealm(realm)
	if s == nil {
		return fmt.Errorf("no server %s", realm)
	}
	inside := s.live.Load()
	if inside == nil {
		return errors.New("the server is stopped")
	}
	c, err := inside.credential(ctx, role)
	if err != nil {
		return err
	}
	// Whether Entra sign-in is on stands in the host rules; a password that comes
	// this way stands in none of them.
	if c.objectID == "" && s.authConfig("passwordAuth") == disabled {
		return errors.New("password sign-in is off")
	}
	return checkSignIn(p.cloud.Directory(), p.cloud.URL(), c, secret)
}

func (p *Provider) byRealm(realm string) *server {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, s := range p.servers {
		if s.realm == realm {
			return s
		}
	}
	return nil
}
