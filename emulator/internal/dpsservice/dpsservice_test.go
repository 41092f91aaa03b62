package dpsservice_test

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"evenkeel/emulator/internal/dpsservice"
	"evenkeel/emulator/internal/state"
	"evenkeel/internal/azure/sas"
)

const (
	host = "dps-1.azure-devices-provisioning.net"
	key1 = "8isrFI1sGsIlvvFSSFRiMfCNzv21fjbE/+ah/lSh3lF8e2YG1Te7w1KpZhJFFXJrqYKi9yegxkqIChbqOS9Egw=="
	key2 = "oiK77Oy7rBw8YB6IS6ukRChAw+Yq6GC61RMrPLSTiOOtdI+XDu0LmLuNm11p+qv2I+adqGUdZHm46zXAQdZoOA=="
)

// start is the time of the tests' clock. Replies contain its seven digits.
var start = time.Date(2026, 5, 4, 3, 2, 1, 123456700, time.UTC)

// world is an emulated cloud with the provisioning service dps-1, two hubs linked to it and one not.
type world struct {
	st    *state.State
	http  http.Handler
	scope string
}

func newWorld(t testing.TB, opts dpsservice.Options) world {
	t.Helper()
	st, err := state.Open(state.Options{Now: func() time.Time { return start }})
	if err != nil {
		t.Fatalf("open the state: %v", err)
	}
	t.Cleanup(func() {
		if err := st.Close(); err != nil {
			t.Errorf("close the state: %v", err)
		}
	})
	if _, _, err := st.PutGroup(state.Group{Subscription: "s", Name: "g", Location: "westeurope"}); err != nil {
		t.Fatalf("put the group: %v", err)
	}
	var links []state.Link
	for _, name := range []string{"hub-1", "hub-2", "hub-3"} {
		hub := state.Hub{Resource: state.Resource{
			ID: state.ResourceID{Subscription: "s", Group: "g", Name: name}, Location: "westeurope",
			SKU: state.SKU{Name: "S1", Capacity: 1},
			Policies: []state.Policy{{Name: "link", Rights: []string{"RegistryWrite", "ServiceConnect"},
				PrimaryKey: key1, SecondaryKey: key2}},
		}}
		if _, _, err := st.PutHub(hub, "", 0); err != nil {
			t.Fatalf("put the hub: %v", err)
		}
		if name != "hub-3" {
			links = append(links, state.Link{HubHost: state.HubHost(name), KeyName: "link", Key: key1,
				Location: "westeurope"})
		}
	}
	policy := func(name string, rights ...string) state.Policy {
		return state.Policy{Name: name, Rights: rights, PrimaryKey: key1, SecondaryKey: key2}
	}
	service, _, err := st.PutService(state.Service{
		Resource: state.Resource{
			ID: state.ResourceID{Subscription: "s", Group: "g", Name: "dps-1"}, Location: "westeurope",
			SKU: state.SKU{Name: "S1", Capacity: 1},
			Policies: []state.Policy{
				policy("provisioningserviceowner", "ServiceConfig", "DeviceConnect", "EnrollmentWrite"),
				policy("reader", "EnrollmentRead"), policy("writer", "EnrollmentWrite"),
				policy("devices", "DeviceConnect"),
				policy("statusreader", "RegistrationStatusRead"), policy("statuswriter", "RegistrationStatusWrite"),
			},
		},
		Allocation: state.Hashed, Links: links,
	}, "", 0)
	if err != nil {
		t.Fatalf("put the service: %v", err)
	}
	return world{st: st, http: dpsservice.New(st, opts), scope: service.IDScope}
}

// call is one request; empty members have usable defaults.
type call struct {
	method, path, body string
	policy, token      string
	header             map[string]string
	host               string
}

type response struct {
	status int
	header http.Header
	body   string
}

func (w world) do(t testing.TB, c call) response {
	t.Helper()
	path := c.path
	if !strings.Contains(path, "?") {
		path += "?api-version=2021-10-01"
	}
	r := httptest.NewRequest(c.method, path, strings.NewReader(c.body))
	r.Host = host
	if c.host != "" {
		r.Host = c.host
	}
	if c.policy == "" {
		c.policy = "provisioningserviceowner"
	}
	if c.token == "" {
		c.token = token(t, host, c.policy, key1, start.Add(time.Hour))
	}
	r.Header.Set("Authorization", c.token)
	r.Header.Set("Content-Type", "application/json")
	for name, value := range c.header {
		r.Header.Set(name, value)
	}
	recorder := httptest.NewRecorder()
	w.http.ServeHTTP(recorder, r)
	body, err := io.ReadAll(recorder.Result().Body)
	if err != nil {
		t.Fatalf("read the reply: %v", err)
	}
	return response{recorder.Code, recorder.Result().Header, string(bytes.TrimSpace(body))}
}

