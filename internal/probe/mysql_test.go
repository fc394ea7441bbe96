package probe_test

import (
	"context"
	"crypto/x509"
	"database/sql"
	"errors"
	"net"
	"strings"
	"testing"

	driver "github.com/go-sql-driver/mysql"

	"github.com/patchbay/patchbay/internal/connection"
	"github.com/patchbay/patchbay/internal/localcloud/mysql"
	"github.com/patchbay/patchbay/internal/localcloud/provider"
	"github.com/patchbay/patchbay/internal/localcloud/providertest"
	"github.com/patchbay/patchbay/internal/probe"
	"github.com/patchbay/patchbay/internal/problem"
)

const (
	my            = "mysql-flexible"
	myServer      = group + "/providers/Microsoft.DBforMySQL/flexibleServers/my1"
	mySecret      = "P;w '\"d%1\\" // strong enough for an administrator
	mysqlAudience = "https://ossrdbms-aad.database.windows.net"
)

// myBench is a MariaDB behind the local cloud's gate, open to 127.0.0.1.
type myBench struct {
	cloud *providertest.Cloud
	front *providertest.Front
	app   provider.Principal
	host  string
}

func mysqlServer(t *testing.T) *myBench {
	t.Helper()
	b := &myBench{cloud: providertest.New(t)}
	p := mysql.New(b.cloud)
	b.front = providertest.NewFront(b.cloud, p)
	t.Cleanup(func() {
		_, _ = b.front.Run(context.Background(), "DELETE", myServer, nil) // the folder may lie outside the test's own
		if err := p.Close(); err != nil {
			t.Error(err)
		}
	})
	reader := group + "/providers/Microsoft.ManagedIdentity/userAssignedIdentities/reader"
	who := b.cloud.Directory().NewManagedIdentity(reader, "reader")
	b.cloud.Store().Put(reader, provider.Document{"id": reader, "name": "reader", "type": "Microsoft.ManagedIdentity/userAssignedIdentities",
		"properties": map[string]any{"principalId": who.ObjectID, "clientId": who.ClientID}})
	b.put(t, "", provider.Document{"location": "westeurope",
		"identity":   map[string]any{"type": "UserAssigned", "userAssignedIdentities": map[string]any{reader: map[string]any{}}},
		"properties": map[string]any{"administratorLogin": "app", "administratorLoginPassword": mySecret}})
	b.put(t, "/databases/orders", provider.Document{"properties": map[string]any{}})
	b.put(t, "/firewallRules/one", provider.Document{"properties": map[string]any{"startIpAddress": "127.0.0.1", "endIpAddress": "127.0.0.1"}})
	b.host = b.cloud.Address(myServer)
	b.app = b.cloud.Directory().NewManagedIdentity(site, "shop")
	b.makeUser(t, reader)
	return b
}

func (b *myBench) put(t *testing.T, path string, d provider.Document) {
	t.Helper()
	if _, err := b.front.Run(t.Context(), "PUT", myServer+path, d); err != nil {
		t.Fatalf("PUT %s: %v", path, err)
	}
}

// makeUser makes the app's user, as the server's Entra administrator.
func (b *myBench) makeUser(t *testing.T, reader string) {
	t.Helper()
	boss := b.cloud.Directory().NewManagedIdentity(group+"/boss", "boss")
	b.put(t, "/administrators/ActiveDirectory", provider.Document{"properties": map[string]any{"administratorType": "ActiveDirectory",
		"login": "boss", "sid": boss.ObjectID, "identityResourceId": reader}})
	cfg := driver.NewConfig()
	cfg.Net, cfg.Addr, cfg.User, cfg.Passwd = "tcp", b.host+":3306", "boss", b.token(t, boss)
	cfg.TLS, cfg.AllowCleartextPasswords = b.cloud.ClientTLS(), true
	cfg.TLS.ServerName = b.host
	connector, err := driver.NewConnector(cfg)
	if err != nil {
		t.Fatal(err)
	}
	db := sql.OpenDB(connector)
	defer db.Close()
	db.SetMaxOpenConns(1)
	for _, s := range []string{"SET aad_auth_validate_oids_in_tenant = OFF", "CREATE AADUSER 'aad_orders' IDENTIFIED BY '" + b.app.ClientID + "'",
		"GRANT SELECT ON orders.* TO 'aad_orders'@'%'"} {
		if _, err := db.ExecContext(t.Context(), s); err != nil {
			t.Fatalf("%s: %v", s, err)
		}
	}
}

func (b *myBench) token(t *testing.T, p provider.Principal) string {
	t.Helper()
	token, _, err := b.cloud.Directory().Token(p.ObjectID, mysqlAudience)
	if err != nil {
		t.Fatal(err)
	}
	return token
}

func (b *myBench) prober(from string) *probe.Prober {
	d := &net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(from)}}
	return probe.New(probe.Options{Dial: d.DialContext, Roots: b.cloud.CertPool()})
}

