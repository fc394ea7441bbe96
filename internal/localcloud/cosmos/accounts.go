package cosmos

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"maps"
	"net/http"
	"regexp"
	"strings"

	"github.com/patchbay/patchbay/internal/arm/id"
	"github.com/patchbay/patchbay/internal/localcloud/identity"
	"github.com/patchbay/patchbay/internal/localcloud/provider"
)

var accountName = regexp.MustCompile(`^[a-z0-9]+(-[a-z0-9]+)*$`)

// neverGiven are members only the platform sets.
var neverGiven = []string{"documentEndpoint", "sqlEndpoint", "mongoEndpoint", "cassandraEndpoint", "gremlinEndpoint", "tableEndpoint",
	"provisioningState", "instanceId", "readLocations", "writeLocations", "failoverPolicies", "privateEndpointConnections", "keysMetadata"}

// accountDefaults is what a new account has where the request says nothing.
func accountDefaults() map[string]any {
	return map[string]any{
		"publicNetworkAccess": "Enabled", "disableLocalAuth": false, "ipRules": []any{}, "virtualNetworkRules": []any{},
		"isVirtualNetworkFilterEnabled": false, "enableAutomaticFailover": false, "enableMultipleWriteLocations": false,
		"disableKeyBasedMetadataWriteAccess": false, "enableFreeTier": false, "networkAclBypass": "None", "networkAclBypassResourceIds": []any{},
		"minimalTlsVersion": "Tls12", "capabilities": []any{}, "consistencyPolicy": map[string]any{"defaultConsistencyLevel": "Session"},
	}
}

func (p *Provider) putAccount(_ context.Context, r *provider.Request) (*provider.Answer, error) {
	if err := checkAccount(r); err != nil {
		return nil, err
	}
	p.writes.Lock()
	defer p.writes.Unlock()
	if _, exists := p.cloud.Store().Get(r.ID.String()); exists {
		return p.change(r, false)
	}
	for _, other := range p.cloud.Store().Under("", accountType) {
		if provider.Text(other, "name") == r.ID.Name() {
			return nil, provider.BadRequest("BadRequest", "Dns record for "+r.ID.Name()+" is already taken.")
		}
	}
	given, _ := r.Body["properties"].(map[string]any)
	properties := provider.Merge(accountDefaults(), without(given, neverGiven))
	if err := checkNetwork(properties); err != nil {
		return nil, err
	}
	doc := provider.Identify(r.ID, accountType, without(r.Body, []string{"identity"}))
	if provider.Text(doc, "kind") == "" {
		doc["kind"] = "GlobalDocumentDB"
	}
	properties["provisioningState"] = "Creating"
	doc["properties"] = properties
	if err := p.applyIdentity(r, doc, false); err != nil {
		return nil, err
	}
	p.cloud.Store().Put(r.ID.String(), doc)
	p.cloud.Store().SetPrivate(r.ID.String(), newKeys())
	return p.later(r.ID.String(), doc, nil), nil
}

// checkAccount refuses what Azure refuses of a PUT before it looks at anything else.
func checkAccount(r *provider.Request) error {
	locations, _ := provider.At(r.Body, "properties", "locations").([]any)
	switch name := r.ID.Name(); {
	case len(name) < 3 || len(name) > 44 || !accountName.MatchString(name):
		return provider.BadRequest("BadRequest", "The account name is 3 to 44 characters long and holds lower case letters, digits and hyphens.")
	case provider.Text(r.Body, "location") == "":
		return provider.BadRequest("LocationRequired", "The location property is required for this definition.")
	case len(locations) == 0:
		return provider.BadRequest("BadRequest", "The property 'locations' is required.")
	case provider.Text(r.Body, "properties", "databaseAccountOfferType") != "Standard":
		return provider.BadRequest("BadRequest", "The databaseAccountOfferType is Standard.")
	}
	return nil
}

func without(d map[string]any, names []string) map[string]any {
	out := maps.Clone(d)
	for _, n := range names {
		delete(out, n)
	}
	return out
}

