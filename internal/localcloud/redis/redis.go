// Package redis is the local cloud's Microsoft.Cache: caches with keys, firewall
// rules, access policies and a data plane that speaks the Redis protocol.
//
// Real: the protocol over TLS on port 6380 of the cache's own address (and without
// TLS on 6379 when that is switched on); sign-in with either key or with an Entra
// token, whose signature, audience, expiry and object id are checked and whose
// access policy assignment decides what may run; NOAUTH before sign-in and NOPERM
// beyond it; the firewall, which the first rule closes and removing the last opens.
//
// Not real: the engine is embedded (it calls itself miniredis), holds its data in
// memory only, and knows neither CONFIG nor ACL; sizes, shards, replicas, zones,
// persistence and custom access policies are documents at most; commands inside a
// script are judged by the right to run scripts; a regenerated key ends no session.
//
// The package must never write a key or a token to a log or a document.
package redis

import (
	"context"
	"errors"
	"sync"

	"github.com/patchbay/patchbay/internal/arm/id"
	"github.com/patchbay/patchbay/internal/localcloud/provider"
)

const (
	cacheType      = "Microsoft.Cache/redis"
	firewallType   = cacheType + "/firewallRules"
	policyType     = cacheType + "/accessPolicies"
	assignmentType = cacheType + "/accessPolicyAssignments"
)

// apiVersions are those published for caches.
var apiVersions = []string{
	"2020-06-01", "2020-12-01", "2021-06-01", "2022-05-01", "2022-06-01", "2023-04-01", "2023-05-01-preview",
	"2023-08-01", "2024-03-01", "2024-04-01-preview", "2024-11-01", "2025-08-01-preview",
}

// Provider serves the namespace; make one with New.
type Provider struct {
	cloud provider.Cloud

	keys sync.Mutex // held while keys are read and written back

	mu     sync.Mutex
	caches map[string]*Plane // running data planes by folded id; nil once closed
}

// New makes the provider. It starts nothing; Resume does, and so do writes.
func New(cloud provider.Cloud) provider.Provider {
	return &Provider{cloud: cloud, caches: map[string]*Plane{}}
}

// Types implements provider.Provider.
func (p *Provider) Types() []provider.Type {
	types := []provider.Type{
		{Name: cacheType, Put: p.putCache, Patch: p.patchCache, Delete: p.deleteCache, Actions: map[string]provider.Action{
			"listkeys":      {Handle: p.listKeys, Right: cacheType + "/listKeys/action"},
			"regeneratekey": {Handle: p.regenerateKey, Right: cacheType + "/regenerateKey/action"},
		}},
		{Name: firewallType, Put: p.putRule, Delete: p.deleteChild},
		{Name: policyType, Get: p.getPolicy, List: p.listPolicies},
		{Name: assignmentType, Put: p.putAssignment, Delete: p.deleteChild},
	}
	for n := range types {
		types[n].APIVersions = apiVersions
	}
	return types
}

// Resume implements provider.Provider: it opens every cache again, empty.
func (p *Provider) Resume(ctx context.Context) error {
	var errs []error
	for _, doc := range p.cloud.Store().Under("", cacheType) {
		if err := p.serve(ctx, provider.Text(doc, "id")); err != nil {
			p.cloud.Logf("resume cache %s: %v", provider.Text(doc, "id"), err)
			errs = append(errs, err)
			continue
		}
		p.settle(provider.Text(doc, "id"), nil)
	}
	return errors.Join(errs...)
}

// Close implements provider.Provider.
func (p *Provider) Close() error {
	p.mu.Lock()
	running := p.caches
	p.caches = nil
	p.mu.Unlock()
	for _, c := range running {
		c.Close()
	}
	return nil
}

// serve makes the cache's listeners agree with its document.
func (p *Provider) serve(ctx context.Context, resourceID string) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.caches == nil {
		return errors.New("the local cloud is closing")
	}
	key := id.Fold(resourceID)
	c, ok := p.caches[key]
	if !ok {
		made, err := NewPlane(p.cloud, resourceID, gate{p.cloud, resourceID})
		if err != nil {
			return err
		}
		c = made
		p.caches[key] = c
	}
	doc, _ := p.cloud.Store().Get(resourceID)
	err := p.listen(ctx, c, flag(doc, "properties", "enableNonSslPort"))
	if err != nil && !ok {
		delete(p.caches, key)
		c.Close()
	}
	return err
}

// listen opens the ports that should be open and closes those that should not.
func (p *Provider) listen(ctx context.Context, c *Plane, plain bool) error {
	if err := c.Listen(ctx, tlsPort, p.cloud.ServerTLS()); err != nil {
		return err
	}
	if plain {
		return c.Listen(ctx, plainPort, nil)
	}
	return c.Unlisten(plainPort)
}

// end stops a cache's data plane.
func (p *Provider) end(resourceID string) {
	p.mu.Lock()
	key := id.Fold(resourceID)
	c := p.caches[key]
	delete(p.caches, key)
	p.mu.Unlock()
	if c != nil {
		c.Close()
	}
}
