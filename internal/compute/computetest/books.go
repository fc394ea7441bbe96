package computetest

import (
	"context"
	"maps"
	"slices"

	"github.com/patchbay/patchbay/internal/connection"
	"github.com/patchbay/patchbay/internal/plan"
)

// books play the engine and its ledger: who owns what, and what was there before.
type books struct {
	world   World
	records map[string]*plan.Record
	// meanwhile runs between the last read of a step and its write; nil does nothing.
	meanwhile func()
}

func newBooks(w World) *books { return &books{world: w, records: map[string]*plan.Record{}} }

// stamps keep the values as they are: nothing here is secret.
type stamps struct{}

func (stamps) Stamp(v connection.Value) string            { return "=" + v.Text }
func (stamps) Same(v connection.Value, stamp string) bool { return "="+v.Text == stamp }

// set makes the facets of a connection true; none takes the connection away.
func (b *books) set(ctx context.Context, uid string, desired ...connection.Facet) error {
	for _, f := range desired {
		if r, ok := b.records[f.Fold()]; !ok {
			b.records[f.Fold()] = &plan.Record{Key: f.Key, Owners: []string{uid}, Claimed: true}
		} else if !r.OwnedBy(uid) {
			r.Owners = append(r.Owners, uid)
		}
	}
	seen, err := b.observe(ctx)
	if err != nil {
		return err
	}
	made, err := plan.Make(plan.Input{UID: uid, Desired: desired, Observed: seen, Records: b.records, Stamps: stamps{}, Path: b.path})
	if err != nil {
		return err
	}
	for _, c := range made.Quiet {
		b.book(uid, c, c.Before)
	}
	for _, step := range made.Steps {
		if err := b.step(ctx, uid, step); err != nil {
			return err
		}
	}
	return nil
}

func (b *books) driver(f connection.Facet) Driver { return b.world.Drivers[f.Kind] }

func (b *books) path(f connection.Facet) string { return b.driver(f).Path(f) }

// observe reads everything the books know of, each path once.
func (b *books) observe(ctx context.Context) (map[string]connection.State, error) {
	seen, paths := map[string]connection.State{}, map[string][]connection.Facet{}
	for _, key := range slices.Sorted(maps.Keys(b.records)) {
		f := connection.Facet{Key: b.records[key].Key}
		place := string(f.Kind) + " " + b.path(f)
		paths[place] = append(paths[place], f)
	}
	for _, facets := range paths {
		d := b.driver(facets[0])
		basis, err := d.Read(ctx, facets)
		if err != nil {
			return nil, err
		}
		for _, f := range facets {
			seen[f.Fold()] = d.State(basis, f)
		}
	}
	return seen, nil
}

// step reads again, lets others write, and writes.
func (b *books) step(ctx context.Context, uid string, step plan.Step) error {
	facets := make([]connection.Facet, len(step.Changes))
	for n, c := range step.Changes {
		facets[n] = c.Facet
	}
	d := b.driver(facets[0])
	basis, err := d.Read(ctx, facets)
	if err != nil {
		return err
	}
	for n := range step.Changes {
		step.Changes[n].Before = d.State(basis, facets[n])
	}
	if b.meanwhile != nil {
		b.meanwhile()
	}
	after, err := d.Write(ctx, basis, step.Changes)
	if err != nil {
		return err
	}
	for n, c := range step.Changes {
		b.book(uid, c, after[n])
	}
	return nil
}

// book writes down what one change came to.
func (b *books) book(uid string, c plan.Change, after connection.State) {
	key := c.Facet.Fold()
	r := b.records[key]
	switch {
	case c.Obsolete:
		r.Owners = slices.DeleteFunc(r.Owners, func(o string) bool { return o == uid })
		if len(r.Owners) == 0 {
			delete(b.records, key)
		}
		return
	case c.Action == plan.Found:
		r.Claimed, r.Found = false, true
		return
	case !c.Writes():
		return
	}
	if before := c.Before; r.Claimed && before.Exists {
		r.Previous = &before
	}
	r.Claimed, r.Found, r.Outputs, r.Written, r.Spelling = false, false, after.Outputs, map[string]string{}, after.Spelling
	for name, v := range c.Facet.Want {
		r.Written[name] = stamps{}.Stamp(v)
	}
}

// facets are a connection's: its settings, and an identity when it has one.
func (w World) facets(identity string, settings map[string]string) []connection.Facet {
	var all []connection.Facet
	if identity != "" && w.Identity != nil {
		all = append(all, w.Identity(identity))
	}
	for _, name := range slices.Sorted(maps.Keys(settings)) {
		f := w.Setting(name, settings[name])
		for _, first := range all {
			if first.Kind == connection.KindIdentity {
				f.After = append(f.After, first.Key)
			}
		}
		all = append(all, f)
	}
	return all
}
