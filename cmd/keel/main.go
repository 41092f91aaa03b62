// Command keel brings an environment up and down, runs Pulumi on it, keeps the emulator running, and sends devices
// through it.
//
// It implements no logic of Pulumi, Azure or a protocol: each verb, in its own file, combines packages. Results go to
// standard output, everything else to standard error. The exit code is 0 for success, 1 for a failure, 2 for a wrong
// command line, and for `keel exec` that of the command.
package main

import (
	"context"
	"errors"
	"os"
	"os/signal"
	"syscall"

	"github.com/mattn/go-isatty"

	"evenkeel/internal/keel/environment"
)

func main() { os.Exit(keel()) }

// keel runs one command and returns the exit code.
func keel() int {
	ctx, cancel := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer cancel()
	a := &app{
		stdin: os.Stdin, stdout: os.Stdout, stderr: os.Stderr, environ: withUser(os.Environ()),
		interactive: isatty.IsTerminal(os.Stdin.Fd()),
	}
	a.terminal = a.canRedraw(isatty.IsTerminal(os.Stderr.Fd()))
	root := newRoot(a)
	root.SetArgs(os.Args[1:])
	err := root.ExecuteContext(ctx)
	if err == nil {
		return 0
	}
	if exit := (*environment.ExitError)(nil); errors.As(err, &exit) && a.transparent {
		a.showHint(err)
		return exit.Code
	}
	a.showError(err)
	if errors.Is(err, errUsage) {
		return 2
	}
	return 1
}
