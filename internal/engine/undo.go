package engine

import (
	"context"

	"github.com/patchbay/patchbay/internal/connection"
	"github.com/patchbay/patchbay/internal/ledger"
	"github.com/patchbay/patchbay/internal/plan"
	"github.com/patchbay/patchbay/internal/problem"
)

// undo takes back every write of the operation, newest first, from the journal
// alone. What a later writer changed is left. What cannot be taken back is noted in
// left; undo goes on with the rest.
func (r *run) undo(ctx context.Context) error {
	entries, err := r.Ledger.Journal(ctx, r.op.ID)
	if err != nil {
		return storeProblem(err)
	}
	undone := map[int64]bool{}
	for i := len(entries) - 1; i >= 0; i-- {
		e := entries[i]
		if e.Phase != ledger.PhaseIntent || len(e.Sealed) == 0 || undone[e.Seq] {
			continue
		}
		in, err := decodeIntent(e.Sealed)
		if err != nil {
			return err
		}
		if in.Dismantle || in.Changes[0].Change.Facet.Scaffold {
			continue
		}
		if err := r.undoStep(ctx, in); err != nil {
			if halted(err) {
				return err
			}
			r.left = append(r.left, describeUndo(in)+": "+problem.As(err).Error())
		}
	}
	return nil
}

// halted tells whether the journal cannot be written any more: then nothing else
// may be, and whoever takes the operation next goes on.
func halted(err error) bool {
	return problem.Is(err, problem.LeaseLost) || problem.Is(err, problem.StoreFailed) || problem.Is(err, problem.StoreFull)
}

func describeUndo(in intent) string {
	changes := make([]plan.Change, 0, len(in.Changes))
	for _, ic := range in.Changes {
		changes = append(changes, ic.Change)
	}
	return "undo of " + describe(changes)
}

func (r *run) undoStep(ctx context.Context, in intent) error {
	d, err := r.driver(in.Changes[0].Change.Facet)
	if err != nil {
		return err
	}
	unlock, err := r.Ledger.Lock(ctx, r.lease, in.Path)
	if err != nil {
		return storeProblem(err)
	}
	defer unlock()
	shared, err := r.sharedNow(ctx, in)
	if err != nil {
		return err
	}
	reversed, basis, err := r.reverse(ctx, d, in, shared)
	if err != nil {
		return err
	}
	if len(reversed) > 0 {
		if err := r.journal(ctx, ledger.Entry{Phase: ledger.PhaseUndo, Step: in.Step, Note: describe(reversed)}); err != nil {
			return err
		}
		states, err := d.Write(ctx, basis, reversed)
		if err != nil {
			return err
		}
		r.noteReborn(reversed, states, in)
		noteOutputs(reversed, states, in)
	}
	if err := r.giveBack(ctx, in, shared); err != nil {
		return err
	}
	return r.journal(ctx, ledger.Entry{Phase: ledger.PhaseUndone, Step: in.Step, Note: describe(reversed)})
}

// reverse reads again and works out the opposite of each change that really happened
// and that nobody else relies on.
func (r *run) reverse(ctx context.Context, d Driver, in intent, shared map[string]bool) ([]plan.Change, Basis, error) {
	facets := make([]connection.Facet, 0, len(in.Changes))
	for _, ic := range in.Changes {
		facets = append(facets, ic.Change.Facet)
	}
	basis, err := d.Read(ctx, facets)
	if err != nil {
		return nil, nil, err
	}
	var out []plan.Change
	for _, ic := range in.Changes {
		now := d.State(basis, ic.Change.Facet)
		if back, ok := opposite(ic.Change, now); ok && !shared[ic.Change.Facet.Fold()] {
			r.rebind(&back)
			out = append(out, back)
		}
	}
	return out, basis, nil
}

