package appservice_test

import (
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/patchbay/patchbay/internal/arm/armtest"
	"github.com/patchbay/patchbay/internal/compute/appservice"
	"github.com/patchbay/patchbay/internal/connection"
	"github.com/patchbay/patchbay/internal/engine"
	"github.com/patchbay/patchbay/internal/engine/drivertest"
	"github.com/patchbay/patchbay/internal/plan"
	"github.com/patchbay/patchbay/internal/problem"
)

const (
	site     = "/subscriptions/00000000-0000-0000-0000-0000000000aa/resourceGroups/rg/providers/Microsoft.Web/sites/shop"
	slot     = site + "/slots/blue"
	theirs   = "/subscriptions/00000000-0000-0000-0000-0000000000aa/resourceGroups/rg/providers/Microsoft.ManagedIdentity/userAssignedIdentities/theirs"
	mine     = "/subscriptions/00000000-0000-0000-0000-0000000000aa/resourceGroups/rg/providers/Microsoft.ManagedIdentity/userAssignedIdentities/mine"
	settings = "/config/appsettings"
	api      = "2024-11-01"
)

var (
	_ engine.Driver = (*appservice.Setting)(nil)
	_ engine.Driver = (*appservice.Identity)(nil)
)

var soon = appservice.Patience{Limit: 5 * time.Second, Pause: time.Millisecond}

// newSite is a site and a slot whose identities get their principals as App
// Service gives them: a new one each time, and not with the answer already.
func newSite(t *testing.T) *armtest.Server {
	config := armtest.Type{Versions: []string{api}, ListedOnly: true, Put: onlyStrings,
		Actions: map[string]func(string, armtest.Object) any{"list": func(_ string, doc armtest.Object) any { return doc }}}
	configSite, configSlot := config, config
	configSite.Name, configSlot.Name = "Microsoft.Web/sites/config", "Microsoft.Web/sites/slots/config"
	var serial atomic.Int32
	patch := func(_ string, _, after armtest.Object) error { identify(after, &serial); return nil }
	s := armtest.New(t,
		armtest.Type{Name: "Microsoft.Web/sites", Versions: []string{api}, Patch: patch},
		armtest.Type{Name: "Microsoft.Web/sites/slots", Versions: []string{api}, Patch: patch},
		configSite, configSlot)
	for _, one := range []string{site, slot} {
		s.Set(one, armtest.Object{"kind": "app,linux", "location": "westeurope", "tags": armtest.Object{"owner": "them"},
			"identity": armtest.Object{"type": "UserAssigned", "userAssignedIdentities": armtest.Object{theirs: armtest.Object{"principalId": "p", "clientId": "c"}}},
			"properties": armtest.Object{"state": "Running", "defaultHostName": "shop.test", "reserved": true,
				"outboundIpAddresses": "192.0.2.1,192.0.2.2", "possibleOutboundIpAddresses": "192.0.2.2, 192.0.2.3"}})
		s.Set(one+settings, armtest.Object{"properties": armtest.Object{"FOREIGN": "1", "Mixed_Case": "2"}})
	}
	return s
}

func onlyStrings(_ string, _, after armtest.Object) error {
	names := map[string]bool{}
	for name, value := range after["properties"].(armtest.Object) {
		if _, ok := value.(string); !ok || names[strings.ToLower(name)] {
			return &armtest.Refusal{Status: http.StatusConflict, Code: "Conflict", Message: name}
		}
		names[strings.ToLower(name)] = true
	}
	return nil
}

func identify(doc armtest.Object, serial *atomic.Int32) {
	i := doc["identity"].(armtest.Object)
	kinds := i["type"].(string)
	if !strings.Contains(kinds, "SystemAssigned") {
		delete(i, "principalId")
		delete(i, "tenantId")
	} else if i["principalId"] == nil {
		i["principalId"], i["tenantId"] = "principal-"+string('0'+rune(serial.Add(1))), "tenant"
	}
	users, _ := i["userAssignedIdentities"].(armtest.Object)
	for _, u := range users {
		u.(armtest.Object)["principalId"], u.(armtest.Object)["clientId"] = "p", "c"
	}
	if !strings.Contains(kinds, "UserAssigned") {
		delete(i, "userAssignedIdentities")
	}
}

