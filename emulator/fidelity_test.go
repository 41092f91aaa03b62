package emulator_test

import (
	"cmp"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"evenkeel/emulator/internal/arm"
	"evenkeel/emulator/internal/broker"
	"evenkeel/emulator/internal/control"
	"evenkeel/emulator/internal/dpsservice"
	"evenkeel/emulator/internal/entra"
	"evenkeel/emulator/internal/iothub"
	"evenkeel/emulator/internal/registration"
)

// served are the calls of each surface, from the tables that it routes by.
func served() map[string][]string {
	return map[string][]string{
		"Azure Resource Manager": append(entra.Routes(), arm.Routes()...),
		"DPS service API":        dpsservice.Routes(),
		"DPS device API":         append(registration.Routes(), "GET "+broker.WebSocketPath),
		"IoT Hub":                iothub.Routes(),
		"The control port":       control.Routes(),
	}
}

// documented is a call of a row of docs/reference/fidelity.md.
type documented struct {
	method, path string
	absent       bool
	used         bool
}

// matches compares a path with a served one: variables by their place, words without regard to letter case.
func (d *documented) matches(method, path string) bool {
	if d.method != method {
		return false
	}
	if end, anywhere := strings.CutPrefix(d.path, "…"); anywhere {
		return strings.HasSuffix(path, plainPath(end))
	}
	return path == plainPath(d.path)
}

var variable = regexp.MustCompile(`\{[^}]*\}`)

func plainPath(path string) string { return strings.ToLower(variable.ReplaceAllString(path, "{}")) }

var (
	quoted = regexp.MustCompile("`((?:[A-Z]+, )*[A-Z]+) ([^` ]+)`")
	states = []string{"faithful", "partial", "unsure", "absent", "ours"}
)

// rows reads the tables of docs/reference/fidelity.md by their headings, and complains of rows that say too little.
func rows(t *testing.T) map[string][]*documented {
	t.Helper()
	text, err := os.ReadFile("../docs/reference/fidelity.md")
	check(t, err)
	found, heading := map[string][]*documented{}, ""
	for line := range strings.Lines(string(text)) {
		if title, is := strings.CutPrefix(line, "## "); is {
			heading = strings.TrimSpace(title)
		}
		cells := strings.Split(strings.Trim(strings.TrimSpace(line), "|"), " | ")
		if !strings.HasPrefix(line, "| ") || len(cells) < 5 || strings.HasPrefix(line, "| call ") ||
			strings.HasPrefix(line, "| --- ") {
			continue
		}
		state := strings.TrimSpace(cells[1])
		if !slices.Contains(states, state) || strings.TrimSpace(cells[2]) == "" || strings.TrimSpace(cells[3]) == "" {
			t.Errorf("%s: the row %q needs a state of %v, an api-version and a source, or – for none", heading,
				cells[0], states)
		}
		for _, call := range quoted.FindAllStringSubmatch(cells[0], -1) {
			for method := range strings.SplitSeq(call[1], ", ") {
				found[heading] = append(found[heading], &documented{method: method, path: call[2],
					absent: state == "absent"})
			}
		}
	}
	return found
}

// TestEveryCallHasARowInTheFidelityTable, and every row's calls are served unless it says that they are absent.
func TestEveryCallHasARowInTheFidelityTable(t *testing.T) {
	t.Parallel()
	table := rows(t)
	for heading, calls := range served() {
		if len(calls) == 0 || len(table[heading]) == 0 {
			t.Errorf("%s: got %d calls served and %d in the table, want both", heading, len(calls), len(table[heading]))
		}
		for _, call := range calls {
			method, path, _ := strings.Cut(call, " ")
			path = plainPath(cmp.Or(strings.TrimSuffix(path, "/{$}"), "/"))
			matched := false
			for _, row := range table[heading] {
				if row.matches(method, path) {
					row.used, matched = true, true
				}
			}
			if !matched {
				t.Errorf("%s serves %s: add a row to docs/reference/fidelity.md that says how faithful it is, with "+
					"api-version and source", heading, call)
			}
		}
		for _, row := range table[heading] {
			if !row.used && !row.absent {
				t.Errorf("%s: docs/reference/fidelity.md has a row for %s %s, which is not served", heading, row.method,
					row.path)
			}
		}
	}
}
