package app

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/compose-spec/compose-go/v2/cli"
	"github.com/compose-spec/compose-go/v2/types"
)

// loaded is the project as the Compose specification's own loader reads it.
func (m *machine) loaded(file string) *types.Project {
	m.t.Helper()
	o, err := cli.NewProjectOptions([]string{m.path(file)}, cli.WithName("p"), cli.WithWorkingDirectory(m.dir), cli.WithResolvedPaths(true))
	if err != nil {
		m.t.Fatal(err)
	}
	project, err := o.LoadProject(m.t.Context())
	if err != nil {
		m.t.Fatalf("the loader refuses the file: %v\n%s", err, m.read(file))
	}
	return project
}

// environment is what a service gets.
func (m *machine) environment(file, service string) map[string]string {
	m.t.Helper()
	out := map[string]string{}
	s, err := m.loaded(file).GetService(service)
	if err != nil {
		m.t.Fatal(err)
	}
	for name, value := range s.Environment {
		if value != nil {
			out[name] = *value
		}
	}
	return out
}

const composeFile = `# our stack
x-logging: &log
  driver: json-file # small
services:
  # the site
  web: # front
    image: "nginx:1"
    logging: *log
    env_file: site.env   # theirs
    environment:
      MODE: "a	b"
  db: {image: postgres, logging: *log}
`

// TestCompose: a service of a Compose file gets what the connection sets, as the
// specification's own loader reads it; drift is seen and repaired, and the delete gives
// back every byte.
func TestCompose(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	m.write("compose.yaml", composeFile)
	m.write("site.env", "SITE=1\n")
	at := []string{"--file", m.path("compose.yaml"), "--service", "web", "--connection", "db"}
	create := words([]string{"compose"}, append(m.database("create"), append(at, "--client-type", "go")...)...)
	plan := m.must(0, append(create, "--dry-run")...)
	holds(t, "the dry run", plan, "AZURE_POSTGRESQL_CONNECTIONSTRING", "env_file ./.patchbay/web.env")
	if m.read("compose.yaml") != composeFile || m.read(".patchbay/web.env") != "" {
		t.Fatal("a dry run has written")
	}
	stop, seen := make(chan struct{}), make(chan []byte, 1)
	go func() { seen <- watch(stop) }()
	m.must(0, create...)
	close(stop)
	m.secrets.searchText(t, "the command lines", <-seen)
	m.secrets.searchText(t, "the Compose file", []byte(m.read("compose.yaml")))
	env := m.environment("compose.yaml", "web")
	holds(t, "the service's variable", env["AZURE_POSTGRESQL_CONNECTIONSTRING"], "user=appuser", "Canary/pass+word 2;")
	if env["SITE"] != "1" || env["MODE"] != "a\tb" || m.environment("compose.yaml", "db")["AZURE_POSTGRESQL_CONNECTIONSTRING"] != "" {
		t.Errorf("other variables: %v", env)
	}
	if info, err := os.Stat(m.path(".patchbay/web.env")); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the env file: %v %v", info, err)
	}
	named := []string{"compose", "connection"}
	holds(t, "the validation", m.must(0, append(words(named, "validate"), at...)...), "success")
	id := strings.TrimSpace(m.must(0, append(append(words(named, "show"), at...), "--query", "id", "-o", "tsv")...))
	m.composeDrift(id)
	m.must(0, append(append(words(named, "delete"), at...), "--yes")...)
	if got := m.read("compose.yaml"); got != composeFile {
		t.Errorf("after the delete:\n%s", got)
	}
	if _, err := os.Stat(m.path(".patchbay")); !os.IsNotExist(err) {
		t.Errorf("our folder stays: %v", err)
	}
	m.secrets.searchFolder(t, "without a server", m.here.home, "seal.key", "contexts.json")
}

