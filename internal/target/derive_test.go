package target_test

import (
	"context"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/patchbay/patchbay/internal/connection"
	"github.com/patchbay/patchbay/internal/problem"
	"github.com/patchbay/patchbay/internal/target"
)

var update = flag.Bool("update", false, "write testdata anew")

func derive(t *testing.T, w *cloud, c *connection.Connection, secrets connection.Secrets) ([]connection.Facet, error) {
	t.Helper()
	r := reader(t, w)
	facts, err := r.Facts(context.Background(), c)
	if err != nil {
		t.Fatal(err)
	}
	return r.Derive(c, facts, secrets)
}

// TestDerive holds the facets of each case to its file in testdata.
func TestDerive(t *testing.T) {
	t.Parallel()
	denying := func() *cloud {
		return world().set(account, "networkAcls", map[string]any{"defaultAction": "Deny"})
	}
	ruled := func() *cloud {
		return world().answer(cache+"/firewallRules", map[string]any{"value": []any{map[string]any{"name": "office"}}})
	}
	private := func() *cloud {
		return world().set(server, "network", map[string]any{"publicNetworkAccess": "Disabled"})
	}
	for _, row := range []struct {
		name    string
		cloud   *cloud
		c       *connection.Connection
		secrets connection.Secrets
	}{
		{"postgres-identity", world(), link(dbID, system, "go"), nil},
		{"postgres-identity-no-network", private(), link(dbID, system, "springBoot", optOutNetwork), nil},
		{"postgres-identity-no-auth", world(), link(dbID, system, "go", optOutAuth), nil},
		{"postgres-identity-named", world(), link(dbID, system, "none", optOutSettings, func(c *connection.Connection) { c.Properties.Auth.UserName = "shop" }), nil},
		{"postgres-secret", world(), link(dbID, secret, "none"), given("canary")},
		{"postgres-secret-private", private(), link(dbID, secret, "go"), given("canary")},
		{"postgres-secret-ranges", world(), link(dbID, secret, "go", optOutSettings, func(c *connection.Connection) {
			c.Properties.PublicNetwork = &connection.PublicNetwork{IPRanges: []string{"10.1.0.0/16", "20.0.0.1", "10.0.0.5-10.0.0.9"}, AzureServices: "true"}
		}), nil},
		{"postgres-second", world(), link(dbID, secret, "nodejs", func(c *connection.Connection) { c.Infix = "ORDERS" }, configure(connection.Configuration{
			CustomizedKeys: map[string]string{"AZURE_POSTGRESQL_USER": "PGUSER"}, Additional: map[string]string{"B": "2", "A": "1"}})), given("canary")},
		{"redis-identity", world(), link(cacheID, system, "python"), nil},
		{"redis-identity-owner", ruled(), link(cacheID, system, "python", func(c *connection.Connection) {
			c.Properties.Auth.Roles = []string{"data owner", "Redis Cache Contributor"}
		}), nil},
		{"redis-secret", world(), link(cacheID, secret, "dotnet"), nil},
		{"redis-secret-ruled", ruled(), link(cacheID, secret, "go"), nil},
		{"storage-identity", world(), link(blobID, system, "springBoot"), nil},
		{"storage-identity-reader", denying(), link(blobID, system, "none", func(c *connection.Connection) {
			c.Properties.Auth.Roles = []string{"Storage Blob Data Reader", "2A2B9908-6ea1-4ae2-8e65-a410df84e7d1"}
		}), nil},
		{"storage-secret", denying(), link(blobID, secret, "go"), nil},
		{"postgres-user-identity", world().known(), byUserIdentity(dbID, "go"), nil},
		{"postgres-user-identity-no-auth", world(), byUserIdentity(dbID, "go", optOutAuth), nil},
		{"postgres-service-principal", world(), byServicePrincipal(dbID, "springBoot"), given("canary")},
		{"redis-user-identity", world().known(), byUserIdentity(cacheID, "java"), nil},
		{"redis-service-principal", ruled(), byServicePrincipal(cacheID, "none"), given("canary")},
		{"storage-user-identity", world().known(), byUserIdentity(blobID, "springBoot"), nil},
		{"storage-service-principal", denying(), byServicePrincipal(blobID, "go"), given("canary")},
		{"storage-service-principal-no-auth", world(), byServicePrincipal(blobID, "go", optOutAuth, optOutNetwork), given("canary")},
		{"storage-service-principal-no-settings", world(), byServicePrincipal(blobID, "go", optOutSettings), nil},
		{"nothing-but-network", denying(), link(blobID, secret, "", optOutSettings, func(c *connection.Connection) { c.Properties.Auth = nil }), nil},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			facets, err := derive(t, row.cloud, row.c, row.secrets)
			if err != nil {
				t.Fatal(err)
			}
			checkGraph(t, facets)
			golden(t, row.name, text(facets))
		})
	}
}

