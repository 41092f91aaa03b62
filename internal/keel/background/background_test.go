package background_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/gofrs/flock"

	"evenkeel/internal/keel/background"
)

// TestMain makes the test binary the background process: "serve" announces itself and ends on SIGTERM, "slow" does so
// half a second later than a start waits for the claim, "stubborn" does not end, "mute" claims the folder and never
// announces itself, "fail" prints an error and ends.
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
	switch role {
	case "mute":
		fmt.Println("process", os.Getpid())
		<-ended
		return 0
	case "slow":
		time.Sleep(1500 * time.Millisecond)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 1
	}
	go func() {
		_ = http.Serve(listener, http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
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
	if err != nil || record.Build == "" || record.Build != background.Fingerprint(self) ||
		record.Build == background.Fingerprint("/bin/sh") {
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
	// As after any kill -9, its record stays until a process finds the lock free.
	if _, err := p.Find(); !errors.Is(err, background.ErrStopped) {
		t.Errorf("got %v, want ErrStopped", err)
	}
	second, started, err := start(t, p, "serve")
	if err != nil || !started || second.PID == first.PID {
		t.Errorf("got %+v, %v, %v, want a new process", second, started, err)
	}
}

func TestTheErrorForAProcessThatDiesHasTheEndOfItsLog(t *testing.T) {
	t.Parallel()
	p := newProcess(t)
	_, _, err := start(t, p, "fail")
	if err == nil || !strings.Contains(err.Error(), "the sky is falling") || !strings.Contains(err.Error(), p.Log) {
		t.Errorf("got %v, want the log and its end", err)
	}
}

// leave writes the record of a process that was killed and whose id another process has now.
func leave(t *testing.T, p background.Process, pid int) {
	t.Helper()
	text := fmt.Sprintf(`{"pid":%d,"started":"2026-01-02T03:04:05Z","ready":"http://127.0.0.1:1"}`, pid)
	err := os.MkdirAll(p.Folder, 0o700)
	for name, text := range map[string]string{"lock": "", "record.json": text} {
		err = errors.Join(err, os.WriteFile(filepath.Join(p.Folder, name), []byte(text), 0o600))
	}
	if err != nil {
		t.Fatal(err)
	}
}

func TestAReusedProcessIDIsNotMistakenForTheProcess(t *testing.T) {
	t.Parallel()
	p := newProcess(t)
	leave(t, p, os.Getpid()) // a signal would end the test
	if stopped, err := p.Stop(t.Context(), time.Second); err != nil || stopped {
		t.Errorf("got %v, %v, want nothing to stop", stopped, err)
	}
	leave(t, p, os.Getpid())
	release, err := p.Claim()
	if err != nil {
		t.Fatal(err)
	}
	defer release()
	if record, err := p.Find(); !errors.Is(err, background.ErrStopped) {
		t.Errorf("claimed and not announced: got %+v, %v, want ErrStopped", record, err)
	}
}

// TestAProbeIsNotMistakenForTheProcess: a short shared lock does not mean that the process runs.
func TestAProbeIsNotMistakenForTheProcess(t *testing.T) {
	t.Parallel()
	p := newProcess(t)
	leave(t, p, os.Getpid())
	look := flock.New(filepath.Join(p.Folder, "lock"))
	if ok, err := look.TryRLock(); err != nil || !ok {
		t.Fatalf("got %v, %v, want the lock shared", ok, err)
	}
	if record, err := p.Find(); !errors.Is(err, background.ErrStopped) {
		t.Errorf("got %+v, %v, want ErrStopped", record, err)
	}
	leave(t, p, os.Getpid())
	if stopped, err := p.Stop(t.Context(), time.Second); err != nil || stopped {
		t.Errorf("got %v, %v, want nothing to stop", stopped, err)
	}
	if err := look.Unlock(); err != nil {
		t.Fatal(err)
	}
}

// TestConcurrentProbesNeverFindADeadProcess: many probes run at once, repeatedly, while the record of a dead process is
// left.
func TestConcurrentProbesNeverFindADeadProcess(t *testing.T) {
	t.Parallel()
	p := newProcess(t)
	for range 20 {
		leave(t, p, os.Getpid())
		var looking sync.WaitGroup
		for range 8 {
			looking.Go(func() {
				for range 50 {
					if record, err := p.Find(); !errors.Is(err, background.ErrStopped) {
						t.Errorf("got %+v, %v, want ErrStopped", record, err)
						return
					}
				}
			})
		}
		looking.Wait()
	}
	if _, started, err := start(t, p, "serve"); err != nil || !started {
		t.Errorf("got %v, %v, want a new process", started, err)
	}
}

// TestAProbeDoesNotPreventAClaim while others probe continuously.
func TestAProbeDoesNotPreventAClaim(t *testing.T) {
	t.Parallel()
	p := newProcess(t)
	leave(t, p, os.Getpid())
	done := make(chan struct{})
	var looking sync.WaitGroup
	for range 4 {
		looking.Go(func() {
			for {
				select {
				case <-done:
					return
				default:
					_, _ = p.Find() // the result is checked in another test
				}
			}
		})
	}
	if _, started, err := start(t, p, "serve"); err != nil || !started {
		t.Errorf("got %v, %v, want it started", started, err)
	}
	close(done)
	looking.Wait()
}

func TestOfTwoConcurrentStartsTheSecondWaits(t *testing.T) {
	t.Parallel()
	p := newProcess(t)
	var starting sync.WaitGroup
	var began atomic.Int32
	var pids sync.Map
	for range 4 {
		starting.Go(func() {
			record, started, err := start(t, p, "slow")
			if err != nil {
				t.Errorf("got %v, want the process that runs", err)
			}
			if started {
				began.Add(1)
			}
			pids.Store(record.PID, true)
		})
	}
	starting.Wait()
	count := 0
	pids.Range(func(any, any) bool { count++; return true })
	if began.Load() != 1 || count != 1 {
		t.Errorf("got %d starts and %d processes, want one", began.Load(), count)
	}
}

// TestAStartWaitsForARunningProcessToBecomeReady: that process was started in another way, such as by hand, and
// takes longer than the child of the second start waits for the claim.
func TestAStartWaitsForARunningProcessToBecomeReady(t *testing.T) {
	t.Parallel()
	p := newProcess(t)
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	first := exec.Command(self, "slow", p.Folder)
	first.Env = append(os.Environ(), "BACKGROUND_TEST=1")
	if err := first.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = first.Process.Kill()
		_ = first.Wait() // it was killed
	})
	record, started, err := start(t, p, "slow")
	if err != nil {
		t.Fatal(err)
	}
	if started != (record.PID != first.Process.Pid) {
		t.Errorf("got process %d, started %v; the first was %d", record.PID, started, first.Process.Pid)
	}
}

