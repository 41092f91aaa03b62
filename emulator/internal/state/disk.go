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

// disk is the file system that the database sees. The first write that the real one refuses fails the store; from then
// on disk is dead: what the database writes goes to memory and nothing is removed, so that the files stay as they were
// while the database, which knows no way to give up but to try for ever or to end the process, can be read and closed.
// What it then takes for synced is not acknowledged: see store.guard.
//
// After each sync of the log it checks that the log is still where a restart looks for it.
type disk struct {
	vfs.FS
	store *store
	// memory holds what is made once the disk is dead.
	memory *vfs.MemFS
	// open says that the database has been opened: until then it waits for compactions, from then on they wait for
	// closing.
	open    atomic.Bool
	closing chan struct{}

	mu sync.Mutex
	// manifest is the path of the manifest made last, log the log; empty before the first.
	manifest string
	log      *diskFile
	// later are logs to be removed once the database is open: it removes the old ones before it makes a new one, and a
	// store without any has lost one.
	later []string
}

// compactionWrites are the writes of compactions, as the database names them. They would fill the memory, and failing,
// be tried for ever.
const compactionWrites = "pebble-compaction"

// How often, and after which pause, a file is made again while too many are open.
const (
	createTries = 100
	createPause = 50 * time.Millisecond
)

var errDead = errors.New("the disk refused an earlier write")

func (d *disk) dead() bool { return d.store.failed.Load() != nil }

// refused fails the store for an error of a write, and keeps it from the database.
func (d *disk) refused(err error) error {
	if err != nil {
		d.store.fail(err)
	}
	return nil
}

// Create implements vfs.FS.
func (d *disk) Create(name string, category vfs.DiskWriteCategory) (vfs.File, error) {
	if !d.dead() {
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

// create waits a while for others to close files when too many are open: clients hold connections.
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

// isLog and isManifest report whether none has followed.
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

// ReuseForWrite implements vfs.FS. It makes a new file, as it may: the end of a reused log holds parts of older
// changes, which cannot be told from a damaged end of the newer ones.
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
	if d.dead() {
		if f, err := d.memory.Open(name, o...); err == nil {
			return f, nil
		}
	}
	return d.FS.Open(name, o...)
}

// Stat implements vfs.FS.
func (d *disk) Stat(name string) (vfs.FileInfo, error) {
	if d.dead() {
		if info, err := d.memory.Stat(name); err == nil {
			return info, nil
		}
	}
	return d.FS.Stat(name)
}

// Rename implements vfs.FS.
func (d *disk) Rename(from, to string) error {
	if d.dead() {
		_ = d.memory.Rename(from, to) // what is not there is on the disk, and stays as it is
		return nil
	}
	return d.refused(d.FS.Rename(from, to))
}

// Link implements vfs.FS.
func (d *disk) Link(from, to string) error {
	if d.dead() {
		_ = d.memory.Link(from, to)
		return nil
	}
	return d.refused(d.FS.Link(from, to))
}

// Remove implements vfs.FS.
func (d *disk) Remove(name string) error {
	if d.dead() {
		_ = d.memory.Remove(name)
		return nil
	}
	if strings.HasSuffix(name, logSuffix) && d.postpone(name) {
		return nil
	}
	return d.FS.Remove(name)
}

// postpone keeps a removal for when the database is open, and reports whether it is not yet.
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
	if d.dead() {
		return nil
	}
	return d.refused(d.FS.MkdirAll(name, perm))
}

// GetDiskUsage implements vfs.FS. The database only reports it, and would take a failure for one of its own work.
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
	// table says that the file is read after it was written: the database is told that it failed, and writes another
	// one.
	table bool
	// log says that the file is checked after each sync; id is what tells it from another file of that name.
	log bool
	id  any
}

// do runs a write, and keeps its failure from the database.
func (f *diskFile) do(write func() error) error {
	if f.disk.dead() {
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

// present fails when a restart would not find the file under its name.
func (f *diskFile) present() error {
	info, err := f.disk.FS.Stat(f.name)
	switch {
	case isGone(err):
		return fmt.Errorf("%w (%s)", ErrRemoved, filepath.Base(f.name))
	case err == nil && identity(info) != f.id:
		return fmt.Errorf("%w (%s was replaced)", ErrRemoved, filepath.Base(f.name))
	}
	return nil // or nobody can tell
}

func tooManyOpen(err error) bool {
	return errors.Is(err, syscall.EMFILE) || errors.Is(err, syscall.ENFILE)
}

// isGone reports whether err says that a file, or a folder above it, is not there.
func isGone(err error) bool { return errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ENOTDIR) }
