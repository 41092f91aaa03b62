//go:build acceptance

package acceptance_test

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	own "evenkeel/acceptance/checkout"
)

// TestAHubIsUnlinkedBeforeItIsDeleted removes each of three hubs in turn and checks the changes and their order.
func TestAHubIsUnlinkedBeforeItIsDeleted(t *testing.T) {
	own.TearDown(checkout)
	t.Cleanup(func() { own.TearDown(checkout) })
	mustKeel(t, "up")
	s, err := own.EmulatorStatus(checkout)
	if err != nil {
		t.Fatal(err)
	}
	mustKeel(t, "exec", "--", "pulumi", "config", "set", "hubs", "3")
	for i := 1; i <= 3; i++ {
		gone := fmt.Sprintf("hub-%d", i)
		mustKeel(t, "up") // all three again
		before := len(requestLog(t, s.Endpoints.Control))
		mustKeel(t, "exec", "--", "pulumi", "config", "set", "--path", "hubSettings."+gone+".remove", "true")
		mustKeel(t, "up")
		var changes []string
		for _, line := range requestLog(t, s.Endpoints.Control)[before:] {
			if method, rest, _ := strings.Cut(line, " "); method != "GET" {
				path, _, _ := strings.Cut(rest, " ")
				changes = append(changes, method+" "+path[strings.LastIndex(path, "/")+1:])
			}
		}
		want := []string{"PUT provisioning", "DELETE " + gone}
		if !slices.Equal(changes, want) {
			t.Errorf("removing %s: got changes %v, want %v", gone, changes, want)
		}
		mustKeel(t, "exec", "--", "pulumi", "config", "rm", "hubSettings")
	}
}

// TestTwoClonesRunAtTheSameTime brings two checkouts of the project up at the same time.
func TestTwoClonesRunAtTheSameTime(t *testing.T) {
	own.TearDown(checkout)
	other := filepath.Join(t.TempDir(), "another clone")
	if err := own.Clone("..", other); err != nil {
		t.Fatal(err)
	}
	// The built programs do not depend on their folder and are up to date, because the files of both clones have the
	// same times.
	if err := os.CopyFS(filepath.Join(other, ".evenkeel", "bin"),
		os.DirFS(filepath.Join(checkout, ".evenkeel", "bin"))); err != nil {
		t.Fatal(err)
	}
	folders := []string{checkout, other}
	for _, folder := range folders {
		t.Cleanup(func() { own.TearDown(folder) })
	}
	errs := make([]error, len(folders))
	var both sync.WaitGroup
	for i, folder := range folders {
		both.Go(func() { _, errs[i] = own.Keel(folder, "up") })
	}
	both.Wait()
	ports := map[string]bool{}
	for i, folder := range folders {
		if errs[i] != nil {
			t.Fatal(errs[i])
		}
		s, err := own.EmulatorStatus(folder)
		if err != nil {
			t.Fatal(err)
		}
		ports[s.Endpoints.Control] = true
		counts := map[string]int{}
		if err := getJSONOf(folder, s.Endpoints.Control+"/counts", &counts); err != nil {
			t.Fatal(err)
		}
		if counts["hubs"] != 2 || counts["services"] != 1 {
			t.Errorf("%s: got %v", folder, counts)
		}
	}
	if len(ports) != 2 {
		t.Errorf("got control ports %v, want two", ports)
	}
}

// mustKeel runs keel and returns its standard output.
func mustKeel(t *testing.T, args ...string) string {
	t.Helper()
	out, err := own.Keel(checkout, args...)
	if err != nil {
		t.Fatal(err)
	}
	return string(out)
}
