//go:build interop

package interop

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/redis/go-redis/v9"

	"github.com/patchbay/patchbay/demo/outside"
)

// clients are the real Azure CLIs: the distribution's, which sends the api-version
// of 2022, and the newest release, which sends that of 2024.
var clients = []struct{ name, path, version string }{
	{"distribution", "/usr/bin/az", "2.45."},
	{"newest", filepath.Join("..", ".cache", "interop", "newest", "bin", "az"), "2."},
}

// world is what has to be so after a command.
type world struct {
	settings []string          // names, besides the site's own
	identity string            // of the site
	roles    int               // of the site's identity on the storage account
	clients  map[string]string // client type by connection
}

// chapter is one command of the life and what the world is after it.
type chapter struct {
	words []string
	world world
	// check looks closer: at what az printed, and whether the settings really connect.
	check func(a *azure, printed any, site outside.Site)
}

// The settings that each connection writes, by client type.
var (
	postgresSettings = []string{"AZURE_POSTGRESQL_CONNECTIONSTRING"}
	redisSettings    = []string{"AZURE_REDIS_CONNECTIONSTRING"}
	redisSeparately  = []string{"AZURE_REDIS_DATABASE", "AZURE_REDIS_HOST", "AZURE_REDIS_PASSWORD", "AZURE_REDIS_PORT", "AZURE_REDIS_SSL"}
	blobSettings     = []string{"AZURE_STORAGEBLOB_RESOURCEENDPOINT"}
)

func TestLifeOfConnections(t *testing.T) {
	for _, c := range clients {
		t.Run(c.name, func(t *testing.T) {
			a := newAzure(t, c.path)
			if version := word(member(a.az("version"), "azure-cli")); !strings.HasPrefix(version, c.version) {
				t.Fatalf("this az is %s, not %s", version, c.version)
			}
			a.signIn()
			a.holds(world{identity: "None"})
			for _, ch := range life() {
				begun := time.Now()
				printed := a.az(ch.words...)
				t.Logf("%5.1f s  az %s", time.Since(begun).Seconds(), a.spelled(ch.words))
				site := a.holds(ch.world)
				if ch.check != nil {
					ch.check(a, printed, site)
				}
				if t.Failed() {
					t.Fatalf("the world is not what it should be after az %s", a.spelled(ch.words))
				}
			}
		})
	}
}

// life is a connection of each kind from its birth to its end.
func life() []chapter {
	target := []string{"--tg", group, "--server", server, "--database", database}
	secret := []string{"--secret", "name=" + admin, "secret=" + password}
	one := world{postgresSettings, "None", 0, map[string]string{"db": "python"}}
	two := world{both(postgresSettings, redisSettings), "None", 0, map[string]string{"db": "python", "cache": "go"}}
	three := world{both(postgresSettings, redisSettings, blobSettings), "SystemAssigned", 1, map[string]string{"db": "python", "cache": "go", "files": "python"}}
	separate := world{both(postgresSettings, redisSeparately, blobSettings), "SystemAssigned", 1, map[string]string{"db": "python", "cache": "none", "files": "python"}}
	renewed := world{separate.settings, "SystemAssigned", 1, map[string]string{"db": "go", "cache": "none", "files": "python"}}
	return []chapter{
		{connection("create postgres-flexible", "db", slices.Concat(target, secret, []string{"--client-type", "python"})...), one, created("db", postgresConnects)},
		{connection("create redis", "cache", "--tg", group, "--server", cache, "--database", "0", "--secret", "--client-type", "go"), two, created("cache", redisConnects)},
		{connection("create storage-blob", "files", "--tg", group, "--account", account, "--system-identity", "--client-type", "python"), three, created("files", nil)},
		{[]string{"webapp", "connection", "list", "-g", group, "-n", siteName}, three, listed("cache", "db", "files")},
		{connection("show", "db"), three, shown},
		{connection("list-configuration", "cache"), three, configured(redisSettings)},
		{connection("list-configuration", "files"), three, configured(blobSettings)},
		{connection("validate", "db"), three, validated("success")},
		{connection("validate", "cache"), three, validated("success")},
		{connection("validate", "files"), three, validated("success")},
		{connection("update redis", "cache", "--client-type", "none"), separate, configuredAs("cache", redisSeparately)},
		{connection("update postgres-flexible", "db", append(secret, "--client-type", "go")...), renewed, created("db", postgresConnects)},
		{connection("validate", "db"), renewed, validated("success")},
		{connection("delete", "db", "--yes"), world{both(redisSeparately, blobSettings), "SystemAssigned", 1, map[string]string{"cache": "none", "files": "python"}}, nil},
		{connection("delete", "files", "--yes"), world{redisSeparately, "None", 0, map[string]string{"cache": "none"}}, nil},
		{connection("delete", "cache", "--yes"), world{identity: "None"}, nil},
		{[]string{"webapp", "connection", "list", "-g", group, "-n", siteName}, world{identity: "None"}, listed()},
	}
}

