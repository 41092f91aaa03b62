//go:build !unix

package background

import (
	"os"
	"syscall"
)

// There is no gentle signal here.
var terminate = os.Kill

func detached() *syscall.SysProcAttr { return &syscall.SysProcAttr{} }