// composeDrift has somebody undo each half of the connection, and repairs it.
func (m *machine) composeDrift(id string) {
	m.t.Helper()
	joined := m.read("compose.yaml")
	m.write("compose.yaml", composeFile)
	holds(m.t, "the drift", m.must(5, "drift", "--id", id), "env_file ./.patchbay/web.env")
	m.must(0, "repair", "--id", id)
	if got := m.read("compose.yaml"); got != joined {
		m.t.Errorf("the repaired Compose file:\n%s", got)
	}
	env := m.read(".patchbay/web.env")
	m.write(".patchbay/web.env", "")
	holds(m.t, "the drift", m.must(5, "drift", "--id", id), "AZURE_POSTGRESQL_CONNECTIONSTRING")
	m.must(0, "repair", "--id", id)
	if got := m.read(".patchbay/web.env"); got != env {
		m.t.Errorf("the repaired env file:\n%s", got)
	}
}

// TestComposeSecrets: secret values lie in files of their own, which the service mounts;
// a change of mind moves them, and the delete leaves nothing.
func TestComposeSecrets(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	m.write("c.yml", composeFile)
	m.write("site.env", "SITE=1\n")
	at := []string{"--file", m.path("c.yml"), "--service", "web", "--connection", "db"}
	m.must(0, words([]string{"compose"}, append(m.database("create"), append(at, "--client-type", "go", "--compose-secrets", "--env-file", m.path("own.env"))...)...)...)
	project := m.loaded("c.yml")
	web, err := project.GetService("web")
	if err != nil {
		t.Fatal(err)
	}
	const name = "web_AZURE_POSTGRESQL_CONNECTIONSTRING"
	if !slices.ContainsFunc(web.Secrets, func(s types.ServiceSecretConfig) bool { return s.Source == name }) {
		t.Errorf("the service's secrets: %+v", web.Secrets)
	}
	raw, err := os.ReadFile(project.Secrets[name].File)
	if err != nil || !strings.Contains(string(raw), "Canary/pass+word") {
		t.Errorf("the secret's file: %v", err)
	}
	if info, err := os.Stat(project.Secrets[name].File); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the secret's file: %v %v", info, err)
	}
	env := m.environment("c.yml", "web")
	if env["AZURE_POSTGRESQL_CONNECTIONSTRING_FILE"] != "/run/secrets/"+name || env["AZURE_POSTGRESQL_CONNECTIONSTRING"] != "" {
		t.Errorf("variables %v", env)
	}
	m.secrets.searchText(t, "the env file", []byte(m.read("own.env")))
	named := []string{"compose", "connection"}
	holds(t, "the validation", m.must(0, append(words(named, "validate"), at...)...), "success")
	m.must(0, append(words(named, "update", "postgres-flexible"), append(at, "--compose-secrets=false")...)...)
	if env := m.environment("c.yml", "web"); !strings.Contains(env["AZURE_POSTGRESQL_CONNECTIONSTRING"], "user=appuser") || env["AZURE_POSTGRESQL_CONNECTIONSTRING_FILE"] != "" {
		t.Errorf("variables after the update: %d", len(env))
	}
	m.must(0, append(append(words(named, "delete"), at...), "--yes")...)
	left, _ := filepath.Glob(m.path("*"))
	if hidden, _ := filepath.Glob(m.path(".*")); m.read("c.yml") != composeFile || len(left) != 2 || len(hidden) != 0 {
		t.Errorf("left %v %v\n%s", left, hidden, m.read("c.yml"))
	}
}

