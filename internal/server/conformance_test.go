//go:build conformance

package server_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"path/filepath"
	"strings"
	"testing"

	"github.com/patchbay/patchbay/internal/api"
	"github.com/patchbay/patchbay/internal/api/apitest"
	"github.com/patchbay/patchbay/internal/connection"
	"github.com/patchbay/patchbay/internal/engine"
	"github.com/patchbay/patchbay/internal/ledger"
	"github.com/patchbay/patchbay/internal/server"
)

// Our documents take every published example of a linker's request, the server reads
// it, and our documents take every published answer.
func TestPublishedExamples(t *testing.T) {
	t.Parallel()
	dir, seen := reference(t), 0
	for _, v := range api.Versions() {
		ours, err := apitest.Load(v)
		if err != nil {
			t.Fatal(err)
		}
		for name, example := range examples(t, dir, v) {
			parameters := example["parameters"].(object)
			if parameters["linkerName"] == nil {
				continue
			}
			if body, ok := parameters["parameters"].(object); ok && body["properties"] != nil {
				seen++
				takesRequest(t, ours, v, name, mustJSON(t, body))
			}
			takesAnswers(t, ours, string(v)+" "+name, example["responses"].(object))
		}
	}
	if seen < 8 {
		t.Errorf("only %d request bodies were found", seen)
	}
}

func takesRequest(t *testing.T, ours *apitest.Contract, v api.Version, name string, body []byte) {
	t.Helper()
	method := http.MethodPut
	if strings.HasPrefix(name, "Patch") {
		method = http.MethodPatch
	}
	if err := ours.Request(method, linker, body); err != nil {
		t.Errorf("%s %s: %v", v, name, err)
	}
	if _, _, err := api.Merge(v, &connection.Connection{}, body); err != nil {
		t.Errorf("%s %s: %v", v, name, err)
	}
}

func takesAnswers(t *testing.T, ours *apitest.Contract, name string, responses object) {
	t.Helper()
	for status, raw := range responses {
		body, ok := raw.(object)["body"].(object)
		if !ok {
			continue
		}
		schema := map[bool]string{true: "LinkerList"}[body["value"] != nil && !strings.Contains(name, "OperationsList")]
		switch properties, _ := body["properties"].(object); {
		case strings.Contains(name, "OperationsList"):
			schema = "ProviderOperationList"
		case body["configurations"] != nil:
			schema = "ConfigurationList"
		case properties["linkerName"] != nil:
			continue // a validation's report stands inside an operation's status with us
		case body["properties"] != nil:
			schema = "Linker"
		}
		if err := ours.Schema(schema, mustJSON(t, body)); err != nil {
			t.Errorf("%s %s as %s: %v", name, status, schema, err)
		}
	}
}

// What the server answers in each version stands the published schemas.
func TestAnswersStandThePublishedSchemas(t *testing.T) {
	t.Parallel()
	dir := reference(t)
	for _, v := range api.Versions() {
		contract := published(t, dir, v)
		for name, wire := range publishedBodies(t, dir, v) {
			t.Run(string(v)+" "+name, func(t *testing.T) {
				t.Parallel()
				h := build(t, nil)
				l := &life{house: h, version: v, contract: contract}
				l.judge(http.MethodPut, "", wire)
				h.engine.end(ledger.Succeeded, nil)
				l.judge(http.MethodGet, "", "")
				l.list()
				h.engine.settings = []engine.Configuration{{Name: "A", Value: "1"}, {Name: "B", Value: "2", Description: "why"}}
				l.judge(http.MethodPost, "/listConfigurations", "")
				l.validate()
				l.judge(http.MethodPatch, "", `{"properties": {"clientType": "go", "targetService": null, "authInfo": null}}`)
				h.engine.end(ledger.Failed, nil)
				l.judge(http.MethodPut, "/nothing", "")
				l.judge(http.MethodDelete, "", "")
			})
		}
	}
}

// publishedBodies are the bodies to try in a version: its examples, and the recorded shapes.
func publishedBodies(t *testing.T, dir string, v api.Version) map[string]string {
	t.Helper()
	out := map[string]string{
		"user and password": body,
		"identity":          `{"properties": {"targetService": {"type": "AzureResource", "id": "/x"}, "authInfo": {"authType": "systemAssignedIdentity"}, "clientType": "python", "secretStore": {}, "publicNetworkSolution": {}, "configurationInfo": {"configurationStore": {}}}}`,
		"unknown words":     `{"properties": {"targetService": {"type": "Teapot"}, "authInfo": {"authType": "handshake"}, "clientType": "dotnet-connectionString", "vNetSolution": {"type": "serviceEndpoint"}}}`,
		"service principal": `{"properties": {"targetService": {"type": "AzureResource", "id": "/x"}, "authInfo": {"authType": "servicePrincipalSecret", "clientId": "c", "principalId": "p", "secret": "canary-2"}}}`,
	}
	for name, example := range examples(t, dir, v) {
		parameters := example["parameters"].(object)
		if body, ok := parameters["parameters"].(object); ok && parameters["linkerName"] != nil && body["properties"] != nil && strings.HasPrefix(name, "Put") {
			out[name] = string(mustJSON(t, body))
		}
	}
	return out
}

