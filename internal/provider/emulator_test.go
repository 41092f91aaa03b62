package provider_test

import (
	"slices"
	"strings"
	"testing"
)

// emulated creates a provisioning service in a new emulator and returns the configuration for it.
func emulated(t *testing.T) object {
	t.Helper()
	cloud, key := newAzure(t), newKey(t)
	_, err := cloud.putService(t.Context(), key, newKey(t), "")
	must(t, err)
	return cloud.config(key)
}

// The same operations on the emulator as on the fake of these tests: two independent implementations of the facts
// agree.
func TestResourcesOnTheEmulator(t *testing.T) {
	t.Parallel()
	config := emulated(t)
	server := startProvider(t, config)
	root := newAuthority(t, "root")
	for name, life := range map[string]struct {
		kind          string
		first, second object
		changes       []string
	}{
		"made keys": {
			kind:  "IndividualEnrollment",
			first: object{"registrationId": "device-1", "initialTwin": object{"tags": object{"a": 1}}},
			second: object{"registrationId": "device-1", "initialTwin": object{"tags": object{"a": 2}},
				"deviceId": "d-1"},
			changes: []string{"deviceId", "initialTwin.tags"},
		},
		"a group with every setting": {
			kind: "EnrollmentGroup",
			first: object{
				"enrollmentGroupId": "devices", "provisioningStatus": "enabled",
				"capabilities": object{"iotEdge": true},
				"initialTwin": object{"tags": object{"a": object{"b": true}},
					"desiredProperties": object{"c": "d"}},
				"reprovisionPolicy": object{"updateHubAssignment": true, "migrateDeviceData": false},
				"allocationPolicy":  "Hashed",
			},
			second: object{
				"enrollmentGroupId": "devices", "provisioningStatus": "disabled", "allocationPolicy": "custom",
				"customAllocation": object{"webhookUrl": "https://f.example/a?code=1", "apiVersion": "2021-10-01"},
			},
			changes: []string{
				"allocationPolicy", "capabilities.iotEdge", "customAllocation.apiVersion",
				"customAllocation.webhookUrl",
				"initialTwin.desiredProperties", "initialTwin.tags", "provisioningStatus",
				"reprovisionPolicy.migrateDeviceData",
			},
		},
		"a group by X.509": {
			kind: "EnrollmentGroup",
			first: object{"enrollmentGroupId": "by-certificate",
				"attestation": object{"x509": object{"signingCertificates": object{"primary": root.PEM}}}},
			second: object{"enrollmentGroupId": "by-certificate",
				"attestation": object{"x509": object{"signingCertificates": object{"primary": newAuthority(t,
					"other").PEM}}}},
			changes: []string{"attestation.x509.signingCertificates.primary",
				"attestation.x509.signingCertificates.secondary"},
		},
		"a TPM": {
			kind: "IndividualEnrollment",
			first: object{"registrationId": "tpm-1",
				"attestation": object{"tpm": object{"endorsementKey": endorsementKey}}},
			second: object{"registrationId": "tpm-1",
				"attestation":        object{"tpm": object{"endorsementKey": endorsementKey}},
				"provisioningStatus": "disabled"},
			changes: []string{"provisioningStatus"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m := manage(t, server, life.kind, "x")
			m.up(life.first)
			for step, inputs := range []object{life.first, life.second} {
				if step == 1 {
					if got := m.up(inputs); !slices.Equal(got, life.changes) {
						t.Errorf("change: got %v, want %v", got, life.changes)
					}
				}
				if got := m.up(inputs); got != nil {
					t.Errorf("up again: got %v, want none", got)
				}
				m.state = m.state.Set("etag", propertyOf("old")) // so that refresh reads everything
				if got := m.refresh(); got != nil {
					t.Errorf("refresh: got %v, want none", got)
				}
			}
			imported := manage(t, server, life.kind, "y")
			imported.id = m.id
			imported.refresh()
			if got := imported.up(life.second); got != nil {
				t.Errorf("up after the import: got %v, want none", got)
			}
			m.delete()
			m.delete() // deleting an absent entry succeeds
			if got := m.refresh(); !slices.Equal(got, []string{"gone"}) {
				t.Errorf("after deletion: got %v, want gone", got)
			}
		})
	}
}

// endorsementKey is a public key in the format of a TPM's. No module has it.
const endorsementKey = "AAgAAQALAAMAsg=="

func TestAnInterruptedCreationIsTakenOverOnTheEmulator(t *testing.T) {
	t.Parallel()
	config := emulated(t)
	killed := manage(t, startProvider(t, config), "EnrollmentGroup", "devices")
	killed.up(object{"enrollmentGroupId": "devices"})
	again := manage(t, startProvider(t, config), "EnrollmentGroup", "devices")
	again.up(object{"enrollmentGroupId": "devices"})
	found := invoke(t, again.server, "getEnrollmentGroup", object{"enrollmentGroupId": "devices"})
	if key := found.Get("primaryKey").AsString(); key != again.secret("primaryKey") ||
		key == killed.secret("primaryKey") {
		t.Error("the group was not taken over with new keys")
	}
	other := manage(t, startProvider(t, config), "EnrollmentGroup", "other")
	if _, err := other.tryUp(object{"enrollmentGroupId": "devices"}); err == nil ||
		!strings.Contains(err.Error(), "pulumi import") {
		t.Errorf("another resource over the group: got %v, want the import command", err)
	}
}
