package engine

import (
	"context"
	"fmt"
	"strings"

	"github.com/patchbay/patchbay/internal/connection"
	"github.com/patchbay/patchbay/internal/ledger"
	"github.com/patchbay/patchbay/internal/plan"
	"github.com/patchbay/patchbay/internal/problem"
)

// remove runs a delete.
func (r *run) remove(ctx context.Context) error {
	c := *r.op.Before
	if connection.IsDryrun(c.ID) { // it owns nothing
		return r.finish(ctx, ledger.Succeeded, nil, nil)
	}
	memo := r.Memo(ctx)
	p, err := r.plan(memo, nil, r.remembered(memo), modeOf(r.op.Verb, r.op.Force))
	if err == nil {
		err = r.execute(ctx, p)
	}
	if err == nil {
		err = r.claimQuiet(ctx, p)
	}
	if err != nil {
		return r.fail(ctx, &c, err)
	}
	if len(r.left) > 0 && !r.op.Force {
		return r.fail(ctx, &c, nil)
	}
	r.op.Message = r.words()
	return r.finish(ctx, ledger.Succeeded, nil, nil)
}

// remembered derives the facets of a connection that is to go, for the order of their
// removal and the scaffolding it needs, and notes which places are dead.
func (r *run) remembered(ctx context.Context) []connection.Facet {
	secrets, _ := r.secrets(ctx) // values do not matter here
	old := *r.op.Before
	facts, facets, _ := r.deriveRemains(ctx, &old, standIn(secrets)) // the records know the rest
	r.gone = facts.Text(connection.FactGone)
	if facts.Text(connection.FactStopped) == "" {
		return facets
	}
	r.stopped, r.start = old.Properties.Target.ID, facts.Text(connection.FactStart)
	var out []connection.Facet
	for _, f := range facets {
		if !f.Scaffold { // nothing can be put up at a server that does not run
			out = append(out, f)
		}
	}
	return out
}

// deriveRemains is derive for what is to go: facets are derived from whatever is still
// there, and a missing source, target or identity is told besides.
func (e *Engine) deriveRemains(ctx context.Context, c *connection.Connection, secrets connection.Secrets) (Facts, []connection.Facet, error) {
	facts, facets, err := e.derive(ctx, c, secrets)
	gone := problem.Is(err, problem.SourceNotFound) || problem.Is(err, problem.TargetNotFound) || problem.Is(err, problem.IdentityNotFound)
	if facts == nil || !gone {
		return facts, facets, err
	}
	e.recallIdentity(ctx, c.UID, facts)
	facets, deriveErr := e.Targets.Derive(c, facts, secrets)
	facets = placed(c, facets)
	if deriveErr != nil {
		return facts, nil, err
	}
	return facts, facets, err
}

// vanished tells whether a place is known to be gone: what was in it went with it.
func (r *run) vanished(resource string) bool {
	return r.gone != "" && within(resource, r.gone)
}

// asleep tells whether a place is stopped: what it refuses is left over, not a failure.
func (r *run) asleep(resource string) bool {
	return r.stopped != "" && within(r.stopped, resource)
}

// within tells whether an id is another one or lies under it.
func within(inner, outer string) bool {
	a, b := connection.FoldID(inner), connection.FoldID(outer)
	return a == b || strings.HasPrefix(a, b+"/")
}

// dead handles a removal at a place that cannot be looked into: a delete goes on
// without it and names it, anything else fails.
func (r *run) dead(ctx context.Context, c *plan.Change) (bool, error) {
	if r.vanished(c.Facet.Resource) {
		return false, r.release(ctx, c.Facet.Key)
	}
	p := problem.New(problem.TargetNoAnswer, c.Facet.Resource, "%s cannot be removed: %s", c.Facet.Key, c.Before.Why)
	if r.op == nil || r.op.Verb != ledger.VerbDelete {
		return false, p
	}
	r.leave(p.Detail, c.Facet)
	return false, nil
}

// leaned tells whether something that is left over still needs a thing that is to go:
// then it stays too, for the delete that comes back. Force leaves nothing for later.
func (r *run) leaned(c *plan.Change) bool {
	r.outputs.mu.Lock()
	defer r.outputs.mu.Unlock()
	if r.op.Force {
		return false
	}
	for _, f := range r.leftFacets {
		for _, k := range f.After {
			if k.Fold() == c.Facet.Fold() {
				r.left = append(r.left, fmt.Sprintf("%s stays: %s needs it", c.Facet.Key, f.Key))
				return true
			}
		}
	}
	return false
}

// forgive decides on a write that was refused: a delete goes on without what a stopped
// place refuses to do.
func (r *run) forgive(changes []plan.Change, err error) error {
	if r.op.Verb != ledger.VerbDelete || !r.asleep(changes[0].Facet.Resource) {
		return err
	}
	r.leave(fmt.Sprintf("%s: %s", describe(changes), problem.As(err).Error()), facetsOf(changes)...)
	return nil
}

// leave notes what could not be finished nor undone.
func (r *run) leave(what string, facets ...connection.Facet) {
	r.outputs.mu.Lock()
	defer r.outputs.mu.Unlock()
	r.left = append(r.left, what)
	r.leftFacets = append(r.leftFacets, facets...)
}

// spare notes what is left on purpose: it is not, or no longer, what we wrote.
func (r *run) spare(c plan.Change) {
	r.outputs.mu.Lock()
	defer r.outputs.mu.Unlock()
	r.spared = append(r.spared, fmt.Sprintf("%s stays as it is: %s", c.Facet.Key, c.Note))
}

// words tells what an operation that succeeded did not do.
func (r *run) words() string {
	return strings.Join(append(append([]string{}, r.left...), r.spared...), "; ")
}
