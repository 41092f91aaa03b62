package state

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// disk is the file system that the database sees. It remembers the first write that was refused, and checks after each sync of the log that the
// log is still where a restart looks for it: what is synced to a file that was removed is not acknowledged.
type disk struct {
	vfs.FS
	refused atomic.Pointer[error]

	mu sync.Mutex
	// manifest is the path of the manifest made last, log the log; empty before the first.
	manifest string
	log      *diskFile
}

// remember keeps the first error of a write.
func (d *disk) remember(err error) error {
	if err != nil && !errors.Is(err, fs.ErrExist) {
		d.refused.CompareAndSwap(nil, &err)
	}
	return err
}

// refusal is the first error of a write, nil while there is none.
func (d *disk) refusal() error {
	if refused := d.refused.Load(); refused != nil {
		return *refused
	}
	return nil
}

func (d *disk) wrap(name string, f vfs.File, err error) (vfs.File, error) {
	if d.remember(err) != nil {
		return nil, err
	}
	wrapped := &diskFile{File: f, disk: d, name: name}
	switch base := filepath.Base(name); {
	case strings.HasSuffix(base, logSuffix):
		wrapped.log = true
		if info, err := f.Stat(); err == nil {
			wrapped.id = identity(info)
		}
		d.mu.Lock()
		d.log = wrapped
		d.mu.Unlock()
	case strings.HasPrefix(base, manifestPrefix):
		d.mu.Lock()
		d.manifest = name
		d.mu.Unlock()
	}
	return wrapped, nil
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

// Create implements vfs.FS.
func (d *disk) Create(name string, category vfs.DiskWriteCategory) (vfs.File, error) {
	f, err := d.FS.Create(name, category)
	return d.wrap(name, f, err)
}

// OpenReadWrite implements vfs.FS.
func (d *disk) OpenReadWrite(name string, category vfs.DiskWriteCategory, o ...vfs.OpenOption) (vfs.File, error) {
	f, err := d.FS.OpenReadWrite(name, category, o...)
	return d.wrap(name, f, err)
}

// ReuseForWrite implements vfs.FS. It makes a new file, as it may: the end of a reused log holds parts of older changes, which cannot be told
// from a damaged end of the newer ones.
func (d *disk) ReuseForWrite(from, to string, category vfs.DiskWriteCategory) (vfs.File, error) {
	if err := d.FS.Remove(from); err != nil && !errors.Is(err, fs.ErrNotExist) {
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

// Rename implements vfs.FS.
func (d *disk) Rename(from, to string) error { return d.remember(d.FS.Rename(from, to)) }

// Link implements vfs.FS.
func (d *disk) Link(from, to string) error { return d.remember(d.FS.Link(from, to)) }

// MkdirAll implements vfs.FS.
func (d *disk) MkdirAll(name string, perm fs.FileMode) error {
	return d.remember(d.FS.MkdirAll(name, perm))
}

// GetDiskUsage implements vfs.FS. The database only reports it, and would take a failure for one of its own work.
func (d *disk) GetDiskUsage(string) (vfs.DiskUsage, error) {
	return vfs.DiskUsage{}, vfs.ErrUnsupported
}

// Unwrap implements vfs.FS.
func (d *disk) Unwrap() vfs.FS { return d.FS }

// diskFile is a file that the database writes.
type diskFile struct {
	vfs.File
	disk *disk
	name string
	// log says that it is checked after each sync; id is what tells it from another file of that name.
	log bool
	id  any
}

// Write implements vfs.File.
func (f *diskFile) Write(p []byte) (int, error) {
	n, err := f.File.Write(p)
	return n, f.disk.remember(err)
}

// WriteAt implements vfs.File.
func (f *diskFile) WriteAt(p []byte, at int64) (int, error) {
	n, err := f.File.WriteAt(p, at)
	return n, f.disk.remember(err)
}

// Sync implements vfs.File.
func (f *diskFile) Sync() error { return f.synced(f.File.Sync()) }

// SyncData implements vfs.File.
func (f *diskFile) SyncData() error { return f.synced(f.File.SyncData()) }

// SyncTo implements vfs.File.
func (f *diskFile) SyncTo(length int64) (bool, error) {
	full, err := f.File.SyncTo(length)
	return full, f.disk.remember(err)
}

func (f *diskFile) synced(err error) error {
	if err == nil && f.log {
		err = f.present()
	}
	return f.disk.remember(err)
}

// present fails when a restart would not find the file under its name.
func (f *diskFile) present() error {
	info, err := f.disk.Stat(f.name)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("%w (%s)", ErrRemoved, filepath.Base(f.name))
	case err != nil:
		return err
	case identity(info) != f.id:
		return fmt.Errorf("%w (%s was replaced)", ErrRemoved, filepath.Base(f.name))
	}
	return nil
}
