package catalog_test

import (
	"maps"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"

	"github.com/patchbay/patchbay/internal/catalog"
	"github.com/patchbay/patchbay/internal/connection"
	"github.com/patchbay/patchbay/internal/problem"
)

// everyFact knows every fact of a target, by its name where nothing better is known.
func everyFact(t testing.TB, tg *catalog.Target, auth string) connection.Facts {
	t.Helper()
	facts := connection.Facts{}
	for name, text := range names {
		facts[name] = connection.Plain(text)
	}
	for _, part := range tg.ID {
		if _, ok := facts[part.Fact]; !ok && part.Fact != "" {
			facts[part.Fact] = connection.Plain(part.Fact + "1")
		}
	}
	for name := range tg.Facts {
		if _, ok := facts[name]; !ok {
			facts[name] = connection.Plain(name + "1")
		}
		if strings.HasSuffix(strings.ToLower(name), "endpoint") {
			facts[name] = connection.Plain("https://" + strings.ToLower(name) + ".example.net:443/")
		}
	}
	for name := range tg.Keys {
		facts[name] = connection.Hidden("canary:" + name)
	}
	if auth == connection.AuthSecret {
		facts[catalog.FactPassword] = connection.Hidden("canary: password")
	}
	facts[catalog.FactClientSecret], facts[catalog.FactCertificate] = connection.Hidden("canary: secret"), connection.Hidden("canary\ncertificate")
	return facts
}

// yours answers what only a user can say.
func yours(c catalog.Component) []catalog.DaprEntry {
	var out []catalog.DaprEntry
	for _, w := range c.Yours {
		out = append(out, catalog.DaprEntry{Name: w.Name, Value: "mine: " + w.Name})
	}
	return out
}

// component is what a component's file says.
type component struct {
	APIVersion string `yaml:"apiVersion"`
	Kind       string
	Metadata   map[string]string
	Spec       struct {
		Type, Version string
		Metadata      []struct {
			Name      string
			Value     *string
			SecretRef map[string]string `yaml:"secretKeyRef"`
		}
	}
	Auth   map[string]string
	Scopes []string
}

func parse(t testing.TB, text string) component {
	t.Helper()
	var out component
	d := yaml.NewDecoder(strings.NewReader(text))
	d.KnownFields(true)
	if err := d.Decode(&out); err != nil {
		t.Fatalf("%v in %s", err, text)
	}
	return out
}

// TestEveryComponent renders every component with every auth type it takes: the file is
// whole, holds the user's words, and is hidden when it holds a secret.
func TestEveryComponent(t *testing.T) {
	t.Parallel()
	rendered := 0
	for _, tg := range load(t).Targets() {
		all, err := tg.Components()
		if err != nil {
			t.Fatal(err)
		}
		for _, c := range all {
			for _, auth := range tg.AuthTypes() {
				if !c.Takes(auth) {
					continue
				}
				rendered++
				r := catalog.DaprRequest{Name: "My_Conn", Type: c.Type, Metadata: yours(c), Scopes: []string{"app1"}}
				s, err := tg.RenderDapr(auth, everyFact(t, tg, auth), r)
				if err != nil {
					t.Errorf("%s %s %s: %v", tg.Name, c.Type, auth, err)
					continue
				}
				checkComponent(t, tg, c, auth, s)
			}
		}
	}
	if rendered < 60 {
		t.Errorf("only %d components were rendered", rendered)
	}
	t.Logf("%d components rendered", rendered)
}

func checkComponent(t *testing.T, tg *catalog.Target, c catalog.Component, auth string, s catalog.Setting) {
	t.Helper()
	out := parse(t, s.Value.Text)
	if s.Name != "my-conn.yaml" || out.Kind != "Component" || out.Metadata["name"] != "my-conn" || out.Spec.Type != c.Type || out.Spec.Version != c.Version || !slices.Equal(out.Scopes, []string{"app1"}) {
		t.Errorf("%s %s: %s is\n%s", tg.Name, auth, s.Name, s.Value.Text)
	}
	if holds := strings.Contains(s.Value.Text, "canary"); holds != s.Value.Secret || holds && s.Kind != catalog.KindSecret {
		t.Errorf("%s %s %s: holds a secret %v, is hidden %v", tg.Name, c.Type, auth, holds, s.Value.Secret)
	}
	seen := map[string]bool{}
	for _, m := range out.Spec.Metadata {
		if seen[m.Name] || m.Value == nil || *m.Value == "" {
			t.Errorf("%s %s %s: entry %s", tg.Name, c.Type, auth, m.Name)
		}
		seen[m.Name] = true
	}
	for _, w := range c.Yours {
		if !seen[w.Name] {
			t.Errorf("%s %s: %s is not taken over", tg.Name, c.Type, w.Name)
		}
	}
	byPrincipal := auth == connection.AuthServicePrincipalSecret || auth == connection.AuthServicePrincipalCertificate
	if seen["azureTenantId"] != byPrincipal || seen["azureClientId"] != (byPrincipal || auth == connection.AuthUserIdentity) {
		t.Errorf("%s %s %s: entries %v", tg.Name, c.Type, auth, slices.Sorted(maps.Keys(seen)))
	}
}

