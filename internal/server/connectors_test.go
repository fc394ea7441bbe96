package server_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/patchbay/patchbay/internal/api"
	"github.com/patchbay/patchbay/internal/connection"
	"github.com/patchbay/patchbay/internal/engine"
	"github.com/patchbay/patchbay/internal/problem"
	"github.com/patchbay/patchbay/internal/server"
)

const (
	ourGroup  = "/subscriptions/11111111-1111-1111-1111-111111111111/resourceGroups/Rg"
	location  = ourGroup + "/providers/Microsoft.ServiceLinker/locations/westeurope"
	connector = location + "/connectors/Db_1"
	person    = `{"properties": {"targetService": {"type": "AzureResource", "id": "/subscriptions/s/resourceGroups/g/providers/Microsoft.DBforPostgreSQL/flexibleServers/pg/databases/shop"},
		"authInfo": {"authType": "userAccount"}, "clientType": "python", "publicNetworkSolution": {"firewallRules": {"callerClientIP": "true"}}}}`
	newest = "?api-version=" + string(api.Newest)
)

func TestConnectorLife(t *testing.T) {
	t.Parallel()
	h := build(t, nil)
	a := h.call(http.MethodPut, connector+newest, person)
	if a.status != http.StatusCreated || a.at("type") != api.ConnectorType || a.at("properties", "provisioningState") != "Accepted" || a.header.Get("Location") != "" {
		t.Fatalf("PUT: %d %s", a.status, a.raw)
	}
	made := h.engine.last().Connection
	if made.Source != connector || made.Name != "Db_1" || made.Properties.Auth.PrincipalID != "oid-1" {
		t.Errorf("the engine gets %+v %+v", made, made.Properties.Auth)
	}
	h.engine.end("Succeeded", nil)
	if a := h.call(http.MethodGet, strings.ToLower(connector)+newest, ""); a.status != 200 || a.at("id") != connector || a.at("properties", "publicNetworkSolution", "action") != "enable" {
		t.Errorf("GET: %d %s", a.status, a.raw)
	}
	if a := h.call(http.MethodGet, location+"/connectors"+newest, ""); a.status != 200 || len(a.body["value"].([]any)) != 1 {
		t.Errorf("LIST: %d %s", a.status, a.raw)
	}
	if a := h.call(http.MethodGet, strings.Replace(location, "westeurope", "eastus", 1)+"/connectors"+newest, ""); a.status != 200 || len(a.body["value"].([]any)) != 0 {
		t.Errorf("LIST elsewhere: %d %s", a.status, a.raw)
	}
	if a := h.call(http.MethodPatch, connector+newest, `{"properties": {"clientType": "go"}}`); a.status != http.StatusAccepted || a.at("properties", "clientType") != "go" {
		t.Errorf("PATCH: %d %s", a.status, a.raw)
	}
	h.engine.end("Succeeded", nil)
	if a := h.call(http.MethodPost, connector+"/validate"+newest, ""); a.status != http.StatusAccepted || a.header.Get("Location") == "" {
		t.Errorf("validate: %d %s", a.status, a.raw)
	}
	h.engine.end("Succeeded", nil)
	h.engine.prompt = true
	if a := h.call(http.MethodDelete, connector+newest, ""); a.status != http.StatusOK || a.raw != "" {
		t.Errorf("DELETE: %d %s", a.status, a.raw)
	}
	if a := h.call(http.MethodDelete, connector+newest, ""); a.status != http.StatusNoContent {
		t.Errorf("DELETE of nothing: %d %s", a.status, a.raw)
	}
}

// TestConnectorDeleteTakesLong: who would rather not wait is not kept, who waits too long
// is told where to look, and a failure is an error.
func TestConnectorDeleteTakesLong(t *testing.T) {
	t.Parallel()
	for name, row := range map[string]struct {
		prefer string
		end    string
		status int
	}{
		"respond-async": {"respond-async, wait=100", "", http.StatusAccepted},
		"too long":      {"", "", http.StatusAccepted},
		"failed":        {"", "Failed", http.StatusConflict},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := build(t, func(c *server.Config) {
				c.Linger = 20 * time.Millisecond
				if row.end != "" {
					c.Linger = time.Minute
				}
			})
			h.call(http.MethodPut, connector+newest, person)
			h.engine.end("Succeeded", nil)
			ended := make(chan struct{})
			go func() {
				defer close(ended)
				for row.end != "" && h.engine.newest().Verb != engine.VerbDelete {
					time.Sleep(time.Millisecond)
				}
				if row.end != "" {
					h.engine.end(engine.Status(row.end), func(op *engine.Operation) {
						op.Problem = &connection.Problem{Code: string(problem.Remainder), Message: "the rest stays", Resource: connector}
					})
				}
			}()
			r := sent(t, http.MethodDelete, connector+newest, "")
			r.Header.Set("Prefer", row.prefer)
			a := h.send(r)
			<-ended
			if a.status != row.status || row.status == http.StatusAccepted && a.header.Get("Azure-AsyncOperation") == "" {
				t.Errorf("answered %d %v %s", a.status, a.header, a.raw)
			}
		})
	}
}

