package state_test

import (
	"strings"
	"testing"
	"time"

	"evenkeel/emulator/internal/state"
)

// TestHostFollowersGetEachChange checks changes that take effect at once and those that are due later.
func TestHostFollowersGetEachChange(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		change func(*testing.T, *world)
		// hosts is their number afterwards.
		hosts int
	}{
		"a hub made": {func(t *testing.T, w *world) { must(t, second(w.PutHub(hubOf("hub-2"), "", 0))) }, 3},
		"a hub changed": {func(t *testing.T, w *world) {
			must(t, last(w.SetHubTags(id("hub-1"), map[string]string{"a": "b"}, 0)))
		}, 2},
		"a hub deleted":     {func(t *testing.T, w *world) { must(t, last(w.DeleteHub(id("hub-1"), 0))) }, 1},
		"a service made":    {func(_ *testing.T, w *world) { w.putService(w.links, state.Hashed) }, 2},
		"a deleted service": {func(t *testing.T, w *world) { must(t, last(w.DeleteService(id("dps"), 0))) }, 1},
		"a group deleted":   {func(t *testing.T, w *world) { must(t, w.DeleteGroup(subscription, "Group", 0)) }, 0},
		"a group deleted in time": {func(t *testing.T, w *world) {
			must(t, w.DeleteGroup(subscription, "Group", time.Minute))
			w.clock.Add(time.Minute)
			must(t, last(w.Counts()))
		}, 0},
		"a hub deleted in time": {func(t *testing.T, w *world) {
			must(t, last(w.DeleteHub(id("hub-1"), time.Minute)))
			w.clock.Add(time.Minute)
			must(t, last(w.Counts()))
		}, 1},
		"a reset": {func(t *testing.T, w *world) { must(t, w.Reset()) }, 0},
		"a snapshot restored": {func(t *testing.T, w *world) {
			must(t, w.ReadSnapshot(strings.NewReader(`{"format":1}`)))
		}, 0},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, state.Options{}, 1)
			heard := 0
			w.OnHosts(func() { heard++ })
			tc.change(t, w)
			hubs, err := w.Hubs("", "")
			must(t, err)
			services, err := w.Services("", "")
			must(t, err)
			if heard == 0 || len(hubs)+len(services) != tc.hosts {
				t.Errorf("%s: got %d calls, %d hosts left; want at least one, and %d",
					name, heard, len(hubs)+len(services), tc.hosts)
			}
		})
	}
}
