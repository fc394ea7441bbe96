package app

import (
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"

	"github.com/patchbay/patchbay/internal/connection"
	"github.com/patchbay/patchbay/internal/target"
)

// local is the path of a local connection.
func (c *cloudUnderTest) local(name string) string {
	return c.group() + "/providers/Microsoft.ServiceLinker/locations/westeurope/connectors/" + name
}

// as is the server as a principal calls it.
func (s *connector) as(p principal, method, path string, body any) answer {
	s.cloud.t.Helper()
	return s.cloud.call(s.ready.Endpoint, s.cloud.signIn(p, s.cloud.ready.Endpoint), method, versioned(path), body)
}

// made is a cloud with a target of each kind, and a server in front of it.
func made(t *testing.T) (*cloudUnderTest, *connector) {
	t.Helper()
	c := startCloud(t)
	c.makeGroup()
	c.makeCache()
	c.makeAccount()
	c.makeServer("pg1")
	c.letTestsIn("pg1")
	c.makeSite("app1", map[string]string{"FOREIGN": "theirs"})
	return c, c.newConnector().start()
}

// byPerson is the body of a local connection in which a person signs in.
func byPerson(target string) map[string]any {
	b := body(target, map[string]any{"authType": "userAccount"})
	b["properties"].(map[string]any)["publicNetworkSolution"] = map[string]any{"firewallRules": map[string]any{"callerClientIP": "true"}}
	return b
}

func generated(t *testing.T, a answer) map[string]string {
	t.Helper()
	if a.Status != http.StatusOK {
		t.Fatalf("generateConfigurations: %d %s", a.Status, a.Raw)
	}
	out := map[string]string{}
	rows, _ := a.at("configurations").([]any)
	for _, row := range rows {
		r := row.(map[string]any)
		out[fmt.Sprint(r["name"])] = fmt.Sprint(r["value"])
	}
	return out
}

// TestLocalConnectionOfAPerson: a person makes a local connection, gets rights, a
// database user and an opened firewall, signs in with what the settings say, and leaves
// nothing behind.
func TestLocalConnectionOfAPerson(t *testing.T) {
	t.Parallel()
	c, s := made(t)
	ann := c.newPrincipal("ann", contributor, userAccessAdmin)
	before := c.left()
	for name, target := range map[string]string{"db": c.server("pg1") + "/databases/db1", "blob": c.account() + "/blobServices/default", "cache": c.cache() + "/databases/0"} {
		a := s.as(ann, "PUT", c.local(name), byPerson(target))
		if a.Status != http.StatusCreated {
			t.Fatalf("PUT %s: %d %s", name, a.Status, a.Raw)
		}
		if op := s.await(a.Header.Get("X-Patchbay-Operation")); op.text("status") != "Succeeded" {
			t.Fatalf("%s: %s", name, op.Raw)
		}
	}
	db := s.as(ann, "GET", c.local("db"), nil)
	if db.text("properties", "authInfo", "principalId") != ann.ObjectID || db.text("properties", "authInfo", "userName") != "aad_db" {
		t.Errorf("the person and its user are not told: %s", db.Raw)
	}
	settings := generated(t, s.as(ann, "POST", c.local("db")+"/generateConfigurations", nil))
	config, err := pgx.ParseConfig(settings["AZURE_POSTGRESQL_CONNECTIONSTRING"])
	if err != nil {
		t.Fatal(err)
	}
	config.TLSConfig.RootCAs, config.TLSConfig.InsecureSkipVerify = nil, true //nolint:gosec // the certificate is not what is tried here
	config.Password = c.signIn(ann, "https://ossrdbms-aad.database.windows.net")
	conn, err := pgx.ConnectConfig(t.Context(), config)
	if err != nil {
		t.Fatalf("the person cannot sign in: %v", err)
	}
	var who string
	if err := conn.QueryRow(t.Context(), "SELECT current_user").Scan(&who); err != nil || who != "aad_db" {
		t.Errorf("signed in as %q, %v", who, err)
	}
	conn.Close(t.Context()) //nolint:errcheck // only read
	for _, name := range []string{"db", "blob", "cache"} {
		s.locallyValid(t, ann, name)
		if a := s.as(ann, "DELETE", c.local(name), nil); a.Status != http.StatusOK || len(a.Raw) != 0 {
			t.Errorf("DELETE %s: %d %s", name, a.Status, a.Raw)
		}
		if a := s.as(ann, "GET", c.local(name), nil); a.Status != http.StatusNotFound {
			t.Errorf("GET %s after DELETE: %d", name, a.Status)
		}
	}
	if d := cmp.Diff(before, c.left()); d != "" {
		t.Errorf("after all deletes: %s", d)
	}
}

