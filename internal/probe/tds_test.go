package probe_test

import (
	"context"
	"net"
	"net/netip"
	"strconv"
	"testing"

	"github.com/patchbay/patchbay/internal/catalog"
	"github.com/patchbay/patchbay/internal/connection"
	"github.com/patchbay/patchbay/internal/localcloud/tds"
	"github.com/patchbay/patchbay/internal/probe"
	"github.com/patchbay/patchbay/internal/problem"
)

const (
	sqlTarget = "sql"
	sqlID     = group + "/providers/Microsoft.Sql/servers/sql1/databases/orders"
	sqlToken  = "the app's own token, canary"
)

// sqlHost is a server that lets in 127.0.0.1, one password and one token.
type sqlHost struct{ orders *tds.Database }

func (h sqlHost) Judge(_ context.Context, l tds.Login) (tds.Account, error) {
	switch {
	case l.From == netip.MustParseAddr("127.0.0.3"):
		return tds.Account{}, tds.Refuse(47073, "Connection was denied because Deny Public Network Access is set to Yes.")
	case l.From != netip.MustParseAddr("127.0.0.1"):
		return tds.Account{}, tds.Refuse(40615, "Cannot open server 'sql1' requested by the login. Client with IP address '%s' is not allowed to access the server.", l.From)
	case l.Token == "" && (l.User != "app" || l.Password != password), l.Token != "" && l.Token != sqlToken:
		return tds.Account{}, tds.Refuse(18456, "Login failed for user '%s'.", l.User)
	case l.Database == "asleep":
		return tds.Account{}, tds.Refuse(40613, "Database 'asleep' on server 'sql1' is not currently available.")
	case l.Database != "orders":
		missing := tds.Refuse(4060, "Cannot open database \"%s\" requested by the login. The login failed.", l.Database)
		missing.More = []*tds.Error{tds.Refuse(18456, "Login failed for user 'app'.")}
		return tds.Account{}, missing
	}
	return tds.Account{Login: "app", User: tds.Owner, Database: h.orders}, nil
}

func (sqlHost) Authority() (string, string) { return "", "" }
func (sqlHost) Name() string                { return "sql1" }

