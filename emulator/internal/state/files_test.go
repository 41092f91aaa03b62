package state_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"

	"evenkeel/emulator/internal/state"
)

// journal is a log that a test reads while others write to it.
type journal struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (j *journal) Write(p []byte) (int, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.text.Write(p)
}

func (j *journal) String() string {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.text.String()
}

func (j *journal) logger() *slog.Logger { return slog.New(slog.NewTextHandler(j, nil)) }

// files are the files of a store by name.
type files map[string][]byte

// filesOf reads the files of a store. Files that an open store removes meanwhile are omitted.
func filesOf(t *testing.T, disk vfs.FS) files {
	t.Helper()
	for {
		names, err := disk.List("store")
		must(t, err)
		all, err := readFiles(disk, names)
		if errors.Is(err, fs.ErrNotExist) { // removed after it was listed
			continue
		}
		must(t, err)
		return all
	}
}

func readFiles(disk vfs.FS, names []string) (files, error) {
	all := files{}
	for _, name := range names {
		f, err := disk.Open(disk.PathJoin("store", name))
		if err != nil {
			return nil, err
		}
		all[name], err = io.ReadAll(f)
		if err := errors.Join(err, f.Close()); err != nil {
			return nil, err
		}
	}
	return all, nil
}

// disk is a new file system with these files.
func (f files) disk(t *testing.T) *vfs.MemFS {
	t.Helper()
	disk := vfs.NewMem()
	must(t, disk.MkdirAll("store", 0o700))
	for name, data := range f {
		file, err := disk.Create(disk.PathJoin("store", name), vfs.WriteCategoryUnspecified)
		must(t, err)
		must(t, last(file.Write(slices.Clone(data))))
		must(t, file.Close())
	}
	return disk
}

// with returns a copy in which one file has another content; nil removes it.
func (f files) with(name string, data []byte) files {
	changed := maps.Clone(f)
	if changed[name] = data; data == nil {
		delete(changed, name)
	}
	return changed
}

// someStore returns a store with rows in a table and in the log: after a clean stop, and as a kill right before it
// leaves the store.
func someStore(t *testing.T) (stopped, killed files, rows map[string]string) {
	t.Helper()
	disk := vfs.NewCrashableMem()
	w := newWorld(t, state.Options{Dir: "store", FS: disk}, 1)
	for i := range 300 {
		w.putEnrollment(fmt.Sprint("device-", i),
			state.Settings{InitialTwin: []byte(fmt.Sprintf(`{"tags":{"n":"%040d"}}`, i))})
	}
	must(t, w.Close())
	// This moves the rows in the log into a table.
	s, err := state.Open(state.Options{Dir: "store", FS: disk, Now: w.clock.Now})
	must(t, err)
	for i := range 40 {
		must(t, second(s.PutEnrollment(w.scope, state.Enrollment{RegistrationID: fmt.Sprint("late-", i)}, "")))
	}
	rows, err = s.Rows()
	must(t, err)
	killed = filesOf(t, disk.CrashClone(vfs.CrashCloneCfg{}))
	must(t, s.Close())
	return filesOf(t, disk), killed, rows
}

// outcome opens a store and reads all of it. It returns nil if every row is there.
func outcome(t *testing.T, f files, want map[string]string) error {
	t.Helper()
	s, err := state.Open(state.Options{Dir: "store", FS: f.disk(t), Now: newClock().Now})
	if err != nil {
		return err
	}
	defer func() { _ = s.Close() }()
	got, err := s.Rows()
	if err == nil && !maps.Equal(got, want) {
		return fmt.Errorf("opened with %d rows, or others, without an error; want %d", len(got), len(want))
	}
	return err
}

// TestAfterACleanStopDamageToAnyFileIsFound flips bits throughout each file of a store, truncates it, empties it, and
// removes it. Either the store is refused as damaged, when it is opened or read, or everything is there.
func TestAfterACleanStopDamageToAnyFileIsFound(t *testing.T) {
	t.Parallel()
	whole, _, rows := someStore(t)
	if err := outcome(t, whole, rows); err != nil {
		t.Fatalf("undamaged: %v", err)
	}
	refused := map[string]int{}
	check := func(name, what string, damaged []byte) {
		t.Helper()
		err := outcome(t, whole.with(name, damaged), rows)
		switch {
		case errors.Is(err, state.ErrCorrupt):
			refused[name]++
		case err != nil:
			t.Errorf("%s, %s: got %v, want %v or everything", name, what, err, state.ErrCorrupt)
		}
	}
	for name, data := range whole {
		check(name, "removed", nil)
		if len(data) == 0 {
			continue
		}
		check(name, "emptied", []byte{})
		check(name, "zeroed", make([]byte, len(data)))
		check(name, "cut", data[:len(data)/2])
		check(name, "last byte missing", data[:len(data)-1])
		check(name, "with an end", append(slices.Clone(data), "garbage"...))
		for _, at := range offsets(len(data)) {
			bad := slices.Clone(data)
			bad[at] ^= 4
			check(name, fmt.Sprintf("bit flipped in byte %d of %d", at, len(data)), bad)
		}
	}
	for name, data := range whole {
		if strings.HasSuffix(name, ".log") || strings.HasPrefix(name, "MANIFEST") {
			if want := 6 + len(offsets(len(data))); refused[name] != want {
				t.Errorf("%s: got %d of %d cases refused, want all", name, refused[name], want)
			}
		}
		if strings.HasSuffix(name, ".sst") && refused[name] < 20 {
			t.Errorf("%s: got %d cases refused, want nearly all", name, refused[name])
		}
	}
}

