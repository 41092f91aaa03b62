package emulator_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"evenkeel/emulator"
	"evenkeel/internal/azure/sas"
)

// on sends a request to the data port under an Azure host name.
func (w *wire) on(host, method, path, body, authorization string, header ...string) (int, map[string]any) {
	w.t.Helper()
	r, err := http.NewRequestWithContext(w.t.Context(), method, w.e.Endpoints().Data+path, strings.NewReader(body))
	check(w.t, err)
	r.Host = host
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("Authorization", authorization)
	for i := 0; i+1 < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	response, err := w.http.Do(r)
	check(w.t, err)
	return answer(w.t, response)
}

func token(t *testing.T, resource, name, key string) string {
	t.Helper()
	text, err := sas.New(resource, name, key, time.Now().Add(time.Hour))
	check(t, err)
	return text
}

// firstKey is the primary key of a policy, by list keys.
func (w *wire) firstKey(path, version string) string {
	w.t.Helper()
	key, _ := w.must("POST", path+"/listkeys"+version, "")["primaryKey"].(string)
	if key == "" {
		w.t.Fatalf("got no key of %s", path)
	}
	return key
}

// TestHostPicksTheSurface goes the whole way: hubs and a service over ARM, an enrollment over the service's host, a
// registration over the global host and over localhost, and the device in the registry of the hub it was given.
func TestHostPicksTheSurface(t *testing.T) {
	t.Parallel()
	e := emulator.RunT(t)
	w := plain(t, e)
	w.must("PUT", groupPath+groupVersion, groupJSON)
	w.must("PUT", hubPath+hubVersion, hubJSON)
	hubKey := w.firstKey(hubPath+"/IotHubKeys/iothubowner", hubVersion)
	w.must("PUT", servicePath+serviceVersion,
		`{"location":"westeurope","sku":{"name":"S1"},"properties":{"iotHubs":[{"location":"westeurope",`+
			`"connectionString":"HostName=hub-1.azure-devices.net;SharedAccessKeyName=iothubowner;SharedAccessKey=`+
			hubKey+
			`"}]}}`)
	serviceKey := w.firstKey(servicePath+"/keys/provisioningserviceowner", serviceVersion)
	scope, _ := w.must("GET", servicePath+serviceVersion, "")["properties"].(map[string]any)["idScope"].(string)

	const serviceHost, hubHost, deviceKey = "dps-1.azure-devices-provisioning.net", "hub-1.azure-devices.net",
		"MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE="
	owner := token(t, serviceHost, "provisioningserviceowner", serviceKey)
	status, body := w.on(serviceHost, "PUT", "/enrollments/device-1?api-version=2021-10-01",
		`{"registrationId":"device-1","attestation":{"type":"symmetricKey","symmetricKey":{"primaryKey":"`+deviceKey+
			`","secondaryKey":"`+deviceKey+`"}}}`, owner)
	if status != http.StatusOK {
		t.Fatalf("put the enrollment: got %d %v", status, body)
	}
	device := token(t, scope+"/registrations/device-1", sas.Policy, deviceKey)
	const version = "?api-version=2019-03-31"
	for _, host := range []string{"global.azure-devices-provisioning.net", serviceHost, "localhost"} {
		status, body = w.on(host, "PUT", "/"+scope+"/registrations/device-1/register"+version,
			`{"registrationId":"device-1"}`, device)
		if status != http.StatusAccepted {
			t.Fatalf("register over %s: got %d %v", host, status, body)
		}
		status, body = w.on(host, "GET", "/"+scope+"/registrations/device-1/operations/"+body["operationId"].(string)+
			version, "", device)
		state, _ := body["registrationState"].(map[string]any)
		if status != http.StatusOK || state["assignedHub"] != hubHost {
			t.Fatalf("poll over %s: got %d %v, want the hub %s", host, status, body, hubHost)
		}
	}
	status, body = w.on(hubHost, "GET", "/devices/device-1?api-version=2021-04-12", "",
		token(t, hubHost, "iothubowner", hubKey))
	if status != http.StatusOK || body["deviceId"] != "device-1" {
		t.Errorf("read the device of the hub: got %d %v", status, body)
	}
	surfaces := []string{}
	for _, r := range e.Requests("", "") {
		surfaces = append(surfaces, r.Surface)
	}
	want := []string{"dps-service", "dps-device", "dps-device", "dps-device", "dps-device", "dps-device", "dps-device",
		"hub"}
	if got := surfaces[len(surfaces)-len(want):]; !slices.Equal(got, want) {
		t.Errorf("got surfaces %v, want %v", got, want)
	}
	inspect(t, e, scope, hubHost)
	log, err := json.Marshal(e.Requests("", ""))
	check(t, err)
	for _, secret := range []string{hubKey, serviceKey, deviceKey, "SharedAccessSignature"} {
		if strings.Contains(string(log), secret) {
			t.Error("got a key or a token in the request log")
		}
	}
}

