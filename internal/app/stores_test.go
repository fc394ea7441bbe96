package app

import (
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/data/azappconfig"
	"github.com/google/go-cmp/cmp"
)

const (
	vaultVersion = "2024-11-01"
	storeVersion = "2024-06-01"
)

func (c *cloudUnderTest) vault(name string) string {
	return c.group() + "/providers/Microsoft.KeyVault/vaults/" + name
}

func (c *cloudUnderTest) configStore(name string) string {
	return c.group() + "/providers/Microsoft.AppConfiguration/configurationStores/" + name
}

// makeVault makes a vault that goes by roles, or by access policies.
func (c *cloudUnderTest) makeVault(name string, properties map[string]any) {
	c.t.Helper()
	all := map[string]any{"tenantId": c.ready.TenantID, "sku": map[string]any{"name": "standard", "family": "A"}}
	for k, v := range properties {
		all[k] = v
	}
	c.arm("PUT", c.vault(name), vaultVersion, map[string]any{"location": "westeurope", "properties": all})
}

func (c *cloudUnderTest) makeConfigStore(name string, properties map[string]any) {
	c.t.Helper()
	c.arm("PUT", c.configStore(name), storeVersion, map[string]any{"location": "westeurope", "sku": map[string]any{"name": "standard"}, "properties": properties})
}

// makeTeller makes a site whose app writes its environment into a file at each start.
func (c *cloudUnderTest) makeTeller(name string) (file string) {
	c.t.Helper()
	file = filepath.Join(shortDir(c.t), "env")
	c.arm("PUT", c.site(name), siteVersion, map[string]any{"location": "westeurope", "properties": map[string]any{
		"siteConfig": map[string]any{"appCommandLine": "sh -c 'env > " + file + ".new; mv " + file + ".new " + file + "; exec sleep 600'"}}})
	return file
}

