package state

import (
	"encoding/base64"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// TestRowsOfEarlierVersionsAreRead reads rows as versions without certificate policies and issued chains wrote them,
// and writes such rows as before, so that those versions read them too.
func TestRowsOfEarlierVersionsAreRead(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 5, 4, 3, 2, 1, 123456700, time.UTC)
	for name, test := range map[string]struct {
		stored string
		want   row
		into   row
	}{
		"an enrollment": {
			"CGRldmljZS0xCkRldmljZS1PbmUBBGEyVjUIYTJWNU1nPT0AAA0AAhdodWItMS5henVyZS1kZXZpY2VzLm5ldAZzdGF0aWMAAAx7InRhZ3MiOn" +
				"t9fQABZZDEh7nx5JQ/kMSHufHklD8=",
			&Enrollment{RegistrationID: "device-1", DeviceID: "Device-One", Settings: Settings{
				Attestation: Attestation{SymmetricKey: &SymmetricKey{"a2V5", "a2V5Mg=="}}, Disabled: true,
				Capabilities: true, Edge: true, Hubs: []string{"hub-1.azure-devices.net"}, Allocation: Static,
				InitialTwin: []byte(`{"tags":{}}`), ETag: "e", Created: at, Updated: at,
			}}, &Enrollment{},
		},
		"a group": {
			"B2dyb3VwLTEAAQAAAAACY2EAAAAAAAAAAQMAAAFlkMSHufHklD+QxIe58eSUPw==",
			&EnrollmentGroup{ID: "group-1", Settings: Settings{
				Attestation: Attestation{X509: &X509Attestation{CAPrimary: "ca"}},
				Reprovision: &Reprovision{true, true}, ETag: "e", Created: at, Updated: at,
			}}, &EnrollmentGroup{},
		},
		"an operation": {
			"BDQub3AIZGV2aWNlLTEACGRldmljZS0xF2h1Yi0xLmF6dXJlLWRldmljZXMubmV0CGFzc2lnbmVkEWluaXRpYWxBc3NpZ25tZW50AAAAAWWQxI" +
				"e58eSUP5DEh7nx5JQ/",
			&Operation{ID: "4.op", Registration: Registration{
				RegistrationID: "device-1", DeviceID: "device-1", AssignedHub: "hub-1.azure-devices.net",
				Status: Assigned, Substatus: InitialAssignment, ETag: "e", Created: at, Updated: at,
			}}, &Operation{},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			stored, err := base64.StdEncoding.DecodeString(test.stored)
			if err != nil {
				t.Fatal(err)
			}
			if err := decode(stored, test.into); err != nil {
				t.Fatalf("read the row: %v", err)
			}
			if diff := cmp.Diff(test.want, test.into); diff != "" {
				t.Errorf("the row differs (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(stored, encode(test.want)); diff != "" {
				t.Errorf("the row is written differently (-before +now):\n%s", diff)
			}
		})
	}
}
