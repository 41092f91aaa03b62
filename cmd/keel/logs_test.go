package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"evenkeel/internal/await"
)

// TestFollowingALogMissesNoLine while the log is removed, replaced and truncated.
func TestFollowingALogMissesNoLine(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "emulator.log")
	open := func(flags int) *os.File {
		t.Helper()
		f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_APPEND|flags, 0o600)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = f.Close() })
		return f
	}
	write := func(f *os.File, text string) {
		t.Helper()
		if _, err := f.WriteString(text); err != nil {
			t.Fatal(err)
		}
	}
	first := open(0)
	write(first, "line 0\nline 1\nli")
	log, err := openLog(path)
	if err != nil {
		t.Fatal(err)
	}
	lines := make(chan string, 100)
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- log.follow(ctx, func(line string) error { lines <- line; return nil }) }()
	n := 0
	want := func(count int) {
		t.Helper()
		for range count {
			if got, want := await.Next(t, lines, fmt.Sprint("line ", n)), fmt.Sprintf("line %d\n", n); got != want {
				t.Fatalf("got %q, want %q", got, want)
			}
			n++
		}
	}
	want(2)
	write(first, "ne 2\n")
	want(1)

	// Another file replaces it; lines that are still written to the old one are not lost.
	if err := os.Rename(path, path+".1"); err != nil {
		t.Fatal(err)
	}
	write(first, "line 3\n")
	second := open(0)
	write(second, "line 4\nline 5\n")
	want(3)

	// It is truncated, and grows to less than was read.
	if err := second.Truncate(0); err != nil {
		t.Fatal(err)
	}
	write(second, "line 6\n")
	want(1)

	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	write(open(0), "line 7\n")
	want(1)
	stop()
	if err := await.Next(t, ended, "the end of the follower"); err != nil {
		t.Errorf("got %v when it was interrupted, want no error", err)
	}
	if len(lines) != 0 {
		t.Errorf("got %q once more", <-lines)
	}
}

func TestALogIsPrintedToItsEnd(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "emulator.log")
	if err := os.WriteFile(path, []byte("one\ntwo\nthe last words"), 0o600); err != nil {
		t.Fatal(err)
	}
	log, err := openLog(path)
	if err != nil {
		t.Fatal(err)
	}
	defer log.file.Close()
	var printed strings.Builder
	if err := log.print(func(line string) error { printed.WriteString(line); return nil }); err != nil {
		t.Fatal(err)
	}
	if got, want := printed.String(), "one\ntwo\nthe last words"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}
