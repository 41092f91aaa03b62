package state_test

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"evenkeel/emulator/internal/state"
	"evenkeel/internal/await"
)

func TestEnrollments(t *testing.T) {
	t.Parallel()
	w := newWorld(t, state.Options{}, 1)
	first := w.putEnrollment("Device.A", state.Settings{})
	if k := first.Attestation.SymmetricKey; len(k.Primary) != 88 || k.Primary == k.Secondary {
		t.Errorf("got keys of %d characters, want two keys of 64 bytes", len(k.Primary))
	}
	w.clock.Add(time.Minute)
	for etag, kind := range map[string]state.Kind{"wrong": state.Precondition, state.MustNotExist: state.Exists} {
		wantKind(t, second(w.PutEnrollment(w.scope, state.Enrollment{RegistrationID: "device.a"}, etag)), kind)
	}
	wantKind(t, second(w.PutEnrollment(w.scope, state.Enrollment{RegistrationID: "b"}, state.MustExist)),
		state.NotFound)
	wantKind(t, second(w.PutEnrollment("0neNONE", state.Enrollment{RegistrationID: "b"}, "")), state.ParentNotFound)
	next, made, err := w.PutEnrollment(w.scope, state.Enrollment{RegistrationID: "DEVICE.A", DeviceID: "d"}, first.ETag)
	must(t, err)
	if made || next.RegistrationID != "Device.A" || next.ETag == first.ETag || !next.Created.Equal(first.Created) ||
		!next.Updated.After(first.Updated) {
		t.Errorf("got %+v, made %v; want a new version under the first spelling", next, made)
	}
	if got, err := w.Enrollment(strings.ToLower(w.scope), "device.A"); err != nil || cmp.Diff(next, got) != "" {
		t.Errorf("got %+v, %v; want what the put answered", got, err)
	}
	// An individual enrollment may have the id of a group.
	w.putGroupEntry("device.a", state.Settings{})
	wantKind(t, w.DeleteEntry(state.Individuals, w.scope, "device.a", first.ETag), state.Precondition)
	must(t, w.DeleteEntry(state.Individuals, w.scope, "device.a", next.ETag))
	wantKind(t, w.DeleteEntry(state.Individuals, w.scope, "device.a", ""), state.NotFound)
	must(t, last(w.EnrollmentGroup(w.scope, "DEVICE.A")))
}

func TestDeletingAnEnrollmentDeletesOnlyItsRegistration(t *testing.T) {
	t.Parallel()
	w := newWorld(t, state.Options{}, 1)
	w.register(w.putEnrollment("individual", state.Settings{}))
	group := w.putGroupEntry("group", state.Settings{})
	must(t, last(w.Register(t.Context(), state.RegisterRequest{Scope: w.scope, RegistrationID: "member",
		Group: &group})))
	must(t, w.DeleteEntry(state.Individuals, w.scope, "individual", ""))
	must(t, w.DeleteEntry(state.Groups, w.scope, "group", ""))
	wantKind(t, last(w.Registration(w.scope, "individual")), state.NotFound)
	must(t, last(w.Registration(w.scope, "member")))
	w.wantDevice(hub1, "individual", true)
	w.wantDevice(hub1, "member", true)
}

func TestPagesAreInTheOrderOfLowerCaseIds(t *testing.T) {
	t.Parallel()
	w := newWorld(t, state.Options{}, 1)
	for _, name := range []string{"b", "C", "a", "B1", "a0", "D"} {
		w.putEnrollment(name, state.Settings{})
	}
	var got [][]string
	for after := "-"; after != ""; {
		if after == "-" {
			after = ""
		}
		page, next, err := w.Entries(state.Individuals, w.scope, after, 2)
		must(t, err)
		var names []string
		for _, e := range page {
			names = append(names, e.ID)
		}
		got, after = append(got, names), next
	}
	if diff := cmp.Diff([][]string{{"a", "a0"}, {"b", "B1"}, {"C", "D"}}, got); diff != "" {
		t.Errorf("pages (-want +got):\n%s", diff)
	}
	if all, next, err := w.Entries(state.Individuals, w.scope, "", 0); err != nil || len(all) != 6 || next != "" {
		t.Errorf("got %d, %q, %v; want all six at once", len(all), next, err)
	}
}

