package dpsservice_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"evenkeel/emulator/internal/dpsservice"
	"evenkeel/emulator/internal/state"
)

// described are the operations of the public 2021-10-01 service.json: their operationId, method, path, the body that
// they need, the status of success, and the rights of which one is enough (including serviceConfig and the wider rights
// of the emulator's mapping).
var described = []struct {
	id, method, path, body string
	status                 int
	rights                 []string
}{
	{"IndividualEnrollment_Get", "GET", "/enrollments/{id}", "", 200, enrollmentReaders},
	{"IndividualEnrollment_CreateOrUpdate", "PUT", "/enrollments/{id}",
		`{"registrationId":"a","attestation":{"type":"symmetricKey"}}`, 200, enrollmentWriters},
	{"IndividualEnrollment_Delete", "DELETE", "/enrollments/{id}", "", 204, enrollmentWriters},
	{"IndividualEnrollment_Query", "POST", "/enrollments/query", `{"query":"*"}`, 200, enrollmentReaders},
	{"IndividualEnrollment_GetAttestationMechanism", "POST", "/enrollments/{id}/attestationmechanism", "", 200,
		enrollmentReaders},
	{"IndividualEnrollment_RunBulkOperation", "POST", "/enrollments",
		`{"mode":"delete","enrollments":[{"registrationId":"b"}]}`, 200, enrollmentWriters},
	{"EnrollmentGroup_Get", "GET", "/enrollmentGroups/{id}", "", 200, enrollmentReaders},
	{"EnrollmentGroup_CreateOrUpdate", "PUT", "/enrollmentGroups/{id}",
		`{"enrollmentGroupId":"a","attestation":{"type":"symmetricKey"}}`, 200, enrollmentWriters},
	{"EnrollmentGroup_Delete", "DELETE", "/enrollmentGroups/{id}", "", 204, enrollmentWriters},
	{"EnrollmentGroup_Query", "POST", "/enrollmentGroups/query", `{"query":"*"}`, 200, enrollmentReaders},
	{"EnrollmentGroup_GetAttestationMechanism", "POST", "/enrollmentGroups/{id}/attestationmechanism", "", 200,
		enrollmentReaders},
	{"EnrollmentGroup_RunBulkOperation", "POST", "/enrollmentGroups",
		`{"mode":"delete","enrollmentGroups":[{"enrollmentGroupId":"b"}]}`, 200, enrollmentWriters},
	{"DeviceRegistrationState_Get", "GET", "/registrations/{id}", "", 200, registrationReaders},
	{"DeviceRegistrationState_Delete", "DELETE", "/registrations/{id}", "", 204, registrationWriters},
	{"DeviceRegistrationState_Query", "POST", "/registrations/{id}/query", "", 200, registrationReaders},
}

var (
	enrollmentReaders   = []string{"EnrollmentRead", "EnrollmentWrite"}
	enrollmentWriters   = []string{"EnrollmentWrite"}
	registrationReaders = []string{"RegistrationStatusRead", "RegistrationStatusWrite", "ServiceConfig"}
	registrationWriters = []string{"RegistrationStatusWrite", "ServiceConfig"}
)

func TestTheRoutesAreThoseOfTheDescription(t *testing.T) {
	t.Parallel()
	var want []string
	for _, operation := range described {
		want = append(want, operation.method+" "+operation.path)
	}
	got := dpsservice.Routes()
	slices.Sort(want)
	slices.Sort(got)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("routes differ (-described +served):\n%s", diff)
	}
}

// TestEveryOperationRequiresItsRight calls every operation with a policy that has only one right, for each right.
func TestEveryOperationRequiresItsRight(t *testing.T) {
	t.Parallel()
	rights := []string{"ServiceConfig", "EnrollmentRead", "EnrollmentWrite", "DeviceConnect", "RegistrationStatusRead",
		"RegistrationStatusWrite"}
	for _, operation := range described {
		t.Run(operation.id, func(t *testing.T) {
			t.Parallel()
			for _, right := range rights {
				w := newWorld(t, dpsservice.Options{})
				w.policies(t, rights)
				w.put(t, "/enrollments/a", `{"registrationId":"a","attestation":{"type":"symmetricKey"}}`)
				w.put(t, "/enrollmentGroups/a", `{"enrollmentGroupId":"a","attestation":{"type":"symmetricKey"}}`)
				enrollment, err := w.st.Enrollment(w.scope, "a")
				if err != nil {
					t.Fatalf("read the enrollment: %v", err)
				}
				w.register(t, "a", nil, &enrollment)
				got := w.do(t, call{
					method: operation.method, path: strings.Replace(operation.path, "{id}", "a", 1),
					body:  operation.body,
					token: token(t, host, right, key1, start.Add(time.Hour)),
				})
				want := 401
				if slices.Contains(operation.rights, right) {
					want = operation.status
				}
				if got.status != want {
					t.Errorf("with %s alone: got %d %s, want %d", right, got.status, got.body, want)
				}
			}
		})
	}
}

