package localcloud_test

import (
	"encoding/json"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/patchbay/patchbay/internal/localcloud"
)

func TestSettingsWriteReplacesTheMap(t *testing.T) {
	t.Parallel()
	w := start(t)
	cases := []struct {
		name  string
		write func(site string) answer
		want  doc
	}{
		{"put of config", func(s string) answer {
			return w.call("PUT", s+"/config/appsettings", webAPI, doc{"properties": doc{"B": "2"}})
		}, doc{"B": "2"}},
		{"put in other case of the path", func(s string) answer {
			return w.call("PUT", strings.ToUpper(s)+"/CONFIG/appSettings", webAPI, doc{"properties": doc{"b": "3"}})
		}, doc{"b": "3"}},
		{"empty put", func(s string) answer { return w.call("PUT", s+"/config/appsettings", webAPI, doc{"properties": doc{}}) }, doc{}},
		{"put of site with settings", func(s string) answer {
			return w.call("PUT", s, webAPI, doc{"location": "westeurope", "properties": doc{"siteConfig": doc{"appSettings": []doc{{"name": "C", "value": "4"}}}}})
		}, doc{"C": "4"}},
		{"patch of site with settings", func(s string) answer {
			return w.call("PATCH", s, webAPI, doc{"properties": doc{"siteConfig": doc{"appSettings": []doc{{"name": "D", "value": "5"}}}}})
		}, doc{"D": "5"}},
		{"put of site without settings", func(s string) answer { return w.call("PUT", s, webAPI, doc{"location": "westeurope"}) }, doc{"A": "1", "keep": "x"}},
		{"patch of site without settings", func(s string) answer { return w.call("PATCH", s, webAPI, doc{"tags": doc{"a": "b"}}) }, doc{"A": "1", "keep": "x"}},
		{"numbers and booleans", func(s string) answer {
			return w.call("PUT", s+"/config/appsettings", webAPI, doc{"properties": doc{"N": 1.5, "T": true}})
		}, doc{"N": "1.5", "T": "true"}},
	}
	for n, c := range cases {
		site := w.newSite("replace"+string(rune('a'+n)), nil)
		w.must(200, "PUT", site+"/config/appsettings", webAPI, doc{"properties": doc{"A": "1", "keep": "x"}})
		if a := c.write(site); a.status != 200 {
			t.Errorf("%s: %d %s", c.name, a.status, a.raw)
		}
		if d := cmp.Diff(c.want, w.settings(site)); d != "" {
			t.Errorf("%s: %s", c.name, d)
		}
	}
}

func TestSettingsRefusals(t *testing.T) {
	t.Parallel()
	w := start(t)
	site := w.newSite("refuse", nil)
	w.must(200, "PUT", site+"/config/appsettings", webAPI, doc{"properties": doc{"A": "1"}})
	cases := []struct {
		name, method, path string
		body               any
		status             int
		code               string
	}{
		{"names differing in case", "PUT", "/config/appsettings", doc{"properties": doc{"a": "1", "A": "2"}}, 409, "Conflict"},
		{"names differing in case in a site", "PATCH", "", doc{"properties": doc{"siteConfig": doc{"appSettings": []doc{{"name": "x", "value": "1"}, {"name": "X", "value": "2"}}}}}, 409, "Conflict"},
		{"connection strings differing in case", "PUT", "/config/connectionstrings", doc{"properties": doc{"a": doc{"value": "1", "type": "Custom"}, "A": doc{"value": "1", "type": "Custom"}}}, 409, "Conflict"},
		{"no properties", "PUT", "/config/appsettings", doc{}, 400, "BadRequest"},
		{"value is an object", "PUT", "/config/appsettings", doc{"properties": doc{"a": doc{}}}, 400, "BadRequest"},
		{"unknown config", "PUT", "/config/nothing", doc{"properties": doc{}}, 404, "NotFound"},
		{"values do not show in a GET", "GET", "/config/appsettings", nil, 405, "MethodNotAllowed"},
		{"no partial write", "PATCH", "/config/appsettings", doc{"properties": doc{"B": "1"}}, 405, "MethodNotAllowed"},
		{"command with an open quote", "PATCH", "", doc{"properties": doc{"siteConfig": doc{"appCommandLine": "run 'x"}}}, 400, "BadRequest"},
		{"plan that is not there", "PATCH", "", doc{"properties": doc{"serverFarmId": w.group + "/providers/Microsoft.Web/serverfarms/none"}}, 404, "NotFound"},
		{"unknown identity type", "PATCH", "", doc{"identity": doc{"type": "Any"}}, 400, "InvalidIdentityType"},
		{"settings of a missing site", "PUT", "-missing/config/appsettings", doc{"properties": doc{}}, 404, "ParentResourceNotFound"},
		{"list of a missing site", "POST", "-missing/config/appsettings/list", nil, 404, "ResourceNotFound"},
	}
	for _, c := range cases {
		a := w.call(c.method, site+c.path, webAPI, c.body)
		if a.status != c.status || a.code() != c.code {
			t.Errorf("%s: %d %s, want %d %s", c.name, a.status, a.raw, c.status, c.code)
		}
	}
	if d := cmp.Diff(doc{"A": "1"}, w.settings(site)); d != "" {
		t.Errorf("a refused write left a trace: %s", d)
	}
}

