package facet_test

import (
	"encoding/json"
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
	space   = group + "/providers/Microsoft.EventHub/namespaces/hubs"
	ruleSet = space + "/networkRuleSets/default"
)

var _ engine.Driver = (*facet.RuleSetFirewall)(nil)

// newRuleSet is a rule set that a PUT replaces whole.
func newRuleSet(t *testing.T, rules, subnets []any) *armtest.Server {
	s := armtest.New(t, armtest.Type{Name: "Microsoft.EventHub/namespaces/networkRuleSets", Versions: []string{"2024-01-01"}})
	s.Set(space, armtest.Object{})
	s.Set(ruleSet, armtest.Object{"properties": armtest.Object{"defaultAction": "Deny", "trustedServiceAccessEnabled": true,
		"publicNetworkAccess": "Enabled", "ipRules": rules, "virtualNetworkRules": subnets}})
	return s
}

func mask(text string) any { return armtest.Object{"ipMask": text, "action": "Allow"} }

func subnetRule() any {
	return armtest.Object{"subnet": armtest.Object{"id": "/subnet"}, "ignoreMissingVnetServiceEndpoint": true}
}

func TestRuleSetDriver(t *testing.T) {
	t.Parallel()
	drivertest.Run(t, drivertest.Case{Make: func(t *testing.T) drivertest.World {
		s := newRuleSet(t, []any{mask("192.0.2.5")}, []any{subnetRule()})
		other := wall(ruleSet, "two", "203.0.113.0", "203.0.113.255")
		return onARM(s, space, facet.NewEventHubsFirewall(s.Client()), wall(ruleSet, "one", "198.51.100.6", "198.51.100.9"), &other)
	}})
}

func TestRuleSetSendsNeighboursBack(t *testing.T) {
	t.Parallel()
	s := newRuleSet(t, []any{mask("192.0.2.5")}, []any{subnetRule()})
	drivertest.Apply(t, facet.NewEventHubsFirewall(s.Client()), plan.Create, wall(ruleSet, "one", "198.51.100.7", "198.51.100.7"))
	i := slices.IndexFunc(s.Requests(), func(r armtest.Request) bool { return r.Method == "PUT" })
	var sent struct{ Properties armtest.Object }
	if err := json.Unmarshal(s.Requests()[i].Body, &sent); err != nil {
		t.Fatal(err)
	}
	p := sent.Properties
	if p["defaultAction"] != "Deny" || p["trustedServiceAccessEnabled"] != true || len(p["virtualNetworkRules"].([]any)) != 1 || len(p["ipRules"].([]any)) != 2 {
		t.Errorf("sent %s", s.Requests()[i].Body)
	}
}

// A set without any rule lets everybody in: it is left alone, and the last rule stays.
func TestRuleSetDefaultFlips(t *testing.T) {
	t.Parallel()
	ours := wall(ruleSet, "one", "198.51.100.7", "198.51.100.7")
	open := newRuleSet(t, []any{}, []any{})
	d := facet.NewEventHubsFirewall(open.Client())
	if state := drivertest.Observe(t, d, ours)[0]; !state.Exists || !strings.Contains(state.Why, "everybody") {
		t.Errorf("state %+v", state)
	}
	basis, err := d.Read(t.Context(), []connection.Facet{ours})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := d.Write(t.Context(), basis, []plan.Change{{Facet: ours, Action: plan.Create}}); !problem.Is(err, problem.DefaultFlip) {
		t.Errorf("adding the first rule: %v", err)
	}
	last := newRuleSet(t, []any{mask("198.51.100.7/32")}, []any{})
	if _, err := drivertest.TryApply(t, facet.NewEventHubsFirewall(last.Client()), plan.Remove, ours); !problem.Is(err, problem.DefaultFlip) {
		t.Errorf("removing the last rule: %v", err)
	}
	if open.Writes()+last.Writes() != 0 {
		t.Error("something was written")
	}
	walled := newRuleSet(t, []any{}, []any{subnetRule()})
	if state := drivertest.Observe(t, facet.NewEventHubsFirewall(walled.Client()), ours)[0]; state.Exists {
		t.Error("a set with a rule for a subnet lets everybody in")
	}
	drivertest.Apply(t, facet.NewEventHubsFirewall(walled.Client()), plan.Create, ours)
	drivertest.Apply(t, facet.NewEventHubsFirewall(walled.Client()), plan.Remove, ours)
}

// A writer that replaces the set in the same moment is noticed.
func TestRuleSetLost(t *testing.T) {
	t.Parallel()
	s := armtest.New(t, armtest.Type{Name: "Microsoft.EventHub/namespaces/networkRuleSets", Versions: []string{"2024-01-01"},
		Put: func(_ string, before, after armtest.Object) error {
			after["properties"] = before["properties"]
			return nil
		}})
	s.Set(space, armtest.Object{})
	s.Set(ruleSet, armtest.Object{"properties": armtest.Object{"defaultAction": "Deny", "ipRules": []any{mask("192.0.2.5")}}})
	if _, err := drivertest.TryApply(t, facet.NewEventHubsFirewall(s.Client()), plan.Create, wall(ruleSet, "one", "198.51.100.7", "198.51.100.7")); !problem.Is(err, problem.WriteLost) {
		t.Errorf("got %v", err)
	}
}
