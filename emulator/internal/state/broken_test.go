package state_test

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"

	"evenkeel/emulator/internal/state"
)

// patience limits waits for what must end without help, even on a loaded machine.
const patience = time.Minute

// within fails the test if f does not return.
func within[T any](t *testing.T, what string, f func() T) T {
	t.Helper()
	done := make(chan T, 1)
	go func() { done <- f() }()
	select {
	case result := <-done:
		return result
	case <-time.After(patience):
		t.Fatalf("%s: got no end within %v", what, patience)
		panic("unreachable")
	}
}

// full refuses writes, beginning with the n-th of those that are selected.
type full struct {
	writes atomic.Int64
	from   int64
	chosen func(op errorfs.Op) bool
}

func (f *full) MaybeError(op errorfs.Op) error {
	if op.Kind.ReadOrWrite() != errorfs.OpIsWrite || op.Kind == errorfs.OpRemove || f.chosen != nil && !f.chosen(op) {
		return nil
	}
	if f.writes.Add(1) > f.from {
		return syscall.ENOSPC
	}
	return nil
}

func (f *full) String() string { return "full" }

// TestAStartOnAFullDiskEnds fills the disk at each write of a start.
func TestAStartOnAFullDiskEnds(t *testing.T) {
	t.Parallel()
	_, killed, rows := someStore(t)
	for name, store := range map[string]files{"new": {}, "with rows": killed} {
		t.Run(name, func(t *testing.T) {
			for from := int64(0); ; from++ {
				disk := store.disk(t)
				faults := &full{from: from}
				type result struct {
					s   *state.State
					err error
				}
				var logged journal
				r := within(t, fmt.Sprintf("start of a store, %s, full from write %d on", name, from), func() result {
					s, err := state.Open(state.Options{Dir: "store", FS: errorfs.Wrap(disk, faults),
						Logger: logged.logger()})
					return result{s, err}
				})
				if r.err == nil {
					must(t, within(t, "close", r.s.Close))
					if from < 5 {
						t.Errorf("%s: got a start with %d writes, want some to fail", name, from)
					}
					break
				}
				if !errors.Is(r.err, state.ErrUnwritable) || !strings.Contains(r.err.Error(), "free disk space") {
					t.Errorf("%s, full from write %d on: got %v, want %v", name, from, r.err, state.ErrUnwritable)
				}
				after := filesOf(t, disk)
				if name == "new" {
					continue
				}
				if err := outcome(t, after, rows); err != nil {
					t.Errorf("full from write %d on, then with room: %v", from, err)
				}
			}
		})
	}
}

// TestADiskThatRefusesTablesStopsChangesNotReads: every write succeeds except those of tables, which the database would
// retry without end.
func TestADiskThatRefusesTablesStopsChangesNotReads(t *testing.T) {
	t.Parallel()
	disk := vfs.NewCrashableMem()
	var on atomic.Bool
	faults := &full{chosen: func(op errorfs.Op) bool { return on.Load() && strings.HasSuffix(op.Path, ".sst") }}
	var logged journal
	s, err := state.Open(state.Options{Dir: "store", FS: errorfs.Wrap(disk, faults), Logger: logged.logger()})
	must(t, err)
	w := &world{State: s, t: t, clock: newClock()}
	w.build(1)
	on.Store(true)
	twin := []byte(`{"tags":{"n":"` + strings.Repeat("x", 8000) + `"}}`)
	var mu sync.Mutex
	kept := map[string]bool{}
	within(t, "writers on a disk that refuses tables", func() error {
		var writers sync.WaitGroup
		for writer := range 8 {
			writers.Go(func() {
				for i := 0; ; i++ {
					name := fmt.Sprintf("device-%d-%d", writer, i)
					_, _, err := s.PutEnrollment(w.scope,
						state.Enrollment{RegistrationID: name, Settings: state.Settings{InitialTwin: twin}}, "")
					if err != nil {
						if !errors.Is(err, state.ErrUnwritable) {
							t.Errorf("got %v, want %v", err, state.ErrUnwritable)
						}
						return
					}
					mu.Lock()
					kept[name] = true
					mu.Unlock()
				}
			})
		}
		writers.Wait()
		return nil
	})
	if !errors.Is(s.Err(), state.ErrUnwritable) || strings.Count(logged.String(), "level=ERROR") != 1 {
		t.Errorf("got %v and the log %q, want %v, logged once", s.Err(), logged.String(), state.ErrUnwritable)
	}
	if n := within(t, "reads", func() int { c, _ := s.Counts(); return c.Enrollments }); n < len(kept) {
		t.Errorf("got %d enrollments to read, want at least %d", n, len(kept))
	}
	must(t, within(t, "close", s.Close))
	after := open(t, state.Options{Dir: "store", FS: disk.CrashClone(vfs.CrashCloneCfg{})})
	for name := range kept {
		if _, err := after.Enrollment(w.scope, name); err != nil {
			t.Fatalf("%s: got %v after a restart, want what was acknowledged", name, err)
		}
	}
}

