// Package durable writes small files so that they survive a loss of power: a file has its old or its new content,
// whole, at every moment, and the new one from the moment that the write returned. It is for whatever a later start or
// a client depends on: keys, ports, settings, snapshots.
//
// It does not append, lock or watch, and does not read what it wrote into anything but bytes.
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

// FS is what writing and reading need of a file system. Tests have one that forgets what was not synced.
type FS interface {
	// Create makes a file for writing; one that exists is an error.
	Create(name string, perm fs.FileMode) (File, error)
	Open(name string) (io.ReadCloser, error)
	Stat(name string) (fs.FileInfo, error)
	// ReadDir returns the names that a folder holds.
	ReadDir(name string) ([]string, error)
	Mkdir(name string, perm fs.FileMode) error
	// Rename replaces what has the new name; Link fails when something has it.
	Rename(from, to string) error
	Link(from, to string) error
	Remove(name string) error
	// SyncFolder makes durable which names a folder holds.
	SyncFolder(name string) error
}

// File is a file being written.
type File interface {
	io.Writer
	Sync() error
	Close() error
}

// Disk writes to a file system, the operating system's when FS is nil.
type Disk struct{ FS FS }

// OS writes to the operating system's files.
var OS Disk

func (d Disk) files() FS {
	if d.FS == nil {
		return system{}
	}
	return d.FS
}

// TempPrefix begins the names of files that are not whole yet. One that is left belongs to a write that was cut short,
// and can be removed.
const TempPrefix = ".new-"

// Write replaces the file by what write writes. When it fails, the file is as it was.
func (d Disk) Write(name string, perm fs.FileMode, write func(io.Writer) error) error {
	return d.put(name, perm, write, FS.Rename)
}

// WriteFile replaces the file by data. When it fails, the file is as it was.
func (d Disk) WriteFile(name string, data []byte, perm fs.FileMode) error {
	return d.Write(name, perm, func(w io.Writer) error {
		_, err := w.Write(data)
		return err
	})
}

// CreateFile makes a file that holds data. One that exists is left alone, and the error is fs.ErrExist: of two at once,
// one makes it.
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

// put writes a file under another name, and gives it its own by publish once it is on the disk.
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

// Remove removes the file, so that it does not come back. A missing file is fs.ErrNotExist.
func (d Disk) Remove(name string) error {
	files := d.files()
	err := files.Remove(name)
	if err == nil {
		err = files.SyncFolder(filepath.Dir(name))
	}
	return explain("remove", name, err)
}

// MkdirAll makes the folder and those above it that are missing, durably.
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
	// Another process may make it at the same moment.
	if err := files.Mkdir(name, perm); err != nil && !errors.Is(err, fs.ErrExist) {
		return explain("make folder", name, err)
	}
	return explain("make folder", name, files.SyncFolder(above))
}

// ReadFile returns what the file holds.
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

// ReadOrMake returns what the file holds, and makes it when it is missing. One that is blank is made again, which again
// reports: nothing is lost that the file could have said.
func (d Disk) ReadOrMake(name string, perm fs.FileMode, content func() ([]byte, error)) (data []byte, again bool,
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

// ReadDir returns the names that a folder holds, without those of files that are not whole.
func (d Disk) ReadDir(name string) ([]string, error) {
	names, err := d.files().ReadDir(name)
	return slices.DeleteFunc(names, func(name string) bool { return strings.HasPrefix(name, TempPrefix) }), err
}

// Clean removes from a folder what writes that were cut short left there. Nobody may write to it meanwhile.
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

// IsBlank reports whether a file's content says nothing: it is empty, or zeros alone. That is what a loss of power
// leaves of a file that was not synced. Nothing of what it held can be recovered from it.
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

// cause drops the operation and the name from an error of package os, which would name the temporary file.
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
