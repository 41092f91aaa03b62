package emulator_test

import (
	"encoding/base64"
	"net/http"
	"testing"

	"evenkeel/emulator/internal/tpmseal/softkeys"
)

// TestATPMRegistersAndUsesItsHub goes the whole way of a device with a TPM: challenge, signature, assignment, and
// telemetry signed with the key that only its TPM could open.
func TestATPMRegistersAndUsesItsHub(t *testing.T) {
	t.Parallel()
	y := newYard(t)
	tpm, err := softkeys.New()
	check(t, err)
	y.enroll("tpm-1", `"allocationPolicy":"hashed","iotHubs":["`+hub1+
		`"],"attestation":{"type":"tpm","tpm":{"endorsementKey":"`+tpm.Endorsement+`"}}`)
	open := func(sealed any) string {
		t.Helper()
		text, _ := sealed.(string)
		blob, err := base64.StdEncoding.DecodeString(text)
		check(t, err)
		key, info, err := tpm.Open(blob)
		check(t, err)
		if want := y.scope + "/registrations/tpm-1"; info != want {
			t.Errorf("got %q with the key, want %q", info, want)
		}
		return base64.StdEncoding.EncodeToString(key)
	}
	body := `{"registrationId":"tpm-1","tpm":{"endorsementKey":"` + tpm.Endorsement + `","storageRootKey":"` +
		tpm.StorageRoot + `"}}`
	challenge := y.overHTTPS(device{scope: y.scope, id: "tpm-1", body: body})
	if challenge.status != http.StatusUnauthorized || challenge.body["keyName"] != "registration" {
		t.Fatalf("got %v, want a challenge", challenge)
	}
	d := y.holding("tpm-1", open(challenge.body["authenticationKey"]))
	d.body = body
	got := y.overHTTPS(d)
	registration, _ := got.body["registrationState"].(map[string]any)
	sealed, _ := registration["tpm"].(map[string]any)
	if got.state("assignedHub") != hub1 || sealed == nil {
		t.Fatalf("got %v, want it on %s with a sealed key", got, hub1)
	}
	hubKey := open(sealed["authenticationKey"])
	status, answer := y.on(hub1, "POST", "/devices/tpm-1/messages/events?api-version=2021-04-12", "21.5",
		token(t, hub1+"/devices/tpm-1", "", hubKey))
	if status != http.StatusNoContent {
		t.Errorf("telemetry: got %d %v, want 204", status, answer)
	}
	for name, register := range map[string]front{"MQTT": fronts["MQTT"], "WebSocket": fronts["MQTT over WebSocket"]} {
		t.Run(name, func(t *testing.T) {
			if got := register(y, d); got.status != http.StatusUnauthorized {
				t.Errorf("%s: got %v, want 401: TPMs are attested over HTTPS only", name, got)
			}
		})
	}
}
