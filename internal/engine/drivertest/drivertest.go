// Package drivertest is the suite every facet driver has to pass: what the
// engine takes for granted of engine.Driver, as tests.
//
// It promises to judge a driver only by the contract: by what its methods
// answer and by what the world looks like before and after. It knows no kind of
// facet.
package drivertest

import (
	"context"
	"encoding/json"
	"errors"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/patchbay/patchbay/internal/connection"
	"github.com/patchbay/patchbay/internal/engine"
	"github.com/patchbay/patchbay/internal/plan"
	"github.com/patchbay/patchbay/internal/problem"
)

// Case is one driver in a world made for it. Make is called for each test anew.
type Case struct {
	Make func(t *testing.T) World
}

// World is a driver and something real enough for it to work on. It should hold
// things of others beside the facet: Look must show them.
type World struct {
	Driver engine.Driver
	// Facet is not true in the world yet, and nothing but a write is missing for it.
	Facet connection.Facet
	// Other is a second facet with the same path; nil when a path has one facet only.
	Other *connection.Facet
	// Changed is Facet with other attributes; nil when the kind knows no change in place.
	Changed *connection.Facet
	// Look returns everything the driver could reach, for comparison. Values that
	// change by themselves are left out.
	Look func() any
	// Writes counts the writes the world has seen. nil leaves quietness untested.
	Writes func() int
	// Vanish takes the facet's resource away. nil when the world cannot.
	Vanish func()
	// Refuse makes every later call fail. nil when the world cannot.
	Refuse func()
	// Unknowable tells that a refused read gives an unknown state instead of an error.
	Unknowable bool
	// Parameters are wanted attributes that say how to write, not what must be true.
	Parameters []string
	// Residue tells that a removed facet leaves something behind on purpose, so that Look is
	// not compared after a removal.
	Residue bool
}

// limit bounds each test.
const limit = time.Minute

// Run runs the suite.
func Run(t *testing.T, c Case) {
	t.Helper()
	for _, one := range []struct {
		name string
		test func(*testing.T, World)
	}{
		{"create makes it true", createMakesTrue},
		{"writing twice is the same as once", twiceIsOnce},
		{"writing what is there is quiet", quiet},
		{"remove takes it away and nothing else", removeRestores},
		{"a restoring removal brings the earlier state back", restoring},
		{"remove twice is the same as once", removeTwice},
		{"two facets of one path go together", together},
		{"others' things survive one of two removals", apart},
		{"state is pure", statePure},
		{"state takes references that are not resolved", stateUnresolved},
		{"a foreign basis is no panic", foreignBasis},
		{"a vanished resource is a state", vanished},
		{"refusals are problems", refusals},
		{"paths do not depend on case", pathFolded},
		{"rights name action and scope", rightsNamed},
	} {
		t.Run(one.name, func(t *testing.T) {
			t.Parallel()
			one.test(t, c.Make(t))
		})
	}
}

func background(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	t.Cleanup(cancel)
	return ctx
}

// Observe reads the facets of one path and returns their states.
func Observe(t *testing.T, d engine.Driver, facets ...connection.Facet) []connection.State {
	t.Helper()
	basis, err := d.Read(background(t), facets)
	if err != nil {
		t.Fatalf("read: %v", err)
	}
	states := make([]connection.State, len(facets))
	for n, f := range facets {
		states[n] = d.State(basis, f)
	}
	return states
}

// Apply reads and writes like the engine does, with what was observed as Before.
func Apply(t *testing.T, d engine.Driver, action plan.Action, facets ...connection.Facet) []connection.State {
	t.Helper()
	states, err := TryApply(t, d, action, facets...)
	if err != nil {
		t.Fatalf("%s: %v", action, err)
	}
	return states
}

// TryApply is Apply with the error returned.
func TryApply(t *testing.T, d engine.Driver, action plan.Action, facets ...connection.Facet) ([]connection.State, error) {
	t.Helper()
	basis, err := d.Read(background(t), facets)
	if err != nil {
		return nil, err
	}
	changes := make([]plan.Change, len(facets))
	for n, f := range facets {
		changes[n] = plan.Change{Facet: f, Action: action, Before: d.State(basis, f)}
	}
	return d.Write(background(t), basis, changes)
}

// Matches tells whether a state is what a facet wants. What the state does not
// tell is a parameter of the write.
func Matches(f connection.Facet, s connection.State) bool {
	if !s.Exists || s.Unknown {
		return false
	}
	for name, want := range f.Want {
		if seen, told := s.Attrs[name]; told && name != connection.AttrMark && seen.Text != want.Text {
			return false
		}
	}
	return true
}

// put makes a facet true in the way a plan would: an update where something is
// there already, a create otherwise. It returns the change that takes it back.
func put(t *testing.T, w World, f connection.Facet) plan.Change {
	t.Helper()
	before := Observe(t, w.Driver, f)[0]
	action, back := plan.Create, plan.Change{Facet: f, Action: plan.Remove}
	if before.Exists {
		action, back.Restore = plan.Update, &before
	}
	after := Apply(t, w.Driver, action, f)[0]
	back.Before, back.Was = after, after.Outputs
	return back
}

