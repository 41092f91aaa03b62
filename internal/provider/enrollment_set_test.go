package provider_test

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	p "github.com/pulumi/pulumi-go-provider"
	"github.com/pulumi/pulumi-go-provider/integration"
	"github.com/pulumi/pulumi/sdk/v3/go/common/resource/asset"
	"github.com/pulumi/pulumi/sdk/v3/go/property"
)

// items returns a list of objects.
func items(objects ...object) property.Value {
	values := make([]property.Value, len(objects))
	for i, o := range objects {
		values[i] = property.New(o.properties())
	}
	return property.New(property.NewArray(values))
}

// objectsOf returns the objects in such a list.
func objectsOf(list any) []object {
	var objects []object
	for _, value := range list.(property.Value).AsArray().All {
		o := object{}
		for name, member := range value.AsMap().All {
			o[name] = member
		}
		objects = append(objects, o)
	}
	return objects
}

// numbered returns n items device-00000 and so on, the first of them changed.
func numbered(n, changed int) property.Value {
	list := make([]object, n)
	for i := range list {
		list[i] = object{"registrationId": fmt.Sprintf("device-%05d", i)}
		if i < changed {
			list[i]["tags"] = object{"changed": true}
		}
	}
	return items(list...)
}

func devicesOf(m *managed) []string {
	return slices.Sorted(maps.Keys(m.state.Get("devices").AsMap().AsMap()))
}

// callsOf returns the number of requests to the service that an operation makes.
func (a *azure) callsOf(operation func()) int {
	before := a.lastRequest()
	operation()
	return int(a.lastRequest() - before)
}

func (a *azure) lastRequest() uint64 {
	requests := a.Requests("", "")
	if len(requests) == 0 {
		return 0
	}
	return requests[len(requests)-1].Seq
}

// versionsSince returns the api-versions of the requests to the service API after a request.
func (a *azure) versionsSince(seq uint64) []string {
	var versions []string
	for _, request := range a.Requests("dps-service", "") {
		if request.Seq > seq {
			versions = append(versions, request.APIVersion)
		}
	}
	return versions
}

// setOn creates a provisioning service and a provider for it.
func setOn(t *testing.T) (*azure, object, integration.Server) {
	t.Helper()
	cloud, key := newAzure(t), newKey(t)
	_, err := cloud.putService(t.Context(), key, newKey(t), "")
	must(t, err)
	config := cloud.config(key)
	return cloud, config, startProvider(t, config)
}

