//go:build node && ports

package node_test

import (
	"testing"

	"evenkeel/emulator"
)

// TestAzuresSDKsForNodeOnLoopbackAddresses needs the right to listen on ports 443 and 8883.
func TestAzuresSDKsForNodeOnLoopbackAddresses(t *testing.T) {
	e, err := emulator.New(emulator.Options{Dir: t.TempDir(), Names: emulator.NamesLoopback})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := e.Close(); err != nil {
			t.Error(err)
		}
	})
	if err := e.Start(); err != nil {
		t.Fatal(err)
	}
	newCloud(t, e).run("loopback.test.js")
}
