package state_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"
	"golang.org/x/sync/errgroup"

	"evenkeel/emulator/internal/state"
	"evenkeel/internal/await"
)

// ledger records what was acknowledged to callers, by object.
type ledger struct {
	mu    sync.Mutex
	facts map[string]string
	// gone are objects whose deletion was acknowledged.
	gone  map[string]bool
	count int
	// at are the counts at which the disk loses its power; crash is called with the ledger locked.
	at    map[int]bool
	crash func(facts map[string]string, gone map[string]bool)
}

func (l *ledger) write(fact, value string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.facts[fact] = value
	delete(l.gone, fact)
	l.tick()
}

func (l *ledger) erase(fact string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.facts, fact)
	l.gone[fact] = true
	l.tick()
}

func (l *ledger) tick() {
	l.count++
	if !l.at[l.count] {
		return
	}
	facts, gone := make(map[string]string), make(map[string]bool)
	for k, v := range l.facts {
		facts[k] = v
	}
	for k := range l.gone {
		gone[k] = true
	}
	l.crash(facts, gone)
}

// TestAcknowledgedChangesSurviveALossOfUnsyncedData runs callers in parallel on a disk that keeps only what was synced,
// cuts the power right after seeded acknowledgements, and looks for everything that was acknowledged until then. Each
// caller has its own objects, so that only changes that were not yet acknowledged can follow an acknowledged state; the
// caller announces them.
func TestAcknowledgedChangesSurviveALossOfUnsyncedData(t *testing.T) {
	t.Parallel()
	const callers, rounds, cuts = 16, 40, 12
	for seed := range uint64(3) {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			t.Parallel()
			chance := rand.New(rand.NewPCG(seed, 1))
			disk := vfs.NewCrashableMem()
			slow := errorfs.InjectorFunc(func(op errorfs.Op) error {
				if op.Kind == errorfs.OpFileSync || op.Kind == errorfs.OpFileSyncData {
					time.Sleep(100 * time.Microsecond)
				}
				return nil
			})
			w := newWorld(t, state.Options{Dir: "store", FS: errorfs.Wrap(disk, slow),
				Random: rand.NewChaCha8([32]byte{byte(seed)})}, 3)
			group := w.putGroupEntry("group", state.Settings{InitialTwin: []byte(`{"tags":{"of":"group"}}`)})

			type cut struct {
				disk  *vfs.MemFS
				facts map[string]string
				gone  map[string]bool
			}
			var taken []cut
			l := &ledger{facts: make(map[string]string), gone: make(map[string]bool), at: make(map[int]bool)}
			for range cuts {
				l.at[1+chance.IntN(callers*rounds*3)] = true
			}
			l.crash = func(facts map[string]string, gone map[string]bool) {
				clone := disk.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: chance.IntN(2) * 30, RNG: chance})
				taken = append(taken, cut{clone, facts, gone})
			}

			var running errgroup.Group
			for caller := range callers {
				running.Go(func() error { return w.work(l, group, caller, rounds) })
			}
			await.Return(t, "the callers", func() { must(t, running.Wait()) })
			if len(taken) == 0 {
				t.Fatal("got no cut, want some")
			}
			for i, c := range taken {
				after, err := state.Open(state.Options{Dir: "store", FS: c.disk, Now: w.clock.Now})
				if err != nil {
					t.Fatalf("cut %d: open: %v", i, err)
				}
				verify(t, after, w.scope, c.facts, c.gone)
				must(t, after.Close())
			}
		})
	}
}

// work registers, enrolls and patches, and records each answer after it arrived.
func (w *world) work(l *ledger, group state.EnrollmentGroup, caller, rounds int) error {
	for round := range rounds {
		name := fmt.Sprintf("device-%d-%d", caller, round)
		op, err := w.Register(context.Background(), state.RegisterRequest{
			Scope: w.scope, RegistrationID: name, Group: &group, Keys: *group.Attestation.SymmetricKey,
		})
		if err != nil {
			return err
		}
		l.write("registration "+name, op.AssignedHub)
		l.write("operation "+op.ID, op.AssignedHub)
		t, err := w.PatchTwin(op.AssignedHub, name, state.TwinPatch{Reported: []byte(`{"n":1}`)}, state.Unconditional)
		if err != nil {
			return err
		}
		l.write("twin "+op.AssignedHub+" "+name, fmt.Sprint(t.Version))
		e, _, err := w.PutEnrollment(w.scope, state.Enrollment{RegistrationID: "own-" + name}, state.MustNotExist)
		if err != nil {
			return err
		}
		l.write("enrollment "+e.RegistrationID, e.ETag)
		if round%4 == 3 {
			previous := fmt.Sprintf("own-device-%d-%d", caller, round-2)
			// From here on until the answer, it may be present or absent.
			l.mu.Lock()
			delete(l.facts, "enrollment "+previous)
			l.mu.Unlock()
			if err := w.DeleteEntry(state.Individuals, w.scope, previous, state.MustExist); err != nil {
				return err
			}
			l.erase("enrollment " + previous)
		}
		// What was returned to a reader counts as acknowledged too, whichever client wrote it.
		other := fmt.Sprintf("device-%d-%d", (caller+1)%16, round)
		if r, err := w.Registration(w.scope, other); err == nil {
			l.write("registration "+other, r.AssignedHub)
		}
	}
	return nil
}

