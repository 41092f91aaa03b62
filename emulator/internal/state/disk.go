package state

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// disk is the file system that the database sees. The first write that the real one refuses fails the store, and disk
// then stops writing: new data goes to memory and nothing is removed. So the files stay as they were while the
// database, which would otherwise retry without end or end the process, can be read and closed. What the database then
// considers synced is not acknowledged: see store.guard.
//
// After each sync of the log it checks that the log is still where a restart looks for it.
type disk struct {
	vfs.FS
	store *store
	// memory holds files that are created after the store failed.
	memory *vfs.MemFS
	// open reports that the database has been opened: before, opening waits for compactions; afterwards, only closing
	// does.
	open    atomic.Bool
	closing chan struct{}

	mu sync.Mutex
	// manifest is the path of the latest manifest, log that of the latest log. Both are empty at first.
	manifest string
	log      *diskFile
	// later are logs to be removed once the database is open: it removes the old ones before it creates a new one,
	// and a store without any log counts as damaged.
	later []string
}

// compactionWrites are the writes of compactions, by the database's names. They would fill the memory and, when
// failing, be retried without end.
const compactionWrites = "pebble-compaction"

// How often, and at which interval, creating a file is retried while too many files are open.
const (
	createTries = 100
	createPause = 50 * time.Millisecond
)

var errDead = errors.New("an earlier write failed")

func (d *disk) hasFailed() bool { return d.store.failed.Load() != nil }

// refused fails the store because of a write error and hides the error from the database.
func (d *disk) refused(err error) error {
	if err != nil {
		d.store.fail(err)
	}
	return nil
}

// Create implements vfs.FS.
func (d *disk) Create(name string, category vfs.DiskWriteCategory) (vfs.File, error) {
	if !d.hasFailed() {
		f, err := d.create(name, category)
		if err == nil {
			return d.wrap(name, f), nil
		}
		d.store.fail(err)
	}
	if category == compactionWrites && d.open.Load() {
		<-d.closing
		return nil, errDead
	}
	if err := d.memory.MkdirAll(d.PathDir(name), 0o700); err != nil {
		return nil, err
	}
	return d.memory.Create(name, category)
}

// create retries for a while if too many files are open, because connections of clients use files too.
func (d *disk) create(name string, category vfs.DiskWriteCategory) (vfs.File, error) {
	for try := 0; ; try++ {
		f, err := d.FS.Create(name, category)
		if try == createTries || !tooManyOpen(err) {
			return f, err
		}
		time.Sleep(createPause)
	}
}

func (d *disk) wrap(name string, f vfs.File) vfs.File {
	wrapped := &diskFile{File: f, disk: d, name: name}
	base := filepath.Base(name)
	d.mu.Lock()
	defer d.mu.Unlock()
	switch {
	case strings.HasSuffix(base, tableSuffix):
		wrapped.table = true
	case strings.HasSuffix(base, logSuffix):
		if info, err := f.Stat(); err == nil {
			wrapped.id = identity(info)
		}
		wrapped.log, d.log = true, wrapped
	case strings.HasPrefix(base, manifestPrefix):
		d.manifest = name
	}
	return wrapped
}

// isLog and isManifest report whether the file is the latest of its kind.
func (d *disk) isLog(f *diskFile) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.log == f
}

func (d *disk) isManifest(name string) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.manifest == name
}

// ReuseForWrite implements vfs.FS. It creates a new file, which the interface permits: a reused log ends with parts
// of older changes, which cannot be distinguished from a damaged end of the newer ones.
func (d *disk) ReuseForWrite(from, to string, category vfs.DiskWriteCategory) (vfs.File, error) {
	if err := d.Remove(from); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	return d.Create(to, category)
}

// OpenDir implements vfs.FS.
func (d *disk) OpenDir(name string) (vfs.File, error) {
	f, err := d.FS.OpenDir(name)
	if err != nil {
		return nil, err
	}
	return &diskFile{File: f, disk: d, name: name}, nil
}

// Open implements vfs.FS.
func (d *disk) Open(name string, o ...vfs.OpenOption) (vfs.File, error) {
	if d.hasFailed() {
		if f, err := d.memory.Open(name, o...); err == nil {
			return f, nil
		}
	}
	return d.FS.Open(name, o...)
}

// Stat implements vfs.FS.
func (d *disk) Stat(name string) (vfs.FileInfo, error) {
	if d.hasFailed() {
		if info, err := d.memory.Stat(name); err == nil {
			return info, nil
		}
	}
	return d.FS.Stat(name)
}

