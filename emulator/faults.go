package emulator

import (
	"fmt"
	"time"

	"evenkeel/emulator/internal/hold"
	"evenkeel/emulator/internal/requestlog"
	"evenkeel/emulator/internal/traffic"
)

// Fault describes what happens to the operations that Match selects: a delay, then a refusal or a closed connection,
// or neither. Unlike holds, faults apply to MQTT operations too: method CONNECT with the device as path, SUBSCRIBE
// with the filter, PUBLISH with the topic.
type Fault struct {
	// Match.Nth is the first matching operation that is affected.
	Match
	// Count is how many operations are affected. 0 means all, until the fault is removed.
	Count int
	// Probability is the chance of each operation to be affected, from 0 to 1. 0 means 1. The same seed selects the
	// same operations.
	Probability float64
	Seed        uint64

	Delay time.Duration
	// Drop closes the connection without a reply.
	Drop bool
	// Status, 400 to 599, is returned in the surface's error format. 0 refuses nothing. Code is the error number of
	// DPS and IoT Hub, derived from the status if zero. Name is the error code of ARM and IoT Hub.
	Status, Code  int
	Name, Message string
	// RetryAfter is sent with the refusal if it is positive.
	RetryAfter time.Duration
}

// Inject injects a fault until remove or Reset is called.
func (e *Emulator) Inject(f Fault) (remove func(), err error) {
	fault := traffic.Fault{
		Match: hold.Match{Surface: requestlog.Surface(f.Surface), Method: f.Method, Path: f.Path, Mutating: f.Mutating,
			Nth: f.Nth},
		Count: f.Count, Probability: f.Probability, Seed: f.Seed, Delay: f.Delay, Drop: f.Drop,
	}
	if f.Status != 0 {
		fault.Refuse = &traffic.Refusal{Status: f.Status, Code: f.Code, Name: f.Name, Message: f.Message,
			RetryAfter: f.RetryAfter}
	}
	if err := fault.Check(); err != nil {
		return nil, fmt.Errorf("emulator: %w", err)
	}
	id := e.gate.Faults.Add(fault).ID
	return func() { e.gate.Faults.Remove(id) }, nil
}

// SetRequireRoles turns the check of roles on or off, as Options.RequireRoles does.
func (e *Emulator) SetRequireRoles(on bool) { e.state.RequireRoles(on) }

// SetAzureLimits turns Azure's documented rate limits on or off, as Options.AzureLimits does. The counts start from
// zero.
func (e *Emulator) SetAzureLimits(on bool) { e.gate.Limits.Set(on) }
