package provider_test

import (
	"errors"
	"net/http"
	"slices"
	"strings"
	"testing"

	p "github.com/pulumi/pulumi-go-provider"
	"github.com/pulumi/pulumi/sdk/v3/go/property"

	"evenkeel/dpsservice"
	"evenkeel/internal/azure/sas"
)

const (
	individualPath = "/enrollments/device-1"
	groupPath      = "/enrollmentGroups/devices"
)

func TestAnEnrollmentIsCreatedUpdatedAndDeleted(t *testing.T) {
	t.Parallel()
	fake := runFake(t)
	m := manage(t, startProvider(t, fake.config()), "IndividualEnrollment", "device-1")

	m.up(object{"registrationId": "device-1", "allocationPolicy": "Hashed",
		"initialTwin": object{"tags": object{"site": "a", "floor": 3}}})
	if want := fakeHost + individualPath; m.id != want {
		t.Errorf("id: got %q, want %q", m.id, want)
	}
	if got := fake.entry(individualPath)["allocationPolicy"]; got != "hashed" {
		t.Errorf("policy at the service: got %v, want hashed", got)
	}
	first := m.secret("primaryKey")
	if raw, err := sas.DecodeKey(first); err != nil || len(raw) != sas.GeneratedKeyBytes {
		t.Errorf("made key: got %d bytes, %v, want %d", len(raw), err, sas.GeneratedKeyBytes)
	}
	if first == m.secret("secondaryKey") {
		t.Error("both keys are the same")
	}

	same := object{"registrationId": "device-1", "allocationPolicy": "hashed",
		"initialTwin": object{"tags": object{"site": "a", "floor": 3}}}
	if got := m.up(same); got != nil {
		t.Errorf("up without a change: got changes in %v, want none", got)
	}
	fake.takeLog()
	if got := m.refresh(); got != nil {
		t.Errorf("refresh without a change: got %v, want none", got)
	}
	if log := fake.takeLog(); len(log) != 1 {
		t.Errorf("refresh of what did not change: got requests %v, want one that asks for the etag", log)
	}
	got := m.up(object{"registrationId": "device-1", "allocationPolicy": "hashed",
		"initialTwin": object{"tags": object{"site": "b", "floor": 3}}})
	if want := []string{"initialTwin.tags"}; !slices.Equal(got, want) {
		t.Errorf("change of a tag: got %v, want %v", got, want)
	}
	if m.secret("primaryKey") != first {
		t.Error("an update of a tag renewed the keys")
	}
	m.delete()
	if entry := fake.entry(individualPath); entry != nil {
		t.Errorf("after delete: got %v, want nothing", entry)
	}
	m.delete() // deleting an absent enrollment succeeds
}

func TestAGroupIsCreatedWithGivenKeys(t *testing.T) {
	t.Parallel()
	fake := runFake(t)
	m := manage(t, startProvider(t, fake.config()), "EnrollmentGroup", "devices")
	primary, secondary := newKey(t), newKey(t)
	inputs := object{"enrollmentGroupId": "devices",
		"attestation": object{"symmetricKey": object{"primaryKey": primary, "secondaryKey": secondary}}}
	m.up(inputs)
	if m.secret("primaryKey") != primary || m.secret("secondaryKey") != secondary {
		t.Error("the given keys are not the ones in force")
	}
	nested := m.state.Get("attestation").AsMap().Get("symmetricKey").AsMap().Get("primaryKey")
	if !nested.Secret() {
		t.Error("the state contains the given key in plain text")
	}
	if got := m.up(inputs); got != nil {
		t.Errorf("up without a change: got %v, want none", got)
	}
	third := newKey(t)
	got := m.up(object{"enrollmentGroupId": "devices",
		"attestation": object{"symmetricKey": object{"primaryKey": third, "secondaryKey": secondary}}})
	if want := []string{"attestation.symmetricKey.primaryKey"}; !slices.Equal(got, want) ||
		m.secret("primaryKey") != third {
		t.Errorf("another key: got %v, want %v and the new key in force", got, want)
	}
	if got := m.up(object{"enrollmentGroupId": "devices"}); got != nil || m.secret("primaryKey") != third {
		t.Errorf("keys left out: got %v, want the old ones kept", got)
	}
}

