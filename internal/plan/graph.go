package plan

import (
	"sort"

	"github.com/patchbay/patchbay/internal/connection"
)

// removalRank orders removals: what the app reads goes first, what it signs in
// with goes last.
func removalRank(k connection.Kind) int {
	switch k {
	case connection.KindSetting:
		return 0
	case connection.KindFeature, connection.KindIdentity:
		return 2
	}
	return 1
}

// graph groups changes by path into steps, draws the edges and sorts.
func (m *maker) graph() *Plan {
	g := &grouper{byID: map[string]*Step{}, holder: map[string]string{}, path: m.Path}
	for _, c := range m.erect {
		g.put(c, false)
	}
	for _, c := range m.changes {
		g.put(c, false)
	}
	g.edges()
	for _, c := range m.strike {
		g.put(c, true)
	}
	g.dismantleLast()
	return &Plan{Steps: g.sorted(), Quiet: m.quiet}
}

type grouper struct {
	byID   map[string]*Step
	order  []string
	holder map[string]string // facet key -> id of the step that makes it true
	path   func(connection.Facet) string
}

func (g *grouper) put(c Change, dismantle bool) {
	path := g.path(c.Facet)
	id := string(c.Facet.Kind) + ":" + connection.FoldID(path)
	switch {
	case dismantle:
		id = "dismantle:" + id
	case c.Facet.Scaffold: // never in one step with what leans on it
		id = "raise:" + id
	}
	step, ok := g.byID[id]
	if !ok {
		step = &Step{ID: id, Path: path, Dismantle: dismantle}
		g.byID[id] = step
		g.order = append(g.order, id)
	}
	step.Changes = append(step.Changes, c)
	if c.Action != Remove {
		g.holder[c.Facet.Fold()] = id
	}
}

// edges draws what each step waits for among those put so far.
func (g *grouper) edges() {
	for _, id := range g.order {
		step := g.byID[id]
		for _, c := range step.Changes {
			for _, k := range leansOn(c.Facet) {
				if id := g.holder[k.Fold()]; c.Action != Remove || g.isScaffold(id) {
					g.need(step, id)
				}
			}
			if c.Action == Remove {
				g.removeAfter(step, c)
			}
		}
	}
}

func (g *grouper) isScaffold(id string) bool {
	return id != "" && g.byID[id].Changes[0].Facet.Scaffold
}

// leansOn lists what must be true before a facet is written; of these a removal
// waits only for scaffolding.
func leansOn(f connection.Facet) []connection.Key {
	keys := append([]connection.Key{}, f.After...)
	for _, v := range f.Want {
		if v.From != nil {
			keys = append(keys, v.From.Facet)
		}
	}
	return keys
}

// removeAfter makes a removal wait for the removals of lower rank.
func (g *grouper) removeAfter(step *Step, c Change) {
	for _, other := range g.order {
		for _, o := range g.byID[other].Changes {
			if o.Action == Remove && removalRank(o.Facet.Kind) < removalRank(c.Facet.Kind) {
				g.need(step, other)
			}
		}
	}
}

func (g *grouper) need(step *Step, id string) {
	if id == "" || id == step.ID {
		return
	}
	for _, n := range step.Needs {
		if n == id {
			return
		}
	}
	step.Needs = append(step.Needs, id)
}

// dismantleLast makes the removal of scaffolding wait for every other step.
func (g *grouper) dismantleLast() {
	for _, id := range g.order {
		step := g.byID[id]
		if !step.Dismantle {
			continue
		}
		for _, other := range g.order {
			if !g.byID[other].Dismantle {
				step.Needs = append(step.Needs, other)
			}
		}
	}
}

// sorted returns the steps so that each stands after what it needs, otherwise in
// the order they were put.
func (g *grouper) sorted() []Step {
	done := map[string]bool{}
	var out []Step
	for len(out) < len(g.order) {
		progress := false
		for _, id := range g.order {
			if step := g.byID[id]; !done[id] && ready(step, done) {
				done[id], progress = true, true
				sort.Strings(step.Needs)
				out = append(out, *step)
			}
		}
		if !progress {
			panic("plan: steps need each other in a circle")
		}
	}
	return out
}

func ready(s *Step, done map[string]bool) bool {
	for _, n := range s.Needs {
		if !done[n] {
			return false
		}
	}
	return true
}
