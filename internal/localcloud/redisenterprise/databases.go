package redisenterprise

import (
	"context"
	"maps"
	"net/http"
	"regexp"
	"slices"
	"strings"

	"github.com/patchbay/patchbay/internal/arm/id"
	"github.com/patchbay/patchbay/internal/localcloud/provider"
	"github.com/patchbay/patchbay/internal/localcloud/service"
)

const (
	succeeded = "Succeeded"
	running   = "Running"
	primary   = "primary"
	secondary = "secondary"
)

// defaultPort is where a database answers unless it is made elsewhere.
const defaultPort = 10000.0

// publicAccessSince is the first api-version that knows publicNetworkAccess and demands it.
const publicAccessSince = "2025-07-01"

// Members that only the platform sets.
var (
	clusterPlatform  = []string{"hostName", "provisioningState", "resourceState", "redisVersion", "redundancyMode", "privateEndpointConnections"}
	databasePlatform = []string{"provisioningState", "resourceState", "redisVersion"}
)

var clusterName = regexp.MustCompile(`^[A-Za-z0-9](-?[A-Za-z0-9]){0,59}$`)

func checkCluster(doc provider.Document) error {
	if !clusterName.MatchString(provider.Text(doc, "name")) {
		return provider.BadRequest("InvalidResourceName", "The name of a cluster has at most 60 letters, digits and single hyphens between them.")
	}
	if provider.Text(doc, "sku", "name") == "" {
		return provider.BadRequest("InvalidRequestBody", "The property 'sku' is required.")
	}
	return nil
}

func (p *Provider) putCluster(ctx context.Context, r *provider.Request) (*provider.Answer, error) {
	access := provider.Text(r.Body, "properties", "publicNetworkAccess")
	if r.APIVersion >= publicAccessSince && access != "Enabled" && access != "Disabled" {
		return nil, provider.BadRequest("InvalidRequestBody", "The property 'publicNetworkAccess' is required and is Enabled or Disabled.")
	}
	return p.clusters.Put(ctx, r)
}

func (p *Provider) fillCluster(doc provider.Document, _ *service.Endpoint) map[string]any {
	doc["kind"] = "v2"
	if enterprise(doc) {
		doc["kind"] = "v1"
	}
	return map[string]any{"hostName": p.cloud.Address(provider.Text(doc, "id")), "resourceState": running, "redisVersion": "7.4"}
}

func enterprise(cluster provider.Document) bool {
	return strings.HasPrefix(provider.Text(cluster, "sku", "name"), "Enterprise")
}

func (p *Provider) deleteCluster(ctx context.Context, r *provider.Request) (*provider.Answer, error) {
	for _, doc := range p.cloud.Store().Children(r.ID.String(), databaseType) {
		p.end(id.MustParse(provider.Text(doc, "id")))
	}
	return p.clusters.Delete(ctx, r)
}

// cluster finds a database's cluster.
func (p *Provider) cluster(database id.ID) (provider.Document, error) {
	doc, exists := p.cloud.Store().Get(database.Parent().String())
	if !exists {
		return nil, &provider.Fault{Status: http.StatusNotFound, Code: "ParentResourceNotFound", Message: "The cluster '" + database.Parent().String() + "' was not found."}
	}
	return doc, nil
}

// allowed are the words of a database's members.
var allowed = map[string][]string{
	"clientProtocol":           {"Encrypted", "Plaintext"},
	"accessKeysAuthentication": {"Enabled", "Disabled"},
	"clusteringPolicy":         {"OSSCluster", "EnterpriseCluster", "NoCluster"},
}

