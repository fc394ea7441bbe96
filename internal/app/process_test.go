package app

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/patchbay/patchbay/internal/connection"
	"github.com/patchbay/patchbay/internal/engine"
	"github.com/patchbay/patchbay/internal/problem"
)

// machine is a person's machine with files of their own, and a cloud with targets.
type machine struct {
	*aviary
	t    *testing.T
	here *terminal
	dir  string
}

func newMachine(t *testing.T) *machine {
	t.Helper()
	a := newAviary(t)
	return &machine{aviary: a, t: t, here: a.cloud.alone(), dir: shortDir(t)}
}

func (m *machine) path(name string) string { return filepath.Join(m.dir, name) }

func (m *machine) write(name, text string) {
	m.t.Helper()
	if err := os.WriteFile(m.path(name), []byte(text), 0o600); err != nil {
		m.t.Fatal(err)
	}
}

// read returns a file, "" when it is not there.
func (m *machine) read(name string) string {
	raw, err := os.ReadFile(m.path(name))
	if err != nil && !os.IsNotExist(err) {
		m.t.Fatal(err)
	}
	return string(raw)
}

// must runs a command that is to work, or to end with a code.
func (m *machine) must(code int, args ...string) string {
	m.t.Helper()
	s := m.saysAt(m.here, code, args...)
	return s.out + s.err
}

// holds tells what a text lacks.
func holds(t *testing.T, what, text string, words ...string) {
	t.Helper()
	for _, word := range words {
		if !strings.Contains(text, word) {
			t.Errorf("%s lacks %q:\n%s", what, word, text)
		}
	}
}

// database are the options of a connection to the database by password.
func (m *machine) database(verb string) []string {
	return []string{"connection", verb, "postgres-flexible", "--tg", "rg1", "--server", "pg1", "--database", "db1",
		"--secret", "name=appuser", m.file("the password")}
}

func words(first []string, more ...string) []string {
	return append(append([]string{}, first...), more...)
}

// TestProcess: settings of a plain process come into its env file, are proven, drift, are
// repaired and go again; foreign lines stay, and no secret shows anywhere else.
func TestProcess(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	const theirs = "# mine\nexport FOREIGN=\"a b\"\nAZURE_REDIS_HOST=old # kept\n"
	m.write("app.env", theirs)
	at := []string{"--env-file", m.path("app.env"), "--connection", "db"}
	create := words([]string{"process"}, append(m.database("create"), at...)...)
	stop, seen := make(chan struct{}), make(chan []byte, 1)
	go func() { seen <- watch(stop) }()
	plan := m.must(0, append(create, "--client-type", "go", "--dry-run")...)
	holds(t, "the dry run", plan, "AZURE_POSTGRESQL_CONNECTIONSTRING")
	if got := m.read("app.env"); got != theirs {
		t.Fatalf("a dry run has written %s", got)
	}
	m.must(0, append(create, "--client-type", "go")...)
	close(stop)
	m.secrets.searchText(t, "the command lines", <-seen)
	holds(t, "the env file", m.read("app.env"), theirs, "AZURE_POSTGRESQL_CONNECTIONSTRING=", "user=appuser")
	named := words([]string{"process", "connection"})
	holds(t, "the validation", m.must(0, append(append(named, "validate"), at...)...), "success")
	holds(t, "the list", m.must(0, "process", "connection", "list", "--env-file", m.path("app.env")), `"name": "db"`)
	id := strings.TrimSpace(m.must(0, append(append(words(named, "show"), at...), "--query", "id", "-o", "tsv")...))
	if out := m.here.run("run", "--id", id, "--", "sh", "-c", `test "${AZURE_POSTGRESQL_CONNECTIONSTRING#host=}" != "$AZURE_POSTGRESQL_CONNECTIONSTRING"`); out.code != 0 {
		t.Errorf("run: %+v", out)
	}
	m.write("app.env", theirs+"NEW=1\n")
	holds(t, "the drift", m.must(5, "drift", "--id", id), "AZURE_POSTGRESQL_CONNECTIONSTRING")
	m.must(0, "repair", "--id", id)
	holds(t, "the repaired file", m.read("app.env"), theirs+"NEW=1\n", "AZURE_POSTGRESQL_CONNECTIONSTRING=")
	m.must(0, append(append(words([]string{"process"}, "connection", "update", "postgres-flexible"), at...), "--client-type", "python")...)
	m.must(0, append(append(words(named, "delete"), at...), "--yes")...)
	if got := m.read("app.env"); got != theirs+"NEW=1\n" {
		t.Errorf("after the delete:\n%s", got)
	}
	m.secrets.searchFolder(t, "without a server", m.here.home, "seal.key", "contexts.json")
}

