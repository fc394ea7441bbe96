package app

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/Azure/azure-sdk-for-go/sdk/data/azcosmos"
)

const (
	cosmosVersion = "2025-10-15"
	cosmosRoles   = "2026-03-15"
	dataRole      = "Cosmos DB Built-in Data Contributor"
)

func (c *cloudUnderTest) cosmos(name string) string {
	return c.group() + "/providers/Microsoft.DocumentDB/databaseAccounts/" + name
}

// makeCosmos makes an account of an API (a capability, or a kind) with its databases.
func (c *cloudUnderTest) makeCosmos(name, api string, databases ...string) {
	c.t.Helper()
	properties := map[string]any{"databaseAccountOfferType": "Standard", "locations": []any{map[string]any{"locationName": "westeurope", "failoverPriority": 0}}}
	doc := map[string]any{"location": "westeurope", "kind": "GlobalDocumentDB", "properties": properties}
	if api == "MongoDB" {
		doc["kind"] = api
	} else if api != "" {
		properties["capabilities"] = []any{map[string]any{"name": api}}
	}
	c.arm("PUT", c.cosmos(name), cosmosVersion, doc)
	for _, path := range databases {
		resource := map[string]any{"id": path[strings.LastIndex(path, "/")+1:]}
		if strings.Contains(path, "/containers/") || strings.Contains(path, "/graphs/") {
			resource["partitionKey"] = map[string]any{"paths": []any{"/city"}, "kind": "Hash"}
		}
		c.arm("PUT", c.cosmos(name)+"/"+path, cosmosVersion, map[string]any{"properties": map[string]any{"resource": resource}})
	}
}

// listed are the values of a member of the properties in a list.
func listed(a answer, member string) []string {
	var out []string
	list, _ := a.at("value").([]any)
	for _, one := range list {
		m, _ := one.(map[string]any)
		p, _ := m["properties"].(map[string]any)
		text, _ := p[member].(string)
		out = append(out, text)
	}
	return out
}

// With a data role asked for, an identity is let into the data plane itself and gets
// no right to list keys, whatever the API; it goes with the connection.
func TestCosmosDataRoles(t *testing.T) {
	t.Parallel()
	c := startCloud(t)
	c.makeGroup()
	c.makeSite("app1", map[string]string{"MINE": "1"})
	s := c.newConnector().start()
	for _, row := range []struct{ name, api, database, collection string }{
		{"cosmos-sql", "", "sqlDatabases/orders", "sqlRoleAssignments"},
		{"cosmos-mongo", "MongoDB", "mongodbDatabases/orders", "mongoMIRoleAssignments"},
		{"cosmos-cassandra", "EnableCassandra", "cassandraKeyspaces/orders", "cassandraRoleAssignments"},
		{"cosmos-gremlin", "EnableGremlin", "gremlinDatabases/orders/graphs/lines", "gremlinRoleAssignments"},
		{"cosmos-table", "EnableTable", "tables/orders", "tableRoleAssignments"},
	} {
		above, _, _ := strings.Cut(row.database, "/graphs/")
		c.makeCosmos(row.name, row.api, above)
		if above != row.database {
			c.makeCosmos(row.name, row.api, above, row.database)
		}
		assigned := func(member string) []string {
			return listed(c.arm("GET", c.cosmos(row.name)+"/"+row.collection, cosmosRoles, nil), member)
		}
		roles := func() int {
			return len(listed(c.arm("GET", c.cosmos(row.name)+"/providers/Microsoft.Authorization/roleAssignments", roleVersion, nil), "principalId"))
		}
		before, linker := roles(), s.linker("app1", strings.ReplaceAll(row.name, "-", ""))
		doc := body(c.cosmos(row.name)+"/"+row.database, map[string]any{"authType": "systemAssignedIdentity", "roles": []any{dataRole}})
		if op := s.do("PUT", linker, doc); op.text("status") != "Succeeded" {
			t.Fatalf("%s: %s", row.name, op.Raw)
		}
		who := c.arm("GET", c.site("app1"), siteVersion, nil).text("identity", "principalId")
		if got := assigned("principalId"); len(got) != 1 || got[0] != who {
			t.Errorf("%s: %q has the role, want %s", row.name, got, who)
		}
		if got := assigned("roleDefinitionId"); len(got) != 1 || !strings.HasSuffix(got[0], "/00000000-0000-0000-0000-000000000002") {
			t.Errorf("%s: the roles are %q", row.name, got)
		}
		if after := roles(); after != before {
			t.Errorf("%s: %d role assignments of Azure were made", row.name, after-before)
		}
		if op := s.do("DELETE", linker, nil); op.text("status") != "Succeeded" {
			t.Errorf("%s: %s", row.name, op.Raw)
		}
		if got := assigned("principalId"); len(got) != 0 {
			t.Errorf("%s: %q keeps the role", row.name, got)
		}
	}
}

