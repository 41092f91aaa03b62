//go:build acceptance

package acceptance_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"

	own "evenkeel/acceptance/checkout"
)

// workflow is the part of a GitHub Actions workflow that the test runs.
type workflow struct {
	Jobs map[string]struct {
		Steps []struct {
			Run string `yaml:"run"`
		} `yaml:"steps"`
	} `yaml:"jobs"`
}

// TestTheWorkflowForPullRequestsBringsOneUpAndTakesItDown runs the steps of the documented workflow as GitHub's runner
// would, for a pull request that is opened, pushed to and merged.
func TestTheWorkflowForPullRequestsBringsOneUpAndTakesItDown(t *testing.T) {
	own.TearDown(checkout)
	t.Cleanup(func() { own.TearDown(checkout) })
	text, err := os.ReadFile(filepath.Join(checkout, "docs", "workflows", "pull-request.yml"))
	if err != nil {
		t.Fatal(err)
	}
	var w workflow
	if err := yaml.Unmarshal(text, &w); err != nil {
		t.Fatal(err)
	}
	runner := t.TempDir()
	event := filepath.Join(runner, "event.json")
	if err := os.WriteFile(event, []byte(`{"pull_request":{"number":41}}`), 0o600); err != nil {
		t.Fatal(err)
	}
	file := func(name string) string { return filepath.Join(runner, name) }
	run := func(job string) {
		t.Helper()
		ran := 0
		for _, step := range w.Jobs[job].Steps {
			if step.Run == "" {
				continue
			}
			ran++
			cmd := bounded(t, "bash", "-e", "-c", step.Run)
			cmd.Dir = checkout
			cmd.Env = append(os.Environ(), "CI=true", "GITHUB_ACTIONS=true", "GITHUB_REF=refs/heads/main",
				"GITHUB_EVENT_PATH="+event,
				"GITHUB_OUTPUT="+file("output"), "GITHUB_ENV="+file("env"))
			set, _ := os.ReadFile(file("env")) // what an earlier step has set; none at first
			cmd.Env = append(cmd.Env, strings.Fields(string(set))...)
			if out, err := cmd.CombinedOutput(); err != nil {
				t.Fatalf("job %s: %s: %v\n%s", job, step.Run, err, out)
			}
		}
		if ran == 0 {
			t.Fatalf("job %s has no step to run", job)
		}
		_ = os.Remove(file("env")) // each run of a job begins without
	}
	environments := func() (names []string) {
		t.Helper()
		out, err := own.Keel(checkout, "ls", "--json")
		if err != nil {
			t.Fatal(err)
		}
		var list []struct{ Name string }
		if err := json.Unmarshal(out, &list); err != nil {
			t.Fatal(err)
		}
		for _, e := range list {
			names = append(names, e.Name)
		}
		return names
	}
	for range 2 { // opened, pushed to
		run("up")
		if got := environments(); !slices.Equal(got, []string{"pr-41"}) {
			t.Fatalf("got environments %v, want pr-41", got)
		}
	}
	outputs, err := os.ReadFile(file("output"))
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"environment=pr-41\n", "idScope=0ne", "serviceConnectionString=[secret]\n"} {
		t.Run(want, func(t *testing.T) {
			if !strings.Contains(string(outputs), want) {
				t.Errorf("got outputs\n%swant %q in them", outputs, want)
			}
		})
	}
	for line := range strings.Lines(string(outputs)) {
		if name, _, found := strings.Cut(line, "="); !found || strings.ContainsAny(name, " \"[]{}") {
			t.Errorf("got the line %q, want a name and a value", line)
		}
	}
	if strings.Contains(string(outputs), "SharedAccessKey=") {
		t.Error("the outputs contain a key")
	}
	run("reap")
	if got := environments(); !slices.Equal(got, []string{"pr-41"}) {
		t.Errorf("got environments %v after the nightly reap, want pr-41 kept", got)
	}
	run("down")
	if got := environments(); len(got) != 0 {
		t.Errorf("got environments %v in the end, want none", got)
	}
}
