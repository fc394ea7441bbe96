package service

import (
	"context"
	"maps"
	"net/http"
	"strings"
	"sync"

	"github.com/patchbay/patchbay/internal/arm/id"
	"github.com/patchbay/patchbay/internal/localcloud/provider"
)

const succeeded = "Succeeded"

// Kind is what differs between the types whose documents live the same life.
type Kind struct {
	Type     string
	Platform []string // members of properties that only the platform sets
	Keys     []string // names of its access keys; none for a type without
	NewKey   func() string
	Global   bool // its name is one in the world
	// Defaults are the members of properties where a request says nothing.
	Defaults func() map[string]any
	// Check judges a document before it is stored, and may write out what the platform fills in.
	Check func(doc provider.Document) error
	// Secrets takes the secret values out of next, the document that a body makes; nil for
	// types that hold none. ok is false when the body says nothing of them.
	Secrets func(body, next provider.Document) (values map[string]string, ok bool, err error)
	// Fill returns the members that the platform gives a new resource; e is nil for a type
	// without an endpoint.
	Fill func(doc provider.Document, e *Endpoint) map[string]any
	// Derive writes into a document what follows from it, at each write; nil for nothing.
	Derive func(doc provider.Document, e *Endpoint)
}

// Accounts serves writes of one type: whole on PUT, merged on PATCH.
type Accounts struct {
	kind      Kind
	cloud     provider.Cloud
	endpoints *Set // nil for a type without a data plane

	writes sync.Mutex // held while a document or its keys are read and written back
}

// NewAccounts makes the handlers of a type.
func NewAccounts(cloud provider.Cloud, kind Kind, endpoints *Set) *Accounts {
	return &Accounts{kind: kind, cloud: cloud, endpoints: endpoints}
}

// Type is the type with its writes and deletes; lists and reads are the store's.
func (a *Accounts) Type(versions []string, actions map[string]provider.Action) provider.Type {
	return provider.Type{Name: a.kind.Type, APIVersions: versions, Put: a.Put, Patch: a.Patch, Delete: a.Delete, Async202: true, Actions: actions}
}

// Put makes a resource, or replaces what a request may say about it.
func (a *Accounts) Put(_ context.Context, r *provider.Request) (*provider.Answer, error) {
	if provider.Text(r.Body, "location") == "" {
		return nil, provider.BadRequest("LocationRequired", "The location property is required for this definition.")
	}
	if err := a.taken(r.ID); err != nil {
		return nil, err
	}
	a.writes.Lock()
	defer a.writes.Unlock()
	current, exists := a.cloud.Store().Get(r.ID.String())
	next := provider.Identify(r.ID, a.kind.Type, r.Body)
	given, _ := r.Body["properties"].(map[string]any)
	next["properties"] = provider.Merge(a.kind.Defaults(), without(given, a.kind.Platform))
	secrets, err := a.judge(r.Body, next)
	if err != nil {
		return nil, err
	}
	if exists {
		maps.Copy(next["properties"].(map[string]any), a.platform(current))
		if secrets == nil {
			secrets = map[string]string{} // what a PUT leaves out is gone
		}
		return a.store(r.ID.String(), current, next, secrets), nil
	}
	return &provider.Answer{Status: http.StatusCreated, Body: next, Later: func(ctx context.Context) error { return a.create(ctx, r.ID.String(), next, secrets) }}, nil
}

// judge checks a document and takes its secret values out; nil when the body has none.
func (a *Accounts) judge(body, next provider.Document) (map[string]string, error) {
	if err := a.kind.Check(next); err != nil || a.kind.Secrets == nil {
		return nil, err
	}
	values, ok, err := a.kind.Secrets(body, next)
	if err != nil || !ok {
		return nil, err
	}
	return values, nil
}

// secretPrefix tells values of a document's secrets from what else is kept beside it.
const secretPrefix = "secret:"

// Secret returns a secret value by name.
func (a *Accounts) Secret(resourceID, name string) string {
	return a.cloud.Store().Private(resourceID)[secretPrefix+name]
}

// taken refuses a name that another resource of the type has somewhere else.
func (a *Accounts) taken(i id.ID) error {
	if !a.kind.Global {
		return nil
	}
	for _, other := range a.cloud.Store().Under("", a.kind.Type) {
		if strings.EqualFold(provider.Text(other, "name"), i.Name()) && !id.Equal(provider.Text(other, "id"), i.String()) {
			return &provider.Fault{Status: http.StatusConflict, Code: "NameAlreadyExists", Message: "The name " + i.Name() + " is already in use."}
		}
	}
	return nil
}

func (a *Accounts) platform(current provider.Document) map[string]any {
	out := map[string]any{}
	properties, _ := current["properties"].(map[string]any)
	for _, name := range a.kind.Platform {
		if v, ok := properties[name]; ok {
			out[name] = v
		}
	}
	return out
}

