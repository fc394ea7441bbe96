package patchbay_test

import (
	"go/token"
	"strings"
	"testing"
	"testing/fstest"
)

// TestStructureFinds shows each rule one file that breaks it: a rule that finds
// nothing anywhere would pass for the wrong reason.
func TestStructureFinds(t *testing.T) {
	t.Parallel()
	doc := "// Package x is for show.\npackage x\n"
	cases := map[string]struct{ rule, path, text string }{
		"upward import":        {"imports point downwards", "internal/api/x.go", doc + "import _ \"" + module + "/internal/server\"\n"},
		"import of a product":  {"imports point downwards", "internal/localcloud/x_test.go", doc + "import _ \"" + module + "/internal/engine\"\n"},
		"import from a demo":   {"imports point downwards", "demo/x.go", doc + "import _ \"" + module + "/internal/arm/id\"\n"},
		"disk in pure code":    {"imports point downwards", "internal/plan/x.go", doc + "import _ \"os\"\n"},
		"room of its own":      {"imports point downwards", "internal/attic/x.go", doc},
		"deep package":         {"packages lie shallow", "internal/a/b/c/x.go", doc},
		"long file":            {"files are short", "internal/api/x.go", doc + strings.Repeat("\n", maxFile)},
		"long function":        {"functions are short", "internal/api/x.go", doc + "func f() {" + strings.Repeat("\n", maxFunction) + "}\n"},
		"many long functions":  {"functions are short", "internal/api/x.go", doc + "func f() {" + strings.Repeat("\n", usualFunction) + "}\n"},
		"no package comment":   {"packages and exports have docs", "internal/api/x.go", "package x\n"},
		"another's comment":    {"packages and exports have docs", "internal/api/x.go", "// Package y is for show.\npackage x\n"},
		"undocumented func":    {"packages and exports have docs", "internal/api/x.go", doc + "func F() {}\n"},
		"undocumented type":    {"packages and exports have docs", "internal/api/x.go", doc + "type T int\n"},
		"empty package name":   {"names say something", "internal/helpers/x.go", doc},
		"empty file name":      {"names say something", "internal/api/string_util.go", doc},
		"init":                 {"nothing runs or changes globally", "internal/api/x.go", doc + "func init() {}\n"},
		"empty variable":       {"nothing runs or changes globally", "internal/api/x.go", doc + "var m map[string]int\n"},
		"written table":        {"nothing runs or changes globally", "internal/api/x.go", doc + "var m = map[string]int{}\nfunc f() { m[\"a\"] = 1 }\n"},
		"lent variable":        {"nothing runs or changes globally", "internal/api/x.go", doc + "var n = 1\nfunc f() *int { return &n }\n"},
		"skipped test":         {"tests cannot be left out", "internal/api/x_test.go", doc + "func f(t interface{ Skip() }) { t.Skip() }\n"},
		"excuse":               {"errors are short verb phrases", "internal/api/x.go", doc + "import \"fmt\"\nvar e = fmt.Errorf(\"failed to read\")\n"},
		"left for later":       {"nothing is left to do later", "docs/x.md", "TO" + "DO: more\n"},
		"home of one machine":  {"no place of one machine is named", "docs/x.md", "see /ro" + "ot/go\n"},
		"registry of packages": {"no place of one machine is named", "Makefile", "curl https://py" + "pi.org/simple\n"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			found := findings(t, c.rule, fstest.MapFS{c.path: {Data: []byte(c.text)}})
			if found < 1 {
				t.Error("the rule found nothing")
			}
		})
	}
}

func TestStructureLeavesAlone(t *testing.T) {
	t.Parallel()
	good := `// Package x is for show.
package x

import (
	"embed"
	"errors"
)

// ErrGone is a sentinel.
var ErrGone = errors.New("gone")

//go:embed x.go
var files embed.FS

var table = map[string]int{"a": 1}

func read(k string) int {
	table := map[string]int{k: table[k]}
	table[k] = 2
	return table[k]
}
`
	for name := range rules {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if n := findings(t, name, fstest.MapFS{"internal/api/x.go": {Data: []byte(good)}}); n != 0 {
				t.Errorf("%d findings in a file without fault", n)
			}
		})
	}
}

// findings counts what a rule finds in a tree.
func findings(t *testing.T, rule string, files fstest.MapFS) int {
	t.Helper()
	tr := &tree{fset: token.NewFileSet(), texts: map[string]string{}}
	for p := range files {
		if err := tr.add(files, p); err != nil {
			t.Fatal(err)
		}
	}
	n := 0
	rules[rule](tr, func(where token.Position, format string, args ...any) {
		t.Logf("%s:%d: "+format, append([]any{where.Filename, where.Line}, args...)...)
		n++
	})
	return n
}
