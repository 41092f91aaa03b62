package state

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"sync/atomic"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/bloom"
	"github.com/cockroachdb/pebble/v2/vfs"
)

// storeFormat is the layout of keys and rows that this version reads and writes. Raise it with every change to either, and then
// bring stores of this format, which were released, to the new one.
const storeFormat = 4

// Sizes of the store in bytes: they bound its memory, not what it holds.
const (
	memTableSize = 16 << 20
	cacheSize    = 32 << 20
)

// formatKey sorts before every row, so that Reset can leave it out.
var formatKey = []byte("!format")

// Reasons for which a store cannot be opened or used. Their text says what to do.
var (
	// ErrInUse: another process has the folder open.
	ErrInUse = errors.New("the store is open in another process: stop that emulator first")
	// ErrNewer: the folder was written by a later version.
	ErrNewer = errors.New("the store was written by a newer version: use that version, or remove the folder to start empty")
	// ErrOlder: the folder was written by a version before the first release.
	ErrOlder = errors.New("the store was written by a version before the first release, which this one does not read: remove the folder to start empty")
	// ErrCorrupt: a file of the store is damaged. Nothing was repaired or dropped.
	ErrCorrupt = errors.New("the store is damaged: restore the folder from a copy, or remove it to start empty")
	// ErrUnwritable: the disk refused a write. Nothing of what was asked for is true, and nothing is changed any more.
	ErrUnwritable = errors.New("the emulator cannot write its store and changes nothing more: free space on the disk, or repair it, and start the emulator again; all that was acknowledged is kept")
	// ErrRemoved: files were removed under the running emulator. Nothing is changed any more.
	ErrRemoved = errors.New("files of the emulator were removed while it runs, and it changes nothing more: " +
		"stop it, then put the data folder back from a copy, or start it again with what is left")
	// ErrClosed: the state was closed.
	ErrClosed = errors.New("the state is closed")
)

// store owns the embedded database. Every commit is synced before commit returns; concurrent commits share one sync.
type store struct {
	dir    string
	db     *pebble.DB
	lock   *pebble.Lock
	disk   *disk
	logger *slog.Logger
	// cache is ours to release.
	cache *pebble.Cache
	// revision counts the commits by which the answers of others than registrations, devices and twins may have changed.
	revision atomic.Uint64
	// unsynced counts the commits that readers may see already though they are not on disk yet.
	unsynced atomic.Int64
	// failed is set by the first failure after which the store takes no more, see fail.
	failed atomic.Pointer[error]
	// stopLooking ends the watch over the files.
	stopLooking func()
}

// openStore opens or makes the store in dir.
func openStore(dir string, files vfs.FS, logger *slog.Logger) (*store, error) {
	if err := files.MkdirAll(dir, 0o700); err != nil {
		if unwritable(err) {
			err = stopped(err)
		}
		return nil, fmt.Errorf("make store folder %s: %w", dir, err)
	}
	lock, err := pebble.LockDirectory(dir, files)
	if errors.Is(err, fs.ErrPermission) {
		return nil, fmt.Errorf("open store %s: %w", dir, err)
	}
	if unwritable(err) {
		return nil, fmt.Errorf("open store %s: %w", dir, stopped(err))
	}
	if err != nil {
		return nil, fmt.Errorf("open store %s: %w (%v)", dir, ErrInUse, err)
	}
	s := &store{dir: dir, lock: lock, logger: logger, cache: pebble.NewCache(cacheSize), stopLooking: func() {}}
	s.disk = &disk{FS: files, store: s, memory: vfs.NewMem(), closing: make(chan struct{})}
	if err = s.open(); err != nil {
		err = fmt.Errorf("open store %s: %w", dir, s.explainOpen(err))
		return nil, errors.Join(err, s.close())
	}
	return s, nil
}

// open checks the files that lie there, and lets the database open them.
func (s *store) open() error {
	names, err := s.disk.List(s.dir)
	if err != nil {
		return err
	}
	for _, check := range []func([]string) error{s.checkComplete, s.checkNote, s.checkManifest, s.checkLogEnd} {
		if err := check(names); err != nil {
			return err
		}
	}
	if s.db, err = pebble.Open(s.dir, s.options()); err != nil {
		return err
	}
	if err := s.disk.opened(); err != nil {
		return err
	}
	return s.guard(func() error { return s.checkFormat(hasTables(names)) })
}

