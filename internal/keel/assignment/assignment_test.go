package assignment_test

import (
	"crypto/x509"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"

	"evenkeel/dpsservice"
	"evenkeel/internal/keel/assignment"
)

const key = "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY="

// service plays a provisioning service: answers by method and path, and counts the requests for each.
type service struct {
	mu      sync.Mutex
	answers map[string]string
	asked   map[string]int
}

func (s *service) client(t *testing.T) *dpsservice.Client {
	t.Helper()
	s.asked = map[string]int{}
	server := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		call := r.Method + " " + r.URL.Path
		s.mu.Lock()
		defer s.mu.Unlock()
		s.asked[call]++
		if page := r.Header.Get("x-ms-continuation"); page != "" {
			call += " " + page
		}
		answer, is := s.answers[call]
		if !is {
			w.WriteHeader(http.StatusNotFound)
			answer = `{"errorCode":404201,"message":"absent"}`
		}
		if next, rest, found := strings.Cut(answer, "|"); found {
			w.Header().Set("x-ms-continuation", next)
			answer = rest
		}
		fmt.Fprint(w, answer)
	}))
	t.Cleanup(server.Close)
	roots := x509.NewCertPool()
	roots.AddCert(server.Certificate())
	client, err := dpsservice.New(dpsservice.Options{Host: "example.com", PolicyName: "p", Key: key,
		Endpoint: server.URL, Roots: roots})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	return client
}

func record(id, hub, etag string) string {
	return fmt.Sprintf(`{"registrationId":%q,"deviceId":%[1]q,"assignedHub":%q,"status":"assigned","etag":%q}`, id, hub,
		etag)
}

// fleet is a service with two groups and four individual enrollments.
func fleet() *service {
	return &service{answers: map[string]string{
		"POST /enrollmentGroups/query": `[{"enrollmentGroupId":"a"},{"enrollmentGroupId":"b","allocationPolicy":"Static",` +
			`"iotHubs":["Two.device.azure-devices.net"],"reprovisionPolicy":{"updateHubAssignment":false}}]`,
		"GET /enrollmentGroups/a":      `{"enrollmentGroupId":"a"}`,
		"POST /registrations/a/query":  "next|[" + record("a-1", "One.azure-devices.net", "1") + "]",
		"POST /registrations/b/query":  "[]",
		"GET /registrations/with-none": record("with-none", "one.azure-devices.net", "7"),
		"POST /registrations/a/query next": "[" + record("a-2", "two.azure-devices.net", "2") + "," +
			`{"registrationId":"a-3","status":"failed"}]`,
		"POST /enrollments/query": `[{"registrationId":"with","registrationState":` +
			record("with", "two.azure-devices.net", "5") + `},{"registrationId":"with-none",` +
			`"registrationState":{"registrationId":"with-none","status":"unassigned"}},{"registrationId":"new",` +
			`"provisioningStatus":"Disabled"},{"registrationId":"pin","iotHubHostName":"two.azure-devices.net"}]`,
	}}
}

