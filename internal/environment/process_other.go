//go:build !unix

package environment

import "os"

// alive reports whether the process runs; here finding it opens it, which fails for one that is gone.
func alive(pid int) bool {
	process, err := os.FindProcess(pid)
	if err != nil {
		return false
	}
	_ = process.Release()
	return true
}
