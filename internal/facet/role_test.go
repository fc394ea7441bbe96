package facet_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/patchbay/patchbay/internal/arm/armtest"
	"github.com/patchbay/patchbay/internal/arm/id"
	"github.com/patchbay/patchbay/internal/connection"
	"github.com/patchbay/patchbay/internal/engine/drivertest"
	"github.com/patchbay/patchbay/internal/facet"
	"github.com/patchbay/patchbay/internal/plan"
	"github.com/patchbay/patchbay/internal/problem"
)

const (
	blobContributor = "ba92f5b4-2d11-453d-a403-e96b0029c9fe"
	blobReader      = "2a2b9908-6ea1-4ae2-8e65-a410df84e7d1"
	assignments     = "/providers/Microsoft.Authorization/roleAssignments"
)

func assignmentDoc(role, principal, description string) armtest.Object {
	return armtest.Object{"properties": armtest.Object{
		"roleDefinitionId": "/subscriptions/00000000-0000-0000-0000-0000000000aa/providers/Microsoft.Authorization/roleDefinitions/" + role,
		"principalId":      principal, "principalType": "ServicePrincipal", "description": description,
	}}
}

// newRoles is an account with assignments that keep ARM's rules: one per triple,
// whatever its name, and inherited ones listed with the scope's own.
func newRoles(t *testing.T) *armtest.Server {
	triple := func(o armtest.Object) string {
		p := o["properties"].(armtest.Object)
		return strings.ToLower(p["roleDefinitionId"].(string) + p["principalId"].(string))
	}
	var s *armtest.Server
	s = armtest.New(t,
		armtest.Type{Name: "Microsoft.Storage/storageAccounts", Versions: []string{"2025-06-01"}},
		armtest.Type{
			Name: "Microsoft.Authorization/roleAssignments", Versions: []string{"2022-04-01"},
			List: func(docs map[string]armtest.Object, scope string, query map[string]string) []armtest.Object {
				if query["$filter"] != "atScope()" {
					t.Errorf("filter %q", query["$filter"])
				}
				var found []armtest.Object
				for key, doc := range docs {
					if at := id.MustParse(key); at.IsType("Microsoft.Authorization/roleAssignments") && id.MustParse(scope).Within(id.MustParse(id.Fold(at.Scope().String()))) || strings.HasPrefix(key, id.Fold(scope+assignments)) {
						found = append(found, doc)
					}
				}
				return found
			},
			Put: func(resource string, before, after armtest.Object) error {
				if p := after["properties"].(armtest.Object); p["principalType"] != "ServicePrincipal" {
					t.Errorf("sent %v", p)
				}
				at := id.MustParse(resource)
				for key, doc := range s.DocsUnlocked() {
					other := id.MustParse(key)
					if other.IsType(at.Type()) && id.Equal(other.Scope().String(), at.Scope().String()) && triple(doc) == triple(after) {
						return &armtest.Refusal{Status: 409, Code: "RoleAssignmentExists", Message: "The role assignment already exists."}
					}
				}
				return nil
			},
		})
	s.Set(account, armtest.Object{})
	s.Set(account+assignments+"/aaaaaaaa-0000-4000-8000-000000000001", assignmentDoc(blobContributor, stranger, "theirs"))
	s.Set(account+assignments+"/aaaaaaaa-0000-4000-8000-000000000002", assignmentDoc(blobReader, principal, "theirs"))
	return s
}

func roleFacet(role, principal string) connection.Facet {
	return facetOf(connection.KindRole, account, role+" system:abc", map[string]string{
		connection.AttrRoleID: role, connection.AttrPrincipalID: principal, connection.AttrMark: uid})
}

func roleWorld(t *testing.T) drivertest.World {
	s := newRoles(t)
	other := roleFacet("b7e6dc6d-f1e8-4753-8033-0f276bb0955b", principal)
	return onARM(s, account, facet.NewRole(s.Client(), soon), roleFacet(strings.ToUpper(blobContributor), principal), &other)
}

