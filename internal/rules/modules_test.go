package rules_test

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/mod/modfile"
)

// TestModulesThatToolsShareHaveOneVersion keeps the first `make up` from compiling packages twice: the Pulumi CLI, its
// language host and the project are built one after the other into one build cache.
func TestModulesThatToolsShareHaveOneVersion(t *testing.T) {
	t.Parallel()
	tools, err := filepath.Glob(filepath.Join(root, "tools", "*", "go.mod"))
	if err != nil || len(tools) < 2 {
		t.Fatalf("got the modules %q, %v, want those of the Pulumi CLI and of the language host", tools, err)
	}
	type version struct{ version, file string }
	seen := map[string]version{}
	for _, name := range append([]string{filepath.Join(root, "go.mod")}, tools...) {
		for _, require := range requirements(t, name) {
			if slices.ContainsFunc(require.Syntax.Suffix, func(c modfile.Comment) bool {
				return strings.HasPrefix(c.Token, "// not aligned:")
			}) {
				continue
			}
			module := require.Mod
			if other, ok := seen[module.Path]; ok && other.version != module.Version {
				t.Errorf("%s requires %s %s, and %s requires %s: run make tidy",
					name, module.Path, module.Version, other.file, other.version)
			}
			seen[module.Path] = version{module.Version, name}
		}
	}
}

func requirements(t *testing.T, name string) []*modfile.Require {
	t.Helper()
	text, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	file, err := modfile.Parse(name, text, nil)
	if err != nil {
		t.Fatal(err)
	}
	return file.Require
}
