package registration_test

import (
	"bytes"
	"cmp"
	"crypto/tls"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"evenkeel/emulator/internal/registration"
	"evenkeel/emulator/internal/state"
	"evenkeel/internal/azure/sas"
)

const deviceHost = "global.azure-devices-provisioning.net"

type response struct {
	status int
	header http.Header
	body   string
}

// request sends one request of the device; a path that does not begin with a slash is relative to its registration.
func (w world) request(t *testing.T, method, path string, a attempt) response {
	t.Helper()
	if !strings.HasPrefix(path, "/") {
		scope := w.scope
		if a.scope != "" {
			scope = a.scope
		}
		path = "/" + scope + "/registrations/" + a.id + "/" + path
	}
	if !strings.Contains(path, "?") {
		path += "?api-version=" + cmp.Or(a.version, "2021-10-01")
	}
	r := httptest.NewRequest(method, path, strings.NewReader(a.body))
	r.Host = deviceHost
	r.Header.Set("Content-Type", "application/json; charset=utf-8")
	r.Header.Set("Content-Encoding", "utf-8") // as in the documents' samples
	if a.token != "" {
		r.Header.Set("Authorization", a.token)
	}
	r.TLS = &tls.ConnectionState{PeerCertificates: a.certificates}
	recorder := httptest.NewRecorder()
	w.api.ServeHTTP(recorder, r)
	body, err := io.ReadAll(recorder.Result().Body)
	if err != nil {
		t.Fatalf("read the reply: %v", err)
	}
	return response{recorder.Code, recorder.Result().Header, string(bytes.TrimSpace(body))}
}

func (r response) want(t *testing.T, status int, body string) {
	t.Helper()
	if r.status != status {
		t.Errorf("got status %d, want %d; body %s", r.status, status, r.body)
	}
	wantBody(t, r.body, body)
}

// register registers like a device: PUT, then GET until the device has its hub.
func (w world) register(t *testing.T, a attempt) response {
	t.Helper()
	started := w.request(t, http.MethodPut, "register", a)
	if started.status != http.StatusAccepted {
		return started
	}
	id, _ := tree(t, started.body).(map[string]any)["operationId"].(string)
	return w.request(t, http.MethodGet, "operations/"+id, a)
}

func TestRegisterOverHTTPS(t *testing.T) {
	t.Parallel()
	w := newWorld(t, registration.Options{})
	settings := keys(key1, key2)
	settings.Hubs = []string{hub1}
	w.enroll(t, state.Enrollment{RegistrationID: "device-1", DeviceID: "device-one", Settings: settings})
	device := attempt{id: "device-1", token: w.token(t, "device-1", key1), body: `{"registrationId":"device-1"}`}

	started := w.request(t, http.MethodPut, "register", device)
	started.want(t, 202, `{"operationId":"OP","status":"assigning"}`)
	for name, want := range map[string]string{
		"Location":     "https://" + deviceHost + "/" + w.scope + "/registrations/device-1/register",
		"Retry-After":  "0",
		"Content-Type": "application/json; charset=utf-8",
	} {
		t.Run(name, func(t *testing.T) {
			if got := started.header.Get(name); got != want {
				t.Errorf("%s: got %q, want %q", name, got, want)
			}
		})
	}
	if started.header.Get("x-ms-request-id") == "" {
		t.Error("got no x-ms-request-id")
	}
	result := func(substatus string) string {
		return fmt.Sprintf(`{"registrationId":"device-1","createdDateTimeUtc":"2026-05-04T03:02:01.1234567Z",
		"assignedHub":"hub-1.azure-devices.net","deviceId":"device-one","status":"assigned","substatus":%q,
		"lastUpdatedDateTimeUtc":"2026-05-04T03:02:01.1234567Z","etag":"ETAG"}`, substatus)
	}
	id, _ := tree(t, started.body).(map[string]any)["operationId"].(string)
	// The Node SDK polls with a body.
	poll := device
	poll.body = "{}"
	done := w.request(t, http.MethodGet, "operations/"+id, poll)
	done.want(t, 200, `{"operationId":"OP","status":"assigned","registrationState":`+result("initialAssignment")+`}`)
	if got := done.header.Get("Retry-After"); got != "" {
		t.Errorf("got Retry-After %q at the end, want none", got)
	}
	w.request(t, http.MethodPost, "", device).want(t, 200, result("initialAssignment"))
	got, err := w.st.Device(hub1, "device-one")
	if err != nil || got.Auth != state.AuthSAS || got.Key != (state.SymmetricKey{Primary: key1, Secondary: key2}) {
		t.Errorf("got the hub's device %+v, %v, want the enrollment's keys", got, err)
	}
	for version, told := range map[string]string{
		"2021-10-01": "reprovisionedToInitialAssignment", "2019-04-15": "reprovisionedToInitialAssignment",
		"2019-03-31": "initialAssignment", "2018-11-01": "initialAssignment",
	} {
		t.Run(version, func(t *testing.T) {
			device.version = version
			w.register(t, device).want(t, 200, `{"operationId":"OP","status":"assigned","registrationState":`+
				result(told)+`}`)
			w.request(t, http.MethodPost, "", device).want(t, 200, result(told))
			record, err := w.st.Registration(w.scope, "device-1")
			if err != nil || record.Substatus != state.SameAssignment {
				t.Errorf("version %s: got the record %+v, %v, want substatus %s", version, record, err,
					state.SameAssignment)
			}
		})
	}
}

