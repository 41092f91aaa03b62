package provider_test

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// TestTheTableOfOptionsNamesEveryProperty compares docs/reference/provider.md with the schema: the page names every
// input of the resources, every function and every property of the configuration, and no path that does not exist.
func TestTheTableOfOptionsNamesEveryProperty(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile(filepath.Join("..", "..", "docs", "reference", "provider.md"))
	must(t, err)
	var named []string
	for _, match := range regexp.MustCompile("`([A-Za-z][A-Za-z0-9.]*)`").FindAllSubmatch(text, -1) {
		named = append(named, string(match[1]))
	}
	spec := readSchema(t)
	known := map[string]bool{}
	for _, kind := range []string{"IndividualEnrollment", "EnrollmentGroup", "LinkedHub"} {
		t.Run(kind, func(t *testing.T) {
			for path, leaf := range inputPaths(t, spec, "azure-dps:index:"+kind) {
				if known[path] = true; leaf && !slices.Contains(named, path) {
					t.Errorf("the table does not name %s of %s", path, kind)
				}
			}
		})
	}
	for token := range spec.Functions {
		if !slices.Contains(named, lastPart(token)) {
			t.Errorf("the table does not name the function %s", lastPart(token))
		}
	}
	for name := range spec.Provider.InputProperties {
		if known[name] = true; !slices.Contains(named, name) &&
			!slices.Contains([]string{"endpoint", "caFile", "rateLimit"}, name) {
			t.Errorf("the table does not name %s of the configuration", name)
		}
	}
	for _, name := range named {
		if strings.Contains(name, ".") && !known[name] {
			t.Errorf("the table names %s, which is not in the schema", name)
		}
	}
}
