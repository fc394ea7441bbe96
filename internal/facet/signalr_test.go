package facet_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/patchbay/patchbay/internal/arm/armtest"
	"github.com/patchbay/patchbay/internal/connection"
	"github.com/patchbay/patchbay/internal/engine"
	"github.com/patchbay/patchbay/internal/engine/drivertest"
	"github.com/patchbay/patchbay/internal/facet"
	"github.com/patchbay/patchbay/internal/plan"
	"github.com/patchbay/patchbay/internal/problem"
)

const (
	hubs     = group + "/providers/Microsoft.SignalRService/SignalR/hubsone"
	aiOne    = group + "/providers/Microsoft.CognitiveServices/accounts/aione"
	database = group + "/providers/Microsoft.Cache/redisEnterprise/clusterone/databases/default"
)

var (
	_ engine.Driver = (*facet.AddressRules)(nil)
	_ engine.Driver = (*facet.RedisEnterpriseAccess)(nil)
)

// newHubs is a SignalR service whose rules are value and action, such as "192.0.2.5 Allow".
func newHubs(t *testing.T, rules ...string) *armtest.Server {
	s := armtest.New(t, armtest.Type{Name: "Microsoft.SignalRService/SignalR", Versions: []string{"2024-03-01"}, Async: armtest.Async202})
	list := []any{}
	for _, r := range rules {
		value, action, _ := strings.Cut(r, " ")
		list = append(list, armtest.Object{"value": value, "action": action})
	}
	s.Set(hubs, armtest.Object{"properties": armtest.Object{"disableLocalAuth": false, "networkACLs": armtest.Object{
		"defaultAction": "Deny", "publicNetwork": armtest.Object{"allow": []any{"RESTAPI"}}, "privateEndpoints": []any{}, "ipRules": list}}})
	return s
}

func newAI(t *testing.T) *armtest.Server {
	s := armtest.New(t, armtest.Type{Name: "Microsoft.CognitiveServices/accounts", Versions: []string{"2025-09-01"},
		Patch: func(_ string, _, after armtest.Object) error {
			acls := after["properties"].(armtest.Object)["networkAcls"].(armtest.Object)
			for _, r := range acls["virtualNetworkRules"].([]any) {
				r.(map[string]any)["state"] = "Succeeded"
			}
			return nil
		}})
	s.Set(aiOne, armtest.Object{"properties": armtest.Object{"networkAcls": armtest.Object{
		"defaultAction": "Deny", "ipRules": []any{armtest.Object{"value": "192.0.2.5"}},
		"virtualNetworkRules": []any{armtest.Object{"id": "/subnet", "state": "Succeeded"}}}}})
	return s
}

func newDatabase(t *testing.T) *armtest.Server {
	s := armtest.New(t,
		armtest.Type{Name: "Microsoft.Cache/redisEnterprise/databases", Versions: []string{"2025-07-01"}, Async: armtest.Async202},
		armtest.Type{Name: "Microsoft.Cache/redisEnterprise/databases/accessPolicyAssignments", Versions: []string{"2025-07-01"}, Async: armtest.Async201,
			Put: func(resource string, _, _ armtest.Object) error {
				if name := resource[strings.LastIndex(resource, "/")+1:]; strings.Trim(name, "abcdefghijklmnopqrstuvwxyz0123456789") != "" || len(name) > 60 {
					return &armtest.Refusal{Status: 400, Code: "InvalidResourceName", Message: name}
				}
				return nil
			}})
	s.Set(database, armtest.Object{"properties": armtest.Object{"port": 10000}})
	s.Set(database+"/accessPolicyAssignments/theirs", assigned(stranger))
	return s
}

func assigned(principal string) armtest.Object {
	return armtest.Object{"properties": armtest.Object{"accessPolicyName": "default", "user": armtest.Object{"objectId": principal}}}
}

func databaseFacet(name, principal string) connection.Facet {
	return facetOf(connection.KindAccess, database, name, map[string]string{connection.AttrPolicy: "default", connection.AttrPrincipalID: principal})
}

func TestDriversOfServices(t *testing.T) {
	t.Parallel()
	for name, makes := range map[string]func(*testing.T) drivertest.World{
		"signalr firewall": func(t *testing.T) drivertest.World {
			s := newHubs(t, "192.0.2.5 Allow")
			other := wall(hubs, "two", "203.0.113.0", "203.0.113.255")
			return onARM(s, hubs, facet.NewSignalRFirewall(s.Client()), wall(hubs, "one", "198.51.100.6", "198.51.100.9"), &other)
		},
		"cognitive firewall": func(t *testing.T) drivertest.World {
			s := newAI(t)
			other := wall(aiOne, "two", "203.0.113.0", "203.0.113.255")
			return onARM(s, aiOne, facet.NewCognitiveFirewall(s.Client()), wall(aiOne, "one", "198.51.100.6", "198.51.100.9"), &other)
		},
		"redis enterprise access": func(t *testing.T) drivertest.World {
			s := newDatabase(t)
			other := databaseFacet("patchbay_other name", tenant)
			w := onARM(s, database, facet.NewRedisEnterpriseAccess(s.Client()), databaseFacet("patchbay-abc", principal), &other)
			return changing(w, databaseFacet("patchbay-abc", uid))
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			drivertest.Run(t, drivertest.Case{Make: makes})
		})
	}
}

