package api

import (
	"github.com/patchbay/patchbay/internal/connection"
)

// toWire writes properties as an object of the newest version, without members
// that are unset. Secrets have no place in it.
func toWire(p *connection.Properties) map[string]any {
	out := map[string]any{}
	if p.Target.Type != "" {
		out["targetService"] = targetToWire(p.Target)
	}
	if p.Auth != nil {
		out["authInfo"] = authToWire(p.Auth)
	}
	setText(out, "clientType", p.ClientType)
	setText(out, "scope", p.Scope)
	if v := p.VNet; v != nil {
		out["vNetSolution"] = texted("type", v.Type, "deleteOrUpdateBehavior", v.Behavior)
	}
	if s := p.SecretStore; s != nil {
		out["secretStore"] = texted("keyVaultId", s.KeyVaultID, "keyVaultSecretName", s.KeyVaultSecretName)
	}
	if n := p.PublicNetwork; n != nil {
		out["publicNetworkSolution"] = networkToWire(n)
	}
	if c := p.Configuration; c != nil {
		out["configurationInfo"] = configurationToWire(c)
	}
	return out
}

func targetToWire(t connection.Target) map[string]any {
	out := texted("type", t.Type, "id", t.ID, "endpoint", t.Endpoint)
	if t.ResourceProperties != nil {
		out["resourceProperties"] = t.ResourceProperties
	}
	return out
}

func authToWire(a *connection.Auth) map[string]any {
	out := texted("authType", a.Type, "authMode", a.Mode, "name", a.Name, "clientId", a.ClientID, "principalId", a.PrincipalID,
		"subscriptionId", a.SubscriptionID, "userName", a.UserName, "deleteOrUpdateBehavior", a.Behavior)
	setList(out, "roles", a.Roles)
	setList(out, "permissions", a.Permissions)
	if a.SecretType != "" {
		out["secretInfo"] = texted("secretType", a.SecretType, "value", a.SecretURI, "name", a.SecretName, "version", a.SecretVersion)
	}
	return out
}

func networkToWire(n *connection.PublicNetwork) map[string]any {
	out := texted("action", n.Action, "deleteOrUpdateBehavior", n.Behavior)
	if n.HasRules {
		rules := texted("azureServices", n.AzureServices, "callerClientIP", n.CallerClientIP)
		setList(rules, "ipRanges", n.IPRanges)
		out["firewallRules"] = rules
	}
	return out
}

func configurationToWire(c *connection.Configuration) map[string]any {
	out := texted("action", c.Action, "deleteOrUpdateBehavior", c.Behavior)
	out["configurationStore"] = texted("appConfigurationId", c.AppConfigurationID)
	setTexts(out, "customizedKeys", c.CustomizedKeys)
	setTexts(out, "additionalConfigurations", c.Additional)
	setTexts(out, "additionalConnectionStringProperties", c.AdditionalConnection)
	if c.Dapr != nil {
		out["daprProperties"] = c.Dapr
	}
	return out
}

// fromWire reads checked members of the newest version into properties, and the
// secrets given beside them.
func fromWire(in map[string]any) (*connection.Properties, connection.Secrets) {
	p := &connection.Properties{ClientType: textOf(in, "clientType"), Scope: textOf(in, "scope")}
	secrets := connection.Secrets{}
	if t := child(in, "targetService"); t != nil {
		p.Target = connection.Target{Type: textOf(t, "type"), ID: textOf(t, "id"), Endpoint: textOf(t, "endpoint"), ResourceProperties: child(t, "resourceProperties")}
	}
	if a := child(in, "authInfo"); a != nil {
		p.Auth = authFromWire(a, secrets)
	}
	if v := child(in, "vNetSolution"); v != nil {
		p.VNet = &connection.VNet{Type: textOf(v, "type"), Behavior: textOf(v, "deleteOrUpdateBehavior")}
	}
	if s := child(in, "secretStore"); s != nil {
		p.SecretStore = &connection.SecretStore{KeyVaultID: textOf(s, "keyVaultId"), KeyVaultSecretName: textOf(s, "keyVaultSecretName")}
	}
	if n := child(in, "publicNetworkSolution"); n != nil {
		p.PublicNetwork = networkFromWire(n)
	}
	if c := child(in, "configurationInfo"); c != nil {
		p.Configuration = configurationFromWire(c)
	}
	return p, secrets
}

