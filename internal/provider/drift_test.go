package provider_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/pulumi/pulumi-go-provider/integration"
	"github.com/pulumi/pulumi/pkg/v3/codegen/schema"
	"github.com/pulumi/pulumi/sdk/v3/go/common/resource/asset"
	"github.com/pulumi/pulumi/sdk/v3/go/property"
)

// drift is a change of one property at the service.
type drift struct {
	// inputs are what the program declares besides the id; nil if nothing.
	inputs object
	edit   func(entry map[string]any)
}

func set(path ...any) func(map[string]any) {
	return func(entry map[string]any) {
		last := len(path) - 2
		for _, name := range path[:last] {
			next, ok := entry[name.(string)].(map[string]any)
			if !ok {
				next = map[string]any{}
				entry[name.(string)] = next
			}
			entry = next
		}
		entry[path[last].(string)] = path[last+1]
	}
}

// drifts returns a case for every input of the enrollment id that can change at the service.
func drifts(t *testing.T, id string) map[string]drift {
	root, other := newAuthority(t, "root"), newAuthority(t, "other")
	client := func() string { return root.leaf(t, id, time.Hour) }
	certificate := func(pem string) map[string]any { return map[string]any{"certificate": pem} }
	x509 := func(member string, pair object) object {
		return object{"attestation": object{"x509": object{member: pair}}}
	}
	webhook := object{"allocationPolicy": "custom",
		"customAllocation": object{"webhookUrl": "https://f.example/a?code=1", "apiVersion": "2021-10-01"}}
	tpm := object{"attestation": object{"tpm": object{"endorsementKey": endorsementKey,
		"storageRootKey": endorsementKey}}}
	const otherKey = "AAgAAQALAAMAsw=="
	return map[string]drift{
		"deviceId": {edit: set("deviceId", "d")},
		"optionalDeviceInformation": {inputs: object{"optionalDeviceInformation": object{"a": 1}},
			edit: set("optionalDeviceInformation", "a", 2.0)},
		"provisioningStatus":   {edit: set("provisioningStatus", "disabled")},
		"capabilities.iotEdge": {edit: set("capabilities", "iotEdge", true)},
		"initialTwin.tags": {inputs: object{
			"initialTwin": object{"tags": object{"a": "b"}}}, edit: set("initialTwin", "tags", "a", "c")},
		"initialTwin.desiredProperties": {edit: set("initialTwin", "properties", "desired", "a",
			[]any{true, "b"})},
		"reprovisionPolicy.updateHubAssignment": {edit: set("reprovisionPolicy",
			map[string]any{"updateHubAssignment": false, "migrateDeviceData": true})},
		"reprovisionPolicy.migrateDeviceData": {inputs: object{"reprovisionPolicy": object{
			"updateHubAssignment": true, "migrateDeviceData": true}},
			edit: set("reprovisionPolicy", "migrateDeviceData", false)},
		"allocationPolicy": {inputs: object{"allocationPolicy": "GEOLATENCY"},
			edit: set("allocationPolicy", "hashed")},
		"customAllocation.webhookUrl": {inputs: webhook, edit: set("customAllocationDefinition",
			"webhookUrl", "https://g.example/a?code=1")},
		"customAllocation.apiVersion": {inputs: webhook, edit: set("customAllocationDefinition",
			"apiVersion", "2019-03-31")},
		"iotHubs": {inputs: object{"allocationPolicy": "hashed",
			"iotHubs": []string{"hub-2.azure-devices.net", emulatedHub}}, edit: set("iotHubs", []any{emulatedHub})},
		"iotHubHostName": {edit: set("iotHubHostName", emulatedHub)},
		// Without a name of its own the provider reads a version of the service that does not have them.
		"namespaceName": {inputs: object{"namespaceName": "ns-1"}, edit: set("namespaceName", "ns-2")},
		"certificateAuthorityName": {inputs: object{"namespaceName": "ns-1"},
			edit: set("certificateAuthorityName", "issuing")},
		"certificatePolicyName": {inputs: object{"certificatePolicyName": "leaves"},
			edit: set("certificatePolicyName", "others")},
		"attestation.symmetricKey.primaryKey": {inputs: object{"attestation": object{"symmetricKey": object{
			"primaryKey": newKey(t)}}}, edit: set("attestation", "symmetricKey", "primaryKey", newKey(t))},
		"attestation.symmetricKey.secondaryKey": {inputs: object{"attestation": object{"symmetricKey": object{
			"secondaryKey": newKey(t)}}}, edit: set("attestation", "symmetricKey", "secondaryKey", newKey(t))},
		"attestation.x509.clientCertificates.primary": {inputs: x509("clientCertificates",
			object{"primary": client(), "secondary": client()}), edit: set("attestation", "x509", "clientCertificates",
			"primary", certificate(client()))},
		"attestation.x509.clientCertificates.secondary": {inputs: x509("clientCertificates",
			object{"primary": client()}), edit: set("attestation", "x509", "clientCertificates", "secondary",
			certificate(client()))},
		"attestation.x509.signingCertificates.primary": {inputs: x509("signingCertificates",
			object{"primary": root.PEM, "secondary": root.PEM}), edit: set("attestation", "x509", "signingCertificates",
			"primary", certificate(other.PEM))},
		"attestation.x509.signingCertificates.secondary": {inputs: x509("signingCertificates",
			object{"primary": root.PEM, "secondary": other.PEM}),
			edit: set("attestation", "x509", "signingCertificates", "secondary", certificate(root.PEM))},
		"attestation.x509.caReferences.primary": {inputs: x509("caReferences", object{"primary": "ca-1"}),
			edit: set("attestation", "x509", "caReferences", "primary", "ca-2")},
		"attestation.x509.caReferences.secondary": {inputs: x509("caReferences", object{"primary": "ca-1"}),
			edit: set("attestation", "x509", "caReferences", "secondary", "ca-2")},
		"attestation.tpm.endorsementKey": {inputs: tpm,
			edit: set("attestation", "tpm", "endorsementKey", otherKey)},
		"attestation.tpm.storageRootKey": {inputs: tpm,
			edit: set("attestation", "tpm", "storageRootKey", otherKey)},
	}
}

