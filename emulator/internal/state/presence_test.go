package state_test

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"evenkeel/emulator/internal/state"
	"evenkeel/internal/await"
)

// connection records how it was ended.
type connection struct {
	mu      sync.Mutex
	reasons []error
}

func (c *connection) End(reason error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.reasons = append(c.reasons, reason)
}

// ended returns the reason for which it was ended, or nil while it is open.
func (c *connection) ended(t testing.TB) error {
	t.Helper()
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.reasons) > 1 {
		t.Errorf("a connection was ended more than once: %v", c.reasons)
	}
	return errors.Join(c.reasons...)
}

// connect connects a device in its present version.
func (w *world) connect(hub, id string) *connection {
	w.t.Helper()
	d, err := w.Device(hub, id)
	must(w.t, err)
	c := &connection{}
	must(w.t, w.Connect(hub, d, c))
	return c
}

// TestRevokedDevicesAreDisconnectedAndLeaveNothing: whatever revokes a device or its credentials ends its connection,
// and what that connection does afterwards changes nothing.
func TestRevokedDevicesAreDisconnectedAndLeaveNothing(t *testing.T) {
	t.Parallel()
	put := func(change func(*state.Device)) func(*testing.T, *world) {
		return func(t *testing.T, w *world) {
			d, err := w.Device(hub1, "d")
			must(t, err)
			change(&d)
			must(t, last(w.PutDevice(hub1, d, state.Unconditional, false)))
		}
	}
	for name, tc := range map[string]struct {
		change func(*testing.T, *world)
		want   error
		// stays means that the device exists afterwards.
		stays bool
	}{
		"another status reason": {put(func(d *state.Device) { d.StatusReason = "moved" }), nil, true},
		"disabled":              {put(func(d *state.Device) { d.Disabled = true }), state.ErrDeviceChanged, true},
		"another primary key":   {put(func(d *state.Device) { d.Key.Primary = "AAAA" }), state.ErrDeviceChanged, true},
		"another second key": {put(func(d *state.Device) { d.Key.Secondary = "AAAA" }), state.ErrDeviceChanged,
			true},
		"thumbprints for keys": {put(func(d *state.Device) {
			d.Auth, d.Key = state.AuthSelfSigned, state.SymmetricKey{}
		}), state.ErrDeviceChanged, true},
		"deleted": {func(t *testing.T, w *world) { must(t, w.DeleteDevice(hub1, "d", "")) },
			state.ErrDeviceChanged, false},
		"its hub deleted": {func(t *testing.T, w *world) { must(t, last(w.DeleteHub(id("hub-1"), 0))) },
			state.ErrHubGone, false},
		"its hub deleted later": {func(t *testing.T, w *world) {
			must(t, last(w.DeleteHub(id("hub-1"), time.Minute)))
			w.clock.Add(time.Minute)
			must(t, last(w.Counts()))
		}, state.ErrHubGone, false},
		"its group deleted": {func(t *testing.T, w *world) { must(t, w.DeleteGroup(subscription, "Group", 0)) },
			state.ErrHubGone, false},
		"reset": {func(t *testing.T, w *world) { must(t, w.Reset()) }, state.ErrReset, false},
		"restored": {func(t *testing.T, w *world) {
			must(t, w.ReadSnapshot(strings.NewReader(snapshot(t, w.State))))
		}, state.ErrReset, true},
		"connected again": {func(_ *testing.T, w *world) { w.connect(hub1, "d") }, state.ErrTakenOver, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, state.Options{}, 2).withDevice()
			c, other := w.connect(hub1, "d"), &connection{}
			must(t, last(w.PutDevice(hub2, state.Device{ID: "d"}, "", true)))
			bystander, err := w.Device(hub2, "d")
			must(t, err)
			must(t, w.Connect(hub2, bystander, other))
			tc.change(t, w)
			if got := c.ended(t); !errors.Is(got, tc.want) {
				t.Fatalf("got the end %v, want %v", got, tc.want)
			}
			if got := other.ended(t); got != nil && tc.want == state.ErrDeviceChanged {
				t.Errorf("the device of another hub was ended too: %v", got)
			}
			before := snapshot(t, w.State)
			present := w.Connection(hub1, "d")
			w.clock.Add(time.Minute)
			if tc.want == nil {
				return
			}
			if w.RecordActivity(hub1, "d", c) || w.Disconnect(hub1, "d", c) {
				t.Error("the ended connection is still the device's")
			}
			if after := snapshot(t, w.State); after != before {
				t.Errorf("the ended connection left something:\n%s\nwant\n%s", after, before)
			}
			if got := w.Connection(hub1, "d"); got != present {
				t.Errorf("got the connection %v, want %v", got, present)
			}
			if !tc.stays && strings.Contains(before, hub1+"/d") {
				t.Errorf("a deleted device left its activity:\n%s", before)
			}
		})
	}
}