func TestSettingsNeverShowInAGet(t *testing.T) {
	t.Parallel()
	w := start(t)
	site := w.newSite("hidden", doc{"properties": doc{"siteConfig": doc{"linuxFxVersion": "PYTHON|3.11", "appSettings": []doc{{"name": "K", "value": "canary-1"}},
		"connectionStrings": []doc{{"name": "db", "connectionString": "canary-2", "type": "PostgreSQL"}}}}})
	for _, path := range []string{site, site + "/config/web", site + "/config", w.group + "/providers/Microsoft.Web/sites", w.group + "/resources"} {
		version := webAPI
		if strings.HasSuffix(path, "/resources") {
			version = coreAPI
		}
		a := w.must(200, "GET", path, version, nil)
		if strings.Contains(a.raw, "canary") {
			t.Errorf("GET %s shows a value: %s", path, a.raw)
		}
	}
	got := w.must(200, "GET", site, webAPI, nil).body
	if v, has := at(got, "properties", "siteConfig").(map[string]any)["appSettings"]; !has || v != nil {
		t.Errorf("siteConfig.appSettings is %v, want null", v)
	}
	if v := at(w.must(200, "GET", site+"/config/web", webAPI, nil).body, "properties", "linuxFxVersion"); v != "PYTHON|3.11" {
		t.Errorf("linuxFxVersion is %v", v)
	}
	list := w.must(200, "POST", site+"/config/connectionstrings/list", webAPI, nil)
	if d := cmp.Diff(doc{"db": doc{"value": "canary-2", "type": "PostgreSQL"}}, at(list.body, "properties")); d != "" {
		t.Error(d)
	}
}

func TestSlotConfigNames(t *testing.T) {
	t.Parallel()
	w := start(t)
	site := w.newSite("sticky", nil)
	for _, want := range []any{[]any{"A", "B"}, []any{"C"}} {
		w.must(200, "PUT", site+"/config/slotConfigNames", webAPI, doc{"properties": doc{"appSettingNames": want}})
		got := w.must(200, "GET", site+"/config/slotconfignames", webAPI, nil)
		if d := cmp.Diff(want, at(got.body, "properties", "appSettingNames")); d != "" {
			t.Error(d)
		}
	}
	w.must(200, "PUT", site+"/slots/blue", webAPI, doc{})
	w.refused(404, "NotFound", "GET", site+"/slots/blue/config/slotConfigNames", webAPI, nil)
	w.must(200, "PUT", site+"/slots/blue/config/appsettings", webAPI, doc{"properties": doc{"S": "1"}})
	if len(w.settings(site)) != 0 || w.settings(site + "/slots/blue")["S"] != "1" {
		t.Error("settings of a slot are not its own")
	}
}

