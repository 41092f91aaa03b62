package background_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/signal"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"evenkeel/internal/background"
)

// TestMain lets the test binary play the background process: "serve" announces itself and ends on SIGTERM, "stubborn" does not end,
// "fail" complains and dies.
func TestMain(m *testing.M) {
	if len(os.Args) == 3 && os.Getenv("BACKGROUND_TEST") != "" {
		os.Exit(play(os.Args[1], os.Args[2]))
	}
	os.Exit(m.Run())
}

func play(role, folder string) int {
	fmt.Println("role", role)
	if role == "fail" {
		fmt.Println("the sky is falling")
		return 1
	}
	ended := make(chan os.Signal, 1)
	signal.Notify(ended, syscall.SIGTERM)
	process := background.Process{Folder: folder}
	release, err := process.Claim()
	if err != nil {
		fmt.Println(err)
		return 1
	}
	defer release()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 1
	}
	go func() {
		_ = http.Serve(listener, http.HandlerFunc(func(http.ResponseWriter, *http.Request) {})) // ends with the process
	}()
	if err := process.Announce("http://"+listener.Addr().String(), map[string]string{"role": role}); err != nil {
		return 1
	}
	for range ended {
		if role != "stubborn" {
			return 0
		}
	}
	return 0
}

func newProcess(t *testing.T) background.Process {
	t.Helper()
	folder := t.TempDir()
	p := background.Process{Folder: filepath.Join(folder, "run"), Log: filepath.Join(folder, "logs", "log")}
	t.Cleanup(func() {
		if _, err := p.Stop(context.Background(), time.Second); err != nil {
			t.Errorf("stop: %v", err)
		}
	})
	return p
}

func start(t *testing.T, p background.Process, role string) (background.Record, bool, error) {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	return p.Start(t.Context(), self, []string{role, p.Folder}, append(os.Environ(), "BACKGROUND_TEST=1"))
}

func TestAProcessIsStartedOnceFoundAndStopped(t *testing.T) {
	t.Parallel()
	p := newProcess(t)
	if _, err := p.Find(); !errors.Is(err, background.ErrStopped) {
		t.Errorf("before the start: got %v, want ErrStopped", err)
	}
	record, started, err := start(t, p, "serve")
	if err != nil || !started {
		t.Fatalf("got %v, %v, want it started", started, err)
	}
	if record.PID == os.Getpid() || !strings.Contains(string(record.Detail), "serve") {
		t.Errorf("got %+v, want the child's record", record)
	}
	self, err := os.Executable()
	if err != nil || record.Build == "" || record.Build != background.Fingerprint(self) || record.Build == background.Fingerprint("/bin/sh") {
		t.Errorf("got build %q, %v, want that of the test alone", record.Build, err)
	}
	again, started, err := start(t, p, "serve")
	if err != nil || started || again.PID != record.PID {
		t.Errorf("second start: got %+v, %v, %v, want the first process", again, started, err)
	}
	stopped, err := p.Stop(t.Context(), 10*time.Second)
	if err != nil || !stopped {
		t.Errorf("stop: got %v, %v, want it stopped", stopped, err)
	}
	if stopped, err := p.Stop(t.Context(), time.Second); err != nil || stopped {
		t.Errorf("stop again: got %v, %v, want nothing to stop", stopped, err)
	}
}

func TestAStubbornProcessIsKilledAndAKilledOneIsReplaced(t *testing.T) {
	t.Parallel()
	p := newProcess(t)
	first, _, err := start(t, p, "stubborn")
	if err != nil {
		t.Fatal(err)
	}
	if stopped, err := p.Stop(t.Context(), 100*time.Millisecond); err != nil || !stopped {
		t.Fatalf("got %v, %v, want it killed", stopped, err)
	}
	// Its record is left over, as after any kill -9.
	if _, err := os.Stat(filepath.Join(p.Folder, "record.json")); err != nil {
		t.Fatalf("got %v, want a stale record", err)
	}
	if _, err := p.Find(); !errors.Is(err, background.ErrStopped) {
		t.Errorf("got %v, want ErrStopped", err)
	}
	second, started, err := start(t, p, "serve")
	if err != nil || !started || second.PID == first.PID {
		t.Errorf("got %+v, %v, %v, want a new process", second, started, err)
	}
}

func TestAProcessThatDiesShowsTheEndOfItsLog(t *testing.T) {
	t.Parallel()
	p := newProcess(t)
	_, _, err := start(t, p, "fail")
	if err == nil || !strings.Contains(err.Error(), "the sky is falling") || !strings.Contains(err.Error(), p.Log) {
		t.Errorf("got %v, want the log and its end", err)
	}
}

func TestTheHolderOfAPortIsNamed(t *testing.T) {
	t.Parallel()
	if runtime.GOOS != "linux" {
		t.Skip("only Linux tells")
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	port := listener.Addr().(*net.TCPAddr).Port
	if got, want := background.Holder(port), fmt.Sprintf("(process %d)", os.Getpid()); !strings.Contains(got, want) {
		t.Errorf("got %q, want %q in it", got, want)
	}
	if err := listener.Close(); err != nil {
		t.Fatal(err)
	}
	if got := background.Holder(port); got != "" {
		t.Errorf("closed port: got %q, want nobody", got)
	}
}