func TestRoleFoundElsewhere(t *testing.T) {
	t.Parallel()
	for name, scope := range map[string]string{"another name": account, "inherited": group} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newRoles(t)
			theirs := scope + assignments + "/aaaaaaaa-0000-4000-8000-000000000003"
			s.Set(theirs, assignmentDoc(blobContributor, principal, ""))
			d, f := facet.NewRole(s.Client(), soon), roleFacet(blobContributor, principal)
			state := drivertest.Observe(t, d, f)[0]
			if !drivertest.Matches(f, state) || state.Mark != "" || state.Outputs[connection.OutID] != theirs {
				t.Fatalf("state %+v", state)
			}
			drivertest.Apply(t, d, plan.Create, f)
			if s.Writes() != 0 {
				t.Error("wrote beside an assignment that is there")
			}
			basis, err := d.Read(t.Context(), []connection.Facet{f})
			if err != nil {
				t.Fatal(err)
			}
			if _, err := d.Write(t.Context(), basis, []plan.Change{{Facet: f, Action: plan.Remove, Before: state, Was: state.Outputs}}); err != nil {
				t.Fatal(err)
			}
			if s.Doc(theirs) == nil {
				t.Error("a removal took an assignment of somebody else")
			}
		})
	}
}

// The list was read before somebody else made the same assignment.
func TestRoleRace(t *testing.T) {
	t.Parallel()
	s := newRoles(t)
	d, f := facet.NewRole(s.Client(), soon), roleFacet(blobContributor, principal)
	basis, err := d.Read(t.Context(), []connection.Facet{f})
	if err != nil {
		t.Fatal(err)
	}
	s.Set(account+assignments+"/aaaaaaaa-0000-4000-8000-000000000003", assignmentDoc(blobContributor, principal, "patchbay:somebody"))
	states, err := d.Write(t.Context(), basis, []plan.Change{{Facet: f, Action: plan.Create}})
	if err != nil || !states[0].Exists || states[0].Mark != "somebody" {
		t.Errorf("states %+v, %v", states, err)
	}
}

func TestRoleOfAReplacedPrincipal(t *testing.T) {
	t.Parallel()
	s := newRoles(t)
	d := facet.NewRole(s.Client(), soon)
	old := drivertest.Apply(t, d, plan.Create, roleFacet(blobContributor, principal))[0]
	foreign := account + assignments + "/aaaaaaaa-0000-4000-8000-000000000001"
	for name, row := range map[string]struct {
		was  string
		gone bool
	}{"ours": {old.Outputs[connection.OutID], true}, "theirs": {foreign, false}, "gone already": {account + assignments + "/aaaaaaaa-0000-4000-8000-00000000dead", true}} {
		f := roleFacet(blobContributor, "44444444-4444-4444-8444-444444444444")
		basis, err := d.Read(t.Context(), []connection.Facet{f})
		if err != nil {
			t.Fatal(err)
		}
		states, err := d.Write(t.Context(), basis, []plan.Change{{Facet: f, Action: plan.Update, Reason: plan.Replaced, Was: map[string]string{"id": row.was}}})
		if err != nil || !drivertest.Matches(f, states[0]) || states[0].Mark != uid {
			t.Fatalf("%s: states %+v, %v", name, states, err)
		}
		if gone := s.Doc(row.was) == nil; gone != row.gone {
			t.Errorf("%s: gone %v, want %v", name, gone, row.gone)
		}
	}
}

func TestRoleWaitsForANewPrincipal(t *testing.T) {
	t.Parallel()
	s := newRoles(t)
	s.Fail(armtest.Fault{Method: http.MethodPut, Status: 400, Code: "PrincipalNotFound", Times: 3})
	drivertest.Apply(t, facet.NewRole(s.Client(), soon), plan.Create, roleFacet(blobContributor, principal))
	s = newRoles(t)
	s.Fail(armtest.Fault{Method: http.MethodPut, Status: 400, Code: "PrincipalNotFound"})
	short := facet.Patience{Limit: 20 * soon.Pause, Pause: soon.Pause}
	if _, err := drivertest.TryApply(t, facet.NewRole(s.Client(), short), plan.Create, roleFacet(blobContributor, principal)); !problem.Is(err, problem.ARMRefused) {
		t.Errorf("got %v", err)
	}
}

func TestRoleNamesAreStable(t *testing.T) {
	t.Parallel()
	s, again := newRoles(t), newRoles(t)
	a := drivertest.Apply(t, facet.NewRole(s.Client(), soon), plan.Create, roleFacet(blobContributor, principal))[0]
	f := roleFacet(strings.ToUpper(blobContributor), strings.ToUpper(principal))
	f.Resource = strings.ToUpper(account)
	b := drivertest.Apply(t, facet.NewRole(again.Client(), soon), plan.Create, f)[0]
	if !id.Equal(a.Outputs[connection.OutID], b.Outputs[connection.OutID]) {
		t.Errorf("two names for one triple: %s, %s", a.Outputs[connection.OutID], b.Outputs[connection.OutID])
	}
}
