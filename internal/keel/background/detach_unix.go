//go:build unix

package background

import (
	"os"
	"syscall"
)

var terminate os.Signal = syscall.SIGTERM

// detached gives the process a session of its own: neither the terminal's interrupt nor its closing reaches it.
func detached() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setsid: true} }
