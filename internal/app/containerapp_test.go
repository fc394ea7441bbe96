package app

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

const containerVersion = "2025-07-01"

func (c *cloudUnderTest) containerApp(name string) string {
	return c.group() + "/providers/Microsoft.App/containerApps/" + name
}

// containerBody is an app of two containers, the first of which is this test program; mode
// is that of its revisions, and gate a shell's condition for it to start.
func (c *cloudUnderTest) containerBody(mode, gate string) map[string]any {
	command := []any{"/bin/sh", "-c", gate + ` && exec "$0"`, os.Args[0]}
	return map[string]any{"location": "westeurope", "tags": map[string]any{"owner": "them"}, "properties": map[string]any{
		"managedEnvironmentId": c.group() + "/providers/Microsoft.App/managedEnvironments/env1",
		"configuration": map[string]any{"activeRevisionsMode": mode, "secrets": []any{map[string]any{"name": "theirs", "value": "hush"}},
			"ingress": map[string]any{"external": true, "targetPort": 8080}},
		"template": map[string]any{"containers": []any{
			map[string]any{"name": "web", "image": "local/app", "command": command, "resources": map[string]any{"cpu": 0.25}, "env": []any{
				map[string]any{"name": actAs, "value": asWitness}, map[string]any{"name": "FOREIGN", "value": "theirs"}, map[string]any{"name": "HUSH", "secretRef": "theirs"}}},
			map[string]any{"name": "side", "image": "side", "env": []any{map[string]any{"name": "OTHER", "value": "2"}}},
		}},
	}}
}

// makeContainerApp makes an app and waits until it answers.
func (c *cloudUnderTest) makeContainerApp(name, mode, gate string) {
	c.t.Helper()
	c.arm("PUT", c.group()+"/providers/Microsoft.App/managedEnvironments/env1", containerVersion, map[string]any{"location": "westeurope", "properties": map[string]any{}})
	c.arm("PUT", c.containerApp(name), containerVersion, c.containerBody(mode, gate))
	c.asked(name, "/env", func(status int, _ string) bool { return status == http.StatusOK })
}

// asked asks an app at its address until the answer fits, and returns the last one.
func (c *cloudUnderTest) asked(name, path string, fits func(status int, said string) bool) string {
	c.t.Helper()
	host := c.arm("GET", c.containerApp(name), containerVersion, nil).text("properties", "configuration", "ingress", "fqdn")
	said, status := "", 0
	for deadline := time.Now().Add(30 * time.Second); time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
		req, err := http.NewRequestWithContext(c.t.Context(), http.MethodGet, "https://"+host+path, nil)
		if err != nil {
			c.t.Fatal(err)
		}
		resp, err := c.http.Do(req)
		if err != nil {
			c.t.Fatal(err)
		}
		raw, err := io.ReadAll(resp.Body)
		_ = resp.Body.Close()
		if err != nil {
			c.t.Fatal(err)
		}
		if said, status = string(raw), resp.StatusCode; fits(status, said) {
			return said
		}
	}
	c.t.Fatalf("%s answers %d %s", path, status, said)
	return ""
}

// tellEnvironment shows what the app has got.
func tellEnvironment(w http.ResponseWriter, _ *http.Request) {
	_ = json.NewEncoder(w).Encode(os.Environ())
}

// theEnvironment is an app's own variables, without those of the platform.
func (c *cloudUnderTest) theEnvironment(name string) map[string]string {
	c.t.Helper()
	var list []string
	if err := json.Unmarshal([]byte(c.asked(name, "/env", func(status int, _ string) bool { return status == http.StatusOK })), &list); err != nil {
		c.t.Fatal(err)
	}
	out := map[string]string{}
	for _, v := range list {
		key, value, _ := strings.Cut(v, "=")
		switch {
		case strings.HasPrefix(key, "CONTAINER_APP_"), strings.HasPrefix(key, "IDENTITY_"):
		case key == "PATH", key == "HOME", key == "LANG", key == "PORT", key == "SSL_CERT_FILE", key == "PWD", key == "SHLVL", key == "_", key == "OLDPWD", key == actAs:
		default:
			out[key] = value
		}
	}
	return out
}

// containerWorld is the whole app as ARM shows it, with its secrets, without the names of
// revisions and what the identity once was.
func (c *cloudUnderTest) containerWorld(name string) string {
	c.t.Helper()
	doc := c.arm("GET", c.containerApp(name), containerVersion, nil).Body
	properties := doc["properties"].(map[string]any)
	delete(properties, "latestRevisionName")
	delete(properties, "latestReadyRevisionName")
	raw, err := json.MarshalIndent([]any{doc, c.arm("POST", c.containerApp(name)+"/listSecrets", containerVersion, nil).Body}, "", " ")
	if err != nil {
		c.t.Fatal(err)
	}
	return string(raw)
}