// text prints facets for people; secrets are stars.
func text(facets []connection.Facet) string {
	var out strings.Builder
	for _, f := range facets {
		fmt.Fprintf(&out, "%s %q on %s", f.Kind, f.Name, strings.TrimPrefix(f.Resource, group+"/providers/"))
		if f.Scaffold {
			out.WriteString(" (scaffold)")
		}
		out.WriteString("\n")
		for _, name := range f.Want.Names() {
			v := f.Want[name]
			fmt.Fprintf(&out, "  %s = %s", name, v)
			if v.From != nil {
				fmt.Fprintf(&out, " (%s of %s)", v.From.Output, v.From.Facet)
			}
			out.WriteString("\n")
		}
		for _, k := range f.After {
			fmt.Fprintf(&out, "  after %s\n", k)
		}
	}
	return out.String()
}

// checkGraph holds what every derivation promises: keys once, edges only backwards
// to facets that are there, settings last and never after scaffolding.
func checkGraph(t *testing.T, facets []connection.Facet) {
	t.Helper()
	seen := map[string]connection.Facet{}
	settings := false
	for _, f := range facets {
		if _, twice := seen[f.Fold()]; twice {
			t.Errorf("%s is there twice", f.Key)
		}
		if settings && f.Kind != connection.KindSetting {
			t.Errorf("%s comes after a setting", f.Key)
		}
		settings = f.Kind == connection.KindSetting
		edges := append([]connection.Key{}, f.After...)
		for _, v := range f.Want {
			if v.From != nil {
				edges = append(edges, v.From.Facet)
			}
		}
		for _, k := range edges {
			if before, ok := seen[k.Fold()]; !ok || (settings && before.Scaffold) {
				t.Errorf("%s cannot come after %s", f.Key, k)
			}
		}
		seen[f.Fold()] = f
	}
}

func golden(t *testing.T, name, got string) {
	t.Helper()
	if strings.Contains(got, "canary") {
		t.Errorf("%s shows a secret", name)
	}
	path := filepath.Join("testdata", name+".txt")
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

func TestDeriveHoldsSecrets(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		c    *connection.Connection
		want map[string]string
	}{
		{link(dbID, secret, "go"), map[string]string{"AZURE_POSTGRESQL_CONNECTIONSTRING": "host=pg1.postgres.database.azure.com dbname=orders sslmode=require user=app password='can ary'"}},
		{link(cacheID, secret, "dotnet"), map[string]string{"AZURE_REDIS_CONNECTIONSTRING": "cache1.redis.cache.windows.net:6380,password=canary-redis-key,ssl=True,defaultDatabase=0"}},
		{link(blobID, secret, "go"), map[string]string{"AZURE_STORAGEBLOB_CONNECTIONSTRING": "DefaultEndpointsProtocol=https;AccountName=account1;AccountKey=canary-storage-key;EndpointSuffix=core.windows.net"}},
	} {
		facets, err := derive(t, world(), row.c, given("can ary"))
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range facets {
			if want, ok := row.want[f.Name]; ok && (f.Want[connection.AttrValue].Text != want || !f.Want[connection.AttrValue].Secret) {
				t.Errorf("%s is %q", f.Name, f.Want[connection.AttrValue].Text)
			}
		}
	}
}

