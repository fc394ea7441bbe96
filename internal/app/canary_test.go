package app

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"
)

// canaries are planted secrets, by what they are.
type canaries map[string]string

// forms are the shapes in which a secret may show: as it is, quoted, escaped for an
// address or JSON, in hex, and in base64 at any of the three offsets of what it stands in.
func forms(secret string) [][]byte {
	quoted, _ := json.Marshal(secret) // a string always has a form in JSON
	list := []string{secret, url.QueryEscape(secret), url.PathEscape(secret), string(quoted[1 : len(quoted)-1]), hex.EncodeToString([]byte(secret))}
	for _, mark := range []string{`"`, `'`} { // doubled within quotes, with or without JSON around it
		doubled := strings.ReplaceAll(secret, mark, mark+mark)
		quoted, _ := json.Marshal(doubled)
		list = append(list, doubled, string(quoted[1:len(quoted)-1]))
	}
	for _, alphabet := range []*base64.Encoding{base64.RawStdEncoding, base64.RawURLEncoding} {
		for before := range 3 {
			text := alphabet.EncodeToString(append(make([]byte, before), secret...))
			list = append(list, text[(before*8+5)/6:(before+len(secret))*8/6])
		}
	}
	out := make([][]byte, len(list))
	for i, form := range list {
		out[i] = []byte(form)
	}
	return out
}

// token is what a JSON web token looks like.
var token = regexp.MustCompile(`eyJ[A-Za-z0-9_-]{16,}\.eyJ[A-Za-z0-9_-]{16,}\.`)

// in names the secrets that show in a text.
func (c canaries) in(raw []byte) []string {
	var found []string
	for name, secret := range c {
		for _, form := range forms(secret) {
			if bytes.Contains(raw, form) {
				found = append(found, name)
				break
			}
		}
	}
	if token.Match(raw) {
		found = append(found, "a token")
	}
	return found
}

// searchFolder looks into every file below a folder but those named in aside.
func (c canaries) searchFolder(t *testing.T, when, dir string, aside ...string) {
	t.Helper()
	files := 0
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || contains(aside, d.Name()) {
			return err
		}
		raw, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		files++
		for _, name := range c.in(raw) {
			t.Errorf("%s: %s stands in %s", when, name, path)
		}
		return nil
	})
	if err != nil || files == 0 {
		t.Errorf("%s: %d files searched: %v", when, files, err)
	}
}

func contains(list []string, word string) bool { return count(list, word) > 0 }

// searchText looks into something printed or answered.
func (c canaries) searchText(t *testing.T, what string, raw []byte) {
	t.Helper()
	for _, name := range c.in(raw) {
		t.Errorf("%s shows in %s: %s", name, what, raw)
	}
}

func TestCanariesAreFoundInAnyForm(t *testing.T) {
	t.Parallel()
	const secret = "Can/ary+7 %\"'é;x="
	for i, form := range forms(secret) {
		if got := (canaries{"it": secret}).in(append([]byte("before"), form...)); len(got) != 1 {
			t.Errorf("form %d, %s: %v", i, form, got)
		}
	}
	for before := range 4 {
		text := base64.StdEncoding.EncodeToString([]byte(strings.Repeat("u", before) + secret + "p"))
		if got := (canaries{"it": secret}).in([]byte(text)); len(got) != 1 {
			t.Errorf("in base64 after %d bytes: %v", before, got)
		}
	}
}

// watch looks at the command lines of all processes until it is stopped, and returns
// what it saw.
func watch(stop <-chan struct{}) []byte {
	seen := map[string]bool{}
	for {
		paths, _ := filepath.Glob("/proc/[0-9]*/cmdline")
		for _, path := range paths {
			if raw, err := os.ReadFile(path); err == nil { // it may be gone by now
				seen[string(raw)] = true
			}
		}
		select {
		case <-stop:
			var all bytes.Buffer
			for line := range seen {
				all.WriteString(line + "\n")
			}
			return all.Bytes()
		case <-time.After(5 * time.Millisecond):
		}
	}
}

// aviary is a stage with planted secrets.
type aviary struct {
	*connector
	t       *testing.T
	secrets canaries
	term    *terminal
}

