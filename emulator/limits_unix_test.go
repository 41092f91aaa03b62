//go:build limits && (linux || darwin)

package emulator_test

import (
	"fmt"
	"syscall"
)

// wantFiles raises how many files this process and its children may have open, or says why it cannot.
func wantFiles(count uint64) error {
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		return fmt.Errorf("read the limit of open files: %w", err)
	}
	if limit.Cur >= count {
		return nil
	}
	limit.Cur, limit.Max = count, max(limit.Max, count)
	if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		return fmt.Errorf("%d open files are needed, and the limit cannot be raised: %w", count, err)
	}
	return nil
}
