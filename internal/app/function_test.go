package app

import (
	"maps"
	"slices"
	"strings"
	"testing"
)

func (c *cloudUnderTest) makeFunctionApp(name string, settings map[string]string) {
	c.t.Helper()
	c.arm("PUT", c.site(name), siteVersion, map[string]any{"location": "westeurope", "kind": "functionapp,linux", "properties": map[string]any{}})
	c.putSettings(name, settings)
}

// synced counts how often the platform was told to read a function app's triggers.
func (c *cloudUnderTest) synced(name string) int {
	n := 0
	for _, r := range c.requests() {
		if strings.HasSuffix(strings.ToLower(r.Path), "/sites/"+name+"/syncfunctiontriggers") {
			n++
		}
	}
	return n
}

// TestTriggersAreReadAnew: each write of a function app's settings is followed by one
// call, a web app's by none; when the call fails the connection stands and says so.
func TestTriggersAreReadAnew(t *testing.T) {
	t.Parallel()
	c := startCloud(t)
	c.makeGroup()
	c.makeSite("web1", map[string]string{"A": "1"})
	c.makeFunctionApp("fun1", map[string]string{"AzureWebJobsStorage": "theirs"})
	c.makeFunctionApp("fun2", map[string]string{"A": "1"})
	c.makeCache()
	s := c.newConnector().start()
	for _, step := range []struct {
		method, site string
		want         int
	}{{"PUT", "fun1", 1}, {"PUT", "fun1", 0}, {"DELETE", "fun1", 1}, {"PUT", "web1", 0}, {"DELETE", "web1", 0}} {
		c.forget()
		var linker map[string]any
		if step.method == "PUT" {
			linker = cacheByKey(c)
		}
		if op := s.do(step.method, s.linker(step.site, "cache"), linker); op.text("status") != "Succeeded" {
			t.Fatalf("%s on %s: %s", step.method, step.site, op.Raw)
		}
		if got := c.synced(step.site); got != step.want {
			t.Errorf("%s on %s told the platform %d times, want %d", step.method, step.site, got, step.want)
		}
	}
	if got := c.settings("fun1"); !maps.Equal(got, map[string]string{"AzureWebJobsStorage": "theirs"}) {
		t.Errorf("settings after all: %v", got)
	}
	c.faults(map[string]any{"method": "POST", "path": "(?i)/syncfunctiontriggers$", "status": 400, "times": 100})
	op := s.do("PUT", s.linker("fun2", "cache"), cacheByKey(c))
	if op.text("status") != "Succeeded" || !strings.Contains(string(op.Raw), "did not read the triggers of fun2 anew") {
		t.Errorf("create where the call fails: %s", op.Raw)
	}
	if c.settings("fun2")["AZURE_REDIS_CONNECTIONSTRING"] == "" {
		t.Error("the settings went although only the triggers were not read")
	}
}

// TestSettingsOfBindings makes connections with --binding: what the runtime reads is there
// under the names it expects, and nothing is left after the delete.
func TestSettingsOfBindings(t *testing.T) {
	t.Parallel()
	c := startCloud(t)
	c.makeGroup()
	c.makeFunctionApp("fun1", map[string]string{"FUNCTIONS_EXTENSION_VERSION": "~4"})
	c.makeAccount()
	signal := c.group() + "/providers/Microsoft.SignalRService/SignalR/sig1"
	c.arm("PUT", signal, "2024-03-01", map[string]any{"location": "westeurope", "sku": map[string]any{"name": "Free_F1", "capacity": 1}, "properties": map[string]any{}})
	host := c.arm("GET", signal, "2024-03-01", nil).text("properties", "hostName")
	user := c.group() + "/providers/Microsoft.ManagedIdentity/userAssignedIdentities/who"
	client := c.arm("PUT", user, "2023-01-31", map[string]any{"location": "westeurope"}).text("properties", "clientId")
	endpoint := func(service string) string {
		return c.arm("GET", c.account(), accountVersion, nil).text("properties", "primaryEndpoints", service)
	}
	term := c.newConnector().start().terminal()
	for _, k := range []struct {
		words string
		want  map[string]string // of the settings that come, secrets by their beginning
		warns bool
	}{
		{"storage-blob --system-identity --binding In", map[string]string{"In__serviceUri": endpoint("blob"), "In__credential": "managedidentity"}, false},
		{"storage-blob --secret --binding In", map[string]string{"In": "DefaultEndpointsProtocol=https;AccountName=store1;"}, false},
		{"storage-blob --system-identity --binding In --shared-binding", map[string]string{"In__blobServiceUri": endpoint("blob"), "In__credential": "managedidentity"}, false},
		{"storage-queue --user-identity client-id=" + client + " subs-id=" + c.ready.SubscriptionID + " --binding AzureWebJobsStorage",
			map[string]string{"AzureWebJobsStorage__queueServiceUri": endpoint("queue"), "AzureWebJobsStorage__credential": "managedidentity", "AzureWebJobsStorage__clientId": client}, true},
		{"signalr --signalr sig1 --system-identity --binding Hub", map[string]string{"Hub__serviceUri": "https://" + host, "Hub__credential": "managedidentity",
			"AZURE_SIGNALR_CONNECTIONSTRING": "Endpoint=https://" + host + ";AuthType=aad;"}, false},
	} {
		target := []string{"--account", "store1"}
		if strings.HasPrefix(k.words, "signalr") {
			target = nil
		}
		args := slices.Concat([]string{"create"}, strings.Fields(k.words), target, []string{"-g", "rg1", "-n", "fun1", "--tg", "rg1", "--connection", "x", "--yes"})
		made := term.run(append([]string{"functionapp", "connection"}, args...)...)
		if made.code != 0 {
			t.Fatalf("%s: %d %s", k.words, made.code, made.err)
		}
		if strings.Contains(made.err, "warning: this writes AzureWebJobsStorage") != k.warns {
			t.Errorf("%s said: %s", k.words, made.err)
		}
		got := c.settings("fun1")
		delete(got, "FUNCTIONS_EXTENSION_VERSION")
		if !slices.Equal(names(got), names(k.want)) {
			t.Errorf("%s: settings %v, want %v", k.words, names(got), names(k.want))
		}
		for name, want := range k.want {
			if !strings.HasPrefix(got[name], want) || want == "" {
				t.Errorf("%s: %s is %q, want %q", k.words, name, got[name], want)
			}
		}
		if gone := term.run("functionapp", "connection", "delete", "-g", "rg1", "-n", "fun1", "--connection", "x", "--yes"); gone.code != 0 {
			t.Fatalf("delete: %d %s", gone.code, gone.err)
		}
		if got := names(c.settings("fun1")); !slices.Equal(got, []string{"FUNCTIONS_EXTENSION_VERSION"}) {
			t.Errorf("settings after the delete: %v", got)
		}
	}
}
