package facet_test

import (
	"net/http"
	"testing"
	"time"

	"github.com/patchbay/patchbay/internal/arm/armtest"
	"github.com/patchbay/patchbay/internal/connection"
	"github.com/patchbay/patchbay/internal/engine"
	"github.com/patchbay/patchbay/internal/engine/drivertest"
	"github.com/patchbay/patchbay/internal/facet"
)

const (
	group     = "/subscriptions/00000000-0000-0000-0000-0000000000aa/resourceGroups/rg"
	server    = group + "/providers/Microsoft.DBforPostgreSQL/flexibleServers/pgone"
	cache     = group + "/providers/Microsoft.Cache/redis/cacheone"
	account   = group + "/providers/Microsoft.Storage/storageAccounts/accountone"
	principal = "11111111-1111-4111-8111-111111111111"
	stranger  = "22222222-2222-4222-8222-222222222222"
	tenant    = "33333333-3333-4333-8333-333333333333"
	uid       = "0c0ffee0-0000-4000-8000-000000000001"
)

// soon is patience for tests: long enough to be sure, with pauses too short to notice.
var soon = facet.Patience{Limit: 5 * time.Second, Pause: time.Millisecond}

func facetOf(kind connection.Kind, resource, name string, want map[string]string) connection.Facet {
	f := connection.Facet{Key: connection.Key{Kind: kind, Resource: resource, Name: name}, Want: connection.Attrs{}}
	for attr, text := range want {
		f.Want[attr] = connection.Plain(text)
	}
	return f
}

// onARM completes a world that is a fake ARM: what it looks like, how it vanishes
// and how it refuses.
func onARM(s *armtest.Server, resource string, d engine.Driver, f connection.Facet, other *connection.Facet) drivertest.World {
	return drivertest.World{
		Driver: d, Facet: f, Other: other,
		Look:   func() any { return s.Snapshot() },
		Writes: s.Writes,
		Vanish: func() { s.Remove(resource) },
		Refuse: func() {
			s.Fail(armtest.Fault{Status: http.StatusForbidden, Code: "AuthorizationFailed", Message: "no"})
		},
	}
}

// changing adds what the facet may be changed to.
func changing(w drivertest.World, changed connection.Facet) drivertest.World {
	w.Changed = &changed
	return w
}

// Each driver of this package that lives on ARM, in a world with things of others.
func TestDrivers(t *testing.T) {
	t.Parallel()
	for name, makes := range map[string]func(*testing.T) drivertest.World{
		"role":              roleWorld,
		"redis access":      redisAccessWorld,
		"server admin":      adminWorld,
		"postgres feature":  postgresFeatureWorld,
		"redis feature":     redisFeatureWorld,
		"postgres firewall": postgresFirewallWorld,
		"redis firewall":    redisFirewallWorld,
		"storage firewall":  storageFirewallWorld,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			drivertest.Run(t, drivertest.Case{Make: makes})
		})
	}
}

// A driver is found by its contract, without importing engine.
var (
	_ engine.Driver = (*facet.Role)(nil)
	_ engine.Driver = (*facet.RedisAccess)(nil)
	_ engine.Driver = (*facet.ServerAdmin)(nil)
	_ engine.Driver = (*facet.Feature)(nil)
	_ engine.Driver = (*facet.ServerFirewall)(nil)
	_ engine.Driver = (*facet.StorageFirewall)(nil)
	_ engine.Driver = (*facet.DBUser)(nil)
)