func setting(resource, name, value string) connection.Facet {
	return connection.Facet{Key: connection.Key{Kind: connection.KindSetting, Resource: resource, Name: name},
		Want: connection.Attrs{connection.AttrValue: connection.Hidden(value)}}
}

func identity(name string) connection.Facet {
	return connection.Facet{Key: connection.Key{Kind: connection.KindIdentity, Resource: site, Name: name}, Want: connection.Attrs{}}
}

func world(s *armtest.Server, resource string, d engine.Driver, f connection.Facet, other *connection.Facet) drivertest.World {
	return drivertest.World{
		Driver: d, Facet: f, Other: other, Look: func() any { return s.Snapshot() }, Writes: s.Writes,
		Vanish: func() { s.Remove(resource) },
		Refuse: func() {
			s.Fail(armtest.Fault{Status: http.StatusForbidden, Code: "AuthorizationFailed", Message: "no"})
		},
	}
}

func TestDrivers(t *testing.T) {
	t.Parallel()
	for name, makes := range map[string]func(*testing.T) drivertest.World{
		"setting": func(t *testing.T) drivertest.World {
			s, other := newSite(t), setting(site, "SHOP_PORT", "5432")
			w, changed := world(s, site, appservice.NewSetting(s.Client()), setting(site, "SHOP_HOST", "db.test"), &other), setting(site, "SHOP_HOST", "other.test")
			w.Changed = &changed
			return w
		},
		"setting of a slot": func(t *testing.T) drivertest.World {
			s := newSite(t)
			return world(s, slot, appservice.NewSetting(s.Client()), setting(slot, "SHOP_HOST", "db.test"), nil)
		},
		"setting that replaces one in another case": func(t *testing.T) drivertest.World {
			s := newSite(t)
			return world(s, site, appservice.NewSetting(s.Client()), setting(site, "MIXED_CASE", "new"), nil)
		},
		"system identity": func(t *testing.T) drivertest.World {
			s, other := newSite(t), identity(mine)
			return world(s, site, appservice.NewIdentity(s.Client(), soon), identity(appservice.SystemIdentity), &other)
		},
		"user identity": func(t *testing.T) drivertest.World {
			s := newSite(t)
			return world(s, site, appservice.NewIdentity(s.Client(), soon), identity(mine), nil)
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			drivertest.Run(t, drivertest.Case{Make: makes})
		})
	}
}

func values(s *armtest.Server) armtest.Object {
	return s.Doc(site + settings)["properties"].(armtest.Object)
}

func TestSettingsAreWrittenOnceForAll(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	d := appservice.NewSetting(s.Client())
	states := drivertest.Apply(t, d, plan.Create, setting(site, "A", "1"), setting(site, "B", "2"), setting(site, "mixed_case", "3"))
	if s.Writes() != 1 {
		t.Errorf("%d writes", s.Writes())
	}
	if want := (armtest.Object{"FOREIGN": "1", "Mixed_Case": "3", "A": "1", "B": "2"}); !cmp.Equal(values(s), want) {
		t.Errorf("settings %v", values(s))
	}
	if states[2].Spelling != "Mixed_Case" || states[0].Spelling != "" {
		t.Errorf("states %+v", states)
	}
}

