package probe_test

import (
	"context"
	"crypto/x509"
	"errors"
	"net"
	"strings"
	"testing"

	"github.com/patchbay/patchbay/internal/connection"
	"github.com/patchbay/patchbay/internal/probe"
	"github.com/patchbay/patchbay/internal/problem"
)

const pg = "postgres-flexible"

// good are the values that let the app in.
func good(change map[string]string) map[string]string {
	values := map[string]string{"host": "pg1.test", "database": "orders", "username": "app", "password": password}
	for name, text := range change {
		values[name] = text
	}
	return values
}

func prober(s *server, from string) *probe.Prober {
	return probe.New(probe.Options{Dial: dialTo(s.port, from), Roots: s.roots})
}

// TestPostgresEveryClient signs in with the settings of every client type, and is
// refused with a wrong password in them.
func TestPostgresEveryClient(t *testing.T) {
	t.Parallel()
	s := postgres(t)
	for _, client := range []string{"dotnet", "dotnet-internal", "java", "python", "nodejs", "go", "php", "ruby", "django", "springBoot", "none", ""} {
		t.Run("client "+client, func(t *testing.T) {
			t.Parallel()
			c := link(pg, secret, client)
			got := prober(s, "127.0.0.1").Probe(context.Background(), c, known(pg, "postgres", nil), written(t, pg, c, good(nil)))
			check(t, got, "", exists, open, fine)
			wrong := written(t, pg, c, good(map[string]string{"password": "canary-wrong"}))
			got = prober(s, "127.0.0.1").Probe(context.Background(), c, known(pg, "postgres", nil), wrong)
			check(t, got, "patchbay webapp connection update postgres-flexible --id "+linker+" --secret name=app secret=PASSWORD",
				exists, open, finding("Configured connection information validated.", "failure", problem.LoginRefused))
		})
	}
}

func TestPostgresNamesOfSettings(t *testing.T) {
	t.Parallel()
	c := link(pg, secret, "nodejs", func(c *connection.Connection) {
		c.Infix = "ORDERS"
		c.Properties.Configuration = &connection.Configuration{CustomizedKeys: map[string]string{"AZURE_POSTGRESQL_PASSWORD": "PGPASSWORD"}}
	})
	settings := written(t, pg, c, good(nil))
	if _, ok := settings["PGPASSWORD"]; !ok {
		t.Fatal(settings)
	}
	check(t, prober(postgres(t), "127.0.0.1").Probe(context.Background(), c, known(pg, "postgres", nil), settings), "", exists, open, fine)
	delete(settings, "PGPASSWORD")
	got := prober(postgres(t), "127.0.0.1").Probe(context.Background(), c, known(pg, "postgres", nil), settings)
	check(t, got, "no setting PGPASSWORD", exists, open, finding("Configured connection information validated.", "failure", problem.SettingMissing))
}

func TestPostgresFaults(t *testing.T) {
	t.Parallel()
	s := postgres(t)
	optOut := func(c *connection.Connection) {
		c.Properties.PublicNetwork = &connection.PublicNetwork{Action: "optOut"}
	}
	config := "Configured connection information validated."
	for _, row := range []struct {
		name   string
		c      *connection.Connection
		values map[string]string
		facts  map[string]string
		from   string
		phrase string
		want   []string
	}{
		{"no such user", link(pg, secret, "go"), map[string]string{"username": "admin"}, nil, "127.0.0.1", "password authentication failed",
			[]string{exists, open, finding(config, "failure", problem.LoginRefused)}},
		{"no such database", link(pg, secret, "go"), map[string]string{"database": "nope"}, map[string]string{"apiVersion": "1"}, "127.0.0.1",
			"patchbay rest PUT " + ids[pg] + "?api-version=1 -b {} --wait", []string{exists, open, finding(config, "failure", problem.DatabaseMissing)}},
		{"no right to connect", link(pg, secret, "go"), map[string]string{"database": "closed"}, nil, "127.0.0.1", "permission denied",
			[]string{exists, open, finding(config, "failure", problem.LoginRefused)}},
		{"the app is shut out", link(pg, secret, "go"), nil, map[string]string{"source.addresses": "1.1.1.1,127.0.0.2"}, "127.0.0.2",
			"patchbay repair --id " + linker, []string{exists, finding("Target service firewall validated.", "failure", problem.FirewallClosed)}},
		{"addresses unknown", link(pg, secret, "go"), nil, nil, "127.0.0.2", "no pg_hba.conf entry",
			[]string{exists, finding("Target service firewall validated.", "failure", problem.FirewallClosed)}},
		{"only we are shut out", link(pg, secret, "go"), nil, map[string]string{"source.addresses": "1.1.1.1"}, "127.0.0.2",
			"not proven: the firewall does not let in Patchbay's own address 127.0.0.2", []string{exists, open, unproven}},
		{"network is not ours", link(pg, secret, "go", optOut), nil, nil, "127.0.0.1", "", []string{exists, fine}},
		{"public access denied", link(pg, secret, "go"), nil, map[string]string{"publicDenied": "true"}, "127.0.0.2", "not proven",
			[]string{exists, "Target network access validated. warning", unproven}},
		{"identity", link(pg, system, "go"), map[string]string{"username": "aad_orders"}, nil, "127.0.0.1", "only the app has its identity's token", []string{exists, open, fine}},
		{"identity, scram", link(pg, system, "java"), nil, nil, "127.0.0.1", "token", []string{exists, open, fine}},
		{"identity, Spring", link(pg, system, "springBoot"), map[string]string{"username": "aad_orders"}, nil, "127.0.0.1", "token", []string{exists, open, fine}},
		{"identity, shut out", link(pg, system, "none"), nil, nil, "127.0.0.2", "no pg_hba.conf entry",
			[]string{exists, finding("Target service firewall validated.", "failure", problem.FirewallClosed)}},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			got := prober(s, row.from).Probe(context.Background(), row.c, known(pg, "postgres", row.facts), written(t, pg, row.c, good(row.values)))
			check(t, got, row.phrase, row.want...)
		})
	}
}

