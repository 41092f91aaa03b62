package state

import (
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"io/fs"
	"slices"
	"strings"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// noteFile is written on a clean stop and describes the store's files. The next start compares the files with it and
// removes it. Without it, damage to the end of the log looks like a write that a kill interrupted.
const noteFile = "closed.json"

// note is the content of noteFile.
type note struct {
	Files map[string]fileNote `json:"files"`
	// Sum is the checksum of Files, in JSON.
	Sum uint32 `json:"sum"`
}

// fileNote describes a file.
type fileNote struct {
	Bytes int64 `json:"bytes"`
	// Sum is the checksum of its content. Tables, which are most of a store, have checksums for every block, which
	// reads verify.
	Sum uint32 `json:"sum,omitempty"`
}

func (n note) sum() (uint32, error) {
	data, err := json.Marshal(n.Files)
	return crc32.ChecksumIEEE(data), err
}

// writeNote describes the files of the closed database. If a full disk prevents the note, the next start treats the
// store as after a kill.
func (s *store) writeNote() {
	n := note{Files: map[string]fileNote{}}
	names, err := s.disk.List(s.dir)
	for _, name := range names {
		if err == nil && isStoreFile(name) {
			n.Files[name], err = s.describe(name)
		}
	}
	if err == nil {
		n.Sum, err = n.sum()
	}
	var data []byte
	if err == nil {
		data, err = json.MarshalIndent(n, "", " ")
	}
	if err == nil {
		err = s.writeDurably(noteFile, data)
	}
	if err != nil {
		s.logger.Warn("cannot record the state of the store's files: the next start detects less damage",
			"error", err)
	}
}

// checkNote compares the files with the note of the last stop, if that was clean, and removes the note.
func (s *store) checkNote(names []string) error {
	if !slices.Contains(names, noteFile) {
		return nil
	}
	data, err := s.read(noteFile)
	if err != nil {
		return err
	}
	var n note
	sum := uint32(0)
	if err = json.Unmarshal(data, &n); err == nil {
		sum, err = n.sum()
	}
	if err != nil || sum != n.Sum {
		s.logger.Warn("the record of the last stop is damaged: the store's files are not compared with it", "file",
			s.disk.PathJoin(s.dir, noteFile))
		n.Files = nil
	}
	if n.Files != nil {
		if err := s.compare(n, names); err != nil {
			return err
		}
	}
	return errors.Join(s.disk.FS.Remove(s.disk.PathJoin(s.dir, noteFile)), s.syncFolder())
}

func (s *store) compare(n note, names []string) error {
	for _, name := range names {
		if _, noted := n.Files[name]; !noted && isStoreFile(name) {
			return fmt.Errorf("%w (%s did not exist when the emulator stopped)", ErrCorrupt, name)
		}
	}
	for name, was := range n.Files {
		is, err := s.describe(name)
		switch {
		case errors.Is(err, fs.ErrNotExist):
			return fmt.Errorf("%w (%s is missing)", ErrCorrupt, name)
		case err != nil:
			return err
		case is.Bytes != was.Bytes:
			return fmt.Errorf("%w (%s has %d bytes, and had %d when the emulator stopped)", ErrCorrupt, name,
				is.Bytes, was.Bytes)
		case is.Sum != was.Sum:
			return fmt.Errorf("%w (%s has changed since the emulator stopped)", ErrCorrupt, name)
		}
	}
	return nil
}

func (s *store) describe(name string) (fileNote, error) {
	if strings.HasSuffix(name, tableSuffix) {
		info, err := s.disk.Stat(s.disk.PathJoin(s.dir, name))
		if err != nil {
			return fileNote{}, err
		}
		return fileNote{Bytes: info.Size()}, nil
	}
	data, err := s.read(name)
	return fileNote{Bytes: int64(len(data)), Sum: crc32.Checksum(data, castagnoli)}, err
}

func (s *store) read(name string) ([]byte, error) {
	f, err := s.disk.Open(s.disk.PathJoin(s.dir, name))
	if err != nil {
		return nil, err
	}
	data, err := io.ReadAll(f)
	return data, errors.Join(err, f.Close())
}

// writeDurably writes a file of the store's folder, completely or not at all.
func (s *store) writeDurably(name string, data []byte) error {
	files, path := s.disk.FS, s.disk.PathJoin(s.dir, name)
	temp := path + ".new"
	f, err := files.Create(temp, vfs.WriteCategoryUnspecified)
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	if err = errors.Join(err, f.Sync(), f.Close()); err == nil {
		err = files.Rename(temp, path)
	}
	if err != nil {
		_ = files.Remove(temp)
		return err
	}
	return s.syncFolder()
}

func (s *store) syncFolder() error {
	folder, err := s.disk.FS.OpenDir(s.dir)
	if err != nil {
		return err
	}
	return errors.Join(folder.Sync(), folder.Close())
}