func TestLetterCaseOfPolicyAndStatusIsIgnored(t *testing.T) {
	t.Parallel()
	fake := runFake(t)
	m := manage(t, startProvider(t, fake.config()), "EnrollmentGroup", "devices")
	m.up(object{"enrollmentGroupId": "devices", "provisioningStatus": "Disabled", "allocationPolicy": "GEOLATENCY"})
	if entry := fake.entry(groupPath); entry["provisioningStatus"] != "disabled" ||
		entry["allocationPolicy"] != "geoLatency" {
		t.Errorf("sent %v and %v, want disabled and geoLatency", entry["provisioningStatus"], entry["allocationPolicy"])
	}
	if got := m.refresh(); got != nil {
		t.Errorf("refresh: got %v, want none", got)
	}
}

func TestPreviewMakesNoCallAndReturnsKnownOutputs(t *testing.T) {
	t.Parallel()
	fake := runFake(t)
	m := manage(t, startProvider(t, fake.config()), "IndividualEnrollment", "device-1")
	key := newKey(t)
	inputs := m.check(object{"registrationId": "device-1",
		"attestation": object{"symmetricKey": object{"primaryKey": key}}, "iotHubHostName": unknown})
	created, err := m.server.Create(p.CreateRequest{Urn: m.urn, Properties: inputs, DryRun: true})
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]property.Value{
		"registrationId": property.New("device-1"), "serviceHost": property.New(fakeHost),
		"primaryKey": property.New(key).WithSecret(true), "secondaryKey": unknown.WithSecret(true), "etag": unknown,
		"iotHubHostName": unknown,
	} {
		t.Run(name, func(t *testing.T) {
			if got := created.Properties.Get(name); !got.Equals(want) {
				t.Errorf("preview of %s: got %#v, want %#v", name, got, want)
			}
		})
	}
	if log := fake.takeLog(); log != nil {
		t.Errorf("preview of a creation made calls: %v", log)
	}

	m.up(object{"registrationId": "device-1"})
	before := m.secret("primaryKey")
	fake.takeLog()
	updated, err := m.server.Update(p.UpdateRequest{
		ID: m.id, Urn: m.urn, State: m.state, OldInputs: m.inputs, DryRun: true,
		Inputs: m.check(object{"registrationId": "device-1", "deviceId": "other"}),
	})
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]property.Value{
		"primaryKey": property.New(before).WithSecret(true), "deviceId": property.New("other"),
		"createdDateTimeUtc": m.state.Get("createdDateTimeUtc"), "etag": unknown,
	} {
		t.Run(name, func(t *testing.T) {
			if got := updated.Properties.Get(name); !got.Equals(want) {
				t.Errorf("preview of %s in an update: got %#v, want %#v", name, got, want)
			}
		})
	}
	if log := fake.takeLog(); log != nil {
		t.Errorf("preview of an update made calls: %v", log)
	}
}

func TestTheErrorForAnExistingEntryShowsTheImportCommand(t *testing.T) {
	t.Parallel()
	fake := runFake(t)
	server := startProvider(t, fake.config())
	theirs := manage(t, server, "IndividualEnrollment", "theirs")
	theirs.up(object{"registrationId": "device-1"})
	ours := manage(t, nextRun(t, server), "IndividualEnrollment", "ours")
	_, err := ours.tryUp(object{"registrationId": "device-1"})
	want := "pulumi import azure-dps:index:IndividualEnrollment ours " + fakeHost + individualPath
	if err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("creation over an equal entry of another resource: got %v, want an error with %q", err, want)
	}
	_, err = ours.tryUp(object{"registrationId": "device-1", "deviceId": "other"})
	if err == nil || !strings.Contains(err.Error(), "differs from the declared one in deviceId") {
		t.Errorf("creation over a different entry: got %v, want the difference named", err)
	}
	for name, secret := range map[string]string{"the enrollment's": theirs.secret("primaryKey"),
		"the policy's": fake.Key} {
		t.Run(name, func(t *testing.T) {
			if strings.Contains(err.Error(), secret) {
				t.Error("the error contains the key")
			}
		})
	}
}

func TestAnInterruptedCreationIsTakenOver(t *testing.T) {
	t.Parallel()
	given := newKey(t)
	for name, inputs := range map[string]object{
		"made keys": {"registrationId": "device-1", "deviceId": "d"},
		"one given key": {"registrationId": "device-1",
			"attestation": object{"symmetricKey": object{"secondaryKey": given}}},
		"two given keys": {"registrationId": "device-1",
			"attestation": object{"symmetricKey": object{"primaryKey": given, "secondaryKey": newKey(t)}}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			fake := runFake(t)
			killed := manage(t, startProvider(t, fake.config()), "IndividualEnrollment", "device-1")
			killed.up(inputs)
			again := manage(t, startProvider(t, fake.config()), "IndividualEnrollment", "device-1")
			again.up(inputs)
			for _, slot := range []string{"primaryKey", "secondaryKey"} {
				t.Run(slot, func(t *testing.T) {
					isGiven := inputs["attestation"] != nil &&
						inputs["attestation"].(object)["symmetricKey"].(object)[slot] != nil
					if same := again.secret(slot) == killed.secret(slot); same != isGiven {
						t.Errorf("%s: got the same key %t, want given keys kept and made ones renewed", slot, same)
					}
					attestation := fake.entry(individualPath)["attestation"].(map[string]any)
					if attestation["symmetricKey"].(map[string]any)[slot] != again.secret(slot) {
						t.Errorf("%s: the service and the state hold other keys", slot)
					}
				})
			}
			if got := again.up(inputs); got != nil {
				t.Errorf("up after it: got %v, want no change", got)
			}
		})
	}
}

