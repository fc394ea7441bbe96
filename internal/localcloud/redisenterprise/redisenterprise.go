// Package redisenterprise is the local cloud's Microsoft.Cache/redisEnterprise, that is
// Azure Managed Redis and Azure Cache for Redis Enterprise: clusters, databases with
// keys and access policy assignments, and a data plane that speaks the Redis protocol.
//
// Real: the protocol over TLS (or without, as clientProtocol says) on the database's
// port of the cluster's address; sign-in with either key while access keys are on, and
// with Entra tokens whose principal has an assignment; publicNetworkAccess of the
// cluster, which newer api-versions demand; the one database with index 0.
//
// Not real: the engine of package redis, with what that leaves out; modules, clustering,
// replication, persistence and sizes are documents at most. The only access policy is
// "default", which allows everything. That access keys are off on a new managed database
// and on on an Enterprise one is from memory.
//
// The package must never write a key or a token to a log or a document.
package redisenterprise

import (
	"context"
	"errors"
	"sync"

	"github.com/patchbay/patchbay/internal/arm/id"
	"github.com/patchbay/patchbay/internal/localcloud/provider"
	"github.com/patchbay/patchbay/internal/localcloud/redis"
	"github.com/patchbay/patchbay/internal/localcloud/service"
)

const (
	clusterType    = "Microsoft.Cache/redisEnterprise"
	databaseType   = clusterType + "/databases"
	assignmentType = databaseType + "/accessPolicyAssignments"
)

// apiVersions are those published for clusters; assignments came later.
var (
	apiVersions = []string{
		"2021-03-01", "2021-08-01", "2022-01-01", "2022-11-01-preview", "2023-03-01-preview", "2023-07-01", "2023-08-01-preview", "2023-10-01-preview",
		"2023-11-01", "2024-02-01", "2024-03-01-preview", "2024-06-01-preview", "2024-09-01-preview", "2024-10-01", "2025-04-01", "2025-05-01-preview",
		"2025-07-01", "2025-08-01-preview", "2026-02-01-preview", "2026-05-01-preview", "2026-06-01-preview",
	}
	assignmentVersions = []string{
		"2024-09-01-preview", "2025-04-01", "2025-05-01-preview", "2025-07-01", "2025-08-01-preview", "2026-02-01-preview", "2026-05-01-preview", "2026-06-01-preview",
	}
)

// Provider serves the types; make one with New.
type Provider struct {
	cloud    provider.Cloud
	clusters *service.Accounts

	writes sync.Mutex // held while a database or its keys are read and written back

	mu     sync.Mutex
	planes map[string]*redis.Plane // running data planes by folded id of the database; nil once closed
}

// New makes the provider. It starts nothing; Resume does, and so do writes.
func New(cloud provider.Cloud) provider.Provider {
	p := &Provider{cloud: cloud, planes: map[string]*redis.Plane{}}
	p.clusters = service.NewAccounts(cloud, service.Kind{
		Type: clusterType, Platform: clusterPlatform, Global: true, Defaults: func() map[string]any { return map[string]any{"minimumTlsVersion": "1.2"} },
		Check: checkCluster, Fill: p.fillCluster,
	}, nil)
	return p
}

// Types implements provider.Provider.
func (p *Provider) Types() []provider.Type {
	cluster := p.clusters.Type(apiVersions, nil)
	cluster.Put, cluster.Delete = p.putCluster, p.deleteCluster
	return []provider.Type{
		cluster,
		{Name: databaseType, APIVersions: apiVersions, Put: p.putDatabase, Patch: p.patchDatabase, Delete: p.deleteDatabase, Async202: true,
			Actions: map[string]provider.Action{
				"listkeys":      {Handle: p.listKeys, Right: databaseType + "/listKeys/action"},
				"regeneratekey": {Handle: p.regenerateKey, Right: databaseType + "/regenerateKey/action"},
			}},
		{Name: assignmentType, APIVersions: assignmentVersions, Put: p.putAssignment, Delete: p.deleteAssignment},
	}
}

// Resume implements provider.Provider: it opens every database again, empty.
func (p *Provider) Resume(ctx context.Context) error {
	var errs []error
	for _, doc := range p.cloud.Store().Under("", databaseType) {
		if err := p.serve(ctx, id.MustParse(provider.Text(doc, "id")), doc); err != nil {
			p.cloud.Logf("resume database %s: %v", provider.Text(doc, "id"), err)
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
	for _, plane := range running {
		plane.Close()
	}
	return nil
}

// serve opens a database's data plane unless it is open.
func (p *Provider) serve(ctx context.Context, i id.ID, doc provider.Document) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.planes == nil {
		return errors.New("the local cloud is closing")
	}
	if _, ok := p.planes[i.Fold()]; ok {
		return nil
	}
	plane, err := redis.NewPlane(p.cloud, i.Parent().String(), gate{p.cloud, i})
	if err != nil {
		return err
	}
	cfg := p.cloud.ServerTLS()
	if provider.Text(doc, "properties", "clientProtocol") == "Plaintext" {
		cfg = nil
	}
	port, _ := provider.At(doc, "properties", "port").(float64)
	if err := plane.Listen(ctx, int(port), cfg); err != nil {
		plane.Close()
		return err
	}
	p.planes[i.Fold()] = plane
	return nil
}

// end stops a database's data plane.
func (p *Provider) end(i id.ID) {
	p.mu.Lock()
	plane := p.planes[i.Fold()]
	delete(p.planes, i.Fold())
	p.mu.Unlock()
	if plane != nil {
		plane.Close()
	}
}
