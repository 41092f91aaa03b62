package state_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"evenkeel/emulator/internal/state"
)

const (
	hub1 = "hub-1.azure-devices.net"
	hub2 = "hub-2.azure-devices.net"
	hub3 = "hub-3.azure-devices.net"
)

func only(hosts ...string) state.Settings { return state.Settings{Hubs: hosts} }

func reprovision(update, migrate bool) *state.Reprovision {
	return &state.Reprovision{UpdateHubAssignment: update, MigrateDeviceData: migrate}
}

func (w *world) wantDevice(hub, id string, there bool) {
	w.t.Helper()
	if _, err := w.Device(hub, id); (err == nil) != there {
		w.t.Errorf("device %s on %s: got %v, want there to be %v", id, hub, err, there)
	}
}

func (w *world) desired(hub, id string) string {
	w.t.Helper()
	tw, err := w.Twin(hub, id)
	must(w.t, err)
	return string(tw.Desired)
}

func TestAFirstRegistrationCreatesTheHubDevice(t *testing.T) {
	t.Parallel()
	w := newWorld(t, state.Options{}, 2)
	e := w.putEnrollment("Device-1", state.Settings{
		Hubs: []string{hub2}, Edge: true, InitialTwin: []byte(
			`{"tags":{"floor":3},"properties":{"desired":{"a":{"b":1}}}}`),
	})
	r := w.register(e)
	want := state.Registration{
		RegistrationID: "Device-1", DeviceID: "Device-1", AssignedHub: hub2, Status: state.Assigned,
		Substatus: state.InitialAssignment,
		ETag:      r.ETag, Created: w.clock.Now(), Updated: w.clock.Now(),
	}
	if diff := cmp.Diff(want, r); diff != "" {
		t.Errorf("registration (-want +got):\n%s", diff)
	}
	got, err := w.Registration(w.scope, "DEVICE-1")
	must(t, err)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("kept registration (-want +got):\n%s", diff)
	}
	d, err := w.Device(hub2, "Device-1")
	must(t, err)
	if d.Key != *e.Attestation.SymmetricKey || !d.Edge || d.Auth != state.AuthSAS {
		t.Errorf("got device with edge %v, auth %s, equal keys %v; want an edge device with the enrollment's keys",
			d.Edge, d.Auth, d.Key == *e.Attestation.SymmetricKey)
	}
	tw, err := w.Twin(hub2, "Device-1")
	must(t, err)
	if string(tw.Tags) != `{"floor":3}` || string(tw.Desired) != `{"a":{"b":1}}` || tw.Version != 2 ||
		tw.DesiredVersion != 1 {
		t.Errorf("got twin %s %s versions %d, %d; want the initial one, 2, 1", tw.Tags, tw.Desired, tw.Version,
			tw.DesiredVersion)
	}
	w.wantDevice(hub1, "Device-1", false)
}

func TestAHashedRegistrationIsAssignedAsAllocateSays(t *testing.T) {
	t.Parallel()
	w := newWorld(t, state.Options{}, 3)
	weight := 5
	w.links[0].Weight = &weight
	w.putService(w.links, state.Hashed)
	group := w.putGroupEntry("group", state.Settings{})
	cs := hubs(5, 1, 1)
	for i := range 30 {
		name := fmt.Sprint("device-", i)
		op, err := w.Register(context.Background(), state.RegisterRequest{Scope: w.scope, RegistrationID: name,
			Group: &group})
		must(t, err)
		if want := allocate(t, state.Hashed, name, cs); op.AssignedHub != want {
			t.Errorf("%s: got %s, want %s", name, op.AssignedHub, want)
		}
	}
	rs, next, err := w.Registrations(w.scope, "GROUP", "", 7)
	must(t, err)
	seen := len(rs)
	for next != "" {
		rs, next, err = w.Registrations(w.scope, "group", next, 7)
		must(t, err)
		seen += len(rs)
	}
	if seen != 30 {
		t.Errorf("got %d registrations by page, want 30", seen)
	}
}