func TestALostAnswerIsNotAFailure(t *testing.T) {
	t.Parallel()
	fake := runFake(t)
	m := manage(t, startProvider(t, fake.config()), "IndividualEnrollment", "device-1")
	lost := false
	loseOne := func(r *http.Request) bool {
		if r.Method == http.MethodPut && !lost {
			lost = true
			return true
		}
		return false
	}
	fake.intercept(nil, loseOne)
	m.up(object{"registrationId": "device-1"})
	if !lost {
		t.Fatal("no answer was lost")
	}
	lost = false
	// The second attempt meets the etag that the first one produced.
	m.up(object{"registrationId": "device-1", "deviceId": "other"})
	if got := fake.entry(individualPath)["deviceId"]; got != "other" || !lost {
		t.Errorf("update with a lost answer: got device id %v, want other", got)
	}
	if got := m.refresh(); got != nil {
		t.Errorf("refresh after it: got %v, want none", got)
	}
}

func TestAConcurrentChangeIsNotOverwritten(t *testing.T) {
	t.Parallel()
	fake := runFake(t)
	m := manage(t, startProvider(t, fake.config()), "IndividualEnrollment", "device-1")
	m.up(object{"registrationId": "device-1"})
	fake.edit(t, individualPath, func(entry map[string]any) {
		entry["provisioningStatus"] = "disabled"
		entry["iotHubs"] = []any{"hub-9.azure-devices.net"}
	})
	changed := object{"registrationId": "device-1", "deviceId": "other"}
	_, err := m.tryUp(changed)
	if !errors.Is(err, dpsservice.ErrPrecondition) || !strings.Contains(err.Error(), "provisioningStatus, iotHubs") {
		t.Errorf("update over a change: got %v, want the changed fields named", err)
	}
	if got, want := m.refresh(), []string{"iotHubs", "provisioningStatus"}; !slices.Equal(got, want) {
		t.Errorf("refresh: got %v, want %v", got, want)
	}
	m.up(changed)
	if entry := fake.entry(individualPath); entry["iotHubs"] != nil || entry["provisioningStatus"] != nil ||
		entry["deviceId"] != "other" {
		t.Errorf("after refresh and up: got %v, want the declared entry", entry)
	}
	fake.edit(t, individualPath, func(map[string]any) {}) // a new version with the same content
	if got := m.up(object{"registrationId": "device-1"}); !slices.Equal(got, []string{"deviceId"}) ||
		fake.entry(individualPath)["deviceId"] != nil {
		t.Errorf("update after a change of nothing: got %v, want deviceId", got)
	}
	m.secret("primaryKey")
}

func TestKeysThatAnotherClientChangedAreNotOverwritten(t *testing.T) {
	t.Parallel()
	fake := runFake(t)
	m := manage(t, startProvider(t, fake.config()), "EnrollmentGroup", "devices")
	m.up(object{"enrollmentGroupId": "devices"})
	renewed := newKey(t)
	fake.edit(t, groupPath, set("attestation", "symmetricKey", "primaryKey", renewed))
	changed := object{"enrollmentGroupId": "devices", "provisioningStatus": "disabled"}
	if _, err := m.tryUp(changed); !errors.Is(err, dpsservice.ErrPrecondition) ||
		!strings.Contains(err.Error(), "its keys") || strings.Contains(err.Error(), renewed) {
		t.Errorf("update over renewed keys: got %v, want the keys named and not shown", err)
	}
	if got := m.refresh(); got != nil || m.secret("primaryKey") != renewed {
		t.Errorf("refresh: got %v, want the renewed key taken over, and no drift", got)
	}
	m.up(changed)
	if m.secret("primaryKey") != renewed {
		t.Error("the update renewed the key")
	}
}

