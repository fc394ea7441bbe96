package catalog_test

import (
	"flag"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/patchbay/patchbay/internal/catalog"
	"github.com/patchbay/patchbay/internal/connection"
	"github.com/patchbay/patchbay/internal/problem"
)

var update = flag.Bool("update", false, "write testdata anew")

func load(t testing.TB) *catalog.Catalog {
	t.Helper()
	c, err := catalog.Default()
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func get(t testing.TB, name string) *catalog.Target {
	t.Helper()
	target, ok := load(t).Get(name)
	if !ok {
		t.Fatalf("no target %s", name)
	}
	return target
}

// suffixes are the public cloud's.
var suffixes = map[string]string{"postgres": "postgres.database.azure.com", "redis": "redis.cache.windows.net", "storage": "core.windows.net"}

// sample holds every placeholder the targets use, with an ordinary value.
func sample(t testing.TB, target *catalog.Target, given map[string]string) connection.Facts {
	t.Helper()
	facts := connection.Facts{}
	for name, value := range map[string]string{
		"server": "pg1", "cache": "cache1", "storageAccount": "account1",
		"username": "app", "clientId": "11111111-2222-3333-4444-555555555555", "tenantId": "66666666-7777-8888-9999-000000000000",
	} {
		facts[name] = connection.Plain(value)
	}
	if target.Protocol == "postgres" {
		facts["database"] = connection.Plain("orders")
	}
	for name, value := range map[string]string{"password": "Passw0rd", "clientSecret": "s3cret", "redisKey": "cmVkaXM=", "accountKey": "c3RvcmFnZQ=="} {
		facts[name] = connection.Hidden(value)
	}
	for name, value := range given {
		facts[name] = connection.Plain(value)
	}
	facts, err := target.PreviewFacts(suffixes[target.Preview.Suffix], facts)
	if err != nil {
		t.Fatal(err)
	}
	return facts
}

// public is the public cloud.
var public = catalog.Cloud{Name: "AzureCloud", Management: "https://management.azure.com", Suffixes: map[string]string{
	"appConfig": "azconfig.io", "cognitive": "cognitiveservices.azure.com", "cosmos": "documents.azure.com", "keyVault": "vault.azure.net",
	"mysql": "mysql.database.azure.com", "postgres": "postgres.database.azure.com", "redis": "redis.cache.windows.net",
	"redisEnterprise": "redisenterprise.cache.azure.net", "serviceBus": "servicebus.windows.net", "signalr": "service.signalr.net",
	"sql": "database.windows.net", "storage": "core.windows.net", "webPubSub": "webpubsub.azure.com",
}}

// names are ordinary values of everything a preview asks for.
var names = map[string]string{
	"accessKey": "YWNjZXNz", "accessKeyId": "id1", "accessKeyName": "RootManageSharedAccessKey", "accessKeySecret": "c2VjcmV0", "account": "account1",
	"accountKey": "c3RvcmFnZQ==", "apiKey": "0123456789abcdef", "cache": "cache1", "clientId": "11111111-2222-3333-4444-555555555555",
	"clientCertificate": "-----BEGIN CERTIFICATE-----", "clientSecret": "s3cret", "clusterUrl": "cluster0.ab1cd.mongodb.net", "configStore": "store1", "database": "orders",
	"fabricDatabaseId": "77777777-8888-9999-aaaa-bbbbbbbbbbbb", "fabricServer": "x6eps4xrq2xudenlfv6naeo3i4", "graph": "people", "kafkaApiKey": "KEY1",
	"kafkaApiSecret": "kafka/Secret+1", "kafkaCluster": "ab1cd", "keyspace": "shop", "location": "westeurope", "namespace": "space1",
	"neonHost": "ep-quiet-sea-1.eastus2.azure.neon.tech", "password": "Passw0rd", "redisKey": "cmVkaXM=", "resourceGroup": "Rg", "schemaRegistry": "ef2gh",
	"schemaRegistryKey": "KEY2", "schemaRegistrySecret": "registry/Secret+2", "server": "pg1", "signalr": "signalr1", "storageAccount": "account1",
	"subscriptionId": "99999999-8888-7777-6666-555555555555", "tenantId": "66666666-7777-8888-9999-000000000000", "username": "app", "vault": "vault1",
	"webpubsub": "pubsub1",
}

// undocumented are values of what previews ask for beside the documented placeholders.
var undocumented = map[string]string{
	"component": "component1", "containerApp": "app1", "defaultDomain": "quietsea-01234567.westeurope.azurecontainerapps.io",
	"instrumentationKey": "88888888-9999-aaaa-bbbb-cccccccccccc",
}

// TestSettings holds every row of every pair, and of every form, to its file.
func TestSettings(t *testing.T) {
	t.Parallel()
	for _, target := range load(t).Targets() {
		t.Run(target.Name, func(t *testing.T) {
			t.Parallel()
			var out strings.Builder
			for _, form := range append([]string{""}, slices.Sorted(maps.Keys(target.Forms))...) {
				for _, auth := range target.AuthTypes() {
					for _, client := range target.ClientTypes(auth) {
						writePair(t, &out, target, auth, client, form)
					}
				}
			}
			golden(t, target.Name+".txt", out.String())
		})
	}
}

func writePair(t *testing.T, out *strings.Builder, target *catalog.Target, auth, client, form string) {
	t.Helper()
	given := map[string]string{"tenantId": names["tenantId"]} // asked for by one form only
	undocumented := maps.Clone(undocumented)
	undocumented["endpoint"] = target.Example
	for _, name := range target.PreviewNames(auth, client) {
		if given[name] = names[name] + undocumented[name]; given[name] == "" {
			t.Errorf("%s with %s asks for %s", auth, client, name)
		}
	}
	settings, err := target.PreviewSettings(auth, client, public, given, catalog.Options{Form: form})
	if form != "" && problem.Is(err, problem.ClientUnsupported) {
		return
	}
	if err != nil {
		t.Error(err)
		return
	}
	fmt.Fprintf(out, "%s\n", strings.TrimSpace(auth+" "+client+" "+form))
	for _, s := range settings {
		fmt.Fprintf(out, "  %s = %s (%s)\n", s.Name, s.Value.Text, strings.TrimSpace(s.Kind+" "+s.Description))
		if (s.Kind == catalog.KindSecret) != s.Value.Secret {
			t.Errorf("%s is %s and its value hidden: %v", s.Name, s.Kind, s.Value.Secret)
		}
	}
}

func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("%s differs; got:\n%s", path, got)
	}
}

