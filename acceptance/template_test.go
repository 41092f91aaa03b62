//go:build acceptance

package acceptance_test

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	own "evenkeel/acceptance/checkout"
)

// TestAProjectWithAnotherName creates the project "myiot" with `pulumi new`, as a user with their own backend does,
// and brings it up with keel and with plain pulumi.
func TestAProjectWithAnotherName(t *testing.T) {
	out, err := own.Keel(checkout, "build", "--json")
	if err != nil {
		t.Fatal(err)
	}
	var built struct{ Pulumi string }
	if err := json.Unmarshal(out, &built); err != nil {
		t.Fatal(err)
	}
	made := filepath.Join(filepath.Dir(checkout), "my iot") // on the same disk, so that it can be renamed
	template, home := filepath.Join(t.TempDir(), "template"), t.TempDir()
	if err := own.Clone("..", template); err != nil {
		t.Fatal(err)
	}
	cmd := bounded(t, built.Pulumi, "new", template, "--name", "myiot", "--description", "mine", "--stack", "dev",
		"--dir", made, "--yes", "--offline")
	cmd.Env = append(os.Environ(), "PATH="+filepath.Dir(built.Pulumi)+string(os.PathListSeparator)+os.Getenv("PATH"),
		"PULUMI_HOME="+home,
		"PULUMI_BACKEND_URL=file://"+home, "PULUMI_CONFIG_PASSPHRASE=mine", "PULUMI_SKIP_UPDATE_CHECK=true")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("pulumi new: %v\n%s", err, out)
	}
	// In the folder of the checkout, the go command compiles nothing again for the project.
	own.TearDown(checkout)
	away := checkout + " away"
	if err := errors.Join(os.Rename(checkout, away), os.Rename(made, checkout)); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := errors.Join(os.RemoveAll(checkout), os.Rename(away, checkout)); err != nil {
			t.Error(err)
		}
	})
	project := checkout
	if err := own.Build(project, os.Stderr); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { own.TearDown(project) })
	keel := func(args ...string) string {
		t.Helper()
		out, err := own.Keel(project, args...)
		if err != nil {
			t.Fatal(err)
		}
		return string(out)
	}
	keel("up", "dev")
	keel("exec", "-s", "dev", "--", "pulumi", "config", "set", "hubs", "3")
	keel("up", "dev")
	if got := keel("exec", "-s", "dev", "--", "pulumi", "stack", "output", "hubs"); strings.Count(got,
		`"hostName"`) != 3 {
		t.Errorf("got hubs %s, want three", got)
	}
	config, err := os.ReadFile(filepath.Join(project, "stacks", "Pulumi.dev.yaml"))
	if err != nil || !strings.Contains(string(config), "myiot:hubs: \"3\"") {
		t.Errorf("got %v and configuration\n%swant it under the project's name", err, config)
	}
	// Plain pulumi, in a shell that has evaluated `keel env`, changes the number of hubs and leaves nothing behind.
	shell := bounded(t, "sh", "-e", "-c",
		`eval "$(.evenkeel/bin/keel env -s dev)"; pulumi config set hubs 2; pulumi up --yes --skip-preview; pulumi preview --expect-no-changes`)
	shell.Dir = project
	if out, err := shell.CombinedOutput(); err != nil {
		t.Fatalf("plain pulumi: %v\n%s", err, out)
	}
	if got := keel("devices", "provision", "-s", "dev", "--count", "20", "--json"); !strings.Contains(got,
		`"failed": 0`) {
		t.Errorf("got %s, want every device on a hub", got)
	}
	keel("down", "dev")
}
