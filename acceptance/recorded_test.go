//go:build acceptance

package acceptance_test

import (
	"encoding/json"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	own "evenkeel/acceptance/checkout"
)

// recordedCheckout is where the recordings were made; their stack files name it.
const recordedCheckout = "/srv/evenkeel"

// TestRecordedStacksStayAsTheyAre: stacks and a store that an older version wrote are imported, previewed and brought up with the code of
// today. The only change is where the emulator answers now; nothing is replaced, and the service holds the same versions of all entries.
func TestRecordedStacksStayAsTheyAre(t *testing.T) {
	recordings, err := filepath.Glob("recorded/20*")
	if err != nil || len(recordings) == 0 {
		t.Fatalf("got recordings %v, %v, want some", recordings, err)
	}
	for _, folder := range recordings {
		t.Run(filepath.Base(folder), func(t *testing.T) {
			own.TearDown(checkout)
			t.Cleanup(func() { own.TearDown(checkout) })
			layOut(t, folder)
			must(t, "emulator", "start")
			var s own.Status
			s, err = own.EmulatorStatus(checkout)
			if err != nil {
				t.Fatal(err)
			}
			stacks := []string{"rich", "guest", "local"}
			for _, stack := range stacks {
				must(t, "exec", "-s", stack, "--", "pulumi", "stack", "import", "--file", filepath.Join(".evenkeel", "recorded", stack+".json"))
				previewsOnlyTheWay(t, stack)
			}
			before, held := map[string]int{}, map[string]string{}
			if err := getJSON(s.Endpoints.Control+"/counts", &before); err != nil {
				t.Fatal(err)
			}
			for _, stack := range []string{"rich", "local"} {
				maps.Copy(held, versions(t, stack))
			}
			if before["hubs"] != 6 || before["enrollments"] != 5 || before["registrations"] != 25 || len(held) != 8 {
				t.Errorf("the recorded store holds %v and %d entries of both services, want 6 hubs, 5 enrollments, 25 registrations, 8 entries", before, len(held))
			}
			for _, stack := range stacks {
				must(t, "up", stack)
				must(t, "exec", "-s", stack, "--", "pulumi", "preview", "--expect-no-changes")
				must(t, "exec", "-s", stack, "--", "pulumi", "refresh", "--yes", "--expect-no-changes")
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
			if out := must(t, "devices", "provision", "-s", "local", "--count", "20"); !strings.Contains(out, "20 kept their hub") {
				t.Errorf("the recorded devices: got %s, want 20 that kept their hub", out)
			}
		})
	}
}

// layOut puts a recording into the checkout, with the checkout's own path. The ports are chosen again.
func layOut(t *testing.T, folder string) {
	t.Helper()
	real, err := filepath.EvalSymlinks(checkout)
	if err != nil {
		t.Fatal(err)
	}
	err = filepath.WalkDir(folder, func(path string, entry os.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		name, err := filepath.Rel(folder, path)
		if err != nil {
			return err
		}
		to := filepath.Join(checkout, ".evenkeel", name)
		switch {
		case entry.Name() == "endpoints.json" || entry.Name() == "plugin-port":
			return nil
		case strings.HasPrefix(name, "Pulumi."):
			to = filepath.Join(checkout, "stacks", name)
		case strings.HasSuffix(name, ".csv"):
			to = filepath.Join(checkout, name)
			t.Cleanup(func() { _ = os.Remove(to) })
		case strings.HasSuffix(name, ".json"):
			to = filepath.Join(checkout, ".evenkeel", "recorded", name)
		}
		data, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		if strings.HasPrefix(name, "Pulumi.") {
			data = []byte(strings.ReplaceAll(string(data), recordedCheckout, real))
		}
		if err := os.MkdirAll(filepath.Dir(to), 0o700); err != nil {
			return err
		}
		return os.WriteFile(to, data, 0o600)
	})
	if err != nil {
		t.Fatal(err)
	}
}

// previewsOnlyTheWay fails the test when an update of the stack would change more than the way to the emulator.
func previewsOnlyTheWay(t *testing.T, stack string) {
	t.Helper()
	var preview struct {
		Steps []struct {
			Op, URN     string
			DiffReasons []string
		}
		ChangeSummary map[string]int
	}
	out := must(t, "exec", "-s", stack, "--", "pulumi", "preview", "--json")
	if err := json.Unmarshal([]byte(out), &preview); err != nil || preview.ChangeSummary["same"] < 10 {
		t.Fatalf("preview of %s: %v\n%s", stack, err, out)
	}
	for _, step := range preview.Steps {
		if step.Op == "same" || step.Op == "update" && strings.Contains(step.URN, "pulumi:providers:") {
			continue
		}
		t.Errorf("preview of %s: got %s of %s, in %v, want nothing but the providers' way to the emulator", stack, step.Op, step.URN, step.DiffReasons)
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
		if err := service.call(http.MethodPost, "/"+collection+"/query", []byte(`{"query":"SELECT *"}`), "", &entries); err != nil {
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
