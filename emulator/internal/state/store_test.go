package state_test

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"

	"evenkeel/emulator/internal/state"
)

func TestEverythingIsThereAfterClosingAndOpening(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	clock := newClock()
	s, err := state.Open(state.Options{Dir: dir, Now: clock.Now})
	must(t, err)
	w := &world{State: s, t: t, clock: clock}
	w.build(2)
	e := w.putEnrollment("device", only(hub2))
	r := w.register(e)
	service, err := w.Service(id("dps"))
	must(t, err)
	w.connect(hub2, "device")
	before, err := w.Counts()
	must(t, err)
	must(t, s.Close())
	must(t, s.Close())
	if err := last(s.Counts()); !errors.Is(err, state.ErrClosed) {
		t.Errorf("after Close: got %v, want %v", err, state.ErrClosed)
	}

	again := open(t, state.Options{Dir: dir, Now: clock.Now})
	if after, err := again.Counts(); err != nil || after != before {
		t.Errorf("got %+v, %v; want %+v", after, err, before)
	}
	if got, err := again.Registration(w.scope, "device"); err != nil || got.ETag != r.ETag || got.AssignedHub != hub2 {
		t.Errorf("got %+v, %v; want the registration as it was", got, err)
	}
	if got, err := again.ServiceByScope(strings.ToLower(w.scope)); err != nil || got.ETag() != service.ETag() ||
		len(got.Links) != 2 {
		t.Errorf("got %+v, %v; want the service as it was", got, err)
	}
	if d, err := again.Device(hub2, "device"); err != nil || d.Connected {
		t.Errorf("got connected %v, %v; want disconnected", d.Connected, err)
	}
}

func TestAStoreInUseIsRefused(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	open(t, state.Options{Dir: dir})
	if s, err := state.Open(state.Options{Dir: dir}); !errors.Is(err, state.ErrInUse) ||
		!strings.Contains(err.Error(), dir) {
		t.Errorf("got %v, %v; want %v with the folder", s, err, state.ErrInUse)
	}
}

func TestAStoreOfANewerFormatIsRefusedUnchanged(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s, err := state.Open(state.Options{Dir: dir})
	must(t, err)
	must(t, s.Close())
	setRows(t, dir, map[string][]byte{"!format": {99}})
	if s, err := state.Open(state.Options{Dir: dir}); !errors.Is(err, state.ErrNewer) ||
		!strings.Contains(err.Error(), "99") {
		t.Errorf("got %v, %v; want %v with the format", s, err, state.ErrNewer)
	}
	setRows(t, dir, map[string][]byte{"!format": {4}})
	open(t, state.Options{Dir: dir})
}

func TestAStoreWhoseFormatCannotBeReadIsRefused(t *testing.T) {
	t.Parallel()
	for _, format := range [][]byte{{}, {0}, {0x80}} {
		t.Run(fmt.Sprintf("format %v", format), func(t *testing.T) {
			dir := t.TempDir()
			s, err := state.Open(state.Options{Dir: dir})
			must(t, err)
			must(t, s.Close())
			setRows(t, dir, map[string][]byte{"!format": format})
			if s, err := state.Open(state.Options{Dir: dir}); !errors.Is(err, state.ErrCorrupt) ||
				!strings.Contains(err.Error(), "format") {
				t.Errorf("format %v: got %v, %v; want %v", format, s, err, state.ErrCorrupt)
			}
		})
	}
}

// setRows writes to a closed store without the state, as another version would.
func setRows(t *testing.T, dir string, rows map[string][]byte) {
	t.Helper()
	must(t, os.Remove(filepath.Join(dir, "closed.json")))
	db, err := pebble.Open(dir, &pebble.Options{Logger: silent{}})
	must(t, err)
	for key, value := range rows {
		must(t, db.Set([]byte(key), value, pebble.Sync))
	}
	must(t, db.Close())
}