func authFromWire(in map[string]any, secrets connection.Secrets) *connection.Auth {
	a := &connection.Auth{
		Type: textOf(in, "authType"), Mode: textOf(in, "authMode"), Name: textOf(in, "name"),
		ClientID: textOf(in, "clientId"), PrincipalID: textOf(in, "principalId"), SubscriptionID: textOf(in, "subscriptionId"),
		UserName: textOf(in, "userName"), Behavior: textOf(in, "deleteOrUpdateBehavior"),
		Roles: listOf(in, "roles"), Permissions: listOf(in, "permissions"),
	}
	keepSecret(secrets, connection.SecretSlot, textOf(in, "secret"))
	keepSecret(secrets, connection.CertificateSlot, textOf(in, "certificate"))
	info := child(in, "secretInfo")
	if info == nil {
		return a
	}
	a.SecretType, a.SecretName, a.SecretVersion = textOf(info, "secretType"), textOf(info, "name"), textOf(info, "version")
	if a.SecretType == rawValue {
		keepSecret(secrets, connection.SecretSlot, textOf(info, "value"))
	} else {
		a.SecretURI = textOf(info, "value")
	}
	return a
}

// rawValue is the kind of a secret given by value.
const rawValue = "rawValue"

func keepSecret(secrets connection.Secrets, slot, value string) {
	if value != "" {
		secrets[slot] = connection.NewSecret(value)
	}
}

func networkFromWire(in map[string]any) *connection.PublicNetwork {
	n := &connection.PublicNetwork{Action: textOf(in, "action"), Behavior: textOf(in, "deleteOrUpdateBehavior")}
	if rules := child(in, "firewallRules"); rules != nil {
		n.HasRules = true
		n.IPRanges, n.AzureServices, n.CallerClientIP = listOf(rules, "ipRanges"), textOf(rules, "azureServices"), textOf(rules, "callerClientIP")
	}
	return n
}

func configurationFromWire(in map[string]any) *connection.Configuration {
	return &connection.Configuration{
		Action: textOf(in, "action"), Behavior: textOf(in, "deleteOrUpdateBehavior"),
		CustomizedKeys: textsOf(in, "customizedKeys"), Additional: textsOf(in, "additionalConfigurations"),
		AdditionalConnection: textsOf(in, "additionalConnectionStringProperties"),
		AppConfigurationID:   textOf(child(in, "configurationStore"), "appConfigurationId"),
		Dapr:                 child(in, "daprProperties"),
	}
}

// texted makes an object of the pairs whose value is not empty.
func texted(pairs ...string) map[string]any {
	out := map[string]any{}
	for i := 0; i+1 < len(pairs); i += 2 {
		setText(out, pairs[i], pairs[i+1])
	}
	return out
}

func setText(out map[string]any, name, value string) {
	if value != "" {
		out[name] = value
	}
}

func setList(out map[string]any, name string, values []string) {
	if values == nil {
		return
	}
	items := make([]any, len(values))
	for i, v := range values {
		items[i] = v
	}
	out[name] = items
}

func setTexts(out map[string]any, name string, values map[string]string) {
	if values == nil {
		return
	}
	items := make(map[string]any, len(values))
	for k, v := range values {
		items[k] = v
	}
	out[name] = items
}

func child(in map[string]any, name string) map[string]any {
	out, _ := in[name].(map[string]any)
	return out
}

func textOf(in map[string]any, name string) string {
	s, _ := in[name].(string)
	return s
}

func listOf(in map[string]any, name string) []string {
	items, ok := in[name].([]any)
	if !ok {
		return nil
	}
	out := make([]string, 0, len(items))
	for _, item := range items {
		if s, ok := item.(string); ok {
			out = append(out, s)
		}
	}
	return out
}

func textsOf(in map[string]any, name string) map[string]string {
	items, ok := in[name].(map[string]any)
	if !ok {
		return nil
	}
	out := make(map[string]string, len(items))
	for k, v := range items {
		if s, ok := v.(string); ok {
			out[k] = s
		}
	}
	return out
}
