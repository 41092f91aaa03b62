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

// useEmulator keeps other commands from stopping the emulator of the checkout until release; nothing is to be kept
// where the environment is on Azure. A command that starts to work with the emulator calls it before it looks for one.
func (a *app) useEmulator(ctx context.Context) (release func(), err error) {
	folder, azure, err := a.place()
	if err != nil || azure {
		return func() {}, err
	}
	return folder.ClaimEmulator(ctx, a.command())
}

// stopUnused stops the emulator unless an environment is on it or another command works with it. users are what keeps
// it running.
func (a *app) stopUnused(ctx context.Context, e *environment.Environment) (stopped bool, users []string, err error) {
	release, err := e.Folder.ClaimEmulatorAlone(ctx, a.command(), time.Second, nil)
	if busy := (*claim.BusyError)(nil); errors.As(err, &busy) {
		users, err = a.onEmulator(ctx, e)
		return false, append(users, claim.Names(busy.Holders)), err
	}
	if err != nil {
		return false, nil, err
	}
	defer release()
	// Whoever brings an environment up has worked with the emulator since before its stack was there.
	if users, err = a.onEmulator(ctx, e); err != nil || len(users) > 0 {
		return false, users, err
	}
	if stopped, err = a.process(e.Folder).Stop(ctx, stopPatience); err != nil {
		return false, nil, fmt.Errorf("stop the emulator: %w", err)
	}
	return stopped, nil, nil
}

// usersPatience is how long an order to stop the emulator waits for commands that work with it.
const usersPatience = 15 * time.Minute

// stopWhenUnused stops the emulator once no command works with it.
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
