package server_test

import (
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/patchbay/patchbay/internal/api"
	"github.com/patchbay/patchbay/internal/connection"
	"github.com/patchbay/patchbay/internal/engine"
	"github.com/patchbay/patchbay/internal/ledger"
	"github.com/patchbay/patchbay/internal/problem"
	"github.com/patchbay/patchbay/internal/server"
)

func parseTarget(target string) (*url.URL, error) { return url.ParseRequestURI(target) }

var statusURL = regexp.MustCompile(`^https://patchbay\.test(/subscriptions/11111111-1111-1111-1111-111111111111/providers/Microsoft\.ServiceLinker/locations/EASTUS/operationStatuses/[0-9a-f-]{36}\*[0-9A-F]{64}\?api-version=2021-01-01-privatepreview)$`)

// poll is the path and query of the operation's status.
func poll(t *testing.T, a answer) string {
	t.Helper()
	found := statusURL.FindStringSubmatch(a.header.Get("Azure-AsyncOperation"))
	if found == nil {
		t.Fatalf("Azure-AsyncOperation is %q", a.header.Get("Azure-AsyncOperation"))
	}
	return found[1]
}

func TestLifeOfALinker(t *testing.T) {
	t.Parallel()
	h := build(t, nil)
	put := h.linkers(http.MethodPut, "", body)
	if put.status != http.StatusCreated || put.at("properties", "provisioningState") != "Accepted" || put.header.Get("Retry-After") != "1" ||
		put.header.Get("Location") != "" || put.header.Get(api.OperationHeader) != h.engine.newest().ID {
		t.Errorf("PUT: %d %v %s", put.status, put.header, put.raw)
	}
	if got := h.engine.given[h.engine.newest().ID][connection.SecretSlot].Reveal(); got != "canary-1" {
		t.Errorf("the engine got the secret %q", got)
	}
	at := poll(t, put)

	wait := h.call(http.MethodGet, at, "")
	if wait.status != http.StatusOK || wait.at("status") != "Accepted" || wait.header.Get("Retry-After") != "1" || wait.at("resourceId") != linker || wait.at("properties") != nil {
		t.Errorf("first poll: %d %s", wait.status, wait.raw)
	}
	h.engine.end(ledger.Succeeded, nil)
	done := h.call(http.MethodGet, at, "")
	if done.at("status") != "Succeeded" || !strings.Contains(done.raw, `"properties":{"Message":null}`) || done.at("endTime") == nil || done.header.Get("Retry-After") != "" {
		t.Errorf("last poll: %s", done.raw)
	}

	get := h.linkers(http.MethodGet, "", "")
	if get.status != http.StatusOK || get.header.Get("Retry-After") != "" || get.at("id") != linker || get.at("type") != "microsoft.servicelinker/linkers" || get.at("properties", "provisioningState") != "Succeeded" {
		t.Errorf("GET: %s", get.raw)
	}
	if get.at("systemData", "createdBy") != "ann@example.com" || get.at("systemData", "createdByType") != "User" {
		t.Errorf("systemData: %s", get.raw)
	}
	list := h.call(http.MethodGet, source+"/providers/Microsoft.ServiceLinker/linkers?api-version=2022-05-01", "")
	if values, _ := list.at("value").([]any); len(values) != 1 || strings.Contains(list.raw, "nextLink") {
		t.Errorf("LIST: %s", list.raw)
	}
	h.remove()
}

func (h *house) remove() {
	h.t.Helper()
	deleted := h.linkers(http.MethodDelete, "", "")
	if deleted.status != http.StatusAccepted || deleted.raw != "" || deleted.header.Get("Location") != deleted.header.Get("Azure-AsyncOperation") {
		h.t.Errorf("DELETE: %d %v %s", deleted.status, deleted.header, deleted.raw)
	}
	at := poll(h.t, deleted)
	if wait := h.call(http.MethodGet, at, ""); wait.status != http.StatusAccepted || wait.at("status") != "Deleting" || wait.header.Get("Location") == "" || wait.header.Get("Retry-After") != "1" {
		h.t.Errorf("poll while deleting: %d %s", wait.status, wait.raw)
	}
	if get := h.linkers(http.MethodGet, "", ""); get.status != http.StatusOK || get.header.Get("Retry-After") != "1" || get.at("properties", "provisioningState") != "Deleting" {
		h.t.Errorf("GET while deleting: %d %s", get.status, get.raw)
	}
	h.engine.end(ledger.Succeeded, nil)
	if done := h.call(http.MethodGet, at, ""); done.status != http.StatusOK || done.at("status") != "Succeeded" || !strings.Contains(done.raw, `"properties":null`) {
		h.t.Errorf("poll after deletion: %d %s", done.status, done.raw)
	}
	h.expect(h.linkers(http.MethodGet, "", ""), http.StatusNotFound, "ResourceNotFound", "CONNECTION_NOT_FOUND")
	if again := h.linkers(http.MethodDelete, "", ""); again.status != http.StatusNoContent || again.header.Get("Azure-AsyncOperation") != "" {
		h.t.Errorf("DELETE of what is gone: %d", again.status)
	}
}

