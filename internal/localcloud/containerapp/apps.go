package containerapp

import (
	"context"
	"maps"
	"net"
	"net/http"
	"reflect"
	"slices"
	"strings"

	"github.com/patchbay/patchbay/internal/localcloud/identity"
	"github.com/patchbay/patchbay/internal/localcloud/provider"
	"github.com/patchbay/patchbay/internal/localcloud/service"
)

// States an app passes through.
const (
	inProgress = "InProgress"
	succeeded  = "Succeeded"
	running    = "Running"
	stopped    = "Stopped"
)

// outbound is the address that everything an app runs calls out from.
const outbound = "127.0.0.1"

func multiple(properties map[string]any) bool {
	return strings.EqualFold(provider.Text(properties, "configuration", "activeRevisionsMode"), "Multiple")
}

// putApp makes an app, or replaces all that a request may say about it.
func (p *Provider) putApp(ctx context.Context, r *provider.Request) (*provider.Answer, error) {
	if provider.Text(r.Body, "location") == "" {
		return nil, provider.BadRequest("LocationRequired", "The location property is required for this definition.")
	}
	given, _ := r.Body["properties"].(map[string]any)
	next := provider.Identify(r.ID, appType, r.Body)
	next["properties"] = without(given, appPlatform)
	p.mu.Lock()
	defer p.mu.Unlock()
	current, exists := p.cloud.Store().Get(r.ID.String())
	if _, said := r.Body["identity"]; !said {
		r.Body["identity"] = nil // what a PUT leaves out is gone
	}
	secrets, err := p.judge(r, current, next)
	if err != nil {
		return nil, err
	}
	if secrets == nil {
		secrets = map[string]string{}
	}
	status := http.StatusOK
	if !exists {
		status = http.StatusCreated
		if err := p.open(ctx, r.ID.String()); err != nil {
			return nil, err
		}
	}
	return p.accept(r, current, next, secrets, status, false)
}

// patchApp merges a request into an app: objects member by member, arrays and tags whole.
func (p *Provider) patchApp(_ context.Context, r *provider.Request) (*provider.Answer, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	current, exists := p.cloud.Store().Get(r.ID.String())
	if !exists {
		return nil, service.NotFound(r.ID.String())
	}
	given, _ := r.Body["properties"].(map[string]any)
	next := provider.Document(maps.Clone(current))
	if tags, said := r.Body["tags"]; said && tags != nil {
		next["tags"] = tags
	}
	next["properties"] = without(provider.Merge(members(current["properties"]), without(given, appPlatform)), appPlatform)
	secrets, err := p.judge(r, current, next)
	if err != nil {
		return nil, err
	}
	answer, err := p.accept(r, current, next, secrets, http.StatusAccepted, true)
	if err == nil {
		answer.Body = nil // 202 has none
	}
	return answer, err
}

func without(d map[string]any, names []string) map[string]any {
	out := maps.Clone(d)
	maps.DeleteFunc(out, func(name string, _ any) bool { return slices.Contains(names, name) })
	if out == nil {
		out = map[string]any{}
	}
	return out
}

// judge checks what an app would be, fills in what the platform does, and takes the
// values of its secrets out.
func (p *Provider) judge(r *provider.Request, current, next provider.Document) (map[string]string, error) {
	if provider.Text(current, "properties", "provisioningState") == inProgress { // mem: the code
		return nil, fault(http.StatusConflict, "ContainerAppOperationInProgress", "Cannot modify the container app '%s' because there is an operation in progress.", r.ID.Name())
	}
	properties := members(next["properties"])
	configuration := provider.Merge(map[string]any{"activeRevisionsMode": "Single"}, members(properties["configuration"]))
	properties["configuration"] = configuration
	if ingress := members(configuration["ingress"]); ingress != nil && ingress["traffic"] == nil {
		configuration["ingress"] = provider.Merge(ingress, map[string]any{"traffic": []any{map[string]any{"latestRevision": true, "weight": 100.0}}})
	}
	if err := p.check(next); err != nil {
		return nil, err
	}
	secrets, err := takeSecrets(r.Body, next)
	if err != nil {
		return nil, err
	}
	if err := p.checkReferences(next); err != nil {
		return nil, err
	}
	if err := p.checkSuffix(current, next); err != nil {
		return nil, err
	}
	return secrets, p.checkTraffic(r.ID.String(), properties)
}

// check judges an app.
func (p *Provider) check(doc provider.Document) error {
	if !appName.MatchString(provider.Text(doc, "name")) {
		return provider.BadRequest("ContainerAppInvalidName", "The name of a container app has 2 to 32 lower case letters, digits and single hyphens, starts with a letter and ends with a letter or digit.")
	}
	properties := members(doc["properties"])
	if environment := provider.Text(properties, "environmentId"); environment != "" {
		properties["managedEnvironmentId"] = environment
	}
	environment := provider.Text(properties, "managedEnvironmentId")
	if _, exists := p.cloud.Store().Get(environment); environment == "" || !exists {
		return provider.BadRequest("InvalidRequestParameterWithDetails", "The environment '"+environment+"' does not exist.")
	}
	containers := list(provider.At(properties, "template", "containers"))
	if len(containers) == 0 {
		return provider.BadRequest("ContainerAppContainersRequired", "The template needs at least one container.")
	}
	names := map[string]bool{}
	for _, c := range append(slices.Clone(containers), list(provider.At(properties, "template", "initContainers"))...) {
		name := provider.Text(members(c), "name")
		if name == "" || provider.Text(members(c), "image") == "" || names[name] {
			return provider.BadRequest("ContainerAppContainersRequired", "A container needs a name of its own and an image.")
		}
		names[name] = true
	}
	return checkIngress(properties)
}

