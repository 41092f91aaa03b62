package provider_test

import (
	"fmt"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	p "github.com/pulumi/pulumi-go-provider"
	"github.com/pulumi/pulumi/sdk/v3/go/common/resource/asset"
	"github.com/pulumi/pulumi/sdk/v3/go/property"
)

const (
	commonVersion   = "2021-10-01"
	issuanceVersion = "2026-11-01"
)

// policyNames are the inputs that name a certificate policy.
var policyNames = object{"namespaceName": "ns-1", "certificateAuthorityName": "issuing",
	"certificatePolicyName": "leaves"}

// with returns the object with more members.
func (o object) with(more object) object {
	all := maps.Clone(o)
	maps.Copy(all, more)
	return all
}

// apiVersions counts the requests of each api-version to a fake service, which supports those in served.
type apiVersions struct {
	mu     sync.Mutex
	counts map[string]int
	served []string
}

// watch makes a fake service record versions.
func watch(f *fakeService, served ...string) *apiVersions {
	v := &apiVersions{counts: map[string]int{}, served: served}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.versions = v.see
	return v
}

// see reports whether a version is served.
func (v *apiVersions) see(version string) bool {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.counts[version]++
	return slices.Contains(v.served, version)
}

// take returns the versions that were requested since the last call.
func (v *apiVersions) take() []string {
	v.mu.Lock()
	defer v.mu.Unlock()
	seen := slices.Sorted(maps.Keys(v.counts))
	v.counts = map[string]int{}
	return seen
}

// TestOnlyEntriesWithAPolicyUseTheNewerAPI follows both kinds through their life.
func TestOnlyEntriesWithAPolicyUseTheNewerAPI(t *testing.T) {
	t.Parallel()
	for token, idName := range map[string]string{"IndividualEnrollment": "registrationId",
		"EnrollmentGroup": "enrollmentGroupId"} {
		t.Run(token, func(t *testing.T) {
			t.Parallel()
			fake := runFake(t)
			versions := watch(fake, commonVersion, issuanceVersion)
			m := manage(t, startProvider(t, fake.config()), token, "press")
			path := map[string]string{"registrationId": "/enrollments/press",
				"enrollmentGroupId": "/enrollmentGroups/press"}[idName]
			bare := object{idName: "press"}
			step := func(what string, want string, run func()) {
				t.Helper()
				run()
				if got := versions.take(); !slices.Equal(got, []string{want}) {
					t.Errorf("%s: used %v, want %s alone", what, got, want)
				}
			}
			held := func() string { return fmt.Sprint(fake.entry(path)["certificatePolicyName"]) }
			step("create", commonVersion, func() { m.up(bare) })
			step("refresh", commonVersion, func() { m.refresh() })
			step("update", commonVersion, func() { m.up(bare.with(object{"provisioningStatus": "disabled"})) })
			step("add the names", issuanceVersion, func() { m.up(bare.with(policyNames)) })
			if held() != "leaves" {
				t.Errorf("got the policy %s, want leaves", held())
			}
			step("refresh with them", issuanceVersion, func() {
				if got := m.refresh(); got != nil {
					t.Errorf("refresh: got drift in %v", got)
				}
			})
			if got := m.up(bare.with(policyNames).with(object{"certificatePolicyName": "LEAVES"})); got != nil {
				t.Errorf("another letter case: got changes in %v, want none", got)
			}
			step("update with them", issuanceVersion, func() {
				m.up(bare.with(policyNames).with(object{"provisioningStatus": "disabled"}))
			})
			if held() != "leaves" {
				t.Errorf("got the policy %s after an update of something else, want leaves", held())
			}
			step("remove them", issuanceVersion, func() {
				if got := m.up(bare); !slices.Contains(got, "certificatePolicyName") {
					t.Errorf("remove the names: got changes in %v", got)
				}
			})
			if held() != "<nil>" {
				t.Errorf("got the policy %s, want none", held())
			}
			step("update after that", commonVersion, func() {
				m.up(bare.with(object{"provisioningStatus": "disabled"}))
			})
			step("delete", commonVersion, func() { m.delete() })

			step("create with them", issuanceVersion, func() {
				m = manage(t, m.server, token, "press")
				m.up(bare.with(policyNames))
			})
		})
	}
}

