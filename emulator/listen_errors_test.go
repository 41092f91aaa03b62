package emulator_test

import (
	"errors"
	"strings"
	"syscall"
	"testing"

	"evenkeel/emulator"
	"evenkeel/internal/hint"
)

// missingAddress belongs to documentation (RFC 5737), so no interface has it: as 127.0.0.1 where there is IPv6 loopback
// alone.
const missingAddress = "192.0.2.1"

func TestAMissingAddressIsNamed(t *testing.T) {
	t.Parallel()
	for name, dir := range map[string]string{"chosen ports": "", "remembered ports": t.TempDir()} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			e, err := emulator.New(emulator.Options{Host: missingAddress, AllowRemote: true, Dir: dir})
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = e.Close() })
			err = e.Start()
			if !errors.Is(err, syscall.EADDRNOTAVAIL) || !strings.Contains(err.Error(), missingAddress) ||
				!strings.Contains(err.Error(), "no network interface has this address") {
				t.Errorf("got %v, want the address that is missing", err)
			}
			if advice := hint.Of(err); !strings.Contains(advice, "loopback") || strings.Contains(advice, "port") {
				t.Errorf("got the hint %q, want one on the loopback interface", advice)
			}
		})
	}
}
