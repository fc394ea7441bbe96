// Package containerapp is the local cloud's Microsoft.App: environments and container
// apps with ingress and secrets.
//
// Real: an app lies in an environment; a new template makes a new revision, which is ready
// later than its write has succeeded; in single mode it takes the place of the one before,
// in multiple mode both run and weights share the traffic out; the address of an app with
// ingress answers over HTTPS and lets in what its address restrictions say; secret values
// are handed out by listSecrets only, an entry without a value is refused, one left out is
// gone, one that a running revision names has to stay; a changed value reaches a revision
// when that is started again; a secret in a vault is read with the identity it names, and a revision
// whose secret cannot be read does not start; PATCH is a merge patch, PUT resets what it does not say.
//
// Not real: images are not pulled. A container whose image starts with local/ is a program
// of this machine, its command and args, with the container's variables and those of the
// platform; it listens where PORT says, because there is no network of its own to have the
// target port in. Behind any other image's address stands a page that names app, revision
// and request. Init containers, scale, Dapr, jobs and certificates are documents at most.
//
// The package must never write a secret to a log or a document.
package containerapp

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"regexp"
	"sync"

	"github.com/patchbay/patchbay/internal/arm/id"
	"github.com/patchbay/patchbay/internal/localcloud/identity"
	"github.com/patchbay/patchbay/internal/localcloud/process"
	"github.com/patchbay/patchbay/internal/localcloud/provider"
	"github.com/patchbay/patchbay/internal/localcloud/service"
)

const (
	environmentType = "Microsoft.App/managedEnvironments"
	appType         = "Microsoft.App/containerApps"
	revisionType    = "Microsoft.App/containerApps/revisions"
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
	identities   *identity.Identities
	environments *service.Accounts
	endpoints    *service.Set
	runner       *process.Runner
	tokens       *process.Tokens
	vaults       *process.Vaults

	watching sync.WaitGroup // what waits for revisions to be ready
	closing  context.Context
	end      context.CancelFunc

	mu    sync.Mutex     // held while an app or its revisions are read and written back
	ports map[string]int // where the program of a revision listens, by folded id
	turn  uint64         // counts requests, to share them out by weight
}

// New makes the provider and opens the endpoint that its apps get tokens from.
func New(cloud provider.Cloud, identities *identity.Identities) (*Provider, error) {
	p := &Provider{cloud: cloud, identities: identities, runner: process.NewRunner(cloud.Logf), vaults: process.NewVaults(cloud), ports: map[string]int{}}
	p.closing, p.end = context.WithCancel(context.Background())
	p.endpoints = service.NewSet(cloud, func(resourceID string) http.Handler { return &front{p, resourceID} })
	p.environments = service.NewAccounts(cloud, service.Kind{
		Type: environmentType, Platform: environmentPlatform, Defaults: func() map[string]any { return map[string]any{} },
		Check: func(provider.Document) error { return nil }, Fill: p.fillEnvironment,
	}, nil)
	var err error
	p.tokens, err = process.NewTokens(p.tokenFor, cloud.Logf)
	return p, err
}

// Types implements provider.Provider.
func (p *Provider) Types() []provider.Type {
	environment := p.environments.Type(apiVersions, nil)
	environment.Delete = p.deleteEnvironment
	app := provider.Type{Name: appType, APIVersions: apiVersions, Put: p.putApp, Patch: p.patchApp, Delete: p.deleteApp, Actions: map[string]provider.Action{
		"listsecrets": {Handle: p.listSecrets, Right: appType + "/listSecrets/action"},
		"start":       {Handle: p.startApp}, "stop": {Handle: p.stopApp},
	}}
	revision := provider.Type{Name: revisionType, APIVersions: apiVersions, Actions: map[string]provider.Action{
		"activate": {Handle: p.activate}, "deactivate": {Handle: p.deactivate}, "restart": {Handle: p.restart},
	}}
	return []provider.Type{environment, app, revision}
}

// Resume implements provider.Provider: it opens every app's address again, finishes
// writes that were cut off and starts the programs of active revisions.
func (p *Provider) Resume(ctx context.Context) error {
	err := p.endpoints.Resume(ctx, appType)
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, doc := range p.cloud.Store().Under("", appType) {
		p.resume(provider.Text(doc, "id"))
	}
	return err
}

// Close implements provider.Provider.
func (p *Provider) Close() error {
	p.end()
	p.watching.Wait()
	p.runner.Close()
	return errors.Join(p.tokens.Close(), p.endpoints.Close())
}

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

func fault(status int, code, format string, args ...any) *provider.Fault {
	return &provider.Fault{Status: status, Code: code, Message: fmt.Sprintf(format, args...)}
}

func members(v any) map[string]any { m, _ := v.(map[string]any); return m }

func list(v any) []any { l, _ := v.([]any); return l }