// Source: device.json of 2026-11-02-preview; older versions do not have the member.
func TestTheResultNamesTheConnectionProfileInItsVersion(t *testing.T) {
	t.Parallel()
	w := newWorld(t, registration.Options{})
	w.enroll(t, state.Enrollment{RegistrationID: "own", Settings: keys(key1, key2)})
	device := attempt{id: "own", token: token(t, w.scope+"/registrations/own", "", key1, start.Add(time.Hour))}
	for version, want := range map[string]bool{
		"2019-03-31": false, "2021-10-01": false, "2026-11-01": false, "2026-11-02-preview": true,
	} {
		t.Run(version, func(t *testing.T) {
			device.version = version
			for name, got := range map[string]response{
				"register": w.register(t, device), "lookup": w.request(t, http.MethodPost, "", device),
			} {
				t.Run(name, func(t *testing.T) {
					if shown := strings.Contains(got.body, `"connectionProfile":"classic"`); got.status != 200 ||
						shown != want {
						t.Errorf("got %d %s, want connectionProfile %v", got.status, got.body, want)
					}
					if !want && strings.Contains(got.body, "connectionProfile") {
						t.Errorf("%s with %s: got %s", name, version, got.body)
					}
				})
			}
		})
	}
}

func TestTheKeyOfATokenNeedNoName(t *testing.T) {
	t.Parallel()
	w := newWorld(t, registration.Options{})
	w.enroll(t, state.Enrollment{RegistrationID: "own", Settings: keys(key1, key2)})
	w.enrollGroup(t, state.EnrollmentGroup{ID: "devices", Settings: keys(otherKey, otherKey)})
	devices := map[string]string{"own": key2, "sn-1": derived(t, otherKey, "sn-1")}
	// The tokens of the SDK for Python, of the SDK for C (with an empty name), and of the documentation.
	for _, ending := range []string{"", "&skn=", "&skn=registration", "&skn=Registration"} {
		t.Run(fmt.Sprintf("%.60q", ending), func(t *testing.T) {
			for id, key := range devices {
				t.Run(id, func(t *testing.T) {
					signed := token(t, w.scope+"/registrations/"+id, "", key, start.Add(time.Hour))
					device := attempt{id: id, token: signed + ending}
					for front, got := range map[string]response{"HTTPS": w.register(t, device),
						"MQTT": w.registerMQTT(t, device)} {
						t.Run(front, func(t *testing.T) {
							if got.status != 200 || !strings.Contains(got.body, `"status":"assigned"`) {
								t.Errorf("got %d %s, want it assigned", got.status, got.body)
							}
						})
					}
				})
			}
		})
	}
}

