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

// storeFormat is the layout of keys and rows that this version reads and writes. Increase it with every change to
// either, and convert stores of released formats to the new one.
const storeFormat = 4

// Sizes of the store's buffers in bytes. They limit its memory, not its content.
const (
	memTableSize = 16 << 20
	cacheSize    = 32 << 20
)

// formatKey sorts before every row, so that Reset can keep it.
var formatKey = []byte("!format")

// Reasons for which a store cannot be opened or used. Their texts contain advice.
var (
	// ErrInUse: another process has the folder open.
	ErrInUse = errors.New("the store is in use by another process: stop that emulator first")
	// ErrNewer: a later version wrote the folder.
	ErrNewer = errors.New("the store was written by a newer version: use that version, or remove the folder to start " +
		"empty")
	// ErrOlder: a version before the first release wrote the folder.
	ErrOlder = errors.New("the store was written by a version before the first release, which this one does not " +
		"read: remove the folder to start empty")
	// ErrCorrupt: a file of the store is damaged. Nothing was repaired or dropped.
	ErrCorrupt = errors.New("the store is damaged: restore the folder from a backup, or remove it to start empty")
	// ErrUnwritable: the disk refused a write. The requested change was not made, and the store is read-only.
	ErrUnwritable = errors.New("the store is read-only after a failed write: free disk space or repair the disk, " +
		"then restart the emulator; acknowledged changes are safe")
	// ErrRemoved: files were removed while the emulator was running. The store is read-only.
	ErrRemoved = errors.New("files of the emulator were removed while it was running, so it is read-only: " +
		"stop it, restore the data folder from a backup, or restart it with the remaining files")
	// ErrClosed: the state was closed.
	ErrClosed = errors.New("the state is closed")
)

// store owns the embedded database. commit returns when the change is synced. Concurrent commits share one sync.
type store struct {
	dir    string
	db     *pebble.DB
	lock   *pebble.Lock
	disk   *disk
	logger *slog.Logger
	// cache must be released on close.
	cache *pebble.Cache
	// revision counts the commits that may have changed anything but registrations, devices, twins and messages.
	revision atomic.Uint64
	// unsynced counts the commits that readers may see before they are on disk.
	unsynced atomic.Int64
	// failed is set by the first failure that makes the store read-only, see fail.
	failed atomic.Pointer[error]
	// stopLooking stops watching the files.
	stopLooking func()
}

// openStore opens or creates the store in dir.
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

// open checks the existing files and then opens the database.
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

// close closes the store and records the state of its files, so that the next start detects damage to them.
func (s *store) close() error {
	s.stopLooking()
	close(s.disk.closing)
	var err error
	if s.db != nil {
		err = s.db.Close()
		switch {
		case s.failed.Load() != nil:
			err = nil // the failure is known already
		case err == nil:
			s.writeNote()
		}
	}
	s.cache.Unref()
	return errors.Join(err, s.lock.Close())
}

// get fills row with the row at key and reports whether it exists.
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

// scan calls each with the keys and rows from start (included) to end (excluded) in order, until each returns false.
// The slices are valid only during the call. All rows that it passes are synced.
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

// settle returns when every commit that is visible now is synced.
func (s *store) settle() error {
	if s.unsynced.Load() == 0 {
		return nil
	}
	return s.guard(func() error { return s.db.LogData(nil, pebble.Sync) })
}

// commit applies the batch and returns when it is synced.
func (s *store) commit(b *batch) error {
	// After the change is visible: a reader of the new revision never reads old rows.
	defer s.revision.Add(1)
	return s.commitDevices(b)
}

// commitDevices commits changes that do not affect authentication at a provisioning service: registrations, hub
// devices, twins and messages.
func (s *store) commitDevices(b *batch) error {
	if b.Empty() {
		return b.Close()
	}
	s.unsynced.Add(1)
	defer s.unsynced.Add(-1)
	return s.guard(func() error { return errors.Join(b.Commit(pebble.Sync), b.Close()) })
}

// batch is a set of changes that are committed together.
type batch struct{ *pebble.Batch }

func (s *store) batch() *batch { return &batch{s.db.NewBatch()} }

func (b *batch) put(key []byte, row row) { _ = b.Set(key, encode(row), nil) }

func (b *batch) delete(key []byte) { _ = b.Delete(key, nil) }

func (b *batch) deleteRange(start, end []byte) { _ = b.DeleteRange(start, end, nil) }
