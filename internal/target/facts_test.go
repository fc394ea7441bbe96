package target_test

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/patchbay/patchbay/internal/connection"
	"github.com/patchbay/patchbay/internal/problem"
	"github.com/patchbay/patchbay/internal/target"
)

const (
	secret = connection.AuthSecret
	system = connection.AuthSystemIdentity
)

func TestFacts(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		name  string
		cloud *cloud
		c     *connection.Connection
		want  map[string]string // "" means not known
		calls int
	}{
		{"postgres identity", world(), link(dbID, system, "go"), map[string]string{
			"host": "pg1.postgres.database.azure.com", "database": "orders", "owner": "pgadmin", "state": "Ready", "protocol": "postgres",
			"target": "postgres-flexible", "audience": "https://ossrdbms-aad.database.windows.net", "engine.principalId": me, "engine.address": "30.0.0.1",
			"source.addresses": "20.0.0.2,20.0.0.1,20.0.0.2,2001:db8::1", "stopped": "", "warning": "", "firewall": "true",
			"startCommand": "patchbay rest POST " + server + "/start?api-version=2025-08-01 --wait",
		}, 2},
		{"postgres secret", world(), link(dbID, secret, "go"), map[string]string{"engine.principalId": "", "engine.address": "30.0.0.1"}, 2},
		{"postgres secret without settings", world(), link(dbID, secret, "go", optOutSettings), map[string]string{"engine.address": ""}, 2},
		{"postgres without network", world(), link(dbID, system, "go", optOutNetwork), map[string]string{"engine.principalId": me, "engine.address": ""}, 2},
		{"postgres stopped", world().set(server, "state", "Stopped"), link(dbID, secret, "go"), map[string]string{"stopped": "true", "state": "Stopped"}, 2},
		{"postgres private", world().set(server, "network", map[string]any{"publicNetworkAccess": "Disabled"}), link(dbID, secret, "go"),
			map[string]string{"publicDenied": "true", "firewall": "", "warning": "The target denies all public network access. Make sure that the app reaches it through a private endpoint."}, 2},
		{"postgres without administrator", world().set(server, "administratorLogin", nil), link(dbID, system, "go"), map[string]string{"owner": "azure_pg_admin"}, 2},
		{"redis key", world(), link(cacheID, secret, "go"), map[string]string{
			"host": "cache1.redis.cache.windows.net", "port": "6380", "redisKey": "canary-redis-key", "database": "0", "firewall": ""}, 3},
		{"redis with rules", world().answer(cache+"/firewallRules", map[string]any{"value": []any{map[string]any{"name": "cache1/office"}}}),
			link(cacheID, secret, "go"), map[string]string{"firewall": "true"}, 3},
		{"redis identity", world(), link(cacheID, system, "go"), map[string]string{"redisKey": "", "audience": "https://redis.azure.com"}, 2},
		{"redis identity without network", world(), link(cacheID, system, "go", optOutNetwork), map[string]string{}, 1},
		{"storage key", world(), link(blobID, secret, "go"), map[string]string{
			"endpoint": "https://account1.blob.core.windows.net/", "accountKey": "canary-storage-key", "firewall": "", "warning": "", "engine.address": ""}, 2},
		{"storage without settings", world(), link(blobID, secret, "go", optOutSettings), map[string]string{"accountKey": ""}, 1},
		{"storage closed", world().set(account, "networkAcls", map[string]any{"defaultAction": "Deny"}), link(blobID, system, "go"),
			map[string]string{"firewall": "true", "firewallNote": "", "audience": "https://storage.azure.com"}, 1},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			facts, err := reader(t, row.cloud).Facts(context.Background(), row.c)
			if err != nil {
				t.Fatal(err)
			}
			for name, want := range row.want {
				if got := facts.Text(name); got != want {
					t.Errorf("%s is %q, want %q", name, got, want)
				}
			}
			for name, value := range facts {
				if strings.Contains(value.Text, "canary") && !value.Secret {
					t.Errorf("%s is not hidden", name)
				}
			}
			calls := 0
			for call, n := range row.cloud.seen {
				calls += n
				if n > 1 {
					t.Errorf("%s was sent %d times", call, n)
				}
			}
			if calls != row.calls {
				t.Errorf("%d calls, want %d: %v", calls, row.calls, row.cloud.seen)
			}
		})
	}
}

func TestStorageInOneRegion(t *testing.T) {
	t.Parallel()
	r := reader(t, world().set(account, "networkAcls", map[string]any{"defaultAction": "Deny"}))
	r.Source = func(context.Context, string) (target.Source, error) {
		return target.Source{Location: "westeurope"}, nil
	}
	facts, err := r.Facts(context.Background(), link(blobID, system, "go"))
	if err != nil || facts.Text(connection.FactWallNote) == "" || facts.Text(connection.FactWarning) == "" {
		t.Errorf("%v %v", facts, err)
	}
}