func TestAStartThatIsInterruptedLeavesNoProcess(t *testing.T) {
	t.Parallel()
	p := newProcess(t)
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() {
		_, _, err := p.Start(ctx, self, []string{"mute", p.Folder}, append(os.Environ(), "BACKGROUND_TEST=1"))
		ended <- err
	}()
	pid := 0
	for deadline := time.Now().Add(time.Minute); pid == 0; {
		if time.Now().After(deadline) {
			t.Fatal("the process has not claimed its folder after a minute")
		}
		text, err := os.ReadFile(p.Log)
		if _, number, ok := strings.Cut(string(text), "process "); err == nil && ok && strings.HasSuffix(number, "\n") {
			if pid, err = strconv.Atoi(strings.TrimSpace(number)); err != nil {
				t.Fatal(err)
			}
		}
		runtime.Gosched()
	}
	cancel()
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want it interrupted", err)
	}
	if process, err := os.FindProcess(pid); err == nil {
		if err := process.Signal(syscall.Signal(0)); err == nil {
			t.Errorf("process %d is still there", pid)
		}
	}
	if release, err := p.Claim(); err != nil {
		t.Errorf("got %v, want the folder free", err)
	} else {
		release()
	}
}

func TestAnAnnouncementThatCannotBeWrittenIsAnError(t *testing.T) {
	t.Parallel()
	p := newProcess(t)
	release, err := p.Claim()
	if err != nil {
		t.Fatal(err)
	}
	defer release()
	record := filepath.Join(p.Folder, "record.json")
	if err := os.MkdirAll(filepath.Join(record, "in the way"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := p.Announce("http://127.0.0.1:1", nil); err == nil {
		t.Error("got no error")
	}
	if entries, err := os.ReadDir(p.Folder); err != nil || len(entries) != 2 {
		t.Errorf("got %v, %v, want the lock and what is in the way alone", entries, err)
	}
	if err := os.RemoveAll(record); err != nil {
		t.Fatal(err)
	}
	if err := p.Announce("http://127.0.0.1:1", nil); err != nil {
		t.Errorf("got %v", err)
	}
	if found, err := p.Find(); err != nil || found.PID != os.Getpid() {
		t.Errorf("got %+v, %v, want this process", found, err)
	}
	// The cleanup must not end the test binary.
	if err := os.Remove(record); err != nil {
		t.Fatal(err)
	}
}

func TestTheHolderOfAPortIsNamed(t *testing.T) {
	t.Parallel()
	if runtime.GOOS != "linux" {
		t.Skip("only Linux reports the holder")
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
		t.Errorf("closed port: got %q, want no holder", got)
	}
}