// TestRecreatedDeviceHasNoActivity: the session of the old device ends after the new device was created.
func TestRecreatedDeviceHasNoActivity(t *testing.T) {
	t.Parallel()
	w := newWorld(t, state.Options{}, 1).withDevice()
	old, err := w.Device(hub1, "d")
	must(t, err)
	c := w.connect(hub1, "d")
	must(t, w.DeleteDevice(hub1, "d", ""))
	w.clock.Add(time.Minute)
	w.withDevice()
	w.RecordActivity(hub1, "d", c)
	w.Disconnect(hub1, "d", c)
	d, err := w.Device(hub1, "d")
	must(t, err)
	if d.Connected || !d.LastActivity.IsZero() || !d.ConnectionTime.IsZero() {
		t.Errorf("got connected %t, heard of %v, since %v; want a device that never was",
			d.Connected, d.LastActivity, d.ConnectionTime)
	}
	// A client that authenticated as the old device cannot connect as the new one, although the credentials are the
	// same.
	if err := w.Connect(hub1, old, &connection{}); !errors.Is(err, state.ErrDeviceChanged) {
		t.Errorf("got %v for a device of an earlier generation, want %v", err, state.ErrDeviceChanged)
	}
}

func TestARegistrationEndsTheConnectionsThatItChanges(t *testing.T) {
	t.Parallel()
	w := newWorld(t, state.Options{}, 2)
	e := w.putEnrollment("d", only(hub1))
	w.register(e)
	c := w.connect(hub1, "d")
	w.register(e)
	w.register(w.putEnrollment("another", only(hub1)))
	if got := c.ended(t); got != nil {
		t.Fatalf("a registration with the same keys on the same hub ended the connection: %v", got)
	}
	e.Attestation.SymmetricKey.Primary = "AAAA"
	request := state.RegisterRequest{
		Scope: w.scope, RegistrationID: "d", Enrollment: &e, Keys: *e.Attestation.SymmetricKey,
	}
	must(t, last(w.Register(t.Context(), request)))
	if got := c.ended(t); !errors.Is(got, state.ErrDeviceChanged) {
		t.Fatalf("registered with other keys: got the end %v, want %v", got, state.ErrDeviceChanged)
	}
	c = w.connect(hub1, "d")
	e.Settings.Hubs = []string{hub2}
	e.Reprovision = &state.Reprovision{UpdateHubAssignment: true, MigrateDeviceData: true}
	must(t, last(w.Register(t.Context(), request)))
	if got := c.ended(t); !errors.Is(got, state.ErrDeviceChanged) || w.Connection(hub1, "d") != nil {
		t.Errorf("moved to another hub: got the end %v, want %v", got, state.ErrDeviceChanged)
	}
}

// TestDeviceOnAnUnreachableHubStaysConnected: the provisioning service cannot remove it there.
func TestDeviceOnAnUnreachableHubStaysConnected(t *testing.T) {
	t.Parallel()
	w := newWorld(t, state.Options{}, 2)
	e := w.putEnrollment("d", only(hub1))
	w.register(e)
	c := w.connect(hub1, "d")
	hub, err := w.HubByHost(hub1)
	must(t, err)
	for i := range hub.Policies {
		hub.Policies[i].PrimaryKey, hub.Policies[i].SecondaryKey = "AAAA", "BBBB"
	}
	must(t, second(w.PutHub(hub, state.Unconditional, 0)))
	e.Settings.Hubs = []string{hub2}
	e.Reprovision = &state.Reprovision{UpdateHubAssignment: true}
	must(t, last(w.Register(t.Context(), state.RegisterRequest{
		Scope: w.scope, RegistrationID: "d", Enrollment: &e, Keys: *e.Attestation.SymmetricKey,
	})))
	if got := c.ended(t); got != nil || w.Connection(hub1, "d") != state.Connection(c) {
		t.Errorf("got the end %v, want the device connected where it still is", got)
	}
}

// TestConnectIsRefusedAfterAChange: a device gets new keys repeatedly while it connects with the key that it read
// before. A connection that remains was made with the last key.
func TestConnectIsRefusedAfterAChange(t *testing.T) {
	t.Parallel()
	w := newWorld(t, state.Options{}, 1).withDevice()
	var connecting sync.WaitGroup
	connections := make([]*connection, 4)
	stop := make(chan struct{})
	for i := range connections {
		connecting.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				d, err := w.Device(hub1, "d")
				if err != nil {
					t.Error(err)
					return
				}
				c := &connection{}
				if w.Connect(hub1, d, c) == nil {
					connections[i] = c
				}
			}
		})
	}
	for i := range 300 {
		d, err := w.Device(hub1, "d")
		must(t, err)
		d.Key.Primary = fmt.Sprintf("%04d", i)
		must(t, last(w.PutDevice(hub1, d, state.Unconditional, false)))
	}
	close(stop)
	await.Return(t, "the connecting devices", connecting.Wait)
	d, err := w.Device(hub1, "d")
	must(t, err)
	d.Key.Primary = "last"
	must(t, last(w.PutDevice(hub1, d, state.Unconditional, false)))
	for i, c := range connections {
		if c != nil && c.ended(t) == nil {
			t.Errorf("connection %d is open with a key that was replaced", i)
		}
	}
	if got := w.Connection(hub1, "d"); got != nil {
		t.Errorf("got the connection %v, want none", got)
	}
}
