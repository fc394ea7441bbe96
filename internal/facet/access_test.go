package facet_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/patchbay/patchbay/internal/arm/armtest"
	"github.com/patchbay/patchbay/internal/connection"
	"github.com/patchbay/patchbay/internal/engine/drivertest"
	"github.com/patchbay/patchbay/internal/facet"
	"github.com/patchbay/patchbay/internal/plan"
)

func accessDoc(policy, principal, alias string) armtest.Object {
	return armtest.Object{"properties": armtest.Object{"accessPolicyName": policy, "objectId": principal, "objectIdAlias": alias}}
}

func newCache(t *testing.T) *armtest.Server {
	s := armtest.New(t,
		armtest.Type{Name: "Microsoft.Cache/redis", Versions: []string{"2024-11-01"}, Async: armtest.Async202},
		armtest.Type{Name: "Microsoft.Cache/redis/firewallRules", Versions: []string{"2024-11-01"}},
		armtest.Type{
			Name: "Microsoft.Cache/redis/accessPolicyAssignments", Versions: []string{"2024-11-01"}, Async: armtest.Async201,
			Put: func(_ string, before, after armtest.Object) error {
				if before != nil && !cmp.Equal(before["properties"], after["properties"]) {
					return &armtest.Refusal{Status: 409, Code: "Conflict", Message: "assignments cannot be changed"}
				}
				return nil
			},
		})
	s.Set(cache, armtest.Object{"properties": armtest.Object{"redisConfiguration": armtest.Object{
		"maxmemory-policy": "allkeys-lru", "maxclients": "1000", "rdb-backup-enabled": nil}}})
	s.Set(cache+"/accessPolicyAssignments/theirs", accessDoc("Data Owner", stranger, "somebody"))
	s.Set(cache+"/firewallRules/office", armtest.Object{"properties": armtest.Object{"startIP": "192.0.2.1", "endIP": "192.0.2.9"}})
	return s
}

func accessFacet(name, policy string) connection.Facet {
	return facetOf(connection.KindAccess, cache, name, map[string]string{
		connection.AttrPolicy: policy, connection.AttrPrincipalID: principal, connection.AttrMark: uid})
}

func redisAccessWorld(t *testing.T) drivertest.World {
	s := newCache(t)
	other := facetOf(connection.KindAccess, cache, "patchbay_other name", map[string]string{
		connection.AttrPolicy: "Data Reader", connection.AttrPrincipalID: tenant})
	w := onARM(s, cache, facet.NewRedisAccess(s.Client()), accessFacet("patchbay-abc", "Data Contributor"), &other)
	return changing(w, accessFacet("patchbay-abc", "Data Owner"))
}

func TestRedisAccessIsReplacedNotChanged(t *testing.T) {
	t.Parallel()
	s := newCache(t)
	d := facet.NewRedisAccess(s.Client())
	drivertest.Apply(t, d, plan.Create, accessFacet("patchbay-abc", "Data Reader"))
	want := accessFacet("patchbay-abc", "Data Owner")
	state := drivertest.Apply(t, d, plan.Update, want)[0]
	if !drivertest.Matches(want, state) || state.Mark != uid {
		t.Errorf("state %+v", state)
	}
}

func TestRedisAccessFoundUnderAnotherName(t *testing.T) {
	t.Parallel()
	s := newCache(t)
	f := facetOf(connection.KindAccess, cache, "patchbay-abc", map[string]string{connection.AttrPolicy: "data owner", connection.AttrPrincipalID: stranger})
	d := facet.NewRedisAccess(s.Client())
	if state := drivertest.Observe(t, d, f)[0]; !drivertest.Matches(f, state) || state.Mark != "" {
		t.Errorf("state %+v", state)
	}
	drivertest.Apply(t, d, plan.Create, f)
	drivertest.Apply(t, d, plan.Remove, f)
	if s.Doc(cache+"/accessPolicyAssignments/theirs") == nil {
		t.Error("took an assignment of somebody else")
	}
}

func newServer(t *testing.T) *armtest.Server {
	const api = "2025-08-01"
	s := armtest.New(t,
		armtest.Type{Name: "Microsoft.DBforPostgreSQL/flexibleServers", Versions: []string{api}, Async: armtest.Async202},
		armtest.Type{Name: "Microsoft.DBforPostgreSQL/flexibleServers/firewallRules", Versions: []string{api}, Async: armtest.Async202},
		armtest.Type{
			Name: "Microsoft.DBforPostgreSQL/flexibleServers/administrators", Versions: []string{api}, Async: armtest.Async202,
			Put: func(resource string, _, after armtest.Object) error {
				p := after["properties"].(armtest.Object)
				if p["tenantId"] != tenant || p["principalType"] != "ServicePrincipal" {
					t.Errorf("sent %v", p)
				}
				delete(p, "tenantId") // write-only
				p["objectId"] = resource[len(server+"/administrators/"):]
				return nil
			},
		})
	s.Set(server, armtest.Object{"properties": armtest.Object{"version": "16",
		"authConfig": armtest.Object{"activeDirectoryAuth": "Disabled", "passwordAuth": "Enabled", "tenantId": tenant}}})
	s.Set(server+"/administrators/"+stranger, armtest.Object{"properties": armtest.Object{"objectId": stranger, "principalName": "dba", "principalType": "User"}})
	s.Set(server+"/firewallRules/office", armtest.Object{"properties": armtest.Object{"startIpAddress": "192.0.2.1", "endIpAddress": "192.0.2.9"}})
	return s
}

var here = facet.Directory{TenantID: tenant}

func adminFacet(principal string) connection.Facet {
	return facetOf(connection.KindAccess, server, principal, map[string]string{connection.AttrPrincipalID: principal, connection.AttrLogin: "patchbay-engine"})
}

// adminWorld leaves the login out of the comparison: it is a parameter of the write.
func adminWorld(t *testing.T) drivertest.World {
	s := newServer(t)
	w := onARM(s, server, facet.NewServerAdmin(s.Client(), here), adminFacet(principal), nil)
	w.Parameters = []string{connection.AttrLogin}
	return w
}

func TestServerAdminUnderAnotherName(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	d, f := facet.NewServerAdmin(s.Client(), here), adminFacet(stranger)
	state := drivertest.Observe(t, d, f)[0]
	if !state.Exists || state.Outputs[connection.AttrLogin] != "dba" {
		t.Errorf("state %+v", state)
	}
	drivertest.Apply(t, d, plan.Create, f)
	if s.Writes() != 0 {
		t.Error("changed an administrator that is there")
	}
}
