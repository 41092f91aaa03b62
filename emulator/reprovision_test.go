package emulator_test

import (
	"encoding/base64"
	"fmt"
	"strings"
	"testing"
	"time"

	"evenkeel/emulator"
	"evenkeel/internal/azure/sas"
)

// TestReprovisioning registers a device, changes its twin, changes what its enrollment says, and registers it again:
// the matrix of "IoT Hub Device reprovisioning concepts", over every front.
func TestReprovisioning(t *testing.T) {
	t.Parallel()
	y := newYard(t)
	const (
		initialTags, initialDesired = `{"from":"entry"}`, `{"n":1}`
		changedTags, changedDesired = `{"from":"entry","own":"tag"}`, `{"n":7}`
		migrate                     = `,"reprovisionPolicy":{"updateHubAssignment":true,"migrateDeviceData":true}`
		reset                       = `,"reprovisionPolicy":{"updateHubAssignment":true,"migrateDeviceData":false}`
		never                       = `,"reprovisionPolicy":{"updateHubAssignment":false,"migrateDeviceData":true}`
		neverReset                  = `,"reprovisionPolicy":{"updateHubAssignment":false,"migrateDeviceData":false}`
	)
	tests := []struct {
		name, policy, version string
		// to is the hub that the entry names the second time; the first time it is hub1.
		to string
		// substatus is the one of the record; devices of versions before 2019-04-15 get initialAssignment.
		substatus string
		on        string
		changed   bool // the twin is as the device left it
	}{
		{"no policy, another hub", "", "", hub2, "deviceDataMigrated", hub2, true},
		{"no policy, the same hub", "", "", hub1, "reprovisionedToInitialAssignment", hub1, true},
		{"no policy, an old device", "", "2018-04-01", hub2, "reprovisionedToInitialAssignment", hub1, true},
		{"no policy, a device of the next version", "", "2018-11-01", hub2, "deviceDataMigrated", hub2, true},
		{"migrate, another hub", migrate, "", hub2, "deviceDataMigrated", hub2, true},
		{"migrate, an old device", migrate, "2018-04-01", hub2, "deviceDataMigrated", hub2, true},
		{"migrate, the same hub", migrate, "", hub1, "reprovisionedToInitialAssignment", hub1, true},
		{"reset, another hub", reset, "", hub2, "deviceDataReset", hub2, false},
		{"reset, the same hub", reset, "", hub1, "reprovisionedToInitialAssignment", hub1, false},
		{"never, another hub", never, "", hub2, "reprovisionedToInitialAssignment", hub1, true},
		{"never, the same hub", never, "", hub1, "reprovisionedToInitialAssignment", hub1, true},
		{"never and reset", neverReset, "", hub2, "reprovisionedToInitialAssignment", hub1, true},
	}
	for i, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			for name, register := range fronts {
				id := fmt.Sprintf("sn-%d-%s", i, strings.ReplaceAll(name, " ", "-"))
				entry := func(hub string) {
					y.enroll(id, keyed+`,"allocationPolicy":"hashed","iotHubs":["`+hub+`"],"initialTwin":{"tags":`+
						initialTags+`,"properties":{"desired":`+initialDesired+`}}`+test.policy)
				}
				entry(hub1)
				d := y.holding(id, primary)
				d.version = test.version
				if got := register(y, d); got.state("assignedHub") != hub1 ||
					got.state("substatus") != "initialAssignment" {
					t.Fatalf("%s over %s: got %v, want the initial assignment to %s", test.name, name, got, hub1)
				}
				y.twinOf(hub1, id, initialTags, initialDesired)
				if status, body := y.hubCall(hub1, "PATCH", "/twins/"+id,
					`{"tags":{"own":"tag"},"properties":{"desired":{"n":7}}}`); status != 200 {
					t.Fatalf("%s: change the twin: got %d %v", test.name, status, body)
				}
				entry(test.to)
				substatus := test.substatus
				if d.apiVersion() < "2019-04-15" {
					substatus = "initialAssignment"
				}
				got := register(y, d)
				if got.status != 200 || got.state("substatus") != substatus || got.state("assignedHub") != test.on {
					t.Errorf("%s over %s: got %v, want %s on %s", test.name, name, got, substatus, test.on)
					continue
				}
				if record := y.service("GET", "/registrations/"+id, ""); record["substatus"] != test.substatus {
					t.Errorf("%s over %s: got the record %v, want %s", test.name, name, record, test.substatus)
				}
				if test.changed {
					y.twinOf(test.on, id, changedTags, changedDesired)
				} else {
					y.twinOf(test.on, id, initialTags, initialDesired)
				}
				if test.on != hub1 {
					y.absent(hub1, id)
				}
			}
		})
	}
}

