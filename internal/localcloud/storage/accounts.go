package storage

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"maps"
	"net/http"
	"regexp"
	"strings"
	"time"

	"github.com/patchbay/patchbay/internal/arm/id"
	"github.com/patchbay/patchbay/internal/localcloud/provider"
)

var (
	accountName = regexp.MustCompile(`^[a-z0-9]{3,24}$`)
	keyNames    = []string{"key1", "key2"}
)

// neverGiven are members only the platform sets.
var neverGiven = []string{"primaryEndpoints", "secondaryEndpoints", "provisioningState", "creationTime", "primaryLocation",
	"statusOfPrimary", "keyCreationTime", "privateEndpointConnections"}

// accountDefaults is what a new account has where the request says nothing. There
// is no allowSharedKeyAccess: absence means true.
func accountDefaults() map[string]any {
	return map[string]any{
		"accessTier": "Hot", "supportsHttpsTrafficOnly": true, "minimumTlsVersion": "TLS1_2", "allowBlobPublicAccess": false,
		"publicNetworkAccess": "Enabled",
		"networkAcls":         map[string]any{"bypass": "AzureServices", "defaultAction": "Allow", "ipRules": []any{}, "virtualNetworkRules": []any{}},
		"encryption": map[string]any{"keySource": "Microsoft.Storage", "services": map[string]any{
			"blob": map[string]any{"enabled": true, "keyType": "Account"}, "file": map[string]any{"enabled": true, "keyType": "Account"},
		}},
	}
}

func (p *Provider) putAccount(ctx context.Context, r *provider.Request) (*provider.Answer, error) {
	for _, required := range [][]string{{"location"}, {"kind"}, {"sku", "name"}} {
		if provider.Text(r.Body, required...) == "" {
			return nil, provider.BadRequest("InvalidRequestContent", "The request is missing '"+strings.Join(required, ".")+"'.")
		}
	}
	if !accountName.MatchString(r.ID.Name()) {
		return nil, provider.BadRequest("AccountNameInvalid", "An account name is 3 to 24 characters long and holds lower case letters and digits only.")
	}
	if _, exists := p.cloud.Store().Get(r.ID.String()); exists {
		return p.patchAccount(ctx, r)
	}
	for _, other := range p.cloud.Store().Under("", accountType) {
		if provider.Text(other, "name") == r.ID.Name() {
			return nil, &provider.Fault{Status: http.StatusConflict, Code: "StorageAccountAlreadyTaken", Message: "The storage account named " + r.ID.Name() + " is already taken."}
		}
	}
	doc, err := p.newAccount(r)
	if err != nil {
		return nil, err
	}
	return &provider.Answer{Status: http.StatusAccepted, Later: func(ctx context.Context) error { return p.create(ctx, r.ID.String(), doc) }}, nil
}

func (p *Provider) newAccount(r *provider.Request) (provider.Document, error) {
	given, _ := r.Body["properties"].(map[string]any)
	now := p.cloud.Now().UTC().Format(time.RFC3339Nano)
	properties := provider.Merge(accountDefaults(), without(given, neverGiven))
	maps.Copy(properties, map[string]any{
		"provisioningState": "Succeeded", "creationTime": now, "primaryLocation": provider.Text(r.Body, "location"),
		"statusOfPrimary": "available", "keyCreationTime": map[string]any{"key1": now, "key2": now},
	})
	sku := map[string]any{"name": provider.Text(r.Body, "sku", "name"), "tier": "Standard"}
	if strings.HasPrefix(provider.Text(sku, "name"), "Premium") {
		sku["tier"] = "Premium"
	}
	doc := provider.Identify(r.ID, accountType, r.Body)
	doc["sku"], doc["properties"] = sku, properties
	return doc, normalise(properties)
}

func without(d map[string]any, names []string) map[string]any {
	out := maps.Clone(d)
	for _, n := range names {
		delete(out, n)
	}
	return out
}

// create opens the data plane before the account becomes visible, so that its
// endpoint answers from the first read on.
func (p *Provider) create(ctx context.Context, resourceID string, doc provider.Document) error {
	p.writes.Lock()
	defer p.writes.Unlock()
	a, err := p.serve(ctx, resourceID)
	if err != nil {
		return err
	}
	doc["properties"] = provider.Merge(doc["properties"].(map[string]any), map[string]any{"primaryEndpoints": a.endpoints()})
	p.cloud.Store().Put(resourceID, doc)
	secret := map[string]string{"key1": newKey(), "key2": newKey()}
	maps.Copy(secret, a.ports())
	p.cloud.Store().SetPrivate(resourceID, secret)
	return nil
}

func newKey() string {
	raw := make([]byte, 64)
	rand.Read(raw) //nolint:errcheck // never fails
	return base64.StdEncoding.EncodeToString(raw)
}