// reads waits until the app's environment holds a variable of that value.
func (c *cloudUnderTest) reads(file, name string, ok func(value string) bool) string {
	c.t.Helper()
	deadline := time.Now().Add(20 * time.Second)
	for {
		raw, _ := os.ReadFile(file)
		for _, line := range strings.Split(string(raw), "\n") {
			if value, found := strings.CutPrefix(line, name+"="); found && ok(value) {
				return value
			}
		}
		if time.Now().After(deadline) {
			c.t.Fatalf("the app does not read %s", name)
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// keptIn adds a store to a linker's body.
func keptIn(linker map[string]any, vault, store string) map[string]any {
	p := linker["properties"].(map[string]any)
	if vault != "" {
		p["secretStore"] = map[string]any{"keyVaultId": vault}
	}
	if store != "" {
		p["configurationInfo"] = map[string]any{"configurationStore": map[string]any{"appConfigurationId": store}}
	}
	return linker
}

// helper is the connection by which a source reads a store.
func helper(store string) map[string]any {
	b := body(store, map[string]any{"authType": "systemAssignedIdentity"})
	b["properties"].(map[string]any)["clientType"] = "none"
	return b
}

// refusedWith tells whether an answer carries one of our codes.
func refusedWith(a answer, code string) bool {
	return strings.Contains(string(a.Raw), `"code":"`+code+`"`)
}

// TestSecretsInVault: the app reads the secret through a reference, the vault holds it,
// nothing of the engine's rights stays, and a delete takes both away; twice, because a
// deleted secret keeps its name.
func TestSecretsInVault(t *testing.T) {
	t.Parallel()
	for name, properties := range map[string]map[string]any{
		"roles": {"enableRbacAuthorization": true, "networkAcls": map[string]any{"defaultAction": "Deny"}},
		"policies": {"accessPolicies": []any{map[string]any{"tenantId": "11111111-2222-4333-8444-555555555555", "objectId": "66666666-7777-4888-8999-000000000000",
			"permissions": map[string]any{"secrets": []string{"get"}}}}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := startCloud(t)
			c.makeGroup()
			c.makeCache()
			c.makeVault("kv1", properties)
			file := c.makeTeller("app1")
			s := c.newConnector().start()
			kept := keptIn(cacheByKey(c), c.vault("kv1"), "")
			if a := s.do("PUT", s.linker("app1", "cache"), kept); !refusedWith(a, "STORE_NOT_CONNECTED") {
				t.Fatalf("without a way to the vault: %d %s", a.Status, a.Raw)
			}
			s.must(t, "PUT", s.linker("app1", "keyvault_abcde"), helper(c.vault("kv1")))
			before := tidy(c.arm("GET", c.vault("kv1"), vaultVersion, nil).Body)
			holders := c.holders(c.vault("kv1"))
			for range 2 {
				s.must(t, "PUT", s.linker("app1", "cache"), kept)
				s.checkReference(file)
				s.validates(t, "cache", s.linker("app1", "cache"))
				same(t, "vault", before, tidy(c.arm("GET", c.vault("kv1"), vaultVersion, nil).Body))
				same(t, "who holds roles on the vault", holders, c.holders(c.vault("kv1")))
				s.must(t, "DELETE", s.linker("app1", "cache"), nil)
				if got := c.settings("app1")["AZURE_REDIS_CONNECTIONSTRING"]; got != "" {
					t.Errorf("the reference stays: %s", got)
				}
				if left := c.arm("GET", c.vault("kv1")+"/secrets", vaultVersion, nil).at("value").([]any); len(left) != 0 {
					t.Errorf("the secret stays: %v", left)
				}
			}
		})
	}
}

// checkReference looks at a reference from every side.
func (s *connector) checkReference(file string) {
	c := s.cloud
	c.t.Helper()
	reference := c.settings("app1")["AZURE_REDIS_CONNECTIONSTRING"]
	if !strings.HasPrefix(reference, "@Microsoft.KeyVault(SecretUri=https://") {
		c.t.Fatalf("the setting is %q", reference)
	}
	key := c.arm("POST", c.cache()+"/listKeys", cacheVersion, nil).text("primaryKey")
	c.reads(file, "AZURE_REDIS_CONNECTIONSTRING", func(v string) bool {
		u, err := url.Parse(v)
		if err != nil || u.User == nil {
			return false
		}
		password, _ := u.User.Password()
		return password == key
	})
	shown := c.arm("GET", c.site("app1")+"/config/configreferences/appsettings/AZURE_REDIS_CONNECTIONSTRING", siteVersion, nil)
	if shown.text("properties", "status") != "Resolved" || strings.Contains(string(shown.Raw), key) {
		c.t.Errorf("reference: %s", shown.Raw)
	}
	listed := s.call("POST", s.linker("app1", "cache")+"/listConfigurations", nil)
	rows, _ := listed.at("configurations").([]any)
	if len(rows) != 1 || rows[0].(map[string]any)["configType"] != "KeyVaultSecret" || rows[0].(map[string]any)["value"] != reference {
		c.t.Errorf("configurations: %s", listed.Raw)
	}
}

// same compares two looks at one thing.
func same(t *testing.T, what string, before, after any) {
	t.Helper()
	if diff := cmp.Diff(before, after); diff != "" {
		t.Errorf("%s changed:\n%s", what, diff)
	}
}

// TestSettingsInStore: the store holds them under long names, the source none.
func TestSettingsInStore(t *testing.T) {
	t.Parallel()
	c := startCloud(t)
	c.makeGroup()
	c.makeAccount()
	c.makeConfigStore("conf1", map[string]any{})
	c.makeVault("kv1", map[string]any{"enableRbacAuthorization": true})
	c.makeSite("app1", map[string]string{"FOREIGN": "theirs"})
	s := c.newConnector().start()
	s.must(t, "PUT", s.linker("app1", "appconfig_abcde"), helper(c.configStore("conf1")))
	s.must(t, "PUT", s.linker("app1", "keyvault_abcde"), helper(c.vault("kv1")))
	settings, holders := c.settings("app1"), c.holders(c.configStore("conf1"))
	store := c.storeClient("conf1")
	byKey := func() map[string]any {
		return body(c.account()+"/blobServices/default", map[string]any{"authType": "secret"})
	}
	const name = "AZURE_STORAGEBLOB_TESTCONN_CONNECTIONSTRING"
	for vault, begins := range map[string]string{"": "DefaultEndpointsProtocol=https;", c.vault("kv1"): `{"uri":"https://`} {
		s.must(t, "PUT", s.linker("app1", "testconn"), keptIn(byKey(), vault, c.configStore("conf1")))
		got, err := store.GetSetting(t.Context(), name, nil)
		if err != nil || !strings.HasPrefix(*got.Value, begins) {
			t.Fatalf("%s: %v %+v", name, err, got)
		}
		same(t, "settings", settings, c.settings("app1"))
		same(t, "holders", holders, c.holders(c.configStore("conf1")))
		if listed := s.call("POST", s.linker("app1", "testconn")+"/listConfigurations", nil); !strings.Contains(string(listed.Raw), name) {
			t.Errorf("configurations: %s", listed.Raw)
		}
		s.validates(t, "testconn", s.linker("app1", "testconn"))
		s.must(t, "DELETE", s.linker("app1", "testconn"), nil)
		if _, err := store.GetSetting(t.Context(), name, nil); err == nil {
			t.Error("the key-value stays")
		}
	}
}

// storeClient reads a store with its read-only key and a library we did not write.
func (c *cloudUnderTest) storeClient(name string) *azappconfig.Client {
	c.t.Helper()
	for _, k := range c.arm("POST", c.configStore(name)+"/listKeys", storeVersion, nil).at("value").([]any) {
		one := k.(map[string]any)
		if one["readOnly"] != true {
			continue
		}
		client, err := azappconfig.NewClientFromConnectionString(one["connectionString"].(string), &azappconfig.ClientOptions{ClientOptions: azcore.ClientOptions{Transport: c.http}})
		if err != nil {
			c.t.Fatal(err)
		}
		return client
	}
	c.t.Fatal("no read-only key")
	return nil
}

// TestStoresRefused: what cannot work is refused before anything is written.
func TestStoresRefused(t *testing.T) {
	t.Parallel()
	c := startCloud(t)
	c.makeGroup()
	c.makeCache()
	c.makeSite("app1", map[string]string{"FOREIGN": "theirs"})
	c.makeVault("kv1", map[string]any{"enableRbacAuthorization": true})
	c.makeVault("shut", map[string]any{"enableRbacAuthorization": true})
	c.makeConfigStore("keyless", map[string]any{"disableLocalAuth": true})
	c.makeConfigStore("shut1", map[string]any{})
	s := c.newConnector().start()
	for name, id := range map[string]string{"kv1": c.vault("kv1"), "shut": c.vault("shut"), "shut1": c.configStore("shut1")} {
		s.must(t, "PUT", s.linker("app1", "to_"+name), helper(id))
	}
	c.arm("PATCH", c.vault("shut"), vaultVersion, map[string]any{"properties": map[string]any{"publicNetworkAccess": "Disabled"}})
	c.arm("PATCH", c.configStore("shut1"), storeVersion, map[string]any{"properties": map[string]any{"publicNetworkAccess": "Disabled"}})
	keyless := helper(c.configStore("keyless"))
	keyless["properties"].(map[string]any)["authInfo"] = map[string]any{"authType": "secret"}
	before := c.settings("app1")
	for name, row := range map[string]struct {
		body map[string]any
		code string
	}{
		"a closed vault":        {keptIn(cacheByKey(c), c.vault("shut"), ""), "PUBLIC_ACCESS_DENIED"},
		"a closed store":        {keptIn(cacheByKey(c), "", c.configStore("shut1")), "PUBLIC_ACCESS_DENIED"},
		"no such vault":         {keptIn(cacheByKey(c), c.vault("nothing"), ""), "STORE_NOT_CONNECTED"},
		"not a vault":           {keptIn(cacheByKey(c), c.cache()+"/databases/0", ""), "OPTION_UNSUPPORTED"},
		"identities confide no": {keptIn(blobByIdentity(c), c.vault("kv1"), ""), "OPTION_UNSUPPORTED"},
		"a store without keys":  {keyless, "KEY_ACCESS_DISABLED"},
	} {
		c.forget()
		a := s.do("PUT", s.linker("app1", "refused"), row.body)
		if !refusedWith(a, row.code) {
			t.Errorf("%s: %d %s", name, a.Status, a.Raw)
		}
		for _, r := range c.requests() {
			if r.Method != http.MethodGet && !strings.HasSuffix(strings.ToLower(r.Path), "/list") && !strings.Contains(strings.ToLower(r.Path), "listkeys") && r.Caller == s.engine.ObjectID {
				t.Errorf("%s: %s %s was written", name, r.Method, r.Path)
			}
		}
	}
	same(t, "settings", before, c.settings("app1"))
}

// TestRightsOnVaultTakeTime: roles work late, as they do in Azure; writing and deleting
// wait for them.
func TestRightsOnVaultTakeTime(t *testing.T) {
	t.Parallel()
	c := startCloud(t)
	c.makeGroup()
	c.makeCache()
	c.makeSite("app1", map[string]string{})
	c.makeVault("kv1", map[string]any{"enableRbacAuthorization": true})
	s := c.newConnector().start()
	s.must(t, "PUT", s.linker("app1", "keyvault_abcde"), helper(c.vault("kv1")))
	if a := c.call(c.ready.Endpoint, c.token, "POST", "/_local/advance", map[string]any{"action": "roleDelay", "milliseconds": 700}); a.Status >= 300 {
		t.Fatalf("delay roles: %d %s", a.Status, a.Raw)
	}
	kept := func() int { return len(c.arm("GET", c.vault("kv1")+"/secrets", vaultVersion, nil).at("value").([]any)) }
	s.must(t, "PUT", s.linker("app1", "cache"), keptIn(cacheByKey(c), c.vault("kv1"), ""))
	if kept() != 1 {
		t.Errorf("%d secrets after create", kept())
	}
	s.must(t, "DELETE", s.linker("app1", "cache"), nil)
	if kept() != 0 {
		t.Errorf("%d secrets after delete", kept())
	}
}

// TestVaultThatIsGone: a delete does not wait for it.
func TestVaultThatIsGone(t *testing.T) {
	t.Parallel()
	c := startCloud(t)
	c.makeGroup()
	c.makeCache()
	c.makeSite("app1", map[string]string{"FOREIGN": "theirs"})
	c.makeVault("kv1", map[string]any{"enableRbacAuthorization": true})
	s := c.newConnector().start()
	s.must(t, "PUT", s.linker("app1", "keyvault_abcde"), helper(c.vault("kv1")))
	s.must(t, "PUT", s.linker("app1", "cache"), keptIn(cacheByKey(c), c.vault("kv1"), ""))
	c.arm("DELETE", c.vault("kv1"), vaultVersion, nil)
	s.must(t, "DELETE", s.linker("app1", "cache"), nil)
	s.must(t, "DELETE", s.linker("app1", "keyvault_abcde"), nil)
	same(t, "settings", map[string]string{"FOREIGN": "theirs"}, c.settings("app1"))
}

// TestPrincipalInVault: id and secret of a service principal are both kept there.
func TestPrincipalInVault(t *testing.T) {
	t.Parallel()
	c := startCloud(t)
	c.makeGroup()
	c.makeAccount()
	c.makeSite("app1", map[string]string{})
	c.makeVault("kv1", map[string]any{"enableRbacAuthorization": true})
	s := c.newConnector().start()
	s.must(t, "PUT", s.linker("app1", "keyvault_abcde"), helper(c.vault("kv1")))
	who := c.newPrincipal("app")
	linker := body(c.account()+"/blobServices/default", map[string]any{"authType": "servicePrincipalSecret", "clientId": who.ClientID, "principalId": who.ObjectID, "secret": who.ClientSecret})
	s.must(t, "PUT", s.linker("app1", "blob"), keptIn(linker, c.vault("kv1"), ""))
	for name, value := range c.settings("app1") {
		confided := strings.HasSuffix(name, "CLIENTID") || strings.HasSuffix(name, "CLIENTSECRET")
		if strings.HasPrefix(name, "AZURE_STORAGEBLOB") && confided != strings.HasPrefix(value, "@Microsoft.KeyVault(") {
			t.Errorf("%s is %q", name, value)
		}
	}
	s.validates(t, "blob", s.linker("app1", "blob"))
	s.must(t, "DELETE", s.linker("app1", "blob"), nil)
}

// TestPasswordLiesInVault: the app gets what the vault holds, as part of a string or as
// a reference; whoever may not read it there is refused.
func TestPasswordLiesInVault(t *testing.T) {
	t.Parallel()
	c := startCloud(t)
	c.makeGroup()
	c.makeServer("pg1")
	c.makeSite("app1", map[string]string{})
	c.makeVault("kv1", map[string]any{"enableRbacAuthorization": true})
	c.arm("PUT", c.vault("kv1")+"/secrets/db-password", vaultVersion, map[string]any{"properties": map[string]any{"value": adminPassword}})
	uri := c.arm("GET", c.vault("kv1"), vaultVersion, nil).text("properties", "vaultUri") + "secrets/db-password"
	s := c.newConnector().start()
	by := func(client string, info map[string]any) map[string]any {
		b := databaseByPassword(c, "pg1", "pgadmin", "")
		p := b["properties"].(map[string]any)
		p["authInfo"].(map[string]any)["secretInfo"], p["clientType"] = info, client
		return b
	}
	byURI := map[string]any{"secretType": "keyVaultSecretUri", "value": uri}
	if a := s.do("PUT", s.linker("app1", "db"), by("go", byURI)); !refusedWith(a, "ENGINE_LACKS_RIGHT") {
		t.Fatalf("without rights in the vault: %d %s", a.Status, a.Raw)
	}
	c.assign("4633458b-17de-408a-b874-0445c86b69e6", s.engine.ObjectID, c.vault("kv1"))
	stranger := map[string]any{"secretType": "keyVaultSecretUri", "value": "https://127.0.0.1:1/secrets/db-password"}
	if a := s.do("PUT", s.linker("app1", "db"), by("go", stranger)); !refusedWith(a, "TARGET_NOT_FOUND") {
		t.Errorf("an address that is no vault's: %d %s", a.Status, a.Raw)
	}
	s.must(t, "PUT", s.linker("app1", "db"), by("go", byURI))
	if got := c.settings("app1")["AZURE_POSTGRESQL_CONNECTIONSTRING"]; !strings.Contains(got, "Correct-Horse-7") {
		t.Errorf("the string holds no password: %q", got)
	}
	s.validates(t, "db", s.linker("app1", "db"))
	s.must(t, "PUT", s.linker("app1", "keyvault_abcde"), helper(c.vault("kv1")))
	byName := map[string]any{"secretType": "keyVaultSecretReference", "name": "db-password"}
	s.must(t, "PUT", s.linker("app1", "db"), keptIn(by("none", byName), c.vault("kv1"), ""))
	if got := c.settings("app1")["AZURE_POSTGRESQL_PASSWORD"]; got != "@Microsoft.KeyVault(SecretUri="+uri+")" {
		t.Errorf("the password is %q", got)
	}
	s.must(t, "DELETE", s.linker("app1", "db"), nil)
	if left := c.arm("GET", c.vault("kv1")+"/secrets", vaultVersion, nil).at("value").([]any); len(left) != 1 {
		t.Errorf("the user's own secret is gone: %v", left)
	}
}
