package registration_test

import (
	"crypto/x509"
	"encoding/json"
	"fmt"
	"regexp"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"evenkeel/emulator/internal/registration"
	"evenkeel/emulator/internal/state"
	"evenkeel/internal/azure/sas"
)

const (
	key1     = "8isrFI1sGsIlvvFSSFRiMfCNzv21fjbE/+ah/lSh3lF8e2YG1Te7w1KpZhJFFXJrqYKi9yegxkqIChbqOS9Egw=="
	key2     = "oiK77Oy7rBw8YB6IS6ukRChAw+Yq6GC61RMrPLSTiOOtdI+XDu0LmLuNm11p+qv2I+adqGUdZHm46zXAQdZoOA=="
	otherKey = "MDEyMzQ1Njc4OWFiY2RlZg=="
	hub1     = "hub-1.azure-devices.net"
	hub2     = "hub-2.azure-devices.net"
)

// start is the time of the tests' clock.
var start = time.Date(2026, 5, 4, 3, 2, 1, 123456700, time.UTC)

// world is an emulated cloud with a provisioning service that links two hubs.
type world struct {
	st    *state.State
	api   *registration.API
	scope string
}

func newWorld(t *testing.T, opts registration.Options) world {
	t.Helper()
	return newWorldAt(t, opts, func() time.Time { return start })
}

func newWorldAt(t *testing.T, opts registration.Options, now func() time.Time) world {
	t.Helper()
	st, err := state.Open(state.Options{Now: now})
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
	resource := func(name string, policy state.Policy) state.Resource {
		return state.Resource{
			ID: state.ResourceID{Subscription: "s", Group: "g", Name: name}, Location: "westeurope",
			SKU: state.SKU{Name: "S1", Capacity: 1}, Policies: []state.Policy{policy},
		}
	}
	var links []state.Link
	for _, name := range []string{"hub-1", "hub-2"} {
		policy := state.Policy{Name: "link", Rights: []string{"RegistryWrite", "ServiceConnect"}, PrimaryKey: key1,
			SecondaryKey: key2}
		if _, _, err := st.PutHub(state.Hub{Resource: resource(name, policy)}, "", 0); err != nil {
			t.Fatalf("put the hub: %v", err)
		}
		links = append(links, state.Link{HubHost: state.HubHost(name), KeyName: "link", Key: key1,
			Location: "westeurope"})
	}
	policy := state.Policy{Name: "owner", Rights: []string{"ServiceConfig"}, PrimaryKey: key1, SecondaryKey: key2}
	service, _, err := st.PutService(state.Service{Resource: resource("dps-1", policy), Allocation: state.Hashed,
		Links: links}, "", 0)
	if err != nil {
		t.Fatalf("put the service: %v", err)
	}
	return world{st: st, api: registration.New(st, opts), scope: service.IDScope}
}

// keys is a symmetric-key attestation.
func keys(primary, secondary string) state.Settings {
	return state.Settings{Attestation: state.Attestation{SymmetricKey: &state.SymmetricKey{Primary: primary,
		Secondary: secondary}}}
}

func (w world) enroll(t *testing.T, e state.Enrollment) {
	t.Helper()
	if _, _, err := w.st.PutEnrollment(w.scope, e, ""); err != nil {
		t.Fatalf("put the enrollment: %v", err)
	}
}

func (w world) enrollGroup(t *testing.T, g state.EnrollmentGroup) {
	t.Helper()
	if _, _, err := w.st.PutEnrollmentGroup(w.scope, g, ""); err != nil {
		t.Fatalf("put the group: %v", err)
	}
}

// token is what a device sends that holds the key.
func (w world) token(t *testing.T, id, key string) string {
	t.Helper()
	return token(t, w.scope+"/registrations/"+id, sas.Policy, key, start.Add(time.Hour))
}

func token(t *testing.T, resource, policy, key string, expiry time.Time) string {
	t.Helper()
	text, err := sas.New(resource, policy, key, expiry)
	if err != nil {
		t.Fatalf("make a token: %v", err)
	}
	return text
}

// derived is the key of a group's device, made as the documents' shell samples make it.
func derived(t *testing.T, groupKey, id string) string {
	t.Helper()
	key, err := sas.DeriveDeviceKey(groupKey, id)
	if err != nil {
		t.Fatalf("derive a key: %v", err)
	}
	return key
}

var volatile = []struct {
	form *regexp.Regexp
	with string
}{
	{regexp.MustCompile(`"etag":"[A-Za-z0-9+/]+=*"`), `"etag":"ETAG"`},
	{regexp.MustCompile(`"trackingId":"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}"`), `"trackingId":"GUID"`},
	{regexp.MustCompile(`"operationId":"\d\.[0-9a-f]{16}\.[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}"`),
		`"operationId":"OP"`},
}

// wantBody compares a reply with literal JSON, in which values that differ from run to run are written as ETAG, GUID
// and OP.
func wantBody(t *testing.T, got, want string) {
	t.Helper()
	for _, v := range volatile {
		got = v.form.ReplaceAllString(got, v.with)
	}
	if diff := cmp.Diff(tree(t, want), tree(t, got)); diff != "" {
		t.Errorf("body differs (-want +got):\n%s", diff)
	}
}

func tree(t *testing.T, text string) any {
	t.Helper()
	var value any
	if err := json.Unmarshal([]byte(text), &value); err != nil {
		t.Fatalf("not JSON: %q: %v", text, err)
	}
	return value
}

func errorJSON(code int, message string) string {
	return fmt.Sprintf(`{"errorCode":%d,"trackingId":"GUID","message":%q,"timestampUtc":"2026-05-04T03:02:01.1234567Z"}`, code, message)
}

// attempt is a device's try to register, with whatever it presents.
type attempt struct {
	id, token    string
	certificates []*x509.Certificate
	scope        string
	body         string
	// version is the api-version; when empty, 2021-10-01 over HTTPS and 2019-03-31 over MQTT.
	version string
}
