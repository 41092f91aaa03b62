package emulator

import (
	"context"
	"fmt"
	"regexp"
	"time"

	"evenkeel/emulator/internal/hold"
	"evenkeel/emulator/internal/requestlog"
)

// Request is a request that the emulator answered: what was asked for and how it was answered, never a body, a key or a token.
type Request struct {
	// Seq counts answers from 1.
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

// Requests returns the last requests (some thousands), in the order in which they were answered; empty arguments match all.
func (e *Emulator) Requests(surface, method string) []Request {
	records := e.log.Records(requestlog.Filter{Surface: requestlog.Surface(surface), Method: method})
	requests := make([]Request, len(records))
	for i, r := range records {
		requests[i] = Request{
			Seq: r.Seq, Surface: string(r.Surface), Method: r.Method, Host: r.Host, Path: r.Path, APIVersion: r.APIVersion,
			Status: r.Status, Start: r.Start, Duration: r.Duration,
		}
	}
	return requests
}

// Match chooses the request that a hold catches; empty members match every request.
type Match struct {
	// Surface is as in Request. MQTT operations cannot be held.
	Surface string
	Method  string
	// Path is matched against the path without its query.
	Path *regexp.Regexp
	// Mutating leaves out what only reads.
	Mutating bool
	// Nth is which of the matching requests since the hold was set is held; 0 means the first.
	Nth int
}

// Hold keeps one request waiting before it takes effect.
type Hold struct {
	h *hold.Hold
}

// Hold arms a hold for the next request that m chooses.
func (e *Emulator) Hold(m Match) *Hold {
	return &Hold{e.holds.Add(hold.Match{
		Surface: requestlog.Surface(m.Surface), Method: m.Method, Path: m.Path, Mutating: m.Mutating, Nth: m.Nth,
	})}
}

// Held waits until a request is held, or for the end of ctx.
func (h *Hold) Held(ctx context.Context) error {
	if err := h.h.Held(ctx); err != nil {
		return fmt.Errorf("wait for a request to hold: %w", err)
	}
	return nil
}

// Release lets the request go on; it is carried out even if its client has gone. A hold that caught none is disarmed.
func (h *Hold) Release() { h.h.Release() }

// Done waits until the released request has been carried out, or for the end of ctx.
func (h *Hold) Done(ctx context.Context) error {
	if err := h.h.Done(ctx); err != nil {
		return fmt.Errorf("wait for the held request: %w", err)
	}
	return nil
}

// Reset makes the emulated cloud empty: everything but ports, certificates and the client secret is forgotten, holds are released,
// faults end.
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
