package rules_test

import (
	"go/ast"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// Sizes in lines: beyond them a file or function has a noun or verb that should leave it.
const (
	maxFile     = 500
	maxTestFile = 800
	maxMain     = 75 // the program is read at one sight: its body is a function, below
	maxCommand  = 60
	maxFunction = 60
)

func TestFilesAndFunctionsStaySmall(t *testing.T) {
	t.Parallel()
	for _, f := range files(t) {
		limit := maxFile
		switch {
		case f.test:
			limit = maxTestFile
		case f.path == "main.go":
			limit = maxMain
		case under(f.dir, "cmd") && filepath.Base(f.path) == "main.go":
			limit = maxCommand
		}
		if f.lines > limit {
			t.Errorf("%s has %d lines, limit %d: which noun should have a file of its own?", f.path, f.lines, limit)
		}
		for _, decl := range f.ast.Decls {
			if fn, ok := decl.(*ast.FuncDecl); ok && fn.Body != nil && !f.test {
				if n := f.fset.Position(fn.End()).Line - f.fset.Position(fn.Pos()).Line + 1; n > maxFunction {
					t.Errorf("%s: %s has %d lines, limit %d", f.path, fn.Name.Name, n, maxFunction)
				}
			}
		}
	}
}

func TestEachPackageHasOneDoc(t *testing.T) {
	t.Parallel()
	docs := map[string][]string{}
	for _, f := range files(t) {
		if f.test {
			continue
		}
		docs[f.dir] = append(docs[f.dir], "")
		if f.ast.Doc != nil && !strings.HasPrefix(f.ast.Doc.Text(), "go:build") {
			docs[f.dir][len(docs[f.dir])-1] = f.path
		}
	}
	for dir, paths := range docs {
		var documented []string
		for _, p := range paths {
			if p != "" {
				documented = append(documented, p)
			}
		}
		if len(documented) != 1 {
			t.Errorf("package %s has %d package docs %v, want one", dir, len(documented), documented)
		}
	}
}

func TestOnlyCommandsEndTheProcessOrReadItsEnvironment(t *testing.T) {
	t.Parallel()
	banned := map[string]bool{
		"os.Exit": true, "os.Getenv": true, "os.LookupEnv": true, "os.Environ": true,
		"log.Fatal": true, "log.Fatalf": true, "log.Print": true, "log.Printf": true, "log.Println": true,
		"slog.SetDefault": true,
	}
	for _, f := range files(t) {
		// The program hands os.Getenv to the guard of its target, which is why the top is exempt.
		if f.test || f.dir == "." || under(f.dir, "cmd") || under(f.dir, "tools") || under(f.dir, "acceptance") {
			continue
		}
		ast.Inspect(f.ast, func(n ast.Node) bool {
			if sel, ok := n.(*ast.SelectorExpr); ok {
				if pkg, ok := sel.X.(*ast.Ident); ok && banned[pkg.Name+"."+sel.Sel.Name] {
					t.Errorf("%s uses %s.%s: only commands do", f.fset.Position(n.Pos()), pkg.Name, sel.Sel.Name)
				}
			}
			return true
		})
	}
}

func TestGoModReplacesTheGeneratedSDKOnly(t *testing.T) {
	t.Parallel()
	mod, err := os.ReadFile(filepath.Join(root, "go.mod"))
	if err != nil {
		t.Fatal(err)
	}
	got := regexp.MustCompile(`(?m)^.*=>.*$`).FindAllString(string(mod), -1)
	want := "replace github.com/pulumi/pulumi-azure-native-sdk/devices/v2 => ./sdks/azure-native/devices"
	if len(got) != 1 || got[0] != want {
		t.Errorf("got replaces %q, want %q alone", got, want)
	}
}

func TestPackageNamesSayWhatTheyAreFor(t *testing.T) {
	t.Parallel()
	empty := map[string]bool{"util": true, "utils": true, "common": true, "helpers": true, "helper": true,
		"models": true, "shared": true, "base": true, "misc": true, "internal": true}
	for _, f := range files(t) {
		if empty[strings.TrimSuffix(f.ast.Name.Name, "_test")] {
			t.Errorf("%s is in a package named %s, which says nothing", f.path, f.ast.Name.Name)
		}
	}
}

// writers may write files past internal/durable, and say why.
var writers = map[string]string{
	"internal/durable/system.go":       "it is what the others are to use",
	"emulator/runt.go":                 "the folder of a test ends with it",
	"cmd/keel/ci.go":                   "the file is the user's, and may be a pipe",
	"internal/keel/claim/claim.go":     "a note of a living process, which a loss of power ends too",
	"internal/keel/toolchain/build.go": "programs are built by another program, and synced before they get their names",
}

// TestFilesAreWrittenDurably keeps a write that a loss of power undoes, or leaves empty, out of the product.
func TestFilesAreWrittenDurably(t *testing.T) {
	t.Parallel()
	banned := map[string]bool{"os.WriteFile": true, "os.Create": true, "os.Rename": true, "os.Link": true}
	unused := map[string]bool{}
	for name := range writers {
		unused[name] = true
	}
	for _, f := range files(t) {
		if f.test || under(f.dir, "acceptance") || under(f.dir, "tools") {
			continue
		}
		ast.Inspect(f.ast, func(n ast.Node) bool {
			if sel, ok := n.(*ast.SelectorExpr); ok {
				if pkg, ok := sel.X.(*ast.Ident); ok && banned[pkg.Name+"."+sel.Sel.Name] {
					delete(unused, f.path)
					if writers[f.path] == "" {
						t.Errorf("%s uses %s.%s: use internal/durable, or say in this test why not",
							f.fset.Position(n.Pos()), pkg.Name, sel.Sel.Name)
					}
				}
			}
			return true
		})
	}
	for name := range unused {
		t.Errorf("%s writes no file any more: take it from the list", name)
	}
}

// TestLongTestsRunWithoutTheRaceDetectorToo keeps tests that are cut short under the race detector whole in make test.
func TestLongTestsRunWithoutTheRaceDetectorToo(t *testing.T) {
	t.Parallel()
	makefile, err := os.ReadFile(filepath.Join(root, "Makefile"))
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files(t) {
		ast.Inspect(f.ast, func(n ast.Node) bool {
			if sel, ok := n.(*ast.SelectorExpr); ok && sel.Sel.Name == "Short" {
				pkg, ok := sel.X.(*ast.Ident)
				line := regexp.MustCompile(`go test [^&]*\./` + regexp.QuoteMeta(f.dir) + ` `)
				if ok && pkg.Name == "testing" && !line.Match(makefile) {
					t.Errorf("%s calls testing.Short: name ./%s in the Makefile's test", f.path, f.dir)
				}
			}
			return true
		})
	}
}
