// Package shelf keeps named documents: files in a folder that only its owner can read, or memory.
//
// It does not look into them.
package shelf

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

// extension is that of the files.
const extension = ".json"

// Reasons of refusals.
var (
	// ErrName: a name is 1 to 64 letters, digits, dots, hyphens and underscores, and begins with a letter or digit.
	ErrName = errors.New("a name has 1 to 64 letters, digits, '.', '-' and '_', and begins with a letter or digit")
	// ErrAbsent: there is no document of that name.
	ErrAbsent = errors.New("no document of that name")
)

var nameForm = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$`)

// Entry is a document on the shelf.
type Entry struct {
	Name string `json:"name"`
	// Bytes is its size.
	Bytes int64 `json:"bytes"`
	// Saved is when it was written, by the clock of the machine.
	Saved time.Time `json:"saved"`
}

// Shelf is a set of documents. Its methods may be called concurrently.
type Shelf struct {
	disk durable.Disk
	dir  string

	mu     sync.Mutex
	memory map[string]document // without dir
}

type document struct {
	data  []byte
	saved time.Time
}

// New returns the shelf in dir, which is made when something is put there; in memory when dir is empty.
func New(disk durable.Disk, dir string) *Shelf {
	return &Shelf{disk: disk, dir: dir, memory: map[string]document{}}
}

func (s *Shelf) file(name string) string { return filepath.Join(s.dir, name+extension) }

// Put keeps what write writes, in the place of what has that name. When write fails, what was there stays. It returns when the
// document would survive a loss of power.
func (s *Shelf) Put(name string, write func(io.Writer) error) error {
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

// Open reads a document; the caller closes it.
func (s *Shelf) Open(name string) (io.ReadCloser, error) {
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
func (s *Shelf) Delete(name string) error {
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

// List returns the entries by name.
func (s *Shelf) List() ([]Entry, error) {
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
