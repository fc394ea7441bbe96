package catalog

import (
	"bytes"
	"embed"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/patchbay/patchbay/internal/connection"
	"github.com/patchbay/patchbay/internal/problem"
)

//go:embed dapr/*.yaml
var daprFiles embed.FS

// ClientDapr is the client type whose settings are one component of Dapr.
const ClientDapr = "dapr"

// Component is one kind of Dapr component that a target can be; the first of a target
// is the default.
type Component struct {
	Type     string     `yaml:"type"`
	Version  string     `yaml:"version"`  // v1 when absent
	Metadata []DaprFact `yaml:"metadata"` // what we know
	Yours    []DaprWord `yaml:"yours"`    // what only the user can say
	Entra    bool       `yaml:"entra"`    // an identity can sign in
}

// DaprFact is one entry of a component's metadata: a template, or the value of a setting
// that another client type gets.
type DaprFact struct {
	Name    string `yaml:"name"`
	Value   string `yaml:"value"`
	Setting string `yaml:"setting"`
	Client  string `yaml:"client"`
	For     string `yaml:"for"` // key: with a password or key; token: with an identity; always when absent
}

// DaprWord is an entry that is the user's to give.
type DaprWord struct {
	Name     string `yaml:"name"`
	About    string `yaml:"about"`
	Required bool   `yaml:"required"`
}

// Components are the Dapr components that a target can be; none when Dapr has none for it.
func (t *Target) Components() ([]Component, error) {
	text, err := daprFiles.ReadFile("dapr/" + t.Name + ".yaml")
	if err != nil {
		return nil, nil //nolint:nilerr // a target without a file has no components
	}
	var file struct {
		Components []Component `yaml:"components"`
	}
	d := yaml.NewDecoder(bytes.NewReader(text))
	d.KnownFields(true)
	if err := d.Decode(&file); err != nil {
		return nil, fmt.Errorf("read the components of %s: %w", t.Name, err)
	}
	for i := range file.Components {
		if file.Components[i].Version == "" {
			file.Components[i].Version = "v1"
		}
	}
	return file.Components, nil
}

// hasComponents tells whether there is a file of components for a target of this name.
func hasComponents(name string) bool {
	_, err := daprFiles.ReadFile("dapr/" + name + ".yaml")
	return err == nil
}

// Takes tells whether an auth type works for the component.
func (c Component) Takes(auth string) bool { return c.Entra || daprFor(auth) == "key" }

// daprFor is the word of the files for an auth type.
func daprFor(auth string) string {
	if auth == connection.AuthSecret || auth == connection.AuthAccessKey {
		return "key"
	}
	return "token"
}

// DaprRequest is what a request says about a component.
type DaprRequest struct {
	Name        string // of the connection; the component's follows from it
	Type        string // of the component; empty means the target's first
	SecretStore string // component that holds the secrets; empty means they stand in the file
	Metadata    []DaprEntry
	Scopes      []string
}

// DaprEntry is one entry of metadata in a request.
type DaprEntry struct{ Name, Value, SecretRef string }

// CheckDapr finds the component a request means and refuses what can never work.
func (t *Target) CheckDapr(auth string, r DaprRequest) (Component, error) {
	all, err := t.Components()
	if err != nil {
		return Component{}, err
	}
	var types []string
	for _, c := range all {
		if c.Takes(auth) {
			types = append(types, c.Type)
		}
	}
	if len(types) == 0 {
		return Component{}, problem.New(problem.ClientUnsupported, "", "Dapr has no component for %s with %s", t.Name, auth).
			WithFix("choose another client type, such as --client-type none")
	}
	if r.Type == "" {
		r.Type = types[0]
	}
	at := slices.IndexFunc(all, func(c Component) bool { return c.Type == r.Type && c.Takes(auth) })
	if at < 0 {
		return Component{}, problem.New(problem.OptionUnsupported, "", "%s cannot be the component %q; %s", t.Name, r.Type, OneOf(r.Type, types)).
			WithFix("add --dapr-component %s", types[0])
	}
	for _, w := range all[at].Yours {
		if w.Required && !slices.ContainsFunc(r.Metadata, func(e DaprEntry) bool { return e.Name == w.Name }) {
			return Component{}, problem.New(problem.OptionUnsupported, "", "the component %s needs %s: %s", r.Type, w.Name, w.About).
				WithFix("add --dapr-metadata %s=VALUE", w.Name)
		}
	}
	return all[at], nil
}

// The form Dapr reads, in a folder of components or from a cluster.
type daprComponent struct {
	APIVersion string            `yaml:"apiVersion"`
	Kind       string            `yaml:"kind"`
	Metadata   map[string]string `yaml:"metadata"`
	Spec       daprSpec          `yaml:"spec"`
	Auth       map[string]string `yaml:"auth,omitempty"`
	Scopes     []string          `yaml:"scopes,omitempty"`
}

type daprSpec struct {
	Type     string      `yaml:"type"`
	Version  string      `yaml:"version"`
	Metadata []daprEntry `yaml:"metadata"`
}