func (s *connector) containerLinker(app, name string) string {
	return s.cloud.containerApp(app) + "/providers/Microsoft.ServiceLinker/linkers/" + name
}

// inContainer is a linker's body with a scope.
func inContainer(scope string, body map[string]any) map[string]any {
	body["properties"].(map[string]any)["scope"] = scope
	return body
}

func (c *cloudUnderTest) cacheKey() string {
	c.t.Helper()
	return c.arm("POST", c.cache()+"/listKeys", cacheVersion, nil).text("primaryKey")
}

func (s *connector) succeeds(op answer, what string) {
	s.cloud.t.Helper()
	if op.text("status") != "Succeeded" {
		s.cloud.t.Fatalf("%s: %s", what, op.Raw)
	}
}

// TestContainerApp lives two connections of a container app: the app's process sees
// exactly its settings, a redeployment takes them away and repair brings them back, and
// deleting leaves the app as it was, to the byte.
func TestContainerApp(t *testing.T) {
	t.Parallel()
	c := startCloud(t)
	c.makeGroup()
	c.makeCache()
	c.makeAccount()
	s := c.newConnector().start()
	c.makeContainerApp("shop", "Single", "true")
	before, foreign := c.containerWorld("shop"), map[string]string{"FOREIGN": "theirs", "HUSH": "hush"}
	if d := cmp.Diff(foreign, c.theEnvironment("shop")); d != "" {
		t.Fatalf("the app's variables before: %s", d)
	}
	s.succeeds(s.do("PUT", s.containerLinker("shop", "cache"), inContainer("web", cacheByKey(c))), "create cache")
	s.succeeds(s.do("PUT", s.containerLinker("shop", "blob"), blobByIdentity(c)), "create blob")
	with := c.theEnvironment("shop")
	key := url.QueryEscape(strings.TrimRight(c.cacheKey(), "=")) // as it stands in an address
	if !strings.Contains(with["AZURE_REDIS_CONNECTIONSTRING"], key) || with["AZURE_STORAGEBLOB_RESOURCEENDPOINT"] == "" || len(with) != 4 {
		t.Errorf("the app's variables: %v", with)
	}
	c.asked("shop", "/blob", func(status int, _ string) bool { return status == http.StatusOK })
	if raw := c.arm("GET", c.containerApp("shop"), containerVersion, nil).Raw; strings.Contains(string(raw), key) || !strings.Contains(string(raw), `"secretRef":"azure-redis-connectionstring"`) {
		t.Errorf("the app's document: %s", raw)
	}
	for _, name := range []string{"cache", "blob"} {
		s.succeeds(s.do("POST", s.containerLinker("shop", name)+"/validateLinker", nil), "validate "+name)
	}
	c.redeploy(s, with)
	for _, name := range []string{"cache", "blob"} {
		s.succeeds(s.do("DELETE", s.containerLinker("shop", name), nil), "delete "+name)
	}
	if d := cmp.Diff(before, c.containerWorld("shop")); d != "" {
		t.Errorf("the app after all deletes: %s", d)
	}
	if d := cmp.Diff(foreign, c.theEnvironment("shop")); d != "" {
		t.Errorf("the app's variables after all deletes: %s", d)
	}
}

// redeploy puts the app as its owner's template has it, and lets repair find and mend that.
func (c *cloudUnderTest) redeploy(s *connector, with map[string]string) {
	c.t.Helper()
	c.arm("PUT", c.containerApp("shop"), containerVersion, c.containerBody("Single", "true"))
	for _, name := range []string{"cache", "blob"} {
		path := c.containerApp("shop") + "/providers/Patchbay/connections/" + name
		if d := s.call("POST", path+"/drift", nil); d.text("state") != "Drifted" || !strings.Contains(string(d.Raw), `"reason":"missing"`) {
			c.t.Errorf("drift of %s after a redeployment: %s", name, d.Raw)
		}
		s.succeeds(s.do("POST", path+"/repair", nil), "repair "+name)
		if d := s.call("POST", path+"/drift", nil); d.text("state") != "InSync" {
			c.t.Errorf("drift of %s after repair: %s", name, d.Raw)
		}
	}
	if d := cmp.Diff(with, c.theEnvironment("shop")); d != "" {
		c.t.Errorf("the app's variables after repair: %s", d)
	}
	c.asked("shop", "/blob", func(status int, _ string) bool { return status == http.StatusOK })
}