// sqlServer starts one and returns its port and a prober that reaches it from an address.
func sqlServer(t *testing.T) func(from string, signIn probe.SignInFunc) *probe.Prober {
	t.Helper()
	a, err := newAuthority()
	if err != nil {
		t.Fatal(err)
	}
	orders, err := tds.OpenDatabase("orders", nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	s, err := tds.Listen(t.Context(), "127.0.0.1:0", tlsOf(a), sqlHost{orders})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	port := strconv.Itoa(s.Addr().(*net.TCPAddr).Port)
	return func(from string, signIn probe.SignInFunc) *probe.Prober {
		return probe.New(probe.Options{Dial: dialTo(port, from), Roots: a.roots, SignIn: signIn})
	}
}

func sqlLink(auth, client string, change ...func(*connection.Connection)) *connection.Connection {
	c := link(sqlTarget, auth, client, change...)
	c.Properties.Target.ID = sqlID
	if auth == secret {
		c.Properties.Auth.Name = "app"
	}
	return c
}

func sqlFacts(more map[string]string) connection.Facts {
	facts := known(sqlTarget, "tds", map[string]string{connection.FactHost: "sql1.test", "location": "westeurope", "apiVersion": "1"})
	for name, text := range more {
		facts[name] = connection.Plain(text)
	}
	return facts
}

func sqlValues(change map[string]string) map[string]string {
	values := map[string]string{"host": "sql1.test", "database": "orders", "username": "app", "password": password,
		"clientId": "c1", "clientSecret": "canary;{x}'\"", "tenantId": "t1", "principalId": "p1"}
	for name, text := range change {
		values[name] = text
	}
	return values
}

// TestSQLEveryClient: each client type's notation is read the way the app reads it, whatever the password.
func TestSQLEveryClient(t *testing.T) {
	t.Parallel()
	reach := sqlServer(t)
	for _, client := range []string{"dotnet", "dotnet-internal", "java", "python", "nodejs", "go", "php", "ruby", "django", "springBoot", "none", ""} {
		t.Run("client "+client, func(t *testing.T) {
			t.Parallel()
			c := sqlLink(secret, client)
			check(t, reach("127.0.0.1", nil).Probe(t.Context(), c, sqlFacts(nil), written(t, sqlTarget, c, sqlValues(nil))), "", exists, open, fine)
			wrong := written(t, sqlTarget, c, sqlValues(map[string]string{"password": "canary-wrong"}))
			check(t, reach("127.0.0.1", nil).Probe(t.Context(), c, sqlFacts(nil), wrong), "patchbay webapp connection update sql --id "+linker+" --secret name=app secret=PASSWORD",
				exists, open, finding("Configured connection information validated.", "failure", problem.LoginRefused))
		})
	}
}

// TestSQLServicePrincipal: client id and secret are where each client type has them; with
// them the way in is tried to its end.
func TestSQLServicePrincipal(t *testing.T) {
	t.Parallel()
	reach := sqlServer(t)
	for _, client := range []string{"dotnet", "java", "python", "nodejs", "springBoot", "none"} {
		t.Run(client, func(t *testing.T) {
			t.Parallel()
			c := sqlLink(connection.AuthServicePrincipalSecret, client)
			values := sqlValues(nil)
			var asked probe.Principal
			token := sqlToken
			signIn := func(_ context.Context, p probe.Principal, audience string) (string, error) {
				asked = p
				return token, nil
			}
			p := reach("127.0.0.1", signIn)
			facts := sqlFacts(map[string]string{"tenantId": "t1"})
			check(t, p.Probe(t.Context(), c, facts, written(t, sqlTarget, c, values)), "", exists, open, fine)
			if want := (probe.Principal{TenantID: "t1", ClientID: "c1", Secret: values["clientSecret"]}); asked != want {
				t.Errorf("signed in as %+v", asked)
			}
			token = "another's"
			check(t, p.Probe(t.Context(), c, facts, written(t, sqlTarget, c, values)), "patchbay repair --id "+linker,
				exists, open, finding("Configured connection information validated.", "failure", problem.DBUserMissing))
		})
	}
}

func TestSQLFaults(t *testing.T) {
	t.Parallel()
	reach := sqlServer(t)
	config, wall := "Configured connection information validated.", "Target service firewall validated."
	for _, row := range []struct {
		name   string
		c      *connection.Connection
		values map[string]string
		facts  map[string]string
		from   string
		phrase string
		want   []string
	}{
		{"no such database", sqlLink(secret, "go"), map[string]string{"database": "nope"}, nil, "127.0.0.1", `patchbay rest PUT ` + sqlID + `?api-version=1 -b '{"location":"westeurope"}' --wait`,
			[]string{exists, open, finding(config, "failure", problem.DatabaseMissing)}},
		{"asleep", sqlLink(secret, "java"), map[string]string{"database": "asleep"}, nil, "127.0.0.1", "error 40613",
			[]string{exists, finding("Target network access validated.", "failure", problem.TargetNoAnswer)}},
		{"the app is shut out", sqlLink(secret, "php"), nil, map[string]string{"source.addresses": "127.0.0.2"}, "127.0.0.2", "patchbay repair --id " + linker,
			[]string{exists, finding(wall, "failure", problem.FirewallClosed)}},
		{"only we are shut out", sqlLink(secret, "ruby"), nil, map[string]string{"source.addresses": "1.1.1.1"}, "127.0.0.2", "not proven: the firewall does not let in Patchbay's own address 127.0.0.2",
			[]string{exists, open, unproven}},
		{"public access denied", sqlLink(secret, "django"), nil, map[string]string{"publicDenied": "true"}, "127.0.0.3", "not proven", []string{exists, "Target network access validated. warning", unproven}},
		{"identity", sqlLink(system, "dotnet"), nil, nil, "127.0.0.1", "only the app has its identity's token", []string{exists, open, fine}},
		{"identity, shut out", sqlLink(system, "none"), nil, nil, "127.0.0.2", "'127.0.0.2' is not allowed", []string{exists, finding(wall, "failure", problem.FirewallClosed)}},
		{"bad port", sqlLink(secret, "java"), map[string]string{"host": "sql1.test:x"}, nil, "127.0.0.1", "patchbay repair --id " + linker + " --force",
			[]string{exists, open, finding(config, "failure", problem.SettingChanged)}},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			check(t, reach(row.from, nil).Probe(t.Context(), row.c, sqlFacts(row.facts), written(t, sqlTarget, row.c, sqlValues(row.values))), row.phrase, row.want...)
		})
	}
}

// TestSQLNeedsTrust: a password is not handed to a server whose certificate does not hold.
func TestSQLNeedsTrust(t *testing.T) {
	t.Parallel()
	reach := sqlServer(t)
	c := sqlLink(secret, "go")
	settings := written(t, sqlTarget, c, sqlValues(map[string]string{"host": "elsewhere.example"}))
	check(t, reach("127.0.0.1", nil).Probe(t.Context(), c, sqlFacts(nil), settings), "certificate", exists, finding("Target network access validated.", "failure", problem.TargetNoAnswer))
}

// FuzzSQLSettings: whatever a setting holds, reading it ends in findings.
func FuzzSQLSettings(f *testing.F) {
	for _, text := range []string{"jdbc:sqlserver://h:1;a={b}}c};", "Data Source=tcp:h,1;User ID='a;b'", "server=h;port=x", "Driver={x", ";;=", "sqlserver://a:b@h"} {
		f.Add(text)
	}
	all, err := catalog.Default()
	if err != nil {
		f.Fatal(err)
	}
	refused := func(context.Context, string, string) (net.Conn, error) { return nil, net.ErrClosed }
	p := probe.New(probe.Options{Dial: refused})
	tg, _ := all.Get(sqlTarget)
	f.Fuzz(func(t *testing.T, text string) {
		for _, client := range tg.Clients {
			settings := map[string]connection.Value{"AZURE_SQL_CONNECTIONSTRING": connection.Hidden(text), "spring.datasource.url": connection.Hidden(text), "AZURE_SQL_SERVER": connection.Hidden(text)}
			if got := p.Probe(t.Context(), sqlLink(secret, client), sqlFacts(nil), settings); len(got) < 2 {
				t.Errorf("%s: findings %v", client, got)
			}
		}
	})
}
