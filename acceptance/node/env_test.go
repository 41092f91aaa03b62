//go:build node && ports

package node_test

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"testing"
	"time"

	own "evenkeel/acceptance/checkout"
)

// TestAzuresSDKsForNodeOnLoopbackNeedNothingButKeelEnv brings an environment up on an emulator with loopback addresses
// and runs the SDKs in shells that have evaluated `keel env --device` and `--admin`.
func TestAzuresSDKsForNodeOnLoopbackNeedNothingButKeelEnv(t *testing.T) {
	install(t)
	folder := filepath.Join(t.TempDir(), "even keel")
	if err := own.Clone("../..", folder); err != nil {
		t.Fatal(err)
	}
	if err := own.Build(folder, os.Stderr); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { own.TearDown(folder) })
	for _, args := range [][]string{{"emulator", "start", "--names", "loopback"}, {"up"}} {
		if _, err := own.Keel(folder, args...); err != nil {
			t.Fatal(err)
		}
	}
	// The device runs twice: before it is assigned to a hub, and after.
	for _, c := range []struct{ flags, passed string }{{"--device device-1", "1"}, {"--device device-1", "2"},
		{"--admin", "1"}} {
		t.Run(c.flags+" "+c.passed, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), 4*time.Minute)
			defer cancel()
			run := exec.CommandContext(ctx, "sh", "-c", `eval "$(cd "$CHECKOUT" && .evenkeel/bin/keel env `+c.flags+
				`)"; exec node --test --test-reporter=tap env.test.js`)
			run.Env = append(os.Environ(), "CHECKOUT="+folder)
			out, err := run.CombinedOutput()
			t.Logf("%s", out)
			if err != nil || !passed(out, c.passed) {
				t.Errorf("keel env %s: got %v, want %s tests passed", c.flags, err, c.passed)
			}
		})
	}
}

// passed reports whether the summary of `node --test` counts that many passed tests, without skipped ones.
func passed(out []byte, count string) bool {
	return regexp.MustCompile(`(?m)^# pass ` + count + `$`).Match(out)
}
