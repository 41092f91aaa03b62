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

// How long a request waits for a webhook before the device is asked to poll. A faster webhook costs no further poll.
const (
	registerPatience = 250 * time.Millisecond
	pollPatience     = time.Second
)

// pending are the registrations that wait for their webhook, by operation id. They live in memory: one that a restart interrupts never was.
type pending struct {
	mu   sync.Mutex
	runs map[string]run
}

// run is a registration on its way.
type run struct {
	// device is whose it is: scope and registration id in lower case.
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

// end forgets a run; its outcome is in the state by now.
func (p *pending) end(id string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	close(p.runs[id].ended)
	delete(p.runs, id)
}

// waits reports whether an operation of the caller still waits for its webhook, after it was given time to end.
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

// begin carries out a registration for which a webhook may be asked, and returns the id of its operation: with its outcome, or without when the
// webhook takes its time. A fault that comes to light after that is told to nobody: the operation is not found, and the device begins anew.
func (a *API) begin(ctx context.Context, c caller, request state.RegisterRequest) (id string, err error) {
	if request.OperationID, err = a.st.NewOperationID(c.scope); err != nil {
		return "", err
	}
	r, failed := runOf(c), make(chan error, 1)
	a.pending.add(request.OperationID, r)
	go func() {
		defer a.pending.end(request.OperationID)
		defer func() { // as in a request, a panic costs this registration alone
			if fault := recover(); fault != nil {
				a.opts.Log.Error("registration panicked", "device", r.device, "panic", fault, "stack", string(debug.Stack()))
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
