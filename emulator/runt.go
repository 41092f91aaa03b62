package emulator

import (
	"errors"
	"os"
	"path/filepath"

	"evenkeel/emulator/internal/localca"
)

// T is what RunT needs of a *testing.T.
type T interface {
	Helper()
	Fatalf(format string, args ...any)
	Errorf(format string, args ...any)
	Cleanup(func())
	TempDir() string
}

// RunT starts an emulator for a test, in memory on free ports unless the options (at most one) say otherwise, and
// closes it with the test. Ports that Options.Dir remembers are chosen again when another process has taken them. Its
// endpoints name a CA file and a file with the token of the control port.
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
	if err := startAnew(e); err != nil {
		t.Fatalf("run emulator: %v", err)
	}
	return e
}

// startAnew starts an emulator, on other ports when another process has those that its folder remembers: nobody else
// keeps a test's ports for it while its emulator is down.
func startAnew(e *Emulator) error {
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