// Rename implements vfs.FS.
func (d *disk) Rename(from, to string) error {
	if d.hasFailed() {
		_ = d.memory.Rename(from, to) // if it is not in memory it is on the disk, and stays as it is
		return nil
	}
	return d.refused(d.FS.Rename(from, to))
}

// Link implements vfs.FS.
func (d *disk) Link(from, to string) error {
	if d.hasFailed() {
		_ = d.memory.Link(from, to)
		return nil
	}
	return d.refused(d.FS.Link(from, to))
}

// Remove implements vfs.FS.
func (d *disk) Remove(name string) error {
	if d.hasFailed() {
		_ = d.memory.Remove(name)
		return nil
	}
	if strings.HasSuffix(name, logSuffix) && d.postpone(name) {
		return nil
	}
	return d.FS.Remove(name)
}

// postpone stores a removal until the database is open and reports whether it did.
func (d *disk) postpone(name string) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.open.Load() {
		return false
	}
	d.later = append(d.later, name)
	return true
}

// opened is called once the database is open.
func (d *disk) opened() error {
	d.mu.Lock()
	later := d.later
	d.open.Store(true)
	d.mu.Unlock()
	var failures []error
	for _, name := range later {
		if err := d.Remove(name); !errors.Is(err, fs.ErrNotExist) {
			failures = append(failures, err)
		}
	}
	return errors.Join(failures...)
}

// MkdirAll implements vfs.FS.
func (d *disk) MkdirAll(name string, perm fs.FileMode) error {
	if d.hasFailed() {
		return nil
	}
	return d.refused(d.FS.MkdirAll(name, perm))
}

// GetDiskUsage implements vfs.FS. The database only reports the result, but would treat an error as its own.
func (d *disk) GetDiskUsage(string) (vfs.DiskUsage, error) {
	return vfs.DiskUsage{}, vfs.ErrUnsupported
}

// Unwrap implements vfs.FS.
func (d *disk) Unwrap() vfs.FS { return d.FS }

// diskFile is a file that the database writes, or a folder that it syncs.
type diskFile struct {
	vfs.File
	disk *disk
	name string
	// table marks a file that is read after it was written: the database gets its write errors and writes another
	// file.
	table bool
	// log marks a file that is checked after each sync. id distinguishes it from other files with the same name.
	log bool
	id  any
}

// do runs a write and hides its failure from the database.
func (f *diskFile) do(write func() error) error {
	if f.disk.hasFailed() {
		if f.table {
			return errDead
		}
		return nil
	}
	err := write()
	if err != nil {
		f.disk.store.fail(err)
		if f.table {
			return err
		}
	}
	return nil
}

// Write implements vfs.File.
func (f *diskFile) Write(p []byte) (int, error) {
	return len(p), f.do(func() error {
		_, err := f.File.Write(p)
		return err
	})
}

// Sync implements vfs.File.
func (f *diskFile) Sync() error { return f.do(func() error { return f.synced(f.File.Sync()) }) }

// SyncData implements vfs.File.
func (f *diskFile) SyncData() error { return f.do(func() error { return f.synced(f.File.SyncData()) }) }

// SyncTo implements vfs.File.
func (f *diskFile) SyncTo(length int64) (full bool, err error) {
	err = f.do(func() error {
		full, err = f.File.SyncTo(length)
		return err
	})
	return full, err
}

// Close implements vfs.File.
func (f *diskFile) Close() error {
	err := f.File.Close()
	return f.do(func() error { return err })
}

func (f *diskFile) synced(err error) error {
	if err == nil && f.log {
		return f.present()
	}
	return err
}

// present fails if a restart would not find the file under its name.
func (f *diskFile) present() error {
	info, err := f.disk.FS.Stat(f.name)
	switch {
	case isMissing(err):
		return fmt.Errorf("%w (%s)", ErrRemoved, filepath.Base(f.name))
	case err == nil && identity(info) != f.id:
		return fmt.Errorf("%w (%s was replaced)", ErrRemoved, filepath.Base(f.name))
	}
	return nil // or the system cannot tell
}

func tooManyOpen(err error) bool {
	return errors.Is(err, syscall.EMFILE) || errors.Is(err, syscall.ENFILE)
}

// isMissing reports whether err means that a file or a parent folder does not exist.
func isMissing(err error) bool {
	return errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ENOTDIR)
}
