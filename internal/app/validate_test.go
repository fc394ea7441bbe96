package app

import (
	"encoding/json"
	"fmt"
	"net/http"
	"regexp"
	"strings"
	"testing"
	"time"
)

// appPassword is what the app of the password connection signs in with.
const appPassword = "App's-own;Pass 9%\"x"

// item is one line of a validation's report.
type item struct {
	Name, Result, Description, ErrorCode, ErrorMessage string
}

// broken is one fault made for real on a connection that was fine.
type broken struct {
	name       string
	connection string // which of the stage's connections
	code       string // what validation calls it
	make       func(c *cloudUnderTest)
}

// faultsForReal is the table of faults.
func faultsForReal() []broken {
	return []broken{
		{"wrong password", "pgpassword", "LOGIN_REFUSED", func(c *cloudUnderTest) { c.sql("pg1", "ALTER ROLE appuser PASSWORD 'Another-one-9'") }},
		{"stopped server", "pgpassword", "TARGET_STOPPED", func(c *cloudUnderTest) { c.arm("POST", c.server("pg1")+"/stop", serverVersion, nil) }},
		{"closed firewall", "pgpassword", "FIREWALL_CLOSED", func(c *cloudUnderTest) { c.closeFirewall("pg1") }},
		{"missing setting", "pgpassword", "SETTING_MISSING", func(c *cloudUnderTest) { c.putSettings("pgpassword", map[string]string{"FOREIGN": "theirs"}) }},
		{"dropped user", "pgidentity", "DBUSER_MISSING", func(c *cloudUnderTest) { c.dropUser("pg2", "aad_pgidentity") }},
		{"identity off", "pgidentity", "IDENTITY_OFF", func(c *cloudUnderTest) { c.identityOff("pgidentity") }},
		{"removed role", "blobidentity", "ROLE_MISSING", func(c *cloudUnderTest) { c.removeRole("blobidentity") }},
	}
}

func (c *cloudUnderTest) closeFirewall(server string) {
	c.t.Helper()
	for _, rule := range strings.Fields(c.names(c.server(server)+"/firewallRules", serverVersion)) {
		if strings.HasPrefix(rule, "patchbay_") {
			c.arm("DELETE", c.server(server)+"/firewallRules/"+rule, serverVersion, nil)
		}
	}
}

func (c *cloudUnderTest) dropUser(server, user string) {
	c.t.Helper()
	c.sql(server, "GRANT "+user+" TO pgadmin", "DROP OWNED BY "+user, "DROP ROLE "+user)
}

func (c *cloudUnderTest) identityOff(site string) {
	c.t.Helper()
	c.arm("PATCH", c.site(site), siteVersion, map[string]any{"identity": map[string]any{"type": "None"}})
}

func (c *cloudUnderTest) removeRole(site string) {
	c.t.Helper()
	app := c.arm("GET", c.site(site), siteVersion, nil).text("identity", "principalId")
	list, _ := c.arm("GET", c.account()+"/providers/Microsoft.Authorization/roleAssignments", roleVersion, nil).at("value").([]any)
	for _, v := range list {
		one := answer{Body: v.(map[string]any)}
		if one.text("properties", "principalId") == app {
			c.arm("DELETE", one.text("id"), roleVersion, nil)
		}
	}
}

// three is a stage with three connections that are fine, each on an app of its own.
func three(t *testing.T) (*cloudUnderTest, *connector) {
	t.Helper()
	c := startCloud(t)
	c.makeGroup()
	c.makeAccount()
	for _, server := range []string{"pg1", "pg2"} {
		c.makeServer(server)
		c.letTestsIn(server)
	}
	c.sql("pg1", "CREATE ROLE appuser LOGIN PASSWORD '"+strings.ReplaceAll(appPassword, "'", "''")+"'")
	s := c.newConnector().start()
	for name, body := range map[string]map[string]any{
		"pgpassword":   databaseByPassword(c, "pg1", "appuser", appPassword),
		"pgidentity":   databaseByIdentity(c, "pg2"),
		"blobidentity": blobByIdentity(c),
	} {
		c.makeSite(name, map[string]string{"FOREIGN": "theirs"})
		if op := s.do("PUT", s.linker(name, name), body); op.text("status") != "Succeeded" {
			t.Fatalf("create %s: %s", name, op.Raw)
		}
	}
	return c, s
}