// TestProcessRefused: what a machine of one's own cannot have is refused before anything
// is written.
func TestProcessRefused(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	m.write("locked.env", "A=1\n")
	if err := os.Chmod(m.path("locked.env"), 0o400); err != nil {
		t.Fatal(err)
	}
	create := words([]string{"process"}, m.database("create")...)
	m.must(2, "process", "connection", "create", "redis", "--tg", "rg1", "--server", "cache1", "--secret")
	holds(t, "a read-only file", m.must(1, append(create, "--env-file", m.path("locked.env"), "--connection", "db")...), "SOURCE_UNUSABLE", "read-only", "chmod")
	holds(t, "an identity", m.must(2, "process", "connection", "create", "storage-blob", "--tg", "rg1", "--account", "store1", "--system-identity", "--env-file", m.path("x.env")), "AUTH_UNSUPPORTED", "--service-principal")
	server := m.saysAt(m.term, 2, append(create, "--env-file", m.path("x.env"), "--connection", "db")...)
	holds(t, "a server", server.out+server.err, "SOURCE_UNSUPPORTED", "leaves the work to a server")
	if m.read("locked.env") != "A=1\n" || m.read("x.env") != "" {
		t.Error("something was written")
	}
	for _, source := range []string{connection.FileID(connection.TypeEnvFile, m.path("server.env")), connection.FileID(connection.TypeComposeService, m.path("c.yaml"), "web")} {
		a := m.cloud.call(m.ready.Endpoint, m.cloud.token, "PUT", source+"/providers/Microsoft.ServiceLinker/linkers/c1?api-version="+linkerVersion, cacheByKey(m.cloud))
		if a.Status != 403 {
			t.Errorf("a server takes a file of its machine: %d %s", a.Status, a.Raw)
		}
	}
	if m.read("server.env") != "" {
		t.Error("the server has written a file of its machine")
	}
}

// TestProcessAtTheLocalCloud: the local cloud's own server is the same person's, so files
// are connected in the command's process although the context names a server.
func TestProcessAtTheLocalCloud(t *testing.T) {
	t.Parallel()
	c := startCloud(t, "--cloud-only=false")
	c.makeGroup()
	c.makeCache()
	term := c.terminalAt(savedContext{})
	raw, err := json.Marshal(contextFile{Current: localContext, Contexts: map[string]savedContext{localContext: {Endpoint: c.ready.Endpoint, CAFile: c.ready.CAFile, Server: true,
		SubscriptionID: c.ready.SubscriptionID, TenantID: c.ready.TenantID, ClientID: c.ready.ClientID, ClientSecret: c.ready.ClientSecret}}})
	if err == nil {
		err = os.WriteFile(filepath.Join(term.home, "contexts.json"), raw, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
	env := filepath.Join(term.home, "app.env")
	for _, step := range [][]string{
		{"process", "connection", "create", "redis", "--tg", "rg1", "--server", "cache1", "--secret", "--client-type", "go", "--env-file", env, "--connection", "c1"},
		{"process", "connection", "validate", "--env-file", env, "--connection", "c1"},
		{"process", "connection", "delete", "--env-file", env, "--connection", "c1", "--yes"},
	} {
		if s := term.run(step...); s.code != 0 {
			t.Fatalf("%v: exit %d\n%s%s", step, s.code, s.out, s.err)
		}
		if raw, err := os.ReadFile(env); step[2] == "create" && (err != nil || !strings.Contains(string(raw), "AZURE_REDIS_CONNECTIONSTRING=")) {
			t.Errorf("the env file: %s %v", raw, err)
		}
	}
	if _, err := os.Stat(env); !os.IsNotExist(err) {
		t.Errorf("the env file stays: %v", err)
	}
}

// TestProcessSignsIn: service principals and persons sign in from a machine; what they are
// let into is granted and taken back.
func TestProcessSignsIn(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	app := m.cloud.newPrincipal("app")
	m.secrets["the app's secret"] = app.ClientSecret
	before := m.cloud.left()
	for name, auth := range map[string][]string{
		"sp":     {"--service-principal", "client-id=" + app.ClientID, "object-id=" + app.ObjectID, m.file("the app's secret")},
		"person": {"--user-account"},
	} {
		at := []string{"--env-file", m.path(name + ".env"), "--connection", name}
		create := append([]string{"process", "connection", "create", "storage-blob", "--tg", "rg1", "--account", "store1", "--client-type", "python"}, at...)
		m.must(0, append(create, auth...)...)
		holds(t, "the env file", m.read(name+".env"), "AZURE_STORAGEBLOB_RESOURCEENDPOINT=")
		holds(t, "the validation", m.must(0, append([]string{"process", "connection", "validate"}, at...)...), "success")
		m.must(0, append([]string{"process", "connection", "delete", "--yes"}, at...)...)
		if left := m.read(name + ".env"); left != "" {
			t.Errorf("%s: left %s", name, left)
		}
	}
	if d := cmp.Diff(before, m.cloud.left()); d != "" {
		t.Errorf("after the deletes: %s", d)
	}
}

// TestServerHasNoFiles: even for a caller who may do everything everywhere, a server
// neither reads nor writes files of its machine.
func TestServerHasNoFiles(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "x.env")
	for _, id := range []string{connection.FileID(connection.TypeEnvFile, path), connection.FileID(connection.TypeComposeService, path, "web")} {
		if _, err := (&station{}).readSource(t.Context(), id); !problem.Is(err, problem.SourceUnsupported) {
			t.Errorf("%s: %v", id, err)
		}
		if _, err := (&station{place: place{files: true}}).readSource(t.Context(), id); problem.Is(err, problem.SourceUnsupported) {
			t.Errorf("in a command's process %s: %v", id, err)
		}
	}
	if all := (&station{}).fileDrivers(engine.Drivers{}); len(all) != 0 {
		t.Errorf("a server has the drivers %v", all)
	}
}