// walk is a test of the drift of one property.
type walk struct {
	token, name string
	// path is the path of the entry at the service.
	path   string
	inputs object
	edit   func(map[string]any)
	// want is the path that refresh and up must report.
	want string
}

// expectSecrets expects all values that are secret in the schema to be secret in the resource, however they came there.
func expectSecrets(t *testing.T, m *managed) {
	t.Helper()
	spec := readSchema(t)
	resource := spec.Resources[string(m.urn.Type())]
	for _, plain := range append(plainSecrets(spec, resource.InputProperties, m.inputs),
		plainSecrets(spec, resource.Properties, m.state)...) {
		t.Errorf("%s of %s is not secret", plain, m.urn.Name())
	}
}

// plainSecrets returns the properties that should be secret and are not.
func plainSecrets(spec schema.PackageSpec, properties map[string]schema.PropertySpec, values property.Map) []string {
	var plain []string
	for name, value := range values.All {
		described := properties[name]
		list, of := []property.Value{value}, described.Ref
		if value.IsArray() && described.Items != nil {
			list, of = value.AsArray().AsSlice(), described.Items.Ref
		}
		switch {
		case value.Secret():
			continue
		case described.Secret:
			plain = append(plain, name)
		}
		for _, value := range list {
			if value.IsMap() {
				plain = append(plain, plainSecrets(spec, spec.Types[strings.TrimPrefix(of, "#/types/")].Properties,
					value.AsMap())...)
			}
		}
	}
	return plain
}

// drifts makes one change with the service API, and expects refresh to report it and up to revert it. An import of the
// same entry must need no update and contain no key that the program does not give.
func (w walk) drifts(t *testing.T, service serviceAPI, server integration.Server) {
	m := manage(t, server, w.token, w.name)
	m.up(w.inputs)
	before := canonical(t, service.entry(t, w.path))
	service.edit(t, w.path, w.edit)
	if got := m.refresh(); !slices.Equal(got, []string{w.want}) {
		t.Errorf("refresh: got %v, want %s alone", got, w.want)
	}
	expectSecrets(t, m)
	if got := m.up(w.inputs); !slices.Equal(got, []string{w.want}) {
		t.Errorf("up: got changes in %v, want %s alone", got, w.want)
	}
	if after := canonical(t, service.entry(t, w.path)); !reflect.DeepEqual(before, after) {
		t.Errorf("after up the service holds %v, want %v", after, before)
	}
	if got := m.refresh(); got != nil {
		t.Errorf("second refresh: got %v, want none", got)
	}
	imported := manage(t, server, w.token, "imported-"+w.name)
	imported.id = emulatedHost + w.path
	imported.refresh()
	expectSecrets(t, imported)
	if text := fmt.Sprint(imported.inputs); strings.Contains(text, "primaryKey") ||
		strings.Contains(text, "secondaryKey") {
		t.Error("the import put a key into the inputs")
	}
	if got := imported.up(w.inputs); got != nil {
		t.Errorf("up after the import: got %v, want none", got)
	}
}