// keyNames are an account's keys as they are kept, with how the listings spell them.
var keyNames = []struct {
	name, member, description string
	readOnly                  bool
}{
	{"primary", "primaryMasterKey", "Primary", false},
	{"secondary", "secondaryMasterKey", "Secondary", false},
	{"primaryReadonly", "primaryReadonlyMasterKey", "Primary Read-Only", true},
	{"secondaryReadonly", "secondaryReadonlyMasterKey", "Secondary Read-Only", true},
}

func newKeys() map[string]string {
	keys := map[string]string{}
	for _, k := range keyNames {
		keys[k.name] = newKey()
	}
	return keys
}

func newKey() string {
	raw := make([]byte, 64)
	rand.Read(raw) //nolint:errcheck // never fails
	return base64.StdEncoding.EncodeToString(raw)
}

// applyIdentity brings the document's identity to what the request says; merging
// leaves it where the request says nothing.
func (p *Provider) applyIdentity(r *provider.Request, doc provider.Document, merge bool) error {
	wanted, given := r.Body["identity"]
	if !given {
		return nil
	}
	block, err := p.identities.Apply(identity.Change{Resource: r.ID.String(), Name: r.ID.Name(), Caller: r.Caller,
		Current: doc["identity"], Wanted: wanted, Merge: merge})
	if err != nil {
		return err
	}
	delete(doc, "identity")
	if m, ok := block.(map[string]any); ok {
		m["type"] = strings.ReplaceAll(provider.Text(m, "type"), ", ", ",") // without the space here
		delete(m, "tenantId")
		doc["identity"] = m
	}
	return nil
}

func (p *Provider) patchAccount(_ context.Context, r *provider.Request) (*provider.Answer, error) {
	p.writes.Lock()
	defer p.writes.Unlock()
	return p.change(r, true)
}

// busy refuses a write while another runs: an account takes one at a time. The caller
// holds the lock.
func (p *Provider) busy(account provider.Document) error {
	state := provider.Text(account, "properties", "provisioningState")
	if (state == succeeded || state == "Failed") && !p.held[id.Fold(provider.Text(account, "id"))] {
		return nil
	}
	return &provider.Fault{Status: http.StatusPreconditionFailed, Code: "PreconditionFailed",
		Message: "There is another user operation in progress which requires an exclusive lock on [" + provider.Text(account, "name") + "]. Please retry after sometime."}
}

// change starts an update; the caller holds the lock.
func (p *Provider) change(r *provider.Request, merge bool) (*provider.Answer, error) {
	store := p.cloud.Store()
	current, exists := store.Get(r.ID.String())
	if !exists {
		return nil, notFound(r.ID.String())
	}
	if err := p.busy(current); err != nil {
		return nil, err
	}
	next := changed(current, r.Body)
	if err := checkNetwork(next["properties"].(map[string]any)); err != nil {
		return nil, err
	}
	if err := p.applyIdentity(r, current, merge); err != nil {
		return nil, err
	}
	next["identity"] = current["identity"]
	if next["identity"] == nil {
		delete(next, "identity")
	}
	current["properties"] = provider.Merge(current["properties"].(map[string]any), map[string]any{"provisioningState": "Updating"})
	store.Put(r.ID.String(), current)
	return p.later(r.ID.String(), next, r.Body), nil
}

// fixed are members of the body that an update does not carry over, or in its own way.
var fixed = []string{"id", "name", "type", "kind", "properties", "tags", "identity"}

// changed is the document after a request: tags are replaced whole, the rest is merged,
// and arrays are values.
func changed(current, body provider.Document) provider.Document {
	given, _ := body["properties"].(map[string]any)
	next := provider.Document(provider.Merge(current, without(body, fixed)))
	if tags, ok := body["tags"]; ok && tags != nil {
		next["tags"] = tags
	}
	properties, _ := current["properties"].(map[string]any)
	next["properties"] = provider.Merge(properties, without(given, append([]string{"capabilities"}, neverGiven...)))
	return next
}

