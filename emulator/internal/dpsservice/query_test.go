package dpsservice_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"testing"

	"github.com/google/go-cmp/cmp"

	"evenkeel/emulator/internal/dpsservice"
	"evenkeel/emulator/internal/state"
)

func TestQueryPages(t *testing.T) {
	t.Parallel()
	w := newWorld(t, dpsservice.Options{})
	var want []string
	for i := range 7 {
		id := fmt.Sprintf("device-%d", i)
		want = append(want, id)
		w.put(t, "/enrollments/"+id, `{"registrationId":"`+id+`","attestation":{"type":"symmetricKey"}}`)
	}
	for _, query := range []string{"SELECT *", "select * from enrollments", "", "*",
		"SELECT * FROM enrollments WHERE registrationId = 'device-1'"} {
		t.Run(fmt.Sprintf("%q", query), func(t *testing.T) {
			got, pages := []string{}, 0
			header := map[string]string{"x-ms-max-item-count": "3"}
			for {
				r := w.do(t, call{method: "POST", path: "/enrollments/query", body: fmt.Sprintf(`{"query":%q}`, query),
					header: header})
				var page []struct{ RegistrationID string }
				if err := json.Unmarshal([]byte(r.body), &page); err != nil || len(page) > 3 {
					t.Fatalf("%q: got %s (%v), want an array of at most 3", query, r.body, err)
				}
				for _, e := range page {
					got = append(got, e.RegistrationID)
				}
				pages++
				if header["x-ms-continuation"] = r.header.Get("x-ms-continuation"); header["x-ms-continuation"] == "" {
					break
				}
			}
			if diff := cmp.Diff(want, got); diff != "" || pages != 3 {
				t.Errorf("%q: %d pages, want 3; ids differ (-want +got):\n%s", query, pages, diff)
			}
		})
	}
}

func TestBadQueries(t *testing.T) {
	t.Parallel()
	w := newWorld(t, dpsservice.Options{})
	tests := []struct {
		name, path, body string
		header           map[string]string
	}{
		{"no query", "/enrollments/query", `{}`, nil},
		{"no body", "/enrollments/query", ``, nil},
		{"a query that is not a string", "/enrollments/query", `{"query":7}`, nil},
		{"a page of none", "/enrollments/query", `{"query":"SELECT *"}`, map[string]string{"x-ms-max-item-count": "0"}},
		{"a page size that is not a number", "/enrollments/query", `{"query":"SELECT *"}`,
			map[string]string{"x-ms-max-item-count": "many"}},
		{"a foreign continuation", "/enrollments/query", `{"query":"SELECT *"}`,
			map[string]string{"x-ms-continuation": "abc"}},
		{"a continuation of another query", "/registrations/g/query", ``,
			map[string]string{"x-ms-continuation": "ZW5yb2xsbWVudHMKYQ"}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			w.do(t, call{method: "POST", path: test.path, body: test.body, header: test.header}).wantError(t, 400,
				400004, "")
		})
	}
}

func TestBulk(t *testing.T) {
	t.Parallel()
	w := newWorld(t, dpsservice.Options{})
	const tpm = `"attestation":{"type":"tpm","tpm":{"endorsementKey":"AToAAQALAAMAsgAg"}}`
	entry := func(id, more string) string { return fmt.Sprintf(`{"registrationId":%q,%s%s}`, id, tpm, more) }
	run := func(mode string, entries ...string) response {
		body := fmt.Sprintf(`{"mode":%q,"enrollments":[`, mode)
		for i, e := range entries {
			if i > 0 {
				body += ","
			}
			body += e
		}
		return w.do(t, call{method: "POST", path: "/enrollments/", body: body + "]}"})
	}
	const done = `{"errors":[],"isSuccessful":true}`
	exists := func(id string) string {
		return fmt.Sprintf(`{"registrationId":%q,"errorCode":409201,"errorStatus":"Enrollment already exists."}`, id)
	}
	run("create", entry("a", ""), entry("b", "")).want(t, 200, done)
	run("create", entry("a", ""), entry("c", "")).want(t, 200, `{"errors":[`+exists("a")+`],"isSuccessful":false}`)
	// Recorded: an update without etags fails for every entry that exists.
	run("update", entry("a", ""), entry("b", "")).want(t, 200, `{"errors":[`+exists("a")+`,`+exists("b")+
		`],"isSuccessful":false}`)
	etag := w.put(t, "/enrollments/a", entry("a", ""))
	run("updateIfMatchETag", entry("a", fmt.Sprintf(`,"etag":%q,"deviceId":"changed"`, etag))).want(t, 200, done)
	run("update", entry("a", fmt.Sprintf(`,"etag":%q`, etag))).want(t, 200,
		`{"errors":[{"registrationId":"a","errorCode":412001,"errorStatus":"Precondition failed."}],"isSuccessful":false}`)
	run("delete", entry("a", ""), entry("c", "")).want(t, 200, done)
	w.do(t, call{method: "GET", path: "/enrollments/a"}).wantError(t, 404, 404201, "")

	run("replace", entry("a", "")).wantError(t, 400, 400004, "mode")
	run("create").wantError(t, 400, 400004, "1 to 10 entries")
	run("create", entry("a", ""), entry("A", "")).wantError(t, 400, 400004, "twice")
	eleven := make([]string, 11)
	for i := range eleven {
		eleven[i] = entry(fmt.Sprint("x", i), "")
	}
	run("create", eleven...).wantError(t, 400, 400004, "1 to 10 entries")
}

