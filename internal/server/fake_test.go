package server_test

import (
	"context"
	"sort"
	"strings"
	"sync"
	"time"

	"github.com/google/uuid"

	"github.com/patchbay/patchbay/internal/connection"
	"github.com/patchbay/patchbay/internal/engine"
	"github.com/patchbay/patchbay/internal/ledger"
	"github.com/patchbay/patchbay/internal/plan"
	"github.com/patchbay/patchbay/internal/problem"
)

// fakeEngine keeps connections and operations in memory. Operations stay accepted
// until end is called.
type fakeEngine struct {
	mu          sync.Mutex
	connections map[string]*connection.Connection
	operations  map[string]*ledger.Operation
	order       []string
	journal     map[string][]ledger.Entry
	requests    []engine.Request
	given       map[string]connection.Secrets

	rights   []engine.Right // what every change needs
	settings []engine.Configuration
	plan     *plan.Plan
	changes  []plan.Change
	refuse   error // what Prepare answers
	prompt   bool  // deletions end at once
	broken   any   // what Connections panics with
}

func newFake() *fakeEngine {
	return &fakeEngine{connections: map[string]*connection.Connection{}, operations: map[string]*ledger.Operation{}, journal: map[string][]ledger.Entry{}, given: map[string]connection.Secrets{}}
}

func (f *fakeEngine) Prepare(_ context.Context, r engine.Request) (*engine.Prepared, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.requests = append(f.requests, r)
	if f.refuse != nil {
		return nil, f.refuse
	}
	p := &engine.Prepared{Request: r, Existing: f.connections[connection.FoldID(r.Connection.ID)], Rights: f.rights}
	if p.Existing == nil && r.Verb != ledger.VerbCreate && r.Verb != ledger.VerbDryrun {
		return nil, problem.New(problem.ConnectionNotFound, r.Connection.ID, "there is no connection %s", r.Connection.ID)
	}
	return p, nil
}

func (f *fakeEngine) Accept(_ context.Context, p *engine.Prepared) (*ledger.Operation, *connection.Connection, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	key := connection.FoldID(p.Connection.ID)
	for _, op := range f.operations {
		if connection.FoldID(op.Connection) == key && !op.Status.Done() {
			return nil, nil, problem.New(problem.ConnectionBusy, p.Connection.ID, "another operation on %s is under way", p.Connection.Name)
		}
	}
	c := *p.Connection
	if p.Existing != nil && p.Verb != ledger.VerbUpdate {
		c = *p.Existing
	}
	op := &ledger.Operation{ID: uuid.NewString(), Seq: int64(len(f.order) + 1), Verb: p.Verb, Connection: c.ID, Source: c.Source, Caller: p.Caller,
		Correlation: p.Correlation, Status: ledger.Accepted, Before: p.Existing, Accepted: time.Now()}
	switch p.Verb {
	case ledger.VerbCreate, ledger.VerbUpdate, ledger.VerbDryrun:
		wanted := c
		op.Wanted = &wanted
		c.State = connection.StateAccepted
		f.connections[key] = &c
	case ledger.VerbDelete:
		c.State = connection.StateDeleting
		f.connections[key] = &c
		if f.prompt {
			delete(f.connections, key)
			op.Status, op.Started, op.Ended = ledger.Succeeded, op.Accepted, time.Now()
		}
	}
	f.operations[op.ID], f.given[op.ID] = op, p.Secrets
	f.order = append([]string{op.ID}, f.order...)
	return op, &c, nil
}

// end finishes the newest operation and returns it.
func (f *fakeEngine) end(status ledger.Status, change func(*ledger.Operation)) *ledger.Operation {
	f.mu.Lock()
	defer f.mu.Unlock()
	op := *f.operations[f.order[0]]
	op.Status, op.Started, op.Ended = status, op.Accepted, time.Now()
	if change != nil {
		change(&op)
	}
	key := connection.FoldID(op.Connection)
	switch {
	case status == ledger.Succeeded && op.Verb == ledger.VerbDelete:
		delete(f.connections, key)
	case f.connections[key] != nil:
		c := *f.connections[key]
		c.State = map[ledger.Status]string{ledger.Succeeded: connection.StateSucceeded, ledger.Failed: connection.StateFailed}[status]
		f.connections[key] = &c
	}
	f.operations[op.ID] = &op
	return &op
}

