package emulator

import (
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

// RunT starts an emulator for a test, in memory on free ports unless the options (at most one) say otherwise, and closes it with the
// test. Its endpoints name a CA file.
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
		file := filepath.Join(t.TempDir(), localca.CertFile)
		if err := os.WriteFile(file, e.ca.PEM(), 0o600); err != nil {
			t.Fatalf("run emulator: %v", err)
		}
		e.endpoints.CAFile = file
	}
	if err := e.Start(); err != nil {
		t.Fatalf("run emulator: %v", err)
	}
	return e
}
