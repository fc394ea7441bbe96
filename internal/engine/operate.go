package engine

import (
	"context"
	"encoding/json"
	"strings"
	"sync"
	"time"

	"github.com/patchbay/patchbay/internal/connection"
	"github.com/patchbay/patchbay/internal/ledger"
	"github.com/patchbay/patchbay/internal/plan"
	"github.com/patchbay/patchbay/internal/problem"
)

// operate runs one leased operation to its end. When ctx ends first (shutdown, or
// the lease was lost) the operation is left as it is for whoever takes it next.
func (e *Engine) operate(ctx context.Context, op *ledger.Operation, lease *ledger.Lease) error {
	r := &run{Engine: e, uid: op.UID, op: op, lease: lease}
	ctx = e.Trace(ctx, op.Correlation)
	taken := "taken"
	if lease.Fence > 1 {
		taken = "taken over from a process that is gone"
		e.settle(ctx)
	}
	if err := r.journal(ctx, ledger.Entry{Phase: ledger.PhaseStart, Note: taken}); err != nil {
		return err
	}
	if op.Undo {
		return r.takeBack(ctx)
	}
	switch op.Verb {
	case ledger.VerbValidate:
		return r.validate(ctx)
	case ledger.VerbDelete:
		return r.remove(ctx)
	case ledger.VerbDryrun:
		return r.rehearse(ctx)
	}
	return r.change(ctx)
}

// change runs a create, update or repair.
func (r *run) change(ctx context.Context) error {
	c, err := r.wanted(ctx)
	if err != nil {
		return r.fail(ctx, c, err)
	}
	p, err := r.planChange(ctx, c)
	if err == nil {
		err = r.execute(ctx, p)
	}
	if err != nil {
		return r.fail(ctx, c, err)
	}
	if err := r.claimQuiet(ctx, p); err != nil {
		return err
	}
	if err := r.forgetStale(ctx, c); err != nil {
		return err
	}
	c.State, c.Problem, c.Named = connection.StateSucceeded, nil, true
	if r.moved {
		r.spared = append(r.spared, "The rights of the app's identity are in place and readable; that they already work on the data plane is not proven.")
	}
	r.op.Message = r.words()
	return r.finish(ctx, ledger.Succeeded, c, nil)
}

// forgetStale erases kept secrets that serve no more: all when the sign-in is another
// one now, those given anew when the new ones are not to be kept.
func (r *run) forgetStale(ctx context.Context, c *connection.Connection) error {
	if r.op.Before == nil {
		return nil
	}
	if !sameLogin(c.Properties, r.op.Before.Properties) {
		return storeProblem(r.Ledger.Forget(ctx, r.lease, r.uid))
	}
	given, err := r.Ledger.Given(ctx, r.op.ID)
	if err != nil || !r.op.Forget || len(given) == 0 {
		return storeProblem(err)
	}
	slots := make([]string, 0, len(given))
	for slot := range given {
		slots = append(slots, slot)
	}
	return storeProblem(r.Ledger.Forget(ctx, r.lease, r.uid, slots...))
}

// wanted is the connection an operation is to make true.
func (r *run) wanted(ctx context.Context) (*connection.Connection, error) {
	if r.op.Wanted != nil {
		c := *r.op.Wanted
		return &c, r.name(ctx, &c)
	}
	c := *r.op.Before
	return &c, nil
}

func (r *run) planChange(ctx context.Context, c *connection.Connection) (*plan.Plan, error) {
	secrets, err := r.secrets(ctx)
	if err != nil {
		return nil, err
	}
	if err := r.Targets.Check(c, secrets); err != nil {
		return nil, err
	}
	memo := r.Memo(ctx)
	_, facets, err := r.derive(memo, c, secrets)
	if err != nil {
		return nil, err
	}
	keys := make([]connection.Key, 0, len(facets))
	for _, f := range facets {
		if !f.Scaffold {
			keys = append(keys, f.Key)
		}
	}
	if err := r.Ledger.Claim(ctx, r.lease, r.uid, keys); err != nil {
		return nil, storeProblem(err)
	}
	remembered, mode := r.contextOf(memo, r.op.Before, c), modeOf(r.op.Verb, r.op.Force)
	p, err := r.plan(memo, facets, remembered, mode)
	if err == nil && r.op.Verb == ledger.VerbRepair && blind(p) {
		return r.planInside(ctx, memo, facets, remembered, mode)
	}
	return p, err
}

