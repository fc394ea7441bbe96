package storage

import (
	"context"
	"net/http"
	"regexp"
	"slices"
	"strings"

	"github.com/patchbay/patchbay/internal/arm/id"
	"github.com/patchbay/patchbay/internal/localcloud/provider"
	"github.com/patchbay/patchbay/internal/localcloud/tables"
)

// family is a service and the things below it that ARM shows as well: documents that
// both planes write.
type family struct {
	service    string // queue, table, file
	name       string // of the type: queueServices/queues
	valid      func(name string) bool
	properties func(name string, given map[string]any) map[string]any
	forget     func(a *account, name string) error
}

var plainName = regexp.MustCompile(`^[a-z0-9]+(-[a-z0-9]+)*$`)

// validName tells whether a queue or a share, or an ordinary container, may be called that.
func validName(name string) bool {
	return len(name) >= 3 && len(name) <= 63 && plainName.MatchString(name)
}

func families() []family {
	return []family{
		{"queue", queueType, validName, func(_ string, given map[string]any) map[string]any {
			return map[string]any{"metadata": metadataDocument(given)}
		}, func(a *account, name string) error { return a.queues.forget(name) }},
		{"table", tableType, tables.ValidName, func(name string, _ map[string]any) map[string]any { return tableProperties(name) },
			func(a *account, name string) error { return a.entities.Forget(name) }},
		{"file", shareType, validName, shareProperties,
			func(a *account, name string) error { return a.shares.forget(name) }},
	}
}

func metadataDocument(given map[string]any) map[string]any {
	out := map[string]any{}
	members, _ := given["metadata"].(map[string]any)
	for name := range members {
		out[name] = provider.Text(members, name)
	}
	return out
}

// types are the ARM types of a family: the service, which exists with its account,
// and its children.
func (p *Provider) types(f family) []provider.Type {
	return []provider.Type{
		{Name: accountType + "/" + f.service + "Services", Get: p.getService, List: p.listServices(f.service + "Services"), Put: p.putService},
		{Name: f.name, Put: p.putChild(f), Delete: p.deleteChild(f)},
	}
}

func (p *Provider) putChild(f family) provider.Handler {
	return func(_ context.Context, r *provider.Request) (*provider.Answer, error) {
		a, err := p.plane(r.ID, 2)
		if err != nil {
			return nil, err
		}
		if !f.valid(r.ID.Name()) {
			return nil, provider.BadRequest("InvalidResourceName", "The specified resource name contains invalid characters.")
		}
		given, _ := r.Body["properties"].(map[string]any)
		status := http.StatusOK
		if a.addChild(f.name, r.ID.Name(), f.properties(r.ID.Name(), given)) {
			status = http.StatusCreated
		} else {
			a.changeChild(f.name, r.ID.Name(), f.properties(r.ID.Name(), given))
		}
		doc, _ := p.cloud.Store().Get(r.ID.String())
		return &provider.Answer{Status: status, Body: doc}, nil
	}
}

func (p *Provider) deleteChild(f family) provider.Handler {
	return func(_ context.Context, r *provider.Request) (*provider.Answer, error) {
		a, err := p.plane(r.ID, 2)
		if err != nil {
			return nil, err
		}
		if !a.dropChild(f.name, r.ID.Name()) {
			return &provider.Answer{Status: http.StatusNoContent}, nil
		}
		return &provider.Answer{Status: http.StatusOK}, f.forget(a, r.ID.Name())
	}
}

// childID is the id of a thing below a service; kind is its type.
func (a *account) childID(kind, name string) id.ID {
	steps := strings.Split(strings.TrimPrefix(kind, accountType+"/"), "/")
	return id.MustParse(a.id).Child(steps[0], "default").Child(steps[1], name)
}

func (a *account) child(kind, name string) (provider.Document, bool) {
	return a.cloud.Store().Get(a.childID(kind, name).String())
}

// children lists the things of a type in the order of their names.
func (a *account) children(kind string) []provider.Document {
	docs := a.cloud.Store().Under(a.id, kind)
	slices.SortFunc(docs, func(x, y provider.Document) int {
		return strings.Compare(provider.Text(x, "name"), provider.Text(y, "name"))
	})
	return docs
}

func (a *account) childNames(kind string) []string {
	var names []string
	for _, doc := range a.children(kind) {
		names = append(names, provider.Text(doc, "name"))
	}
	return names
}

// addChild makes a thing and tells whether it was not there.
func (a *account) addChild(kind, name string, properties map[string]any) bool {
	a.writes.Lock()
	defer a.writes.Unlock()
	if _, there := a.child(kind, name); there {
		return false
	}
	i := a.childID(kind, name)
	a.cloud.Store().Put(i.String(), provider.Identify(i, kind, map[string]any{"properties": properties}))
	return true
}

// changeChild replaces members of a thing's properties.
func (a *account) changeChild(kind, name string, properties map[string]any) bool {
	a.writes.Lock()
	defer a.writes.Unlock()
	doc, there := a.child(kind, name)
	if !there {
		return false
	}
	old, _ := doc["properties"].(map[string]any)
	next := provider.Merge(old, nil)
	for member, value := range properties {
		next[member] = value
	}
	doc["properties"] = next
	a.cloud.Store().Put(provider.Text(doc, "id"), doc)
	return true
}

// dropChild removes a thing and tells whether it was there.
func (a *account) dropChild(kind, name string) bool {
	a.writes.Lock()
	defer a.writes.Unlock()
	if _, there := a.child(kind, name); !there {
		return false
	}
	a.cloud.Store().Delete(a.childID(kind, name).String())
	return true
}
