package emulator_test

import (
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"testing"
	"time"

	"evenkeel/internal/await"
)

// docWildcards are what a documented answer leaves open, by the names that docs/reference/control-port.md gives them.
var docWildcards = map[string]string{
	"number":   `[0-9]+`,
	"address":  `[0-9a-f.:]+`,
	"duration": `[0-9hmsµ.]+`,
	"text":     `[^"]*`,
	"time":     `[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9:.]+Z`,
	"limits":   `\{.*\}`,
}

// answerPattern returns a pattern for the whole of a documented answer. A line break in it may be any space or none, so
// that the page can break a long document.
func answerPattern(answer string) (*regexp.Regexp, error) {
	pattern := regexp.QuoteMeta(strings.TrimSpace(answer))
	for name, open := range docWildcards {
		pattern = strings.ReplaceAll(pattern, "<"+name+">", open)
	}
	if unknown := regexp.MustCompile(`<[a-z]+>`).FindString(pattern); unknown != "" {
		return nil, fmt.Errorf("unknown wildcard %s", unknown)
	}
	return regexp.Compile(`^` + strings.ReplaceAll(pattern, "\n", `\s*`) + `$`)
}

// example is one command of the page and what it prints.
type example struct{ command, answer string }

// examples returns the commands of a block, each with the lines after it that begin with "#>".
func examples(block string) []example {
	var all []example
	for line := range strings.Lines(block) {
		line = strings.TrimSpace(line)
		if answer, ok := strings.CutPrefix(line, "#>"); ok && len(all) > 0 {
			all[len(all)-1].answer += strings.TrimSpace(answer) + "\n"
			continue
		}
		all = append(all, example{command: line})
	}
	return all
}

// TestTheExamplesOfTheControlPortRun runs every sh block of docs/reference/control-port.md, in its order and line by
// line, and compares the whole output of each command with the lines with #> after it.
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
		for _, e := range examples(block[1]) {
			want, err := answerPattern(e.answer)
			check(t, err)
			command := exec.CommandContext(await.Context(t), "sh", "-c", e.command)
			command.Dir, command.WaitDelay = folder, time.Second
			command.Env = append(os.Environ(), "CONTROL="+l.e.Endpoints().Control,
				"CONTROL_TOKEN_FILE="+l.e.Endpoints().ControlTokenFile)
			out, err := command.CombinedOutput()
			if err != nil {
				t.Fatalf("%s: %v: %s", e.command, err, out)
			}
			if got := strings.TrimSpace(string(out)); !want.MatchString(got) {
				t.Errorf("%s: got\n%s\nwant all of\n%s", e.command, got, e.answer)
			}
		}
	}
}

func TestADocumentedAnswerIsComparedAsAWhole(t *testing.T) {
	t.Parallel()
	const answer = "{\"a\":<number>,\n\"b\":\"<text>\"}\n"
	for name, tc := range map[string]struct {
		got  string
		want bool
	}{
		"the document":        {`{"a":12,"b":"x"}`, true},
		"on two lines":        {"{\"a\":12,\n \"b\":\"x\"}", true},
		"one member more":     {`{"a":12,"b":"x","c":1}`, false},
		"one member less":     {`{"a":12}`, false},
		"another kind":        {`{"a":"x","b":"x"}`, false},
		"something before it": {`x{"a":12,"b":"x"}`, false},
		"something after it":  {`{"a":12,"b":"x"}x`, false},
		"a longer text":       {`{"a":12,"b":"x","c":"y"}`, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			pattern, err := answerPattern(answer)
			check(t, err)
			if got := pattern.MatchString(tc.got); got != tc.want {
				t.Errorf("%s: got %v, want %v", tc.got, got, tc.want)
			}
		})
	}
	if _, err := answerPattern("<nothing>"); err == nil {
		t.Error("got a wildcard that is not documented, want an error")
	}
}
