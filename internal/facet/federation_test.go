package facet_test

import (
	"strings"
	"testing"

	"github.com/patchbay/patchbay/internal/arm/armtest"
	"github.com/patchbay/patchbay/internal/connection"
	"github.com/patchbay/patchbay/internal/engine"
	"github.com/patchbay/patchbay/internal/engine/drivertest"
	"github.com/patchbay/patchbay/internal/facet"
	"github.com/patchbay/patchbay/internal/plan"
)

const shopper = group + "/providers/Microsoft.ManagedIdentity/userAssignedIdentities/shopper"

var _ engine.Driver = (*facet.Federation)(nil)

// newShopper is an identity that trusts somebody else's service account already. It takes
// one credential for an issuer and a subject.
func newShopper(t *testing.T) *armtest.Server {
	trusted := map[string]string{}
	s := armtest.New(t,
		armtest.Type{Name: "Microsoft.ManagedIdentity/userAssignedIdentities", Versions: []string{"2024-11-30"}},
		armtest.Type{Name: "Microsoft.ManagedIdentity/userAssignedIdentities/federatedIdentityCredentials", Versions: []string{"2024-11-30"},
			Put: func(resource string, _, after armtest.Object) error {
				p, _ := after["properties"].(map[string]any)
				key := p["issuer"].(string) + " " + p["subject"].(string)
				if who := trusted[key]; who != "" && !strings.EqualFold(who, resource) {
					return &armtest.Refusal{Status: 409, Code: "Conflict", Message: key}
				}
				trusted[key] = resource
				return nil
			}})
	s.Set(shopper, armtest.Object{"properties": armtest.Object{"clientId": "c"}})
	theirs := armtest.Object{"properties": armtest.Object{"issuer": "https://issuer.test/", "subject": "system:serviceaccount:b:theirs", "audiences": []any{"other"}}}
	s.Set(shopper+"/federatedIdentityCredentials/theirs", theirs)
	trusted["https://issuer.test/ system:serviceaccount:b:theirs"] = shopper + "/federatedIdentityCredentials/theirs"
	return s
}

func trust(name, subject, audience string) connection.Facet {
	return facetOf(connection.KindFederation, shopper, name, map[string]string{
		connection.AttrIssuer: "https://issuer.test/", connection.AttrSubject: subject, connection.AttrAudience: audience})
}

func TestFederationDriver(t *testing.T) {
	t.Parallel()
	const audience = "api://AzureADTokenExchange"
	drivertest.Run(t, drivertest.Case{Make: func(t *testing.T) drivertest.World {
		s := newShopper(t)
		other := trust("patchbay-two", "system:serviceaccount:a:two", audience)
		w := onARM(s, shopper, facet.NewFederation(s.Client()), trust("patchbay-one", "system:serviceaccount:a:one", audience), &other)
		return changing(w, trust("patchbay-one", "system:serviceaccount:a:one", "another"))
	}})
}

// An identity has one credential for a service account, whatever its name: one that is
// there is taken as it is, or changed and put back.
func TestFederationOfAnotherName(t *testing.T) {
	t.Parallel()
	s := newShopper(t)
	d, theirs := facet.NewFederation(s.Client()), shopper+"/federatedIdentityCredentials/theirs"
	same := trust("patchbay-x", "system:serviceaccount:b:theirs", "other")
	if state := drivertest.Observe(t, d, same)[0]; !drivertest.Matches(same, state) {
		t.Errorf("state %+v", state)
	}
	changed := trust("patchbay-x", "system:serviceaccount:b:theirs", "api://AzureADTokenExchange")
	before := drivertest.Observe(t, d, changed)[0]
	after := drivertest.Apply(t, d, plan.Update, changed)[0]
	if !strings.EqualFold(after.Outputs[connection.OutID], theirs) {
		t.Errorf("written to %v", after.Outputs)
	}
	basis, err := d.Read(t.Context(), []connection.Facet{changed})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := d.Write(t.Context(), basis, []plan.Change{{Facet: changed, Action: plan.Remove, Restore: &before, Was: after.Outputs}}); err != nil {
		t.Fatal(err)
	}
	p, _ := s.Doc(theirs)["properties"].(map[string]any)
	if list, _ := p["audiences"].([]any); len(list) != 1 || list[0] != "other" {
		t.Errorf("after the change was taken back: %v", p)
	}
}
