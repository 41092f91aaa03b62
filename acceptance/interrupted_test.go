//go:build acceptance

package acceptance_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
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

// hold is a request that the emulator holds back, as its control port describes it.
type hold struct {
	ID      string
	State   string
	Request struct{ Method, Path string }
}

// interruption is a command to interrupt, with what precedes it and the check after the command has run again.
type interruption struct {
	command []string
	// surfaces are the interfaces at which the command changes something.
	surfaces []string
	before   func(*testing.T)
	finish   func(*testing.T, own.Status)
}

// TestAnInterruptedUpIsFinishedByTheNext holds back each request that changes something in turn, ends the engine during
// the request, lets the request complete unseen, and then runs up again.
func TestAnInterruptedUpIsFinishedByTheNext(t *testing.T) {
	interruptEverywhere(t, interruption{[]string{"up"}, []string{"arm", "dps-service"}, func(*testing.T) {}, finishUp})
}

// TestAnInterruptedDownIsFinishedByTheNext does the same to down, which deletes the enrollments with their service. A
// second stack, which holds nothing, keeps the emulator running.
func TestAnInterruptedDownIsFinishedByTheNext(t *testing.T) {
	interruptEverywhere(t, interruption{[]string{"down"}, []string{"arm"}, func(t *testing.T) {
		mustKeel(t, "up")
		mustKeel(t, "exec", "-s", "other", "--", "true")
	}, finishDown})
}

// TestAnInterruptedReplacementIsFinishedByTheNextUp: the service may hold the new keys of an enrollment while the state
// knows the old ones. After the next up, devices register with the keys that the stack knows.
func TestAnInterruptedReplacementIsFinishedByTheNextUp(t *testing.T) {
	urn := "urn:pulumi:" + own.Stack + "::evenkeel::azure-dps:index:"
	interruptEverywhere(t, interruption{
		[]string{"exec", "--", "pulumi", "up", "--yes", "--skip-preview", "--replace", urn + "EnrollmentGroup::devices",
			"--replace", urn + "IndividualEnrollment::device-1"},
		[]string{"dps-service"},
		func(t *testing.T) { mustKeel(t, "up") },
		func(t *testing.T, s own.Status) {
			finishUp(t, s)
			if out := mustKeel(t, "devices", "provision", "--count", "3"); !strings.Contains(out, "3 new") {
				t.Errorf("devices of the group: got %s, want 3 new ones", out)
			}
			devices, err := dialDevices(checkout)
			if err != nil {
				t.Fatal(err)
			}
			key := strings.TrimSpace(mustKeel(t, "devices", "key", "device-1"))
			if _, err := devices.register(t.Context(), "device-1", key); err != nil {
				t.Errorf("device-1 with the key in the state: %v", err)
			}
		},
	})
}

func interruptEverywhere(t *testing.T, i interruption) {
	for _, signal := range []syscall.Signal{syscall.SIGKILL, syscall.SIGINT} {
		for _, surface := range i.surfaces {
			for n := 1; ; n++ {
				var caught bool
				name := fmt.Sprintf("%v at request %d to %s", signal, n, surface)
				passed := t.Run(name, func(t *testing.T) { caught = interrupt(t, i, signal, surface, n) })
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
func interrupt(t *testing.T, i interruption, signal syscall.Signal, surface string, n int) bool {
	s := startEmulator(t)
	i.before(t)
	held := setHold(t, s.Endpoints.Control, surface, n)
	running, output := start(t, i.command...)
	ended := make(chan error, 1)
	go func() { ended <- running.Wait() }()
	if !awaitHeld(t, s.Endpoints.Control, held, ended, output) {
		return false
	}
	held = getHold(t, s.Endpoints.Control, held.ID, "")
	t.Logf("held %s %s", held.Request.Method, held.Request.Path)
	endEngine(t, running.Process.Pid, signal)
	awaitEnd(t, ended, output) // the interrupted command does not wait for the answer
	release(t, s.Endpoints.Control, held.ID)
	if state := getHold(t, s.Endpoints.Control, held.ID, "done&timeout=1m").State; state != "done" {
		t.Fatalf("the held request is %s, want done", state)
	}
	i.finish(t, s)
	return true
}

// finishUp runs up again and checks that nothing is duplicated, orphaned or left to do.
func finishUp(t *testing.T, s own.Status) {
	t.Helper()
	mustKeel(t, "up")
	mustKeel(t, "exec", "--", "pulumi", "preview", "--expect-no-changes")
	mustKeel(t, "exec", "--", "pulumi", "refresh", "--yes", "--expect-no-changes")
	wantCounts(t, s, map[string]int{"groups": 1, "hubs": 2, "services": 1, "enrollments": 2, "enrollmentGroups": 1})
}

// finishDown runs down again and checks that nothing is left, in the cloud or in the backend.
func finishDown(t *testing.T, s own.Status) {
	t.Helper()
	mustKeel(t, "down")
	wantCounts(t, s, map[string]int{"groups": 0, "hubs": 0, "services": 0, "enrollments": 0, "enrollmentGroups": 0})
	if left := mustKeel(t, "exec", "-s", "other", "--", "pulumi", "stack", "ls", "--json"); strings.Contains(left,
		`"local"`) {
		t.Errorf("got stacks %s, want local deleted", left)
	}
}

func wantCounts(t *testing.T, s own.Status, wants map[string]int) {
	t.Helper()
	counts := map[string]int{}
	if err := getJSON(s.Endpoints.Control+"/counts", &counts); err != nil {
		t.Fatal(err)
	}
	for kind, want := range wants {
		if counts[kind] != want {
			t.Errorf("got %d %s, want %d", counts[kind], kind, want)
		}
	}
}

// start runs keel in its own process group, as a shell would.
func start(t *testing.T, args ...string) (*exec.Cmd, *bytes.Buffer) {
	t.Helper()
	var output bytes.Buffer
	return startInto(t, &output, args...), &output
}

// startInto is like start, but writes the output while the command runs.
func startInto(t *testing.T, output io.Writer, args ...string) *exec.Cmd {
	t.Helper()
	cmd := exec.Command(filepath.Join(checkout, ".evenkeel", "bin", "keel"), args...)
	cmd.Env = append(os.Environ(), "EVENKEEL_STACK="+own.Stack)
	cmd.Dir, cmd.Stdout, cmd.Stderr = checkout, output, output
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) })
	return cmd
}

// endEngine ends Pulumi: SIGKILL goes only to Pulumi, SIGINT to all foreground processes, as with Ctrl-C.
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

// child returns the process of that name whose parent is parent, or 0.
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

// awaitHeld waits until the request is held, or keel has succeeded without it.
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
				t.Fatalf("%v: %v\n%s", h.Request, err, output)
			}
			return false
		default:
		}
	}
	t.Fatalf("no request was held, and the command is still running after three minutes:\n%s", output)
	return false
}

func awaitEnd(t *testing.T, ended chan error, output *bytes.Buffer) {
	t.Helper()
	select {
	case err := <-ended:
		if err == nil {
			t.Errorf("an interrupted command reports success:\n%s", output)
		}
	case <-time.After(2 * time.Minute):
		t.Fatalf("keel is still running after its engine has ended:\n%s", output)
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
	response, err := atControl(request)
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
