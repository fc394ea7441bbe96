package patchbay_test

import (
	"errors"
	"go/ast"
	"go/token"
	"go/types"
)

// globalRule: nothing registers itself in init, and a package-level variable
// never changes after its declaration. Tables, sentinels and compiled patterns
// are fine; what is written, zero until something fills it, or lent out by
// address is not.
func globalRule(tr *tree, report report) {
	for dir, files := range tr.packages() {
		for _, group := range byTags(files) {
			packageGlobals(tr, dir, group, report)
		}
	}
}

// byTags parts files that cannot be compiled together.
func byTags(files []*source) map[string][]*source {
	found := map[string][]*source{}
	for _, s := range files {
		found[s.tags] = append(found[s.tags], s)
	}
	if len(found) > 1 { // tagged files see the untagged ones
		for tags := range found {
			if tags != "" {
				found[tags] = append(found[tags], found[""]...)
			}
		}
		delete(found, "")
	}
	return found
}

func packageGlobals(tr *tree, dir string, files []*source, report report) {
	var syntax []*ast.File
	for _, s := range files {
		syntax = append(syntax, s.syntax)
	}
	// Imports stay unresolved: what the package itself declares is all that is asked.
	info := &types.Info{Uses: map[*ast.Ident]types.Object{}, Defs: map[*ast.Ident]types.Object{}}
	config := types.Config{Importer: noImports{}, Error: func(error) {}}
	pkg, _ := config.Check(dir, tr.fset, syntax, info)

	global := func(e ast.Expr) (string, bool) {
		id := rootIdent(e)
		if id == nil {
			return "", false
		}
		v, ok := info.Uses[id].(*types.Var)
		return id.Name, ok && pkg != nil && v.Parent() == pkg.Scope()
	}
	for _, f := range syntax {
		for _, d := range f.Decls {
			declaredGlobals(tr, d, report)
		}
		ast.Inspect(f, func(n ast.Node) bool {
			for _, e := range written(n) {
				if name, ok := global(e); ok {
					report(tr.fset.Position(n.Pos()), "package-level variable %s is changed or lent out", name)
				}
			}
			return true
		})
	}
}

type noImports struct{}

func (noImports) Import(string) (*types.Package, error) { return nil, errors.New("not needed") }

// declaredGlobals finds init functions and variables that start empty.
func declaredGlobals(tr *tree, d ast.Decl, report report) {
	switch d := d.(type) {
	case *ast.FuncDecl:
		if d.Recv == nil && d.Name.Name == "init" {
			report(tr.fset.Position(d.Pos()), "an init function")
		}
	case *ast.GenDecl:
		if d.Tok != token.VAR {
			return
		}
		for _, spec := range d.Specs {
			v := spec.(*ast.ValueSpec)
			if len(v.Values) == 0 && !embedded(d.Doc) && !embedded(v.Doc) {
				report(tr.fset.Position(v.Pos()), "package-level variable %s starts empty, so something must fill it", v.Names[0].Name)
			}
		}
	}
}

func embedded(doc *ast.CommentGroup) bool {
	if doc == nil {
		return false
	}
	for _, c := range doc.List {
		if len(c.Text) > 10 && c.Text[:10] == "//go:embed" {
			return true
		}
	}
	return false
}

// written lists the expressions that a node writes to or takes the address of.
func written(n ast.Node) []ast.Expr {
	switch n := n.(type) {
	case *ast.AssignStmt:
		if n.Tok != token.DEFINE {
			return n.Lhs
		}
	case *ast.IncDecStmt:
		return []ast.Expr{n.X}
	case *ast.UnaryExpr:
		if n.Op == token.AND {
			return []ast.Expr{n.X}
		}
	case *ast.CallExpr:
		if f, ok := n.Fun.(*ast.Ident); ok && (f.Name == "delete" || f.Name == "clear" || f.Name == "copy") && len(n.Args) > 0 {
			return n.Args[:1]
		}
	}
	return nil
}

// rootIdent is the variable behind an expression such as table[key].field.
func rootIdent(e ast.Expr) *ast.Ident {
	for {
		switch x := e.(type) {
		case *ast.Ident:
			return x
		case *ast.IndexExpr:
			e = x.X
		case *ast.SelectorExpr:
			e = x.X
		case *ast.StarExpr:
			e = x.X
		case *ast.ParenExpr:
			e = x.X
		case *ast.SliceExpr:
			e = x.X
		default:
			return nil
		}
	}
}
