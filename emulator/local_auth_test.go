package emulator_test

import (
	"strings"
	"testing"

	"evenkeel/emulator"
)

const newVersion = "?api-version=2026-08-31"

// localAuth puts the provisioning service with that disableLocalAuth, and keeps its links.
func (y *yard) localAuth(disable string) {
	y.t.Helper()
	y.must("PUT", servicePath+newVersion,
		`{"location":"westeurope","sku":{"name":"S1","capacity":1},"properties":{"disableLocalAuth":`+disable+`}}`)
}

// Sources: the live tests of azure-iot-cli-extension (pull request 893) for the service API and the keys in ARM.
func TestAServiceWithoutLocalAuthRefusesTheKeysOfItsPolicies(t *testing.T) {
	t.Parallel()
	y := newYard(t, emulator.Options{})
	y.enroll("sn-1", keyed)
	bearer := "Bearer " + tokenFor(t, y.e, "https://azure-devices-provisioning.net/.default")
	calls := []struct{ method, path, body string }{
		{"GET", "/enrollments/sn-1", ""}, {"PUT", "/enrollments/sn-1", `{"registrationId":"sn-1",` + keyed + `}`},
		{"POST", "/enrollments/sn-1/attestationmechanism", ""},
		{"POST", "/enrollments", `{"mode":"update","enrollments":[{"registrationId":"sn-1",` + keyed + `}]}`},
	}
	for _, disable := range []string{"true", "false", "null"} {
		y.localAuth(disable)
		for _, call := range calls {
			t.Run(call.method+" "+call.path+", disabled="+disable, func(t *testing.T) {
				path := call.path + "?api-version=2021-10-01"
				status, body := y.on(serviceHost, call.method, path, call.body, y.owner)
				if refused := status == 401 && body["errorCode"] == float64(401002); refused != (disable == "true") {
					t.Errorf("disableLocalAuth %s, a key: got %d %v", disable, status, body)
				}
				if status, body := y.on(serviceHost, call.method, path, call.body, bearer); status != 200 {
					t.Errorf("disableLocalAuth %s, a token of Entra: %s %s got %d %v", disable, call.method, call.path,
						status, body)
				}
			})
		}
		if key := y.firstKey(servicePath+"/keys/provisioningserviceowner", newVersion); key == "" {
			t.Errorf("disableLocalAuth %s: ARM shows no key", disable)
		}
	}
}

// Source: a live run of azure-iot-cli-extension: the device API is as before.
func TestDevicesRegisterWithAServiceWithoutLocalAuth(t *testing.T) {
	t.Parallel()
	y := newYard(t, emulator.Options{})
	for name := range fronts {
		y.enroll(strings.ReplaceAll(name, " ", "-"), keyed)
	}
	y.localAuth("true")
	for name, register := range fronts {
		if got := register(y, y.holding(strings.ReplaceAll(name, " ", "-"),
			primary)); got.state("status") != "assigned" {
			t.Errorf("%s: got %v, want it assigned", name, got)
		}
	}
}

// Source: "Link and manage IoT hubs" of the DPS documentation.
func TestAHubWithoutLocalAuthRefusesTheKeyOfItsLink(t *testing.T) {
	t.Parallel()
	y := newYard(t, emulator.Options{})
	hub := func(disable string) {
		y.must("PUT", hubPath+hubVersion,
			`{"location":"westeurope","sku":{"name":"S1","capacity":1},"properties":{"disableLocalAuth":`+disable+`}}`)
	}
	y.enroll("sn-1", keyed+`,"allocationPolicy":"hashed","iotHubs":["`+hub1+`"]`)
	hub("true")
	for name, register := range fronts {
		got := register(y, y.holding("sn-1", primary))
		if got.status != 200 || got.state("status") != "failed" || got.code() != "401002" ||
			!strings.Contains(got.state("errorMessage"), "IotHubUnauthorizedAccess") {
			t.Errorf("%s: got %v, want a failed registration with 401002", name, got)
		}
	}
	hub("false")
	for name, register := range fronts {
		if got := register(y, y.holding("sn-1", primary)); got.state("assignedHub") != hub1 {
			t.Errorf("%s, on again: got %v, want it assigned", name, got)
		}
	}
}
