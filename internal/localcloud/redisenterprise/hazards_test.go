package redisenterprise

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	client "github.com/redis/go-redis/v9"

	"github.com/patchbay/patchbay/internal/localcloud/provider"
	"github.com/patchbay/patchbay/internal/localcloud/providertest"
)

const (
	clusterID  = "/subscriptions/0000/resourceGroups/Rg/providers/Microsoft.Cache/redisEnterprise/cluster1"
	databaseID = clusterID + "/databases/default"
	audience   = "https://redis.azure.com"
)

type bench struct {
	t        *testing.T
	cloud    *providertest.Cloud
	front    *providertest.Front
	provider provider.Provider
}

func newBench(t *testing.T, database map[string]any) *bench {
	t.Helper()
	b := &bench{t: t, cloud: providertest.New(t)}
	b.boot()
	b.run("PUT", clusterID, cluster("Balanced_B0", "Enabled"))
	b.run("PUT", databaseID, provider.Document{"properties": database})
	return b
}

func (b *bench) boot() {
	b.provider = New(b.cloud)
	b.t.Cleanup(func() { _ = b.provider.Close() })
	b.front = providertest.NewFront(b.cloud, b.provider)
}

func cluster(sku, access string) provider.Document {
	properties := map[string]any{}
	if access != "" {
		properties["publicNetworkAccess"] = access
	}
	return provider.Document{"location": "westeurope", "sku": map[string]any{"name": sku}, "properties": properties}
}

func (b *bench) run(method, path string, d provider.Document) *providertest.Result {
	b.t.Helper()
	r, err := b.front.Run(b.t.Context(), method, path, d)
	if err != nil {
		b.t.Fatalf("%s %s: %v", method, path, err)
	}
	return r
}

func (b *bench) keys() (primary, secondary string) {
	b.t.Helper()
	r := b.run("POST", databaseID+"/listKeys", nil)
	return provider.Text(r.Body, "primaryKey"), provider.Text(r.Body, "secondaryKey")
}

// app connects as an app would: by the host of the cluster and the port of the database.
func (b *bench) app(user, secret string) *client.Client {
	b.t.Helper()
	host := provider.Text(b.run("GET", clusterID, nil).Body, "properties", "hostName")
	port := provider.At(b.run("GET", databaseID, nil).Body, "properties", "port")
	tls := b.cloud.ClientTLS()
	tls.ServerName = host
	c := client.NewClient(&client.Options{Addr: fmt.Sprintf("%s:%v", host, port), Username: user, Password: secret, TLSConfig: tls,
		MaxRetries: -1, DialerRetries: 1, DialTimeout: 5 * time.Second})
	b.t.Cleanup(func() { _ = c.Close() })
	return c
}

func (b *bench) ping(user, secret string) error {
	return b.app(user, secret).Ping(b.t.Context()).Err()
}

func wantErr(t *testing.T, err error, prefix string) {
	t.Helper()
	if err == nil || !strings.HasPrefix(err.Error(), prefix) {
		t.Errorf("got %v, want %s", err, prefix)
	}
}

// A managed database is made with its keys switched off.
func TestKeysAreOffUntilAskedFor(t *testing.T) {
	t.Parallel()
	b := newBench(t, map[string]any{})
	primary, secondary := b.keys()
	wantErr(t, b.ping("", primary), "WRONGPASS")
	b.run("PATCH", databaseID, provider.Document{"properties": map[string]any{"accessKeysAuthentication": "Enabled"}})
	for _, key := range []string{primary, secondary} {
		if err := b.ping("", key); err != nil {
			t.Error(err)
		}
	}
	r := b.run("POST", databaseID+"/regenerateKey", provider.Document{"keyType": "Primary"})
	if provider.Text(r.Body, "primaryKey") == primary || provider.Text(r.Body, "secondaryKey") != secondary {
		t.Error("the wrong key was replaced")
	}
	wantErr(t, b.ping("", primary), "WRONGPASS")
	if err := b.app("", secondary).Do(t.Context(), "SELECT", "1").Err(); err == nil {
		t.Error("there is a second logical database")
	}
}

func TestEnterpriseKeepsKeysOn(t *testing.T) {
	t.Parallel()
	b := &bench{t: t, cloud: providertest.New(t)}
	b.boot()
	b.run("PUT", clusterID, cluster("Enterprise_E10", "Enabled"))
	b.run("PUT", databaseID, provider.Document{"properties": map[string]any{"port": 12000.0}})
	primary, _ := b.keys()
	if err := b.ping("", primary); err != nil {
		t.Error(err)
	}
}

