package computetest

import (
	"fmt"
	"maps"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// property lets connections come, change and go at random among others' writes, each
// of which says which side of our window it hits, and compares the source with what
// a simple model says after every step.
func property(t *testing.T, c Case) {
	total := 0
	rapid.Check(t, func(r *rapid.T) {
		m := newModel(t, r, c.Make(t))
		for range rapid.IntRange(2, 12).Draw(r, "steps") {
			m.step()
			total++
		}
		m.ending()
	})
	if total < 200 && !t.Failed() {
		t.Errorf("only %d operations", total)
	}
}

// model is what the source must hold.
type model struct {
	t     *testing.T
	r     *rapid.T
	w     World
	b     *books
	rest  string
	first []string                     // identities at the beginning
	want  map[string]string            // every setting, as it is spelled there
	held  map[string]map[string]string // uid: what the connection wrote
	ids   map[string]string            // uid: the identity it needs
	was   map[string]*string           // what a connection's setting took the place of
	alien []string                     // names that are others' from the beginning
}

func newModel(t *testing.T, r *rapid.T, w World) *model {
	m := &model{t: t, r: r, w: w, b: newBooks(w), rest: text(t, w.Rest()), want: w.Settings(),
		held: map[string]map[string]string{}, ids: map[string]string{}, was: map[string]*string{}}
	m.alien = slices.Sorted(maps.Keys(m.want))
	if w.Identities != nil {
		m.first = w.Identities()
	}
	return m
}

// Names that others write while we work. None is ever a connection's.
var strangers = []string{"CT_THEIRS_A", "CT_THEIRS_B"}

func (m *model) step() {
	side := Side(-1) // nobody else writes
	if rapid.Bool().Draw(m.r, "somebody else writes") {
		side = Side(rapid.IntRange(int(Before), int(After)).Draw(m.r, "side"))
	}
	name := rapid.SampledFrom(strangers).Draw(m.r, "their setting")
	var value *string
	if rapid.Bool().Draw(m.r, "they set it") {
		value = ptr(rapid.StringMatching(`[a-z0-9=;"']{0,8}`).Draw(m.r, "their value"))
	}
	uid := rapid.SampledFrom([]string{"a", "b", "c"}).Draw(m.r, "connection")
	wish, identity := m.wish(uid)
	if side == Before {
		m.foreign(name, value)
	}
	m.b.meanwhile = nil
	hit := false
	if side == Inside {
		m.b.meanwhile = func() {
			if !hit {
				hit = true
				m.w.Foreign(name, value)
			}
		}
	}
	m.move(uid, wish, identity)
	if side == After {
		m.foreign(name, value)
	}
	m.check(fmt.Sprintf("after %s (they write %s)", uid, side), name, value, hit)
}

// wish is what a connection is to have next; nil for a delete.
func (m *model) wish(uid string) (map[string]string, string) {
	if m.held[uid] != nil && rapid.IntRange(0, 2).Draw(m.r, "delete when 0") == 0 {
		return nil, ""
	}
	wish := map[string]string{}
	for n := range rapid.IntRange(1, 3).Draw(m.r, "settings") {
		wish[fmt.Sprintf("CT_%s_%d", uid, n)] = rapid.StringMatching(`[a-z0-9=;"']{0,8}`).Draw(m.r, "value")
	}
	if uid == "a" && len(m.alien) > 0 && rapid.Bool().Draw(m.r, "replaces one of others") {
		wish[m.alien[0]] = "ours"
	}
	identity := m.ids[uid]
	if m.held[uid] == nil && m.w.Identity != nil {
		identity = rapid.SampledFrom([]string{"", "system", m.w.Mine, m.w.Theirs}).Draw(m.r, "identity")
	}
	return wish, identity
}

func (m *model) foreign(name string, value *string) {
	m.w.Foreign(name, value)
	m.put(name, value)
}

func (m *model) put(name string, value *string) {
	if value == nil {
		delete(m.want, name)
		return
	}
	m.want[name] = *value
}

// move makes the wish true, in the source and in the model.
func (m *model) move(uid string, wish map[string]string, identity string) {
	if err := m.b.set(m.t.Context(), uid, m.w.facets(identity, wish)...); err != nil {
		m.r.Fatalf("connection %s: %v", uid, err)
	}
	for name := range m.held[uid] {
		if _, stays := wish[name]; !stays {
			m.put(name, m.was[name])
			delete(m.was, name)
		}
	}
	for name, value := range wish {
		if _, ours := m.held[uid][name]; !ours {
			if before, there := m.want[name]; there {
				m.was[name] = ptr(before)
			}
		}
		m.want[name] = value
	}
	if wish == nil {
		delete(m.held, uid)
		delete(m.ids, uid)
		return
	}
	m.held[uid], m.ids[uid] = wish, identity
}

// check compares the source with the model. What somebody wrote inside our window is
// there or lost, whole either way; where writes merge it is there.
func (m *model) check(when, name string, value *string, hit bool) {
	now := m.w.Settings()
	if hit {
		if is, there := now[name]; m.w.Merges || there == (value != nil) && (!there || is == *value) {
			m.put(name, value)
		}
	}
	if a, b := text(m.t, m.want), text(m.t, now); a != b {
		m.r.Fatalf("settings %s:\nwant %s\ngot %s", when, a, b)
	}
	if got := text(m.t, m.w.Rest()); got != m.rest {
		m.r.Fatalf("the rest of the source differs %s:\nwant %s\ngot %s", when, m.rest, got)
	}
	if m.w.Identity == nil {
		return
	}
	want := map[string]bool{}
	for _, one := range m.first {
		want[one] = true
	}
	for _, one := range m.ids {
		if one != "" {
			want[one] = true
		}
	}
	if now := m.w.Identities(); len(now) != len(want) || slices.ContainsFunc(slices.Collect(maps.Keys(want)), func(one string) bool { return !m.w.has(one) }) {
		m.r.Fatalf("identities %s are %v, want %v", when, now, want)
	}
}

// ending takes every connection away: only others' things are left.
func (m *model) ending() {
	m.b.meanwhile = nil
	for _, uid := range slices.Sorted(maps.Keys(m.held)) {
		m.move(uid, nil, "")
	}
	m.check("at the end", "", nil, false)
	if len(m.b.records) != 0 {
		m.r.Fatalf("%d facets are still owned", len(m.b.records))
	}
}
