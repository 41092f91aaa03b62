package rules_test

import (
	"io/fs"
	"net/url"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"evenkeel/acceptance/pages"
)

// document is a page in Markdown.
type document struct {
	path string // slash-separated, from the top
	text string
}

// documents are the pages at the top and under docs.
func documents(t *testing.T) []document {
	t.Helper()
	names, err := filepath.Glob(filepath.Join(root, "*.md"))
	if err != nil {
		t.Fatal(err)
	}
	err = filepath.WalkDir(filepath.Join(root, "docs"), func(name string, entry fs.DirEntry, err error) error {
		if err == nil && !entry.IsDir() && strings.HasSuffix(name, ".md") {
			names = append(names, name)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	var list []document
	for _, name := range names {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		rel, err := filepath.Rel(root, name)
		if err != nil {
			t.Fatal(err)
		}
		list = append(list, document{filepath.ToSlash(rel), string(text)})
	}
	if len(list) < 10 {
		t.Fatalf("got %d pages: the walk does not see the project", len(list))
	}
	return list
}

var (
	fencedBlock = regexp.MustCompile("(?ms)^ *```.*?^ *```$")
	codeSpan    = regexp.MustCompile("`[^`\n]*`")
	link        = regexp.MustCompile(`\]\(([^)\s]+)\)`)
	heading     = regexp.MustCompile(`(?m)^#+ +(.*?) *$`)
	linkText    = regexp.MustCompile(`\[([^]]*)\]\([^)]*\)`)
	notInAnchor = regexp.MustCompile(`[^\p{L}\p{N}\p{M}_ -]`)
)

// anchors are the fragments of a page's headings, as GitHub makes them.
func anchors(text string) []string {
	var list []string
	seen := map[string]int{}
	for _, match := range heading.FindAllStringSubmatch(fencedBlock.ReplaceAllString(text, ""), -1) {
		name := linkText.ReplaceAllString(match[1], "$1")
		name = strings.ReplaceAll(notInAnchor.ReplaceAllString(strings.ToLower(name), ""), " ", "-")
		seen[name]++
		if n := seen[name]; n > 1 {
			name += "-" + string(rune('0'+n-1))
		}
		list = append(list, name)
	}
	return list
}

func TestAnchorsAreThoseOfGitHub(t *testing.T) {
	t.Parallel()
	page := "# What `keel up` does, and why\n## A [link](x.md)\n## Twice\n## Twice\n```\n# no heading\n```\n"
	want := []string{"what-keel-up-does-and-why", "a-link", "twice", "twice-1"}
	if got := anchors(page); !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

// TestLinksInThePagesResolve follows every link to a file of the project, and its anchor.
func TestLinksInThePagesResolve(t *testing.T) {
	t.Parallel()
	all := documents(t)
	texts := map[string]string{}
	for _, page := range all {
		texts[page.path] = page.text
	}
	checked := 0
	for _, page := range all {
		prose := codeSpan.ReplaceAllString(fencedBlock.ReplaceAllString(page.text, ""), "")
		for _, match := range link.FindAllStringSubmatch(prose, -1) {
			target, err := url.Parse(match[1])
			if err != nil {
				t.Errorf("%s: link %s: %v", page.path, match[1], err)
				continue
			}
			if target.IsAbs() {
				continue
			}
			checked++
			name := page.path
			if target.Path != "" {
				name = path.Join(path.Dir(page.path), target.Path)
			}
			if _, err := os.Stat(filepath.Join(root, filepath.FromSlash(name))); err != nil {
				t.Errorf("%s: link %s: %s does not exist", page.path, match[1], name)
				continue
			}
			if target.Fragment != "" && !slices.Contains(anchors(texts[name]), target.Fragment) {
				t.Errorf("%s: link %s: %s has no such heading", page.path, match[1], name)
			}
		}
	}
	if checked < 20 {
		t.Errorf("followed %d links: the pattern does not see them", checked)
	}
}

// TestTheREADMELinksEveryPage finds each page but the decisions from the README.
func TestTheREADMELinksEveryPage(t *testing.T) {
	t.Parallel()
	all := documents(t)
	readme := all[slices.IndexFunc(all, func(d document) bool { return d.path == "README.md" })].text
	for _, page := range all {
		isPage := strings.HasPrefix(page.path, "docs/") && !strings.HasPrefix(page.path, "docs/adr/")
		if isPage && !strings.Contains(readme, "("+page.path+")") {
			t.Errorf("README.md does not link %s", page.path)
		}
	}
}

// runBy names the test file that runs or checks the commands of a page that is not in pages.Run.
var runBy = map[string]string{
	"docs/reference/control-port.md": "emulator/control_doc_test.go",
	"docs/how-to/environments.md":    "acceptance/day_test.go", // its section on a day
	"docs/how-to/adopt.md":           "acceptance/adopt_test.go",
	"docs/how-to/azure-cli.md":       "acceptance/az/howto_test.go",
	"docs/how-to/terraform.md":       "acceptance/az/howto_test.go",
	"docs/how-to/hosts.md":           "acceptance/az/hosts_test.go",
	"docs/how-to/plain-mqtt.md":      "cmd/keel/page_test.go",
	// written from the help, whose examples help_test.go parses
	"docs/reference/keel.md": "cmd/keel/reference_test.go",
}

// commandLine is how a command of a page begins.
var commandLine = regexp.MustCompile(`^(\$ )?(keel|pulumi|make|go|az|git|curl|npm|sudo|eval|export) `)

// TestEachCommandOfThePagesRunsOrSaysWhyNot: every block of commands in the pages is run by a test or has a reason.
func TestEachCommandOfThePagesRunsOrSaysWhyNot(t *testing.T) {
	t.Parallel()
	for _, name := range pages.Run {
		if _, err := os.Stat(filepath.Join(root, filepath.FromSlash(name))); err != nil {
			t.Errorf("pages.Run names %s, which does not exist", name)
		}
	}
	for page, test := range runBy {
		text, err := os.ReadFile(filepath.Join(root, filepath.FromSlash(test)))
		if err != nil || !strings.Contains(string(text), page) {
			t.Errorf("%s should run %s, but does not name it: %v", test, page, err)
		}
	}
	for _, page := range documents(t) {
		blocks, err := pages.Blocks(page.text)
		if err != nil {
			t.Errorf("%s: %v", page.path, err)
		}
		runs := slices.Contains(pages.Run, page.path) || runBy[page.path] != ""
		for _, block := range blocks {
			switch {
			case block.Language == "sh" && block.NotRun == "" && !runs:
				t.Errorf("%s:%d: no test runs the block: add the page to pages.Run, or write ```sh not run: REASON",
					page.path, block.Line)
			case block.Language == "" && commandLine.MatchString(block.Text):
				t.Errorf("%s:%d: the block holds commands: begin it with ```sh", page.path, block.Line)
			}
		}
		for line := range strings.Lines(fencedBlock.ReplaceAllString(page.text, "")) {
			if command, indented := strings.CutPrefix(line, "    "); indented && commandLine.MatchString(command) {
				t.Errorf("%s: %q: put commands into a block that begins with ```sh", page.path, strings.TrimSpace(line))
			}
		}
	}
}

// TestTheFilesOfTheArchitectureExist looks for every path that the page on the architecture names.
func TestTheFilesOfTheArchitectureExist(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile(filepath.Join(root, "docs", "explanation", "architecture.md"))
	if err != nil {
		t.Fatal(err)
	}
	// A path has a slash or ends in .go; it begins with a folder of the top, so that paths of URLs are none.
	found := 0
	for _, match := range regexp.MustCompile("`([A-Za-z0-9_./{},-]+)`").FindAllStringSubmatch(string(text), -1) {
		for _, name := range expand(match[1]) {
			first, _, hasSlash := strings.Cut(name, "/")
			info, err := os.Stat(filepath.Join(root, first))
			// What a run creates in .evenkeel need not exist.
			inFolder := hasSlash && first != "" && first != ".evenkeel" && err == nil && info.IsDir()
			if !inFolder && (hasSlash || !strings.HasSuffix(name, ".go")) {
				continue
			}
			found++
			if _, err := os.Stat(filepath.Join(root, filepath.FromSlash(name))); err != nil {
				t.Errorf("the page names %s, which does not exist", name)
			}
		}
	}
	if found < 40 {
		t.Errorf("got %d paths, want those of the tables and of the data flows", found)
	}
}

// expand writes out a list in braces.
func expand(name string) []string {
	before, rest, braced := strings.Cut(name, "{")
	inside, after, closed := strings.Cut(rest, "}")
	if !braced || !closed {
		return []string{name}
	}
	var all []string
	for part := range strings.SplitSeq(inside, ",") {
		all = append(all, before+strings.TrimSpace(part)+after)
	}
	return all
}
