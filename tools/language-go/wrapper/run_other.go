//go:build !unix

package main

import (
	"errors"
	"os"
	"os/exec"
)

// run is for systems that cannot replace a process: it runs the host and ends with its exit code.
func run(host string, args []string) error {
	cmd := exec.Command(host, args...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	err := cmd.Run()
	if exit := (*exec.ExitError)(nil); errors.As(err, &exit) {
		os.Exit(exit.ExitCode())
	}
	return err
}
