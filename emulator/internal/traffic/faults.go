package traffic

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"sync"
	"time"

	"evenkeel/emulator/internal/hold"
)

// maxDelay limits how long a fault delays an operation.
const maxDelay = 2 * time.Minute

// Fault describes what happens to operations that Match selects: a delay, then a refusal or a closed connection, or
// neither.
type Fault struct {
	// Match.Nth is the first matching operation that is affected.
	hold.Match
	// Count is how many operations are affected. 0 means all, until the fault is removed.
	Count int
	// Probability is the chance of each operation to be affected, from 0 to 1. 0 means 1. Seed initializes the random
	// numbers: the same seed selects the same operations.
	Probability float64
	Seed        uint64

	Delay time.Duration
	// Drop closes the connection without a reply. Refuse replies.
	Drop   bool
	Refuse *Refusal
}

// Check returns what is wrong with a fault.
func (f Fault) Check() error {
	switch {
	case f.Delay == 0 && !f.Drop && f.Refuse == nil:
		return errors.New("a fault needs a delay, drop or a status")
	case f.Drop && f.Refuse != nil:
		return errors.New("drop and status are mutually exclusive")
	case f.Delay < 0 || f.Delay > maxDelay:
		return fmt.Errorf("delay is at most %s, not %s", maxDelay, f.Delay)
	case f.Refuse != nil && (f.Refuse.Status < 400 || f.Refuse.Status > 599):
		return fmt.Errorf("status is 400 to 599, not %d", f.Refuse.Status)
	case f.Refuse != nil && f.Refuse.Code != 0 && f.Refuse.Code/1000 != f.Refuse.Status:
		return fmt.Errorf("code %d does not begin with the status %d", f.Refuse.Code, f.Refuse.Status)
	case f.Refuse != nil && f.Refuse.RetryAfter < 0:
		return fmt.Errorf("retryAfter is %s", f.Refuse.RetryAfter)
	case f.Probability < 0 || f.Probability > 1:
		return fmt.Errorf("probability is 0 to 1, not %v", f.Probability)
	case f.Count < 0:
		return fmt.Errorf("count is %d", f.Count)
	}
	return nil
}

// Injected is an active fault.
type Injected struct {
	ID string
	Fault
	// Seen is how many operations matched. Met is how many of them the fault affected.
	Seen, Met int
}

// Faults are the active faults. The zero value is ready; its methods may be called concurrently.
type Faults struct {
	mu   sync.Mutex
	last int
	all  []*injected
}

type injected struct {
	Injected
	dice *rand.Rand
}

// Add injects a fault that Check accepts.
func (t *Faults) Add(f Fault) Injected {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.last++
	if f.Refuse != nil {
		refusal := *f.Refuse
		refusal.complete()
		f.Refuse = &refusal
	}
	f.Probability = cmp.Or(f.Probability, 1)
	i := &injected{Injected{ID: strconv.Itoa(t.last), Fault: f}, rand.New(rand.NewPCG(f.Seed, 0))}
	t.all = append(t.all, i)
	return i.Injected
}

// List returns the faults in the order in which they were added, including those that have reached their Count.
func (t *Faults) List() []Injected {
	t.mu.Lock()
	defer t.mu.Unlock()
	list := make([]Injected, len(t.all))
	for i, f := range t.all {
		list[i] = f.Injected
	}
	return list
}

// Remove ends a fault and reports whether it existed. Operations that it delays continue.
func (t *Faults) Remove(id string) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	before := len(t.all)
	t.all = slices.DeleteFunc(t.all, func(f *injected) bool { return f.ID == id })
	return len(t.all) < before
}

// Clear ends every fault.
func (t *Faults) Clear() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.all = nil
}

// apply applies the first fault that matches an operation.
func (t *Faults) apply(ctx context.Context, r hold.Request) error {
	f, met := t.choose(r)
	if !met {
		return nil
	}
	if f.Delay > 0 {
		timer := time.NewTimer(f.Delay)
		defer timer.Stop()
		select {
		case <-timer.C:
		case <-ctx.Done():
			return ErrDropped // the client has disconnected
		}
	}
	switch {
	case f.Drop:
		return ErrDropped
	case f.Refuse != nil:
		return f.Refuse
	}
	return nil
}

func (t *Faults) choose(r hold.Request) (Fault, bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, f := range t.all {
		if f.Count > 0 && f.Met >= f.Count || !f.Matches(r) {
			continue
		}
		f.Seen++
		if f.Seen < f.Nth || f.Probability < 1 && f.dice.Float64() >= f.Probability {
			continue
		}
		f.Met++
		return f.Fault, true
	}
	return Fault{}, false
}
