package facet_test

import (
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
	cosmosAccount = group + "/providers/Microsoft.DocumentDB/databaseAccounts/cosmosone"
	dataRole      = "Cosmos DB Built-in Data Contributor"
	readerRole    = "Cosmos DB Built-in Data Reader"
)

func newCosmos(t *testing.T) *armtest.Server {
	types := []armtest.Type{{Name: "Microsoft.DocumentDB/databaseAccounts", Versions: []string{"2025-10-15"}, Async: armtest.Async201}}
	for collection, version := range facet.CosmosAPIs() {
		types = append(types, armtest.Type{
			Name: "Microsoft.DocumentDB/databaseAccounts/" + collection, Versions: []string{version}, Async: armtest.Async202,
			Put: func(_ string, before, after armtest.Object) error {
				p := after["properties"].(armtest.Object)
				if before != nil && before["properties"].(armtest.Object)["principalId"] != p["principalId"] {
					return &armtest.Refusal{Status: 400, Code: "BadRequest", Message: "the principal cannot be changed"}
				}
				if definitions := strings.TrimSuffix(collection, "Assignments") + "Definitions/"; !strings.HasPrefix(p["roleDefinitionId"].(string), cosmosAccount+"/"+definitions) {
					return &armtest.Refusal{Status: 400, Code: "BadRequest", Message: "not a role of this API"}
				}
				return nil
			},
		})
	}
	s := armtest.New(t, types...)
	s.Set(cosmosAccount, armtest.Object{"properties": armtest.Object{"isVirtualNetworkFilterEnabled": false,
		"ipRules": []any{armtest.Object{"ipAddressOrRange": "192.0.2.5"}, armtest.Object{"ipAddressOrRange": "10.0.0.0/8"}}}})
	for collection := range facet.CosmosAPIs() {
		s.Set(cosmosAccount+"/"+collection+"/99999999-0000-0000-0000-000000000000", armtest.Object{"properties": armtest.Object{
			"roleDefinitionId": cosmosAccount + "/" + strings.TrimSuffix(collection, "Assignments") + "Definitions/00000000-0000-0000-0000-000000000001",
			"principalId":      stranger, "scope": cosmosAccount}})
	}
	return s
}

func dataAccess(collection, name, policy, who string) connection.Facet {
	return facetOf(connection.KindAccess, cosmosAccount+"/"+collection, name, map[string]string{connection.AttrPolicy: policy, connection.AttrPrincipalID: who})
}

// Every API's data roles, and the account's firewall, keep the drivers' contract.
func TestCosmosDrivers(t *testing.T) {
	t.Parallel()
	worlds := map[string]func(*testing.T) drivertest.World{
		"firewall": func(t *testing.T) drivertest.World {
			s := newCosmos(t)
			other := wall(cosmosAccount, "two", "203.0.113.0", "203.0.113.255")
			return onARM(s, cosmosAccount, facet.NewCosmosFirewall(s.Client()), wall(cosmosAccount, "one", "198.51.100.6", "198.51.100.9"), &other)
		},
	}
	for collection := range facet.CosmosAPIs() {
		worlds[collection] = func(t *testing.T) drivertest.World {
			s := newCosmos(t)
			other := dataAccess(collection, "patchbay-other", readerRole, tenant)
			w := onARM(s, cosmosAccount, facet.NewCosmosAccess(s.Client(), collection), dataAccess(collection, "patchbay-abc", dataRole, principal), &other)
			return changing(w, dataAccess(collection, "patchbay-abc", readerRole, principal))
		}
	}
	for name, makes := range worlds {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			drivertest.Run(t, drivertest.Case{Make: makes})
		})
	}
}

func TestCosmosAccessFoundUnderAnotherName(t *testing.T) {
	t.Parallel()
	s := newCosmos(t)
	d, f := facet.NewCosmosAccess(s.Client(), "sqlRoleAssignments"), dataAccess("sqlRoleAssignments", "patchbay-abc", readerRole, stranger)
	if state := drivertest.Observe(t, d, f)[0]; !drivertest.Matches(f, state) {
		t.Errorf("state %+v", state)
	}
	drivertest.Apply(t, d, plan.Create, f)
	if s.Writes() != 0 {
		t.Error("an assignment that is there was written")
	}
}

