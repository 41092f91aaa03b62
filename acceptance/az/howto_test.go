//go:build az

package az_test

import (
	"bufio"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"evenkeel/acceptance/checkout"
)

// reader follows a page in a checkout with a running emulator.
type reader struct {
	*testing.T
	folder      string
	environment []string
}

// newReader starts an emulator with these flags.
func newReader(t *testing.T, flags ...string) *reader {
	t.Helper()
	folder, programs := t.TempDir(), t.TempDir()
	if err := checkout.Clone("../..", folder); err != nil {
		t.Fatal(err)
	}
	keel := filepath.Join(programs, "keel")
	build := exec.CommandContext(t.Context(), "go", "build", "-buildvcs=false", "-o", keel, "../../cmd/keel")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build keel: %v\n%s", err, out)
	}
	if err := os.WriteFile(filepath.Join(programs, "sitecustomize.py"), []byte(withoutDiscovery), 0o600); err != nil {
		t.Fatal(err)
	}
	r := &reader{t, folder, append(os.Environ(), "PATH="+programs+":"+os.Getenv("PATH"), "PYTHONPATH="+programs,
		"HOME="+programs, "AZURE_CORE_OUTPUT=json")}
	run := exec.CommandContext(t.Context(), keel, append([]string{"emulator", "run", "--checkout", folder, "--json"},
		flags...)...)
	run.Env, run.Dir = r.environment, folder
	run.Cancel = func() error { return run.Process.Signal(os.Interrupt) }
	run.WaitDelay = 20 * time.Second
	output, err := run.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	var complaint strings.Builder
	run.Stderr = &complaint
	if err := run.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = run.Cancel(); _ = run.Wait() })
	ready := make(chan struct{})
	go func() { // the status is printed when it answers
		if bufio.NewScanner(output).Scan() {
			close(ready)
		}
	}()
	select {
	case <-ready:
	case <-time.After(time.Minute):
		_ = run.Cancel()
		_ = run.Wait()
		t.Fatalf("the emulator printed no status within a minute:\n%s", complaint.String())
	}
	return r
}

var shellBlock = regexp.MustCompile("(?ms)^ *```sh\n(.*?)^ *```$")

// follow runs the shell commands of a page in order, in one shell that exits at the first failure. It skips blocks that
// begin with one of the texts in skip.
func (r *reader) follow(page string, skip ...string) string {
	r.Helper()
	text, err := os.ReadFile(filepath.Join("../..", filepath.FromSlash(page)))
	if err != nil {
		r.Fatal(err)
	}
	script := "set -eu\n"
	blocks := shellBlock.FindAllStringSubmatch(string(text), -1)
	if len(blocks) == 0 {
		r.Fatalf("%s has no commands", page)
	}
next:
	for _, block := range blocks {
		for _, prefix := range skip {
			if strings.HasPrefix(strings.TrimSpace(block[1]), prefix) {
				continue next
			}
		}
		script += block[1]
	}
	ctx, cancel := context.WithTimeout(r.Context(), 6*time.Minute)
	defer cancel()
	shell := exec.CommandContext(ctx, "sh", "-c", script)
	shell.Env, shell.Dir = r.environment, r.folder
	out, err := shell.CombinedOutput()
	if err != nil {
		r.Fatalf("follow %s: %v\n%s\nThe commands were:\n%s", page, err, out, script)
	}
	return string(out)
}

func TestTheAzureCLIPage(t *testing.T) {
	r := newReader(t)
	if out := r.follow("docs/how-to/azure-cli.md"); !strings.Contains(out, `"registrationId": "press-1"`) {
		t.Errorf("got %s, want the enrollment at the end", out)
	}
}

func TestTheTerraformPage(t *testing.T) {
	r := newReader(t)
	r.follow("docs/how-to/terraform.md")
	if _, err := os.Stat(filepath.Join(r.folder, "client.pfx")); err != nil {
		t.Errorf("the page's commands did not create the certificate's PKCS#12 file: %v", err)
	}
}