func TestConnectorRights(t *testing.T) {
	t.Parallel()
	for action, call := range map[string]func(*house) answer{
		"read":                          func(h *house) answer { return h.call(http.MethodGet, connector+newest, "") },
		"write":                         func(h *house) answer { return h.call(http.MethodPut, connector+newest, person) },
		"delete":                        func(h *house) answer { return h.call(http.MethodDelete, connector+newest, "") },
		"validate/action":               func(h *house) answer { return h.call(http.MethodPost, connector+"/validate"+newest, "") },
		"generateConfigurations/action": func(h *house) answer { return h.call(http.MethodPost, connector+"/generateConfigurations"+newest, "") },
	} {
		h := build(t, nil)
		h.call(http.MethodPut, connector+newest, person)
		h.engine.end("Succeeded", nil)
		h.rights.deny("Microsoft.ServiceLinker/locations/connectors/"+action, ourGroup)
		h.expect(call(h), http.StatusForbidden, "AuthorizationFailed", string(problem.CallerLacksRight))
	}
	h := build(t, nil)
	h.rights.deny("Microsoft.ServiceLinker/locations/connectors/read", ourGroup)
	h.expect(h.call(http.MethodGet, location+"/connectors"+newest, ""), http.StatusForbidden, "AuthorizationFailed", string(problem.CallerLacksRight))
}

// TestCallerAddress: the address let in is where the request comes from, or, for callers
// on this machine, where this machine's traffic comes from.
func TestCallerAddress(t *testing.T) {
	t.Parallel()
	for remote, want := range map[string]string{"203.0.113.7:4711": "203.0.113.7", "127.0.0.1:4711": "198.51.100.1", "[::1]:4711": "198.51.100.1",
		"[::ffff:203.0.113.8]:1": "203.0.113.8", "in-process": "198.51.100.1"} {
		h := build(t, func(c *server.Config) { c.Here = "198.51.100.1" })
		r := sent(t, http.MethodPut, connector+newest, person)
		r.RemoteAddr = remote
		r.Header.Set("X-Forwarded-For", "192.0.2.66")
		if a := h.send(r); a.status != http.StatusCreated || strings.Contains(a.raw, want) {
			t.Errorf("%s: %d %s", remote, a.status, a.raw)
		}
		if got := h.engine.last().Connection.Properties.PublicNetwork.CallerAddress; got != want {
			t.Errorf("%s: %q is let in, want %q", remote, got, want)
		}
	}
}

// TestPersonBehindAnApplication: who signs in as an application is told to the engine as one.
func TestPersonBehindAnApplication(t *testing.T) {
	t.Parallel()
	for id, want := range map[string]string{"": "ServicePrincipal", "OID-1": "ServicePrincipal", "oid-2": ""} {
		h := build(t, func(c *server.Config) { c.Tokens = server.Myself{ObjectID: "oid-1", App: true} })
		h.call(http.MethodPut, connector+newest, strings.Replace(person, `"userAccount"`, `"userAccount", "principalId": "`+id+`"`, 1))
		if got := h.engine.last().Connection.Properties.Auth.PrincipalType; got != want {
			t.Errorf("principal %q is a %q, want %q", id, got, want)
		}
	}
}

func TestGenerateConfigurations(t *testing.T) {
	t.Parallel()
	for name, path := range map[string]string{"linker": linker, "connector": connector} {
		h := build(t, nil)
		h.engine.settings = []engine.Configuration{{Name: "A", Value: "canary-1", Secret: true}}
		h.expect(h.call(http.MethodPost, path+"/generateConfigurations"+newest, ""), http.StatusNotFound, "ResourceNotFound", string(problem.ConnectionNotFound))
		h.call(http.MethodPut, path+newest, body)
		h.engine.end("Succeeded", nil)
		r := h.raw(http.MethodPost, path+"/generateConfigurations"+newest, "")
		if r.status != 200 || r.raw != `{"configurations":[{"name":"A","value":"canary-1"}]}` {
			t.Errorf("%s: %d %s", name, r.status, r.raw)
		}
		r = h.raw(http.MethodPost, path+"/generateConfigurations"+newest+"&clientType=dapr", `{"customizedKeys": {"A": "B"}, "unknown": 1}`)
		if r.status != 200 || !strings.Contains(r.raw, `{"name":"B","value":"dapr"}`) {
			t.Errorf("%s with another body: %d %s", name, r.status, r.raw)
		}
		h.expect(h.call(http.MethodPost, path+"/generateConfigurations"+newest, `{"customizedKeys": 1}`), http.StatusBadRequest, "InvalidRequestContent", string(problem.BodyInvalid))
		h.engine.rights = []engine.Right{{Action: "Microsoft.Cache/redis/listKeys/action", Scope: "/the/cache"}}
		h.rights.deny("Microsoft.Cache/redis/listKeys/action", "/the/cache")
		h.expect(h.call(http.MethodPost, path+"/generateConfigurations"+newest, ""), http.StatusForbidden, "LinkedAuthorizationFailed", string(problem.CallerLacksRight))
	}
}

