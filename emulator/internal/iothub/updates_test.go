package iothub_test

import (
	"encoding/base64"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"testing"
)

// etagNumber returns the number in a device's etag.
func etagNumber(t *testing.T, a answer) int {
	t.Helper()
	text, err := base64.StdEncoding.DecodeString(a.field(t, "etag").(string))
	if err != nil {
		t.Fatalf("got etag %v: %v", a.field(t, "etag"), err)
	}
	n, err := strconv.Atoi(string(text))
	if err != nil {
		t.Fatalf("got etag %q: %v", text, err)
	}
	return n
}

// Recorded: DevicesClient_IdentityLifecycle, 2020-03-13.
func TestAChangeIncrementsTheETagAndOmitsEmptyParents(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	made := f.owner("PUT", "/devices/d1", `{"deviceId":"d1"}`).want(t, "create", http.StatusOK)
	changed := f.owner("PUT", "/devices/d1", `{"deviceId":"d1","status":"disabled"}`, "If-Match", "*").want(t, "update",
		http.StatusOK)
	if before, after := etagNumber(t, made), etagNumber(t, changed); after != before+1 {
		t.Errorf("got %d after %d", after, before)
	}
	for what, a := range map[string]answer{"update": changed, "get": f.owner("GET", "/devices/d1", ""),
		"list": f.owner("GET", "/devices", "")} {
		t.Run(what, func(t *testing.T) {
			if strings.Contains(a.body, "parentScopes") {
				t.Errorf("%s: got %s, want no parentScopes", what, a.body)
			}
		})
	}
}

func TestReasonsHave128CharactersOfAnyKind(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.device("d1")
	put := func(members string, status int) answer {
		t.Helper()
		return f.owner("PUT", "/devices/d1", `{"deviceId":"d1"`+members+`}`, "If-Match", "*").want(t, members, status)
	}
	long := strings.Repeat("ü", 128)
	put(`,"statusReason":"`+long+`"`, http.StatusOK).wantField(t, "statusReason", long)
	put(`,"statusReason":"`+long+`x"`, http.StatusBadRequest)
	put(`,"status":"enabled","statusReason":null`, http.StatusOK).wantField(t, "statusReason", nil)
	put(`,"statusReason":"lost"`, http.StatusOK)
	put(``, http.StatusOK).wantField(t, "statusReason", nil)
}

func TestInvalidBodiesAreDescribed(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	for body, want := range map[string]string{
		"": "The body is empty", " null ": "The body is empty", "[]": "it cannot be a JSON array",
		`{"status":1}`:                          "status cannot be a JSON number",
		`{"authentication":{"symmetricKey":7}}`: "authentication.symmetricKey cannot be a JSON number",
		`{"status":`:                            "invalid JSON at byte 10",
	} {
		t.Run(fmt.Sprintf("%.60q", body), func(t *testing.T) {
			a := f.owner("PUT", "/devices/d1", body).want(t, body, http.StatusBadRequest)
			if message := a.field(t, "Message").(string); !strings.HasPrefix(message, "ErrorCode:ArgumentInvalid;") ||
				!strings.HasSuffix(message, want) {
				t.Errorf("%s: got %q, want %q", body, message, want)
			}
		})
	}
}

func TestABulkRequestNamesADeviceOnce(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	a := f.owner("POST", "/devices",
		`[{"id":"twice","importMode":"create"},{"id":"once","importMode":"create"},{"id":"twice","importMode":"delete"},
		{"id":"Twice","importMode":"create"}]`).want(t, "bulk", http.StatusBadRequest)
	want := `{"isSuccessful":false,"errors":[{"deviceId":"twice","errorCode":"DeviceDefinedMultipleTimes","errorStatus":"The request names the device more than once"}],"warnings":[]}`
	if a.body != want {
		t.Errorf("got %s, want %s", a.body, want)
	}
	for id, status := range map[string]int{"twice": http.StatusNotFound, "once": http.StatusOK,
		"Twice": http.StatusOK} {
		f.owner("GET", "/devices/"+id, "").want(t, id, status)
	}
}

func TestPathsAreNotRedirected(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.device("d1")
	for _, path := range []string{"//devices/d1", "/devices//d1", "/devices/../devices/d1", "/devices/./d1",
		"/devices/.."} {
		t.Run(path, func(t *testing.T) {
			a := f.owner("GET", path, "")
			if got := a.header.Get("iothub-errorcode"); a.status != http.StatusNotFound || got != "GenericNotFound" {
				t.Errorf("%s: got %d %s %s, want 404", path, a.status, got, a.body)
			}
		})
	}
	f.owner("GET", "/devices/", "").want(t, "the list", http.StatusOK)
	f.device("..a")
	f.owner("GET", "/devices/..a", "").want(t, "an id that begins with dots", http.StatusOK)
}
