package facet_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/patchbay/patchbay/internal/arm/armtest"
	"github.com/patchbay/patchbay/internal/connection"
	"github.com/patchbay/patchbay/internal/engine/drivertest"
	"github.com/patchbay/patchbay/internal/facet"
	"github.com/patchbay/patchbay/internal/plan"
	"github.com/patchbay/patchbay/internal/problem"
)

func entraOn(value string) connection.Facet {
	return facetOf(connection.KindFeature, server, facet.PostgresEntraSignIn, map[string]string{connection.AttrValue: value})
}

func aad(value string) connection.Facet {
	return facetOf(connection.KindFeature, cache, facet.RedisEntraSignIn, map[string]string{connection.AttrValue: value})
}

func postgresFeatureWorld(t *testing.T) drivertest.World {
	s := newServer(t)
	return changing(onARM(s, server, facet.NewPostgresFeature(s.Client(), here), entraOn("Enabled"), nil), entraOn("Disabled"))
}

func redisFeatureWorld(t *testing.T) drivertest.World {
	s := newCache(t)
	w := onARM(s, cache, facet.NewRedisFeature(s.Client()), aad("true"), nil)
	w.Residue = true // an absent switch is off; it comes back as off
	return changing(w, aad("false"))
}

// What the service gets beside the switch.
func TestFeatureNeighbours(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	s.Set(server, armtest.Object{"properties": armtest.Object{"authConfig": armtest.Object{"passwordAuth": "Enabled"}}})
	drivertest.Apply(t, facet.NewPostgresFeature(s.Client(), here), plan.Update, entraOn("Enabled"))
	want := armtest.Object{"activeDirectoryAuth": "Enabled", "passwordAuth": "Enabled", "tenantId": tenant}
	if got := s.Doc(server)["properties"].(armtest.Object)["authConfig"]; !cmp.Equal(got, want) {
		t.Errorf("authConfig %v", got)
	}

	s = newCache(t)
	drivertest.Apply(t, facet.NewRedisFeature(s.Client()), plan.Update, aad("true"))
	for _, r := range s.Requests() {
		if r.Method == "PATCH" && string(r.Body) != `{"properties":{"redisConfiguration":{"aad-enabled":"true","maxmemory-policy":"allkeys-lru"}}}` {
			t.Errorf("sent %s", r.Body)
		}
	}
}

func TestFeatureSpellings(t *testing.T) {
	t.Parallel()
	for _, value := range []any{"True", "TRUE", true} {
		s := newCache(t)
		s.Set(cache, armtest.Object{"properties": armtest.Object{"redisConfiguration": armtest.Object{"aad-enabled": value}}})
		if state := drivertest.Observe(t, facet.NewRedisFeature(s.Client()), aad("true"))[0]; !drivertest.Matches(aad("true"), state) {
			t.Errorf("%v is %+v", value, state)
		}
	}
}

func TestFeatureGoesOffWithoutAnEarlierValue(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	d := facet.NewPostgresFeature(s.Client(), here)
	drivertest.Apply(t, d, plan.Update, entraOn("Enabled"))
	drivertest.Apply(t, d, plan.Remove, entraOn("Enabled"))
	if state := drivertest.Observe(t, d, entraOn("Disabled"))[0]; !drivertest.Matches(entraOn("Disabled"), state) {
		t.Errorf("state %+v", state)
	}
}

func TestFeatureThatDoesNotStick(t *testing.T) {
	t.Parallel()
	s := armtest.New(t, armtest.Type{Name: "Microsoft.Cache/redis", Versions: []string{"2024-11-01"},
		Patch: func(_ string, before, after armtest.Object) error {
			after["properties"] = before["properties"]
			return nil
		}})
	s.Set(cache, armtest.Object{"properties": armtest.Object{}})
	if _, err := drivertest.TryApply(t, facet.NewRedisFeature(s.Client()), plan.Update, aad("true")); !problem.Is(err, problem.WriteLost) {
		t.Errorf("got %v", err)
	}
}
