//go:build unix

package state

import (
	"io/fs"
	"syscall"
)

// identity distinguishes a file from others with its name. It is nil if the file system has no such identity.
func identity(info fs.FileInfo) any {
	if s, ok := info.Sys().(*syscall.Stat_t); ok {
		return [2]uint64{uint64(s.Dev), uint64(s.Ino)} //nolint:unconvert // the types differ between systems
	}
	return nil
}