// TestFactsInParallel holds that no read waits for another: every request is in
// flight before the first is answered.
func TestFactsInParallel(t *testing.T) {
	t.Parallel()
	c := world()
	c.hold, c.waiting = make(chan struct{}), make(chan struct{})
	r := reader(t, c)
	done := make(chan error, 1)
	go func() {
		_, err := r.Facts(context.Background(), link(cacheID, secret, "go"))
		done <- err
	}()
	for range 3 {
		<-c.waiting
	}
	close(c.hold)
	if err := <-done; err != nil {
		t.Fatal(err)
	}
}

func TestFactsRefuse(t *testing.T) {
	t.Parallel()
	gone := func(context.Context, string) (target.Source, error) {
		return target.Source{}, problem.New(problem.SourceNotFound, site, "gone")
	}
	for _, row := range []struct {
		name   string
		cloud  *cloud
		c      *connection.Connection
		source func(context.Context, string) (target.Source, error)
		code   problem.Code
		phrase string
	}{
		{"no server", world().answer(server, 404).answer(dbID, 404), link(dbID, secret, "go"), nil, problem.TargetNotFound, server},
		{"no database", world().answer(dbID, 404), link(dbID, secret, "go"), nil, problem.TargetNotFound, "the database " + dbID + " does not exist"},
		{"no right", world().answer(cache, 403), link(cacheID, secret, "go"), nil, problem.TargetUnreadable, cache},
		{"no right to keys", world().answer(cache+keys, 403), link(cacheID, secret, "go"), nil, problem.EngineLacksRight, "N/t/read"},
		{"broken cloud", world().answer(cache, 500), link(cacheID, secret, "go"), nil, problem.ARMRefused, "InternalServerError"},
		{"no keys in the answer", world().answer(cache+keys, map[string]any{}), link(cacheID, secret, "go"), nil, problem.TargetUnreadable, "no key"},
		{"keys off, list refused", world().set(account, "allowSharedKeyAccess", false).answer(account+keys, 403), link(blobID, secret, "go"), nil, problem.KeyAccessDisabled, "access keys"},
		{"keys off in redis", world().set(cache, "disableAccessKeyAuthentication", true), link(cacheID, secret, "go"), nil, problem.KeyAccessDisabled, "access keys"},
		{"passwords off", world().set(server, "authConfig", map[string]any{"passwordAuth": "Disabled"}), link(dbID, secret, "go"), nil, problem.KeyAccessDisabled, "passwords"},
		{"no host yet", world().set(cache, "hostName", nil), link(cacheID, system, "go"), nil, problem.TargetNoAnswer, "host"},
		{"no source", world().answer(cache, 404), link(cacheID, system, "go"), gone, problem.SourceNotFound, "gone"},
		{"not a target", world(), link(site, system, "go"), nil, problem.TargetUnsupported, "Microsoft.Web/sites"},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			r := reader(t, row.cloud)
			if row.source != nil {
				r.Source = row.source
			}
			_, err := r.Facts(context.Background(), row.c)
			if !problem.Is(err, row.code) || !strings.Contains(err.Error(), row.phrase) {
				t.Errorf("%v is not %s with %q", err, row.code, row.phrase)
			}
		})
	}
}

func TestFactsEngineUnknown(t *testing.T) {
	t.Parallel()
	r := reader(t, world())
	r.Address = func(context.Context) (string, error) { return "", errors.New("no way out") }
	if _, err := r.Facts(context.Background(), link(dbID, system, "go")); err == nil || !strings.Contains(err.Error(), "no way out") {
		t.Error(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := r.Facts(ctx, link(dbID, secret, "go")); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}

func TestReads(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		c    *connection.Connection
		want []string
	}{
		{link(dbID, system, "go"), []string{
			"Microsoft.Web/sites/read " + site, "Microsoft.DBforPostgreSQL/flexibleServers/read " + server,
			"Microsoft.DBforPostgreSQL/flexibleServers/databases/read " + dbID}},
		{link(cacheID, secret, "go"), []string{
			"Microsoft.Web/sites/read " + site, "Microsoft.Cache/redis/read " + cache, "Microsoft.Cache/redis/firewallRules/read " + cache,
			"Microsoft.Cache/redis/listKeys/action " + cache}},
		{link(cacheID, system, "go", optOutNetwork), []string{"Microsoft.Web/sites/read " + site, "Microsoft.Cache/redis/read " + cache}},
		{link(blobID, secret, "go", optOutSettings), []string{"Microsoft.Web/sites/read " + site, "Microsoft.Storage/storageAccounts/read " + account}},
		{link("nonsense", secret, "go"), []string{"Microsoft.Web/sites/read " + site}},
	} {
		var got []string
		for _, right := range reader(t, world()).Reads(row.c) {
			got = append(got, right.Action+" "+right.Scope)
		}
		if strings.Join(got, "\n") != strings.Join(row.want, "\n") {
			t.Errorf("got %v, want %v", got, row.want)
		}
	}
}