func TestBulkOfGroups(t *testing.T) {
	t.Parallel()
	w := newWorld(t, dpsservice.Options{})
	body := `{"mode":"create","enrollmentGroups":[{"enrollmentGroupId":"g","attestation":{"type":"symmetricKey"}},{"enrollmentGroupId":"h"}]}`
	w.do(t, call{method: "POST", path: "/enrollmentGroups", body: body}).want(t, 200, `{"isSuccessful":false,
		"errors":[{"enrollmentGroupId":"h","errorCode":400004,"errorStatus":"attestation is required."}]}`)
}

// register registers a device through the state, as the device API does.
func (w world) register(t *testing.T, id string, group *state.EnrollmentGroup, enrollment *state.Enrollment) {
	t.Helper()
	operation, err := w.st.Register(context.Background(), state.RegisterRequest{
		Scope: w.scope, RegistrationID: id, APIVersion: "2021-10-01", Group: group, Enrollment: enrollment,
		Keys: state.SymmetricKey{Primary: key1, Secondary: key2},
	})
	if err != nil || operation.Status != state.Assigned {
		t.Fatalf("register %s: got %+v, %v", id, operation, err)
	}
}

func TestRegistrations(t *testing.T) {
	t.Parallel()
	w := newWorld(t, dpsservice.Options{})
	w.put(t, "/enrollmentGroups/g",
		`{"enrollmentGroupId":"g","attestation":{"type":"symmetricKey"},"allocationPolicy":"hashed","iotHubs":["hub-1.azure-devices.net"]}`)
	w.put(t, "/enrollments/a",
		`{"registrationId":"a","deviceId":"d","attestation":{"type":"symmetricKey"},"allocationPolicy":"hashed","iotHubs":["hub-2.azure-devices.net"]}`)
	group, err := w.st.EnrollmentGroup(w.scope, "g")
	if err != nil {
		t.Fatal(err)
	}
	enrollment, err := w.st.Enrollment(w.scope, "a")
	if err != nil {
		t.Fatal(err)
	}
	for _, id := range []string{"b", "c"} {
		w.register(t, id, &group, nil)
	}
	w.register(t, "a", nil, &enrollment)
	record := func(id, device, hub string) string {
		return fmt.Sprintf(`{"registrationId":%q,"deviceId":%q,"assignedHub":%q,"status":"assigned","substatus":"initialAssignment","etag":"ETAG",
			"createdDateTimeUtc":"2026-05-04T03:02:01.1234567Z","lastUpdatedDateTimeUtc":"2026-05-04T03:02:01.1234567Z"}`, id, device, hub)
	}
	w.do(t, call{method: "GET", path: "/registrations/A"}).want(t, 200, record("a", "d", "hub-2.azure-devices.net"))
	got := w.do(t, call{method: "POST", path: "/registrations/g/query",
		header: map[string]string{"x-ms-max-item-count": "1"}})
	got.want(t, 200, `[`+record("b", "b", "hub-1.azure-devices.net")+`]`)
	if item := got.header.Get("x-ms-item-type"); item != "DeviceRegistration" {
		t.Errorf("got x-ms-item-type %q, want DeviceRegistration", item)
	}
	rest := map[string]string{"x-ms-continuation": got.header.Get("x-ms-continuation")}
	w.do(t, call{method: "POST", path: "/registrations/G/query", header: rest}).want(t, 200, `[`+
		record("c", "c", "hub-1.azure-devices.net")+`]`)

	// Deleting the group leaves its registrations; deleting a registration leaves the hub's device.
	w.do(t, call{method: "DELETE", path: "/enrollmentGroups/g"})
	if got := w.do(t, call{method: "DELETE", path: "/registrations/b"}); got.status != http.StatusNoContent ||
		got.body != "" {
		t.Errorf("got %d %q, want 204 and no body", got.status, got.body)
	}
	w.do(t, call{method: "GET", path: "/registrations/b"}).wantError(t, 404, 404201, "")
	w.do(t, call{method: "POST", path: "/registrations/g/query"}).want(t, 200, `[`+
		record("c", "c", "hub-1.azure-devices.net")+`]`)
	if _, err := w.st.Device("hub-1.azure-devices.net", "b"); err != nil {
		t.Errorf("the hub's device went with the registration: %v", err)
	}
}