// TestRefreshReportsEveryDriftAndUpRevertsIt walks the schema: an input without a case fails. The service does not know
// deleteRegistrations.
func TestRefreshReportsEveryDriftAndUpRevertsIt(t *testing.T) {
	t.Parallel()
	service, server := openService(t)
	for _, in := range enrollmentInputs(t) {
		if isForOthers(in.token, in.path) {
			continue
		}
		t.Run(in.token+" "+in.path, func(t *testing.T) {
			t.Parallel()
			id := strings.ToLower(in.path)
			drift, covered := drifts(t, id)[in.path]
			if !covered {
				t.Fatalf("no case for the input %s", in.path)
			}
			inputs := object{in.idName: id}
			maps.Copy(inputs, drift.inputs)
			walk{in.token, id, in.collection + id, inputs, drift.edit, in.path}.drifts(t, service, server)
		})
	}
}

// enrollmentInput is an input of an enrollment or of a group.
type enrollmentInput struct{ token, idName, collection, path string }

// enrollmentInputs are those in the schema except the ids and deleteRegistrations, which the service does not know.
func enrollmentInputs(t *testing.T) []enrollmentInput {
	t.Helper()
	spec := readSchema(t)
	var all []enrollmentInput
	for _, in := range []enrollmentInput{
		{"IndividualEnrollment", "registrationId", "/enrollments/", ""}, {"EnrollmentGroup", "enrollmentGroupId",
			"/enrollmentGroups/", ""},
	} {
		for path, isLeaf := range inputPaths(t, spec, "azure-dps:index:"+in.token) {
			if in.path = path; isLeaf && path != in.idName && path != "deleteRegistrations" {
				all = append(all, in)
			}
		}
	}
	return all
}

// given are values of inputs by path that differ from the defaults, where those of drifts do not.
var given = map[string]object{
	"deviceId": {"deviceId": "d"}, "provisioningStatus": {"provisioningStatus": "disabled"},
	"capabilities.iotEdge":          {"capabilities": object{"iotEdge": true}},
	"initialTwin.desiredProperties": {"initialTwin": object{"desiredProperties": object{"a": "b"}}},
	"reprovisionPolicy.updateHubAssignment": {"reprovisionPolicy": object{"updateHubAssignment": false,
		"migrateDeviceData": true}},
	"reprovisionPolicy.migrateDeviceData": {"reprovisionPolicy": object{"updateHubAssignment": true,
		"migrateDeviceData": false}},
	"iotHubHostName":           {"iotHubHostName": emulatedHub},
	"certificateAuthorityName": {"certificateAuthorityName": "Issuing"},
}

// TestPropertiesThatAreLeftOutAreRemoved walks the schema: a property that the program no longer gives is removed at
// the service, and one that was removed there is restored.
func TestPropertiesThatAreLeftOutAreRemoved(t *testing.T) {
	t.Parallel()
	service, server := openService(t)
	for _, in := range enrollmentInputs(t) {
		if strings.HasPrefix(in.path, "attestation.") {
			continue // keys are kept, and another kind of attestation replaces
		}
		t.Run(in.token+" "+in.path, func(t *testing.T) {
			t.Parallel()
			id := "left-" + strings.ToLower(in.path)
			bare, entry := object{in.idName: id}, in.collection+id
			inputs := bare.edited(drifts(t, id)[in.path].inputs).edited(given[in.path])
			m := manage(t, server, in.token, id)
			m.up(bare)
			before := canonical(t, service.entry(t, entry))
			want := m.up(inputs)
			if !slices.Contains(want, in.path) {
				t.Fatalf("given: got changes in %v, want %s among them", want, in.path)
			}
			service.edit(t, entry, func(e map[string]any) {
				maps.DeleteFunc(e, func(name string, _ any) bool { return name != in.idName && name != "attestation" })
			})
			if got := m.refresh(); !slices.Equal(got, want) {
				t.Errorf("refresh after it went at the service: got %v, want %v", got, want)
			}
			if got := m.up(inputs); !slices.Equal(got, want) {
				t.Errorf("up after that: got %v, want %v", got, want)
			}
			if got := m.up(bare); !slices.Equal(got, want) {
				t.Errorf("left out: got %v, want %v", got, want)
			}
			after := canonical(t, service.entry(t, entry))
			if got := m.refresh(); got != nil || !reflect.DeepEqual(before, after) {
				t.Errorf("in the end: drift in %v, and the service holds %v, want %v", got, after, before)
			}
		})
	}
}

