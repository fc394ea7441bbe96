// Package confluent is the local cloud's Microsoft.Confluent: organizations with
// environments, Kafka clusters and schema registries, and API keys for them.
//
// Real: brokers that speak Kafka's protocol over TLS on port 9092 of the cluster's
// own address and check key and secret; a schema registry over HTTPS that checks
// them as well and keeps subjects and versions. A key is good for the one cluster
// it was made for.
//
// Not real: Azure only reads environments and clusters, which are made at Confluent;
// here a PUT makes them, topics as well, and an environment's registry comes with it.
// Topics that clients make are not shown as resources. A PUT of an API
// key takes its secret from the request, as a test needs it. Records and schemas
// live in memory; schemas are not checked. There are no service accounts, roles or
// regions. Addresses are loopback addresses without Confluent's host names: the
// registry also answers below the path /azure.confluent.cloud, for clients that want
// to see that name in an address.
//
// The package must never write a secret to a log or a document.
package confluent

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"

	"github.com/patchbay/patchbay/internal/arm/id"
	"github.com/patchbay/patchbay/internal/localcloud/kafka"
	"github.com/patchbay/patchbay/internal/localcloud/provider"
)

const (
	organizationType = "Microsoft.Confluent/organizations"
	environmentType  = organizationType + "/environments"
	clusterType      = environmentType + "/clusters"
	topicType        = clusterType + "/topics"
	registryType     = environmentType + "/schemaRegistryClusters"
	keyType          = organizationType + "/apiKeys"

	kafkaPort = "9092"
	succeeded = "Succeeded"
)

// apiVersions are those published that know environments.
var apiVersions = []string{"2024-07-01", "2025-07-17-preview", "2025-08-18-preview", "2026-05-01-preview", "2026-06-02-preview"}

// Provider serves the namespace; make one with New.
type Provider struct {
	cloud provider.Cloud

	mu      sync.Mutex
	running map[string]io.Closer // data planes by folded id; nil once closed
}

// New makes the provider. It starts nothing; Resume does, and so do writes.
func New(cloud provider.Cloud) provider.Provider {
	return &Provider{cloud: cloud, running: map[string]io.Closer{}}
}

// Types implements provider.Provider.
func (p *Provider) Types() []provider.Type {
	create := map[string]provider.Action{"createapikey": {Handle: p.createKey}}
	types := []provider.Type{
		{Name: organizationType, Put: p.putOrganization, Delete: p.remove},
		{Name: environmentType, Put: p.putEnvironment, Delete: p.remove},
		{Name: clusterType, Put: p.putCluster, Delete: p.remove, Actions: create},
		{Name: topicType, Put: p.putTopic, Delete: p.deleteTopic},
		{Name: registryType, Actions: create},
		{Name: keyType, Put: p.putKey, Delete: p.remove},
	}
	for n := range types {
		types[n].APIVersions = apiVersions
	}
	return types
}

// Resume implements provider.Provider: brokers and registries open again, empty.
func (p *Provider) Resume(ctx context.Context) error {
	var errs []error
	for kind, open := range map[string]opener{clusterType: p.openCluster, registryType: p.openRegistry} {
		for _, doc := range p.cloud.Store().Under("", kind) {
			if err := p.serve(ctx, provider.Text(doc, "id"), open); err != nil {
				p.cloud.Logf("resume %s: %v", provider.Text(doc, "id"), err)
				errs = append(errs, err)
			}
		}
	}
	return errors.Join(errs...)
}

// Close implements provider.Provider.
func (p *Provider) Close() error {
	p.mu.Lock()
	running := p.running
	p.running = nil
	p.mu.Unlock()
	var errs []error
	for _, one := range running {
		errs = append(errs, one.Close())
	}
	return errors.Join(errs...)
}

// opener opens the data plane of a resource.
type opener func(ctx context.Context, resource string) (io.Closer, error)

// serve opens a data plane unless it is open.
func (p *Provider) serve(ctx context.Context, resource string, open opener) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.running == nil {
		return errors.New("the local cloud is closing")
	}
	if p.running[id.Fold(resource)] != nil {
		return nil
	}
	one, err := open(ctx, resource)
	if err == nil {
		p.running[id.Fold(resource)] = one
	}
	return err
}

// remove deletes a resource and ends what runs for it and below it.
func (p *Provider) remove(_ context.Context, r *provider.Request) (*provider.Answer, error) {
	if _, exists := p.cloud.Store().Get(r.ID.String()); !exists {
		return &provider.Answer{Status: http.StatusNoContent}, nil
	}
	p.mu.Lock()
	var ended []io.Closer
	for key, one := range p.running {
		if key == r.ID.Fold() || strings.HasPrefix(key, r.ID.Fold()+"/") {
			ended = append(ended, one)
			delete(p.running, key)
		}
	}
	p.mu.Unlock()
	for _, one := range ended {
		if err := one.Close(); err != nil {
			p.cloud.Logf("close %s: %v", r.ID, err)
		}
	}
	p.cloud.Store().Delete(r.ID.String())
	return &provider.Answer{Status: http.StatusOK}, nil
}

func (p *Provider) openCluster(ctx context.Context, resource string) (io.Closer, error) {
	topics := map[string]int{}
	for _, doc := range p.cloud.Store().Children(resource, topicType) {
		topics[provider.Text(doc, "name")] = partitions(doc)
	}
	return kafka.Open(ctx, kafka.Options{
		Topics:  topics,
		Address: net.JoinHostPort(p.cloud.Address(resource), kafkaPort), TLS: p.cloud.ServerTLS(),
		Plain: func(user, secret string) (kafka.Session, error) {
			if !p.holds(resource, user, secret) {
				return kafka.Session{}, errors.New("the key or its secret is wrong")
			}
			return kafka.Session{May: func(kafka.Right, string) bool { return p.holds(resource, user, secret) }}, nil
		},
	})
}

// organization is the id of the organization that something lies in.
func organization(i id.ID) id.ID {
	for strings.Count(i.Type(), "/") > 1 {
		i = i.Parent()
	}
	return i
}

// holds tells whether a key and its secret are good for a cluster now.
func (p *Provider) holds(cluster, key, secret string) bool {
	i, err := id.Parse(cluster)
	if err != nil || key == "" || strings.ContainsAny(key, "/?#") {
		return false
	}
	at := organization(i).Child("apiKeys", key).String()
	doc, ok := p.cloud.Store().Get(at)
	kept := p.cloud.Store().Private(at)["secret"]
	return ok && provider.Text(doc, "name") == key && kept != "" && subtle.ConstantTimeCompare([]byte(kept), []byte(secret)) == 1 &&
		strings.EqualFold(provider.Text(doc, "properties", "spec", "resource", "id"), i.Name())
}

func random(size int) string {
	raw := make([]byte, size)
	rand.Read(raw) //nolint:errcheck // never fails
	return base64.StdEncoding.EncodeToString(raw)
}
