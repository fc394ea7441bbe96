package target_test

import (
	"strings"
	"testing"

	"github.com/patchbay/patchbay/internal/connection"
	"github.com/patchbay/patchbay/internal/problem"
)

func TestCheckAccepts(t *testing.T) {
	t.Parallel()
	for name, row := range map[string]struct {
		c     *connection.Connection
		given connection.Secrets
	}{
		"password":           {link(dbID, secret, "go"), given("p")},
		"fetched key":        {link(cacheID, secret, ""), nil},
		"identity":           {link(blobID, system, "springBoot"), nil},
		"internal client":    {link(blobID, system, "dotnet-internal"), nil},
		"no settings":        {link(dbID, secret, "anything", optOutSettings), nil},
		"no auth, no config": {link(blobID, secret, "", optOutSettings, func(c *connection.Connection) { c.Properties.Auth = nil }), nil},
		"empty members": {link(cacheID, system, "go", func(c *connection.Connection) {
			p := &c.Properties
			p.VNet, p.SecretStore, p.PublicNetwork, p.Configuration = &connection.VNet{}, &connection.SecretStore{}, &connection.PublicNetwork{Action: "enable"}, &connection.Configuration{Action: "enable"}
		}), nil},
		"custom keys": {link(dbID, secret, "nodejs", func(c *connection.Connection) { c.Infix = "C2" }, configure(connection.Configuration{
			CustomizedKeys: map[string]string{"azure_postgresql_host": "A", "AZURE_POSTGRESQL_C2_USER": "My__b"}})), given("p")},
		"connection options": {link(dbID, secret, "go", configure(connection.Configuration{AdditionalConnection: map[string]string{"connect_timeout": "5"}})), given("p")},
	} {
		if err := reader(t, world()).Check(row.c, row.given); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestCheckRefuses(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		c      *connection.Connection
		given  connection.Secrets
		code   problem.Code
		phrase string
	}{
		{link(dbID, system, "go", func(c *connection.Connection) { c.Name = "a-b" }), nil, problem.ConnectionName, "a-b"},
		{link(dbID, system, "go", func(c *connection.Connection) { c.Properties.Target.Type = "SelfHostedServer" }), nil, problem.TargetUnsupported, "SelfHostedServer"},
		{link(server, system, "go"), nil, problem.TargetUnsupported, "nearest: postgres-flexible"},
		{link(dbID, "", "go", func(c *connection.Connection) { c.Properties.Auth = nil }), nil, problem.AuthUnsupported, "no auth type"},
		{link(dbID, connection.AuthUserAccount, "go"), nil, problem.AuthUnsupported, "allowed: secret, systemAssignedIdentity, userAssignedIdentity, servicePrincipalSecret"},
		{link(dbID, connection.AuthAccessKey, "go"), nil, problem.AuthUnsupported, "accessKey"},
		{link(cacheID, system, "springBoot"), nil, problem.ClientUnsupported, "key only"},
		{link(cacheID, system, "djngo"), nil, problem.ClientUnsupported, "allowed:"},
		{link(dbID, secret, "go"), nil, problem.SecretNeeded, "password of app"},
		{link(dbID, secret, "go", func(c *connection.Connection) { c.Properties.Auth.Name = "" }), given("p"), problem.SecretNeeded, "database user"},
		{link(cacheID, secret, "go"), given("p"), problem.OptionUnsupported, "fetched"},
		{link(blobID, system, "go", func(c *connection.Connection) { c.Properties.Auth.Roles = []string{"Storage Blob Data Readr"} }), nil, problem.OptionUnsupported, `did you mean "Storage Blob Data Reader"`},
		{link(dbID, system, "go", func(c *connection.Connection) { c.Properties.Auth.Roles = []string{"Reader"} }), nil, problem.OptionUnsupported, "GUID"},
		{link(blobID, system, "go", func(c *connection.Connection) { c.Properties.VNet = &connection.VNet{Type: "privateLink"} }), nil, problem.OptionUnsupported, "vNetSolution"},
		{link(blobID, system, "go", func(c *connection.Connection) { c.Properties.SecretStore = &connection.SecretStore{KeyVaultID: "/v"} }), nil, problem.OptionUnsupported, "keyVaultId"},
		{link(blobID, system, "go", func(c *connection.Connection) {
			c.Properties.Target.ResourceProperties = map[string]any{"type": "KeyVault"}
		}), nil, problem.OptionUnsupported, "resourceProperties"},
		{link(blobID, system, "go", func(c *connection.Connection) {
			c.Properties.PublicNetwork = &connection.PublicNetwork{Action: "maybe"}
		}), nil, problem.OptionUnsupported, "maybe"},
		{link(blobID, system, "go", func(c *connection.Connection) {
			c.Properties.PublicNetwork = &connection.PublicNetwork{IPRanges: []string{"0.0.0.0/0"}}
		}), nil, problem.BodyInvalid, "0.0.0.0/0"},
		{link(blobID, system, "go", configure(connection.Configuration{Action: "maybe"})), nil, problem.OptionUnsupported, "maybe"},
		{link(blobID, system, "go", configure(connection.Configuration{AppConfigurationID: "/a"})), nil, problem.OptionUnsupported, "appConfigurationId"},
		{link(blobID, system, "go", configure(connection.Configuration{Dapr: map[string]any{"x": 1}})), nil, problem.OptionUnsupported, "dapr"},
		{link(dbID, secret, "go", func(c *connection.Connection) { c.Properties.Auth.SecretType = "keyVaultSecretUri" }), given("p"), problem.BodyInvalid, "address of a secret"},
		{link(dbID, system, "go", func(c *connection.Connection) { c.Properties.Auth.Mode = "some" }), nil, problem.OptionUnsupported, "authMode"},
		{link(dbID, system, "django", configure(connection.Configuration{AdditionalConnection: map[string]string{"a": "b"}})), nil, problem.OptionUnsupported, "no connection string"},
		{link(dbID, system, "go", configure(connection.Configuration{AdditionalConnection: map[string]string{"a b": "b"}})), nil, problem.OptionUnsupported, "a b"},
		{link(dbID, system, "django", configure(connection.Configuration{CustomizedKeys: map[string]string{"AZURE_POSTGRESQL_HOTS": "X"}})), nil, problem.OptionUnsupported, `did you mean "AZURE_POSTGRESQL_HOST"`},
		{link(dbID, system, "django", configure(connection.Configuration{CustomizedKeys: map[string]string{"AZURE_POSTGRESQL_HOST": "a=b"}})), nil, problem.SettingName, "a=b"},
		{link(dbID, system, "django", configure(connection.Configuration{Additional: map[string]string{"a b": "1"}})), nil, problem.SettingName, "a b"},
		{link(dbID, system, "django", configure(connection.Configuration{CustomizedKeys: map[string]string{"AZURE_POSTGRESQL_HOST": "X", "AZURE_POSTGRESQL_NAME": "x"}})), nil, problem.SettingClash, "called X"},
		{link(dbID, system, "django", configure(connection.Configuration{Additional: map[string]string{"azure_postgresql_host": "1"}})), nil, problem.SettingClash, "azure_postgresql_host"},
	} {
		err := reader(t, world()).Check(row.c, row.given)
		if !problem.Is(err, row.code) || !strings.Contains(err.Error(), row.phrase) {
			t.Errorf("%v is not %s with %q", err, row.code, row.phrase)
		}
	}
}

func TestTypeAndNames(t *testing.T) {
	t.Parallel()
	r := reader(t, world())
	if got := r.Type(link(strings.ToUpper(dbID), secret, "go")); got != "postgres-flexible" {
		t.Error(got)
	}
	if got := r.Type(link("x", secret, "go")); got != "" {
		t.Error(got)
	}
	names, err := r.Names(link(cacheID, system, "go"), "two")
	if err != nil || strings.Join(names, " ") != "AZURE_REDIS_TWO_HOST" {
		t.Error(names, err)
	}
	if got := r.Describe(link(blobID, system, "springBoot"))["spring.cloud.azure.storage.blob.endpoint"]; !strings.Contains(got, "4.0") {
		t.Error(got)
	}
}