// secrets are those given with the operation laid over those kept.
func (r *run) secrets(ctx context.Context) (connection.Secrets, error) {
	given, err := r.Ledger.Given(ctx, r.op.ID)
	if err != nil {
		return nil, storeProblem(err)
	}
	joined := connection.Secrets{}
	if r.op.Before != nil && (r.op.Wanted == nil || sameLogin(r.op.Wanted.Properties, r.op.Before.Properties)) {
		kept, err := r.kept(ctx, r.op.Before)
		if err != nil && len(given) == 0 {
			return nil, err
		}
		for slot, s := range kept {
			joined[slot] = s
		}
	}
	for slot, s := range given {
		joined[slot] = s
	}
	return joined, nil
}

// execute journals the plan, runs it and takes the scaffolding down. A failure is
// undone before it is returned.
func (r *run) execute(ctx context.Context, p *plan.Plan) error {
	if err := r.journal(ctx, ledger.Entry{Phase: ledger.PhasePlan, Note: Outline(p)}); err != nil {
		return err
	}
	work, strike := split(p.Steps)
	err := r.apply(ctx, work)
	if err != nil && ctx.Err() == nil && !halted(err) {
		r.Engine.settle(ctx)
		if undoErr := r.undo(ctx); undoErr != nil {
			return undoErr
		}
	}
	if ctx.Err() != nil || halted(err) {
		return err
	}
	r.dismantle(ctx, strike)
	return err
}

func split(steps []plan.Step) (work, strike []plan.Step) {
	for _, s := range steps {
		if s.Dismantle {
			strike = append(strike, s)
		} else {
			work = append(work, s)
		}
	}
	return work, strike
}

// dismantleTries and dismantlePause bound how long scaffolding that will not come
// down is tried again before it is named as a remainder.
const (
	dismantleTries = 3
	dismantlePause = 200 * time.Millisecond
)

// dismantle takes scaffolding down, all of it side by side: nothing leans on it any more.
func (r *run) dismantle(ctx context.Context, strike []plan.Step) {
	var wg sync.WaitGroup
	for _, s := range strike {
		wg.Go(func() {
			err := r.strike(ctx, s)
			if err == nil {
				return
			}
			r.outputs.mu.Lock()
			defer r.outputs.mu.Unlock()
			r.left = append(r.left, describe(s.Changes)+": "+problem.As(err).Error())
		})
	}
	wg.Wait()
}

// strike takes one step of scaffolding down, trying again when that fails.
func (r *run) strike(ctx context.Context, s plan.Step) (err error) {
	for try := range dismantleTries {
		if err = r.step(ctx, s); err == nil || ctx.Err() != nil || halted(err) {
			return err
		}
		select {
		case <-ctx.Done():
		case <-time.After(dismantlePause << try):
		}
	}
	return err
}

// Outline prints a plan in one line for the journal.
func Outline(p *plan.Plan) string {
	if len(p.Steps) == 0 {
		return "nothing to write"
	}
	words := make([]string, 0, len(p.Steps))
	for _, s := range p.Steps {
		words = append(words, describe(s.Changes))
	}
	return strings.Join(words, "; ")
}

// claimQuiet records what needed no write: found things, shared things, and what the
// connection lets go of.
func (r *run) claimQuiet(ctx context.Context, p *plan.Plan) error {
	for _, c := range p.Quiet {
		if err := r.claimOne(ctx, c); err != nil {
			return err
		}
	}
	return nil
}

