//go:build interop

package interop

import (
	"strings"
	"testing"
	"time"
)

// localStep is one command on a local connection and what az has to print.
type localStep struct {
	words []string
	check func(t *testing.T, printed any)
}

// on spells a command on one local connection.
func on(verb, name string, rest ...string) []string {
	words := append([]string{"connection"}, strings.Fields(verb)...)
	return append(append(words, "-g", group, "--connection", name), rest...)
}

// named checks the one setting there is.
func named(name, begin string) func(*testing.T, any) {
	return func(t *testing.T, printed any) {
		t.Helper()
		all := items(member(printed, "configurations"))
		if len(all) != 1 || word(member(all[0], "name")) != name || !strings.HasPrefix(word(member(all[0], "value")), begin) {
			t.Errorf("the settings are not %s alone", name)
		}
	}
}

// previewed checks that some rows name a setting.
func previewed(name string) func(*testing.T, any) {
	return func(t *testing.T, printed any) {
		t.Helper()
		for _, row := range items(printed) {
			for _, n := range items(member(row, "names")) {
				if word(member(n, "value")) == name {
					return
				}
			}
		}
		t.Errorf("%s is not among %v", name, printed)
	}
}

func healthy(t *testing.T, printed any) {
	t.Helper()
	if len(items(printed)) == 0 {
		t.Error("the validation has no items")
	}
	for _, item := range items(printed) {
		if word(member(item, "result")) == "failure" {
			t.Errorf("%v", item)
		}
	}
}

func count(n int) func(*testing.T, any) {
	return func(t *testing.T, printed any) {
		t.Helper()
		if len(items(printed)) != n {
			t.Errorf("%d connections, not %d", len(items(printed)), n)
		}
	}
}

func state(path, want string) func(*testing.T, any) {
	return func(t *testing.T, printed any) {
		t.Helper()
		if got := word(member(printed, strings.Split(path, ".")...)); got != want {
			t.Errorf("%s is %q, not %q", path, got, want)
		}
	}
}

func localSteps() []localStep {
	return []localStep{
		{[]string{"connection", "preview-configuration", "redis", "--client-type", "python"}, previewed("AZURE_REDIS_CONNECTIONSTRING")},
		{[]string{"connection", "preview-configuration", "storage-blob", "--client-type", "python"}, previewed("AZURE_STORAGEBLOB_RESOURCEENDPOINT")},
		{on("create redis", "cache", "--tg", group, "--server", cache, "--database", "0", "--secret", "--client-type", "python"), state("provisioningState", "Succeeded")},
		{on("create storage-blob", "files", "--tg", group, "--account", account, "--secret", "--client-type", "python"), state("provisioningState", "Succeeded")},
		{on("create postgres-flexible", "db", "--tg", group, "--server", server, "--database", database,
			"--secret", "name="+admin, "secret="+password, "--client-type", "python"), state("provisioningState", "Succeeded")},
		{[]string{"connection", "list", "-g", group}, count(3)},
		{on("generate-configuration", "cache"), named("AZURE_REDIS_CONNECTIONSTRING", "rediss://")},
		{on("generate-configuration", "db"), named("AZURE_POSTGRESQL_CONNECTIONSTRING", "dbname=")},
		{on("validate", "cache"), healthy},
		{on("validate", "db"), healthy},
		{on("update redis", "cache", "--client-type", "dotnet"), state("clientType", "dotnet")},
		{on("show", "cache"), state("clientType", "dotnet")},
		{on("wait", "cache", "--exists"), nil},
		{on("delete", "cache", "--yes"), nil},
		{on("delete", "files", "--yes"), nil},
		{on("delete", "db", "--yes"), nil},
		{[]string{"connection", "list", "-g", group}, count(0)},
	}
}

// TestLocalConnections lives local connections with every real Azure CLI there is.
func TestLocalConnections(t *testing.T) {
	for _, c := range clients {
		t.Run(c.name, func(t *testing.T) {
			a := newAzure(t, c.path)
			a.signIn()
			for _, step := range localSteps() {
				begun := time.Now()
				printed := a.az(step.words...)
				t.Logf("%5.1f s  az %s", time.Since(begun).Seconds(), a.spelled(step.words))
				if step.check != nil {
					step.check(t, printed)
				}
				if t.Failed() {
					t.FailNow()
				}
			}
		})
	}
}
