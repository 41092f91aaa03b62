package state_test

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"
	"github.com/google/go-cmp/cmp"

	"evenkeel/emulator/internal/state"
)

// inhabited is a world with rows in every table.
func inhabited(t *testing.T, o state.Options) *world {
	t.Helper()
	w := newWorld(t, o, 2)
	hub := w.links[0].HubHost
	group := w.putGroupEntry("group/ä b", state.Settings{InitialTwin: []byte(`{ "tags": {"of": "group"} }`),
		Hubs: []string{}})
	w.register(w.putEnrollment("device-1", state.Settings{
		DeviceInformation: []byte(`{"b":1.50,"a":"<&>"}`), Reprovision: &state.Reprovision{MigrateDeviceData: true},
	}))
	must(t, last(w.Register(t.Context(), state.RegisterRequest{Scope: w.scope, RegistrationID: "Member", Group: &group,
		Keys: *group.Attestation.SymmetricKey})))
	must(t, last(w.PutDevice(hub, state.Device{ID: "own#1"}, state.Unconditional, true)))
	must(t, last(w.PatchTwin(hub, "own#1", state.TwinPatch{Desired: []byte(`{"n":4503599627370495,"s":"\u2028<"}`)},
		state.Unconditional)))
	for _, body := range []string{"hello", `{"$base64":"AA=="}`, "\xff\x00", "", `{"a": 1}`} {
		must(t, last(w.QueueCloudMessage(hub, "own#1", state.CloudMessage{
			Body: []byte(body), Properties: map[string]string{}, Expiry: w.clock.Now().Add(time.Hour),
		})))
	}
	w.connect(hub, "own#1")
	child := state.Child{Parent: hub, Kind: state.CertificateKind, Name: "CA.1"}
	must(t, child.SetCertificate(state.Certificate{DER: []byte{1, 2, 3}, Verified: true, Updated: w.clock.Now()}))
	must(t, second(w.PutChild(child, state.Unconditional)))
	must(t, w.PutAsync(state.Async{ID: "aWQ9b3M/x==", Due: w.clock.Now().Add(time.Minute)}))
	return w
}

func snapshot(t *testing.T, s *state.State) string {
	t.Helper()
	var b bytes.Buffer
	must(t, s.WriteSnapshot(&b))
	return b.String()
}

func TestASnapshotRestoresEveryRow(t *testing.T) {
	t.Parallel()
	w := inhabited(t, state.Options{})
	want, err := w.Rows()
	must(t, err)
	text := snapshot(t, w.State)
	if again := snapshot(t, w.State); again != text {
		t.Error("got two different snapshots of one state")
	}

	must(t, w.Reset())
	must(t, w.ReadSnapshot(strings.NewReader(text)))
	got, err := w.Rows()
	must(t, err)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("rows after the restore (-want +got):\n%s", diff)
	}
	if again := snapshot(t, w.State); again != text {
		t.Errorf("snapshot of what was restored (-want +got):\n%s", cmp.Diff(text, again))
	}
	d, err := w.Device(w.links[0].HubHost, "own#1")
	must(t, err)
	if d.Connected || d.LastActivity.IsZero() {
		t.Errorf("got connected %v and last activity %v, want a disconnected device with its activity", d.Connected,
			d.LastActivity)
	}
	if op := w.register(w.putEnrollment("later", state.Settings{})); op.Status != state.Assigned {
		t.Errorf("got %s of a registration after the restore, want assigned", op.Status)
	}
}

func TestASnapshotChangesLineByLine(t *testing.T) {
	t.Parallel()
	w := inhabited(t, state.Options{})
	before := strings.Split(snapshot(t, w.State), "\n")
	must(t, last(w.PatchTwin(w.links[0].HubHost, "own#1", state.TwinPatch{Tags: []byte(`{"floor":"3"}`)},
		state.Unconditional)))
	after := strings.Split(snapshot(t, w.State), "\n")
	changed := 0
	known := map[string]bool{}
	for _, line := range before {
		known[line] = true
	}
	for _, line := range after {
		if !known[line] {
			changed++
		}
	}
	// The changed lines are those of the tag, the brace before it, the etag and the version.
	if changed > 4 || len(after) != len(before)+2 {
		t.Errorf("got %d new lines of %d (%d before), want at most 4 and two lines more", changed, len(after),
			len(before))
	}
}

