package emulator_test

import (
	"os"
	"os/exec"
	"regexp"
	"strings"
	"testing"
	"time"

	"evenkeel/internal/await"
)

// TestTheExamplesOfTheControlPortRun runs every sh block of docs/reference/control-port.md, in its order and line by line, and looks for what the
// lines with #> promise.
func TestTheExamplesOfTheControlPortRun(t *testing.T) {
	t.Parallel()
	if _, err := exec.LookPath("curl"); err != nil {
		t.Skip("curl is not installed")
	}
	page, err := os.ReadFile("../docs/reference/control-port.md")
	check(t, err)
	blocks := regexp.MustCompile("(?s)```sh\n(.*?)```").FindAllStringSubmatch(string(page), -1)
	if len(blocks) < 8 {
		t.Fatalf("got %d blocks of examples, want one for each section", len(blocks))
	}
	l := newLived(t)
	folder := t.TempDir()
	for _, block := range blocks {
		output := ""
		for line := range strings.Lines(block[1]) {
			line = strings.TrimSpace(line)
			if want, promised := strings.CutPrefix(line, "#> "); promised {
				pattern := strings.ReplaceAll(regexp.QuoteMeta(want), "…", ".*")
				if !regexp.MustCompile(pattern).MatchString(output) {
					t.Errorf("got %q, want %s in it", output, want)
				}
				continue
			}
			command := exec.CommandContext(await.Context(t), "sh", "-c", line)
			command.Dir, command.WaitDelay = folder, time.Second
			command.Env = append(os.Environ(), "CONTROL="+l.e.Endpoints().Control,
				"CONTROL_TOKEN_FILE="+l.e.Endpoints().ControlTokenFile)
			out, err := command.CombinedOutput()
			if err != nil {
				t.Fatalf("%s: %v: %s", line, err, out)
			}
			output = string(out)
		}
	}
}
