package provider_test

import (
	"encoding/json"
	"reflect"
	"slices"
	"testing"
	"time"
)

// drift is a change of one property made at the service itself.
type drift struct {
	// inputs is what the program declares, beside the id; nil for nothing.
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

// drifts has a case for every input of an enrollment that the service could change.
func drifts(t *testing.T) map[string]drift {
	root, other := newAuthority(t, "root"), newAuthority(t, "other")
	client := func() string { return root.leaf(t, "device-1", time.Hour) }
	info := func(certificate string) map[string]any {
		return certificateInfos(map[string]any{"primary": map[string]any{"certificate": certificate}})["primary"].(map[string]any)
	}
	x509 := func(member string, pair object) object {
		return object{"attestation": object{"x509": object{member: pair}}}
	}
	webhook := object{"allocationPolicy": "custom", "customAllocation": object{"webhookUrl": "https://f.example/a?code=1", "apiVersion": "2021-10-01"}}
	tpm := object{"attestation": object{"tpm": object{"endorsementKey": "AAEA", "storageRootKey": "AAEA"}}}
	return map[string]drift{
		"deviceId":                                       {edit: set("deviceId", "d")},
		"optionalDeviceInformation":                      {inputs: object{"optionalDeviceInformation": object{"a": 1}}, edit: set("optionalDeviceInformation", "a", 2.0)},
		"provisioningStatus":                             {edit: set("provisioningStatus", "disabled")},
		"capabilities.iotEdge":                           {edit: set("capabilities", "iotEdge", true)},
		"initialTwin.tags":                               {inputs: object{"initialTwin": object{"tags": object{"a": "b"}}}, edit: set("initialTwin", "tags", "a", "c")},
		"initialTwin.desiredProperties":                  {edit: set("initialTwin", "properties", "desired", "a", []any{true, nil})},
		"reprovisionPolicy.updateHubAssignment":          {edit: set("reprovisionPolicy", map[string]any{"updateHubAssignment": false, "migrateDeviceData": true})},
		"reprovisionPolicy.migrateDeviceData":            {inputs: object{"reprovisionPolicy": object{"updateHubAssignment": true, "migrateDeviceData": true}}, edit: set("reprovisionPolicy", "migrateDeviceData", false)},
		"allocationPolicy":                               {inputs: object{"allocationPolicy": "GEOLATENCY"}, edit: set("allocationPolicy", "hashed")},
		"customAllocation.webhookUrl":                    {inputs: webhook, edit: set("customAllocationDefinition", "webhookUrl", "https://g.example/a?****")},
		"customAllocation.apiVersion":                    {inputs: webhook, edit: set("customAllocationDefinition", "apiVersion", "2019-03-31")},
		"iotHubs":                                        {inputs: object{"iotHubs": []string{"b.azure-devices.net", "a.azure-devices.net"}}, edit: set("iotHubs", []any{"a.azure-devices.net"})},
		"iotHubHostName":                                 {edit: set("iotHubHostName", "a.azure-devices.net")},
		"attestation.symmetricKey.primaryKey":            {inputs: object{"attestation": object{"symmetricKey": object{"primaryKey": newKey(t)}}}, edit: set("attestation", "symmetricKey", "primaryKey", newKey(t))},
		"attestation.symmetricKey.secondaryKey":          {inputs: object{"attestation": object{"symmetricKey": object{"secondaryKey": newKey(t)}}}, edit: set("attestation", "symmetricKey", "secondaryKey", newKey(t))},
		"attestation.x509.clientCertificates.primary":    {inputs: x509("clientCertificates", object{"primary": client(), "secondary": client()}), edit: set("attestation", "x509", "clientCertificates", "primary", info(client()))},
		"attestation.x509.clientCertificates.secondary":  {inputs: x509("clientCertificates", object{"primary": client()}), edit: set("attestation", "x509", "clientCertificates", "secondary", info(client()))},
		"attestation.x509.signingCertificates.primary":   {inputs: x509("signingCertificates", object{"primary": root.PEM, "secondary": root.PEM}), edit: set("attestation", "x509", "signingCertificates", "primary", info(other.PEM))},
		"attestation.x509.signingCertificates.secondary": {inputs: x509("signingCertificates", object{"primary": root.PEM, "secondary": other.PEM}), edit: set("attestation", "x509", "signingCertificates", "secondary", info(root.PEM))},
		"attestation.x509.caReferences.primary":          {inputs: x509("caReferences", object{"primary": "ca-1"}), edit: set("attestation", "x509", "caReferences", "primary", "ca-2")},
		"attestation.x509.caReferences.secondary":        {inputs: x509("caReferences", object{"primary": "ca-1"}), edit: set("attestation", "x509", "caReferences", "secondary", "ca-2")},
		"attestation.tpm.endorsementKey":                 {inputs: tpm, edit: set("attestation", "tpm", "endorsementKey", "AAEB")},
		"attestation.tpm.storageRootKey":                 {inputs: tpm, edit: set("attestation", "tpm", "storageRootKey", "AAEB")},
	}
}

// TestRefreshReportsEveryDriftAndUpHealsIt walks the schema: an input without a case fails.
func TestRefreshReportsEveryDriftAndUpHealsIt(t *testing.T) {
	t.Parallel()
	cases := drifts(t)
	spec := readSchema(t)
	for _, kind := range []struct{ token, idName, path string }{
		{"IndividualEnrollment", "registrationId", individualPath},
		{"EnrollmentGroup", "enrollmentGroupId", "/enrollmentGroups/device-1"},
	} {
		for path, isLeaf := range inputPaths(t, spec, "azure-dps:index:"+kind.token) {
			drift, covered := cases[path]
			switch {
			case !isLeaf || path == kind.idName:
				continue
			case !covered:
				t.Errorf("%s: no case for the input %s", kind.token, path)
				continue
			case kind.token == "EnrollmentGroup" && isForIndividuals(path):
				continue
			}
			t.Run(kind.token+" "+path, func(t *testing.T) {
				t.Parallel()
				fake := runFake(t)
				m := manage(t, startProvider(t, fake.config()), kind.token, "device-1")
				inputs := object{kind.idName: "device-1"}
				for name, value := range drift.inputs {
					inputs[name] = value
				}
				m.up(inputs)
				before := canonical(t, fake.entry(kind.path))
				fake.edit(t, kind.path, drift.edit)
				if got := m.refresh(); !slices.Equal(got, []string{path}) {
					t.Errorf("refresh: got %v, want %s alone", got, path)
				}
				if got := m.up(inputs); !slices.Equal(got, []string{path}) {
					t.Errorf("up: got changes in %v, want %s alone", got, path)
				}
				if after := canonical(t, fake.entry(kind.path)); !reflect.DeepEqual(before, after) {
					t.Errorf("after up the service holds %v, want %v", after, before)
				}
				if got := m.refresh(); got != nil {
					t.Errorf("second refresh: got %v, want none", got)
				}
			})
		}
	}
}

func isForIndividuals(path string) bool {
	return slices.Contains([]string{
		"attestation.tpm.endorsementKey", "attestation.tpm.storageRootKey",
		"attestation.x509.clientCertificates.primary", "attestation.x509.clientCertificates.secondary",
	}, path)
}

// canonical returns an entry without what every version has of its own.
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