func takeBack(t *testing.T, w World, back plan.Change) {
	t.Helper()
	basis, err := w.Driver.Read(background(t), []connection.Facet{back.Facet})
	if err != nil {
		t.Fatalf("read before removal: %v", err)
	}
	if _, err := w.Driver.Write(background(t), basis, []plan.Change{back}); err != nil {
		t.Fatalf("remove: %v", err)
	}
}

func createMakesTrue(t *testing.T, w World) {
	if s := Observe(t, w.Driver, w.Facet)[0]; Matches(w.Facet, s) {
		t.Fatalf("the facet is true before the test: %+v", s)
	}
	before := Observe(t, w.Driver, w.Facet)[0]
	action := plan.Create
	if before.Exists {
		action = plan.Update
	}
	answered := Apply(t, w.Driver, action, w.Facet)
	if len(answered) != 1 || !Matches(w.Facet, answered[0]) {
		t.Errorf("write answered %+v, want %v", answered, w.Facet.Want)
	}
	seen := Observe(t, w.Driver, w.Facet)[0]
	if !Matches(w.Facet, seen) {
		t.Errorf("observed %+v, want %v", seen, w.Facet.Want)
	}
	for name := range w.Facet.Want {
		if _, told := seen.Attrs[name]; !told && name != connection.AttrMark && !slices.Contains(w.Parameters, name) {
			t.Errorf("the state does not tell %s", name)
		}
	}
}

func twiceIsOnce(t *testing.T, w World) {
	basis, err := w.Driver.Read(background(t), []connection.Facet{w.Facet})
	if err != nil {
		t.Fatalf("read: %v", err)
	}
	before := w.Driver.State(basis, w.Facet)
	change := plan.Change{Facet: w.Facet, Action: plan.Create, Before: before}
	if before.Exists {
		change.Action = plan.Update
	}
	if _, err := w.Driver.Write(background(t), basis, []plan.Change{change}); err != nil {
		t.Fatalf("first write: %v", err)
	}
	once := w.Look()
	// The stale basis is what a write that was cut off and tried again starts from.
	if _, err := w.Driver.Write(background(t), basis, []plan.Change{change}); err != nil {
		t.Fatalf("second write from the same basis: %v", err)
	}
	same(t, "after the second write", once, w.Look())
	put(t, w, w.Facet)
	same(t, "after the third write", once, w.Look())
}

func quiet(t *testing.T, w World) {
	if w.Writes == nil {
		return
	}
	put(t, w, w.Facet)
	before := w.Writes()
	Apply(t, w.Driver, plan.Update, w.Facet)
	if n := w.Writes() - before; n != 0 {
		t.Errorf("%d writes for a facet that is true already", n)
	}
}

func removeRestores(t *testing.T, w World) {
	before := w.Look()
	takeBack(t, w, put(t, w, w.Facet))
	if s := Observe(t, w.Driver, w.Facet)[0]; Matches(w.Facet, s) {
		t.Errorf("still true after removal: %+v", s)
	}
	if !w.Residue {
		same(t, "after create and remove", before, w.Look())
	}
}

func removeTwice(t *testing.T, w World) {
	back := put(t, w, w.Facet)
	takeBack(t, w, back)
	once := w.Look()
	takeBack(t, w, back)
	same(t, "after the second removal", once, w.Look())
}

func restoring(t *testing.T, w World) {
	if w.Changed == nil {
		return
	}
	put(t, w, w.Facet)
	earlier := w.Look()
	back := put(t, w, *w.Changed)
	if s := Observe(t, w.Driver, *w.Changed)[0]; !Matches(*w.Changed, s) {
		t.Fatalf("the change did not come true: %+v", s)
	}
	if back.Restore == nil {
		t.Fatal("nothing was there before the change")
	}
	takeBack(t, w, back)
	if s := Observe(t, w.Driver, w.Facet)[0]; !Matches(w.Facet, s) {
		t.Errorf("the earlier state is not back: %+v", s)
	}
	if !w.Residue {
		same(t, "after the change was taken back", earlier, w.Look())
	}
}

func together(t *testing.T, w World) {
	if w.Other == nil {
		return
	}
	if a, b := w.Driver.Path(w.Facet), w.Driver.Path(*w.Other); a != b {
		t.Fatalf("paths differ: %s, %s", a, b)
	}
	states := Apply(t, w.Driver, plan.Create, w.Facet, *w.Other)
	if len(states) != 2 || !Matches(w.Facet, states[0]) || !Matches(*w.Other, states[1]) {
		t.Errorf("write of two answered %+v", states)
	}
	seen := Observe(t, w.Driver, w.Facet, *w.Other)
	if !Matches(w.Facet, seen[0]) || !Matches(*w.Other, seen[1]) {
		t.Errorf("observed %+v", seen)
	}
}

