package engine

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"strings"

	"golang.org/x/sync/errgroup"

	"github.com/patchbay/patchbay/internal/connection"
	"github.com/patchbay/patchbay/internal/ledger"
	"github.com/patchbay/patchbay/internal/plan"
	"github.com/patchbay/patchbay/internal/problem"
)

// group is the facets one read serves.
type group struct {
	driver Driver
	path   string
	facets []connection.Facet
	basis  Basis
}

// view is what was observed: states by folded key, bases by path id.
type view struct {
	states map[string]connection.State
	groups map[string]*group
}

// observe reads every path once, in parallel, and works out the states: first of
// facets that refer to nothing, then of those that refer to them.
func (e *Engine) observe(ctx context.Context, facets []connection.Facet) (*view, error) {
	groups, err := e.group(facets)
	if err != nil {
		return nil, err
	}
	v := &view{states: map[string]connection.State{}, groups: groups}
	g, gctx := errgroup.WithContext(ctx)
	for _, one := range groups {
		g.Go(func() (err error) {
			one.basis, err = one.driver.Read(gctx, one.facets)
			return err
		})
	}
	if err := g.Wait(); err != nil {
		return nil, err
	}
	for _, refers := range []bool{false, true} {
		for _, one := range groups {
			one.states(v, refers)
		}
	}
	return v, nil
}

func (g *group) states(v *view, refers bool) {
	for _, f := range g.facets {
		if f.Want.Known() == refers {
			continue
		}
		f.Want = f.Want.Resolve(plan.Input{Observed: v.states}.Lookup)
		v.states[f.Fold()] = g.driver.State(g.basis, f)
	}
}

// group sorts facets by driver and path; a facet given twice counts once, the
// first time (the wanted one stands before the remembered one).
func (e *Engine) group(facets []connection.Facet) (map[string]*group, error) {
	groups, seen := map[string]*group{}, map[string]bool{}
	for _, f := range facets {
		if seen[f.Fold()] {
			continue
		}
		seen[f.Fold()] = true
		d, err := e.driver(f)
		if err != nil {
			return nil, err
		}
		path := d.Path(f)
		id := pathID(f.Kind, path)
		if groups[id] == nil {
			groups[id] = &group{driver: d, path: path}
		}
		groups[id].facets = append(groups[id].facets, f)
	}
	return groups, nil
}

func pathID(k connection.Kind, path string) string { return string(k) + ":" + connection.FoldID(path) }

// run is one piece of work on one connection: an operation under a lease, or a
// dry look without one.
type run struct {
	*Engine
	uid        string
	op         *ledger.Operation
	lease      *ledger.Lease
	view       *view
	outputs    outputs
	left       []string           // what could not be finished nor undone, in words
	leftFacets []connection.Facet // those of them that a delete could not remove
	spared     []string           // what was left on purpose, in words
	gone       string             // id of a place that is not there any more, "" when none is known
	stopped    string             // id of a target that does not run
	start      string             // command that makes it run
	reborn     map[string]string  // principal ids an undo could not bring back -> their successors
	moved      bool               // a right was granted whose effect is not proven
}

// plan observes what is wanted, remembered and owned, and computes the difference.
func (r *run) plan(ctx context.Context, desired, remembered []connection.Facet, mode plan.Mode) (*plan.Plan, error) {
	return r.planHolding(ctx, desired, remembered, mode, false)
}

func (r *run) planHolding(ctx context.Context, desired, remembered []connection.Facet, mode plan.Mode, hold bool) (*plan.Plan, error) {
	in := plan.Input{UID: r.uid, Desired: desired, Context: remembered, Stamps: r.Ledger, Mode: mode, Hold: hold, Path: r.path}
	facets := append(append([]connection.Facet{}, desired...), remembered...)
	records, err := r.records(ctx, facets)
	if err != nil {
		return nil, err
	}
	in.Records = records
	for _, rec := range records {
		if rec.OwnedBy(r.uid) {
			facets = append(facets, recall(rec))
		}
	}
	if r.view, err = r.observe(ctx, facets); err != nil {
		return nil, err
	}
	in.Observed = r.view.states
	p, err := plan.Make(in)
	return p, r.clash(ctx, err)
}

func (r *run) path(f connection.Facet) string {
	d, err := r.driver(f)
	if err != nil {
		return f.Resource
	}
	return d.Path(f)
}

// recall rebuilds a facet from what its record holds in the clear.
func recall(rec *plan.Record) connection.Facet {
	f := connection.Facet{Key: rec.Key, Want: connection.Attrs{}, Scaffold: rec.Scaffold}
	for name, stamp := range rec.Written {
		if text, ok := strings.CutPrefix(stamp, "="); ok {
			f.Want[name] = connection.Plain(text)
		}
	}
	return f
}

// records gathers what the ledger knows of the facets and of everything the
// connection owns, by folded key.
func (r *run) records(ctx context.Context, facets []connection.Facet) (map[string]*plan.Record, error) {
	keys := make([]connection.Key, 0, len(facets))
	for _, f := range facets {
		keys = append(keys, f.Key)
	}
	known, err := r.Ledger.Records(ctx, keys)
	if err != nil {
		return nil, storeProblem(err)
	}
	own, err := r.Ledger.RecordsOf(ctx, r.uid)
	if err != nil {
		return nil, storeProblem(err)
	}
	out := map[string]*plan.Record{}
	for _, rec := range append(known, own...) {
		out[rec.Key.Fold()] = rec
	}
	return out, nil
}

// clash turns a plan's refusal into a problem that names the other owner.
func (r *run) clash(ctx context.Context, err error) error {
	var c *plan.Clash
	if !errors.As(err, &c) {
		return err
	}
	if c.Foreign {
		return problem.New(problem.ForeignMark, c.Key.Resource, "%s carries Patchbay's mark but is not in this ledger", c.Key).Because(err)
	}
	who := c.Owner
	if other, lookErr := r.Ledger.ByUID(ctx, c.Owner); lookErr == nil {
		who = other.Name
	}
	return problem.New(problem.SettingClash, c.Key.Resource, "%s already belongs to the connection %s with another value", c.Key, who).Because(err)
}

// storeProblem maps the ledger's errors to problems.
func storeProblem(err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, ledger.ErrFull):
		return problem.New(problem.StoreFull, "", "the ledger's store is full").Because(err)
	case errors.Is(err, ledger.ErrFenced):
		return problem.New(problem.LeaseLost, "", "another process took this operation over").Because(err)
	case errors.Is(err, ledger.ErrSeal):
		return problem.New(problem.SealKeyLost, "", "a kept secret cannot be opened").Because(err)
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return err
	}
	return problem.New(problem.StoreFailed, "", "the ledger's store failed").Because(err)
}

func foldEqual(a, b string) bool {
	return strings.EqualFold(strings.TrimLeft(a, "/"), strings.TrimLeft(b, "/"))
}

func shortHash(s string) string {
	sum := sha256.Sum256([]byte(s))
	return hex.EncodeToString(sum[:4])
}
