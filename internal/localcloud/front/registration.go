package front

import (
	"context"
	"net/http"
	"slices"
	"strings"

	"github.com/patchbay/patchbay/internal/arm/id"
	"github.com/patchbay/patchbay/internal/localcloud/provider"
)

// furtherNamespaces can be registered although no type of theirs is served here.
var furtherNamespaces = []struct {
	name       string
	registered bool
}{
	{"Microsoft.ServiceLinker", true},
	{"Microsoft.Network", true},
	{"Microsoft.Insights", true},
	{"Microsoft.KeyVault", false},
	{"Microsoft.App", false},
	{"Microsoft.ContainerService", false},
	{"Microsoft.AppConfiguration", false},
	{"Microsoft.ServiceBus", false},
	{"Microsoft.EventHub", false},
	{"Microsoft.DocumentDB", false},
	{"Microsoft.Sql", false},
	{"Microsoft.SignalRService", false},
	{"Microsoft.CognitiveServices", false},
}

const registrationKind = "_registration"

// registered tells whether a subscription may use a namespace; what is served here
// may be used until someone unregisters it.
func (f *Front) registered(sub, namespace string) bool {
	state := f.registrationState(sub, namespace)
	return state == "Registered"
}

func registrationID(sub, namespace string) string {
	return "/subscriptions/" + sub + "/_registrations/" + namespace
}

func (f *Front) registrationState(sub, namespace string) string {
	if doc, ok := f.opts.Store.Get(registrationID(sub, namespace)); ok {
		state, _ := doc["state"].(string)
		return state
	}
	for _, ns := range furtherNamespaces {
		if strings.EqualFold(ns.name, namespace) && !ns.registered && !f.serves(namespace) {
			return "NotRegistered"
		}
	}
	return "Registered"
}

func (f *Front) serves(namespace string) bool {
	for name := range f.types {
		if strings.HasPrefix(name, id.Fold(namespace)+"/") {
			return true
		}
	}
	return false
}

func (f *Front) getProvider(_ context.Context, q *provider.Request) (*provider.Answer, error) {
	name, known := f.namespaces[id.Fold(q.ID.Namespace())]
	if !known {
		return nil, unknownNamespace(q.ID.Namespace())
	}
	return &provider.Answer{Body: f.namespaceDocument(q.ID.Subscription(), name)}, nil
}

func (f *Front) listProviders(_ context.Context, q *provider.Request) (*provider.Answer, error) {
	var names []string
	for _, name := range f.namespaces {
		names = append(names, name)
	}
	slices.Sort(names)
	found := []any{}
	for _, name := range names {
		found = append(found, f.namespaceDocument(q.ID.Subscription(), name))
	}
	return &provider.Answer{Body: map[string]any{"value": found}}, nil
}

func (f *Front) namespaceDocument(sub, name string) map[string]any {
	types := []map[string]any{}
	for _, t := range f.types {
		if ns, rest, _ := strings.Cut(t.Name, "/"); ns == name {
			types = append(types, map[string]any{"resourceType": rest, "apiVersions": t.APIVersions, "locations": displayNames()})
		}
	}
	slices.SortFunc(types, func(a, b map[string]any) int {
		return strings.Compare(a["resourceType"].(string), b["resourceType"].(string))
	})
	doc := map[string]any{"namespace": name, "resourceTypes": types, "id": "/providers/" + name}
	if sub != "" {
		doc["id"] = "/subscriptions/" + sub + "/providers/" + name
		doc["registrationState"], doc["registrationPolicy"] = f.registrationState(sub, name), "RegistrationRequired"
	}
	return doc
}

func displayNames() []string {
	var names []string
	for _, l := range locations {
		names = append(names, l.display)
	}
	return names
}

func (f *Front) setRegistration(state string) provider.Handler {
	return func(_ context.Context, q *provider.Request) (*provider.Answer, error) {
		name, known := f.namespaces[id.Fold(q.ID.Namespace())]
		if !known || q.ID.Subscription() == "" {
			return nil, unknownNamespace(q.ID.Namespace())
		}
		f.opts.Store.Put(registrationID(q.ID.Subscription(), name), provider.Document{"type": registrationKind, "state": state})
		return &provider.Answer{Status: http.StatusOK, Body: f.namespaceDocument(q.ID.Subscription(), name)}, nil
	}
}
