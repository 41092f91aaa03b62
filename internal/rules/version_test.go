package rules_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"evenkeel/internal/version"
)

// TestTheVersionIsWrittenOnce: a release changes one file and the heading of the changelog.
func TestTheVersionIsWrittenOnce(t *testing.T) {
	t.Parallel()
	for _, f := range files(t) {
		if f.test || f.dir == "internal/version" {
			continue
		}
		text, err := os.ReadFile(filepath.Join(root, f.path))
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(string(text), `"`+version.Version+`"`) {
			t.Errorf("%s contains the version: use version.Version", f.path)
		}
	}
	text, err := os.ReadFile(filepath.Join(root, "CHANGELOG.md"))
	if err != nil {
		t.Fatal(err)
	}
	_, first, _ := strings.Cut(string(text), "\n## ")
	if !strings.HasPrefix(first, version.Version+" ") {
		t.Errorf("the first heading of CHANGELOG.md is %.20q, want version %s", first, version.Version)
	}
}