func (s *store) options() *pebble.Options {
	o := &pebble.Options{
		FS:                 s.disk,
		Lock:               s.lock,
		Cache:              s.cache,
		MemTableSize:       memTableSize,
		FormatMajorVersion: pebble.FormatWALSyncChunks,
		Logger:             quiet{s},
		EventListener:      s.listener(),
	}
	for i := range o.Levels {
		o.Levels[i].FilterPolicy = bloom.FilterPolicy(10)
	}
	return o
}

// checkFormat reads the format of a store, or writes it to a new one.
func (s *store) checkFormat(used bool) error {
	value, closer, err := s.db.Get(formatKey)
	if errors.Is(err, pebble.ErrNotFound) {
		if used {
			return fmt.Errorf("%w (its format is missing)", ErrCorrupt)
		}
		return s.db.Set(formatKey, binary.AppendUvarint(nil, storeFormat), pebble.Sync)
	}
	if err != nil {
		return err
	}
	defer closer.Close()
	switch found, n := binary.Uvarint(value); {
	case n <= 0 || found == 0:
		return fmt.Errorf("%w (its format cannot be read)", ErrCorrupt)
	case found > storeFormat:
		return fmt.Errorf("%w (its format is %d, this version reads %d)", ErrNewer, found, storeFormat)
	case found < storeFormat:
		return fmt.Errorf("%w (its format is %d, this version reads %d)", ErrOlder, found, storeFormat)
	}
	return nil
}

// close ends the store, and notes how its files are, so that damage to them is found by the next start.
func (s *store) close() error {
	s.stopLooking()
	close(s.disk.closing)
	var err error
	if s.db != nil {
		err = s.db.Close()
		switch {
		case s.failed.Load() != nil:
			err = nil // it is known
		case err == nil:
			s.writeNote()
		}
	}
	s.cache.Unref()
	return errors.Join(err, s.lock.Close())
}

// get fills row with the row at key and reports whether there is one.
func (s *store) get(key []byte, row row) (bool, error) {
	value, closer, err := s.db.Get(key)
	if errors.Is(err, pebble.ErrNotFound) {
		return false, nil
	}
	if err != nil {
		return false, s.unreadable(err)
	}
	defer closer.Close()
	return true, decode(value, row)
}

// scan calls each with the keys and rows from start (included) to end (not included) in order, until each returns false. The slices
// are valid during the call only. What it shows is synced.
func (s *store) scan(start, end []byte, each func(key, value []byte) (bool, error)) error {
	it, err := s.db.NewIter(&pebble.IterOptions{LowerBound: start, UpperBound: end})
	if err != nil {
		return s.unreadable(err)
	}
	defer it.Close()
	if err := s.settle(); err != nil {
		return err
	}
	for ok := it.First(); ok; ok = it.Next() {
		value, err := it.ValueAndErr()
		if err != nil {
			return s.unreadable(err)
		}
		if more, err := each(it.Key(), value); err != nil || !more {
			return err
		}
	}
	return s.unreadable(it.Error())
}

// settle returns when every commit that can be seen now is synced.
func (s *store) settle() error {
	if s.unsynced.Load() == 0 {
		return nil
	}
	return s.guard(func() error { return s.db.LogData(nil, pebble.Sync) })
}

// commit applies the batch and returns when it is synced.
func (s *store) commit(b *batch) error {
	// After the change can be seen: who reads the new revision does not read the old rows.
	defer s.revision.Add(1)
	return s.commitDevices(b)
}

// commitDevices is commit for what lets nobody in or out of a provisioning service: registrations, hub devices, twins and messages.
func (s *store) commitDevices(b *batch) error {
	if b.Empty() {
		return b.Close()
	}
	s.unsynced.Add(1)
	defer s.unsynced.Add(-1)
	return s.guard(func() error { return errors.Join(b.Commit(pebble.Sync), b.Close()) })
}

// batch is a set of changes that becomes true as a whole.
type batch struct{ *pebble.Batch }

func (s *store) batch() *batch { return &batch{s.db.NewBatch()} }

func (b *batch) put(key []byte, row row) { _ = b.Set(key, encode(row), nil) }

func (b *batch) delete(key []byte) { _ = b.Delete(key, nil) }

func (b *batch) deleteRange(start, end []byte) { _ = b.DeleteRange(start, end, nil) }
