package probe_test

import (
	"context"
	"net"
	"testing"

	"github.com/patchbay/patchbay/internal/connection"
	"github.com/patchbay/patchbay/internal/localcloud/appconfig"
	"github.com/patchbay/patchbay/internal/localcloud/keyvault"
	"github.com/patchbay/patchbay/internal/localcloud/provider"
	"github.com/patchbay/patchbay/internal/localcloud/providertest"
	"github.com/patchbay/patchbay/internal/probe"
	"github.com/patchbay/patchbay/internal/problem"
)

const (
	vaultID = group + "/providers/Microsoft.KeyVault/vaults/vault1"
	storeID = group + "/providers/Microsoft.AppConfiguration/configurationStores/store1"
	config  = "Configured connection information validated."
)

// peer is a real vault or store of the local cloud, and an app's principal.
type peer struct {
	t        *testing.T
	cloud    *providertest.Cloud
	front    *providertest.Front
	id       string
	endpoint string
	app      provider.Principal
}

func newPeer(t *testing.T, make func(provider.Cloud) provider.Provider, id, uri string, body provider.Document) *peer {
	t.Helper()
	p := &peer{t: t, cloud: providertest.New(t), id: id}
	served := make(p.cloud)
	t.Cleanup(func() { _ = served.Close() })
	p.front = providertest.NewFront(p.cloud, served)
	p.run("PUT", "", body)
	p.endpoint = provider.Text(p.run("GET", "", nil), "properties", uri)
	p.app = p.cloud.Directory().NewManagedIdentity("/app", "app")
	return p
}

func (p *peer) run(method, path string, body provider.Document) provider.Document {
	p.t.Helper()
	r, err := p.front.Run(p.t.Context(), method, p.id+path, body)
	if err != nil {
		p.t.Fatal(err)
	}
	return r.Body
}

func (p *peer) patch(properties map[string]any) {
	p.run("PATCH", "", provider.Document{"properties": properties})
}

// prober signs in as the app's principal; its traffic comes from one address.
func (p *peer) prober(audience, from string) *probe.Prober {
	d := &net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(from)}}
	return probe.New(probe.Options{Dial: d.DialContext, Roots: p.cloud.CertPool(), SignIn: func(_ context.Context, who probe.Principal, asked string) (string, error) {
		if asked != audience || who.ClientID != clientID || who.Secret != "canary-secret" || who.TenantID != tenantID {
			p.t.Errorf("asked for a token of %s as %s of %s", asked, who.ClientID, who.TenantID)
		}
		token, _, err := p.cloud.Directory().Token(p.app.ObjectID, audience)
		return token, err
	}})
}

func newVaultPeer(t *testing.T) *peer {
	return newPeer(t, keyvault.New, vaultID, "vaultUri", provider.Document{"location": "westeurope", "properties": map[string]any{
		"tenantId": tenantID, "sku": map[string]any{"name": "standard"}, "enableRbacAuthorization": true}})
}

func TestVaultEveryClient(t *testing.T) {
	t.Parallel()
	p := newVaultPeer(t)
	const audience = "https://vault.azure.net"
	facts := known("keyvault", "vault", map[string]string{"audience": audience, "tenantId": tenantID, "source.addresses": "127.0.0.1"})
	values := principalValues(map[string]string{"endpoint": p.endpoint, "management": "https://management.azure.com"})
	for _, client := range []string{"dotnet", "java", "python", "nodejs", "springBoot", "none", ""} {
		c := link("keyvault", system, client)
		check(t, p.prober(audience, "127.0.0.1").Probe(t.Context(), c, facts, written(t, "keyvault", c, values)), "not proven", exists, open, fine)
		c = principal("keyvault", client)
		settings := written(t, "keyvault", c, values)
		p.cloud.Grants().Clear()
		check(t, p.prober(audience, "127.0.0.1").Probe(t.Context(), c, facts, settings), "minutes", exists, open, fine, "Managed Identity permissions validated. warning")
		p.cloud.Grants().Allow(p.app.ObjectID, vaultID, "Microsoft.KeyVault/vaults/secrets/readMetadata/action")
		check(t, p.prober(audience, "127.0.0.1").Probe(t.Context(), c, facts, settings), "", exists, open, fine)
	}
	c := principal("keyvault", "go")
	settings := map[string]connection.Value{"AZURE_KEYVAULT_RESOURCEENDPOINT": connection.Plain(p.endpoint)}
	check(t, p.prober(audience, "127.0.0.1").Probe(t.Context(), c, facts, settings), "patchbay repair", exists, open, finding(config, "failure", problem.SettingMissing))
	settings["AZURE_KEYVAULT_RESOURCEENDPOINT"] = connection.Plain("vault1")
	check(t, p.prober(audience, "127.0.0.1").Probe(t.Context(), c, facts, settings), "", exists, open, finding(config, "failure", problem.SettingChanged))
}

