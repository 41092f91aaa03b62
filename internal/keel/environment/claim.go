package environment

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"time"

	"evenkeel/internal/hint"
	"evenkeel/internal/keel/claim"
)

// ClaimsVariable holds the tokens of the claims that the ancestors of a process hold, with commas between them.
const ClaimsVariable = "EVENKEEL_CLAIMS"

// claimPatience is how long a command waits for another one: longer than any up on Azure that still makes progress.
const claimPatience = 30 * time.Minute

// Claim claims the environment for this process. Of two commands that change one environment, the second prints which
// command it waits for, and gives up after half an hour. A process that dies loses its claim, and one that works on
// behalf of the claim's holder (see ClaimsVariable) does not wait. release gives the claim back.
func (e *Environment) Claim(ctx context.Context) (release func(), err error) {
	return e.claim(ctx, e.Stack, claimPatience)
}

// ClaimOther is Claim for another environment of the checkout that a child of this process will change.
func (e *Environment) ClaimOther(ctx context.Context, stack string) (release func(), err error) {
	return e.claim(ctx, stack, claimPatience)
}

// ClaimNow is Claim without waiting. The cause of the error is a claim.BusyError if another command has the claim.
func (e *Environment) ClaimNow(ctx context.Context) (release func(), err error) {
	return e.claim(ctx, e.Stack, 0)
}

func (e *Environment) claim(ctx context.Context, stack string, patience time.Duration) (release func(), err error) {
	c, err := claim.Take(ctx, filepath.Join(e.Folder.Claims(), stack+".lock"), claim.Options{
		Command: cmp.Or(e.Command, "another keel"), Patience: patience, Inherited: e.inheritedClaims(),
		Waiting: func(holders []claim.Holder) {
			e.notice("environment %s is in use by %s; waiting for it", stack, claim.Names(holders))
		},
	})
	if busy := (*claim.BusyError)(nil); errors.As(err, &busy) {
		return nil, hint.To(
			fmt.Errorf("claim environment %q: %w", stack, err),
			"run the command again once that one has ended; if it hangs, end that process",
		)
	}
	if err != nil {
		return nil, fmt.Errorf("claim environment %q: %w", stack, err)
	}
	before := e.claimed
	e.claimed = append(e.claimed, c.Token())
	return func() {
		e.claimed = before
		c.Release()
	}, nil
}

// inheritedClaims returns the tokens of the claims of this process's ancestors.
func (e *Environment) inheritedClaims() []string {
	if text := e.inherited(ClaimsVariable); text != "" {
		return strings.Split(text, ",")
	}
	return nil
}

// claims returns the value of ClaimsVariable for the children of this process.
func (e *Environment) claims() string {
	var tokens []string
	for _, token := range append(e.inheritedClaims(), e.claimed...) {
		if token != "" {
			tokens = append(tokens, token)
		}
	}
	return strings.Join(tokens, ",")
}

// ClaimEmulator keeps other commands from stopping the emulator of the checkout until release. Several commands may
// hold this claim at once. It waits for a command that is stopping the emulator.
func (f Folder) ClaimEmulator(ctx context.Context, command string) (release func(), err error) {
	return f.claimEmulator(ctx, claim.Options{Command: command, Shared: true, Patience: 2 * time.Minute})
}

// ClaimEmulatorAlone claims the emulator exclusively, to stop it. It waits for patience, and calls waiting with the
// holders that it waits for. The cause of the error is a claim.BusyError if others still use the emulator.
func (f Folder) ClaimEmulatorAlone(
	ctx context.Context,
	command string,
	patience time.Duration,
	waiting func([]claim.Holder),
) (release func(), err error) {
	return f.claimEmulator(ctx, claim.Options{Command: command, Patience: patience, Waiting: waiting})
}

// ClaimReaping makes sure that only one command at a time reaps the environments of the checkout. The cause of the
// error is a claim.BusyError if another command does.
func (f Folder) ClaimReaping(ctx context.Context, command string) (release func(), err error) {
	c, err := claim.Take(ctx, f.in("reaping"), claim.Options{Command: command})
	if err != nil {
		return nil, fmt.Errorf("claim the reaping: %w", err)
	}
	return c.Release, nil
}

// ClaimReprovision makes sure that only one command at a time asks the devices of the environment to register again.
// The cause of the error is a claim.BusyError if another command does.
func (e *Environment) ClaimReprovision(ctx context.Context) (release func(), err error) {
	c, err := claim.Take(ctx, filepath.Join(e.Folder.Claims(), e.Stack+".reprovision"),
		claim.Options{Command: cmp.Or(e.Command, "another keel")})
	if err != nil {
		return nil, fmt.Errorf("claim the devices of environment %q: %w", e.Stack, err)
	}
	return c.Release, nil
}

func (f Folder) claimEmulator(ctx context.Context, o claim.Options) (release func(), err error) {
	c, err := claim.Take(ctx, f.in("emulator-users"), o)
	if err != nil {
		return nil, fmt.Errorf("claim the emulator: %w", err)
	}
	return c.Release, nil
}
