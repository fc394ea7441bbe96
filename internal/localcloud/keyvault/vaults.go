package keyvault

import (
	"context"
	"maps"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/patchbay/patchbay/internal/arm/id"
	"github.com/patchbay/patchbay/internal/localcloud/provider"
)

// vaultName is what a vault can be called; consecutive hyphens are refused besides.
var vaultName = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9-]{1,22}[A-Za-z0-9]$`)

// neverGiven are members only the platform sets.
var neverGiven = []string{"vaultUri", "provisioningState", "privateEndpointConnections", "hsmPoolResourceId", "createMode"}

// vaultDefaults is what a new vault has where the request says nothing. There are no
// networkAcls: absence lets everybody in.
func vaultDefaults() map[string]any {
	return map[string]any{
		"accessPolicies": []any{}, "enabledForDeployment": false, "enableSoftDelete": true, "softDeleteRetentionInDays": 90.0,
		"enableRbacAuthorization": false, "publicNetworkAccess": "Enabled",
	}
}

func (p *Provider) putVault(ctx context.Context, r *provider.Request) (*provider.Answer, error) {
	p.writes.Lock()
	defer p.writes.Unlock()
	given, _ := r.Body["properties"].(map[string]any)
	if err := checkVault(r, given); err != nil {
		return nil, err
	}
	if current, exists := p.cloud.Store().Get(r.ID.String()); exists {
		return p.replaceVault(r, current, given)
	}
	gone, deleted := p.deletedNamed(r.ID.Name())
	switch recover := strings.EqualFold(provider.Text(given, "createMode"), "recover"); {
	case recover && (!deleted || !strings.EqualFold(provider.Text(gone, "properties", "vaultId"), r.ID.String())):
		return nil, notFound(r.ID.String())
	case recover:
		return p.recoverVault(ctx, r, gone)
	case deleted:
		return nil, &provider.Fault{Status: http.StatusConflict, Code: "ConflictError", Message: "A vault with the same name already exists in deleted state. You need to either recover or purge existing key vault. Follow this link https://go.microsoft.com/fwlink/?linkid=2149745 for more information on soft delete."}
	}
	for _, other := range p.cloud.Store().Under("", vaultType) {
		if strings.EqualFold(provider.Text(other, "name"), r.ID.Name()) {
			return nil, &provider.Fault{Status: http.StatusConflict, Code: "VaultAlreadyExists", Message: "The vault name '" + r.ID.Name() + "' is already in use. Vault names are globally unique so it is possible that the name is already taken. If you are sure that the vault name was not taken then it is possible that a vault with the same name was recently deleted but not purged after being placed in a recoverable state."}
		}
	}
	return p.createVault(ctx, r, given)
}

// checkVault holds a body to what every PUT must carry. Access policies may be left out
// only where the vault goes by roles, or is recovered.
func checkVault(r *provider.Request, given map[string]any) error {
	if !vaultName.MatchString(r.ID.Name()) || strings.Contains(r.ID.Name(), "--") {
		return provider.BadRequest("VaultNameNotValid", "The vault name '"+r.ID.Name()+"' is invalid. A vault's name must be between 3-24 alphanumeric characters. The name must begin with a letter, end with a letter or digit, and not contain consecutive hyphens.")
	}
	if strings.EqualFold(provider.Text(given, "createMode"), "recover") {
		return nil
	}
	for _, required := range [][]string{{"location"}, {"properties", "tenantId"}, {"properties", "sku", "name"}} {
		if provider.Text(r.Body, required...) == "" {
			return provider.BadRequest("BadRequest", "The parameter "+required[len(required)-1]+" is not specified.")
		}
	}
	if _, listed := given["accessPolicies"].([]any); !listed && given["enableRbacAuthorization"] != true {
		return provider.BadRequest("BadRequest", "The parameter accessPolicies is not specified.")
	}
	return nil
}

func (p *Provider) createVault(ctx context.Context, r *provider.Request, given map[string]any) (*provider.Answer, error) {
	properties := provider.Merge(vaultDefaults(), without(given, neverGiven))
	if err := normalise(properties); err != nil {
		return nil, err
	}
	one, err := p.serve(ctx, r.ID.String())
	if err != nil {
		return nil, err
	}
	properties["vaultUri"], properties["provisioningState"] = one.endpoint(), "Succeeded"
	doc := provider.Identify(r.ID, vaultType, without(r.Body, []string{"properties"}))
	doc["properties"] = properties
	p.cloud.Store().Put(r.ID.String(), doc)
	p.rememberPort(r.ID.String(), one.port())
	return &provider.Answer{Status: http.StatusOK, Body: doc}, nil
}

// replaceVault is PUT on a vault that is there: what the body leaves out of its lists
// is gone, switches that it leaves out stay.
func (p *Provider) replaceVault(r *provider.Request, current provider.Document, given map[string]any) (*provider.Answer, error) {
	return p.store(r, current, given, r.Body["tags"])
}

func (p *Provider) patchVault(_ context.Context, r *provider.Request) (*provider.Answer, error) {
	p.writes.Lock()
	defer p.writes.Unlock()
	current, exists := p.cloud.Store().Get(r.ID.String())
	if !exists {
		return nil, notFound(r.ID.String())
	}
	given, _ := r.Body["properties"].(map[string]any)
	tags, sent := r.Body["tags"]
	if !sent {
		tags = current["tags"]
	}
	return p.store(r, current, given, tags)
}

func (p *Provider) store(r *provider.Request, current provider.Document, given map[string]any, tags any) (*provider.Answer, error) {
	before, _ := current["properties"].(map[string]any)
	if given["enableSoftDelete"] == false {
		return nil, provider.BadRequest("BadRequest", "The property \"enableSoftDelete\" can be set to false only for creating new vault. Enabling the 'soft delete' functionality is an irreversible action.")
	}
	if before["enablePurgeProtection"] == true && given["enablePurgeProtection"] == false {
		return nil, provider.BadRequest("BadRequest", "The property \"enablePurgeProtection\" cannot be set to false. Enabling the purge protection for a vault is an irreversible action.")
	}
	properties := provider.Merge(before, without(given, neverGiven))
	if err := normalise(properties); err != nil {
		return nil, err
	}
	current["properties"], current["tags"] = properties, tags
	if tags == nil {
		delete(current, "tags")
	}
	p.cloud.Store().Put(r.ID.String(), current)
	return &provider.Answer{Status: http.StatusOK, Body: current}, nil
}

func without(d map[string]any, names []string) map[string]any {
	out := maps.Clone(d)
	for _, n := range names {
		delete(out, n)
	}
	return out
}

// deleteVault only hides a vault: its name and its secrets stay until it is purged.
func (p *Provider) deleteVault(_ context.Context, r *provider.Request) (*provider.Answer, error) {
	p.writes.Lock()
	defer p.writes.Unlock()
	doc, exists := p.cloud.Store().Get(r.ID.String())
	if !exists {
		return &provider.Answer{Status: http.StatusNoContent}, nil
	}
	if err := p.end(r.ID.String()); err != nil {
		return nil, err
	}
	now := p.cloud.Now().UTC()
	at := deletedID(r.ID, provider.Text(doc, "location"))
	p.cloud.Store().Delete(r.ID.String())
	days, _ := provider.At(doc, "properties", "softDeleteRetentionInDays").(float64)
	p.cloud.Store().Put(at.String(), provider.Identify(at, "Microsoft.KeyVault/deletedVaults", map[string]any{"properties": map[string]any{
		"vaultId": provider.Text(doc, "id"), "location": doc["location"], "tags": doc["tags"],
		"deletionDate": now.Format(time.RFC3339), "scheduledPurgeDate": now.AddDate(0, 0, int(days)).Format(time.RFC3339),
		"purgeProtectionEnabled": provider.At(doc, "properties", "enablePurgeProtection"),
	}}))
	p.remember(at.String(), doc)
	return &provider.Answer{Status: http.StatusOK}, nil
}

// deletedID is where a deleted vault is listed.
func deletedID(i id.ID, location string) id.ID {
	region := strings.ToLower(strings.ReplaceAll(location, " ", ""))
	return id.MustParse("/subscriptions/" + i.Subscription() + "/providers/Microsoft.KeyVault/locations/" + region + "/deletedVaults/" + i.Name())
}

// deletedNamed finds a deleted vault by its name, which is one of its kind in the whole cloud.
func (p *Provider) deletedNamed(name string) (provider.Document, bool) {
	for _, doc := range p.deleted("") {
		if strings.EqualFold(provider.Text(doc, "name"), name) {
			return doc, true
		}
	}
	return nil, false
}

// deleted lists deleted vaults; they are shown under a type that is not the one of their path.
func (p *Provider) deleted(scope string) []provider.Document {
	all := append(p.cloud.Store().Under(scope, deletedListType), p.cloud.Store().Under(scope, deletedType)...)
	slices.SortFunc(all, func(a, b provider.Document) int {
		return strings.Compare(provider.Text(a, "id"), provider.Text(b, "id"))
	})
	return all
}

func (p *Provider) listDeleted(_ context.Context, r *provider.Request) (*provider.Answer, error) {
	value := []any{}
	for _, doc := range p.deleted("/subscriptions/" + r.ID.Subscription()) {
		value = append(value, map[string]any(doc))
	}
	return &provider.Answer{Status: http.StatusOK, Body: map[string]any{"value": value}}, nil
}

func (p *Provider) recoverVault(ctx context.Context, r *provider.Request, gone provider.Document) (*provider.Answer, error) {
	doc := p.remembered(provider.Text(gone, "id"))
	if doc == nil {
		return nil, notFound(r.ID.String())
	}
	one, err := p.serve(ctx, r.ID.String())
	if err != nil {
		return nil, err
	}
	doc["properties"].(map[string]any)["vaultUri"] = one.endpoint()
	p.cloud.Store().Delete(provider.Text(gone, "id"))
	p.cloud.Store().Put(r.ID.String(), doc)
	p.rememberPort(r.ID.String(), one.port())
	return &provider.Answer{Status: http.StatusOK, Body: doc}, nil
}

func (p *Provider) purgeVault(_ context.Context, r *provider.Request) (*provider.Answer, error) {
	return &provider.Answer{Status: http.StatusAccepted, Later: func(context.Context) error {
		p.writes.Lock()
		defer p.writes.Unlock()
		doc, exists := p.cloud.Store().Get(r.ID.String())
		switch {
		case !exists:
			return notFound(r.ID.String())
		case provider.At(doc, "properties", "purgeProtectionEnabled") == true:
			return provider.BadRequest("MethodNotAllowed", "Operation \"DeletedVaultPurge\" is not allowed.")
		}
		p.cloud.Store().Delete(r.ID.String())
		p.cloud.Store().Delete(contentsID(r.ID.Name()))
		return nil
	}}, nil
}

func notFound(resourceID string) error {
	return &provider.Fault{Status: http.StatusNotFound, Code: "ResourceNotFound", Message: "The resource '" + resourceID + "' was not found."}
}
