package reprovision_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/time/rate"

	"evenkeel/internal/keel/assignment"
	"evenkeel/internal/keel/reprovision"
)

// world is a provisioning service and its devices, with a clock that only Pause moves.
type world struct {
	mu      sync.Mutex
	now     time.Time
	records map[string]assignment.Record
	asked   []string
	// react decides what a device does when it is asked for the nth time, from 1.
	react func(w *world, d assignment.Device, nth int) reprovision.Answer
	// idle is called at each pause.
	idle func(w *world)
}

func newWorld() *world {
	return &world{now: time.Unix(1_800_000_000, 0), records: map[string]assignment.Record{}}
}

// devices returns n devices on hub a, and gives them records.
func (w *world) devices(n int) []assignment.Device {
	var list []assignment.Device
	for i := range n {
		d := assignment.Device{
			ID: fmt.Sprintf("Device-%d", i+1), DeviceID: fmt.Sprintf("device-%d", i+1),
			Enrollment: assignment.Key{ID: "devices"}, Hub: "a", Version: "1",
		}
		list = append(list, d)
		w.records[strings.ToLower(d.ID)] = assignment.Record{Hub: "a", Version: "1", Status: "assigned"}
	}
	return list
}

// register gives a device a new record.
func (w *world) register(d assignment.Device, record assignment.Record) {
	w.records[strings.ToLower(d.ID)] = record
}

func (w *world) run(j *reprovision.Journal) *reprovision.Run {
	return &reprovision.Run{
		Journal: j, Rate: rate.Inf, Timeout: 10 * time.Minute,
		Ask: func(_ context.Context, d assignment.Device) reprovision.Answer {
			w.mu.Lock()
			defer w.mu.Unlock()
			w.asked = append(w.asked, d.ID)
			nth := 0
			for _, id := range w.asked {
				if id == d.ID {
					nth++
				}
			}
			return w.react(w, d, nth)
		},
		Look: func(_ context.Context, devices []assignment.Device) (map[string]assignment.Record, error) {
			w.mu.Lock()
			defer w.mu.Unlock()
			found := map[string]assignment.Record{}
			for _, d := range devices {
				key := strings.ToLower(d.ID)
				if record, is := w.records[key]; is {
					found[key] = record
				}
			}
			return found, nil
		},
		Pause: func(ctx context.Context, d time.Duration) error {
			w.mu.Lock()
			defer w.mu.Unlock()
			w.now = w.now.Add(d)
			if w.idle != nil {
				w.idle(w)
			}
			return ctx.Err()
		},
		Now: func() time.Time {
			w.mu.Lock()
			defer w.mu.Unlock()
			return w.now
		},
	}
}

var plan = reprovision.Plan{Service: "s", From: "a"}

func begin(t *testing.T, devices []assignment.Device) *reprovision.Journal {
	t.Helper()
	j, err := reprovision.Begin(filepath.Join(t.TempDir(), "x", "run.jsonl"), plan, "run-1", devices,
		time.Unix(1_800_000_000, 0))
	if err != nil {
		t.Fatal(err)
	}
	return j
}

// outcomes counts results.
func outcomes(results []reprovision.Result) map[string]int {
	n := map[string]int{}
	for _, r := range results {
		n[r.Result]++
	}
	return n
}

func TestEachDeviceIsAskedOnceAndItsNewHubIsFound(t *testing.T) {
	t.Parallel()
	w := newWorld()
	w.react = func(w *world, d assignment.Device, _ int) reprovision.Answer {
		switch d.ID {
		case "Device-1", "Device-2":
			w.register(d, assignment.Record{Hub: "b", Version: "2", Status: "assigned"})
		case "Device-3":
			w.register(d, assignment.Record{Hub: "a", Version: "2", Status: "assigned"})
		case "Device-4":
			w.register(d, assignment.Record{Version: "2", Status: "failed", Error: "400208 no hub"})
		case "Device-5":
			return reprovision.Answer{Kind: reprovision.Offline}
		case "Device-6":
			return reprovision.Answer{Kind: reprovision.Refused, Reason: "status 501"}
		}
		return reprovision.Answer{Kind: reprovision.Answered}
	}
	j := begin(t, w.devices(7))
	progress := 0
	run := w.run(j)
	run.Progress = func() { progress++ }
	results, err := run.Do(t.Context())
	want := map[string]int{reprovision.Moved: 2, reprovision.Kept: 1, reprovision.NotAssigned: 1, "offline": 1,
		"refused": 1, "answered": 1}
	if got := outcomes(results); err != nil || !maps.Equal(got, want) || len(w.asked) != 7 || progress != 7 {
		t.Errorf("got %v, %v, asked %v, progress %d; want %v", got, err, w.asked, progress, want)
	}
	if results[0].Now != "b" || results[0].Hub != "a" || results[3].Reason != "400208 no hub" {
		t.Errorf("got %+v, want hubs before and after, and the failure", results)
	}
	if waited := w.now.Sub(time.Unix(1_800_000_000, 0)); waited != reprovision.Grace {
		t.Errorf("waited %s for the device that answered, want %s", waited, reprovision.Grace)
	}
}