func TestInvalidSnapshotsChangeNothing(t *testing.T) {
	t.Parallel()
	w := inhabited(t, state.Options{})
	text := snapshot(t, w.State)
	key := w.links[0].Key
	for name, c := range map[string]struct{ from, to, want string }{
		"not JSON":         {text, "hello", "JSON document"},
		"cut short":        {text, text[:len(text)/2], "snapshot"},
		"more than one":    {text, text + "{}", "JSON document"},
		"no format":        {"\"format\": 1,", "", "no format"},
		"a later format":   {"\"format\": 1,", "\"format\": 2,", "format 2"},
		"an unknown table": {"\"twins\": {", "\"twinz\": {", "twinz"},
		"an unknown member": {"\"registrationId\": \"device-1\"", "\"registrationID\": \"device-1\"",
			"registrationID"},
		"a wrong type": {"\"idScope\": \"", "\"idScope\": 1, \"x\": \"", "idScope"},
		"a row out of place": {"\"hub-1.azure-devices.net\": {", "\"hub-9.azure-devices.net\": {",
			"does not match its row"},
		"a key too short": {"/own%231\": {", "\": {", "parts"},
	} {
		t.Run(name, func(t *testing.T) {
			bad := strings.Replace(text, c.from, c.to, 1)
			if bad == text {
				t.Fatalf("%s: the case does not change the snapshot", name)
			}
			err := w.ReadSnapshot(strings.NewReader(bad))
			var refusal *state.Error
			if !errors.As(err, &refusal) || refusal.Kind != state.Invalid || !strings.Contains(err.Error(), c.want) {
				t.Errorf("%s: got %v, want a refusal with %q", name, err, c.want)
			}
			if err != nil && strings.Contains(err.Error(), key) {
				t.Errorf("%s: the refusal holds a key", name)
			}
		})
	}
	if again := snapshot(t, w.State); again != text {
		t.Error("a refused snapshot changed the state")
	}
}

// TestRestoreIsAtomic cuts the power at every operation on the disk during a restore.
func TestRestoreIsAtomic(t *testing.T) {
	t.Parallel()
	disk := vfs.NewCrashableMem()
	chance := rand.New(rand.NewPCG(1, 2))
	var mu sync.Mutex
	var cuts []*vfs.MemFS
	restoring := false
	watch := errorfs.InjectorFunc(func(op errorfs.Op) error {
		mu.Lock()
		defer mu.Unlock()
		if restoring && len(cuts) < 200 {
			cuts = append(cuts, disk.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: chance.IntN(101), RNG: chance}))
		}
		return nil
	})
	w := inhabited(t, state.Options{Dir: "store", FS: errorfs.Wrap(disk, watch)})
	first := snapshot(t, w.State)
	must(t, w.Reset())
	w.links = nil
	w.build(1)
	second := snapshot(t, w.State)

	mu.Lock()
	restoring = true
	mu.Unlock()
	must(t, w.ReadSnapshot(strings.NewReader(first)))
	mu.Lock()
	restoring = false
	cuts = append(cuts, disk.CrashClone(vfs.CrashCloneCfg{}))
	mu.Unlock()
	if len(cuts) < 3 {
		t.Fatalf("got %d cuts, want some during the restore", len(cuts))
	}
	withoutActivity := func(text string) string {
		head, rest, found := strings.Cut(text, "  \"deviceActivity\": {")
		if _, tail, ok := strings.Cut(rest, "\n  },\n"); found && ok {
			return head + tail
		}
		return text
	}
	for i, cut := range cuts {
		after, err := state.Open(state.Options{Dir: "store", FS: cut, Now: w.clock.Now})
		must(t, err)
		got := snapshot(t, after)
		if got != second && got != withoutActivity(first) {
			t.Errorf("cut %d: got neither the state before nor the one restored (-restored +got):\n%s", i,
				cmp.Diff(withoutActivity(first), got))
		}
		if i == len(cuts)-1 && got == second {
			t.Error("a restore that was acknowledged is lost")
		}
		must(t, after.Close())
	}
}