// note adds an entry to the newest operation's journal.
func (f *fakeEngine) note(phase ledger.Phase, note string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	id := f.order[0]
	f.journal[id] = append(f.journal[id], ledger.Entry{Seq: int64(len(f.journal[id]) + 1), At: time.Now(), Phase: phase, Note: note})
}

func (f *fakeEngine) newest() *ledger.Operation {
	f.mu.Lock()
	defer f.mu.Unlock()
	op := *f.operations[f.order[0]]
	return &op
}

func (f *fakeEngine) last() engine.Request {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.requests[len(f.requests)-1]
}

func (f *fakeEngine) asked() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return len(f.requests)
}

func (f *fakeEngine) Plan(context.Context, *engine.Prepared) (*plan.Plan, error) { return f.plan, nil }

func (f *fakeEngine) Connection(_ context.Context, id string) (*connection.Connection, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	c := f.connections[connection.FoldID(id)]
	if c == nil {
		return nil, problem.New(problem.ConnectionNotFound, id, "there is no connection %s", id)
	}
	return c, nil
}

func (f *fakeEngine) Connections(_ context.Context, source string) ([]*connection.Connection, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.broken != nil {
		panic(f.broken)
	}
	var out []*connection.Connection
	for _, c := range f.connections {
		if source == "" || connection.FoldID(c.Source) == connection.FoldID(source) {
			out = append(out, c)
		}
	}
	sort.Slice(out, func(i, j int) bool { return out[i].ID < out[j].ID })
	return out, nil
}

func (f *fakeEngine) Within(ctx context.Context, collection string) ([]*connection.Connection, error) {
	all, err := f.Connections(ctx, "")
	var out []*connection.Connection
	for _, c := range all {
		if strings.HasPrefix(connection.FoldID(c.ID), connection.FoldID(collection)+"/") {
			out = append(out, c)
		}
	}
	return out, err
}

func (f *fakeEngine) Generate(ctx context.Context, id string, change func(*connection.Properties)) (*engine.Generated, error) {
	c, err := f.Connection(ctx, id)
	if err != nil {
		return nil, err
	}
	p := c.Properties
	change(&p)
	settings := append([]engine.Configuration{}, f.settings...)
	if p.Configuration != nil {
		for _, name := range []string{"A"} {
			if own := p.Configuration.CustomizedKeys[name]; own != "" {
				settings = append(settings, engine.Configuration{Name: own, Value: p.ClientType})
			}
		}
	}
	return &engine.Generated{Configurations: settings, Rights: f.rights}, nil
}

func (f *fakeEngine) Configurations(ctx context.Context, id string) ([]engine.Configuration, error) {
	_, err := f.Connection(ctx, id)
	return f.settings, err
}

func (f *fakeEngine) Drift(ctx context.Context, scope string) ([]engine.Drift, error) {
	var out []engine.Drift
	if strings.Contains(connection.FoldID(scope), "/linkers/") {
		c, err := f.Connection(ctx, scope)
		if err != nil {
			return nil, err
		}
		return []engine.Drift{{Connection: c, Changes: f.changes}}, nil
	}
	all, err := f.Connections(ctx, scope)
	for _, c := range all {
		out = append(out, engine.Drift{Connection: c, Changes: f.changes})
	}
	return out, err
}

func (f *fakeEngine) Operation(_ context.Context, id string) (*ledger.Operation, []ledger.Entry, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	op := f.operations[id]
	if op == nil {
		return nil, nil, problem.New(problem.OperationNotFound, id, "there is no operation %s", id)
	}
	copied := *op
	return &copied, append([]ledger.Entry{}, f.journal[id]...), nil
}

func (f *fakeEngine) Operations(_ context.Context, source string) ([]*ledger.Operation, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	var out []*ledger.Operation
	for _, id := range f.order {
		if op := f.operations[id]; source == "" || connection.FoldID(op.Source) == connection.FoldID(source) {
			out = append(out, op)
		}
	}
	return out, nil
}

func (f *fakeEngine) Resume(ctx context.Context, id string) (*ledger.Operation, error) {
	return f.unfinished(ctx, id)
}

func (f *fakeEngine) Undo(ctx context.Context, id string) (*ledger.Operation, error) {
	return f.unfinished(ctx, id)
}

func (f *fakeEngine) unfinished(ctx context.Context, id string) (*ledger.Operation, error) {
	op, _, err := f.Operation(ctx, id)
	if err == nil && op.Status.Done() {
		err = problem.New(problem.OperationState, id, "operation %s has ended", id)
	}
	return op, err
}
