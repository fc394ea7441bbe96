//go:build interop

package interop

import (
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"
)

const (
	appName      = "shop-api"
	appContainer = "api"
	appsVersion  = "2025-07-01"
)

func (a *azure) containerApp() string { return a.id("Microsoft.App/containerApps/" + appName) }

// createContainerApp makes an app of two containers, each with a variable of its own.
func (a *azure) createContainerApp() {
	a.t.Helper()
	env := a.id("Microsoft.App/managedEnvironments/shop-env")
	container := func(name string) object {
		return object{"name": name, "image": "registry.test/" + name, "env": []any{object{"name": "GREETING", "value": "hello " + name}}}
	}
	for _, m := range []struct {
		path string
		body object
	}{
		{env, object{"location": location, "properties": object{}}},
		{a.containerApp(), object{"location": location, "properties": object{"managedEnvironmentId": env,
			"configuration": object{"ingress": object{"external": true, "targetPort": 80}, "secrets": []any{object{"name": "theirs", "value": "hush"}}},
			"template":      object{"containers": []any{container("side"), container(appContainer)}}}}},
	} {
		path := m.path + "?api-version=" + appsVersion
		if _, err := a.cloud.Want(a.t.Context(), http.MethodPut, path, m.body, http.StatusOK, http.StatusCreated, http.StatusAccepted); err != nil {
			a.t.Fatal(err)
		}
		if _, err := a.cloud.Settle(a.t.Context(), path, time.Minute); err != nil {
			a.t.Fatal(err)
		}
	}
}

// appDocument is the app as ARM shows it, without the names of its revisions.
func (a *azure) appDocument() object {
	a.t.Helper()
	doc, err := a.cloud.Want(a.t.Context(), http.MethodGet, a.containerApp()+"?api-version="+appsVersion, nil, http.StatusOK)
	if err != nil {
		a.t.Fatal(err)
	}
	properties, _ := doc["properties"].(object)
	delete(properties, "latestRevisionName")
	delete(properties, "latestReadyRevisionName")
	return doc
}

// variables are the names of a container's variables.
func (a *azure) variables(container string) []string {
	a.t.Helper()
	var names []string
	for _, c := range items(member(a.appDocument(), "properties", "template", "containers")) {
		for _, e := range items(member(c, "env")) {
			if word(member(c, "name")) == container {
				names = append(names, word(member(e, "name")))
			}
		}
	}
	slices.Sort(names)
	return names
}

// TestContainerApp lives the connections of one container of a container app with the
// newest az, which has the commands built in.
func TestContainerApp(t *testing.T) {
	a := newAzure(t, clients[len(clients)-1].path)
	a.createContainerApp()
	a.signIn()
	az := func(verb, name string, rest ...string) any {
		words := append([]string{"containerapp", "connection"}, strings.Fields(verb)...)
		words = append(words, "-g", group, "-n", appName)
		if name != "" {
			words = append(words, "--connection", name)
		}
		return a.az(append(words, rest...)...)
	}
	before := a.appDocument()
	made := az("create redis", "cache", "--tg", group, "--server", cache, "--database", "0", "--secret", "--client-type", "go", "-c", appContainer)
	equal(t, "scope", word(member(made, "scope")), appContainer)
	az("create storage-blob", "files", "--tg", group, "--account", account, "--system-identity", "--client-type", "python", "-c", appContainer)
	// An app may also be what another is connected to, with nothing to sign in to.
	az("create containerapp", "self", "--tg", group, "--target-app-name", appName, "--client-type", "go", "-c", appContainer)
	equal(t, "the endpoint's variable", a.variables(appContainer), []string{"AZURE_CONTAINERAPP_ENDPOINT", "AZURE_REDIS_CONNECTIONSTRING", "AZURE_STORAGEBLOB_RESOURCEENDPOINT", "GREETING"})
	if list := items(member(az("list-configuration", "self"), "configurations")); len(list) != 1 || word(member(list[0], "name")) != "AZURE_CONTAINERAPP_ENDPOINT" {
		t.Errorf("configuration of an app as target: %v", list)
	}
	az("delete", "self", "--yes")
	equal(t, "the container's variables", a.variables(appContainer), []string{"AZURE_REDIS_CONNECTIONSTRING", "AZURE_STORAGEBLOB_RESOURCEENDPOINT", "GREETING"})
	equal(t, "the other container's variables", a.variables("side"), []string{"GREETING"})
	equal(t, "identity", word(member(a.appDocument(), "identity", "type")), "SystemAssigned")
	var names []string
	for _, c := range items(az("list", "")) {
		names = append(names, word(member(c, "name")))
	}
	slices.Sort(names)
	equal(t, "connections", names, []string{"cache", "files"})
	equal(t, "provisioning state", word(member(az("show", "files"), "provisioningState")), "Succeeded")
	for name, setting := range map[string]string{"cache": "AZURE_REDIS_CONNECTIONSTRING", "files": "AZURE_STORAGEBLOB_RESOURCEENDPOINT"} {
		list := items(member(az("list-configuration", name), "configurations"))
		if len(list) != 1 || word(member(list[0], "name")) != setting || word(member(list[0], "value")) == "" {
			t.Errorf("configuration of %s: %v", name, list)
		}
		if raw, err := json.Marshal(az("validate", name)); err != nil || !strings.Contains(string(raw), `"success"`) || strings.Contains(string(raw), `"failure"`) {
			t.Errorf("validation of %s: %s %v", name, raw, err)
		}
	}
	for _, name := range []string{"cache", "files"} {
		az("delete", name, "--yes")
	}
	equal(t, "the app after all deletes", a.appDocument(), before)
}
