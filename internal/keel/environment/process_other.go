//go:build !unix

package environment

import (
	"os"
	"os/exec"
)

// isAlive reports whether the process runs: on this system, FindProcess opens it, which fails if it has ended.
func isAlive(pid int) bool {
	process, err := os.FindProcess(pid)
	if err != nil {
		return false
	}
	_ = process.Release()
	return true
}

// setProcessGroup does nothing: this system has no process groups.
func setProcessGroup(*exec.Cmd) {}
