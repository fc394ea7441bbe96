package probe_test

import (
	"net"
	"strings"
	"testing"

	"github.com/patchbay/patchbay/internal/catalog"
	"github.com/patchbay/patchbay/internal/connection"
	"github.com/patchbay/patchbay/internal/connection/grammar"
	"github.com/patchbay/patchbay/internal/localcloud/confluent"
	"github.com/patchbay/patchbay/internal/localcloud/provider"
	"github.com/patchbay/patchbay/internal/localcloud/providertest"
	"github.com/patchbay/patchbay/internal/probe"
	"github.com/patchbay/patchbay/internal/problem"
)

// hostile is a secret that every notation has to quote.
const hostile = `canary;'"\ @%={ é`

// clusters is a cluster and a registry that one key each opens.
func clusters(t *testing.T) (cloud *providertest.Cloud, endpoints map[string]string) {
	t.Helper()
	cloud = providertest.New(t)
	p := confluent.New(cloud)
	t.Cleanup(func() { _ = p.Close() })
	front := providertest.NewFront(cloud, p)
	org := group + "/providers/Microsoft.Confluent/organizations/org"
	run := func(method, path string, d provider.Document) provider.Document {
		r, err := front.Run(t.Context(), method, org+path, d)
		if err != nil {
			t.Fatal(err)
		}
		return r.Body
	}
	run("PUT", "", provider.Document{"location": "x", "properties": map[string]any{"offerDetail": map[string]any{"planId": "p"}, "userDetail": map[string]any{"emailAddress": "a@b"}}})
	run("PUT", "/environments/env-one", provider.Document{})
	brokers := run("PUT", "/environments/env-one/clusters/lkc-one", provider.Document{})
	registry := run("GET", "/environments/env-one/schemaRegistryClusters/lsrc-one", nil)
	for key, of := range map[string]string{"KAFKA": "lkc-one", "SCHEMA": "lsrc-one"} {
		run("PUT", "/apiKeys/"+key, provider.Document{"properties": map[string]any{"spec": map[string]any{"secret": hostile, "resource": map[string]any{"id": of}}}})
	}
	return cloud, map[string]string{
		"ConfluentBootstrapServer": provider.Text(brokers, "properties", "spec", "kafkaBootstrapEndpoint"),
		"ConfluentSchemaRegistry":  provider.Text(registry, "properties", "spec", "httpEndpoint"),
	}
}

func confluentLink(form, endpoint, key, client string) *connection.Connection {
	c := link("redis", secret, client)
	c.Properties.Target = connection.Target{Type: form, Endpoint: endpoint}
	c.Properties.Auth.Name = key
	return c
}

// confluentSettings renders what the catalog writes for one of the two linkers.
func confluentSettings(t *testing.T, form, endpoint, client, key, word string) map[string]connection.Value {
	t.Helper()
	all, err := catalog.Default()
	if err != nil {
		t.Fatal(err)
	}
	target, _ := all.Get("confluent-cloud")
	settings, err := target.Settings(secret, client, connection.Facts{"endpoint": connection.Plain(endpoint), "username": connection.Plain(key), "password": connection.Hidden(word)}, catalog.Options{Form: form})
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]connection.Value{}
	for _, s := range settings {
		out[s.Name] = s.Value
	}
	return out
}

func TestConfluentEveryClient(t *testing.T) {
	t.Parallel()
	cloud, endpoints := clusters(t)
	p := probe.New(probe.Options{Roots: cloud.CertPool()})
	for form, key := range map[string]string{"ConfluentBootstrapServer": "KAFKA", "ConfluentSchemaRegistry": "SCHEMA"} {
		at := endpoints[form]
		facts := known("confluent-cloud", "kafka", map[string]string{connection.FactEndpoint: at})
		for _, client := range []string{"dotnet", "java", "python", "nodejs", "springBoot", "none"} {
			c := confluentLink(form, at, key, client)
			check(t, p.Probe(t.Context(), c, facts, confluentSettings(t, form, at, client, key, hostile)), "", exists, open, fine)
			got := p.Probe(t.Context(), c, facts, confluentSettings(t, form, at, client, key, "canary-old"))
			check(t, got, "--secret name="+key, exists, open, finding(settingsName, "failure", problem.LoginRefused))
			got = p.Probe(t.Context(), c, facts, nil)
			if last := got[len(got)-1]; last.Code != string(problem.SettingMissing) {
				t.Errorf("%s with %s, without settings: %+v", form, client, got)
			}
		}
	}
}

