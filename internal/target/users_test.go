package target_test

import (
	"strings"
	"testing"

	"github.com/patchbay/patchbay/internal/connection"
	"github.com/patchbay/patchbay/internal/problem"
	"github.com/patchbay/patchbay/internal/target"
)

const (
	mysqlServer = group + "/providers/Microsoft.DBforMySQL/flexibleServers/my1"
	mysqlID     = mysqlServer + "/databases/orders"
)

// withMySQL is the world with a MySQL server in it.
func withMySQL(w *cloud) *cloud {
	return w.answer(mysqlServer, map[string]any{"location": "westeurope", "identity": map[string]any{"type": "UserAssigned"}, "properties": map[string]any{
		"fullyQualifiedDomainName": "my1.mysql.test", "state": "Ready", "network": map[string]any{"publicNetworkAccess": "Enabled"}}}).
		answer(mysqlID, map[string]any{"properties": map[string]any{}})
}

// MySQL knows applications by their client id: that of the system's own identity is asked
// of the identity, the others are known.
func TestDeriveMySQL(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		name    string
		cloud   *cloud
		c       *connection.Connection
		secrets connection.Secrets
	}{
		{"mysql-identity", withMySQL(world()), link(mysqlID, system, "go"), nil},
		{"mysql-user-identity", withMySQL(world().known()), byUserIdentity(mysqlID, "python"), nil},
		{"mysql-service-principal", withMySQL(world()), byServicePrincipal(mysqlID, "java"), given("canary")},
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

// Nothing is derived, and so nothing written, for a server that could look nobody up.
func TestMySQLWithoutIdentity(t *testing.T) {
	t.Parallel()
	w := withMySQL(world()).answer(mysqlServer, map[string]any{"location": "westeurope", "properties": map[string]any{
		"fullyQualifiedDomainName": "my1.mysql.test", "state": "Ready"}})
	_, err := derive(t, w, link(mysqlID, system, "go"), nil)
	if !problem.Is(err, problem.AuthUnsupported) || !strings.Contains(problem.As(err).Fix, "identity assign --ids "+mysqlServer) {
		t.Errorf("derived: %v", err)
	}
}

// Names fit what the server keeps, and stay different where the long ones were.
func TestMySQLUserNames(t *testing.T) {
	t.Parallel()
	names := map[string]bool{}
	for _, name := range []string{"orders", strings.Repeat("a", 60), strings.Repeat("a", 59) + "b"} {
		c := link(mysqlID, system, "go")
		c.Name = name
		first, second := target.UserName(c), target.SecondUserName(c)
		c.Properties.Auth.UserName = first + "_0123456789"
		for _, got := range []string{first, second, target.UserName(c)} {
			if len(got) > 32 || names[got] || !strings.HasPrefix(got, "aad_") {
				t.Errorf("%s: user %q", name, got)
			}
			names[got] = true
		}
	}
	c := link(mysqlID, system, "go")
	c.Properties.Auth.UserName = "chosen"
	if got := target.UserName(c); got != "chosen" {
		t.Errorf("chosen name became %q", got)
	}
	c = link(dbID, system, "go")
	c.Name = strings.Repeat("a", 55)
	if got := target.UserName(c); got != "aad_"+c.Name {
		t.Errorf("PostgreSQL keeps more: %q", got)
	}
}