func (b *myBench) good(change map[string]string) map[string]string {
	values := map[string]string{"host": b.host, "database": "orders", "username": "app", "password": mySecret, "clientId": clientID, "clientSecret": "canary-secret", "tenantId": tenantID}
	for name, text := range change {
		values[name] = text
	}
	return values
}

func myLink(auth, client string, change ...func(*connection.Connection)) *connection.Connection {
	return link(my, auth, client, append([]func(*connection.Connection){func(c *connection.Connection) {
		c.Properties.Target.ID = myServer + "/databases/orders"
		if auth == secret {
			c.Properties.Auth.Name = "app"
		}
	}}, change...)...)
}

func TestMySQL(t *testing.T) {
	t.Parallel()
	b := mysqlServer(t)
	for _, client := range []string{"dotnet", "java", "python", "nodejs", "go", "php", "ruby", "django", "springBoot", "none", ""} {
		t.Run("client "+client, func(t *testing.T) {
			t.Parallel()
			c := myLink(secret, client)
			check(t, b.prober("127.0.0.1").Probe(t.Context(), c, known(my, "mysql", nil), written(t, my, c, b.good(nil))), "", exists, open, fine)
			wrong := written(t, my, c, b.good(map[string]string{"password": "canary-wrong"}))
			check(t, b.prober("127.0.0.1").Probe(t.Context(), c, known(my, "mysql", nil), wrong),
				"patchbay webapp connection update mysql-flexible --id "+linker+" --secret name=app secret=PASSWORD",
				exists, open, finding("Configured connection information validated.", "failure", problem.LoginRefused))
		})
	}
	t.Run("faults", func(t *testing.T) { t.Parallel(); mysqlFaults(t, b) })
	t.Run("service principal", func(t *testing.T) { t.Parallel(); mysqlPrincipal(t, b) })
	t.Run("network", func(t *testing.T) { t.Parallel(); mysqlNetwork(t, b) })
}

func mysqlFaults(t *testing.T, b *myBench) {
	const config = "Configured connection information validated."
	shut := finding("Target service firewall validated.", "failure", problem.FirewallClosed)
	for _, row := range []struct {
		name          string
		c             *connection.Connection
		values, facts map[string]string
		from, phrase  string
		want          []string
	}{
		{"no such user", myLink(secret, "go"), map[string]string{"username": "nobody"}, nil, "127.0.0.1", "Access denied", []string{exists, open, finding(config, "failure", problem.LoginRefused)}},
		{"no such database", myLink(secret, "go"), map[string]string{"database": "nope"}, map[string]string{"apiVersion": "1"}, "127.0.0.1",
			"patchbay rest PUT " + myServer + "/databases/orders?api-version=1 -b {} --wait", []string{exists, open, finding(config, "failure", problem.DatabaseMissing)}},
		{"the app is shut out", myLink(secret, "java"), nil, map[string]string{"source.addresses": "1.1.1.1,127.0.0.2"}, "127.0.0.2", "patchbay repair --id " + linker, []string{exists, shut}},
		{"addresses unknown", myLink(secret, "none"), nil, nil, "127.0.0.2", "IP address '127.0.0.2'", []string{exists, shut}},
		{"only we are shut out", myLink(secret, "go"), nil, map[string]string{"source.addresses": "1.1.1.1"}, "127.0.0.2",
			"not proven: the firewall does not let in Patchbay's own address 127.0.0.2", []string{exists, open, unproven}},
		{"identity", myLink(system, "go"), map[string]string{"username": "aad_orders"}, nil, "127.0.0.1", "only the app has its identity's token", []string{exists, open, fine}},
		{"identity without a user", myLink(system, "springBoot"), nil, nil, "127.0.0.1", "token", []string{exists, open, fine}},
		{"identity, shut out", myLink(system, "python"), nil, nil, "127.0.0.2", "IP address '127.0.0.2'", []string{exists, shut}},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			got := b.prober(row.from).Probe(t.Context(), row.c, known(my, "mysql", row.facts), written(t, my, row.c, b.good(row.values)))
			check(t, got, row.phrase, row.want...)
		})
	}
	t.Run("no settings", func(t *testing.T) {
		t.Parallel()
		c := myLink(secret, "go", func(c *connection.Connection) {
			c.Properties.Configuration = &connection.Configuration{Action: "optOut"}
		})
		check(t, b.prober("127.0.0.1").Probe(t.Context(), c, known(my, "mysql", map[string]string{"host": b.host}), nil), "", exists, open)
	})
	// Each notation's way of switching TLS off.
	for client, change := range map[string][3]string{
		"dotnet": {"AZURE_MYSQL_CONNECTIONSTRING", "SSL Mode=Required", "SSL Mode=None"},
		"java":   {"AZURE_MYSQL_CONNECTIONSTRING", "sslmode=required", "sslMode=DISABLED"},
		"go":     {"AZURE_MYSQL_CONNECTIONSTRING", "tls=true", "tls=false"},
		"nodejs": {"AZURE_MYSQL_SSL", "true", "false"},
		"php":    {"AZURE_MYSQL_FLAG", "MySQL_CLIENT_SSL", ""},
		"ruby":   {"AZURE_MYSQL_SSLMODE", "required", "disabled"},
	} {
		t.Run("without TLS, "+client, func(t *testing.T) {
			t.Parallel()
			c := myLink(secret, client)
			settings := written(t, my, c, b.good(nil))
			was := settings[change[0]]
			settings[change[0]] = connection.Hidden(strings.Replace(was.Text, change[1], change[2], 1))
			got := b.prober("127.0.0.1").Probe(t.Context(), c, known(my, "mysql", nil), settings)
			check(t, got, "repair --id "+linker+" --force", exists, open, finding(config, "failure", problem.SettingChanged))
		})
	}
}