// opposite is the change that takes one back, if there is anything to take back.
func opposite(c plan.Change, now connection.State) (plan.Change, bool) {
	back := plan.Change{Facet: connection.Facet{Key: c.Facet.Key, Want: c.Facet.Want}, Before: now, Was: now.Outputs}
	happened := now.Unknown || plan.Matches(c.Facet.Want, now)
	switch {
	case c.Action == plan.Remove && c.Before.Exists:
		after := connection.State{}
		if c.Restore != nil {
			after = *c.Restore
		}
		if now.Exists && !plan.Matches(after.Attrs, now) && c.Restore != nil || now.Exists && c.Restore == nil {
			return back, false // it was not removed, or somebody put another there
		}
		back.Action = plan.Update
		back.Facet.Want = overlay(c.Facet.Want, c.Before.Attrs)
		back.Before.Spelling = c.Before.Spelling
		return back, true
	case c.Action == plan.Create && !c.Before.Exists, c.Action == plan.Update && !c.Before.Exists:
		back.Action = plan.Remove
		return back, happened && (now.Exists || now.Unknown)
	case c.Before.Exists:
		back.Action = plan.Update
		back.Facet.Want = overlay(c.Facet.Want, c.Before.Attrs)
		restore := c.Before
		back.Restore = &restore
		return back, happened
	}
	return back, false
}

// overlay is what was wanted with the attributes that were seen laid over it: the
// parameters of the write stay, the values are those of before.
func overlay(want, seen connection.Attrs) connection.Attrs {
	out := connection.Attrs{}
	for name, v := range want {
		out[name] = v
	}
	for name, v := range seen {
		out[name] = v
	}
	return out
}

// giveBack puts the records back as they were before the intent; what others rely on
// keeps its own.
func (r *run) giveBack(ctx context.Context, in intent, shared map[string]bool) error {
	for _, ic := range in.Changes {
		var err error
		ours := ic.Had != nil && ic.Had.OwnedBy(r.uid)
		if ours && shared[ic.Change.Facet.Fold()] {
			continue
		}
		if ours {
			r.rebindRecord(ic.Had)
			err = r.store(ctx, ic.Had)
		} else {
			err = r.release(ctx, ic.Change.Facet.Key)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// noteReborn remembers identities that an undo could only bring back under a new
// principal id: what is brought back after them belongs to the new one.
func (r *run) noteReborn(reversed []plan.Change, states []connection.State, in intent) {
	for i, c := range reversed {
		for _, ic := range in.Changes {
			if ic.Change.Facet.Fold() != c.Facet.Fold() {
				continue
			}
			for _, out := range []string{connection.OutPrincipalID, connection.OutClientID} {
				r.noteRebornAs(ic.Change.Before.Outputs[out], states[i].Outputs[out])
			}
		}
	}
}

func (r *run) noteRebornAs(old, now string) {
	if old == "" || now == "" || old == now {
		return
	}
	if r.reborn == nil {
		r.reborn = map[string]string{}
	}
	r.reborn[old] = now
}

func (r *run) rebind(c *plan.Change) {
	for _, name := range []string{connection.AttrPrincipalID, connection.AttrClientID} {
		v, ok := c.Facet.Want[name]
		if now := r.reborn[v.Text]; ok && now != "" {
			c.Facet.Want[name] = connection.Plain(now)
		}
	}
}

// noteOutputs puts what was brought back on the records that are given back: it may
// carry another id than before.
func noteOutputs(reversed []plan.Change, states []connection.State, in intent) {
	for i, c := range reversed {
		for _, ic := range in.Changes {
			if ic.Had != nil && ic.Change.Facet.Fold() == c.Facet.Fold() && c.Action != plan.Remove && len(states[i].Outputs) > 0 {
				ic.Had.Outputs = states[i].Outputs
			}
		}
	}
}

func (r *run) rebindRecord(rec *plan.Record) {
	for old, now := range r.reborn {
		for _, name := range []string{connection.AttrPrincipalID, connection.AttrClientID} {
			if rec.Written[name] == r.Ledger.Stamp(connection.Plain(old)) {
				rec.Written[name] = r.Ledger.Stamp(connection.Plain(now))
			}
		}
		for _, name := range []string{connection.OutPrincipalID, connection.OutClientID} {
			if rec.Outputs[name] == old {
				rec.Outputs[name] = now
			}
		}
	}
}
