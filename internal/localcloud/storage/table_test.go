package storage

import (
	"encoding/json"
	"errors"
	"fmt"
	"testing"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/to"
	"github.com/Azure/azure-sdk-for-go/sdk/data/aztables"

	"github.com/patchbay/patchbay/internal/localcloud/provider"
)

func (b *bench) tables(key, source string) *aztables.ServiceClient {
	b.t.Helper()
	cred, err := aztables.NewSharedKeyCredential(name, key)
	if err != nil {
		b.t.Fatal(err)
	}
	c, err := aztables.NewServiceClientWithSharedKey(b.endpointOf("table"), cred, &aztables.ClientOptions{ClientOptions: b.options(source).ClientOptions})
	if err != nil {
		b.t.Fatal(err)
	}
	return c
}

func (b *bench) tablesByToken(token string) *aztables.ServiceClient {
	b.t.Helper()
	c, err := aztables.NewServiceClient(b.endpointOf("table"), staticToken(token), &aztables.ClientOptions{ClientOptions: b.options("127.0.0.1").ClientOptions})
	if err != nil {
		b.t.Fatal(err)
	}
	return c
}

// wantTable is want for the errors of tables, whose code is in the body.
func wantTable(t *testing.T, err error, status int, code string) {
	t.Helper()
	var e *azcore.ResponseError
	if code == "" {
		if err != nil {
			t.Fatalf("got %v, want success", err)
		}
	} else if !errors.As(err, &e) || e.StatusCode != status || e.ErrorCode != code {
		t.Fatalf("got %v, want %d %s", err, status, code)
	}
}

func row(pk, rk string, more map[string]any) []byte {
	e := map[string]any{"PartitionKey": pk, "RowKey": rk}
	for k, v := range more {
		e[k] = v
	}
	raw, err := json.Marshal(e)
	if err != nil {
		panic(err)
	}
	return raw
}

func TestTableByKey(t *testing.T) {
	t.Parallel()
	b := withAccount(t)
	s := b.tables(b.key(0), "127.0.0.1")
	_, err := s.CreateTable(b.ctx, "Orders", nil)
	wantTable(t, err, 0, "")
	_, err = s.CreateTable(b.ctx, "orders", nil)
	wantTable(t, err, 409, "TableAlreadyExists")
	c := s.NewClient("orders")
	for n := range 5 {
		_, err := c.AddEntity(b.ctx, row("it's ü", fmt.Sprint(n), map[string]any{"Price": 1.5 * float64(n), "Size": n, "Big": "9007199254740993", "Big@odata.type": "Edm.Int64"}), nil)
		wantTable(t, err, 0, "")
	}
	_, err = c.AddEntity(b.ctx, row("it's ü", "0", nil), nil)
	wantTable(t, err, 409, "EntityAlreadyExists")
	got, err := c.GetEntity(b.ctx, "it's ü", "3", nil)
	wantTable(t, err, 0, "")
	var e aztables.EDMEntity
	if err := json.Unmarshal(got.Value, &e); err != nil || e.Properties["Big"] != aztables.EDMInt64(9007199254740993) || e.Properties["Price"] != 4.5 {
		t.Errorf("entity: %v, %v", e.Properties, err)
	}
	keys := func(filter string, top int32) (rows string, pages int) {
		for pager := c.NewListEntitiesPager(&aztables.ListEntitiesOptions{Filter: to.Ptr(filter), Top: to.Ptr(top), Select: to.Ptr("RowKey")}); pager.More(); pages++ {
			p, err := pager.NextPage(b.ctx)
			wantTable(t, err, 0, "")
			for _, raw := range p.Entities {
				var m map[string]any
				if err := json.Unmarshal(raw, &m); err != nil || m["Price"] != nil {
					t.Errorf("row: %s, %v", raw, err)
				}
				rows += m["RowKey"].(string)
			}
		}
		return rows, pages
	}
	if rows, pages := keys("PartitionKey eq 'it''s ü' and Size ge 1 and not (Price gt 4.5)", 2); rows != "123" || pages != 2 {
		t.Errorf("query: %q in %d pages", rows, pages)
	}
	_, err = c.UpdateEntity(b.ctx, row("it's ü", "3", map[string]any{"Note": "n"}), &aztables.UpdateEntityOptions{UpdateMode: aztables.UpdateModeMerge, IfMatch: to.Ptr(azcore.ETag("W/\"old\""))})
	wantTable(t, err, 412, "UpdateConditionNotSatisfied")
	_, err = c.UpdateEntity(b.ctx, row("it's ü", "3", map[string]any{"Note": "n"}), &aztables.UpdateEntityOptions{UpdateMode: aztables.UpdateModeMerge, IfMatch: &got.ETag})
	wantTable(t, err, 0, "")
	if rows, _ := keys("Note eq 'n' and Size eq 3", 9); rows != "3" {
		t.Errorf("merged: %q", rows)
	}
	_, err = c.UpdateEntity(b.ctx, row("it's ü", "3", map[string]any{"Note": "n"}), &aztables.UpdateEntityOptions{UpdateMode: aztables.UpdateModeReplace})
	wantTable(t, err, 0, "")
	if rows, _ := keys("Note eq 'n' and Size eq 3", 9); rows != "" {
		t.Errorf("replaced: %q", rows)
	}
	_, err = c.UpsertEntity(b.ctx, row("p", "r", nil), nil)
	wantTable(t, err, 0, "")
	_, err = c.DeleteEntity(b.ctx, "p", "r", nil)
	wantTable(t, err, 0, "")
	_, err = c.GetEntity(b.ctx, "p", "r", nil)
	wantTable(t, err, 404, "ResourceNotFound")
	list, err := s.NewListTablesPager(nil).NextPage(b.ctx)
	wantTable(t, err, 0, "")
	if len(list.Tables) != 1 || *list.Tables[0].Name != "Orders" {
		t.Errorf("tables: %+v", list.Tables)
	}
	_, err = s.GetProperties(b.ctx, nil)
	wantTable(t, err, 0, "")
	_, err = c.Delete(b.ctx, nil)
	wantTable(t, err, 0, "")
	_, err = c.GetEntity(b.ctx, "p", "r", nil)
	wantTable(t, err, 404, "TableNotFound")
	_, err = s.CreateTable(b.ctx, "Orders", nil)
	wantTable(t, err, 0, "")
	if rows, _ := keys("PartitionKey ne ''", 9); rows != "" {
		t.Errorf("a new table holds %q", rows)
	}
}