func TestSetIsCreatedUpdatedAndDeleted(t *testing.T) {
	t.Parallel()
	cloud, _, server := setOn(t)
	given, root := newKey(t), newAuthority(t, "root")
	set := manage(t, server, "EnrollmentSet", "devices")
	certificate := root.leaf(t, "by-x509", time.Hour)
	list := func(changes object) object {
		inputs := object{
			"defaults": object{"initialTwin": object{"tags": object{"site": "a"}}, "allocationPolicy": "Hashed"},
			"items": items(object{"registrationId": "made"}, object{"registrationId": "given", "primaryKey": given},
				object{"registrationId": "by-tpm", "endorsementKey": endorsementKey},
				object{"registrationId": "by-x509", "certificate": certificate}),
		}
		maps.Copy(inputs, changes)
		return inputs
	}
	first := list(nil)
	if calls := cloud.callsOf(func() {
		preview, err := server.Create(p.CreateRequest{Urn: set.urn, Properties: set.check(first), DryRun: true})
		if must(t, err); !preview.Properties.Get("devices").IsComputed() ||
			preview.Properties.Get("items").HasComputed() {
			t.Errorf("preview: got devices %v, want them unknown and the items known",
				preview.Properties.Get("devices"))
		}
	}); calls != 0 {
		t.Errorf("preview: got %d calls, want none", calls)
	}
	if got, want := set.messages(),
		"INFO enrollments: 4 added (made, given, by-tpm, by-x509); 0 unchanged"; !slices.Contains(got, want) {
		t.Errorf("preview: got messages %q, want %q among them", got, want)
	}
	set.up(first)
	if got, want := devicesOf(set), []string{"by-tpm", "by-x509", "given", "made"}; !slices.Equal(got, want) {
		t.Fatalf("devices: got %v, want %v", got, want)
	}
	if calls := cloud.callsOf(func() {
		if got := set.up(first); got != nil {
			t.Errorf("up again: got %v, want none", got)
		}
	}); calls != 0 {
		t.Errorf("up again: got %d calls, want none", calls)
	}
	key := invoke(t, server, "getIndividualEnrollment", object{"registrationId": "made"}).Get("primaryKey").AsString()
	if text := fmt.Sprint(set.state.Get("devices")); strings.Contains(text, key) || strings.Contains(text, given) {
		t.Error("the state contains a key")
	}
	other := list(object{"defaults": object{"initialTwin": object{"tags": object{"site": "b"}},
		"allocationPolicy": "hashed"}})
	preview, err := server.Update(p.UpdateRequest{ID: set.id, Urn: set.urn, State: set.state, Inputs: set.check(other),
		OldInputs: set.inputs, DryRun: true})
	if must(t, err); !preview.Properties.Get("devices").IsComputed() ||
		preview.Properties.Get("digestKey").IsComputed() {
		t.Errorf("preview of a change: got devices %v, digestKey unknown %t", preview.Properties.Get("devices"),
			preview.Properties.Get("digestKey").IsComputed())
	}
	if got := set.up(list(object{"defaults": object{"initialTwin": object{"tags": object{"site": "b"}},
		"allocationPolicy": "hashed"}})); !slices.Equal(got, []string{"defaults.initialTwin.tags"}) {
		t.Errorf("other defaults: got %v, want their tags", got)
	}
	found := invoke(t, server, "getIndividualEnrollment", object{"registrationId": "made"})
	if found.Get("primaryKey").AsString() != key ||
		found.Get("initialTwin").AsMap().Get("tags").AsMap().Get("site").AsString() != "b" {
		t.Error("a change of the tags renewed a key or did not arrive")
	}
	set.up(object{"items": items(object{"registrationId": "made"}, object{"registrationId": "by-tpm"},
		object{"registrationId": "new"})})
	if got, want := devicesOf(set), []string{"by-tpm", "made", "new"}; !slices.Equal(got, want) {
		t.Errorf("after removal, addition and another attestation: got %v, want %v", got, want)
	}
	if key := invoke(t, server, "getIndividualEnrollment",
		object{"registrationId": "by-tpm"}).Get("primaryKey"); !key.IsString() {
		t.Error("by-tpm does not attest by keys now")
	}
	if got := set.refresh(); got != nil {
		t.Errorf("refresh: got %v, want none", got)
	}
	set.delete()
	set.delete() // deleting an absent set succeeds
	if _, err := tryInvoke(t, server, "getIndividualEnrollment", object{"registrationId": "new"}); err == nil {
		t.Error("an enrollment survived its set")
	}
}