func TestAStoreOfAFormatBeforeTheFirstReleaseIsRefusedUnchanged(t *testing.T) {
	t.Parallel()
	for format := byte(1); format < 4; format++ {
		dir := t.TempDir()
		s, err := state.Open(state.Options{Dir: dir})
		must(t, err)
		must(t, s.Close())
		setRows(t, dir, map[string][]byte{"!format": {format}})
		s, err = state.Open(state.Options{Dir: dir})
		if !errors.Is(err, state.ErrOlder) || !strings.Contains(err.Error(), fmt.Sprintf("format is %d", format)) {
			t.Errorf("got %v, %v; want %v with the format", s, err, state.ErrOlder)
		}
		setRows(t, dir, map[string][]byte{"!format": {4}})
		open(t, state.Options{Dir: dir})
	}
}

// TestRecordedStoresAreRead opens the stores of older versions, and reads every row of them.
func TestRecordedStoresAreRead(t *testing.T) {
	t.Parallel()
	recorded, err := filepath.Glob("../../../acceptance/recorded/20*/emulator/store")
	must(t, err)
	if len(recorded) == 0 {
		t.Fatal("got no recorded store, want some")
	}
	for _, folder := range recorded {
		dir := filepath.Join(t.TempDir(), "store")
		must(t, os.CopyFS(dir, os.DirFS(folder)))
		s := open(t, state.Options{Dir: dir})
		n, err := s.Counts()
		must(t, err)
		if n.Hubs == 0 || n.Services == 0 || n.Enrollments == 0 || n.EnrollmentGroups == 0 || n.Registrations == 0 ||
			n.Devices == 0 {
			t.Errorf("%s: got %+v, want some of each", folder, n)
		}
		if err := s.WriteSnapshot(io.Discard); err != nil {
			t.Errorf("%s: write a snapshot of it: %v", folder, err)
		}
	}
}

type silent struct{}

func (silent) Infof(string, ...any)           {}
func (silent) Errorf(string, ...any)          {}
func (silent) Fatalf(format string, a ...any) { panic(fmt.Sprintf(format, a...)) }

// TestDamagedFilesAreReportedNotRepaired damages each important file of a store, in several places, each in its own
// copy.
func TestDamagedFilesAreReportedNotRepaired(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s, err := state.Open(state.Options{Dir: dir})
	must(t, err)
	w := &world{State: s, t: t, clock: newClock()}
	w.build(1)
	for i := range 2000 {
		w.putEnrollment(fmt.Sprint("device-", i), state.Settings{})
	}
	must(t, s.Close())
	damageEach(t, dir, ".log")
	// Opening again moves the rows in the log into a table.
	s, err = state.Open(state.Options{Dir: dir})
	must(t, err)
	must(t, s.Close())
	damageEach(t, dir, ".sst")
	damageEach(t, dir, "manifest")
}

func damageEach(t *testing.T, dir, kind string) {
	t.Helper()
	pattern := "*" + kind
	if kind == "manifest" {
		found, err := pebble.Peek(dir, vfs.Default)
		must(t, err)
		pattern = filepath.Base(found.ManifestFilename)
	}
	files, err := filepath.Glob(filepath.Join(dir, pattern))
	must(t, err)
	if len(files) == 0 {
		t.Fatalf("got no %s to damage, want one", kind)
	}
	for _, file := range files {
		whole, err := os.ReadFile(file)
		must(t, err)
		for _, part := range []int{0, 1, 2, 3} {
			t.Run(fmt.Sprintf("%s, part %d of 4", filepath.Base(file), part), func(t *testing.T) {
				at := len(whole)*part/4 + 7
				copied := filepath.Join(t.TempDir(), "store")
				must(t, os.CopyFS(copied, os.DirFS(dir)))
				bad := append([]byte(nil), whole...)
				for i := at; i < at+4; i++ {
					bad[i] ^= 0xff
				}
				must(t, os.WriteFile(filepath.Join(copied, filepath.Base(file)), bad, 0o600))
				s, err := state.Open(state.Options{Dir: copied})
				if err == nil {
					_, err = s.Counts()
					_ = s.Close()
				}
				if !errors.Is(err, state.ErrCorrupt) {
					t.Errorf("%s damaged at byte %d of %d: got %v, want %v", filepath.Base(file), at, len(whole), err,
						state.ErrCorrupt)
				}
			})
		}
	}
}

