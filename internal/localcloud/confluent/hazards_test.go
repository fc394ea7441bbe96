package confluent

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/sasl/plain"

	"github.com/patchbay/patchbay/internal/localcloud/provider"
	"github.com/patchbay/patchbay/internal/localcloud/providertest"
)

const (
	orgID   = "/subscriptions/0000/resourceGroups/Rg/providers/Microsoft.Confluent/organizations/Org"
	cluster = "/environments/env-one/clusters/lkc-one"
	schemas = "/environments/env-one/schemaRegistryClusters/lsrc-one"
)

type bench struct {
	t     *testing.T
	ctx   context.Context
	cloud *providertest.Cloud
	front *providertest.Front
	first provider.Provider
}

func newBench(t *testing.T) *bench {
	t.Helper()
	cloud := providertest.New(t)
	p := New(cloud)
	t.Cleanup(func() { _ = p.Close() })
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	t.Cleanup(cancel)
	b := &bench{t, ctx, cloud, providertest.NewFront(cloud, p), p}
	b.run("PUT", "", provider.Document{"location": "westeurope", "properties": map[string]any{
		"offerDetail": map[string]any{"planId": "plan"}, "userDetail": map[string]any{"emailAddress": "a@example.com"}}})
	b.run("PUT", "/environments/env-one", provider.Document{})
	b.run("PUT", cluster, provider.Document{})
	return b
}

func (b *bench) run(method, path string, d provider.Document) *providertest.Result {
	b.t.Helper()
	r, err := b.front.Run(b.ctx, method, orgID+path, d)
	if err != nil {
		b.t.Fatalf("%s %s: %v", method, path, err)
	}
	return r
}

// newKey asks for an API key of a cluster.
func (b *bench) newKey(of string) (key, secret string) {
	b.t.Helper()
	r := b.run("POST", of+"/createAPIKey", provider.Document{"name": "app"})
	return provider.Text(r.Body, "name"), provider.Text(r.Body, "properties", "spec", "secret")
}

func (b *bench) kafka(key, secret string) *kgo.Client {
	b.t.Helper()
	at := provider.Text(b.run("GET", cluster, nil).Body, "properties", "spec", "kafkaBootstrapEndpoint")
	c, err := kgo.NewClient(kgo.SeedBrokers(at), kgo.DialTLSConfig(b.cloud.ClientTLS()), kgo.SASL(plain.Auth{User: key, Pass: secret}.AsMechanism()),
		kgo.RequestRetries(0), kgo.AllowAutoTopicCreation())
	if err != nil {
		b.t.Fatal(err)
	}
	b.t.Cleanup(c.Close)
	return c
}

func TestKeysOpenTheBroker(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	key, secret := b.newKey(cluster)
	c := b.kafka(key, secret)
	b.run("PUT", cluster+"/topics/orders", provider.Document{"properties": map[string]any{"partitionsCount": "3"}})
	if told, err := kadm.NewClient(c).ListTopics(b.ctx); err != nil || len(told["orders"].Partitions) != 3 {
		t.Errorf("topics %v, %v", told, err)
	}
	if err := c.ProduceSync(b.ctx, &kgo.Record{Topic: "orders", Value: []byte("v")}).FirstErr(); err != nil {
		t.Fatal(err)
	}
	other, otherSecret := b.newKey(schemas)
	for name, pair := range map[string][2]string{"a wrong secret": {key, secret + "x"}, "another cluster's key": {other, otherSecret}, "no key": {"", secret}, "a path": {"../x", secret}} {
		if err := b.kafka(pair[0], pair[1]).Ping(b.ctx); err == nil || pair[0] != "" && !errors.Is(err, kerr.SaslAuthenticationFailed) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if shown := fmt.Sprint(b.run("GET", "/apiKeys/"+key, nil).Body) + b.cloud.Logged(); strings.Contains(shown, secret) {
		t.Error("a secret shows after it was made")
	}
	b.run("DELETE", cluster+"/topics/orders", nil)
	if told, err := kadm.NewClient(b.kafka(key, secret)).ListTopics(b.ctx); err != nil || told.Has("orders") {
		t.Errorf("topics %v, %v", told, err)
	}
	b.run("DELETE", "/apiKeys/"+key, nil)
	if err := c.ProduceSync(b.ctx, &kgo.Record{Topic: "orders"}).FirstErr(); err == nil {
		t.Error("a key that is gone still writes")
	}
	b.run("DELETE", "", nil)
	if _, err := b.front.Run(b.ctx, "GET", orgID+cluster, nil); err == nil {
		t.Error("a cluster outlives its organization")
	}
}

// ask sends a request to the registry and returns status and body.
func (b *bench) ask(method, path, key, secret, body string) string {
	b.t.Helper()
	at := provider.Text(b.run("GET", schemas, nil).Body, "properties", "spec", "httpEndpoint")
	q, err := http.NewRequestWithContext(b.ctx, method, at+path, strings.NewReader(body))
	if err != nil {
		b.t.Fatal(err)
	}
	if key != "" {
		q.SetBasicAuth(key, secret)
	}
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: b.cloud.CertPool()}}}
	defer client.CloseIdleConnections()
	r, err := client.Do(q)
	if err != nil {
		b.t.Fatal(err)
	}
	defer r.Body.Close()
	said, err := io.ReadAll(r.Body)
	if err != nil {
		b.t.Fatal(err)
	}
	return strings.TrimSpace(fmt.Sprint(r.StatusCode, " ", string(said)))
}

