package facet_test

import (
	"encoding/json"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/patchbay/patchbay/internal/arm/armtest"
	"github.com/patchbay/patchbay/internal/connection"
	"github.com/patchbay/patchbay/internal/engine/drivertest"
	"github.com/patchbay/patchbay/internal/facet"
	"github.com/patchbay/patchbay/internal/plan"
	"github.com/patchbay/patchbay/internal/problem"
)

func wall(resource, name, start, end string) connection.Facet {
	return facetOf(connection.KindFirewall, resource, name, map[string]string{connection.AttrStart: start, connection.AttrEnd: end})
}

func postgresFirewallWorld(t *testing.T) drivertest.World {
	s := newServer(t)
	other := wall(server, "patchbay_two", "203.0.113.1", "203.0.113.4")
	w := onARM(s, server, facet.NewPostgresFirewall(s.Client()), wall(server, "patchbay_one", "198.51.100.7", "198.51.100.7"), &other)
	return changing(w, wall(server, "patchbay_one", "198.51.100.7", "198.51.100.8"))
}

func redisFirewallWorld(t *testing.T) drivertest.World {
	s := newCache(t)
	other := wall(cache, "patchbay_two", "203.0.113.1", "203.0.113.4")
	w := onARM(s, cache, facet.NewRedisFirewall(s.Client()), wall(cache, "patchbay_one", "198.51.100.7", "198.51.100.7"), &other)
	return changing(w, wall(cache, "patchbay_one", "198.51.100.1", "198.51.100.8"))
}

func newAccount(t *testing.T) *armtest.Server {
	s := armtest.New(t, armtest.Type{Name: "Microsoft.Storage/storageAccounts", Versions: []string{"2025-06-01"},
		Patch: func(_ string, before, after armtest.Object) error {
			acls := after["properties"].(armtest.Object)["networkAcls"].(armtest.Object)
			rules, _ := acls["ipRules"].([]any)
			for _, r := range rules {
				value := fmt.Sprint(r.(map[string]any)["value"])
				if strings.HasSuffix(value, "/31") || strings.HasSuffix(value, "/32") {
					return &armtest.Refusal{Status: 400, Code: "InvalidValuesForRequestParameters", Message: value}
				}
			}
			for _, r := range acls["virtualNetworkRules"].([]any) {
				r.(map[string]any)["state"] = "Succeeded"
			}
			return nil
		}})
	s.Set(account, armtest.Object{"properties": armtest.Object{"allowSharedKeyAccess": true, "networkAcls": armtest.Object{
		"defaultAction": "Deny", "bypass": "AzureServices",
		"ipRules":             []any{armtest.Object{"value": "192.0.2.5", "action": "Allow"}},
		"virtualNetworkRules": []any{armtest.Object{"id": "/subnet", "action": "Allow", "state": "Succeeded"}}}}})
	return s
}

func storageFirewallWorld(t *testing.T) drivertest.World {
	s := newAccount(t)
	other := wall(account, "two", "203.0.113.0", "203.0.113.255")
	return onARM(s, account, facet.NewStorageFirewall(s.Client()), wall(account, "one", "198.51.100.6", "198.51.100.9"), &other)
}

func TestRedisDefaultFlips(t *testing.T) {
	t.Parallel()
	rule := wall(cache, "patchbay_one", "198.51.100.7", "198.51.100.7")
	office := wall(cache, "office", "192.0.2.1", "192.0.2.9")
	s := newCache(t)
	d := facet.NewRedisFirewall(s.Client())
	if _, err := drivertest.TryApply(t, d, plan.Remove, office); !problem.Is(err, problem.DefaultFlip) {
		t.Errorf("removing the last rule: %v", err)
	}
	s.Remove(cache + "/firewallRules/office")
	if state := drivertest.Observe(t, d, rule)[0]; state.Exists || !strings.Contains(state.Why, "first") {
		t.Errorf("state %+v", state)
	}
	if _, err := drivertest.TryApply(t, d, plan.Create, rule); !problem.Is(err, problem.DefaultFlip) {
		t.Errorf("adding the first rule: %v", err)
	}
	if s.Writes() != 0 {
		t.Error("something was written")
	}
}

func TestRedisRuleMayBeExchanged(t *testing.T) {
	t.Parallel()
	s := newCache(t)
	d := facet.NewRedisFirewall(s.Client())
	office, ours := wall(cache, "office", "192.0.2.1", "192.0.2.9"), wall(cache, "ours", "198.51.100.7", "198.51.100.7")
	basis, err := d.Read(t.Context(), []connection.Facet{office})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := d.Write(t.Context(), basis, []plan.Change{{Facet: ours, Action: plan.Create}, {Facet: office, Action: plan.Remove}}); err != nil {
		t.Error(err)
	}
}

func TestRangesThatAreNone(t *testing.T) {
	t.Parallel()
	for _, bad := range [][2]string{{"10.0.0.9", "10.0.0.1"}, {"::1", "::1"}, {"x", "10.0.0.1"}, {"", ""}} {
		s := newServer(t)
		if _, err := drivertest.TryApply(t, facet.NewPostgresFirewall(s.Client()), plan.Create, wall(server, "r", bad[0], bad[1])); err == nil {
			t.Errorf("%v was taken", bad)
		}
		storage := newAccount(t)
		if _, err := drivertest.TryApply(t, facet.NewStorageFirewall(storage.Client()), plan.Create, wall(account, "r", bad[0], bad[1])); err == nil {
			t.Errorf("storage: %v was taken", bad)
		}
		if s.Writes()+storage.Writes() != 0 {
			t.Errorf("%v was written", bad)
		}
	}
}

