package cosmos

import (
	"context"
	"net/http"
	"slices"
	"strings"

	"github.com/patchbay/patchbay/internal/arm/id"
	"github.com/patchbay/patchbay/internal/localcloud/provider"
)

// childTypes are the databases of an API and what is in them.
func (p *Provider) childTypes(f feature) []provider.Type {
	child := provider.Type{Name: accountType + "/" + f.database, Put: p.putChild(f), Delete: p.deleteChild, Async202: true}
	types := []provider.Type{child}
	if f.collection != "" {
		child.Name += "/" + f.collection
		types = append(types, child)
	}
	return types
}

// accountOf is the account a child is below.
func accountOf(i id.ID) id.ID {
	for !i.IsZero() && !i.IsType(accountType) {
		i = i.Parent()
	}
	return i
}

// parents makes sure that the account is there and speaks the API, and the database too.
func (p *Provider) parents(i id.ID, f feature) (provider.Document, error) {
	for above := i.Parent(); !above.IsZero(); above = above.Parent() {
		doc, exists := p.cloud.Store().Get(above.String())
		if !exists {
			return nil, &provider.Fault{Status: http.StatusNotFound, Code: "ParentResourceNotFound",
				Message: "Failed to perform 'write' on resource(s) of type '" + i.Type() + "', because the parent resource '" + above.String() + "' could not be found."}
		}
		if !above.IsType(accountType) {
			continue
		}
		if featureOf(doc).api != f.api {
			return nil, provider.BadRequest("BadRequest", "The account '"+above.Name()+"' does not speak the API of '"+i.Type()+"'.")
		}
		return doc, nil
	}
	return nil, notFound(i.String())
}

func (p *Provider) putChild(f feature) provider.Handler {
	return func(_ context.Context, r *provider.Request) (*provider.Answer, error) {
		if _, err := p.parents(r.ID, f); err != nil {
			return nil, err
		}
		resource, _ := provider.At(r.Body, "properties", "resource").(map[string]any)
		if provider.Text(resource, "id") != r.ID.Name() {
			return nil, provider.BadRequest("BadRequest", "The property resource.id has to be the name of the resource.")
		}
		return &provider.Answer{Status: http.StatusOK, Later: func(context.Context) error {
			p.writes.Lock()
			defer p.writes.Unlock()
			p.keepChild(r.ID, resource)
			return nil
		}}, nil
	}
}

// keepChild stores a database or a collection; the caller holds the lock.
func (p *Provider) keepChild(i id.ID, resource map[string]any) {
	doc := provider.Identify(i, canonical(i), map[string]any{"properties": map[string]any{"resource": resource}})
	p.cloud.Store().Put(i.String(), doc)
}

// canonical is a child's type in our spelling, whatever the request's.
func canonical(i id.ID) string {
	for _, f := range features {
		for _, kind := range []string{accountType + "/" + f.database, accountType + "/" + f.database + "/" + f.collection} {
			if i.IsType(kind) {
				return kind
			}
		}
	}
	return i.Type()
}

func (p *Provider) deleteChild(_ context.Context, r *provider.Request) (*provider.Answer, error) {
	if _, exists := p.cloud.Store().Get(r.ID.String()); !exists {
		return &provider.Answer{Status: http.StatusNoContent}, nil
	}
	return &provider.Answer{Status: http.StatusOK, Later: func(context.Context) error { return p.dropChild(r.ID) }}, nil
}

func (p *Provider) dropChild(i id.ID) error {
	p.writes.Lock()
	defer p.writes.Unlock()
	p.cloud.Store().Delete(i.String())
	if a, ok := p.running(accountOf(i).String()); ok {
		return a.forget(i)
	}
	return nil
}

// names lists the children of a type in order.
func (p *Provider) names(parent, kind string) []string {
	var names []string
	for _, doc := range p.cloud.Store().Children(parent, kind) {
		names = append(names, provider.Text(doc, "name"))
	}
	slices.SortFunc(names, strings.Compare)
	return names
}
