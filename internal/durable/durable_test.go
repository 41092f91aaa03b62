package durable_test

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"evenkeel/internal/durable"
	"evenkeel/internal/durable/durabletest"
	"evenkeel/internal/hint"
)

var errCut = errors.New("cut")

// TestAFileIsCompleteWheneverThePowerIsCut cuts the power before every operation of a write: until the write returns,
// the old or the new content is there, and afterwards the new one.
func TestAFileIsCompleteWheneverThePowerIsCut(t *testing.T) {
	t.Parallel()
	for _, unsynced := range []bool{false, true} {
		t.Run(fmt.Sprintf("unsynced=%t", unsynced), func(t *testing.T) {
			var ops []string
			for cut := 0; ; cut++ {
				disk := durabletest.New()
				d := durable.Disk{FS: disk}
				if err := d.MkdirAll("a/b", 0o700); err != nil {
					t.Fatal(err)
				}
				if err := d.WriteFile("a/b/file", []byte("old"), 0o600); err != nil {
					t.Fatal(err)
				}
				n, chance := 0, rand.New(rand.NewPCG(uint64(cut), 1))
				if !unsynced {
					chance = nil
				}
				var crashed *durabletest.FS
				disk.Before(func(op string) error {
					if n++; n == cut+1 {
						crashed = disk.Crash(chance)
					}
					ops = append(ops, op)
					return nil
				})
				err := d.WriteFile("a/b/file", []byte("new"), 0o600)
				if err != nil {
					t.Fatal(err)
				}
				if crashed == nil {
					if got := read(t, disk.Crash(chance), "a/b/file"); got != "new" {
						t.Errorf("cut after the write: got %q, want the new content", got)
					}
					if cut < 5 {
						t.Errorf("got %d operations %v, want create, write, sync, rename and sync of the folder", cut,
							ops)
					}
					break
				}
				if got := read(t, crashed, "a/b/file"); got != "old" && got != "new" {
					t.Errorf("cut before operation %d: got %q, want the old or the new content", cut, got)
				}
			}
		})
	}
}

func read(t *testing.T, disk *durabletest.FS, name string) string {
	t.Helper()
	data, err := durable.Disk{FS: disk}.ReadFile(name)
	if err != nil {
		return err.Error()
	}
	return string(data)
}

func TestCreatedAndRemovedFilesStaySo(t *testing.T) {
	t.Parallel()
	disk := durabletest.New()
	d := durable.Disk{FS: disk}
	if err := d.MkdirAll("a/b/c", 0o700); err != nil {
		t.Fatal(err)
	}
	if err := d.CreateFile("a/b/c/once", []byte("1"), 0o600); err != nil {
		t.Fatal(err)
	}
	if got := read(t, disk.Crash(nil), "a/b/c/once"); got != "1" {
		t.Errorf("got %q, want what was created", got)
	}
	if err := d.CreateFile("a/b/c/once", []byte("2"), 0o600); !errors.Is(err, fs.ErrExist) {
		t.Errorf("got %v, want %v", err, fs.ErrExist)
	}
	if got := read(t, disk, "a/b/c/once"); got != "1" {
		t.Errorf("got %q, want the file left alone", got)
	}
	if err := d.Remove("a/b/c/once"); err != nil {
		t.Fatal(err)
	}
	if _, err := (durable.Disk{FS: disk.Crash(nil)}).Stat("a/b/c/once"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("got %v, want no file", err)
	}
	if err := d.Remove("a/b/c/once"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("got %v, want %v", err, fs.ErrNotExist)
	}
}