func (p *Provider) patchAccount(_ context.Context, r *provider.Request) (*provider.Answer, error) {
	p.writes.Lock()
	defer p.writes.Unlock()
	current, exists := p.cloud.Store().Get(r.ID.String())
	if !exists {
		return nil, notFound(r.ID.String())
	}
	given, _ := r.Body["properties"].(map[string]any)
	next := provider.Document(provider.Merge(current, without(r.Body, []string{"id", "name", "type", "properties", "tags"})))
	if tags, ok := r.Body["tags"]; ok && tags != nil {
		next["tags"] = tags
	}
	properties := provider.Merge(current["properties"].(map[string]any), without(given, neverGiven))
	if err := normalise(properties); err != nil {
		return nil, err
	}
	next["properties"] = properties
	p.cloud.Store().Put(r.ID.String(), next)
	return &provider.Answer{Status: http.StatusOK, Body: next}, nil
}

// normalise checks the network rules and writes out what the service fills in.
func normalise(properties map[string]any) error {
	acls, _ := properties["networkAcls"].(map[string]any)
	if acls == nil {
		return nil
	}
	if a := provider.Text(acls, "defaultAction"); a != "Allow" && a != "Deny" {
		return provider.BadRequest("InvalidValuesForRequestParameters", "The value of networkAcls.defaultAction is Allow or Deny.")
	}
	for _, kind := range []struct{ member, key string }{{"ipRules", "value"}, {"virtualNetworkRules", "id"}} {
		filled := []any{}
		rules, _ := acls[kind.member].([]any)
		for _, rule := range rules {
			m, _ := rule.(map[string]any)
			if provider.Text(m, kind.key) == "" {
				return provider.BadRequest("InvalidValuesForRequestParameters", "Each of networkAcls."+kind.member+" needs a "+kind.key+".")
			}
			filled = append(filled, provider.Merge(map[string]any{"action": "Allow"}, m))
		}
		acls[kind.member] = filled
	}
	for _, rule := range acls["ipRules"].([]any) {
		if _, err := parseRule(provider.Text(rule.(map[string]any), "value")); err != nil {
			return provider.BadRequest("InvalidValuesForRequestParameters", "The network rule is not valid: "+err.Error()+".")
		}
	}
	for _, rule := range acls["virtualNetworkRules"].([]any) {
		rule.(map[string]any)["state"] = "Succeeded"
	}
	return nil
}

func (p *Provider) deleteAccount(_ context.Context, r *provider.Request) (*provider.Answer, error) {
	p.writes.Lock()
	defer p.writes.Unlock()
	store := p.cloud.Store()
	if _, exists := store.Get(r.ID.String()); !exists {
		return &provider.Answer{Status: http.StatusNoContent}, nil
	}
	if err := p.end(r.ID.String()); err != nil {
		return nil, err
	}
	store.Delete(r.ID.String())
	return &provider.Answer{Status: http.StatusOK}, nil
}

func (p *Provider) listKeys(_ context.Context, r *provider.Request) (*provider.Answer, error) {
	doc, exists := p.cloud.Store().Get(r.ID.String())
	if !exists {
		return nil, notFound(r.ID.String())
	}
	secret := p.cloud.Store().Private(r.ID.String())
	keys := []any{}
	for _, name := range keyNames {
		keys = append(keys, map[string]any{"keyName": name, "value": secret[name], "permissions": "FULL",
			"creationTime": provider.Text(doc, "properties", "keyCreationTime", name)})
	}
	return &provider.Answer{Status: http.StatusOK, Body: map[string]any{"keys": keys}}, nil
}

func (p *Provider) regenerateKey(ctx context.Context, r *provider.Request) (*provider.Answer, error) {
	name := strings.ToLower(provider.Text(r.Body, "keyName"))
	if name != keyNames[0] && name != keyNames[1] {
		return nil, provider.BadRequest("InvalidValuesForRequestParameters", "The keyName is key1 or key2.")
	}
	if err := p.replaceKey(r.ID, name); err != nil {
		return nil, err
	}
	return p.listKeys(ctx, r)
}

func (p *Provider) replaceKey(i id.ID, name string) error {
	p.writes.Lock()
	defer p.writes.Unlock()
	store := p.cloud.Store()
	doc, exists := store.Get(i.String())
	if !exists {
		return notFound(i.String())
	}
	secret := store.Private(i.String())
	secret[name] = newKey()
	doc["properties"] = provider.Merge(doc["properties"].(map[string]any), map[string]any{
		"keyCreationTime": map[string]any{name: p.cloud.Now().UTC().Format(time.RFC3339Nano)},
	})
	store.Put(i.String(), doc)
	store.SetPrivate(i.String(), secret)
	return nil
}