func TestAllocationOfRegistrations(t *testing.T) {
	t.Parallel()
	no := false
	tests := []struct {
		name     string
		policy   state.AllocationPolicy
		change   func(w *world)
		settings state.Settings
		hub      string
		code     int
		message  string
	}{
		{name: "static by list", settings: state.Settings{Allocation: state.Static, Hubs: []string{hub3}}, hub: hub3},
		{name: "static by the older field", settings: state.Settings{IotHubHost: "HUB-2.azure-devices.net"}, hub: hub2},
		{name: "static by default without a hub", policy: state.Static, code: 400208},
		{name: "static with two hubs", settings: state.Settings{Allocation: state.Static, Hubs: []string{hub1, hub2}},
			code: 400208},
		{name: "static by default with a hub", policy: state.Static, settings: only(hub1), hub: hub1},
		{name: "a list of one", settings: only(hub2), hub: hub2},
		{name: "a list with an unlinked hub", settings: only("gone.azure-devices.net", hub2), hub: hub2},
		{name: "a list of unlinked hubs only", settings: only("gone.azure-devices.net"), code: 400208},
		{name: "no hub linked", change: func(w *world) { w.putService([]state.Link{}, state.Hashed) }, code: 401001,
			message: "IoTHub not found."},
		{name: "hubs that take no part", change: func(w *world) {
			w.links[0].Apply, w.links[1].Apply = &no, &no
			w.putService(w.links, state.Hashed)
		}, hub: hub3},
		{name: "a hub that takes no part, named", settings: only(hub1), change: func(w *world) {
			w.links[0].Apply = &no
			w.putService(w.links, state.Hashed)
		}, hub: hub1},
		{name: "no hub takes part", change: func(w *world) {
			for i := range w.links {
				w.links[i].Apply = &no
			}
			w.putService(w.links, state.Hashed)
		}, code: 400208},
		{name: "a linked hub that was deleted", settings: only(hub2), change: func(w *world) {
			must(w.t, last(w.DeleteHub(id("hub-2"), 0)))
		}, code: 401001, message: "IoTHub not found."},
		{name: "a stale key", settings: only(hub2), change: func(w *world) {
			h := hubOf("hub-2")
			h.Policies[0].PrimaryKey, h.Policies[0].SecondaryKey = "bmV3LWtleS1uZXcta2V5LQ==",
				"bmV3LWtleS1uZXcta2V5Lg=="
			must(w.t, second(w.PutHub(h, "", 0)))
		}, code: 401002, message: "IotHubUnauthorizedAccess"},
		{name: "a policy without the rights", settings: only(hub2), change: func(w *world) {
			h := hubOf("hub-2")
			h.Policies[0].Rights = []string{"RegistryWrite"}
			must(w.t, second(w.PutHub(h, "", 0)))
		}, code: 401002, message: "IotHubUnauthorizedAccess"},
		{name: "custom without a webhook", settings: state.Settings{Allocation: state.Custom}, code: 400207},
		{name: "nearest", policy: state.GeoLatency, change: func(w *world) {
			must(w.t, last(w.DeleteHub(id("hub-3"), 0)))
			h := hubOf("hub-3")
			h.Location = "East US"
			h, _, err := w.PutHub(h, "", 0)
			must(w.t, err)
			w.links[2].Key = h.Policies[0].PrimaryKey
			w.putService(w.links, state.GeoLatency)
		}, hub: hub3},
		{name: "an invalid initial twin", settings: state.Settings{Hubs: []string{hub1}, InitialTwin: []byte(`[]`)},
			code: 400208},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, state.Options{Latencies: map[string]time.Duration{"eastus": 1, "West Europe": 2}}, 3)
			if test.policy != "" {
				w.putService(w.links, test.policy)
			}
			if test.change != nil {
				test.change(w)
			}
			r := w.register(w.putEnrollment("device", test.settings))
			if r.AssignedHub != test.hub || r.ErrorCode != test.code || (r.Status == state.Failed) != (test.code != 0) {
				t.Fatalf("got %s on %q with code %d (%s), want %q with code %d",
					r.Status, r.AssignedHub, r.ErrorCode, r.ErrorMessage, test.hub, test.code)
			}
			if !strings.Contains(r.ErrorMessage, test.message) {
				t.Errorf("got message %q, want one with %q", r.ErrorMessage, test.message)
			}
			if test.code != 0 {
				if c, err := w.Counts(); err != nil || c.Devices != 0 {
					t.Errorf("got %d devices, %v; want none after a failure", c.Devices, err)
				}
			}
			w.wantDevice(hub1, "device", r.AssignedHub == hub1)
		})
	}
}

