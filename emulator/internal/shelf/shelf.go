// Package shelf keeps named documents: files in a folder that only its owner can read, or memory.
//
// It does not look into them.
package shelf

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"
)

// extension is that of the files.
const extension = ".json"

// Reasons of refusals.
var (
	// ErrName: a name is 1 to 64 letters, digits, dots, hyphens and underscores, and begins with a letter or digit.
	ErrName = errors.New("a name has 1 to 64 letters, digits, '.', '-' and '_', and begins with a letter or digit")
	// ErrAbsent: there is no document of that name.
	ErrAbsent = errors.New("there is none of that name")
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
	dir string

	mu     sync.Mutex
	memory map[string]document // without dir
}

type document struct {
	data  []byte
	saved time.Time
}

// New returns the shelf in dir, which is made when something is put there; in memory when dir is empty.
func New(dir string) *Shelf { return &Shelf{dir: dir, memory: map[string]document{}} }

func (s *Shelf) file(name string) string { return filepath.Join(s.dir, name+extension) }

// Put keeps what write writes, in the place of what has that name. When write fails, what was there stays. It returns when the
// document would survive a loss of power.
func (s *Shelf) Put(name string, write func(io.Writer) error) (err error) {
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
	if err := os.MkdirAll(s.dir, 0o700); err != nil {
		return fmt.Errorf("make the folder: %w", err)
	}
	f, err := os.CreateTemp(s.dir, ".new-*") // with mode 0600
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			_ = os.Remove(f.Name()) // nothing more to be done about it
		}
	}()
	if err := errors.Join(write(f), f.Sync(), f.Close()); err != nil {
		return err
	}
	if err := os.Rename(f.Name(), s.file(name)); err != nil {
		return err
	}
	return syncFolder(s.dir)
}

// syncFolder makes a rename in it durable.
func syncFolder(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
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
	f, err := os.Open(s.file(name))
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
	err := os.Remove(s.file(name))
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
	files, err := os.ReadDir(s.dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	for _, f := range files {
		name, ok := strings.CutSuffix(f.Name(), extension)
		if !ok || !nameForm.MatchString(name) {
			continue
		}
		info, err := f.Info()
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
