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
)

const keyVault = group + "/providers/Microsoft.KeyVault/vaults/vaultone"

// newVault is a fake ARM with a vault of others: its policies merge on the server.
func newVault(t *testing.T) *armtest.Server {
	var s *armtest.Server
	s = armtest.New(t,
		armtest.Type{Name: "Microsoft.KeyVault/vaults", Versions: []string{"2024-11-01"}},
		armtest.Type{Name: "Microsoft.KeyVault/vaults/accessPolicies", Versions: []string{"2024-11-01"}, Put: func(resource string, _, after armtest.Object) error {
			changePolicies(s.DocsUnlocked()[strings.ToLower(keyVault)], resource[strings.LastIndex(resource, "/")+1:], after)
			return nil
		}})
	s.Set(keyVault, armtest.Object{"properties": armtest.Object{
		"tenantId":    tenant,
		"networkAcls": armtest.Object{"defaultAction": "Deny", "bypass": "None", "ipRules": []any{armtest.Object{"value": "192.0.2.7/32"}}, "virtualNetworkRules": []any{armtest.Object{"id": "/subnet"}}},
		"accessPolicies": []any{
			armtest.Object{"tenantId": tenant, "objectId": stranger, "permissions": armtest.Object{"secrets": []any{"get"}}},
			armtest.Object{"tenantId": tenant, "objectId": principal, "permissions": armtest.Object{"secrets": []any{"backup"}, "keys": []any{"sign"}}},
		}}})
	return s
}

// changePolicies does what the service does: it adds to, or takes from, the entry of one principal.
func changePolicies(vault armtest.Object, kind string, body armtest.Object) {
	properties := vault["properties"].(armtest.Object)
	list := properties["accessPolicies"].([]any)
	given := body["properties"].(armtest.Object)["accessPolicies"].([]any)[0].(armtest.Object)
	words := given["permissions"].(armtest.Object)["secrets"].([]any)
	at := slices.IndexFunc(list, func(e any) bool { return e.(armtest.Object)["objectId"] == given["objectId"] })
	if at < 0 {
		properties["accessPolicies"] = append(list, given)
		return
	}
	rights := list[at].(armtest.Object)["permissions"].(armtest.Object)
	have, _ := rights["secrets"].([]any)
	have = slices.DeleteFunc(slices.Clone(have), func(w any) bool { return slices.Contains(words, w) })
	if kind == "add" {
		have = append(have, words...)
	}
	rights["secrets"] = have
}

func vaultAccess(policy string) connection.Facet {
	return facetOf(connection.KindAccess, keyVault, "patchbay-abc", map[string]string{connection.AttrPolicy: policy, connection.AttrPrincipalID: principal})
}

func vaultAccessWorld(t *testing.T) drivertest.World {
	s := newVault(t)
	w := onARM(s, keyVault, facet.NewVaultAccess(s.Client()), vaultAccess("get, list"), nil)
	w.Look = func() any { return s.Doc(keyVault) }
	return w
}

func vaultFirewallWorld(t *testing.T) drivertest.World {
	s := newVault(t)
	other := wall(keyVault, "two", "203.0.113.0", "203.0.113.255")
	return onARM(s, keyVault, facet.NewVaultFirewall(s.Client()), wall(keyVault, "one", "198.51.100.7", "198.51.100.7"), &other)
}

// secretsOf are the permissions on secrets that a vault's entry for our principal gives.
func secretsOf(s *armtest.Server) string {
	var words []string
	for _, e := range s.Doc(keyVault)["properties"].(armtest.Object)["accessPolicies"].([]any) {
		if one := e.(armtest.Object); one["objectId"] == principal {
			for _, w := range one["permissions"].(armtest.Object)["secrets"].([]any) {
				words = append(words, w.(string))
			}
		}
	}
	return strings.Join(words, ",")
}

// TestVaultAccessTakesOnlyWhatItGave: what the entry had before, and what it got since,
// stays when ours goes.
func TestVaultAccessTakesOnlyWhatItGave(t *testing.T) {
	t.Parallel()
	s := newVault(t)
	d := facet.NewVaultAccess(s.Client())
	want := vaultAccess("backup, get, list")
	state := drivertest.Apply(t, d, plan.Create, want)[0]
	if got := secretsOf(s); got != "backup,get,list" {
		t.Fatalf("granted: %s", got)
	}
	remove := plan.Change{Facet: want, Action: plan.Remove, Was: state.Outputs}
	basis, err := d.Read(t.Context(), []connection.Facet{want})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := d.Write(t.Context(), basis, []plan.Change{remove}); err != nil {
		t.Fatal(err)
	}
	if got := secretsOf(s); got != "backup" {
		t.Errorf("left: %s", got)
	}
}

var (
	_ engine.Driver  = (*facet.VaultAccess)(nil)
	_ engine.Driver  = (*facet.VaultFirewall)(nil)
	_ engine.Driver  = (*facet.Secret)(nil)
	_ engine.Driver  = (*facet.ConfigKey)(nil)
	_ engine.Awaiter = (*facet.Secret)(nil)
	_ engine.Awaiter = (*facet.ConfigKey)(nil)
)

// TestVaultDrivers holds the drivers of vaults and stores to the contract.
func TestVaultDrivers(t *testing.T) {
	t.Parallel()
	for name, makes := range map[string]func(*testing.T) drivertest.World{
		"vault access": vaultAccessWorld, "vault firewall": vaultFirewallWorld, "secret": secretWorld, "config key": configKeyWorld,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			drivertest.Run(t, drivertest.Case{Make: makes})
		})
	}
}