// TestRegisteringAgain assigns a device to hub-1, writes desired "own" and reported properties, and then registers it
// with changed settings.
func TestRegisteringAgain(t *testing.T) {
	t.Parallel()
	twin := []byte(`{"properties":{"desired":{"initial":1}}}`)
	tests := []struct {
		name      string
		again     state.Settings
		version   string
		change    func(w *world)
		hub       string
		substatus string
		desired   string
		code      int
	}{
		{name: "same hub", again: only(hub1), hub: hub1, substatus: state.SameAssignment,
			desired: `{"initial":1,"own":1}`},
		{name: "same hub, reset", again: state.Settings{Hubs: []string{hub1}, Reprovision: reprovision(true, false)},
			hub:       hub1,
			substatus: state.SameAssignment, desired: `{"initial":1}`},
		{name: "other hub, by default", again: only(hub2), hub: hub2, substatus: state.DataMigrated,
			desired: `{"initial":1,"own":1}`},
		{name: "other hub, migrate", again: state.Settings{Hubs: []string{hub2}, Reprovision: reprovision(true, true)},
			hub:       hub2,
			substatus: state.DataMigrated, desired: `{"initial":1,"own":1}`},
		{name: "other hub, reset", again: state.Settings{Hubs: []string{hub2}, Reprovision: reprovision(true, false)},
			hub:       hub2,
			substatus: state.DataReset, desired: `{"initial":1}`},
		{name: "other hub, never", again: state.Settings{Hubs: []string{hub2}, Reprovision: reprovision(false, false)},
			hub:       hub1,
			substatus: state.SameAssignment, desired: `{"initial":1,"own":1}`},
		{name: "an old version without a policy", again: only(hub2), version: "2018-04-01", hub: hub1,
			substatus: state.SameAssignment, desired: `{"initial":1,"own":1}`},
		{name: "an old version with a policy", again: state.Settings{Hubs: []string{hub2},
			Reprovision: reprovision(true, true)},
			version: "2018-04-01", hub: hub2, substatus: state.DataMigrated, desired: `{"initial":1,"own":1}`},
		{name: "the hub device was deleted", again: only(hub1),
			change: func(w *world) { must(w.t, w.DeleteDevice(hub1, "device", "*")) },
			hub:    hub1, substatus: state.SameAssignment, desired: `{"initial":1}`},
		{name: "the old hub was deleted", again: only(hub2),
			change: func(w *world) { must(w.t, last(w.DeleteHub(id("hub-1"), 0))) },
			hub:    hub2, substatus: state.DataReset, desired: `{"initial":1}`},
		{name: "the new hub refuses", again: only(hub2),
			change: func(w *world) { must(w.t, last(w.DeleteHub(id("hub-2"), 0))) },
			code:   401001},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, state.Options{}, 2)
			first := only(hub1)
			first.InitialTwin, test.again.InitialTwin = twin, twin
			w.register(w.putEnrollment("device", first))
			_, err := w.PatchTwin(hub1, "device", state.TwinPatch{Desired: []byte(`{"own":1}`),
				Reported: []byte(`{"r":1}`)}, "")
			must(t, err)
			if test.change != nil {
				test.change(w)
			}
			created := w.clock.Now()
			w.clock.Add(time.Hour)
			e := w.putEnrollment("device", test.again)
			if test.version == "" {
				test.version = "2021-06-01"
			}
			op, err := w.Register(context.Background(), state.RegisterRequest{
				Scope: w.scope, RegistrationID: "device", APIVersion: test.version, Enrollment: &e,
				Keys: *e.Attestation.SymmetricKey,
			})
			must(t, err)
			if op.AssignedHub != test.hub || op.Substatus != test.substatus || op.ErrorCode != test.code {
				t.Fatalf("got %q, %q, code %d; want %q, %q, %d", op.AssignedHub, op.Substatus, op.ErrorCode, test.hub,
					test.substatus, test.code)
			}
			if !op.Created.Equal(created) || !op.Updated.Equal(w.clock.Now()) {
				t.Errorf("got created %v, updated %v; want %v, %v", op.Created, op.Updated, created, w.clock.Now())
			}
			if test.code != 0 {
				w.wantDevice(hub1, "device", true)
				return
			}
			if got := w.desired(test.hub, "device"); got != test.desired {
				t.Errorf("got desired %s, want %s", got, test.desired)
			}
			if d, err := w.Device(test.hub, "device"); err != nil || d.Key != *e.Attestation.SymmetricKey {
				t.Errorf("got %v and equal keys %v, want the device with the enrollment's present keys", err,
					d.Key == *e.Attestation.SymmetricKey)
			}
			if test.hub == hub2 {
				if _, err := w.Device(hub1, "device"); err == nil {
					t.Error("got the device still on the old hub, want it deleted")
				}
			}
		})
	}
}