// rulesOf prints a service's address rules in order.
func rulesOf(s *armtest.Server, resource, member string) string {
	acls := s.Doc(resource)["properties"].(map[string]any)[member].(map[string]any)
	var out []string
	for _, r := range acls["ipRules"].([]any) {
		m := r.(map[string]any)
		out = append(out, strings.TrimSpace(fmt.Sprint(m["value"], " ", m["action"])))
	}
	return strings.Join(out, ", ")
}

// The first rule that holds an address counts: ours goes before what would shadow it,
// is not written where the address gets through, and leaves the rest in its order.
func TestRulesHaveAnOrder(t *testing.T) {
	t.Parallel()
	one := wall(hubs, "one", "198.51.100.7", "198.51.100.7")
	for name, c := range map[string]struct {
		before []string
		found  bool
		after  string
	}{
		"another allowed":      {[]string{"192.0.2.5 Allow"}, false, "192.0.2.5 Allow, 198.51.100.7 Allow"},
		"everything allowed":   {[]string{"0.0.0.0/0 Allow", "::/0 Allow"}, true, "0.0.0.0/0 Allow, ::/0 Allow"},
		"denied, then allowed": {[]string{"198.51.100.0/24 Deny", "0.0.0.0/0 Allow"}, false, "198.51.100.7 Allow, 198.51.100.0/24 Deny, 0.0.0.0/0 Allow"},
		"allowed, then denied": {[]string{"198.51.100.0/24 Allow", "0.0.0.0/0 Deny"}, true, "198.51.100.0/24 Allow, 0.0.0.0/0 Deny"},
		"all denied":           {[]string{"192.0.2.5 Allow", "0.0.0.0/0 Deny"}, false, "192.0.2.5 Allow, 198.51.100.7 Allow, 0.0.0.0/0 Deny"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newHubs(t, c.before...)
			d := facet.NewSignalRFirewall(s.Client())
			if got := drivertest.Observe(t, d, one)[0].Exists; got != c.found {
				t.Errorf("let in before: %v", got)
			}
			drivertest.Apply(t, d, plan.Create, one)
			if got := rulesOf(s, hubs, "networkACLs"); got != c.after {
				t.Errorf("rules %s, want %s", got, c.after)
			}
			if !c.found {
				drivertest.Apply(t, d, plan.Remove, one)
			}
			if got := rulesOf(s, hubs, "networkACLs"); got != strings.Join(c.before, ", ") {
				t.Errorf("rules after removal %s", got)
			}
		})
	}
}

func TestHubsDefaultFlips(t *testing.T) {
	t.Parallel()
	one := wall(hubs, "one", "198.51.100.7", "198.51.100.7")
	s := newHubs(t)
	if _, err := drivertest.TryApply(t, facet.NewSignalRFirewall(s.Client()), plan.Create, one); !problem.Is(err, problem.DefaultFlip) {
		t.Errorf("adding the first rule: %v", err)
	}
	if s.Writes() != 0 {
		t.Error("something was written")
	}
	s = newHubs(t, "198.51.100.7 Allow")
	if _, err := drivertest.TryApply(t, facet.NewSignalRFirewall(s.Client()), plan.Remove, one); !problem.Is(err, problem.DefaultFlip) {
		t.Errorf("removing the last rule: %v", err)
	}
}

// What is sent holds what the service's type knows: no action in an account's rules, no
// state in its subnets, and everything that stands beside the rules.
func TestAccountRulesAreSentWhole(t *testing.T) {
	t.Parallel()
	s := newAI(t)
	drivertest.Apply(t, facet.NewCognitiveFirewall(s.Client()), plan.Create, wall(aiOne, "one", "198.51.100.7", "198.51.100.7"))
	i := slices.IndexFunc(s.Requests(), func(r armtest.Request) bool { return r.Method == "PATCH" })
	var sent struct{ Properties map[string]armtest.Object }
	if err := json.Unmarshal(s.Requests()[i].Body, &sent); err != nil {
		t.Fatal(err)
	}
	got, _ := json.Marshal(sent.Properties["networkAcls"])
	if want := `{"defaultAction":"Deny","ipRules":[{"value":"192.0.2.5"},{"value":"198.51.100.7"}],"virtualNetworkRules":[{"id":"/subnet"}]}`; string(got) != want {
		t.Errorf("sent %s, want %s", got, want)
	}
}

func TestDatabaseAccessFoundUnderAnotherName(t *testing.T) {
	t.Parallel()
	s := newDatabase(t)
	d := facet.NewRedisEnterpriseAccess(s.Client())
	f := databaseFacet("patchbay-abc", stranger)
	if state := drivertest.Observe(t, d, f)[0]; !drivertest.Matches(f, state) {
		t.Errorf("state %+v", state)
	}
	drivertest.Apply(t, d, plan.Create, f)
	if s.Writes() != 0 {
		t.Error("something was written")
	}
}
