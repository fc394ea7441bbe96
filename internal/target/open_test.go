package target_test

import (
	"strings"
	"testing"

	"github.com/patchbay/patchbay/internal/connection"
	"github.com/patchbay/patchbay/internal/problem"
)

const shopApp = "/subscriptions/11111111-1111-1111-1111-111111111111/resourceGroups/rg/providers/Microsoft.App/containerApps/shop"

// A target that asks for no sign-in takes a request without authInfo, and no other; every
// other target still wants one.
func TestNothingToSignInTo(t *testing.T) {
	t.Parallel()
	r := reader(t, world())
	c := &connection.Connection{ID: "/x/linkers/c", Name: "c", Source: "/x", Properties: connection.Properties{
		Target: connection.Target{Type: "AzureResource", ID: shopApp}, ClientType: "python"}}
	if err := r.Check(c, nil); err != nil {
		t.Fatal(err)
	}
	facets, err := r.Derive(c, connection.Facts{"host": connection.Plain("shop.example.com")}, nil)
	if err != nil || len(facets) != 1 || facets[0].Name != "AZURE_CONTAINERAPP_ENDPOINT" || facets[0].Want[connection.AttrValue].Text != "https://shop.example.com" {
		t.Errorf("%+v, %v", facets, err)
	}
	if names, err := r.Names(c, "C"); err != nil || strings.Join(names, " ") != "AZURE_CONTAINERAPP_C_ENDPOINT" {
		t.Errorf("%v, %v", names, err)
	}
	c.Properties.Auth = &connection.Auth{Type: connection.AuthSystemIdentity}
	if err := r.Check(c, nil); !problem.Is(err, problem.AuthUnsupported) {
		t.Errorf("with an identity: %v", err)
	}
	c.Properties.Auth, c.Properties.ClientType = nil, "cobol"
	if err := r.Check(c, nil); !problem.Is(err, problem.ClientUnsupported) {
		t.Errorf("with an unknown client type: %v", err)
	}
	c.Properties.ClientType, c.Properties.Target.ID = "python", strings.Replace(shopApp, "Microsoft.App/containerApps", "Microsoft.SignalRService/SignalR", 1)
	if err := r.Check(c, nil); !problem.Is(err, problem.AuthUnsupported) {
		t.Errorf("another target: %v", err)
	}
}

// A server of somebody's own is told by its address, and its settings come out of it.
func TestServerByItsAddress(t *testing.T) {
	t.Parallel()
	r := reader(t, world())
	c := &connection.Connection{ID: "/x/linkers/c", Name: "c", Source: "/x", Properties: connection.Properties{
		Target: connection.Target{Type: "SelfHostedServer", Endpoint: "postgres://db.example.com:6000/orders"}, ClientType: "go",
		Auth: &connection.Auth{Type: connection.AuthSecret, Name: "app"}}}
	if err := r.Check(c, nil); !problem.Is(err, problem.SecretNeeded) {
		t.Errorf("without a password: %v", err)
	}
	password := given("p w'd")
	if err := r.Check(c, password); err != nil {
		t.Fatal(err)
	}
	facts := connection.Facts{"endpoint": connection.Plain(c.Properties.Target.Endpoint)}
	facets, err := r.Derive(c, facts, password)
	if want := `host=db.example.com port=6000 dbname=orders sslmode=require user=app password='p w\'d'`; err != nil || len(facets) != 1 || facets[0].Want[connection.AttrValue].Text != want {
		t.Errorf("%+v, %v", facets, err)
	}
	c.Properties.Target.Endpoint = "postgres://app:canary@db.example.com/orders"
	if err := r.Check(c, password); !problem.Is(err, problem.BodyInvalid) || strings.Contains(err.Error(), "canary") {
		t.Errorf("a password in the address: %v", err)
	}
}