func TestRegisterThroughAGroup(t *testing.T) {
	t.Parallel()
	w := newWorld(t, registration.Options{
		Names:      func(host string) string { return "10.0.0.1/" + host },
		RetryAfter: 3 * time.Second,
	})
	settings := keys(key1, key2)
	settings.Hubs = []string{hub2}
	w.enrollGroup(t, state.EnrollmentGroup{ID: "another", Settings: keys(otherKey, otherKey)})
	w.enrollGroup(t, state.EnrollmentGroup{ID: "devices", Settings: settings})
	device := attempt{id: "sn-1", token: w.token(t, "sn-1", derived(t, key2, "sn-1"))}
	if got := w.request(t, http.MethodPut, "register", device).header.Get("Retry-After"); got != "3" {
		t.Errorf("got Retry-After %q, want 3", got)
	}
	again := w.register(t, device)
	again.want(t, 200, `{"operationId":"OP","status":"assigned","registrationState":{"registrationId":"sn-1",
		"createdDateTimeUtc":"2026-05-04T03:02:01.1234567Z","assignedHub":"10.0.0.1/hub-2.azure-devices.net","deviceId":"sn-1",
		"status":"assigned","substatus":"reprovisionedToInitialAssignment","symmetricKey":{"enrollmentGroupId":"devices"},
		"lastUpdatedDateTimeUtc":"2026-05-04T03:02:01.1234567Z","etag":"ETAG"}}`)
	got, err := w.st.Device(hub2, "sn-1")
	want := state.SymmetricKey{Primary: derived(t, key1, "sn-1"), Secondary: derived(t, key2, "sn-1")}
	if err != nil || got.Key != want {
		t.Errorf("got the hub's device %+v, %v, want both derived keys", got, err)
	}
}

func TestRefusedDevices(t *testing.T) {
	t.Parallel()
	w := newWorld(t, registration.Options{})
	off := keys(key2, key2)
	off.Disabled = true
	w.enrollGroup(t, state.EnrollmentGroup{ID: "devices", Settings: keys(key1, key1)})
	w.enrollGroup(t, state.EnrollmentGroup{ID: "off", Settings: off})
	w.enroll(t, state.Enrollment{RegistrationID: "own", Settings: keys(otherKey, otherKey)})
	w.enroll(t, state.Enrollment{RegistrationID: "off", Settings: state.Settings{Disabled: true,
		Attestation: keys(otherKey, otherKey).Attestation}})
	resource := w.scope + "/registrations/sn-1"
	good, hour := derived(t, key1, "sn-1"), start.Add(time.Hour)
	refused := errorJSON(401000, "Unauthorized")
	disabled := func(id, more string) string {
		return `{"operationId":"OP","status":"disabled","registrationState":{"registrationId":"` + id +
			`","status":"disabled","etag":"ETAG",
			"createdDateTimeUtc":"2026-05-04T03:02:01.1234567Z","lastUpdatedDateTimeUtc":"2026-05-04T03:02:01.1234567Z"` + more + `}}`
	}
	tests := []struct {
		name   string
		device attempt
		status int
		body   string
	}{
		{"a wrong key", attempt{id: "sn-1", token: w.token(t, "sn-1", otherKey)}, 401, refused},
		{"the group's own key", attempt{id: "sn-1", token: w.token(t, "sn-1", key1)}, 401, refused},
		{"the key of another device", attempt{id: "sn-1", token: w.token(t, "sn-1", derived(t, key1, "sn-2"))}, 401,
			refused},
		{"the token of another device", attempt{id: "sn-1", token: w.token(t, "sn-2", derived(t, key1, "sn-2"))}, 401,
			refused},
		{"an expired token", attempt{id: "sn-1", token: token(t, resource, sas.Policy, good, start)}, 401, refused},
		{"a policy of the service", attempt{id: "sn-1", token: token(t, resource, "owner", good, hour)}, 401, refused},
		{"a wrong key without a name", attempt{id: "sn-1", token: token(t, resource, "", otherKey, hour)}, 401,
			refused},
		{"a resource above", attempt{id: "sn-1", token: token(t, w.scope, sas.Policy, good, hour)}, 401, refused},
		{"no token", attempt{id: "sn-1"}, 401, errorJSON(401002, "Unauthorized")},
		{"no signature", attempt{id: "sn-1", token: "SharedAccessSignature"}, 401, refused},
		{"an unknown scope", attempt{id: "sn-1", scope: "0neFFFFFFFF", token: token(t, "0neFFFFFFFF/registrations/sn-1",
			sas.Policy, good, hour)},
			401, errorJSON(401002, "Unauthorized")},
		{"an enrollment of its own before the group",
			attempt{id: "own", token: w.token(t, "own", derived(t, key1, "own"))}, 401, refused},
		{"a disabled enrollment", attempt{id: "off", token: w.token(t, "off", otherKey)},
			200, disabled("off", "")},
		{"a disabled enrollment before the group",
			attempt{id: "off", token: w.token(t, "off", derived(t, key1, "off"))}, 401, refused},
		{"a disabled group", attempt{id: "sn-1", token: w.token(t, "sn-1", derived(t, key2, "sn-1"))},
			200, disabled("sn-1", `,"symmetricKey":{"enrollmentGroupId":"off"}`)},
		{"a body that is not JSON", attempt{id: "sn-1", token: w.token(t, "sn-1", good), body: "{"},
			400, errorJSON(400004, "The request body is not a valid device registration.")},
		{"a body of another device", attempt{id: "sn-1", token: w.token(t, "sn-1", good),
			body: `{"registrationId":"sn-2"}`},
			400, errorJSON(400004, `registrationId is "sn-2", but the request is for "sn-1".`)},
		{"a body that is too large", attempt{id: "sn-1", token: w.token(t, "sn-1", good),
			body: strings.Repeat(" ", 96<<10+1)},
			413, errorJSON(413001, "The request body is larger than 98304 bytes.")},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			w.register(t, test.device).want(t, test.status, test.body)
		})
	}
	t.Cleanup(func() {
		if counts, err := w.st.Counts(); err != nil || counts.Registrations != 2 || counts.Devices != 0 {
			t.Errorf("got %+v, %v, want the records of the two that are disabled and no device", counts, err)
		}
	})
}

