// Package storage is the local cloud's Microsoft.Storage: accounts with keys and
// network rules, and their four data planes over TLS: blobs, queues, tables, files.
//
// Real: SharedKey signatures with either key (and SharedKeyLite for tables), Entra
// tokens (signature, audience, expiry) together with role assignments, for files
// with the intent of a backup only; allowSharedKeyAccess, network rules by the
// client's address, anonymous reads of blobs where account and container allow
// them; containers and block blobs with metadata, ranges, conditions and listings;
// queues with visibility, receipts and expiry; tables as package tables has them;
// shares with directories and files by ranges; all kept on disk; Azure's error
// codes and XML.
//
// Not real: shared access signatures, leases, snapshots, versions, tiers, page and
// append blobs, soft delete; SMB and NFS, permissions of files; replication and
// encryption are documents only; virtual network rules are kept and admit nobody;
// bypass lets no client in, because ordinary apps are no trusted services.
//
// The package must never write a key or a token to a log or a document.
package storage

import (
	"context"
	"errors"
	"sync"

	"github.com/patchbay/patchbay/internal/arm/id"
	"github.com/patchbay/patchbay/internal/localcloud/provider"
)

const (
	accountType   = "Microsoft.Storage/storageAccounts"
	serviceType   = accountType + "/blobServices"
	containerType = serviceType + "/containers"
)

// apiVersions are those published for storage accounts.
var apiVersions = []string{
	"2019-04-01", "2019-06-01", "2021-01-01", "2021-02-01", "2021-04-01", "2021-06-01", "2021-08-01", "2021-09-01", "2022-05-01",
	"2022-09-01", "2023-01-01", "2023-04-01", "2023-05-01", "2024-01-01", "2025-01-01", "2025-06-01", "2025-08-01", "2026-04-01",
}

// Provider serves the namespace; make one with New.
type Provider struct {
	cloud provider.Cloud

	writes sync.Mutex // held while an account or its keys are read and written back

	mu       sync.Mutex
	accounts map[string]*account // running data planes by folded id; nil once closed
}

// New makes the provider. It starts nothing; Resume does, and so do writes.
func New(cloud provider.Cloud) provider.Provider {
	return &Provider{cloud: cloud, accounts: map[string]*account{}}
}

// Types implements provider.Provider.
func (p *Provider) Types() []provider.Type {
	types := []provider.Type{
		{Name: accountType, Put: p.putAccount, Patch: p.patchAccount, Delete: p.deleteAccount, Async202: true, Actions: map[string]provider.Action{
			"listkeys":      {Handle: p.listKeys, Right: accountType + "/listkeys/action"},
			"regeneratekey": {Handle: p.regenerateKey, Right: accountType + "/regeneratekey/action"},
		}},
		{Name: serviceType, Get: p.getService, List: p.listServices("blobServices"), Put: p.putService},
		{Name: containerType, Get: p.getContainer, List: p.listContainers, Put: p.putContainer, Patch: p.putContainer, Delete: p.deleteContainer},
	}
	for _, f := range families() {
		types = append(types, p.types(f)...)
	}
	for n := range types {
		types[n].APIVersions = apiVersions
	}
	return types
}

// Resume implements provider.Provider: it opens every account's data plane again.
func (p *Provider) Resume(ctx context.Context) error {
	var errs []error
	for _, doc := range p.cloud.Store().Under("", accountType) {
		if _, err := p.serve(ctx, provider.Text(doc, "id")); err != nil {
			p.cloud.Logf("resume storage account %s: %v", provider.Text(doc, "id"), err)
			errs = append(errs, err)
		}
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

// serve opens an account's data plane unless it is open.
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
	a, err := openAccount(ctx, p.cloud, resourceID)
	if err != nil {
		return nil, err
	}
	p.accounts[key] = a
	return a, nil
}

// running finds an open data plane.
func (p *Provider) running(resourceID string) (*account, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	a, ok := p.accounts[id.Fold(resourceID)]
	return a, ok
}

// end closes a data plane and deletes its blobs.
func (p *Provider) end(resourceID string) error {
	p.mu.Lock()
	key := id.Fold(resourceID)
	a := p.accounts[key]
	delete(p.accounts, key)
	p.mu.Unlock()
	if a == nil {
		return nil
	}
	return errors.Join(a.close(), a.vault.destroy())
}
