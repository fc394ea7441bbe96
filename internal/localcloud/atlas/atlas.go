// Package atlas is the local cloud's MongoDB.Atlas: organizations with projects and
// clusters, each cluster a strict peer of the MongoDB wire protocol on port 27017 of
// its own address.
//
// Real: sign-in by SCRAM and the right to write, over TLS; documents in memory.
//
// Not real: Atlas tells where a cluster is and makes database users through an
// administration API of its own. Here the cluster's document has connectionString, and
// databaseUsers are children of the project, with the members that API has. There is no
// name to look up for mongodb+srv, the project's list of addresses lets everybody in,
// and documents are gone when the cloud stops.
//
// The package must never write a password to a log or a document.
package atlas

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"sync"

	"github.com/patchbay/patchbay/internal/arm/id"
	"github.com/patchbay/patchbay/internal/localcloud/mongo"
	"github.com/patchbay/patchbay/internal/localcloud/provider"
)

const (
	organizationType = "MongoDB.Atlas/organizations"
	projectType      = organizationType + "/projects"
	clusterType      = projectType + "/clusters"
	userType         = projectType + "/databaseUsers"

	port       = "27017"
	replicaSet = "atlas-local-shard-0"
	succeeded  = "Succeeded"
)

// Versions as published; projects and clusters came with the last.
var (
	apiVersions   = []string{"2024-11-18-preview", "2025-06-01", "2026-03-01-preview"}
	childVersions = []string{"2026-03-01-preview"}
)

// Provider serves the namespace; make one with New.
type Provider struct {
	cloud provider.Cloud

	mu       sync.Mutex
	clusters map[string]*mongo.Server // by folded id; nil once closed
}

// New makes the provider. It starts nothing; Resume does, and so do writes.
func New(cloud provider.Cloud) provider.Provider {
	return &Provider{cloud: cloud, clusters: map[string]*mongo.Server{}}
}

// Types implements provider.Provider.
func (p *Provider) Types() []provider.Type {
	return []provider.Type{
		{Name: organizationType, APIVersions: apiVersions, Put: p.putOrganization, Patch: p.putOrganization, Delete: p.delete},
		{Name: projectType, APIVersions: childVersions, Put: p.putChild(projectType), Delete: p.delete},
		{Name: clusterType, APIVersions: childVersions, Put: p.putCluster, Delete: p.delete},
		{Name: userType, APIVersions: childVersions, Put: p.putUser, Delete: p.delete},
	}
}

// Resume implements provider.Provider: it opens every cluster again, empty.
func (p *Provider) Resume(ctx context.Context) error {
	var errs []error
	for _, doc := range p.cloud.Store().Under("", clusterType) {
		if err := p.serve(ctx, provider.Text(doc, "id")); err != nil {
			p.cloud.Logf("resume Atlas cluster %s: %v", provider.Text(doc, "id"), err)
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

// Close implements provider.Provider.
func (p *Provider) Close() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	var errs []error
	for _, running := range p.clusters {
		errs = append(errs, running.Close())
	}
	p.clusters = nil
	return errors.Join(errs...)
}

// serve opens a cluster's endpoint unless it is open.
func (p *Provider) serve(ctx context.Context, cluster string) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.clusters == nil {
		return errors.New("the local cloud is closing")
	}
	key := id.Fold(cluster)
	if p.clusters[key] != nil {
		return nil
	}
	i, err := id.Parse(cluster)
	if err != nil {
		return err
	}
	var lc net.ListenConfig
	at := net.JoinHostPort(p.cloud.Address(cluster), port)
	l, err := lc.Listen(ctx, "tcp", at)
	if err != nil {
		return fmt.Errorf("open cluster: %w", err)
	}
	p.clusters[key] = mongo.Serve(l, mongo.Config{
		TLS: p.cloud.ServerTLS(), Host: &host{store: p.cloud.Store(), project: i.Parent()}, Address: at, ReplicaSet: replicaSet, RetryableWrites: true,
	})
	return nil
}

// end closes the clusters at and below a resource.
func (p *Provider) end(resourceID string) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	var errs []error
	for _, doc := range append(p.cloud.Store().Under(resourceID, clusterType), provider.Document{"id": resourceID}) {
		key := id.Fold(provider.Text(doc, "id"))
		if running := p.clusters[key]; running != nil {
			errs = append(errs, running.Close())
			delete(p.clusters, key)
		}
	}
	return errors.Join(errs...)
}

// host is a project's users as a cluster sees them.
type host struct {
	mongo.Memory
	store   provider.Store
	project id.ID
}

// Secrets implements mongo.Host.
func (h *host) Secrets(user string) []mongo.Secret {
	for _, doc := range h.store.Children(h.project.String(), userType) {
		if provider.Text(doc, "name") != user { // names of users are exact, ids are not
			continue
		}
		role := provider.Text(doc, "properties", "roleName")
		return []mongo.Secret{{Password: h.store.Private(provider.Text(doc, "id"))["password"], ReadOnly: role == "readAnyDatabase"}}
	}
	return nil
}

