// Package live runs devices for tests: each registers, connects to its hub and stays connected, and reacts to the
// direct method that asks it to register again.
package live

import (
	"context"
	"fmt"
	"sync"
	"time"

	"evenkeel/dpsdevice"
)

// Manner is how a device reacts to the request to register again.
type Manner string

// The manners.
const (
	// Obedient: it answers, and registers again.
	Obedient Manner = "obedient"
	// Refusing: it answers with status 409.
	Refusing Manner = "refusing"
	// Idle: it answers, and does not register again.
	Idle Manner = "idle"
	// Plain: it takes no direct methods.
	Plain Manner = "plain"
)

// patience bounds one registration or connection.
const patience = time.Minute

// retryPause is the time until a device whose registration or connection failed tries again.
const retryPause = 100 * time.Millisecond

// Device is a device to run.
type Device struct {
	dpsdevice.Options
	Manner Manner
}

// Fleet is a set of devices that run.
type Fleet struct {
	cancel context.CancelFunc
	done   sync.WaitGroup

	mu   sync.Mutex // guards runs
	runs map[string][]string
}

// Start starts devices and waits until each is connected to its hub.
func Start(ctx context.Context, devices []Device) (*Fleet, error) {
	running, cancel := context.WithCancel(context.WithoutCancel(ctx))
	f := &Fleet{cancel: cancel, runs: map[string][]string{}}
	ready := make(chan error, len(devices))
	for _, d := range devices {
		f.done.Go(func() { f.live(running, d, ready) })
	}
	for range devices {
		select {
		case err := <-ready:
			if err != nil {
				f.Stop()
				return nil, err
			}
		case <-ctx.Done():
			f.Stop()
			return nil, fmt.Errorf("wait for %d devices: %w", len(devices), ctx.Err())
		}
	}
	return f, nil
}

// Stop disconnects the devices.
func (f *Fleet) Stop() {
	f.cancel()
	f.done.Wait()
}

// Runs returns the runs for which a device was asked to register again, in order.
func (f *Fleet) Runs(id string) []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return append([]string(nil), f.runs[id]...)
}

// Asked returns how many requests to register again the devices have got.
func (f *Fleet) Asked() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	n := 0
	for _, runs := range f.runs {
		n += len(runs)
	}
	return n
}

// live registers and connects a device again and again until ctx ends. The first result goes to ready.
func (f *Fleet) live(ctx context.Context, d Device, ready chan<- error) {
	for first := true; ctx.Err() == nil; first = false {
		hub, again, err := f.connect(ctx, d)
		if first {
			ready <- err
		}
		if err != nil {
			select {
			case <-time.After(retryPause):
			case <-ctx.Done():
			}
			continue
		}
		select {
		case <-again:
		case <-hub.Lost():
		case <-ctx.Done():
		}
		hub.Close()
	}
}

// connect registers and connects a device. again is closed when it is to register again.
func (f *Fleet) connect(ctx context.Context, d Device) (hub *dpsdevice.Hub, again <-chan struct{}, err error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	registration, err := dpsdevice.Register(ctx, d.Options)
	if err != nil {
		return nil, nil, err
	}
	hub, err = dpsdevice.Connect(ctx, dpsdevice.HubOptions{
		Host: registration.Hub, DeviceID: registration.DeviceID, Credential: d.Credential, Network: d.Network,
	})
	if err != nil {
		return nil, nil, err
	}
	if d.Manner == Plain {
		return hub, nil, nil
	}
	asked := make(chan struct{})
	once := sync.OnceFunc(func() { close(asked) })
	err = hub.HandleMethods(ctx, func(call dpsdevice.Call) { f.react(d, call, once) })
	if err != nil {
		hub.Close()
		return nil, nil, err
	}
	return hub, asked, nil
}

// react reacts to a call of a method. It calls again once the hub has the answer.
func (f *Fleet) react(d Device, call dpsdevice.Call, again func()) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	request, err := call.ReprovisionRequest()
	if err != nil {
		_ = call.Answer(ctx, 404, map[string]string{"error": err.Error()}) // the caller sees a missing answer
		return
	}
	f.mu.Lock()
	f.runs[d.RegistrationID] = append(f.runs[d.RegistrationID], request.Run)
	f.mu.Unlock()
	if d.Manner == Refusing {
		_ = call.Answer(ctx, 409, map[string]string{"error": "busy"})
	} else if err := call.Answer(ctx, 202, nil); err == nil && d.Manner == Obedient {
		again()
	}
}
