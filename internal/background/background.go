// Package background keeps one detached process per folder: it starts it, waits until it is ready, finds it again from another
// command, and ends it.
//
// The process proves that it is alive by a file lock it holds, which a crash or kill -9 releases, so a process number that was given
// to somebody else is never taken for it. The package does not know what the process does.
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
	"os/exec"
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
	// Detail is the process's own; no secret stands in it.
	Detail json.RawMessage `json:"detail"`
}

func (p Process) lockFile() string   { return filepath.Join(p.Folder, "lock") }
func (p Process) recordFile() string { return filepath.Join(p.Folder, "record.json") }

// Claim makes the calling process the background process of the folder, until it ends or calls release.
func (p Process) Claim() (release func(), err error) {
	if err := os.MkdirAll(p.Folder, 0o700); err != nil {
		return nil, fmt.Errorf("claim %s: %w", p.Folder, err)
	}
	// Those who look whether somebody runs hold the lock for a moment: so try for a while.
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	lock := flock.New(p.lockFile())
	ok, err := lock.TryLockContext(ctx, 10*time.Millisecond)
	if err != nil && ctx.Err() == nil {
		return nil, fmt.Errorf("claim %s: %w", p.Folder, err)
	}
	if !ok {
		return nil, hint.To(fmt.Errorf("claim %s: another process runs there", p.Folder), "see it with: keel emulator status")
	}
	if err := os.Remove(p.recordFile()); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, errors.Join(fmt.Errorf("claim %s: %w", p.Folder, err), lock.Unlock())
	}
	return func() { _, _ = os.Remove(p.recordFile()), lock.Unlock() }, nil
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
	text, err := json.MarshalIndent(Record{PID: os.Getpid(), Build: Fingerprint(self), Started: time.Now().UTC(), Ready: ready, Detail: raw}, "", "  ")
	if err != nil {
		return fmt.Errorf("announce: %w", err)
	}
	if err := durable.OS.WriteFile(p.recordFile(), text, 0o600); err != nil {
		return fmt.Errorf("announce: %w", err)
	}
	return nil
}

// Fingerprint tells builds of a Go program apart by its size and its beginning, where the linker writes the build id. (The time of the
// file does not: the go command renews it without a change.) It is "" for a file that cannot be read.
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

// Find returns the record of the running process. The error is ErrStopped when nothing runs or what runs is not ready yet.
func (p Process) Find() (Record, error) {
	if free, err := p.free(); err != nil || free {
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

// free reports whether nobody holds the lock.
func (p Process) free() (bool, error) {
	if _, err := os.Stat(p.lockFile()); errors.Is(err, fs.ErrNotExist) {
		return true, nil
	}
	lock := flock.New(p.lockFile())
	ok, err := lock.TryLock()
	if err != nil {
		return false, fmt.Errorf("look for the background process: %w", err)
	}
	if ok {
		return true, lock.Unlock()
	}
	return false, nil
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

// Start runs the command detached from this process and its terminal, with its output in Log, and returns once it is ready. When
// the process ends before, the error holds the end of its log. A process that already runs is returned as it is.
func (p Process) Start(ctx context.Context, name string, args, env []string) (record Record, started bool, err error) {
	if record, err := p.Find(); err == nil && record.Check(ctx) == nil {
		return record, false, nil
	}
	if err := os.MkdirAll(filepath.Dir(p.Log), 0o700); err != nil {
		return Record{}, false, fmt.Errorf("start the background process: %w", err)
	}
	log, err := os.OpenFile(p.Log, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		return Record{}, false, fmt.Errorf("start the background process: %w", err)
	}
	defer func() { _ = log.Close() }()
	begin, _ := log.Seek(0, io.SeekEnd)
	cmd := exec.Command(name, args...) // no context: it outlives this command
	cmd.Stdout, cmd.Stderr, cmd.Env, cmd.SysProcAttr = log, log, env, detached()
	if err := cmd.Start(); err != nil {
		return Record{}, false, fmt.Errorf("start the background process: %w", err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	record, err = p.await(ctx, cmd.Process.Pid, ended, begin)
	return record, err == nil, err
}

func (p Process) await(ctx context.Context, pid int, ended <-chan error, begin int64) (Record, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, time.Minute, errors.New("it is not ready after a minute"))
	defer cancel()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return Record{}, fmt.Errorf("start the background process: %w\n%s", context.Cause(ctx), p.since(begin))
		case err := <-ended:
			// Another command may have won the race to start it: then that one's process is as good.
			if record, findErr := p.Find(); findErr == nil && record.Check(ctx) == nil {
				return record, nil
			}
			return Record{}, fmt.Errorf("start the background process: it ended at once (%v); its log %s ends with\n%s", err, p.Log, p.since(begin))
		case <-tick.C:
			if record, err := p.Find(); err == nil && record.PID == pid && record.Check(ctx) == nil {
				return record, nil
			}
		}
	}
}

// since returns what the log holds after an offset: its last 2,000 bytes.
func (p Process) since(begin int64) string {
	log, err := os.Open(p.Log)
	if err != nil {
		return ""
	}
	defer func() { _ = log.Close() }()
	if info, err := log.Stat(); err == nil {
		begin = max(begin, info.Size()-2000)
	}
	text, _ := io.ReadAll(io.NewSectionReader(log, begin, 2000))
	return strings.TrimSpace(string(text))
}

// Stop asks the process to end and waits until it has; one that does not within the time is killed. Nothing running is no error:
// stopped is false then.
func (p Process) Stop(ctx context.Context, patience time.Duration) (stopped bool, err error) {
	record, err := p.Find()
	if errors.Is(err, ErrStopped) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	process, err := os.FindProcess(record.PID)
	if err != nil {
		return false, fmt.Errorf("stop process %d: %w", record.PID, err)
	}
	defer func() { _ = process.Release() }()
	if err := process.Signal(terminate); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return false, fmt.Errorf("stop process %d: %w", record.PID, err)
	}
	gentle, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	if err = p.awaitEnd(gentle); err == nil || ctx.Err() != nil {
		return err == nil, err
	}
	if err := process.Kill(); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return false, fmt.Errorf("kill process %d: %w", record.PID, err)
	}
	last, cancelLast := context.WithTimeout(ctx, patience)
	defer cancelLast()
	err = p.awaitEnd(last)
	return err == nil, err
}

// awaitEnd returns when the lock is free.
func (p Process) awaitEnd(ctx context.Context) error {
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		if free, err := p.free(); err != nil || free {
			return err
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("wait for the end of the background process: %w", ctx.Err())
		case <-tick.C:
		}
	}
}