type daprEntry struct {
	Name      string      `yaml:"name"`
	Value     *string     `yaml:"value,omitempty"`
	SecretRef *daprSecret `yaml:"secretKeyRef,omitempty"`
}

type daprSecret struct {
	Name string `yaml:"name"`
	Key  string `yaml:"key"`
}

var notInNames = regexp.MustCompile(`[^a-z0-9.-]+`)

// DaprName is the name of a connection's component: lower case, as clusters want it.
func DaprName(name string) string {
	return strings.Trim(notInNames.ReplaceAllString(strings.ToLower(name), "-"), "-.")
}

// RenderDapr writes a component file from facts. The value is hidden when it holds a secret.
func (t *Target) RenderDapr(auth string, facts connection.Facts, r DaprRequest) (Setting, error) {
	component, err := t.CheckDapr(auth, r)
	if err != nil {
		return Setting{}, err
	}
	if facts, err = t.derive(facts); err != nil {
		return Setting{}, err
	}
	out := daprComponent{APIVersion: "dapr.io/v1alpha1", Kind: "Component", Metadata: map[string]string{"name": DaprName(r.Name)},
		Spec: daprSpec{Type: component.Type, Version: component.Version}, Scopes: r.Scopes}
	if r.SecretStore != "" {
		out.Auth = map[string]string{"secretStore": r.SecretStore}
	}
	w := daprWriter{request: r}
	for _, fact := range append(slices.Clone(component.Metadata), entraFacts(component, auth)...) {
		if fact.For != "" && fact.For != daprFor(auth) {
			continue
		}
		value, err := t.daprValue(auth, fact, facts)
		if err != nil {
			return Setting{}, err
		}
		w.add(fact.Name, value)
	}
	for _, e := range r.Metadata {
		w.give(e)
	}
	out.Spec.Metadata = w.entries
	var text bytes.Buffer
	encoder := yaml.NewEncoder(&text)
	encoder.SetIndent(2)
	if err := encoder.Encode(out); err != nil {
		return Setting{}, fmt.Errorf("write the component of %s: %w", t.Name, err)
	}
	setting := Setting{Name: DaprName(r.Name) + ".yaml", Documented: component.Type, Value: connection.Plain(text.String()), Kind: KindTemplated}
	if w.secret {
		setting.Value, setting.Kind = connection.Hidden(text.String()), KindSecret
	}
	return setting, nil
}

// entraFacts are what every component takes that an identity can sign in to.
func entraFacts(c Component, auth string) []DaprFact {
	clientID := DaprFact{Name: "azureClientId", Value: "{" + FactClientID + "}"}
	tenant := DaprFact{Name: "azureTenantId", Value: "{" + FactTenantID + "}"}
	if !c.Entra {
		return nil
	}
	switch auth {
	case connection.AuthUserIdentity:
		return []DaprFact{clientID}
	case connection.AuthServicePrincipalSecret:
		return []DaprFact{tenant, clientID, {Name: "azureClientSecret", Value: "{" + FactClientSecret + "}"}}
	case connection.AuthServicePrincipalCertificate:
		return []DaprFact{tenant, clientID, {Name: "azureCertificate", Value: "{" + FactCertificate + "}"}}
	}
	return nil
}

// daprValue renders one entry.
func (t *Target) daprValue(auth string, fact DaprFact, facts connection.Facts) (connection.Value, error) {
	if fact.Setting == "" {
		return t.render(Row{Name: fact.Name, Value: Templates{fact.Value}}, facts, nil)
	}
	settings, err := t.Settings(auth, fact.Client, facts, Options{})
	if err != nil {
		return connection.Value{}, err
	}
	for _, s := range settings {
		if s.Documented == fact.Setting {
			return s.Value, nil
		}
	}
	return connection.Value{}, fmt.Errorf("render %s of %s: %s is no setting of %s with %s", fact.Name, t.Name, fact.Setting, fact.Client, auth)
}

// daprWriter gathers entries; what the user gives stands in place of what we know.
type daprWriter struct {
	request DaprRequest
	entries []daprEntry
	secret  bool
}

func (w *daprWriter) add(name string, value connection.Value) {
	if slices.ContainsFunc(w.request.Metadata, func(e DaprEntry) bool { return e.Name == name }) {
		return
	}
	if value.Secret && w.request.SecretStore != "" {
		stored := DaprName(w.request.Name + "-" + name)
		w.entries = append(w.entries, daprEntry{Name: name, SecretRef: &daprSecret{stored, stored}})
		return
	}
	w.secret = w.secret || value.Secret
	w.entries = append(w.entries, daprEntry{Name: name, Value: &value.Text})
}

func (w *daprWriter) give(e DaprEntry) {
	if e.SecretRef != "" {
		w.entries = append(w.entries, daprEntry{Name: e.Name, SecretRef: &daprSecret{e.SecretRef, e.SecretRef}})
		return
	}
	w.entries = append(w.entries, daprEntry{Name: e.Name, Value: &e.Value})
}
