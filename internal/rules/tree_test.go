package rules_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"

	"golang.org/x/mod/modfile"
)

// module is the path in go.mod, which a published copy changes; import paths of our own begin with it.
var module = func() string {
	text, err := os.ReadFile(filepath.Join(root, "go.mod"))
	if err != nil {
		panic(err)
	}
	return modfile.ModulePath(text)
}()

// root is the top of the checkout, seen from this package.
const root = "../.."

// file is one Go file of the project; generated SDKs and the separate modules under tools are not among them.
type file struct {
	path  string // slash-separated, from the top
	dir   string // its folder; "." is the top
	test  bool
	lines int
	ast   *ast.File
	fset  *token.FileSet
}

// imports are the file's import paths.
func (f file) imports() []string {
	var list []string
	for _, spec := range f.ast.Imports {
		if name, err := strconv.Unquote(spec.Path.Value); err == nil {
			list = append(list, name)
		}
	}
	return list
}

var tree = sync.OnceValues(func() ([]file, error) {
	var files []file
	err := filepath.WalkDir(root, func(name string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel := filepath.ToSlash(strings.TrimPrefix(strings.TrimPrefix(name, root), string(filepath.Separator)))
		if entry.IsDir() {
			if skipped(name, rel) {
				return filepath.SkipDir
			}
			return nil
		}
		if !strings.HasSuffix(rel, ".go") {
			return nil
		}
		f, err := read(name, rel)
		if err == nil {
			files = append(files, f)
		}
		return err
	})
	return files, err
})

// skipped are generated code, test data, hidden folders and the modules that only pin tools.
func skipped(name, rel string) bool {
	if rel == "" {
		return false
	}
	base := path.Base(rel)
	if strings.HasPrefix(base, ".") || base == "node_modules" || base == "testdata" || rel == "sdks" {
		return true
	}
	_, err := os.Stat(filepath.Join(name, "go.mod"))
	return err == nil
}

func read(name, rel string) (file, error) {
	data, err := os.ReadFile(name)
	if err != nil {
		return file{}, err
	}
	fset := token.NewFileSet()
	parsed, err := parser.ParseFile(fset, rel, data, parser.ParseComments)
	if err != nil {
		return file{}, err
	}
	return file{
		path: rel, dir: path.Dir(rel), test: strings.HasSuffix(rel, "_test.go"),
		lines: strings.Count(string(data), "\n"), ast: parsed, fset: fset,
	}, nil
}

// files are all Go files of the project.
func files(t *testing.T) []file {
	t.Helper()
	list, err := tree()
	if err != nil {
		t.Fatal(err)
	}
	if len(list) < 10 {
		t.Fatalf("got %d files under %s: the walk does not see the project", len(list), root)
	}
	return list
}

// under reports whether dir is place or is below it.
func under(dir, place string) bool { return dir == place || strings.HasPrefix(dir, place+"/") }

// parsed returns a file of that text, for tests of the rules themselves.
func parsed(t *testing.T, text string) *ast.File {
	t.Helper()
	file, err := parser.ParseFile(token.NewFileSet(), "x.go", text, parser.ParseComments)
	if err != nil {
		t.Fatal(err)
	}
	return file
}