// A service principal's secret is tried to the end: the token, and the server with it.
func mysqlPrincipal(t *testing.T, b *myBench) {
	for _, row := range []struct {
		name, token string
		want        string
	}{
		{"its own token", b.token(t, b.app), fine},
		{"another's token", b.token(t, b.cloud.Directory().NewManagedIdentity(group+"/other", "other")), finding("Configured connection information validated.", "failure", problem.LoginRefused)},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			c := principal(my, "go")
			c.Properties.Target.ID = myServer + "/databases/orders"
			p := probe.New(probe.Options{Roots: b.cloud.CertPool(), SignIn: directory(t, "aud", row.token), Dial: (&net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP("127.0.0.1")}}).DialContext})
			got := p.Probe(t.Context(), c, known(my, "mysql", map[string]string{"audience": "aud"}), written(t, my, c, b.good(map[string]string{"username": "aad_orders"})))
			check(t, got, "", exists, open, row.want)
		})
	}
}

// closing listens and hangs up on everybody without a word.
func closing(t *testing.T) (port string) {
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
			_ = conn.Close()
		}
	}()
	_, port, _ = net.SplitHostPort(l.Addr().String())
	return port
}

func mysqlNetwork(t *testing.T, b *myBench) {
	for _, row := range []struct {
		name, phrase string
		options      probe.Options
	}{
		{"nothing listens", "nothing listens there", probe.Options{Roots: b.cloud.CertPool(), Dial: dialTo("1", "127.0.0.1")}},
		{"other trouble", "cannot be reached: odd", probe.Options{Dial: func(context.Context, string, string) (net.Conn, error) { return nil, errors.New("odd") }}},
		{"foreign certificate", "TLS certificate", probe.Options{Roots: x509.NewCertPool()}},
		{"closes", "closes the connection", probe.Options{Dial: dialTo(closing(t), "127.0.0.1")}},
	} {
		for _, auth := range []string{secret, system} {
			c := myLink(auth, "go")
			got := probe.New(row.options).Probe(t.Context(), c, known(my, "mysql", nil), written(t, my, c, b.good(nil)))
			check(t, got, row.phrase, exists, finding("Target network access validated.", "failure", problem.TargetNoAnswer))
		}
	}
}

func TestMySQLUnreadableSettings(t *testing.T) {
	t.Parallel()
	for client, settings := range map[string]map[string]string{
		"dotnet":     {"AZURE_MYSQL_CONNECTIONSTRING": "Server=h;Database=d;User Id='canary"},
		"go":         {"AZURE_MYSQL_CONNECTIONSTRING": "canary"},
		"java":       {"AZURE_MYSQL_CONNECTIONSTRING": "jdbc:postgresql://canary"},
		"springBoot": {"spring.datasource.url": "canary", "spring.datasource.username": "u", "spring.datasource.password": "canary"},
		"none": {"AZURE_MYSQL_HOST": "h", "AZURE_MYSQL_DATABASE": "d", "AZURE_MYSQL_USERNAME": "u", "AZURE_MYSQL_SSL": "true",
			"AZURE_MYSQL_PORT": "canary", "AZURE_MYSQL_PASSWORD": "canary"},
	} {
		values := map[string]connection.Value{}
		for name, text := range settings {
			values[name] = connection.Hidden(text)
		}
		got := probe.New(probe.Options{}).Probe(t.Context(), myLink(secret, client), known(my, "mysql", nil), values)
		check(t, got, "patchbay repair --id "+linker+" --force", exists, open, finding("Configured connection information validated.", "failure", problem.SettingChanged))
	}
	c := myLink(secret, "python")
	got := probe.New(probe.Options{}).Probe(t.Context(), c, known(my, "mysql", nil), map[string]connection.Value{"AZURE_MYSQL_HOST": connection.Plain("h")})
	check(t, got, "no setting AZURE_MYSQL_NAME", exists, open, finding("Configured connection information validated.", "failure", problem.SettingMissing))
}