func TestIdentityChanges(t *testing.T) {
	t.Parallel()
	w := start(t)
	var users []string
	for _, name := range []string{"u1", "U2"} {
		user := w.group + "/providers/Microsoft.ManagedIdentity/userAssignedIdentities/" + name
		w.must(201, "PUT", user, idAPI, doc{"location": "westeurope"})
		users = append(users, user)
	}
	system, both, none := doc{"type": "SystemAssigned"}, "SystemAssigned, UserAssigned", doc{"type": "None"}
	type step struct {
		method  string
		body    doc
		kind    any // nil: no identity
		users   int
		renewed bool // the principal differs from the last one seen
	}
	cases := map[string][]step{
		"off by None and on again": {{"PATCH", doc{"identity": system}, "SystemAssigned", 0, true}, {"PATCH", doc{"identity": system}, "SystemAssigned", 0, false},
			{"PATCH", doc{"identity": none}, nil, 0, false}, {"PATCH", doc{"identity": system}, "SystemAssigned", 0, true}},
		"off by null on PATCH": {{"PATCH", doc{"identity": system}, "SystemAssigned", 0, true}, {"PATCH", doc{"identity": nil}, nil, 0, false}, {"PUT", doc{"identity": system}, "SystemAssigned", 0, true}},
		"off by null on PUT":   {{"PUT", doc{"identity": system}, "SystemAssigned", 0, true}, {"PUT", doc{"identity": nil}, nil, 0, false}},
		"off by the form of other clients": {{"PUT", doc{"identity": system}, "SystemAssigned", 0, true},
			{"PUT", doc{"identity": doc{"type": "None", "userAssignedIdentities": nil}}, nil, 0, false}},
		"PUT without identity keeps it": {{"PUT", doc{"identity": system}, "SystemAssigned", 0, true}, {"PUT", doc{}, "SystemAssigned", 0, false}},
		"union": {{"PATCH", doc{"identity": doc{"type": "UserAssigned", "userAssignedIdentities": doc{users[0]: doc{}}}}, "UserAssigned", 1, false},
			{"PATCH", doc{"identity": doc{"type": both, "userAssignedIdentities": doc{users[1]: doc{}}}}, both, 2, true},
			{"PATCH", doc{"identity": doc{"type": "SystemAssigned,UserAssigned", "userAssignedIdentities": doc{strings.ToUpper(users[0]): nil}}}, both, 1, false},
			{"PATCH", doc{"identity": system}, "SystemAssigned", 0, false}},
	}
	n := 0
	for name, steps := range cases {
		n++
		site := w.newSite("ident"+string(rune('a'+n)), nil)
		last := ""
		for k, s := range steps {
			s.body["location"] = "westeurope"
			got := w.must(200, s.method, site, webAPI, s.body).body
			if d := cmp.Diff(s.kind, at(got, "identity", "type")); d != "" {
				t.Errorf("%s, step %d: %s", name, k, d)
			}
			attached, _ := at(got, "identity", "userAssignedIdentities").(map[string]any)
			principal, _ := at(got, "identity", "principalId").(string)
			if len(attached) != s.users || principal != "" && last != "" && (principal != last) != s.renewed {
				t.Errorf("%s, step %d: identity %v, principal before %s", name, k, got["identity"], last)
			}
			if principal != "" {
				last = principal
			}
		}
	}
}

func TestDefaultIdentityLookup(t *testing.T) {
	t.Parallel()
	w := start(t)
	site := w.newSite("lookup", doc{"identity": doc{"type": "SystemAssigned"}})
	path := site + "/providers/Microsoft.ManagedIdentity/identities/default"
	got := w.must(200, "GET", path, idAPI, nil).body
	principal := at(w.must(200, "GET", site, webAPI, nil).body, "identity", "principalId")
	if at(got, "properties", "principalId") != principal || at(got, "properties", "clientId") == "" {
		t.Errorf("identities/default is %v, the site's principal %v", got, principal)
	}
	w.must(200, "PATCH", site, webAPI, doc{"identity": nil})
	w.refused(404, "ResourceNotFound", "GET", path, idAPI, nil)
}

// dumpWord makes the test binary an app that writes its environment into a file of
// its home, then stays.
const dumpWord = "dump-environment"

func TestMain(m *testing.M) {
	if len(os.Args) == 2 && os.Args[1] == dumpWord {
		home := os.Getenv("HOME")
		if err := os.WriteFile(home+"/new", []byte(strings.Join(os.Environ(), "\x00")), 0o600); err == nil {
			_ = os.Rename(home+"/new", home+"/env")
		}
		time.Sleep(time.Hour)
	}
	os.Exit(m.Run())
}

func appDump() string {
	self, _ := os.Executable()
	line, _ := json.Marshal([]string{self, dumpWord})
	return string(line)
}

// environmentOf reads what the running process was started with.
func (w *world) environmentOf(name string) map[string]string {
	w.t.Helper()
	env := map[string]string{}
	until(w.t, name+" runs", func() bool {
		st := w.call("GET", "/_local/sites/"+name, "", nil)
		log, _ := st.body["logFile"].(string)
		raw, err := os.ReadFile(filepath.Join(filepath.Dir(log), "home", "env"))
		for _, line := range strings.Split(string(raw), "\x00") {
			if k, v, ok := strings.Cut(line, "="); ok {
				env[k] = v
			}
		}
		return err == nil && st.body["running"] == true && len(env) > 0
	})
	return env
}

