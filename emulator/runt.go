package emulator

import (
	"errors"
	"os"
	"path/filepath"

	"evenkeel/emulator/internal/localca"
)

// T is the part of *testing.T that RunT uses.
type T interface {
	Helper()
	Fatalf(format string, args ...any)
	Errorf(format string, args ...any)
	Cleanup(func())
	TempDir() string
}

// RunT starts an emulator for a test and closes it when the test ends. It accepts at most one Options; by default the
// emulator is in memory and on free ports. If another process uses a port that Options.Dir remembers, RunT chooses
// another one. The endpoints name a CA file and a file with the token of the control port.
func RunT(t T, options ...Options) *Emulator {
	t.Helper()
	if len(options) > 1 {
		t.Fatalf("run emulator: got %d options, want at most 1", len(options))
	}
	var o Options
	if len(options) == 1 {
		o = options[0]
	}
	e, err := New(o)
	if err != nil {
		t.Fatalf("run emulator: %v", err)
	}
	t.Cleanup(func() {
		if err := e.Close(); err != nil {
			t.Errorf("close emulator: %v", err)
		}
	})
	if o.Dir == "" {
		folder := t.TempDir()
		e.endpoints.CAFile = filepath.Join(folder, localca.CertFile)
		e.endpoints.ControlTokenFile = filepath.Join(folder, ControlTokenFile)
		for name, content := range map[string][]byte{
			e.endpoints.CAFile: e.ca.PEM(), e.endpoints.ControlTokenFile: []byte(e.controlToken + "\n"),
		} {
			if err := os.WriteFile(name, content, 0o600); err != nil {
				t.Fatalf("run emulator: %v", err)
			}
		}
	}
	if err := startOnFreePorts(e); err != nil {
		t.Fatalf("run emulator: %v", err)
	}
	return e
}

// startOnFreePorts starts an emulator. If another process uses the ports that its folder remembers, it chooses other
// ones: nothing reserves a test's ports while its emulator is down.
func startOnFreePorts(e *Emulator) error {
	for {
		err := e.Start()
		taken := (*PortTakenError)(nil)
		if !errors.As(err, &taken) || taken.Remembered == "" {
			return err
		}
		if err := os.Remove(taken.Remembered); err != nil {
			return err
		}
	}
}
