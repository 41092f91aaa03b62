package environment

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"time"

	"evenkeel/internal/hint"
)

// Local is the name of the stack that runs on the emulator.
const Local = "local"

// Azure is the target of environments on a real subscription; anything else is the emulator.
const Azure = "azure"

// Environment is one stack of a checkout and what is needed to run Pulumi on it.
type Environment struct {
	Folder Folder
	// Stack is the stack's name.
	Stack string
	// Pulumi is the absolute path of the CLI; its language host lies beside it or on PATH.
	Pulumi string
	// Program is the absolute path of the built program, or "" to let the language host build it.
	Program string
	// Target is Azure, or the emulator when it is anything else.
	Target string
	// Backend is where the stack's state is kept, as a URL that Pulumi takes. Empty is the checkout's own folder, or for Azure what the
	// user's Pulumi is logged in to.
	Backend string
	// Endpoints is where the emulator answers.
	Endpoints Endpoints
	// Inherited is the environment of the calling process; only a part of it is passed on.
	Inherited []string
	// Stdin, Stdout and Stderr are those of Pulumi.
	Stdin          io.Reader
	Stdout, Stderr io.Writer
	// Notice receives one line for each thing that was mended or needs the user's eye. Nil drops them.
	Notice func(text string)
	// Consent asks the user whether what lies in the environment's resource group, though neither its state nor its tags know it, may
	// be deleted. Nil: nobody can be asked, and it stays.
	Consent func(ids []string) (bool, error)
	// Command is what this process does, as `keel up`, for others who wait for it.
	Command string
	// OwnInterrupts says that a child gets the terminal's interrupt by itself: it is not sent another one, which Pulumi would take
	// as the order to stop at once. Otherwise it is kept out of the process group, whose interrupts it would get beside the one it is sent.
	OwnInterrupts bool

	// page is the user's page of the Pulumi Cloud that the user's Pulumi is logged in to, after Login; owner is whose stacks are worked
	// on there, once it was asked for.
	page, owner string
	// claimed are the tokens of the claims that this process holds.
	claimed []string
}

// ExitError is the end of a child process with a code other than zero. The child has said why.
type ExitError struct {
	Command string
	Code    int
}

func (e *ExitError) Error() string {
	return fmt.Sprintf("%s ended with exit code %d", e.Command, e.Code)
}

// Run runs `pulumi args…` in the project's folder with its output passed through.
func (e *Environment) Run(ctx context.Context, args ...string) error {
	cmd := e.command(ctx, e.Pulumi, args...)
	cmd.Dir = e.Folder.Root
	return e.run(cmd, "pulumi "+args[0])
}

// Exec runs any command in folder with the stack's environment and its output passed through.
func (e *Environment) Exec(ctx context.Context, folder, name string, args ...string) error {
	cmd := e.command(ctx, name, args...)
	cmd.Dir = folder
	return e.run(cmd, name)
}

func (e *Environment) run(cmd *exec.Cmd, what string) error {
	seen := &tail{limit: 8 << 10}
	cmd.Stdin, cmd.Stdout, cmd.Stderr = e.Stdin, e.Stdout, io.MultiWriter(e.Stderr, seen)
	err := cmd.Run()
	if exit := (*exec.ExitError)(nil); errors.As(err, &exit) {
		return e.advise(&ExitError{what, exit.ExitCode()}, seen.String())
	}
	if err != nil {
		return fmt.Errorf("run %s: %w", what, err)
	}
	return nil
}

// output runs `pulumi args…` and returns what it prints; its complaints become the error.
func (e *Environment) output(ctx context.Context, args ...string) ([]byte, error) {
	var stdout, stderr bytes.Buffer
	cmd := e.command(ctx, e.Pulumi, args...)
	cmd.Dir, cmd.Stdout, cmd.Stderr = e.Folder.Root, &stdout, &stderr
	if err := cmd.Run(); err != nil {
		text := strings.TrimSpace(stderr.String())
		return nil, e.advise(fmt.Errorf("pulumi %s: %w: %s", strings.Join(args[:min(2, len(args))], " "), err, text), text)
	}
	return stdout.Bytes(), nil
}

func (e *Environment) command(ctx context.Context, name string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Env = e.Environ()
	if !e.OwnInterrupts {
		keepApart(cmd)
	}
	cmd.Cancel = func() error {
		if e.OwnInterrupts {
			return os.ErrProcessDone
		}
		return cmd.Process.Signal(os.Interrupt)
	}
	// Pulumi ends a cancelled operation in an orderly way, which waits for what Azure is doing.
	cmd.WaitDelay = 10 * time.Minute
	return cmd
}

// advise adds what to do for complaints of Pulumi that people meet on a local stack.
func (e *Environment) advise(err error, complaint string) error {
	switch {
	case strings.Contains(complaint, "incorrect passphrase"):
		return hint.To(err, "%s does not open the secrets of stack %s: restore the file that it was created with, or start over: "+
			"keel emulator stop, and remove .evenkeel", e.Folder.Passphrase(), e.Stack)
	case strings.Contains(complaint, "the stack is currently locked"):
		if holders := staleLocks(complaint); len(holders) > 0 {
			return &staleLockError{err, holders}
		}
		return hint.To(err, "another Pulumi holds the lock of stack %s; wait for it, or end it with: keel exec -s %[1]s -- pulumi cancel", e.Stack)
	case strings.Contains(complaint, "update is currently in progress"): // Pulumi Cloud's words
		return hint.To(err, "another update of stack %s is in progress; wait for it, or if it has ended without unlocking: keel exec -s %[1]s -- pulumi cancel", e.Stack)
	case strings.Contains(complaint, SecretRefusal):
		return e.adviseSecret(err)
	case strings.Contains(complaint, scopeLocked):
		if scopes := scopesIn(complaint); scopes != nil {
			return hint.To(err, "%s", lockHint(scopes[0]))
		}
	}
	return err
}

func (e *Environment) notice(format string, args ...any) {
	if e.Notice != nil {
		e.Notice(fmt.Sprintf(format, args...))
	}
}

// tail keeps the last bytes that were written.
type tail struct {
	limit int
	kept  []byte
}

func (t *tail) Write(p []byte) (int, error) {
	t.kept = append(t.kept, p...)
	if over := len(t.kept) - t.limit; over > 0 {
		t.kept = append(t.kept[:0], t.kept[over:]...)
	}
	return len(p), nil
}

func (t *tail) String() string { return string(t.kept) }