func TestUpdateKeepsSpellingAndAuthor(t *testing.T) {
	t.Parallel()
	h := made(t, nil)
	shouted := strings.ToUpper(linker)
	a := h.call(http.MethodPut, "/"+shouted+"?api-version=2022-05-01", body)
	if a.status != http.StatusCreated || a.at("id") != linker || a.at("name") != "Db_1" {
		t.Errorf("PUT in capitals behind a doubled slash: %d %s", a.status, a.raw)
	}
	if r := h.engine.last(); r.Verb != ledger.VerbUpdate || r.Connection.System.CreatedBy != "ann@example.com" || r.Caller != "oid-1" {
		t.Errorf("request: %+v", r)
	}
	h.engine.end(ledger.Succeeded, nil)
	lower := strings.Replace(linker, "resourceGroups", "resourcegroups", 1)
	if a := h.call(http.MethodGet, lower+"?api-version=2024-04-01", ""); a.status != http.StatusOK || a.at("id") != linker {
		t.Errorf("GET with resourcegroups: %d %s", a.status, a.raw)
	}
	a = h.linkers(http.MethodPatch, "", `{"properties": {"authInfo": null, "clientType": "java", "targetService": null}}`)
	if a.status != http.StatusCreated || a.at("properties", "clientType") != "java" || a.at("properties", "authInfo", "name") != "ann" {
		t.Errorf("PATCH: %d %s", a.status, a.raw)
	}
	poll(t, a)
}

func TestNewLinkerKeepsTheCallersSpelling(t *testing.T) {
	t.Parallel()
	h := build(t, nil)
	odd := "/SUBSCRIPTIONS/11111111-1111-1111-1111-111111111111/resourcegroups/rG/providers/microsoft.web/Sites/sHop/slots/Blue/providers/microsoft.servicelinker/LINKERS/cOnn"
	a := h.call(http.MethodPut, odd+"?api-version=2024-04-01", body)
	want := strings.Replace(odd, "/providers/microsoft.servicelinker/LINKERS/", "/providers/Microsoft.ServiceLinker/linkers/", 1)
	if a.at("id") != want || a.at("name") != "cOnn" || h.engine.last().Connection.Source != odd[:strings.Index(odd, "/providers/microsoft.servicelinker")] {
		t.Errorf("id is %v, want %v", a.at("id"), want)
	}
}

func TestPatchOfNothing(t *testing.T) {
	t.Parallel()
	h := build(t, nil)
	h.expect(h.linkers(http.MethodPatch, "", `{}`), http.StatusNotFound, "ResourceNotFound", "CONNECTION_NOT_FOUND")
	h.expect(h.linkers(http.MethodPost, "/validateLinker", ""), http.StatusNotFound, "ResourceNotFound", "CONNECTION_NOT_FOUND")
	h.expect(h.linkers(http.MethodPost, "/listConfigurations", ""), http.StatusNotFound, "ResourceNotFound", "CONNECTION_NOT_FOUND")
}

func TestBusyAndFailed(t *testing.T) {
	t.Parallel()
	h := build(t, nil)
	put := h.linkers(http.MethodPut, "", body)
	h.expect(h.linkers(http.MethodPut, "", body), http.StatusConflict, "Conflict", "CONNECTION_BUSY")
	h.expect(h.linkers(http.MethodDelete, "", ""), http.StatusConflict, "Conflict", "CONNECTION_BUSY")
	h.engine.end(ledger.Failed, func(op *ledger.Operation) {
		op.Problem = &connection.Problem{Code: "DATABASE_REFUSED", Message: "the database refused to create a role", Resource: "pg", Fix: "Run `x`."}
	})
	a := h.call(http.MethodGet, poll(t, put), "")
	if a.status != http.StatusOK || a.at("status") != "Failed" || a.at("error", "code") != "DatabaseRefused" || a.at("error", "message") != "the database refused to create a role. Run `x`." || a.at("properties") != nil {
		t.Errorf("status of a failed operation: %d %s", a.status, a.raw)
	}
	if get := h.linkers(http.MethodGet, "", ""); get.at("properties", "provisioningState") != "Failed" {
		t.Errorf("GET: %s", get.raw)
	}
	if a := h.linkers(http.MethodDelete, "", ""); a.status != http.StatusAccepted {
		t.Errorf("a failed linker cannot be deleted: %d %s", a.status, a.raw)
	}
}