// TestFaultsAreFoundAndTheirFixesFix makes each fault for real: validation names it
// by a code of its own, and running the printed fix leaves nothing to find.
func TestFaultsAreFoundAndTheirFixesFix(t *testing.T) {
	t.Parallel()
	c, s := three(t)
	term := s.terminal()
	seen := map[string]string{}
	for _, b := range faultsForReal() {
		items, clean := term.validate(b.connection)
		if clean.code != 0 || len(failed(items)) != 0 {
			t.Fatalf("before %s: exit %d\n%s%s", b.name, clean.code, clean.out, clean.err)
		}
		b.make(c)
		items, found := term.validate(b.connection)
		if found.code != 5 || codes(failed(items)) != b.code {
			t.Errorf("%s: exit %d, %s, want 5, %s\n%s%s", b.name, found.code, codes(failed(items)), b.code, found.out, found.err)
		}
		if over := s.validation(b.connection); codes(failed(over)) != b.code {
			t.Errorf("%s over REST: %+v", b.name, over)
		}
		if other := seen[b.code]; other != "" {
			t.Errorf("%s and %s have the same code %s", b.name, other, b.code)
		}
		seen[b.code] = b.name
		term.fix(b.name, found)
		if items, now := term.validate(b.connection); now.code != 0 || len(failed(items)) != 0 {
			t.Errorf("%s: after the fix: exit %d\n%s%s", b.name, now.code, now.out, now.err)
		}
	}
}

// TestValidationProvesThePassword: the engine lets itself in while it validates, so
// that a password connection's sign-in is tried, and closes the door again.
func TestValidationProvesThePassword(t *testing.T) {
	t.Parallel()
	c, s := three(t)
	rules := c.names(c.server("pg1")+"/firewallRules", serverVersion)
	for _, i := range s.validation("pgpassword") {
		if i.Result != "success" || strings.Contains(i.Name+i.Description, "not proven") || strings.Contains(i.Name, "except") {
			t.Errorf("%+v", i)
		}
	}
	if now := c.names(c.server("pg1")+"/firewallRules", serverVersion); now != rules || strings.Contains(now, "patchbay_engine_") {
		t.Errorf("rules before %q, after %q", rules, now)
	}
	if strings.Count(s.journalOf("pgpassword"), "patchbay_engine_") == 0 {
		t.Error("no journal tells of the door")
	}
}

// journalOf is the text of a connection's newest operation.
func (s *connector) journalOf(connection string) string {
	s.cloud.t.Helper()
	list, _ := s.call("GET", "/providers/Patchbay/operations?source="+s.cloud.site(connection), nil).at("value").([]any)
	if len(list) == 0 {
		s.cloud.t.Fatal("no operation")
	}
	first, _ := list[0].(map[string]any)
	return string(s.call("GET", fmt.Sprintf("/providers/Patchbay/operations/%v", first["id"]), nil).Raw)
}

// validate runs the command and reads what it printed.
func (t *terminal) validate(connection string) ([]item, said) {
	t.cloud.t.Helper()
	s := t.run("webapp", "connection", "validate", "-g", "rg1", "-n", connection, "--connection", connection, "-o", "json")
	var items []item
	if err := json.Unmarshal([]byte(s.out), &items); err != nil {
		t.cloud.t.Fatalf("validate %s: exit %d, %v\n%s%s", connection, s.code, err, s.out, s.err)
	}
	return items, s
}

func failed(items []item) []item {
	var out []item
	for _, i := range items {
		if i.Result == "failure" {
			out = append(out, i)
		}
	}
	return out
}

func codes(items []item) string {
	var out []string
	for _, i := range items {
		out = append(out, i.ErrorCode)
	}
	return strings.Join(out, " ")
}

// validation validates over REST, as an ARM client does, and reads the report.
func (s *connector) validation(connection string) []item {
	s.cloud.t.Helper()
	a := s.call("POST", s.linker(connection, connection)+"/validateLinker", nil)
	status := a.Header.Get("Azure-AsyncOperation")
	if a.Status != http.StatusAccepted || status == "" {
		s.cloud.t.Fatalf("validateLinker: %d %s", a.Status, a.Raw)
	}
	deadline := time.Now().Add(time.Minute)
	for time.Now().Before(deadline) {
		a = s.cloud.call("", s.cloud.token, "GET", status, nil)
		if ended(a.text("status")) {
			break
		}
		time.Sleep(20 * time.Millisecond)
	}
	var out struct {
		Properties struct{ ValidationDetail []item }
	}
	if err := json.Unmarshal(a.Raw, &out); err != nil || len(out.Properties.ValidationDetail) == 0 {
		s.cloud.t.Fatalf("the report of validateLinker: %v %s", err, a.Raw)
	}
	return out.Properties.ValidationDetail
}

var fixLine = regexp.MustCompile(`(?m)^  fix: (patchbay .*)$`)

// fix runs the command line that an error recommends. The right password stands for
// the placeholder.
func (t *terminal) fix(name string, s said) {
	t.cloud.t.Helper()
	m := fixLine.FindStringSubmatch(s.err)
	if m == nil {
		t.cloud.t.Errorf("%s: no fix is printed:\n%s", name, s.err)
		return
	}
	t.cloud.t.Logf("%s: %s", name, m[1])
	args := strings.Fields(m[1])[1:]
	for i := range args {
		args[i] = strings.Replace(args[i], "secret=PASSWORD", "secret=Another-one-9", 1)
	}
	if done := t.run(args...); done.code != 0 {
		t.cloud.t.Errorf("%s: the fix %v: exit %d\n%s", name, args, done.code, done.err)
	}
}
