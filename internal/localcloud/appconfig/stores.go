package appconfig

import (
	"context"
	"encoding/json"
	"maps"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/patchbay/patchbay/internal/arm/id"
	"github.com/patchbay/patchbay/internal/localcloud/provider"
)

var storeName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9-]{3,48}[A-Za-z0-9]$`)

// neverGiven are members only the platform sets.
var neverGiven = []string{"endpoint", "provisioningState", "creationDate", "privateEndpointConnections", "createMode"}

func storeDefaults() map[string]any {
	return map[string]any{
		"encryption": map[string]any{"keyVaultProperties": nil}, "publicNetworkAccess": "Enabled", "disableLocalAuth": false,
		"softDeleteRetentionInDays": 7.0, "enablePurgeProtection": false,
		"dataPlaneProxy": map[string]any{"authenticationMode": "Local", "privateLinkDelegation": "Disabled"},
	}
}

func notFound(resourceID string) error {
	return &provider.Fault{Status: http.StatusNotFound, Code: "ResourceNotFound", Message: "The resource '" + resourceID + "' was not found."}
}

func conflict(code, message string) error {
	return &provider.Fault{Status: http.StatusConflict, Code: code, Message: message}
}

func (p *Provider) putStore(_ context.Context, r *provider.Request) (*provider.Answer, error) {
	given, _ := r.Body["properties"].(map[string]any)
	if !storeName.MatchString(r.ID.Name()) {
		return nil, provider.BadRequest("NameInvalid", "A store name is 5 to 50 characters long and holds letters, digits and hyphens only.")
	}
	for _, required := range [][]string{{"location"}, {"sku", "name"}} {
		if provider.Text(r.Body, required...) == "" {
			return nil, provider.BadRequest("InvalidRequestContent", "The request is missing '"+strings.Join(required, ".")+"'.")
		}
	}
	if _, exists := p.cloud.Store().Get(r.ID.String()); exists {
		return p.changeStore(r, given), nil
	}
	gone, deleted := p.deletedNamed(r.ID.Name())
	switch recover := strings.EqualFold(provider.Text(given, "createMode"), "Recover"); {
	case recover && (!deleted || !strings.EqualFold(provider.Text(gone, "properties", "configurationStoreId"), r.ID.String())):
		return nil, notFound(r.ID.String())
	case recover:
		return &provider.Answer{Status: http.StatusCreated, Later: func(ctx context.Context) error { return p.recoverStore(ctx, r.ID, gone) }}, nil
	case deleted:
		return nil, conflict("NameUnavailable", "The specified name is already in use by a store in soft deleted state.")
	}
	for _, other := range p.cloud.Store().Under("", storeType) {
		if strings.EqualFold(provider.Text(other, "name"), r.ID.Name()) {
			return nil, conflict("NameUnavailable", "The specified name is already in use.")
		}
	}
	doc := provider.Identify(r.ID, storeType, without(r.Body, []string{"properties", "identity"}))
	doc["properties"] = provider.Merge(storeDefaults(), without(given, neverGiven))
	return &provider.Answer{Status: http.StatusCreated, Later: func(ctx context.Context) error { return p.create(ctx, r.ID.String(), doc) }}, nil
}

// create opens the data plane before the store becomes visible.
func (p *Provider) create(ctx context.Context, resourceID string, doc provider.Document) error {
	p.writes.Lock()
	defer p.writes.Unlock()
	one, err := p.serve(ctx, resourceID)
	if err != nil {
		return err
	}
	maps.Copy(doc["properties"].(map[string]any), map[string]any{
		"endpoint": one.endpoint(), "provisioningState": "Succeeded", "creationDate": p.cloud.Now().UTC().Format(time.RFC3339),
	})
	p.cloud.Store().Put(resourceID, doc)
	private := map[string]string{portKey: one.port()}
	if provider.At(doc, "properties", "disableLocalAuth") != true {
		private[keysKey] = encode(newKeys(p.cloud.Now()))
	}
	p.cloud.Store().SetPrivate(resourceID, private)
	return nil
}

func (p *Provider) patchStore(_ context.Context, r *provider.Request) (*provider.Answer, error) {
	if _, exists := p.cloud.Store().Get(r.ID.String()); !exists {
		return nil, notFound(r.ID.String())
	}
	given, _ := r.Body["properties"].(map[string]any)
	return p.changeStore(r, given), nil
}

func (p *Provider) changeStore(r *provider.Request, given map[string]any) *provider.Answer {
	return &provider.Answer{Status: http.StatusOK, Later: func(context.Context) error {
		p.writes.Lock()
		defer p.writes.Unlock()
		current, exists := p.cloud.Store().Get(r.ID.String())
		if !exists {
			return notFound(r.ID.String())
		}
		next := provider.Document(provider.Merge(current, without(r.Body, []string{"id", "name", "type", "properties", "identity", "tags"})))
		if tags, ok := r.Body["tags"]; ok {
			next["tags"] = tags
		}
		next["properties"] = provider.Merge(current["properties"].(map[string]any), without(given, neverGiven))
		p.cloud.Store().Put(r.ID.String(), next)
		p.followSwitch(r.ID.String(), provider.At(next, "properties", "disableLocalAuth") == true)
		return nil
	}}
}

// followSwitch deletes the keys of a store whose key access is switched off, and makes
// new ones when it is on again: the old ones never come back.
func (p *Provider) followSwitch(resourceID string, off bool) {
	private := p.cloud.Store().Private(resourceID)
	switch {
	case off:
		delete(private, keysKey)
	case private[keysKey] == "":
		private[keysKey] = encode(newKeys(p.cloud.Now()))
	default:
		return
	}
	p.cloud.Store().SetPrivate(resourceID, private)
}

func without(d map[string]any, names []string) map[string]any {
	out := maps.Clone(d)
	for _, n := range names {
		delete(out, n)
	}
	return out
}

// deleteStore hides a store; its name and its key-values stay until it is purged. The
// free tier has no such grace.
func (p *Provider) deleteStore(_ context.Context, r *provider.Request) (*provider.Answer, error) {
	return &provider.Answer{Status: http.StatusAccepted, Later: func(context.Context) error {
		p.writes.Lock()
		defer p.writes.Unlock()
		doc, exists := p.cloud.Store().Get(r.ID.String())
		if !exists {
			return nil
		}
		if err := p.end(r.ID.String()); err != nil {
			return err
		}
		p.cloud.Store().Delete(r.ID.String())
		if strings.EqualFold(provider.Text(doc, "sku", "name"), "free") {
			p.cloud.Store().Delete(contentsID(r.ID.Name()))
			return nil
		}
		p.hide(r.ID, doc)
		return nil
	}}, nil
}

func (p *Provider) hide(i id.ID, doc provider.Document) {
	now := p.cloud.Now().UTC()
	days, _ := provider.At(doc, "properties", "softDeleteRetentionInDays").(float64)
	region := strings.ToLower(strings.ReplaceAll(provider.Text(doc, "location"), " ", ""))
	at := id.MustParse("/subscriptions/" + i.Subscription() + "/providers/Microsoft.AppConfiguration/locations/" + region + "/deletedConfigurationStores/" + i.Name())
	p.cloud.Store().Put(at.String(), provider.Identify(at, deletedType, map[string]any{"properties": map[string]any{
		"configurationStoreId": provider.Text(doc, "id"), "location": doc["location"], "tags": doc["tags"],
		"deletionDate": now.Format(time.RFC3339), "scheduledPurgeDate": now.AddDate(0, 0, int(days)).Format(time.RFC3339),
		"purgeProtectionEnabled": provider.At(doc, "properties", "enablePurgeProtection"),
	}}))
	p.cloud.Store().SetPrivate(at.String(), map[string]string{documentKey: encode(doc)})
}

func (p *Provider) deleted(scope string) []provider.Document {
	return p.cloud.Store().Under(scope, deletedType)
}

// deletedNamed finds a deleted store by its name, which is one of its kind in the whole cloud.
func (p *Provider) deletedNamed(name string) (provider.Document, bool) {
	all := p.deleted("")
	at := slices.IndexFunc(all, func(d provider.Document) bool { return strings.EqualFold(provider.Text(d, "name"), name) })
	if at < 0 {
		return nil, false
	}
	return all[at], true
}

func (p *Provider) listDeleted(_ context.Context, r *provider.Request) (*provider.Answer, error) {
	value := []any{}
	for _, doc := range p.deleted("/subscriptions/" + r.ID.Subscription()) {
		value = append(value, map[string]any(doc))
	}
	return &provider.Answer{Status: http.StatusOK, Body: map[string]any{"value": value}}, nil
}

func (p *Provider) recoverStore(ctx context.Context, i id.ID, gone provider.Document) error {
	var doc provider.Document
	if json.Unmarshal([]byte(p.cloud.Store().Private(provider.Text(gone, "id"))[documentKey]), &doc) != nil {
		return notFound(i.String())
	}
	p.cloud.Store().Delete(provider.Text(gone, "id"))
	return p.create(ctx, i.String(), doc)
}

func (p *Provider) purgeStore(_ context.Context, r *provider.Request) (*provider.Answer, error) {
	return &provider.Answer{Status: http.StatusAccepted, Later: func(context.Context) error {
		p.writes.Lock()
		defer p.writes.Unlock()
		doc, exists := p.cloud.Store().Get(r.ID.String())
		switch {
		case !exists:
			return notFound(r.ID.String())
		case provider.At(doc, "properties", "purgeProtectionEnabled") == true:
			return conflict("PurgeProtectionEnabled", "The store is protected from purging.")
		}
		p.cloud.Store().Delete(r.ID.String())
		p.cloud.Store().Delete(contentsID(r.ID.Name()))
		return nil
	}}, nil
}