// TestADiskThatRefusesAnythingStopsChanges fills the disk at some write while callers write.
func TestADiskThatRefusesAnythingStopsChanges(t *testing.T) {
	t.Parallel()
	for _, from := range []int64{1, 2, 5, 20, 50, 100, 300} {
		t.Run(fmt.Sprintf("from write %d on", from), func(t *testing.T) {
			disk := vfs.NewCrashableMem()
			var on atomic.Bool
			faults := &full{from: from, chosen: func(errorfs.Op) bool { return on.Load() }}
			s, err := state.Open(state.Options{Dir: "store", FS: errorfs.Wrap(disk, faults)})
			must(t, err)
			w := &world{State: s, t: t, clock: newClock()}
			w.build(1)
			on.Store(true)
			twin := []byte(`{"tags":{"n":"` + strings.Repeat("x", 8000) + `"}}`)
			kept := within(t, "writes on a disk that fills", func() (kept []string) {
				for i := 0; ; i++ {
					name := fmt.Sprint("device-", i)
					if _, _, err := s.PutEnrollment(w.scope, state.Enrollment{RegistrationID: name,
						Settings: state.Settings{InitialTwin: twin}}, ""); err != nil {
						return kept
					}
					kept = append(kept, name)
				}
			})
			if !errors.Is(s.Err(), state.ErrUnwritable) {
				t.Errorf("full from write %d on: got %v, want %v", from, s.Err(), state.ErrUnwritable)
			}
			must(t, within(t, "close", s.Close))
			after := open(t, state.Options{Dir: "store", FS: disk.CrashClone(vfs.CrashCloneCfg{})})
			for _, name := range kept {
				if _, err := after.Enrollment(w.scope, name); err != nil {
					t.Fatalf("full from write %d on: %s: got %v after a restart, want what was acknowledged", from,
						name, err)
				}
			}
		})
	}
}

// TestAStopOnAFullDiskIsCleanWithoutItsRecord has no space for the record of the stop.
func TestAStopOnAFullDiskIsCleanWithoutItsRecord(t *testing.T) {
	t.Parallel()
	disk := vfs.NewMem()
	var on atomic.Bool
	faults := &full{chosen: func(op errorfs.Op) bool { return on.Load() && strings.Contains(op.Path, "closed.json") }}
	var logged journal
	s, err := state.Open(state.Options{Dir: "store", FS: errorfs.Wrap(disk, faults), Logger: logged.logger()})
	must(t, err)
	must(t, s.PutAsync(state.Async{ID: "op", Due: s.Now()}))
	on.Store(true)
	must(t, s.Close())
	if text := logged.String(); !strings.Contains(text, "level=WARN") || strings.Contains(text, "level=ERROR") {
		t.Errorf("got the log %q, want a warning and no error", text)
	}
	for name := range filesOf(t, disk) {
		if strings.HasPrefix(name, "closed.json") {
			t.Errorf("got the file %s, want neither a note nor a part of one", name)
		}
	}
	s = open(t, state.Options{Dir: "store", FS: disk})
	if _, err := s.Async("op"); err != nil {
		t.Errorf("got %v, want the operation", err)
	}
}

// TestRemovedFilesStopChanges removes or replaces files of a running store. Without its log, no further change is
// acknowledged.
func TestRemovedFilesStopChanges(t *testing.T) {
	t.Parallel()
	remove := func(patterns ...string) func(dir string) error {
		return func(dir string) error {
			for _, pattern := range patterns {
				found, err := filepath.Glob(filepath.Join(dir, pattern))
				if err != nil || len(found) == 0 {
					return fmt.Errorf("remove %s: found %q, %v", pattern, found, err)
				}
				for _, file := range found {
					if err := os.Remove(file); err != nil {
						return err
					}
				}
			}
			return nil
		}
	}
	for name, c := range map[string]struct {
		harm func(dir string) error
		// atOnce means that the next change is refused, without the periodic check.
		atOnce bool
	}{
		"the log":                {remove("*.log"), true},
		"all files":              {remove("*"), true},
		"the folder":             {os.RemoveAll, true},
		"the folder, moved":      {func(dir string) error { return os.Rename(dir, dir+".old") }, true},
		"the folder above":       {func(dir string) error { return os.RemoveAll(filepath.Dir(dir)) }, true},
		"the log, replaced":      {replaceLog, true},
		"the tables":             {remove("*.sst"), false},
		"the manifest":           {remove("MANIFEST-*"), false},
		"the manifest's marker":  {remove("marker.manifest.*"), false},
		"the marker of a format": {remove("marker.format-version.*"), false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := filepath.Join(t.TempDir(), "data", "store")
			first, err := state.Open(state.Options{Dir: dir})
			must(t, err)
			must(t, first.PutAsync(state.Async{ID: "first", Due: first.Now()}))
			must(t, first.Close())
			var logged journal
			s, err := state.Open(state.Options{Dir: dir, Logger: logged.logger()})
			must(t, err)
			must(t, s.PutAsync(state.Async{ID: "op", Due: s.Now()}))
			must(t, s.Look())
			must(t, c.harm(dir))
			if !c.atOnce {
				if err := s.Look(); !errors.Is(err, state.ErrRemoved) {
					t.Errorf("look: got %v, want %v", err, state.ErrRemoved)
				}
				within(t, "the state's own look", func() error { return awaitErr(s) })
			}
			if err := s.PutAsync(state.Async{ID: "late", Due: s.Now()}); !errors.Is(err, state.ErrRemoved) {
				t.Errorf("a change afterwards: got %v, want %v", err, state.ErrRemoved)
			}
			must(t, within(t, "close", s.Close))
			if !errors.Is(s.Err(), state.ErrRemoved) || strings.Count(logged.String(), "level=ERROR") != 1 {
				t.Errorf("got %v and the log %q, want %v, logged once", s.Err(), logged.String(), state.ErrRemoved)
			}
			if _, err := os.Stat(filepath.Join(dir, "closed.json")); err == nil {
				t.Error("the stop is noted as a clean one")
			}
		})
	}
}