func (r *run) claimOne(ctx context.Context, c plan.Change) error {
	rec, err := r.record(ctx, c.Facet.Key)
	switch {
	case err != nil:
		return err
	case c.Obsolete:
		if c.Action == plan.Leave {
			r.spare(c)
		}
		return r.release(ctx, c.Facet.Key)
	case c.Facet.Scaffold || c.Action == plan.Leave:
		return nil
	case rec != nil && !rec.Claimed:
		return r.store(ctx, rec)
	}
	found := &plan.Record{Key: c.Facet.Key, Found: c.Action == plan.Found, Written: stamp(r.Ledger, c.Facet.Want), Outputs: c.Before.Outputs, Spelling: c.Before.Spelling}
	return r.store(ctx, found)
}

// takeBack undoes an interrupted operation at somebody's wish.
func (r *run) takeBack(ctx context.Context) error {
	if err := r.undo(ctx); err != nil {
		return err
	}
	p, err := r.plan(ctx, nil, nil, plan.Apply)
	if err == nil {
		_, strike := split(p.Steps)
		r.dismantle(ctx, strike)
	}
	c := r.op.Before
	if c == nil {
		c = r.op.Wanted
		c.State = connection.StateFailed
	}
	if err := r.releaseClaims(ctx, r.op.Before == nil); err != nil {
		return err
	}
	if len(r.left) > 0 {
		return r.fail(ctx, c, nil)
	}
	return r.finish(ctx, ledger.Canceled, c, &connection.Problem{Code: string(problem.Interrupted), Message: "the operation was undone on request", Resource: c.ID})
}

// fail ends an operation that did not succeed. The connection stays readable: a new
// one owns nothing, an old one keeps its last applied properties.
func (r *run) fail(ctx context.Context, c *connection.Connection, err error) error {
	if ctx.Err() != nil || err != nil && halted(err) {
		return err
	}
	if r.op.Before == nil && len(r.left) == 0 {
		if lost := r.letGo(ctx); ctx.Err() != nil || halted(lost) {
			return lost
		} else if lost != nil {
			r.left = append(r.left, problem.As(lost).Error())
		}
	}
	p := problem.As(err)
	if len(r.left) > 0 {
		detail := strings.Join(r.left, "; ")
		if p != nil {
			detail = p.Error() + "; left over: " + detail
		}
		p = problem.New(problem.Remainder, r.op.Connection, "%s", detail).Because(err).WithFix("%s", r.again())
	}
	kept := &connection.Problem{Code: string(p.Code), Message: p.Error(), Resource: p.Resource, Fix: p.FixText()}
	out := r.op.Before
	if out == nil {
		out = c
		out.Named = false
	}
	failed := *out
	failed.State, failed.Problem = connection.StateFailed, kept
	if err := r.releaseClaims(ctx, r.op.Before == nil && len(r.left) == 0); err != nil {
		return err
	}
	return r.finish(ctx, ledger.Failed, &failed, kept)
}

// again is the command that takes up what an operation left over.
func (r *run) again() string {
	if r.op.Verb == ledger.VerbUpdate || r.op.Verb == ledger.VerbRepair {
		return "patchbay repair --id " + r.op.Connection
	}
	again := deleteCommand(&connection.Connection{ID: r.op.Connection})
	if r.start != "" {
		again = r.start + " && " + again
	}
	return again
}

// releaseClaims lets go of what was claimed and never written; all of it when the
// connection is to own nothing.
func (r *run) releaseClaims(ctx context.Context, all bool) error {
	records, err := r.Ledger.RecordsOf(ctx, r.uid)
	if err != nil {
		return storeProblem(err)
	}
	for _, rec := range records {
		if all || rec.Claimed {
			if err := r.release(ctx, rec.Key); err != nil {
				return err
			}
		}
	}
	return nil
}

func (r *run) finish(ctx context.Context, status ledger.Status, c *connection.Connection, p *connection.Problem) error {
	if err := r.journal(ctx, ledger.Entry{Phase: ledger.PhaseEnd, Note: string(status)}); err != nil {
		return err
	}
	r.op.Status, r.op.Problem, r.op.Ended = status, p, time.Now().UTC()
	keep := status == ledger.Succeeded && !r.op.Forget
	return storeProblem(r.Ledger.Finish(ctx, r.lease, r.op, c, keep))
}

func (r *run) report(v any) {
	if raw, err := json.Marshal(v); err == nil {
		r.op.Report = raw
	}
}
