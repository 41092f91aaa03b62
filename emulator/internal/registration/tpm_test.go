package registration_test

import (
	"encoding/base64"
	"net/http"
	"strings"
	"testing"
	"time"

	"evenkeel/emulator/internal/registration"
	"evenkeel/emulator/internal/state"
	"evenkeel/emulator/internal/tpmseal/softkeys"
	"evenkeel/internal/azure/sas"
)

// tpmDevice is a device with a software TPM.
type tpmDevice struct {
	*softkeys.TPM
	id string
}

func newTPMDevice(t *testing.T, id string) tpmDevice {
	t.Helper()
	tpm, err := softkeys.New()
	if err != nil {
		t.Fatal(err)
	}
	return tpmDevice{tpm, id}
}

func (d tpmDevice) attestation() state.Settings {
	return state.Settings{Attestation: state.Attestation{TPM: &state.TPMAttestation{EndorsementKey: d.Endorsement}}}
}

// hello is the device's first request, without a signature.
func (d tpmDevice) hello() attempt {
	return attempt{id: d.id, body: `{"registrationId":"` + d.id + `","tpm":{"endorsementKey":"` + d.Endorsement +
		`","storageRootKey":"` + d.StorageRoot + `"}}`}
}

// open returns the base64 of the key in a sealed blob.
func (d tpmDevice) open(t *testing.T, sealed any) string {
	t.Helper()
	text, _ := sealed.(string)
	blob, err := base64.StdEncoding.DecodeString(text)
	if err != nil || text == "" {
		t.Fatalf("got %v, want a sealed key", sealed)
	}
	key, _, err := d.Open(blob)
	if err != nil {
		t.Fatalf("open the sealed key: %v", err)
	}
	return base64.StdEncoding.EncodeToString(key)
}

// challenged sends the first request and returns the key that the answer challenges with.
func (d tpmDevice) challenged(t *testing.T, w world) string {
	t.Helper()
	got := w.request(t, http.MethodPut, "register", d.hello())
	body, _ := tree(t, got.body).(map[string]any)
	if got.status != 401 || body["keyName"] != "registration" || body["message"] != "Unauthorized" {
		t.Fatalf("got %d %s, want a challenge", got.status, got.body)
	}
	return d.open(t, body["authenticationKey"])
}

func TestRegisterWithATPM(t *testing.T) {
	t.Parallel()
	w := newWorld(t, registration.Options{})
	d := newTPMDevice(t, "tpm-1")
	w.enroll(t, state.Enrollment{RegistrationID: "tpm-1", DeviceID: "Gateway", Settings: d.attestation()})
	for range 2 {
		signed := d.hello()
		signed.token = w.token(t, "tpm-1", d.challenged(t, w))
		got := w.register(t, signed)
		body, _ := tree(t, got.body).(map[string]any)
		result, _ := body["registrationState"].(map[string]any)
		if got.status != 200 || result["status"] != "assigned" || result["deviceId"] != "Gateway" {
			t.Fatalf("got %d %s, want the device assigned", got.status, got.body)
		}
		sealed, _ := result["tpm"].(map[string]any)
		device, err := w.st.Device(result["assignedHub"].(string), "Gateway")
		if key := d.open(t, sealed["authenticationKey"]); err != nil || device.Auth != state.AuthSAS ||
			device.Key.Primary != key {
			t.Errorf("got the hub's device %+v, %v, want it to have the key that was sealed", device, err)
		}
		if result["symmetricKey"] != nil || result["x509"] != nil {
			t.Errorf("got %v, want a result of TPM attestation alone", result)
		}
	}

	// The device sends a request twice: both answers are valid.
	first := d.challenged(t, w)
	second := d.challenged(t, w)
	for _, key := range []string{first, second} {
		t.Run(key, func(t *testing.T) {
			signed := d.hello()
			signed.token = w.token(t, "tpm-1", key)
			if got := w.register(t, signed); got.status != 200 {
				t.Errorf("got %d %s, want 200", got.status, got.body)
			}
		})
	}
}

