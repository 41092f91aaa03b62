package main

import (
	"context"
	"errors"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"evenkeel/internal/keel/environment"
)

func newDown(a *app) *cobra.Command {
	var ci bool
	cmd := &cobra.Command{
		Use:   "down [NAME]",
		Short: "Remove an environment, and stop the emulator after the last one",
		Long: "Destroy everything on the environment's stack, remove the stack, and stop the emulator unless it has " +
			"another environment\n" +
			"or another command is creating one.\n" +
			"keel asks before it deletes resources in the resource group that keel did not create; without a " +
			"terminal, --yes is needed.\n" +
			"The configuration is kept for the next up, without the lifetime.",
		Example: "  keel down\n  keel down mine\n  keel down --ci --json",
		Args:    optionalArg,
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := a.takeNameInCI(args, ci); err != nil {
				return err
			}
			return a.down(cmd.Context())
		},
	}
	addCI(cmd, &ci)
	a.addYes(cmd)
	a.addJSON(cmd)
	return cmd
}

func (a *app) down(ctx context.Context) error {
	outline, err := a.outline(ctx)
	if err != nil {
		return err
	}
	destroyed, err := outline.Exists(ctx)
	if err != nil {
		return err
	}
	if destroyed {
		if destroyed, err = a.destroy(ctx); err != nil {
			return err
		}
	}
	if outline.Target == environment.Azure {
		return a.reportDownOnAzure(destroyed)
	}
	stopped, others, err := a.stopUnused(ctx, outline)
	if err != nil {
		return err
	}
	if a.json {
		return a.printJSON(downResult{destroyed, stopped})
	}
	switch {
	case destroyed && stopped:
		a.say("removed stack %s and stopped the emulator; the stack's configuration is kept for the next up", a.stack)
	case destroyed:
		a.say("removed stack %s; the emulator keeps running for: %s", a.stack, strings.Join(others, ", "))
	case stopped:
		a.say("stopped the emulator; stack %s does not exist", a.stack)
	case len(others) > 0:
		a.say("nothing to do: stack %s does not exist; the emulator keeps running for: %s", a.stack,
			strings.Join(others, ", "))
	default:
		a.say("nothing to do: stack %s does not exist and the emulator is not running", a.stack)
	}
	return nil
}

// environmentsOnEmulator returns the environments that may be on the checkout's emulator: those of the backend in use
// and of the checkout's own backend.
func (a *app) environmentsOnEmulator(ctx context.Context, e *environment.Environment) ([]string, error) {
	names, err := e.Names(ctx)
	if err != nil || e.HasOwnBackend() {
		return names, err
	}
	own, err := e.Folder.Stacks()
	names = append(names, own...)
	slices.Sort(names)
	return slices.Compact(names), err
}

func (a *app) reportDownOnAzure(destroyed bool) error {
	if a.json {
		return a.printJSON(downResult{Destroyed: destroyed})
	}
	if destroyed {
		a.say("removed stack %s; its configuration is kept for the next up", a.stack)
	} else {
		a.say("nothing to do: stack %s does not exist", a.stack)
	}
	return nil
}

// destroy removes the environment, unless another command removed it while this one waited for the claim.
func (a *app) destroy(ctx context.Context) (destroyed bool, err error) {
	done, err := a.useEmulator(ctx)
	if err != nil {
		return false, err
	}
	defer done()
	e, err := a.open(ctx)
	if err != nil {
		return false, err
	}
	release, err := e.Claim(ctx)
	if err != nil {
		return false, err
	}
	defer release()
	there, err := e.Exists(ctx)
	if err != nil || !there {
		return false, err
	}
	return true, a.destroyClaimed(ctx, e)
}

func (a *app) destroyClaimed(ctx context.Context, e *environment.Environment) error {
	if a.json {
		e.Stdout = a.stderr
	}
	azure, err := a.prepare(ctx, e)
	if err != nil {
		return err
	}
	if err := e.Confirm(ctx, azure); errors.Is(err, environment.ErrGroupNotFound) && e.HasOwnBackend() {
		a.say("%v; there is nothing to destroy", err)
		return e.Abandon(ctx)
	} else if err != nil {
		return err
	}
	if err := e.ConfirmUnknownResources(ctx, azure); err != nil {
		return err
	}
	if err := e.Operate(ctx, azure, "destroy", "--yes", "--skip-preview"); err != nil {
		return err
	}
	return e.Forget(ctx)
}
