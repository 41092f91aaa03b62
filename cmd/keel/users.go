package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"evenkeel/internal/hint"
	"evenkeel/internal/keel/claim"
	"evenkeel/internal/keel/environment"
)

// useEmulator keeps other commands from stopping the emulator of the checkout until release. It does nothing for an
// environment on Azure. A command calls it before it looks for the emulator or starts it.
func (a *app) useEmulator(ctx context.Context) (release func(), err error) {
	folder, azure, err := a.place()
	if err != nil || azure {
		return func() {}, err
	}
	return folder.ClaimEmulator(ctx, a.command())
}

// stopUnused stops the emulator unless it has an environment or another command uses it. users are the environments and
// commands that keep it running.
func (a *app) stopUnused(ctx context.Context, e *environment.Environment) (stopped bool, users []string, err error) {
	release, err := e.Folder.ClaimEmulatorAlone(ctx, a.command(), time.Second, nil)
	if busy := (*claim.BusyError)(nil); errors.As(err, &busy) {
		users, err = a.environmentsOnEmulator(ctx, e)
		return false, append(users, claim.Names(busy.Holders)), err
	}
	if err != nil {
		return false, nil, err
	}
	defer release()
	// A command that creates an environment has held its claim since before the stack existed.
	if users, err = a.environmentsOnEmulator(ctx, e); err != nil || len(users) > 0 {
		return false, users, err
	}
	if stopped, err = a.process(e.Folder).Stop(ctx, stopPatience); err != nil {
		return false, nil, fmt.Errorf("stop the emulator: %w", err)
	}
	return stopped, nil, nil
}

// usersPatience is how long emulator stop waits for commands that use the emulator.
const usersPatience = 15 * time.Minute

// stopWhenUnused waits until no command uses the emulator, and stops it.
func (a *app) stopWhenUnused(ctx context.Context, folder environment.Folder) (stopped bool, err error) {
	release, err := folder.ClaimEmulatorAlone(ctx, a.command(), usersPatience, func(holders []claim.Holder) {
		a.say("the emulator is in use by %s; waiting for it", claim.Names(holders))
	})
	if err != nil {
		return false, hint.To(fmt.Errorf("stop the emulator: %w", err), "end that command first")
	}
	defer release()
	if stopped, err = a.process(folder).Stop(ctx, stopPatience); err != nil {
		return false, fmt.Errorf("stop the emulator: %w", err)
	}
	return stopped, nil
}
