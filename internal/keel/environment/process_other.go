//go:build !unix

package environment

import (
	"os"
	"os/exec"
)

// alive reports whether the process runs; here finding it opens it, which fails for one that is gone.
func alive(pid int) bool {
	process, err := os.FindProcess(pid)
	if err != nil {
		return false
	}
	_ = process.Release()
	return true
}

// keepApart does nothing: there are no process groups to keep a child out of.
func keepApart(*exec.Cmd) {}