func TestTableDoors(t *testing.T) {
	t.Parallel()
	b := withAccount(t)
	key := b.key(0)
	list := func(s *aztables.ServiceClient) error { _, err := s.NewListTablesPager(nil).NextPage(b.ctx); return err }
	wantTable(t, list(b.tables("AAAA"+key[4:], "127.0.0.1")), 403, "AuthenticationFailed")
	b.patch(map[string]any{"networkAcls": map[string]any{"defaultAction": "Deny", "ipRules": []any{map[string]any{"value": "127.0.0.9"}}}})
	wantTable(t, list(b.tables(key, "127.0.0.1")), 403, "AuthorizationFailure")
	wantTable(t, list(b.tables(key, "127.0.0.9")), 0, "")
	b.patch(map[string]any{"networkAcls": map[string]any{"defaultAction": "Allow"}, "allowSharedKeyAccess": false})
	wantTable(t, list(b.tables(key, "127.0.0.1")), 403, "KeyBasedAuthenticationNotPermitted")

	app := b.cloud.Directory().NewManagedIdentity("/subscriptions/0000/app", "app")
	s := b.tablesByToken(b.token(app, publicAudience))
	wantTable(t, list(s), 403, "AuthorizationPermissionMismatch")
	b.run("PUT", "/tableServices/default/tables/Orders", provider.Document{})
	c := s.NewClient("Orders")
	add := func(rk string) error { _, err := c.AddEntity(b.ctx, row("p", rk, nil), nil); return err }
	upsert := func(rk string) error { _, err := c.UpsertEntity(b.ctx, row("p", rk, nil), nil); return err }
	wantTable(t, add("1"), 403, "AuthorizationPermissionMismatch")
	b.cloud.Grants().Allow(app.ObjectID, accountID+"/tableServices/default/tables/Orders", tableType+"/entities/add/action")
	wantTable(t, add("1"), 0, "")
	wantTable(t, upsert("2"), 403, "AuthorizationPermissionMismatch")
	b.cloud.Grants().Allow(app.ObjectID, accountID+"/tableServices/default/tables/Orders", tableType+"/entities/update/action")
	wantTable(t, upsert("2"), 0, "")
	_, err := c.GetEntity(b.ctx, "p", "1", nil)
	wantTable(t, err, 403, "AuthorizationPermissionMismatch")
	wantTable(t, list(b.tablesByToken("nonsense")), 401, "InvalidAuthenticationInfo")
}