func TestLetterCaseOfIds(t *testing.T) {
	t.Parallel()
	w := newWorld(t, registration.Options{})
	w.enroll(t, state.Enrollment{RegistrationID: "Device-1", Settings: keys(key1, key2)})
	got := w.register(t, attempt{id: "device-1", token: token(t, strings.ToLower(w.scope)+"/registrations/DEVICE-1",
		sas.Policy, key1, start.Add(time.Hour))})
	if got.status != 200 || !strings.Contains(got.body, `"status":"assigned"`) {
		t.Errorf("got %d %s, want assigned", got.status, got.body)
	}
}

func TestRegistrationsThatFail(t *testing.T) {
	t.Parallel()
	w := newWorld(t, registration.Options{})
	settings := keys(key1, key2)
	settings.Allocation = state.Static
	w.enroll(t, state.Enrollment{RegistrationID: "nowhere", Settings: settings})
	got := w.register(t, attempt{id: "nowhere", token: w.token(t, "nowhere", key1)})
	if got.status != 200 || !strings.Contains(got.body, `"status":"failed"`) ||
		!strings.Contains(got.body, `"errorCode":400208`) {
		t.Errorf("got %d %s, want 200 and a failed registration with 400208", got.status, got.body)
	}
}

func TestRequestsOutsideTheContract(t *testing.T) {
	t.Parallel()
	w := newWorld(t, registration.Options{})
	w.enroll(t, state.Enrollment{RegistrationID: "a", Settings: keys(key1, key2)})
	w.enroll(t, state.Enrollment{RegistrationID: "b", Settings: keys(key1, key2)})
	device := attempt{id: "a", token: w.token(t, "a", key1)}
	of := func(id string) string { return "/" + w.scope + "/registrations/" + id }
	foreign := attempt{id: "b", token: w.token(t, "b", key1)}
	operation, _ := tree(t, w.request(t, "PUT", "register", foreign).body).(map[string]any)["operationId"].(string)
	tests := []struct {
		name, method, path string
		status, code       int
	}{
		{"no api-version", "PUT", of("a") + "/register?x=1", 400, 400004},
		{"a bad id", "PUT", of("a%20b") + "/register", 400, 400004},
		{"no id", "PUT", "/" + w.scope + "/registrations/", 405, 405000},
		{"register by POST", "POST", "register", 405, 405000},
		{"an operation by PUT", "PUT", "operations/x", 405, 405000},
		{"a lookup by GET", "GET", of("a"), 405, 405000},
		{"an unknown operation", "GET", "operations/x", 404, 404203},
		{"the operation of another device", "GET", "operations/" + operation, 404, 404203},
		{"a device that never registered", "POST", of("a"), 404, 404201},
		{"an unknown action", "PUT", "forget", 404, 404201},
		{"another path", "GET", "/x", 404, 404201},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			got := w.request(t, test.method, test.path, device)
			body, _ := tree(t, got.body).(map[string]any)
			if got.status != test.status || body["errorCode"] != float64(test.code) ||
				got.header.Get("x-ms-error-code") != fmt.Sprint(test.code) {
				t.Errorf("got %d %s, want %d %d", got.status, got.body, test.status, test.code)
			}
		})
	}
}
