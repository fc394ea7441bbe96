package appservice_test

import (
	"context"
	"maps"
	"strings"
	"testing"

	"github.com/patchbay/patchbay/internal/arm/armtest"
	"github.com/patchbay/patchbay/internal/compute"
	"github.com/patchbay/patchbay/internal/compute/appservice"
	"github.com/patchbay/patchbay/internal/compute/computetest"
	"github.com/patchbay/patchbay/internal/connection"
)

// TestCompute runs the suite of all computes on a site, on a slot, and on the connection
// strings of a site.
func TestCompute(t *testing.T) {
	t.Parallel()
	for name, source := range map[string]string{"site": site, "slot": slot} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			computetest.Run(t, computetest.Case{Make: func(t *testing.T) computetest.World { return computeWorld(t, source) }})
		})
	}
}

func computeWorld(t *testing.T, source string) computetest.World {
	s := newSite(t)
	c := s.Client()
	sources := appservice.NewSources(c)
	return computetest.World{
		Source: source, Mine: mine, Theirs: theirs, Folds: true,
		Drivers: map[connection.Kind]computetest.Driver{
			connection.KindSetting: appservice.NewSetting(c), connection.KindIdentity: appservice.NewIdentity(c, soon)},
		Setting:    func(name, value string) connection.Facet { return setting(source, name, value) },
		Identity:   func(name string) connection.Facet { return identityOf(source, name) },
		Settings:   func() map[string]string { return texts(s.Doc(source + settings)) },
		Identities: func() []string { return identitiesOf(s.Doc(source)) },
		Rest:       func() any { return restOf(s, source) },
		Foreign: func(name string, value *string) {
			doc := s.Doc(source + settings)
			properties := doc["properties"].(armtest.Object)
			if delete(properties, name); value != nil {
				properties[name] = *value
			}
			s.Set(source+settings, doc)
		},
		ForeignIdentity: func(name string, on bool) {
			doc := s.Doc(source)
			users := doc["identity"].(armtest.Object)["userAssignedIdentities"].(armtest.Object)
			if delete(users, name); on {
				users[name] = armtest.Object{"principalId": "p", "clientId": "c"}
			}
			s.Set(source, doc)
		},
		Read:   func(ctx context.Context) (*compute.Source, error) { return sources.Source(ctx, source) },
		Facts:  compute.Source{Outbound: []string{"192.0.2.1", "192.0.2.2", "192.0.2.3"}},
		Writes: s.Writes,
		Restarts: func() int {
			n := 0
			for _, r := range s.Requests() {
				if r.Method == "PUT" && strings.HasSuffix(strings.ToLower(r.Path), settings) {
					n++
				}
			}
			return n
		},
		Vanish: func() { s.Remove(source) },
	}
}

func identityOf(source, name string) connection.Facet {
	f := identity(name)
	f.Resource = source
	return f
}

func texts(doc armtest.Object) map[string]string {
	out := map[string]string{}
	if doc == nil {
		return out
	}
	for name, value := range doc["properties"].(armtest.Object) {
		out[name] = value.(string)
	}
	return out
}

func identitiesOf(doc armtest.Object) []string {
	i, _ := doc["identity"].(armtest.Object)
	kinds, _ := i["type"].(string)
	var all []string
	if strings.Contains(kinds, "SystemAssigned") {
		all = append(all, appservice.SystemIdentity)
	}
	users, _ := i["userAssignedIdentities"].(armtest.Object)
	for name := range maps.Keys(users) {
		all = append(all, name)
	}
	return all
}

// restOf is everything but the settings and identities of the source.
func restOf(s *armtest.Server, source string) any {
	all := s.Snapshot()
	delete(all, connection.FoldID(source+settings))
	if doc := all[connection.FoldID(source)]; doc != nil {
		delete(doc, "identity")
	}
	return all
}
