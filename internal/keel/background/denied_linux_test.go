package background_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"evenkeel/internal/hint"
	"evenkeel/internal/keel/background"
)

// withoutPrivileges runs do without the right to bypass permissions: root gives it up for the thread, and other users
// do not have it.
func withoutPrivileges(t *testing.T, do func()) {
	t.Helper()
	if os.Geteuid() != 0 {
		do()
		return
	}
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	// The kernel returns the previous user id even if it changes nothing, so the error is meaningless.
	_, _ = unix.SetfsuidRetUid(65534)
	defer func() { _, _ = unix.SetfsuidRetUid(0) }()
	do()
}

// TestTheProcessOfAnotherUserIsNotReportedAsStopped: without permission to look, keel does not know whether it runs.
func TestTheProcessOfAnotherUserIsNotReportedAsStopped(t *testing.T) {
	t.Parallel()
	for name, closed := range map[string]func(folder string) error{
		"a folder that cannot be entered": func(folder string) error { return os.Chmod(folder, 0) },
		"a lock that cannot be read": func(folder string) error {
			return errors.Join(os.Chmod(folder, 0o755), os.Chmod(filepath.Join(folder, "lock"), 0))
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			folder := filepath.Join(t.TempDir(), "emulator")
			p := background.Process{Folder: folder, Log: filepath.Join(t.TempDir(), "log")}
			release, err := p.Claim()
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = os.Chmod(folder, 0o700); release() })
			for parent := filepath.Dir(folder); strings.HasPrefix(parent, os.TempDir()) &&
				parent != os.TempDir(); parent = filepath.Dir(parent) {
				if err := os.Chmod(parent, 0o755); err != nil { // the test's own folders do not belong to the case
					t.Fatal(err)
				}
			}
			if err := closed(folder); err != nil {
				t.Fatal(err)
			}
			withoutPrivileges(t, func() {
				_, err = p.Find()
				if !errors.Is(err, fs.ErrPermission) || errors.Is(err, background.ErrStopped) ||
					!strings.Contains(hint.Of(err), "as that user") {
					t.Errorf("find: got %v (hint %q), want that it cannot be looked at", err, hint.Of(err))
				}
				if _, err = p.Claim(); !errors.Is(err, fs.ErrPermission) {
					t.Errorf("claim: got %v, want that it is not permitted", err)
				}
			})
		})
	}
}