// life is one linker's life in one version.
type life struct {
	*house
	version  api.Version
	contract *apitest.Contract
}

func (l *life) judge(method, suffix, body string) answer {
	l.t.Helper()
	path := linker + suffix
	a := l.call(method, path+"?api-version="+string(l.version), body)
	if strings.HasPrefix(suffix, "/nothing") {
		return a // an error of ours, not of the provider's
	}
	if err := l.contract.Response(method, path, a.status, a.header, []byte(a.raw)); err != nil {
		l.t.Errorf("%v in %s", err, a.raw)
	}
	return a
}

func (l *life) list() {
	l.t.Helper()
	path := source + "/providers/Microsoft.ServiceLinker/linkers"
	a := l.call(http.MethodGet, path+"?api-version="+string(l.version), "")
	if err := l.contract.Response(http.MethodGet, path, a.status, a.header, []byte(a.raw)); err != nil {
		l.t.Errorf("%v in %s", err, a.raw)
	}
	failed := l.call(http.MethodGet, linker+"x?api-version="+string(l.version), "")
	if err := l.contract.Schema("v3_ErrorResponse", []byte(failed.raw)); err != nil {
		l.t.Errorf("%v in %s", err, failed.raw)
	}
}

func (l *life) validate() {
	l.t.Helper()
	started := l.judge(http.MethodPost, "/validateLinker", "")
	report, err := json.Marshal(engine.Report{Findings: []engine.Finding{{Name: "a", Result: "failure", Description: "d", Code: "LOGIN_REFUSED", Fix: "f"}, {Name: "b", Result: "success"}}})
	if err != nil {
		l.t.Fatal(err)
	}
	for _, end := range []bool{false, true} {
		if end {
			l.engine.end(ledger.Succeeded, func(op *ledger.Operation) { op.Report = report })
		}
		status := l.call(http.MethodGet, poll(l.t, started), "")
		for _, schema := range []string{"ValidateOperationResult", "v3_OperationStatusResult"} {
			if err := l.contract.Schema(schema, []byte(status.raw)); err != nil {
				l.t.Errorf("%s: %v in %s", schema, err, status.raw)
			}
		}
	}
}

// recorded is one exchange of a recording.
type recorded struct {
	Command         string         `json:"command"`
	Method          string         `json:"method"`
	Path            string         `json:"path"`
	APIVersion      string         `json:"apiVersion"`
	RequestBody     any            `json:"requestBody"`
	Status          int            `json:"status"`
	ResponseHeaders map[string]any `json:"responseHeaders"`
	ResponseBody    any            `json:"responseBody"`
}

// Recordings of linkers are replayed: status, headers, and which members answers
// have and which of them are null.
func TestRecordings(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob(filepath.Join(reference(t), "recordings", "*.json"))
	if err != nil {
		t.Fatal(err)
	}
	must := map[string]bool{"webapp_storageblob_e2e": false, "webapp_postgresflexible_e2e": false, "webapp_storageblob_vnet": false, "webapp_storage_blob_system_identity_opt_out_auth": false,
		"local_redis_e2e": false, "local_storageblob_e2e": false, "local_connection_preview_configuration": false}
	for _, file := range files {
		name := strings.TrimSuffix(filepath.Base(file), ".json")
		if name == "index" || name == "history" {
			continue
		}
		if _, named := must[name]; named {
			must[name] = true
		}
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var recording struct {
				Exchanges []recorded `json:"exchanges"`
			}
			if err := json.Unmarshal(mustJSON(t, readJSON(t, file)), &recording); err != nil || len(recording.Exchanges) == 0 {
				t.Fatal(err)
			}
			replay(t, recording.Exchanges, trimmed[name])
		})
	}
	for name, found := range must {
		if !found {
			t.Errorf("the recording %s is missing", name)
		}
	}
}

func replay(t *testing.T, exchanges []recorded, lists bool) {
	t.Helper()
	h := build(t, func(c *server.Config) { c.PublicURL = "https://patchbay.test" })
	h.engine.prompt = strings.Contains(exchanges[0].Path, "/connectors")
	status := ""
	for i, e := range exchanges {
		target := e.Path + "?api-version=" + e.APIVersion
		if strings.Contains(e.Path, "/operationStatuses/") {
			h.settle(e)
			target = strings.TrimPrefix(status, h.publicURL())
		}
		if strings.HasSuffix(e.Path, "/listConfigurations") || strings.HasSuffix(e.Path, "/generateConfigurations") {
			h.settings(e)
		}
		sent := ""
		if e.RequestBody != nil {
			sent = string(mustJSON(t, e.RequestBody))
		}
		a := h.call(e.Method, target, sent)
		if at := a.header.Get("Azure-AsyncOperation"); at != "" && e.Method != http.MethodGet {
			status = at
		}
		where := fmt.Sprintf("exchange %d, %s: %s %s", i, e.Command, e.Method, e.Path[max(0, len(e.Path)-60):])
		compare(t, where, e, a, lists && strings.HasSuffix(e.Path, "/linkers"))
	}
}

