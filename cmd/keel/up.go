package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os/user"

	"github.com/spf13/cobra"

	"evenkeel/internal/environment"
)

func newUp(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "up",
		Short: "Bring the local environment up: build, start the emulator, pulumi up",
		Long: "Build what is missing, start the emulator, make the stack local and bring it up with Pulumi, without asking: it costs\n" +
			"nothing. What an interrupted run has left behind is mended first. Run again, it changes nothing.",
		Example: "  keel up\n  keel exec -- pulumi config set hubs 3 && keel up\n  keel up --json",
		Args:    noArgs,
		RunE:    func(cmd *cobra.Command, _ []string) error { return a.up(cmd.Context()) },
	}
	cmd.Flags().BoolP("yes", "y", false, "answer yes to every question (a local environment asks none)")
	a.addJSON(cmd)
	return cmd
}

func (a *app) up(ctx context.Context) error {
	e, err := a.local(ctx, always)
	if err != nil {
		return err
	}
	if err := a.prepare(ctx, e); err != nil {
		return err
	}
	if a.json {
		e.Stdout = a.stderr // the result alone goes to stdout
	}
	if err := e.Run(ctx, "up", "--yes", "--skip-preview"); err != nil {
		return err
	}
	if a.json {
		return a.printUp(ctx, e)
	}
	a.say("\nTry next: keel devices provision   (keel is .evenkeel/bin/keel, or: go run ./cmd/keel)")
	return nil
}

// prepare configures the stack and mends what an interrupted run has left.
func (a *app) prepare(ctx context.Context, e *environment.Environment) error {
	if err := a.configure(ctx, e); err != nil {
		return err
	}
	azure, err := environment.Emulator(e.Endpoints)
	if err != nil {
		return err
	}
	return e.Recover(ctx, azure)
}

// configure makes the stack when there is none and writes what leads it to the emulator.
func (a *app) configure(ctx context.Context, e *environment.Environment) error {
	settings := []environment.Setting{
		{Key: "target", Value: "local"},
		{Key: "endpoint", Value: e.Endpoints.Data},
		{Key: "caFile", Value: e.Endpoints.CAFile},
	}
	if u, err := user.Current(); err == nil && u.Username != "" {
		settings = append(settings, environment.Setting{Key: "owner", Value: u.Username, Keep: true})
	}
	return e.Ensure(ctx, settings...)
}

func (a *app) printUp(ctx context.Context, e *environment.Environment) error {
	outputs, err := e.Outputs(ctx, false)
	if err != nil {
		return err
	}
	return a.printJSON(struct {
		Stack    string                     `json:"stack"`
		Emulator environment.Endpoints      `json:"emulator"`
		Outputs  map[string]json.RawMessage `json:"outputs"`
	}{e.Stack, e.Endpoints, outputs})
}

func newDown(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use:     "down",
		Short:   "Remove the local environment and stop the emulator",
		Long:    "Destroy everything on stack local, remove the stack, and stop the emulator. Its configuration is kept for the next up.",
		Example: "  keel down\n  keel down --json",
		Args:    noArgs,
		RunE:    func(cmd *cobra.Command, _ []string) error { return a.down(cmd.Context()) },
	}
	cmd.Flags().BoolP("yes", "y", false, "answer yes to every question (a local environment asks none)")
	a.addJSON(cmd)
	return cmd
}

func (a *app) down(ctx context.Context) error {
	folder, err := a.checkout()
	if err != nil {
		return err
	}
	destroyed, err := (&environment.Environment{Folder: folder, Stack: environment.Local}).Exists()
	if err != nil {
		return err
	}
	if destroyed {
		if err := a.destroy(ctx); err != nil {
			return err
		}
	}
	stopped, err := a.process(folder).Stop(ctx, stopPatience)
	if err != nil {
		return fmt.Errorf("stop the emulator: %w", err)
	}
	if a.json {
		return a.printJSON(map[string]bool{"destroyed": destroyed, "emulatorStopped": stopped})
	}
	switch {
	case destroyed:
		a.say("stack %s is gone and the emulator has stopped; the stack's configuration is kept for the next up", environment.Local)
	case stopped:
		a.say("the emulator has stopped; there was no stack %s", environment.Local)
	default:
		a.say("nothing to do: there is no stack %s and the emulator does not run", environment.Local)
	}
	return nil
}

func (a *app) destroy(ctx context.Context) error {
	e, err := a.local(ctx, whenStale)
	if err != nil {
		return err
	}
	if a.json {
		e.Stdout = a.stderr
	}
	if err := a.prepare(ctx, e); err != nil {
		return err
	}
	if err := e.Run(ctx, "destroy", "--yes", "--skip-preview"); err != nil {
		return err
	}
	return e.Forget(ctx)
}