// The poll of an unfinished operation hears of its end without being sent again.
func TestPollWaitsForTheEnd(t *testing.T) {
	t.Parallel()
	h := build(t, func(c *server.Config) { c.Hold = time.Minute })
	put := h.linkers(http.MethodPut, "", body)
	if put.header.Get("X-Go-Azure-Sdk-Skip-Polling-Delay") != "true" {
		t.Errorf("PUT: %v", put.header)
	}
	ended, at := make(chan answer), poll(t, put)
	go func() { ended <- h.call(http.MethodGet, at, "") }()
	h.engine.end(ledger.Succeeded, nil)
	if a := <-ended; a.at("status") != "Succeeded" || a.header.Get("X-Go-Azure-Sdk-Skip-Polling-Delay") != "" {
		t.Errorf("%s %v", a.raw, a.header)
	}
}

func TestWarningOfAWrite(t *testing.T) {
	t.Parallel()
	h := build(t, nil)
	put := h.linkers(http.MethodPut, "", body)
	h.engine.end(ledger.Succeeded, func(op *ledger.Operation) { op.Message = "public access is denied" })
	if a := h.call(http.MethodGet, poll(t, put), ""); a.at("properties", "Message") != "public access is denied" {
		t.Errorf("status: %s", a.raw)
	}
}

func TestValidate(t *testing.T) {
	t.Parallel()
	h := made(t, nil)
	started := h.linkers(http.MethodPost, "/validateLinker", "")
	if started.status != http.StatusAccepted || started.raw != "" || started.header.Get("Location") == "" || started.header.Get("Retry-After") != "1" {
		t.Errorf("validate: %d %v %q", started.status, started.header, started.raw)
	}
	at := poll(t, started)
	if wait := h.call(http.MethodGet, at, ""); wait.status != http.StatusAccepted || wait.at("status") != "Accepted" {
		t.Errorf("poll: %d %s", wait.status, wait.raw)
	}
	report, err := json.Marshal(engine.Report{Findings: []engine.Finding{
		{Name: "Target resource existence validated.", Result: "success"},
		{Name: "Target service firewall validated.", Result: "warning", Description: "open"},
		{Name: "Configured connection information validated.", Result: "failure", Description: "wrong password", Code: "LOGIN_REFUSED", Fix: "Give it again."},
	}})
	if err != nil {
		t.Fatal(err)
	}
	h.engine.end(ledger.Succeeded, func(op *ledger.Operation) { op.Report = report })
	done := h.call(http.MethodGet, at, "")
	if done.status != http.StatusOK || done.at("status") != "Succeeded" || done.at("properties", "linkerName") != "Db_1" || done.at("properties", "isConnectionAvailable") != false || done.at("properties", "authType") != "secret" {
		t.Errorf("report: %s", done.raw)
	}
	want := []any{
		map[string]any{"name": "Target resource existence validated.", "result": "success", "description": nil},
		map[string]any{"name": "Target service firewall validated.", "result": "warning", "description": "open"},
		map[string]any{"name": "Configured connection information validated.", "result": "failure", "description": "wrong password", "errorCode": "LOGIN_REFUSED", "errorMessage": "Give it again."},
	}
	if d := cmp.Diff(want, done.at("properties", "validationDetail")); d != "" {
		t.Error(d)
	}
	message, _ := done.at("properties", "Message").(string)
	start, end := done.at("properties", "reportStartTimeUtc").(string), done.at("properties", "reportEndTimeUtc").(string)
	wantMessage := `{"ConnectionName":"Db_1","IsConnectionAvailable":false,"ValidationDetail":[{"Name":"Target resource existence validated.","Description":null,"Result":0},` +
		`{"Name":"Target service firewall validated.","Description":"open","Result":2},{"Name":"Configured connection information validated.","Description":"wrong password","Result":1}],` +
		`"ReportStartTimeUtc":"` + start + `","ReportEndTimeUtc":"` + end + `","SourceId":null,"TargetId":null,"AuthType":"secret"}`
	if d := cmp.Diff(wantMessage, message); d != "" {
		t.Error(d)
	}
}

