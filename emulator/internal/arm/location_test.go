package arm_test

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
)

// answer sends a request and returns the whole answer.
func (s surface) answer(method, address, body string) *httptest.ResponseRecorder {
	s.t.Helper()
	r := httptest.NewRequest(method, address, strings.NewReader(body))
	r.Header.Set("Authorization", "Bearer "+s.token)
	r.Header.Set("Content-Type", "application/json")
	w := httptest.NewRecorder()
	s.handler.ServeHTTP(w, r)
	return w
}

// Source: iotdps.json of 2026-08-31 (PUT and PATCH answer with Location, the final state is read from it) and
// iothub.json of 2026-11-01 (PATCH answers with Azure-AsyncOperation, Location and Retry-After).
func TestTheResultOfAnOperationIsReadFromLocation(t *testing.T) {
	t.Parallel()
	const group = "https://arm.example/subscriptions/" + subscription + "/resourceGroups/rg/providers/Microsoft.Devices"
	const put = `{"location":"westeurope","sku":{"name":"S1","capacity":1},"properties":{}}`
	const patch = `{"tags":{"stage":"live"}}`
	for name, tc := range map[string]struct {
		method, path, body string
		isDescribed        bool
	}{
		"create a service": {"PUT", "/provisioningServices/dps-2?api-version=2026-08-31", put, true},
		"change a service": {"PUT", "/provisioningServices/dps-1?api-version=2026-11-01", put, true},
		"change a service, preview": {"PUT", "/provisioningServices/dps-1?api-version=2026-06-01-preview", put,
			true},
		"change a service, older version": {"PUT", "/provisioningServices/dps-1?api-version=2022-12-12", put, false},
		"tag a service":                   {"PATCH", "/provisioningServices/dps-1?api-version=2026-08-31", patch, true},
		"tag a service, older version": {"PATCH", "/provisioningServices/dps-1?api-version=2022-12-12", patch,
			false},
		"tag a hub":                {"PATCH", "/IotHubs/hub-1?api-version=2026-11-01", patch, true},
		"tag a hub, older version": {"PATCH", "/IotHubs/hub-1?api-version=2023-06-30", patch, false},
		"change a hub":             {"PUT", "/IotHubs/hub-1?api-version=2026-11-01", put, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newSurface(t)
			s.inventory()
			begun := s.answer(tc.method, group+tc.path, tc.body)
			if begun.Code >= http.StatusBadRequest {
				t.Fatalf("got %d %s", begun.Code, begun.Body)
			}
			location := begun.Header().Get("Location")
			if (location != "") != tc.isDescribed {
				t.Fatalf("got Location %q, want one: %t", location, tc.isDescribed)
			}
			if !tc.isDescribed {
				return
			}
			if begun.Header().Get("Retry-After") == "" {
				t.Error("got no Retry-After")
			}
			result := s.answer("GET", location, "")
			requested, err := url.Parse(group + tc.path)
			if err != nil {
				t.Fatal(err)
			}
			if id := member(t, result.Body.String(), "id"); result.Code != http.StatusOK || id != requested.Path {
				t.Errorf("got %d %s at Location, want the resource %s", result.Code, result.Body, requested.Path)
			}
			if tc.body == patch && member(t, result.Body.String(), "tags", "stage") != "live" {
				t.Errorf("got %s, want the new tag", result.Body)
			}
		})
	}
}

func TestLocationOfADeletionAnswersWithNothing(t *testing.T) {
	t.Parallel()
	s := newSurface(t)
	s.inventory()
	begun := s.answer("DELETE", "https://arm.example/subscriptions/"+subscription+
		"/resourceGroups/rg/providers/Microsoft.Devices/provisioningServices/dps-1?api-version=2026-08-31", "")
	result := s.answer("GET", begun.Header().Get("Location"), "")
	if begun.Code != http.StatusAccepted || result.Code != http.StatusOK || result.Body.Len() > 0 {
		t.Errorf("got %d, and at its Location %d %s, want 202 and an empty 200", begun.Code, result.Code, result.Body)
	}
}