func TestStorageRuleSpellings(t *testing.T) {
	t.Parallel()
	for _, row := range []struct{ start, end, want string }{
		{"198.51.100.7", "198.51.100.7", "198.51.100.7"},
		{"198.51.100.6", "198.51.100.7", "198.51.100.6 198.51.100.7"},
		{"198.51.100.4", "198.51.100.7", "198.51.100.4/30"},
		{"198.51.100.5", "198.51.100.8", "198.51.100.5 198.51.100.6 198.51.100.7 198.51.100.8"},
		{"10.0.0.0", "10.255.255.255", "10.0.0.0/8"},
		{"255.255.255.252", "255.255.255.255", "255.255.255.252/30"},
	} {
		if got := strings.Join(facet.Blocks(netip.MustParseAddr(row.start), netip.MustParseAddr(row.end)), " "); got != row.want {
			t.Errorf("%s-%s: %s, want %s", row.start, row.end, got, row.want)
		}
	}
}

func FuzzStorageBlocks(f *testing.F) {
	f.Add(uint32(0), uint32(0))
	f.Add(uint32(1), uint32(300))
	f.Add(^uint32(0), uint32(5))
	f.Fuzz(func(t *testing.T, first, length uint32) {
		length %= 1 << 12
		last := first + length
		if last < first {
			last = ^uint32(0)
		}
		address := func(n uint32) netip.Addr {
			return netip.AddrFrom4([4]byte{byte(n >> 24), byte(n >> 16), byte(n >> 8), byte(n)})
		}
		next := uint64(first)
		for _, block := range facet.Blocks(address(first), address(last)) {
			prefix, err := netip.ParsePrefix(block)
			if err != nil {
				prefix = netip.PrefixFrom(netip.MustParseAddr(block), 32)
			}
			if prefix.Addr() != address(uint32(next)) || prefix.Masked() != prefix || strings.HasSuffix(block, "/31") {
				t.Fatalf("block %s does not follow %d", block, next)
			}
			next += 1 << (32 - prefix.Bits())
		}
		if next != uint64(last)+1 {
			t.Fatalf("%d-%d ends before %d", first, last, next)
		}
	})
}

// A writer that replaces the rules in the same moment is noticed.
func TestStorageRuleLost(t *testing.T) {
	t.Parallel()
	s := armtest.New(t, armtest.Type{Name: "Microsoft.Storage/storageAccounts", Versions: []string{"2025-06-01"},
		Patch: func(_ string, before, after armtest.Object) error {
			after["properties"] = before["properties"]
			return nil
		}})
	s.Set(account, armtest.Object{"properties": armtest.Object{"networkAcls": armtest.Object{"defaultAction": "Deny"}}})
	if _, err := drivertest.TryApply(t, facet.NewStorageFirewall(s.Client()), plan.Create, wall(account, "one", "198.51.100.7", "198.51.100.7")); !problem.Is(err, problem.WriteLost) {
		t.Errorf("got %v", err)
	}
}

func TestStorageSendsNeighboursBack(t *testing.T) {
	t.Parallel()
	s := newAccount(t)
	drivertest.Apply(t, facet.NewStorageFirewall(s.Client()), plan.Create, wall(account, "one", "198.51.100.7", "198.51.100.7"))
	i := slices.IndexFunc(s.Requests(), func(r armtest.Request) bool { return r.Method == "PATCH" })
	var sent struct {
		Properties struct {
			NetworkACLs armtest.Object `json:"networkAcls"`
		}
	}
	if err := json.Unmarshal(s.Requests()[i].Body, &sent); err != nil {
		t.Fatal(err)
	}
	acls := sent.Properties.NetworkACLs
	if acls["bypass"] != "AzureServices" || acls["defaultAction"] != "Deny" || len(acls["ipRules"].([]any)) != 2 || strings.Contains(string(s.Requests()[i].Body), "state") {
		t.Errorf("sent %s", s.Requests()[i].Body)
	}
}

// A range that somebody else's rule lets in already is let in; a rule of another
// connection goes with that one and does not count.
func TestFirewallFindsTwins(t *testing.T) {
	t.Parallel()
	ours := wall(server, "patchbay_one", "198.51.100.7", "198.51.100.7")
	for _, c := range []struct {
		name, start, end string
		found            bool
	}{
		{"office", "198.51.100.7", "198.51.100.7", true},
		{"office", "198.51.100.0", "198.51.100.255", false},
		{"patchbay_two", "198.51.100.7", "198.51.100.7", false},
		{"Patchbay_Two", "198.51.100.7", "198.51.100.7", false},
	} {
		s := newServer(t)
		d := facet.NewPostgresFirewall(s.Client())
		s.Set(server+"/firewallRules/"+c.name, armtest.Object{"properties": armtest.Object{"startIpAddress": c.start, "endIpAddress": c.end}})
		if got := drivertest.Observe(t, d, ours)[0]; got.Exists != c.found {
			t.Errorf("%s %s-%s: %+v", c.name, c.start, c.end, got)
		}
	}
}
