package target_test

import (
	"context"
	"strings"
	"testing"

	"github.com/patchbay/patchbay/internal/connection"
	"github.com/patchbay/patchbay/internal/problem"
)

// onFile is a connection of a program that reads an env file.
func onFile(id, auth string, change ...func(*connection.Connection)) *connection.Connection {
	c := link(id, auth, "go", change...)
	c.Source = connection.FileID(connection.TypeEnvFile, "/srv/app.env")
	c.ID = c.Source + "/providers/Microsoft.ServiceLinker/linkers/" + c.Name
	return c
}

// TestMachineAuth: an app on a machine of one's own has no managed identity, and no cloud
// hands out rights on it.
func TestMachineAuth(t *testing.T) {
	t.Parallel()
	person := func(c *connection.Connection) { c.Properties.Auth.PrincipalID = principalID }
	r := reader(t, world())
	for _, auth := range []string{connection.AuthSystemIdentity, connection.AuthUserIdentity} {
		err := r.Check(onFile(blobID, auth), nil)
		if !problem.Is(err, problem.AuthUnsupported) || !strings.Contains(err.Error(), "a managed identity is for apps that run in Azure") {
			t.Errorf("%s: %v", auth, err)
		}
	}
	for _, c := range []*connection.Connection{onFile(blobID, connection.AuthSecret), onFile(blobID, connection.AuthUserAccount, person)} {
		if err := r.Check(c, nil); err != nil {
			t.Errorf("%s: %v", c.Properties.Auth.Type, err)
		}
		for _, right := range r.Reads(c) {
			if strings.Contains(right.Scope, "Patchbay.Files") {
				t.Errorf("%+v is needed", right)
			}
		}
	}
	vault := onFile(blobID, connection.AuthSecret, func(c *connection.Connection) {
		c.Properties.SecretStore = &connection.SecretStore{KeyVaultID: "/subscriptions/s/resourceGroups/g/providers/Microsoft.KeyVault/vaults/v"}
	})
	if err := r.Check(vault, nil); !problem.Is(err, problem.OptionUnsupported) {
		t.Errorf("a vault: %v", err)
	}
}

// TestPlace: a source that keeps settings elsewhere says where.
func TestPlace(t *testing.T) {
	t.Parallel()
	c, r := onFile(blobID, connection.AuthSecret), reader(t, world())
	facts, err := r.Facts(context.Background(), c)
	if err != nil {
		t.Fatal(err)
	}
	r.Place = func(got *connection.Connection, facets []connection.Facet) ([]connection.Facet, error) {
		if got != c || len(facets) == 0 {
			t.Errorf("asked to place %d facets of %s", len(facets), got.ID)
		}
		return facets[:1], nil
	}
	if facets, err := r.Derive(c, facts, nil); err != nil || len(facets) != 1 {
		t.Errorf("%d facets, %v", len(facets), err)
	}
}
