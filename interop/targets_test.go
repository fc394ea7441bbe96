//go:build interop

package interop

import (
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"go.yaml.in/yaml/v3"
)

// fixture is what a target's file says of plain ARM calls and of the Azure CLI.
type fixture struct {
	name string
	Puts []struct {
		Path, Version string
		Body          map[string]any
	} `yaml:"puts"`
	Target  string
	Service map[string]string
	Facts   map[string]yaml.Node
	Secret  struct{ Name, Value string }
	// Az are the words after "az webapp connection create", one list per command line.
	Az [][]string `yaml:"az"`
}

// fixtures reads every target's file, with a group of its own in each.
func (a *azure) fixtures() []*fixture {
	a.t.Helper()
	files, err := filepath.Glob(filepath.Join("..", "internal", "app", "testdata", "targets", "*.yaml"))
	if err != nil || len(files) == 0 {
		a.t.Fatalf("no targets: %v", err)
	}
	var out []*fixture
	for _, file := range files {
		raw, err := os.ReadFile(file)
		if err != nil {
			a.t.Fatal(err)
		}
		f := &fixture{name: strings.TrimSuffix(filepath.Base(file), ".yaml")}
		unique := "i" + strings.ReplaceAll(f.name, "-", "")
		unique = unique[:min(len(unique), 20)]
		groupID := "/subscriptions/" + a.cloud.Ready.SubscriptionID + "/resourceGroups/" + unique
		text := strings.NewReplacer("{group}", groupID, "{g}", unique, "{n}", unique, "{cloud}", a.cloud.Ready.Endpoint,
			"{subscription}", a.cloud.Ready.SubscriptionID, "{tenant}", a.cloud.Ready.TenantID).Replace(string(raw))
		if err := yaml.Unmarshal([]byte(text), f); err != nil {
			a.t.Fatalf("%s: %v", file, err)
		}
		out = append(out, f)
	}
	return out
}

// grow makes the target, its groups first.
func (f *fixture) grow(a *azure) {
	a.t.Helper()
	made := map[string]bool{}
	for _, p := range f.Puts {
		if parts := strings.Split(p.Path, "/"); len(parts) > 4 && strings.EqualFold(parts[3], "resourceGroups") && !made[parts[4]] {
			made[parts[4]] = true
			a.put(strings.Join(parts[:5], "/")+"?api-version=2024-11-01", object{"location": location})
		}
		a.put(p.Path+"?api-version="+p.Version, p.Body)
	}
}

func (a *azure) put(path string, body object) {
	a.t.Helper()
	if _, err := a.cloud.Want(a.t.Context(), http.MethodPut, path, body, http.StatusOK, http.StatusCreated, http.StatusAccepted); err != nil {
		a.t.Fatal(err)
	}
	if _, err := a.cloud.Settle(a.t.Context(), path, time.Minute); err != nil {
		a.t.Fatal(err)
	}
}

// TestEveryTargetOfTheCLI takes each target sub-command that the newest CLI has through
// create, list-configuration and delete. What it lists is what the app has; after the
// delete the app has what it had.
func TestEveryTargetOfTheCLI(t *testing.T) {
	a := newAzure(t, clients[len(clients)-1].path)
	a.signIn()
	for _, f := range a.fixtures() {
		if len(f.Az) == 0 {
			continue
		}
		t.Run(f.name, func(t *testing.T) {
			b := *a // its failures are this test's
			b.t = t
			f.grow(&b)
			for _, words := range f.Az {
				b.joins(words)
			}
		})
	}
}

func (a *azure) joins(words []string) {
	a.t.Helper()
	const name = "every"
	before := a.settings()
	begun := time.Now()
	a.az(connection("create "+words[0], name, words[1:]...)...)
	made := a.settings()
	listed := map[string]string{}
	names := []string{name}
	if words[0] == "confluent-cloud" { // one command, two connections
		names = append(names, name+"_schema")
	}
	for _, linker := range names {
		for _, one := range items(member(a.az(connection("list-configuration", linker)...), "configurations")) {
			listed[word(member(one, "name"))] = word(member(one, "value"))
		}
	}
	for setting := range before {
		delete(made, setting)
	}
	if len(listed) == 0 {
		a.t.Errorf("%s: no configuration is listed", words[0])
	}
	equal(a.t, words[0]+": the app's settings", made, listed)
	for _, linker := range names {
		a.az(connection("delete", linker, "--yes")...)
	}
	equal(a.t, words[0]+": the app's settings after delete", a.settings(), before)
	a.t.Logf("%5.1f s  az webapp connection create %s …, list-configuration, delete", time.Since(begun).Seconds(), strings.Join(options(words), " "))
}

// options are the words of a command line without the values of options, some of which
// are secrets.
func options(words []string) []string {
	return slices.DeleteFunc(slices.Clone(words[:]), func(w string) bool { return w != words[0] && !strings.HasPrefix(w, "--") })
}

func (a *azure) settings() map[string]string {
	a.t.Helper()
	site, err := a.cloud.ReadSite(a.t.Context(), a.site())
	if err != nil {
		a.t.Fatal(err)
	}
	return site.Settings
}
