package server_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/patchbay/patchbay/internal/api"
	"github.com/patchbay/patchbay/internal/connection"
	"github.com/patchbay/patchbay/internal/ledger"
	"github.com/patchbay/patchbay/internal/plan"
	"github.com/patchbay/patchbay/internal/problem"
	"github.com/patchbay/patchbay/internal/server"
)

func samplePlan() *plan.Plan {
	identity := connection.Key{Kind: connection.KindIdentity, Resource: source, Name: "system"}
	setting := func(name string, want connection.Attrs) connection.Facet {
		return connection.Facet{Key: connection.Key{Kind: connection.KindSetting, Resource: source, Name: name}, Want: want}
	}
	seen := func(text string) connection.State {
		return connection.State{Exists: true, Attrs: connection.Attrs{"value": connection.Plain(text)}}
	}
	return &plan.Plan{
		Steps: []plan.Step{{ID: "setting " + source, Path: source + "/config/appsettings", Changes: []plan.Change{
			{Facet: setting("PASSWORD", connection.Attrs{"value": connection.Hidden("canary-1")}), Action: plan.Create, Reason: plan.New},
			{Facet: setting("PASSWORD2", connection.Attrs{"value": connection.Hidden("canary-2")}), Action: plan.Update, Reason: plan.Changed, Before: seen("canary-3")},
			{Facet: setting("HOST", connection.Attrs{"value": connection.Plain("new")}), Action: plan.Update, Reason: plan.Changed, Before: seen("old")},
			{Facet: setting("GONE", nil), Action: plan.Remove, Reason: plan.Unwanted, Before: seen("canary-4"), Restore: &connection.State{Exists: true, Attrs: connection.Attrs{"value": connection.Plain("canary-5")}}},
		}}, {ID: "role", Path: "/target", Needs: []string{"setting " + source}, Dismantle: true, Changes: []plan.Change{
			{Facet: connection.Facet{Key: connection.Key{Kind: connection.KindRole, Resource: "/target", Name: "r"}, Want: connection.Attrs{"principalId": connection.Output(identity, "principalId")}, Scaffold: true}, Action: plan.Create,
				Before: connection.State{Unknown: true, Why: "cannot be read"}},
		}}},
		Quiet: []plan.Change{{Facet: setting("KEPT", connection.Attrs{"value": connection.Plain("same")}), Action: plan.Keep, Before: seen("same")}},
	}
}

func TestPlan(t *testing.T) {
	t.Parallel()
	h := build(t, nil)
	h.engine.plan = samplePlan()
	a := h.own(http.MethodPost, ours+"/plan", body)
	if a.status != http.StatusOK || a.at("connection") != linker || a.at("verb") != "create" || h.engine.last().Connection.Properties.Auth.Name != "ann" {
		t.Errorf("%d %s", a.status, a.raw)
	}
	steps := a.at("steps").([]any)
	changes := steps[0].(map[string]any)["changes"].([]any)
	want := [][2]any{
		{nil, map[string]any{"value": "********"}},
		{map[string]any{"value": "********"}, map[string]any{"value": "********"}},
		{map[string]any{"value": "old"}, map[string]any{"value": "new"}},
		{map[string]any{"value": "********"}, map[string]any{"value": "********"}},
	}
	for i, w := range want {
		c := changes[i].(map[string]any)
		if d := cmp.Diff(w, [2]any{c["before"], c["after"]}); d != "" {
			t.Errorf("change %d: %s", i, d)
		}
	}
	late := steps[1].(map[string]any)["changes"].([]any)[0].(map[string]any)
	if d := cmp.Diff(map[string]any{"principalId": "known after apply"}, late["after"]); d != "" || late["note"] != "cannot be read" || late["scaffold"] != true || steps[1].(map[string]any)["dismantle"] != true {
		t.Errorf("%s %v", d, late)
	}
	if len(h.engine.operations) > 0 {
		t.Error("a plan made an operation")
	}
}

