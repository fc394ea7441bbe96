// Package sql is the local cloud's Microsoft.Sql: logical servers with databases,
// each behind a peer of the TDS protocol.
//
// Real: the documents and their long-running writes; firewall rules and public
// access, judged by the caller's address on the real port 1433 of the server's own
// address; the password administrator; the single Entra administrator and the switch
// that allows nobody but Entra's principals; tokens, checked for signature, audience
// and expiry, and bound to users by SID as Azure binds them: the bytes of an
// application's client id, of a person's or a group's object id. Databases keep what
// is in them across a restart.
//
// Not real: the server behind the port is package tds, which knows the statements of
// a connection's life and simple tables, not Transact-SQL; sizes, tiers, backups,
// replicas, auditing and elastic pools are documents at most; virtual network rules
// are kept and let nobody in, because there is no virtual network; a server's own
// identity finds every principal of the directory, whatever it was granted there;
// groups have no members.
//
// The package must never write a password or a token to a log or a document.
package sql

import (
	"context"
	"errors"
	"net"
	"os"
	"path/filepath"
	"sync"

	"github.com/patchbay/patchbay/internal/arm/id"
	"github.com/patchbay/patchbay/internal/localcloud/provider"
	"github.com/patchbay/patchbay/internal/localcloud/tds"
)

const (
	serverType    = "Microsoft.Sql/servers"
	databaseType  = serverType + "/databases"
	firewallType  = serverType + "/firewallRules"
	networkType   = serverType + "/virtualNetworkRules"
	adminType     = serverType + "/administrators"
	entraOnlyType = serverType + "/azureADOnlyAuthentications"

	port   = "1433"
	master = "master"
)

// apiVersions are those published for logical servers.
var apiVersions = []string{
	"2015-05-01-preview", "2017-03-01-preview", "2017-10-01-preview", "2018-06-01-preview", "2019-06-01-preview", "2020-02-02-preview",
	"2020-08-01-preview", "2020-11-01-preview", "2021-02-01-preview", "2021-05-01-preview", "2021-08-01-preview", "2021-11-01",
	"2021-11-01-preview", "2022-02-01-preview", "2022-05-01-preview", "2022-08-01-preview", "2022-11-01-preview", "2023-02-01-preview",
	"2023-05-01-preview", "2023-08-01", "2023-08-01-preview", "2024-05-01-preview", "2024-11-01-preview", "2025-01-01",
	"2025-02-01-preview", "2025-08-01-preview",
}

// Provider serves the namespace; make one with New.
type Provider struct {
	cloud provider.Cloud

	writes sync.Mutex // held while a server's documents are read and written back

	mu    sync.Mutex
	peers map[string]*peer // by folded id of their server; nil once closed
}

// New makes the provider. It starts nothing; Resume does, and so do writes.
func New(cloud provider.Cloud) provider.Provider {
	return &Provider{cloud: cloud, peers: map[string]*peer{}}
}

// Types implements provider.Provider.
func (p *Provider) Types() []provider.Type {
	types := []provider.Type{
		{Name: serverType, Get: p.getServer, List: p.listServers, Put: p.putServer, Patch: p.patchServer, Delete: p.deleteServer},
		{Name: databaseType, Put: p.putDatabase, Patch: p.patchDatabase, Delete: p.deleteDatabase, Actions: map[string]provider.Action{
			"pause": {Handle: p.power("Paused")}, "resume": {Handle: p.power(online)},
		}},
		{Name: firewallType, Put: p.putRule, Delete: p.deleteRule},
		{Name: networkType, Put: p.putNetworkRule, Delete: p.deleteNetworkRule},
		{Name: adminType, Put: p.putAdmin, Delete: p.deleteAdmin},
		{Name: entraOnlyType, Get: p.getEntraOnly, List: p.listEntraOnly, Put: p.putEntraOnly, Delete: p.deleteEntraOnly},
	}
	for n := range types {
		types[n].APIVersions, types[n].Async202 = apiVersions, true
	}
	return types
}

// Resume implements provider.Provider: every server listens again, with what its
// databases held.
func (p *Provider) Resume(ctx context.Context) error {
	var errs []error
	for _, doc := range p.cloud.Store().Under("", serverType) {
		if err := p.serve(ctx, provider.Text(doc, "id")); err != nil {
			p.cloud.Logf("resume SQL server %s: %v", provider.Text(doc, "id"), err)
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

// Close implements provider.Provider.
func (p *Provider) Close() error {
	p.mu.Lock()
	running := p.peers
	p.peers = nil
	p.mu.Unlock()
	var errs []error
	for _, one := range running {
		errs = append(errs, one.server.Close())
	}
	return errors.Join(errs...)
}

// serve opens a server's port unless it is open.
func (p *Provider) serve(ctx context.Context, serverID string) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.peers == nil {
		return errors.New("the local cloud is closing")
	}
	if _, ok := p.peers[id.Fold(serverID)]; ok {
		return nil
	}
	one := newPeer(p.cloud, serverID)
	var err error
	if one.server, err = tds.Listen(ctx, net.JoinHostPort(p.cloud.Address(serverID), port), p.cloud.ServerTLS(), one); err != nil {
		return err
	}
	p.peers[id.Fold(serverID)] = one
	return nil
}

// end closes a server's port and forgets what its databases held.
func (p *Provider) end(serverID string) error {
	p.mu.Lock()
	one := p.peers[id.Fold(serverID)]
	delete(p.peers, id.Fold(serverID))
	p.mu.Unlock()
	if one == nil {
		return nil
	}
	return errors.Join(one.server.Close(), os.RemoveAll(one.dir))
}

func (p *Provider) peer(serverID string) *peer {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.peers[id.Fold(serverID)]
}

// shelf keeps databases in files of one folder.
type shelf struct {
	dir  string
	logf func(string, ...any)

	mu   sync.Mutex
	open map[string]*tds.Database // by folded name
}

func (s *shelf) file(name string) string { return filepath.Join(s.dir, fileName(name)) }

// database opens one on first sight.
func (s *shelf) database(name string) (*tds.Database, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	key := id.Fold(name)
	if d, ok := s.open[key]; ok {
		return d, nil
	}
	saved, err := os.ReadFile(s.file(name))
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, err
	}
	d, err := tds.OpenDatabase(name, saved, func(state []byte) { s.keep(name, state) })
	if err != nil {
		return nil, err
	}
	s.open[key] = d
	return d, nil
}

// keep writes a database beside its file and puts it in place in one move.
func (s *shelf) keep(name string, state []byte) {
	err := os.MkdirAll(s.dir, 0o700)
	if err == nil {
		err = os.WriteFile(s.file(name)+".new", state, 0o600)
	}
	if err == nil {
		err = os.Rename(s.file(name)+".new", s.file(name))
	}
	if err != nil {
		s.logf("keep database %s: %v", name, err)
	}
}

// drop forgets a database and what it held.
func (s *shelf) drop(name string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.open, id.Fold(name))
	if err := os.Remove(s.file(name)); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	return nil
}
