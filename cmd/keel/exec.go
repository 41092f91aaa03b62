package main

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"

	"github.com/spf13/cobra"

	"evenkeel/internal/hint"
	"evenkeel/internal/keel/environment"
)

func newExec(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "exec -- command [argument...]",
		Short: "Run a command, such as pulumi preview, on the local stack",
		Long: "Run any command with the environment of the local stack: its backend, its passphrase file, the " +
			"attached plugin, and\n" +
			"Pulumi on PATH. keel starts the emulator if it does not run. The exit code is that of the command. With\n" +
			"--json, keel collects the output and prints it as JSON with the exit code.\n\n" +
			"A pulumi command that changes something, such as pulumi up or pulumi config set, waits until keel up, " +
			"keel down and other\n" +
			"commands on the environment have ended, and they wait for it. One that only reads, such as pulumi " +
			"preview or pulumi stack\n" +
			"output, pulumi cancel, and any other program, such as a shell or a script, runs at once.",
		Example: "  keel exec -- pulumi preview\n  keel exec -- pulumi stack output\n  keel exec --json -- pulumi " +
			"stack ls",
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
	var call pulumiCall
	if isPulumi(args[0]) {
		call = readPulumiCall(args[1:])
	}
	e, release, err := a.readyFor(ctx, call)
	if err != nil {
		return err
	}
	defer release()
	if err := a.warn(e); err != nil {
		return err
	}
	if call.followsPlan {
		a.say("warning: if the update differs from its plan, pulumi prints the properties that differ, keys among " +
			"them: " +
			"keep its output out of logs")
	}
	if call.isOperation() {
		named := *e // --stack selects the configuration
		named.Stack = cmp.Or(call.stack, e.Stack)
		if err := named.RefusePrivateKeys(); err != nil {
			return err
		}
	}
	here, err := os.Getwd()
	if err != nil {
		return fmt.Errorf("run %s: %w", args[0], err)
	}
	name := args[0]
	if !isPulumi(name) || call.hasOtherFolder {
		e.Program = "" // a shell may live longer than the program, and another project has another
	}
	if isPulumi(name) {
		name = e.Pulumi
	}
	a.transparent = true
	if a.json {
		return a.execAsJSON(e, args, func() error { return e.Exec(ctx, here, name, args[1:]...) })
	}
	return e.Exec(ctx, here, name, args[1:]...)
}

// readyFor returns the environment, configured, for a command that runs on it. For a Pulumi command that changes
// something it holds the environment's claim, and keeps the emulator running, until release. Any other command may run
// for long or be keel itself, so the claim ends as soon as the stack exists.
func (a *app) readyFor(ctx context.Context, call pulumiCall) (e *environment.Environment, release func(), err error) {
	done, err := a.useEmulator(ctx)
	if err != nil {
		return nil, nil, err
	}
	if e, err = a.open(ctx); err != nil {
		done()
		return nil, nil, err
	}
	release = done
	changes, there := call.changesStack(), false
	if !changes {
		there, err = e.Exists(ctx)
	}
	if err == nil && !there {
		stack := e.Stack
		if changes {
			stack = cmp.Or(call.stack, stack)
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

// execAsJSON runs a command, prints its output and exit code as JSON, and returns its error.
func (a *app) execAsJSON(e *environment.Environment, command []string, run func() error) error {
	var stdout, stderr bytes.Buffer
	e.Stdout, e.Stderr = &stdout, &stderr
	err := run()
	exit := (*environment.ExitError)(nil)
	if err != nil && !errors.As(err, &exit) {
		return err
	}
	result := execResult{Command: command, Stdout: stdout.String(), Stderr: stderr.String()}
	if exit != nil {
		result.ExitCode = exit.Code
	}
	return errors.Join(a.printJSON(result), err)
}