func token(t testing.TB, resource, policy, key string, expiry time.Time) string {
	t.Helper()
	text, err := sas.New(resource, policy, key, expiry)
	if err != nil {
		t.Fatalf("make a token: %v", err)
	}
	return text
}

// put stores an entry and returns its etag.
func (w world) put(t *testing.T, path, body string) string {
	t.Helper()
	got := w.do(t, call{method: "PUT", path: path, body: body})
	if got.status != http.StatusOK {
		t.Fatalf("PUT %s: got %d %s, want 200", path, got.status, got.body)
	}
	var entry struct {
		ETag string `json:"etag"`
	}
	if err := json.Unmarshal([]byte(got.body), &entry); err != nil {
		t.Fatalf("PUT %s: reply %s: %v", path, got.body, err)
	}
	return entry.ETag
}

var etagForm = regexp.MustCompile(`"etag":"([A-Za-z0-9+/]+=*)"`)

// want compares a reply with literal JSON. Etags are written as "ETAG".
func (r response) want(t *testing.T, status int, body string) {
	t.Helper()
	if r.status != status {
		t.Fatalf("got status %d, want %d; body %s", r.status, status, r.body)
	}
	got := etagForm.ReplaceAllString(r.body, `"etag":"ETAG"`)
	if diff := cmp.Diff(tree(t, body), tree(t, got)); diff != "" {
		t.Errorf("body differs (-want +got):\n%s", diff)
	}
}

func (r response) wantError(t *testing.T, status, code int, message string) {
	t.Helper()
	var body struct {
		ErrorCode    int
		TrackingID   string `json:"trackingId"`
		Message      string
		TimestampUtc string
	}
	if err := json.Unmarshal([]byte(r.body), &body); err != nil {
		t.Fatalf("got %d with body %q, want JSON: %v", r.status, r.body, err)
	}
	if r.status != status || body.ErrorCode != code {
		t.Errorf("got %d %d %q, want %d %d", r.status, body.ErrorCode, body.Message, status, code)
	}
	if !strings.Contains(body.Message, message) {
		t.Errorf("got message %q, want it to hold %q", body.Message, message)
	}
	if body.TrackingID == "" || body.TimestampUtc != "2026-05-04T03:02:01.1234567Z" {
		t.Errorf("got tracking id %q and time %q", body.TrackingID, body.TimestampUtc)
	}
}

func tree(t *testing.T, text string) any {
	t.Helper()
	var value any
	if err := json.Unmarshal([]byte(text), &value); err != nil {
		t.Fatalf("not JSON: %s: %v", text, err)
	}
	return value
}

func TestAuthentication(t *testing.T) {
	t.Parallel()
	w := newWorld(t, dpsservice.Options{})
	w.put(t, "/enrollments/a", `{"registrationId":"a","attestation":{"type":"symmetricKey"}}`)
	soon := start.Add(time.Minute)
	tests := []struct {
		name, token string
		want        int
	}{
		{"the service's name", token(t, host, "reader", key1, soon), 200},
		{"the secondary key", token(t, host, "reader", key2, soon), 200},
		{"the policy's name in another letter case", token(t, host, "READER", key1, soon), 200},
		{"the collection", token(t, host+"/enrollments", "reader", key1, soon), 200},
		{"the host in another letter case", token(t, strings.ToUpper(host), "reader", key1, soon), 200},
		{"another collection", token(t, host+"/enrollmentGroups", "reader", key1, soon), 401},
		{"a prefix by characters, not segments", token(t, host+"/enroll", "reader", key1, soon), 401},
		{"another service", token(t, "dps-2.azure-devices-provisioning.net", "reader", key1, soon), 401},
		{"an unknown policy", token(t, host, "nobody", key1, soon), 401},
		{"a key that is not the policy's", token(t, host, "reader", "MDEyMzQ1Njc4OWFiY2RlZg==", soon), 401},
		{"an expired token", token(t, host, "reader", key1, start), 401},
		{"no token", "none", 401},
		{"a bearer token where none is accepted", "Bearer abc", 401},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			got := w.do(t, call{method: "GET", path: "/enrollments/a", token: test.token})
			if got.status != test.want {
				t.Fatalf("got %d %s, want %d", got.status, got.body, test.want)
			}
			if test.want == 401 {
				got.wantError(t, 401, 401002, "Unauthorized")
			}
		})
	}
}

