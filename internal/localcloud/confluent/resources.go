package confluent

import (
	"context"
	"maps"
	"net"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/patchbay/patchbay/internal/arm/id"
	"github.com/patchbay/patchbay/internal/localcloud/kafka"
	"github.com/patchbay/patchbay/internal/localcloud/provider"
)

func (p *Provider) putOrganization(_ context.Context, r *provider.Request) (*provider.Answer, error) {
	for _, member := range [][]string{{"location"}, {"properties", "offerDetail", "planId"}, {"properties", "userDetail", "emailAddress"}} {
		if provider.Text(r.Body, member...) == "" {
			return nil, provider.BadRequest("InvalidRequestContent", "The request is missing '"+strings.Join(member, ".")+"'.")
		}
	}
	given, _ := r.Body["properties"].(map[string]any)
	doc := provider.Identify(r.ID, organizationType, r.Body)
	doc["properties"] = provider.Merge(given, map[string]any{"provisioningState": succeeded, "organizationId": r.ID.Name(), "createdTime": p.now()})
	return p.keep(r.ID, doc), nil
}

func (p *Provider) now() string { return p.cloud.Now().UTC().Format(time.RFC3339) }

// keep stores a document and answers 201 or 200, as it was new or not.
func (p *Provider) keep(i id.ID, doc provider.Document) *provider.Answer {
	status := http.StatusCreated
	if _, exists := p.cloud.Store().Get(i.String()); exists {
		status = http.StatusOK
	}
	p.cloud.Store().Put(i.String(), doc)
	return &provider.Answer{Status: status, Body: doc}
}

// described is a document in the shape of Confluent's own interface.
func (p *Provider) described(i id.ID, kind, word string, spec map[string]any) provider.Document {
	return provider.Identify(i, kind, map[string]any{"kind": word, "properties": map[string]any{
		"metadata": map[string]any{"resourceName": "crn://confluent.cloud/" + i.Name(), "createdTimestamp": p.now()}, "spec": spec,
	}})
}

// putEnvironment makes an environment with its schema registry.
func (p *Provider) putEnvironment(ctx context.Context, r *provider.Request) (*provider.Answer, error) {
	doc := p.described(r.ID, environmentType, "Environment", nil)
	properties, _ := doc["properties"].(map[string]any)
	delete(properties, "spec")
	properties["streamGovernanceConfig"] = map[string]any{"package": "ESSENTIALS"}
	answer := p.keep(r.ID, doc)
	registry := r.ID.Child("schemaRegistryClusters", "lsrc-"+strings.TrimPrefix(r.ID.Name(), "env-"))
	if err := p.serve(ctx, registry.String(), p.openRegistry); err != nil {
		return nil, err
	}
	spec := p.spec(r.ID, map[string]any{"name": "Stream Governance", "package": "ESSENTIALS", "httpEndpoint": p.registryEndpoint(registry.String())})
	p.keep(registry, p.described(registry, registryType, "SchemaRegistryCluster", spec))
	return answer, nil
}

func (p *Provider) spec(environment id.ID, more map[string]any) map[string]any {
	spec := map[string]any{"cloud": "AZURE", "region": "westeurope", "environment": map[string]any{"id": environment.Name()}}
	maps.Copy(spec, more)
	return spec
}

func (p *Provider) putCluster(ctx context.Context, r *provider.Request) (*provider.Answer, error) {
	if err := p.serve(ctx, r.ID.String(), p.openCluster); err != nil {
		return nil, err
	}
	given, _ := provider.At(r.Body, "properties", "spec").(map[string]any)
	spec := provider.Merge(p.spec(r.ID.Parent(), map[string]any{"name": r.ID.Name(), "availability": "SINGLE_ZONE"}), given)
	spec["kafkaBootstrapEndpoint"] = net.JoinHostPort(p.cloud.Address(r.ID.String()), kafkaPort)
	doc := p.described(r.ID, clusterType, "Cluster", spec)
	doc["properties"].(map[string]any)["status"] = map[string]any{"phase": "PROVISIONED"}
	return p.keep(r.ID, doc), nil
}