// TestDriftBesideAMaskedWebhook: the service masks the query of a webhook. A query that was added or removed is
// reported, and the properties beside it show no drift.
func TestDriftBesideAMaskedWebhook(t *testing.T) {
	t.Parallel()
	service, server := openService(t)
	allocation := func(address string) object {
		return object{"allocationPolicy": "custom", "customAllocation": object{"webhookUrl": address,
			"apiVersion": "2021-10-01"}}
	}
	const plain, withQuery = "https://f.example/a", "https://f.example/a?code=1"
	for name, test := range map[string]struct {
		declared   string
		edit       func(map[string]any)
		path, item string
	}{
		"a-query-that-came": {plain, set("customAllocationDefinition", "webhookUrl", withQuery),
			"customAllocation.webhookUrl", "customAllocation.webhookUrl"},
		"a-query-that-went": {withQuery, set("customAllocationDefinition", "webhookUrl", plain),
			"customAllocation.webhookUrl", "customAllocation.webhookUrl"},
		"tags": {withQuery, set("initialTwin", "tags", "a", "b"), "initialTwin.tags", "tags"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			one := allocation(test.declared).edited(object{"registrationId": name})
			walk{"IndividualEnrollment", name, "/enrollments/" + name, one, test.edit, test.path}.drifts(t, service,
				server)
			item := allocation(test.declared).edited(object{"registrationId": "item-" + name})
			walk{"EnrollmentSet", name, "/enrollments/item-" + name, object{"items": items(item)}, test.edit,
				"items[0]." + test.item}.drifts(t, service, server)
		})
	}
}

func TestARefreshKeepsWhatIsKnownOfAMaskedQuery(t *testing.T) {
	t.Parallel()
	service, server := openService(t)
	inputs := func(query string) object {
		return object{"items": items(object{"registrationId": "device-1", "allocationPolicy": "custom",
			"customAllocation": object{"webhookUrl": "https://f.example/a" + query, "apiVersion": "2021-10-01"}})}
	}
	set := manage(t, server, "EnrollmentSet", "devices")
	set.up(inputs("?code=1"))
	service.edit(t, "/enrollments/device-1", func(map[string]any) {}) // a new version, which refresh reads completely
	if got := set.refresh(); got != nil || !set.state.Get("drifted").IsNull() {
		t.Errorf("refresh: got %v, drifted %v, want none", got, set.state.Get("drifted"))
	}
	if got := set.up(inputs("?code=2")); !slices.Equal(got, []string{"items[0].customAllocation.webhookUrl"}) {
		t.Errorf("another query: got %v, want the webhook's address", got)
	}
}

