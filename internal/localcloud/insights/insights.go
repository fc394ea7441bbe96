// Package insights is the local cloud's Microsoft.Insights/components, that is
// Application Insights: components with an instrumentation key and a connection
// string, and the endpoint that takes telemetry.
//
// Real: the connection string stands in the document and no action hands it out; the
// endpoint takes telemetry as a JSON array or as lines, compressed or not, checks the
// instrumentation key of every item, and answers item by item; DisableLocalAuth demands
// an Entra token with the data action of a role; publicNetworkAccessForIngestion.
//
// Not real: telemetry is judged and counted in the answer, then dropped: there are no
// queries, live metrics, workspaces, samples or alerts. Words of refusals are from memory.
//
// The package must never write a token to a log or a document.
package insights

import (
	"context"
	"net/http"
	"regexp"

	"github.com/google/uuid"

	"github.com/patchbay/patchbay/internal/localcloud/provider"
	"github.com/patchbay/patchbay/internal/localcloud/service"
)

const componentType = "Microsoft.Insights/components"

// apiVersions are those published for components.
var apiVersions = []string{"2015-05-01", "2018-05-01-preview", "2020-02-02-preview", "2020-02-02"}

// platform are members only the platform sets.
var platform = []string{"InstrumentationKey", "ConnectionString", "AppId", "ApplicationId", "Name", "CreationDate", "provisioningState", "TenantId"}

var componentName = regexp.MustCompile(`^[^%&\\?/]{0,259}[^%&\\?/.\s]$`)

// Provider serves the type; make one with New.
type Provider struct {
	cloud      provider.Cloud
	components *service.Accounts
	endpoints  *service.Set
}

// New makes the provider. It starts nothing; Resume does, and so do writes.
func New(cloud provider.Cloud) provider.Provider {
	p := &Provider{cloud: cloud}
	p.endpoints = service.NewSet(cloud, func(resourceID string) http.Handler { return newPlane(cloud, resourceID) })
	p.components = service.NewAccounts(cloud, service.Kind{Type: componentType, Platform: platform, Defaults: defaults, Check: check, Fill: p.fill}, p.endpoints)
	return p
}

// Types implements provider.Provider.
func (p *Provider) Types() []provider.Type {
	component := p.components.Type(apiVersions, nil)
	component.Async202, component.Put = false, p.put
	return []provider.Type{component}
}

// put answers when the component is there: the type has no long-running writes.
func (p *Provider) put(ctx context.Context, r *provider.Request) (*provider.Answer, error) {
	answer, err := p.components.Put(ctx, r)
	if err != nil || answer.Later == nil {
		return answer, err
	}
	if err := answer.Later(ctx); err != nil {
		return nil, err
	}
	doc, _ := p.cloud.Store().Get(r.ID.String())
	return &provider.Answer{Status: http.StatusOK, Body: doc}, nil
}

// Resume implements provider.Provider: it opens every endpoint again.
func (p *Provider) Resume(ctx context.Context) error { return p.endpoints.Resume(ctx, componentType) }

// Close implements provider.Provider.
func (p *Provider) Close() error { return p.endpoints.Close() }

func defaults() map[string]any {
	return map[string]any{"DisableLocalAuth": false, "publicNetworkAccessForIngestion": "Enabled", "publicNetworkAccessForQuery": "Enabled",
		"RetentionInDays": 90.0, "Flow_Type": "Bluefield", "IngestionMode": "LogAnalytics"}
}

func check(doc provider.Document) error {
	if !componentName.MatchString(provider.Text(doc, "name")) {
		return provider.BadRequest("InvalidResourceName", "The name of a component cannot be used.")
	}
	if provider.Text(doc, "kind") == "" {
		return provider.BadRequest("InvalidRequestBody", "The member 'kind' is required.")
	}
	if a := provider.Text(doc, "properties", "Application_Type"); a != "web" && a != "other" {
		return provider.BadRequest("InvalidRequestBody", "The property 'Application_Type' is web or other.")
	}
	return nil
}

func (p *Provider) fill(doc provider.Document, e *service.Endpoint) map[string]any {
	key, app := uuid.NewString(), uuid.NewString()
	return map[string]any{
		"InstrumentationKey": key, "AppId": app, "ApplicationId": provider.Text(doc, "name"), "Name": provider.Text(doc, "name"),
		"CreationDate":     p.cloud.Now().UTC().Format("2006-01-02T15:04:05.0000000Z"),
		"ConnectionString": "InstrumentationKey=" + key + ";IngestionEndpoint=" + e.URL() + ";LiveEndpoint=" + e.URL() + ";ApplicationId=" + app,
	}
}
