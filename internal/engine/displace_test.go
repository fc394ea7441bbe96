package engine

import (
	"testing"

	"github.com/patchbay/patchbay/internal/connection"
	"github.com/patchbay/patchbay/internal/ledger"
	"github.com/patchbay/patchbay/internal/plan"
)

// texts stamps a value with its text.
type texts struct{ ledger.Ledger }

func (texts) Stamp(v connection.Value) string { return v.Text }

// What scaffolding takes the place of is what stands there when it goes up: a record that
// an operation left behind which died before it wrote does not count.
func TestScaffoldingRemembersWhatItTakesThePlaceOf(t *testing.T) {
	t.Parallel()
	r := &run{Engine: &Engine{Options: Options{Ledger: texts{}}}}
	who := func(name string) connection.State {
		return connection.State{Exists: true, Attrs: connection.Attrs{connection.AttrLogin: connection.Plain(name)}}
	}
	first := who("first")
	left := &plan.Record{Scaffold: true, Previous: &first}
	for _, c := range []struct {
		name   string
		before connection.State
		had    *plan.Record
		want   string
	}{
		{"nothing known", who("second"), nil, "second"},
		{"an operation died before it wrote", who("second"), left, "second"},
		{"and the place became empty", connection.State{}, left, ""},
		{"an operation died after it wrote", who("engine"), left, "first"},
	} {
		f := connection.Facet{Scaffold: true, Want: connection.Attrs{connection.AttrLogin: connection.Plain("engine")}}
		rec := r.recordFor(plan.Change{Facet: f, Before: c.before}, c.had)
		got := ""
		if rec.Previous != nil {
			got = rec.Previous.Attrs[connection.AttrLogin].Text
		}
		if got != c.want {
			t.Errorf("%s: %q comes back, want %q", c.name, got, c.want)
		}
	}
}
