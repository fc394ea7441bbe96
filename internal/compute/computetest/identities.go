package computetest

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/patchbay/patchbay/internal/connection"
	"github.com/patchbay/patchbay/internal/problem"
)

func isProblem(t *testing.T, what string, err error) {
	t.Helper()
	var p *problem.Error
	if !errors.As(err, &p) {
		t.Errorf("%s gave %v (%T), want a problem", what, err, err)
		return
	}
	if _, ok := problem.Lookup(p.Code); !ok || p.Code == problem.Internal {
		t.Errorf("%s has code %s", what, p.Code)
	}
}

func oneAction(r connection.Right) bool {
	return strings.Count(r.Action, "/") >= 2 && strings.HasPrefix(r.Scope, "/") && !strings.Contains(r.Action, "*")
}

// has tells whether an identity is on, case aside.
func (w World) has(name string) bool {
	return slices.ContainsFunc(w.Identities(), func(one string) bool { return strings.EqualFold(one, name) })
}

func identitiesSurvive(t *testing.T, w World) {
	if w.Identity == nil {
		return
	}
	if !w.has(w.Theirs) || w.has(w.Mine) || w.has("system") {
		t.Fatalf("the world begins with the identities %v", w.Identities())
	}
	b, before := newBooks(w), w.look()
	b.must(t, "a", w.Identity("system"))
	b.must(t, "b", w.Identity(w.Mine))
	for _, name := range []string{"system", w.Mine, w.Theirs} {
		if !w.has(name) {
			t.Errorf("%s is missing among %v", name, w.Identities())
		}
	}
	for _, name := range []string{"system", w.Mine} {
		if r := b.records[w.Identity(name).Fold()]; r.Outputs[connection.OutPrincipalID] == "" {
			t.Errorf("%s has no principal", name)
		}
	}
	b.must(t, "a")
	b.must(t, "b")
	same(t, "after two identities came and went", before, w.look())
}

// identitiesMeanwhile: what somebody attaches before or after our write stays; inside our
// window it may be lost by itself where nothing merges, and nothing else may.
func identitiesMeanwhile(t *testing.T, w World) {
	if w.Identity == nil || w.ForeignIdentity == nil {
		return
	}
	b := newBooks(w)
	w.ForeignIdentity(w.Mine, true)
	b.must(t, "a", w.Identity("system"))
	if !w.has(w.Mine) || !w.has(w.Theirs) {
		t.Errorf("identities attached before our write: %v", w.Identities())
	}
	b.must(t, "a")
	w.ForeignIdentity(w.Mine, false)
	b.meanwhile = func() { w.ForeignIdentity(w.Mine, true) }
	b.must(t, "a", w.Identity("system"))
	b.meanwhile = nil
	if !w.has("system") || !w.has(w.Theirs) || w.Merges && !w.has(w.Mine) {
		t.Errorf("identities after one was attached inside our window: %v", w.Identities())
	}
	w.ForeignIdentity(w.Mine, true)
	b.must(t, "a")
	if !w.has(w.Mine) || !w.has(w.Theirs) || w.has("system") {
		t.Errorf("identities attached after our write: %v", w.Identities())
	}
}

func undone(t *testing.T, w World) {
	b, before := newBooks(w), w.look()
	name, _ := w.stranger(t)
	b.must(t, "a", w.facets("system", map[string]string{"CT_A": "1", name: "ours"})...)
	if w.Identity != nil && !w.has("system") {
		t.Error("the identity is not on")
	}
	b.must(t, "a")
	same(t, "after identity and settings were undone", before, w.look())
}

func sharedIdentity(t *testing.T, w World) {
	if w.Identity == nil {
		return
	}
	b := newBooks(w)
	b.must(t, "a", w.facets("system", map[string]string{"CT_A": "1"})...)
	b.must(t, "b", w.facets("system", map[string]string{"CT_B": "2"})...)
	b.must(t, "a")
	if !w.has("system") {
		t.Error("the identity went although another connection needs it")
	}
	if now := w.Settings(); now["CT_B"] != "2" || now["CT_A"] != "" {
		t.Errorf("settings %v after the first of two connections went", now)
	}
	b.must(t, "b")
	if w.has("system") {
		t.Error("the identity stayed after its last owner")
	}
	b.must(t, "c", w.Identity(w.Theirs))
	b.must(t, "c")
	if !w.has(w.Theirs) {
		t.Error("an identity that was there before us went with us")
	}
}

func tellsFacts(t *testing.T, w World) {
	found, err := w.Read(background(t))
	if err != nil {
		t.Fatalf("read source: %v", err)
	}
	if !slices.Equal(found.Outbound, w.Facts.Outbound) {
		t.Errorf("it calls from %v, want %v", found.Outbound, w.Facts.Outbound)
	}
	if !strings.EqualFold(found.Subnet, w.Facts.Subnet) {
		t.Errorf("its subnet is %q, want %q", found.Subnet, w.Facts.Subnet)
	}
	if !strings.EqualFold(found.ID, w.Source) {
		t.Errorf("its id is %q, want %q", found.ID, w.Source)
	}
}