func TestDevices(t *testing.T) {
	t.Parallel()
	w := newWorld(t, state.Options{}, 2)
	first, err := w.PutDevice("HUB-1.azure-devices.net", state.Device{ID: "Dev"}, "", true)
	must(t, err)
	if first.Auth != state.AuthSAS || len(first.Key.Primary) != 88 || first.GenerationID == "" || first.ETag == "" {
		t.Errorf("got auth %s, generation %q, etag %q; want a complete SAS device", first.Auth, first.GenerationID,
			first.ETag)
	}
	wantKind(t, last(w.PutDevice(hub1, state.Device{ID: "Dev"}, "", true)), state.Exists)
	wantKind(t, last(w.PutDevice(hub1, state.Device{ID: "Dev"}, "wrong", false)), state.Precondition)
	wantKind(t, last(w.PutDevice("none", state.Device{ID: "Dev"}, "", true)), state.ParentNotFound)
	wantKind(t, last(w.Device(hub1, "dev")), state.NotFound)
	wantKind(t, last(w.Device(hub2, "Dev")), state.NotFound)
	w.clock.Add(time.Minute)
	next, err := w.PutDevice(hub1, state.Device{ID: "Dev", Disabled: true, StatusReason: "sold"}, first.ETag, false)
	must(t, err)
	want := first
	want.Disabled, want.StatusReason, want.StatusTime, want.ETag = true, "sold", w.clock.Now(), next.ETag
	if diff := cmp.Diff(want, next); diff != "" || next.ETag == first.ETag {
		t.Errorf("etag moved %v (-want +got):\n%s", next.ETag != first.ETag, diff)
	}

	refused := w.Connect(hub1, next, &connection{})
	if !errors.Is(refused, state.ErrDeviceChanged) {
		t.Errorf("a disabled device connects: got %v, want %v", refused, state.ErrDeviceChanged)
	}
	next, err = w.PutDevice(hub1, state.Device{ID: "Dev"}, next.ETag, false)
	must(t, err)
	c := w.connect(hub1, "Dev")
	w.clock.Add(time.Minute)
	if !w.RecordActivity(hub1, "Dev", c) {
		t.Error("got that the connection is not the device's, want it so")
	}
	d, err := w.Device(hub1, "Dev")
	must(t, err)
	if !d.Connected || !d.LastActivity.Equal(w.clock.Now()) ||
		!d.ConnectionTime.Equal(w.clock.Now().Add(-time.Minute)) {
		t.Errorf("got connected %v since %v, heard of %v; want it connected and just heard of", d.Connected,
			d.ConnectionTime, d.LastActivity)
	}
	if n, err := w.Statistics(hub1); err != nil || n != (state.Statistics{Total: 1, Enabled: 1, Connected: 1}) {
		t.Errorf("got %+v, %v; want one, enabled, connected", n, err)
	}
	wantKind(t, w.DeleteDevice(hub1, "Dev", first.ETag), state.Precondition)
	must(t, w.DeleteDevice(hub1, "Dev", next.ETag))
	again, err := w.PutDevice(hub1, state.Device{ID: "Dev"}, "", true)
	must(t, err)
	if again.Connected || again.GenerationID == first.GenerationID {
		t.Errorf("got connected %v, generation %s; want a new, disconnected device", again.Connected,
			again.GenerationID)
	}
}

// nested returns an object with that many levels of names.
func nested(names int) string {
	return strings.Repeat(`{"a":`, names) + "1" + strings.Repeat("}", names)
}

// tagsOf returns tags of that size in Azure's count: one value of each type, and control characters, which do not
// count.
func tagsOf(size int) []byte {
	const long = 4096
	rest := size - len("abcde") - long - 8 - 4 - len("\u00fc")
	return fmt.Appendf(nil, `{"a":%q,"b":[8,null],"c":{"d":true},"e":"\u0001\u00fc%s"}`, strings.Repeat("x", long),
		strings.Repeat("y", rest))
}