func TestSettingComesBackUnderItsOldName(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	d := appservice.NewSetting(s.Client())
	f := setting(site, "MIXED_CASE", "new")
	before := drivertest.Observe(t, d, f)[0]
	for name, change := range map[string]plan.Change{
		"restored": {Facet: f, Action: plan.Remove, Restore: &before},
		"put back": {Facet: setting(site, "MIXED_CASE", "2"), Action: plan.Update, Before: before},
	} {
		s.Set(site+settings, armtest.Object{"properties": armtest.Object{"FOREIGN": "1"}})
		basis, err := d.Read(t.Context(), []connection.Facet{f})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := d.Write(t.Context(), basis, []plan.Change{change}); err != nil {
			t.Fatal(err)
		}
		if want := (armtest.Object{"FOREIGN": "1", "Mixed_Case": "2"}); !cmp.Equal(values(s), want) {
			t.Errorf("%s: settings %v", name, values(s))
		}
	}
}

func TestSettingValuesAreHidden(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	d := appservice.NewSetting(s.Client())
	f := setting(site, "FOREIGN", "other")
	f.Want[connection.AttrValue] = connection.Plain("other")
	if v := drivertest.Observe(t, d, f)[0].Attrs[connection.AttrValue]; !v.Secret || v.Text != "1" {
		t.Errorf("a value of somebody else is %+v", v)
	}
	f.Want[connection.AttrValue] = connection.Plain("1")
	if v := drivertest.Observe(t, d, f)[0].Attrs[connection.AttrValue]; v.Secret {
		t.Errorf("a value wanted in the open is %+v", v)
	}
}

// Another writer replaces the dictionary between our write and our look.
func TestSettingLost(t *testing.T) {
	t.Parallel()
	s := armtest.New(t, armtest.Type{Name: "Microsoft.Web/sites", Versions: []string{api}},
		armtest.Type{Name: "Microsoft.Web/sites/config", Versions: []string{api},
			Actions: map[string]func(string, armtest.Object) any{"list": func(_ string, doc armtest.Object) any { return doc }},
			Put: func(_ string, before, after armtest.Object) error {
				after["properties"] = before["properties"]
				return nil
			}})
	s.Set(site, armtest.Object{})
	s.Set(site+settings, armtest.Object{"properties": armtest.Object{"FOREIGN": "1"}})
	d := appservice.NewSetting(s.Client())
	_, err := drivertest.TryApply(t, d, plan.Create, setting(site, "A", "canary"))
	if !problem.Is(err, problem.WriteLost) || strings.Contains(err.Error(), "canary") {
		t.Errorf("got %v", err)
	}
}

func TestSettingOfAMissingSite(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.Remove(site)
	if _, err := drivertest.TryApply(t, appservice.NewSetting(s.Client()), plan.Create, setting(site, "A", "1")); !problem.Is(err, problem.SourceNotFound) {
		t.Errorf("got %v", err)
	}
}

// Each row is a change of identities and the type that is sent for it.
func TestIdentityUnion(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		name   string
		before string
		users  []string
		on     []string
		off    []string
		want   string
	}{
		{"system beside user", "UserAssigned", []string{theirs}, []string{"system"}, nil, "SystemAssigned, UserAssigned"},
		{"system alone", "", nil, []string{"system"}, nil, "SystemAssigned"},
		{"system off, user stays", "SystemAssigned, UserAssigned", []string{theirs}, nil, []string{"system"}, "UserAssigned"},
		{"separator without a space", "SystemAssigned,UserAssigned", []string{theirs}, nil, []string{"system"}, "UserAssigned"},
		{"the last one goes", "SystemAssigned", nil, nil, []string{"system"}, "None"},
		{"the last user goes", "UserAssigned", []string{mine}, nil, []string{strings.ToUpper(mine)}, "None"},
		{"user beside system", "SystemAssigned", nil, []string{mine}, nil, "SystemAssigned, UserAssigned"},
		{"one user of two goes", "UserAssigned", []string{mine, theirs}, nil, []string{mine}, "UserAssigned"},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			s := newSite(t)
			doc := armtest.Object{"type": row.before}
			users := armtest.Object{}
			for _, u := range row.users {
				users[u] = armtest.Object{"principalId": "p"}
			}
			if len(users) > 0 {
				doc["userAssignedIdentities"] = users
			}
			s.Set(site, armtest.Object{"identity": doc})
			d := appservice.NewIdentity(s.Client(), soon)
			for _, name := range row.on {
				if state := drivertest.Apply(t, d, plan.Create, identity(name))[0]; !state.Exists || state.Outputs[connection.OutPrincipalID] == "" {
					t.Errorf("state %+v", state)
				}
			}
			for _, name := range row.off {
				drivertest.Apply(t, d, plan.Remove, identity(name))
			}
			if got := s.Doc(site)["identity"].(armtest.Object)["type"]; got != row.want {
				t.Errorf("type %v, want %s", got, row.want)
			}
			for _, u := range row.users {
				kept, _ := s.Doc(site)["identity"].(armtest.Object)["userAssignedIdentities"].(armtest.Object)
				if u == theirs && kept[u] == nil {
					t.Errorf("%s is gone", u)
				}
			}
		})
	}
}