// TestContainerAppThatCannotStart: a revision that does not get ready with the settings
// takes no request, and the create is undone.
func TestContainerAppThatCannotStart(t *testing.T) {
	t.Parallel()
	c := startCloud(t)
	c.makeGroup()
	c.makeCache()
	s := c.newConnector().start()
	for _, mode := range []string{"Single", "Multiple"} {
		name := strings.ToLower(mode)
		c.makeContainerApp(name, mode, `test -z "$AZURE_REDIS_CONNECTIONSTRING"`)
		before := c.containerWorld(name)
		op := s.do("PUT", s.containerLinker(name, "cache"), cacheByKey(c))
		if op.text("status") != "Failed" || !strings.Contains(string(op.Raw), "ARM_OPERATION_FAILED") {
			t.Errorf("%s: %s", mode, op.Raw)
		}
		after := c.containerWorld(name)
		if mode == "Multiple" { // the revision that failed is active and names the secret
			after = c.without(name, "azure-redis-connectionstring", after)
		}
		if d := cmp.Diff(before, after); d != "" {
			t.Errorf("%s, after a create that failed: %s", mode, d)
		}
		if got := c.theEnvironment(name); len(got) != 2 {
			t.Errorf("%s: the app's variables: %v", mode, got)
		}
	}
}

// without is the world after the failed revision's owner has ended it and the secret
// it named, which the platform had not let go before.
func (c *cloudUnderTest) without(name, secret, world string) string {
	c.t.Helper()
	if !strings.Contains(world, secret) {
		return world
	}
	list, _ := c.arm("GET", c.containerApp(name)+"/revisions", containerVersion, nil).at("value").([]any)
	for _, r := range list {
		revision, _ := r.(map[string]any)
		if raw, err := json.Marshal(revision); err != nil || strings.Contains(string(raw), secret) {
			c.arm("POST", fmt.Sprint(revision["id"])+"/deactivate", containerVersion, nil)
		}
	}
	c.arm("PATCH", c.containerApp(name), containerVersion, map[string]any{"properties": map[string]any{"configuration": map[string]any{
		"secrets": []any{map[string]any{"name": "theirs", "value": "hush"}}}}})
	return c.containerWorld(name)
}

// TestContainerAppSideBySide: where revisions run side by side, requests go to the one
// with the settings once it is ready, the one before stays, and so does the mode.
func TestContainerAppSideBySide(t *testing.T) {
	t.Parallel()
	c := startCloud(t)
	c.makeGroup()
	c.makeCache()
	s := c.newConnector().start()
	c.makeContainerApp("shop", "Multiple", "true")
	s.succeeds(s.do("PUT", s.containerLinker("shop", "cache"), cacheByKey(c)), "create")
	if got := c.theEnvironment("shop"); got["AZURE_REDIS_CONNECTIONSTRING"] == "" {
		t.Errorf("the app's variables: %v", got)
	}
	app := c.arm("GET", c.containerApp("shop"), containerVersion, nil)
	traffic, _ := json.Marshal(app.at("properties", "configuration", "ingress", "traffic"))
	if got, want := string(traffic), `[{"latestRevision":true,"weight":100}]`; got != want {
		t.Errorf("traffic %s, want %s", got, want)
	}
	active := 0
	list, _ := c.arm("GET", c.containerApp("shop")+"/revisions", containerVersion, nil).at("value").([]any)
	for _, r := range list {
		if properties, _ := r.(map[string]any)["properties"].(map[string]any); properties["active"] == true {
			active++
		}
	}
	if active != 2 {
		t.Errorf("%d active revisions, want 2", active)
	}
}

// TestContainerThatIsNotThere is refused before anything is written.
func TestContainerThatIsNotThere(t *testing.T) {
	t.Parallel()
	c := startCloud(t)
	c.makeGroup()
	c.makeCache()
	s := c.newConnector().start()
	c.makeContainerApp("shop", "Single", "true")
	before := c.containerWorld("shop")
	a := s.call("PUT", s.containerLinker("shop", "cache"), inContainer("sidecar", cacheByKey(c)))
	if a.Status != http.StatusBadRequest || !strings.Contains(string(a.Raw), "side, web") {
		t.Errorf("%d %s", a.Status, a.Raw)
	}
	if d := cmp.Diff(before, c.containerWorld("shop")); d != "" {
		t.Errorf("something was written: %s", d)
	}
}

