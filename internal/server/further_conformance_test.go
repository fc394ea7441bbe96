//go:build conformance

package server_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/patchbay/patchbay/internal/api"
	"github.com/patchbay/patchbay/internal/api/apitest"
	"github.com/patchbay/patchbay/internal/connection"
	"github.com/patchbay/patchbay/internal/engine"
	"github.com/patchbay/patchbay/internal/ledger"
	"github.com/patchbay/patchbay/internal/server"
)

// TestFurtherExamples: our documents and the server take every published request of a
// connector and a dryrun.
func TestFurtherExamples(t *testing.T) {
	t.Parallel()
	dir, seen := reference(t), 0
	for _, v := range api.Versions() {
		ours, err := apitest.Load(v)
		if err != nil {
			t.Fatal(err)
		}
		for name, example := range examples(t, dir, v) {
			parameters := example["parameters"].(object)
			sent, ok := parameters["parameters"].(object)
			if !ok || parameters["connectorName"] == nil && parameters["dryrunName"] == nil {
				continue
			}
			body, method, path := mustJSON(t, sent), http.MethodPut, connector
			if strings.Contains(name, "Patch") || strings.Contains(name, "Update") {
				method = http.MethodPatch
			}
			if parameters["dryrunName"] != nil {
				path = location + "/dryruns/try"
				_, _, err = api.MergeDryrun(v, nil, body)
			} else if sent["properties"] != nil {
				_, _, err = api.Merge(v, &connection.Connection{}, body)
			} else {
				method, path = http.MethodPost, connector+"/generateConfigurations"
				_, err = api.LayConfiguration(v, nil, body)
			}
			seen++
			if err != nil {
				t.Errorf("%s %s: %v", v, name, err)
			}
			if err := ours.Request(method, path, body); err != nil {
				t.Errorf("%s %s: %v", v, name, err)
			}
		}
	}
	if seen < 15 {
		t.Errorf("only %d requests were found", seen)
	}
	t.Logf("%d published requests taken", seen)
}

// TestFurtherAnswersStandThePublishedSchemas: connectors, dryruns, rendered settings,
// names and components are answered as the published documents say.
func TestFurtherAnswersStandThePublishedSchemas(t *testing.T) {
	t.Parallel()
	dir := reference(t)
	for _, v := range api.Versions() {
		if v < api.V20221101Preview {
			continue
		}
		t.Run(string(v), func(t *testing.T) {
			t.Parallel()
			contract := published(t, dir, v)
			h := build(t, func(c *server.Config) {
				c.Names = func() []api.ConfigurationNames {
					return []api.ConfigurationNames{{TargetService: "T", ClientType: "go", AuthType: "secret", Names: []api.ConfigurationName{{Value: "A", Description: "b", Required: true}}}}
				}
				c.Components = func() []api.DaprConfiguration {
					return []api.DaprConfiguration{{TargetType: "T", AuthType: "secret", DaprProperties: api.DaprProperties{Version: "v1", ComponentType: "state.redis", Metadata: []api.DaprMetadata{{Name: "n", Description: "d", Required: "true"}}}}}
				}
			})
			judge := func(method, path, sent string) {
				t.Helper()
				a := h.raw(method, path+"?api-version="+string(v), sent)
				if a.status >= http.StatusBadRequest {
					t.Fatalf("%s %s: %d %s", method, path, a.status, a.raw)
				}
				if err := contract.Response(method, path, a.status, a.header, []byte(a.raw)); err != nil {
					t.Errorf("%v in %s", err, a.raw)
				}
			}
			end := func() { h.engine.end(ledger.Succeeded, nil) }
			judge(http.MethodPut, connector, person)
			end()
			judge(http.MethodGet, connector, "")
			judge(http.MethodGet, location+"/connectors", "")
			judge(http.MethodPatch, connector, `{"properties": {"clientType": "go"}}`)
			end()
			judge(http.MethodPost, connector+"/validate", "")
			end()
			h.engine.settings = []engine.Configuration{{Name: "A", Value: "1"}}
			judge(http.MethodPost, connector+"/generateConfigurations", "")
			dry := `{"properties": {"parameters": {"actionName": "createOrUpdate", "targetService": {"type": "AzureResource", "id": "/x"}, "authInfo": {"authType": "secret"}}}}`
			for _, at := range []string{source + "/providers/Microsoft.ServiceLinker/dryruns", location + "/dryruns"} {
				judge(http.MethodPut, at+"/try", dry)
				h.engine.end(ledger.Succeeded, nil)
				h.engine.rehearsed(at+"/try", connection.Rehearsal{Prerequisites: []connection.Prerequisite{{Code: "X", Message: "no"}, {Scope: "/t", Actions: []string{"a/write"}, Role: "Owner"}},
					Previews: []connection.Preview{{Name: "configFirewallRule", Type: "configNetwork", Description: "d", Action: "a/write", Scope: "/t"}}})
				judge(http.MethodGet, at+"/try", "")
				judge(http.MethodGet, at, "")
				judge(http.MethodPatch, at+"/try", dry)
				end()
			}
			judge(http.MethodGet, "/providers/Microsoft.ServiceLinker/configurationNames", "")
			if v >= api.V20230401Preview {
				judge(http.MethodGet, source+"/providers/Microsoft.ServiceLinker/daprConfigurations", "")
			}
			h.engine.prompt = true
			for range 2 {
				judge(http.MethodDelete, location+"/dryruns/try", "")
				judge(http.MethodDelete, connector, "")
			}
		})
	}
}

// rehearsed puts the result of a dryrun in its place.
func (f *fakeEngine) rehearsed(id string, found connection.Rehearsal) {
	f.mu.Lock()
	defer f.mu.Unlock()
	c := *f.connections[connection.FoldID(id)]
	c.Rehearsal = &found
	f.connections[connection.FoldID(id)] = &c
}
