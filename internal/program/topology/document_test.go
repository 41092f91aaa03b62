package topology_test

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// inSources returns what the pattern matches in the package's sources, sorted.
func inSources(t *testing.T, patterns ...string) []string {
	t.Helper()
	files, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, file := range files {
		if strings.HasSuffix(file, "_test.go") {
			continue
		}
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, pattern := range patterns {
			for _, match := range regexp.MustCompile(pattern).FindAllStringSubmatch(string(text), -1) {
				names = append(names, match[1])
			}
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// inTable returns the names in the first column of a page's tables, sorted.
func inTable(t *testing.T, page string) []string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("..", "..", "..", "docs", "reference", page))
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for line := range strings.Lines(string(text)) {
		if cell, is := strings.CutPrefix(line, "| `"); is {
			cell, _, _ = strings.Cut(cell, " |")
			for name := range strings.SplitSeq(cell, ",") {
				names = append(names, strings.Trim(name, " `"))
			}
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}

func TestTheReferenceNamesEverySetting(t *testing.T) {
	t.Parallel()
	settings := inSources(t, `r\.[a-z]+\("([A-Za-z]+)"`, `const key = "([A-Za-z]+)"`, `const key\w* = "([A-Za-z]+)"`)
	members := inSources(t, "`json:\"([A-Za-z]+)\"`")
	if len(settings) < 20 || len(members) < 10 {
		t.Fatalf("got settings %q and members %q: the patterns do not see them", settings, members)
	}
	documented := inTable(t, "configuration.md")
	for _, name := range append(settings, members...) {
		if !slices.Contains(documented, name) {
			t.Errorf("docs/reference/configuration.md does not name %s", name)
		}
	}
	for _, name := range documented {
		if !slices.Contains(settings, name) && !slices.Contains(members, name) {
			t.Errorf("docs/reference/configuration.md names %s, which is no setting", name)
		}
	}
}

func TestTheReferenceNamesEveryOutput(t *testing.T) {
	t.Parallel()
	outputs := inSources(t, `ctx\.Export\("([A-Za-z]+)"`, `(?m)^\t\t"([A-Za-z]+)": +(?:pulumi|service|byName)`)
	if len(outputs) < 10 {
		t.Fatalf("got outputs %q: the patterns do not see them", outputs)
	}
	if got := inTable(t, "outputs.md"); !slices.Equal(got, outputs) {
		t.Errorf("docs/reference/outputs.md names %q, and the program exports %q", got, outputs)
	}
}
