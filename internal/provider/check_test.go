package provider_test

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	p "github.com/pulumi/pulumi-go-provider"
	"github.com/pulumi/pulumi/sdk/v3/go/common/resource"
	"github.com/pulumi/pulumi/sdk/v3/go/common/resource/asset"
	"github.com/pulumi/pulumi/sdk/v3/go/property"
)

func TestCheckReportsAllErrorsAtOnceAtPathsOfTheSchema(t *testing.T) {
	t.Parallel()
	root := newAuthority(t, "root")
	leaf, expired := root.leaf(t, "device-1", time.Hour), root.leaf(t, "device-1", -time.Hour)
	attestation := func(members object) object { return object{"attestation": members} }
	certificates := func(member, primary string) object {
		return attestation(object{"x509": object{member: object{"primary": primary}}})
	}
	tests := []struct {
		name   string
		kind   string // IndividualEnrollment when empty
		id     string // device-1 when empty
		inputs object
		want   []string
	}{
		{name: "nothing wrong"},
		{name: "a space in the id", id: "device 1", want: []string{"registrationId"}},
		{name: "an id that is too long", id: strings.Repeat("a", 129), want: []string{"registrationId"}},
		{name: "an id that ends in a dot", id: "device.", want: []string{"registrationId"}},
		{name: "an id of two faults", id: strings.Repeat("a", 128) + "/.",
			want: []string{"registrationId", "registrationId", "registrationId"}},
		{name: "a group's id", kind: "EnrollmentGroup", id: "a b", want: []string{"enrollmentGroupId"}},
		{name: "an empty device id", inputs: object{"deviceId": ""}, want: []string{"deviceId"}},
		{name: "a device id of two faults", inputs: object{"deviceId": strings.Repeat("a", 128) + " b"},
			want: []string{"deviceId", "deviceId"}},
		{name: "a device id of every kind of character", inputs: object{"deviceId": "Aa0-:.+%_#*?!(),=@$'"}},
		{name: "keys", inputs: attestation(object{"symmetricKey": object{"primaryKey": "no base64!",
			"secondaryKey": "c2hvcnQ="}}),
			want: []string{"attestation.symmetricKey.primaryKey", "attestation.symmetricKey.secondaryKey"}},
		{name: "no certificate", inputs: certificates("clientCertificates", "nonsense"),
			want: []string{"attestation.x509.clientCertificates.primary"}},
		{name: "an expired certificate", inputs: certificates("clientCertificates", expired),
			want: []string{"attestation.x509.clientCertificates.primary"}},
		{name: "another device's certificate", id: "device-2", inputs: certificates("clientCertificates", leaf),
			want: []string{"attestation.x509.clientCertificates.primary"}},
		{name: "a certificate by thumbprint", inputs: certificates("clientCertificates", "sha256:00"),
			want: []string{"attestation.x509.clientCertificates.primary"}},
		{name: "no authority", kind: "EnrollmentGroup", inputs: certificates("signingCertificates", leaf),
			want: []string{"attestation.x509.signingCertificates.primary"}},
		{name: "a device's certificate for a group", kind: "EnrollmentGroup", inputs: certificates("clientCertificates",
			leaf), want: []string{"attestation.x509.clientCertificates"}},
		{name: "a good authority", kind: "EnrollmentGroup", inputs: certificates("signingCertificates", root.PEM)},
		{name: "an empty reference", inputs: certificates("caReferences", ""),
			want: []string{"attestation.x509.caReferences.primary"}},
		{name: "no member", inputs: attestation(object{"x509": object{}}), want: []string{"attestation.x509"}},
		{name: "two attestations", inputs: attestation(object{"symmetricKey": object{},
			"tpm": object{"endorsementKey": "AAEA"}}), want: []string{"attestation"}},
		{name: "a TPM key", inputs: attestation(object{"tpm": object{"endorsementKey": "AAAA", "storageRootKey": "!"}}),
			want: []string{"attestation.tpm.endorsementKey", "attestation.tpm.storageRootKey"}},
		{name: "a group with a TPM", kind: "EnrollmentGroup",
			inputs: attestation(object{"tpm": object{"endorsementKey": "AAEA"}}), want: []string{"attestation.tpm"}},
		{name: "policy and status", inputs: object{"allocationPolicy": "random", "provisioningStatus": "off"},
			want: []string{"allocationPolicy", "provisioningStatus"}},
		{name: "static without a hub", inputs: object{"allocationPolicy": "Static"}, want: []string{"iotHubs"}},
		{name: "static by the older property", inputs: object{"allocationPolicy": "static",
			"iotHubHostName": "a.azure-devices.net"}},
		{name: "hub names", inputs: object{"iotHubs": []string{"hub-1", "a.b", "A.b"}, "iotHubHostName": "https://x.y"},
			want: []string{"allocationPolicy", "iotHubHostName", "iotHubs", "iotHubs"}},
		{name: "hubs under an unknown policy", inputs: object{"allocationPolicy": unknown,
			"iotHubs": []string{"a.azure-devices.net"}}},
		{name: "hubs of a group without a policy", kind: "EnrollmentGroup",
			inputs: object{"iotHubs": []string{"a.azure-devices.net"}}, want: []string{"allocationPolicy"}},
		{name: "a twin that hubs refuse", inputs: object{"initialTwin": object{"tags": object{"a.b": 1},
			"desiredProperties": object{"n": 1 << 60}}},
			want: []string{"initialTwin.desiredProperties", "initialTwin.tags"}},
		{name: "custom without a webhook", inputs: object{"allocationPolicy": "custom"},
			want: []string{"customAllocation"}},
		{name: "a webhook without custom", inputs: object{"customAllocation": object{"webhookUrl": "ftp://x",
			"apiVersion": "2017-01-01"}},
			want: []string{"customAllocation", "customAllocation.apiVersion", "customAllocation.webhookUrl"}},
		{name: "a webhook as an import writes it", inputs: object{"allocationPolicy": "custom",
			"customAllocation": object{"webhookUrl": "https://f.example/a?****", "apiVersion": "2021-10-01"}},
			want: []string{"customAllocation.webhookUrl"}},
		{name: "unknown values are not checked", inputs: object{
			"attestation": object{"symmetricKey": object{"primaryKey": unknown}}, "iotHubs": unknown,
			"allocationPolicy": "static", "deviceId": unknown,
		}},
		{name: "an unknown attestation", inputs: object{
			"attestation": object{"x509": object{"clientCertificates": unknown}}}},
		{name: "a webhook under an unknown policy", inputs: object{"allocationPolicy": unknown,
			"customAllocation": object{"webhookUrl": "https://f.example", "apiVersion": "2021-10-01"}}},
		{name: "a webhook under no policy that exists", inputs: object{"allocationPolicy": "random",
			"customAllocation": object{"webhookUrl": "https://f.example", "apiVersion": "2021-10-01"}},
			want: []string{"allocationPolicy"}},
		{name: "a certificate for an unknown id", inputs: object{"registrationId": unknown,
			"attestation": object{"x509": object{"clientCertificates": object{"primary": leaf}}}}},
		{name: "an expired one for an unknown id", inputs: object{"registrationId": unknown,
			"attestation": object{"x509": object{"clientCertificates": object{"primary": expired}}}},
			want: []string{"attestation.x509.clientCertificates.primary"}},
		{name: "faults beside unknown values", inputs: object{"iotHubHostName": unknown, "allocationPolicy": "random"},
			want: []string{"allocationPolicy"}},
	}
	server := startProvider(t, object{})
	spec := readSchema(t)
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			kind, idName := test.kind, "registrationId"
			if kind == "" {
				kind = "IndividualEnrollment"
			} else {
				idName = "enrollmentGroupId"
			}
			inputs := object{idName: "device-1"}
			maps.Copy(inputs, test.inputs)
			if test.id != "" {
				inputs[idName] = test.id
			}
			urn := resource.URN("urn:pulumi:test::test::azure-dps:index:" + kind + "::x")
			checked, err := server.Check(p.CheckRequest{Urn: urn, Inputs: inputs.properties()})
			if err != nil {
				t.Fatal(err)
			}
			paths := inputPaths(t, spec, "azure-dps:index:"+kind)
			var got []string
			for _, failure := range checked.Failures {
				got = append(got, plainPath(failure))
				if _, exists := paths[plainPath(failure)]; !exists {
					t.Errorf("the path %q is not in the schema", failure.Property)
				}
				if failure.Reason == "" {
					t.Errorf("the failure at %q says nothing", failure.Property)
				}
			}
			slices.Sort(got)
			if !slices.Equal(got, test.want) {
				t.Errorf("failures: got %v, want %v (%v)", got, test.want, checked.Failures)
			}
		})
	}
}

