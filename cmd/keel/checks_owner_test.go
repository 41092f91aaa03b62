//go:build !windows

package main

import (
	"evenkeel/internal/keel/background"
	"evenkeel/internal/keel/environment"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestTheDoctorKnowsThePassphraseOfAnotherUser(t *testing.T) {
	t.Parallel()
	d := newPatient(t)
	file := d.folder.Passphrase()
	if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
		t.Fatal(err)
	}
	if os.Geteuid() == 0 {
		if err := os.WriteFile(file, []byte("x"), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chown(file, 65534, 65534); err != nil {
			t.Fatal(err)
		}
	} else if err := os.Symlink("/etc/passwd", file); err != nil { // a file of root's
		t.Fatal(err)
	}
	got := d.passphrase(t.Context())
	if got.Verdict != failed || !strings.Contains(got.Detail, "belongs to another user") ||
		got.Hint != otherUserAdvice {
		t.Errorf("got %+v, want that it belongs to another user", got)
	}
}

// TestTheDoctorNamesAMissingLoopbackAddress tries an address that no interface has, as none has 127.0.0.1 where there
// is IPv6 alone.
func TestTheDoctorNamesAMissingLoopbackAddress(t *testing.T) {
	t.Parallel()
	folder := environment.Folder{Root: t.TempDir()}
	d := &diagnosis{folder: folder, process: background.Process{Folder: folder.Background(), Log: folder.Log()},
		host: "192.0.2.1"}
	if err := os.MkdirAll(folder.Emulator(), 0o700); err != nil {
		t.Fatal(err)
	}
	const ports = `{"arm":20001,"data":20002,"mqtt":20003,"control":20004}`
	if err := os.WriteFile(filepath.Join(folder.Emulator(), portFiles[0]), []byte(ports), 0o600); err != nil {
		t.Fatal(err)
	}
	got := d.ports(t.Context())
	if got.Verdict != failed || !strings.Contains(got.Detail, "192.0.2.1") ||
		!strings.Contains(got.Detail, "no network interface") ||
		!strings.Contains(got.Hint, "loopback") || strings.Contains(got.Hint, "--new-ports") {
		t.Errorf("got %+v, want that the address is missing", got)
	}
}
