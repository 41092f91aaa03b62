//go:build node && swtpm

package node_test

import (
	"context"
	"fmt"
	"net"
	"os/exec"
	"testing"
	"time"

	"evenkeel/emulator"
)

// TestAzuresTPMSDKForNode gives Azure's TPM client the simulator swtpm instead of a chip.
func TestAzuresTPMSDKForNode(t *testing.T) {
	newCloud(t, emulator.RunT(t)).runDPS("dps-tpm.test.js", "EVENKEEL_TPM_PORT="+simulator(t))
}

// simulator starts a TPM on a free port, waits until it answers, and returns the port.
func simulator(t *testing.T) string {
	t.Helper()
	program, err := exec.LookPath("swtpm")
	if err != nil {
		t.Fatalf("%v: install the TPM simulator (Debian: apt-get install swtpm)", err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := l.Addr().String()
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	run := exec.CommandContext(ctx, program, "socket", "--tpm2", "--tpmstate", "dir="+t.TempDir(),
		"--server", fmt.Sprintf("type=tcp,bindaddr=127.0.0.1,port=%s,disconnect", port(t, address)), "--flags",
		"not-need-init,startup-clear")
	if err := run.Start(); err != nil {
		cancel()
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cancel()
		_ = run.Wait() // it was killed
	})
	for deadline := time.Now().Add(time.Minute); ; {
		conn, err := net.Dial("tcp", address)
		if err == nil {
			_ = conn.Close()
			return port(t, address)
		}
		if time.Now().After(deadline) {
			t.Fatalf("swtpm does not answer: %v", err)
		}
	}
}
