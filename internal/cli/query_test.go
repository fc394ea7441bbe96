package cli

import (
	"encoding/json"
	"reflect"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"
	"pgregory.net/rapid"

	"github.com/patchbay/patchbay/internal/problem"
)

func TestQuoteBareLiterals(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"[?name==`b`]":                "[?name==`\"b\"`]",
		"[?name=='b`c']":              "[?name=='b`c']",
		"[?n==`1`]":                   "[?n==`1`]",
		"[?n==`true`]":                "[?n==`true`]",
		"[?n==`\"b\"`]":               "[?n==`\"b\"`]",
		"[?n==`{\"a\":1}`]":           "[?n==`{\"a\":1}`]",
		"[?a==`x` && b==`two words`]": "[?a==`\"x\"` && b==`\"two words\"`]",
		"\"odd`name\"":                "\"odd`name\"",
		"a == `it\\`s`":               "a == `\"it\\`s\"`",
		"a == ` lead`":                "a == `\"lead\"`",
		"a == `open":                  "a == `open",
		"a == `bad\"quote`":           "a == `bad\"quote`",
		"":                            "",
	} {
		if got := quoteBareLiterals(in); got != want {
			t.Errorf("%s\n got %s\nwant %s", in, got, want)
		}
	}
}

// FuzzQuoteBareLiterals: what is valid stays valid and means the same; nothing panics.
func FuzzQuoteBareLiterals(f *testing.F) {
	for _, seed := range []string{"[?name==`b`]", "`1`", "'`'", "\"`\"", "`\\``", "a.b[0].{x:y}", "`", "'", "`\"`"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, expression string) {
		once := quoteBareLiterals(expression)
		if twice := quoteBareLiterals(once); twice != once {
			t.Errorf("%q: %q, then %q", expression, once, twice)
		}
		if strings.Count(expression, "`") != strings.Count(once, "`") {
			t.Errorf("%q became %q", expression, once)
		}
		_, _ = compileQuery(expression) // must not panic
	})
}

func TestQuerySearch(t *testing.T) {
	t.Parallel()
	data := []map[string]any{{"name": "a", "n": 1, "ok": true}, {"name": "b", "n": 2, "ok": false}}
	for expression, want := range map[string]string{
		"[?name==`b`].n":           `[2]`,
		"[?n>`1`].name | [0]":      `"b"`,
		"sort_by(@, &name)[-1].ok": `false`,
		"[?contains(name,`a`)].n":  `[1]`,
		"length([?ok])":            `1`,
		"nothing":                  `null`,
		"[].{B:n,A:name} | [0].A":  `"a"`,
	} {
		q, err := compileQuery(expression)
		if err != nil {
			t.Errorf("%s: %v", expression, err)
			continue
		}
		got, err := q.search(data)
		if b, _ := json.Marshal(got); err != nil || string(b) != want {
			t.Errorf("%s: %s, %v, want %s", expression, b, err, want)
		}
	}
	for _, bad := range []string{"[?", "a b", "nosuch(@)", "length(`1`)"} {
		q, err := compileQuery(bad)
		if err == nil {
			_, err = q.search(data)
		}
		if !problem.Is(err, problem.QueryInvalid) {
			t.Errorf("%s: %v", bad, err)
		}
	}
}

// TestFormatsRoundTrip: json and yaml say the same as went in, whatever the texts.
func TestFormatsRoundTrip(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(r *rapid.T) {
		in := rapid.MapOf(rapid.String(), rapid.OneOf(
			rapid.Map(rapid.String(), func(s string) any { return s }),
			rapid.Map(rapid.SampledFrom([]string{"yes", "null", "~", "1", "0x1", "1e3", "true", "- a", "a: b", "#", "\n", "a\nb", " lead", "2026-01-01", "|", "\t", "\t\n", " \n", "a\n\t", "\u0085", "\ufeff"}), func(s string) any { return s }),
			rapid.Map(rapid.Bool(), func(b bool) any { return b }),
			rapid.Map(rapid.Int32(), func(n int32) any { return float64(n) }),
			rapid.Map(rapid.SliceOf(rapid.String()), func(l []string) any {
				out := []any{}
				for _, s := range l {
					out = append(out, s)
				}
				return out
			}),
		)).Draw(r, "value")
		value, err := decoded(in)
		if err != nil {
			r.Fatal(err)
		}
		want, err := plainJSON(in)
		if err != nil {
			r.Fatal(err)
		}
		var asJSON, asYAML strings.Builder
		if err := writeJSON(&asJSON, document{value: value}); err != nil {
			r.Fatal(err)
		}
		if err := writeYAML(&asYAML, document{value: value}); err != nil {
			r.Fatal(err)
		}
		var back, yamlBack any
		if err := json.Unmarshal([]byte(asJSON.String()), &back); err != nil || !reflect.DeepEqual(back, want) {
			r.Fatalf("json %v: %s", err, asJSON.String())
		}
		if err := yaml.Unmarshal([]byte(asYAML.String()), &yamlBack); err != nil {
			r.Fatalf("yaml %v: %s", err, asYAML.String())
		}
		if got, err := plainJSON(yamlBack); err != nil || !reflect.DeepEqual(got, want) {
			r.Fatalf("yaml %v\n%s\n%#v\n%#v", err, asYAML.String(), got, want)
		}
	})
}

func TestTableWidths(t *testing.T) {
	t.Parallel()
	var b strings.Builder
	rows := []any{
		map[string]any{"name": "日本", "state": true, "list": []any{"x"}, "id": "hidden", "nothing": nil},
		map[string]any{"name": "e\u0301", "state": false, "extra": "new"},
		map[string]any{"name": "tab\there\x1b[31m", "state": nil},
	}
	if err := writeTable(&b, document{value: rows}); err != nil {
		t.Fatal(err)
	}
	want := "Extra  Name               State\n" +
		"-----  -----------------  -----\n" +
		"       日本               True\n" +
		"new    e\u0301                  False\n" +
		"       tab\\there\\x1b[31m\n"
	if b.String() != want {
		t.Errorf("\n%q\n%q", b.String(), want)
	}
}
