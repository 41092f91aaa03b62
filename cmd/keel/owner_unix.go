//go:build !windows

package main

import (
	"io/fs"
	"os"
	"syscall"
)

// isMine reports whether a file belongs to the calling user.
func isMine(info fs.FileInfo) bool {
	stat, is := info.Sys().(*syscall.Stat_t)
	return !is || int(stat.Uid) == os.Geteuid()
}
