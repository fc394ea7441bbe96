package front

import (
	"encoding/json"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/patchbay/patchbay/internal/localcloud/provider"
)

func TestDecode(t *testing.T) {
	t.Parallel()
	one := provider.Document{"a": 1.0}
	cases := []struct {
		in   string
		want provider.Document
	}{
		{`{"a":1}`, one},
		{"\xef\xbb\xbf{\"a\":1}", one},
		{`{a:1}`, one},
		{`{"a" /* why */ : 1 // end`, nil},
		{"{\"a\" /* why */ : 1 // end\n}", one},
		{`{"p": {"mode": "x", template:{"// not": "/* a comment */", "k\"": true}}}`,
			provider.Document{"p": map[string]any{"mode": "x", "template": map[string]any{"// not": "/* a comment */", `k"`: true}}}},
		{`{a: -1.5e+3, b : null}`, provider.Document{"a": -1500.0, "b": nil}},
		{`{not json`, nil},
		{`{"a":b}`, nil},
		{`[1]`, nil},
		{`{"a`, nil},
		{`/*`, nil},
	}
	for _, c := range cases {
		got, err := decode([]byte(c.in))
		if d := cmp.Diff(c.want, got); d != "" || (err == nil) != (c.want != nil) {
			t.Errorf("%s: %v %s", c.in, err, d)
		}
	}
}

func FuzzDecode(f *testing.F) {
	for _, seed := range []string{`{"a":1}`, `{a:1}`, `{"a":"\\"} //`, `/*`, `{"`, `{a:{b:"c"}}`} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, in string) {
		got, err := decode([]byte(in))
		if err != nil {
			return
		}
		raw, err := json.Marshal(got)
		if err != nil {
			t.Fatal(err)
		}
		again, err := decode(raw)
		if err != nil || !cmp.Equal(got, again) {
			t.Fatalf("%q: %v, read again %v %v", in, got, again, err)
		}
	})
}
