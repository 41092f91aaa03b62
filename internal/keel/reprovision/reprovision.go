// Package reprovision asks devices to register with their provisioning service again, one after another at a rate, and
// follows which of them change their hub. A run that was interrupted can be continued.
//
// It does not know how devices are asked or where their registrations are read: callers pass both as functions.
package reprovision

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"
	"golang.org/x/time/rate"

	"evenkeel/internal/keel/assignment"
)

// Kind is how a device reacted to the request.
type Kind string

// The kinds of reactions.
const (
	// Answered: it will register again.
	Answered Kind = "answered"
	// Refused: it answered that it will not, or does not know the method.
	Refused Kind = "refused"
	// Offline: it is not connected to the hub.
	Offline Kind = "offline"
	// Silent: it is connected and did not answer in time.
	Silent Kind = "silent"
	// Unknown: the hub does not have it.
	Unknown Kind = "unknown"
	// Failed: it could not be asked.
	Failed Kind = "error"
)

// Answer is how a device reacted to the request, and why.
type Answer struct {
	Kind Kind `json:"kind"`
	// Reason is set for Refused and Failed.
	Reason string `json:"reason,omitempty"`
}

// The results of devices, beside the kinds of reactions for those that have not registered again.
const (
	// Moved: it registered again and is assigned to another hub.
	Moved = "moved"
	// Kept: it registered again and is assigned to the same hub.
	Kept = "kept"
	// NotAssigned: it registered again, and the registration failed.
	NotAssigned = "failed"
	// NotAsked: the run was interrupted before.
	NotAsked = "not asked"
)

// Result is what became of a device.
type Result struct {
	assignment.Device
	// Now is the host name of the hub that it is assigned to now.
	Now string
	// Result is Moved, Kept, NotAssigned or NotAsked, or a Kind for a device that has not registered again.
	Result string
	Reason string
}

// IsDone reports whether the device is assigned again.
func (r Result) IsDone() bool { return r.Result == Moved || r.Result == Kept }

// Grace is how long a run that does not wait gives the devices that answered.
const Grace = 30 * time.Second

// The pauses between two looks at the registrations.
const (
	firstPause   = time.Second
	longestPause = 30 * time.Second
)

// parallel is how many requests may be unanswered at a time.
const parallel = 256

// Run is a run over the devices of a journal.
type Run struct {
	Journal *Journal
	// Rate is how many devices are asked in a second.
	Rate rate.Limit
	// Ask asks a device. Look returns the current records of devices, by registration ids in lower case.
	Ask  func(ctx context.Context, d assignment.Device) Answer
	Look func(ctx context.Context, devices []assignment.Device) (map[string]assignment.Record, error)
	// Wait makes the run ask devices again that did not answer, until all have registered or Timeout is over, which
	// begins when each has been asked once.
	Wait    bool
	Timeout time.Duration
	// Progress is called after each device that is asked for the first time, one call at a time.
	Progress func()
	// Pause waits, and returns the error of a context that ends. Now is the clock. Nil is real time.
	Pause func(ctx context.Context, d time.Duration) error
	Now   func() time.Time

	results []Result
	until   time.Time
}

// Do runs until it is done, the time is over, or ctx ends. It returns the results, in the journal's order, which are
// complete unless there is an error.
func (r *Run) Do(ctx context.Context) ([]Result, error) {
	if r.Pause == nil {
		r.Pause = pause
	}
	if r.Now == nil {
		r.Now = time.Now
	}
	for _, d := range r.Journal.Devices {
		result := Result{Device: d, Now: d.Hub, Result: NotAsked}
		if a, asked := r.Journal.answer(d.ID); asked {
			result.Result, result.Reason = string(a.Kind), a.Reason
		}
		r.results = append(r.results, result)
	}
	if len(r.Journal.Asked) > 0 { // a device that got the last request before the interrupt may have registered since
		if err := r.look(ctx); err != nil {
			return r.results, err
		}
	}
	limiter := rate.NewLimiter(r.Rate, 1)
	isNew := func(result *Result) bool { return result.Result == NotAsked }
	if err := r.ask(ctx, limiter, isNew, r.Progress); err != nil {
		return r.results, err
	}
	r.until = r.Now().Add(Grace)
	if r.Wait {
		r.until = r.Now().Add(r.Timeout)
	}
	for wait := firstPause; ; wait = min(wait*3/2, longestPause) {
		if err := r.look(ctx); err != nil {
			return r.results, err
		}
		left := r.until.Sub(r.Now())
		if left <= 0 || !r.isWaiting() {
			return r.results, nil
		}
		if err := r.Pause(ctx, min(wait, left)); err != nil {
			return r.results, err
		}
		if r.Wait {
			if err := r.ask(ctx, limiter, r.isToAskAgain, nil); err != nil {
				return r.results, err
			}
		}
	}
}

// isWaiting reports whether the run has devices to wait for.
func (r *Run) isWaiting() bool {
	for _, result := range r.results {
		switch {
		case result.Result == string(Answered):
			return true
		case r.Wait && !result.IsDone() && result.Result != string(Refused):
			return true
		}
	}
	return false
}

// isToAskAgain selects the devices that did not get the request. One that answered is not asked again, nor one that has
// registered since.
func (r *Run) isToAskAgain(result *Result) bool {
	switch Kind(result.Result) {
	case Offline, Silent, Unknown, Failed:
		return r.Now().Before(r.until)
	}
	return false
}

// ask asks the selected devices, at the rate of the limiter.
func (r *Run) ask(ctx context.Context, limiter *rate.Limiter, which func(*Result) bool, progress func()) error {
	work, asking := errgroup.WithContext(ctx)
	work.SetLimit(parallel)
	var mu sync.Mutex // guards results
	for i := range r.results {
		result := &r.results[i]
		mu.Lock()
		wanted := which(result)
		mu.Unlock()
		if !wanted {
			continue
		}
		if err := limiter.Wait(asking); err != nil {
			break
		}
		work.Go(func() error {
			a := r.Ask(asking, result.Device)
			if ctx.Err() != nil { // the answer may be that of the interrupt
				return nil
			}
			if err := r.Journal.note(result.ID, a); err != nil {
				return err
			}
			mu.Lock()
			defer mu.Unlock()
			result.Result, result.Reason = string(a.Kind), a.Reason
			if progress != nil {
				progress()
			}
			return nil
		})
	}
	return errors.Join(work.Wait(), ctx.Err())
}

// look reads the records of the devices that have not registered again.
func (r *Run) look(ctx context.Context) error {
	var open []assignment.Device
	for _, result := range r.results {
		if !result.IsDone() {
			open = append(open, result.Device)
		}
	}
	if len(open) == 0 {
		return nil
	}
	records, err := r.Look(ctx, open)
	if err != nil {
		return fmt.Errorf("read registrations: %w", err)
	}
	for i := range r.results {
		result := &r.results[i]
		record, found := records[strings.ToLower(result.ID)]
		if result.IsDone() || !found || record.Version == result.Version {
			continue
		}
		switch {
		case record.Status == "assigned" && record.Hub == result.Hub:
			result.Result, result.Reason = Kept, ""
		case record.Status == "assigned":
			result.Result, result.Reason, result.Now = Moved, "", record.Hub
		case record.Error != "":
			result.Result, result.Reason = NotAssigned, record.Error
		}
	}
	return nil
}

func pause(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}