func verify(t *testing.T, s *state.State, scope string, facts map[string]string, gone map[string]bool) {
	t.Helper()
	lost := 0
	for fact, want := range facts {
		if got := lookUp(t, s, scope, fact); got != want {
			if lost++; lost < 5 {
				t.Errorf("%s: got %q after the crash, want %q", fact, got, want)
			}
		}
	}
	for fact := range gone {
		if got := lookUp(t, s, scope, fact); got != "" {
			t.Errorf("%s: got %q after the crash, want it deleted", fact, got)
		}
	}
	if lost > 0 {
		t.Errorf("got %d of %d acknowledged facts lost, want 0", lost, len(facts))
	}
}

func lookUp(t *testing.T, s *state.State, scope, fact string) string {
	t.Helper()
	var kind, a, b string
	_, _ = fmt.Sscan(fact, &kind, &a, &b)
	switch kind {
	case "registration":
		r, _ := s.Registration(scope, a)
		if r.AssignedHub != "" {
			if _, err := s.Device(r.AssignedHub, a); err != nil {
				t.Errorf("%s: %v, want the device it was assigned with", fact, err)
			}
		}
		return r.AssignedHub
	case "operation":
		o, _ := s.RegistrationOperation(scope, a)
		return o.AssignedHub
	case "enrollment":
		e, _ := s.Enrollment(scope, a)
		return e.ETag
	case "twin":
		tw, _ := s.Twin(a, b)
		return fmt.Sprint(tw.Version)
	}
	t.Fatalf("unknown fact %q", fact)
	return ""
}

// TestResourcesSurviveALossOfUnsyncedData does the same sequentially for the calls of ARM.
func TestResourcesSurviveALossOfUnsyncedData(t *testing.T) {
	t.Parallel()
	disk := vfs.NewCrashableMem()
	w := newWorld(t, state.Options{Dir: "store", FS: disk}, 2)
	links := w.links
	steps := []struct {
		name string
		do   func() error
		seen func(s *state.State) bool
	}{
		{"tags of a hub", func() error { return last(w.SetHubTags(id("hub-1"), map[string]string{"a": "b"}, 0)) },
			func(s *state.State) bool { h, _ := s.Hub(id("hub-1")); return h.Tags["a"] == "b" }},
		{"a link deleted", func() error {
			return second(w.PutService(state.Service{Resource: state.Resource{ID: id("dps")}, Links: links[:1]}, "", 0))
		}, func(s *state.State) bool { v, _ := s.Service(id("dps")); return len(v.Links) == 1 }},
		{"a hub deleted", func() error { return last(w.DeleteHub(id("hub-2"), 0)) },
			func(s *state.State) bool { return last(s.Hub(id("hub-2"))) != nil }},
		{"a transition", func() error {
			return second(w.PutHub(hubOf("hub-3"), "", time.Minute))
		}, func(s *state.State) bool { h, _ := s.Hub(id("hub-3")); return h.Phase == state.Activating }},
		{"an operation", func() error { return w.PutAsync(state.Async{ID: "op", Due: w.Now()}) },
			func(s *state.State) bool { return last(s.Async("op")) == nil }},
		{"a child", func() error {
			return second(w.PutChild(state.Child{Parent: links[0].HubHost, Kind: "k", Name: "n"}, ""))
		},
			func(s *state.State) bool { return last(s.Child(links[0].HubHost, "k", "n")) == nil }},
		{"a group deleted", func() error { return w.DeleteGroup(subscription, "Group", 0) },
			func(s *state.State) bool { return last(s.Group(subscription, "group")) != nil }},
		{"a group again", func() error {
			return second(w.PutGroup(state.Group{Subscription: subscription, Name: "Group", Location: location}))
		}, func(s *state.State) bool { return last(s.Group(subscription, "group")) == nil }},
		{"everything deleted", w.Reset, func(s *state.State) bool {
			c, err := s.Counts()
			return err == nil && c == (state.Counts{})
		}},
	}
	for _, step := range steps {
		t.Run(step.name, func(t *testing.T) {
			must(t, step.do())
			after, err := state.Open(state.Options{Dir: "store", FS: disk.CrashClone(vfs.CrashCloneCfg{}),
				Now: w.clock.Now})
			must(t, err)
			if !step.seen(after) {
				t.Errorf("%s: got lost in the crash, want it kept", step.name)
			}
			must(t, after.Close())
		})
	}
}
