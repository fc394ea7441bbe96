package engine

import (
	"context"
	"fmt"
	"strings"
	"sync"

	"github.com/patchbay/patchbay/internal/connection"
	"github.com/patchbay/patchbay/internal/ledger"
	"github.com/patchbay/patchbay/internal/plan"
	"github.com/patchbay/patchbay/internal/problem"
)

// outputs are what finished steps produced, for references of later ones.
type outputs struct {
	mu     sync.Mutex
	states map[string]connection.State
}

func (o *outputs) set(k connection.Key, s connection.State) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.states == nil {
		o.states = map[string]connection.State{}
	}
	o.states[k.Fold()] = s
}

func (o *outputs) lookup(base map[string]connection.State) func(connection.Ref) (string, bool) {
	return func(ref connection.Ref) (string, bool) {
		o.mu.Lock()
		defer o.mu.Unlock()
		if s, ok := o.states[ref.Facet.Fold()]; ok {
			text := s.Outputs[ref.Output]
			return text, text != ""
		}
		return plan.Input{Observed: base}.Lookup(ref)
	}
}

// apply runs the steps, as parallel as their edges allow. On the first failure no
// further step starts; running ones come to their end. Scaffolding is left standing.
func (r *run) apply(ctx context.Context, steps []plan.Step) error {
	done := make(map[string]chan struct{}, len(steps))
	for _, s := range steps {
		done[s.ID] = make(chan struct{})
	}
	going, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	var wg sync.WaitGroup
	for _, s := range steps {
		wg.Go(func() {
			defer close(done[s.ID])
			for _, need := range s.Needs {
				if ch, ok := done[need]; ok {
					<-ch
				}
			}
			if going.Err() != nil {
				return
			}
			if err := r.step(ctx, s); err != nil {
				stop(err)
			}
		})
	}
	wg.Wait()
	return context.Cause(going)
}

// step writes one step under the lock of what it writes: read again, journal the
// intent, write, journal the end.
func (r *run) step(ctx context.Context, s plan.Step) error {
	unlock, err := r.Ledger.Lock(ctx, r.lease, s.Path)
	if err != nil {
		return storeProblem(err)
	}
	defer unlock()
	d, err := r.driver(s.Changes[0].Facet)
	if err != nil {
		return err
	}
	basis, changes, err := r.refresh(ctx, d, s)
	if err != nil || len(changes) == 0 {
		return err
	}
	if err := r.intend(ctx, s, changes); err != nil {
		return err
	}
	states, err := d.Write(ctx, basis, changes)
	if err != nil {
		note := problem.As(err)
		_ = r.journal(ctx, ledger.Entry{Phase: ledger.PhaseFailed, Step: s.ID, Note: string(note.Code) + ": " + note.Error()})
		return r.forgive(changes, err)
	}
	r.remark(states)
	return r.written(ctx, s, changes, states)
}

// remark keeps what a driver says about a write that succeeded.
func (r *run) remark(states []connection.State) {
	r.outputs.mu.Lock()
	defer r.outputs.mu.Unlock()
	for _, s := range states {
		if !s.Unknown && s.Why != "" {
			r.spared = append(r.spared, s.Why)
		}
	}
}

// refresh resolves references and, where the write replaces more than its facets,
// reads again; what turned out right meanwhile needs no write any more, and what is
// to be removed is left when somebody changed it or when another owner came.
func (r *run) refresh(ctx context.Context, d Driver, s plan.Step) (Basis, []plan.Change, error) {
	changes := make([]plan.Change, 0, len(s.Changes))
	for _, c := range s.Changes {
		c.Facet.Want = c.Facet.Want.Resolve(r.outputs.lookup(r.view.states))
		if c.Action != plan.Remove && !c.Facet.Want.Known() {
			return nil, nil, problem.New(problem.Internal, c.Facet.Resource, "%s refers to something that is not there", c.Facet.Key)
		}
		changes = append(changes, c)
	}
	var basis Basis
	if g := r.view.groups[pathID(s.Changes[0].Facet.Kind, s.Path)]; g != nil {
		basis = g.basis
	}
	if d.Fresh() || basis == nil || s.Dismantle || referred(s) {
		var err error
		if basis, err = readAgain(ctx, d, changes); err != nil {
			return nil, nil, err
		}
	}
	kept := changes[:0]
	for _, c := range changes {
		c.Before = d.State(basis, c.Facet)
		needed, err := r.stillNeeded(ctx, &c)
		if err != nil {
			return nil, nil, err
		}
		if needed {
			kept = append(kept, c)
		}
	}
	return basis, kept, nil
}

// readAgain reads what a step is about to change. What could not be seen although it
// leans on something that lets the engine in is waited for, where the driver knows how.
func readAgain(ctx context.Context, d Driver, changes []plan.Change) (Basis, error) {
	basis, err := d.Read(ctx, facetsOf(changes))
	if w, ok := d.(Awaiter); ok && err == nil && len(changes) == 1 && len(changes[0].Facet.After) > 0 && d.State(basis, changes[0].Facet).Unknown {
		return w.Await(ctx, changes[0].Facet)
	}
	return basis, err
}

// referred tells whether a step waited for a value that was not known when it was observed.
func referred(s plan.Step) bool {
	for _, c := range s.Changes {
		if !c.Facet.Want.Known() {
			return true
		}
	}
	return false
}

func facetsOf(changes []plan.Change) []connection.Facet {
	out := make([]connection.Facet, len(changes))
	for i, c := range changes {
		out[i] = c.Facet
	}
	return out
}