// inspect looks at the same past the wire.
func inspect(t *testing.T, e *emulator.Emulator, scope, hubHost string) {
	t.Helper()
	registration, err := e.Registration(scope, "device-1")
	check(t, err)
	devices, err := e.Devices(hubHost)
	check(t, err)
	enrollments, err := e.Enrollments(scope)
	check(t, err)
	if registration.Hub != hubHost || registration.Status != "assigned" ||
		!slices.Equal(devices, []string{"device-1"}) || len(enrollments) != 1 {
		t.Errorf("got registration %+v, devices %v, enrollments %+v, want device-1 in each", registration, devices,
			enrollments)
	}
}

func TestUnknownHostIsMisdirected(t *testing.T) {
	t.Parallel()
	w := plain(t, emulator.RunT(t))
	r, err := http.NewRequestWithContext(t.Context(), "GET", w.e.Endpoints().Data+"/devices", nil)
	check(t, err)
	r.Host = "example.com"
	response, err := w.http.Do(r)
	check(t, err)
	response.Body.Close()
	if response.StatusCode != http.StatusMisdirectedRequest {
		t.Errorf("got %d, want 421", response.StatusCode)
	}
}

func TestAnEmulatorCanRequireIfMatch(t *testing.T) {
	t.Parallel()
	for required, want := range map[bool]int{false: http.StatusOK, true: http.StatusConflict} {
		t.Run(fmt.Sprintf("required=%t", required), func(t *testing.T) {
			y := newYard(t, emulator.Options{RequireIfMatch: required})
			body := `{"registrationId":"a",` + keyed + `}`
			y.service("PUT", "/enrollments/a", body)
			if status, answer := y.on(serviceHost, "PUT", "/enrollments/a?api-version=2021-10-01", body,
				y.owner); status != want {
				t.Errorf("required: %t: got %d %v, want %d", required, status, answer, want)
			}
		})
	}
}

// TestEntryIDsMayEqualCollectionNames checks ids such as "registrations".
func TestEntryIDsMayEqualCollectionNames(t *testing.T) {
	t.Parallel()
	y := newYard(t)
	const version = "?api-version=2021-10-01"
	for _, id := range []string{"registrations", "Registrations", "enrollments", "register", "operations"} {
		for collection, body := range map[string]string{
			"enrollments":      `{"registrationId":"` + id + `",` + keyed + `}`,
			"enrollmentGroups": `{"enrollmentGroupId":"` + id + `",` + keyed + `}`,
		} {
			t.Run(collection+"/"+id, func(t *testing.T) {
				path := "/" + collection + "/" + id
				for _, call := range []struct{ method, path, body string }{
					{"PUT", path, body}, {"GET", path, ""}, {"POST", path + "/attestationmechanism", ""},
					{"DELETE", path, ""},
				} {
					t.Run(call.method+" "+call.path, func(t *testing.T) {
						if status, answer := y.on(serviceHost, call.method, call.path+version, call.body,
							y.owner); status/100 != 2 {
							t.Errorf("%s %s: got %d %v, want success", call.method, call.path, status, answer)
						}
					})
				}
			})
		}
	}
	y.enroll("registrations", keyed)
	for _, host := range []string{globalHost, serviceHost, "localhost"} {
		t.Run(host, func(t *testing.T) {
			path := "/" + y.scope + "/registrations/registrations/register?api-version=2021-06-01"
			status, answer := y.on(host, "PUT", path, `{"registrationId":"registrations"}`,
				y.holding("registrations", primary).token)
			if status/100 != 2 {
				t.Errorf("%s: register: got %d %v, want success", host, status, answer)
			}
		})
	}
}