// TestLocalConnectionOfAPersonEverywhere: every target that lets persons in lets one in,
// tells the settings, and is as before once the connection is gone. The targets' files
// make them. Where a wall stands, the person's address is let in, and ours is not: what
// a validation sees from here says nothing.
func TestLocalConnectionOfAPersonEverywhere(t *testing.T) {
	t.Parallel()
	c := startCloud(t)
	c.makeGroup()
	s := c.newConnector().start()
	ann := c.newPrincipal("ann", contributor, userAccessAdmin)
	tried := 0
	for i, f := range c.fixtures() {
		if f.Target == "" {
			continue
		}
		t.Run(f.name, func(t *testing.T) {
			c, s := *c, *s // their failures are this test's
			c.t, s.cloud = t, &c
			g := f.grow(t, &c, &s, i)
			if !slices.Contains(g.target.Offered(target.LocalAuth()), connection.AuthUserAccount) {
				return
			}
			tried++
			before, path := g.look(), c.local("p"+strconv.Itoa(i))
			wanted := byPerson(g.Target)
			wanted["properties"].(map[string]any)["clientType"] = g.clients(connection.AuthUserAccount)[0]
			a := s.as(ann, "PUT", path, wanted)
			if a.Status != http.StatusCreated {
				t.Fatalf("PUT: %d %s", a.Status, a.Raw)
			}
			if op := s.await(a.Header.Get("X-Patchbay-Operation")); op.text("status") != "Succeeded" {
				t.Fatalf("create: %s", op.Raw)
			}
			if settings := generated(t, s.as(ann, "POST", path+"/generateConfigurations", nil)); len(settings) == 0 {
				t.Error("no settings are told")
			}
			if a := s.as(ann, "DELETE", path, nil); a.Status != http.StatusOK {
				t.Errorf("DELETE: %d %s", a.Status, a.Raw)
			}
			if diff := cmp.Diff(before, g.look()); diff != "" {
				t.Errorf("traces are left (-before +after):\n%s", diff)
			}
		})
	}
	if tried < 10 {
		t.Errorf("only %d targets let persons in", tried)
	}
}

// locallyValid checks a validation's report: older names, nothing that failed.
func (s *connector) locallyValid(t *testing.T, p principal, name string) {
	t.Helper()
	a := s.as(p, "POST", s.cloud.local(name)+"/validate", nil)
	if a.Status != http.StatusAccepted || a.Header.Get("Location") == "" {
		t.Fatalf("validate %s: %d %s", name, a.Status, a.Raw)
	}
	s.await(a.Header.Get("X-Patchbay-Operation"))
	report := s.cloud.call("", s.cloud.token, "GET", a.Header.Get("Location"), nil)
	items, _ := report.at("properties", "validationDetail").([]any)
	names := map[string]string{}
	for _, item := range items {
		i := item.(map[string]any)
		names[fmt.Sprint(i["name"])] = fmt.Sprint(i["result"])
		if i["result"] == "failure" {
			t.Errorf("%s: %v", name, i)
		}
	}
	if names["The target existence is validated"] != "success" || names["The identity permission is validated"] != "success" {
		t.Errorf("%s: items %v", name, names)
	}
}