func TestACensusCountsDevicesByEnrollmentAndHub(t *testing.T) {
	t.Parallel()
	s := fleet()
	var progress []int
	census, err := assignment.Read(t.Context(), s.client(t), assignment.Select{
		Device:   func(d assignment.Device) bool { return d.Hub == "one.azure-devices.net" },
		Progress: func(n int) { progress = append(progress, n) },
	})
	if err != nil {
		t.Fatal(err)
	}
	var ids []string
	for _, d := range census.Devices {
		ids = append(ids, d.ID+" of "+d.Enrollment.String())
	}
	slices.Sort(ids)
	if want := []string{"a-1 of group a", "with-none of individual enrollment with-none"}; !slices.Equal(ids, want) {
		t.Errorf("got %q, want %q", ids, want)
	}
	if one, two := census.On("ONE.azure-devices.net"), census.On("two.azure-devices.net"); one != 2 || two != 2 {
		t.Errorf("got %d and %d devices, want 2 and 2", one, two)
	}
	for i, want := range []assignment.Enrollment{
		{Key: assignment.Key{ID: "a"}},
		{Key: assignment.Key{ID: "b"}, Policy: "static", Hubs: []string{"two.azure-devices.net"}, Never: true},
		{Key: assignment.Key{ID: "with", Individual: true}},
		{Key: assignment.Key{ID: "with-none", Individual: true}},
		{Key: assignment.Key{ID: "new", Individual: true}, Disabled: true},
		{Key: assignment.Key{ID: "pin", Individual: true}, Policy: "static", Hubs: []string{"two.azure-devices.net"}},
	} {
		got := census.Enrollments[i]
		if got.Key != want.Key || got.Policy != want.Policy || !slices.Equal(got.Hubs, want.Hubs) ||
			got.Never != want.Never || got.Disabled != want.Disabled {
			t.Errorf("got %+v, want %+v", got, want)
		}
	}
	// A record that came with the enrollment is not read again.
	if s.asked["GET /registrations/with"] != 0 || s.asked["GET /registrations/new"] != 1 || len(progress) != 5 {
		t.Errorf("got requests %v and progress %v", s.asked, progress)
	}
}

func TestACensusOfOneGroupReadsNothingElse(t *testing.T) {
	t.Parallel()
	s := fleet()
	client := s.client(t)
	census, err := assignment.Read(t.Context(), client, assignment.Select{Group: "a"})
	want := map[string]int{"GET /enrollmentGroups/a": 1, "POST /registrations/a/query": 2}
	if err != nil || len(census.Enrollments) != 1 || len(census.Devices) != 0 || !maps.Equal(s.asked, want) {
		t.Errorf("got %+v, %v with %v, want %v", census, err, s.asked, want)
	}
	if _, err := assignment.Read(t.Context(), client, assignment.Select{Group: "c"}); !errors.Is(err,
		assignment.ErrNoGroup) {
		t.Errorf("got %v, want %v", err, assignment.ErrNoGroup)
	}
}

// TestALookTakesFewRequests: few devices are read one by one, many by listing their group.
func TestALookTakesFewRequests(t *testing.T) {
	t.Parallel()
	s := &service{answers: map[string]string{
		"GET /registrations/a-1": record("A-1", "two.azure-devices.net", "9"),
		"GET /registrations/a-2": `{"registrationId":"a-2","status":"failed","errorCode":400208,"errorMessage":"no hub"}`,
	}}
	client := s.client(t)
	before := assignment.NewDevice(assignment.Key{ID: "a"}, dpsservice.Registration{RegistrationID: "a-1", Etag: "8"})
	found, err := assignment.Look(t.Context(), client, []assignment.Device{before,
		{ID: "a-2", Enrollment: before.Enrollment}, {ID: "a-3", Enrollment: before.Enrollment}})
	if one := found["a-1"]; err != nil || len(found) != 2 || one.Hub != "two.azure-devices.net" ||
		one.Version == before.Version || found["a-2"].Error != "400208 no hub" || found["a-2"].Status != "failed" {
		t.Errorf("got %+v, %v", found, err)
	}
	var many []assignment.Device
	var records []string
	for i := range 60 {
		id := fmt.Sprintf("b-%d", i)
		many = append(many, assignment.Device{ID: id, Enrollment: assignment.Key{ID: "b"}})
		records = append(records, record(id, "two.azure-devices.net", "1"))
	}
	s.answers["POST /registrations/b/query"] = "[" + strings.Join(append(records, record("other", "x", "1")), ",") + "]"
	found, err = assignment.Look(t.Context(), client, many)
	if err != nil || len(found) != 60 || s.asked["POST /registrations/b/query"] != 1 ||
		s.asked["GET /registrations/b-1"] != 0 {
		t.Errorf("got %d records, %v with %v, want them by one listing", len(found), err, s.asked)
	}
}
