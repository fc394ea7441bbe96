package cosmos

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net"
	"strings"
	"testing"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/to"
	"github.com/Azure/azure-sdk-for-go/sdk/data/aztables"

	"github.com/patchbay/patchbay/internal/localcloud/provider"
)

// An account takes one write at a time; others are told to come back.
func TestOneWriteAtATime(t *testing.T) {
	t.Parallel()
	b := newBench(t, nil)
	r, err := b.front.Do(b.ctx, "PUT", accountID, body(""))
	if err != nil || r.Status != 200 || r.Later == nil {
		t.Fatalf("create: %+v, %v", r, err)
	}
	if state := b.property("provisioningState"); state != "Creating" {
		t.Errorf("state %q", state)
	}
	rule := provider.Document{"properties": map[string]any{"ipRules": []any{map[string]any{"ipAddressOrRange": "1.2.3.4"}}}}
	if code := b.refused("PATCH", "", rule); code != "PreconditionFailed" {
		t.Errorf("a write during the creation: %s", code)
	}
	if err := r.Finish(b.ctx); err != nil {
		t.Fatal(err)
	}
	app := b.cloud.Directory().NewManagedIdentity("/subscriptions/0000/app", "app")
	assignment := provider.Document{"properties": map[string]any{"principalId": app.ObjectID, "scope": accountID,
		"roleDefinitionId": accountID + "/sqlRoleDefinitions/00000000-0000-0000-0000-000000000002"}}
	const first, second = "/sqlRoleAssignments/11111111-2222-3333-4444-555555555555", "/sqlRoleAssignments/21111111-2222-3333-4444-555555555555"
	r, err = b.front.Do(b.ctx, "PUT", accountID+first, assignment)
	if err != nil || r.Status != 202 {
		t.Fatalf("assign: %+v, %v", r, err)
	}
	for path, d := range map[string]provider.Document{second: assignment, "": rule} {
		method := map[bool]string{true: "PATCH", false: "PUT"}[path == ""]
		if code := b.refused(method, path, d); code != "PreconditionFailed" {
			t.Errorf("%s %s during an assignment: %s", method, path, code)
		}
	}
	if err := r.Finish(b.ctx); err != nil {
		t.Fatal(err)
	}
	b.run("PUT", second, assignment)
	b.run("PATCH", "", rule)
}

// What the endpoints are called differs from API to API.
func TestEndpointsByAPI(t *testing.T) {
	t.Parallel()
	for _, row := range []struct{ capability, member, kind string }{
		{"", "sqlEndpoint", "Sql"}, {"MongoDB", "mongoEndpoint", "mongodb://"}, {"EnableCassandra", "cassandraEndpoint", "HostName="},
		{"EnableGremlin", "gremlinEndpoint", "ApiKind=Gremlin"}, {"EnableTable", "tableEndpoint", "TableEndpoint="},
	} {
		t.Run(row.member, func(t *testing.T) {
			t.Parallel()
			b := withAccount(t, row.capability)
			doc, own := b.run("GET", "", nil).Body, b.property(row.member)
			if !strings.HasPrefix(own, "https://") || !strings.HasSuffix(own, "/") || b.property("documentEndpoint") == "" {
				t.Errorf("endpoints: %v", doc["properties"])
			}
			for _, f := range features {
				if f.endpoint != row.member && b.property(f.endpoint) != "" {
					t.Errorf("it has a %s as well", f.endpoint)
				}
			}
			raw, err := json.Marshal(b.run("POST", "/listConnectionStrings", nil).Body)
			if err != nil || !strings.Contains(strings.ToLower(string(raw)), strings.ToLower(row.kind)) {
				t.Errorf("connection strings: %s, %v", raw, err)
			}
			if f := featureOf(doc); b.refused("PUT", "/"+otherDatabase(f)+"/x", provider.Document{"properties": map[string]any{"resource": map[string]any{"id": "x"}}}) != "BadRequest" {
				t.Error("it takes databases of another API")
			}
		})
	}
}

func otherDatabase(f feature) string {
	if f.api == NoSQL {
		return "mongodbDatabases"
	}
	return "sqlDatabases"
}

