package appservice_test

import (
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/patchbay/patchbay/internal/arm/armtest"
	"github.com/patchbay/patchbay/internal/compute/appservice"
	"github.com/patchbay/patchbay/internal/connection"
	"github.com/patchbay/patchbay/internal/engine"
	"github.com/patchbay/patchbay/internal/engine/drivertest"
	"github.com/patchbay/patchbay/internal/plan"
	"github.com/patchbay/patchbay/internal/problem"
)

var _ engine.Driver = (*appservice.Sticky)(nil)

const stickyNames = "/config/slotConfigNames"

// newSticky is a site whose list holds names of others, and a member nobody here knows.
func newSticky(t *testing.T) *armtest.Server {
	s := armtest.New(t, armtest.Type{Name: "Microsoft.Web/sites", Versions: []string{api}},
		armtest.Type{Name: "Microsoft.Web/sites/config", Versions: []string{api}})
	s.Set(site, armtest.Object{"location": "westeurope"})
	s.Set(site+stickyNames, armtest.Object{"properties": armtest.Object{
		"appSettingNames": []any{"Their_Setting"}, "connectionStringNames": nil,
		"azureStorageConfigNames": []any{"mount"}, "later": armtest.Object{"a": 1.0}}})
	return s
}

func sticky(resource, name string) connection.Facet {
	return connection.Facet{Key: connection.Key{Kind: connection.KindSticky, Resource: resource, Name: name}, Want: connection.Attrs{}}
}

func TestStickyDriver(t *testing.T) {
	t.Parallel()
	for name, resource := range map[string]string{"setting": site, "connection string": site + "/config/connectionstrings"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			drivertest.Run(t, drivertest.Case{Make: func(t *testing.T) drivertest.World {
				s, other := newSticky(t), sticky(site, "OTHER")
				w := world(s, site, appservice.NewSticky(s.Client()), sticky(resource, "SHOP"), &other)
				w.Look = func() any { return armtest.Object{"names": lists(s), "site": s.Doc(site)} }
				return w
			}})
		})
	}
}

// lists are the members that name something: an absent one and null are the same.
func lists(s *armtest.Server) armtest.Object {
	out := armtest.Object{}
	for name, v := range s.Doc(site + stickyNames)["properties"].(armtest.Object) {
		if v != nil {
			out[name] = v
		}
	}
	return out
}

func TestStickyNamesOfOthersAreKept(t *testing.T) {
	t.Parallel()
	s := newSticky(t)
	d := appservice.NewSticky(s.Client())
	states := drivertest.Apply(t, d, plan.Create, sticky(site, "A"), sticky(site, "THEIR_SETTING"), sticky(site+"/config/connectionstrings", "A"))
	if s.Writes() != 1 {
		t.Errorf("%d writes", s.Writes())
	}
	want := armtest.Object{"appSettingNames": []any{"Their_Setting", "A"}, "connectionStringNames": []any{"A"},
		"azureStorageConfigNames": []any{"mount"}, "later": armtest.Object{"a": 1.0}}
	if d := cmp.Diff(want, lists(s)); d != "" {
		t.Error(d)
	}
	if states[1].Spelling != "Their_Setting" || states[0].Spelling != "" {
		t.Errorf("spellings %q, %q", states[0].Spelling, states[1].Spelling)
	}
}

// TestStickyWriteLost: a list that somebody replaced meanwhile is no success.
func TestStickyWriteLost(t *testing.T) {
	t.Parallel()
	deaf := armtest.New(t, armtest.Type{Name: "Microsoft.Web/sites", Versions: []string{api}},
		armtest.Type{Name: "Microsoft.Web/sites/config", Versions: []string{api}, Put: func(_ string, _, after armtest.Object) error {
			after["properties"] = armtest.Object{"appSettingNames": []any{"somebody else's"}}
			return nil
		}})
	deaf.Set(site, armtest.Object{})
	deaf.Set(site+stickyNames, armtest.Object{"properties": armtest.Object{}})
	_, err := drivertest.TryApply(t, appservice.NewSticky(deaf.Client()), plan.Create, sticky(site, "A"))
	var p *problem.Error
	if !errors.As(err, &p) || p.Code != problem.WriteLost {
		t.Errorf("a lost write gave %v", err)
	}
}

func TestStickyOf(t *testing.T) {
	t.Parallel()
	for source, want := range map[string]string{site: "", slot: site, "nonsense": "", site + "/slots": "", "": ""} {
		if got := appservice.StickyOf(source); got != want {
			t.Errorf("%q: %q, want %q", source, got, want)
		}
	}
}
