// Package cosmos is the local cloud's Microsoft.DocumentDB: database accounts of the
// five APIs with keys, network rules, data roles and their databases, and the
// protocols of NoSQL and Table over TLS.
//
// Real: one write of an account at a time, refused in Azure's way while another runs;
// long-running answers; master keys and read-only keys as HMAC signatures, Entra
// tokens (signature, audience, expiry) together with data roles, which are no role
// assignments of Azure; disableLocalAuth; address rules by the client's address; databases
// and documents over HTTP with point reads and simple queries; tables as package
// tables has them.
//
// Not real: MongoDB, Cassandra and Gremlin are protocol peers that others plug in
// (Planes); regions, throughput, consistency, indexes, time to live, change feeds,
// stored procedures and patches of documents are documents at most; a container has
// one partition; virtual network rules admit nobody.
//
// The package must never write a key or a token to a log or a document.
package cosmos

import (
	"context"
	"errors"
	"sync"

	"github.com/patchbay/patchbay/internal/arm/id"
	"github.com/patchbay/patchbay/internal/localcloud/identity"
	"github.com/patchbay/patchbay/internal/localcloud/provider"
)

const (
	accountType = "Microsoft.DocumentDB/databaseAccounts"
	succeeded   = "Succeeded"
)

// apiVersions are those published for accounts and their databases.
var apiVersions = []string{
	"2019-08-01", "2019-12-12", "2020-03-01", "2020-04-01", "2020-06-01-preview", "2020-09-01", "2021-01-15", "2021-03-15", "2021-04-15",
	"2021-05-15", "2021-06-15", "2021-10-15", "2022-05-15", "2022-08-15", "2022-11-15", "2023-03-15", "2023-04-15", "2023-09-15",
	"2023-11-15", "2024-05-15", "2024-08-15", "2024-11-15", "2025-04-15", "2025-10-15", "2026-03-15", "2026-04-01-preview",
}

// roleVersions are those of the data roles of the APIs other than NoSQL.
var roleVersions = []string{"2025-05-01-preview", "2025-11-01-preview", "2026-03-15", "2026-04-01-preview"}

// Provider serves the namespace; make one with New.
type Provider struct {
	cloud      provider.Cloud
	openers    Planes
	identities *identity.Identities

	writes sync.Mutex      // held while an account, its keys or a child are read and written back
	held   map[string]bool // accounts with a write of a role under way, by folded id

	mu       sync.Mutex
	accounts map[string]*account // running data planes by folded id; nil once closed
}

// New makes the provider. It starts nothing; Resume does, and so do writes.
func New(cloud provider.Cloud, planes Planes) provider.Provider {
	return &Provider{cloud: cloud, openers: planes, identities: identity.New(cloud, ""), held: map[string]bool{}, accounts: map[string]*account{}}
}

// Types implements provider.Provider.
func (p *Provider) Types() []provider.Type {
	right := func(action string) string { return accountType + "/" + action + "/action" }
	types := []provider.Type{
		{Name: accountType, Put: p.putAccount, Patch: p.patchAccount, Delete: p.deleteAccount, Actions: map[string]provider.Action{
			"listkeys":              {Handle: p.listKeys, Right: right("listKeys")},
			"readonlykeys":          {Handle: p.readOnlyKeys, Right: right("readonlykeys")},
			"listconnectionstrings": {Handle: p.listConnectionStrings, Right: right("listConnectionStrings")},
			"regeneratekey":         {Handle: p.regenerateKey, Right: right("regenerateKey")},
		}},
	}
	for _, f := range features {
		types = append(types, p.childTypes(f)...)
		types = append(types, p.roleTypes(f)...)
	}
	for n := range types {
		if types[n].APIVersions == nil {
			types[n].APIVersions = apiVersions
		}
	}
	return types
}

// Resume implements provider.Provider: it opens every account's endpoints again and
// ends what was under way.
func (p *Provider) Resume(ctx context.Context) error {
	var errs []error
	for _, doc := range p.cloud.Store().Under("", accountType) {
		resource := provider.Text(doc, "id")
		if _, err := p.serve(ctx, resource); err != nil {
			p.cloud.Logf("resume Cosmos DB account %s: %v", resource, err)
			errs = append(errs, err)
			continue
		}
		p.settle(resource, nil)
	}
	return errors.Join(errs...)
}

// Close implements provider.Provider.
func (p *Provider) Close() error {
	p.mu.Lock()
	running := p.accounts
	p.accounts = nil
	p.mu.Unlock()
	var errs []error
	for _, a := range running {
		errs = append(errs, a.close())
	}
	return errors.Join(errs...)
}

// serve opens an account's endpoints unless they are open.
func (p *Provider) serve(ctx context.Context, resourceID string) (*account, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.accounts == nil {
		return nil, errors.New("the local cloud is closing")
	}
	key := id.Fold(resourceID)
	if a, ok := p.accounts[key]; ok {
		return a, nil
	}
	a, err := p.openAccount(ctx, resourceID)
	if err != nil {
		return nil, err
	}
	p.accounts[key] = a
	return a, nil
}

// running finds an account's open endpoints.
func (p *Provider) running(resourceID string) (*account, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	a, ok := p.accounts[id.Fold(resourceID)]
	return a, ok
}

// end closes an account's endpoints and deletes what it keeps.
func (p *Provider) end(resourceID string) error {
	p.mu.Lock()
	key := id.Fold(resourceID)
	a := p.accounts[key]
	delete(p.accounts, key)
	p.mu.Unlock()
	if a == nil {
		return nil
	}
	return errors.Join(a.close(), a.destroy())
}