// TestContainerAppSecretInVault: the app's secret leads to the vault, which it reads with
// its own identity.
func TestContainerAppSecretInVault(t *testing.T) {
	t.Parallel()
	c := startCloud(t)
	c.makeGroup()
	c.makeCache()
	c.makeVault("kv1", map[string]any{"enableRbacAuthorization": true})
	s := c.newConnector().start()
	c.makeContainerApp("shop", "Single", "true")
	before := c.containerWorld("shop")
	s.succeeds(s.do("PUT", s.containerLinker("shop", "keyvault_abcde"), helper(c.vault("kv1"))), "connect the vault")
	s.succeeds(s.do("PUT", s.containerLinker("shop", "cache"), keptIn(cacheByKey(c), c.vault("kv1"), "")), "connect the cache")
	key := url.QueryEscape(strings.TrimRight(c.cacheKey(), "="))
	if got := c.theEnvironment("shop")["AZURE_REDIS_CONNECTIONSTRING"]; !strings.Contains(got, key) {
		t.Errorf("the app reads %q", got)
	}
	if world := c.containerWorld("shop"); strings.Contains(world, key) || !strings.Contains(world, `"keyVaultUrl": "https://`) {
		t.Errorf("the app and its secrets: %s", world)
	}
	for _, name := range []string{"cache", "keyvault_abcde"} {
		s.succeeds(s.do("DELETE", s.containerLinker("shop", name), nil), "delete "+name)
	}
	if d := cmp.Diff(before, c.containerWorld("shop")); d != "" {
		t.Errorf("the app after all deletes: %s", d)
	}
}

// TestContainerAppCommands: the same commands as for web apps, with a container to name.
func TestContainerAppCommands(t *testing.T) {
	t.Parallel()
	c := startCloud(t)
	c.makeGroup()
	c.makeCache()
	c.makeContainerApp("shop", "Single", "true")
	before, term := c.containerWorld("shop"), c.alone()
	line := func(verb string, more ...string) []string {
		return append(append([]string{"containerapp", "connection"}, strings.Fields(verb)...), append([]string{"-g", "rg1", "-n", "shop"}, more...)...)
	}
	says := func(code int, holds string, args ...string) {
		t.Helper()
		if s := term.run(args...); s.code != code || !strings.Contains(s.out+s.err, holds) {
			t.Errorf("%v: exit %d, want %d and %q\n%s%s", args, s.code, code, holds, s.out, s.err)
		}
	}
	create := func(container string) []string {
		return line("create redis", "--connection", "cache", "--tg", "rg1", "--server", "cache1", "--database", "0", "--secret", "-c", container, "--client-type", "go")
	}
	says(2, "--container side", create("none")...)
	says(0, "AZURE_REDIS_CONNECTIONSTRING", append(create("side"), "--dry-run")...)
	says(0, `"scope": "side"`, append(create("side"), "-o", "json")...)
	says(0, `"cache"`, line("list", "-o", "json")...)
	says(0, "rediss://", line("list-configuration", "--connection", "cache", "-o", "json")...)
	says(0, "success", line("validate", "--connection", "cache", "-o", "json")...)
	says(0, "containerapp", line("list-support-types", "-o", "json")[:3]...)
	says(0, `"scope": "web"`, line("update redis", "--connection", "cache", "--container", "web", "-o", "json")...)
	if got := c.theEnvironment("shop")["AZURE_REDIS_CONNECTIONSTRING"]; !strings.HasPrefix(got, "rediss://") {
		t.Errorf("after the settings moved to the other container it has %q", got)
	}
	says(0, "", line("delete", "--connection", "cache", "--yes")...)
	if d := cmp.Diff(before, c.containerWorld("shop")); d != "" {
		t.Errorf("the app after delete: %s", d)
	}
	says(3, "containerapp connection", line("show", "--connection", "cache")...)
}

// TestContainerAppDatabase: the app visits a database as its own identity, of which the
// server wants the client id.
func TestContainerAppDatabase(t *testing.T) {
	t.Parallel()
	c := startCloud(t)
	c.makeGroup()
	c.makeMySQL()
	s := c.newConnector().start()
	c.makeContainerApp("shop", "Single", "true")
	s.succeeds(s.do("PUT", s.containerLinker("shop", "db"), mysqlByIdentity(c)), "create")
	c.asked("shop", "/mysql", func(status int, said string) bool {
		return status == http.StatusOK && strings.Contains(said, `"Count":`)
	})
	s.succeeds(s.do("DELETE", s.containerLinker("shop", "db"), nil), "delete")
}