const group = "/subscriptions/11111111-1111-1111-1111-111111111111/resourceGroups/Rg"

func TestMatch(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		id, target string
		facts      map[string]string
		resource   string // id of the first resource
	}{
		{group + "/providers/Microsoft.DBforPostgreSQL/flexibleServers/Pg/databases/Db", "postgres-flexible",
			map[string]string{"server": "Pg", "database": "Db", "resourceGroup": "Rg", "subscriptionId": "11111111-1111-1111-1111-111111111111"},
			group + "/providers/Microsoft.DBforPostgreSQL/flexibleServers/Pg"},
		{strings.ToUpper(group + "/providers/microsoft.dbforpostgresql/flexibleservers/pg/databases/db"), "postgres-flexible",
			map[string]string{"server": "PG"}, strings.ToUpper(group + "/providers/microsoft.dbforpostgresql/flexibleservers/pg")},
		{"/" + group + "/providers/Microsoft.Cache/Redis/c/databases/3", "redis", map[string]string{"cache": "c", "database": "3"},
			group + "/providers/Microsoft.Cache/Redis/c"},
		{group[1:] + "/providers/Microsoft.Storage/storageAccounts/a/blobServices/Default", "storage-blob", map[string]string{"storageAccount": "a"},
			group + "/providers/Microsoft.Storage/storageAccounts/a"},
	} {
		m, err := load(t).Match(row.id)
		if err != nil {
			t.Errorf("%s: %v", row.id, err)
			continue
		}
		if m.Target.Name != row.target || m.ID != row.id {
			t.Errorf("%s: %s, %s", row.id, m.Target.Name, m.ID)
		}
		for name, want := range row.facts {
			if got := m.Facts.Text(name); got != want {
				t.Errorf("%s: %s is %q, want %q", row.id, name, got, want)
			}
		}
		for name, r := range m.Target.Resources {
			if got := m.Resource(name); r.Depth == 1 && r.Child == "" && got != row.resource {
				t.Errorf("%s: %s is %s, want %s", row.id, name, got, row.resource)
			}
		}
	}
}

func TestMatchRefuses(t *testing.T) {
	t.Parallel()
	for id, phrase := range map[string]string{
		"":                 "postgres-flexible",
		"/subscriptions/x": "redis",
		group + "/providers/Microsoft.DBforPostgreSQL/flexibleServers/pg":             "nearest: postgres-flexible",
		group + "/providers/Microsoft.DBforPostgreSQL/flexibleServers/pg/databases":   "nearest: postgres-flexible",
		group + "/providers/Microsoft.DBforPostgreSQL/flexibleServers/pg/databases/":  "nearest: postgres-flexible",
		group + "/providers/Microsoft.Cache/redis/c/databases/zero":                   "[0-9]",
		group + "/providers/Microsoft.Storage/storageAccounts/a/tapeServices/default": "nearest: storage-table",
		group + "/providers/Microsoft.Storage/storageAccounts/a/blobServices/other":   "blobServices/default",
		group + "/providers/Microsoft.Web/sites/s":                                    "storage-blob",
		group + "/providers": "redis",
	} {
		_, err := load(t).Match(id)
		if !problem.Is(err, problem.TargetUnsupported) || !strings.Contains(err.Error(), phrase) {
			t.Errorf("%q: %v does not say %q", id, err, phrase)
		}
	}
}

