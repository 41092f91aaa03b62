package emulator

import (
	"fmt"
	"time"

	"evenkeel/emulator/internal/hold"
	"evenkeel/emulator/internal/requestlog"
	"evenkeel/emulator/internal/traffic"
)

// Fault is what happens to the operations that Match chooses: a delay, then a refusal or a lost connection, or none of both. Unlike a
// hold, it meets MQTT operations too: method CONNECT with the device as path, SUBSCRIBE with the filter, PUBLISH with the topic.
type Fault struct {
	// Match.Nth is the first of the matching operations that is met.
	Match
	// Count is how many operations are met; 0 means all until the fault is removed.
	Count int
	// Probability is that of each operation to be met, 0 to 1; 0 means 1. Equal seeds choose alike.
	Probability float64
	Seed        uint64

	Delay time.Duration
	// Drop closes the connection without an answer.
	Drop bool
	// Status, 400 to 599, is answered in the words of the surface; 0 refuses nothing. Code is the number of DPS and IoT Hub, made of
	// the status when zero, Name the word of ARM and IoT Hub.
	Status, Code  int
	Name, Message string
	// RetryAfter is sent with the refusal when it is positive.
	RetryAfter time.Duration
}

// Inject injects a fault until remove is called, or Reset.
func (e *Emulator) Inject(f Fault) (remove func(), err error) {
	fault := traffic.Fault{
		Match: hold.Match{Surface: requestlog.Surface(f.Surface), Method: f.Method, Path: f.Path, Mutating: f.Mutating, Nth: f.Nth},
		Count: f.Count, Probability: f.Probability, Seed: f.Seed, Delay: f.Delay, Drop: f.Drop,
	}
	if f.Status != 0 {
		fault.Refuse = &traffic.Refusal{Status: f.Status, Code: f.Code, Name: f.Name, Message: f.Message, RetryAfter: f.RetryAfter}
	}
	if err := fault.Check(); err != nil {
		return nil, fmt.Errorf("emulator: %w", err)
	}
	id := e.gate.Faults.Add(fault).ID
	return func() { e.gate.Faults.Remove(id) }, nil
}

// SetAzureLimits turns Azure's documented limits of operations on or off, as Options.AzureLimits does; the counts begin anew.
func (e *Emulator) SetAzureLimits(on bool) { e.gate.Limits.Set(on) }