func TestTwinPatches(t *testing.T) {
	t.Parallel()
	const doc = `{"a":{"b":1,"c":[1,{"x":null}]},"n":1.50}`
	tests := []struct {
		name    string
		patch   state.TwinPatch
		desired string
		refused bool
	}{
		{name: "merged", patch: state.TwinPatch{Desired: []byte(`{"a":{"c":2},"d":"e"}`)},
			desired: `{"a":{"b":1,"c":2},"d":"e","n":1.50}`},
		{name: "null deletes", patch: state.TwinPatch{Desired: []byte(`{"a":{"b":null},"n":null,"none":null}`)},
			desired: `{"a":{"c":[1,{"x":null}]}}`},
		{name: "a value gives way to an object", patch: state.TwinPatch{Desired: []byte(`{"n":{"m":null,"o":1}}`)},
			desired: `{"a":{"b":1,"c":[1,{"x":null}]},"n":{"o":1}}`},
		{name: "replaced", patch: state.TwinPatch{Desired: []byte(`{"z":"<&>","y":[null]}`), Replace: true},
			desired: `{"y":[null],"z":"<&>"}`},
		{name: "replaced with a null", patch: state.TwinPatch{Desired: []byte(`{"z":1,"y":null}`), Replace: true},
			refused: true},
		{name: "replaced with a null deep in tags", patch: state.TwinPatch{Tags: []byte(`{"z":{"y":{"x":null}}}`),
			Replace: true}, refused: true},
		{name: "a name with a hash", patch: state.TwinPatch{Tags: []byte(`{"a#b":1}`)}, refused: true},
		{name: "a reported name with a hash", patch: state.TwinPatch{Reported: []byte(`{"a":{"b#":1}}`)},
			refused: true},
		{name: "a name with a C1 control", patch: state.TwinPatch{Tags: []byte("{\"a\u0085b\":1}")}, refused: true},
		{name: "what was read comes back", patch: state.TwinPatch{
			Desired: []byte(`{"z":1,"$version":7,"$metadata":{}}`), Replace: true}, desired: `{"z":1}`},
		{name: "tags alone", patch: state.TwinPatch{Tags: []byte(`{"t":1}`)}, desired: doc},
		{name: "no object", patch: state.TwinPatch{Desired: []byte(`[]`)}, refused: true},
		{name: "null", patch: state.TwinPatch{Desired: []byte(`null`)}, desired: `{}`},
		{name: "replaced with null", patch: state.TwinPatch{Desired: []byte(`null`), Replace: true}, refused: true},
		{name: "reported null", patch: state.TwinPatch{Reported: []byte(`null`)}, refused: true},
		{name: "no JSON", patch: state.TwinPatch{Reported: []byte(`{`)}, refused: true},
		{name: "two values", patch: state.TwinPatch{Tags: []byte(`{} {}`)}, refused: true},
		{name: "a brace too many", patch: state.TwinPatch{Tags: []byte(`{}}`)}, refused: true},
		{name: "a name with a dot", patch: state.TwinPatch{Desired: []byte(`{"a":{"b.c":1}}`)}, refused: true},
		{name: "a name with a dollar in a list", patch: state.TwinPatch{Desired: []byte(`{"a":[{"$b":1}]}`)},
			refused: true},
		{name: "as deep as may be", patch: state.TwinPatch{Desired: []byte(nested(11)), Replace: true},
			desired: nested(11)},
		{name: "too deep", patch: state.TwinPatch{Desired: []byte(nested(12))}, refused: true},
		{name: "a string too long", patch: state.TwinPatch{Tags: []byte(`{"a":"` + strings.Repeat("x", 4097) + `"}`)},
			refused: true},
		{name: "an integer too great", patch: state.TwinPatch{Tags: []byte(`{"a":4503599627370496}`)}, refused: true},
		{name: "tags as large as may be", patch: state.TwinPatch{Tags: tagsOf(8192)}, desired: doc},
		{name: "tags too large", patch: state.TwinPatch{Tags: tagsOf(8193)}, refused: true},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, state.Options{}, 1)
			must(t, last(w.PutDevice(hub1, state.Device{ID: "d"}, "", true)))
			before, err := w.PatchTwin(hub1, "d", state.TwinPatch{Desired: []byte(doc)}, "")
			must(t, err)
			got, err := w.PatchTwin(hub1, "d", test.patch, before.ETag)
			if test.refused {
				wantKind(t, err, state.Invalid)
				if kept, err := w.Twin(hub1, "d"); err != nil || cmp.Diff(before, kept) != "" {
					t.Errorf("got %+v, %v; want the twin unchanged", kept, err)
				}
				return
			}
			must(t, err)
			if string(got.Desired) != test.desired {
				t.Errorf("got desired %s, want %s", got.Desired, test.desired)
			}
			if kept, err := w.Twin(hub1, "d"); err != nil || cmp.Diff(got, kept) != "" {
				t.Errorf("kept, %v (-answered +kept):\n%s", err, cmp.Diff(got, kept))
			}
		})
	}
}

