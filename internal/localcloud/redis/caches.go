package redis

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"maps"
	"net/http"
	"strings"

	"github.com/patchbay/patchbay/internal/arm/id"
	"github.com/patchbay/patchbay/internal/localcloud/provider"
)

const (
	tlsPort   = 6380
	plainPort = 6379

	succeeded = "Succeeded"
)

// neverGiven are members only the platform sets.
var neverGiven = []string{"hostName", "port", "sslPort", "provisioningState", "accessKeys", "instances", "linkedServers", "privateEndpointConnections"}

// cacheDefaults is what a new cache has where the request says nothing.
func cacheDefaults() map[string]any {
	return map[string]any{
		"redisVersion": "6.0", "enableNonSslPort": false, "minimumTlsVersion": "1.2", "publicNetworkAccess": "Enabled",
		"disableAccessKeyAuthentication": false, "redisConfiguration": map[string]any{}, "updateChannel": "Stable",
		"sku": map[string]any{"name": "Basic", "family": "C", "capacity": 0.0},
	}
}

func (p *Provider) putCache(ctx context.Context, r *provider.Request) (*provider.Answer, error) {
	if provider.Text(r.Body, "location") == "" {
		return nil, provider.BadRequest("LocationRequired", "The location property is required for this definition.")
	}
	if provider.Text(r.Body, "properties", "sku", "name") == "" {
		return nil, provider.BadRequest("InvalidRequestBody", "The property 'sku' is required.")
	}
	if _, exists := p.cloud.Store().Get(r.ID.String()); exists {
		return p.patchCache(ctx, r)
	}
	given, _ := r.Body["properties"].(map[string]any)
	properties := provider.Merge(cacheDefaults(), without(given, neverGiven))
	maps.Copy(properties, map[string]any{
		"hostName": p.cloud.Address(r.ID.String()), "port": float64(plainPort), "sslPort": float64(tlsPort), "provisioningState": "Creating",
	})
	doc := provider.Identify(r.ID, cacheType, r.Body)
	doc["properties"] = properties
	store := p.cloud.Store()
	store.Put(r.ID.String(), doc)
	store.SetPrivate(r.ID.String(), map[string]string{"primary": newKey(), "secondary": newKey()})
	return p.later(http.StatusCreated, r.ID.String(), doc, nil), nil
}

func without(d map[string]any, names []string) map[string]any {
	out := maps.Clone(d)
	for _, n := range names {
		delete(out, n)
	}
	return out
}

func newKey() string {
	raw := make([]byte, 32)
	rand.Read(raw) //nolint:errcheck // never fails
	return base64.StdEncoding.EncodeToString(raw)
}

func (p *Provider) patchCache(_ context.Context, r *provider.Request) (*provider.Answer, error) {
	store := p.cloud.Store()
	current, exists := store.Get(r.ID.String())
	if !exists {
		return nil, notFound(r.ID.String())
	}
	if state := provider.Text(current, "properties", "provisioningState"); state != succeeded && state != "Failed" {
		return nil, &provider.Fault{Status: http.StatusConflict, Code: "Conflict",
			Message: "The resource '" + r.ID.String() + "' is busy processing a previous update request or is undergoing system maintenance."}
	}
	current["properties"] = provider.Merge(current["properties"].(map[string]any), map[string]any{"provisioningState": "Updating"})
	store.Put(r.ID.String(), current)
	return p.later(http.StatusOK, r.ID.String(), changed(current, r.Body), r.Body), nil
}

// changed is the document after a request: tags are replaced whole, the rest is merged.
func changed(current, body provider.Document) provider.Document {
	given, _ := body["properties"].(map[string]any)
	next := provider.Document(provider.Merge(current, without(body, []string{"id", "name", "type", "properties", "tags"})))
	if tags, ok := body["tags"]; ok && tags != nil {
		next["tags"] = tags
	}
	properties, _ := current["properties"].(map[string]any)
	next["properties"] = provider.Merge(properties, without(given, neverGiven))
	return next
}

// later answers now and brings the cache to its new state in the background.
func (p *Provider) later(status int, resourceID string, answer, body provider.Document) *provider.Answer {
	return &provider.Answer{Status: status, Body: answer, Later: func(ctx context.Context) error {
		p.settle(resourceID, body)
		if err := p.serve(ctx, resourceID); err != nil {
			p.setState(resourceID, "Failed")
			return err
		}
		return nil
	}}
}

// settle applies a request's body to the stored cache and ends its transition.
func (p *Provider) settle(resourceID string, body provider.Document) {
	if current, exists := p.cloud.Store().Get(resourceID); exists {
		p.cloud.Store().Put(resourceID, changed(current, body))
		p.setState(resourceID, succeeded)
	}
}

func (p *Provider) setState(resourceID, state string) {
	doc, exists := p.cloud.Store().Get(resourceID)
	if !exists {
		return
	}
	doc["properties"] = provider.Merge(doc["properties"].(map[string]any), map[string]any{"provisioningState": state})
	p.cloud.Store().Put(resourceID, doc)
}

func (p *Provider) deleteCache(_ context.Context, r *provider.Request) (*provider.Answer, error) {
	store := p.cloud.Store()
	if _, exists := store.Get(r.ID.String()); !exists {
		return &provider.Answer{Status: http.StatusNoContent}, nil
	}
	p.end(r.ID.String())
	store.Delete(r.ID.String())
	return &provider.Answer{Status: http.StatusOK}, nil
}

