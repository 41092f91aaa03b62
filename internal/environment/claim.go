package environment

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/gofrs/flock"
)

// patience is how long a claim is waited for before the user is told.
const patience = time.Second

// Claim takes the environment for this process: of two commands that change one environment the second waits. A process that dies
// loses its claim. What is returned gives it back.
func (e *Environment) Claim(ctx context.Context) (release func(), err error) {
	if err := os.MkdirAll(e.Folder.Claims(), 0o700); err != nil {
		return nil, fmt.Errorf("take environment %q: %w", e.Stack, err)
	}
	claim := flock.New(filepath.Join(e.Folder.Claims(), e.Stack+".lock"))
	moment, cancel := context.WithTimeout(ctx, patience)
	ok, err := claim.TryLockContext(moment, 20*time.Millisecond)
	cancel()
	if errors.Is(err, context.DeadlineExceeded) && ctx.Err() == nil {
		e.notice("another keel works on environment %s; waiting for it", e.Stack)
		ok, err = claim.TryLockContext(ctx, 100*time.Millisecond)
	}
	if err != nil || !ok {
		return nil, fmt.Errorf("take environment %q: %w", e.Stack, err)
	}
	return func() { _ = claim.Unlock() }, nil
}