func TestWaitingAsksAgainUntilAllHaveRegistered(t *testing.T) {
	t.Parallel()
	w := newWorld()
	w.react = func(w *world, d assignment.Device, nth int) reprovision.Answer {
		if d.ID == "Device-1" && nth < 3 {
			return reprovision.Answer{Kind: reprovision.Silent}
		}
		w.register(d, assignment.Record{Hub: "b", Version: "2", Status: "assigned"})
		return reprovision.Answer{Kind: reprovision.Answered}
	}
	run := w.run(begin(t, w.devices(2)))
	run.Wait = true
	results, err := run.Do(t.Context())
	if got := outcomes(results); err != nil || got[reprovision.Moved] != 2 || len(w.asked) != 4 {
		t.Errorf("got %v, %v, asked %v; want both moved, and the first asked three times", got, err, w.asked)
	}
}

func TestWaitingEndsWithTheTimeAndEarlyForRefusals(t *testing.T) {
	t.Parallel()
	for kind, wait := range map[reprovision.Kind]time.Duration{
		reprovision.Offline: 10 * time.Minute, reprovision.Answered: 10 * time.Minute, reprovision.Refused: 0,
	} {
		t.Run(string(kind), func(t *testing.T) {
			t.Parallel()
			w := newWorld()
			w.react = func(*world, assignment.Device, int) reprovision.Answer { return reprovision.Answer{Kind: kind} }
			run := w.run(begin(t, w.devices(1)))
			run.Wait = true
			results, err := run.Do(t.Context())
			if waited := w.now.Sub(time.Unix(1_800_000_000, 0)); err != nil || waited != wait ||
				results[0].Result != string(kind) {
				t.Errorf("got %+v, %v after %s; want %s after %s", results, err, waited, kind, wait)
			}
		})
	}
}

// TestADeviceThatRegistersWithoutARequestCounts: devices also register without being asked, for example when they
// start.
func TestADeviceThatRegistersWithoutARequestCounts(t *testing.T) {
	t.Parallel()
	w := newWorld()
	devices := w.devices(1)
	w.react = func(*world, assignment.Device, int) reprovision.Answer {
		return reprovision.Answer{Kind: reprovision.Offline}
	}
	w.idle = func(w *world) {
		w.register(devices[0], assignment.Record{Hub: "b", Version: "2", Status: "assigned"})
	}
	run := w.run(begin(t, devices))
	run.Wait = true
	results, err := run.Do(t.Context())
	if err != nil || results[0].Result != reprovision.Moved {
		t.Errorf("got %+v, %v, want it moved", results, err)
	}
}

func TestAnInterruptedRunContinues(t *testing.T) {
	t.Parallel()
	w := newWorld()
	ctx, interrupt := context.WithCancel(t.Context())
	w.react = func(w *world, d assignment.Device, _ int) reprovision.Answer {
		w.register(d, assignment.Record{Hub: "b", Version: "2", Status: "assigned"})
		return reprovision.Answer{Kind: reprovision.Answered}
	}
	devices := w.devices(40)
	name := filepath.Join(t.TempDir(), "run.jsonl")
	j, err := reprovision.Begin(name, plan, "run-1", devices, w.now)
	if err != nil {
		t.Fatal(err)
	}
	run := w.run(j)
	asked := 0
	run.Progress = func() {
		if asked++; asked == 10 {
			interrupt()
		}
	}
	run.Rate = 5000 // unlimited, all would be under way before the interrupt
	if _, err := run.Do(ctx); !errors.Is(err, context.Canceled) {
		t.Fatalf("got %v, want %v", err, context.Canceled)
	}
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
	noted := len(j.Asked)
	j, err = reprovision.Resume(name, plan)
	if err != nil || j == nil || j.Run != "run-1" || len(j.Asked) != noted || len(j.Devices) != 40 ||
		j.Devices[7] != devices[7] {
		t.Fatalf("got %+v, %v; want the run with %d answers", j, err, noted)
	}
	results, err := w.run(j).Do(t.Context())
	if got := outcomes(results); err != nil || got[reprovision.Moved] != 40 || len(w.asked) != 40 {
		t.Errorf("got %v, %v, asked %d; want all moved, and each asked once", got, err, len(w.asked))
	}
	if err := j.End(); err != nil {
		t.Fatal(err)
	}
	if again, err := reprovision.Resume(name, plan); again != nil || err != nil {
		t.Errorf("got %v, %v after the end, want no run", again, err)
	}
}