// TestAFullDiskRefusesAndKeepsWhatWasAcknowledged makes every write to the log fail from some point on.
func TestAFullDiskRefusesAndKeepsWhatWasAcknowledged(t *testing.T) {
	t.Parallel()
	var full atomic.Bool
	disk := vfs.NewCrashableMem()
	faults := errorfs.InjectorFunc(func(op errorfs.Op) error {
		if full.Load() && op.Kind.ReadOrWrite() == errorfs.OpIsWrite && strings.HasSuffix(op.Path, ".log") {
			return syscall.ENOSPC
		}
		return nil
	})
	s, err := state.Open(state.Options{Dir: "store", FS: errorfs.Wrap(disk, faults)})
	must(t, err)
	w := &world{State: s, t: t, clock: newClock()}
	w.build(1)
	w.putEnrollment("kept", state.Settings{})
	full.Store(true)
	for range 2 {
		err := second(w.PutEnrollment(w.scope, state.Enrollment{RegistrationID: "refused"}, ""))
		if err == nil || !strings.Contains(err.Error(), syscall.ENOSPC.Error()) {
			t.Fatalf("got %v, want an error that says %q", err, syscall.ENOSPC)
		}
		if !errors.Is(err, state.ErrUnwritable) || !errors.Is(s.Err(), state.ErrUnwritable) {
			t.Errorf("got %v and the state's %v, want %v", err, s.Err(), state.ErrUnwritable)
		}
	}
	must(t, s.Close())
	full.Store(false)
	after := open(t, state.Options{Dir: "store", FS: disk.CrashClone(vfs.CrashCloneCfg{})})
	if _, err := after.Enrollment(w.scope, "kept"); err != nil {
		t.Errorf("got %v, want the enrollment acknowledged before", err)
	}
}

func TestResetLeavesNothing(t *testing.T) {
	t.Parallel()
	w := newWorld(t, state.Options{}, 2)
	w.register(w.putEnrollment("device", only(hub1)))
	w.connect(hub1, "device")
	must(t, w.PutAsync(state.Async{ID: "op", Due: w.Now()}))
	must(t, w.Reset())
	if c, err := w.Counts(); err != nil || c != (state.Counts{}) {
		t.Errorf("got %+v, %v; want nothing", c, err)
	}
	wantKind(t, last(w.Async("op")), state.NotFound)
	w.links = nil
	w.build(1)
	if n, err := w.Statistics(hub1); err != nil || n != (state.Statistics{}) {
		t.Errorf("got %+v, %v; want an empty hub", n, err)
	}
}

func TestOldOperationRecordsAreDeletedWhenTheStoreIsOpened(t *testing.T) {
	t.Parallel()
	clock, disk := newClock(), vfs.NewMem()
	s, err := state.Open(state.Options{Dir: "store", FS: disk, Now: clock.Now})
	must(t, err)
	must(t, s.PutAsync(state.Async{ID: "old", Due: clock.Now()}))
	must(t, s.PutAsync(state.Async{ID: "new", Due: clock.Now().Add(2 * time.Hour), Code: "X", Message: "m"}))
	must(t, s.Close())
	clock.Add(25 * time.Hour)
	s = open(t, state.Options{Dir: "store", FS: disk, Now: clock.Now})
	wantKind(t, last(s.Async("old")), state.NotFound)
	if a, err := s.Async("new"); err != nil || a.Code != "X" || a.Message != "m" {
		t.Errorf("got %+v, %v; want the record", a, err)
	}
}

func TestOldOperationRecordsAreDeletedWhileNewOnesCome(t *testing.T) {
	t.Parallel()
	w := newWorld(t, state.Options{}, 0)
	must(t, w.PutAsync(state.Async{ID: "old", Due: w.clock.Now()}))
	w.clock.Add(23 * time.Hour)
	must(t, w.PutAsync(state.Async{ID: "young", Due: w.clock.Now()}))
	if _, err := w.Async("old"); err != nil {
		t.Errorf("within a day: got %v, want the record", err)
	}
	w.clock.Add(2 * time.Hour)
	must(t, w.PutAsync(state.Async{ID: "new", Due: w.clock.Now()}))
	wantKind(t, last(w.Async("old")), state.NotFound)
	for _, id := range []string{"young", "new"} {
		t.Run(id, func(t *testing.T) {
			if _, err := w.Async(id); err != nil {
				t.Errorf("%s: got %v, want the record", id, err)
			}
		})
	}
}