func TestSiteRunsWithExactlyItsEnvironment(t *testing.T) {
	t.Parallel()
	w := start(t)
	site := w.newSite("runner", doc{"identity": doc{"type": "SystemAssigned"}, "properties": doc{"siteConfig": doc{"appCommandLine": appDump(),
		"appSettings":       []doc{{"name": "Db__Host", "value": "h;o\"s t"}, {"name": "spring.url", "value": "dots"}, {"name": "a=b", "value": "cannot"}, {"name": "PORT", "value": "1"}},
		"connectionStrings": []doc{{"name": "main", "connectionString": "Host=x", "type": "PostgreSQL"}}}}})
	env := w.environmentOf("runner")
	want := []string{"Db__Host", "HOME", "IDENTITY_ENDPOINT", "IDENTITY_HEADER", "LANG", "PATH", "PORT", "POSTGRESQLCONNSTR_main", "SSL_CERT_FILE", "spring.url"}
	for _, k := range want {
		delete(env, k)
	}
	if len(env) != 0 {
		t.Errorf("the process has more than its own: %v", env)
	}
	env = w.environmentOf("runner")
	host := at(w.must(200, "GET", site, webAPI, nil).body, "properties", "defaultHostName").(string)
	for k, v := range map[string]string{"Db__Host": "h;o\"s t", "spring.url": "dots", "POSTGRESQLCONNSTR_main": "Host=x",
		"PORT": host[strings.LastIndexByte(host, ':')+1:], "SSL_CERT_FILE": w.ready.CAFile} {
		if env[k] != v {
			t.Errorf("%s is %q, want %q", k, env[k], v)
		}
	}
}

func TestManagedIdentityEndpoint(t *testing.T) {
	t.Parallel()
	w := start(t)
	user := w.group + "/providers/Microsoft.ManagedIdentity/userAssignedIdentities/uid"
	made := w.must(201, "PUT", user, idAPI, doc{"location": "westeurope"}).body
	site := w.newSite("tokens", doc{"identity": doc{"type": "SystemAssigned, UserAssigned", "userAssignedIdentities": doc{user: doc{}}},
		"properties": doc{"siteConfig": doc{"appCommandLine": appDump()}}})
	env := w.environmentOf("tokens")
	own := at(w.must(200, "GET", site, webAPI, nil).body, "identity", "principalId").(string)
	clientID := at(made, "properties", "clientId").(string)
	ask := func(query, header string) (int, doc) {
		req, _ := http.NewRequest("GET", env["IDENTITY_ENDPOINT"]+query, nil)
		req.Header.Set("X-IDENTITY-HEADER", header)
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		raw, _ := io.ReadAll(resp.Body)
		var body doc
		_ = json.Unmarshal(raw, &body)
		return resp.StatusCode, body
	}
	const query = "?api-version=2019-08-01&resource=https://db.example"
	cases := []struct {
		name, query, header, principal string
		status                         int
	}{
		{"own", query, env["IDENTITY_HEADER"], own, 200},
		{"user-assigned", query + "&client_id=" + clientID, env["IDENTITY_HEADER"], at(made, "properties", "principalId").(string), 200},
		{"user-assigned by id", query + "&mi_res_id=" + strings.ToUpper(user), env["IDENTITY_HEADER"], at(made, "properties", "principalId").(string), 200},
		{"unknown client", query + "&client_id=x", env["IDENTITY_HEADER"], "", 400},
		{"wrong header", query, "guess", "", 401},
		{"no resource", "?api-version=2019-08-01", env["IDENTITY_HEADER"], "", 400},
		{"no version", "?resource=x", env["IDENTITY_HEADER"], "", 400},
	}
	for _, c := range cases {
		status, body := ask(c.query, c.header)
		if status != c.status {
			t.Errorf("%s: %d %v, want %d", c.name, status, body, c.status)
			continue
		}
		if c.principal == "" {
			continue
		}
		claims, err := w.cloud.Directory().Verify(body["access_token"].(string), "https://db.example")
		if err != nil || claims.ObjectID != c.principal {
			t.Errorf("%s: token of %s (%v), want %s", c.name, claims.ObjectID, err, c.principal)
		}
	}
	w.must(200, "PATCH", site, webAPI, doc{"identity": nil})
	env = w.environmentOf("tokens")
	if status, body := ask(query, env["IDENTITY_HEADER"]); status != 400 {
		t.Errorf("a site without identity got %d %v", status, body)
	}
}

