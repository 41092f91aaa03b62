package adopt

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/gofrs/flock"

	"evenkeel/internal/hint"
)

const (
	// unfinished is the subfolder of an adoption that has not written its program yet.
	unfinished = ".keel-adopt"
	// journalVersion is that of the lines below.
	journalVersion = 1
)

// line is a line of the journal: its beginning, a page of entries, the keys of an entry, or the end of reading.
type line struct {
	Version int       `json:"version,omitempty"`
	Host    string    `json:"host,omitempty"`
	Began   time.Time `json:"began,omitzero"`
	// Salt identifies the passphrase of the keys in the lines that follow.
	Salt string `json:"salt,omitempty"`

	Collection string `json:"collection,omitempty"`
	// Entries are a page of the collection, without keys, and Next is where the next page begins. Last is true for the
	// last page.
	Entries []json.RawMessage `json:"entries,omitempty"`
	Next    string            `json:"next,omitempty"`
	Last    bool              `json:"last,omitempty"`
	// IsOlder is true if the service does not support the version of its API that has certificate policies.
	IsOlder bool `json:"isOlder,omitempty"`

	// ID is the entry of the encrypted keys.
	ID        string `json:"id,omitempty"`
	Primary   string `json:"primary,omitempty"`
	Secondary string `json:"secondary,omitempty"`
}

// journal keeps what was read, a line for each answer of the service. A line is on the disk before the next request is
// sent, and an incomplete last line, which a killed run leaves, is removed.
type journal struct {
	folder string
	// lock keeps other processes out. It ends with this process.
	lock    *flock.Flock
	file    *os.File
	lines   []line
	resumed bool
}

// openJournal begins an adoption, or continues the unfinished one of the folder.
func openJournal(o Options, host string) (*journal, error) {
	j := &journal{folder: filepath.Join(o.Folder, unfinished)}
	names, err := disk.ReadDir(o.Folder)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("adopt: %w", err)
	}
	exists := false
	for _, name := range names {
		exists = exists || name == unfinished
	}
	if len(names) > 0 && !exists {
		return nil, hint.To(fmt.Errorf("adopt: the folder %s is not empty", o.Folder),
			"name a new folder: keel adopt --to FOLDER")
	}
	if err := disk.MkdirAll(j.folder, 0o700); err != nil {
		return nil, fmt.Errorf("adopt: %w", err)
	}
	j.lock = flock.New(filepath.Join(j.folder, "lock"))
	if free, err := j.lock.TryLock(); err != nil || !free {
		return nil, errors.Join(fmt.Errorf("adopt: another keel adopt works in the folder %s", o.Folder), err)
	}
	if o.Restart {
		if err := os.Remove(j.name()); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, errors.Join(fmt.Errorf("adopt: %w", err), j.close())
		}
	}
	if err := j.open(host, o.Now()); err != nil {
		return nil, errors.Join(err, j.close())
	}
	if j.resumed {
		o.Report(fmt.Sprintf("continuing the adoption that began at %s; --restart reads everything again",
			j.lines[0].Began.UTC().Format(time.RFC3339)))
	}
	return j, nil
}

func (j *journal) name() string { return filepath.Join(j.folder, "journal.jsonl") }

func (j *journal) open(host string, now time.Time) error {
	file, err := os.OpenFile(j.name(), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return fmt.Errorf("adopt: %w", err)
	}
	j.file = file
	whole, err := j.read()
	if err != nil {
		return err
	}
	if err := file.Truncate(whole); err != nil {
		return fmt.Errorf("adopt: %w", err)
	}
	if _, err := file.Seek(whole, io.SeekStart); err != nil {
		return fmt.Errorf("adopt: %w", err)
	}
	if len(j.lines) == 0 {
		return j.add(line{Version: journalVersion, Host: host, Began: now})
	}
	first := j.lines[0]
	if first.Version != journalVersion {
		return hint.To(fmt.Errorf("adopt: the unfinished adoption in %s is of another version of keel", j.folder),
			"begin again with --restart")
	}
	if !strings.EqualFold(first.Host, host) {
		return hint.To(fmt.Errorf("adopt: the folder has an unfinished adoption of %s, not of %s", first.Host, host),
			"name a new folder with --to, or begin again with --restart")
	}
	j.resumed = len(j.lines) > 1
	return nil
}

// read reads the complete lines, and returns the length of what it read.
func (j *journal) read() (whole int64, err error) {
	reader := bufio.NewReader(j.file)
	for {
		text, err := reader.ReadBytes('\n')
		if errors.Is(err, io.EOF) {
			return whole, nil // the rest is an incomplete line
		}
		if err != nil {
			return 0, fmt.Errorf("adopt: %w", err)
		}
		var one line
		if err := json.Unmarshal(bytes.TrimSpace(text), &one); err != nil {
			return whole, nil // a page of a disk that lost its power; what follows is read again
		}
		whole += int64(len(text))
		j.lines = append(j.lines, one)
	}
}

// add appends a line and waits until it is on the disk.
func (j *journal) add(one line) error {
	text, err := json.Marshal(one)
	if err == nil {
		_, err = j.file.Write(append(text, '\n'))
	}
	if err == nil {
		err = j.file.Sync()
	}
	if err != nil {
		return fmt.Errorf("adopt: write the journal: %w", err)
	}
	j.lines = append(j.lines, one)
	return nil
}

// pages returns the last page that was read of a collection, and the entries of all pages.
func (j *journal) pages(collection string) (last line, entries []json.RawMessage) {
	for _, one := range j.lines {
		if one.Collection == collection && one.ID == "" {
			last, entries = one, append(entries, one.Entries...)
		}
	}
	return last, entries
}

// restart forgets everything that was read.
func (j *journal) restart() error {
	first := j.lines[0]
	j.lines, j.resumed = nil, false
	if err := j.file.Truncate(0); err != nil {
		return fmt.Errorf("adopt: %w", err)
	}
	if _, err := j.file.Seek(0, io.SeekStart); err != nil {
		return fmt.Errorf("adopt: %w", err)
	}
	return j.add(first)
}

func (j *journal) close() error {
	err := j.lock.Unlock()
	if j.file != nil {
		err = errors.Join(err, j.file.Close())
		j.file = nil
	}
	return err
}

// finish removes the journal: the program is complete.
func (j *journal) finish() error {
	if err := errors.Join(j.close(), os.RemoveAll(j.folder)); err != nil {
		return fmt.Errorf("adopt: %w", err)
	}
	return nil
}