// trimmed are recordings from a region whose lists, and only they, leave unset members out.
var trimmed = map[string]bool{"webapp_storageblob_store_in_app_config": true}

func (h *house) publicURL() string { return "https://patchbay.test" }

// settle ends the newest operation when the recorded poll saw its end.
func (h *house) settle(e recorded) {
	body, _ := e.ResponseBody.(object)
	if h.engine.newest().Status.Done() || body["status"] == "Accepted" || body["status"] == "Deleting" {
		return
	}
	properties, _ := body["properties"].(object)
	var report engine.Report
	for _, raw := range list(properties["validationDetail"]) {
		item := raw.(object)
		finding := engine.Finding{Name: text(item["name"]), Result: text(item["result"])}
		if item["description"] != nil {
			finding.Description = text(item["description"])
		}
		report.Findings = append(report.Findings, finding)
	}
	raw, _ := json.Marshal(report)
	h.engine.end(ledger.Status(text(body["status"])), func(op *ledger.Operation) {
		op.Report = raw
		if message, ok := properties["Message"].(string); ok && op.Verb != ledger.VerbValidate {
			op.Message = message
		}
	})
}

func (h *house) settings(e recorded) {
	body, _ := e.ResponseBody.(object)
	h.engine.settings = nil
	for _, raw := range list(body["configurations"]) {
		h.engine.settings = append(h.engine.settings, engine.Configuration{Name: text(raw.(object)["name"]), Value: "x"})
	}
}

func compare(t *testing.T, where string, e recorded, a answer, unsetMayLack bool) {
	t.Helper()
	if a.status != e.Status {
		t.Errorf("%s: answered %d, recorded %d: %s", where, a.status, e.Status, a.raw)
		return
	}
	for name := range e.ResponseHeaders {
		if a.header.Get(name) == "" {
			t.Errorf("%s: header %s is missing", where, name)
		}
	}
	if (e.ResponseBody == nil) != (a.raw == "") {
		t.Errorf("%s: body %q, recorded %v", where, a.raw, e.ResponseBody)
		return
	}
	if body, ok := e.ResponseBody.(object); ok && body["value"] != nil {
		body["value"] = sameLinkers(list(body["value"]), list(a.body["value"]))
	}
	if e.ResponseBody != nil {
		alike(t, where, "", e.ResponseBody, any(a.body), unsetMayLack)
	}
}

// sameLinkers picks the recorded linkers that stand in our answer, in its order: the
// real service lists in no order, and has linkers from before the recording.
func sameLinkers(recorded, mine []any) []any {
	out := []any{}
	for _, m := range mine {
		for _, r := range recorded {
			if r.(object)["name"] == m.(object)["name"] {
				out = append(out, r)
			}
		}
	}
	return out
}

// younger are members the service came to answer after some recordings were made.
var younger = map[string]bool{"authMode": true, "configurationStore": true, "systemData": true, "Message": true}

// alike compares members' names and whether they are null, all the way down.
func alike(t *testing.T, where, at string, want, got any, unsetMayLack bool) {
	t.Helper()
	switch want := want.(type) {
	case object:
		mine, ok := got.(object)
		if !ok {
			t.Errorf("%s: %s is %v, recorded an object", where, at, got)
			return
		}
		for name, value := range want {
			other, there := mine[name]
			if !there {
				t.Errorf("%s: %s/%s is missing, recorded %v", where, at, name, value)
				continue
			}
			alike(t, where, at+"/"+name, value, other, unsetMayLack)
		}
		for name := range mine {
			if _, there := want[name]; !there && !younger[name] && !(unsetMayLack && unset(mine[name])) {
				t.Errorf("%s: %s/%s is not recorded", where, at, name)
			}
		}
	case []any:
		mine, ok := got.([]any)
		if !ok || len(mine) != len(want) {
			t.Errorf("%s: %s is %v, recorded %d items", where, at, got, len(want))
			return
		}
		for i := range want {
			alike(t, where, fmt.Sprintf("%s/%d", at, i), want[i], mine[i], unsetMayLack)
		}
	default:
		nothing := want == nil || want == "" && at == "/properties/Message" // a write without a warning says either
		if nothing != (got == nil) {
			t.Errorf("%s: %s is %v, recorded %v", where, at, got, want)
		}
	}
}

// unset tells whether a value says nothing: null, or an object of nothing.
func unset(value any) bool {
	if inner, ok := value.(object); ok {
		for _, v := range inner {
			if !unset(v) {
				return false
			}
		}
		return true
	}
	return value == nil
}
