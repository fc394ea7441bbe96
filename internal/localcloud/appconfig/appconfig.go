// Package appconfig is the local cloud's Microsoft.AppConfiguration: configuration
// stores with access keys, and the key-values data plane over TLS.
//
// Real: requests signed with HMAC-SHA256 (content hash, date, host, path and query)
// with any of the four keys, of which two only read; Entra tokens (signature,
// audience, expiry) together with role assignments; disableLocalAuth, which deletes
// the keys; the switch for public access; key-values with labels, tags, content types
// and ETags, filters, paging, read-only key-values, Sync-Token; soft delete of stores.
//
// Not real: a store's own identity; revisions, snapshots, replicas and geo-replication, point-in-time reads,
// quotas of the tiers, customer-managed keys, private endpoints; a regenerated key
// keeps its id.
//
// The package must never write a key, a token or a value to a log or a document.
package appconfig

import (
	"context"
	"errors"
	"sync"

	"github.com/patchbay/patchbay/internal/arm/id"
	"github.com/patchbay/patchbay/internal/localcloud/provider"
)

const (
	storeType       = "Microsoft.AppConfiguration/configurationStores"
	keyValueType    = storeType + "/keyValues"
	deletedType     = "Microsoft.AppConfiguration/locations/deletedConfigurationStores"
	deletedListType = "Microsoft.AppConfiguration/deletedConfigurationStores"
)

// apiVersions are those published for stores.
var apiVersions = []string{
	"2019-10-01", "2020-06-01", "2020-07-01-preview", "2021-03-01-preview", "2021-10-01-preview", "2022-03-01-preview", "2022-05-01",
	"2023-03-01", "2023-08-01-preview", "2023-09-01-preview", "2024-05-01", "2024-06-01", "2024-06-15-preview", "2025-02-01-preview", "2025-06-01-preview", "2025-08-01-preview",
}

// Provider serves the namespace; make one with New.
type Provider struct {
	cloud provider.Cloud

	writes sync.Mutex // held while a store's document, its keys or its key-values are read and written back

	mu     sync.Mutex
	planes map[string]*plane // running data planes by folded id; nil once closed
}

// New makes the provider. It starts nothing; Resume does, and so do writes.
func New(cloud provider.Cloud) provider.Provider {
	return &Provider{cloud: cloud, planes: map[string]*plane{}}
}

// Types implements provider.Provider.
func (p *Provider) Types() []provider.Type {
	types := []provider.Type{
		{Name: storeType, Put: p.putStore, Patch: p.patchStore, Delete: p.deleteStore, Actions: map[string]provider.Action{
			"listkeys":      {Handle: p.listKeys, Right: storeType + "/ListKeys/action"},
			"regeneratekey": {Handle: p.regenerateKey, Right: storeType + "/RegenerateKey/action"},
		}},
		{Name: keyValueType, Get: p.getDocument, Put: p.putDocument, Delete: p.deleteDocument},
		{Name: deletedType, Actions: map[string]provider.Action{
			"purge": {Handle: p.purgeStore, Right: deletedType + "/purge/action"},
		}},
		{Name: deletedListType, List: p.listDeleted},
	}
	for n := range types {
		types[n].APIVersions = apiVersions
	}
	return types
}

// Resume implements provider.Provider: it opens every store's data plane again.
func (p *Provider) Resume(ctx context.Context) error {
	var errs []error
	for _, doc := range p.cloud.Store().Under("", storeType) {
		if _, err := p.serve(ctx, provider.Text(doc, "id")); err != nil {
			p.cloud.Logf("resume configuration store %s: %v", provider.Text(doc, "id"), err)
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

// Close implements provider.Provider.
func (p *Provider) Close() error {
	p.mu.Lock()
	running := p.planes
	p.planes = nil
	p.mu.Unlock()
	var errs []error
	for _, one := range running {
		errs = append(errs, one.close())
	}
	return errors.Join(errs...)
}

// serve opens a store's data plane unless it is open.
func (p *Provider) serve(ctx context.Context, resourceID string) (*plane, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.planes == nil {
		return nil, errors.New("the local cloud is closing")
	}
	key := id.Fold(resourceID)
	if one, ok := p.planes[key]; ok {
		return one, nil
	}
	one, err := p.openPlane(ctx, resourceID)
	if err != nil {
		return nil, err
	}
	p.planes[key] = one
	return one, nil
}

// end closes a store's data plane; its key-values stay.
func (p *Provider) end(resourceID string) error {
	p.mu.Lock()
	key := id.Fold(resourceID)
	one := p.planes[key]
	delete(p.planes, key)
	p.mu.Unlock()
	if one == nil {
		return nil
	}
	return one.close()
}