func TestAFailureKeepsTheAssignment(t *testing.T) {
	t.Parallel()
	w := newWorld(t, state.Options{}, 2)
	e := w.putEnrollment("device", only(hub1))
	w.register(e)
	links := append([]state.Link(nil), w.links...)
	links[0].Key = "c3RhbGUtc3RhbGUtc3RhbGU="
	w.putService(links, state.Hashed)
	if r := w.register(e); r.Status != state.Failed || r.ErrorCode != 401002 {
		t.Fatalf("got %s %d, want failed 401002", r.Status, r.ErrorCode)
	}
	w.putService(w.links, state.Hashed)
	if r := w.register(e); r.Substatus != state.SameAssignment {
		t.Errorf("got %q after the key was corrected, want %q", r.Substatus, state.SameAssignment)
	}
}

// Live tests of azure-iot-cli-extension read the record of a device whose entry is disabled.
func TestADisabledEntryLeavesARecord(t *testing.T) {
	t.Parallel()
	w := newWorld(t, state.Options{}, 2)
	off := only(hub2)
	off.Disabled = true
	if r := w.register(w.putEnrollment("device", off)); r.Status != state.Disabled || r.AssignedHub != "" ||
		r.Substatus != "" {
		t.Fatalf("got %+v, want disabled and no hub", r)
	}
	if r, err := w.Registration(w.scope, "DEVICE"); err != nil || r.Status != state.Disabled || r.ETag == "" {
		t.Errorf("got %+v, %v; want the record", r, err)
	}
	w.wantDevice(hub2, "device", false)
	if r := w.register(w.putEnrollment("device", only(hub1))); r.Substatus != state.InitialAssignment {
		t.Errorf("got %+v of the enabled entry, want the initial assignment", r)
	}
	w.register(w.putEnrollment("device", off))
	w.wantDevice(hub1, "device", true)
	if r := w.register(w.putEnrollment("device", only(hub1))); r.Substatus != state.SameAssignment {
		t.Errorf("got %+v, want the assignment from before it was disabled", r)
	}
}

