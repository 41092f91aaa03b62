//go:build linux || darwin

package emulator_test

import (
	"errors"
	"syscall"
)

var errNoLimit = errors.New("this system cannot limit the size of files")

// limitFileSize lets writes beyond that many bytes of a file fail, as on a full disk.
func limitFileSize(limit uint64) error {
	return syscall.Setrlimit(syscall.RLIMIT_FSIZE, &syscall.Rlimit{Cur: limit, Max: limit})
}
