package target_test

import (
	"context"
	"strings"
	"testing"

	"github.com/patchbay/patchbay/internal/connection"
	"github.com/patchbay/patchbay/internal/problem"
)

const (
	vault = group + "/providers/Microsoft.KeyVault/vaults/v1"
	store = group + "/providers/Microsoft.AppConfiguration/configurationStores/s1"
)

// withStores is the world with a vault and a store in it.
func withStores(vaultProperties map[string]any) *cloud {
	properties := map[string]any{"vaultUri": "https://v1.vault.test/", "tenantId": "t", "enableRbacAuthorization": true}
	for k, v := range vaultProperties {
		properties[k] = v
	}
	return world().
		answer(vault, map[string]any{"id": vault, "properties": properties}).
		answer(store, map[string]any{"id": store, "properties": map[string]any{"endpoint": "https://s1.azconfig.test"}}).
		answer("/subscriptions/11111111-1111-1111-1111-111111111111/providers/Microsoft.KeyVault/vaults", map[string]any{"value": []any{map[string]any{"id": vault, "properties": properties}}})
}

func keptIn(vaultID, storeID string) func(*connection.Connection) {
	return func(c *connection.Connection) {
		if vaultID != "" {
			c.Properties.SecretStore = &connection.SecretStore{KeyVaultID: vaultID}
		}
		if storeID != "" {
			c.Properties.Configuration = &connection.Configuration{AppConfigurationID: storeID}
		}
	}
}

// outline prints facets one a line: kind, name and value; names lose their hashes.
func outline(facets []connection.Facet) string {
	var out []string
	for _, f := range facets {
		name := f.Name
		if cut := strings.LastIndexAny(name, "-:_"); f.Kind != connection.KindSetting && f.Kind != connection.KindConfigKey && cut > 0 && len(name)-cut == 11 {
			name = name[:cut]
		}
		line := string(f.Kind) + " " + name
		if f.Scaffold {
			line += " (scaffold)"
		}
		out = append(out, line)
	}
	return strings.Join(out, "\n")
}

func TestStoresInFacets(t *testing.T) {
	t.Parallel()
	const officer, owner = "b86a8fe4-44ce-4948-aee5-eccb2c155cd7", "5ae67dd6-50cb-40e7-96ff-dc2bfa4b606b"
	policies := map[string]any{"enableRbacAuthorization": false, "networkAcls": map[string]any{"defaultAction": "Deny"}}
	for name, row := range map[string]struct {
		cloud *cloud
		c     *connection.Connection
		want  []string
	}{
		"a vault of roles": {withStores(nil), link(dbID, secret, "none", keptIn(vault, "")), []string{
			"role " + officer + " engine (scaffold)", "secret azure-postgresql-password", "setting AZURE_POSTGRESQL_PASSWORD"}},
		"a vault of policies behind a wall": {withStores(policies), link(dbID, secret, "go", keptIn(vault, "")), []string{
			"access patchbay-engine (scaffold)", "firewall patchbay_engine (scaffold)", "secret azure-postgresql-connectionstring", "setting AZURE_POSTGRESQL_CONNECTIONSTRING"}},
		"a store": {withStores(nil), link(dbID, secret, "none", keptIn("", store)), []string{
			"role " + owner + " engine (scaffold)", "configkey AZURE_POSTGRESQL_PASSWORD", "configkey AZURE_POSTGRESQL_HOST"}},
		"both": {withStores(nil), link(dbID, secret, "none", keptIn(vault, store)), []string{
			"secret azure-postgresql-password", "configkey AZURE_POSTGRESQL_PASSWORD", "configkey AZURE_POSTGRESQL_HOST"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			facets, err := derive(t, row.cloud, row.c, given("canary"))
			if err != nil {
				t.Fatal(err)
			}
			got := outline(facets)
			for _, line := range row.want {
				if !strings.Contains("\n"+got+"\n", "\n"+line+"\n") {
					t.Errorf("no %q in\n%s", line, got)
				}
			}
			for _, f := range facets {
				inStore := row.c.Properties.Configuration != nil
				switch v := f.Want[connection.AttrValue]; {
				case f.Kind == connection.KindSetting && inStore:
					t.Errorf("the source gets %s", f.Name)
				case f.Kind != connection.KindSecret && row.c.Properties.SecretStore != nil && strings.Contains(v.Text, "canary"):
					t.Errorf("%s holds the secret", f.Key)
				}
			}
		})
	}
}

