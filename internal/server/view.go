package server

import (
	"time"

	"github.com/patchbay/patchbay/internal/api"
	"github.com/patchbay/patchbay/internal/connection"
	"github.com/patchbay/patchbay/internal/engine"
	"github.com/patchbay/patchbay/internal/problem"
)

// Drift states.
const (
	driftNone       = "InSync"
	driftFound      = "Drifted"
	driftUnreadable = "Unreadable"
)

// planView prints a plan: values masked, what comes later as "known after apply".
func planView(id string, verb engine.Verb, p *engine.Plan) api.Plan {
	out := api.Plan{Connection: id, Verb: string(verb), Steps: make([]api.PlanStep, 0, len(p.Steps)), Quiet: changeViews(p.Quiet)}
	for _, s := range p.Steps {
		needs := s.Needs
		if needs == nil {
			needs = []string{}
		}
		out.Steps = append(out.Steps, api.PlanStep{ID: s.ID, Path: s.Path, Needs: needs, Dismantle: s.Dismantle, Changes: changeViews(s.Changes)})
	}
	return out
}

func changeViews(changes []engine.Change) []api.PlanChange {
	out := make([]api.PlanChange, 0, len(changes))
	for _, c := range changes {
		out = append(out, changeView(c))
	}
	return out
}

func changeView(c engine.Change) api.PlanChange {
	v := api.PlanChange{
		Kind: string(c.Facet.Kind), Name: c.Facet.Name, Resource: c.Facet.Resource, Action: string(c.Action), Reason: string(c.Reason),
		Scaffold: c.Facet.Scaffold, Note: c.Note,
	}
	if c.Before.Exists {
		v.Before = seenView(c)
	}
	switch {
	case c.Action == engine.Remove && c.Restore != nil:
		v.After = restoredView(c)
	case c.Action == engine.Leave:
		v.After = v.Before
	case c.Action != engine.Remove:
		v.After = attrsView(c.Facet.Want)
	}
	if c.Before.Unknown && v.Note == "" {
		v.Note = c.Before.Why
	}
	return v
}

// seenView prints what was observed. A value that stands where a secret belongs, or
// where we do not know what belongs, may be one: it is masked whatever the reader of
// the place thought of it.
func seenView(c engine.Change) map[string]string {
	out := attrsView(c.Before.Attrs)
	for name := range out {
		want, known := c.Facet.Want[name]
		if want.Secret || !known && c.Facet.Kind == connection.KindSetting {
			out[name] = connection.Mask
		}
	}
	return out
}

// restoredView prints what a removal puts back: for settings, values of others.
func restoredView(c engine.Change) map[string]string {
	out := attrsView(c.Restore.Attrs)
	if c.Facet.Kind == connection.KindSetting {
		for name := range out {
			out[name] = connection.Mask
		}
	}
	return out
}

func attrsView(attrs connection.Attrs) map[string]string {
	out := make(map[string]string, len(attrs))
	for name, value := range attrs {
		if name != connection.AttrMark { // ours to recognise, nothing to decide by
			out[name] = value.String()
		}
	}
	return out
}

func driftView(d engine.Drift) api.Drift {
	out := api.Drift{Connection: d.Connection.ID, Name: d.Connection.Name, State: driftNone, Changes: changeViews(d.Changes), Problem: problemView(d.Problem)}
	switch {
	case d.Problem != nil:
		out.State = driftUnreadable
	case len(d.Changes) > 0:
		out.State = driftFound
	}
	return out
}

func problemView(p *connection.Problem) *api.Problem {
	if p == nil {
		return nil
	}
	return &api.Problem{Code: p.Code, Message: p.Message, Resource: p.Resource, Fix: p.Fix}
}

func operationView(op *engine.Operation, journal []engine.Entry) api.Operation {
	out := api.Operation{
		ID: op.ID, Verb: string(op.Verb), Connection: op.Connection, Source: op.Source, Status: string(op.Status), Caller: op.Caller,
		Accepted: op.Accepted.UTC(), Started: moment(op.Started), Ended: moment(op.Ended), Message: op.Message, Problem: problemView(op.Problem),
	}
	if op.Status == engine.Interrupted {
		out.Fix = "patchbay operation resume " + op.ID
	}
	for _, e := range journal {
		out.Journal = append(out.Journal, entryView(e))
	}
	return out
}

func entryView(e engine.Entry) api.JournalEntry {
	return api.JournalEntry{Seq: e.Seq, At: e.At.UTC(), Phase: string(e.Phase), Step: e.Step, Note: e.Note}
}

func moment(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	t = t.UTC()
	return &t
}

// driftProblem is what a connection that is not there answers to a drift request.
func driftProblem(id string) error {
	return problem.New(problem.ConnectionNotFound, id, "there is no connection %s", id)
}
