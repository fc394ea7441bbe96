package facet_test

import (
	"strings"
	"testing"

	"github.com/patchbay/patchbay/internal/arm/armtest"
	"github.com/patchbay/patchbay/internal/connection"
	"github.com/patchbay/patchbay/internal/engine/drivertest"
	"github.com/patchbay/patchbay/internal/facet"
	"github.com/patchbay/patchbay/internal/plan"
	"github.com/patchbay/patchbay/internal/problem"
)

const mysqlReader = group + "/providers/Microsoft.ManagedIdentity/userAssignedIdentities/reader"

// newMySQLARM is a MySQL server as ARM shows it: one administrator, and no administrator
// without an identity that the server carries.
func newMySQLARM(t *testing.T) *armtest.Server {
	const api = "2023-12-30"
	s := armtest.New(t,
		armtest.Type{Name: "Microsoft.DBforMySQL/flexibleServers", Versions: []string{api}, Async: armtest.Async202},
		armtest.Type{Name: "Microsoft.DBforMySQL/flexibleServers/firewallRules", Versions: []string{api}, Async: armtest.Async202},
		armtest.Type{Name: "Microsoft.DBforMySQL/flexibleServers/administrators", Versions: []string{api}, Async: armtest.Async202,
			Put: func(resource string, _, after armtest.Object) error {
				p := after["properties"].(armtest.Object)
				if !strings.HasSuffix(resource, "/ActiveDirectory") || p["administratorType"] != "ActiveDirectory" || p["login"] == "" || p["sid"] == "" || p["identityResourceId"] != mysqlReader {
					return &armtest.Refusal{Status: 400, Code: "InvalidParameterValue", Message: "not an administrator"}
				}
				return nil
			}})
	s.Set(mysqlServer, armtest.Object{"identity": armtest.Object{"type": "UserAssigned", "userAssignedIdentities": armtest.Object{mysqlReader: armtest.Object{}}}})
	s.Set(mysqlServer+"/firewallRules/office", armtest.Object{"properties": armtest.Object{"startIpAddress": "192.0.2.1", "endIpAddress": "192.0.2.9"}})
	return s
}

func setMySQLAdmin(s *armtest.Server, login, sid string) {
	s.Set(mysqlServer+"/administrators/ActiveDirectory", armtest.Object{"properties": armtest.Object{
		"administratorType": "ActiveDirectory", "login": login, "sid": sid, "tenantId": "their-tenant", "identityResourceId": mysqlReader}})
}

func mysqlAdminFacet() connection.Facet {
	return facetOf(connection.KindAccess, mysqlServer, principal, map[string]string{connection.AttrPrincipalID: principal, connection.AttrLogin: "patchbay-engine"})
}

func TestMySQLAdmin(t *testing.T) {
	t.Parallel()
	for name, before := range map[string]string{"nobody": "", "somebody": stranger} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			drivertest.Run(t, drivertest.Case{Make: func(t *testing.T) drivertest.World {
				s := newMySQLARM(t)
				if before != "" {
					setMySQLAdmin(s, "dba", before)
				}
				w := onARM(s, mysqlServer, facet.NewMySQLAdmin(s.Client(), here), mysqlAdminFacet(), nil)
				return w
			}})
		})
	}
}

func TestMySQLFirewall(t *testing.T) {
	t.Parallel()
	drivertest.Run(t, drivertest.Case{Make: func(t *testing.T) drivertest.World {
		s := newMySQLARM(t)
		other := wall(mysqlServer, "patchbay_two", "203.0.113.1", "203.0.113.4")
		w := onARM(s, mysqlServer, facet.NewMySQLFirewall(s.Client()), wall(mysqlServer, "patchbay_one", "198.51.100.7", "198.51.100.7"), &other)
		return changing(w, wall(mysqlServer, "patchbay_one", "198.51.100.7", "198.51.100.8"))
	}})
}

// Who is there is told, so that it comes back; a third that came meanwhile stays.
func TestMySQLAdminLeavesAThird(t *testing.T) {
	t.Parallel()
	s := newMySQLARM(t)
	setMySQLAdmin(s, "dba", stranger)
	d, f := facet.NewMySQLAdmin(s.Client(), here), mysqlAdminFacet()
	before := drivertest.Observe(t, d, f)[0]
	if !before.Exists || before.Attrs[connection.AttrPrincipalID].Text != stranger || before.Attrs[connection.AttrLogin].Text != "dba" || before.Why == "" {
		t.Fatalf("state %+v", before)
	}
	drivertest.Apply(t, d, plan.Update, f)
	setMySQLAdmin(s, "third", "55555555-5555-4555-8555-555555555555")
	third := s.Doc(mysqlServer + "/administrators/ActiveDirectory")
	for _, back := range []plan.Change{{Facet: f, Action: plan.Remove, Restore: &before}, {Facet: f, Action: plan.Remove}} {
		basis, err := d.Read(t.Context(), []connection.Facet{f})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := d.Write(t.Context(), basis, []plan.Change{back}); err != nil {
			t.Fatal(err)
		}
		if got := s.Doc(mysqlServer + "/administrators/ActiveDirectory"); got == nil || got["properties"].(armtest.Object)["login"] != third["properties"].(armtest.Object)["login"] {
			t.Errorf("the third administrator: %v", got)
		}
	}
}

// What was there cannot be read back: the engine says so and does not lock the rest out.
func TestMySQLAdminUnknownBefore(t *testing.T) {
	t.Parallel()
	s := newMySQLARM(t)
	setMySQLAdmin(s, "patchbay-engine", principal)
	d, f := facet.NewMySQLAdmin(s.Client(), here), mysqlAdminFacet()
	basis, err := d.Read(t.Context(), []connection.Facet{f})
	if err != nil {
		t.Fatal(err)
	}
	lost := connection.State{Unknown: true, Why: "the seal key is another one"}
	if _, err := d.Write(t.Context(), basis, []plan.Change{{Facet: f, Action: plan.Remove, Restore: &lost}}); !problem.Is(err, problem.Remainder) {
		t.Errorf("lost predecessor: %v", err)
	}
	if s.Writes() != 0 {
		t.Error("took an administrator away without knowing who comes next")
	}
}

func TestMySQLAdminNeedsAnIdentity(t *testing.T) {
	t.Parallel()
	s := newMySQLARM(t)
	s.Set(mysqlServer, armtest.Object{"properties": armtest.Object{}})
	_, err := drivertest.TryApply(t, facet.NewMySQLAdmin(s.Client(), here), plan.Create, mysqlAdminFacet())
	if !problem.Is(err, problem.DatabaseRefused) || !strings.Contains(problem.As(err).Fix, "identity assign") {
		t.Errorf("no identity: %v", err)
	}
	if s.Writes() != 0 {
		t.Error("wrote something")
	}
}