func both(lists ...[]string) []string {
	all := slices.Concat(lists...)
	slices.Sort(all)
	return all
}

// holds reads the world by plain HTTP and compares; it returns the site.
func (a *azure) holds(want world) outside.Site {
	a.t.Helper()
	ctx := a.t.Context()
	site, err := a.cloud.ReadSite(ctx, a.site())
	if err != nil {
		a.t.Fatal(err)
	}
	roles, err := a.cloud.ReadRoles(ctx, a.storage())
	if err != nil {
		a.t.Fatal(err)
	}
	linkers, err := a.cloud.ReadLinkers(ctx, a.site())
	if err != nil {
		a.t.Fatal(err)
	}
	got := map[string]string{}
	for name, l := range linkers {
		got[name] = l.Client
		equal(a.t, "state of connection "+name, l.State, "Succeeded")
	}
	if want.clients == nil {
		want.clients = map[string]string{}
	}
	equal(a.t, "connections and their client types", got, want.clients)
	equal(a.t, "names of settings", site.Names(), both(want.settings, []string{"GREETING"}))
	equal(a.t, "the site's own setting", site.Settings["GREETING"], "hello")
	equal(a.t, "identity", site.Identity, want.identity)
	equal(a.t, "the identity has a principal", site.Principal != "", want.identity == "SystemAssigned")
	equal(a.t, "role assignments", len(roles), want.roles)
	equal(a.t, "role assignments of the site", len(outside.Of(site.Principal, roles)), want.roles)
	return site
}

func equal(t *testing.T, what string, got, want any) {
	t.Helper()
	if !reflect.DeepEqual(got, want) {
		t.Errorf("%s: got %v, want %v", what, got, want)
	}
}

// created checks what create and update print, and that the settings connect.
func created(name string, connects func(*azure, outside.Site)) func(*azure, any, outside.Site) {
	return func(a *azure, printed any, site outside.Site) {
		equal(a.t, "name", word(member(printed, "name")), name)
		equal(a.t, "state", word(member(printed, "provisioningState")), "Succeeded")
		equal(a.t, "resource group", word(member(printed, "resourceGroup")), group)
		if value := member(printed, "authInfo", "secretInfo", "value"); value != nil {
			a.t.Errorf("az got a secret back")
		}
		sameConfigurations(a.t, member(printed, "configurations"), site, nil)
		if connects != nil {
			connects(a, site)
		}
	}
}

func listed(names ...string) func(*azure, any, outside.Site) {
	return func(a *azure, printed any, _ outside.Site) {
		got := []string{}
		for _, item := range items(printed) {
			got = append(got, word(member(item, "name")))
		}
		slices.Sort(got)
		equal(a.t, "listed connections", got, append([]string{}, names...))
	}
}

