// Package cognitive is the local cloud's Microsoft.CognitiveServices: accounts of
// every kind with keys, network rules, model deployments and a data plane over HTTPS.
//
// Real: both keys in either header, tokens bought with a key, and Entra tokens together
// with the data actions of role assignments, which need an account with a subdomain of
// its own; disableLocalAuth, publicNetworkAccess and address rules; the list of models;
// chat completions of a deployment that exists.
//
// Not real: nothing thinks here. A chat answers with what it was told; vision lists its
// models and no more; speech has an address and no service behind it. Soft deletion,
// quotas, capacity, content filters and projects are left out; virtual network rules are
// kept and admit nobody. Words of refusals are from memory.
//
// The package must never write a key or a token to a log or a document.
package cognitive

import (
	"context"
	"net/http"
	"regexp"
	"slices"
	"strings"

	"github.com/patchbay/patchbay/internal/localcloud/provider"
	"github.com/patchbay/patchbay/internal/localcloud/service"
)

const (
	accountType    = "Microsoft.CognitiveServices/accounts"
	deploymentType = accountType + "/deployments"
)

// apiVersions are those published for accounts.
var apiVersions = []string{
	"2017-04-18", "2021-04-30", "2021-10-01", "2022-03-01", "2022-10-01", "2022-12-01", "2023-05-01", "2023-10-01-preview", "2024-04-01-preview",
	"2024-06-01-preview", "2024-10-01", "2025-04-01-preview", "2025-06-01", "2025-07-01-preview", "2025-09-01", "2025-10-01-preview", "2025-12-01",
	"2026-01-15-preview", "2026-03-01", "2026-03-15-preview", "2026-05-01", "2026-05-15-preview", "2026-07-01",
}

// kinds are the kinds an account can have that this cloud knows.
var kinds = []string{
	"OpenAI", "AIServices", "CognitiveServices", "TextAnalytics", "ComputerVision", "SpeechServices", "FormRecognizer", "ContentSafety",
	"TextTranslation", "Face", "CustomVision.Training", "CustomVision.Prediction", "LUIS", "QnAMaker", "AnomalyDetector", "ImmersiveReader",
}

// platform are members only the platform sets.
var platform = []string{"endpoint", "endpoints", "provisioningState", "internalId", "dateCreated", "capabilities", "isMigrated", "callRateLimit", "privateEndpointConnections"}

var accountName = regexp.MustCompile(`^[a-zA-Z0-9][a-zA-Z0-9_.-]{1,63}$`)

// Names of the access keys.
const (
	key1 = "key1"
	key2 = "key2"
)

// Provider serves the namespace; make one with New.
type Provider struct {
	cloud     provider.Cloud
	accounts  *service.Accounts
	endpoints *service.Set
}

// New makes the provider. It starts nothing; Resume does, and so do writes.
func New(cloud provider.Cloud) provider.Provider {
	p := &Provider{cloud: cloud}
	p.endpoints = service.NewSet(cloud, func(resourceID string) http.Handler { return newPlane(cloud, p.accounts, resourceID) })
	p.accounts = service.NewAccounts(cloud, service.Kind{
		Type: accountType, Platform: platform, Keys: []string{key1, key2}, NewKey: service.HexKey,
		Defaults: defaults, Check: p.check, Fill: p.fill,
	}, p.endpoints)
	return p
}

// Types implements provider.Provider.
func (p *Provider) Types() []provider.Type {
	keys := func(resourceID string) any {
		held := p.accounts.Keys(resourceID)
		return map[string]any{key1: held[key1], key2: held[key2]}
	}
	named := func(body provider.Document) string { return strings.ToLower(provider.Text(body, "keyName")) }
	return []provider.Type{
		p.accounts.Type(apiVersions, p.accounts.KeyActions(keys, named)),
		{Name: deploymentType, APIVersions: apiVersions, Put: p.putDeployment, Delete: p.deleteDeployment},
	}
}

// Resume implements provider.Provider: it opens every account's data plane again.
func (p *Provider) Resume(ctx context.Context) error { return p.endpoints.Resume(ctx, accountType) }

// Close implements provider.Provider.
func (p *Provider) Close() error { return p.endpoints.Close() }

// defaults is what a new account has where the request says nothing.
func defaults() map[string]any {
	return map[string]any{
		"publicNetworkAccess": "Enabled", "disableLocalAuth": false,
		"networkAcls": map[string]any{"defaultAction": "Allow", "ipRules": []any{}, "virtualNetworkRules": []any{}},
	}
}

func (p *Provider) check(doc provider.Document) error {
	if !accountName.MatchString(provider.Text(doc, "name")) {
		return provider.BadRequest("InvalidResourceName", "The name of an account has 2 to 64 letters, digits, underscores, periods and hyphens and starts with a letter or digit.")
	}
	if !slices.Contains(kinds, provider.Text(doc, "kind")) {
		return provider.BadRequest("InvalidApiSetId", "The account type '"+provider.Text(doc, "kind")+"' is either invalid or unavailable in given region.")
	}
	if provider.Text(doc, "sku", "name") == "" {
		return provider.BadRequest("InvalidRequestBody", "The sku.name is required.")
	}
	if _, ok := provider.At(doc, "properties", "disableLocalAuth").(bool); !ok {
		return provider.BadRequest("InvalidRequestBody", "The value of disableLocalAuth is true or false.")
	}
	if err := p.subdomain(doc); err != nil {
		return err
	}
	return checkNetwork(doc)
}