// replaceLog replaces each log by a copy, as a backup program does.
func replaceLog(dir string) error {
	found, err := filepath.Glob(filepath.Join(dir, "*.log"))
	for _, file := range found {
		data, readErr := os.ReadFile(file)
		err = errors.Join(err, readErr, os.WriteFile(file+".copy", data, 0o600), os.Rename(file+".copy", file))
	}
	return err
}

// awaitErr returns when the state accepts no more changes.
func awaitErr(s *state.State) error {
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for range tick.C {
		if err := s.Err(); err != nil {
			return err
		}
	}
	return nil
}

// TestFilesThatTheDatabaseReplacesAreNotReportedAsRemoved checks the files while the database replaces its own ones.
func TestFilesThatTheDatabaseReplacesAreNotReportedAsRemoved(t *testing.T) {
	t.Parallel()
	w := newWorld(t, state.Options{Dir: filepath.Join(t.TempDir(), "store")}, 1)
	twin := []byte(`{"tags":{"n":"` + strings.Repeat("x", 8000) + `"}}`)
	for i := range 600 {
		w.putEnrollment(fmt.Sprint("device-", i), state.Settings{InitialTwin: twin})
		if err := w.Look(); err != nil {
			t.Fatalf("after %d: got %v, want everything there", i, err)
		}
	}
}

// TestADamagedTableThatIsReadStopsChanges damages a table of a store after a clean stop in many places, some of which
// only a read finds.
func TestADamagedTableThatIsReadStopsChanges(t *testing.T) {
	t.Parallel()
	disk := vfs.NewMem()
	w := newWorld(t, state.Options{Dir: "store", FS: disk}, 1)
	twin := []byte(`{"tags":{"n":"` + strings.Repeat("x", 8000) + `"}}`)
	for i := range 300 {
		w.putEnrollment(fmt.Sprint("device-", i), state.Settings{InitialTwin: twin})
	}
	rows, err := w.Rows()
	must(t, err)
	must(t, w.Close())
	// moves what the logs hold into tables
	s, err := state.Open(state.Options{Dir: "store", FS: disk, Now: w.clock.Now})
	must(t, err)
	must(t, s.Close())
	whole, found := filesOf(t, disk), 0
	for name, data := range whole {
		if !strings.HasSuffix(name, ".sst") {
			continue
		}
		for part := range 20 {
			bad := append([]byte(nil), data...)
			bad[len(bad)*part/20+50] ^= 1
			var logged journal
			s, err := state.Open(state.Options{Dir: "store", FS: whole.with(name, bad).disk(t),
				Logger: logged.logger()})
			if err != nil {
				continue // found when the store was opened
			}
			got, err := s.Rows()
			if err == nil && maps.Equal(got, rows) {
				must(t, s.Close())
				continue
			}
			found++
			if !errors.Is(err, state.ErrCorrupt) || !errors.Is(s.Err(), state.ErrCorrupt) ||
				!strings.Contains(logged.String(), "the store is damaged") {
				t.Errorf("%s: got %v, the state's %v and the log %q; want %v in each", name, err, s.Err(),
					logged.String(), state.ErrCorrupt)
			}
			if err := s.PutAsync(state.Async{ID: "late", Due: s.Now()}); !errors.Is(err, state.ErrCorrupt) {
				t.Errorf("%s: a change afterwards: got %v, want %v", name, err, state.ErrCorrupt)
			}
			must(t, within(t, "close", s.Close))
		}
	}
	if found == 0 {
		t.Error("got no damage that was found by reading, want some")
	}
}
