package probe_test

import (
	"context"
	"crypto/x509"
	"strings"
	"testing"

	"github.com/alicebob/miniredis/v2"
	redisserver "github.com/alicebob/miniredis/v2/server"

	"github.com/patchbay/patchbay/internal/connection"
	"github.com/patchbay/patchbay/internal/probe"
	"github.com/patchbay/patchbay/internal/problem"
)

const redisKey = "canary+/key="

// cache starts a server of the real protocol with TLS and a key.
func cache(t *testing.T) (*miniredis.Miniredis, *authority) {
	t.Helper()
	a, err := newAuthority()
	if err != nil {
		t.Fatal(err)
	}
	m := miniredis.NewMiniRedis()
	if err := m.StartTLS(tlsOf(a)); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(m.Close)
	m.RequireAuth(redisKey)
	return m, a
}

func redisValues(key string) map[string]string {
	return map[string]string{"host": "c1.test", "port": "6380", "database": "0", "redisKey": key}
}

func TestRedisEveryClient(t *testing.T) {
	t.Parallel()
	m, a := cache(t)
	p := probe.New(probe.Options{Dial: dialTo(m.Port(), "127.0.0.1"), Roots: a.roots})
	for _, client := range []string{"dotnet", "java", "python", "nodejs", "go", "springBoot", "none", ""} {
		c := link("redis", secret, client)
		check(t, p.Probe(context.Background(), c, known("redis", "redis", nil), written(t, "redis", c, redisValues(redisKey))), "", exists, open, fine)
		got := p.Probe(context.Background(), c, known("redis", "redis", nil), written(t, "redis", c, redisValues("canary-old")))
		check(t, got, "patchbay repair --id "+linker+" --force", exists, open, finding("Configured connection information validated.", "failure", problem.LoginRefused))
	}
}

func TestRedisIdentity(t *testing.T) {
	t.Parallel()
	m, a := cache(t)
	p := probe.New(probe.Options{Dial: dialTo(m.Port(), "127.0.0.1"), Roots: a.roots})
	c := link("redis", system, "python")
	check(t, p.Probe(context.Background(), c, known("redis", "redis", nil), written(t, "redis", c, redisValues(""))), "not proven", exists, open, fine)
}

func TestRedisFaults(t *testing.T) {
	t.Parallel()
	m, a := cache(t)
	c := link("redis", secret, "go")
	settings := written(t, "redis", c, redisValues(redisKey))
	config, network := "Configured connection information validated.", "Target network access validated."
	mute, muteCA := cache(t)
	mute.Server().SetPreHook(func(peer *redisserver.Peer, _ string, _ ...string) bool { peer.Close(); return true })
	small, smallCA := cache(t) // answers as a cache of 16 databases does
	small.Server().SetPreHook(func(peer *redisserver.Peer, command string, _ ...string) bool {
		if command == "SELECT" {
			peer.WriteError("ERR DB index is out of range")
		}
		return command == "SELECT"
	})
	far := written(t, "redis", c, redisValues(redisKey))
	far["AZURE_REDIS_CONNECTIONSTRING"] = connection.Hidden(strings.Replace(far["AZURE_REDIS_CONNECTIONSTRING"].Text, ":6380/0", ":6380/99999", 1))
	html := answering(t, "HTTP/1.1 400 Bad Request\r\n\r\n")
	for _, row := range []struct {
		name     string
		options  probe.Options
		settings map[string]connection.Value
		phrase   string
		want     []string
	}{
		{"setting gone", probe.Options{}, nil, "AZURE_REDIS_CONNECTIONSTRING", []string{exists, open, finding(config, "failure", problem.SettingMissing)}},
		{"setting unreadable", probe.Options{}, map[string]connection.Value{"azure_redis_connectionstring": connection.Hidden("canary")}, "not a redis URL",
			[]string{exists, open, finding(config, "failure", problem.SettingChanged)}},
		{"no such database", probe.Options{Dial: dialTo(small.Port(), "127.0.0.1"), Roots: smallCA.roots}, far, "no database 99999", []string{exists, open, finding(config, "failure", problem.DatabaseMissing)}},
		{"nothing listens", probe.Options{Dial: dialTo("1", "127.0.0.1")}, settings, "nothing listens", []string{exists, finding(network, "failure", problem.TargetNoAnswer)}},
		{"foreign certificate", probe.Options{Dial: dialTo(m.Port(), "127.0.0.1"), Roots: x509.NewCertPool()}, settings, "TLS certificate", []string{exists, finding(network, "failure", problem.TargetNoAnswer)}},
		{"closes", probe.Options{Dial: dialTo(mute.Port(), "127.0.0.1"), Roots: muteCA.roots}, settings, "closes the connection", []string{exists, finding(network, "failure", problem.TargetNoAnswer)}},
		{"not TLS", probe.Options{Dial: dialTo(html, "127.0.0.1"), Roots: a.roots}, settings, "does not speak TLS", []string{exists, finding(network, "failure", problem.TargetNoAnswer)}},
		{"not redis", probe.Options{Dial: dialTo(html, "127.0.0.1")},
			map[string]connection.Value{"AZURE_REDIS_CONNECTIONSTRING": connection.Hidden("redis://:canary@h:6379/0")}, "not Redis's protocol", []string{exists, finding(network, "failure", problem.TargetNoAnswer)}},
	} {
		t.Run(row.name, func(t *testing.T) {
			check(t, probe.New(row.options).Probe(context.Background(), c, known("redis", "redis", nil), row.settings), row.phrase, row.want...)
		})
	}
}

func TestRedisOtherNotations(t *testing.T) {
	t.Parallel()
	for client, text := range map[string]string{"dotnet": "canary", "nodejs": "http://canary"} {
		c := link("redis", secret, client)
		got := probe.New(probe.Options{}).Probe(context.Background(), c, known("redis", "redis", nil),
			map[string]connection.Value{"AZURE_REDIS_CONNECTIONSTRING": connection.Hidden(text)})
		check(t, got, "cannot be read", exists, open, finding("Configured connection information validated.", "failure", problem.SettingChanged))
	}
}
