package rules_test

import (
	"go/ast"
	"go/token"
	"testing"
)

// TestCasesAreNamedSubtests asks for t.Run in each loop over a table of cases that continues after a failed one: the
// report then names the case, and `go test -run` can select it.
func TestCasesAreNamedSubtests(t *testing.T) {
	t.Parallel()
	for _, f := range files(t) {
		if !f.test {
			continue
		}
		for _, loop := range unnamedCases(f.ast) {
			t.Errorf("%s: a loop over cases: run each in t.Run with a name that says what differs",
				f.fset.Position(loop.Pos()))
		}
	}
}

// unnamedCases returns the loops over a literal map, or over a literal list of structs, that call t.Error or t.Errorf
// outside a function literal. Those that call only t.Fatal are steps, of which each needs the one before, and those
// that begin with the call report what is left of a map.
func unnamedCases(file *ast.File) []*ast.RangeStmt {
	var found []*ast.RangeStmt
	for _, decl := range file.Decls {
		tables := map[string]bool{}
		ast.Inspect(decl, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.AssignStmt:
				if len(n.Lhs) == 1 && len(n.Rhs) == 1 && n.Tok == token.DEFINE {
					if name, ok := n.Lhs[0].(*ast.Ident); ok {
						tables[name.Name] = isTable(n.Rhs[0])
					}
				}
			case *ast.RangeStmt:
				name, ok := n.X.(*ast.Ident)
				if (isTable(n.X) || ok && tables[name.Name]) && reportsAndContinues(n.Body) {
					found = append(found, n)
				}
			}
			return true
		})
	}
	return found
}

// isTable reports whether the expression is a literal map, or a literal list of structs whose type is spelled out, with
// elements.
func isTable(x ast.Expr) bool {
	literal, ok := x.(*ast.CompositeLit)
	if !ok || len(literal.Elts) == 0 {
		return false
	}
	switch kind := literal.Type.(type) {
	case *ast.MapType:
		return true
	case *ast.ArrayType:
		_, ok := kind.Elt.(*ast.StructType)
		return ok
	}
	return false
}

func reportsAndContinues(body *ast.BlockStmt) bool {
	reports := false
	ast.Inspect(body, func(n ast.Node) bool {
		if _, ok := n.(*ast.FuncLit); ok {
			return false
		}
		reports = reports || isReport(n)
		return true
	})
	if first, ok := body.List[0].(*ast.ExprStmt); ok && isReport(first.X) {
		return false
	}
	return reports
}

// isReport reports whether the node is a call of t.Error or t.Errorf.
func isReport(n ast.Node) bool {
	call, ok := n.(*ast.CallExpr)
	if !ok {
		return false
	}
	called, ok := call.Fun.(*ast.SelectorExpr)
	if !ok {
		return false
	}
	x, ok := called.X.(*ast.Ident)
	return ok && x.Name == "t" && (called.Sel.Name == "Error" || called.Sel.Name == "Errorf")
}

func TestUnnamedCasesAreFound(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		body string
		want int
	}{
		"a map":                {`for k := range map[string]int{"a": 1} { if f(k) { t.Errorf(k) } }`, 1},
		"a list of structs":    {`for _, c := range []struct{ a int }{{1}} { got := c; t.Error(got) }`, 1},
		"a variable":           {`m := map[string]int{"a": 1}; for k := range m { if f(k) { t.Error(k) } }`, 1},
		"sub-tests":            {`for k := range map[string]int{"a": 1} { t.Run(k, func(t *testing.T) { t.Error(k) }) }`, 0},
		"steps":                {`for _, c := range []struct{ a int }{{1}} { t.Fatal(c) }`, 0},
		"parts of one answer":  {`for _, part := range []string{"a"} { if f(part) { t.Error(part) } }`, 0},
		"a result":             {`m := f(); for k := range m { if f(k) { t.Error(k) } }`, 0},
		"leftovers":            {`m := map[string]int{"a": 1}; f(m); for k := range m { t.Error(k) }`, 0},
		"a set that is filled": {`m := map[string]bool{}; f(m); for k := range m { if f(k) { t.Error(k) } }`, 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			file := parsed(t, "package x\nfunc TestX(t *testing.T) {\n"+test.body+"\n}\n")
			if got := len(unnamedCases(file)); got != test.want {
				t.Errorf("got %d loops, want %d", got, test.want)
			}
		})
	}
}
