package plan

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/patchbay/patchbay/internal/connection"
)

// Scaffolding may take the place of something, which comes back afterwards; where another
// operation put it up, it is shared.
func TestScaffoldingTakesAPlace(t *testing.T) {
	t.Parallel()
	theirs := here(connection.Attrs{"principalId": connection.Plain("dba")}, nil)
	ours := here(connection.Attrs{"principalId": connection.Plain("engine")}, nil)
	left := []*Record{{Key: adminKey, Owners: []string{"other"}, Scaffold: true, Previous: &theirs}}
	for name, c := range map[string]struct {
		seen    connection.State
		records []*Record
		needed  bool
		want    []string
		restore bool
	}{
		"somebody is there":             {seen: theirs, needed: true, want: []string{"access update new", "dbuser create new", "dismantle access remove unwanted"}, restore: true},
		"somebody is there for nothing": {seen: theirs, want: []string{}},
		"we are there":                  {seen: ours, needed: true, want: []string{"dbuser create new", "access found"}},
		"another operation put it up":   {seen: ours, records: left, needed: true, want: []string{"access create new", "dbuser create new", "dismantle access remove unwanted"}},
		"another operation needs it":    {seen: ours, records: left, want: []string{}},
		"a dead operation did not":      {seen: theirs, records: left, needed: true, want: []string{"access update new", "dbuser create new", "dismantle access remove unwanted"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := world{observed: map[connection.Key]connection.State{adminKey: c.seen, userKey: {}}, records: c.records}
			u := user()
			u.Want = connection.Attrs{}
			w.desired = []connection.Facet{u, admin()}
			if !c.needed {
				w.desired = []connection.Facet{admin()}
			}
			p, err := w.plan()
			if err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff(c.want, append([]string{}, summary(p)...)); d != "" {
				t.Error(d)
			}
			for _, s := range p.Steps {
				if s.Dismantle && (s.Changes[0].Restore != nil) != c.restore {
					t.Errorf("restores %+v", s.Changes[0].Restore)
				}
			}
		})
	}
}
