package rules_test

import (
	"go/ast"
	"slices"
	"strings"
	"testing"
)

// standard are methods that mean the same everywhere.
var standard = []string{"Error", "String", "Unwrap"}

// TestEveryExportedNameIsDocumented counts the comment of a group of constants or variables for each of them. Fields of
// structs and methods of interfaces are exempt: the comment of the type says what they are for.
func TestEveryExportedNameIsDocumented(t *testing.T) {
	t.Parallel()
	for _, f := range files(t) {
		if f.test {
			continue
		}
		for _, name := range undocumented(f.ast) {
			t.Errorf("%s: %s is exported and has no comment", f.path, name)
		}
	}
}

// undocumented returns the exported names of a file that no comment describes.
func undocumented(file *ast.File) []string {
	var names []string
	for _, decl := range file.Decls {
		switch d := decl.(type) {
		case *ast.FuncDecl:
			if name := methodName(d); name != "" && d.Doc == nil {
				names = append(names, name)
			}
		case *ast.GenDecl:
			for _, spec := range d.Specs {
				names = append(names, undocumentedIn(d, spec)...)
			}
		}
	}
	return names
}

// methodName returns the name of an exported function, with the type of an exported method; "" of any other.
func methodName(d *ast.FuncDecl) string {
	if !d.Name.IsExported() || d.Recv != nil && slices.Contains(standard, d.Name.Name) {
		return ""
	}
	if d.Recv == nil {
		return d.Name.Name
	}
	kind := d.Recv.List[0].Type
	if star, ok := kind.(*ast.StarExpr); ok {
		kind = star.X
	}
	if name, ok := kind.(*ast.Ident); ok && name.IsExported() {
		return name.Name + "." + d.Name.Name
	}
	return ""
}

func undocumentedIn(d *ast.GenDecl, spec ast.Spec) []string {
	var names []string
	switch s := spec.(type) {
	case *ast.ValueSpec:
		for _, name := range s.Names {
			if name.IsExported() && d.Doc == nil && s.Doc == nil && s.Comment == nil {
				names = append(names, name.Name)
			}
		}
	case *ast.TypeSpec:
		if !s.Name.IsExported() {
			return nil
		}
		if d.Doc == nil && s.Doc == nil {
			names = append(names, s.Name.Name)
		}
	}
	return names
}

func TestUndocumentedNamesAreFound(t *testing.T) {
	t.Parallel()
	f := parsed(t, `package x

// A is documented.
type A struct {
	B int
}

type F interface{ G() }

func (A) H() {}
func (A) Error() string { return "" }
func (*hidden) I() {}

// J and K share it.
const (
	J = 1
	K = 2
)

var L int
func M() {}
`)
	want := "F A.H L M"
	if got := strings.Join(undocumented(f), " "); got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}