// TestVaultFirewall: the address of the app counts, ours alone is an open question.
func TestVaultFirewall(t *testing.T) {
	t.Parallel()
	p := newVaultPeer(t)
	const audience = "https://vault.azure.net"
	p.cloud.Grants().Allow(p.app.ObjectID, vaultID, "Microsoft.KeyVault/vaults/secrets/readMetadata/action")
	p.patch(map[string]any{"networkAcls": map[string]any{"defaultAction": "Deny", "ipRules": []any{map[string]any{"value": "127.5.5.5"}}}})
	facts := known("keyvault", "vault", map[string]string{"audience": audience, "tenantId": tenantID, "source.addresses": "127.5.5.5,127.6.6.6"})
	c := principal("keyvault", "python")
	settings := written(t, "keyvault", c, principalValues(map[string]string{"endpoint": p.endpoint, "management": "m"}))
	check(t, p.prober(audience, "127.5.5.5").Probe(t.Context(), c, facts, settings), "", exists, open, fine)
	check(t, p.prober(audience, "127.6.6.6").Probe(t.Context(), c, facts, settings), "", exists, finding("Target service firewall validated.", "failure", problem.FirewallClosed))
	check(t, p.prober(audience, "127.7.7.7").Probe(t.Context(), c, facts, settings), "", exists, open, fine)
	facts[connection.FactDenied] = connection.Plain("true")
	p.patch(map[string]any{"publicNetworkAccess": "Disabled"})
	check(t, p.prober(audience, "127.7.7.7").Probe(t.Context(), c, facts, settings), "", exists, "Target network access validated. warning", fine)
}

func TestAppConfigEveryClient(t *testing.T) {
	t.Parallel()
	p := newPeer(t, appconfig.New, storeID, "endpoint", provider.Document{"location": "westeurope", "sku": map[string]any{"name": "standard"}, "properties": map[string]any{}})
	const audience = "https://azconfig.io"
	key := p.run("POST", "/listKeys", nil)["value"].([]any)[0].(map[string]any)
	facts := known("appconfig", "appconfig", map[string]string{"audience": audience, "tenantId": tenantID})
	values := principalValues(map[string]string{"endpoint": p.endpoint, "accessKeyId": key["id"].(string), "accessKeySecret": key["value"].(string)})
	for _, client := range []string{"dotnet", "java", "python", "nodejs", "none", ""} {
		c := link("appconfig", secret, client)
		check(t, p.prober(audience, "127.0.0.1").Probe(t.Context(), c, facts, written(t, "appconfig", c, values)), "", exists, open, fine)
		old := principalValues(map[string]string{"endpoint": p.endpoint, "accessKeyId": key["id"].(string), "accessKeySecret": "Y2FuYXJ5"})
		check(t, p.prober(audience, "127.0.0.1").Probe(t.Context(), c, facts, written(t, "appconfig", c, old)), "patchbay repair", exists, open, finding(config, "failure", problem.LoginRefused))
		c = link("appconfig", system, client)
		check(t, p.prober(audience, "127.0.0.1").Probe(t.Context(), c, facts, written(t, "appconfig", c, values)), "not proven", exists, open, fine)
		c = principal("appconfig", client)
		p.cloud.Grants().Clear()
		check(t, p.prober(audience, "127.0.0.1").Probe(t.Context(), c, facts, written(t, "appconfig", c, values)), "minutes", exists, open, fine, "Managed Identity permissions validated. warning")
		p.cloud.Grants().Allow(p.app.ObjectID, storeID, "Microsoft.AppConfiguration/configurationStores/keyValues/read")
		check(t, p.prober(audience, "127.0.0.1").Probe(t.Context(), c, facts, written(t, "appconfig", c, values)), "", exists, open, fine)
	}
	c := link("appconfig", secret, "python")
	for text, code := range map[string]problem.Code{"Endpoint=x": problem.SettingChanged, "Endpoint=" + p.endpoint + ";Id=a;Secret=!": problem.SettingChanged} {
		settings := map[string]connection.Value{"AZURE_APPCONFIGURATION_CONNECTIONSTRING": connection.Hidden(text)}
		check(t, p.prober(audience, "127.0.0.1").Probe(t.Context(), c, facts, settings), "", exists, open, finding(config, "failure", code))
	}
	facts[connection.FactDenied] = connection.Plain("true")
	p.patch(map[string]any{"publicNetworkAccess": "Disabled"})
	check(t, p.prober(audience, "127.0.0.1").Probe(t.Context(), c, facts, written(t, "appconfig", c, values)), "", exists, "Target network access validated. warning", unproven)
}