func apart(t *testing.T, w World) {
	if w.Other == nil {
		return
	}
	put(t, w, *w.Other)
	alone := w.Look()
	takeBack(t, w, put(t, w, w.Facet))
	if !w.Residue {
		same(t, "with the other facet left", alone, w.Look())
	}
	if s := Observe(t, w.Driver, *w.Other)[0]; !Matches(*w.Other, s) {
		t.Errorf("the other facet went too: %+v", s)
	}
}

func statePure(t *testing.T, w World) {
	put(t, w, w.Facet)
	basis, err := w.Driver.Read(background(t), []connection.Facet{w.Facet})
	if err != nil {
		t.Fatalf("read: %v", err)
	}
	first := w.Driver.State(basis, w.Facet)
	for range 3 {
		if again := w.Driver.State(basis, w.Facet); !reflect.DeepEqual(first, again) {
			t.Errorf("state changed between two looks:\n%s", cmp.Diff(first, again))
		}
	}
	first.Attrs["planted"] = connection.Plain("x")
	if _, ok := w.Driver.State(basis, w.Facet).Attrs["planted"]; ok {
		t.Error("two states share their attributes")
	}
}

func stateUnresolved(t *testing.T, w World) {
	f := w.Facet
	f.Want = connection.Attrs{}
	elsewhere := connection.Key{Kind: connection.KindIdentity, Resource: "/x", Name: "system"}
	for name := range w.Facet.Want {
		f.Want[name] = connection.Output(elsewhere, name)
	}
	basis, err := w.Driver.Read(background(t), []connection.Facet{f})
	if err != nil {
		t.Fatalf("read with references: %v", err)
	}
	if s := w.Driver.State(basis, f); len(f.Want) > 0 && Matches(w.Facet, s) {
		t.Errorf("true without anything known: %+v", s)
	}
}

func foreignBasis(t *testing.T, w World) {
	type other struct{}
	if s := w.Driver.State(other{}, w.Facet); s.Exists {
		t.Errorf("a foreign basis gave %+v", s)
	}
}

func vanished(t *testing.T, w World) {
	if w.Vanish == nil {
		return
	}
	back := put(t, w, w.Facet)
	w.Vanish()
	if s := Observe(t, w.Driver, w.Facet)[0]; s.Exists {
		t.Errorf("a facet of a missing resource exists: %+v", s)
	}
	takeBack(t, w, back)
}

func refusals(t *testing.T, w World) {
	if w.Refuse == nil {
		return
	}
	facets := []connection.Facet{w.Facet}
	basis, err := w.Driver.Read(background(t), facets)
	if err != nil {
		t.Fatalf("read: %v", err)
	}
	change := plan.Change{Facet: w.Facet, Action: plan.Create, Before: w.Driver.State(basis, w.Facet)}
	w.Refuse()
	_, err = w.Driver.Write(background(t), basis, []plan.Change{change})
	isProblem(t, "write", err)
	refused, err := w.Driver.Read(background(t), facets)
	if !w.Unknowable {
		isProblem(t, "read", err)
		return
	}
	if err != nil {
		t.Fatalf("refused read: %v", err)
	}
	if s := w.Driver.State(refused, w.Facet); !s.Unknown || s.Why == "" {
		t.Errorf("refused read gave %+v, want unknown with a reason", s)
	}
}

func isProblem(t *testing.T, what string, err error) {
	t.Helper()
	var p *problem.Error
	if !errors.As(err, &p) {
		t.Errorf("refused %s gave %v (%T), want a problem", what, err, err)
		return
	}
	if _, ok := problem.Lookup(p.Code); !ok || p.Code == problem.Internal {
		t.Errorf("refused %s has code %s", what, p.Code)
	}
}

func pathFolded(t *testing.T, w World) {
	upper := w.Facet
	upper.Resource = strings.ToUpper(upper.Resource)
	if a, b := w.Driver.Path(w.Facet), w.Driver.Path(upper); a != b {
		t.Errorf("two spellings of one resource have two paths: %s, %s", a, b)
	}
}

func rightsNamed(t *testing.T, w World) {
	for _, r := range w.Driver.Rights(w.Facet) {
		if strings.Count(r.Action, "/") < 2 || !strings.HasPrefix(r.Scope, "/") || strings.Contains(r.Action, "*") {
			t.Errorf("right %+v is not one action on one scope", r)
		}
	}
}

func same(t *testing.T, when string, want, got any) {
	t.Helper()
	if a, b := text(t, want), text(t, got); a != b {
		t.Errorf("the world differs %s:\n%s", when, cmp.Diff(a, b))
	}
}

func text(t *testing.T, v any) string {
	t.Helper()
	b, err := json.MarshalIndent(v, "", " ")
	if err != nil {
		t.Fatalf("print world: %v", err)
	}
	return string(b)
}