// TestAJournalSurvivesAKill cuts the file at each length that a kill can leave.
func TestAJournalSurvivesAKill(t *testing.T) {
	t.Parallel()
	w := newWorld()
	w.react = func(*world, assignment.Device, int) reprovision.Answer {
		return reprovision.Answer{Kind: reprovision.Refused, Reason: "status 501"}
	}
	name := filepath.Join(t.TempDir(), "run.jsonl")
	j, err := reprovision.Begin(name, plan, "run-1", w.devices(3), w.now)
	if err != nil {
		t.Fatal(err)
	}
	before, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.run(j).Do(t.Context()); err != nil {
		t.Fatal(err)
	}
	whole, err := os.ReadFile(name)
	if err != nil || j.Close() != nil {
		t.Fatal(err)
	}
	for cut := len(before); cut <= len(whole); cut++ {
		if err := os.WriteFile(name, whole[:cut], 0o600); err != nil {
			t.Fatal(err)
		}
		j, err := reprovision.Resume(name, plan)
		if err != nil {
			t.Fatalf("cut at %d: %v", cut, err)
		}
		if want := strings.Count(string(whole[len(before):cut]), "\n"); len(j.Asked) != want {
			t.Errorf("cut at %d: got %d answers, want %d", cut, len(j.Asked), want)
		}
		w.asked = nil
		if _, err := w.run(j).Do(t.Context()); err != nil || len(w.asked) != 3-strings.Count(
			string(whole[len(before):cut]), "\n") {
			t.Errorf("cut at %d: got %v, asked %v", cut, err, w.asked)
		}
		if err := j.Close(); err != nil {
			t.Fatal(err)
		}
		if again, err := reprovision.Resume(name, plan); err != nil || len(again.Asked) != 3 || again.Close() != nil {
			t.Errorf("cut at %d: got %v, %v after it continued, want three answers", cut, again, err)
		}
	}
}

func TestAJournalIsOfOnePlanAndOneService(t *testing.T) {
	t.Parallel()
	w := newWorld()
	name := filepath.Join(t.TempDir(), "run.jsonl")
	j, err := reprovision.Begin(name, plan, "run-1", w.devices(1), w.now)
	if err != nil || j.Close() != nil {
		t.Fatal(err)
	}
	other := plan
	other.Group = "presses"
	if _, err := reprovision.Resume(name, other); !errors.Is(err, reprovision.ErrOther) {
		t.Errorf("another plan: got %v, want %v", err, reprovision.ErrOther)
	}
	other.Service = "recreated"
	if j, err := reprovision.Resume(name, other); j != nil || err != nil {
		t.Errorf("another service: got %v, %v, want a new run", j, err)
	}
	if _, err := os.Stat(name); !os.IsNotExist(err) {
		t.Errorf("got %v, want the journal of the other service removed", err)
	}
	for _, text := range []string{"", "x\n", `{"version":2}` + "\n",
		`{"version":1,"service":"s","from":"a","devices":2}` + "\n{}\n"} {
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if j, err := reprovision.Resume(name, plan); j != nil || err == nil {
			t.Errorf("%q: got %v, %v, want an error", text, j, err)
		}
	}
	if err := reprovision.Discard(name); err != nil {
		t.Error(err)
	}
	if err := reprovision.Discard(name); err != nil {
		t.Errorf("twice: got %v", err)
	}
}

func TestDevicesThatWouldStayAreNotAsked(t *testing.T) {
	t.Parallel()
	group, static := assignment.Key{ID: "devices"}, assignment.Key{ID: "static", Individual: true}
	never, off := assignment.Key{ID: "never"}, assignment.Key{ID: "off", Individual: true}
	two := assignment.Key{ID: "two"}
	census := assignment.Census{
		Enrollments: []assignment.Enrollment{
			{Key: group}, {Key: static, Hubs: []string{"a"}}, {Key: never, Never: true}, {Key: off, Disabled: true},
			{Key: two, Hubs: []string{"a", "b"}},
		},
		Devices: []assignment.Device{
			{ID: "1", Enrollment: group, Hub: "a"}, {ID: "static", Enrollment: static, Hub: "a"},
			{ID: "2", Enrollment: never, Hub: "a"}, {ID: "3", Enrollment: never, Hub: "a"},
			{ID: "off", Enrollment: off, Hub: "b"}, {ID: "4", Enrollment: two, Hub: "a"},
		},
	}
	asked, skipped := reprovision.Sort(census)
	var ids []string
	for _, d := range asked {
		ids = append(ids, d.ID)
	}
	want := []reprovision.Skipped{{Key: static, Obstacle: reprovision.Pinned, Devices: 1},
		{Key: never, Obstacle: reprovision.Never, Devices: 2}, {Key: off, Obstacle: reprovision.Disabled, Devices: 1}}
	if !slices.Equal(ids, []string{"1", "4"}) || !slices.Equal(skipped, want) {
		t.Errorf("got %v and %+v, want 1, 4 and %+v", ids, skipped, want)
	}
	census.Devices[1].Hub = "b" // the only hub that it names is another one
	if asked, _ := reprovision.Sort(census); len(asked) != 3 {
		t.Errorf("got %+v, want the pinned device asked, since it moves to its hub", asked)
	}
}