// TestRefusedDevices: every refusal is an answer of the protocol, the same over every front but for what a CONNACK can
// say.
func TestRefusedDevices(t *testing.T) {
	t.Parallel()
	y := newYard(t)
	group := func(id, more string) {
		y.service("PUT", "/enrollmentGroups/"+id, fmt.Sprintf(`{"enrollmentGroupId":%q,%s}`, id, more))
	}
	other := base64.StdEncoding.EncodeToString([]byte("the key of another group, quite"))
	const off = `,"provisioningStatus":"disabled"`
	group("g", keyed)
	group("g-off", strings.ReplaceAll(keyed, primary, other)+off)
	y.enroll("a", keyed)
	y.enroll("off", keyed+off)
	y.enroll("none", keyed+`,"allocationPolicy":"static"`)
	y.enroll("two", keyed+`,"allocationPolicy":"static","iotHubs":["`+hub1+`","`+hub2+`"]`)
	derived := func(key, id string) string {
		got, err := sas.DeriveDeviceKey(key, id)
		check(t, err)
		return got
	}
	signed := func(scope, id, resource, policy, key string, expiry time.Time) device {
		text, err := sas.New(resource, policy, key, expiry)
		check(t, err)
		return device{scope: scope, id: id, token: text}
	}
	soon := time.Now().Add(time.Hour)
	unknown := issue(t, nil, "a", false)
	badBody, otherBody := y.holding("a", primary), y.holding("a", primary)
	badBody.body, otherBody.body = "{", `{"registrationId":"b"}`
	badVersion := y.holding("a", primary)
	badVersion.version = "yesterday"
	const refused = 5
	tests := []struct {
		name   string
		device device
		// status over HTTPS and MQTT; 5 is the CONNACK's.
		https, mqtt int
		// code of the error or of the failed registration; status of the registration.
		code, end string
	}{
		{"the second key", y.holding("a", secondary), 200, 200, "", "assigned"},
		{"a device of a group", y.holding("x", derived(primary, "x")), 200, 200, "", "assigned"},
		{"a wrong key", y.holding("a", other), 401, 401, "401000", ""},
		{"an unknown device", y.holding("b", primary), 401, 401, "401000", ""},
		{"the group's own key", y.holding("x", primary), 401, 401, "401000", ""},
		{"the key of another device of the group", y.holding("x", derived(primary, "y")), 401, 401, "401000", ""},
		{"an expired token", signed(y.scope, "a", y.scope+"/registrations/a", sas.Policy, primary,
			time.Now().Add(-time.Minute)), 401, 401, "401000", ""},
		{"a token for another device", signed(y.scope, "a", y.scope+"/registrations/b", sas.Policy, primary, soon), 401,
			401, "401000", ""},
		{"a token for another scope", signed(y.scope, "a", "0ne00000000/registrations/a", sas.Policy, primary, soon),
			401, 401, "401000", ""},
		{"a token for the whole scope", signed(y.scope, "a", y.scope, sas.Policy, primary, soon), 401, 401, "401000",
			""},
		{"another policy", signed(y.scope, "a", y.scope+"/registrations/a", "device", primary, soon), 401, 401,
			"401000", ""},
		{"an unknown scope", signed("0ne00000000", "a", "0ne00000000/registrations/a", sas.Policy, primary, soon), 401,
			401, "401002", ""},
		{"no credential", device{scope: y.scope, id: "a"}, 401, refused, "401002", ""},
		{"an invalid token", device{scope: y.scope, id: "a", token: "SharedAccessSignature ?"}, 401, 401, "401000", ""},
		{"an unknown certificate", device{scope: y.scope, id: "a", certificate: unknown.presented(0)}, 401, 401,
			"401002", ""},
		{"a disabled enrollment", y.holding("off", primary), 200, 200, "", "disabled"},
		{"a disabled enrollment hides the group", y.holding("off", derived(primary, "off")), 401, 401, "401000", ""},
		{"a disabled group", y.holding("z", derived(other, "z")), 200, 200, "", "disabled"},
		{"an invalid body", badBody, 400, 400, "400004", ""},
		{"a body for another device", otherBody, 400, 400, "400004", ""},
		{"an invalid version", badVersion, 400, refused, "400004", ""},
		{"static without a hub", y.holding("none", primary), 200, 200, "400208", "failed"},
		{"static with two hubs", y.holding("two", primary), 200, 200, "400208", "failed"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			for name, register := range fronts {
				got := register(y, test.device)
				want := test.mqtt
				if name == "HTTPS" {
					want = test.https
				}
				code := test.code
				if want == refused {
					code = ""
				}
				if got.status != want || got.code() != code || got.state("status") != test.end {
					t.Errorf("%s over %s: got %v, want %d %s %s", test.name, name, got, want, code, test.end)
				}
			}
		})
	}
	for _, hub := range []string{hub1, hub2} {
		for _, id := range []string{"off", "z", "none", "two"} {
			y.absent(hub, id)
		}
	}
}

// TestLinksToMissingHubs deletes the linked hub, or changes its keys.
func TestLinksToMissingHubs(t *testing.T) {
	t.Parallel()
	y := newYard(t, emulator.Options{})
	for name, register := range fronts {
		for _, hub := range []string{hub1, hub2} {
			y.enroll(strings.ReplaceAll(name, " ", "-")+hub[:5], keyed+`,"allocationPolicy":"hashed","iotHubs":["`+hub+
				`"]`)
			if got := register(y, y.holding(strings.ReplaceAll(name, " ", "-")+hub[:5],
				primary)); got.state("assignedHub") != hub {
				t.Fatalf("%s: got %v, want it on %s", name, got, hub)
			}
		}
	}
	y.must("PUT", hubPath+hubVersion,
		`{"location":"westeurope","sku":{"name":"S1","capacity":1},"properties":{"authorizationPolicies":[`+
			`{"keyName":"iothubowner","rights":"RegistryWrite, ServiceConnect, DeviceConnect","primaryKey":"`+primary+
			`","secondaryKey":"`+secondary+`"}]}}`)
	y.must("DELETE", strings.Replace(hubPath, "hub-1", "hub-2", 1)+hubVersion, "")
	for name, register := range fronts {
		for hub, want := range map[string]struct{ code, text string }{
			hub1: {"401002", "IotHubUnauthorizedAccess"}, hub2: {"401001", "IoTHub not found."},
		} {
			t.Run(name+", "+hub, func(t *testing.T) {
				got := register(y, y.holding(strings.ReplaceAll(name, " ", "-")+hub[:5], primary))
				if got.status != 200 || got.state("status") != "failed" || got.code() != want.code ||
					!strings.Contains(got.state("errorMessage"), want.text) {
					t.Errorf("%s, %s: got %v, want a failed registration with %s", name, hub, got, want.code)
				}
			})
		}
	}
}
