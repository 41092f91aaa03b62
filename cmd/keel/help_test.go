package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
	"github.com/spf13/cobra"
)

func TestEveryCommandHasHelpWithExamplesThatParse(t *testing.T) {
	t.Parallel()
	visitCommands(newRoot(&app{}), func(cmd *cobra.Command) {
		t.Run(cmd.CommandPath(), func(t *testing.T) {
			t.Parallel()
			if cmd.Short == "" || cmd.Example == "" || cmd.Long == "" && !cmd.HasSubCommands() {
				t.Error("got no short text, long text or example, want all three")
			}
			for _, line := range exampleLines(cmd) {
				if err := parseExample(cmd, line); err != nil {
					t.Errorf("%s: %v", line, err)
				}
			}
		})
	})
}

func exampleLines(cmd *cobra.Command) []string {
	var lines []string
	for line := range strings.Lines(cmd.Example) {
		if line = strings.TrimSpace(line); line != "" {
			lines = append(lines, line)
		}
	}
	return lines
}

// call matches a call of keel in a shell line, alone or in eval "$(...)", before a pipe or a redirection.
var call = regexp.MustCompile(`^(?:eval "\$\()?keel ([^|>"]*?)(?:\)")?(?: [|>] .*)?$`)

// parseExample returns why keel would reject the example as a command line, or that the example calls another command.
func parseExample(cmd *cobra.Command, line string) error {
	match := call.FindStringSubmatch(line)
	if match == nil {
		return fmt.Errorf("no call of keel")
	}
	found, rest, err := newRoot(&app{}).Find(strings.Fields(match[1]))
	if err != nil {
		return err
	}
	if path := found.CommandPath(); path != cmd.CommandPath() && !cmd.HasSubCommands() {
		return fmt.Errorf("it is an example of %s", path)
	}
	if err := found.ParseFlags(rest); err != nil {
		return err
	}
	return found.ValidateArgs(found.Flags().Args())
}

func TestAWrongExampleDoesNotParse(t *testing.T) {
	t.Parallel()
	for line, want := range map[string]string{
		"keel devices status device-1": "",
		"keel devices status --json":   "",
		"keel devices sttaus":          "another command",
		"keel devices status --jsn":    "unknown flag",
		"keel devices status a b":      "arguments",
		"keel show":                    "it is an example of",
		"cd /tmp":                      "no call of keel",
	} {
		t.Run(line, func(t *testing.T) {
			t.Parallel()
			cmd, _, err := newRoot(&app{}).Find([]string{"devices", "status"})
			if err != nil {
				t.Fatal(err)
			}
			if err := parseExample(cmd, line); (err == nil) != (want == "") {
				t.Errorf("got %v, want %q", err, want)
			}
		})
	}
}

// notRun are the examples that the story of examples does not run, each with the reason.
var notRun = map[string]string{
	`^keel devices token device-1( --lifetime 10m --json)?$`: "the device must be registered; token.txtar runs it",
	`--follow\b`:              "runs until it is interrupted",
	`^keel emulator run\b`:    "runs until it is interrupted",
	`--host dps-1\b`:          "logs in to Azure",
	`--target azure\b`:        "asks Azure",
	`--backend file:///srv/`:  "names a folder of another machine",
	`--names loopback\b`:      "needs the right to listen on port 443",
	`^keel hosts\b`:           "needs the right to listen on port 443; the tests of docs/how-to/hosts.md run it",
	`^keel exec .*-- pulumi `: "runs Pulumi, which is a fake here",
}

// runExamples: examples COMMAND... — runs the examples of a command of keel, in the order of its help.
func runExamples(ts *testscript.TestScript, neg bool, args []string) {
	cmd, rest, err := newRoot(&app{}).Find(args)
	ts.Check(err)
	if neg || len(rest) > 0 {
		ts.Fatalf("usage: examples COMMAND...")
	}
	for _, line := range exampleLines(cmd) {
		if reasonNotToRun(line) != "" {
			continue
		}
		if before, _, found := strings.Cut(line, " | jq "); found {
			if _, err := exec.LookPath("jq"); err != nil {
				line = before
			}
		}
		if cmd.CommandPath() == "keel emulator start" { // its examples are alternatives
			ts.Check(ts.Exec("keel", "emulator", "stop"))
		}
		ts.Logf("%s", line)
		ts.Check(ts.Exec("sh", "-e", "-c", line))
	}
}

func reasonNotToRun(line string) string {
	for pattern, reason := range notRun {
		if regexp.MustCompile(pattern).MatchString(line) {
			return reason
		}
	}
	return ""
}

// TestEveryExampleRuns compares the story that runs examples with the commands.
func TestEveryExampleRuns(t *testing.T) {
	t.Parallel()
	story, err := os.ReadFile(filepath.Join("testdata", "examples.txtar"))
	if err != nil {
		t.Fatal(err)
	}
	var run []string
	for line := range strings.Lines(string(story)) {
		if path, ok := strings.CutPrefix(strings.TrimSpace(line), "examples "); ok {
			run = append(run, "keel "+path)
		}
	}
	used := map[string]bool{}
	visitCommands(newRoot(&app{}), func(cmd *cobra.Command) {
		runs := 0
		for _, line := range exampleLines(cmd) {
			if reason := reasonNotToRun(line); reason != "" {
				used[reason] = true
			} else {
				runs++
			}
		}
		if runs > 0 && cmd.HasParent() && !slices.Contains(run, cmd.CommandPath()) {
			t.Errorf("%s: no story runs its examples: add them to testdata/examples.txtar", cmd.CommandPath())
		}
	})
	for pattern, reason := range notRun {
		if !used[reason] {
			t.Errorf("no example matches %s (%s): remove the pattern", pattern, reason)
		}
	}
}
