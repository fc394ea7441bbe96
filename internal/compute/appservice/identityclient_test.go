package appservice_test

import (
	"net/http"
	"slices"
	"testing"

	"github.com/patchbay/patchbay/internal/arm/armtest"
	"github.com/patchbay/patchbay/internal/compute/appservice"
	"github.com/patchbay/patchbay/internal/connection"
	"github.com/patchbay/patchbay/internal/engine/drivertest"
	"github.com/patchbay/patchbay/internal/plan"
)

// TestClientIDOfTheSystemIdentity: it is read when somebody asks for it, waited for, and
// told only when it is that of the identity that is on.
func TestClientIDOfTheSystemIdentity(t *testing.T) {
	t.Parallel()
	s := armtest.New(t,
		armtest.Type{Name: "Microsoft.Web/sites", Versions: []string{api}, Patch: func(_ string, _, after armtest.Object) error {
			after["identity"] = armtest.Object{"type": "SystemAssigned", "principalId": "new", "tenantId": "tenant"}
			return nil
		}},
		armtest.Type{Name: "Microsoft.ManagedIdentity/identities", Versions: []string{"2023-01-31"}})
	s.Set(site, armtest.Object{"properties": armtest.Object{}})
	show := func(principal, client string) {
		s.Set(site+"/providers/Microsoft.ManagedIdentity/identities/default",
			armtest.Object{"properties": armtest.Object{"principalId": principal, "clientId": client, "tenantId": "tenant"}})
	}
	show("new", "new-client")
	s.Fail(armtest.Fault{Method: http.MethodGet, Path: "/identities/default", Status: http.StatusNotFound, Code: "ResourceNotFound", Times: 2})
	d := appservice.NewIdentity(s.Client(), soon)
	plain, asking := identity(appservice.SystemIdentity), identity(appservice.SystemIdentity)
	asking.Want = connection.Attrs{connection.AttrTells: connection.Plain(connection.OutClientID)}
	if !slices.ContainsFunc(d.Rights(asking), func(r connection.Right) bool { return r.Action == "Microsoft.ManagedIdentity/identities/read" }) {
		t.Error("the caller is not asked for the right to read the identity")
	}
	state := drivertest.Apply(t, d, plan.Create, asking)[0]
	if state.Outputs[connection.OutClientID] != "new-client" || state.Outputs[connection.OutPrincipalID] != "new" {
		t.Errorf("outputs %v", state.Outputs)
	}
	if got := drivertest.Observe(t, d, asking)[0].Outputs[connection.OutClientID]; got != "new-client" {
		t.Errorf("observed %q", got)
	}
	if _, told := drivertest.Observe(t, d, plain)[0].Outputs[connection.OutClientID]; told {
		t.Error("told without being asked: that costs a read")
	}
	show("old", "old-client")
	if got, told := drivertest.Observe(t, d, asking)[0].Outputs[connection.OutClientID]; told {
		t.Errorf("told the client id of another identity: %q", got)
	}
}