func TestRefusals(t *testing.T) {
	t.Parallel()
	b := withAccount(t, "")
	app := b.cloud.Directory().NewManagedIdentity("/subscriptions/0000/app", "app")
	assign := func(role, principal, scope string) string {
		return b.refused("PUT", "/sqlRoleAssignments/11111111-2222-3333-4444-555555555555", provider.Document{"properties": map[string]any{
			"roleDefinitionId": role, "principalId": principal, "scope": scope}})
	}
	contributor := accountID + "/sqlRoleDefinitions/00000000-0000-0000-0000-000000000002"
	for what, code := range map[string]string{
		"a role of Azure":     assign("/providers/Microsoft.Authorization/roleDefinitions/00000000-0000-0000-0000-000000000002", app.ObjectID, accountID),
		"an unknown role":     assign(accountID+"/sqlRoleDefinitions/00000000-0000-0000-0000-000000000009", app.ObjectID, accountID),
		"an unknown person":   assign(contributor, "99999999-0000-0000-0000-000000000000", accountID),
		"a foreign scope":     assign(contributor, app.ObjectID, accountID+"x"),
		"a name of its own":   b.refused("PUT", "/sqlDatabases/shop", provider.Document{"properties": map[string]any{"resource": map[string]any{"id": "other"}}}),
		"another API's roles": b.refused("PUT", "/tableRoleAssignments/11111111-2222-3333-4444-555555555555", provider.Document{"properties": map[string]any{"roleDefinitionId": accountID + "/tableRoleDefinitions/00000000-0000-0000-0000-000000000002", "principalId": app.ObjectID, "scope": accountID}}),
	} {
		if code != "BadRequest" {
			t.Errorf("%s: %s", what, code)
		}
	}
	if code := b.refused("PUT", "/sqlDatabases/none/containers/c", provider.Document{"properties": map[string]any{"resource": map[string]any{"id": "c"}}}); code != "ParentResourceNotFound" {
		t.Errorf("a container without its database: %s", code)
	}
}

func TestRoleDefinitions(t *testing.T) {
	t.Parallel()
	b := withAccount(t, "EnableTable")
	b.run("PUT", "/tableRoleDefinitions/31111111-2222-3333-4444-555555555555", provider.Document{"properties": map[string]any{
		"roleName": "ours", "assignableScopes": []any{accountID}, "permissions": []any{map[string]any{"dataActions": []any{entityAction + "read"}}}}})
	list, _ := b.run("GET", "/tableRoleDefinitions/", nil).Body["value"].([]any)
	if len(list) != 3 || provider.Text(list[1].(map[string]any), "properties", "roleName") != "Cosmos DB Built-in Data Contributor" {
		t.Errorf("definitions: %v", list)
	}
	b.run("GET", "/tableRoleDefinitions/00000000-0000-0000-0000-000000000001", nil)
}

func row(rk string) []byte { return []byte(`{"PartitionKey":"p","RowKey":"` + rk + `"}`) }

func TestTableAPI(t *testing.T) {
	t.Parallel()
	b := withAccount(t, "EnableTable")
	s := b.tables(b.key("primaryMasterKey"), "127.0.0.1")
	_, err := s.CreateTable(b.ctx, "Orders", nil)
	want(t, err, 0)
	b.child("/tables", "Items", nil)
	page, err := s.NewListTablesPager(nil).NextPage(b.ctx)
	want(t, err, 0)
	if len(page.Tables) != 2 {
		t.Errorf("tables: %+v", page.Tables)
	}
	_, err = s.NewClient("Items").AddEntity(b.ctx, row("1"), nil)
	want(t, err, 0)
	_, err = s.NewClient("Items").UpdateEntity(b.ctx, row("1"), &aztables.UpdateEntityOptions{UpdateMode: aztables.UpdateModeMerge})
	want(t, err, 0)
	reader := b.tables(b.key("secondaryReadonlyMasterKey"), "127.0.0.1").NewClient("Items")
	_, err = reader.GetEntity(b.ctx, "p", "1", nil)
	want(t, err, 0)
	_, err = reader.AddEntity(b.ctx, row("2"), nil)
	want(t, err, 403)
	b.patch(map[string]any{"ipRules": []any{map[string]any{"ipAddressOrRange": "127.0.0.9"}}})
	_, err = reader.GetEntity(b.ctx, "p", "1", nil)
	want(t, err, 403)
	b.patch(map[string]any{"ipRules": []any{}, "disableLocalAuth": true})
	_, err = reader.GetEntity(b.ctx, "p", "1", nil)
	want(t, err, 401)

	app := b.cloud.Directory().NewManagedIdentity("/subscriptions/0000/app", "app")
	c, err := aztables.NewServiceClient(b.property("tableEndpoint"), staticToken(b.token(app, "https://cosmos.azure.com")), &aztables.ClientOptions{ClientOptions: b.options("127.0.0.1")})
	want(t, err, 0)
	_, err = c.NewClient("Items").AddEntity(b.ctx, row("2"), nil)
	want(t, err, 403)
	b.run("PUT", "/tableRoleAssignments/11111111-2222-3333-4444-555555555555", provider.Document{"properties": map[string]any{
		"roleDefinitionId": accountID + "/tableRoleDefinitions/00000000-0000-0000-0000-000000000002", "principalId": app.ObjectID, "scope": accountID}})
	_, err = c.NewClient("Items").AddEntity(b.ctx, row("2"), nil)
	want(t, err, 0)
	pager := c.NewClient("Items").NewListEntitiesPager(&aztables.ListEntitiesOptions{Filter: to.Ptr("RowKey gt '1'")})
	rows, err := pager.NextPage(b.ctx)
	want(t, err, 0)
	if len(rows.Entities) != 1 {
		t.Errorf("rows: %s", rows.Entities)
	}
	b.run("DELETE", "/tables/Items", nil)
	_, err = c.NewClient("Items").GetEntity(b.ctx, "p", "2", nil)
	want(t, err, 404)
}

