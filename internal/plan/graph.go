package plan

import (
	"slices"
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
	g := &grouper{byID: map[string]*Step{}, holder: map[string]string{}, soft: map[string]map[string]bool{}, path: m.Path}
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
	holder map[string]string          // facet key -> id of the step that makes it true
	soft   map[string]map[string]bool // step id -> what it waits for only to be polite
	path   func(connection.Facet) string
}

// apart tells whether each facet of a kind is an object of its own: then what comes and
// what goes on one path need not be written together.
func apart(k connection.Kind) bool { return k == connection.KindRole || k == connection.KindAccess }

func (g *grouper) put(c Change, dismantle bool) {
	path := g.path(c.Facet)
	id := string(c.Facet.Kind) + ":" + connection.FoldID(path)
	switch {
	case dismantle:
		id = "dismantle:" + id
	case c.Facet.Scaffold: // never in one step with what leans on it
		id = "raise:" + id
	case c.Action == Remove && apart(c.Facet.Kind) && g.comes(id): // the new right first, the old one last
		id = "remove:" + id
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

// comes tells whether a step makes something true.
func (g *grouper) comes(id string) bool {
	return g.byID[id] != nil && g.byID[id].Changes[0].Action != Remove
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

// removeAfter makes a removal wait for what the app reads and for the removals of lower
// rank, where nothing stands against it: a path that is written once may hold both what
// the settings wait for and what should go after them.
func (g *grouper) removeAfter(step *Step, c Change) {
	for _, other := range g.order {
		for _, o := range g.byID[other].Changes {
			first := removalRank(o.Facet.Kind) < removalRank(c.Facet.Kind) && (o.Action == Remove || o.Facet.Kind == connection.KindSetting)
			if first && other != step.ID && !slices.Contains(step.Needs, other) {
				step.Needs = append(step.Needs, other)
				if g.soft[step.ID] == nil {
					g.soft[step.ID] = map[string]bool{}
				}
				g.soft[step.ID][other] = true
			}
		}
	}
}

// need makes a step wait for another.
func (g *grouper) need(step *Step, id string) {
	if id == "" || id == step.ID {
		return
	}
	delete(g.soft[step.ID], id)
	if !slices.Contains(step.Needs, id) {
		step.Needs = append(step.Needs, id)
	}
}

// relent lets one step that waits in a circle go on without what it waited for to be polite.
func (g *grouper) relent(done map[string]bool) bool {
	for _, id := range g.order {
		soft := g.soft[id]
		if done[id] || len(soft) == 0 {
			continue
		}
		step := g.byID[id]
		var hard []string
		for _, n := range step.Needs {
			if !soft[n] || done[n] {
				hard = append(hard, n)
			}
		}
		step.Needs = hard
		delete(g.soft, id)
		return true
	}
	return false
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
		if !progress && !g.relent(done) {
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
