package main

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"evenkeel/internal/hint"
	"evenkeel/internal/keel/environment"
)

func newExec(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "exec -- command [argument...]",
		Short: "Run a command, such as pulumi preview, on the local stack",
		Long: "Run any command with the environment of the local stack: its backend, its passphrase file, the attached plugin, and\n" +
			"Pulumi on PATH. The emulator is started when it does not run. The exit code is that of the command. With\n" +
			"--json, what it writes is gathered and printed as JSON with its exit code.\n\n" +
			"A pulumi command that changes something, such as pulumi up or pulumi config set, takes turns with keel up, keel down and\n" +
			"others on the environment. One that only reads, such as pulumi preview or pulumi stack output, pulumi cancel, and anything\n" +
			"else, such as a shell or a script, runs at once.",
		Example: "  keel exec -- pulumi preview\n  keel exec -- pulumi stack output\n  keel exec --json -- pulumi stack ls",
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) > 0 {
				return nil
			}
			return hint.To(usageError{fmt.Errorf("no command given")}, "for example: keel exec -- pulumi preview")
		},
		RunE: func(cmd *cobra.Command, args []string) error { return a.exec(cmd.Context(), args) },
	}
	a.addJSON(cmd)
	return cmd
}

func (a *app) exec(ctx context.Context, args []string) error {
	e, release, err := a.readyFor(ctx, args)
	if err != nil {
		return err
	}
	defer release()
	if err := a.warn(e); err != nil {
		return err
	}
	if isPulumi(args[0]) && followsPlan(args[1:]) {
		a.say("warning: if the update differs from its plan, pulumi prints the properties that differ, keys among them: " +
			"keep its output out of logs")
	}
	if isPulumi(args[0]) && operates(args[1:]) {
		if err := e.RefusePrivateKeys(); err != nil {
			return err
		}
	}
	here, err := os.Getwd()
	if err != nil {
		return fmt.Errorf("run %s: %w", args[0], err)
	}
	name := args[0]
	if !isPulumi(name) || elsewhere(args[1:]) {
		e.Program = "" // a shell may live longer than the program, and another project has another
	}
	if isPulumi(name) {
		name = e.Pulumi
	}
	a.transparent = true
	if a.json {
		return a.gather(e, args, func() error { return e.Exec(ctx, here, name, args[1:]...) })
	}
	return e.Exec(ctx, here, name, args[1:]...)
}

// readyFor returns the environment, configured, for a command to be run on it. A pulumi that changes something takes
// the environment's turn, and keeps the emulator running, until release; any other command, which may last and may
// itself be keel, takes neither, but for the moment in which its stack is made.
func (a *app) readyFor(ctx context.Context, args []string) (e *environment.Environment, release func(), err error) {
	done, err := a.useEmulator(ctx)
	if err != nil {
		return nil, nil, err
	}
	if e, err = a.open(ctx); err != nil {
		done()
		return nil, nil, err
	}
	release = done
	changes := isPulumi(args[0]) && changesStack(args[1:])
	there := false
	if !changes {
		there, err = e.Exists(ctx)
	}
	if err == nil && !there {
		stack := e.Stack
		if changes {
			stack = cmp.Or(toldStack(args[1:]), stack)
		}
		var free func()
		if free, err = e.ClaimOther(ctx, stack); err == nil {
			release = func() { free(); done() }
		}
	}
	if err == nil {
		err = a.configure(ctx, e)
	}
	if err != nil || !changes {
		release()
		release = func() {}
	}
	return e, release, err
}

// gather runs a command and prints as JSON what it wrote and how it ended, which is returned too.
func (a *app) gather(e *environment.Environment, command []string, run func() error) error {
	var stdout, stderr bytes.Buffer
	e.Stdout, e.Stderr = &stdout, &stderr
	err := run()
	exit := (*environment.ExitError)(nil)
	if err != nil && !errors.As(err, &exit) {
		return err
	}
	result := executed{Command: command, Stdout: stdout.String(), Stderr: stderr.String()}
	if exit != nil {
		result.ExitCode = exit.Code
	}
	return errors.Join(a.printJSON(result), err)
}

// isPulumi reports whether a command means the pulumi of the environment.
func isPulumi(name string) bool {
	return strings.TrimSuffix(name, ".exe") == "pulumi" && filepath.Base(name) == name
}

// followsPlan reports whether arguments of pulumi constrain an update to the plan of a preview.
func followsPlan(args []string) bool {
	return slices.ContainsFunc(args, func(arg string) bool { return arg == "--plan" || strings.HasPrefix(arg, "--plan=") })
}

// operates reports whether arguments of pulumi are an operation that the history of the stack keeps, with the configuration.
func operates(args []string) bool {
	return !slices.Contains(args, "config") && slices.ContainsFunc(args, func(arg string) bool {
		return slices.Contains([]string{"up", "update", "refresh", "destroy", "import", "watch"}, arg)
	})
}

// elsewhere reports whether arguments of pulumi lead it to the project of another folder.
func elsewhere(args []string) bool {
	return slices.ContainsFunc(args, func(arg string) bool {
		return strings.HasPrefix(arg, "-C") || arg == "--cwd" || strings.HasPrefix(arg, "--cwd=")
	})
}