// A principal that was made anew gets an assignment of its own in the old one's place.
func TestCosmosAccessOfANewPrincipal(t *testing.T) {
	t.Parallel()
	s := newCosmos(t)
	d := facet.NewCosmosAccess(s.Client(), "tableRoleAssignments")
	drivertest.Apply(t, d, plan.Create, dataAccess("tableRoleAssignments", "patchbay-abc", dataRole, principal))
	want := dataAccess("tableRoleAssignments", "patchbay-abc", dataRole, tenant)
	if state := drivertest.Apply(t, d, plan.Update, want)[0]; !drivertest.Matches(want, state) {
		t.Errorf("state %+v", state)
	}
	if drivertest.Observe(t, d, dataAccess("tableRoleAssignments", "x", dataRole, principal))[0].Exists {
		t.Error("the old principal keeps its role")
	}
}

func TestCosmosAccessRefusesUnknownRoles(t *testing.T) {
	t.Parallel()
	s := newCosmos(t)
	_, err := drivertest.TryApply(t, facet.NewCosmosAccess(s.Client(), "sqlRoleAssignments"), plan.Create, dataAccess("sqlRoleAssignments", "x", "Owner", principal))
	if !problem.Is(err, problem.OptionUnsupported) || s.Writes() != 0 {
		t.Errorf("got %v after %d writes", err, s.Writes())
	}
}

// An account takes one write at a time and refuses others for a while.
func TestCosmosWaitsForOtherWrites(t *testing.T) {
	t.Parallel()
	s := newCosmos(t)
	s.Fail(armtest.Fault{Method: "PUT", Status: 412, Code: "PreconditionFailed", Message: "There is another user operation in progress.", Times: 2})
	f := dataAccess("sqlRoleAssignments", "patchbay-abc", dataRole, principal)
	drivertest.Apply(t, facet.NewCosmosAccess(s.Client(), "sqlRoleAssignments"), plan.Create, f)
}

func TestCosmosDefaultFlips(t *testing.T) {
	t.Parallel()
	s := newCosmos(t)
	d, rule := facet.NewCosmosFirewall(s.Client()), wall(cosmosAccount, "one", "198.51.100.7", "198.51.100.7")
	set := func(filtered bool, rules ...any) {
		s.Set(cosmosAccount, armtest.Object{"properties": armtest.Object{"isVirtualNetworkFilterEnabled": filtered, "ipRules": slices.Clone(rules)}})
	}
	set(false)
	if state := drivertest.Observe(t, d, rule)[0]; state.Exists || !strings.Contains(state.Why, "first") {
		t.Errorf("state %+v", state)
	}
	if _, err := drivertest.TryApply(t, d, plan.Create, rule); !problem.Is(err, problem.DefaultFlip) {
		t.Errorf("adding the first rule: %v", err)
	}
	set(false, armtest.Object{"ipAddressOrRange": "198.51.100.7"})
	if _, err := drivertest.TryApply(t, d, plan.Remove, rule); !problem.Is(err, problem.DefaultFlip) {
		t.Errorf("removing the last rule: %v", err)
	}
	if s.Writes() != 0 {
		t.Error("something was written")
	}
	set(true) // subnets keep it closed
	drivertest.Apply(t, d, plan.Create, rule)
	drivertest.Apply(t, d, plan.Remove, rule)
}

// A write that does not stick is told.
func TestCosmosFirewallSeesLostWrites(t *testing.T) {
	t.Parallel()
	s := armtest.New(t, armtest.Type{Name: "Microsoft.DocumentDB/databaseAccounts", Versions: []string{"2025-10-15"},
		Patch: func(_ string, before, after armtest.Object) error {
			after["properties"] = before["properties"]
			return nil
		}})
	s.Set(cosmosAccount, armtest.Object{"properties": armtest.Object{"ipRules": []any{armtest.Object{"ipAddressOrRange": "192.0.2.5"}}}})
	_, err := drivertest.TryApply(t, facet.NewCosmosFirewall(s.Client()), plan.Create, wall(cosmosAccount, "one", "198.51.100.7", "198.51.100.7"))
	if !problem.Is(err, problem.WriteLost) {
		t.Errorf("got %v", err)
	}
}

var (
	_ engine.Driver = (*facet.CosmosFirewall)(nil)
	_ engine.Driver = (*facet.CosmosAccess)(nil)
)