// TestAServiceWithoutTheNewerAPI: all works that needs no policy, and an import falls back; what needs one is refused
// with the properties to remove.
func TestAServiceWithoutTheNewerAPI(t *testing.T) {
	t.Parallel()
	fake := runFake(t)
	versions := watch(fake, commonVersion)
	server := startProvider(t, fake.config())
	bare := object{"registrationId": "press"}
	m := manage(t, server, "IndividualEnrollment", "press")
	m.up(bare)
	m.refresh()
	imported := manage(t, server, "IndividualEnrollment", "imported")
	imported.id = m.id
	imported.refresh()
	if got := imported.state.Get("registrationId"); !got.IsString() || got.AsString() != "press" {
		t.Errorf("import: got %v", imported.state)
	}
	read, err := server.Invoke(p.InvokeRequest{Token: "azure-dps:index:getIndividualEnrollment",
		Args: bare.properties()})
	if err != nil || read.Return.Get("registrationId").AsString() != "press" {
		t.Errorf("function: got %v, %v", read.Return, err)
	}
	set := manage(t, server, "EnrollmentSet", "imported-set")
	set.id = strings.Replace(m.id, "/press", "/press,press", 1)
	set.refresh()
	if got := set.inputs.Get("items"); !got.IsArray() || got.AsArray().Len() != 1 {
		t.Errorf("import of a set: got %v", set.inputs)
	}
	for what, run := range map[string]func() error{
		"an update": func() error {
			_, err := m.tryUp(bare.with(policyNames))
			return err
		},
		"a creation": func() error {
			_, err := manage(t, server, "IndividualEnrollment", "other").tryUp(
				object{"registrationId": "other"}.with(policyNames))
			return err
		},
		"a set": func() error {
			_, err := manage(t, server, "EnrollmentSet", "set").tryUp(object{"items": items(
				object{"registrationId": "of-a-set"}), "defaults": policyNames})
			return err
		},
	} {
		t.Run(what, func(t *testing.T) {
			if err := run(); err == nil || !strings.Contains(err.Error(), "remove namespaceName") {
				t.Errorf("%s that names a policy: got %v, want what to remove", what, err)
			}
		})
	}
	if got := fake.entry("/enrollments/press"); got == nil || got["namespaceName"] != nil {
		t.Errorf("got the entry %v, want it unchanged", got)
	}
	versions.take()
}

// TestASetKeepsPoliciesOfItsItems: of rows, of defaults, of both; and removes them when they are left out, though a
// manifest leaves no trace of them in the inputs.
func TestASetKeepsPoliciesOfItsItems(t *testing.T) {
	t.Parallel()
	service, server := openService(t)
	file := filepath.Join(t.TempDir(), "devices.csv")
	write := func(text string) object {
		must(t, os.WriteFile(file, []byte(text), 0o600))
		a, err := asset.FromPath(file)
		must(t, err)
		return object{"manifest": property.New(a)}
	}
	names := func(id string) string {
		e := service.call(t, http.MethodGet, "/enrollments/"+id, nil)
		return fmt.Sprint(e["namespaceName"], " ", e["certificateAuthorityName"], " ", e["certificatePolicyName"])
	}
	expect := func(what string, want map[string]string) {
		t.Helper()
		for id, text := range want {
			if got := names(id); got != text {
				t.Errorf("%s: %s has %s, want %s", what, id, got, text)
			}
		}
	}
	m := manage(t, server, "EnrollmentSet", "press")
	m.up(write("registrationId,NAMESPACENAME,certificateAuthorityName,certificatePolicyName\n" +
		"press-1,ns-1,issuing,leaves\npress-2,,,others\npress-3,,,\n").with(object{"defaults": object{
		"namespaceName": "ns-2"}}))
	expect("created", map[string]string{"press-1": "ns-1 issuing leaves", "press-2": "ns-2 <nil> others",
		"press-3": "ns-2 <nil> <nil>"})
	if got := m.refresh(); got != nil {
		t.Errorf("refresh: got drift in %v", got)
	}
	// Another client removes the names of one; up restores them.
	service.edit(t, "/enrollments/press-1", func(e map[string]any) { delete(e, "certificatePolicyName") })
	if got := m.refresh(); len(got) == 0 {
		t.Error("refresh: got no drift, want that of press-1")
	}
	m.up(write("registrationId,NAMESPACENAME,certificateAuthorityName,certificatePolicyName\n" +
		"press-1,ns-1,issuing,leaves\npress-2,,,others\npress-3,,,\n").with(object{"defaults": object{
		"namespaceName": "ns-2"}}))
	expect("after the drift", map[string]string{"press-1": "ns-1 issuing leaves"})
	// Another process, which knows the state alone.
	m.server = nextRun(t, m.server)
	m.up(write("registrationId\npress-1\npress-2\npress-3\n"))
	expect("left out", map[string]string{"press-1": "<nil> <nil> <nil>", "press-2": "<nil> <nil> <nil>",
		"press-3": "<nil> <nil> <nil>"})
	if got := m.refresh(); got != nil {
		t.Errorf("in the end: got drift in %v", got)
	}
}

