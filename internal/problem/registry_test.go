package problem_test

import (
	"flag"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/patchbay/patchbay/internal/problem"
)

var update = flag.Bool("update", false, "write docs/errors.md anew")

const (
	root = "../.."
	page = root + "/docs/errors.md"
)

// constants are the names of the codes as the source has them.
func constants(t *testing.T) map[string]problem.Code {
	t.Helper()
	file, err := parser.ParseFile(token.NewFileSet(), "registry.go", nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	named := map[string]problem.Code{}
	ast.Inspect(file, func(n ast.Node) bool {
		if v, ok := n.(*ast.ValueSpec); ok && len(v.Names) == 1 && len(v.Values) == 1 {
			if lit, ok := v.Values[0].(*ast.BasicLit); ok && lit.Kind == token.STRING {
				named[v.Names[0].Name] = problem.Code(strings.Trim(lit.Value, `"`))
			}
		}
		return true
	})
	return named
}

var spelling = regexp.MustCompile(`^[A-Z]+(_[A-Z]+)*$`)

func TestEveryCodeHasARowThatHelps(t *testing.T) {
	t.Parallel()
	named := constants(t)
	rows := map[problem.Code]problem.Entry{}
	for _, row := range problem.Registry() {
		if _, twice := rows[row.Code]; twice {
			t.Errorf("%s has two rows", row.Code)
		}
		rows[row.Code] = row
		for what, text := range map[string]string{"summary": row.Summary, "fix": row.Fix} {
			if len(strings.Fields(text)) < 2 || !strings.HasSuffix(text, ".") {
				t.Errorf("%s: %s %q is no sentence", row.Code, what, text)
			}
		}
		if !spelling.MatchString(string(row.Code)) || row.Status < 200 || row.Status > 599 {
			t.Errorf("%s: status %d", row.Code, row.Status)
		}
		if want := exitOf(row); row.Exit != want && row.Exit != problem.ExitDrift {
			t.Errorf("%s: status %d goes with exit code %d, not %d", row.Code, row.Status, want, row.Exit)
		}
	}
	for name, code := range named {
		if _, ok := rows[code]; !ok {
			t.Errorf("%s (%s) has no row", name, code)
		}
	}
	if len(rows) != len(named) {
		t.Errorf("%d rows, %d constants", len(rows), len(named))
	}
}

// exitOf is the exit code that follows from the kind of answer, findings of a
// validation aside.
func exitOf(row problem.Entry) int {
	switch row.Status {
	case 202:
		return problem.ExitRunning
	case 401, 403:
		return problem.ExitDenied
	case 404:
		return problem.ExitNotFound
	case 400, 405, 413:
		return problem.ExitUsage
	}
	return problem.ExitFailed
}

// TestEveryCodeIsRaised: a code that no code of the product raises would be a page
// about something that cannot happen. Asking for a code does not count.
func TestEveryCodeIsRaised(t *testing.T) {
	t.Parallel()
	raised := map[string]bool{}
	for _, dir := range []string{"internal", "cmd"} {
		err := filepath.WalkDir(filepath.Join(root, dir), func(path string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") || filepath.Base(path) == "registry.go" {
				return err
			}
			return raisedIn(path, raised)
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	for name, code := range constants(t) {
		if !raised[name] {
			t.Errorf("nothing raises %s (%s)", name, code)
		}
	}
}

// raisedIn notes the codes a file uses other than by comparing with them.
func raisedIn(path string, raised map[string]bool) error {
	file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.SkipObjectResolution)
	if err != nil {
		return err
	}
	inside := file.Name.Name == "problem" // there the codes carry no package name
	asked := map[ast.Expr]bool{}
	ast.Inspect(file, func(n ast.Node) bool {
		for _, e := range compared(n) {
			asked[e] = true
		}
		e, ok := n.(ast.Expr)
		if !ok || asked[e] {
			return !asked[e]
		}
		switch e := e.(type) {
		case *ast.SelectorExpr:
			if pkg, ok := e.X.(*ast.Ident); ok && pkg.Name == "problem" {
				raised[e.Sel.Name] = true
			}
		case *ast.Ident:
			raised[e.Name] = raised[e.Name] || inside
		}
		return true
	})
	return nil
}

// compared lists the expressions under a node that only ask for a code: arguments of
// Is, operands of a comparison, cases of a switch, keys of a table.
func compared(n ast.Node) []ast.Expr {
	switch n := n.(type) {
	case *ast.CallExpr:
		if sel, ok := n.Fun.(*ast.SelectorExpr); ok && sel.Sel.Name == "Is" {
			return n.Args
		}
	case *ast.BinaryExpr:
		if n.Op == token.EQL || n.Op == token.NEQ {
			return []ast.Expr{n.X, n.Y}
		}
	case *ast.CaseClause:
		return slices.DeleteFunc(slices.Clone(n.List), isTest)
	case *ast.KeyValueExpr:
		return []ast.Expr{n.Key}
	}
	return nil
}

// isTest tells whether a case is a condition, which may raise codes further inside.
func isTest(e ast.Expr) bool {
	switch e.(type) {
	case *ast.SelectorExpr, *ast.Ident:
		return false
	}
	return true
}

// TestErrorsPage holds docs/errors.md to the registry.
func TestErrorsPage(t *testing.T) {
	t.Parallel()
	want := document()
	if *update {
		if err := os.WriteFile(page, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	if string(got) != want {
		t.Errorf("%s is stale: run go test ./internal/problem -run TestErrorsPage -update", page)
	}
	for _, row := range problem.Registry() {
		if !strings.Contains(string(got), "\n## "+string(row.Code)+"\n") {
			t.Errorf("%s has no section for %s", page, row.Code)
		}
	}
}

// document writes the page: one section per code, in the registry's order.
func document() string {
	var b strings.Builder
	b.WriteString("# Errors\n\n" +
		"Every error Patchbay meets has a code, a sentence and a fix. The code decides the exit code of the command line and\n" +
		"the status of an HTTP answer; there it rides in ARM's envelope, in `error.additionalInfo` under `PatchbayProblem`.\n" +
		"A finding of a validation carries the same codes.\n\n" +
		"An error often knows a better fix than this page, with names and ids filled in: it is printed with the error.\n\n" +
		"This page is made from the registry: `go test ./internal/problem -run TestErrorsPage -update`.\n")
	for _, row := range problem.Registry() {
		fmt.Fprintf(&b, "\n## %s\n\n%s\n\n- Fix: %s\n- Exit code %d, HTTP status %d\n", row.Code, row.Summary, row.Fix, row.Exit, row.Status)
	}
	return b.String()
}