func (p *Provider) listKeys(_ context.Context, r *provider.Request) (*provider.Answer, error) {
	if _, exists := p.cloud.Store().Get(r.ID.String()); !exists {
		return nil, notFound(r.ID.String())
	}
	keys := p.cloud.Store().Private(r.ID.String())
	return &provider.Answer{Status: http.StatusOK, Body: map[string]any{"primaryKey": keys["primary"], "secondaryKey": keys["secondary"]}}, nil
}

func (p *Provider) regenerateKey(ctx context.Context, r *provider.Request) (*provider.Answer, error) {
	if _, exists := p.cloud.Store().Get(r.ID.String()); !exists {
		return nil, notFound(r.ID.String())
	}
	which := strings.ToLower(provider.Text(r.Body, "keyType"))
	if which != "primary" && which != "secondary" {
		return nil, provider.BadRequest("InvalidRequestBody", "The keyType is Primary or Secondary.")
	}
	p.keys.Lock()
	keys := p.cloud.Store().Private(r.ID.String())
	keys[which] = newKey()
	p.cloud.Store().SetPrivate(r.ID.String(), keys)
	p.keys.Unlock()
	return p.listKeys(ctx, r)
}

// parent makes sure a child's cache exists.
func (p *Provider) parent(child id.ID) error {
	if _, exists := p.cloud.Store().Get(child.Parent().String()); !exists {
		return &provider.Fault{Status: http.StatusNotFound, Code: "ParentResourceNotFound", Message: "The cache '" + child.Parent().String() + "' was not found."}
	}
	return nil
}

func (p *Provider) putRule(_ context.Context, r *provider.Request) (*provider.Answer, error) {
	if err := p.parent(r.ID); err != nil {
		return nil, err
	}
	first, last := provider.Text(r.Body, "properties", "startIP"), provider.Text(r.Body, "properties", "endIP")
	if !ruleName.MatchString(r.ID.Name()) {
		return nil, provider.BadRequest("InvalidRequestUri", "The name of a firewall rule holds letters, digits and underscores only.")
	}
	if _, err := parseRange(first, last); err != nil {
		return nil, provider.BadRequest("InvalidRequestBody", "The firewall rule is not valid: "+err.Error()+".")
	}
	doc := provider.Identify(r.ID, firewallType, map[string]any{"properties": map[string]any{"startIP": first, "endIP": last}})
	return p.store(r.ID, doc, nil), nil
}

// store puts a child and answers 201 or 200, as it was new or not.
func (p *Provider) store(i id.ID, doc provider.Document, later func(context.Context) error) *provider.Answer {
	status := http.StatusCreated
	if _, exists := p.cloud.Store().Get(i.String()); exists {
		status = http.StatusOK
	}
	p.cloud.Store().Put(i.String(), doc)
	return &provider.Answer{Status: status, Body: doc, Later: later}
}

func (p *Provider) deleteChild(_ context.Context, r *provider.Request) (*provider.Answer, error) {
	if _, exists := p.cloud.Store().Get(r.ID.String()); !exists {
		return &provider.Answer{Status: http.StatusNoContent}, nil
	}
	p.cloud.Store().Delete(r.ID.String())
	return &provider.Answer{Status: http.StatusOK}, nil
}

func (p *Provider) putAssignment(_ context.Context, r *provider.Request) (*provider.Answer, error) {
	if err := p.parent(r.ID); err != nil {
		return nil, err
	}
	policy, objectID, alias := provider.Text(r.Body, "properties", "accessPolicyName"), provider.Text(r.Body, "properties", "objectId"), provider.Text(r.Body, "properties", "objectIdAlias")
	if _, known := policies[policy]; !known || objectID == "" || alias == "" {
		return nil, provider.BadRequest("InvalidRequestBody", "An access policy assignment needs accessPolicyName (Data Owner, Data Contributor or Data Reader), objectId and objectIdAlias.")
	}
	for _, other := range p.cloud.Store().Children(r.ID.Parent().String(), assignmentType) {
		if strings.EqualFold(provider.Text(other, "properties", "objectId"), objectID) && !id.Equal(provider.Text(other, "id"), r.ID.String()) {
			return nil, provider.BadRequest("InvalidRequestBody", "The objectId already has an access policy assignment on this cache.")
		}
	}
	properties := map[string]any{"accessPolicyName": policy, "objectId": objectID, "objectIdAlias": alias, "provisioningState": "Updating"}
	return p.store(r.ID, provider.Identify(r.ID, assignmentType, map[string]any{"properties": properties}), func(context.Context) error {
		p.setState(r.ID.String(), succeeded)
		return nil
	}), nil
}

func (p *Provider) getPolicy(_ context.Context, r *provider.Request) (*provider.Answer, error) {
	for name := range policies {
		if strings.EqualFold(name, r.ID.Name()) {
			return &provider.Answer{Status: http.StatusOK, Body: policyDocument(r.ID.Parent(), name)}, p.parent(r.ID)
		}
	}
	return nil, notFound(r.ID.String())
}

func (p *Provider) listPolicies(_ context.Context, r *provider.Request) (*provider.Answer, error) {
	value := []any{}
	for _, name := range []string{"Data Contributor", "Data Owner", "Data Reader"} {
		value = append(value, map[string]any(policyDocument(r.ID, name)))
	}
	return &provider.Answer{Status: http.StatusOK, Body: map[string]any{"value": value}}, nil
}

func policyDocument(cache id.ID, name string) provider.Document {
	return provider.Identify(cache.Child("accessPolicies", name), policyType, map[string]any{"properties": map[string]any{
		"type": "BuiltIn", "permissions": policies[name].permissions, "provisioningState": succeeded,
	}})
}