func TestASetReportsAndRevertsDrift(t *testing.T) {
	t.Parallel()
	cloud, _, server := setOn(t)
	inputs := object{"items": numbered(120, 0)}
	set := manage(t, server, "EnrollmentSet", "devices")
	set.up(inputs)
	editor := func(id string) *managed {
		m := manage(t, server, "IndividualEnrollment", id)
		m.id = emulatedHost + "/enrollments/" + id
		m.refresh()
		return m
	}
	touched := editor("device-00003") // an edit that is undone changes the etag only
	touched.up(object{"registrationId": "device-00003", "provisioningStatus": "disabled"})
	touched.up(object{"registrationId": "device-00003"})
	if calls := cloud.callsOf(func() {
		if got := set.refresh(); got != nil {
			t.Errorf("a moved etag: got %v, want no drift", got)
		}
	}); calls > 4 {
		t.Errorf("refresh: got %d calls, want a query and one enrollment in full", calls)
	}
	editor("device-00001").up(object{"registrationId": "device-00001", "provisioningStatus": "disabled"})
	editor("device-00002").up(object{"registrationId": "device-00002",
		"attestation": object{"symmetricKey": object{"primaryKey": newKey(t), "secondaryKey": newKey(t)}}})
	editor("device-00004").delete()
	if got, want := set.refresh(), []string{"items[1].provisioningStatus", "items[4]"}; !slices.Equal(got, want) {
		t.Errorf("drift: got %v, want %v", got, want)
	}
	if got, want := slices.Sorted(maps.Keys(set.state.Get("drifted").AsMap().AsMap())),
		[]string{"device-00001", "device-00004"}; !slices.Equal(got, want) {
		t.Errorf("drifted: got %v, want %v", got, want)
	}
	if calls := cloud.callsOf(func() { set.up(inputs) }); calls > 8 {
		t.Errorf("healing two enrollments: got %d calls", calls)
	}
	if got := set.refresh(); got != nil || len(devicesOf(set)) != 120 {
		t.Errorf("after healing: got drift %v in %d devices, want none in 120", got, len(devicesOf(set)))
	}
	editor("device-00001").up(object{"registrationId": "device-00001", "provisioningStatus": "disabled"})
	if _, err := set.tryUp(object{"items": numbered(120, 3)}); err == nil {
		t.Error("an update over another client's change: got no failure")
	}
	if status := invoke(t, server, "getIndividualEnrollment",
		object{"registrationId": "device-00001"}).Get("provisioningStatus"); status.AsString() != "disabled" {
		t.Error("another client's change was overwritten silently")
	}
}

func TestAFailedSetKeepsItsProgressAndContinues(t *testing.T) {
	t.Parallel()
	_, config, server := setOn(t)
	foreign := manage(t, nextRun(t, server), "IndividualEnrollment", "foreign")
	foreign.up(object{"registrationId": "device-00007"})
	set := manage(t, server, "EnrollmentSet", "devices")
	checked := set.check(object{"items": numbered(25, 0)})
	created, err := server.Create(p.CreateRequest{Urn: set.urn, Properties: checked})
	if err == nil || created.PartialState == nil {
		t.Fatalf("create over a foreign enrollment: got %v, want a part", err)
	}
	reasons := created.PartialState.Reasons
	if text := strings.Join(reasons, "\n"); len(reasons) != 2 || !strings.Contains(reasons[0], "24 of 25 added") ||
		!strings.Contains(text, `"device-00007"`) || !strings.Contains(text, "pulumi import") {
		t.Errorf("reasons: got %q, want what was done, and device-00007 with its import", reasons)
	}
	set.id, set.inputs, set.state = created.ID, checked, created.Properties
	if got := len(devicesOf(set)); got != 24 {
		t.Errorf("devices: got %d, want 24", got)
	}
	foreign.delete()
	if got := set.up(object{"items": numbered(25, 0)}); !slices.Equal(got, []string{"items[7]"}) ||
		len(devicesOf(set)) != 25 {
		t.Errorf("the next up: got %v with %d devices, want items[7] and all", got, len(devicesOf(set)))
	}
	// An engine that was killed has no state: the same set takes over what it created, another one does not.
	again := manage(t, startProvider(t, config), "EnrollmentSet", "devices")
	again.up(object{"items": numbered(25, 0)})
	if got := len(devicesOf(again)); got != 25 {
		t.Errorf("taken over: got %d, want 25", got)
	}
	other := manage(t, nextRun(t, server), "EnrollmentSet", "other")
	if _, err := other.tryUp(object{"items": numbered(2, 0)}); err == nil ||
		!strings.Contains(err.Error(), "device-00001") {
		t.Errorf("another set over it: got %v, want a refusal of each", err)
	}
}

