package engine

import (
	"context"

	"github.com/patchbay/patchbay/internal/connection"
	"github.com/patchbay/patchbay/internal/plan"
)

// blind tells whether a plan takes the ledger's word for something that could not be
// looked at.
func blind(p *plan.Plan) bool {
	for _, c := range p.Quiet {
		if c.Action == plan.Keep && c.Before.Unknown {
			return true
		}
	}
	return false
}

// planInside plans after a look from inside: scaffolding that lets the engine in goes
// up first, then everything is read again, past the memo that the first look may use.
// The plan takes the scaffolding down; what could not go up leaves places unseen.
func (r *run) planInside(ctx, memo context.Context, facets, remembered []connection.Facet, mode plan.Mode) (*plan.Plan, error) {
	p, err := r.planHolding(memo, facets, remembered, mode, true)
	if err != nil {
		return nil, err
	}
	raise, strike := scaffoldSteps(p.Steps)
	if err := r.apply(ctx, raise); ctx.Err() != nil || halted(err) {
		return nil, err
	}
	p, err = r.plan(ctx, facets, remembered, mode)
	if err != nil {
		r.dismantle(ctx, strike)
	}
	return p, err
}

// scaffoldSteps picks the steps that put scaffolding up and those that take it down.
func scaffoldSteps(steps []plan.Step) (raise, strike []plan.Step) {
	for _, s := range steps {
		switch {
		case s.Dismantle:
			strike = append(strike, s)
		case s.Changes[0].Facet.Scaffold:
			raise = append(raise, s)
		}
	}
	return raise, strike
}