// TestOlderVersionsDoNotKnow: what came with a version is not there before it.
func TestOlderVersionsDoNotKnow(t *testing.T) {
	t.Parallel()
	h := build(t, nil)
	for path, since := range map[string]api.Version{
		connector: api.V20221101Preview, location + "/connectors": api.V20221101Preview, location + "/dryruns/a": api.V20221101Preview,
		source + "/providers/Microsoft.ServiceLinker/dryruns": api.V20221101Preview, "/providers/Microsoft.ServiceLinker/configurationNames": api.V20221101Preview,
		source + "/providers/Microsoft.ServiceLinker/daprConfigurations": api.V20230401Preview,
	} {
		for _, v := range api.Versions() {
			a := h.raw(http.MethodGet, path+"?api-version="+string(v), "")
			unknown := a.at("error", "code") == "NoRegisteredProviderFound"
			if unknown != (v < since) {
				t.Errorf("%s %s: %d %s", v, path, a.status, a.raw)
			}
		}
	}
}

func TestDryrunLife(t *testing.T) {
	t.Parallel()
	dry := `{"properties": {"parameters": {"actionName": "createOrUpdate", ` + body[strings.Index(body, `"targetService"`):len(body)-2] + `}}}`
	for at, wanted := range map[string]string{source + "/providers/Microsoft.ServiceLinker/dryruns/Try": source + "/providers/Microsoft.ServiceLinker/linkers/Try",
		location + "/dryruns/Try": location + "/connectors/Try"} {
		h := build(t, nil)
		h.engine.rights = []engine.Right{{Action: "Microsoft.X/read", Scope: "/x"}, {Action: "Microsoft.X/write", Scope: "/x"}, {Action: "Microsoft.Authorization/roleAssignments/write", Scope: "/x"}}
		h.rights.deny("Microsoft.Authorization/roleAssignments/write", "/x")
		h.rights.deny("Microsoft.X/write", "/x")
		a := h.call(http.MethodPut, at+newest, dry)
		if a.status != http.StatusCreated || a.at("properties", "provisioningState") != "Accepted" || strings.Contains(a.raw, "canary") || a.at("properties", "prerequisiteResults") != nil {
			t.Fatalf("PUT: %d %s", a.status, a.raw)
		}
		asked := h.engine.last()
		if asked.Verb != engine.VerbDryrun || asked.Connection.Rehearsal.For != wanted || asked.Connection.Source != at || len(asked.Secrets) != 1 {
			t.Errorf("the engine gets %+v %+v", asked, asked.Connection.Rehearsal)
		}
		h.engine.end("Succeeded", nil)
		a = h.call(http.MethodGet, at+newest, "")
		first, _ := a.body["properties"].(map[string]any)["prerequisiteResults"].([]any)
		if a.status != 200 || len(first) != 1 || first[0].(map[string]any)["recommendedRole"] != "Owner" || len(first[0].(map[string]any)["permissions"].([]any)) != 2 {
			t.Errorf("GET: %d %s", a.status, a.raw)
		}
		if a := h.call(http.MethodPatch, at+newest, `{"properties": {"parameters": {"actionName": "createOrUpdate", "clientType": "go"}}}`); a.status != http.StatusAccepted || a.raw != "" {
			t.Errorf("PATCH: %d %s", a.status, a.raw)
		}
		if got := h.engine.last().Connection.Properties; got.ClientType != "go" || got.Target.ID == "" {
			t.Errorf("PATCH makes %+v", got)
		}
		h.engine.end("Succeeded", nil)
		if a := h.call(http.MethodGet, at[:strings.LastIndex(at, "/")]+newest, ""); a.status != 200 || len(a.body["value"].([]any)) != 1 {
			t.Errorf("LIST: %d %s", a.status, a.raw)
		}
		h.engine.prompt, h.engine.rights = true, nil // a dryrun owns nothing
		for _, want := range []int{http.StatusOK, http.StatusNoContent} {
			if a := h.call(http.MethodDelete, at+newest, ""); a.status != want {
				t.Errorf("DELETE: %d %s", a.status, a.raw)
			}
		}
		h.expect(h.call(http.MethodPatch, at+newest, `{"properties": {}}`), http.StatusNotFound, "ResourceNotFound", string(problem.ConnectionNotFound))
	}
}