// policies adds a policy with only one right to the service, for each right.
func (w world) policies(t *testing.T, rights []string) {
	t.Helper()
	service, err := w.st.ServiceByHost(host)
	if err != nil {
		t.Fatalf("read the service: %v", err)
	}
	for _, right := range rights {
		service.Policies = append(service.Policies, state.Policy{Name: right, Rights: []string{right}, PrimaryKey: key1,
			SecondaryKey: key2})
	}
	if _, _, err := w.st.PutService(service, "", 0); err != nil {
		t.Fatalf("put the service: %v", err)
	}
}

// TestAnswersHaveTheHeadersOfTheDescription: the headers of queries, and x-ms-error-code of refusals.
func TestAnswersHaveTheHeadersOfTheDescription(t *testing.T) {
	t.Parallel()
	w := newWorld(t, dpsservice.Options{})
	for i := range 3 {
		w.put(t, fmt.Sprint("/enrollmentGroups/g", i),
			fmt.Sprintf(`{"enrollmentGroupId":"g%d","attestation":{"type":"symmetricKey"}}`, i))
	}
	got := w.do(t, call{method: "POST", path: "/enrollmentGroups/query", body: `{"query":""}`,
		header: map[string]string{"x-ms-max-item-count": "2"}})
	if h := got.header; h.Get("x-ms-item-type") != "EnrollmentGroup" || h.Get("x-ms-max-item-count") != "2" ||
		h.Get("x-ms-continuation") == "" {
		t.Errorf("query: got the headers %v", h)
	}
	for path, itemType := range map[string]string{"/enrollments/query": "Enrollment",
		"/registrations/g/query": "DeviceRegistration"} {
		t.Run(path, func(t *testing.T) {
			got := w.do(t, call{method: "POST", path: path, body: `{"query":""}`})
			if h := got.header; got.body != "[]" || h.Get("x-ms-item-type") != itemType ||
				h.Get("x-ms-continuation") != "" {
				t.Errorf("%s: got %s and %v, want an empty list of %s", path, got.body, h, itemType)
			}
		})
	}
	got = w.do(t, call{method: "PATCH", path: "/enrollments/a"})
	if h := got.header; got.status != 405 || h.Get("x-ms-error-code") != "405000" ||
		h.Get("Allow") != "GET, PUT, DELETE" {
		t.Errorf("refusal: got %d and %v, want the code and the methods", got.status, h)
	}
	var body struct {
		TrackingID string `json:"trackingId"`
	}
	if err := json.Unmarshal([]byte(got.body), &body); err != nil ||
		body.TrackingID != got.header.Get("x-ms-request-id") {
		t.Errorf("got the tracking id %q of the request %q, want the same", body.TrackingID,
			got.header.Get("x-ms-request-id"))
	}
}

// TestAddressSelectsTheOnlyService: a client that cannot resolve Azure's names to the emulator signs for the address
// that it dials.
func TestAddressSelectsTheOnlyService(t *testing.T) {
	t.Parallel()
	w := newWorld(t, dpsservice.Options{})
	w.put(t, "/enrollments/a", `{"registrationId":"a","attestation":{"type":"symmetricKey"}}`)
	ask := func(at, signed string) response {
		return w.do(t, call{method: "GET", path: "/enrollments/a", host: at, token: token(t, signed, "reader", key1,
			start.Add(time.Hour))})
	}
	for _, at := range []string{"127.0.0.1", "localhost:8443", "127.0.0.1:8443", "[::1]:8443"} {
		t.Run(at, func(t *testing.T) {
			name := strings.TrimSuffix(at, ":8443")
			if got := ask(at, name); got.status != 200 {
				t.Errorf("%s: got %d %s, want 200", at, got.status, got.body)
			}
			if got := ask(at, host); got.status != 200 {
				t.Errorf("%s, signed for the Azure name: got %d %s, want 200", at, got.status, got.body)
			}
		})
	}
	ask("127.0.0.1", "127.0.0.2").wantError(t, 401, 401002, "")
	ask("example.com", "example.com").wantError(t, 404, 404202, "")
	second, err := w.st.ServiceByHost(host)
	if err != nil {
		t.Fatalf("read the service: %v", err)
	}
	second.ID.Name = "dps-2"
	if _, _, err := w.st.PutService(second, "", 0); err != nil {
		t.Fatalf("put a second service: %v", err)
	}
	ask("127.0.0.1", "127.0.0.1").wantError(t, 404, 404202, "there are 2")
}