func newAviary(t *testing.T) *aviary {
	t.Helper()
	c := startCloud(t)
	c.makeGroup()
	c.makeSite("app1", map[string]string{"FOREIGN": "theirs", "AZURE_REDIS_CONNECTIONSTRING": "Canary/before+us 1"})
	c.makeCache()
	c.makeAccount()
	c.makeServer("pg1")
	c.letTestsIn("pg1")
	a := &aviary{connector: c.newConnector().start(), t: t, secrets: canaries{
		"the password": "Canary/pass+word 2;'%", "the wrong password": "Canary/wrong+word 3;'%",
		"the value before us": "Canary/before+us 1", "the administrator's password": adminPassword,
		"the user's client secret": c.ready.ClientSecret, "the user's token": c.token,
	}}
	a.secrets["the engine's client secret"] = a.engine.ClientSecret
	keys := c.arm("POST", c.cache()+"/listKeys", cacheVersion, nil)
	a.secrets["the cache's key"], a.secrets["the cache's second key"] = keys.text("primaryKey"), keys.text("secondaryKey")
	list, _ := c.arm("POST", c.account()+"/listKeys", accountVersion, nil).at("keys").([]any)
	for i, v := range list {
		a.secrets[fmt.Sprintf("the account's key %d", i)] = answer{Body: v.(map[string]any)}.text("value")
	}
	for name, secret := range a.secrets {
		if len(secret) < 12 {
			t.Fatalf("%s is %q", name, secret)
		}
	}
	c.sql("pg1", "CREATE ROLE appuser LOGIN PASSWORD '"+strings.ReplaceAll(a.secrets["the password"], "'", "''")+"'")
	a.term = a.terminal()
	return a
}

// file puts a secret where a command may read it: in a folder that is not searched.
func (a *aviary) file(name string) string {
	a.t.Helper()
	path := filepath.Join(shortDir(a.t), "secret")
	if err := os.WriteFile(path, []byte(a.secrets[name]), 0o600); err != nil {
		a.t.Fatal(err)
	}
	return "secret=@" + path
}

// says runs a command that is to end with a code and searches what it prints.
func (a *aviary) says(code int, args ...string) said {
	a.t.Helper()
	return a.saysAt(a.term, code, args...)
}

func (a *aviary) saysAt(term *terminal, code int, args ...string) said {
	a.t.Helper()
	s := term.run(args...)
	if s.code != code {
		a.t.Errorf("%v: exit %d, want %d\n%s%s", args, s.code, code, s.out, s.err)
	}
	a.secrets.searchText(a.t, strings.Join(args, " "), []byte(s.out+s.err))
	return s
}

// search looks at everything the server keeps, its log and the clouds', and at what
// it answers to anybody who reads.
func (a *aviary) search(when string) {
	a.t.Helper()
	a.secrets.searchFolder(a.t, when, a.home, "seal.key")
	raw, err := os.ReadFile(filepath.Join(a.cloud.dir, "local.log"))
	if err != nil {
		a.t.Fatal(err)
	}
	a.secrets.searchText(a.t, when+": the cloud's log", raw)
}

func (a *aviary) searchAnswers(when string) {
	a.t.Helper()
	linkers := a.linker("app1", "")
	paths := []string{linkers[:len(linkers)-1], "/providers/Patchbay/operations"}
	for _, list := range paths {
		values, _ := a.call("GET", list, nil).at("value").([]any)
		for _, v := range values {
			one := answer{Body: v.(map[string]any)}
			path := one.text("id")
			if !strings.HasPrefix(path, "/") {
				path = "/providers/Patchbay/operations/" + path
				a.secrets.searchText(a.t, when+": the events of "+path, a.call("GET", path+"/events", nil).Raw)
			}
			paths = append(paths, path)
		}
	}
	for _, path := range paths {
		a.secrets.searchText(a.t, when+": GET "+path, a.call("GET", path, nil).Raw)
	}
}

// line is a command about a connection of app1.
func line(verb, connection string, more ...string) []string {
	return lineAt("app1", verb, connection, more...)
}

func lineAt(site, verb, connection string, more ...string) []string {
	args := append([]string{"webapp", "connection"}, strings.Fields(verb)...)
	return append(append(args, "-g", "rg1", "-n", site, "--connection", connection), more...)
}

// TestSecretsStayWhereTheyBelong plants secrets and drives connections through good
// and bad days; then everything that is kept, printed, answered or shown is searched.
func TestSecretsStayWhereTheyBelong(t *testing.T) {
	t.Parallel()
	a := newAviary(t)
	stop := make(chan struct{})
	var lines []byte
	var wg sync.WaitGroup
	wg.Go(func() { lines = watch(stop) })
	a.goodDays()
	a.badDays()
	a.death()
	a.withoutServer()
	close(stop)
	wg.Wait()
	a.secrets.searchText(t, "the command lines of all processes", lines)
}

