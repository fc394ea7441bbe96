package atlas

import (
	"context"
	"encoding/json"
	"errors"
	"net/url"
	"strings"
	"testing"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"
	driver "go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"github.com/patchbay/patchbay/internal/localcloud/provider"
	"github.com/patchbay/patchbay/internal/localcloud/providertest"
)

const organizationID = "/subscriptions/0000/resourceGroups/Rg/providers/MongoDB.Atlas/organizations/o"

type bench struct {
	t     *testing.T
	cloud *providertest.Cloud
	front *providertest.Front
}

func newBench(t *testing.T) *bench {
	t.Helper()
	b := &bench{t: t, cloud: providertest.New(t)}
	p := New(b.cloud)
	t.Cleanup(func() {
		if err := p.Close(); err != nil {
			t.Error(err)
		}
	})
	b.front = providertest.NewFront(b.cloud, p)
	b.run("PUT", "", provider.Document{"location": "westeurope", "properties": map[string]any{"marketplace": map[string]any{}, "user": map[string]any{}}})
	b.run("PUT", "/projects/p", provider.Document{"properties": map[string]any{}})
	b.run("PUT", "/projects/p/clusters/c", provider.Document{"properties": map[string]any{"clusterTier": "FREE"}})
	return b
}

func (b *bench) run(method, path string, d provider.Document) *providertest.Result {
	b.t.Helper()
	r, err := b.front.Run(b.t.Context(), method, organizationID+path, d)
	if err != nil {
		b.t.Fatalf("%s %s: %v", method, path, err)
	}
	return r
}

func (b *bench) user(name, password, role string) {
	b.t.Helper()
	r := b.run("PUT", "/projects/p/databaseUsers/"+name, provider.Document{"properties": map[string]any{"password": password, "roleName": role}})
	if raw, err := json.Marshal(r.Body); err != nil || strings.Contains(string(raw), password) {
		b.t.Errorf("the answer holds the password: %v", err)
	}
}

// client connects with the cluster's own connection string.
func (b *bench) client(user, password string) (context.Context, *driver.Client) {
	b.t.Helper()
	text := provider.Text(b.run("GET", "/projects/p/clusters/c", nil).Body, "properties", "connectionString")
	text = strings.Replace(text, "://", "://"+url.UserPassword(user, password).String()+"@", 1)
	c, err := driver.Connect(options.Client().ApplyURI(text).SetTLSConfig(b.cloud.ClientTLS()).SetServerSelectionTimeout(5 * time.Second))
	if err != nil {
		b.t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(b.t.Context(), 15*time.Second)
	b.t.Cleanup(cancel)
	b.t.Cleanup(func() { _ = c.Disconnect(context.WithoutCancel(ctx)) })
	return ctx, c
}

func TestUsers(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	const password = `p;w '"d%@/é`
	b.user("app", password, "readWriteAnyDatabase")
	b.user("reader", "other", "readAnyDatabase")
	ctx, c := b.client("app", password)
	if _, err := c.Database("shop").Collection("orders").InsertOne(ctx, bson.D{{Key: "n", Value: 1}}); err != nil {
		t.Fatalf("a retryable write, as drivers send it: %v", err)
	}
	ctx, c = b.client("reader", "other")
	if n, err := c.Database("shop").Collection("orders").EstimatedDocumentCount(ctx); err != nil || n != 1 {
		t.Errorf("read %d, %v", n, err)
	}
	for _, row := range [][3]string{{"reader", "other", "13"}, {"app", "wrong", "18"}, {"nobody", password, "18"}, {"App", password, "18"}} {
		ctx, c := b.client(row[0], row[1])
		_, err := c.Database("shop").Collection("orders").InsertOne(ctx, bson.D{})
		var said driver.ServerError
		if !errors.As(err, &said) || !said.HasErrorCode(map[string]int{"13": 13, "18": 18}[row[2]]) {
			t.Errorf("%s: %v", row[0], err)
		}
	}
	b.run("DELETE", "/projects/p/databaseUsers/app", nil)
	ctx, c = b.client("app", password)
	if err := c.Ping(ctx, nil); err == nil {
		t.Error("a deleted user signs in")
	}
	if strings.Contains(b.cloud.Logged(), password) {
		t.Error("the log holds a password")
	}
}

func TestRefusals(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	for path, body := range map[string]map[string]any{
		"/projects/p/databaseUsers/x": {"roleName": "atlasAdmin"}, "/projects/p/databaseUsers/y": {"password": "p", "roleName": "root"}, "/projects/q/clusters/c": {},
	} {
		var f *provider.Fault
		if _, err := b.front.Run(t.Context(), "PUT", organizationID+path, provider.Document{"properties": body}); !errors.As(err, &f) || f.Status < 400 {
			t.Errorf("%s: %v", path, err)
		}
	}
	b.run("DELETE", "", nil)
	b.run("PUT", "", provider.Document{"location": "westeurope", "properties": map[string]any{"marketplace": map[string]any{}, "user": map[string]any{}}})
	b.run("PUT", "/projects/p", provider.Document{"properties": map[string]any{}})
	b.run("PUT", "/projects/p/clusters/c", provider.Document{"properties": map[string]any{}}) // its address is free again
}