// create opens the data plane before the resource becomes visible, so that its
// endpoint answers from the first read on.
func (a *Accounts) create(ctx context.Context, resourceID string, doc provider.Document, secrets map[string]string) error {
	a.writes.Lock()
	defer a.writes.Unlock()
	private := map[string]string{}
	for name, value := range secrets {
		private[secretPrefix+name] = value
	}
	for _, name := range a.kind.Keys {
		private[name] = a.kind.NewKey()
	}
	var e *Endpoint
	if a.endpoints != nil {
		var err error
		if e, err = a.endpoints.Serve(ctx, resourceID); err != nil {
			return err
		}
		private[portKey] = e.port()
	}
	properties := doc["properties"].(map[string]any)
	maps.Copy(properties, a.kind.Fill(doc, e))
	properties["provisioningState"] = succeeded
	a.derive(doc, e)
	a.identify(nil, doc)
	a.cloud.Store().Put(resourceID, doc)
	a.cloud.Store().SetPrivate(resourceID, private)
	return nil
}

// Patch merges a request into the document: objects member by member, arrays and tags whole.
func (a *Accounts) Patch(_ context.Context, r *provider.Request) (*provider.Answer, error) {
	a.writes.Lock()
	defer a.writes.Unlock()
	current, exists := a.cloud.Store().Get(r.ID.String())
	if !exists {
		return nil, NotFound(r.ID.String())
	}
	given, _ := r.Body["properties"].(map[string]any)
	next := provider.Document(provider.Merge(current, without(r.Body, []string{"id", "name", "type", "location", "kind", "properties", "tags"})))
	if tags, ok := r.Body["tags"]; ok && tags != nil {
		next["tags"] = tags
	}
	next["properties"] = provider.Merge(current["properties"].(map[string]any), without(given, a.kind.Platform))
	secrets, err := a.judge(r.Body, next)
	if err != nil {
		return nil, err
	}
	return a.store(r.ID.String(), current, next, secrets), nil
}

// store replaces a document, and its secrets unless they are nil.
func (a *Accounts) store(resourceID string, current, next provider.Document, secrets map[string]string) *provider.Answer {
	next["properties"].(map[string]any)["provisioningState"] = succeeded
	if a.endpoints != nil {
		a.derive(next, a.endpoints.find(resourceID))
	}
	a.identify(current, next)
	a.cloud.Store().Put(resourceID, next)
	if a.kind.Secrets != nil && secrets != nil {
		private := a.cloud.Store().Private(resourceID)
		maps.DeleteFunc(private, func(name, _ string) bool { return strings.HasPrefix(name, secretPrefix) })
		for name, value := range secrets {
			private[secretPrefix+name] = value
		}
		a.cloud.Store().SetPrivate(resourceID, private)
	}
	return &provider.Answer{Status: http.StatusOK, Body: next}
}

func (a *Accounts) derive(doc provider.Document, e *Endpoint) {
	if a.kind.Derive != nil && e != nil {
		a.kind.Derive(doc, e)
	}
}

// Delete ends the data plane, the identity and the document.
func (a *Accounts) Delete(_ context.Context, r *provider.Request) (*provider.Answer, error) {
	a.writes.Lock()
	defer a.writes.Unlock()
	doc, exists := a.cloud.Store().Get(r.ID.String())
	if !exists {
		return &provider.Answer{Status: http.StatusNoContent}, nil
	}
	if a.endpoints != nil {
		if err := a.endpoints.End(r.ID.String()); err != nil {
			return nil, err
		}
	}
	if principal := provider.Text(doc, "identity", "principalId"); principal != "" {
		a.cloud.Directory().Remove(principal)
	}
	a.cloud.Store().Delete(r.ID.String())
	return &provider.Answer{Status: http.StatusOK}, nil
}

// identify gives the document the principal of its system-assigned identity: the one it
// had, or a fresh one; switched off, the old one ends.
func (a *Accounts) identify(current, next provider.Document) {
	had := provider.Text(current, "identity", "principalId")
	block, _ := next["identity"].(map[string]any)
	if !strings.Contains(provider.Text(block, "type"), "SystemAssigned") {
		if had != "" {
			a.cloud.Directory().Remove(had)
		}
		delete(block, "principalId")
		return
	}
	if had == "" {
		had = a.cloud.Directory().NewManagedIdentity(provider.Text(next, "id"), provider.Text(next, "name")).ObjectID
	}
	block["principalId"] = had
}

func without(d map[string]any, names []string) map[string]any {
	out := maps.Clone(d)
	for _, n := range names {
		delete(out, n)
	}
	return out
}

// NotFound is the answer for a resource that is not there.
func NotFound(resourceID string) error {
	return &provider.Fault{Status: http.StatusNotFound, Code: "ResourceNotFound", Message: "The resource '" + resourceID + "' was not found."}
}