func TestAWebhookDecides(t *testing.T) {
	t.Parallel()
	custom := state.Settings{Allocation: state.Custom, Webhook: &state.Webhook{URL: "https://example.org"},
		Hubs: []string{hub1, hub2}}
	answer := func(a state.AllocationAnswer, err error) func(context.Context,
		state.AllocationInput) (state.AllocationAnswer, error) {
		return func(context.Context, state.AllocationInput) (state.AllocationAnswer, error) { return a, err }
	}
	w := newWorld(t, state.Options{}, 3)
	e := w.putEnrollment("device", custom)
	request := state.RegisterRequest{Scope: w.scope, RegistrationID: "device", Enrollment: &e,
		Payload: []byte(`{"p":1}`)}

	var asked state.AllocationInput
	request.Decide = func(_ context.Context, in state.AllocationInput) (state.AllocationAnswer, error) {
		asked = in
		// The webhook is not called under a lock, since it may use the same service.
		_, _, err := w.PutEnrollment(w.scope, state.Enrollment{RegistrationID: "device", Settings: custom}, "")
		return state.AllocationAnswer{HubHost: "HUB-2.azure-devices.net",
			InitialTwin: []byte(`{"properties":{"desired":{"w":1}}}`),
			Payload:     []byte(`{"back":1}`)}, err
	}
	op, err := w.Register(t.Context(), request)
	must(t, err)
	if op.AssignedHub != hub2 || string(op.Payload) != `{"back":1}` || w.desired(hub2, "device") != `{"w":1}` {
		t.Errorf("got %s, %s, %s; want the webhook's hub, payload and twin", op.AssignedHub, op.Payload,
			w.desired(hub2, "device"))
	}
	want := state.AllocationInput{RegistrationID: "device", LinkedHubs: []string{hub1, hub2},
		Payload: []byte(`{"p":1}`)}
	if diff := cmp.Diff(want, asked); diff != "" {
		t.Errorf("input (-want +got):\n%s", diff)
	}

	for name, bad := range map[string]struct {
		decide func(context.Context, state.AllocationInput) (state.AllocationAnswer, error)
		code   int
	}{
		"an error": {answer(state.AllocationAnswer{},
			errors.New("Custom allocation failed with status code: 500")), 400207},
		"a hub not offered":   {answer(state.AllocationAnswer{HubHost: hub3}, nil), 400207},
		"an answer of no use": {answer(state.AllocationAnswer{}, nil), 400208},
	} {
		t.Run(name, func(t *testing.T) {
			request.Decide = bad.decide
			op, err := w.Register(t.Context(), request)
			must(t, err)
			if op.Status != state.Failed || op.ErrorCode != bad.code {
				t.Errorf("%s: got %s %d, want failed %d", name, op.Status, op.ErrorCode, bad.code)
			}
		})
	}
}

func TestOperationsAreKeptForAWhile(t *testing.T) {
	t.Parallel()
	w := newWorld(t, state.Options{}, 1)
	group := w.putGroupEntry("group", state.Settings{})
	request := state.RegisterRequest{Scope: w.scope, RegistrationID: "device", Group: &group}
	var ids []string
	begin := func(count int) {
		for range count {
			op, err := w.Register(t.Context(), request)
			must(t, err)
			ids = append(ids, op.ID)
		}
	}
	known := func(when string, from int) {
		t.Helper()
		for i, name := range ids {
			_, err := w.RegistrationOperation(w.scope, name)
			if known := err == nil; known != (i >= from) {
				t.Errorf("%s: operation %d of %d: got known %v, want those from %d on known", when, i+1, len(ids),
					known, from+1)
			}
		}
	}
	begin(60)
	known("at once", 0)
	w.clock.Add(9 * time.Minute)
	begin(1)
	known("while devices poll", 0)
	w.clock.Add(2 * time.Minute)
	begin(1)
	known("later", 60-6)
	w.clock.Add(time.Hour)
	begin(1)
	known("an hour later", 63-8)
	begin(1100)
	known("a loop", 63+1100-1024)
	w.clock.Add(25 * time.Hour)
	op, err := w.Register(t.Context(), request)
	must(t, err)
	if c, err := w.Counts(); err != nil || c.Operations != 1 {
		t.Errorf("got %d operations a day later, %v; want 1", c.Operations, err)
	}
	must(t, w.DeleteRegistration(w.scope, "device", op.ETag))
	if c, err := w.Counts(); err != nil || c.Operations != 0 || c.Registrations != 0 || c.Devices != 1 {
		t.Errorf("got %+v, %v; want the device alone left", c, err)
	}
	if rs, _, err := w.Registrations(w.scope, "group", "", 0); err != nil || len(rs) != 0 {
		t.Errorf("got %v, %v; want no registration in the group", rs, err)
	}
}

func TestRegisterRefusals(t *testing.T) {
	t.Parallel()
	w := newWorld(t, state.Options{}, 1)
	e := w.putEnrollment("device", state.Settings{})
	wantKind(t, last(w.Register(t.Context(), state.RegisterRequest{Scope: "0neNONE", RegistrationID: "device",
		Enrollment: &e})), state.ParentNotFound)
	wantKind(t, last(w.Register(t.Context(), state.RegisterRequest{Scope: w.scope, RegistrationID: "device"})),
		state.Invalid)
	must(t, w.DeleteEntry(state.Individuals, w.scope, "device", ""))
	wantKind(t, last(w.Register(t.Context(), state.RegisterRequest{Scope: w.scope, RegistrationID: "device",
		Enrollment: &e})), state.NotFound)
}