func TestRights(t *testing.T) {
	t.Parallel()
	const enrollment = `{"registrationId":"a","attestation":{"type":"symmetricKey"}}`
	tests := []struct {
		method, path, body string
		allowed            []string
	}{
		{"GET", "/enrollments/a", "", []string{"provisioningserviceowner", "reader", "writer"}},
		{"POST", "/enrollments/query", `{"query":"SELECT *"}`, []string{"provisioningserviceowner", "reader",
			"writer"}},
		{"POST", "/enrollments/a/attestationmechanism", "", []string{"provisioningserviceowner", "reader", "writer"}},
		{"PUT", "/enrollments/a", enrollment, []string{"provisioningserviceowner", "writer"}},
		{"POST", "/enrollments/", `{"mode":"create","enrollments":[` + enrollment + `]}`,
			[]string{"provisioningserviceowner", "writer"}},
		{"POST", "/registrations/g/query", "", []string{"provisioningserviceowner", "statusreader", "statuswriter"}},
		{"GET", "/registrations/a", "", []string{"provisioningserviceowner", "statusreader", "statuswriter"}},
		{"DELETE", "/registrations/a", "", []string{"provisioningserviceowner", "statuswriter"}},
		{"DELETE", "/enrollments/a", "", []string{"provisioningserviceowner", "writer"}},
	}
	policies := []string{"provisioningserviceowner", "reader", "writer", "devices", "statusreader", "statuswriter"}
	for _, test := range tests {
		t.Run(test.method+" "+test.path, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, dpsservice.Options{})
			w.put(t, "/enrollments/a", enrollment)
			for _, policy := range policies {
				got := w.do(t, call{method: test.method, path: test.path, body: test.body, policy: policy})
				allowed := slices.Contains(test.allowed, policy)
				if allowed == (got.status == 401) {
					t.Errorf("%s: got %d, want allowed %v", policy, got.status, allowed)
				}
			}
		})
	}
}

func TestRequestsOutsideTheContract(t *testing.T) {
	t.Parallel()
	w := newWorld(t, dpsservice.Options{})
	tests := []struct {
		name         string
		call         call
		status, code int
	}{
		{"no api-version", call{method: "GET", path: "/enrollments/a?x=1"}, 400, 400004},
		{"an api-version without a date", call{method: "GET", path: "/enrollments/a?api-version=latest"}, 400, 400004},
		{"an unknown service", call{method: "GET", path: "/enrollments/a",
			host: "dps-9.azure-devices-provisioning.net"}, 404, 404202},
		{"an unknown collection", call{method: "GET", path: "/certificates/a"}, 404, 404201},
		{"the root", call{method: "GET", path: "/"}, 404, 404201},
		{"too many segments", call{method: "GET", path: "/enrollments/a/b/c"}, 404, 404201},
		{"a method of no operation", call{method: "PATCH", path: "/enrollments/a"}, 405, 405000},
		{"a collection got", call{method: "GET", path: "/enrollments"}, 405, 405000},
		{"an absent enrollment", call{method: "GET", path: "/enrollments/a"}, 404, 404201},
		{"an absent group", call{method: "GET", path: "/enrollmentGroups/a"}, 404, 404201},
		{"an absent registration", call{method: "GET", path: "/registrations/a"}, 404, 404201},
		{"an absent mechanism", call{method: "POST", path: "/enrollments/a/attestationmechanism"}, 404, 404201},
		{"deleting what is absent", call{method: "DELETE", path: "/enrollments/a"}, 404, 404201},
		{"a body that is not JSON", call{method: "PUT", path: "/enrollments/a", body: "{"}, 400, 400004},
		{"a body that is not an object", call{method: "PUT", path: "/enrollments/a", body: `[]`}, 400, 400004},
		{"a body of another type", call{method: "PUT", path: "/enrollments/a", body: `{"registrationId":7}`}, 400,
			400004},
		{"a body of another content type", call{method: "PUT", path: "/enrollments/a", body: "{}",
			header: map[string]string{"Content-Type": "text/plain"}}, 415, 415000},
		{"an invalid content type", call{method: "POST", path: "/enrollments/query", body: "{}",
			header: map[string]string{"Content-Type": ";"}}, 415, 415000},
		{"a content type without a body", call{method: "GET", path: "/enrollments/a",
			header: map[string]string{"Content-Type": "text/plain"}}, 404, 404201},
		{"a body that is too large", call{method: "PUT", path: "/enrollments/a", body: strings.Repeat(" ", 1<<20+1)},
			413, 413001},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			w.do(t, test.call).wantError(t, test.status, test.code, "")
		})
	}
}

func TestNamesAreCaseInsensitive(t *testing.T) {
	t.Parallel()
	w := newWorld(t, dpsservice.Options{})
	w.put(t, "/Enrollments/Device-A", `{"registrationId":"Device-A","attestation":{"type":"symmetricKey"}}`)
	for _, c := range []call{
		{method: "GET", path: "/enrollments/device-a"},
		{method: "GET", path: "/ENROLLMENTS/DEVICE-A"},
		{method: "POST", path: "/enrollments/device-a/AttestationMechanism"},
		{method: "GET", path: "/enrollments/Device-A/", host: strings.ToUpper(host) + ":8443"},
	} {
		t.Run(c.method+" "+c.path, func(t *testing.T) {
			if got := w.do(t, c); got.status != 200 {
				t.Errorf("%s %s: got %d %s, want 200", c.method, c.path, got.status, got.body)
			}
		})
	}
}
