//go:build acceptance

package acceptance_test

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	own "evenkeel/acceptance/checkout"
	"evenkeel/acceptance/pages"
)

// TestPagesRun runs the commands of each page of pages.Run in their order, one shell for each block, and compares
// what they print with what the page shows. Before the first block that needs devices, it starts some.
func TestPagesRun(t *testing.T) {
	for _, page := range pages.Run {
		t.Run(page, func(t *testing.T) {
			own.TearDown(checkout)
			t.Cleanup(func() { own.TearDown(checkout) })
			runPage(t, page)
		})
	}
}

func runPage(t *testing.T, page string) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(checkout, filepath.FromSlash(page)))
	if err != nil {
		t.Fatal(err)
	}
	blocks, err := pages.Blocks(string(text))
	if err != nil {
		t.Fatal(err)
	}
	values := map[string]string{}
	printed, ran, hasPrinted, hasDevices := "", 0, false, false
	for _, block := range blocks {
		if block.Needs == "devices" && !hasDevices {
			hasDevices = true
			startDevices(t, pageDevices)
		}
		switch {
		case block.NotRun != "":
			hasPrinted = false // what follows shows what Azure would print
		case block.Language == "sh":
			ran++
			cmd := bounded(t, "bash", "-e", "-o", "pipefail", "-c", block.Text)
			cmd.Dir = checkout
			cmd.Env = append(os.Environ(), "EVENKEEL_STACK="+own.Stack, "NO_COLOR=1",
				"PATH="+filepath.Join(checkout, ".evenkeel", "bin")+string(os.PathListSeparator)+os.Getenv("PATH"))
			out, err := cmd.Output()
			if err != nil {
				t.Fatalf("%s:%d: %s: %v\n%s%s", page, block.Line, block.Text, err, out, stderrOf(err))
			}
			t.Logf("%s:%d: %s\n%s", page, block.Line, block.Text, out)
			printed, hasPrinted = string(out), true
		case block.Language == "output" && !hasPrinted:
			t.Fatalf("%s:%d: the output follows no commands that run", page, block.Line)
		case block.Language == "output":
			if err := pages.Match(block.Text, printed, values); err != nil {
				t.Errorf("%s:%d: %v", page, block.Line, err)
			}
			hasPrinted = false
		}
	}
	if ran == 0 {
		t.Fatalf("%s has no commands that run", page)
	}
}

// stderrOf returns what a failed command wrote to standard error.
func stderrOf(err error) []byte {
	var failed *exec.ExitError
	if errors.As(err, &failed) {
		return failed.Stderr
	}
	return nil
}
