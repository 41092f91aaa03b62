package provider_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	p "github.com/pulumi/pulumi-go-provider"
	"github.com/pulumi/pulumi/sdk/v3/go/property"
)

func TestPropertiesThatCannotChangeReplace(t *testing.T) {
	t.Parallel()
	fake := runFake(t)
	server := startProvider(t, fake.config())
	root := newAuthority(t, "root")
	tests := []struct {
		name         string
		inputs       object
		want         []string
		kind         p.DiffKind
		deletesFirst bool // matters only for replacements, as with the option replaceOnChanges
	}{
		{name: "another id", inputs: object{"enrollmentGroupId": "others"}, want: []string{"enrollmentGroupId"},
			kind: p.UpdateReplace},
		{name: "letter case of the id", inputs: object{"enrollmentGroupId": "DEVICES"}, deletesFirst: true},
		{name: "an unknown id", inputs: object{"enrollmentGroupId": unknown}, want: []string{"enrollmentGroupId"},
			kind: p.UpdateReplace},
		{name: "another attestation", inputs: object{"enrollmentGroupId": "devices",
			"attestation": object{"x509": object{"signingCertificates": object{"primary": root.PEM}}}},
			want: []string{"attestation"}, kind: p.UpdateReplace, deletesFirst: true},
		{name: "an unknown hub list", inputs: object{"enrollmentGroupId": "devices", "iotHubs": unknown},
			want: []string{"iotHubs"}, kind: p.Update, deletesFirst: true},
		{name: "an unknown key", inputs: object{"enrollmentGroupId": "devices",
			"attestation": object{"symmetricKey": object{"primaryKey": unknown}}},
			want: []string{"attestation.symmetricKey.primaryKey"}, kind: p.Update, deletesFirst: true},
	}
	m := manage(t, server, "EnrollmentGroup", "devices")
	m.up(object{"enrollmentGroupId": "devices"})
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			paths, response := m.diff(m.check(test.inputs))
			if !slices.Equal(paths, test.want) || response.HasChanges != (test.want != nil) ||
				response.DeleteBeforeReplace != test.deletesFirst {
				t.Errorf("%s: got %v, delete first %t, want %v, %t", test.name, paths, response.DeleteBeforeReplace,
					test.want, test.deletesFirst)
			}
			for _, path := range paths {
				if got := response.DetailedDiff[path].Kind; got != test.kind {
					t.Errorf("%s: got %s at %s, want %s", test.name, got, path, test.kind)
				}
			}
		})
	}
}

func TestTheOrderOfHubsHasNoMeaning(t *testing.T) {
	t.Parallel()
	fake := runFake(t)
	m := manage(t, startProvider(t, fake.config()), "EnrollmentGroup", "devices")
	m.up(object{"enrollmentGroupId": "devices", "allocationPolicy": "hashed", "iotHubs": []string{"b.azure-devices.net",
		"a.azure-devices.net"}})
	if got := m.up(object{"enrollmentGroupId": "devices", "allocationPolicy": "hashed",
		"iotHubs": []string{"A.azure-devices.net", "b.azure-devices.net"}}); got != nil {
		t.Errorf("another order and letter case: got %v, want none", got)
	}
}

func TestPreviewsKeepUnknownListsAndMaps(t *testing.T) {
	t.Parallel()
	m := manage(t, startProvider(t, object{}), "EnrollmentGroup", "devices")
	inputs := m.check(object{"enrollmentGroupId": "devices", "iotHubs": unknown, "initialTwin": object{"tags": unknown,
		"desiredProperties": object{"a": "b"}}})
	preview, err := m.server.Create(p.CreateRequest{Urn: m.urn, Properties: inputs, DryRun: true})
	if err != nil {
		t.Fatal(err)
	}
	if got := preview.Properties.Get("iotHubs"); !got.IsComputed() {
		t.Errorf("an unknown list: got %#v", got)
	}
	if got := inputs.Get("initialTwin"); !got.IsMap() || !got.AsMap().Get("tags").IsComputed() ||
		got.AsMap().Get("desiredProperties").HasComputed() {
		t.Errorf("an unknown map beside a known one: got inputs %#v", got)
	}
	if got := preview.Properties.Get("initialTwin"); !got.HasComputed() {
		t.Errorf("an unknown map: got %#v", got)
	}
}

