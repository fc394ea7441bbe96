package computetest

import (
	"context"
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/patchbay/patchbay/internal/connection"
)

func background(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	t.Cleanup(cancel)
	return ctx
}

// must makes facets true and fails the test when that fails.
func (b *books) must(t *testing.T, uid string, facets ...connection.Facet) {
	t.Helper()
	if err := b.set(background(t), uid, facets...); err != nil {
		t.Fatalf("connection %s: %v", uid, err)
	}
}

// look is everything somebody else can see.
func (w World) look() any {
	all := map[string]any{"settings": w.Settings(), "rest": w.Rest()}
	if w.Identities != nil {
		all["identities"] = slices.Sorted(slices.Values(w.Identities()))
	}
	return all
}

func same(t *testing.T, when string, want, got any) {
	t.Helper()
	if a, b := text(t, want), text(t, got); a != b {
		t.Errorf("the source differs %s:\n%s", when, cmp.Diff(a, b))
	}
}

func text(t *testing.T, v any) string {
	t.Helper()
	raw, err := json.MarshalIndent(v, "", " ")
	if err != nil {
		t.Fatalf("print source: %v", err)
	}
	return string(raw)
}

// a stranger's setting: one that is there when the world begins.
func (w World) stranger(t *testing.T) (name, value string) {
	t.Helper()
	all := w.Settings()
	if len(all) == 0 {
		t.Fatal("the world holds no setting of somebody else")
	}
	name = slices.Min(slices.Collect(maps.Keys(all)))
	return name, all[name]
}

func ptr(s string) *string { return &s }

func oneWrite(t *testing.T, w World) {
	b, before := newBooks(w), w.Writes()
	restarts := 0
	if w.Restarts != nil {
		restarts = w.Restarts()
	}
	b.must(t, "a", w.facets("", map[string]string{"CT_A": "1", "CT_B": "2", "CT_C": "3"})...)
	if n := w.Writes() - before; n != 1 {
		t.Errorf("%d writes for three settings", n)
	}
	if w.Restarts != nil && w.Restarts()-restarts != 1 {
		t.Errorf("%d restarts for three settings", w.Restarts()-restarts)
	}
	for name, want := range map[string]string{"CT_A": "1", "CT_B": "2", "CT_C": "3"} {
		if got := w.Settings()[name]; got != want {
			t.Errorf("%s is %q, want %q", name, got, want)
		}
	}
}

func quietly(t *testing.T, w World) {
	b, facets := newBooks(w), w.facets("system", map[string]string{"CT_A": "1", "CT_B": "2"})
	b.must(t, "a", facets...)
	before := w.Writes()
	b.must(t, "a", facets...)
	if n := w.Writes() - before; n != 0 {
		t.Errorf("%d writes for what is right already", n)
	}
}

func othersSurvive(t *testing.T, w World) {
	b, before := newBooks(w), w.look()
	theirs := w.Settings()
	for when, settings := range map[string]map[string]string{
		"create": {"CT_A": "1", "CT_B": "2"}, "update": {"CT_A": "other", "CT_C": "3"},
	} {
		b.must(t, "a", w.facets("", settings)...)
		now := w.Settings()
		for name, value := range theirs {
			if now[name] != value {
				t.Errorf("after %s the setting %s of somebody else is %q, not %q", when, name, now[name], value)
			}
		}
		if len(now) != len(theirs)+len(settings) {
			t.Errorf("after %s there are %d settings, want %d and %d", when, len(now), len(theirs), len(settings))
		}
	}
	b.must(t, "a")
	same(t, "after create, update and delete", before, w.look())
}

func replacedComesBack(t *testing.T, w World) {
	b, before := newBooks(w), w.look()
	name, _ := w.stranger(t)
	b.must(t, "a", w.facets("", map[string]string{name: "ours", "CT_A": "1"})...)
	if got := w.Settings()[name]; got != "ours" {
		t.Fatalf("%s is %q", name, got)
	}
	b.must(t, "a", w.facets("", map[string]string{name: "ours again"})...)
	b.must(t, "a")
	same(t, "after a setting of somebody else was replaced and given back", before, w.look())
}