// TestLocalConnectionByKey: nothing is written for a key; the settings go to those who
// may read it from the target, and to nobody else.
func TestLocalConnectionByKey(t *testing.T) {
	t.Parallel()
	c, s := made(t)
	if op := s.do("PUT", c.local("cache"), cacheByKey(c)); op.text("status") != "Succeeded" {
		t.Fatalf("create: %s", op.Raw)
	}
	for _, write := range c.requests() {
		if write.Caller == s.engine.ObjectID && write.Method != "GET" && !strings.HasSuffix(write.Path, "/listKeys") {
			t.Errorf("the engine sent %s %s", write.Method, write.Path)
		}
	}
	generate := c.local("cache") + "/generateConfigurations"
	settings := generated(t, s.call("POST", generate, nil))
	if !strings.HasPrefix(settings["AZURE_REDIS_CONNECTIONSTRING"], "rediss://:") {
		t.Errorf("settings %v", settings)
	}
	renamed := generated(t, s.call("POST", generate, map[string]any{"customizedKeys": map[string]any{"AZURE_REDIS_CONNECTIONSTRING": "CACHE"}, "additionalConfigurations": map[string]any{"MODE": "dev"}}))
	if renamed["CACHE"] != settings["AZURE_REDIS_CONNECTIONSTRING"] || renamed["MODE"] != "dev" || len(renamed) != 2 {
		t.Errorf("with other names: %v", renamed)
	}
	if again := generated(t, s.call("POST", generate, nil)); cmp.Diff(settings, again) != "" {
		t.Errorf("rendering with other names has changed the connection: %v", again)
	}
	if a := s.call("POST", generate, map[string]any{"customizedKeys": map[string]any{"NO_SUCH": "X"}}); a.Status != http.StatusBadRequest {
		t.Errorf("a name that renames nothing: %d %s", a.Status, a.Raw)
	}
	eve := c.newPrincipal("eve", reader)
	a := s.as(eve, "POST", generate, nil)
	if a.Status != http.StatusForbidden || strings.Contains(string(a.Raw), "rediss://") {
		t.Errorf("a reader gets %d %s", a.Status, a.Raw)
	}
	component := generated(t, s.call("POST", generate+"?clientType=dapr", nil))["cache.yaml"]
	for _, line := range []string{"kind: Component", "type: state.redis", "name: redisPassword"} {
		if !strings.Contains(component, line) {
			t.Errorf("the component lacks %q: %s", line, component)
		}
	}
	if a := s.call("PUT", c.local("sys"), body(c.cache()+"/databases/0", map[string]any{"authType": "systemAssignedIdentity"})); a.Status != http.StatusBadRequest {
		t.Errorf("a local connection with an app's identity: %d %s", a.Status, a.Raw)
	}
}

