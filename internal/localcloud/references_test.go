package localcloud_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/patchbay/patchbay/internal/localcloud"
	"github.com/patchbay/patchbay/internal/localcloud/keyvault"
	"github.com/patchbay/patchbay/internal/localcloud/provider"
)

const vaultAPI = "2024-11-01"

// withVaults adds the provider of vaults to a cloud.
func withVaults(c *localcloud.Config) {
	c.Providers = func(c provider.Cloud) []provider.Provider { return []provider.Provider{keyvault.New(c)} }
}

func (w *world) vault(name string, properties doc) (id, uri string) {
	w.t.Helper()
	all := doc{"tenantId": "t", "sku": doc{"name": "standard", "family": "A"}, "enableRbacAuthorization": true}
	for k, v := range properties {
		all[k] = v
	}
	id = w.group + "/providers/Microsoft.KeyVault/vaults/" + name
	made := w.must(200, "PUT", id, vaultAPI, doc{"location": "westeurope", "properties": all}).body
	return id, at(made, "properties", "vaultUri").(string)
}

// TestKeyVaultReferences: one setting per way a reference can end, and what the process
// reads then; what is not resolved arrives as it is written.
func TestKeyVaultReferences(t *testing.T) {
	t.Parallel()
	w := start(t, withVaults)
	open, uri := w.vault("open1", nil)
	shut, shutURI := w.vault("shut1", nil)
	_, walled := w.vault("wall1", doc{"networkAcls": doc{"defaultAction": "Deny"}})
	var version string
	for _, id := range []string{open, shut} {
		made := w.must(200, "PUT", id+"/secrets/db-password", vaultAPI, doc{"properties": doc{"value": "s;e'c\"r=t"}}).body
		full := at(made, "properties", "secretUriWithVersion").(string)
		version = full[strings.LastIndex(full, "/")+1:]
		if id == open {
			uri = full[:strings.LastIndex(full, "/")]
		}
	}
	w.must(200, "PUT", open+"/secrets/off", vaultAPI, doc{"properties": doc{"value": "v", "attributes": doc{"enabled": false}}})
	rows := []struct{ name, value, status string }{
		{"URI", "@Microsoft.KeyVault(SecretUri=" + uri + ")", "Resolved"},
		{"URI_SLASH", "@microsoft.keyvault(secreturi=" + uri + "/)", "Resolved"},
		{"NAMES", "@Microsoft.KeyVault(VaultName=open1;SecretName=db-password)", "Resolved"},
		{"NO_SECRET", "@Microsoft.KeyVault(VaultName=open1;SecretName=nothing)", "SecretNotFound"},
		{"NO_VERSION", "@Microsoft.KeyVault(SecretUri=" + uri + "/00000000000000000000000000000000)", "SecretVersionNotFound"},
		{"DISABLED", "@Microsoft.KeyVault(VaultName=open1;SecretName=off)", "AccessToKeyVaultDenied"},
		{"NO_RIGHT", "@Microsoft.KeyVault(SecretUri=" + shutURI + "secrets/db-password)", "AccessToKeyVaultDenied"},
		{"WALL", "@Microsoft.KeyVault(SecretUri=" + walled + "secrets/db-password)", "AccessToKeyVaultDenied"},
		{"STRANGER", "@Microsoft.KeyVault(SecretUri=https://127.0.0.1:9/secrets/db-password)", "VaultNotFound"},
		{"PLAIN_HTTP", "@Microsoft.KeyVault(SecretUri=http://127.0.0.1:9/secrets/db-password)", "InvalidSyntax"},
		{"GARBLED", "@Microsoft.KeyVault(Secret=x)", "InvalidSyntax"},
		{"UNCLOSED", "@Microsoft.KeyVault(SecretUri=" + uri, "InvalidSyntax"},
	}
	settings := doc{"PLAIN": "Microsoft.KeyVault(SecretUri=x)"}
	for _, r := range rows {
		settings[r.name] = r.value
	}
	site := w.newSite("refs", doc{"identity": doc{"type": "SystemAssigned"}})
	who := at(w.must(200, "GET", site, webAPI, nil).body, "identity", "principalId").(string)
	if err := w.cloud.Assign("Key Vault Secrets User", who, open); err != nil {
		t.Fatal(err)
	}
	w.must(200, "PUT", site+"/config/appsettings", webAPI, doc{"properties": settings})
	w.must(200, "PATCH", site, webAPI, doc{"properties": doc{"siteConfig": doc{"appCommandLine": appDump()}}})
	env := w.environmentOf("refs")
	list := w.must(200, "GET", site+"/config/configreferences/appsettings", webAPI, nil)
	if strings.Contains(string(list.raw), "s;e") {
		t.Error("the list shows a value")
	}
	for _, r := range rows {
		want := r.value
		if r.status == "Resolved" {
			want = "s;e'c\"r=t"
		}
		if env[r.name] != want {
			t.Errorf("%s reads %q", r.name, env[r.name])
		}
		one := w.must(200, "GET", site+"/config/configreferences/appsettings/"+r.name, webAPI, nil).body
		if got := at(one, "properties", "status"); got != r.status {
			t.Errorf("%s is %v, want %s", r.name, got, r.status)
		}
	}
	w.refused(http.StatusNotFound, "NotFound", "GET", site+"/config/configreferences/appsettings/PLAIN", webAPI, nil)
	if n := len(at(list.body, "value").([]any)); n != len(rows) || version == "" {
		t.Errorf("%d references, want %d", n, len(rows))
	}
}

// TestReferencesNeedAnIdentity: the site's own, or the one it names for references.
func TestReferencesNeedAnIdentity(t *testing.T) {
	t.Parallel()
	w := start(t, withVaults)
	vault, _ := w.vault("open2", nil)
	w.must(200, "PUT", vault+"/secrets/s", vaultAPI, doc{"properties": doc{"value": "v"}})
	site := w.newSite("bare", doc{"properties": doc{"siteConfig": doc{"appCommandLine": appDump(), "appSettings": []doc{{"name": "S", "value": "@Microsoft.KeyVault(VaultName=open2;SecretName=s)"}}}}})
	status := func() any {
		return at(w.must(200, "GET", site+"/config/configreferences/appsettings/S", webAPI, nil).body, "properties", "status")
	}
	if got := status(); got != "MSINotEnabled" {
		t.Errorf("without an identity: %v", got)
	}
	user := w.group + "/providers/Microsoft.ManagedIdentity/userAssignedIdentities/reader"
	made := w.must(201, "PUT", user, idAPI, doc{"location": "westeurope"}).body
	if err := w.cloud.Assign("Key Vault Secrets User", at(made, "properties", "principalId").(string), vault); err != nil {
		t.Fatal(err)
	}
	w.must(200, "PATCH", site, webAPI, doc{"identity": doc{"type": "SystemAssigned, UserAssigned", "userAssignedIdentities": doc{user: doc{}}}})
	if got := status(); got != "AccessToKeyVaultDenied" {
		t.Errorf("by its own identity: %v", got)
	}
	w.must(200, "PATCH", site, webAPI, doc{"properties": doc{"keyVaultReferenceIdentity": user}})
	if got := status(); got != "Resolved" {
		t.Errorf("by the identity for references: %v", got)
	}
}