// goodDays creates, looks at, updates and deletes; the last connections stay.
func (a *aviary) goodDays() {
	create := map[string][]string{
		"pg":    line("create postgres-flexible", "pg", "--tg", "rg1", "--server", "pg1", "--database", "db1", "--secret", "name=appuser", a.file("the password"), "--debug", "-o", "json"),
		"cache": line("create redis", "cache", "--tg", "rg1", "--server", "cache1", "--secret", "--debug"),
		"blob":  line("create storage-blob", "blob", "--tg", "rg1", "--account", "store1", "--secret", "--client-type", "python"),
	}
	for _, args := range create {
		a.says(0, append(args, "--dry-run")...)
		a.says(0, args...)
		a.says(0, append(args, "--dry-run")...)
	}
	a.search("after create")
	for name := range create {
		a.says(0, line("validate", name, "--debug", "-o", "json")...)
		a.says(0, line("show", name, "-o", "json", "--query", "[id,authInfo,secretStore,configurationInfo]")...)
		a.says(0, "drift", "--id", a.linker("app1", name), "-o", "json")
		// These two ask for the configurations, as the Azure CLI's do: there the secret may show.
		for _, verb := range []string{"show", "list-configuration"} {
			if s := a.term.run(line(verb, name, "-o", "json")...); len(a.secrets.in([]byte(s.out))) == 0 || len(a.secrets.in([]byte(s.err))) > 0 {
				a.t.Errorf("%s does not show the secret of %s: %s", verb, name, s.err)
			}
		}
	}
	a.says(0, line("update postgres-flexible", "pg", "--secret", "name=appuser", a.file("the password"), "--client-type", "java")...)
	a.says(0, line("delete", "cache", "--yes")...)
	a.says(0, line("delete", "blob", "--yes", "--debug")...)
	a.search("after good days")
	a.searchAnswers("after good days")
}

// badDays lets creates and updates fail, settings drift, and passwords be wrong.
func (a *aviary) badDays() {
	wrong := line("update postgres-flexible", "pg", "--secret", "name=appuser", a.file("the wrong password"))
	a.says(0, append(wrong, "--dry-run", "-o", "json")...)
	a.cloud.faults(map[string]any{"method": "PUT", "path": "/config/appsettings$", "status": 400, "code": "Refused"})
	a.says(1, wrong...)
	a.says(1, line("create redis", "cache", "--tg", "rg1", "--server", "cache1", "--secret", "--debug")...)
	a.cloud.faults()
	a.search("after failures")
	a.says(0, wrong...)
	a.says(5, line("validate", "pg", "-o", "json")...)
	settings := a.cloud.settings("app1")
	settings["AZURE_POSTGRESQL_CONNECTIONSTRING"] += a.secrets["the cache's key"]
	a.cloud.putSettings("app1", settings)
	for _, format := range []string{"json", "table"} {
		a.says(5, "drift", "--id", a.linker("app1", "pg"), "-o", format, "--debug")
	}
	a.says(0, "repair", "--id", a.linker("app1", "pg"), "--force")
	list := a.says(0, "operation", "list", "-o", "tsv", "--query", "[].id")
	for _, id := range strings.Fields(list.out) {
		a.says(0, "operation", "show", id)
	}
	plan := a.linker("app1", "pg")
	plan = strings.Replace(plan, "Microsoft.ServiceLinker/linkers", "Patchbay/connections", 1) + "/plan"
	a.secrets.searchText(a.t, "a plan", a.call("POST", plan, databaseByPassword(a.cloud, "pg1", "appuser", a.secrets["the password"])).Raw)
	a.search("after bad days")
	a.searchAnswers("after bad days")
}

// death kills the server in the middle of an update with a given secret, and lets the
// next one finish.
func (a *aviary) death() {
	a.t.Helper()
	for _, death := range []struct{ entry, secret string }{{"2", "the password"}, {"3", "the wrong password"}, {"-4", "the password"}} {
		a.stop()
		a.start(dieAt + "=" + death.entry)
		if a.sendToMortal(change{"PUT", a.linker("app1", "pg"), databaseByPassword(a.cloud, "pg1", "appuser", a.secrets[death.secret])}) {
			a.t.Errorf("the server survived entry %s", death.entry)
		}
		a.search("killed at entry " + death.entry)
		a.start()
		if op := a.await(a.newest()); op.text("status") != "Succeeded" {
			a.t.Errorf("killed at entry %s: %s", death.entry, op.Raw)
		}
	}
	a.searchAnswers("after a death")
	a.search("after a death")
}

// withoutServer works in the command's own process; only the saved context may hold
// the user's own secret.
func (a *aviary) withoutServer() {
	a.t.Helper()
	a.cloud.makeSite("app2", map[string]string{})
	term := a.cloud.alone()
	args := lineAt("app2", "create postgres-flexible", "pg", "--tg", "rg1", "--server", "pg1", "--database", "db1", "--secret", "name=appuser", a.file("the password"), "--debug", "-o", "json")
	a.saysAt(term, 0, args...)
	a.secrets.searchFolder(a.t, "without a server", term.home, "seal.key", "contexts.json")
}