// TestDryruns: a rehearsal tells what would be written and what stands in the way,
// writes nothing, stays readable, and goes.
func TestDryruns(t *testing.T) {
	t.Parallel()
	c, s := made(t)
	world, before := c.left(), c.settings("app1")
	at := c.site("app1") + "/providers/Microsoft.ServiceLinker/dryruns/try1"
	rehearse := func(linker map[string]any) answer {
		t.Helper()
		parameters := linker["properties"].(map[string]any)
		parameters["actionName"] = "createOrUpdate"
		a := s.call("PUT", at, map[string]any{"properties": map[string]any{"parameters": parameters}})
		if a.Status != http.StatusCreated || a.text("properties", "provisioningState") != "Accepted" || a.Header.Get("Azure-AsyncOperation") == "" {
			t.Fatalf("PUT: %d %s", a.Status, a.Raw)
		}
		s.await(a.Header.Get("X-Patchbay-Operation"))
		return s.call("GET", at, nil)
	}
	found := rehearse(blobByIdentity(c))
	previews, _ := found.at("properties", "operationPreviews").([]any)
	types := map[string]int{}
	for _, p := range previews {
		types[fmt.Sprint(p.(map[string]any)["operationType"])]++
	}
	if found.text("properties", "provisioningState") != "Succeeded" || types["configConnection"] != 1 || types["configAuth"] != 2 {
		t.Errorf("previews: %s", found.Raw)
	}
	if !strings.Contains(string(found.Raw), "Microsoft.Authorization/roleAssignments/write") {
		t.Errorf("the role's action is not told: %s", found.Raw)
	}
	missing := rehearse(body(c.account()+"x/blobServices/default", map[string]any{"authType": "secret"}))
	if first, _ := missing.at("properties", "prerequisiteResults").([]any); len(first) != 1 || first[0].(map[string]any)["type"] != "basicError" || first[0].(map[string]any)["code"] != "TARGET_NOT_FOUND" {
		t.Errorf("a missing target: %s", missing.Raw)
	}
	patched := s.call("PATCH", at, map[string]any{"properties": map[string]any{"parameters": map[string]any{"actionName": "createOrUpdate",
		"targetService": map[string]any{"type": "AzureResource", "id": c.account() + "/blobServices/default"}}}})
	if patched.Status != http.StatusAccepted {
		t.Fatalf("PATCH: %d %s", patched.Status, patched.Raw)
	}
	s.await(patched.Header.Get("X-Patchbay-Operation"))
	if list, _ := s.call("GET", c.site("app1")+"/providers/Microsoft.ServiceLinker/dryruns", nil).at("value").([]any); len(list) != 1 {
		t.Errorf("%d dryruns are listed", len(list))
	}
	if list, _ := s.call("GET", c.site("app1")+"/providers/Microsoft.ServiceLinker/linkers", nil).at("value").([]any); len(list) != 0 {
		t.Errorf("%d connections are listed", len(list))
	}
	if d := cmp.Diff(world, c.left()) + cmp.Diff(before, c.settings("app1")); d != "" {
		t.Errorf("a rehearsal has written: %s", d)
	}
	for _, want := range []int{200, 204} {
		if a := s.call("DELETE", at, nil); a.Status != want {
			t.Errorf("DELETE: %d, want %d: %s", a.Status, want, a.Raw)
		}
	}
}

// TestDryrunNamesMissingRights: rights the caller lacks are part of the result.
func TestDryrunNamesMissingRights(t *testing.T) {
	t.Parallel()
	c, s := made(t)
	bob := c.newPrincipal("bob", contributor) // may not hand out rights
	at := c.group() + "/providers/Microsoft.ServiceLinker/locations/westeurope/dryruns/try1"
	parameters := byPerson(c.account() + "/blobServices/default")["properties"].(map[string]any)
	parameters["actionName"] = "createOrUpdate"
	a := s.as(bob, "PUT", at, map[string]any{"properties": map[string]any{"parameters": parameters}})
	if a.Status != http.StatusCreated {
		t.Fatalf("PUT: %d %s", a.Status, a.Raw)
	}
	s.await(a.Header.Get("X-Patchbay-Operation"))
	found := s.as(bob, "GET", at, nil)
	text := string(found.Raw)
	if !strings.Contains(text, "permissionsMissing") || !strings.Contains(text, "Microsoft.Authorization/roleAssignments/write") || !strings.Contains(text, `"recommendedRole":"Owner"`) {
		t.Errorf("missing rights are not told: %s", text)
	}
	if a := s.as(bob, "PUT", c.local("blob"), byPerson(c.account()+"/blobServices/default")); a.Status != http.StatusForbidden {
		t.Errorf("the connection itself: %d %s", a.Status, a.Raw)
	}
}

