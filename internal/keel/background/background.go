// Package background keeps one detached process per folder: it starts it, waits until it is ready, finds it again from
// another command, and ends it.
//
// The process holds a file lock while it runs. The system releases the lock even after a crash or kill -9, so another
// process that gets its id is never mistaken for it. Commands that look for the process share the lock for a moment,
// and are not mistaken for it either. The process's record exists only while the process holds the lock, or until a
// command finds the lock free. The package does not know what the process does.
package background

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/gofrs/flock"

	"evenkeel/internal/durable"
	"evenkeel/internal/hint"
)

// ErrStopped is the cause when the process does not run.
var ErrStopped = errors.New("it is not running")

// Process is the background process of a folder.
type Process struct {
	// Folder holds the lock and the record; it is made when needed.
	Folder string
	// Log is the file that the process writes to. It is appended to.
	Log string
}

// Record is what the process writes about itself once it is ready.
type Record struct {
	PID     int       `json:"pid"`
	Started time.Time `json:"started"`
	// Build is the Fingerprint of its program when it started.
	Build string `json:"build"`
	// Ready is a URL that answers 200 while the process works.
	Ready string `json:"ready"`
	// Detail belongs to the process. It must contain no secret.
	Detail json.RawMessage `json:"detail"`
}

func (p Process) lockFile() string   { return filepath.Join(p.Folder, "lock") }
func (p Process) recordFile() string { return filepath.Join(p.Folder, "record.json") }

// Claim makes the calling process the background process of the folder, until it ends or calls release.
func (p Process) Claim() (release func(), err error) {
	if err := os.MkdirAll(p.Folder, 0o700); err != nil {
		return nil, fmt.Errorf("claim %s: %w", p.Folder, err)
	}
	deadline := time.Now().Add(claimPatience)
	for {
		// Remove an old record before taking the lock: other processes that find the lock taken trust the record.
		free, err := p.free()
		lock := flock.New(p.lockFile())
		if err == nil && free {
			free, err = lock.TryLock()
		}
		switch {
		case err != nil:
			return nil, fmt.Errorf("claim %s: %w", p.Folder, err)
		case free && !exists(p.recordFile()):
			return func() { _, _ = os.Remove(p.recordFile()), lock.Unlock() }, nil
		case free: // of a process that came and died in between
			err = lock.Unlock()
		}
		if err != nil || time.Now().After(deadline) {
			return nil, hint.To(errors.Join(fmt.Errorf("claim %s: another process holds it", p.Folder), err),
				"see it with: keel emulator status")
		}
		time.Sleep(10 * time.Millisecond)
	}
}

// claimPatience is how long a process tries to get the lock: those who look hold it for a moment.
const claimPatience = time.Second

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

// Announce writes the record of the calling process, which has claimed the folder: from now on others find it.
func (p Process) Announce(ready string, detail any) error {
	raw, err := json.Marshal(detail)
	if err != nil {
		return fmt.Errorf("announce: %w", err)
	}
	self, err := os.Executable()
	if err != nil {
		return fmt.Errorf("announce: %w", err)
	}
	text, err := json.MarshalIndent(Record{PID: os.Getpid(), Build: Fingerprint(self), Started: time.Now().UTC(),
		Ready: ready, Detail: raw}, "", "  ")
	if err != nil {
		return fmt.Errorf("announce: %w", err)
	}
	if err := durable.OS.WriteFile(p.recordFile(), text, 0o600); err != nil {
		return fmt.Errorf("announce: %w", err)
	}
	return nil
}

// Fingerprint identifies a build of a Go program by its size and its beginning, where the linker writes the build id.
// The time of the file identifies nothing: the go command renews it without a change. It is "" for an unreadable file.
func Fingerprint(program string) string {
	file, err := os.Open(program)
	if err != nil {
		return ""
	}
	defer func() { _ = file.Close() }()
	info, err := file.Stat()
	if err != nil {
		return ""
	}
	hash := sha256.New()
	fmt.Fprintln(hash, info.Size())
	if _, err := io.CopyN(hash, file, 32<<10); err != nil && !errors.Is(err, io.EOF) {
		return ""
	}
	return hex.EncodeToString(hash.Sum(nil)[:8])
}

// Find returns the record of the running process. The error is ErrStopped when nothing runs or what runs is not ready
// yet. A folder that belongs to another user cannot be examined: the error is fs.ErrPermission then, and not
// ErrStopped.
func (p Process) Find() (Record, error) {
	free, err := p.free()
	if errors.Is(err, fs.ErrPermission) {
		return Record{}, err
	}
	if err != nil || free {
		return Record{}, errors.Join(ErrStopped, err)
	}
	var record Record
	text, err := os.ReadFile(p.recordFile())
	if errors.Is(err, fs.ErrNotExist) {
		return Record{}, ErrStopped
	}
	if err == nil {
		err = json.Unmarshal(text, &record)
	}
	if err != nil {
		return Record{}, fmt.Errorf("read the record of the background process: %w", err)
	}
	return record, nil
}

// free reports whether no process runs. It removes the record of a dead process: while the lock is shared, no process
// can be announcing itself.
func (p Process) free() (bool, error) {
	switch _, err := os.Stat(p.lockFile()); {
	case errors.Is(err, fs.ErrPermission):
		return false, denied(err)
	case err != nil:
		return true, nil
	}
	look := flock.New(p.lockFile())
	ok, err := look.TryRLock()
	if errors.Is(err, fs.ErrPermission) {
		return false, denied(err)
	}
	if err != nil {
		return false, fmt.Errorf("look for the background process: %w", err)
	}
	if !ok {
		return false, nil
	}
	err = os.Remove(p.recordFile())
	if errors.Is(err, fs.ErrNotExist) {
		err = nil
	}
	return true, errors.Join(err, look.Unlock())
}

// denied is the error of a folder that the calling user may not read.
func denied(err error) error {
	return hint.To(fmt.Errorf("look for the background process: the folder belongs to another user: %w", err),
		"run the command as that user, or in a checkout of your own")
}

// Check asks the running process whether it works.
func (r Record) Check(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, r.Ready, nil)
	if err != nil {
		return fmt.Errorf("ask whether it is ready: %w", err)
	}
	// No proxy: the address is on this machine.
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	response, err := client.Do(request)
	if err != nil {
		return fmt.Errorf("ask whether it is ready: %w", err)
	}
	defer func() { _ = response.Body.Close() }()
	if response.StatusCode != http.StatusOK {
		text, _ := io.ReadAll(io.LimitReader(response.Body, 1<<10))
		return fmt.Errorf("ask whether it is ready: %s: %s", response.Status, strings.TrimSpace(string(text)))
	}
	return nil
}