// echo is a plane that says who it is.
type echo struct {
	l    net.Listener
	done chan struct{}
}

func (e *echo) Close() error {
	err := e.l.Close()
	<-e.done
	return err
}

// Protocols of others are started with their accounts and closed with them.
func TestPluggedPlane(t *testing.T) {
	t.Parallel()
	var seen Account
	open := func(_ context.Context, a Account, l net.Listener) (Plane, error) {
		seen = a
		e := &echo{l, make(chan struct{})}
		go func() {
			defer close(e.done)
			for {
				c, err := l.Accept()
				if err != nil {
					return
				}
				_, _ = io.WriteString(c, a.Name())
				_ = c.Close()
			}
		}()
		return e, nil
	}
	b := newBench(t, Planes{MongoDB: open})
	b.run("PUT", "", body("MongoDB"))
	dial := func() (string, error) {
		host := strings.TrimSuffix(strings.TrimPrefix(b.property("mongoEndpoint"), "https://"), ":443/")
		c, err := net.Dial("tcp", net.JoinHostPort(host, "10255"))
		if err != nil {
			return "", err
		}
		defer c.Close()
		raw, err := io.ReadAll(c)
		return string(raw), err
	}
	if said, err := dial(); err != nil || said != name {
		t.Fatalf("the plane says %q, %v", said, err)
	}
	if err := errors.Join(seen.Create("shop"), seen.Create("shop", "orders")); err != nil {
		t.Fatal(err)
	}
	b.run("GET", "/mongodbDatabases/shop/collections/orders", nil)
	if got := strings.Join(append(seen.Databases(), seen.Collections("shop")...), " "); got != "shop orders" {
		t.Errorf("it knows of %q", got)
	}
	if len(seen.Keys()) != 4 {
		t.Errorf("%d keys", len(seen.Keys()))
	}
	b.patch(map[string]any{"disableLocalAuth": true})
	if len(seen.Keys()) != 0 {
		t.Error("keys work though they are off")
	}
	app := b.cloud.Directory().NewManagedIdentity("/subscriptions/0000/app", "app")
	who, err := seen.SignIn(b.token(app, "https://cosmos.azure.com"))
	if err != nil || who != app.ObjectID || seen.May(who, readMetadata) {
		t.Errorf("signed in as %q, %v", who, err)
	}
	b.run("PUT", "/mongoMIRoleAssignments/11111111-2222-3333-4444-555555555555", provider.Document{"properties": map[string]any{
		"roleDefinitionId": accountID + "/mongoMIRoleDefinitions/00000000-0000-0000-0000-000000000001", "principalId": app.ObjectID, "scope": accountID + "/dbs/shop"}})
	if seen.May(who, readMetadata) || !seen.May(who, readMetadata, "SHOP", "orders") {
		t.Error("the role does not keep to its scope")
	}
	b.run("DELETE", "", nil)
	if said, err := func() (string, error) { return dialClosed(seen) }(); err == nil {
		t.Errorf("a deleted account says %q", said)
	}
}