// A principal id that never comes is an error, not an empty output.
func TestIdentityWithoutPrincipal(t *testing.T) {
	t.Parallel()
	s := armtest.New(t, armtest.Type{Name: "Microsoft.Web/sites", Versions: []string{api}})
	s.Set(site, armtest.Object{})
	d := appservice.NewIdentity(s.Client(), appservice.Patience{Limit: 30 * time.Millisecond, Pause: time.Millisecond})
	if _, err := drivertest.TryApply(t, d, plan.Create, identity(appservice.SystemIdentity)); !problem.Is(err, problem.WriteLost) {
		t.Errorf("got %v", err)
	}
}

func TestIdentityRights(t *testing.T) {
	t.Parallel()
	d := appservice.NewIdentity(nil, soon)
	if got := d.Rights(identity(mine)); len(got) != 4 || got[2].Scope != mine || got[3].Scope != mine {
		t.Errorf("rights %+v", got)
	}
	slotted := identity(appservice.SystemIdentity)
	slotted.Resource = slot
	if got := d.Rights(slotted); len(got) != 2 || got[1].Action != "Microsoft.Web/sites/slots/write" {
		t.Errorf("rights %+v", got)
	}
}

func TestSource(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	reader := appservice.NewSources(s.Client())
	for _, one := range []string{site, slot} {
		got, err := reader.Source(t.Context(), one)
		if err != nil {
			t.Fatal(err)
		}
		if got.Type.Name != "webapp" || got.State != "Running" || !got.Linux || got.HostName != "shop.test" || got.Location != "westeurope" ||
			!cmp.Equal(got.Outbound, []string{"192.0.2.1", "192.0.2.2", "192.0.2.3"}) {
			t.Errorf("source %+v", got)
		}
	}
	if _, err := reader.Source(t.Context(), site+"x"); !problem.Is(err, problem.SourceNotFound) {
		t.Errorf("got %v", err)
	}
}

func TestRuntime(t *testing.T) {
	t.Parallel()
	for want, properties := range map[string]armtest.Object{
		"PYTHON|3.11": {"linuxFxVersion": "PYTHON|3.11", "netFrameworkVersion": "v4.0"},
		"JAVA|17":     {"javaVersion": "17", "netFrameworkVersion": "v4.0"},
		"DOTNET|v8.0": {"netFrameworkVersion": "v8.0"},
		"":            {},
	} {
		s := armtest.New(t, armtest.Type{Name: "Microsoft.Web/sites", Versions: []string{api}}, armtest.Type{Name: "Microsoft.Web/sites/config", Versions: []string{api}})
		s.Set(site, armtest.Object{})
		s.Set(site+"/config/web", armtest.Object{"properties": properties})
		if got, err := appservice.NewSources(s.Client()).Runtime(t.Context(), site); err != nil || got != want {
			t.Errorf("runtime %q, %v, want %q", got, err, want)
		}
	}
}
