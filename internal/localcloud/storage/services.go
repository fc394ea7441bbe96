package storage

import (
	"context"
	"net/http"
	"strings"
	"time"

	"github.com/patchbay/patchbay/internal/arm/id"
	"github.com/patchbay/patchbay/internal/localcloud/provider"
)

// plane finds the data plane of a child of an account; depth counts the steps up.
func (p *Provider) plane(i id.ID, depth int) (*account, error) {
	for range depth {
		i = i.Parent()
	}
	if _, exists := p.cloud.Store().Get(i.String()); exists {
		if a, ok := p.running(i.String()); ok {
			return a, nil
		}
	}
	return nil, &provider.Fault{Status: http.StatusNotFound, Code: "ParentResourceNotFound", Message: "The storage account '" + i.String() + "' was not found."}
}

func (p *Provider) getService(_ context.Context, r *provider.Request) (*provider.Answer, error) {
	if !strings.EqualFold(r.ID.Name(), "default") {
		return nil, notFound(r.ID.String())
	}
	doc, err := p.service(r.ID)
	if err != nil {
		return nil, err
	}
	return &provider.Answer{Status: http.StatusOK, Body: doc}, nil
}

// serviceDefaults are what a service's document holds that nobody has written.
var serviceDefaults = map[string]map[string]any{
	serviceType: {"cors": map[string]any{"corsRules": []any{}},
		"deleteRetentionPolicy": map[string]any{"enabled": false, "allowPermanentDelete": false}},
	queueServiceType: {"cors": map[string]any{"corsRules": []any{}}},
	tableServiceType: {"cors": map[string]any{"corsRules": []any{}}},
	fileServiceType: {"cors": map[string]any{"corsRules": []any{}}, "protocolSettings": map[string]any{"smb": map[string]any{}},
		"shareDeleteRetentionPolicy": map[string]any{"enabled": false}},
}

// service is a data service's document; it exists with its account.
func (p *Provider) service(i id.ID) (provider.Document, error) {
	if _, err := p.plane(i, 1); err != nil {
		return nil, err
	}
	if doc, exists := p.cloud.Store().Get(i.String()); exists {
		return doc, nil
	}
	kind := canonical(i)
	return provider.Identify(i, kind, map[string]any{"properties": provider.Merge(serviceDefaults[kind], nil)}), nil
}

// canonical is a service's type in our spelling, whatever the request's.
func canonical(i id.ID) string {
	for kind := range serviceDefaults {
		if i.IsType(kind) {
			return kind
		}
	}
	return i.Type()
}

// listServices serves the list of one, whose type the path names.
func (p *Provider) listServices(kind string) provider.Handler {
	return func(_ context.Context, r *provider.Request) (*provider.Answer, error) {
		doc, err := p.service(r.ID.Child(kind, "default"))
		if err != nil {
			return nil, err
		}
		return &provider.Answer{Status: http.StatusOK, Body: map[string]any{"value": []any{map[string]any(doc)}}}, nil
	}
}

func (p *Provider) putService(_ context.Context, r *provider.Request) (*provider.Answer, error) {
	if !strings.EqualFold(r.ID.Name(), "default") {
		return nil, provider.BadRequest("InvalidRequestUri", "The service is called default.")
	}
	current, err := p.service(r.ID)
	if err != nil {
		return nil, err
	}
	given, _ := r.Body["properties"].(map[string]any)
	doc := provider.Identify(r.ID, canonical(r.ID), map[string]any{"properties": provider.Merge(current["properties"].(map[string]any), given)})
	p.cloud.Store().Put(r.ID.String(), doc)
	return &provider.Answer{Status: http.StatusOK, Body: doc}, nil
}

func (p *Provider) getContainer(_ context.Context, r *provider.Request) (*provider.Answer, error) {
	a, err := p.plane(r.ID, 2)
	if err != nil {
		return nil, err
	}
	c, ok := a.vault.container(r.ID.Name())
	if !ok {
		return nil, &provider.Fault{Status: http.StatusNotFound, Code: "ContainerNotFound", Message: "The specified container does not exist."}
	}
	return &provider.Answer{Status: http.StatusOK, Body: containerDocument(r.ID, c)}, nil
}

func containerDocument(i id.ID, c containerInfo) provider.Document {
	access := c.Access
	if access == "" {
		access = "None"
	}
	metadata := map[string]any{}
	for k, v := range c.Metadata {
		metadata[k] = v
	}
	doc := provider.Identify(i, containerType, map[string]any{"properties": map[string]any{
		"publicAccess": access, "metadata": metadata, "lastModifiedTime": c.Modified.UTC().Format(time.RFC3339Nano),
		"leaseStatus": "Unlocked", "leaseState": "Available", "hasImmutabilityPolicy": false, "hasLegalHold": false,
	}})
	doc["etag"] = c.ETag
	return doc
}

func (p *Provider) listContainers(_ context.Context, r *provider.Request) (*provider.Answer, error) {
	a, err := p.plane(r.ID, 1)
	if err != nil {
		return nil, err
	}
	value := []any{}
	for _, c := range a.vault.containers() {
		value = append(value, map[string]any(containerDocument(r.ID.Child("containers", c.Name), c)))
	}
	return &provider.Answer{Status: http.StatusOK, Body: map[string]any{"value": value}}, nil
}

func (p *Provider) putContainer(_ context.Context, r *provider.Request) (*provider.Answer, error) {
	a, err := p.plane(r.ID, 2)
	if err != nil {
		return nil, err
	}
	if !validContainer(r.ID.Name()) {
		return nil, provider.BadRequest("ContainerNameInvalid", "A container name is 3 to 63 characters long and holds lower case letters, digits and single hyphens.")
	}
	access := provider.Text(r.Body, "properties", "publicAccess")
	if access == "None" {
		access = ""
	}
	metadata := map[string]string{}
	given, _ := provider.At(r.Body, "properties", "metadata").(map[string]any)
	for k := range given {
		metadata[k] = provider.Text(given, k)
	}
	c, made, err := a.vault.putContainer(r.ID.Name(), access, metadata)
	if err != nil {
		return nil, err
	}
	status := http.StatusOK
	if made {
		status = http.StatusCreated
	}
	return &provider.Answer{Status: status, Body: containerDocument(r.ID, c)}, nil
}

func (p *Provider) deleteContainer(_ context.Context, r *provider.Request) (*provider.Answer, error) {
	a, err := p.plane(r.ID, 2)
	if err != nil {
		return nil, err
	}
	gone, err := a.vault.deleteContainer(r.ID.Name())
	if err != nil {
		return nil, err
	}
	if !gone {
		return &provider.Answer{Status: http.StatusNoContent}, nil
	}
	return &provider.Answer{Status: http.StatusOK}, nil
}
