//go:build unix

package environment

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
)

// isAlive reports whether pid is a running Pulumi. A process of another program, which has reused the number, does not
// count; without /proc, which shows the program, any running process does.
func isAlive(pid int) bool {
	if err := syscall.Kill(pid, 0); errors.Is(err, syscall.ESRCH) {
		return false
	}
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return true
	}
	text := string(status)
	open, end := strings.IndexByte(text, '('), strings.LastIndexByte(text, ')')
	if open < 0 || end < open {
		return true
	}
	zombie := strings.HasPrefix(strings.TrimSpace(text[end+1:]), "Z")
	return !zombie && strings.HasPrefix(text[open+1:end], "pulumi")
}

// setProcessGroup starts a child in its own process group, so that an interrupt of keel's group does not reach it.
func setProcessGroup(cmd *exec.Cmd) { cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} }
