package patchbay_test

import (
	"fmt"
	"go/ast"
	"go/build/constraint"
	"go/parser"
	"go/token"
	"io/fs"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

const module = "github.com/patchbay/patchbay"

// rooms is the import rule: which other rooms of the module a room's code may
// import. A room is a package with everything beneath it. "all" is everything.
// Tests of a room may import what they like, except where sealed says otherwise.
var rooms = map[string][]string{
	"cmd/patchbay":        {"internal/app"},
	"internal/app":        {"all"},
	"internal/cli":        {"internal/api", "internal/problem"},
	"internal/portal":     {"internal/api", "internal/problem"},
	"internal/server":     {"internal/api", "internal/engine", "internal/connection", "internal/problem", "internal/arm"},
	"internal/api":        {"internal/connection", "internal/problem", "internal/arm/id"},
	"internal/engine":     {"internal/connection", "internal/plan", "internal/ledger", "internal/problem"},
	"internal/plan":       {"internal/connection"},
	"internal/ledger":     {"internal/connection", "internal/plan", "internal/seal"},
	"internal/facet":      {"internal/arm", "internal/connection", "internal/plan", "internal/problem"},
	"internal/compute":    {"internal/arm", "internal/connection", "internal/plan", "internal/problem"},
	"internal/target":     {"internal/arm", "internal/catalog", "internal/connection", "internal/problem"},
	"internal/catalog":    {"internal/connection", "internal/problem"},
	"internal/probe":      {"internal/connection", "internal/problem"},
	"internal/arm":        {"internal/connection", "internal/problem"},
	"internal/problem":    {},
	"internal/seal":       {},
	"internal/connection": {},
	"internal/localcloud": {"internal/arm/id"},
	"internal/export":     {"internal/connection", "internal/plan"},
	"demo":                {},
	"interop":             {"demo/outside"},
	"examples":            {},
	".":                   {},
}

// sealed rooms keep the import rule in their tests as well: they judge the
// product from outside, or must not know what it wants.
var sealed = []string{"internal/localcloud", "demo", "interop", "examples"}

// pure rooms compute; they reach neither network nor disk nor clock service.
var pure = []string{"internal/connection", "internal/plan", "internal/catalog", "internal/problem", "internal/export"}

var impure = []string{"net", "net/http", "os", "os/exec", "database/sql", "io/ioutil"}

const (
	maxDepth        = 3   // segments of a package path under the module
	maxFile         = 600 // lines
	maxFunction     = 100 // lines
	usualFunction   = 60  // lines; 95 of 100 functions are shorter
	usualPercentage = 95
)

// emptyNames say nothing about what is inside.
var emptyNames = []string{"util", "utils", "common", "helper", "helpers", "manager", "managers", "misc", "shared", "base", "lib"}

// source is one Go file of the module.
type source struct {
	path   string // slash-separated, from the module's root
	text   string
	syntax *ast.File
	tags   string // the build constraint, if any
}

func (s *source) dir() string  { return path.Dir(s.path) }
func (s *source) test() bool   { return strings.HasSuffix(s.path, "_test.go") }
func (s *source) room() string { return roomOf(s.dir()) }

func roomOf(dir string) string {
	best := ""
	for r := range rooms {
		if (dir == r || strings.HasPrefix(dir, r+"/")) && len(r) > len(best) {
			best = r
		}
	}
	return best
}

// tree is everything in the checkout that people wrote.
type tree struct {
	fset    *token.FileSet
	sources []*source
	texts   map[string]string // every text file, Go or not
}

// report collects findings of one rule.
type report func(where token.Position, format string, args ...any)

// rules are what the tree is held to, one test each.
var rules = map[string]func(*tree, report){
	"imports point downwards":          importRule,
	"packages lie shallow":             depthRule,
	"files are short":                  fileRule,
	"functions are short":              functionRule,
	"packages and exports have docs":   docRule,
	"names say something":              nameRule,
	"nothing runs or changes globally": globalRule,
	"tests cannot be left out":         skipRule,
	"errors are short verb phrases":    phraseRule,
	"nothing is left to do later":      laterRule,
	"no place of one machine is named": placeRule,
}

func TestStructure(t *testing.T) {
	t.Parallel()
	tr := readTree(t)
	for name, rule := range rules {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			rule(tr, func(where token.Position, format string, args ...any) {
				t.Errorf("%s:%d: %s", where.Filename, where.Line, fmt.Sprintf(format, args...))
			})
		})
	}
}

// readTree reads the checkout, leaving out what is built, fetched or generated.
func readTree(t *testing.T) *tree {
	tr := &tree{fset: token.NewFileSet(), texts: map[string]string{}}
	out := []string{".git", ".cache", "bin", "dist", "vendor", "node_modules"}
	root, err := filepath.Abs(".")
	if err != nil {
		t.Fatal(err)
	}
	err = fs.WalkDir(rootFS(root), ".", func(p string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && p != "." && slices.Contains(out, d.Name()):
			return fs.SkipDir
		case d.IsDir() || !d.Type().IsRegular() || d.Name() == ".git": // a file in a second work tree
			return nil
		}
		return tr.add(rootFS(root), p)
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(tr.sources) < 50 {
		t.Fatalf("only %d Go files found: the test looks in the wrong place", len(tr.sources))
	}
	return tr
}

func (tr *tree) add(files fs.FS, p string) error {
	b, err := fs.ReadFile(files, p)
	if err != nil {
		return err
	}
	if strings.ContainsRune(string(b[:min(len(b), 512)]), 0) {
		return nil // not a text
	}
	tr.texts[p] = string(b)
	if path.Ext(p) != ".go" || strings.Contains(p, "testdata/") {
		return nil
	}
	syntax, err := parser.ParseFile(tr.fset, p, b, parser.ParseComments|parser.SkipObjectResolution)
	if err != nil {
		return err
	}
	s := &source{path: p, text: string(b), syntax: syntax}
	for line := range strings.Lines(s.text) {
		if constraint.IsGoBuild(line) {
			s.tags = strings.TrimSpace(strings.TrimPrefix(line, "//go:build"))
		}
		if strings.HasPrefix(line, "package ") {
			break
		}
	}
	tr.sources = append(tr.sources, s)
	return nil
}

// generated tells a file that a program wrote; its author is not asked for style.
func (s *source) generated() bool { return ast.IsGenerated(s.syntax) }

func at(p string, line int) token.Position { return token.Position{Filename: p, Line: line} }

// packages groups the sources that are no tests by folder.
func (tr *tree) packages() map[string][]*source {
	found := map[string][]*source{}
	for _, s := range tr.sources {
		if !s.test() {
			found[s.dir()] = append(found[s.dir()], s)
		}
	}
	return found
}