// An unknown value may differ, so it replaces what another value replaces.
func TestPreviewsReplaceForUnknownIDs(t *testing.T) {
	t.Parallel()
	server := startProvider(t, object{"host": fakeHost, "policyName": "p", "key": newKey(t)})
	link := good(t)["LinkedHub"]
	for path, test := range map[string]struct {
		kind   string
		inputs object
		want   p.DiffKind
	}{
		"registrationId": {"IndividualEnrollment", object{"registrationId": "device-1"}, p.UpdateReplace},
		"deviceId": {"IndividualEnrollment", object{"registrationId": "device-1", "deviceId": "d"},
			p.Update},
		"enrollmentGroupId":     {"EnrollmentGroup", object{"enrollmentGroupId": "devices"}, p.UpdateReplace},
		"provisioningServiceId": {"LinkedHub", link, p.UpdateReplace},
		"hubHostName":           {"LinkedHub", link, p.UpdateReplace},
		"location":              {"LinkedHub", link, p.Update},
	} {
		t.Run(path, func(t *testing.T) {
			m := manage(t, server, test.kind, "x")
			m.inputs = m.check(test.inputs)
			preview, err := server.Create(p.CreateRequest{Urn: m.urn, Properties: m.inputs, DryRun: true})
			must(t, err)
			m.id, m.state = "x", preview.Properties
			if _, got := m.diff(m.inputs.Set(path, unknown)); got.DetailedDiff[path].Kind != test.want ||
				len(got.DetailedDiff) != 1 {
				t.Errorf("an unknown %s: got %v, want %v of it alone", path, got.DetailedDiff, test.want)
			}
		})
	}
}

// The kind of the attestation is unknown, so the preview does not report another kind.
func TestAnUnknownAttestationReplacesNothing(t *testing.T) {
	t.Parallel()
	m := manage(t, startProvider(t, runFake(t).config()), "EnrollmentGroup", "devices")
	m.up(object{"enrollmentGroupId": "devices", "attestation": object{
		"x509": object{"caReferences": object{"primary": "ca"}}}})
	for name, attestation := range map[string]any{"all of it": unknown, "a member": object{"x509": unknown}} {
		t.Run(name, func(t *testing.T) {
			_, response := m.diff(m.check(object{"enrollmentGroupId": "devices", "attestation": attestation}))
			if !response.HasChanges {
				t.Errorf("%s unknown: got %+v, want a change", name, response)
			}
			for path, diff := range response.DetailedDiff {
				if diff.Kind != p.Update {
					t.Errorf("%s unknown: got %v of %s, want an update", name, diff.Kind, path)
				}
			}
		})
	}
}

func TestCertificatesAreComparedByThumbprint(t *testing.T) {
	t.Parallel()
	fake := runFake(t)
	server := startProvider(t, fake.config())
	root := newAuthority(t, "root")
	first, second := root.leaf(t, "device-1", time.Hour), root.leaf(t, "device-1", time.Hour)
	with := func(pair object) object {
		return object{"registrationId": "device-1", "attestation": object{"x509": object{"clientCertificates": pair}}}
	}
	m := manage(t, server, "IndividualEnrollment", "device-1")
	m.up(with(object{"primary": first}))
	if got := m.refresh(); got != nil {
		t.Errorf("refresh: got %v, want none", got)
	}
	if got := m.state.Get("primaryCertificate").AsMap().Get("subjectName").AsString(); got != "CN=device-1" {
		t.Errorf("subject: got %q, want CN=device-1", got)
	}
	if value := m.state.Get("primaryKey"); !value.IsNull() {
		t.Errorf("an X.509 enrollment has a key: %v", value)
	}
	derForm := strings.Join(strings.Split(strings.TrimSpace(first), "\n")[1:], "")
	derForm = strings.TrimSuffix(derForm, "-----END CERTIFICATE-----")
	for name, pair := range map[string]object{
		"the DER form": {"primary": derForm}, "more white space": {"primary": "\n" + first + "\n"},
		"the same twice": {"primary": first, "secondary": first},
	} {
		t.Run(name, func(t *testing.T) {
			if paths, _ := m.diff(m.check(with(pair))); paths != nil {
				t.Errorf("%s: got changes in %v, want none", name, paths)
			}
		})
	}
	if got := m.up(with(object{"primary": first, "secondary": second})); !slices.Equal(got,
		[]string{"attestation.x509.clientCertificates.secondary"}) {
		t.Errorf("rolling in a certificate: got %v", got)
	}

	imported := manage(t, server, "IndividualEnrollment", "imported")
	imported.id = fakeHost + individualPath
	imported.refresh()
	if got := imported.up(with(object{"primary": first, "secondary": second})); got != nil {
		t.Errorf("up after the import: got %v, want none", got)
	}

	again := manage(t, server, "IndividualEnrollment", "device-1")
	if _, err := again.tryUp(with(object{"primary": first, "secondary": second})); err == nil ||
		!strings.Contains(err.Error(), "nothing shows that this resource created it") {
		t.Errorf("creation over an equal X.509 entry: got %v, want a refusal that says why", err)
	}
}