func (p *Provider) putDatabase(_ context.Context, r *provider.Request) (*provider.Answer, error) {
	cluster, err := p.cluster(r.ID)
	if err != nil {
		return nil, err
	}
	p.writes.Lock()
	defer p.writes.Unlock()
	keys := "Disabled"
	if enterprise(cluster) {
		keys = "Enabled"
	}
	defaults := map[string]any{
		"clientProtocol": "Encrypted", "port": defaultPort, "clusteringPolicy": "OSSCluster", "evictionPolicy": "VolatileLRU", "accessKeysAuthentication": keys,
	}
	given, _ := r.Body["properties"].(map[string]any)
	doc := provider.Identify(r.ID, databaseType, map[string]any{"properties": finished(provider.Merge(defaults, without(given)))})
	if err := p.checkDatabase(r.ID, doc); err != nil {
		return nil, err
	}
	if _, exists := p.cloud.Store().Get(r.ID.String()); exists {
		p.cloud.Store().Put(r.ID.String(), doc)
		return &provider.Answer{Status: http.StatusOK, Body: doc}, nil
	}
	return &provider.Answer{Status: http.StatusCreated, Body: doc, Later: func(ctx context.Context) error {
		p.writes.Lock()
		defer p.writes.Unlock()
		if err := p.serve(ctx, r.ID, doc); err != nil {
			return err
		}
		p.cloud.Store().Put(r.ID.String(), doc)
		p.cloud.Store().SetPrivate(r.ID.String(), map[string]string{primary: service.Base64Key(), secondary: service.Base64Key()})
		return nil
	}}, nil
}

func without(given map[string]any) map[string]any {
	out := maps.Clone(given)
	for _, name := range databasePlatform {
		delete(out, name)
	}
	return out
}

func finished(properties map[string]any) map[string]any {
	return provider.Merge(properties, map[string]any{"provisioningState": succeeded, "resourceState": running, "redisVersion": "7.4"})
}

func (p *Provider) checkDatabase(i id.ID, doc provider.Document) error {
	for member, words := range allowed {
		if !slices.Contains(words, provider.Text(doc, "properties", member)) {
			return provider.BadRequest("InvalidRequestBody", "The property '"+member+"' is one of "+strings.Join(words, ", ")+".")
		}
	}
	port, ok := provider.At(doc, "properties", "port").(float64)
	if !ok || port != float64(int(port)) || port < 10000 || port > 65535 {
		return provider.BadRequest("InvalidRequestBody", "The property 'port' is a number between 10000 and 65535.")
	}
	for _, other := range p.cloud.Store().Children(i.Parent().String(), databaseType) {
		if !id.Equal(provider.Text(other, "id"), i.String()) {
			return provider.BadRequest("InvalidRequestBody", "A cluster has one database.")
		}
	}
	current, exists := p.cloud.Store().Get(i.String())
	for _, fixed := range []string{"port", "clientProtocol", "clusteringPolicy"} {
		if exists && provider.At(current, "properties", fixed) != provider.At(doc, "properties", fixed) {
			return provider.BadRequest("InvalidRequestBody", "The property '"+fixed+"' of a database cannot be changed.")
		}
	}
	return nil
}

func (p *Provider) patchDatabase(_ context.Context, r *provider.Request) (*provider.Answer, error) {
	p.writes.Lock()
	defer p.writes.Unlock()
	current, exists := p.cloud.Store().Get(r.ID.String())
	if !exists {
		return nil, service.NotFound(r.ID.String())
	}
	given, _ := r.Body["properties"].(map[string]any)
	current["properties"] = provider.Merge(current["properties"].(map[string]any), without(given))
	if err := p.checkDatabase(r.ID, current); err != nil {
		return nil, err
	}
	return &provider.Answer{Status: http.StatusAccepted, Body: current, Later: func(context.Context) error {
		p.cloud.Store().Put(r.ID.String(), current)
		return nil
	}}, nil
}

func (p *Provider) deleteDatabase(_ context.Context, r *provider.Request) (*provider.Answer, error) {
	if _, exists := p.cloud.Store().Get(r.ID.String()); !exists {
		return &provider.Answer{Status: http.StatusNoContent}, nil
	}
	p.end(r.ID)
	p.cloud.Store().Delete(r.ID.String())
	return &provider.Answer{Status: http.StatusOK}, nil
}