// Allow implements mongo.Host.
func (h *host) Allow(netip.Addr) error { return nil }

func notFound(resourceID string) error {
	return &provider.Fault{Status: http.StatusNotFound, Code: "ResourceNotFound", Message: "The resource '" + resourceID + "' was not found."}
}

// put stores a document and brings it to its final state in the background.
func (p *Provider) put(r *provider.Request, kind string, more map[string]any, work func(context.Context) error) *provider.Answer {
	store := p.cloud.Store()
	current, exists := store.Get(r.ID.String())
	status := http.StatusCreated
	if exists {
		status = http.StatusOK
	}
	old, _ := current["properties"].(map[string]any)
	given, _ := r.Body["properties"].(map[string]any)
	doc := provider.Identify(r.ID, kind, provider.Merge(current, r.Body))
	doc["properties"] = provider.Merge(provider.Merge(provider.Merge(old, given), more), map[string]any{"provisioningState": "Accepted"})
	store.Put(r.ID.String(), doc)
	return &provider.Answer{Status: status, Body: doc, Later: func(ctx context.Context) error {
		state := succeeded
		err := work(ctx)
		if err != nil {
			state = "Failed"
		}
		if now, exists := store.Get(r.ID.String()); exists {
			properties, _ := now["properties"].(map[string]any)
			now["properties"] = provider.Merge(properties, map[string]any{"provisioningState": state})
			store.Put(r.ID.String(), now)
		}
		return err
	}}
}

func nothing(context.Context) error { return nil }

func (p *Provider) putOrganization(_ context.Context, r *provider.Request) (*provider.Answer, error) {
	_, exists := p.cloud.Store().Get(r.ID.String())
	switch {
	case r.Method == http.MethodPatch && !exists:
		return nil, notFound(r.ID.String())
	case exists:
	case provider.Text(r.Body, "location") == "":
		return nil, provider.BadRequest("LocationRequired", "The location property is required for this definition.")
	case provider.At(r.Body, "properties", "marketplace") == nil || provider.At(r.Body, "properties", "user") == nil:
		return nil, provider.BadRequest("InvalidRequestContent", "The properties 'marketplace' and 'user' are required.")
	}
	return p.put(r, organizationType, nil, nothing), nil
}

// parent makes sure that what a child belongs to exists.
func (p *Provider) parent(child id.ID) error {
	if _, exists := p.cloud.Store().Get(child.Parent().String()); !exists {
		return &provider.Fault{Status: http.StatusNotFound, Code: "ParentResourceNotFound", Message: "The resource '" + child.Parent().String() + "' was not found."}
	}
	return nil
}

func (p *Provider) putChild(kind string) provider.Handler {
	return func(_ context.Context, r *provider.Request) (*provider.Answer, error) {
		if err := p.parent(r.ID); err != nil {
			return nil, err
		}
		return p.put(r, kind, nil, nothing), nil
	}
}

func (p *Provider) putCluster(_ context.Context, r *provider.Request) (*provider.Answer, error) {
	if err := p.parent(r.ID); err != nil {
		return nil, err
	}
	at := "mongodb://" + net.JoinHostPort(p.cloud.Address(r.ID.String()), port) + "/?tls=true&replicaSet=" + replicaSet
	return p.put(r, clusterType, map[string]any{"connectionString": at, "state": "IDLE"}, func(ctx context.Context) error {
		return p.serve(ctx, r.ID.String())
	}), nil
}

// putUser keeps a user's password where no answer shows it.
func (p *Provider) putUser(_ context.Context, r *provider.Request) (*provider.Answer, error) {
	if err := p.parent(r.ID); err != nil {
		return nil, err
	}
	properties, _ := r.Body["properties"].(map[string]any)
	password := provider.Text(properties, "password")
	known := map[string]bool{"atlasAdmin": true, "readWriteAnyDatabase": true, "readAnyDatabase": true}
	if password == "" && p.cloud.Store().Private(r.ID.String())["password"] == "" || !known[provider.Text(properties, "roleName")] {
		return nil, provider.BadRequest("InvalidRequestContent", "A database user needs a password and a roleName of atlasAdmin, readWriteAnyDatabase or readAnyDatabase.")
	}
	delete(properties, "password")
	answer := p.put(r, userType, nil, nothing)
	if password != "" {
		p.cloud.Store().SetPrivate(r.ID.String(), map[string]string{"password": password})
	}
	return answer, nil
}

func (p *Provider) delete(_ context.Context, r *provider.Request) (*provider.Answer, error) {
	if _, exists := p.cloud.Store().Get(r.ID.String()); !exists {
		return &provider.Answer{Status: http.StatusNoContent}, nil
	}
	if err := p.end(r.ID.String()); err != nil {
		return nil, fmt.Errorf("close cluster: %w", err)
	}
	p.cloud.Store().Delete(r.ID.String())
	return &provider.Answer{Status: http.StatusOK}, nil
}
