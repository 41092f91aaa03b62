//go:build unix

package background

import (
	"os"
	"syscall"
)

var terminate os.Signal = syscall.SIGTERM

// detached starts the process in its own session, so that neither an interrupt nor the end of the terminal reaches it.
func detached() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setsid: true} }