// TestComponentOfStoredSecrets: with a secret store no secret stands in the file, and
// what the user gives stands in place of what we know.
func TestComponentOfStoredSecrets(t *testing.T) {
	t.Parallel()
	tg := get(t, "redis")
	r := catalog.DaprRequest{Name: "cache", SecretStore: "vault", Metadata: []catalog.DaprEntry{{Name: "enableTLS", Value: "no: \"yaml\""}, {Name: "other", SecretRef: "kept"}}}
	s, err := tg.RenderDapr(connection.AuthSecret, everyFact(t, tg, connection.AuthSecret), r)
	if err != nil || s.Value.Secret || strings.Contains(s.Value.Text, "canary") {
		t.Fatalf("%v %s", err, s.Value.Text)
	}
	out := parse(t, s.Value.Text)
	entries := map[string]string{}
	for _, m := range out.Spec.Metadata {
		if m.Value != nil {
			entries[m.Name] = *m.Value
		} else {
			entries[m.Name] = "secret " + m.SecretRef["name"]
		}
	}
	if out.Auth["secretStore"] != "vault" || entries["redisPassword"] != "secret cache-redispassword" || entries["enableTLS"] != "no: \"yaml\"" || entries["other"] != "secret kept" {
		t.Errorf("%v %v", out.Auth, entries)
	}
}

func TestComponentsRefuse(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		target, auth, kind string
		code               problem.Code
		phrase             string
	}{
		{"redis", connection.AuthSecret, "state.reddis", problem.OptionUnsupported, `did you mean "state.redis"`},
		{"storage-blob", connection.AuthSecret, "", problem.OptionUnsupported, "needs containerName"},
		{"webpubsub", connection.AuthSecret, "", problem.ClientUnsupported, "no component for webpubsub"},
		{"cosmos-mongo", connection.AuthSystemIdentity, "", problem.ClientUnsupported, "no component"},
	} {
		_, err := get(t, row.target).RenderDapr(row.auth, connection.Facts{}, catalog.DaprRequest{Name: "x", Type: row.kind})
		if !problem.Is(err, row.code) || !strings.Contains(err.Error(), row.phrase) || problem.As(err).FixText() == "" {
			t.Errorf("%s: %v", row.target, err)
		}
	}
}

// TestConfigurationNames: every pair's settings are listed with something to say about each.
func TestConfigurationNames(t *testing.T) {
	t.Parallel()
	all := load(t).ConfigurationNames()
	if len(all) < 500 {
		t.Errorf("only %d rows", len(all))
	}
	seen := map[string]bool{}
	for _, row := range all {
		if row.Service != strings.ToUpper(row.Service) || strings.Contains(row.Service, "//") {
			t.Errorf("service %q", row.Service)
		}
		seen[row.Service+" "+row.Client+" "+row.Auth] = true
		required := 0
		for _, n := range row.Names {
			if n.Value == "" || n.Description == "" {
				t.Errorf("%+v: %+v", row, n)
			}
			if n.Required {
				required++
			}
		}
		if len(row.Names) == 0 {
			t.Errorf("%+v has no names", row)
		}
	}
	for _, key := range []string{
		"MICROSOFT.CACHE/REDIS/DATABASES python secret", "MICROSOFT.STORAGE/STORAGEACCOUNTS/BLOBSERVICES dotnet userAccount",
		"CONFLUENT.CLOUD python secret", "MICROSOFT.DBFORPOSTGRESQL/FLEXIBLESERVERS/DATABASES go userAccount",
	} {
		if !seen[key] {
			t.Errorf("%s is missing", key)
		}
	}
	for _, row := range all {
		if row.Service != "MICROSOFT.APPCONFIGURATION/CONFIGURATIONSTORES" || row.Client != "dotnet" || row.Auth != connection.AuthServicePrincipalSecret {
			continue
		}
		words := map[string]string{}
		for _, n := range row.Names {
			words[n.Value] = n.Description
		}
		if words["AZURE_APPCONFIGURATION_CLIENTSECRET"] != "Service Principal client secret" || words["AZURE_APPCONFIGURATION_ENDPOINT"] != "Azure App Configuration endpoint" {
			t.Errorf("%v", words)
		}
	}
}
