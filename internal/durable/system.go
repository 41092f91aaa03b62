package durable

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"runtime"
)

type linkError = os.LinkError

// system is the operating system's file system.
type system struct{}

func (system) Create(name string, perm fs.FileMode) (File, error) {
	return os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, perm)
}

func (system) Open(name string) (io.ReadCloser, error)   { return os.Open(name) }
func (system) Stat(name string) (fs.FileInfo, error)     { return os.Stat(name) }
func (system) Mkdir(name string, perm fs.FileMode) error { return os.Mkdir(name, perm) }
func (system) Rename(from, to string) error              { return os.Rename(from, to) }
func (system) Link(from, to string) error                { return os.Link(from, to) }
func (system) Remove(name string) error                  { return os.Remove(name) }

func (system) ReadDir(name string) ([]string, error) {
	entries, err := os.ReadDir(name)
	names := make([]string, len(entries))
	for i, entry := range entries {
		names[i] = entry.Name()
	}
	return names, err
}

// SyncFile makes durable what another program wrote to a file.
func SyncFile(name string) error {
	file, err := os.Open(name)
	if err != nil {
		return explain("sync", name, err)
	}
	err = file.Sync()
	if runtime.GOOS == "windows" {
		err = nil // which syncs no file that is open for reading
	}
	return explain("sync", name, errors.Join(err, file.Close()))
}

func (system) SyncFolder(name string) error {
	if runtime.GOOS == "windows" {
		return nil // folders cannot be synced there; NTFS keeps names in a journal
	}
	folder, err := os.Open(name)
	if err != nil {
		return err
	}
	return errors.Join(folder.Sync(), folder.Close())
}