// TestAnotherQueryAfterAnImportIsSent: an import cannot read a webhook's query. The first query that the program gives
// counts as the present one, and any other one is a change.
func TestAnotherQueryAfterAnImportIsSent(t *testing.T) {
	t.Parallel()
	service, server := openService(t)
	one := func(id, query string) object {
		return object{"registrationId": id, "allocationPolicy": "custom",
			"customAllocation": object{"webhookUrl": "https://f.example/a" + query, "apiVersion": "2021-10-01"}}
	}
	file := filepath.Join(t.TempDir(), "devices.json")
	for name, test := range map[string]struct {
		token string
		with  func(id, query string) object
		path  string
	}{
		"alone": {"IndividualEnrollment", one, "customAllocation.webhookUrl"},
		"items": {"EnrollmentSet", func(id, query string) object { return object{"items": items(one(id, query))} },
			"items[0]"},
		"defaults": {"EnrollmentSet", func(id, query string) object {
			defaults := one(id, query)
			delete(defaults, "registrationId")
			return object{"defaults": defaults, "items": items(object{"registrationId": id})}
		}, "items[0]"}, // the import wrote the whole item
		"text": {"EnrollmentSet", func(id, query string) object { return object{"manifestText": hookText(id, query)} },
			"manifestText"},
		"file": {"EnrollmentSet", func(id, query string) object {
			must(t, os.WriteFile(file, []byte(hookText(id, query)), 0o600))
			a, err := asset.FromPath(file)
			must(t, err)
			return object{"manifest": property.New(a)}
		}, "manifest"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			id := "hook-" + name
			manage(t, server, "IndividualEnrollment", id).up(one(id, "?code=1"))
			m := manage(t, server, test.token, "imported-"+name)
			m.id = emulatedHost + "/enrollments/" + id
			m.refresh()
			for step, query := range []string{"?code=1", "?code=1", "?code=2", "?code=2"} {
				t.Run(fmt.Sprintf("up %d with %s", step, query), func(t *testing.T) {
					var want []string
					if step == 2 {
						want = []string{test.path}
					}
					before := service.entry(t, "/enrollments/"+id)["etag"]
					if got := m.up(test.with(id, query)); !slices.Equal(got, want) {
						t.Errorf("up %d with %s: got %v, want %v", step, query, got, want)
					}
					if sent := before != service.entry(t, "/enrollments/"+id)["etag"]; sent != (step == 2) {
						t.Errorf("up %d with %s: sent %t", step, query, sent)
					}
				})
			}
		})
	}
}

func hookText(id, query string) string {
	return fmt.Sprintf(`[{"registrationId":%q,"allocationPolicy":"custom","customAllocation":{"webhookUrl":"https://f.example/a%s","apiVersion":"2021-10-01"}}]`, id, query)
}

func TestARefreshKeepsTheTextOfACertificateThatStayed(t *testing.T) {
	t.Parallel()
	service, server := openService(t)
	root := newAuthority(t, "root")
	texts := object{"primary": root.leaf(t, "device-1", time.Hour), "secondary": root.leaf(t, "device-1", time.Hour)}
	for drifting, staying := range map[string]string{"primary": "secondary", "secondary": "primary"} {
		t.Run(drifting, func(t *testing.T) {
			m := manage(t, nextRun(t, server), "IndividualEnrollment", drifting)
			m.up(object{"registrationId": "device-1",
				"attestation": object{"x509": object{"clientCertificates": texts}}})
			other := map[string]any{"certificate": root.leaf(t, "device-1", time.Hour)}
			service.edit(t, "/enrollments/device-1", set("attestation", "x509", "clientCertificates", drifting, other))
			m.refresh()
			got := m.inputs.Get("attestation").AsMap().Get("x509").AsMap().Get("clientCertificates").AsMap()
			if got.Get(staying).AsString() != texts[staying] || !strings.HasPrefix(got.Get(drifting).AsString(),
				"sha256:") {
				t.Errorf("the %s one drifted: got %v, want its thumbprint beside the text of the other", drifting, got)
			}
			m.delete()
		})
	}
}

// TestEveryResourceIsWalked: a new resource needs its own walk.
func TestEveryResourceIsWalked(t *testing.T) {
	t.Parallel()
	walked := []string{"IndividualEnrollment", "EnrollmentGroup", "EnrollmentSet"}
	others := map[string]string{"SharedAccessKey": "nothing of it is at the service",
		"LinkedHub": "it is in Azure Resource Manager, and has separate tests"}
	for token := range readSchema(t).Resources {
		if name := lastPart(token); !slices.Contains(walked, name) && others[name] == "" {
			t.Errorf("the drift of %s is not tried", name)
		}
	}
}

// isForOthers reports whether the service accepts a property for the other kind of enrollments only.
func isForOthers(token, path string) bool {
	if token == "IndividualEnrollment" {
		return strings.HasPrefix(path, "attestation.x509.signingCertificates.")
	}
	return strings.HasPrefix(path, "attestation.tpm.") ||
		strings.HasPrefix(path, "attestation.x509.clientCertificates.")
}

// canonical returns an entry without the members that differ in every version.
func canonical(t *testing.T, entry map[string]any) map[string]any {
	t.Helper()
	raw, err := json.Marshal(entry)
	if err != nil {
		t.Fatal(err)
	}
	var plain map[string]any
	if err := json.Unmarshal(raw, &plain); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"etag", "lastUpdatedDateTimeUtc"} {
		delete(plain, name)
	}
	return plain
}