// stillNeeded decides, under the lock, whether a change is still one.
func (r *run) stillNeeded(ctx context.Context, c *plan.Change) (bool, error) {
	if c.Action != plan.Remove {
		if c.Before.Unknown || !plan.Matches(c.Facet.Want, c.Before) {
			return true, nil
		}
		return false, r.writtenOne(ctx, *c, c.Before)
	}
	rec, err := r.record(ctx, c.Facet.Key)
	if err == nil && c.Facet.Scaffold && rec != nil {
		if len(rec.Owners) > 1 && rec.OwnedBy(r.uid) {
			return false, r.release(ctx, c.Facet.Key) // the operation that still leans on it takes it down
		}
		c.Restore = rec.Previous // what it took the place of, as read just before
	}
	if err != nil || c.Facet.Scaffold || rec == nil {
		return err == nil, err
	}
	if len(rec.Owners) > 1 {
		return false, r.release(ctx, c.Facet.Key)
	}
	if r.leaned(c) {
		return false, nil
	}
	if c.Before.Unknown {
		return r.dead(ctx, c)
	}
	if c.Before.Exists && !plan.StillAs(r.Ledger, c.Before, rec) && !(r.op != nil && r.op.Force) {
		c.Note = "changed since we wrote it"
		r.spare(*c)
		return false, r.release(ctx, c.Facet.Key)
	}
	return true, nil
}

func (r *run) record(ctx context.Context, k connection.Key) (*plan.Record, error) {
	found, err := r.Ledger.Records(ctx, []connection.Key{k})
	if err != nil || len(found) == 0 {
		return nil, storeProblem(err)
	}
	return found[0], nil
}

func (r *run) release(ctx context.Context, k connection.Key) error {
	_, err := r.Ledger.Release(ctx, r.lease, r.uid, k)
	return storeProblem(err)
}

// intend journals what is about to be written, with all that an undo needs, and
// stores the records first, so that a crash leaves nothing unowned.
func (r *run) intend(ctx context.Context, s plan.Step, changes []plan.Change) error {
	in := intent{Step: s.ID, Path: s.Path, Dismantle: s.Dismantle}
	for _, c := range changes {
		had, err := r.record(ctx, c.Facet.Key)
		if err != nil {
			return err
		}
		in.Changes = append(in.Changes, intentChange{Change: c, Had: had})
	}
	sealed, err := in.encode()
	if err != nil {
		return err
	}
	if err := r.journal(ctx, ledger.Entry{Phase: ledger.PhaseIntent, Step: s.ID, Note: describe(changes), Sealed: sealed}); err != nil {
		return err
	}
	for _, ic := range in.Changes {
		if ic.Change.Action == plan.Remove {
			continue
		}
		if err := r.store(ctx, r.recordFor(ic.Change, ic.Had)); err != nil {
			return err
		}
	}
	return nil
}

// recordFor is what the ledger will know of a facet we are about to write. What was
// there before us is noted once, when we become its owner.
func (r *run) recordFor(c plan.Change, had *plan.Record) *plan.Record {
	rec := &plan.Record{Key: c.Facet.Key, Written: stamp(r.Ledger, c.Facet.Want), Scaffold: c.Facet.Scaffold, Spelling: c.Before.Spelling, Outputs: map[string]string{}}
	displaced := c.Facet.Scaffold && !plan.Matches(c.Facet.Want, c.Before) // whatever an operation that did not end found
	if had != nil && !had.Claimed && !displaced {
		rec.Previous, rec.Outputs = had.Previous, had.Outputs
		return rec
	}
	if c.Before.Exists {
		before := c.Before
		rec.Previous = &before
	}
	return rec
}

func stamp(stamps plan.Stamps, want connection.Attrs) map[string]string {
	out := make(map[string]string, len(want))
	for name, v := range want {
		out[name] = stamps.Stamp(v)
	}
	return out
}

func (r *run) store(ctx context.Context, rec *plan.Record) error {
	return storeProblem(r.Ledger.Store(ctx, r.lease, r.uid, rec))
}

// written journals that a step is written and brings the records up to date.
func (r *run) written(ctx context.Context, s plan.Step, changes []plan.Change, states []connection.State) error {
	for i, c := range changes {
		if err := r.writtenOne(ctx, c, states[i]); err != nil {
			return err
		}
	}
	return r.journal(ctx, ledger.Entry{Phase: ledger.PhaseDone, Step: s.ID, Note: describe(changes)})
}

func (r *run) writtenOne(ctx context.Context, c plan.Change, now connection.State) error {
	r.outputs.set(c.Facet.Key, now)
	if c.Action == plan.Remove {
		return r.release(ctx, c.Facet.Key)
	}
	if c.Facet.Kind == connection.KindRole || c.Facet.Kind == connection.KindAccess && !c.Facet.Scaffold {
		r.outputs.mu.Lock()
		r.moved = true
		r.outputs.mu.Unlock()
	}
	had, err := r.record(ctx, c.Facet.Key)
	if err != nil {
		return err
	}
	rec := r.recordFor(c, had)
	if now.Outputs != nil {
		rec.Outputs = now.Outputs
	}
	if now.Spelling != "" {
		rec.Spelling = now.Spelling
	}
	return r.store(ctx, rec)
}

func (r *run) journal(ctx context.Context, e ledger.Entry) error {
	return storeProblem(r.Ledger.Append(ctx, r.lease, e))
}

// describe prints changes for the journal, without values.
func describe(changes []plan.Change) string {
	words := make([]string, 0, len(changes))
	for _, c := range changes {
		words = append(words, fmt.Sprintf("%s %s", c.Action, c.Facet.Key))
	}
	return strings.Join(words, ", ")
}