// offsets are the first bytes of a file, the last ones, and some in every region between.
func offsets(size int) []int {
	var at []int
	for i := range size {
		if i < 20 || i >= size-60 || i%(size/40+1) == 7%(size/40+1) {
			at = append(at, i)
		}
	}
	return at
}

// TestMissingFilesAreNamedEvenWithoutARecord removes files from the store of a killed emulator, which left no record of
// its files.
func TestMissingFilesAreNamedEvenWithoutARecord(t *testing.T) {
	t.Parallel()
	_, killed, rows := someStore(t)
	if err := outcome(t, killed, rows); err != nil {
		t.Fatalf("killed: %v", err)
	}
	for _, gone := range []string{".log", ".sst", "MANIFEST-", "marker.manifest.", "marker.format-version."} {
		t.Run(gone, func(t *testing.T) {
			left := maps.Clone(killed)
			maps.DeleteFunc(left, func(name string, _ []byte) bool { return strings.Contains(name, gone) })
			disk := left.disk(t)
			_, err := state.Open(state.Options{Dir: "store", FS: disk})
			if !errors.Is(err, state.ErrCorrupt) {
				t.Errorf("without %s: got %v, want %v", gone, err, state.ErrCorrupt)
			}
			if after := filesOf(t, disk); len(after) < len(left) {
				t.Errorf("without %s: got %d files after the refusal, want those %d that were there", gone, len(after),
					len(left))
			}
		})
	}
}

// TestAStoreOfAnotherFormatIsRefused changes the markers of the format, the database's and the emulator's.
func TestAStoreOfAnotherFormatIsRefused(t *testing.T) {
	t.Parallel()
	_, whole, _ := someStore(t)
	left := maps.Clone(whole)
	for name := range whole {
		if strings.HasPrefix(name, "marker.format-version.") {
			delete(left, name)
			left[name[:strings.LastIndexByte(name, '.')]+".999"] = []byte{}
		}
	}
	if maps.EqualFunc(left, whole, bytes.Equal) {
		t.Fatalf("got the files %q, want a marker of the format", slices.Sorted(maps.Keys(whole)))
	}
	disk := left.disk(t)
	if _, err := state.Open(state.Options{Dir: "store", FS: disk}); !errors.Is(err, state.ErrNewer) ||
		!strings.Contains(err.Error(), "999") {
		t.Errorf("got %v, want %v with the format", err, state.ErrNewer)
	}
	if after := filesOf(t, disk); !maps.EqualFunc(after, left.with("LOCK", after["LOCK"]), bytes.Equal) {
		t.Error("the refused store was changed")
	}
}

// TestDroppedEndOfTheLogIsReported cuts the log of a killed emulator, and flips a bit in its end.
func TestDroppedEndOfTheLogIsReported(t *testing.T) {
	t.Parallel()
	_, killed, rows := someStore(t)
	log := slices.Max(slices.DeleteFunc(slices.Collect(maps.Keys(killed)),
		func(n string) bool { return !strings.HasSuffix(n, ".log") }))
	data := killed[log]
	flipped := slices.Clone(data)
	flipped[len(flipped)-200] ^= 4
	for name, c := range map[string]struct {
		log     []byte
		dropped bool
	}{
		"whole":             {data, false},
		"zeros follow":      {append(slices.Clone(data), make([]byte, 5000)...), false},
		"cut":               {data[:len(data)-100], true},
		"a flipped bit":     {flipped, true},
		"something follows": {append(slices.Clone(data), "more than a header of a chunk"...), true},
	} {
		t.Run(name, func(t *testing.T) {
			var logged journal
			s, err := state.Open(state.Options{Dir: "store", FS: killed.with(log, c.log).disk(t),
				Logger: logged.logger()})
			if err != nil {
				t.Errorf("%s: %v", name, err)
				return
			}
			got, err := s.Rows()
			must(t, err)
			must(t, s.Close())
			if lost := len(rows) - len(got); lost > 0 && !c.dropped {
				t.Errorf("%s: got %d rows lost, want none", name, lost)
			}
			if line := logged.String(); strings.Contains(line, "level=WARN") != c.dropped ||
				strings.Contains(line, "bytes=") != c.dropped {
				t.Errorf("%s: got the log %q, want a warning with the bytes: %v", name, line, c.dropped)
			}
		})
	}
}