// later answers now and brings the account to its new state in the background.
func (p *Provider) later(resourceID string, answer, body provider.Document) *provider.Answer {
	return &provider.Answer{Status: http.StatusOK, Body: answer, Later: func(ctx context.Context) error {
		if _, err := p.serve(ctx, resourceID); err != nil {
			p.writes.Lock()
			defer p.writes.Unlock()
			p.setState(resourceID, map[string]any{"provisioningState": "Failed"})
			return err
		}
		p.settle(resourceID, body)
		return nil
	}}
}

// settle applies a request's body to the stored account and ends its transition.
func (p *Provider) settle(resourceID string, body provider.Document) {
	p.writes.Lock()
	defer p.writes.Unlock()
	current, exists := p.cloud.Store().Get(resourceID)
	a, open := p.running(resourceID)
	if !exists || !open {
		return
	}
	p.cloud.Store().Put(resourceID, changed(current, body))
	members := a.endpoints()
	members["provisioningState"] = succeeded
	p.setState(resourceID, members)
}

// setState writes members of an account's properties; the caller holds the lock.
func (p *Provider) setState(resourceID string, members map[string]any) {
	doc, exists := p.cloud.Store().Get(resourceID)
	if !exists {
		return
	}
	doc["properties"] = provider.Merge(doc["properties"].(map[string]any), members)
	p.cloud.Store().Put(resourceID, doc)
}

func (p *Provider) deleteAccount(_ context.Context, r *provider.Request) (*provider.Answer, error) {
	p.writes.Lock()
	defer p.writes.Unlock()
	doc, exists := p.cloud.Store().Get(r.ID.String())
	if !exists {
		return &provider.Answer{Status: http.StatusNoContent}, nil
	}
	if err := p.busy(doc); err != nil {
		return nil, err
	}
	p.setState(r.ID.String(), map[string]any{"provisioningState": "Deleting"})
	return &provider.Answer{Status: http.StatusOK, Later: func(context.Context) error {
		if err := p.end(r.ID.String()); err != nil {
			return err
		}
		p.identities.Drop(doc["identity"])
		p.cloud.Store().Delete(r.ID.String())
		return nil
	}}, nil
}

func notFound(resourceID string) error {
	return &provider.Fault{Status: http.StatusNotFound, Code: "ResourceNotFound", Message: "The resource '" + resourceID + "' was not found."}
}

// keysOf answers the keys of an account that keep lets through.
func (p *Provider) keysOf(i id.ID, keep func(readOnly bool) bool) (*provider.Answer, error) {
	if _, exists := p.cloud.Store().Get(i.String()); !exists {
		return nil, notFound(i.String())
	}
	secret, body := p.cloud.Store().Private(i.String()), map[string]any{}
	for _, k := range keyNames {
		if keep(k.readOnly) {
			body[k.member] = secret[k.name]
		}
	}
	return &provider.Answer{Status: http.StatusOK, Body: body}, nil
}

func (p *Provider) listKeys(_ context.Context, r *provider.Request) (*provider.Answer, error) {
	return p.keysOf(r.ID, func(bool) bool { return true })
}

func (p *Provider) readOnlyKeys(_ context.Context, r *provider.Request) (*provider.Answer, error) {
	return p.keysOf(r.ID, func(readOnly bool) bool { return readOnly })
}

func (p *Provider) regenerateKey(_ context.Context, r *provider.Request) (*provider.Answer, error) {
	p.writes.Lock()
	defer p.writes.Unlock()
	doc, exists := p.cloud.Store().Get(r.ID.String())
	if !exists {
		return nil, notFound(r.ID.String())
	}
	if err := p.busy(doc); err != nil {
		return nil, err
	}
	asked := provider.Text(r.Body, "keyKind")
	for _, k := range keyNames {
		if strings.EqualFold(k.name, asked) {
			secret := p.cloud.Store().Private(r.ID.String())
			secret[k.name] = newKey()
			p.cloud.Store().SetPrivate(r.ID.String(), secret)
			return &provider.Answer{Status: http.StatusOK}, nil
		}
	}
	return nil, provider.BadRequest("BadRequest", "The keyKind is primary, secondary, primaryReadonly or secondaryReadonly.")
}
