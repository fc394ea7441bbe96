package cosmos

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/data/azcosmos"

	"github.com/patchbay/patchbay/internal/localcloud/provider"
)

func container(t *testing.T, c *azcosmos.Client, names ...string) *azcosmos.ContainerClient {
	t.Helper()
	out, err := c.NewContainer(names[0], names[1])
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func document(id, city string, more map[string]any) []byte {
	d := map[string]any{"id": id, "city": city}
	for k, v := range more {
		d[k] = v
	}
	raw, err := json.Marshal(d)
	if err != nil {
		panic(err)
	}
	return raw
}

func TestNoSQLByKey(t *testing.T) {
	t.Parallel()
	b := withAccount(t, "")
	c := b.byKey(b.key("primaryMasterKey"), "127.0.0.1")
	_, err := c.CreateDatabase(b.ctx, azcosmos.DatabaseProperties{ID: "shop"}, nil)
	want(t, err, 0)
	_, err = c.CreateDatabase(b.ctx, azcosmos.DatabaseProperties{ID: "shop"}, nil)
	want(t, err, 409)
	db, err := c.NewDatabase("shop")
	want(t, err, 0)
	_, err = db.CreateContainer(b.ctx, azcosmos.ContainerProperties{ID: "orders", PartitionKeyDefinition: azcosmos.PartitionKeyDefinition{Paths: []string{"/city"}}}, nil)
	want(t, err, 0)
	if id := provider.Text(b.run("GET", "/sqlDatabases/shop/containers/orders", nil).Body, "properties", "resource", "id"); id != "orders" {
		t.Errorf("ARM does not see the container: %q", id)
	}
	o := container(t, c, "shop", "orders")
	oslo := azcosmos.NewPartitionKeyString("Oslo")
	for n := range 5 {
		_, err := o.CreateItem(b.ctx, oslo, document(fmt.Sprintf("o %d", n), "Oslo", map[string]any{"n": n}), nil)
		want(t, err, 0)
	}
	_, err = o.CreateItem(b.ctx, oslo, document("o 1", "Oslo", nil), nil)
	want(t, err, 409)
	_, err = o.CreateItem(b.ctx, oslo, document("x", "Bergen", nil), nil)
	want(t, err, 400)
	got, err := o.ReadItem(b.ctx, oslo, "o 3", nil)
	want(t, err, 0)
	if !strings.Contains(string(got.Value), `"n":3`) {
		t.Errorf("read: %s", got.Value)
	}
	_, err = o.ReadItem(b.ctx, azcosmos.NewPartitionKeyString("Bergen"), "o 3", nil)
	want(t, err, 404)
	_, err = o.UpsertItem(b.ctx, oslo, document("o 3", "Oslo", map[string]any{"n": 30}), nil)
	want(t, err, 0)
	_, err = o.ReplaceItem(b.ctx, oslo, "o 3", document("o 3", "Oslo", nil), &azcosmos.ItemOptions{IfMatchEtag: &got.ETag})
	want(t, err, 412)
	star := azcore.ETagAny
	_, err = o.ReplaceItem(b.ctx, oslo, "o 3", document("o 3", "Oslo", map[string]any{"n": 31}), &azcosmos.ItemOptions{IfMatchEtag: &star, EnableContentResponseOnWrite: true})
	want(t, err, 0)

	ids := func(pk azcosmos.PartitionKey, text string, options *azcosmos.QueryOptions) (found []string, pages int) {
		for pager := o.NewQueryItemsPager(text, pk, options); pager.More(); pages++ {
			page, err := pager.NextPage(b.ctx)
			want(t, err, 0)
			for _, raw := range page.Items {
				var d struct{ ID string }
				if err := json.Unmarshal(raw, &d); err != nil {
					t.Fatal(err)
				}
				found = append(found, d.ID)
			}
		}
		return found, pages
	}
	if found, pages := ids(oslo, "SELECT * FROM c", &azcosmos.QueryOptions{PageSizeHint: 2}); len(found) != 5 || pages != 3 {
		t.Errorf("all: %q in %d pages", found, pages)
	}
	byID := &azcosmos.QueryOptions{QueryParameters: []azcosmos.QueryParameter{{Name: "@id", Value: "o 2"}}}
	if found, _ := ids(azcosmos.NewPartitionKey(), "SELECT * FROM c WHERE c.id = @id", byID); strings.Join(found, ",") != "o 2" {
		t.Errorf("by id: %q", found)
	}
	_, err = o.DeleteItem(b.ctx, oslo, "o 2", nil)
	want(t, err, 0)
	_, err = o.ReadItem(b.ctx, oslo, "o 2", nil)
	want(t, err, 404)
	page, err := c.NewQueryDatabasesPager("SELECT * FROM c", nil).NextPage(b.ctx)
	want(t, err, 0)
	if len(page.Databases) != 1 || page.Databases[0].ID != "shop" {
		t.Errorf("databases: %+v", page.Databases)
	}
	_, err = o.Delete(b.ctx, nil)
	want(t, err, 0)
	_, err = db.Read(b.ctx, nil)
	want(t, err, 0)
	_, err = db.Delete(b.ctx, nil)
	want(t, err, 0)
	_, err = db.Read(b.ctx, nil)
	want(t, err, 404)
}

func (b *bench) shop() {
	b.t.Helper()
	b.child("/sqlDatabases", "shop", nil)
	b.child("/sqlDatabases/shop/containers", "orders", map[string]any{"partitionKey": map[string]any{"paths": []any{"/city"}, "kind": "Hash"}})
}

func TestNoSQLKeys(t *testing.T) {
	t.Parallel()
	b := withAccount(t, "")
	b.shop()
	oslo := azcosmos.NewPartitionKeyString("Oslo")
	write := func(key, id string) error {
		_, err := container(t, b.byKey(key, "127.0.0.1"), "shop", "orders").CreateItem(b.ctx, oslo, document(id, "Oslo", nil), nil)
		return err
	}
	read := func(key string) error {
		_, err := container(t, b.byKey(key, "127.0.0.1"), "shop", "orders").ReadItem(b.ctx, oslo, "a", nil)
		return err
	}
	first := b.key("primaryMasterKey")
	want(t, write(first, "a"), 0)
	want(t, write(b.key("secondaryMasterKey"), "b"), 0)
	want(t, read(b.key("primaryReadonlyMasterKey")), 0)
	want(t, write(b.key("primaryReadonlyMasterKey"), "c"), 403)
	want(t, read("AAAA"+first[4:]), 401)
	b.run("POST", "/regenerateKey", provider.Document{"keyKind": "primary"})
	want(t, read(first), 401)
	want(t, read(b.key("primaryMasterKey")), 0)
	b.patch(map[string]any{"disableLocalAuth": true})
	want(t, read(b.key("secondaryMasterKey")), 401)
}

func TestNoSQLDataRoles(t *testing.T) {
	t.Parallel()
	b := withAccount(t, "")
	b.shop()
	app := b.cloud.Directory().NewManagedIdentity("/subscriptions/0000/app", "app")
	oslo := azcosmos.NewPartitionKeyString("Oslo")
	audience := "https://cosmos.azure.com"
	fresh := func() *azcosmos.Client { return b.byToken(b.token(app, audience)) } // a client remembers what it could not see
	write := func(id string) error {
		_, err := container(t, fresh(), "shop", "orders").CreateItem(b.ctx, oslo, document(id, "Oslo", nil), nil)
		return err
	}
	read := func() error {
		_, err := container(t, fresh(), "shop", "orders").ReadItem(b.ctx, oslo, "a", nil)
		return err
	}
	want(t, write("a"), 403)
	// An assignment of Azure's own lets nobody into the data plane.
	b.cloud.Grants().Allow(app.ObjectID, accountID, itemAction+"create", readMetadata)
	want(t, write("a"), 403)
	assign := func(role, scope string) {
		b.run("PUT", "/sqlRoleAssignments/11111111-2222-3333-4444-555555555555", provider.Document{"properties": map[string]any{
			"roleDefinitionId": accountID + "/sqlRoleDefinitions/00000000-0000-0000-0000-00000000000" + role, "principalId": app.ObjectID, "scope": accountID + scope}})
	}
	assign("1", "")
	want(t, write("a"), 403)
	want(t, read(), 404)
	assign("2", "/dbs/other")
	want(t, read(), 403)
	assign("2", "/dbs/shop/colls/orders")
	audience = "https://" + name + ".documents.azure.com"
	want(t, write("a"), 403) // the account's own facts are beyond that scope, and the client asks for them first
	assign("2", "")
	want(t, write("a"), 0)
	want(t, read(), 0)
	_, err := fresh().CreateDatabase(b.ctx, azcosmos.DatabaseProperties{ID: "more"}, nil)
	var refused *azcore.ResponseError
	if !errors.As(err, &refused) || refused.RawResponse.Header.Get("x-ms-substatus") != "5300" {
		t.Errorf("databases are ARM's: %v", err)
	}
	audience = "https://storage.azure.com"
	want(t, read(), 401)
	b.run("DELETE", "/sqlRoleAssignments/11111111-2222-3333-4444-555555555555", nil)
	audience = "https://cosmos.azure.com"
	want(t, read(), 403)
}

func TestNoSQLNetwork(t *testing.T) {
	t.Parallel()
	b := withAccount(t, "")
	key := b.key("primaryMasterKey")
	from := func(source string) error {
		_, err := b.byKey(key, source).NewQueryDatabasesPager("SELECT * FROM c", nil).NextPage(b.ctx)
		return err
	}
	want(t, from("127.0.0.1"), 0)
	rules := func(list ...string) []any {
		out := []any{}
		for _, r := range list {
			out = append(out, map[string]any{"ipAddressOrRange": r})
		}
		return out
	}
	b.patch(map[string]any{"ipRules": rules("127.0.0.8/30", "10.0.0.1")}) // the first rule closes it to the rest
	want(t, from("127.0.0.1"), 403)
	want(t, from("127.0.0.9"), 0)
	b.patch(map[string]any{"ipRules": rules("127.0.0.1")}) // the array is replaced whole
	want(t, from("127.0.0.1"), 0)
	want(t, from("127.0.0.9"), 403)
	b.patch(map[string]any{"ipRules": rules("0.0.0.0")})
	want(t, from("127.0.0.9"), 0)
	b.patch(map[string]any{"ipRules": rules()})
	want(t, from("127.0.0.9"), 0)
	b.patch(map[string]any{"publicNetworkAccess": "Disabled"})
	want(t, from("127.0.0.1"), 403)
	if code := b.refused("PATCH", "", provider.Document{"properties": map[string]any{"ipRules": rules("fd00::1")}}); code != "BadRequest" {
		t.Errorf("an IPv6 rule: %s", code)
	}
}
