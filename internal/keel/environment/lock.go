package environment

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"evenkeel/internal/hint"
)

// lockFile is what the file backend writes while an operation runs on a stack (pkg/v3/backend/diy/lock.go of v3.250.0).
type lockFile struct {
	PID       int       `json:"pid"`
	Username  string    `json:"username"`
	Hostname  string    `json:"hostname"`
	Timestamp time.Time `json:"timestamp"`
}

// unlock removes locks of dead processes of this machine, and reports whether there was one. A lock whose process may
// be isAlive is an error that names the holder.
func (e *Environment) unlock() (stale bool, err error) {
	backend := e.fileBackend()
	if backend == "" { // only an operation of Pulumi shows such a lock: see Operate
		return false, nil
	}
	project, _, err := e.Folder.Project()
	if err != nil {
		return false, err
	}
	folder := filepath.Join(backend, ".pulumi", "locks", "organization", project, e.Stack)
	files, err := filepath.Glob(filepath.Join(escapeGlob(folder), "*.json"))
	if err != nil {
		return false, fmt.Errorf("find locks of stack %q: %w", e.Stack, err)
	}
	host, err := os.Hostname()
	if err != nil {
		return false, fmt.Errorf("find locks of stack %q: %w", e.Stack, err)
	}
	for _, file := range files {
		var held lockFile
		text, err := os.ReadFile(file)
		if errors.Is(err, os.ErrNotExist) {
			continue
		}
		if err == nil {
			err = json.Unmarshal(text, &held)
		}
		if err != nil {
			return false, fmt.Errorf("read the lock of stack %q: %w", e.Stack, err)
		}
		if held.Hostname != host || isAlive(held.PID) {
			return false, hint.To(
				fmt.Errorf("stack %q is locked by %s on %s (process %d) since %s", e.Stack, held.Username,
					held.Hostname, held.PID,
					held.Timestamp.Local().Format(time.DateTime)),
				"wait for it; if it has ended, remove its lock with: keel exec -- pulumi cancel --yes")
		}
		if err := os.Remove(file); err != nil {
			return false, fmt.Errorf("remove the lock of stack %q: %w", e.Stack, err)
		}
		e.notice("removed the stale lock of a Pulumi process that has ended (process %d, %s)", held.PID,
			held.Timestamp.Local().Format(time.DateTime))
		stale = true
	}
	// Partly written files: in the folder of locks, the backend would treat them as locks.
	state := filepath.Dir(e.stateFile(project))
	for _, pattern := range []string{filepath.Join(escapeGlob(folder), "*.tmp"),
		filepath.Join(escapeGlob(state), e.Stack+".json.*.tmp")} {
		rests, err := filepath.Glob(pattern)
		for _, rest := range rests {
			err = errors.Join(err, os.Remove(rest))
		}
		if err != nil {
			return false, fmt.Errorf("remove temporary files of a killed Pulumi on stack %q: %w", e.Stack, err)
		}
		stale = stale || len(rests) > 0
	}
	return stale, nil
}

// escapeGlob makes a path match only itself.
func escapeGlob(path string) string {
	return strings.NewReplacer(`\`, `\\`, `*`, `\*`, `?`, `\?`, `[`, `\[`).Replace(path)
}