func TestDryrunRefuses(t *testing.T) {
	t.Parallel()
	at := source + "/providers/Microsoft.ServiceLinker/dryruns/Try"
	for wrong, pointer := range map[string]string{
		`{}`: "/properties", `{"properties": {}}`: "/properties/parameters", `{"properties": {"parameters": {}}}`: "actionName",
		`{"properties": {"parameters": {"actionName": "delete"}}}`:         "createOrUpdate",
		`{"properties": {"parameters": {"actionName": "createOrUpdate"}}}`: "targetService",
	} {
		h := build(t, nil)
		a := h.call(http.MethodPut, at+newest, wrong)
		h.expect(a, http.StatusBadRequest, "InvalidRequestContent", string(problem.BodyInvalid))
		if !strings.Contains(a.raw, pointer) {
			t.Errorf("%s: %s does not name %s", wrong, a.raw, pointer)
		}
	}
	h := build(t, nil)
	h.engine.rights = []engine.Right{{Action: "Microsoft.X/read", Scope: "/x"}}
	h.rights.deny("Microsoft.X/read", "/x")
	dry := `{"properties": {"parameters": {"actionName": "createOrUpdate", "targetService": {"type": "AzureResource", "id": "/x"}}}}`
	h.expect(h.call(http.MethodPut, at+newest, dry), http.StatusForbidden, "LinkedAuthorizationFailed", string(problem.CallerLacksRight))
}

// TestConfigurationNamesPages: a filter and nextLink lead through all rows, each once.
func TestConfigurationNamesPages(t *testing.T) {
	t.Parallel()
	h := build(t, func(c *server.Config) {
		c.Names = func() []api.ConfigurationNames {
			var all []api.ConfigurationNames
			for i := range 2*api.NamesPage + 50 {
				client := []string{"python", "go"}[i%2]
				all = append(all, api.ConfigurationNames{TargetService: "MICROSOFT.CACHE/REDIS", ClientType: client, AuthType: "secret", Names: []api.ConfigurationName{{Value: "A", Description: "b"}}})
			}
			return all
		}
	})
	at, pages, rows := "/providers/Microsoft.ServiceLinker/configurationNames"+newest+"&$filter=ClientType%20eq%20%27Python%27%20and%20TargetService%20eq%20%27Microsoft.Cache/redis%27", 0, 0
	for at != "" {
		a := h.call(http.MethodGet, at, "")
		if a.status != 200 {
			t.Fatalf("%d %s", a.status, a.raw)
		}
		pages++
		rows += len(a.body["value"].([]any))
		next, _ := a.body["nextLink"].(string)
		at = strings.TrimPrefix(next, "https://patchbay.test")
	}
	if pages != 2 || rows != api.NamesPage+25 {
		t.Errorf("%d rows on %d pages", rows, pages)
	}
	for _, query := range []string{"&$filter=color%20eq%201", "&$skipToken=MQ==x", "&$skipToken=LTE"} {
		h.expect(h.call(http.MethodGet, "/providers/Microsoft.ServiceLinker/configurationNames"+newest+query, ""), http.StatusBadRequest, "InvalidRequestContent", string(problem.BodyInvalid))
	}
}

func TestDaprConfigurations(t *testing.T) {
	t.Parallel()
	h := build(t, func(c *server.Config) {
		c.Components = func() []api.DaprConfiguration {
			return []api.DaprConfiguration{{TargetType: "MICROSOFT.CACHE/REDIS", AuthType: "secret", DaprProperties: api.DaprProperties{Version: "v1", ComponentType: "state.redis",
				Metadata: []api.DaprMetadata{{Name: "keyPrefix", Description: "d", Required: "false"}}}}}
		}
	})
	at := source + "/providers/Microsoft.ServiceLinker/daprConfigurations" + newest
	if a := h.call(http.MethodGet, at, ""); a.status != 200 || len(a.body["value"].([]any)) != 1 {
		t.Errorf("%d %s", a.status, a.raw)
	}
	h.rights.deny("Microsoft.ServiceLinker/linkers/read", source)
	h.expect(h.call(http.MethodGet, at, ""), http.StatusForbidden, "AuthorizationFailed", string(problem.CallerLacksRight))
}
