//go:build interop

package interop

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/patchbay/patchbay/demo/outside"
)

const (
	group    = "interop"
	siteName = "shop"
	server   = "shop-db"
	database = "orders"
	cache    = "shop-cache"
	account  = "shopfiles"
	admin    = "dba"
	password = "Dba-interop-4711" // of a server that lives for one test
	location = "westeurope"
)

// azure is one Azure CLI, signed in nowhere yet, beside a local cloud of its own.
type azure struct {
	t      *testing.T
	path   string
	cloud  *outside.Cloud
	config string
}

// newAzure starts a local cloud with the services that connections join, and
// gives the CLI a profile of its own. Both are gone when the test ends.
func newAzure(t *testing.T, path string) *azure {
	t.Helper()
	ctx := t.Context()
	if _, err := os.Stat(path); err != nil {
		t.Fatalf("no Azure CLI here; `make interop` installs it: %v", err)
	}
	program, err := outside.NewProgram(filepath.Join("..", "bin", "patchbay"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(program.Dir) })
	cloud, err := outside.Start(ctx, program)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := cloud.Stop(context.WithoutCancel(ctx)); err != nil {
			t.Errorf("stop the local cloud: %v", err)
		}
	})
	a := &azure{t: t, path: path, cloud: cloud, config: filepath.Join(program.Dir, "azure")}
	a.createServices()
	return a
}

func (a *azure) id(rest string) string {
	return "/subscriptions/" + a.cloud.Ready.SubscriptionID + "/resourceGroups/" + group + "/providers/" + rest
}

func (a *azure) site() string    { return a.id("Microsoft.Web/sites/" + siteName) }
func (a *azure) storage() string { return a.id("Microsoft.Storage/storageAccounts/" + account) }

type object = map[string]any

// createServices makes the cast by plain management calls.
func (a *azure) createServices() {
	a.t.Helper()
	db := a.id("Microsoft.DBforPostgreSQL/flexibleServers/" + server)
	for _, m := range []struct {
		path string
		body object
	}{
		{"/subscriptions/" + a.cloud.Ready.SubscriptionID + "/resourceGroups/" + group + "?api-version=2024-11-01", object{"location": location}},
		{a.site() + "?api-version=" + outside.WebVersion, object{"location": location, "kind": "app,linux", "properties": object{"reserved": true,
			"siteConfig": object{"linuxFxVersion": "PYTHON|3.12", "appSettings": []any{object{"name": "GREETING", "value": "hello"}}}}}},
		{a.id("Microsoft.Cache/redis/"+cache) + "?api-version=2024-11-01", object{"location": location,
			"properties": object{"sku": object{"name": "Basic", "family": "C", "capacity": 0}}}},
		{a.storage() + "?api-version=2024-01-01", object{"location": location, "kind": "StorageV2", "sku": object{"name": "Standard_LRS"}, "properties": object{}}},
		{db + "?api-version=2025-08-01", object{"location": location, "sku": object{"name": "Standard_B1ms", "tier": "Burstable"},
			"properties": object{"version": "15", "administratorLogin": admin, "administratorLoginPassword": password,
				"storage": object{"storageSizeGB": 32}, "network": object{"publicNetworkAccess": "Enabled"}}}},
		{db + "/databases/" + database + "?api-version=2025-08-01", object{"properties": object{}}},
	} {
		if _, err := a.cloud.Want(a.t.Context(), http.MethodPut, m.path, m.body, http.StatusOK, http.StatusCreated, http.StatusAccepted); err != nil {
			a.t.Fatal(err)
		}
		if _, err := a.cloud.Settle(a.t.Context(), m.path, time.Minute); err != nil {
			a.t.Fatal(err)
		}
	}
}

// run runs one az command line to its end.
func (a *azure) run(words ...string) outside.Result {
	a.t.Helper()
	// The words a person types: what the product prints for the shell decides where
	// the CLI goes.
	script := `eval "$("$0" local env)" && exec "$@"`
	environ := append(a.cloud.Program.Environ(), "AZURE_CONFIG_DIR="+a.config)
	ctx, cancel := context.WithTimeout(a.t.Context(), 3*time.Minute)
	defer cancel()
	r, err := outside.Exec(ctx, environ, "/bin/sh", append([]string{"-c", script, a.cloud.Program.Path, a.path}, words...)...)
	if err != nil {
		a.t.Fatal(err)
	}
	return r
}

// az runs one command that has to succeed and returns what it printed.
func (a *azure) az(words ...string) any {
	a.t.Helper()
	r := a.run(words...)
	if r.Code != 0 {
		a.t.Fatalf("az %s: exit status %d\n%s", a.spelled(words), r.Code, r.Stderr)
	}
	if strings.TrimSpace(r.Stdout) == "" {
		return nil
	}
	var out any
	if err := json.Unmarshal([]byte(r.Stdout), &out); err != nil {
		a.t.Fatalf("az %s: no JSON: %v", a.spelled(words), err)
	}
	return out
}

func (a *azure) spelled(words []string) string {
	return strings.ReplaceAll(strings.Join(words, " "), password, "********")
}

// signIn registers the cloud and signs in, as the handbook of az says.
func (a *azure) signIn() {
	a.t.Helper()
	ready := a.cloud.Ready
	a.az("cloud", "register", "-n", "local", "--endpoint-resource-manager", ready.Endpoint)
	a.az("cloud", "set", "-n", "local")
	a.az("login", "--service-principal", "-u", ready.ClientID, "--password="+ready.ClientSecret, "--tenant", ready.TenantID)
	a.az("account", "set", "-s", ready.SubscriptionID)
}

// connection spells a command on one connection of the site.
func connection(verb, name string, rest ...string) []string {
	words := append([]string{"webapp", "connection"}, strings.Fields(verb)...)
	return append(append(words, "-g", group, "-n", siteName, "--connection", name), rest...)
}

// member walks down to a value of az's output.
func member(v any, path ...string) any {
	for _, p := range path {
		m, _ := v.(map[string]any)
		v = m[p]
	}
	return v
}

func items(v any) []any {
	list, _ := v.([]any)
	return list
}

func word(v any) string {
	if v == nil {
		return ""
	}
	return fmt.Sprint(v)
}