func TestAWebhooksQueryIsInvisibleToRefresh(t *testing.T) {
	t.Parallel()
	fake := runFake(t)
	m := manage(t, startProvider(t, fake.config()), "EnrollmentGroup", "devices")
	inputs := func(query string) object {
		return object{"enrollmentGroupId": "devices", "allocationPolicy": "custom",
			"customAllocation": object{"webhookUrl": "https://f.example/a" + query, "apiVersion": "2021-10-01"}}
	}
	m.up(inputs("?code=1"))
	fake.edit(t, groupPath, func(map[string]any) {}) // a new version, so that refresh reads everything
	if got := m.refresh(); got != nil {
		t.Errorf("refresh: got %v, want none", got)
	}
	if got := m.inputs.Get("customAllocation").AsMap().Get(
		"webhookUrl"); got.AsString() != "https://f.example/a?code=1" || !got.Secret() {
		t.Errorf("the address after refresh: got %v, want the declared one, secret", got)
	}
	if got := m.up(inputs("?code=2")); !slices.Equal(got, []string{"customAllocation.webhookUrl"}) {
		t.Errorf("another query: got %v, want the webhook's address", got)
	}
}

func TestSharedAccessKeyRotates(t *testing.T) {
	t.Parallel()
	m := manage(t, startProvider(t, object{}), "SharedAccessKey", "link")
	keys := func() (primary, secondary, active, next string) {
		return m.secret("primaryKey"), m.secret("secondaryKey"), m.secret("activeKey"), m.secret("nextKey")
	}
	m.up(object{})
	p0, s0, active, n0 := keys()
	if active != p0 || p0 == s0 || n0 == p0 || n0 == s0 {
		t.Error("at first the primary key is to be active, and all keys are to differ")
	}
	if got := m.up(object{"rotation": 0}); got != nil {
		t.Errorf("rotation 0 is the default: got changes in %v", got)
	}
	if got := m.refresh(); got != nil {
		t.Errorf("refresh: got %v, want none", got)
	}
	m.up(object{"rotation": 1})
	if p1, s1, active, n1 := keys(); p1 != p0 || s1 != s0 || active != s0 || n1 != n0 {
		t.Error("one raise is to move the active key to the secondary one, and leave both keys valid")
	}

	inputs := m.check(object{"rotation": 2})
	preview, err := m.server.Update(p.UpdateRequest{ID: m.id, Urn: m.urn, State: m.state, Inputs: inputs,
		OldInputs: m.inputs, DryRun: true})
	if err != nil {
		t.Fatal(err)
	}
	secret := func(text string) property.Value { return property.New(text).WithSecret(true) }
	for name, want := range map[string]property.Value{
		"primaryKey": secret(n0), "secondaryKey": secret(s0), "activeKey": secret(n0),
		"nextKey": unknown.WithSecret(true),
	} {
		t.Run(name, func(t *testing.T) {
			if got := preview.Properties.Get(name); !got.Equals(want) {
				t.Errorf("preview of %s is not what it will be", name)
			}
		})
	}
	m.up(object{"rotation": 2})
	if p2, s2, active, n2 := keys(); p2 != n0 || s2 != s0 || active != n0 || n2 == n0 || n2 == "" {
		t.Error("a second raise is to replace the first key by the one kept ready")
	}
	for _, rotation := range []int{0, 1, 4} {
		t.Run(fmt.Sprintf("from 2 to %d", rotation), func(t *testing.T) {
			if _, err := m.tryUp(object{"rotation": rotation}); err == nil ||
				!strings.Contains(err.Error(), "raise it by one") {
				t.Errorf("rotation from 2 to %d: got %v, want a refusal", rotation, err)
			}
		})
	}
	checked, err := m.server.Check(p.CheckRequest{Urn: m.urn, Inputs: object{"rotation": -1}.properties()})
	if err != nil || len(checked.Failures) != 1 || checked.Failures[0].Property != "rotation" {
		t.Errorf("a negative rotation: got %v, %v, want one failure", checked.Failures, err)
	}
}

func TestAPreviewOfANewSharedAccessKeyKnowsNoKey(t *testing.T) {
	t.Parallel()
	m := manage(t, startProvider(t, object{}), "SharedAccessKey", "link")
	preview, err := m.server.Create(p.CreateRequest{Urn: m.urn, Properties: m.check(object{}), DryRun: true})
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"primaryKey", "secondaryKey", "activeKey", "nextKey"} {
		t.Run(name, func(t *testing.T) {
			if got, want := preview.Properties.Get(name), unknown.WithSecret(true); !got.Equals(want) {
				t.Errorf("%s: got %#v, want it unknown and secret", name, got)
			}
		})
	}
	if _, err := m.server.Read(p.ReadRequest{ID: "link", Urn: m.urn}); err == nil {
		t.Error("an import: got no error, want one")
	}
}
