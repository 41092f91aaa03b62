package provider_test

import (
	"fmt"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/pulumi/pulumi/pkg/v3/resource/deploy/deploytest"
	"github.com/pulumi/pulumi/sdk/v3/go/common/resource"
	"github.com/pulumi/pulumi/sdk/v3/go/common/resource/asset"
	"github.com/pulumi/pulumi/sdk/v3/go/property"
)

// manifestFile writes a manifest and returns its inputs and the id that imports it.
func manifestFile(t *testing.T, folder string, rows ...string) (inputs object, id string) {
	t.Helper()
	file := filepath.Join(folder, "devices.csv")
	must(t, os.WriteFile(file, []byte("registrationId,deviceId,primaryKey\n"+strings.Join(rows, "\n")+"\n"), 0o600))
	manifest, err := asset.FromPath(file)
	must(t, err)
	return object{"manifest": property.New(manifest)}, emulatedHost + "/enrollmentSets/@" + file
}

// others creates n enrollments as another tool does, and returns their rows.
func (s serviceAPI) others(t *testing.T, n int) (rows []string) {
	t.Helper()
	for i := range n {
		id := fmt.Sprintf("press-%03d", i)
		entry := map[string]any{"registrationId": id, "deviceId": id + "-d",
			"attestation": map[string]any{"type": "symmetricKey"}}
		s.call(t, http.MethodPost, "/enrollments", map[string]any{"mode": "create", "enrollments": []any{entry}})
		rows = append(rows, id+","+id+"-d,")
	}
	return rows
}

// etags are the versions of all enrollments by their ids.
func (s serviceAPI) etags(t *testing.T) map[string]string {
	t.Helper()
	versions := map[string]string{}
	for _, entry := range s.list(t, "/enrollments/query") {
		versions[entry["registrationId"].(string)] = entry["etag"].(string)
	}
	return versions
}

// changedIDs are those whose versions differ.
func changedIDs(before, after map[string]string) []string {
	var ids []string
	for id := range before {
		if before[id] != after[id] {
			ids = append(ids, id)
		}
	}
	slices.Sort(ids)
	return ids
}

func TestASetIsImportedByItsManifest(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct{ devices, calls int }{
		"few, read one by one": {3, 3}, "many, read by a query": {60, 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			service, server := openService(t)
			rows, folder := service.others(t, tc.devices), t.TempDir()
			inputs, id := manifestFile(t, folder, rows...)
			set := manage(t, server, "EnrollmentSet", "devices")
			set.id = id
			before, keys := service.etags(t), service.enrolledKeys(t)
			if calls := service.cloud.callsOf(func() { set.refresh() }); calls != tc.calls {
				t.Errorf("import: got %d requests, want %d", calls, tc.calls)
			}
			if set.id != id {
				t.Errorf("id: got %s, want the one of the import, or the engine imports again", set.id)
			}
			if calls := service.cloud.callsOf(func() {
				if got := set.up(inputs); got != nil {
					t.Errorf("up after the import: got %v, want none", got)
				}
			}); calls != 0 {
				t.Errorf("up after the import: got %d requests, want none", calls)
			}
			if got := set.refresh(); got != nil {
				t.Errorf("refresh: got %v, want none", got)
			}
			rows[1] = "press-001,another,"
			inputs, _ = manifestFile(t, folder, rows...)
			if got := set.up(inputs); !slices.Equal(got, []string{"manifest"}) {
				t.Errorf("up with another row: got %v, want the manifest", got)
			}
			if got := changedIDs(before, service.etags(t)); !slices.Equal(got, []string{"press-001"}) {
				t.Errorf("got changes of %v, want of press-001 alone", got)
			}
			if !maps.Equal(keys, service.enrolledKeys(t)) {
				t.Error("keys changed")
			}
			if got := set.refresh(); got != nil {
				t.Errorf("refresh after the change: got %v, want none", got)
			}
			set.delete()
			if left := service.etags(t); len(left) > 0 {
				t.Errorf("deletion left %v", left)
			}
		})
	}
}