func TestASetComesFromManifests(t *testing.T) {
	t.Parallel()
	_, _, server := setOn(t)
	key := newKey(t)
	csv := "registrationId,primaryKey,tags,iotEdge\na,,\"{\"\"line\"\":1}\",true\nb," + key + ",,\n"
	file := filepath.Join(t.TempDir(), "devices.csv")
	must(t, os.WriteFile(file, []byte(csv), 0o600))
	manifest := func() object {
		a, err := asset.FromPath(file)
		must(t, err)
		return object{"manifest": property.New(a)}
	}
	set := manage(t, server, "EnrollmentSet", "devices")
	set.up(manifest())
	found := invoke(t, server, "getIndividualEnrollment", object{"registrationId": "a"})
	if tags := found.Get("initialTwin").AsMap().Get("tags").AsMap(); tags.Get("line").AsNumber() != 1 ||
		!found.Get("capabilities").AsMap().Get("iotEdge").AsBool() {
		t.Errorf("row a: got %v", found.Get("initialTwin"))
	}
	if got := invoke(t, server, "getIndividualEnrollment",
		object{"registrationId": "b"}).Get("primaryKey").AsString(); got != key {
		t.Error("row b has another key than the manifest gives")
	}
	if text := fmt.Sprint(set.state); strings.Contains(text, key) {
		t.Error("the state holds a key of the manifest")
	}
	must(t, os.WriteFile(file, []byte(csv+"c,,,\n"), 0o600))
	if got := set.up(manifest()); !slices.Equal(got, []string{"manifest"}) ||
		!slices.Equal(devicesOf(set), []string{"a", "b", "c"}) {
		t.Errorf("another row: got %v with %v", got, devicesOf(set))
	}
	// The engine gives Diff only the asset's hash; Check has read the rows before.
	a, err := asset.FromPath(file)
	must(t, err)
	for hash, want := range map[string][]string{a.Hash: nil, strings.Repeat("0", 64): {"manifest"}} {
		t.Run(hash, func(t *testing.T) {
			elided := object{"manifest": property.New(&asset.Asset{Sig: asset.AssetSig, Hash: hash})}.properties()
			if got, _ := set.diff(elided); !slices.Equal(got, want) {
				t.Errorf("an asset of which only the hash %s is known: got %v, want %v", hash, got, want)
			}
		})
	}
	// The same rows as secret text in JSON change nothing.
	text := `[{"registrationId":"a","tags":{"line":1},"iotEdge":true},{"registrationId":"b","primaryKey":"` + key +
		`"},{"registrationId":"c"}]`
	if got := set.up(object{"manifestText": property.New(text).WithSecret(true)}); got != nil {
		t.Errorf("the same as JSON: got %v, want none", got)
	}
	set.delete()
}

func TestASetIsImported(t *testing.T) {
	t.Parallel()
	_, _, server := setOn(t)
	inputs := object{"defaults": object{"reprovisionPolicy": object{"updateHubAssignment": true,
		"migrateDeviceData": false}},
		"items": items(object{"registrationId": "a-1", "tags": object{"x": "y"}},
			object{"registrationId": "a-2", "endorsementKey": endorsementKey})}
	set := manage(t, server, "EnrollmentSet", "devices")
	set.up(inputs)
	for _, id := range []string{"a-1,a-2", "A-*", "a-2, A-1,a-1"} {
		t.Run(id, func(t *testing.T) {
			imported := manage(t, server, "EnrollmentSet", "imported")
			imported.id = emulatedHost + "/enrollments/" + id
			imported.refresh()
			if imported.id != emulatedHost+"/enrollmentSets/imported" {
				t.Fatalf("import of %s: got id %s", id, imported.id)
			}
			if text := fmt.Sprint(imported.inputs); strings.Contains(text, "primaryKey") {
				t.Error("the import put a made key into the inputs")
			}
			if got := imported.up(inputs); got != nil {
				t.Errorf("up after the import of %s: got %v, want none", id, got)
			}
		})
	}
	for id, want := range map[string]string{"a-1,x-1,x-2": "2 of them do not exist (x-1, x-2)",
		"b-*": "no enrollment id has this prefix", "a-1,": "is empty", "a b": "contains ' '"} {
		t.Run(id, func(t *testing.T) {
			missing := manage(t, server, "EnrollmentSet", "missing")
			missing.id = emulatedHost + "/enrollments/" + id
			if _, err := server.Read(readOf(missing)); err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("import of %s: got %v, want %q", id, err, want)
			}
		})
	}
}

