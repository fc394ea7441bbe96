// Package aks is the local cloud's Microsoft.ContainerService: managed clusters, their
// node pools and the credentials they hand out.
//
// Real: a cluster is changed by a PUT of the whole of it, a PATCH changes tags only; the
// OIDC issuer can be switched on and not off again; workload identity needs it; local
// accounts that are disabled give no admin credential; outbound addresses are public IPs
// of their own in the node resource group; a stopped cluster's API server is away.
//
// Not real: no node runs. The credentials lead to an API server that somebody else runs
// and names with PUT /_local/clusters/{name}; without one they lead to an address where
// nothing answers. Add-ons, upgrades and node pools are documents. Words of refusals are
// from memory.
//
// The package must never write a credential to a log or a document.
package aks

import (
	"context"
	"fmt"
	"net/http"
	"regexp"
	"strings"

	"github.com/google/uuid"

	"github.com/patchbay/patchbay/internal/arm/id"
	"github.com/patchbay/patchbay/internal/localcloud/provider"
	"github.com/patchbay/patchbay/internal/localcloud/service"
)

const (
	clusterType = "Microsoft.ContainerService/managedClusters"
	poolType    = clusterType + "/agentPools"
	addressType = "Microsoft.Network/publicIPAddresses"
)

var apiVersions = []string{
	"2023-01-01", "2023-05-01", "2023-08-01", "2023-10-01", "2023-11-01", "2024-01-01", "2024-02-01", "2024-05-01", "2024-07-01", "2024-08-01", "2024-09-01", "2024-10-01",
	"2025-01-01", "2025-02-01", "2025-03-01", "2025-04-01", "2025-05-01", "2025-06-01", "2025-07-01", "2025-08-01", "2025-09-01", "2025-10-01", "2026-01-01", "2026-04-01", "2026-05-01",
}

var addressVersions = []string{"2023-09-01", "2023-11-01", "2024-01-01", "2024-03-01", "2024-05-01", "2025-01-01"}

// platform are members that only the platform sets.
var platform = []string{"fqdn", "powerState", "provisioningState", "currentKubernetesVersion", "maxAgentPools"}

var clusterName = regexp.MustCompile(`^[a-zA-Z0-9]([a-zA-Z0-9_-]{0,61}[a-zA-Z0-9])?$`)

// Provider serves the namespace; make one with New.
type Provider struct {
	cloud    provider.Cloud
	clusters *service.Accounts
}

// New makes the provider. It starts nothing.
func New(cloud provider.Cloud) provider.Provider {
	p := &Provider{cloud: cloud}
	p.clusters = service.NewAccounts(cloud, service.Kind{
		Type: clusterType, Platform: platform, Defaults: defaults, Check: p.check, Fill: p.fill,
	}, nil)
	return p
}

// Types implements provider.Provider.
func (p *Provider) Types() []provider.Type {
	t := p.clusters.Type(apiVersions, map[string]provider.Action{
		"listclusterusercredential":  {Handle: p.userCredential, Right: clusterType + "/listClusterUserCredential/action"},
		"listclusteradmincredential": {Handle: p.adminCredential, Right: clusterType + "/listClusterAdminCredential/action"},
		"stop":                       {Handle: p.power("Stopped"), Right: clusterType + "/stop/action"},
		"start":                      {Handle: p.power("Running"), Right: clusterType + "/start/action"},
	})
	t.Patch = p.patchTags
	return []provider.Type{t,
		{Name: poolType, APIVersions: apiVersions, Get: p.getPool, List: p.listPools},
		{Name: addressType, APIVersions: addressVersions},
	}
}

// Resume implements provider.Provider: there is nothing to rebuild.
func (p *Provider) Resume(context.Context) error { return nil }

// Close implements provider.Provider.
func (p *Provider) Close() error { return nil }

func defaults() map[string]any {
	return map[string]any{
		"kubernetesVersion": "1.36", "enableRBAC": true, "disableLocalAccounts": false,
		"oidcIssuerProfile": map[string]any{"enabled": false}, "securityProfile": map[string]any{},
		"networkProfile": map[string]any{"outboundType": "loadBalancer", "loadBalancerSku": "standard"},
	}
}

// check judges a cluster and writes out what follows from its members.
func (p *Provider) check(doc provider.Document) error {
	if !clusterName.MatchString(provider.Text(doc, "name")) {
		return provider.BadRequest("InvalidParameter", "The name of a cluster has 1 to 63 letters, digits, underscores and hyphens and starts and ends with a letter or digit.")
	}
	properties := doc["properties"].(map[string]any)
	if provider.Text(properties, "dnsPrefix") == "" && provider.Text(properties, "fqdnSubdomain") == "" {
		return provider.BadRequest("InvalidParameter", "The value of parameter dnsPrefix is required.")
	}
	if pools, _ := properties["agentPoolProfiles"].([]any); len(pools) == 0 {
		return provider.BadRequest("AgentPoolProfilesRequired", "A managed cluster must have at least one agent pool.")
	}
	issuer := on(properties, "oidcIssuerProfile", "enabled")
	if on(properties, "securityProfile", "workloadIdentity", "enabled") && !issuer {
		return provider.BadRequest("OIDCIssuerRequired", "Workload identity needs the OIDC issuer: set oidcIssuerProfile.enabled.")
	}
	before, exists := p.cloud.Store().Get(provider.Text(doc, "id"))
	if exists && on(before, "properties", "oidcIssuerProfile", "enabled") && !issuer {
		return provider.BadRequest("OIDCIssuerFeatureCannotBeDisabled", "The OIDC issuer feature cannot be disabled.")
	}
	if issuer {
		properties["oidcIssuerProfile"] = map[string]any{"enabled": true, "issuerURL": p.issuer(provider.Text(doc, "id"))}
	}
	return p.outbound(doc, properties)
}

