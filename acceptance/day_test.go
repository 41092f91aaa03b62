//go:build acceptance

package acceptance_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	own "evenkeel/acceptance/checkout"
)

// dayPage and dayHeading select the section whose commands the test runs.
const dayPage = "docs/how-to/environments.md"

const dayHeading = "## A day"

// TestTheDocumentedDay runs the documented commands of a day in order, each in its own shell, and checks the
// environment after each command that changes it.
func TestTheDocumentedDay(t *testing.T) {
	own.TearDown(checkout)
	t.Cleanup(func() { own.TearDown(checkout) })
	after := map[string]func(t *testing.T, s shownState){
		"keel up --ttl 10h":                func(t *testing.T, s shownState) { wantState(t, s, 2, 0) },
		"keel devices provision":           func(t *testing.T, s shownState) { wantState(t, s, 2, 202) },
		"keel reset --yes":                 func(t *testing.T, s shownState) { wantState(t, s, 2, 0) },
		"keel hub add hub-3 --up":          func(t *testing.T, s shownState) { wantState(t, s, 3, 102) },
		"keel hub drain hub-1 --up":        func(t *testing.T, s shownState) { wantDrained(t, s) },
		"keel hub remove hub-1 --up --yes": func(t *testing.T, s shownState) { wantState(t, s, 2, 302) },
	}
	for _, command := range dayCommands(t) {
		cmd := bounded(t, "sh", "-e", "-c", command)
		cmd.Dir = checkout
		cmd.Env = append(os.Environ(), "EVENKEEL_STACK="+own.Stack,
			"PATH="+filepath.Join(checkout, ".evenkeel", "bin")+string(os.PathListSeparator)+os.Getenv("PATH"))
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("%s: %v\n%s", command, err, out)
		}
		t.Logf("%s\n%s", command, out)
		if check := after[command]; check != nil {
			delete(after, command)
			check(t, show(t))
		}
	}
	for command := range after {
		t.Errorf("the documented day lacks the command %q, which this test checks", command)
	}
	if _, err := own.EmulatorStatus(checkout); err == nil {
		t.Error("the emulator is still running after the day")
	}
}

// dayCommands reads the commands of the section, without their comments.
func dayCommands(t *testing.T) (commands []string) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(checkout, filepath.FromSlash(dayPage)))
	if err != nil {
		t.Fatal(err)
	}
	_, section, found := strings.Cut(string(text), "\n"+dayHeading+"\n")
	if !found {
		t.Fatalf("%s has no section %q", dayPage, dayHeading)
	}
	section, _, _ = strings.Cut(section, "\n## ")
	inside := false
	for line := range strings.Lines(section) {
		switch {
		case strings.HasPrefix(line, "```"):
			inside = strings.TrimSpace(line) == "```sh"
		case inside:
			command, _, _ := strings.Cut(line, " #")
			commands = append(commands, strings.TrimSpace(command))
		}
	}
	if len(commands) < 8 {
		t.Fatalf("got commands %q, want more", commands)
	}
	return commands
}

// shownState is the part of `keel show --json` that the tests check.
type shownState struct {
	Devices int
	HubList []struct {
		Name    string
		Drain   bool
		Devices int
	}
}

func show(t *testing.T) (s shownState) {
	t.Helper()
	out, err := own.Keel(checkout, "show", "--json")
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(out, &s); err != nil {
		t.Fatal(err)
	}
	return s
}

func wantState(t *testing.T, s shownState, hubs, devices int) {
	t.Helper()
	if len(s.HubList) != hubs || s.Devices != devices {
		t.Errorf("got %+v, want %d hubs and %d devices", s, hubs, devices)
	}
}

func wantDrained(t *testing.T, s shownState) {
	t.Helper()
	for _, hub := range s.HubList {
		if hub.Drain != (hub.Name == "hub-1") {
			t.Errorf("got %+v, want hub-1 alone to drain", s.HubList)
		}
	}
}