// checkSuffix refuses a changed template under a suffix that names a revision already.
func (p *Provider) checkSuffix(current, next provider.Document) error {
	suffix := provider.Text(next, "properties", "template", "revisionSuffix")
	if suffix == "" || !changed(current, next) {
		return nil
	}
	name := provider.Text(next, "name") + "--" + suffix
	if _, taken := p.cloud.Store().Get(revisionID(provider.Text(next, "id"), name)); taken { // mem: the code
		return provider.BadRequest("InvalidParameterValueInContainerTemplate", "The revision suffix '"+suffix+"' is taken: a revision with that suffix already exists.")
	}
	return nil
}

// changed tells whether a write makes a revision: a template that differs does.
func changed(current, next provider.Document) bool {
	return !reflect.DeepEqual(provider.At(current, "properties", "template"), provider.At(next, "properties", "template"))
}

// open gives an app its address before it becomes visible.
func (p *Provider) open(ctx context.Context, appID string) error {
	e, err := p.endpoints.Serve(ctx, appID)
	if err != nil {
		return err
	}
	_, port, err := net.SplitHostPort(e.Host())
	if err != nil {
		port = "443"
	}
	p.cloud.Store().SetPrivate(appID, map[string]string{"port": port, "host": e.Host()})
	return nil
}

// accept stores a checked write; the revision it makes comes later.
func (p *Provider) accept(r *provider.Request, current, next provider.Document, secrets map[string]string, status int, merge bool) (*provider.Answer, error) {
	if err := p.identify(r, current, next, merge); err != nil {
		return nil, err
	}
	appID, properties, was := r.ID.String(), members(next["properties"]), members(current["properties"])
	private := p.cloud.Store().Private(appID)
	for _, name := range appPlatform {
		if v, ok := was[name]; ok {
			properties[name] = v
		}
	}
	if was == nil {
		properties["runningStatus"] = running
	}
	properties["provisioningState"], properties["outboundIpAddresses"] = inProgress, []any{outbound}
	if ingress := members(provider.At(properties, "configuration", "ingress")); ingress != nil {
		ingress["fqdn"] = private["host"]
	}
	if changed(current, next) {
		private[pendingKey] = "yes"
		p.cloud.Store().SetPrivate(appID, private)
	}
	p.cloud.Store().Put(appID, next)
	p.keepSecrets(appID, secrets)
	return &provider.Answer{Status: status, Body: next, Later: func(context.Context) error {
		p.mu.Lock()
		defer p.mu.Unlock()
		p.roll(appID)
		return nil
	}}, nil
}

// identify makes the identities of an app what a request says. The type is spelled
// without a blank, and an app without identities says None.
func (p *Provider) identify(r *provider.Request, current, next provider.Document, merge bool) error {
	wanted, said := r.Body["identity"]
	if !said {
		return nil
	}
	block, err := p.identities.Apply(identity.Change{Resource: r.ID.String(), Name: r.ID.Name(), Caller: r.Caller,
		Current: current["identity"], Wanted: wanted, Merge: merge})
	if err != nil {
		return err
	}
	stored := members(block)
	if stored == nil {
		stored = map[string]any{"type": "None"}
	}
	stored["type"] = strings.ReplaceAll(provider.Text(stored, "type"), ", ", ",")
	next["identity"] = stored
	return nil
}

// deleteApp ends an app with everything it runs.
func (p *Provider) deleteApp(_ context.Context, r *provider.Request) (*provider.Answer, error) {
	p.mu.Lock()
	doc, exists := p.cloud.Store().Get(r.ID.String())
	if exists {
		for _, revision := range p.cloud.Store().Children(r.ID.String(), revisionType) {
			p.halt(revision)
		}
		p.tokens.Forget(r.ID.Fold())
		p.identities.Drop(doc["identity"])
		p.cloud.Store().Delete(r.ID.String())
	}
	p.mu.Unlock()
	if !exists {
		return &provider.Answer{Status: http.StatusNoContent}, nil
	}
	if err := p.endpoints.End(r.ID.String()); err != nil {
		return nil, err
	}
	return &provider.Answer{Status: http.StatusOK}, nil
}

func (p *Provider) startApp(_ context.Context, r *provider.Request) (*provider.Answer, error) {
	return p.setStatus(r, running)
}

func (p *Provider) stopApp(_ context.Context, r *provider.Request) (*provider.Answer, error) {
	return p.setStatus(r, stopped)
}

func (p *Provider) setStatus(r *provider.Request, status string) (*provider.Answer, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	doc, exists := p.cloud.Store().Get(r.ID.String())
	if !exists {
		return nil, service.NotFound(r.ID.String())
	}
	members(doc["properties"])["runningStatus"] = status
	p.cloud.Store().Put(r.ID.String(), doc)
	p.resume(r.ID.String())
	return &provider.Answer{Status: http.StatusOK, Body: doc}, nil
}
