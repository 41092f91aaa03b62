package state_test

import (
	"sync"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"

	"evenkeel/emulator/internal/state"
	"evenkeel/internal/await"
)

// gate makes syncs wait.
type gate struct {
	mu      sync.Mutex
	shut    chan struct{} // nil while open
	reached chan struct{} // receives one token for each sync that waits
	t       *testing.T
}

func newGate(t *testing.T) *gate { return &gate{reached: make(chan struct{}, 16), t: t} }

func (g *gate) MaybeError(op errorfs.Op) error {
	if op.Kind != errorfs.OpFileSync && op.Kind != errorfs.OpFileSyncData {
		return nil
	}
	g.mu.Lock()
	shut := g.shut
	g.mu.Unlock()
	if shut != nil {
		g.reached <- struct{}{}
		await.Held(g.t, shut)
	}
	return nil
}

func (g *gate) String() string { return "gate" }

func (g *gate) close() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.shut = make(chan struct{})
}

func (g *gate) open() {
	g.mu.Lock()
	defer g.mu.Unlock()
	close(g.shut)
	g.shut = nil
}

func (g *gate) isOpen() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.shut == nil
}

// TestChangesAreVisibleOnlyWhenSynced holds the sync of a change and reads what it changes, in every possible way.
func TestChangesAreVisibleOnlyWhenSynced(t *testing.T) {
	t.Parallel()
	g := newGate(t)
	w := newWorld(t, state.Options{Dir: "store", FS: errorfs.Wrap(vfs.NewMem(), g)}, 1)
	hub := w.links[0].HubHost
	group := w.putGroupEntry("group", state.Settings{})
	tests := []struct {
		name  string
		write func() error
		shown map[string]func() bool
	}{
		{"an enrollment", func() error {
			return second(w.PutEnrollment(w.scope, state.Enrollment{RegistrationID: "e"}, ""))
		},
			map[string]func() bool{
				"get":   func() bool { return last(w.Enrollment(w.scope, "e")) == nil },
				"list":  func() bool { es, _, _ := w.Entries(state.Individuals, w.scope, "", 0); return len(es) == 1 },
				"count": func() bool { c, _ := w.Counts(); return c.Enrollments == 1 },
			}},
		{"a registration", func() error {
			return last(w.Register(t.Context(), state.RegisterRequest{Scope: w.scope, RegistrationID: "d",
				Group: &group}))
		}, map[string]func() bool{
			"get":        func() bool { return last(w.Registration(w.scope, "d")) == nil },
			"list":       func() bool { rs, _, _ := w.Registrations(w.scope, "group", "", 0); return len(rs) == 1 },
			"device":     func() bool { return last(w.Device(hub, "d")) == nil },
			"devices":    func() bool { ds, _, _ := w.Devices(hub, "", 0); return len(ds) == 1 },
			"twin":       func() bool { return last(w.Twin(hub, "d")) == nil },
			"statistics": func() bool { n, _ := w.Statistics(hub); return n.Total == 1 },
			"once more": func() bool {
				return last(w.PutDevice(hub, state.Device{ID: "d"}, state.MustNotExist, true)) != nil
			},
			"its removal": func() bool { return w.DeleteRegistration(w.scope, "d", "?") != nil },
		}},
		{"a group of resources", func() error {
			return second(w.PutGroup(state.Group{Subscription: subscription, Name: "other", Location: location}))
		}, map[string]func() bool{
			"get": func() bool { return last(w.Group(subscription, "other")) == nil },
		}},
	}
	for _, test := range tests {
		g.close()
		var all sync.WaitGroup
		all.Go(func() { must(t, test.write()) })
		await.Next(t, g.reached, test.name+": the sync")
		for name, shown := range test.shown {
			all.Go(func() {
				if shown() && !g.isOpen() {
					t.Errorf("%s: got shown by %s before the sync, want not", test.name, name)
				}
			})
		}
		// This gives a reader that does not wait the time to return; the gate releases one that waits.
		time.Sleep(20 * time.Millisecond)
		g.open()
		await.Return(t, test.name+": the write and the readers", all.Wait)
	}
}
