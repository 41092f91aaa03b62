//go:build acceptance

package acceptance_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	own "evenkeel/acceptance/checkout"
)

// hold is a request that the emulator keeps waiting, as its control port tells of it.
type hold struct {
	ID      string
	State   string
	Request struct{ Method, Path string }
}

// TestAnInterruptedUpIsFinishedByTheNext holds each request that changes something in turn, ends the engine while the request is on its
// way, lets the request go through unseen, and then runs up once more.
func TestAnInterruptedUpIsFinishedByTheNext(t *testing.T) {
	for _, signal := range []syscall.Signal{syscall.SIGKILL, syscall.SIGINT} {
		for _, surface := range []string{"arm", "dps-service"} {
			for n := 1; ; n++ {
				var caught bool
				name := fmt.Sprintf("%v at request %d to %s", signal, n, surface)
				passed := t.Run(name, func(t *testing.T) { caught = interrupt(t, signal, surface, n) })
				if !passed {
					return
				}
				if !caught {
					if n == 1 {
						t.Errorf("no request to %s was held", surface)
					}
					break
				}
			}
		}
	}
}

// interrupt reports whether there was an nth request to hold.
func interrupt(t *testing.T, signal syscall.Signal, surface string, n int) bool {
	own.TearDown(checkout)
	t.Cleanup(func() { own.TearDown(checkout) })
	if _, err := own.Keel(checkout, "emulator", "start"); err != nil {
		t.Fatal(err)
	}
	s, err := own.EmulatorStatus(checkout)
	if err != nil {
		t.Fatal(err)
	}
	held := setHold(t, s.Endpoints.Control, surface, n)
	up, output := start(t, "up")
	ended := make(chan error, 1)
	go func() { ended <- up.Wait() }()
	if !awaitHeld(t, s.Endpoints.Control, held, ended, output) {
		return false
	}
	held = getHold(t, s.Endpoints.Control, held.ID, "")
	t.Logf("held %s %s", held.Request.Method, held.Request.Path)
	endEngine(t, up.Process.Pid, signal)
	if signal == syscall.SIGKILL {
		awaitEnd(t, ended, output)
	}
	release(t, s.Endpoints.Control, held.ID)
	if state := getHold(t, s.Endpoints.Control, held.ID, "done").State; state != "done" {
		t.Fatalf("the held request is %s, want done", state)
	}
	if signal != syscall.SIGKILL {
		awaitEnd(t, ended, output)
	}
	finish(t, s)
	return true
}

// finish runs up again and checks that nothing is doubled, orphaned or left to do.
func finish(t *testing.T, s own.Status) {
	t.Helper()
	for _, args := range [][]string{
		{"up"},
		{"exec", "--", "pulumi", "preview", "--expect-no-changes"},
		{"exec", "--", "pulumi", "refresh", "--yes", "--expect-no-changes"},
	} {
		if _, err := own.Keel(checkout, args...); err != nil {
			t.Fatal(err)
		}
	}
	counts := map[string]int{}
	if err := getJSON(s.Endpoints.Control+"/counts", &counts); err != nil {
		t.Fatal(err)
	}
	for kind, want := range map[string]int{"groups": 1, "hubs": 2, "services": 1, "enrollments": 2, "enrollmentGroups": 1} {
		if counts[kind] != want {
			t.Errorf("got %d %s, want %d", counts[kind], kind, want)
		}
	}
}

// start runs keel in a process group of its own, as a shell would.
func start(t *testing.T, args ...string) (*exec.Cmd, *bytes.Buffer) {
	t.Helper()
	cmd := exec.Command(filepath.Join(checkout, ".evenkeel", "bin", "keel"), args...)
	var output bytes.Buffer
	cmd.Dir, cmd.Stdout, cmd.Stderr = checkout, &output, &output
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) })
	return cmd, &output
}

// endEngine ends Pulumi: by SIGKILL it alone, by SIGINT everything in the foreground, as Ctrl-C does.
func endEngine(t *testing.T, keelPID int, signal syscall.Signal) {
	t.Helper()
	if signal == syscall.SIGINT {
		if err := syscall.Kill(-keelPID, signal); err != nil {
			t.Fatal(err)
		}
		return
	}
	engine := child(keelPID, "pulumi")
	if engine == 0 {
		t.Fatalf("keel, process %d, has no child pulumi", keelPID)
	}
	if err := syscall.Kill(engine, signal); err != nil {
		t.Fatal(err)
	}
}

// child is the process of that name whose parent is parent, or 0.
func child(parent int, name string) int {
	files, _ := filepath.Glob("/proc/[0-9]*/stat")
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			continue // it has ended meanwhile
		}
		open, end := bytes.IndexByte(data, '('), bytes.LastIndexByte(data, ')')
		if open < 0 || end < 0 || string(data[open+1:end]) != name {
			continue
		}
		fields := strings.Fields(string(data[end+1:]))
		if ppid, _ := strconv.Atoi(fields[1]); ppid == parent {
			pid, _ := strconv.Atoi(filepath.Base(filepath.Dir(file)))
			return pid
		}
	}
	return 0
}

// awaitHeld waits until the request is held, or keel has ended well without it.
func awaitHeld(t *testing.T, control string, h hold, ended chan error, output *bytes.Buffer) bool {
	t.Helper()
	deadline := time.Now().Add(3 * time.Minute)
	for time.Now().Before(deadline) {
		if getHold(t, control, h.ID, "held&timeout=500ms").State == "held" {
			return true
		}
		select {
		case err := <-ended:
			if err != nil {
				t.Fatalf("up: %v\n%s", err, output)
			}
			return false
		default:
		}
	}
	t.Fatalf("nothing held and up not done after three minutes:\n%s", output)
	return false
}

func awaitEnd(t *testing.T, ended chan error, output *bytes.Buffer) {
	t.Helper()
	select {
	case err := <-ended:
		if err == nil {
			t.Errorf("an interrupted up says that it succeeded:\n%s", output)
		}
	case <-time.After(2 * time.Minute):
		t.Fatalf("keel does not end after its engine:\n%s", output)
	}
}

func setHold(t *testing.T, control, surface string, n int) hold {
	t.Helper()
	body, err := json.Marshal(map[string]any{"surface": surface, "mutating": true, "nth": n})
	if err != nil {
		t.Fatal(err)
	}
	return exchange(t, http.MethodPost, control+"/holds", body)
}

func getHold(t *testing.T, control, id, await string) hold {
	t.Helper()
	return exchange(t, http.MethodGet, control+"/holds/"+id+"?await="+await, nil)
}

func release(t *testing.T, control, id string) {
	t.Helper()
	exchange(t, http.MethodPost, control+"/holds/"+id+"/release", nil)
}

func exchange(t *testing.T, method, address string, body []byte) hold {
	t.Helper()
	request, err := http.NewRequest(method, address, bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	if response.StatusCode/100 != 2 {
		t.Fatalf("%s %s: %s", method, address, response.Status)
	}
	var h hold
	if response.StatusCode != http.StatusNoContent {
		if err := json.NewDecoder(response.Body).Decode(&h); err != nil {
			t.Fatal(err)
		}
	}
	return h
}
