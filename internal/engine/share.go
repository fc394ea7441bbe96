package engine

import (
	"context"

	"github.com/patchbay/patchbay/internal/plan"
)

// sharedNow tells, by folded key, what of a step other connections have come to rely on
// since it was written: that is not ours alone to take back.
func (r *run) sharedNow(ctx context.Context, in intent) (map[string]bool, error) {
	shared := map[string]bool{}
	for _, ic := range in.Changes {
		if ic.Change.Action == plan.Remove {
			continue
		}
		rec, err := r.record(ctx, ic.Change.Facet.Key)
		if err != nil {
			return nil, err
		}
		if rec != nil && !rec.Claimed && rec.OwnedBy(r.uid) && len(rec.Owners) > 1 {
			shared[ic.Change.Facet.Fold()] = true
		}
	}
	return shared, nil
}

// letGo takes down what a create that failed is the last to own: another connection wrote
// it, went, and left it standing for this one.
func (r *run) letGo(ctx context.Context) error {
	records, err := r.Ledger.RecordsOf(ctx, r.uid)
	if err != nil {
		return storeProblem(err)
	}
	inherited := false
	for _, rec := range records {
		inherited = inherited || !rec.Claimed && !rec.Found && len(rec.Owners) == 1
	}
	if !inherited {
		return nil
	}
	wanted := *r.op.Wanted
	_, remembered, _ := r.deriveRemains(ctx, &wanted, standIn(nil)) // the records know the rest
	p, err := r.plan(ctx, nil, remembered, plan.Apply)
	if err != nil {
		return err
	}
	work, strike := split(p.Steps)
	err = r.apply(ctx, work)
	if ctx.Err() == nil && !halted(err) {
		r.dismantle(ctx, strike)
	}
	return err
}
