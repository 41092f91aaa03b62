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

// Local is the name of the default stack on the emulator, and the target of environments on it.
const Local = "local"

// Azure is the target of environments on a real subscription; anything else is the emulator.
const Azure = "azure"

// Environment is one stack of a checkout, with the paths, settings and streams to run Pulumi on it.
type Environment struct {
	Folder Folder
	// Stack is the stack's name.
	Stack string
	// Pulumi is the absolute path of the CLI; its language host is beside it or on PATH.
	Pulumi string
	// Program is the absolute path of the built program, or "" to let the language host build it.
	Program string
	// Target is Azure, or the emulator when it is anything else.
	Target string
	// Backend is where the stack's state is kept, as a URL for Pulumi. Empty means the checkout's own folder, or for
	// Azure the backend that the user's Pulumi is logged in to.
	Backend string
	// Endpoints are the addresses of the emulator.
	Endpoints Endpoints
	// Inherited is the environment of the calling process; only a part of it is passed on.
	Inherited []string
	// Stdin, Stdout and Stderr are those of Pulumi.
	Stdin          io.Reader
	Stdout, Stderr io.Writer
	// Notice receives one line for each repair, and for anything that the user should know. Nil drops them.
	Notice func(text string)
	// Consent asks the user whether resources of the environment's resource group that are neither in its state nor
	// have its tags may be deleted. Nil means no.
	Consent func(ids []string) (bool, error)
	// Command is the command line of this process, such as `keel up`, which others see while they wait for it.
	Command string
	// OwnInterrupts is true if a child gets the terminal's interrupt directly. keel then sends it none, because a
	// second one makes Pulumi stop at once. Otherwise the child runs in its own process group, so that it gets only the
	// interrupt that keel sends.
	OwnInterrupts bool

	// page is the user's web page of the Pulumi Cloud that the user's Pulumi is logged in to, set by Login. owner is
	// the owner of the stacks there, set by cloudOwner.
	page, owner string
	// claimed are the tokens of the claims that this process holds.
	claimed []string
}

// ExitError is the end of a child process with an exit code other than zero. The child has printed the reason.
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

// output runs `pulumi args…` and returns its standard output; its standard error becomes the error.
func (e *Environment) output(ctx context.Context, args ...string) ([]byte, error) {
	var stdout, stderr bytes.Buffer
	cmd := e.command(ctx, e.Pulumi, args...)
	cmd.Dir, cmd.Stdout, cmd.Stderr = e.Folder.Root, &stdout, &stderr
	if err := cmd.Run(); err != nil {
		text := strings.TrimSpace(stderr.String())
		return nil, e.advise(fmt.Errorf("pulumi %s: %w: %s", strings.Join(args[:min(2, len(args))], " "), err, text),
			text)
	}
	return stdout.Bytes(), nil
}

func (e *Environment) command(ctx context.Context, name string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Env = e.Environ()
	if !e.OwnInterrupts {
		setProcessGroup(cmd)
	}
	cmd.Cancel = func() error {
		if e.OwnInterrupts {
			return os.ErrProcessDone
		}
		return cmd.Process.Signal(os.Interrupt)
	}
	// Pulumi ends a cancelled operation in an orderly way, which waits for operations of Azure.
	cmd.WaitDelay = 10 * time.Minute
	return cmd
}

// advise adds a hint to frequent errors of Pulumi.
func (e *Environment) advise(err error, complaint string) error {
	switch {
	case strings.Contains(complaint, "incorrect passphrase"):
		return hint.To(err, "restore the passphrase file %s with which stack %s was created, or start over: "+
			"keel emulator stop, then remove .evenkeel", e.Folder.Passphrase(), e.Stack)
	case strings.Contains(complaint, "the stack is currently locked"):
		if holders := staleLocks(complaint); len(holders) > 0 {
			return &staleLockError{err, holders}
		}
		return hint.To(err,
			"wait for the Pulumi that holds the lock of stack %s, or remove the lock: keel exec -s %[1]s -- pulumi "+
				"cancel", e.Stack)
	case strings.Contains(complaint, "update is currently in progress"): // Pulumi Cloud's message
		return hint.To(err,
			"wait for the other update of stack %s; if it has ended without unlocking: keel exec -s %[1]s -- pulumi "+
				"cancel", e.Stack)
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