func TestDeriveRefuses(t *testing.T) {
	t.Parallel()
	private := world().set(server, "network", map[string]any{"publicNetworkAccess": "Disabled"})
	if _, err := derive(t, private, link(dbID, system, "go"), nil); !problem.Is(err, problem.PublicAccessDenied) {
		t.Errorf("a server without public access: %v", err)
	}
	for _, c := range []*connection.Connection{link(dbID, secret, "go"), byServicePrincipal(blobID, "go")} {
		if _, err := derive(t, world(), c, nil); !problem.Is(err, problem.SecretNeeded) {
			t.Errorf("without a secret: %v", err)
		}
	}
	r := reader(t, world())
	if _, err := r.Derive(link(dbID, system, "go"), connection.Facts{}, nil); err == nil || !strings.Contains(err.Error(), "not known") {
		t.Errorf("without facts: %v", err)
	}
	if _, err := r.Derive(link("x", system, "go"), connection.Facts{}, nil); !problem.Is(err, problem.TargetUnsupported) {
		t.Error(err)
	}
}

// TestDeriveIsPure holds that the same inputs give the same facets, and that inputs stay as they are.
func TestDeriveIsPure(t *testing.T) {
	t.Parallel()
	r, c := reader(t, world()), link(dbID, system, "springBoot")
	facts, err := r.Facts(context.Background(), c)
	if err != nil {
		t.Fatal(err)
	}
	before := len(facts)
	var first string
	for range 20 {
		facets, err := r.Derive(c, facts, nil)
		if err != nil {
			t.Fatal(err)
		}
		if first == "" {
			first = text(facets)
		}
		if text(facets) != first || len(facts) != before {
			t.Fatal("two derivations differ")
		}
	}
}

func TestUserNames(t *testing.T) {
	t.Parallel()
	c := link(dbID, system, "go")
	if got := target.UserName(c); got != "aad_orders" {
		t.Error(got)
	}
	second := target.SecondUserName(c)
	c.Source = strings.ToUpper(c.Source)
	if got := target.SecondUserName(c); got != second || !strings.HasPrefix(got, "aad_orders_") {
		t.Error(got)
	}
	c.Name = strings.Repeat("n", 80)
	if got := target.UserName(c); len(got) != 63 {
		t.Errorf("%s has %d bytes", got, len(got))
	}
	long := target.UserName(c)
	c.Name += "m"
	if target.UserName(c) == long {
		t.Error("two long names become one")
	}
}

// TestDeriveRefusesNames: names that a person chose must reach the app; documented names
// are written as they are.
func TestDeriveRefusesNames(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		bad, chosen string
		refused     bool
	}{{"-", "MY-KEY", true}, {"-", "MY_KEY", false}, {"", "MY-KEY", false}} {
		for _, cfg := range []connection.Configuration{{CustomizedKeys: map[string]string{"AZURE_POSTGRESQL_HOST": row.chosen}}, {Additional: map[string]string{row.chosen: "1"}}} {
			r, c := reader(t, world()), link(dbID, secret, "nodejs", configure(cfg))
			source := r.Source
			r.Source = func(ctx context.Context, id string) (target.Source, error) {
				s, err := source(ctx, id)
				s.NotInNames = row.bad
				return s, err
			}
			facts, err := r.Facts(t.Context(), c)
			if err != nil {
				t.Fatal(err)
			}
			_, err = r.Derive(c, facts, given("p"))
			if problem.Is(err, problem.SettingName) != row.refused || (err != nil && !row.refused) || row.refused && !strings.Contains(problem.As(err).Fix, "MY_KEY") {
				t.Errorf("%+v: %v", row, err)
			}
		}
	}
}
