//go:build acceptance

package acceptance_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	own "evenkeel/acceptance/checkout"
)

// TestConcurrentReapAndUp starts each command while the other one is running: up waits for reap, reap skips what is in
// use, both succeed, and the environment is complete afterwards.
func TestConcurrentReapAndUp(t *testing.T) {
	for _, tc := range []struct {
		name          string
		first, second []string
		says          string // by the second
	}{
		{"reap during up", []string{"up", "mine"}, []string{"reap", "--yes"}, "it is in use by keel up mine"},
		{"up during reap", []string{"reap", "--yes"}, []string{"up", "mine"},
			"environment mine is in use by keel reap"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			own.TearDown(checkout)
			t.Cleanup(func() { own.TearDown(checkout) })
			mustKeel(t, "up", "mine", "--ttl", "1h")
			mustKeel(t, "-s", "mine", "exec", "--", "pulumi", "config", "set", "expiresAt", "2020-01-01T00:00:00Z")
			mustKeel(t, "-s", "mine", "exec", "--", "pulumi", "config", "set", "hubs", "3")
			p, err := openPortal(checkout)
			if err != nil {
				t.Fatal(err)
			}
			group, err := p.group("mine")
			if err == nil {
				err = setTag(p, group, []string{"expiresAt=2020-01-01T00:00:00Z"})
			}
			if err != nil {
				t.Fatal(err)
			}
			mustKeel(t, "-s", "other", "exec", "--", "true") // keeps the emulator running
			s, err := own.EmulatorStatus(checkout)
			if err != nil {
				t.Fatal(err)
			}
			held := setHold(t, s.Endpoints.Control, "arm", 1)
			first, firstSays := start(t, tc.first...)
			ended := make(chan error, 1)
			go func() { ended <- first.Wait() }()
			if !awaitHeld(t, s.Endpoints.Control, held, ended, firstSays) {
				t.Fatalf("%v changed nothing:\n%s", tc.first, firstSays)
			}
			says := filepath.Join(t.TempDir(), "second")
			file, err := os.Create(says)
			if err != nil {
				t.Fatal(err)
			}
			defer file.Close()
			second := startInto(t, file, tc.second...)
			waited := make(chan error, 1)
			go func() { waited <- second.Wait() }()
			awaitText(t, says, tc.says)
			release(t, s.Endpoints.Control, held.ID)
			for _, ended := range []chan error{ended, waited} {
				select {
				case err := <-ended:
					if err != nil {
						t.Fatalf("%v\n%s", err, firstSays)
					}
				case <-time.After(2 * time.Minute):
					t.Fatal("the command is still running")
				}
			}
			wantCounts(t, s, map[string]int{"hubs": 3, "services": 1, "groups": 1})
			mustKeel(t, "-s", "mine", "exec", "--", "pulumi", "refresh", "--yes", "--expect-no-changes")
			mustKeel(t, "down", "mine")
			wantCounts(t, s, map[string]int{"hubs": 0, "services": 0, "groups": 0, "enrollments": 0})
		})
	}
}

// awaitText waits until a file that is being written holds a text.
func awaitText(t *testing.T, file, text string) {
	t.Helper()
	var got []byte
	for deadline := time.Now().Add(time.Minute); time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
		var err error
		if got, err = os.ReadFile(file); err != nil {
			t.Fatal(err)
		}
		if strings.Contains(string(got), text) {
			return
		}
	}
	t.Fatalf("got %q after a minute, want %q in it", got, text)
}