// TestAWriteThatFailsChangesNothing makes each operation of a write fail in turn.
func TestAWriteThatFailsChangesNothing(t *testing.T) {
	t.Parallel()
	for _, failing := range []string{"create", "write", "sync", "rename"} {
		t.Run(failing, func(t *testing.T) {
			disk := durabletest.New()
			d := durable.Disk{FS: disk}
			if err := d.MkdirAll("dir", 0o700); err != nil {
				t.Fatal(err)
			}
			if err := d.WriteFile("dir/file", []byte("old"), 0o600); err != nil {
				t.Fatal(err)
			}
			disk.Before(func(op string) error {
				if op == failing {
					return errCut
				}
				return nil
			})
			err := d.WriteFile("dir/file", []byte("new"), 0o600)
			if !errors.Is(err, errCut) || !strings.HasPrefix(err.Error(), "write dir/file: ") {
				t.Errorf("%s fails: got %v, want %v after the name", failing, err, errCut)
			}
			disk.Before(nil)
			if got := read(t, disk, "dir/file"); got != "old" {
				t.Errorf("%s fails: got %q, want the old content", failing, got)
			}
			if names, err := disk.ReadDir("dir"); err != nil || len(names) != 1 {
				t.Errorf("%s fails: got the files %q, %v; want no other", failing, names, err)
			}
		})
	}
}

func TestAWriterThatFailsChangesNothing(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "file")
	if err := durable.OS.WriteFile(file, []byte("old"), 0o600); err != nil {
		t.Fatal(err)
	}
	err := durable.OS.Write(file, 0o600, func(w io.Writer) error {
		_, err := fmt.Fprint(w, "half")
		return errors.Join(err, errCut)
	})
	if data, readErr := os.ReadFile(file); !errors.Is(err, errCut) || readErr != nil || string(data) != "old" {
		t.Errorf("got %v and %q, %v; want %v and the old content", err, data, readErr, errCut)
	}
}

func TestTheErrorForAFullDiskHintsAtFreeingSpace(t *testing.T) {
	t.Parallel()
	disk := durabletest.New()
	disk.Fill(true)
	err := durable.Disk{FS: disk}.WriteFile("file", []byte("x"), 0o600)
	if !errors.Is(err, syscall.ENOSPC) || !strings.Contains(hint.Of(err), "free disk space") {
		t.Errorf("got %v with the hint %q, want %v and to free disk space", err, hint.Of(err), syscall.ENOSPC)
	}
}

func TestFilesAreWrittenWithTheirModes(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "deep", "er")
	if err := durable.OS.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	for _, perm := range []fs.FileMode{0o600, 0o400} {
		t.Run(perm.String(), func(t *testing.T) {
			file := filepath.Join(dir, "file")
			for _, text := range []string{"first", "2nd"} {
				if err := durable.OS.WriteFile(file, []byte(text), perm); err != nil {
					t.Fatal(err)
				}
				info, err := os.Stat(file)
				if data, readErr := durable.OS.ReadFile(file); err != nil || readErr != nil ||
					info.Mode().Perm() != perm || string(data) != text {
					t.Errorf("got %q with mode %v, %v, %v; want %q with %v", data, info.Mode(), err, readErr, text,
						perm)
				}
			}
		})
	}
	if err := durable.OS.MkdirAll(filepath.Join(dir, "file"), 0o700); !errors.Is(err, syscall.ENOTDIR) {
		t.Errorf("make a folder where a file is: got %v, want %v", err, syscall.ENOTDIR)
	}
	left := filepath.Join(dir, durable.TempPrefix+"cut-short")
	if err := os.WriteFile(left, []byte("half"), 0o600); err != nil {
		t.Fatal(err)
	}
	if names, err := durable.OS.ReadDir(dir); err != nil || len(names) != 1 {
		t.Errorf("got the files %q, %v; want only the complete one", names, err)
	}
	if err := durable.OS.Clean(dir); err != nil {
		t.Fatal(err)
	}
	if names, err := os.ReadDir(dir); err != nil || len(names) != 1 {
		t.Errorf("got %v, %v; want what was cut short removed", names, err)
	}
}

func TestBlankIsWhatALossOfPowerLeaves(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]bool{"": true, "\x00\x00": true, "\n": false, "\x00a": false} {
		t.Run(fmt.Sprintf("%q", text), func(t *testing.T) {
			if got := durable.IsBlank([]byte(text)); got != want {
				t.Errorf("%q: got %v, want %v", text, got, want)
			}
		})
	}
}