func (p *Provider) listKeys(_ context.Context, r *provider.Request) (*provider.Answer, error) {
	if _, exists := p.cloud.Store().Get(r.ID.String()); !exists {
		return nil, service.NotFound(r.ID.String())
	}
	keys := p.cloud.Store().Private(r.ID.String())
	return &provider.Answer{Status: http.StatusOK, Body: map[string]any{"primaryKey": keys[primary], "secondaryKey": keys[secondary]}}, nil
}

func (p *Provider) regenerateKey(ctx context.Context, r *provider.Request) (*provider.Answer, error) {
	which := strings.ToLower(provider.Text(r.Body, "keyType"))
	if which != primary && which != secondary {
		return nil, provider.BadRequest("InvalidRequestBody", "The keyType is Primary or Secondary.")
	}
	p.writes.Lock()
	keys := p.cloud.Store().Private(r.ID.String())
	if keys[which] == "" {
		p.writes.Unlock()
		return nil, service.NotFound(r.ID.String())
	}
	keys[which] = service.Base64Key()
	p.cloud.Store().SetPrivate(r.ID.String(), keys)
	p.writes.Unlock()
	return p.listKeys(ctx, r)
}

var assignmentName = regexp.MustCompile(`^[A-Za-z0-9]{1,60}$`)

// policy is the only access policy there is.
const policy = "default"

func (p *Provider) putAssignment(_ context.Context, r *provider.Request) (*provider.Answer, error) {
	database := r.ID.Parent()
	if _, exists := p.cloud.Store().Get(database.String()); !exists {
		return nil, &provider.Fault{Status: http.StatusNotFound, Code: "ParentResourceNotFound", Message: "The database '" + database.String() + "' was not found."}
	}
	if !assignmentName.MatchString(r.ID.Name()) {
		return nil, provider.BadRequest("InvalidResourceName", "The name of an access policy assignment has 1 to 60 letters and digits.")
	}
	objectID := provider.Text(r.Body, "properties", "user", "objectId")
	if provider.Text(r.Body, "properties", "accessPolicyName") != policy || objectID == "" {
		return nil, provider.BadRequest("InvalidRequestBody", "An access policy assignment needs the accessPolicyName 'default' and user.objectId.")
	}
	for _, other := range p.cloud.Store().Children(database.String(), assignmentType) {
		if strings.EqualFold(provider.Text(other, "properties", "user", "objectId"), objectID) && !id.Equal(provider.Text(other, "id"), r.ID.String()) {
			return nil, provider.BadRequest("InvalidRequestBody", "The objectId already has an access policy assignment on this database.")
		}
	}
	status := http.StatusCreated
	if _, exists := p.cloud.Store().Get(r.ID.String()); exists {
		status = http.StatusOK
	}
	doc := provider.Identify(r.ID, assignmentType, map[string]any{"properties": map[string]any{
		"accessPolicyName": policy, "user": map[string]any{"objectId": objectID}, "provisioningState": "Creating"}})
	p.cloud.Store().Put(r.ID.String(), doc)
	return &provider.Answer{Status: status, Body: doc, Later: func(context.Context) error {
		if doc, exists := p.cloud.Store().Get(r.ID.String()); exists {
			doc["properties"] = provider.Merge(doc["properties"].(map[string]any), map[string]any{"provisioningState": succeeded})
			p.cloud.Store().Put(r.ID.String(), doc)
		}
		return nil
	}}, nil
}

func (p *Provider) deleteAssignment(_ context.Context, r *provider.Request) (*provider.Answer, error) {
	if _, exists := p.cloud.Store().Get(r.ID.String()); !exists {
		return &provider.Answer{Status: http.StatusNoContent}, nil
	}
	return &provider.Answer{Status: http.StatusAccepted, Later: func(context.Context) error {
		p.cloud.Store().Delete(r.ID.String())
		return nil
	}}, nil
}