// TestComposeRefused: what cannot work is refused early, with a code and a fix, and
// nothing is half written.
func TestComposeRefused(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	base := m.database("create")
	for name, c := range map[string]struct {
		text, service, code, says string
		mode                      os.FileMode
	}{
		"no file":     {"", "web", "SOURCE_NOT_FOUND", "there is no Compose file", 0o600},
		"no service":  {composeFile, "wev", "SOURCE_NOT_FOUND", "it has: web, db", 0o600},
		"malformed":   {"services:\n\tweb: {", "web", "SOURCE_UNUSABLE", "docker compose", 0o600},
		"read-only":   {composeFile, "web", "SOURCE_UNUSABLE", "chmod u+w", 0o400},
		"shared":      {"services:\n  web: &w\n    image: x\n  two: *w\n", "web", "SOURCE_UNUSABLE", "would get its settings too", 0o600},
		"merged":      {"x: &x\n  env_file: a.env\nservices:\n  web:\n    <<: *x\n", "web", "SOURCE_UNUSABLE", "hide", 0o600},
		"environment": {"services:\n  web:\n    environment: [AZURE_POSTGRESQL_CONNECTIONSTRING=x]\n", "web", "SETTING_CLASH", "--customized-keys", 0o600},
	} {
		file := strings.ReplaceAll(name, " ", "-") + "/compose.yaml"
		if err := os.Mkdir(filepath.Dir(m.path(file)), 0o755); err != nil {
			t.Fatal(err)
		}
		if c.text != "" {
			m.write(file, c.text)
			if err := os.Chmod(m.path(file), c.mode); err != nil {
				t.Fatal(err)
			}
		}
		s := m.saysAny(words([]string{"compose"}, append(base, "--file", m.path(file), "--service", c.service, "--client-type", "go", "--connection", "db")...)...)
		holds(t, name, s, c.code, c.says, "fix:")
		left, _ := filepath.Glob(filepath.Join(filepath.Dir(m.path(file)), ".*"))
		if m.read(file) != c.text || len(left) != 0 {
			t.Errorf("%s: something is left: %v\n%s", name, left, m.read(file))
		}
	}
}

// saysAny runs a command that is to fail.
func (m *machine) saysAny(args ...string) string {
	m.t.Helper()
	s := m.here.run(args...)
	if s.code == 0 {
		m.t.Errorf("%v works", args)
	}
	m.secrets.searchText(m.t, strings.Join(args, " "), []byte(s.out+s.err))
	return s.out + s.err
}

// TestComposeShared: two connections of a service share its entry, which goes with the
// last of them; an entry that was there before us stays.
func TestComposeShared(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	m.write("compose.yaml", composeFile)
	m.write("site.env", "SITE=1\n")
	at := []string{"--file", m.path("compose.yaml"), "--service", "web", "--connection"}
	redis := []string{"compose", "connection", "create", "redis", "--tg", "rg1", "--server", "cache1", "--secret", "--client-type", "go"}
	m.must(0, append(append(words(redis), at...), "one")...)
	m.must(0, append(append(words(redis), at...), "two")...)
	env := m.environment("compose.yaml", "web")
	if env["AZURE_REDIS_CONNECTIONSTRING"] == "" || env["AZURE_REDIS_TWO_CONNECTIONSTRING"] == "" {
		t.Errorf("variables of two connections: %d", len(env))
	}
	remove := append([]string{"compose", "connection", "delete", "--yes"}, at...)
	m.must(0, append(words(remove), "one")...)
	env = m.environment("compose.yaml", "web")
	if env["AZURE_REDIS_CONNECTIONSTRING"] != "" || env["AZURE_REDIS_TWO_CONNECTIONSTRING"] == "" {
		t.Errorf("variables after the first is gone: %d", len(env))
	}
	m.must(0, append(words(remove), "two")...)
	if got := m.read("compose.yaml"); got != composeFile {
		t.Errorf("after both deletes:\n%s", got)
	}
	m.must(0, append(append(words(redis, "--env-file", m.path("site.env")), at...), "three")...)
	if got := m.read("compose.yaml"); got != composeFile {
		t.Errorf("an entry that was there is written again:\n%s", got)
	}
	holds(t, "the env file", m.read("site.env"), "SITE=1\n", "AZURE_REDIS_CONNECTIONSTRING=")
	m.must(0, append(words(remove), "three")...)
	if m.read("compose.yaml") != composeFile || m.read("site.env") != "SITE=1\n" {
		t.Errorf("what was there before us: %s", m.read("site.env"))
	}
}
