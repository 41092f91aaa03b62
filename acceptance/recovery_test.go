//go:build acceptance

package acceptance_test

import (
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
)

// inBlobs stores the states of a test in Azure Blob Storage, which a small server emulates.
func inBlobs(t *testing.T) *blobs {
	t.Helper()
	storage := &blobs{held: map[string]blob{}}
	server := httptest.NewServer(storage)
	t.Cleanup(server.Close)
	options := url.Values{
		"storage_account": {"story"},
		"protocol":        {"http"},
		"domain":          {strings.TrimPrefix(server.URL, "http://")},
		"localemu":        {"true"},
	}
	t.Setenv("EVENKEEL_BACKEND", "azblob://states?"+options.Encode())
	t.Setenv("AZURE_STORAGE_ACCOUNT", "story")
	t.Setenv("AZURE_STORAGE_KEY", "c3Rvcnk=")
	return storage
}

// TestARecoveryDuringAnotherUpdateChangesNothing runs keel while a colleague's plain Pulumi, which does not take keel's
// lock, creates a hub. The state shows a pending create, as after a crash. keel is refused, and the colleague's hub
// exists afterwards.
func TestARecoveryDuringAnotherUpdateChangesNothing(t *testing.T) {
	for name, backend := range map[string]func(*testing.T){
		"a folder": func(*testing.T) {}, "blobs": func(t *testing.T) { inBlobs(t) }} {
		t.Run(name, func(t *testing.T) {
			s := startEmulator(t)
			backend(t)
			mustKeel(t, "-s", "other", "exec", "--", "true") // keeps the emulator running
			mustKeel(t, "up", "far")
			mustKeel(t, "-s", "far", "exec", "--", "pulumi", "config", "set", "hubs", "3")
			held := setHold(t, s.Endpoints.Control, "arm", 1)
			colleague, output := start(t, "-s", "far", "exec", "--", "sh", "-c", "pulumi up --yes --skip-preview")
			ended := make(chan error, 1)
			go func() { ended <- colleague.Wait() }()
			if !awaitHeld(t, s.Endpoints.Control, held, ended, output) {
				t.Fatalf("nothing was changed:\n%s", output)
			}
			for _, command := range [][]string{{"up", "far"}, {"extend", "far"}, {"down", "far"}} {
				refused, said := start(t, command...)
				if err := refused.Wait(); err == nil || !strings.Contains(said.String(), "locked") ||
					strings.Contains(said.String(), "deleted") {
					t.Errorf("keel %v beside the update: got %v\n%s", command, err, said)
				}
			}
			release(t, s.Endpoints.Control, held.ID)
			if err := <-ended; err != nil {
				t.Fatalf("the colleague's update: %v\n%s", err, output)
			}
			wantCounts(t, s, map[string]int{"groups": 1, "hubs": 3})
			if said := mustKeel(t, "up", "far"); strings.Contains(said, "deleted") {
				t.Errorf("got a deletion, want none:\n%s", said)
			}
			mustKeel(t, "-s", "far", "exec", "--", "pulumi", "refresh", "--yes", "--expect-no-changes")
			wantCounts(t, s, map[string]int{"groups": 1, "hubs": 3, "services": 1})
		})
	}
}

// TestAnUpDuringTheLastDownKeepsTheEmulator runs both at once: whichever is first, the emulator runs for the
// environment that exists at the end.
func TestAnUpDuringTheLastDownKeepsTheEmulator(t *testing.T) {
	startEmulator(t)
	mustKeel(t, "up", "first")
	for _, next := range []struct{ up, down string }{{"second", "first"}, {"first", "second"}} {
		t.Run(next.up, func(t *testing.T) {
			up, upSaid := start(t, "up", next.up)
			down, downSaid := start(t, "down", next.down)
			waits := map[string]func() error{"up": up.Wait, "down": down.Wait}
			for name, wait := range waits {
				t.Run(name, func(t *testing.T) {
					if err := wait(); err != nil {
						t.Errorf("%s: %v\nup:\n%s\ndown:\n%s", name, err, upSaid, downSaid)
					}
				})
			}
			mustKeel(t, "-s", next.up, "exec", "--", "pulumi", "refresh", "--yes", "--expect-no-changes")
		})
	}
}