// subdomain holds that a subdomain is one in the world and stays once it is set.
func (p *Provider) subdomain(doc provider.Document) error {
	wanted := provider.Text(doc, "properties", "customSubDomainName")
	before, _ := p.cloud.Store().Get(provider.Text(doc, "id"))
	if had := provider.Text(before, "properties", "customSubDomainName"); had != "" && !strings.EqualFold(had, wanted) {
		return provider.BadRequest("InvalidRequestContent", "The custom subdomain of an account cannot be changed.")
	}
	for _, other := range p.cloud.Store().Under("", accountType) {
		if wanted != "" && provider.Text(other, "id") != provider.Text(before, "id") && strings.EqualFold(provider.Text(other, "properties", "customSubDomainName"), wanted) {
			return &provider.Fault{Status: http.StatusConflict, Code: "CustomDomainInUse", Message: "The subdomain name '" + wanted + "' is already used. Please pick a different name."}
		}
	}
	return nil
}

// checkNetwork judges the network rules.
func checkNetwork(doc provider.Document) error {
	acls, _ := provider.At(doc, "properties", "networkAcls").(map[string]any)
	if a := provider.Text(acls, "defaultAction"); a != "Allow" && a != "Deny" {
		return provider.BadRequest("InvalidRequestBody", "The value of networkAcls.defaultAction is Allow or Deny.")
	}
	if provider.Text(acls, "defaultAction") == "Deny" && provider.Text(doc, "properties", "customSubDomainName") == "" {
		return provider.BadRequest("CustomSubDomainNameRequired", "Network rules need an account with a custom subdomain name.")
	}
	rules, _ := acls["ipRules"].([]any)
	for _, rule := range rules {
		m, _ := rule.(map[string]any)
		if _, err := service.ParseAddresses(provider.Text(m, "value")); err != nil || strings.Contains(provider.Text(m, "value"), "-") || len(m) != 1 {
			return provider.BadRequest("InvalidRequestBody", "Each of networkAcls.ipRules is {value: address or block}.")
		}
	}
	return nil
}

// fill gives an account its endpoints. Their names are those of Azure's answers.
func (p *Provider) fill(doc provider.Document, e *service.Endpoint) map[string]any {
	endpoints := map[string]any{"Token": e.URL(), "Container": e.URL()}
	switch provider.Text(doc, "kind") {
	case "OpenAI":
		endpoints = openAI(e.URL())
	case "AIServices":
		for name, url := range openAI(e.URL()) {
			endpoints[name] = url
		}
		endpoints["AI Foundry API"], endpoints["Speech Services Speech to Text"] = e.URL(), e.URL()
	case "SpeechServices", "CognitiveServices":
		endpoints["Speech Services Speech to Text"] = e.URL()
	}
	return map[string]any{"endpoint": e.URL(), "endpoints": endpoints, "dateCreated": p.cloud.Now().UTC().Format("2006-01-02T15:04:05.0000000Z")}
}

func openAI(url string) map[string]any {
	return map[string]any{"OpenAI Language Model Instance API": url, "OpenAI Dall-E API": url, "OpenAI Whisper API": url}
}

func (p *Provider) putDeployment(_ context.Context, r *provider.Request) (*provider.Answer, error) {
	account, exists := p.cloud.Store().Get(r.ID.Parent().String())
	if !exists {
		return nil, &provider.Fault{Status: http.StatusNotFound, Code: "ParentResourceNotFound", Message: "The account '" + r.ID.Parent().String() + "' was not found."}
	}
	if kind := provider.Text(account, "kind"); kind != "OpenAI" && kind != "AIServices" {
		return nil, provider.BadRequest("InvalidResourceProperties", "Accounts of kind "+kind+" have no deployments.")
	}
	if provider.Text(r.Body, "properties", "model", "name") == "" || provider.Text(r.Body, "properties", "model", "format") == "" {
		return nil, provider.BadRequest("InvalidResourceProperties", "A deployment needs model.format and model.name.")
	}
	status := http.StatusCreated
	if _, exists := p.cloud.Store().Get(r.ID.String()); exists {
		status = http.StatusOK
	}
	doc := provider.Identify(r.ID, deploymentType, r.Body)
	properties, _ := r.Body["properties"].(map[string]any)
	doc["properties"] = provider.Merge(properties, map[string]any{"provisioningState": "Succeeded"})
	p.cloud.Store().Put(r.ID.String(), doc)
	return &provider.Answer{Status: status, Body: doc}, nil
}

func (p *Provider) deleteDeployment(_ context.Context, r *provider.Request) (*provider.Answer, error) {
	if _, exists := p.cloud.Store().Get(r.ID.String()); !exists {
		return &provider.Answer{Status: http.StatusNoContent}, nil
	}
	p.cloud.Store().Delete(r.ID.String())
	return &provider.Answer{Status: http.StatusOK}, nil
}