func TestPlanOfWhatIsThere(t *testing.T) {
	t.Parallel()
	h := made(t, nil)
	h.engine.plan = &plan.Plan{}
	for _, empty := range []string{"", "{}", " { } "} {
		if a := h.own(http.MethodPost, ours+"/plan", empty); a.status != http.StatusOK || a.at("verb") != "update" || h.engine.last().Connection.Properties.Auth.Name != "ann" {
			t.Errorf("%q: %d %s", empty, a.status, a.raw)
		}
	}
	if a := h.own(http.MethodPost, ours+"/plan?delete=true", ""); a.status != http.StatusOK || a.at("verb") != "delete" {
		t.Errorf("deletion: %d %s", a.status, a.raw)
	}
	other := strings.Replace(ours, "Db_1", "nobody", 1)
	h.expect(h.own(http.MethodPost, other+"/plan", "{}"), http.StatusNotFound, "ResourceNotFound", "CONNECTION_NOT_FOUND")
	h.expect(h.own(http.MethodPost, other+"/plan?delete=true", ""), http.StatusNotFound, "ResourceNotFound", "CONNECTION_NOT_FOUND")
	h.expect(h.own(http.MethodPost, other+"/drift", ""), http.StatusNotFound, "ResourceNotFound", "CONNECTION_NOT_FOUND")
	h.expect(h.own(http.MethodPost, ours+"/plan", "{"), http.StatusBadRequest, "InvalidRequestContent", "BODY_NOT_JSON")
	h.expect(h.own(http.MethodPost, ours+"/plan", `{"properties": 1}`), http.StatusBadRequest, "InvalidRequestContent", "BODY_INVALID")
}

// client is a client of the house, in process.
func (h *house) client() *api.Client {
	return api.NewClient(api.Options{Endpoint: "https://patchbay.test", HTTP: api.InProcess(h.handler)})
}

func TestClientDriftAndRepair(t *testing.T) {
	t.Parallel()
	h := made(t, nil)
	ctx, c := context.Background(), h.client()
	for _, scope := range []string{linker, source, ""} {
		h.engine.changes = nil
		found, err := c.Drift(ctx, scope)
		if err != nil || len(found) != 1 || found[0].State != "InSync" || found[0].Name != "Db_1" {
			t.Errorf("%q: %+v %v", scope, found, err)
		}
		h.engine.changes = samplePlan().Steps[0].Changes
		if found, err = c.Drift(ctx, scope); err != nil || found[0].State != "Drifted" || len(found[0].Changes) != 4 {
			t.Errorf("%q: %+v %v", scope, found, err)
		}
	}
	op, err := c.Repair(ctx, linker, true)
	if err != nil || op.Verb != "repair" || op.Status != "Accepted" || !h.engine.last().Force {
		t.Errorf("%+v %v", op, err)
	}
	if _, err := c.Repair(ctx, source, false); !problem.Is(err, problem.PathMalformed) {
		t.Errorf("repair of a source: %v", err)
	}
}

func TestClientOperations(t *testing.T) {
	t.Parallel()
	h := build(t, nil)
	ctx, c := context.Background(), h.client()
	accepted, err := c.PutLinker(ctx, linker, map[string]any{"properties": map[string]any{"targetService": map[string]any{"type": "AzureResource"}}}, api.PutOptions{NoKeepSecret: true})
	if err != nil || accepted.Operation != h.engine.newest().ID || accepted.Linker["name"] != "Db_1" || !h.engine.last().Forget {
		t.Fatalf("%+v %v", accepted, err)
	}
	if status, done, err := c.Status(ctx, accepted.StatusURL); err != nil || done || status["status"] != "Accepted" {
		t.Errorf("%v %v %v", status, done, err)
	}
	h.engine.note(ledger.PhaseStart, "taken")
	op, err := c.Operation(ctx, accepted.Operation)
	if err != nil || len(op.Journal) != 1 || op.Journal[0].Note != "taken" || op.Caller != "oid-1" || op.Started != nil {
		t.Errorf("%+v %v", op, err)
	}
	for _, source := range []string{"", source, strings.ToLower(source)} {
		if all, err := c.Operations(ctx, source); err != nil || len(all) != 1 {
			t.Errorf("%q: %+v %v", source, all, err)
		}
	}
	if all, err := c.Operations(ctx, "/other"); err != nil || len(all) != 0 {
		t.Errorf("%+v %v", all, err)
	}
	for _, act := range []func(context.Context, string) (*api.Operation, error){c.Resume, c.Undo} {
		if op, err := act(ctx, accepted.Operation); err != nil || op.ID != accepted.Operation {
			t.Errorf("%+v %v", op, err)
		}
	}
	h.engine.end(ledger.Failed, func(op *ledger.Operation) {
		op.Problem = &connection.Problem{Code: "WRITE_LOST", Message: "lost", Fix: "again"}
	})
	if _, done, err := c.Status(ctx, accepted.StatusURL); !done || !problem.Is(err, problem.WriteLost) || problem.As(err).Fix != "again" {
		t.Errorf("%v %v", done, err)
	}
	if _, err := c.Undo(ctx, accepted.Operation); !problem.Is(err, problem.OperationState) {
		t.Errorf("%v", err)
	}
	if _, err := c.Operation(ctx, "nothing"); !problem.Is(err, problem.OperationNotFound) {
		t.Errorf("%v", err)
	}
	if gone, err := c.DeleteLinker(ctx, linker+"x", false); err != nil || !gone.Done {
		t.Errorf("%+v %v", gone, err)
	}
}

