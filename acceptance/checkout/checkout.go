// Package checkout creates separate checkouts of this project, as a user has them, and runs keel in them. The
// acceptance tests and the benchmark use one, so that they never touch the environment of the checkout that they were
// started in.
//
// The package knows keel's commands, but not what they do.
package checkout

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"evenkeel/internal/keel/environment"
)

// Status holds the members of `keel emulator status --json` that the tests read.
type Status struct {
	Running   bool                  `json:"running"`
	PID       int                   `json:"pid"`
	Endpoints environment.Endpoints `json:"endpoints"`
}

// Clone copies the project's files from one checkout, uncommitted ones too, with their times, into a new git
// repository. It updates a repository that exists already, and keeps the files that git ignores there, such as built
// programs.
func Clone(from, to string) error {
	list, err := exec.Command("git", "-C", from, "ls-files", "-z", "--cached", "--others",
		"--exclude-standard").Output()
	if err != nil {
		return fmt.Errorf("list the project's files: %w", err)
	}
	if _, err := os.Stat(filepath.Join(to, ".git")); err == nil {
		if out, err := exec.Command("git", "-C", to, "rm", "-rfq", "--ignore-unmatch",
			".").CombinedOutput(); err != nil {
			return fmt.Errorf("empty %s: %w\n%s", to, err, out)
		}
	}
	for name := range strings.SplitSeq(strings.TrimRight(string(list), "\x00"), "\x00") {
		if err := copyFile(filepath.Join(from, name), filepath.Join(to, name)); err != nil {
			return err
		}
	}
	for _, args := range [][]string{
		{"init", "-q"}, {"add", "-A"}, {"-c", "user.name=story", "-c", "user.email=story@example.com", "commit", "-qm",
			"story", "--allow-empty"},
	} {
		if out, err := exec.Command("git", append([]string{"-C", to}, args...)...).CombinedOutput(); err != nil {
			return fmt.Errorf("git %s: %w\n%s", strings.Join(args, " "), err, out)
		}
	}
	return nil
}

func copyFile(from, to string) error {
	info, err := os.Stat(from)
	if os.IsNotExist(err) {
		return nil // deleted, and the deletion not committed yet
	}
	if err != nil {
		return err
	}
	data, err := os.ReadFile(from)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
		return err
	}
	if err := os.WriteFile(to, data, info.Mode().Perm()); err != nil {
		return err
	}
	return os.Chtimes(to, time.Time{}, info.ModTime())
}

// Build runs `make build`, so that later measurements and outputs do not include a build.
func Build(folder string, progress io.Writer) error {
	cmd := exec.Command("make", "build")
	cmd.Dir, cmd.Stdout, cmd.Stderr = folder, progress, progress
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("build keel: %w", err)
	}
	return nil
}

// Stack is the default environment of stories and benchmarks.
const Stack = "local"

// Limit is the time limit of a command. The longest commands need a minute on an idle machine.
const Limit = 15 * time.Minute

// Keel runs the built keel in a checkout and returns its standard output. After Limit it kills keel.
func Keel(folder string, args ...string) ([]byte, error) {
	ctx, cancel := context.WithTimeoutCause(context.Background(), Limit, fmt.Errorf("it has not ended after %s", Limit))
	defer cancel()
	cmd := exec.CommandContext(ctx, filepath.Join(folder, ".evenkeel", "bin", "keel"), args...)
	cmd.Dir = folder
	cmd.Env = append(os.Environ(), "EVENKEEL_STACK="+Stack)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	cmd.WaitDelay = time.Minute // its children may hold its output open
	out, err := cmd.Output()
	if err != nil && ctx.Err() != nil {
		err = context.Cause(ctx)
	}
	if err != nil {
		return nil, fmt.Errorf("keel %s: %w\n%s%s", strings.Join(args, " "), err, out, stderr.Bytes())
	}
	return out, nil
}

// EmulatorStatus returns the status of the checkout's emulator, which it asks the built keel for.
func EmulatorStatus(folder string) (Status, error) {
	out, err := Keel(folder, "emulator", "status", "--json")
	if err != nil {
		return Status{}, err
	}
	var s Status
	return s, json.Unmarshal(out, &s)
}

// TearDown stops the emulator of a checkout and removes everything but the built programs, without `keel down`.
func TearDown(folder string) {
	_, _ = Keel(folder, "emulator", "stop") // there may be none
	entries, _ := os.ReadDir(filepath.Join(folder, ".evenkeel"))
	for _, entry := range entries {
		if entry.Name() != "bin" {
			_ = os.RemoveAll(filepath.Join(folder, ".evenkeel", entry.Name()))
		}
	}
	stacks, _ := filepath.Glob(filepath.Join(folder, "stacks", "Pulumi.*.yaml"))
	for _, file := range stacks {
		_ = os.Remove(file)
	}
}