// A list of servers is tried until one answers, as programs do.
func TestBootstrapLists(t *testing.T) {
	t.Parallel()
	cloud, endpoints := clusters(t)
	p := probe.New(probe.Options{Roots: cloud.CertPool()})
	const form = "ConfluentBootstrapServer"
	host, _, _ := net.SplitHostPort(endpoints[form])
	for list, want := range map[string]string{
		endpoints[form] + ",pkc-one.invalid:9092": fine,
		host + ":1":            finding(networkName, "failure", problem.TargetNoAnswer),
		"pkc-one.invalid:9092": finding(networkName, "failure", problem.TargetNoAnswer),
		"no port":              finding(settingsName, "failure", problem.SettingChanged),
	} {
		c := confluentLink(form, list, "KAFKA", "python")
		settings := confluentSettings(t, form, endpoints[form], "python", "KAFKA", hostile)
		settings["CONFLUENTCLOUD_KAFKA_BOOTSTRAPSERVER"] = connection.Plain(list)
		got := p.Probe(t.Context(), c, known("confluent-cloud", "kafka", nil), settings)
		if last := got[len(got)-1]; strings.TrimSpace(last.Name+" "+last.Result+" "+last.Code) != want {
			t.Errorf("%s: %s", list, lines(got))
		}
	}
}

func TestNoRegistry(t *testing.T) {
	t.Parallel()
	cloud, endpoints := clusters(t)
	const form = "ConfluentSchemaRegistry"
	p := probe.New(probe.Options{Roots: cloud.CertPool()})
	at := endpoints[form] + "/elsewhere"
	got := p.Probe(t.Context(), confluentLink(form, at, "SCHEMA", "java"), known("confluent-cloud", "kafka", nil), confluentSettings(t, form, at, "java", "SCHEMA", hostile))
	check(t, got, "there is no registry", exists, finding(networkName, "failure", problem.TargetNoAnswer))
	settings := confluentSettings(t, form, endpoints[form], "java", "SCHEMA", hostile)
	settings["CONFLUENTCLOUD_SCHEMAREGISTRY_URL"] = connection.Plain(strings.Replace(endpoints[form], "https", "http", 1))
	got = p.Probe(t.Context(), confluentLink(form, at, "SCHEMA", "java"), known("confluent-cloud", "kafka", nil), settings)
	check(t, got, "cannot be read", exists, open, finding(settingsName, "failure", problem.SettingChanged))
}

// What the catalog quotes reads back as it was.
func FuzzParseJAAS(f *testing.F) {
	f.Add("user", "word")
	f.Add(`u'\`, "a\nb\";= é")
	g, _ := grammar.Lookup(grammar.JAAS)
	f.Fuzz(func(t *testing.T, user, word string) {
		a, err1 := g.Quote(user)
		b, err2 := g.Quote(word)
		if err1 != nil || err2 != nil || user == "" || word == "" {
			return
		}
		gotUser, gotWord, err := probe.ParseJAAS("org.apache.kafka.common.security.plain.PlainLoginModule required username='" + a + "' password='" + b + "';")
		if err != nil || gotUser != user || gotWord != word {
			t.Fatalf("%q, %q read as %q, %q, %v", user, word, gotUser, gotWord, err)
		}
	})
}

func TestLinesThatAreNoJAAS(t *testing.T) {
	t.Parallel()
	for _, line := range []string{"", ";", "x", "a.PlainLoginModule", "a.ScramLoginModule required username='a' password='b';", "a.PlainLoginModule required;",
		"a.PlainLoginModule required username='a';", "a.PlainLoginModule required username='a' password='b", "a.PlainLoginModule required username=a password=b;"} {
		if user, word, err := probe.ParseJAAS(line); err == nil {
			t.Errorf("%q reads as %q, %q", line, user, word)
		}
	}
}