// TestAKilledStoreIsNotReportedAsDamaged kills a store whose log was followed by others, which are empty.
func TestAKilledStoreIsNotReportedAsDamaged(t *testing.T) {
	t.Parallel()
	disk := vfs.NewCrashableMem()
	w := newWorld(t, state.Options{Dir: "store", FS: disk}, 1)
	twin := []byte(`{"tags":{"n":"` + strings.Repeat("x", 8000) + `"}}`)
	for i := range 600 {
		w.putEnrollment(fmt.Sprint("device-", i), state.Settings{InitialTwin: twin})
		if i%40 != 17 {
			continue
		}
		var logged journal
		after, err := state.Open(state.Options{Dir: "store", FS: disk.CrashClone(vfs.CrashCloneCfg{}),
			Logger: logged.logger(), Now: w.clock.Now})
		must(t, err)
		if _, err := after.Enrollment(w.scope, fmt.Sprint("device-", i)); err != nil || logged.String() != "" {
			t.Errorf("killed after %d: got %v and the log %q, want the enrollment and an empty log", i, err,
				logged.String())
		}
		must(t, after.Close())
	}
}

// TestALogIsNeverWrittenOverAnotherOne makes the database reuse an old log, whose end would look like a damaged one.
func TestALogIsNeverWrittenOverAnotherOne(t *testing.T) {
	t.Parallel()
	disk := vfs.NewMem()
	s := open(t, state.Options{Dir: "store", FS: disk})
	old, err := disk.Create("store/000777.log", vfs.WriteCategoryUnspecified)
	must(t, err)
	must(t, last(old.Write([]byte("older changes"))))
	must(t, old.Close())
	must(t, s.Reuse("store/000777.log", "store/000778.log"))
	if data := filesOf(t, disk)["000778.log"]; len(data) != 0 {
		t.Errorf("got %q in the new log, want nothing", data)
	}
	if _, err := disk.Stat("store/000777.log"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the old log: got %v, want it deleted", err)
	}
}

// TestAStartThatIsKilledLosesNothing kills a start before each of its writes. The old log stays until a new one exists:
// a store without a log is refused.
func TestAStartThatIsKilledLosesNothing(t *testing.T) {
	t.Parallel()
	_, killed, rows := someStore(t)
	disk := killed.disk(t)
	removed := make(chan struct{}, 100)
	var mu sync.Mutex
	var cuts []files
	faults := errorfs.InjectorFunc(func(op errorfs.Op) error {
		if op.Kind == errorfs.OpRemove && strings.HasSuffix(op.Path, ".log") {
			defer func() { removed <- struct{}{} }()
		}
		if op.Kind == errorfs.OpCreate && strings.HasSuffix(op.Path, ".log") {
			select { // the database removes files in the background
			case <-removed:
			case <-time.After(300 * time.Millisecond):
			}
		}
		if op.Kind.ReadOrWrite() == errorfs.OpIsWrite {
			mu.Lock()
			defer mu.Unlock()
			cuts = append(cuts, filesOf(t, disk))
		}
		return nil
	})
	s, err := state.Open(state.Options{Dir: "store", FS: errorfs.Wrap(disk, faults), Now: newClock().Now})
	must(t, err)
	mu.Lock()
	taken := cuts
	mu.Unlock()
	if len(taken) < 10 {
		t.Errorf("got %d writes of a start, want more", len(taken))
	}
	for n, cut := range taken {
		if err := outcome(t, cut, rows); err != nil {
			t.Errorf("killed before write %d: %v", n, err)
		}
	}
	must(t, s.Close())
}

// TestDamagedStopRecordDoesNotFailTheStart damages only the record of the stop.
func TestDamagedStopRecordDoesNotFailTheStart(t *testing.T) {
	t.Parallel()
	whole, _, rows := someStore(t)
	bad := slices.Clone(whole["closed.json"])
	bad[bytes.Index(bad, []byte(".log"))+1] ^= 1
	var logged journal
	s, err := state.Open(state.Options{Dir: "store", FS: whole.with("closed.json", bad).disk(t),
		Logger: logged.logger()})
	must(t, err)
	got, err := s.Rows()
	must(t, err)
	must(t, s.Close())
	if !maps.Equal(got, rows) || !strings.Contains(logged.String(), "closed.json") {
		t.Errorf("got %d rows and the log %q, want %d and a warning about closed.json", len(got), logged.String(),
			len(rows))
	}
}

// TestTheNextStartRemovesTheRecordOfAStop kills a store that was started after a clean stop: the old record does not
// apply to its files.
func TestTheNextStartRemovesTheRecordOfAStop(t *testing.T) {
	t.Parallel()
	disk := vfs.NewCrashableMem()
	s, err := state.Open(state.Options{Dir: "store", FS: disk})
	must(t, err)
	must(t, s.Close())
	s, err = state.Open(state.Options{Dir: "store", FS: disk})
	must(t, err)
	must(t, s.PutAsync(state.Async{ID: "op", Due: s.Now()}))
	after, err := state.Open(state.Options{Dir: "store", FS: disk.CrashClone(vfs.CrashCloneCfg{})})
	must(t, err)
	if _, err := after.Async("op"); err != nil {
		t.Errorf("got %v, want the operation", err)
	}
	must(t, errors.Join(after.Close(), s.Close()))
}
