package engine

import (
	"context"
	"errors"
	"slices"
	"sort"
	"strings"

	"github.com/patchbay/patchbay/internal/connection"
	"github.com/patchbay/patchbay/internal/ledger"
	"github.com/patchbay/patchbay/internal/plan"
	"github.com/patchbay/patchbay/internal/problem"
)

// Connection returns one connection by ARM id.
func (e *Engine) Connection(ctx context.Context, id string) (*connection.Connection, error) {
	c, err := e.Ledger.Connection(ctx, id)
	if errors.Is(err, ledger.ErrNotFound) {
		return nil, problem.New(problem.ConnectionNotFound, id, "there is no connection %s", id)
	}
	return c, storeProblem(err)
}

// Connections lists the connections of a source, ordered by name; "" lists all.
func (e *Engine) Connections(ctx context.Context, source string) ([]*connection.Connection, error) {
	list, err := e.Ledger.Connections(ctx, source)
	list = slices.DeleteFunc(list, func(c *connection.Connection) bool { return connection.IsDryrun(c.ID) })
	return list, storeProblem(err)
}

// Within lists the local connections, or the dryruns, whose ids begin with a collection's,
// ordered by name.
func (e *Engine) Within(ctx context.Context, collection string) ([]*connection.Connection, error) {
	list, err := e.Ledger.Connections(ctx, "")
	begin := connection.FoldID(collection) + "/"
	list = slices.DeleteFunc(list, func(c *connection.Connection) bool { return !strings.HasPrefix(connection.FoldID(c.ID), begin) })
	return list, storeProblem(err)
}

// Configurations returns the settings of a connection with their values. Where a
// secret is not kept, what the source holds stands in.
func (e *Engine) Configurations(ctx context.Context, id string) ([]Configuration, error) {
	c, err := e.Connection(ctx, id)
	if err != nil {
		return nil, err
	}
	ctx = e.Memo(ctx)
	secrets, err := e.kept(ctx, c)
	if err != nil {
		return nil, err
	}
	_, facets, err := e.derive(ctx, c, secrets)
	if problem.Is(err, problem.SecretNeeded) {
		return e.configurationsThere(ctx, c)
	}
	if err != nil {
		return nil, err
	}
	return e.described(c, settingsIn(facets)), nil
}

// described adds which generation of a library reads a setting.
func (e *Engine) described(c *connection.Connection, rows []Configuration) []Configuration {
	words := e.Targets.Describe(c)
	for i := range rows {
		rows[i].Description = words[strings.ToLower(rows[i].Name)]
	}
	return rows
}

func (e *Engine) configurationsThere(ctx context.Context, c *connection.Connection) ([]Configuration, error) {
	records, err := e.Ledger.RecordsOf(ctx, c.UID)
	if err != nil {
		return nil, storeProblem(err)
	}
	var facets []connection.Facet
	for _, r := range records {
		if r.Key.Kind == connection.KindSetting || r.Key.Kind == connection.KindConfigKey {
			facets = append(facets, recall(r))
		}
	}
	v, err := e.observe(ctx, facets)
	if err != nil {
		return nil, err
	}
	out := []Configuration{}
	for _, f := range facets {
		if s := v.states[f.Fold()]; s.Exists {
			out = append(out, Configuration{Name: f.Name, Value: s.Attrs[connection.AttrValue].Text, Secret: true})
		}
	}
	sort.Slice(out, func(i, j int) bool { return out[i].Name < out[j].Name })
	return e.described(c, out), nil
}

// Drift compares what connections need with what is there. scope is the id of a
// connection or of a source; "" means everything. It writes nothing.
func (e *Engine) Drift(ctx context.Context, scope string) ([]Drift, error) {
	list, err := e.inScope(ctx, scope)
	if err != nil {
		return nil, err
	}
	ctx = e.Memo(ctx)
	out := make([]Drift, 0, len(list))
	for _, c := range list {
		d := Drift{Connection: c}
		changes, err := e.drift(ctx, c)
		if err != nil {
			p := problem.As(err)
			d.Problem = &connection.Problem{Code: string(p.Code), Message: p.Error(), Resource: p.Resource, Fix: p.FixText()}
		}
		d.Changes = changes
		out = append(out, d)
	}
	return out, nil
}