func TestWritesRestartTheApp(t *testing.T) {
	t.Parallel()
	w := start(t)
	site := w.newSite("restart", doc{"properties": doc{"siteConfig": doc{"appCommandLine": `["/bin/sleep", "600"]`}}})
	pid := func() (n float64) {
		st := w.must(200, "GET", "/_local/sites/restart", "", nil)
		n, _ = st.body["pid"].(float64)
		return n
	}
	cases := []struct {
		name, method, path string
		body               doc
		restarts           bool
	}{
		{"settings", "PUT", "/config/appsettings", doc{"properties": doc{"A": "1"}}, true},
		{"the same settings", "PUT", "/config/appsettings", doc{"properties": doc{"A": "1"}}, true},
		{"identity", "PATCH", "", doc{"identity": doc{"type": "SystemAssigned"}}, true},
		{"tags", "PATCH", "", doc{"tags": doc{"a": "b"}}, false},
		{"sticky names", "PUT", "/config/slotConfigNames", doc{"properties": doc{"appSettingNames": []string{"A"}}}, false},
		{"restart", "POST", "/restart", nil, true},
	}
	for _, c := range cases {
		before := pid()
		var body any
		if c.body != nil {
			body = c.body
		}
		w.must(200, c.method, site+c.path, webAPI, body)
		if after := pid(); after == 0 || (after != before) != c.restarts {
			t.Errorf("%s: process %v, before %v; restart wanted: %v", c.name, after, before, c.restarts)
		}
	}
	w.must(200, "POST", site+"/stop", webAPI, nil)
	if pid() != 0 {
		t.Error("a stopped site runs")
	}
	w.must(200, "POST", site+"/start", webAPI, nil)
	running := int(pid())
	w.must(200, "DELETE", site, webAPI, nil)
	until(t, "the process is gone", func() bool { _, err := os.Stat("/proc/" + itoa(running)); return err != nil })
}

func TestAppThatEndsIsStartedAgain(t *testing.T) {
	t.Parallel()
	w := start(t)
	w.newSite("crash", doc{"properties": doc{"siteConfig": doc{"appCommandLine": "/bin/false"}}})
	until(t, "the app was started twice", func() bool {
		n, _ := w.must(200, "GET", "/_local/sites/crash", "", nil).body["starts"].(float64)
		return n >= 2
	})
}

func TestSitesSurviveARestart(t *testing.T) {
	t.Parallel()
	data := t.TempDir()
	keep := func(c *localcloud.Config) { c.Data = data }
	w := start(t, keep)
	site := w.newSite("again", doc{"identity": doc{"type": "SystemAssigned"}, "properties": doc{"siteConfig": doc{"appCommandLine": "/bin/sleep 600", "appSettings": []doc{{"name": "A", "value": "1"}}}}})
	before := w.must(200, "GET", site, webAPI, nil).body
	first := w.ready
	w.close()
	w = open(t, keep)
	if w.ready.SubscriptionID != first.SubscriptionID || w.ready.ClientSecret != first.ClientSecret || w.ready.TenantID != first.TenantID {
		t.Error("the cloud came back as another")
	}
	after := w.must(200, "GET", site, webAPI, nil).body
	if d := cmp.Diff(before, after); d != "" {
		t.Error(d)
	}
	if d := cmp.Diff(doc{"A": "1"}, w.settings(site)); d != "" {
		t.Error(d)
	}
	until(t, "the app runs again", func() bool {
		return w.must(200, "GET", "/_local/sites/again", "", nil).body["running"] == true
	})
}

func TestSiteNamesAreUnique(t *testing.T) {
	t.Parallel()
	w := start(t)
	w.newSite("Unique", nil)
	other := "/subscriptions/" + w.ready.SubscriptionID + "/resourceGroups/rg2"
	w.must(201, "PUT", other, coreAPI, doc{"location": "westeurope"})
	w.refused(409, "Conflict", "PUT", other+"/providers/Microsoft.Web/sites/uniquE", webAPI, doc{"location": "westeurope"})
	for name, want := range map[string]bool{"uniquE": false, "free": true, "not_valid": false} {
		path := "/subscriptions/" + w.ready.SubscriptionID + "/providers/Microsoft.Web/checknameavailability"
		if got := w.must(200, "POST", path, webAPI, doc{"name": name, "type": "Site"}).body["nameAvailable"]; got != want {
			t.Errorf("%s is available: %v", name, got)
		}
	}
	w.refused(400, "LocationRequired", "PUT", other+"/providers/Microsoft.Web/sites/else", webAPI, doc{})
	w.refused(400, "BadRequest", "PUT", other+"/providers/Microsoft.Web/sites/else_", webAPI, doc{"location": "westeurope"})
}

func itoa(n int) string { raw, _ := json.Marshal(n); return string(raw) }