func dialClosed(a Account) (string, error) {
	host := a.(*account).hosts["mongoEndpoint"]
	c, err := net.Dial("tcp", net.JoinHostPort(strings.TrimSuffix(strings.TrimPrefix(host, "https://"), ":443/"), "10255"))
	if err != nil {
		return "", err
	}
	defer c.Close()
	raw, err := io.ReadAll(c)
	return string(raw), err
}

// What an account holds, and where it is reached, survives a restart.
func TestRestart(t *testing.T) {
	t.Parallel()
	b := newBench(t, nil)
	p := b.boot(nil)
	b.run("PUT", "", body("EnableTable"))
	b.child("/tables", "Items", nil)
	key, endpoint := b.key("primaryMasterKey"), b.property("tableEndpoint")
	_, err := b.tables(key, "127.0.0.1").NewClient("Items").AddEntity(b.ctx, []byte(`{"PartitionKey":"p","RowKey":"1","Big":"5","Big@odata.type":"Edm.Int64"}`), nil)
	want(t, err, 0)
	if err := p.Close(); err != nil {
		t.Fatal(err)
	}
	p = b.boot(nil)
	if err := p.Resume(b.ctx); err != nil {
		t.Fatal(err)
	}
	if b.property("tableEndpoint") != endpoint {
		t.Errorf("the endpoint moved to %s", b.property("tableEndpoint"))
	}
	got, err := b.tables(key, "127.0.0.1").NewClient("Items").GetEntity(b.ctx, "p", "1", nil)
	want(t, err, 0)
	if !strings.Contains(string(got.Value), `"Big":"5"`) {
		t.Errorf("entity: %s", got.Value)
	}
	if strings.Contains(b.cloud.Logged(), key) {
		t.Error("a key is in the log")
	}
}

// A principal that is switched off and on again is another one; the type is written
// without a space.
func TestIdentity(t *testing.T) {
	t.Parallel()
	b := withAccount(t, "")
	set := func(kind string) (string, string) {
		b.run("PATCH", "", provider.Document{"identity": map[string]any{"type": kind}})
		doc := b.run("GET", "", nil).Body
		return provider.Text(doc, "identity", "principalId"), provider.Text(doc, "identity", "type")
	}
	first, kind := set("SystemAssigned")
	if first == "" || kind != "SystemAssigned" {
		t.Fatalf("identity %q of type %q", first, kind)
	}
	b.patch(map[string]any{"enableFreeTier": true})
	if provider.Text(b.run("GET", "", nil).Body, "identity", "principalId") != first {
		t.Error("a write of something else changes the identity")
	}
	if gone, _ := set("None"); gone != "" {
		t.Error("it has an identity still")
	}
	if second, _ := set("SystemAssigned"); second == first || second == "" {
		t.Errorf("the identity is %q again", second)
	}
}

// Subnets let nobody in here, but they close the account.
func TestSubnetsClose(t *testing.T) {
	t.Parallel()
	b := withAccount(t, "")
	key := b.key("primaryMasterKey")
	ask := func() error {
		_, err := b.byKey(key, "127.0.0.1").NewQueryDatabasesPager("SELECT * FROM c", nil).NextPage(b.ctx)
		return err
	}
	want(t, ask(), 0)
	b.patch(map[string]any{"isVirtualNetworkFilterEnabled": true, "virtualNetworkRules": []any{map[string]any{"id": "/subnet"}}})
	want(t, ask(), 403)
}

// Deleting takes a while, in which the account takes no other write.
func TestDeleteIsAWrite(t *testing.T) {
	t.Parallel()
	b := withAccount(t, "")
	r, err := b.front.Do(b.ctx, "DELETE", accountID, nil)
	if err != nil || r.Later == nil {
		t.Fatalf("delete: %+v, %v", r, err)
	}
	if code := b.refused("PATCH", "", provider.Document{"properties": map[string]any{}}); code != "PreconditionFailed" {
		t.Errorf("a write during the delete: %s", code)
	}
	if err := r.Finish(b.ctx); err != nil {
		t.Fatal(err)
	}
	if code := b.refused("GET", "", nil); code != "ResourceNotFound" {
		t.Errorf("after the delete: %s", code)
	}
}