func TestListConfigurations(t *testing.T) {
	t.Parallel()
	h := made(t, nil)
	h.engine.settings = []engine.Configuration{{Name: "AZURE_POSTGRESQL_PASSWORD", Value: "canary-1", Secret: true}}
	a := h.linkers(http.MethodPost, "/listConfigurations", "")
	want := `{"configurations":[{"configType":"Default","description":"","keyVaultReferenceIdentity":null,"name":"AZURE_POSTGRESQL_PASSWORD","value":"canary-1"}]}`
	if a.status != http.StatusOK || a.raw != want || a.header.Get("Cache-Control") != "no-store" {
		t.Errorf("%d %s", a.status, a.raw)
	}
}

func TestNoKeepHeaderAndForce(t *testing.T) {
	t.Parallel()
	h := build(t, nil)
	r := newRequest(http.MethodPut, linker+"?api-version=2024-04-01", body)
	r.Header.Set(api.NoKeepHeader, "true")
	r.Header.Set("x-ms-correlation-request-id", "0f0e0d0c-0b0a-0908-0706-050403020100")
	a := h.send(r)
	if got := h.engine.last(); !got.Forget || got.Correlation != "0f0e0d0c-0b0a-0908-0706-050403020100" || a.header.Get("x-ms-correlation-request-id") != got.Correlation {
		t.Errorf("request: %+v", got)
	}
	h.engine.end(ledger.Succeeded, nil)
	h.call(http.MethodDelete, linker+"?api-version=2024-04-01&force=true", "")
	if got := h.engine.last(); !got.Force || got.Verb != ledger.VerbDelete {
		t.Errorf("request: %+v", got)
	}
}

func TestStatusIsFoundByItsWholeName(t *testing.T) {
	t.Parallel()
	h := build(t, nil)
	at := poll(t, h.linkers(http.MethodPut, "", body))
	if a := h.call(http.MethodGet, strings.ToLower(at), ""); a.status != http.StatusOK {
		t.Errorf("in lower case: %d", a.status)
	}
	if a := h.call(http.MethodGet, strings.Replace(at, "2021-01-01-privatepreview", "2024-04-01", 1), ""); a.status != http.StatusOK {
		t.Errorf("with another version: %d", a.status)
	}
	for _, wrong := range []string{
		strings.Replace(at, "?", "0?", 1),
		strings.Replace(at, "*", "*0", 1),
		regexp.MustCompile(`operationStatuses/[^?]+`).ReplaceAllString(at, "operationStatuses/x"),
		regexp.MustCompile(`operationStatuses/[^*]+`).ReplaceAllString(at, "operationStatuses/0f0e0d0c-0b0a-0908-0706-050403020100"),
	} {
		h.expect(h.call(http.MethodGet, wrong, ""), http.StatusNotFound, "ResourceNotFound", "OPERATION_NOT_FOUND")
	}
}

func TestProviderOperations(t *testing.T) {
	t.Parallel()
	h := build(t, nil)
	a := h.call(http.MethodGet, "/providers/Microsoft.ServiceLinker/operations?api-version=2024-04-01", "")
	if values, _ := a.at("value").([]any); len(values) < 8 || !strings.Contains(a.raw, "Microsoft.ServiceLinker/linkers/listConfigurations/action") {
		t.Errorf("%d %s", a.status, a.raw)
	}
}

// What the engine refuses goes out with its status, ARM's code and our data.
func TestEngineRefusals(t *testing.T) {
	t.Parallel()
	for code, want := range map[problem.Code]struct {
		status int
		arm    string
	}{
		problem.SourceNotFound:     {404, "ResourceNotFound"},
		problem.TargetNotFound:     {404, "ResourceNotFound"},
		problem.TargetUnreadable:   {403, "TargetUnreadable"},
		problem.AuthUnsupported:    {400, "AuthUnsupported"},
		problem.SecretNeeded:       {400, "SecretNeeded"},
		problem.SettingClash:       {409, "SettingClash"},
		problem.EngineLacksRight:   {403, "LinkedAuthorizationFailed"},
		problem.ARMThrottled:       {429, "TooManyRequests"},
		problem.StoreFull:          {507, "StoreFull"},
		problem.ConnectionName:     {400, "InvalidResourceName"},
		problem.PublicAccessDenied: {409, "PublicAccessDenied"},
	} {
		h := build(t, nil)
		h.engine.refuse = problem.New(code, "/thing", "what is wrong").WithFix("Do `this`.")
		a := h.linkers(http.MethodPut, "", body)
		h.expect(a, want.status, want.arm, string(code))
		if a.at("error", "message") != "what is wrong. Do `this`." || a.at("error", "target") != "/thing" {
			t.Errorf("%s: %s", code, a.raw)
		}
	}
	h := build(t, nil)
	h.engine.refuse = errors.New("disk on fire")
	h.expect(h.linkers(http.MethodPut, "", body), http.StatusInternalServerError, "InternalServerError", "INTERNAL")
}