// TestOneSecretUnderAGivenName: the name stands for one secret, never for several.
func TestOneSecretUnderAGivenName(t *testing.T) {
	t.Parallel()
	named := func(c *connection.Connection) { c.Properties.SecretStore.KeyVaultSecretName = "mine" }
	facets, err := derive(t, withStores(nil), link(dbID, secret, "go", keptIn(vault, ""), named), given("canary"))
	if err != nil || !strings.Contains(outline(facets), "secret mine") {
		t.Errorf("%v in\n%s", err, outline(facets))
	}
	_, err = derive(t, withStores(nil), link(dbID, secret, "springBoot", keptIn(vault, ""), named), given("canary"))
	if err != nil && !problem.Is(err, problem.OptionUnsupported) {
		t.Errorf("several: %v", err)
	}
}

func TestStoresRefused(t *testing.T) {
	t.Parallel()
	shut := map[string]any{"publicNetworkAccess": "Disabled"}
	for name, row := range map[string]struct {
		c    *connection.Connection
		code problem.Code
	}{
		"not a vault":        {link(dbID, secret, "go", keptIn(cacheID, "")), problem.OptionUnsupported},
		"not a store":        {link(dbID, secret, "go", keptIn("", vault)), problem.OptionUnsupported},
		"nothing secret":     {link(dbID, system, "go", keptIn(vault, "")), problem.OptionUnsupported},
		"a name of no kind":  {link(dbID, secret, "go", keptIn(vault, ""), func(c *connection.Connection) { c.Properties.SecretStore.KeyVaultSecretName = "a_b" }), problem.BodyInvalid},
		"no address":         {link(dbID, secret, "go", inVault("keyVaultSecretUri", "http://x/secrets/a")), problem.BodyInvalid},
		"no vault to a name": {link(dbID, secret, "go", inVault("keyVaultSecretReference", "a")), problem.BodyInvalid},
		"a fetched key":      {link(cacheID, secret, "go", inVault("keyVaultSecretUri", "https://x/secrets/a")), problem.OptionUnsupported},
	} {
		if err := reader(t, withStores(nil)).Check(row.c, given("canary")); !problem.Is(err, row.code) {
			t.Errorf("%s: %v, want %s", name, err, row.code)
		}
	}
	if _, err := derive(t, withStores(shut), link(dbID, secret, "go", keptIn(vault, "")), given("canary")); !problem.Is(err, problem.PublicAccessDenied) {
		t.Errorf("a closed vault: %v", err)
	}
	r := reader(t, world())
	if _, err := r.Facts(context.Background(), link(dbID, secret, "go", keptIn(vault, ""))); !problem.Is(err, problem.TargetNotFound) {
		t.Errorf("a vault that is gone: %v", err)
	}
}

// inVault says that the password lies in a vault already.
func inVault(kind, where string) func(*connection.Connection) {
	return func(c *connection.Connection) {
		c.Properties.Auth.SecretType, c.Properties.Auth.SecretURI, c.Properties.Auth.SecretName = kind, where, where
	}
}

// TestPasswordFromVault: our token goes to vaults only that ARM knows.
func TestPasswordFromVault(t *testing.T) {
	t.Parallel()
	r := reader(t, withStores(nil))
	var asked []string
	r.VaultSecret = func(_ context.Context, vault, uri string) (string, error) {
		asked = append(asked, vault+" "+uri)
		return "canary", nil
	}
	read := func(c *connection.Connection) (connection.Facts, error) { return r.Facts(context.Background(), c) }
	facts, err := read(link(dbID, secret, "go", inVault("keyVaultSecretUri", "https://V1.vault.test/secrets/pw/0123")))
	if err != nil || facts["password"].Text != "canary" || !facts["password"].Secret || facts.Text(connection.FactConfidedIn) != vault {
		t.Errorf("by address: %v %v", facts, err)
	}
	if _, err := read(link(dbID, secret, "go", inVault("keyVaultSecretUri", "https://evil.test/secrets/pw"))); !problem.Is(err, problem.TargetNotFound) {
		t.Errorf("a stranger's address: %v", err)
	}
	if _, err := read(link(dbID, secret, "go", keptIn(vault, ""), inVault("keyVaultSecretReference", "pw"))); err != nil {
		t.Errorf("by name: %v", err)
	}
	want := vault + " https://v1.vault.test/secrets/pw/0123\n" + vault + " https://v1.vault.test/secrets/pw"
	if got := strings.Join(asked, "\n"); got != want {
		t.Errorf("asked\n%s\nwant\n%s", got, want)
	}
}