func TestEntraNeedsAnAssignment(t *testing.T) {
	t.Parallel()
	b := newBench(t, map[string]any{})
	app := b.cloud.Directory().NewManagedIdentity("/subscriptions/0000/app", "app")
	other := b.cloud.Directory().NewManagedIdentity("/subscriptions/0000/other", "other")
	token, _, err := b.cloud.Directory().Token(app.ObjectID, audience)
	if err != nil {
		t.Fatal(err)
	}
	wantErr(t, b.ping(app.ObjectID, token), "WRONGPASS")
	assignment := provider.Document{"properties": map[string]any{"accessPolicyName": "default", "user": map[string]any{"objectId": app.ObjectID}}}
	pending, err := b.front.Do(t.Context(), "PUT", databaseID+"/accessPolicyAssignments/a1", assignment)
	if err != nil || pending.Status != 201 {
		t.Fatalf("%+v, %v", pending, err)
	}
	wantErr(t, b.ping(app.ObjectID, token), "WRONGPASS") // not in force yet
	if err := pending.Finish(t.Context()); err != nil {
		t.Fatal(err)
	}
	c := b.app(app.ObjectID, token)
	if err := c.Set(t.Context(), "k", "v", 0).Err(); err != nil {
		t.Fatal(err)
	}
	wantErr(t, b.ping(other.ObjectID, token), "WRONGPASS")
	wantErr(t, b.ping("default", token), "WRONGPASS")
	var f *provider.Fault
	if _, err := b.front.Run(t.Context(), "PUT", databaseID+"/accessPolicyAssignments/a2", assignment); !errors.As(err, &f) || f.Status != 400 {
		t.Errorf("the same principal again: %v", err)
	}
	if _, err := b.front.Run(t.Context(), "PUT", databaseID+"/accessPolicyAssignments/a-2", assignment); !errors.As(err, &f) || f.Code != "InvalidResourceName" {
		t.Errorf("a name with a hyphen: %v", err)
	}
	owner := provider.Document{"properties": map[string]any{"accessPolicyName": "Data Owner", "user": map[string]any{"objectId": other.ObjectID}}}
	if _, err := b.front.Run(t.Context(), "PUT", databaseID+"/accessPolicyAssignments/a2", owner); !errors.As(err, &f) || f.Status != 400 {
		t.Errorf("a policy of the other service: %v", err)
	}
	b.run("DELETE", databaseID+"/accessPolicyAssignments/a1", nil)
	wantErr(t, c.Get(t.Context(), "k").Err(), "NOPERM")
	wantErr(t, b.ping(app.ObjectID, token), "WRONGPASS")
}

func TestPublicAccessBelongsToTheCluster(t *testing.T) {
	t.Parallel()
	b := newBench(t, map[string]any{"accessKeysAuthentication": "Enabled"})
	primary, _ := b.keys()
	b.run("PATCH", clusterID, provider.Document{"properties": map[string]any{"publicNetworkAccess": "Disabled"}})
	if b.ping("", primary) == nil {
		t.Error("a closed cluster answers")
	}
	b.run("PATCH", clusterID, provider.Document{"properties": map[string]any{"publicNetworkAccess": "Enabled"}})
	if err := b.ping("", primary); err != nil {
		t.Error(err)
	}
	if err := b.provider.Close(); err != nil {
		t.Fatal(err)
	}
	b.boot()
	if err := b.provider.Resume(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := b.ping("", primary); err != nil {
		t.Errorf("after a restart: %v", err)
	}
	b.run("DELETE", clusterID, nil)
	if r, err := b.front.Run(t.Context(), "GET", databaseID, nil); err == nil {
		t.Errorf("the database outlives its cluster: %v", r.Body)
	}
}

func TestWritesAreChecked(t *testing.T) {
	t.Parallel()
	b := newBench(t, map[string]any{})
	for name, c := range map[string]struct {
		path string
		body provider.Document
		want int
	}{
		"no word on public access": {clusterID, cluster("Balanced_B0", ""), 400}, // the front asks with the newest version
		"no sku":                   {clusterID, provider.Document{"location": "westeurope", "properties": map[string]any{"publicNetworkAccess": "Enabled"}}, 400},
		"no cluster":               {strings.Replace(databaseID, "cluster1", "cluster2", 1), provider.Document{"properties": map[string]any{}}, 404},
		"a second database":        {clusterID + "/databases/two", provider.Document{"properties": map[string]any{}}, 400},
		"another port":             {databaseID, provider.Document{"properties": map[string]any{"port": 12000.0}}, 400},
		"a low port":               {databaseID, provider.Document{"properties": map[string]any{"port": 6379.0}}, 400},
	} {
		var f *provider.Fault
		if _, err := b.front.Run(t.Context(), "PUT", c.path, c.body); !errors.As(err, &f) || f.Status != c.want {
			t.Errorf("%s: %v", name, err)
		}
	}
}
