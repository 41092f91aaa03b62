// Package durabletest has a file system for tests that cut the power: it forgets everything that was not synced, and
// can refuse writes as a full disk does.
//
// It does not imitate one file system: of unsynced data it keeps nothing, or a seeded random part.
package durabletest

import (
	"io"
	"io/fs"
	"math/rand/v2"
	"sync"
	"syscall"

	"github.com/cockroachdb/pebble/v2/vfs"

	"evenkeel/internal/durable"
)

// FS is a file system in memory. Its methods may be called concurrently.
type FS struct {
	// Mem is the file system below, for the store of the emulator to live in the same one.
	Mem *vfs.MemFS

	mu sync.Mutex
	// before is called before each operation that changes something.
	before func(op string) error
}

// New returns an empty file system.
func New() *FS { return &FS{Mem: vfs.NewCrashableMem()} }

// Before lets f see each change before it is made, and refuse it. Nil takes it away.
func (f *FS) Before(before func(op string) error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.before = before
}

// Fill makes every write fail as on a full disk, or no longer.
func (f *FS) Fill(full bool) {
	if !full {
		f.Before(nil)
		return
	}
	f.Before(func(op string) error {
		if op == "write" || op == "create" || op == "mkdir" {
			return syscall.ENOSPC
		}
		return nil
	})
}

// Crash returns what a loss of power leaves at this moment. With chance, some of what was not synced is kept, and some
// is not.
func (f *FS) Crash(chance *rand.Rand) *FS {
	config := vfs.CrashCloneCfg{}
	if chance != nil {
		config = vfs.CrashCloneCfg{UnsyncedDataPercent: chance.IntN(101), RNG: chance}
	}
	return &FS{Mem: f.Mem.CrashClone(config)}
}

func (f *FS) allow(op, name string) error {
	f.mu.Lock()
	before := f.before
	f.mu.Unlock()
	if before == nil {
		return nil
	}
	if err := before(op); err != nil {
		return &fs.PathError{Op: op, Path: name, Err: err}
	}
	return nil
}

// Create implements durable.FS.
func (f *FS) Create(name string, _ fs.FileMode) (durable.File, error) {
	if err := f.allow("create", name); err != nil {
		return nil, err
	}
	if _, err := f.Mem.Stat(name); err == nil {
		return nil, &fs.PathError{Op: "create", Path: name, Err: fs.ErrExist}
	}
	opened, err := f.Mem.Create(name, vfs.WriteCategoryUnspecified)
	if err != nil {
		return nil, err
	}
	return &file{opened, f, name}, nil
}

type file struct {
	vfs.File
	fs   *FS
	name string
}

// Write implements durable.File.
func (f *file) Write(p []byte) (int, error) {
	if err := f.fs.allow("write", f.name); err != nil {
		return 0, err
	}
	return f.File.Write(append([]byte(nil), p...)) // a vfs.File may change what it is given
}

// Sync implements durable.File.
func (f *file) Sync() error {
	if err := f.fs.allow("sync", f.name); err != nil {
		return err
	}
	return f.File.Sync()
}

// Open implements durable.FS.
func (f *FS) Open(name string) (io.ReadCloser, error) { return f.Mem.Open(name) }

// Stat implements durable.FS.
func (f *FS) Stat(name string) (fs.FileInfo, error) { return f.Mem.Stat(name) }

// ReadDir implements durable.FS.
func (f *FS) ReadDir(name string) ([]string, error) { return f.Mem.List(name) }

// Mkdir implements durable.FS.
func (f *FS) Mkdir(name string, perm fs.FileMode) error {
	if err := f.allow("mkdir", name); err != nil {
		return err
	}
	return f.Mem.MkdirAll(name, perm)
}

// Rename implements durable.FS.
func (f *FS) Rename(from, to string) error {
	if err := f.allow("rename", to); err != nil {
		return err
	}
	return f.Mem.Rename(from, to)
}

// Link implements durable.FS.
func (f *FS) Link(from, to string) error {
	if err := f.allow("link", to); err != nil {
		return err
	}
	return f.Mem.Link(from, to)
}

// Remove implements durable.FS.
func (f *FS) Remove(name string) error {
	if err := f.allow("remove", name); err != nil {
		return err
	}
	return f.Mem.Remove(name)
}

// SyncFolder implements durable.FS.
func (f *FS) SyncFolder(name string) error {
	if err := f.allow("syncfolder", name); err != nil {
		return err
	}
	folder, err := f.Mem.OpenDir(name)
	if err != nil {
		return err
	}
	defer func() { _ = folder.Close() }()
	return folder.Sync()
}