// TestASetWithoutPoliciesUsesTheCommonAPI through its whole life.
func TestASetWithoutPoliciesUsesTheCommonAPI(t *testing.T) {
	t.Parallel()
	service, server := openService(t)
	m := manage(t, server, "EnrollmentSet", "press")
	before := service.cloud.lastRequest()
	m.up(object{"items": items(object{"registrationId": "press-1"},
		object{"registrationId": "press-2", "deviceId": "d"})})
	m.refresh()
	m.up(object{"items": items(object{"registrationId": "press-1"})})
	m.delete()
	versions := service.cloud.versionsSince(before)
	if len(versions) == 0 {
		t.Error("got no requests")
	}
	for _, version := range versions {
		if version != commonVersion {
			t.Errorf("got a request with %s, want %s alone", version, commonVersion)
		}
	}
}

// TestImportsReadThePolicy of single entries, and of sets.
func TestImportsReadThePolicy(t *testing.T) {
	t.Parallel()
	service, server := openService(t)
	for token, collection := range map[string]string{"IndividualEnrollment": "enrollments",
		"EnrollmentGroup": "enrollmentGroups"} {
		t.Run(token, func(t *testing.T) {
			manage(t, server, token, "press").up(object{map[string]string{"enrollments": "registrationId",
				"enrollmentGroups": "enrollmentGroupId"}[collection]: "press"})
			service.edit(t, "/"+collection+"/press", func(entry map[string]any) { maps.Copy(entry, policyNames) })
			m := manage(t, nextRun(t, server), token, "imported")
			m.id = emulatedHost + "/" + collection + "/press"
			m.refresh()
			for name, want := range policyNames {
				if got := m.inputs.Get(name); !got.IsString() || got.AsString() != want {
					t.Errorf("%s: imported %s as %v, want %v", token, name, got, want)
				}
			}
			if got, _ := m.diff(m.inputs); got != nil {
				t.Errorf("%s: got changes in %v after the import", token, got)
			}
		})
	}
	set := manage(t, nextRun(t, server), "EnrollmentSet", "imported-set")
	set.id = emulatedHost + "/enrollments/pre*"
	set.refresh()
	item := set.inputs.Get("items").AsArray().Get(0).AsMap()
	if got := item.Get("certificatePolicyName"); !got.IsString() || got.AsString() != "leaves" {
		t.Errorf("set: imported %v, want the policy", item)
	}
}

// TestStatesOfEarlierVersionsStayValid compares with states that versions without certificate policies wrote: nothing
// changes, and the digests of a set are still those of its enrollments.
func TestStatesOfEarlierVersionsStayValid(t *testing.T) {
	t.Parallel()
	server := startProvider(t, object{"host": emulatedHost, "policyName": policyName, "key": newKey(t)})
	const key = "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY="
	keys := object{"primaryKey": key, "secondaryKey": key}
	set := object{"defaults": object{"provisioningStatus": "disabled"}, "items": items(
		object{"registrationId": "press-1"}.with(keys),
		object{"registrationId": "press-2", "tags": object{"a": "b"}, "deviceId": "d", "allocationPolicy": "hashed",
			"iotHubs": []string{emulatedHub}}.with(keys),
	)}
	record := object{"serviceHost": emulatedHost, "etag": "e", "createdDateTimeUtc": "2026-01-01T00:00:00.0000000Z",
		"lastUpdatedDateTimeUtc": "2026-01-01T00:00:00.0000000Z", "primaryKey": key, "secondaryKey": key}
	single := object{"registrationId": "press", "attestation": object{"symmetricKey": keys}}
	for token, test := range map[string]struct{ inputs, outputs object }{
		"EnrollmentSet": {set, object{
			"serviceHost": emulatedHost,
			"digestKey":   "i7qkx63Z6gGehM5LNBJiwMnn+kbwjN3WqnoCh9Eo0ZZa40UElbbp7w8eKjD/MIqomf85biGyCyAiY244BbaAlw==",
			"devices": object{
				"press-1": "e1 symmetricKey j0pn-94xnbb9aD2ar_UJ osZV7c798c3hCs2Ynk-i osZV7c798c3hCs2Ynk-i - x53_ x53_",
				"press-2": "e2 symmetricKey iL17VRXqXt4bGDLH73vO osZV7c798c3hCs2Ynk-i osZV7c798c3hCs2Ynk-i - zzVg zzVg",
			},
		}},
		"IndividualEnrollment": {single, record},
		"EnrollmentGroup": {object{"enrollmentGroupId": "press", "attestation": object{"symmetricKey": keys}},
			record},
	} {
		t.Run(token, func(t *testing.T) {
			t.Parallel()
			m := manage(t, server, token, "press")
			m.id, m.inputs, m.state = "id", test.inputs.properties(), test.inputs.with(test.outputs).properties()
			if got, _ := m.diff(m.check(test.inputs)); got != nil {
				t.Errorf("got changes in %v, want none", got)
			}
		})
	}
}
