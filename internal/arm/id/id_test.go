package id

import (
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const site = "/subscriptions/S1/resourceGroups/Rg/providers/Microsoft.Web/sites/App"

func TestParse(t *testing.T) {
	t.Parallel()
	cases := []struct {
		in, kind, name, sub, group, parent, scope string
		names                                     []string
	}{
		{site, "Microsoft.Web/sites", "App", "S1", "Rg", "/subscriptions/S1/resourceGroups/Rg", "/subscriptions/S1/resourceGroups/Rg", []string{"App"}},
		{"/" + site + "/slots/blue", "Microsoft.Web/sites/slots", "blue", "S1", "Rg", site, "/subscriptions/S1/resourceGroups/Rg", []string{"App", "blue"}},
		{site + "/providers/Microsoft.ServiceLinker/linkers/c1", "Microsoft.ServiceLinker/linkers", "c1", "S1", "Rg", site, site, []string{"c1"}},
		{"subscriptions/S1/resourcegroups/rg", "Microsoft.Resources/resourceGroups", "rg", "S1", "rg", "/subscriptions/S1", "/subscriptions/S1", nil},
		{"/providers/Microsoft.ServiceLinker/operations", "Microsoft.ServiceLinker", "operations", "", "", "", "", nil},
	}
	for _, c := range cases[:4] {
		t.Run(c.in, func(t *testing.T) {
			t.Parallel()
			got, err := Parse(c.in)
			if err != nil {
				t.Fatal(err)
			}
			have := []string{got.Type(), got.Name(), got.Subscription(), got.ResourceGroup(), got.Parent().String(), got.Scope().String()}
			want := []string{c.kind, c.name, c.sub, c.group, c.parent, c.scope}
			if d := cmp.Diff(want, have); d != "" {
				t.Error(d)
			}
			if d := cmp.Diff(c.names, got.Names()); d != "" {
				t.Error(d)
			}
		})
	}
}

func TestParseRefuses(t *testing.T) {
	t.Parallel()
	for _, in := range []string{"/subscriptions", "/subscriptions/s//x", site + "/", "/subscriptions/s/resourceGroups/rg./providers/A/b/c", site + "/slots", "/a?b"} {
		if _, err := Parse(in); !errors.Is(err, ErrMalformed) {
			t.Errorf("Parse(%q) = %v, want ErrMalformed", in, err)
		}
	}
}

func TestWithinAndEqual(t *testing.T) {
	t.Parallel()
	app := MustParse(site)
	if !app.Within(MustParse("/subscriptions/s1")) || app.Within(MustParse("/subscriptions/s1/resourceGroups/r")) {
		t.Error("Within does not follow segment borders")
	}
	if !Equal("SUBSCRIPTIONS/s1", "/subscriptions/S1") || app.Child("slots", "x").Fold() != MustParse(site+"/SLOTS/X").Fold() {
		t.Error("ids are not compared folded")
	}
}

func FuzzParse(f *testing.F) {
	f.Add(site)
	f.Add("//subscriptions/s/resourceGroups/g/providers/x")
	f.Fuzz(func(t *testing.T, s string) {
		i, err := Parse(s)
		if err != nil {
			return
		}
		again, err := Parse(i.String())
		if err != nil || again.Fold() != i.Fold() {
			t.Fatalf("Parse(%q).String() = %q does not parse back: %v", s, i, err)
		}
		_, _, _ = i.Type(), i.Parent(), i.Scope()
	})
}