func on(d map[string]any, path ...string) bool {
	v, _ := provider.At(d, path...).(bool)
	return v
}

// issuer is where the cluster's service accounts' tokens are said to come from: as its
// API server says, where one is named.
func (p *Provider) issuer(resourceID string) string {
	if told := p.cloud.Store().Private(resourceID)[issuerKey]; told != "" {
		return told
	}
	own := uuid.NewSHA1(uuid.NameSpaceURL, []byte(id.Fold(resourceID)))
	return fmt.Sprintf("%s/_aks/%s/", p.cloud.URL(), own)
}

// outbound names the public address that the cluster's traffic comes from.
func (p *Provider) outbound(doc provider.Document, properties map[string]any) error {
	at, err := id.Parse(provider.Text(doc, "id"))
	if err != nil {
		return provider.BadRequest("InvalidParameter", "The id is not one of a cluster.")
	}
	location := strings.ToLower(strings.ReplaceAll(provider.Text(doc, "location"), " ", ""))
	nodes := provider.Text(properties, "nodeResourceGroup")
	if nodes == "" {
		nodes = fmt.Sprintf("MC_%s_%s_%s", at.ResourceGroup(), at.Name(), location)
		properties["nodeResourceGroup"] = nodes
	}
	name := uuid.NewSHA1(uuid.NameSpaceURL, []byte("outbound "+at.Fold())).String()
	address := fmt.Sprintf("/subscriptions/%s/resourceGroups/%s/providers/%s/%s", at.Subscription(), nodes, addressType, name)
	network, _ := properties["networkProfile"].(map[string]any)
	if provider.Text(network, "outboundType") == "loadBalancer" {
		properties["networkProfile"] = provider.Merge(network, map[string]any{"loadBalancerProfile": map[string]any{
			"effectiveOutboundIPs": []any{map[string]any{"id": address}}}})
		p.cloud.Store().Put(address, provider.Document{"id": address, "name": name, "type": addressType, "location": location,
			"properties": map[string]any{"ipAddress": p.cloud.Address(at.String()), "provisioningState": "Succeeded"}})
	}
	return nil
}

func (p *Provider) fill(doc provider.Document, _ *service.Endpoint) map[string]any {
	return map[string]any{"fqdn": p.cloud.Address(provider.Text(doc, "id")), "powerState": map[string]any{"code": "Running"}, "maxAgentPools": 100.0}
}

// patchTags changes tags; every other member of a PATCH is passed over.
func (p *Provider) patchTags(_ context.Context, r *provider.Request) (*provider.Answer, error) {
	doc, exists := p.cloud.Store().Get(r.ID.String())
	if !exists {
		return nil, service.NotFound(r.ID.String())
	}
	if tags, ok := r.Body["tags"]; ok {
		doc["tags"] = tags
		p.cloud.Store().Put(r.ID.String(), doc)
	}
	return &provider.Answer{Status: http.StatusOK, Body: doc}, nil
}

// power stops or starts a cluster.
func (p *Provider) power(code string) provider.Handler {
	return func(_ context.Context, r *provider.Request) (*provider.Answer, error) {
		if _, exists := p.cloud.Store().Get(r.ID.String()); !exists {
			return nil, service.NotFound(r.ID.String())
		}
		return &provider.Answer{Status: http.StatusAccepted, Later: func(context.Context) error {
			doc, exists := p.cloud.Store().Get(r.ID.String())
			if !exists {
				return service.NotFound(r.ID.String())
			}
			doc["properties"].(map[string]any)["powerState"] = map[string]any{"code": code}
			p.cloud.Store().Put(r.ID.String(), doc)
			return nil
		}}, nil
	}
}

func (p *Provider) pools(cluster id.ID) ([]any, error) {
	doc, exists := p.cloud.Store().Get(cluster.String())
	if !exists {
		return nil, service.NotFound(cluster.String())
	}
	profiles, _ := provider.At(doc, "properties", "agentPoolProfiles").([]any)
	out := []any{}
	for _, one := range profiles {
		profile, _ := one.(map[string]any)
		name := provider.Text(profile, "name")
		out = append(out, provider.Document{"id": cluster.String() + "/agentPools/" + name, "name": name, "type": poolType, "properties": profile})
	}
	return out, nil
}

func (p *Provider) listPools(_ context.Context, r *provider.Request) (*provider.Answer, error) {
	all, err := p.pools(r.ID)
	return &provider.Answer{Status: http.StatusOK, Body: map[string]any{"value": all}}, err
}

func (p *Provider) getPool(_ context.Context, r *provider.Request) (*provider.Answer, error) {
	all, err := p.pools(r.ID.Parent())
	if err != nil {
		return nil, err
	}
	for _, one := range all {
		if strings.EqualFold(provider.Text(one.(provider.Document), "name"), r.ID.Name()) {
			return &provider.Answer{Status: http.StatusOK, Body: one}, nil
		}
	}
	return nil, service.NotFound(r.ID.String())
}