// Whether Azure answers 409 to a PUT without If-Match on an existing entry is unknown: both must work.
func TestACreationThatConflictsWithItsFirstAttemptSucceeds(t *testing.T) {
	t.Parallel()
	certificate := newAuthority(t, "root").PEM
	for name, inputs := range map[string]object{
		"made keys": {"enrollmentGroupId": "devices"},
		"X.509": {"enrollmentGroupId": "devices",
			"attestation": object{"x509": object{"signingCertificates": object{"primary": certificate}}}},
	} {
		t.Run(name, func(t *testing.T) {
			for _, theirs := range []bool{false, true} {
				fake := runFake(t)
				puts := 0
				fake.intercept(func(w http.ResponseWriter, r *http.Request) bool {
					if r.Method != http.MethodPut {
						return false
					}
					if puts++; puts > 1 {
						if theirs {
							fake.edit(t, groupPath, set("provisioningStatus", "disabled"))
						}
						refuse(w, 409201, "Enrollment already exists.")
					}
					return puts > 1
				}, func(r *http.Request) bool { return r.Method == http.MethodPut })
				m := manage(t, startProvider(t, fake.config()), "EnrollmentGroup", "devices")
				_, err := m.tryUp(inputs)
				if (err != nil) != theirs || theirs && !errors.Is(err, dpsservice.ErrConflict) {
					t.Errorf("%s, changed by another client %t: got %v", name, theirs, err)
				}
			}
		})
	}
}

func TestOnlyANotFoundAnswerRemovesAResource(t *testing.T) {
	t.Parallel()
	fake := runFake(t)
	m := manage(t, startProvider(t, fake.config()), "EnrollmentGroup", "devices")
	m.up(object{"enrollmentGroupId": "devices"})
	for name, answer := range map[string]func(http.ResponseWriter){
		"a proxy's 404":   func(w http.ResponseWriter) { http.Error(w, "<html>not here</html>", http.StatusNotFound) },
		"unauthorized":    func(w http.ResponseWriter) { refuse(w, 401002, "Unauthorized") },
		"no connection":   func(http.ResponseWriter) { panic(http.ErrAbortHandler) },
		"an empty answer": func(w http.ResponseWriter) { w.WriteHeader(http.StatusOK) },
	} {
		t.Run(name, func(t *testing.T) {
			fake.intercept(func(w http.ResponseWriter, _ *http.Request) bool { answer(w); return true }, nil)
			read, err := m.server.Read(p.ReadRequest{ID: m.id, Urn: m.urn, Properties: m.state, Inputs: m.inputs})
			if err == nil {
				t.Errorf("%s: got id %q and no error, want an error", name, read.ID)
			}
		})
	}
	fake.intercept(nil, nil)
	if err := m.server.Delete(p.DeleteRequest{ID: m.id, Urn: m.urn, Properties: m.state}); err != nil {
		t.Fatal(err)
	}
	if got := m.refresh(); !slices.Equal(got, []string{"gone"}) {
		t.Errorf("after deletion elsewhere: got %v, want gone", got)
	}
}

func TestAnImportOfAnAbsentResourceFails(t *testing.T) {
	t.Parallel()
	server := startProvider(t, runFake(t).config())
	for kind, path := range map[string]string{
		"IndividualEnrollment": individualPath, "EnrollmentGroup": groupPath, "EnrollmentSet": individualPath,
	} {
		t.Run(kind, func(t *testing.T) {
			m := manage(t, server, kind, "x")
			m.id = fakeHost + path
			if _, err := server.Read(readOf(m)); err == nil || !strings.Contains(err.Error(), m.id) {
				t.Errorf("%s: got %v, want an error that names %s", kind, err, m.id)
			}
		})
	}
}

func TestAnImportPutsNoGeneratedKeyIntoInputs(t *testing.T) {
	t.Parallel()
	fake := runFake(t)
	server := startProvider(t, fake.config())
	inputs := object{"enrollmentGroupId": "devices", "initialTwin": object{"desiredProperties": object{"interval": 5}},
		"allocationPolicy": "hashed", "iotHubs": []string{"hub-1.azure-devices.net"}}
	manage(t, server, "EnrollmentGroup", "made").up(inputs)

	m := manage(t, server, "EnrollmentGroup", "devices")
	m.id = strings.ToUpper(fakeHost) + groupPath
	m.refresh()
	want := inputs.properties()
	if !property.New(m.inputs).Equals(property.New(want)) {
		t.Errorf("imported inputs: got %#v, want %#v", m.inputs, want)
	}
	if got := m.up(inputs); got != nil {
		t.Errorf("up after the import: got %v, want none", got)
	}
	m.secret("primaryKey")
}

func newKey(t *testing.T) string {
	t.Helper()
	key, err := sas.NewKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	return key
}
