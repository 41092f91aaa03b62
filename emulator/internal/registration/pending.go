package registration

import (
	"context"
	"fmt"
	"runtime/debug"
	"strings"
	"sync"
	"time"

	"evenkeel/emulator/internal/state"
)

// How long a request waits for a webhook before the device is asked to poll. With a faster webhook, no additional
// poll is needed.
const (
	registerPatience = 250 * time.Millisecond
	pollPatience     = time.Second
)

// pending are the registrations that wait for their webhook, by operation id. They are only in memory: a restart
// discards them.
type pending struct {
	mu   sync.Mutex
	runs map[string]run
}

// run is a registration in progress.
type run struct {
	// device identifies the owner: scope and registration id in lower case.
	device string
	ended  chan struct{}
}

func runOf(c caller) run {
	return run{strings.ToLower(c.scope + "/" + c.id), make(chan struct{})}
}

func (p *pending) add(id string, r run) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.runs == nil {
		p.runs = map[string]run{}
	}
	p.runs[id] = r
}

// end removes a run. Its outcome is in the state by then.
func (p *pending) end(id string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	close(p.runs[id].ended)
	delete(p.runs, id)
}

// waits reports whether an operation of the caller still waits for its webhook, after giving it some time to finish.
func (p *pending) waits(c caller, id string) bool {
	p.mu.Lock()
	r, ok := p.runs[id]
	p.mu.Unlock()
	if !ok || r.device != runOf(c).device {
		return false
	}
	return !r.endsWithin(pollPatience)
}

func (r run) endsWithin(patience time.Duration) bool {
	timer := time.NewTimer(patience)
	defer timer.Stop()
	select {
	case <-r.ended:
		return true
	case <-timer.C:
		return false
	}
}

// begin carries out a registration that may call a webhook, and returns the id of its operation: with the outcome, or
// without it if the webhook is slow. Later errors are not reported: the operation is not found, and the device
// registers again.
func (a *API) begin(ctx context.Context, c caller, request state.RegisterRequest) (id string, err error) {
	if request.OperationID, err = a.st.NewOperationID(c.scope); err != nil {
		return "", err
	}
	r, failed := runOf(c), make(chan error, 1)
	a.pending.add(request.OperationID, r)
	go func() {
		defer a.pending.end(request.OperationID)
		defer func() { // as in a request, a panic ends only this registration
			if fault := recover(); fault != nil {
				a.opts.Log.Error("registration panicked", "device", r.device, "panic", fault, "stack",
					string(debug.Stack()))
				failed <- fmt.Errorf("register: panic: %v", fault)
			}
		}()
		_, err := a.st.Register(ctx, request)
		failed <- err
	}()
	if r.endsWithin(registerPatience) {
		err = <-failed
	}
	return request.OperationID, err
}
