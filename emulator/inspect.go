package emulator

import (
	"context"
	"fmt"
	"regexp"
	"time"

	"evenkeel/emulator/internal/hold"
	"evenkeel/emulator/internal/requestlog"
)

// Request is a request that the emulator answered, with its status. It never contains a body, a key or a token.
type Request struct {
	// Seq counts the answered requests from 1.
	Seq uint64
	// Surface is "arm", "entra", "dps-service", "dps-device", "hub", "mqtt-dps" or "mqtt-hub".
	Surface string
	Method  string
	Host    string
	// Path is the path with its query, or the MQTT topic.
	Path       string
	APIVersion string
	Status     int
	Start      time.Time
	Duration   time.Duration
}

// Requests returns the last few thousand requests in the order of their answers. Empty arguments match all.
func (e *Emulator) Requests(surface, method string) []Request {
	records := e.log.Records(requestlog.Filter{Surface: requestlog.Surface(surface), Method: method})
	requests := make([]Request, len(records))
	for i, r := range records {
		requests[i] = Request{
			Seq: r.Seq, Surface: string(r.Surface), Method: r.Method, Host: r.Host, Path: r.Path,
			APIVersion: r.APIVersion,
			Status:     r.Status, Start: r.Start, Duration: r.Duration,
		}
	}
	return requests
}

// Match selects the request that a hold catches. Empty fields match every request.
type Match struct {
	// Surface is as in Request. MQTT operations cannot be held.
	Surface string
	Method  string
	// Path is compared with the path without its query.
	Path *regexp.Regexp
	// Mutating excludes requests that only read.
	Mutating bool
	// Nth selects one of the matching requests since the hold was created. 0 means the first.
	Nth int
}

// Hold keeps one request waiting before it takes effect.
type Hold struct {
	h *hold.Hold
}

// Hold creates a hold for the next request that m selects.
func (e *Emulator) Hold(m Match) *Hold {
	return &Hold{e.holds.Add(hold.Match{
		Surface: requestlog.Surface(m.Surface), Method: m.Method, Path: m.Path, Mutating: m.Mutating, Nth: m.Nth,
	})}
}

// Held waits until a request is held or ctx is done.
func (h *Hold) Held(ctx context.Context) error {
	if err := h.h.Held(ctx); err != nil {
		return fmt.Errorf("wait for a request to hold: %w", err)
	}
	return nil
}

// Release lets the request continue. It is carried out even if its client has disconnected. A hold that has caught no
// request is removed.
func (h *Hold) Release() { h.h.Release() }

// Done waits until the released request has been carried out or ctx is done.
func (h *Hold) Done(ctx context.Context) error {
	if err := h.h.Done(ctx); err != nil {
		return fmt.Errorf("wait for the held request: %w", err)
	}
	return nil
}

// Reset deletes everything in the emulated cloud but keeps ports, certificates and the client secret. Holds are
// released and faults end.
func (e *Emulator) Reset() error {
	e.holds.Reset()
	e.gate.Faults.Clear()
	if err := e.state.Reset(); err != nil {
		return fmt.Errorf("emulator: reset: %w", err)
	}
	e.hubs.Reset()
	e.log.Reset()
	return nil
}
