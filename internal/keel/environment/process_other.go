//go:build !unix

package environment

import (
	"os"
	"os/exec"
)

// alive reports whether the process runs: on this system, FindProcess opens it, which fails if it has ended.
func alive(pid int) bool {
	process, err := os.FindProcess(pid)
	if err != nil {
		return false
	}
	_ = process.Release()
	return true
}

// keepApart does nothing: this system has no process groups.
func keepApart(*exec.Cmd) {}
