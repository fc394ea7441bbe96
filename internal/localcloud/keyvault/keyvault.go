// Package keyvault is the local cloud's Microsoft.KeyVault: vaults with access
// policies or role-based access, soft delete and network rules, and the secrets data
// plane over TLS.
//
// Real: the challenge that tells clients where to sign in; Entra tokens (signature,
// audience, expiry) together with role assignments or the vault's access policies,
// whichever model the vault has; network rules by the client's address; versions,
// disabled secrets, paging; soft delete of secrets and of vaults, whose names stay
// taken until they are recovered or purged; deletes and recoveries that take a moment.
//
// Not real: keys, certificates and storage accounts; backup and restore; retention
// that runs out by itself; HSM-backed vaults; private endpoints; virtual network rules
// are kept and admit nobody; bypass lets no client in, because ordinary apps are no
// trusted services.
//
// The package must never write a secret or a token to a log or a document.
package keyvault

import (
	"context"
	"errors"
	"sync"

	"github.com/patchbay/patchbay/internal/arm/id"
	"github.com/patchbay/patchbay/internal/localcloud/provider"
)

const (
	vaultType       = "Microsoft.KeyVault/vaults"
	policyType      = vaultType + "/accessPolicies"
	secretType      = vaultType + "/secrets"
	deletedType     = "Microsoft.KeyVault/locations/deletedVaults"
	deletedListType = "Microsoft.KeyVault/deletedVaults"
)

// apiVersions are those published for vaults.
var apiVersions = []string{
	"2018-02-14", "2019-09-01", "2020-04-01-preview", "2021-04-01-preview", "2021-06-01-preview", "2021-10-01", "2021-11-01-preview",
	"2022-07-01", "2022-11-01", "2023-02-01", "2023-07-01", "2024-04-01-preview", "2024-11-01", "2024-12-01-preview", "2025-05-01",
	"2026-02-01", "2026-03-01-preview",
}

// Provider serves the namespace; make one with New.
type Provider struct {
	cloud provider.Cloud

	writes sync.Mutex // held while a vault's document or its secrets are read and written back

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
		{Name: vaultType, Put: p.putVault, Patch: p.patchVault, Delete: p.deleteVault},
		{Name: policyType, Put: p.changePolicies},
		{Name: secretType, Get: p.getSecretDocument, List: p.listSecretDocuments, Put: p.putSecretDocument, Patch: p.patchSecretDocument},
		{Name: deletedType, Actions: map[string]provider.Action{
			"purge": {Handle: p.purgeVault, Right: deletedType + "/purge/action"},
		}},
		{Name: deletedListType, List: p.listDeleted},
	}
	for n := range types {
		types[n].APIVersions = apiVersions
	}
	return types
}

// Resume implements provider.Provider: it opens every vault's data plane again.
func (p *Provider) Resume(ctx context.Context) error {
	var errs []error
	for _, doc := range p.cloud.Store().Under("", vaultType) {
		if _, err := p.serve(ctx, provider.Text(doc, "id")); err != nil {
			p.cloud.Logf("resume vault %s: %v", provider.Text(doc, "id"), err)
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

// serve opens a vault's data plane unless it is open.
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

// end closes a vault's data plane; its secrets stay.
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