func shown(a *azure, printed any, site outside.Site) {
	created("db", nil)(a, printed, site)
	equal(a.t, "auth type", word(member(printed, "authInfo", "authType")), "secret")
	equal(a.t, "user", word(member(printed, "authInfo", "name")), admin)
	equal(a.t, "target", strings.ToLower(word(member(printed, "targetService", "id"))),
		strings.ToLower(a.id("Microsoft.DBforPostgreSQL/flexibleServers/"+server+"/databases/"+database)))
	raw, err := a.cloud.Want(a.t.Context(), http.MethodGet, a.site()+"/providers/Microsoft.ServiceLinker/linkers/db?api-version="+outside.LinkerVersion, nil, http.StatusOK)
	if err != nil {
		a.t.Fatal(err)
	}
	equal(a.t, "id", strings.ToLower(word(member(printed, "id"))), strings.ToLower(word(raw["id"])))
}

func configured(names []string) func(*azure, any, outside.Site) {
	return func(a *azure, printed any, site outside.Site) {
		sameConfigurations(a.t, member(printed, "configurations"), site, names)
	}
}

// configuredAs checks the configurations that an update printed.
func configuredAs(name string, names []string) func(*azure, any, outside.Site) {
	return func(a *azure, printed any, site outside.Site) {
		created(name, nil)(a, printed, site)
		sameConfigurations(a.t, member(printed, "configurations"), site, names)
		for _, n := range names {
			if site.Settings[n] == "" {
				a.t.Errorf("setting %s is empty", n)
			}
		}
	}
}

// sameConfigurations holds what az printed to what the site really has.
func sameConfigurations(t *testing.T, printed any, site outside.Site, names []string) {
	t.Helper()
	told := map[string]string{}
	for _, item := range items(printed) {
		told[word(member(item, "name"))] = word(member(item, "value"))
	}
	if len(told) == 0 {
		t.Error("no configurations were printed")
	}
	for name, value := range told {
		if real, there := site.Settings[name]; !there || real != value {
			t.Errorf("configuration %s is not what the site has", name)
		}
	}
	if names != nil {
		equal(t, "names of configurations", slices.Sorted(maps.Keys(told)), names)
	}
}

func validated(result string) func(*azure, any, outside.Site) {
	return func(a *azure, printed any, _ outside.Site) {
		if len(items(printed)) == 0 {
			a.t.Error("a validation without items")
		}
		for _, item := range items(printed) {
			if got := word(member(item, "result")); got != result {
				a.t.Errorf("%s: %s, %s", word(member(item, "name")), got, word(member(item, "description")))
			}
		}
	}
}

// postgresConnects uses the setting as the app would, with nothing added.
func postgresConnects(a *azure, site outside.Site) {
	ctx, cancel := context.WithTimeout(a.t.Context(), 20*time.Second)
	defer cancel()
	db, err := pgx.Connect(ctx, site.Settings["AZURE_POSTGRESQL_CONNECTIONSTRING"])
	if err != nil {
		a.t.Fatalf("connect with the setting: %v", err)
	}
	defer db.Close(ctx)
	var user, name string
	if err := db.QueryRow(ctx, "select current_user, current_database()").Scan(&user, &name); err != nil {
		a.t.Fatal(err)
	}
	equal(a.t, "user", user, admin)
	equal(a.t, "database", name, database)
}

func redisConnects(a *azure, site outside.Site) {
	options, err := redis.ParseURL(site.Settings["AZURE_REDIS_CONNECTIONSTRING"])
	if err != nil {
		a.t.Fatalf("read the setting: %v", err)
	}
	pem, err := os.ReadFile(a.cloud.Ready.CAFile)
	if err != nil {
		a.t.Fatal(err)
	}
	trusted := x509.NewCertPool()
	trusted.AppendCertsFromPEM(pem)
	options.TLSConfig = &tls.Config{RootCAs: trusted, ServerName: options.TLSConfig.ServerName}
	client := redis.NewClient(options)
	defer client.Close()
	if err := client.Set(a.t.Context(), "interop", "yes", time.Minute).Err(); err != nil {
		a.t.Fatalf("use the cache with the setting: %v", err)
	}
}