// numberedText returns a manifest of n devices, the first of them changed.
func numberedText(n, changed int) property.Value {
	var b strings.Builder
	b.WriteString("registrationId,provisioningStatus\n")
	for i := range n {
		status := ""
		if i < changed {
			status = "disabled"
		}
		fmt.Fprintf(&b, "device-%05d,%s\n", i, status)
	}
	return property.New(b.String()).WithSecret(true)
}

func TestAChangeOfTenDevicesMakesCallsForTen(t *testing.T) {
	t.Parallel()
	size := 10_000
	if testing.Short() {
		size = 1_200
	}
	cloud, _, server := setOn(t)
	set := manage(t, server, "EnrollmentSet", "devices")
	steps := []struct {
		name string
		do   func()
		most int
	}{
		{"creation", func() { set.up(object{"manifestText": numberedText(size, 0)}) }, size/10 + size/1000 + 1},
		// Their keys must be kept.
		{"a change of ten", func() { set.up(object{"manifestText": numberedText(size, 10)}) }, 20},
		{"no change", func() { set.up(object{"manifestText": numberedText(size, 10)}) }, 0},
		{"refresh", func() { set.refresh() }, size/1000 + 1},
		// Removed entries are read first, since they may belong to another resource by now.
		{"removal of ten", func() { set.up(object{"manifestText": numberedText(size-10, 10)}) }, 10 + 1},
		{"deletion", set.delete, size/1000 + 1 + size/10},
	}
	for _, step := range steps {
		t.Run(step.name, func(t *testing.T) {
			if calls := cloud.callsOf(step.do); calls > step.most {
				t.Errorf("%s: got %d calls, want at most %d", step.name, calls, step.most)
			}
		})
	}
	if got := len(devicesOf(set)); got != size-10 {
		t.Errorf("devices: got %d, want %d", got, size-10)
	}
}

// Equal settings are digested once, so the digests of each device must be distinguishable from those of the next one.
func TestDevicesOfASetHaveSeparateDigests(t *testing.T) {
	t.Parallel()
	_, _, server := setOn(t)
	set := manage(t, server, "EnrollmentSet", "neighbours")
	different := []object{
		{}, {"deviceId": "other"}, {"provisioningStatus": "disabled"}, {"allocationPolicy": "geoLatency"},
		{"iotEdge": true},
		{"reprovisionPolicy": object{"updateHubAssignment": true, "migrateDeviceData": false}},
		{"tags": object{"site": "a"}},
	}
	var list []object
	for i, settings := range different {
		for _, twin := range []string{"a", "b"} {
			device := object{"registrationId": fmt.Sprintf("device-%d-%s", i, twin)}
			maps.Copy(device, settings)
			list = append(list, device)
		}
	}
	set.up(object{"items": items(list...)})
	digests, devices := map[string]int{}, set.state.Get("devices").AsMap()
	for i := range different {
		digest := func(twin string) string {
			return strings.Fields(devices.Get(fmt.Sprintf("device-%d-%s", i, twin)).AsString())[2]
		}
		if digest("a") != digest("b") {
			t.Errorf("%v: two devices with the same settings have the digests %s and %s", different[i], digest("a"),
				digest("b"))
		}
		if other, exists := digests[digest("a")]; exists {
			t.Errorf("%v has the digest of %v", different[i], different[other])
		}
		digests[digest("a")] = i
	}
	if got := set.refresh(); got != nil {
		t.Errorf("refresh: got %v, want none", got)
	}
}