// TestDriftOfAnImportedSetIsSeen, although the import did not read the keys.
func TestDriftOfAnImportedSetIsSeen(t *testing.T) {
	t.Parallel()
	service, server := openService(t)
	rows := service.others(t, 3)
	inputs, id := manifestFile(t, t.TempDir(), rows...)
	set := manage(t, server, "EnrollmentSet", "devices")
	set.id = id
	set.refresh()
	set.up(inputs)
	entry := func(device string) map[string]any {
		return map[string]any{"registrationId": "press-002", "deviceId": device,
			"attestation": map[string]any{"type": "symmetricKey"}}
	}
	service.call(t, http.MethodPut, "/enrollments/press-002", entry("press-002-d")) // with new keys
	if got := set.refresh(); got != nil {
		t.Errorf("another tool renewed keys that the manifest does not give: got %v, want none", got)
	}
	service.call(t, http.MethodPut, "/enrollments/press-002", entry("stranger"))
	if got := set.refresh(); !slices.Equal(got, []string{"manifest"}) {
		t.Errorf("another tool changed press-002: got %v, want the manifest", got)
	}
}

func TestAnImportComparesTheKeysThatAManifestGives(t *testing.T) {
	t.Parallel()
	service, server := openService(t)
	rows := service.others(t, 2)
	for name, tc := range map[string]struct {
		key  string
		want []string
	}{
		"the key at the service": {service.enrolledKeys(t)["enrollments/press-000"], nil},
		"another key":            {newKey(t), []string{"manifest"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			inputs, id := manifestFile(t, t.TempDir(), "press-000,press-000-d,"+tc.key, rows[1])
			set := manage(t, nextRun(t, server), "EnrollmentSet", "devices")
			set.id = id
			set.refresh()
			if got, _ := set.diff(set.check(inputs)); !slices.Equal(got, tc.want) {
				t.Errorf("diff after the import: got %v, want %v", got, tc.want)
			}
		})
	}
}

func TestAnImportByAManifestIsRefused(t *testing.T) {
	t.Parallel()
	service, server := openService(t)
	service.others(t, 1)
	_, id := manifestFile(t, t.TempDir(), "press-000,press-000-d,", "press-998,,", "press-999,,")
	file := id[strings.Index(id, "@")+1:]
	for name, tc := range map[string]struct{ id, want string }{
		"rows that do not exist": {id, "2 of them do not exist (press-998, press-999)"},
		"another service": {"other.azure-devices-provisioning.net/enrollmentSets/@" + file,
			"configured for " + emulatedHost},
		"a missing file": {emulatedHost + "/enrollmentSets/@" + file + ".missing", "read the manifest"},
		"no path":        {emulatedHost + "/enrollmentSets/devices", "not of the form"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			set := manage(t, server, "EnrollmentSet", "devices")
			set.id = tc.id
			if err := set.read(); err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("got %v, want %q", err, tc.want)
			}
		})
	}
}

// TestAProgramImportsASetOnce: Pulumi imports again whenever the id of an option `import` is not that of the resource.
func TestAProgramImportsASetOnce(t *testing.T) {
	t.Parallel()
	service, _ := openService(t)
	rows := service.others(t, 60)
	inputs, id := manifestFile(t, t.TempDir(), rows...)
	s := newStack(t, "adopted", service.cloud.config(service.key))
	s.declare(resourceIn{kind: "EnrollmentSet", name: "devices", inputs: inputs,
		options: deploytest.ResourceOptions{ImportID: resource.ID(id)}})
	before := service.etags(t)
	s.mustUp()
	for range 2 {
		if calls := service.cloud.callsOf(func() { s.mustUp() }); calls != 0 {
			t.Errorf("up again: got %d requests, want none", calls)
		}
		must(t, s.refresh())
	}
	if got := changedIDs(before, service.etags(t)); len(got) > 0 {
		t.Errorf("the import changed %v", got)
	}
}