// TestPostgresWithoutSettings tries the address that ARM names, as far as the server lets anybody.
func TestPostgresWithoutSettings(t *testing.T) {
	t.Parallel()
	c := link(pg, secret, "go", func(c *connection.Connection) {
		c.Properties.Configuration = &connection.Configuration{Action: "optOut"}
	})
	facts := known(pg, "postgres", map[string]string{"host": "pg1.test", "source.addresses": "1.1.1.1"})
	check(t, prober(postgres(t), "127.0.0.1").Probe(context.Background(), c, facts, nil), "", exists, open)
}

func TestPostgresUnreadableSettings(t *testing.T) {
	t.Parallel()
	for client, settings := range map[string]map[string]string{
		"dotnet":     {"AZURE_POSTGRESQL_CONNECTIONSTRING": "Server=h;Database=d;User Id='canary"},
		"go":         {"AZURE_POSTGRESQL_CONNECTIONSTRING": "canary"},
		"python":     {"AZURE_POSTGRESQL_CONNECTIONSTRING": "host=h user=canary port=x dbname=d"},
		"java":       {"AZURE_POSTGRESQL_CONNECTIONSTRING": "jdbc:mysql://canary"},
		"springBoot": {"spring.datasource.url": "canary", "spring.datasource.username": "u", "spring.datasource.password": "canary"},
		"none": {"AZURE_POSTGRESQL_HOST": "", "AZURE_POSTGRESQL_DATABASE": "d", "AZURE_POSTGRESQL_USERNAME": "u",
			"AZURE_POSTGRESQL_PORT": "5432", "AZURE_POSTGRESQL_PASSWORD": "canary"},
	} {
		values := map[string]connection.Value{}
		for name, text := range settings {
			values[name] = connection.Hidden(text)
		}
		c := link(pg, secret, client)
		got := probe.New(probe.Options{}).Probe(context.Background(), c, known(pg, "postgres", nil), values)
		check(t, got, "patchbay repair --id "+linker+" --force", exists, open,
			finding("Configured connection information validated.", "failure", problem.SettingChanged))
	}
}

func TestPostgresNetworkTrouble(t *testing.T) {
	t.Parallel()
	s := postgres(t)
	deaf := answering(t, "N")
	closing := answering(t, "")
	for _, row := range []struct {
		name, phrase string
		options      probe.Options
	}{
		{"nothing listens", "nothing listens there", probe.Options{Roots: s.roots, Dial: dialTo("1", "127.0.0.1")}},
		{"unknown name", "name is not known", probe.Options{Dial: func(context.Context, string, string) (net.Conn, error) {
			return nil, &net.OpError{Op: "dial", Err: &net.DNSError{Err: "no such host", Name: "x", IsNotFound: true}}
		}}},
		{"other trouble", "cannot be reached: odd", probe.Options{Dial: func(context.Context, string, string) (net.Conn, error) { return nil, errors.New("odd") }}},
		{"foreign certificate", "TLS certificate", probe.Options{Roots: x509.NewCertPool(), Dial: dialTo(s.port, "127.0.0.1")}},
		{"no TLS", "TLS", probe.Options{Roots: s.roots, Dial: dialTo(deaf, "127.0.0.1")}},
		{"closes", "closes the connection", probe.Options{Roots: s.roots, Dial: dialTo(closing, "127.0.0.1")}},
	} {
		for _, auth := range []string{secret, system} {
			c := link(pg, auth, "go")
			got := probe.New(row.options).Probe(context.Background(), c, known(pg, "postgres", nil), written(t, pg, c, good(nil)))
			check(t, got, row.phrase, exists, finding("Target network access validated.", "failure", problem.TargetNoAnswer))
		}
	}
}

// TestPostgresPlainIsObeyed holds that an app whose string switches TLS off is judged without it.
func TestPostgresPlainIsObeyed(t *testing.T) {
	t.Parallel()
	c := link(pg, secret, "go")
	settings := map[string]connection.Value{"AZURE_POSTGRESQL_CONNECTIONSTRING": connection.Hidden(
		"host=pg1.test dbname=orders sslmode=disable user=app password='" + strings.NewReplacer(`'`, `\'`).Replace(password) + "'")}
	p := probe.New(probe.Options{Dial: dialTo(postgres(t).port, "127.0.0.1")})
	check(t, p.Probe(context.Background(), c, known(pg, "postgres", nil), settings), "", exists, open, fine)
}

// answering listens and answers every connection's first bytes with the same text.
func answering(t *testing.T, text string) (port string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	t.Cleanup(func() { _ = l.Close(); <-done })
	go func() {
		defer close(done)
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			_, _ = conn.Read(make([]byte, 512))
			_, _ = conn.Write([]byte(text))
			_ = conn.Close()
		}
	}()
	_, port, _ = net.SplitHostPort(l.Addr().String())
	return port
}
