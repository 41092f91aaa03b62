// Package durable writes small files that survive a power loss. A file always has either its complete old or its
// complete new content, and has the new content once the write has returned. Use it for files that a later start or a
// client depends on: keys, ports, settings, snapshots.
//
// It does not append, lock or watch files, and does not interpret their content.
package durable

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"evenkeel/internal/hint"
)

// FS is the part of a file system that Disk needs. Tests use one that forgets unsynced data.
type FS interface {
	// Create creates a file for writing. It fails if the file exists.
	Create(name string, perm fs.FileMode) (File, error)
	Open(name string) (io.ReadCloser, error)
	Stat(name string) (fs.FileInfo, error)
	// ReadDir returns the names in a folder.
	ReadDir(name string) ([]string, error)
	Mkdir(name string, perm fs.FileMode) error
	// Rename replaces an existing file of the new name; Link fails if one exists.
	Rename(from, to string) error
	Link(from, to string) error
	Remove(name string) error
	// SyncFolder makes the names in a folder durable.
	SyncFolder(name string) error
}

// File is a file being written.
type File interface {
	io.Writer
	Sync() error
	Close() error
}

// Disk writes to a file system, by default the operating system's.
type Disk struct{ FS FS }

// OS writes to the operating system's file system.
var OS Disk

func (d Disk) files() FS {
	if d.FS == nil {
		return system{}
	}
	return d.FS
}

// TempPrefix begins the names of incomplete files. A leftover one belongs to an interrupted write and can be deleted.
const TempPrefix = ".new-"

// Write replaces the content of the file by what write writes. If it fails, the file is unchanged.
func (d Disk) Write(name string, perm fs.FileMode, write func(io.Writer) error) error {
	return d.put(name, perm, write, FS.Rename)
}

// WriteFile replaces the content of the file by data. If it fails, the file is unchanged.
func (d Disk) WriteFile(name string, data []byte, perm fs.FileMode) error {
	return d.Write(name, perm, func(w io.Writer) error {
		_, err := w.Write(data)
		return err
	})
}

// CreateFile creates a file with data. If the file exists, it is unchanged and the error is fs.ErrExist; of two
// concurrent calls, one succeeds.
func (d Disk) CreateFile(name string, data []byte, perm fs.FileMode) error {
	files := d.files()
	if _, err := files.Stat(name); err == nil {
		return fmt.Errorf("create %s: %w", name, fs.ErrExist)
	}
	return d.put(name, perm, func(w io.Writer) error {
		_, err := w.Write(data)
		return err
	}, func(files FS, temp, name string) error {
		err := files.Link(temp, name)
		if err == nil {
			return files.Remove(temp)
		}
		if _, statErr := files.Stat(name); errors.Is(err, fs.ErrExist) || statErr == nil {
			return fs.ErrExist
		}
		return files.Rename(temp, name) // a file system without hard links
	})
}

// put writes a file under a temporary name, and calls publish to give it its final name once it is on the disk.
func (d Disk) put(name string, perm fs.FileMode, write func(io.Writer) error,
	publish func(files FS, temp, name string) error) error {
	files := d.files()
	temp := filepath.Join(filepath.Dir(name), TempPrefix+filepath.Base(name)+"-"+random())
	file, err := files.Create(temp, perm)
	if err == nil {
		if err = errors.Join(write(file), file.Sync()); err != nil {
			_ = file.Close() // the first error is the one to report
		} else {
			err = file.Close()
		}
		if err == nil {
			err = publish(files, temp, name)
		}
		if err != nil {
			_ = files.Remove(temp)
		}
	}
	if err == nil {
		err = files.SyncFolder(filepath.Dir(name))
	}
	return explain("write", name, err)
}

// Remove deletes the file durably. It returns fs.ErrNotExist if the file is missing.
func (d Disk) Remove(name string) error {
	files := d.files()
	err := files.Remove(name)
	if err == nil {
		err = files.SyncFolder(filepath.Dir(name))
	}
	return explain("remove", name, err)
}

// MkdirAll creates the folder and its missing parents, durably.
func (d Disk) MkdirAll(name string, perm fs.FileMode) error {
	files := d.files()
	name = filepath.Clean(name)
	info, err := files.Stat(name)
	switch {
	case err == nil && info.IsDir():
		return nil
	case err == nil:
		return explain("make folder", name, syscall.ENOTDIR)
	case !errors.Is(err, fs.ErrNotExist):
		return explain("make folder", name, err)
	}
	above := filepath.Dir(name)
	if above != name {
		if err := d.MkdirAll(above, perm); err != nil {
			return err
		}
	}
	// Another process may create it at the same time.
	if err := files.Mkdir(name, perm); err != nil && !errors.Is(err, fs.ErrExist) {
		return explain("make folder", name, err)
	}
	return explain("make folder", name, files.SyncFolder(above))
}

// ReadFile returns the content of the file.
func (d Disk) ReadFile(name string) ([]byte, error) {
	file, err := d.files().Open(name)
	if err != nil {
		return nil, err
	}
	data, err := io.ReadAll(file)
	return data, errors.Join(err, file.Close())
}

// Stat describes the file.
func (d Disk) Stat(name string) (fs.FileInfo, error) { return d.files().Stat(name) }

// ReadOrCreate returns the content of the file, and creates the file if it is missing. It also recreates a blank file,
// which loses nothing, and then returns again as true.
func (d Disk) ReadOrCreate(name string, perm fs.FileMode, content func() ([]byte, error)) (data []byte, again bool,
	err error) {
	data, err = d.ReadFile(name)
	again = err == nil && IsBlank(data)
	if !again && !errors.Is(err, fs.ErrNotExist) {
		return data, false, err
	}
	if data, err = content(); err != nil {
		return nil, false, err
	}
	return data, again, d.WriteFile(name, data, perm)
}

// Open opens the file for reading.
func (d Disk) Open(name string) (io.ReadCloser, error) { return d.files().Open(name) }

// ReadDir returns the names in a folder, without those of incomplete files.
func (d Disk) ReadDir(name string) ([]string, error) {
	names, err := d.files().ReadDir(name)
	return slices.DeleteFunc(names, func(name string) bool { return strings.HasPrefix(name, TempPrefix) }), err
}

// Clean deletes the leftovers of interrupted writes in a folder. No other process may write to the folder at the same
// time.
func (d Disk) Clean(folder string) error {
	names, err := d.files().ReadDir(folder)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	for _, name := range names {
		if strings.HasPrefix(name, TempPrefix) {
			err = errors.Join(err, d.files().Remove(filepath.Join(folder, name)))
		}
	}
	return explain("clean", folder, err)
}

// IsBlank reports whether the content of a file is empty or consists of zero bytes, as a power loss leaves a file that
// was not synced. Nothing can be recovered from it.
func IsBlank(data []byte) bool { return strings.Trim(string(data), "\x00") == "" }

func explain(verb, name string, err error) error {
	if err == nil {
		return nil
	}
	wrapped := fmt.Errorf("%s %s: %w", verb, name, cause(err))
	if errors.Is(err, syscall.ENOSPC) {
		return hint.To(wrapped, "free disk space, and run the command again")
	}
	return wrapped
}

// cause removes the operation and the file name from an error of package os, since the name is the temporary one.
func cause(err error) error {
	path, link := (*fs.PathError)(nil), (*linkError)(nil)
	switch {
	case errors.As(err, &path):
		return path.Err
	case errors.As(err, &link):
		return link.Err
	}
	return err
}

func random() string {
	var text [6]byte
	_, _ = rand.Read(text[:]) // never fails
	return hex.EncodeToString(text[:])
}