func TestNames(t *testing.T) {
	t.Parallel()
	if got := load(t).Names(); !slices.IsSorted(got) || len(got) < 3 {
		t.Errorf("names %v", got)
	}
	target := get(t, "Redis")
	if target.Type() != "Microsoft.Cache/redis/databases" {
		t.Error(target.Type())
	}
	want := "/subscriptions/{subscription}/resourceGroups/{target-resource-group}/providers/Microsoft.Cache/redis/{server}/databases/{database}"
	if got := target.IDTemplate(); got != want {
		t.Error(got)
	}
	if got := get(t, "storage-blob").IDTemplate(); !strings.HasSuffix(got, "/storageAccounts/{account}/blobServices/default") {
		t.Error(got)
	}
}

func TestSupport(t *testing.T) {
	t.Parallel()
	for _, row := range load(t).Support([]string{connection.AuthSecret, connection.AuthSystemIdentity}) {
		if _, open := get(t, row.Target).Auth[catalog.AuthNone]; open {
			continue
		}
		first := connection.AuthSystemIdentity // before keys, after a password of a user's own
		if !row.KeysFetched && slices.Contains(row.AuthTypes, connection.AuthSecret) || !slices.Contains(row.AuthTypes, first) {
			first = connection.AuthSecret
		}
		if row.AuthTypes[0] != first {
			t.Errorf("%+v", row)
		}
	}
	all := load(t).Support(nil)
	if len(all[0].AuthTypes) != 6 || len(all) != len(load(t).Names()) {
		t.Errorf("%+v", all[0])
	}
	ready := 0
	for _, row := range all {
		target := get(t, row.Target)
		if target.Status == "" {
			ready++
		}
		if row.KeysFetched != (target.Auth[connection.AuthSecret].Key != "") || row.IDTemplate != target.IDTemplate() {
			t.Errorf("%+v", row)
		}
	}
	if got := len(load(t).Support([]string{connection.AuthSecret})); got != ready {
		t.Errorf("%d of %d targets are ready, %d in the matrix", ready, len(all), got)
	}
	if got := get(t, "redis").ClientTypes(connection.AuthSystemIdentity); slices.Contains(got, "springBoot") {
		t.Error(got)
	}
}

func TestRowsRefuse(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		target, auth, client string
		code                 problem.Code
		phrase               string
	}{
		{"redis", connection.AuthSystemIdentity, "springBoot", problem.ClientUnsupported, "take a key only"},
		{"redis", connection.AuthSecret, "pyton", problem.ClientUnsupported, `did you mean "python"`},
		{"redis", connection.AuthSecret, "php", problem.ClientUnsupported, "allowed: dotnet"},
		{"redis", connection.AuthEasyAuth, "go", problem.AuthUnsupported, "secret, userAssignedIdentity"},
		{"postgres-flexible", "systemAsignedIdentity", "go", problem.AuthUnsupported, `did you mean "systemAssignedIdentity"`},
	} {
		_, err := get(t, row.target).Rows(row.auth, row.client)
		if !problem.Is(err, row.code) || !strings.Contains(err.Error(), row.phrase) {
			t.Errorf("%+v: %v", row, err)
		}
	}
	for _, client := range []string{"", "dotnet-internal"} {
		if _, err := get(t, "redis").Rows(connection.AuthSecret, client); err != nil {
			t.Errorf("%q: %v", client, err)
		}
	}
	if err := get(t, "redis").CheckAuth(connection.AuthUserIdentity, []string{connection.AuthSecret}); !problem.Is(err, problem.AuthUnsupported) {
		t.Error(err)
	}
}

func TestRolesAndPolicies(t *testing.T) {
	t.Parallel()
	blob := get(t, "storage-blob")
	for given, want := range map[string]string{
		"storage blob data reader":             "2a2b9908-6ea1-4ae2-8e65-a410df84e7d1",
		"BA92F5B4-2d11-453d-a403-e96b0029c9fe": "ba92f5b4-2d11-453d-a403-e96b0029c9fe",
		"/subscriptions/x/providers/Microsoft.Authorization/roleDefinitions/ba92f5b4-2d11-453d-a403-e96b0029c9fe": "ba92f5b4-2d11-453d-a403-e96b0029c9fe",
	} {
		if got, ok := blob.RoleID(given); !ok || got != want {
			t.Errorf("%s: %s %v", given, got, ok)
		}
	}
	if _, ok := blob.RoleID("Owner of everything"); ok {
		t.Error("an unknown role has an id")
	}
	if p, ok := get(t, "redis").Policy("data owner"); !ok || p != "Data Owner" {
		t.Error(p, ok)
	}
	if _, ok := blob.Policy("Data Owner"); ok {
		t.Error("storage has no access policies")
	}
}