func (e *Engine) inScope(ctx context.Context, scope string) ([]*connection.Connection, error) {
	if strings.Contains(connection.FoldID(scope), "/providers/microsoft.servicelinker/linkers/") {
		c, err := e.Connection(ctx, scope)
		if err != nil {
			return nil, err
		}
		return []*connection.Connection{c}, nil
	}
	return e.Connections(ctx, scope)
}

func (e *Engine) drift(ctx context.Context, c *connection.Connection) ([]plan.Change, error) {
	secrets, err := e.kept(ctx, c)
	if err != nil {
		return nil, err
	}
	copied := *c
	_, facets, err := e.derive(ctx, &copied, secrets)
	if err != nil {
		return nil, err
	}
	r := &run{Engine: e, uid: c.UID}
	p, err := r.plan(ctx, facets, nil, plan.Mend)
	if err != nil {
		return nil, err
	}
	return differences(p), nil
}

// differences are the changes of a plan that mean drift: writes that are not
// scaffolding, and values left alone.
func differences(p *plan.Plan) []plan.Change {
	var out []plan.Change
	for _, s := range p.Steps {
		for _, c := range s.Changes {
			if !c.Facet.Scaffold {
				out = append(out, c)
			}
		}
	}
	for _, c := range p.Quiet {
		if c.Action == plan.Leave && !c.Obsolete {
			out = append(out, c)
		}
	}
	return out
}

// Operation returns one operation with its journal.
func (e *Engine) Operation(ctx context.Context, id string) (*ledger.Operation, []ledger.Entry, error) {
	op, err := e.Ledger.Operation(ctx, id)
	if err != nil {
		return nil, nil, operationProblem(id, err)
	}
	entries, err := e.Ledger.Journal(ctx, op.ID)
	for i := range entries {
		entries[i].Sealed = nil
	}
	if errors.Is(err, ledger.ErrSeal) {
		err = nil // what people read of a journal is not sealed
	}
	return op, entries, storeProblem(err)
}

// Operations lists operations, newest first.
func (e *Engine) Operations(ctx context.Context, source string) ([]*ledger.Operation, error) {
	list, err := e.Ledger.Operations(ctx, source, 0)
	return list, storeProblem(err)
}

// Resume has an interrupted operation taken again at once.
func (e *Engine) Resume(ctx context.Context, id string) (*ledger.Operation, error) {
	op, err := e.unfinished(ctx, id)
	if err != nil {
		return nil, err
	}
	e.signal()
	return op, nil
}

// Undo has an unfinished operation undone by whoever takes it.
func (e *Engine) Undo(ctx context.Context, id string) (*ledger.Operation, error) {
	op, err := e.unfinished(ctx, id)
	if err != nil {
		return nil, err
	}
	if err := e.Ledger.RequestUndo(ctx, op.ID); err != nil {
		return nil, storeProblem(err)
	}
	e.signal()
	return op, nil
}

func (e *Engine) unfinished(ctx context.Context, id string) (*ledger.Operation, error) {
	op, err := e.Ledger.Operation(ctx, id)
	if err != nil {
		return nil, operationProblem(id, err)
	}
	if op.Status.Done() {
		return nil, problem.New(problem.OperationState, op.ID, "operation %s has ended: %s", op.ID, op.Status)
	}
	return op, nil
}

func operationProblem(id string, err error) error {
	if errors.Is(err, ledger.ErrNotFound) {
		return problem.New(problem.OperationNotFound, id, "there is no operation %s", id)
	}
	return storeProblem(err)
}
