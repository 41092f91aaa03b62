// Package documents keeps named documents, either in memory or as files in a folder that only its owner can read. It
// does not read their content.
package documents

import (
	"bytes"
	"errors"
	"io"
	"io/fs"
	"maps"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"

	"evenkeel/internal/durable"
)

// extension is the extension of the files.
const extension = ".json"

// Reasons why a call is refused.
var (
	// ErrName reports an invalid name.
	ErrName = errors.New("a name has 1 to 64 letters, digits, '.', '-' and '_', and begins with a letter or digit")
	// ErrAbsent reports that no document has that name.
	ErrAbsent = errors.New("nothing is saved under that name")
)

var nameForm = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$`)

// Entry describes a document.
type Entry struct {
	Name string `json:"name"`
	// Bytes is the size of the document.
	Bytes int64 `json:"bytes"`
	// Saved is when the document was written, by the machine's clock.
	Saved time.Time `json:"saved"`
}

// Folder is a set of named documents. Its methods may be called concurrently.
type Folder struct {
	disk durable.Disk
	dir  string

	mu     sync.Mutex
	memory map[string]document // without dir
}

type document struct {
	data  []byte
	saved time.Time
}

// NewFolder returns the documents in dir, or documents in memory if dir is empty. Put creates dir if it does not exist.
func NewFolder(disk durable.Disk, dir string) *Folder {
	return &Folder{disk: disk, dir: dir, memory: map[string]document{}}
}

func (s *Folder) file(name string) string { return filepath.Join(s.dir, name+extension) }

// Put stores what write writes under name and replaces a document of that name. If write fails, the old document
// remains. When Put returns, the document survives a power failure.
func (s *Folder) Put(name string, write func(io.Writer) error) error {
	if !nameForm.MatchString(name) {
		return ErrName
	}
	if s.dir == "" {
		var b bytes.Buffer
		if err := write(&b); err != nil {
			return err
		}
		s.mu.Lock()
		defer s.mu.Unlock()
		s.memory[name] = document{b.Bytes(), time.Now()}
		return nil
	}
	if err := s.disk.MkdirAll(s.dir, 0o700); err != nil {
		return err
	}
	return s.disk.Write(s.file(name), 0o600, write)
}

// Open opens a document for reading. The caller must close it.
func (s *Folder) Open(name string) (io.ReadCloser, error) {
	if !nameForm.MatchString(name) {
		return nil, ErrName
	}
	if s.dir == "" {
		s.mu.Lock()
		defer s.mu.Unlock()
		d, ok := s.memory[name]
		if !ok {
			return nil, ErrAbsent
		}
		return io.NopCloser(bytes.NewReader(d.data)), nil
	}
	f, err := s.disk.Open(s.file(name))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, ErrAbsent
	}
	return f, err
}

// Delete removes a document.
func (s *Folder) Delete(name string) error {
	if !nameForm.MatchString(name) {
		return ErrName
	}
	if s.dir == "" {
		s.mu.Lock()
		defer s.mu.Unlock()
		if _, ok := s.memory[name]; !ok {
			return ErrAbsent
		}
		delete(s.memory, name)
		return nil
	}
	err := s.disk.Remove(s.file(name))
	if errors.Is(err, fs.ErrNotExist) {
		return ErrAbsent
	}
	return err
}

// List returns all documents, sorted by name.
func (s *Folder) List() ([]Entry, error) {
	entries := []Entry{}
	if s.dir == "" {
		s.mu.Lock()
		defer s.mu.Unlock()
		for _, name := range slices.Sorted(maps.Keys(s.memory)) {
			d := s.memory[name]
			entries = append(entries, Entry{name, int64(len(d.data)), d.saved.UTC()})
		}
		return entries, nil
	}
	files, err := s.disk.ReadDir(s.dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	for _, f := range files {
		name, ok := strings.CutSuffix(f, extension)
		if !ok || !nameForm.MatchString(name) {
			continue
		}
		info, err := s.disk.Stat(s.file(name))
		if errors.Is(err, fs.ErrNotExist) {
			continue // deleted meanwhile
		}
		if err != nil {
			return nil, err
		}
		entries = append(entries, Entry{name, info.Size(), info.ModTime().UTC()})
	}
	return entries, nil
}
