package probe_test

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/patchbay/patchbay/internal/connection"
	"github.com/patchbay/patchbay/internal/probe"
	"github.com/patchbay/patchbay/internal/problem"
)

// cosmosPeer is an account for NoSQL with one database, and ARM that hands out its keys.
type cosmosPeer struct {
	refuse string // a status and words, for every answer of the account
	deny   bool   // ARM lists no keys
}

func (p cosmosPeer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Method == http.MethodPost && strings.HasSuffix(r.URL.Path, "/listConnectionStrings") && r.URL.RawQuery == "api-version=2021-04-15" {
		if p.deny || r.Header.Get("Authorization") != "Bearer canary-token" {
			w.WriteHeader(http.StatusForbidden)
			return
		}
		_, _ = fmt.Fprintf(w, `{"connectionStrings":[{"connectionString":"AccountEndpoint=https://account1.test:443/;AccountKey=%s;"}]}`, accountKey)
		return
	}
	status, text := p.judge(r)
	w.WriteHeader(status)
	_, _ = fmt.Fprintf(w, `{"code":"x","message":%q}`, text)
}

// judge checks a master key or a token by the published rules.
func (p cosmosPeer) judge(r *http.Request) (status int, text string) {
	if p.refuse != "" {
		_, _ = fmt.Sscanf(p.refuse, "%d", &status)
		return status, p.refuse
	}
	key, _ := base64.StdEncoding.DecodeString(accountKey)
	mac := hmac.New(sha256.New, key)
	mac.Write([]byte("get\ndbs\n" + strings.TrimPrefix(r.URL.Path, "/") + "\n" + strings.ToLower(r.Header.Get("x-ms-date")) + "\n\n"))
	given, _ := url.QueryUnescape(r.Header.Get("Authorization"))
	switch given {
	case "type=master&ver=1.0&sig=" + base64.StdEncoding.EncodeToString(mac.Sum(nil)), "type=aad&ver=1.0&sig=canary-token":
		if r.URL.Path == "/dbs/orders" {
			return http.StatusOK, ""
		}
		return http.StatusNotFound, "not found"
	}
	return http.StatusUnauthorized, "wrong key"
}

func cosmosValues(key string) map[string]string {
	return map[string]string{"account": "account1", "database": "orders", "accountKey": key, "endpoint": "https://account1.test:443/", "management": "https://arm.test",
		"subscriptionId": "s", "resourceGroup": "rg"}
}

func cosmosFacts(more map[string]string) connection.Facts {
	facts := known("cosmos-sql", "cosmos", map[string]string{"database": "orders", "audience": "https://management.azure.com", "tenantId": tenantID})
	for name, text := range more {
		facts[name] = connection.Plain(text)
	}
	return facts
}

func TestCosmosEveryClient(t *testing.T) {
	t.Parallel()
	p := probe.New(serveHTTPS(t, cosmosPeer{}))
	for _, client := range []string{"dotnet", "java", "python", "nodejs", "go", "springBoot", "none"} {
		c := link("cosmos-sql", secret, client)
		t.Log(client)
		check(t, p.Probe(context.Background(), c, cosmosFacts(nil), written(t, "cosmos-sql", c, cosmosValues(accountKey))), "", exists, open, fine)
		got := p.Probe(context.Background(), c, cosmosFacts(nil), written(t, "cosmos-sql", c, cosmosValues("b2xk")))
		check(t, got, "", exists, open, finding("Configured connection information validated.", "failure", problem.LoginRefused))
		c = link("cosmos-sql", system, client)
		check(t, p.Probe(context.Background(), c, cosmosFacts(nil), written(t, "cosmos-sql", c, cosmosValues(""))), "not proven", exists, open, fine)
	}
}

func TestCosmosFaults(t *testing.T) {
	t.Parallel()
	config, wall := "Configured connection information validated.", "Target service firewall validated."
	for _, row := range []struct {
		name, refuse, phrase string
		facts                map[string]string
		want                 []string
	}{
		{"firewall", "403 blocked by your account firewall settings", "not let in", nil, []string{exists, finding(wall, "failure", problem.FirewallClosed)}},
		{"keys off", "401 Local Authorization is disabled.", "switched off", nil, []string{exists, open, finding(config, "failure", problem.KeyAccessDisabled)}},
		{"no database", "", `"bills"`, map[string]string{"database": "bills"}, []string{exists, open, finding(config, "failure", problem.DatabaseMissing)}},
		{"unwell", "503 busy", "503", nil, []string{exists, finding("Target network access validated.", "failure", problem.TargetNoAnswer)}},
	} {
		c := link("cosmos-sql", secret, "go")
		got := probe.New(serveHTTPS(t, cosmosPeer{refuse: row.refuse})).Probe(context.Background(), c, cosmosFacts(row.facts), written(t, "cosmos-sql", c, cosmosValues(accountKey)))
		t.Log(row.name)
		check(t, got, row.phrase, row.want...)
	}
}

// A service principal's way in depends on what it was given: by default it asks ARM for
// the keys, with a data role it enters itself.
func TestCosmosServicePrincipal(t *testing.T) {
	t.Parallel()
	rights := "Managed Identity permissions validated. warning"
	const arm, data = "https://management.azure.com", "https://account1.test"
	for _, row := range []struct {
		name, client, role, audience, phrase string
		peer                                 cosmosPeer
		want                                 []string
	}{
		{"keys", "go", "", arm, "", cosmosPeer{}, []string{exists, open, fine}},
		{"keys denied", "go", "", arm, "cannot be listed", cosmosPeer{deny: true}, []string{exists, open, fine, rights}},
		{"data role", "go", "Cosmos DB Built-in Data Reader", data, "", cosmosPeer{deny: true}, []string{exists, open, fine}},
		{"role not in force", "go", "Cosmos DB Built-in Data Reader", data, "minutes", cosmosPeer{refuse: "403 blocked by Auth"}, []string{exists, open, fine, rights}},
		{"Spring", "springBoot", "Cosmos DB Built-in Data Contributor", data, "", cosmosPeer{deny: true}, []string{exists, open, fine}},
		{"Spring without a data role", "springBoot", "", data, "--roles", cosmosPeer{refuse: "403 blocked by Auth"}, []string{exists, open, fine, rights}},
	} {
		o := serveHTTPS(t, row.peer)
		o.SignIn = directory(t, row.audience, "canary-token")
		c := principal("cosmos-sql", row.client)
		if row.role != "" {
			c.Properties.Auth.Roles = []string{row.role}
		}
		t.Log(row.name)
		check(t, probe.New(o).Probe(context.Background(), c, cosmosFacts(nil), written(t, "cosmos-sql", c, principalValues(cosmosValues("")))), row.phrase, row.want...)
	}
}

// The Table API is knocked at with what the app reads; by an identity, at the endpoint
// ARM tells.
func TestCosmosTable(t *testing.T) {
	t.Parallel()
	facts := known("cosmos-table", "cosmostable", map[string]string{"tableEndpoint": "https://account1.test:443/"})
	values := cosmosValues(accountKey)
	values["tableEndpoint"] = "https://account1.test:443/"
	p := probe.New(serveHTTPS(t, tableAccount("")))
	for _, client := range []string{"dotnet", "java", "python", "nodejs", "go", "none"} {
		c := link("cosmos-table", secret, client)
		check(t, p.Probe(context.Background(), c, facts, written(t, "cosmos-table", c, values)), "", exists, open, fine)
		c = link("cosmos-table", system, client)
		check(t, p.Probe(context.Background(), c, facts, written(t, "cosmos-table", c, values)), "not proven", exists, open, fine)
	}
}
