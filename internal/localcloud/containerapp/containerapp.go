// Package containerapp is the local cloud's Microsoft.App: environments and container
// apps with ingress and secrets.
//
// Real: an app lies in an environment; a new template makes a new revision; the address
// of an app with ingress answers over HTTPS and lets in what its address restrictions
// say; secret values are handed out by listSecrets only, an entry without a value is
// refused and one left out is gone; PATCH is a merge patch.
//
// Not real: no container runs. Behind an address stands a page that names app, revision
// and request instead of the image; scale, Dapr, jobs, certificates and identities are
// documents at most.
//
// The package must never write a secret to a log or a document.
package containerapp

import (
	"context"
	"fmt"
	"hash/fnv"
	"net/http"
	"regexp"

	"github.com/patchbay/patchbay/internal/arm/id"
	"github.com/patchbay/patchbay/internal/localcloud/provider"
	"github.com/patchbay/patchbay/internal/localcloud/service"
)

const (
	environmentType = "Microsoft.App/managedEnvironments"
	appType         = "Microsoft.App/containerApps"
)

// apiVersions are those published for both types.
var apiVersions = []string{
	"2022-03-01", "2022-10-01", "2022-11-01-preview", "2023-04-01-preview", "2023-05-01", "2023-05-02-preview", "2023-08-01-preview", "2023-11-02-preview",
	"2024-02-02-preview", "2024-03-01", "2024-08-02-preview", "2024-10-02-preview", "2025-01-01", "2025-02-02-preview", "2025-07-01", "2025-10-02-preview", "2026-01-01",
}

// Members that only the platform sets.
var (
	environmentPlatform = []string{"defaultDomain", "staticIp", "provisioningState", "eventStreamEndpoint"}
	appPlatform         = []string{"latestRevisionName", "latestReadyRevisionName", "latestRevisionFqdn", "provisioningState", "runningStatus", "outboundIpAddresses", "eventStreamEndpoint"}
)

var appName = regexp.MustCompile(`^[a-z]([a-z0-9]|-[a-z0-9]){0,30}[a-z0-9]$`)

// Provider serves the namespace; make one with New.
type Provider struct {
	cloud        provider.Cloud
	environments *service.Accounts
	apps         *service.Accounts
	endpoints    *service.Set
}

// New makes the provider. It starts nothing; Resume does, and so do writes.
func New(cloud provider.Cloud) provider.Provider {
	p := &Provider{cloud: cloud}
	p.endpoints = service.NewSet(cloud, func(resourceID string) http.Handler { return &front{cloud, resourceID} })
	none := func() map[string]any { return map[string]any{} }
	p.environments = service.NewAccounts(cloud, service.Kind{
		Type: environmentType, Platform: environmentPlatform, Defaults: none,
		Check: func(provider.Document) error { return nil }, Fill: p.fillEnvironment,
	}, nil)
	p.apps = service.NewAccounts(cloud, service.Kind{
		Type: appType, Platform: appPlatform, Defaults: none, Check: p.check, Secrets: secrets, Derive: derive,
		Fill: func(provider.Document, *service.Endpoint) map[string]any {
			return map[string]any{"runningStatus": "Running"}
		},
	}, p.endpoints)
	return p
}

// Types implements provider.Provider.
func (p *Provider) Types() []provider.Type {
	environment := p.environments.Type(apiVersions, nil)
	environment.Delete = p.deleteEnvironment
	return []provider.Type{environment, p.apps.Type(apiVersions, map[string]provider.Action{
		"listsecrets": {Handle: p.listSecrets, Right: appType + "/listSecrets/action"},
	})}
}

// Resume implements provider.Provider: it opens every app's address again.
func (p *Provider) Resume(ctx context.Context) error { return p.endpoints.Resume(ctx, appType) }

// Close implements provider.Provider.
func (p *Provider) Close() error { return p.endpoints.Close() }

func (p *Provider) fillEnvironment(doc provider.Document, _ *service.Endpoint) map[string]any {
	address := p.cloud.Address(provider.Text(doc, "id"))
	return map[string]any{"defaultDomain": provider.Text(doc, "name") + "." + p.cloud.Suffix("containerApps"), "staticIp": address}
}

// deleteEnvironment refuses while apps lie in the environment.
func (p *Provider) deleteEnvironment(ctx context.Context, r *provider.Request) (*provider.Answer, error) {
	for _, app := range p.cloud.Store().Under("", appType) {
		if id.Equal(provider.Text(app, "properties", "managedEnvironmentId"), r.ID.String()) {
			return nil, &provider.Fault{Status: http.StatusConflict, Code: "ManagedEnvironmentNotEmpty", Message: "The environment still has container apps; delete them first."}
		}
	}
	return p.environments.Delete(ctx, r)
}

// check judges an app.
func (p *Provider) check(doc provider.Document) error {
	if !appName.MatchString(provider.Text(doc, "name")) {
		return provider.BadRequest("ContainerAppInvalidName", "The name of a container app has 2 to 32 lower case letters, digits and single hyphens, starts with a letter and ends with a letter or digit.")
	}
	properties := doc["properties"].(map[string]any)
	if environment := provider.Text(properties, "environmentId"); environment != "" {
		properties["managedEnvironmentId"] = environment
	}
	environment := provider.Text(properties, "managedEnvironmentId")
	if _, exists := p.cloud.Store().Get(environment); environment == "" || !exists {
		return provider.BadRequest("InvalidRequestParameterWithDetails", "The environment '"+environment+"' does not exist.")
	}
	containers, _ := provider.At(properties, "template", "containers").([]any)
	if len(containers) == 0 {
		return provider.BadRequest("ContainerAppContainersRequired", "The template needs at least one container.")
	}
	for _, c := range containers {
		if m, _ := c.(map[string]any); provider.Text(m, "name") == "" || provider.Text(m, "image") == "" {
			return provider.BadRequest("ContainerAppContainersRequired", "A container needs a name and an image.")
		}
	}
	if err := checkIngress(properties); err != nil {
		return err
	}
	return nil
}

// derive writes the revision of the template, and the address of the ingress.
func derive(doc provider.Document, e *service.Endpoint) {
	properties := doc["properties"].(map[string]any)
	hash := fnv.New32a()
	fmt.Fprintf(hash, "%v", properties["template"]) // maps print in the order of their keys
	revision := fmt.Sprintf("%s--%07x", provider.Text(doc, "name"), hash.Sum32()&0xfffffff)
	properties["latestRevisionName"], properties["latestReadyRevisionName"] = revision, revision
	if ingress, _ := provider.At(properties, "configuration", "ingress").(map[string]any); ingress != nil {
		ingress["fqdn"] = e.Host()
	}
}