// createKey makes a key for the cluster it is asked of. Its secret shows in this answer only.
func (p *Provider) createKey(_ context.Context, r *provider.Request) (*provider.Answer, error) {
	name := strings.ToUpper(strings.NewReplacer("+", "A", "/", "B", "=", "").Replace(random(12)))
	secret := random(48)
	doc := p.newKey(organization(r.ID).Child("apiKeys", name), provider.Text(r.Body, "name"), r.ID.Name(), r.ID.Parent().Name(), secret)
	shown := provider.Document(provider.Merge(doc, map[string]any{"properties": map[string]any{"spec": map[string]any{"secret": secret}}}))
	return &provider.Answer{Status: http.StatusOK, Body: shown}, nil
}

func (p *Provider) newKey(i id.ID, title, cluster, environment, secret string) provider.Document {
	doc := p.described(i, keyType, "ApiKey", map[string]any{"name": title,
		"resource": map[string]any{"id": cluster, "environment": environment, "kind": "Cluster"}})
	p.cloud.Store().Put(i.String(), doc)
	p.cloud.Store().SetPrivate(i.String(), map[string]string{"secret": secret})
	return doc
}

// putKey makes a key whose name and secret are known beforehand.
func (p *Provider) putKey(_ context.Context, r *provider.Request) (*provider.Answer, error) {
	cluster, secret := provider.Text(r.Body, "properties", "spec", "resource", "id"), provider.Text(r.Body, "properties", "spec", "secret")
	if cluster == "" || secret == "" {
		return nil, provider.BadRequest("InvalidRequestContent", "An API key needs properties.spec.resource.id and properties.spec.secret.")
	}
	doc := p.newKey(r.ID, provider.Text(r.Body, "properties", "spec", "name"), cluster, provider.Text(r.Body, "properties", "spec", "resource", "environment"), secret)
	return &provider.Answer{Status: http.StatusOK, Body: doc}, nil
}

const (
	usualPartitions = 6 // as Confluent has it where a request says nothing
	maxPartitions   = 100
)

// partitions reads how many a topic has; the interface spells numbers as words.
func partitions(doc provider.Document) int {
	n, err := strconv.Atoi(provider.Text(doc, "properties", "partitionsCount"))
	if err != nil || n < 1 {
		return usualPartitions
	}
	return min(n, maxPartitions)
}

// broker finds the running broker of a topic's cluster.
func (p *Provider) broker(topic id.ID) (*kafka.Broker, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	b, ok := p.running[topic.Parent().Fold()].(*kafka.Broker)
	if !ok {
		return nil, &provider.Fault{Status: http.StatusNotFound, Code: "ParentResourceNotFound", Message: "The cluster '" + topic.Parent().String() + "' was not found."}
	}
	return b, nil
}

func (p *Provider) putTopic(_ context.Context, r *provider.Request) (*provider.Answer, error) {
	b, err := p.broker(r.ID)
	if err != nil {
		return nil, err
	}
	if err := b.Create(r.ID.Name(), partitions(r.Body)); err != nil {
		return nil, provider.BadRequest("BadRequest", "The topic cannot be made: "+err.Error()+".")
	}
	given, _ := r.Body["properties"].(map[string]any)
	doc := provider.Identify(r.ID, topicType, map[string]any{"properties": provider.Merge(map[string]any{"kind": "Topic", "replicationFactor": "1"}, given)})
	return p.keep(r.ID, doc), nil
}

func (p *Provider) deleteTopic(ctx context.Context, r *provider.Request) (*provider.Answer, error) {
	if b, err := p.broker(r.ID); err == nil {
		if err := b.Drop(r.ID.Name()); err != nil {
			return nil, err
		}
	}
	return p.remove(ctx, r)
}