// TestRunPassesOn: the program gets the settings and nothing else does; its exit code and
// signals are its own.
func TestRunPassesOn(t *testing.T) {
	t.Parallel()
	c, s := made(t)
	if op := s.do("PUT", c.local("cache"), cacheByKey(c)); op.text("status") != "Succeeded" {
		t.Fatalf("create: %s", op.Raw)
	}
	home := s.terminal().home
	seen := filepath.Join(home, "seen")
	run := func(script string) *exec.Cmd {
		return program(home, nil, "run", "--id", c.local("cache"), "--", "sh", "-c", script)
	}
	out, err := run(`printf %s "$AZURE_REDIS_CONNECTIONSTRING" > ` + seen + `; exit 7`).CombinedOutput()
	if code := exitOf(err); code != 7 || len(out) != 0 {
		t.Fatalf("exit code %d, printed %q", code, out)
	}
	value, err := os.ReadFile(seen)
	if err != nil || !strings.HasPrefix(string(value), "rediss://:") {
		t.Fatalf("the program has %q, %v", value, err)
	}
	ready := filepath.Join(home, "ready")
	cmd := run(`trap 'exit 9' TERM; touch ` + ready + `; while :; do sleep 0.05; done`)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	for end := time.Now().Add(30 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		if _, err := os.Stat(ready); err == nil {
			break
		}
		if time.Now().After(end) {
			t.Fatal("the program does not start")
		}
	}
	args, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", cmd.Process.Pid))
	if err != nil || strings.Contains(string(args), string(value)) {
		t.Errorf("the command line tells the value, or cannot be read: %v", err)
	}
	if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if code := exitOf(cmd.Wait()); code != 9 {
		t.Errorf("exit code after the signal: %d", code)
	}
	if code := exitOf(run("exit 0").Run()); code != 0 {
		t.Errorf("exit code %d", code)
	}
}

// TestLocalConnectionWithoutServer: the commands do it all in their own process.
func TestLocalConnectionWithoutServer(t *testing.T) {
	t.Parallel()
	c := startCloud(t)
	c.makeGroup()
	c.makeAccount()
	term := c.alone()
	for _, line := range []string{
		"create storage-blob --tg rg1 --account store1 --user-account --connection files --client-type python",
		"list", "validate --connection files", "show --connection files", "generate-configuration --connection files",
	} {
		if s := term.run(append([]string{"connection"}, append(strings.Fields(line), "-g", "rg1")...)...); s.code != 0 || !strings.Contains(s.out, "files") && !strings.Contains(s.out, "validated") && !strings.Contains(s.out, "AZURE_STORAGEBLOB_RESOURCEENDPOINT") {
			t.Fatalf("%s: exit %d\n%s%s", line, s.code, s.out, s.err)
		}
	}
	holders := c.holders(c.account())
	if len(holders) != 1 {
		t.Fatalf("roles of %v", holders)
	}
	if s := term.run("env", "-g", "rg1", "--connection", "files", "--format", "json"); s.code != 0 || !strings.Contains(s.out, "AZURE_STORAGEBLOB_RESOURCEENDPOINT") {
		t.Errorf("env: %+v", s)
	}
	// A role somebody took away is drift, and comes back.
	for _, id := range c.assignments(c.account()) {
		c.arm("DELETE", id, roleVersion, nil)
	}
	if s := term.run("connection", "validate", "-g", "rg1", "--connection", "files"); s.code != 5 || !strings.Contains(s.err, "patchbay repair --id "+c.local("files")) {
		t.Errorf("validate without the role: %+v", s)
	}
	if s := term.run("repair", "--id", c.local("files")); s.code != 0 {
		t.Errorf("repair: %+v", s)
	}
	if again := c.holders(c.account()); cmp.Diff(holders, again) != "" {
		t.Errorf("roles of %v after the repair", again)
	}
	if s := term.run("connection", "delete", "-g", "rg1", "--connection", "files", "--yes"); s.code != 0 {
		t.Errorf("delete: %+v", s)
	}
	if left := c.holders(c.account()); len(left) != 0 {
		t.Errorf("roles of %v after the deletion", left)
	}
}

func exitOf(err error) int {
	if err == nil {
		return 0
	}
	if ended, ok := err.(*exec.ExitError); ok {
		return ended.ExitCode()
	}
	return -1
}