func TestCheckMarksGivenKeysSecret(t *testing.T) {
	t.Parallel()
	m := manage(t, startProvider(t, object{}), "IndividualEnrollment", "device-1")
	inputs := m.check(object{
		"registrationId": "device-1", "attestation": object{"symmetricKey": object{"primaryKey": newKey(t)}},
		"allocationPolicy": "custom", "customAllocation": object{"webhookUrl": "https://f.example/a?code=1",
			"apiVersion": "2021-10-01"},
	})
	if !inputs.Get("attestation").AsMap().Get("symmetricKey").AsMap().Get("primaryKey").Secret() {
		t.Error("the key is not secret")
	}
	if !inputs.Get("customAllocation").AsMap().Get("webhookUrl").Secret() {
		t.Error("the webhook's address is not secret")
	}
}

// plainPath is the path of a failure as a property path writes it. That of a secret property is ["name"], for which the
// engine prints no value.
func plainPath(failure p.CheckFailure) string {
	return strings.TrimSuffix(strings.TrimPrefix(failure.Property, `["`), `"]`)
}

func TestFailuresShowNoSecret(t *testing.T) {
	t.Parallel()
	const secret = "hush"
	hidden := property.New(secret).WithSecret(true)
	textAsset, err := asset.FromText("registrationId,primaryKey\na," + secret)
	must(t, err)
	list := func(item object) property.Value {
		return property.New([]property.Value{property.New(item.properties())})
	}
	for name, test := range map[string]struct {
		kind   string
		inputs object
		want   string
	}{
		"a link's key":     {"LinkedHub", object{"key": hidden}, "key"},
		"one in the plain": {"LinkedHub", object{"key": secret}, "key"},
		"a manifest": {"EnrollmentSet", object{
			"manifestText": property.New("registrationId,primaryKey\na b,hush").WithSecret(true)}, "manifestText"},
		"a text asset": {"EnrollmentSet", object{"manifest": property.New(textAsset)}, "manifest"},
		"items": {"EnrollmentSet", object{"manifestText": "",
			"items": list(object{"registrationId": "a", "primaryKey": hidden})}, "items"},
		"keys and a TPM": {"IndividualEnrollment", object{"attestation": object{
			"symmetricKey": object{"primaryKey": secret}, "tpm": object{"endorsementKey": "AAEA"}}}, "attestation"},
		"a webhook": {"EnrollmentGroup", object{"customAllocation": object{
			"webhookUrl": "https://f.example/a?code=hush", "apiVersion": "2021-10-01"}}, "customAllocation"},
		"free JSON": {"EnrollmentGroup", object{"initialTwin": object{"tags": hidden}, "iotHubs": []string{"hub-1"}},
			"iotHubs"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			inputs := test.inputs.properties()
			checked, err := startProvider(t, object{}).Check(p.CheckRequest{
				Urn: resource.URN("urn:pulumi:test::test::azure-dps:index:" + test.kind + "::x"), Inputs: inputs})
			must(t, err)
			expectHidden(t, inputs, checked.Failures, secret, test.want)
		})
	}
	for _, name := range []string{"connectionString", "key", "clientSecret", "clientCertificatePassword", "oidcToken",
		"oidcRequestToken"} {
		// A list is not a string, so each of these inputs fails.
		inputs := property.NewMap(map[string]property.Value{name: property.New([]property.Value{property.New(secret)})})
		checked, err := startProvider(t, object{}).CheckConfig(p.CheckRequest{Urn: providerURN, Inputs: inputs})
		must(t, err)
		expectHidden(t, inputs, checked.Failures, secret, name)
	}
}

// expectHidden expects a failure at the path, and no failure at a path for which the engine prints a value with the
// secret.
func expectHidden(t *testing.T, inputs property.Map, failures []p.CheckFailure, secret, want string) {
	t.Helper()
	if !slices.ContainsFunc(failures, func(f p.CheckFailure) bool { return plainPath(f) == want }) {
		t.Errorf("got failures %v, want one at %s", failures, want)
	}
	for _, failure := range failures {
		if value, named := inputs.GetOk(failure.Property); named && strings.Contains(fmt.Sprintf("%#v", value),
			secret) {
			t.Errorf("the engine shows the secret with the failure at %s", failure.Property)
		}
		if strings.Contains(failure.Reason, secret) {
			t.Errorf("the failure at %s shows the secret: %s", failure.Property, failure.Reason)
		}
	}
}