// tokenOf is a principal as a client library knows it.
type tokenOf struct {
	c *cloudUnderTest
	p principal
}

func (t tokenOf) GetToken(context.Context, policy.TokenRequestOptions) (azcore.AccessToken, error) {
	return azcore.AccessToken{Token: t.c.signIn(t.p, "https://cosmos.azure.com"), ExpiresOn: time.Now().Add(time.Hour)}, nil
}

// A service principal reads and writes with the role it was given, and not without; a
// validation signs in as it does.
func TestCosmosByServicePrincipal(t *testing.T) {
	t.Parallel()
	c := startCloud(t)
	c.makeGroup()
	c.makeSite("app1", map[string]string{})
	c.makeCosmos("direct", "", "sqlDatabases/orders", "sqlDatabases/orders/containers/lines")
	s, who := c.newConnector().start(), c.newPrincipal("app")
	auth := map[string]any{"authType": "servicePrincipalSecret", "clientId": who.ClientID, "principalId": who.ObjectID, "secret": who.ClientSecret}
	write := func() error {
		endpoint := c.arm("GET", c.cosmos("direct"), cosmosVersion, nil).text("properties", "documentEndpoint")
		client, err := azcosmos.NewClient(endpoint, tokenOf{c, who}, &azcosmos.ClientOptions{ClientOptions: azcore.ClientOptions{Transport: c.http, Retry: policy.RetryOptions{MaxRetries: -1}}})
		if err != nil {
			return err
		}
		lines, err := client.NewContainer("orders", "lines")
		if err != nil {
			return err
		}
		_, err = lines.UpsertItem(t.Context(), azcosmos.NewPartitionKeyString("Oslo"), []byte(`{"id":"1","city":"Oslo"}`), nil)
		return err
	}
	forbidden := func(err error) bool {
		var e *azcore.ResponseError
		return errors.As(err, &e) && e.StatusCode == http.StatusForbidden
	}
	for name, roles := range map[string][]any{"keys": nil, "direct": {dataRole}} {
		auth["roles"] = roles
		if op := s.do("PUT", s.linker("app1", name), body(c.cosmos("direct")+"/sqlDatabases/orders", auth)); op.text("status") != "Succeeded" {
			t.Fatalf("%s: %s", name, op.Raw)
		}
		for item, result := range s.validated(t, "app1", name) {
			if !strings.EqualFold(result, "success") {
				t.Errorf("%s: %s is %s", name, item, result)
			}
		}
		if err := write(); (err == nil) != (roles != nil) || err != nil && !forbidden(err) {
			t.Errorf("%s: the app's write ends in %v", name, err)
		}
		if op := s.do("DELETE", s.linker("app1", name), nil); op.text("status") != "Succeeded" {
			t.Errorf("%s: %s", name, op.Raw)
		}
		if err := write(); !forbidden(err) {
			t.Errorf("after %s is gone the app's write ends in %v", name, err)
		}
	}
}
