//go:build acceptance

package acceptance_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	own "evenkeel/acceptance/checkout"
)

// recordedCheckout is the folder in which the recordings were made. The recorded stack files contain it.
const recordedCheckout = "/srv/evenkeel"

// TestRecordedStacksAreUnchanged imports stacks and a store that an older version wrote, and previews and updates them
// with today's code. Nothing changes, and all entries at the service keep their etags.
func TestRecordedStacksAreUnchanged(t *testing.T) {
	recordings, err := filepath.Glob("recorded/20*")
	if err != nil || len(recordings) == 0 {
		t.Fatalf("got recordings %v, %v, want some", recordings, err)
	}
	for _, folder := range recordings {
		t.Run(filepath.Base(folder), func(t *testing.T) {
			own.TearDown(checkout)
			t.Cleanup(func() { own.TearDown(checkout) })
			s := importRecording(t, folder)
			stacks := []string{"rich", "guest", "local"}
			for _, stack := range stacks {
				mustKeel(t, "exec", "-s", stack, "--", "pulumi", "stack", "import", "--file",
					filepath.Join(".evenkeel", "recorded", stack+".json"))
				mustKeel(t, "exec", "-s", stack, "--", "pulumi", "preview", "--expect-no-changes")
			}
			// Before the first update, the state has no secret for the local plugin.
			mustKeel(t, "exec", "-s", "local", "--", "pulumi", "refresh", "--yes", "--expect-no-changes")
			before, held := map[string]int{}, map[string]string{}
			if err := getJSON(s.Endpoints.Control+"/counts", &before); err != nil {
				t.Fatal(err)
			}
			for _, stack := range []string{"rich", "local"} {
				maps.Copy(held, versions(t, stack))
			}
			if before["hubs"] != 6 || before["enrollments"] != 9 || before["registrations"] != 25 || len(held) != 12 {
				t.Errorf("the recorded store holds %v and %d entries of both services, want 6 hubs, 9 enrollments, "+
					"25 registrations, 12 entries", before, len(held))
			}
			for _, stack := range stacks {
				mustKeel(t, "up", stack)
				mustKeel(t, "exec", "-s", stack, "--", "pulumi", "preview", "--expect-no-changes")
				mustKeel(t, "exec", "-s", stack, "--", "pulumi", "refresh", "--yes", "--expect-no-changes")
			}
			after := map[string]int{}
			if err := getJSON(s.Endpoints.Control+"/counts", &after); err != nil {
				t.Fatal(err)
			}
			for kind, count := range before {
				if kind != "operations" && after[kind] != count {
					t.Errorf("got %d %s after the updates, want %d", after[kind], kind, count)
				}
			}
			now := map[string]string{}
			for _, stack := range []string{"rich", "local"} {
				maps.Copy(now, versions(t, stack))
			}
			if !maps.Equal(now, held) {
				t.Errorf("versions of the entries: got %v, want %v", now, held)
			}
			if out := mustKeel(t, "devices", "provision", "-s", "local", "--count", "20"); !strings.Contains(out,
				"20 kept their hub") {
				t.Errorf("the recorded devices: got %s, want 20 that kept their hub", out)
			}
		})
	}
}

// TestRecordedStacksCanBeRemoved removes stacks whose state an older version wrote, without an update in between.
func TestRecordedStacksCanBeRemoved(t *testing.T) {
	recordings, err := filepath.Glob("recorded/20*")
	if err != nil || len(recordings) == 0 {
		t.Fatalf("got recordings %v, %v, want some", recordings, err)
	}
	for _, folder := range recordings {
		t.Run(filepath.Base(folder), func(t *testing.T) {
			own.TearDown(checkout)
			t.Cleanup(func() { own.TearDown(checkout) })
			s := importRecording(t, folder)
			for _, stack := range []string{"guest", "rich", "local"} {
				mustKeel(t, "exec", "-s", stack, "--", "pulumi", "stack", "import", "--file",
					filepath.Join(".evenkeel", "recorded", stack+".json"))
				if stack == "local" { // the last one takes the emulator with it
					left := map[string]int{}
					if err := getJSON(s.Endpoints.Control+"/counts", &left); err != nil || left["services"] != 1 {
						t.Errorf("got %v, %v without two stacks, want one provisioning service", left, err)
					}
				}
				mustKeel(t, "down", stack)
			}
		})
	}
}

// importRecording copies a recording into the checkout and starts its emulator. Paths and ports in the files are
// replaced by the checkout's own.
func importRecording(t *testing.T, folder string) own.Status {
	t.Helper()
	real, err := filepath.EvalSymlinks(checkout)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"emulator", "devices", "backend", "passphrase"} {
		copyAll(t, filepath.Join(folder, name), filepath.Join(checkout, ".evenkeel", name), nil)
	}
	var ports map[string]int
	data, err := os.ReadFile(filepath.Join(folder, "emulator", "endpoints.json"))
	if err == nil {
		err = json.Unmarshal(data, &ports)
	}
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"endpoints.json", "plugin-port"} {
		if err := os.Remove(filepath.Join(checkout, ".evenkeel", "emulator", name)); err != nil {
			t.Fatal(err)
		}
	}
	mustKeel(t, "emulator", "start")
	s, err := own.EmulatorStatus(checkout)
	if err != nil {
		t.Fatal(err)
	}
	today := strings.NewReplacer(recordedCheckout, real,
		fmt.Sprintf("127.0.0.1:%d", ports["arm"]), strings.TrimPrefix(s.Endpoints.ARM, "https://"),
		fmt.Sprintf("127.0.0.1:%d", ports["data"]), strings.TrimPrefix(s.Endpoints.Data, "https://"))
	files, err := filepath.Glob(filepath.Join(folder, "*.*"))
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		name := filepath.Base(file)
		to := filepath.Join(checkout, ".evenkeel", "recorded", name)
		switch filepath.Ext(name) {
		case ".yaml":
			to = filepath.Join(checkout, "stacks", name)
		case ".csv":
			to = filepath.Join(checkout, name)
			t.Cleanup(func() { _ = os.Remove(to) })
		}
		copyAll(t, file, to, today)
	}
	return s
}

// copyAll copies a file or a folder, readable only by the user; change, unless nil, is applied to the texts.
func copyAll(t *testing.T, from, to string, change *strings.Replacer) {
	t.Helper()
	err := filepath.WalkDir(from, func(path string, entry os.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		data, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		if change != nil {
			data = []byte(change.Replace(string(data)))
		}
		name := filepath.Join(to, strings.TrimPrefix(path, from))
		if err := os.MkdirAll(filepath.Dir(name), 0o700); err != nil {
			return err
		}
		return os.WriteFile(name, data, 0o600)
	})
	if err != nil {
		t.Fatal(err)
	}
}

// versions returns the etags of all entries of the stack's own provisioning service.
func versions(t *testing.T, stack string) map[string]string {
	t.Helper()
	service, err := dialStack(checkout, stack)
	if err != nil {
		t.Fatal(err)
	}
	etags := map[string]string{}
	for _, collection := range []string{"enrollments", "enrollmentGroups"} {
		var entries []map[string]any
		if err := service.call(http.MethodPost, "/"+collection+"/query", []byte(`{"query":"SELECT *"}`), "",
			&entries); err != nil {
			t.Fatal(err)
		}
		for _, entry := range entries {
			id, _ := entry["registrationId"].(string)
			if collection == "enrollmentGroups" {
				id, _ = entry["enrollmentGroupId"].(string)
			}
			etags[stack+"/"+collection+"/"+id], _ = entry["etag"].(string)
		}
	}
	return etags
}
