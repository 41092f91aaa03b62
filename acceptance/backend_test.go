//go:build acceptance

package acceptance_test

import (
	"maps"
	"slices"
	"strings"
	"syscall"
	"testing"
)

// names returns the names of the blobs with a prefix.
func (b *blobs) names(prefix string) []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.DeleteFunc(slices.Sorted(maps.Keys(b.held)),
		func(name string) bool { return !strings.HasPrefix(name, prefix) })
}

// TestStatesInAzureBlobStorage brings up an environment whose state keel reads through Pulumi. The next command removes
// the lock that a killed engine leaves.
func TestStatesInAzureBlobStorage(t *testing.T) {
	s := startEmulator(t)
	storage := inBlobs(t)

	mustKeel(t, "-s", "other", "exec", "--", "true") // keeps the emulator running
	mustKeel(t, "up", "far", "--ttl", "1h")
	mustKeel(t, "-s", "far", "exec", "--", "pulumi", "preview", "--expect-no-changes")
	if len(storage.names(".pulumi/stacks/evenkeel/far.json")) == 0 {
		t.Errorf("got blobs %v, want the state among them", storage.names(""))
	}
	mustKeel(t, "extend", "far", "--ttl", "2h")
	mustKeel(t, "-s", "far", "exec", "--", "pulumi", "refresh", "--yes", "--expect-no-changes")

	// The engine is killed during a creation: its lock remains, and so does a hub that is missing from the state.
	mustKeel(t, "-s", "far", "exec", "--", "pulumi", "config", "set", "hubs", "3")
	held := setHold(t, s.Endpoints.Control, "arm", 1)
	running, output := start(t, "up", "far")
	ended := make(chan error, 1)
	go func() { ended <- running.Wait() }()
	if !awaitHeld(t, s.Endpoints.Control, held, ended, output) {
		t.Fatalf("nothing was changed:\n%s", output)
	}
	endEngine(t, running.Process.Pid, syscall.SIGKILL)
	awaitEnd(t, ended, output)
	release(t, s.Endpoints.Control, held.ID)
	getHold(t, s.Endpoints.Control, held.ID, "done&timeout=1m")
	if len(storage.names(".pulumi/locks/")) == 0 {
		t.Fatal("the killed engine left no lock")
	}
	mustKeel(t, "up", "far")
	mustKeel(t, "-s", "far", "exec", "--", "pulumi", "refresh", "--yes", "--expect-no-changes")
	wantCounts(t, s, map[string]int{"groups": 1, "hubs": 3, "services": 1, "enrollments": 2, "enrollmentGroups": 1})
	mustKeel(t, "down", "far")
	wantCounts(t, s, map[string]int{"groups": 0, "hubs": 0, "services": 0})
	if left := storage.names(".pulumi/stacks/evenkeel/far.json"); slices.Contains(left,
		".pulumi/stacks/evenkeel/far.json") {
		t.Errorf("got %v, want no state", left)
	}
}
