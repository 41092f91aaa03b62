//go:build unix

package main

import (
	"os"
	"syscall"
)

// run replaces this process, so that signals and the exit code reach the engine untouched.
func run(host string, args []string) error {
	return syscall.Exec(host, append([]string{host}, args...), os.Environ())
}