// namesOfOtherCase: where case counts for nothing a name that is there keeps its spelling,
// elsewhere it is another name. Either way the delete brings back what was.
func namesOfOtherCase(t *testing.T, w World) {
	b, before := newBooks(w), w.look()
	name, value := w.stranger(t)
	other := strings.ToLower(name)
	if other == name {
		other = strings.ToUpper(name)
	}
	many := len(w.Settings())
	b.must(t, "a", w.facets("", map[string]string{other: "ours"})...)
	now := w.Settings()
	switch {
	case w.Folds && (now[name] != "ours" || len(now) != many):
		t.Errorf("%s was written as %v", other, now)
	case !w.Folds && (now[other] != "ours" || now[name] != value):
		t.Errorf("%s and %s are one: %v", name, other, now)
	}
	b.must(t, "a")
	same(t, "after a name of another case came and went", before, w.look())
}

func changedIsLeft(t *testing.T, w World) {
	b := newBooks(w)
	b.must(t, "a", w.facets("", map[string]string{"CT_A": "1", "CT_B": "2", "CT_C": "3"})...)
	w.Foreign("CT_A", ptr("theirs"))
	w.Foreign("CT_B", nil)
	b.must(t, "a")
	now := w.Settings()
	if now["CT_A"] != "theirs" {
		t.Errorf("a value somebody changed since went with us: %q", now["CT_A"])
	}
	for _, name := range []string{"CT_B", "CT_C"} {
		if got, there := now[name]; there {
			t.Errorf("%s is %q after the delete", name, got)
		}
	}
}

func scopeOnly(t *testing.T, w World) {
	b, rest := newBooks(w), w.Rest()
	b.must(t, "a", w.facets("", map[string]string{"CT_A": "1"})...)
	same(t, "outside the facets' scope", rest, w.Rest())
	b.must(t, "a")
	same(t, "outside the facets' scope after delete", rest, w.Rest())
}

func outsideTheWindow(t *testing.T, w World) {
	b := newBooks(w)
	w.Foreign("CT_THEIRS", ptr("before"))
	b.must(t, "a", w.facets("", map[string]string{"CT_A": "1"})...)
	if got := w.Settings()["CT_THEIRS"]; got != "before" {
		t.Errorf("a foreign write before ours is %q", got)
	}
	w.Foreign("CT_THEIRS", ptr("after"))
	b.must(t, "a", w.facets("", map[string]string{"CT_A": "2"})...)
	b.must(t, "a")
	if got := w.Settings()["CT_THEIRS"]; got != "after" {
		t.Errorf("a foreign write after ours is %q", got)
	}
}

func insideTheWindow(t *testing.T, w World) {
	b := newBooks(w)
	before := w.Settings()
	b.meanwhile = func() { w.Foreign("CT_THEIRS", ptr("inside")) }
	b.must(t, "a", w.facets("", map[string]string{"CT_A": "1"})...)
	now := w.Settings()
	theirs, kept := now["CT_THEIRS"]
	switch {
	case kept && theirs != "inside":
		t.Errorf("a foreign write inside our window became %q", theirs)
	case !kept && w.Merges:
		t.Error("a foreign write inside our window is lost although writes are merged")
	case now["CT_A"] != "1":
		t.Errorf("our own setting is %q", now["CT_A"])
	}
	delete(now, "CT_THEIRS")
	delete(now, "CT_A")
	same(t, "besides both writers' settings", before, now)
}

func vanishedIsDone(t *testing.T, w World) {
	b := newBooks(w)
	b.must(t, "a", w.facets("system", map[string]string{"CT_A": "1"})...)
	facets := w.facets("", map[string]string{"CT_B": "2"})
	w.Vanish()
	b.must(t, "a")
	if len(b.records) != 0 {
		t.Errorf("%d facets are still owned on a source that is gone", len(b.records))
	}
	isProblem(t, "write to a source that is gone", b.set(background(t), "b", facets...))
	if _, err := w.Read(background(t)); err == nil {
		t.Error("a source that is gone was read")
	} else {
		isProblem(t, "read of a source that is gone", err)
	}
}

func rightsNamed(t *testing.T, w World) {
	for _, f := range w.facets("system", map[string]string{"CT_A": "1"}) {
		rights := w.Drivers[f.Kind].Rights(f)
		if len(rights) == 0 != w.Rightless {
			t.Errorf("%s needs %d rights, and no cloud hands out any: %v", f.Key, len(rights), w.Rightless)
		}
		for _, r := range rights {
			if !oneAction(r) {
				t.Errorf("right %+v of %s is not one action on one scope", r, f.Key)
			}
		}
	}
}