func TestInterruptedSaysHowToGoOn(t *testing.T) {
	t.Parallel()
	h := build(t, nil)
	h.linkers(http.MethodPut, "", body)
	op := h.engine.end(ledger.Interrupted, nil)
	if a := h.own(http.MethodGet, "/providers/Patchbay/operations/"+op.ID, ""); a.at("fix") != "patchbay operation resume "+op.ID {
		t.Error(a.raw)
	}
}

func TestSupportTypes(t *testing.T) {
	t.Parallel()
	h := build(t, nil)
	if all, err := h.client().SupportTypes(context.Background()); err != nil || len(all) != 1 || all[0].Target != "redis" {
		t.Errorf("%+v %v", all, err)
	}
	bare := build(t, func(c *server.Config) { c.SupportTypes = nil })
	if a := bare.own(http.MethodGet, "/providers/Patchbay/supportTypes", ""); a.raw != `{"value":[]}` {
		t.Error(a.raw)
	}
}

// Events arrive while the operation runs, in process and over a socket.
func TestEvents(t *testing.T) {
	t.Parallel()
	for name, open := range map[string]func(*testing.T, *house) api.Options{
		"in process": func(_ *testing.T, h *house) api.Options {
			return api.Options{Endpoint: "https://patchbay.test", HTTP: api.InProcess(h.handler)}
		},
		"socket": func(t *testing.T, h *house) api.Options {
			s := httptest.NewServer(h.handler)
			t.Cleanup(s.Close)
			return api.Options{Endpoint: s.URL, HTTP: s.Client()}
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := build(t, nil)
			h.linkers(http.MethodPut, "", body)
			h.engine.note(ledger.PhaseStart, "first")
			ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
			defer cancel()
			var notes []string
			op, err := api.NewClient(open(t, h)).Events(ctx, h.engine.newest().ID, func(e api.JournalEntry) error {
				notes = append(notes, e.Note)
				switch e.Note {
				case "first":
					h.engine.note(ledger.PhaseIntent, "second")
				case "second":
					h.engine.note(ledger.PhaseEnd, "third")
					h.engine.end(ledger.Succeeded, nil)
				}
				return nil
			})
			if err != nil || op.Status != "Succeeded" || strings.Join(notes, " ") != "first second third" {
				t.Errorf("%+v %v %v", op, notes, err)
			}
		})
	}
}

func TestEventsEndWithTheClient(t *testing.T) {
	t.Parallel()
	h := build(t, nil)
	h.linkers(http.MethodPut, "", body)
	h.engine.note(ledger.PhaseStart, "first")
	ctx, cancel := context.WithCancel(context.Background())
	_, err := h.client().Events(ctx, h.engine.newest().ID, func(api.JournalEntry) error {
		cancel()
		return nil
	})
	if err == nil || problem.Is(err, problem.Internal) {
		t.Errorf("%v", err)
	}
	if _, err := h.client().Events(context.Background(), "nothing", nil); !problem.Is(err, problem.OperationNotFound) {
		t.Errorf("%v", err)
	}
}

func TestEventsGoOnWhereTheClientWas(t *testing.T) {
	t.Parallel()
	h := build(t, nil)
	h.linkers(http.MethodPut, "", body)
	h.engine.note(ledger.PhaseStart, "first")
	h.engine.note(ledger.PhaseEnd, "second")
	op := h.engine.end(ledger.Succeeded, nil)
	r := newRequest(http.MethodGet, "/providers/Patchbay/operations/"+op.ID+"/events?api-version=2026-11-01", "")
	r.Header.Set("Last-Event-ID", "1")
	a := h.send(r)
	if a.header.Get("Content-Type") != "text/event-stream" || strings.Contains(a.raw, "first") || !strings.HasPrefix(a.raw, "id: 2\nevent: entry\ndata: {") || !strings.Contains(a.raw, "\n\nevent: end\ndata: {") {
		t.Errorf("%v %s", a.header, a.raw)
	}
}
