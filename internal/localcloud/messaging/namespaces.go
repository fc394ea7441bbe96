package messaging

import (
	"context"
	"maps"
	"net/http"
	"regexp"
	"strings"
	"time"

	"github.com/patchbay/patchbay/internal/arm/id"
	"github.com/patchbay/patchbay/internal/localcloud/provider"
)

const succeeded = "Succeeded"

var namespaceName = regexp.MustCompile(`^[a-zA-Z][a-zA-Z0-9-]{4,48}[a-zA-Z0-9]$`)

// neverGiven are members only the platform sets.
var neverGiven = []string{"provisioningState", "status", "serviceBusEndpoint", "createdAt", "updatedAt", "metricId", "privateEndpointConnections"}

func (p *Provider) namespaceDefaults() map[string]any {
	d := map[string]any{"disableLocalAuth": false, "publicNetworkAccess": "Enabled", "minimumTlsVersion": "1.2", "zoneRedundant": false}
	if p.kafka {
		maps.Copy(d, map[string]any{"kafkaEnabled": true, "isAutoInflateEnabled": false, "maximumThroughputUnits": 0.0})
	}
	return d
}

func (p *Provider) putNamespace(ctx context.Context, r *provider.Request) (*provider.Answer, error) {
	if provider.Text(r.Body, "location") == "" {
		return nil, provider.BadRequest("LocationRequired", "The location property is required for this definition.")
	}
	if !namespaceName.MatchString(r.ID.Name()) {
		return nil, provider.BadRequest("BadRequest", "The namespace name is 6 to 50 characters long, starts with a letter, ends with a letter or digit and holds letters, digits and hyphens.")
	}
	if _, exists := p.cloud.Store().Get(r.ID.String()); exists {
		return p.patchNamespace(ctx, r)
	}
	for _, other := range p.cloud.Store().Under("", p.namespace) {
		if strings.EqualFold(provider.Text(other, "name"), r.ID.Name()) {
			return nil, provider.BadRequest("NamespaceUnavailable", "The specified service namespace is not available.")
		}
	}
	doc, err := p.newNamespace(r)
	if err != nil {
		return nil, err
	}
	p.cloud.Store().Put(r.ID.String(), doc)
	p.newRule(r.ID.Child("authorizationRules", rootRule), []any{"Listen", "Manage", "Send"})
	return &provider.Answer{Status: http.StatusCreated, Body: doc, Later: func(ctx context.Context) error {
		if _, err := p.serve(ctx, r.ID.String()); err != nil {
			return err
		}
		p.settle(r.ID.String())
		return nil
	}}, nil
}

func (p *Provider) newNamespace(r *provider.Request) (provider.Document, error) {
	given, _ := r.Body["properties"].(map[string]any)
	now := p.cloud.Now().UTC().Format(time.RFC3339Nano)
	properties := provider.Merge(p.namespaceDefaults(), without(given, neverGiven))
	maps.Copy(properties, map[string]any{
		"provisioningState": "Created", "status": "Creating", "createdAt": now, "updatedAt": now,
		"serviceBusEndpoint": "https://" + p.cloud.Address(r.ID.String()) + ":443/", "metricId": r.ID.Subscription() + ":" + strings.ToLower(r.ID.Name()),
	})
	doc := provider.Identify(r.ID, p.namespace, r.Body)
	sku, err := tier(provider.Text(r.Body, "sku", "name"), provider.At(r.Body, "sku", "capacity"))
	doc["sku"], doc["properties"] = sku, properties
	p.identify(r.ID, nil, doc)
	return doc, err
}

func tier(name string, capacity any) (map[string]any, error) {
	if name == "" {
		name = "Standard"
	}
	if name != "Basic" && name != "Standard" && name != "Premium" {
		return nil, provider.BadRequest("BadRequest", "The sku is Basic, Standard or Premium.")
	}
	if capacity == nil {
		capacity = 1.0
	}
	return map[string]any{"name": name, "tier": name, "capacity": capacity}, nil
}

func without(d map[string]any, names []string) map[string]any {
	out := maps.Clone(d)
	for _, n := range names {
		delete(out, n)
	}
	return out
}

// identify keeps the principal of the namespace's own identity in step with what is asked for.
func (p *Provider) identify(i id.ID, before, doc provider.Document) {
	had, wants := provider.Text(before, "identity", "principalId"), strings.Contains(provider.Text(doc, "identity", "type"), "SystemAssigned")
	block, _ := doc["identity"].(map[string]any)
	switch {
	case wants && had == "":
		who := p.cloud.Directory().NewManagedIdentity(i.String(), i.Name())
		doc["identity"] = provider.Merge(block, map[string]any{"principalId": who.ObjectID})
	case wants:
		doc["identity"] = provider.Merge(block, map[string]any{"principalId": had})
	case had != "":
		p.cloud.Directory().Remove(had)
		doc["identity"] = without(block, []string{"principalId"})
	}
}

func (p *Provider) patchNamespace(_ context.Context, r *provider.Request) (*provider.Answer, error) {
	p.writes.Lock()
	defer p.writes.Unlock()
	current, exists := p.cloud.Store().Get(r.ID.String())
	if !exists {
		return nil, notFound(r.ID.String())
	}
	given, _ := r.Body["properties"].(map[string]any)
	next := provider.Document(provider.Merge(current, without(r.Body, []string{"id", "name", "type", "properties", "tags", "sku"})))
	if tags, ok := r.Body["tags"]; ok && tags != nil {
		next["tags"] = tags
	}
	if name := provider.Text(r.Body, "sku", "name"); name != "" {
		sku, err := tier(name, provider.At(r.Body, "sku", "capacity"))
		if err != nil {
			return nil, err
		}
		next["sku"] = sku
	}
	properties, _ := current["properties"].(map[string]any)
	next["properties"] = provider.Merge(properties, without(given, neverGiven))
	p.identify(r.ID, current, next)
	p.cloud.Store().Put(r.ID.String(), next)
	return &provider.Answer{Status: http.StatusOK, Body: next}, nil
}

// settle ends a namespace's transition.
func (p *Provider) settle(resource string) {
	p.writes.Lock()
	defer p.writes.Unlock()
	doc, exists := p.cloud.Store().Get(resource)
	if !exists {
		return
	}
	properties, _ := doc["properties"].(map[string]any)
	doc["properties"] = provider.Merge(properties, map[string]any{"provisioningState": succeeded, "status": "Active"})
	p.cloud.Store().Put(resource, doc)
}

func (p *Provider) deleteNamespace(_ context.Context, r *provider.Request) (*provider.Answer, error) {
	doc, exists := p.cloud.Store().Get(r.ID.String())
	if !exists {
		return &provider.Answer{Status: http.StatusNoContent}, nil
	}
	if err := p.end(r.ID.String()); err != nil {
		p.cloud.Logf("close namespace %s: %v", r.ID, err)
	}
	p.identify(r.ID, doc, provider.Document{})
	p.cloud.Store().Delete(r.ID.String())
	return &provider.Answer{Status: http.StatusOK}, nil
}

func notFound(resource string) error {
	return &provider.Fault{Status: http.StatusNotFound, Code: "ResourceNotFound", Message: "The resource '" + resource + "' was not found."}
}

// flag is provider.At for booleans.
func flag(d map[string]any, path ...string) bool {
	on, _ := provider.At(d, path...).(bool)
	return on
}
