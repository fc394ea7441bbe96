package cli

import (
	"strings"

	"github.com/spf13/pflag"

	"github.com/patchbay/patchbay/internal/problem"
)

// propertyFlags are the options of create and update that go into the linker's
// properties, besides target and authentication.
type propertyFlags struct {
	target          TargetCommand
	clientType      string
	customizedKeys  wordList
	connectionProps wordList
	optOut          wordList
	roles           wordList
	grant           string
	configConnstr   bool
	vaultID         string
	appConfigID     string
	serviceEndpoint bool
	privateEndpoint bool
	set             *pflag.FlagSet
	dapr            daprFlags
	binding         bindingFlags
	scope           string
	files           fileFlags
}

func newPropertyFlags(f *pflag.FlagSet, target TargetCommand) *propertyFlags {
	p := &propertyFlags{target: target, set: f}
	f.StringVar(&p.clientType, "client-type", "", "Client `type`, which decides the names and shapes of the settings: "+strings.Join(target.ClientTypes, ", ")+".")
	if contains(target.ClientTypes, clientDapr) {
		p.dapr.register(f)
	}
	f.Var(&p.customizedKeys, "customized-keys", "OLD=NEW ...: write the setting OLD under the name NEW.")
	f.Var(&p.connectionProps, "connstr-props", "NAME=VALUE ...: more parts for the connection string.")
	f.Var(&p.optOut, "opt-out", "Steps to leave out: "+strings.Join(optOuts(), ", ")+".")
	f.Var(&p.roles, "roles", "ROLE ...: what the identity is granted on the target, by name or GUID, in place of the defaults.")
	if len(target.Grants) > 0 {
		f.StringVar(&p.grant, "grant", "", "What the database user may do: "+strings.Join(target.Grants, ", ")+". Default: "+target.Grants[0]+".")
	}
	if target.ConnectionStrings {
		f.BoolVar(&p.configConnstr, "config-connstr", false, "Keep the connection string among the connection strings of App Service. For client type dotnet only.")
	}
	f.StringVar(&p.vaultID, "vault-id", "", "Resource `id` of the Key Vault that keeps the secrets.")
	f.StringVar(&p.appConfigID, "appconfig-id", "", "Resource `id` of the App Configuration store that keeps the settings.")
	if target.ServiceEndpoint {
		f.BoolVar(&p.serviceEndpoint, "service-endpoint", false, "Reach the target through a service endpoint of the app's subnet.")
	}
	if target.PrivateEndpoint {
		f.BoolVar(&p.privateEndpoint, "private-endpoint", false, "Reach the target through a private endpoint.")
	}
	return p
}

// in registers the option that names one of a source's places for settings.
func (p *propertyFlags) in(source SourceCommand) *propertyFlags {
	if source.Scoped {
		p.files.register(p.set)
	}
	if o := source.Scope; o.Name != "" {
		p.set.StringVarP(&p.scope, o.Name, o.Short, "", o.Help)
	}
	return p
}

// optOuts are the steps that --opt-out can leave out.
func optOuts() []string { return []string{"publicnetwork", "configinfo", "auth"} }

// any tells whether one of the options was given.
func (p *propertyFlags) any() bool {
	if p.scope != "" || p.files.any() {
		return true
	}
	for _, name := range []string{"client-type", "customized-keys", "connstr-props", "opt-out",
		"vault-id", "appconfig-id", "service-endpoint", "private-endpoint", "roles", "grant", "config-connstr", "binding",
		"dapr-component", "dapr-secret-store", "dapr-metadata", "dapr-scopes"} {
		if p.set.Changed(name) {
			return true
		}
	}
	return false
}

func (p *propertyFlags) check() error {
	var c complaints
	c.add(asError(p.target.checkClient(p.clientType)))
	c.add(p.checkBinding())
	for option, list := range map[string]*wordList{"--customized-keys": &p.customizedKeys, "--connstr-props": &p.connectionProps} {
		_, err := list.pairs(option, nil)
		c.add(err)
	}
	for _, word := range p.optOut.Words {
		if !contains(optOuts(), strings.ToLower(word)) {
			c.add(unknownValue("--opt-out", word, optOuts()))
		}
	}
	if p.grant != "" && !contains(p.target.Grants, strings.ToLower(p.grant)) {
		c.add(unknownValue("--grant", p.grant, p.target.Grants))
	}
	if p.configConnstr && p.clientType != "" && !strings.EqualFold(p.clientType, clientDotnet) {
		c.add(usage("--config-connstr goes with client type dotnet only, not %s", p.clientType))
	}
	for option, id := range map[string]string{"--vault-id": p.vaultID, "--appconfig-id": p.appConfigID} {
		if id != "" {
			c.add(checkID(option, id))
		}
	}
	if p.serviceEndpoint && p.privateEndpoint {
		c.add(usage("--service-endpoint and --private-endpoint cannot go together"))
	}
	return c.err("")
}