func TestRefusedTPMs(t *testing.T) {
	t.Parallel()
	now := start
	w := newWorldAt(t, registration.Options{}, func() time.Time { return now })
	d, other := newTPMDevice(t, "tpm-1"), newTPMDevice(t, "tpm-1")
	w.enroll(t, state.Enrollment{RegistrationID: "tpm-1", Settings: d.attestation()})
	w.enroll(t, state.Enrollment{RegistrationID: "keyed", Settings: keys(key1, key2)})
	w.enroll(t, state.Enrollment{RegistrationID: "broken",
		Settings: state.Settings{Attestation: state.Attestation{TPM: &state.TPMAttestation{EndorsementKey: "AAAA"}}}})
	off := d.attestation()
	off.Disabled = true
	w.enroll(t, state.Enrollment{RegistrationID: "off", Settings: off})

	unsigned := func(id, body string) attempt { return attempt{id: id, body: body} }
	foreign := d.hello()
	foreign.scope = "0neFFFFFFFF"
	noRoot := unsigned("tpm-1", `{"tpm":{"endorsementKey":"`+d.Endorsement+`"}}`)
	for name, test := range map[string]struct {
		attempt
		status, code int
		message      string
	}{
		"another endorsement key": {other.hello(), 401, 401002, "Unauthorized"},
		"no TPM":                  {unsigned("tpm-1", "{}"), 401, 401002, "Unauthorized"},
		"an enrollment with keys": {tpmDevice{d.TPM, "keyed"}.hello(), 401, 401002, "Unauthorized"},
		"an unknown device":       {tpmDevice{d.TPM, "nobody"}.hello(), 404, 404201, "Enrollment not found."},
		"another scope":           {foreign, 401, 401002, "Unauthorized"},
		"no storage root key":     {noRoot, 400, 400004, "tpm.storageRootKey is not a TPM2B_PUBLIC."},
		"an endorsement key of none": {unsigned("broken", `{"tpm":{"endorsementKey":"AAAA","storageRootKey":"AAAA"}}`),
			400, 400004, "tpm.endorsementKey is not a TPM2B_PUBLIC."},
		"an invalid body": {unsigned("tpm-1", "{"), 400, 400004,
			"The request body is not a valid device registration."},
	} {
		t.Run(name, func(t *testing.T) {
			got := w.request(t, http.MethodPut, "register", test.attempt)
			if got.status != test.status || !strings.Contains(got.body, test.message) ||
				strings.Contains(got.body, "authenticationKey") {
				t.Errorf("%s: got %d %s, want %d %d %s", name, got.status, got.body, test.status, test.code,
					test.message)
			}
		})
	}

	key := d.challenged(t, w)
	signed := d.hello()
	signed.token = w.token(t, "tpm-1", otherKey)
	w.register(t, signed).want(t, 401, errorJSON(401002, "Unauthorized"))
	signed.token = w.token(t, "tpm-1", key)
	// TPMs are attested over HTTPS only.
	w.registerMQTT(t, signed).want(t, 401, errorJSON(401002, "Unauthorized"))
	if got := w.register(t, signed); got.status != 200 {
		t.Errorf("got %d %s, want 200", got.status, got.body)
	}
	w.enroll(t, state.Enrollment{RegistrationID: "tpm-1", Settings: other.attestation()})
	w.register(t, signed).want(t, 401, errorJSON(401002, "Unauthorized"))
	w.enroll(t, state.Enrollment{RegistrationID: "tpm-1", Settings: d.attestation()})

	disabled := tpmDevice{d.TPM, "off"}
	offSigned := disabled.hello()
	offSigned.token = w.token(t, "off", disabled.challenged(t, w))
	if got := w.register(t, offSigned); got.status != 200 || !strings.Contains(got.body, `"disabled"`) {
		t.Errorf("a disabled enrollment: got %d %s", got.status, got.body)
	}

	// A challenge expires, however long the token is valid.
	signed.token = token(t, w.scope+"/registrations/tpm-1", sas.Policy, key, start.Add(100*time.Hour))
	now = start.Add(2 * time.Hour)
	if got := w.register(t, signed); got.status != 401 {
		t.Errorf("after two hours: got %d %s, want 401", got.status, got.body)
	}
}
