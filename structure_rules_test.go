package patchbay_test

import (
	"go/ast"
	"go/token"
	"io/fs"
	"os"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

func rootFS(dir string) fs.FS { return os.DirFS(dir) }

func importRule(tr *tree, report report) {
	for _, s := range tr.sources {
		room := s.room()
		if room == "" || room == "." && s.dir() != "." && !strings.HasPrefix(s.dir(), "tools") {
			report(at(s.path, 1), "package %s is in no room of the import table", s.dir())
			continue
		}
		for _, spec := range s.syntax.Imports {
			what, _ := strconv.Unquote(spec.Path.Value)
			where := tr.fset.Position(spec.Pos())
			if slices.Contains(pure, room) && !s.test() && slices.Contains(impure, what) {
				report(where, "%s computes only; it may not import %s", room, what)
			}
			inside, ours := strings.CutPrefix(what, module+"/")
			if ours && !mayImport(s, room, inside) {
				report(where, "%s may not import %s", room, inside)
			}
		}
	}
}

// mayImport is the table's answer for one file.
func mayImport(s *source, room, inside string) bool {
	if roomOf(inside) == room || s.test() && !slices.Contains(sealed, room) {
		return true
	}
	for _, allowed := range rooms[room] {
		if allowed == "all" || inside == allowed || strings.HasPrefix(inside, allowed+"/") {
			return true
		}
	}
	return false
}

func depthRule(tr *tree, report report) {
	for dir, files := range tr.packages() {
		if strings.Count(dir, "/")+1 > maxDepth {
			report(at(files[0].path, 1), "package %s lies deeper than %d", dir, maxDepth)
		}
	}
}

func fileRule(tr *tree, report report) {
	for _, s := range tr.sources {
		if n := strings.Count(s.text, "\n"); n > maxFile && !s.generated() {
			report(at(s.path, n), "%d lines, at most %d", n, maxFile)
		}
	}
}

func functionRule(tr *tree, report report) {
	var long []token.Position
	all := 0
	for _, s := range tr.sources {
		if s.test() || s.generated() {
			continue
		}
		for _, d := range s.syntax.Decls {
			f, ok := d.(*ast.FuncDecl)
			if !ok || f.Body == nil {
				continue
			}
			where := tr.fset.Position(f.Pos())
			n := tr.fset.Position(f.End()).Line - where.Line + 1
			all++
			if n > usualFunction {
				long = append(long, where)
			}
			if n > maxFunction {
				report(where, "%s has %d lines, at most %d", f.Name.Name, n, maxFunction)
			}
		}
	}
	if len(long)*100 > all*(100-usualPercentage) {
		for _, where := range long {
			report(where, "one of too many functions over %d lines (%d of %d)", usualFunction, len(long), all)
		}
	}
}

func docRule(tr *tree, report report) {
	for _, files := range tr.packages() {
		packageDoc(files, report)
	}
	for _, s := range tr.sources {
		if s.test() || s.generated() || s.syntax.Name.Name == "main" {
			continue
		}
		for _, d := range s.syntax.Decls {
			exportDoc(tr, d, report)
		}
	}
}

// packageDoc wants one comment per package, in go doc's form.
func packageDoc(files []*source, report report) {
	var docs []*source
	for _, s := range files {
		if s.syntax.Doc != nil && s.syntax.Doc.Text() != "" {
			docs = append(docs, s)
		}
	}
	if len(docs) == 0 {
		report(at(files[0].path, 1), "package %s has no comment", files[0].syntax.Name.Name)
		return
	}
	if len(docs) > 1 {
		report(at(docs[1].path, 1), "package %s has a second comment", docs[1].syntax.Name.Name)
	}
	want := "Package " + files[0].syntax.Name.Name + " "
	if files[0].syntax.Name.Name == "main" {
		want = "Command "
	}
	if !strings.HasPrefix(docs[0].syntax.Doc.Text(), want) {
		report(at(docs[0].path, 1), "the package comment does not begin with %q", want)
	}
}

func exportDoc(tr *tree, d ast.Decl, report report) {
	switch d := d.(type) {
	case *ast.FuncDecl:
		if d.Name.IsExported() && d.Doc == nil && exportedReceiver(d) && !impliedMethod(d) {
			report(tr.fset.Position(d.Pos()), "exported %s has no comment", d.Name.Name)
		}
	case *ast.GenDecl:
		if d.Doc != nil {
			return
		}
		for _, spec := range d.Specs {
			for _, name := range undocumented(spec) {
				report(tr.fset.Position(name.Pos()), "exported %s has no comment", name.Name)
			}
		}
	}
}

func exportedReceiver(d *ast.FuncDecl) bool {
	if d.Recv == nil {
		return true
	}
	t := d.Recv.List[0].Type
	for {
		switch u := t.(type) {
		case *ast.StarExpr:
			t = u.X
		case *ast.IndexExpr:
			t = u.X
		case *ast.IndexListExpr:
			t = u.X
		case *ast.Ident:
			return u.IsExported()
		default:
			return true
		}
	}
}

// impliedMethod is one whose meaning the standard library fixes.
func impliedMethod(d *ast.FuncDecl) bool {
	implied := []string{"Error", "Unwrap", "Is", "As", "String", "GoString", "Format", "MarshalText", "UnmarshalText",
		"MarshalJSON", "UnmarshalJSON", "MarshalYAML", "UnmarshalYAML", "Len", "Less", "Swap", "Push", "Pop", "LogValue"}
	return d.Recv != nil && slices.Contains(implied, d.Name.Name)
}

func undocumented(spec ast.Spec) []*ast.Ident {
	var names []*ast.Ident
	switch s := spec.(type) {
	case *ast.TypeSpec:
		if s.Doc == nil && s.Comment == nil {
			names = append(names, s.Name)
		}
	case *ast.ValueSpec:
		if s.Doc == nil && s.Comment == nil {
			names = append(names, s.Names...)
		}
	}
	return slices.DeleteFunc(names, func(n *ast.Ident) bool { return !n.IsExported() })
}

func nameRule(tr *tree, report report) {
	for _, s := range tr.sources {
		names := strings.Split(s.dir(), "/")
		names = append(names, strings.TrimSuffix(strings.TrimSuffix(path.Base(s.path), ".go"), "_test"))
		for _, name := range names {
			for part := range strings.SplitSeq(name, "_") {
				if slices.Contains(emptyNames, part) {
					report(at(s.path, 1), "the name %q says nothing about what is inside", name)
				}
			}
		}
	}
}

// skipRule: a test that is left out has not passed.
func skipRule(tr *tree, report report) {
	for _, s := range tr.sources {
		ast.Inspect(s.syntax, func(n ast.Node) bool {
			if call, ok := n.(*ast.CallExpr); ok && s.test() {
				if sel, ok := call.Fun.(*ast.SelectorExpr); ok && slices.Contains([]string{"Skip", "Skipf", "SkipNow"}, sel.Sel.Name) {
					report(tr.fset.Position(call.Pos()), "a test is left out with %s", sel.Sel.Name)
				}
			}
			return true
		})
	}
}

var excuse = regexp.MustCompile(`^(failed to|unable to|could not|cannot to|error|an error|Error)\b`)

// phraseRule: errors say what was attempted; that it failed is known.
func phraseRule(tr *tree, report report) {
	for _, s := range tr.sources {
		if s.test() {
			continue
		}
		ast.Inspect(s.syntax, func(n ast.Node) bool {
			call, ok := n.(*ast.CallExpr)
			if !ok || len(call.Args) == 0 {
				return true
			}
			sel, ok := call.Fun.(*ast.SelectorExpr)
			if !ok || sel.Sel.Name != "Errorf" && sel.Sel.Name != "New" {
				return true
			}
			if from, ok := sel.X.(*ast.Ident); !ok || from.Name != "fmt" && from.Name != "errors" {
				return true
			}
			if lit, ok := call.Args[0].(*ast.BasicLit); ok {
				if words, err := strconv.Unquote(lit.Value); err == nil && excuse.MatchString(words) {
					report(tr.fset.Position(lit.Pos()), "an error begins with %q; begin with what was attempted", excuse.FindString(words))
				}
			}
			return true
		})
	}
}

// The words are put together here so that this file does not hold them.
var later = regexp.MustCompile(`\b(TO` + `DO|FIX` + `ME|XX` + `X|HA` + `CK)\b|not ` + `(yet )?(implemented|wired)`)

func laterRule(tr *tree, report report) {
	eachLine(tr, func(p string, n int, line string) {
		if found := later.FindString(line); found != "" {
			report(at(p, n), "%q: do it or write it down elsewhere", found)
		}
	})
}

// place finds paths of one machine, and hosts that packages come from.
var place = regexp.MustCompile(`(^|[^\w.~/-])/(work|root|home)/\w|/Users/\w|` +
	`\b(proxy\.golang|sum\.golang|pypi|files\.pythonhosted|registry\.npmjs|deb\.debian|security\.debian|repo1?\.maven|registry-1\.docker|ghcr|quay)\.(org|io)\b`)

// invented homes belong to nobody: examples, and the folder of App Service.
var invented = regexp.MustCompile(`/home/(u|user|me|site|you)\b`)

func placeRule(tr *tree, report report) {
	eachLine(tr, func(p string, n int, line string) {
		found := place.FindString(line)
		if found == "" || path.Base(p) == "go.sum" || p == "structure_rules_test.go" || invented.MatchString(line) {
			return
		}
		report(at(p, n), "%q is a place of one machine or a registry", strings.TrimSpace(found))
	})
}

func eachLine(tr *tree, look func(path string, number int, line string)) {
	for p, text := range tr.texts {
		n := 0
		for line := range strings.Lines(text) {
			n++
			look(p, n, line)
		}
	}
}