// optedOut tells whether a step is left out.
func (p *propertyFlags) optedOut(step string) bool {
	for _, word := range p.optOut.Words {
		if strings.EqualFold(word, step) {
			return true
		}
	}
	return false
}

// apply writes the given options into a linker's properties. What was not given
// is left as it stands.
func (p *propertyFlags) apply(properties map[string]any) error {
	if p.clientType != "" {
		properties["clientType"] = p.target.spelledClient(p.clientType)
	}
	if p.configConnstr {
		properties["clientType"] = clientConnectionString
	}
	if info, ok := properties["authInfo"].(map[string]any); ok {
		p.applyRoles(info)
	}
	if p.scope != "" {
		properties["scope"] = p.scope
	}
	if err := p.files.apply(properties); err != nil {
		return err
	}
	if p.vaultID != "" {
		member(properties, "secretStore")["keyVaultId"] = cleanID(p.vaultID)
	}
	if p.appConfigID != "" {
		member(member(properties, "configurationInfo"), "configurationStore")["appConfigurationId"] = cleanID(p.appConfigID)
	}
	if p.optedOut("publicnetwork") {
		member(properties, "publicNetworkSolution")["action"] = "optOut"
	}
	if p.optedOut("configinfo") {
		member(properties, "configurationInfo")["action"] = "optOut"
	}
	if info, ok := properties["authInfo"].(map[string]any); ok && p.optedOut("auth") {
		info["authMode"] = "optOutAllAuth"
	}
	p.applyNetwork(properties)
	said, err := p.dapr.properties()
	if err != nil {
		return err
	}
	if said != nil {
		member(properties, "configurationInfo")["daprProperties"] = said
	}
	return p.applyWords(properties)
}

// Client types that --config-connstr is about, as the wire spells them.
const (
	clientDotnet           = "dotnet"
	clientConnectionString = "dotnet-connectionString"
)

// applyRoles writes what is granted: roles of the target, and what a database user may do.
func (p *propertyFlags) applyRoles(info map[string]any) {
	words := append([]string{}, p.roles.Words...)
	if p.grant != "" {
		words = append(words, strings.ToLower(p.grant))
	}
	if len(words) > 0 {
		info["roles"] = words
	}
}

func (p *propertyFlags) applyWords(properties map[string]any) error {
	for name, list := range map[string]*wordList{
		"customizedKeys":                       &p.customizedKeys,
		"additionalConnectionStringProperties": &p.connectionProps,
	} {
		if !list.Given {
			continue
		}
		values, err := list.pairs(name, nil)
		if err != nil {
			return err
		}
		texts := make(map[string]any, len(values))
		for k, v := range values {
			texts[k] = v
		}
		member(properties, "configurationInfo")[name] = texts
	}
	return nil
}

func (p *propertyFlags) applyNetwork(properties map[string]any) {
	for option, kind := range map[string]string{"service-endpoint": "serviceEndpoint", "private-endpoint": "privateLink"} {
		if !p.set.Changed(option) {
			continue
		}
		on, _ := p.set.GetBool(option)
		switch {
		case on:
			properties["vNetSolution"] = map[string]any{"type": kind}
		case text(properties, "vNetSolution", "type") == kind:
			properties["vNetSolution"] = nil
		}
	}
}

// member returns the object of that name, made when it is not there.
func member(object map[string]any, name string) map[string]any {
	if m, ok := object[name].(map[string]any); ok {
		return m
	}
	m := map[string]any{}
	object[name] = m
	return m
}

// text returns the text at a path of members, or "".
func text(object map[string]any, path ...string) string {
	var v any = object
	for _, name := range path {
		m, ok := v.(map[string]any)
		if !ok {
			return ""
		}
		v = m[name]
	}
	s, _ := v.(string)
	return s
}

// asError keeps a nil problem a nil error.
func asError(err error) error {
	if p, ok := err.(*problem.Error); ok && p == nil {
		return nil
	}
	return err
}