func TestTwinVersionsAndMetadata(t *testing.T) {
	t.Parallel()
	w := newWorld(t, state.Options{}, 1)
	must(t, last(w.PutDevice(hub1, state.Device{ID: "d"}, "", true)))
	born, err := w.Twin(hub1, "d")
	must(t, err)
	if born.Version != 2 || born.ETag != "AAAAAAAAAAE=" || born.DesiredVersion != 1 ||
		string(born.DesiredMeta) != `{"$lastUpdated":"2026-03-01T12:00:00Z"}` {
		t.Errorf("got %d %s %d %s, want a new twin's", born.Version, born.ETag, born.DesiredVersion, born.DesiredMeta)
	}
	w.clock.Add(time.Second)
	must(t, last(w.PatchTwin(hub1, "d", state.TwinPatch{Desired: []byte(`{"a":1,"b":{"c":2}}`)}, born.ETag)))
	w.clock.Add(time.Second)
	tw, err := w.PatchTwin(hub1, "d", state.TwinPatch{Desired: []byte(`{"b":{"d":3}}`)}, "*")
	must(t, err)
	const one, two = `"$lastUpdated":"2026-03-01T12:00:01Z","$lastUpdatedVersion":2`,
		`"$lastUpdated":"2026-03-01T12:00:02Z","$lastUpdatedVersion":3`
	want := `{` + two + `,"a":{` + one + `},"b":{` + two + `,"c":{` + one + `},"d":{` + two + `}}}`
	if string(tw.DesiredMeta) != want {
		t.Errorf("got metadata\n%s, want\n%s", tw.DesiredMeta, want)
	}
	etag := tw.ETag
	tw, err = w.PatchTwin(hub1, "d", state.TwinPatch{Reported: []byte(`{"r":1}`)}, "")
	must(t, err)
	if tw.ETag != etag || tw.Version != 5 || tw.DesiredVersion != 3 || tw.ReportedVersion != 2 ||
		bytes.Contains(tw.ReportedMeta, []byte("Version")) {
		t.Errorf("got %s %d %d %d %s, want only the reported version and the twin's raised", tw.ETag, tw.Version,
			tw.DesiredVersion, tw.ReportedVersion, tw.ReportedMeta)
	}
	wantKind(t, last(w.PatchTwin(hub1, "d", state.TwinPatch{Tags: []byte(`{}`)}, born.ETag)), state.Precondition)
	wantKind(t, last(w.PatchTwin(hub1, "none", state.TwinPatch{Tags: []byte(`{}`)}, "")), state.NotFound)
	must(t, w.DeleteDevice(hub1, "d", ""))
	must(t, last(w.PutDevice(hub1, state.Device{ID: "d"}, "", true)))
	if again, err := w.Twin(hub1, "d"); err != nil || again.Version != 2 {
		t.Errorf("got version %d, %v; want a new device to have a new twin", again.Version, err)
	}
}

func TestDesiredChangesAreDeliveredInOrder(t *testing.T) {
	t.Parallel()
	w := newWorld(t, state.Options{}, 1)
	const devices, changes = 4, 25
	for i := range devices {
		must(t, last(w.PutDevice(hub1, state.Device{ID: fmt.Sprint(i)}, "", true)))
	}
	heard := make(chan state.DesiredChange, devices*changes)
	stop := w.OnDesired(func(c state.DesiredChange) {
		// A listener may call the state.
		must(t, last(w.Twin(c.Hub, c.DeviceID)))
		heard <- c
	})
	var all sync.WaitGroup
	for i := range devices {
		all.Go(func() {
			for n := range changes {
				must(t, last(w.PatchTwin(hub1, fmt.Sprint(i), state.TwinPatch{Desired: fmt.Appendf(nil, `{"n":%d}`, n)},
					"")))
				must(t, last(w.PatchTwin(hub1, fmt.Sprint(i), state.TwinPatch{Reported: []byte(`{}`)}, "")))
			}
		})
	}
	await.Return(t, "the changes", all.Wait)
	next := make(map[string]int64)
	for range devices * changes {
		select {
		case c := <-heard:
			want := next[c.DeviceID] + 2
			if c.Version != want || string(c.Patch) != fmt.Sprintf(`{"n":%d}`, want-2) || c.Hub != hub1 {
				t.Fatalf("device %s: got version %d with %s, want %d", c.DeviceID, c.Version, c.Patch, want)
			}
			next[c.DeviceID]++
		case <-time.After(time.Minute):
			t.Fatalf("got %v, want %d changes of each device", next, changes)
		}
	}
	stop()
	must(t, last(w.PatchTwin(hub1, "0", state.TwinPatch{Desired: []byte(`{}`)}, "")))
	if len(heard) != 0 {
		t.Error("got a change after stop, want none")
	}
}
