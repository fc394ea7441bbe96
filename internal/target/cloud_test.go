package target_test

import (
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"

	"github.com/patchbay/patchbay/internal/arm"
	"github.com/patchbay/patchbay/internal/catalog"
	"github.com/patchbay/patchbay/internal/connection"
	"github.com/patchbay/patchbay/internal/target"
)

const (
	group   = "/subscriptions/11111111-1111-1111-1111-111111111111/resourceGroups/rg"
	site    = group + "/providers/Microsoft.Web/sites/Shop"
	server  = group + "/providers/Microsoft.DBforPostgreSQL/flexibleServers/pg1"
	dbID    = server + "/databases/orders"
	cache   = group + "/providers/Microsoft.Cache/redis/cache1"
	cacheID = cache + "/databases/0"
	account = group + "/providers/Microsoft.Storage/storageAccounts/account1"
	blobID  = account + "/blobServices/default"
	keys    = "/listKeys"
	me      = "99999999-9999-9999-9999-999999999999"
)

// cloud answers ARM requests from a table and counts them.
type cloud struct {
	mu      sync.Mutex
	answers map[string]any // by path; an int is a status with an ARM error
	seen    map[string]int // by method and path
	hold    chan struct{}  // when set, every answer waits until it is closed
	waiting chan struct{}  // told of every request that waits
	base    string         // its address, once it is served
}

func (c *cloud) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	c.mu.Lock()
	c.seen[r.Method+" "+r.URL.Path]++
	answer, ok := c.answers[r.URL.Path]
	c.mu.Unlock()
	if c.hold != nil {
		c.waiting <- struct{}{}
		<-c.hold
	}
	w.Header().Set("Content-Type", "application/json")
	status, body := http.StatusOK, answer
	if !ok {
		answer = 404
	}
	if n, failed := answer.(int); failed {
		code := map[int]string{403: "AuthorizationFailed", 404: "ResourceNotFound", 500: "InternalServerError"}[n]
		message := "The client 'x' with object id 'x' does not have authorization to perform action 'N/t/read' over scope '" + r.URL.Path + "' or the scope is invalid."
		status, body = n, map[string]any{"error": map[string]any{"code": code, "message": message}}
	}
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(body)
}

type password struct{}

func (password) GetToken(context.Context, policy.TokenRequestOptions) (azcore.AccessToken, error) {
	return azcore.AccessToken{Token: "t", ExpiresOn: time.Now().Add(time.Hour)}, nil
}

func properties(p map[string]any) map[string]any {
	return map[string]any{"location": "West Europe", "properties": p}
}

// world is a cloud in which everything is as it should be.
func world() *cloud {
	return &cloud{seen: map[string]int{}, answers: map[string]any{
		server: properties(map[string]any{
			"fullyQualifiedDomainName": "pg1.postgres.database.azure.com", "state": "Ready", "administratorLogin": "pgadmin",
			"network": map[string]any{"publicNetworkAccess": "Enabled"}, "authConfig": map[string]any{"passwordAuth": "Enabled"},
		}),
		dbID: properties(map[string]any{"charset": "UTF8"}),
		cache: properties(map[string]any{
			"hostName": "cache1.redis.cache.windows.net", "sslPort": 6380, "provisioningState": "Succeeded", "disableAccessKeyAuthentication": false,
		}),
		cache + keys:             map[string]any{"primaryKey": "canary-redis-key", "secondaryKey": "other"},
		cache + "/firewallRules": map[string]any{"value": []any{}},
		account: properties(map[string]any{
			"primaryEndpoints": map[string]any{"blob": "https://account1.blob.core.windows.net/"},
			"networkAcls":      map[string]any{"defaultAction": "Allow"},
		}),
		account + keys: map[string]any{"keys": []any{map[string]any{"keyName": "key1", "value": "canary-storage-key"}}},
	}}
}

// set changes one property of an answer.
func (c *cloud) set(path, name string, value any) *cloud {
	c.answers[path].(map[string]any)["properties"].(map[string]any)[name] = value
	return c
}

func (c *cloud) answer(path string, value any) *cloud {
	c.answers[path] = value
	return c
}

// reader makes a reader of the world.
func reader(t *testing.T, c *cloud) *target.Reader {
	t.Helper()
	srv := httptest.NewTLSServer(c)
	t.Cleanup(srv.Close)
	c.base = srv.URL
	client, err := arm.New(arm.Options{
		Endpoint: srv.URL, Audience: "https://management.azure.com", Credential: password{}, HTTP: srv.Client(),
		MaxTries: 1, RetryDelay: time.Millisecond,
	})
	if err != nil {
		t.Fatal(err)
	}
	facts, err := catalog.Default()
	if err != nil {
		t.Fatal(err)
	}
	public, _ := arm.CloudNamed(arm.PublicCloud)
	return &target.Reader{
		Catalog: facts, Client: client, Cloud: public,
		Source: func(context.Context, string) (target.Source, error) {
			return target.Source{Location: "northeurope", Addresses: []string{"20.0.0.2", "20.0.0.1", "20.0.0.2", "2001:db8::1"}}, nil
		},
		Engine: func(context.Context) (target.Identity, error) {
			return target.Identity{PrincipalID: me, Login: "patchbay-engine", TenantID: tenant}, nil
		},
		Address: func(context.Context) (string, error) { return "30.0.0.1", nil },
	}
}

// link makes a connection of the shop.
func link(id, auth, client string, change ...func(*connection.Connection)) *connection.Connection {
	c := &connection.Connection{
		UID: "u1", ID: site + "/providers/Microsoft.ServiceLinker/linkers/orders", Name: "orders", Source: site,
		Properties: connection.Properties{
			Target: connection.Target{Type: "AzureResource", ID: id}, Auth: &connection.Auth{Type: auth}, ClientType: client,
		},
	}
	if auth == connection.AuthSecret && strings.HasPrefix(id, server) {
		c.Properties.Auth.Name = "app"
	}
	for _, f := range change {
		f(c)
	}
	return c
}

func optOutNetwork(c *connection.Connection) {
	c.Properties.PublicNetwork = &connection.PublicNetwork{Action: "optOut"}
}

func optOutSettings(c *connection.Connection) {
	c.Properties.Configuration = &connection.Configuration{Action: "optOut"}
}

func optOutAuth(c *connection.Connection) { c.Properties.Auth.Mode = "optOutAllAuth" }

func configure(f connection.Configuration) func(*connection.Connection) {
	return func(c *connection.Connection) { c.Properties.Configuration = &f }
}

func given(text string) connection.Secrets {
	return connection.Secrets{connection.SecretSlot: connection.NewSecret(text)}
}