func TestRegistry(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	key, secret := b.newKey(schemas)
	brokers, brokersSecret := b.newKey(cluster)
	for _, row := range []struct{ method, path, key, secret, body, want string }{
		{"GET", "/subjects", key, secret, "", `200 []`},
		{"GET", "/subjects", "", "", "", `401 {"error_code":401,"message":"Unauthorized"}`},
		{"GET", "/subjects", key, "wrong", "", `401 {"error_code":401,"message":"Unauthorized"}`},
		{"GET", "/subjects", brokers, brokersSecret, "", `401 {"error_code":401,"message":"Unauthorized"}`},
		{"POST", "/subjects/orders-value/versions", key, secret, `{"schema":"\"string\""}`, `200 {"id":1}`},
		{"POST", "/subjects/orders-value/versions", key, secret, `{"schema":"\"string\""}`, `200 {"id":1}`},
		{"POST", "/subjects/orders-value/versions", key, secret, `{"schema":"\"long\""}`, `200 {"id":2}`},
		{"POST", "/subjects/orders-value/versions", key, secret, `{}`, `422 {"error_code":42201,"message":"Either the input schema or one its references is invalid"}`},
		{"GET", "/subjects/orders-value/versions", key, secret, "", `200 [1,2]`},
		{"GET", "/subjects/orders-value/versions/latest", key, secret, "", `200 {"id":2,"schema":"\"long\"","subject":"orders-value","version":2}`},
		{"GET", "/subjects/orders-value/versions/3", key, secret, "", `404 {"error_code":40402,"message":"Version 3 not found."}`},
		{"GET", "/subjects/nothing/versions", key, secret, "", `404 {"error_code":40401,"message":"Subject 'nothing' not found."}`},
		{"GET", "/schemas/ids/1", key, secret, "", `200 {"schema":"\"string\""}`},
		{"GET", "/schemas/ids/9", key, secret, "", `404 {"error_code":40403,"message":"Schema 9 not found"}`},
		{"GET", "/azure.confluent.cloud/subjects", key, secret, "", `200 ["orders-value"]`},
		{"GET", "/azure.confluent.cloud", key, secret, "", `200 {}`},
	} {
		if got := b.ask(row.method, row.path, row.key, row.secret, row.body); got != row.want {
			t.Errorf("%s %s: %s", row.method, row.path, got)
		}
	}
}

func TestGivenKeys(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	given := provider.Document{"properties": map[string]any{"spec": map[string]any{"secret": "s;'=\"", "resource": map[string]any{"id": "lkc-one"}}}}
	if r := b.run("PUT", "/apiKeys/APP", given); strings.Contains(fmt.Sprint(r.Body), "s;'") {
		t.Error("the secret is answered")
	}
	if err := b.kafka("APP", "s;'=\"").Ping(b.ctx); err != nil {
		t.Error(err)
	}
	if err := b.kafka("app", "s;'=\"").Ping(b.ctx); err == nil {
		t.Error("a key in another case signs in")
	}
	if _, err := b.front.Run(b.ctx, "PUT", orgID+"/apiKeys/B", provider.Document{}); err == nil {
		t.Error("a key without a secret was taken")
	}
}

// After a restart the same addresses, topics and keys are there.
func TestResume(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.run("PUT", cluster+"/topics/orders", provider.Document{})
	key, secret := b.newKey(cluster)
	word, wordSecret := b.newKey(schemas)
	if err := b.first.Close(); err != nil {
		t.Fatal(err)
	}
	again := New(b.cloud)
	t.Cleanup(func() { _ = again.Close() })
	if err := again.Resume(t.Context()); err != nil {
		t.Fatal(err)
	}
	b.front = providertest.NewFront(b.cloud, again)
	if told, err := kadm.NewClient(b.kafka(key, secret)).ListTopics(b.ctx); err != nil || len(told["orders"].Partitions) != usualPartitions {
		t.Errorf("topics %v, %v", told, err)
	}
	if got := b.ask("GET", "/subjects", word, wordSecret, ""); got != "200 []" {
		t.Error(got)
	}
}
