package iothub_test

import (
	"errors"
	"net/http"
	"strings"
	"testing"

	"evenkeel/emulator/internal/iothub"
)

func TestMissingFeaturesAreRefused(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	key := f.device("d1")
	for _, tc := range []struct {
		method, path string
		status       int
		want         string
	}{
		{"GET", "/devices/d1/modules", 200, "[]"},
		{"GET", "/devices/d9/modules", 404, "DeviceNotFound"},
		{"PUT", "/devices/d1/modules/m", 501, "no modules"},
		{"GET", "/devices/d1/modules/m", 404, "ModuleNotFound"},
		{"DELETE", "/devices/d1/modules/m", 404, "ModuleNotFound"},
		{"GET", "/twins/d1/modules/m", 404, "ModuleNotFound"},
		{"PATCH", "/twins/d1/modules/m", 404, "ModuleNotFound"},
		{"PUT", "/twins/d1/modules/m", 404, "ModuleNotFound"},
		{"POST", "/twins/d1/modules/m/methods", 404, "ModuleNotFound"},
		{"GET", "/configurations", 200, "[]"},
		{"GET", "/configurations/c", 404, "ConfigurationNotFound"},
		{"PUT", "/configurations/c", 501, "no configurations"},
		{"DELETE", "/configurations/c", 404, "ConfigurationNotFound"},
		{"POST", "/configurations/testQueries", 501, "no configurations"},
		{"POST", "/devices/d1/applyConfigurationContent", 501, "no configurations"},
		{"GET", "/jobs", 200, "[]"},
		{"POST", "/jobs/create", 501, "no jobs"},
		{"GET", "/jobs/j", 404, "JobNotFound"},
		{"DELETE", "/jobs/j", 404, "JobNotFound"},
		{"GET", "/jobs/v2/query", 200, "[]"},
		{"PUT", "/jobs/v2/j", 501, "no jobs"},
		{"GET", "/jobs/v2/j", 404, "JobNotFound"},
		{"POST", "/jobs/v2/j/cancel", 404, "JobNotFound"},
		{"GET", "/digitaltwins/d1", 501, "no digital twins"},
		{"GET", "/digitaltwins/d9", 404, "DeviceNotFound"},
		{"PATCH", "/digitalTwins/d1", 501, "no digital twins"},
		{"POST", "/digitaltwins/d1/commands/c", 501, "no digital twins"},
		{"POST", "/digitaltwins/d1/components/p/commands/c", 501, "no digital twins"},
		{"GET", "/nothing", 404, "GenericNotFound"},
		{"DELETE", "/twins/d1", 405,
			"GenericMethodNotAllowed;The method DELETE is not allowed here; allowed: GET, PATCH, PUT"},
		{"PUT", "/twins/d1/methods", 405, "allowed: POST"},
		{"POST", "/statistics/devices", 405, "allowed: GET"},
	} {
		t.Run(tc.method+" "+tc.path, func(t *testing.T) {
			a := f.owner(tc.method, tc.path, "{}")
			if a.status != tc.status || !strings.Contains(a.body, tc.want) {
				t.Errorf("%s %s: got %d %s, want %d %s", tc.method, tc.path, a.status, a.body, tc.status, tc.want)
			}
		})
	}
	f.do(call{method: "PUT", path: "/jobs/v2/j" + version, token: f.policy("read")}).want(t,
		"a job without ServiceConnect", http.StatusUnauthorized)
	for _, path := range []string{"/devices/d1/files", "/devices/d1/files/notifications",
		"/devices/d1/files/notifications/c",
		"/devices/d1/files/", "/devices/d1/files/notifications/", "/devices/d1/files/notifications/c/",
		"/Devices/d1/Files/"} {
		t.Run(path, func(t *testing.T) {
			a := f.do(call{method: "POST", path: path + version, token: f.deviceToken("d1", key),
				body: `{"blobName":"b"}`}).want(t, path, http.StatusBadRequest)
			if !strings.Contains(a.body, "DefaultStorageEndpointNotConfigured") {
				t.Errorf("%s: got %s", path, a.body)
			}
			f.do(call{method: "POST", path: path + version}).want(t, path+" without a token", http.StatusUnauthorized)
		})
	}
}

func TestPathWordsAreCaseInsensitiveAndIDsAreNot(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	for _, id := range []string{"Query", "query", "Modules"} {
		f.owner("PUT", "/Devices/"+id, "{}").want(t, "create "+id, http.StatusOK).wantField(t, "deviceId", id)
		f.owner("GET", "/TWINS/"+id, "").want(t, "twin of "+id, http.StatusOK).wantField(t, "deviceId", id)
	}
	f.owner("PUT", "/devices/devices", "{}").want(t, "create devices", http.StatusOK)
	f.owner("GET", "/Devices/devices/Modules", "").want(t, "modules of a device whose id is a word", http.StatusOK)
	f.owner("POST", "/devices/QUERY", `{"query":"SELECT * FROM devices"}`).want(t, "query", http.StatusOK)
}

func TestEntraTokensAreAccepted(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	get := call{method: "GET", path: "/devices" + version, token: "Bearer good"}
	f.do(get).want(t, "where none is accepted", http.StatusUnauthorized)
	hubs := iothub.New(iothub.Options{State: f.state, Bearer: func(token string) error {
		if token != "good" {
			return errors.New("bad token")
		}
		return nil
	}})
	t.Cleanup(hubs.Close)
	f.hubs = hubs
	f.do(get).want(t, "good token", http.StatusOK)
	get.token = "Bearer bad"
	f.do(get).want(t, "bad token", http.StatusUnauthorized)
}

func TestPropertiesOfABatchAreNamedAsHeaders(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.do(call{
		method: "POST", path: "/devices/d1/messages/events" + version, token: f.deviceToken("d1", f.device("d1")),
		header: map[string]string{"Content-Type": "application/vnd.microsoft.iothub.json"},
		body:   `[{"body":"aGk=","properties":{"iothub-app-Room":"boiler","iothub-messageid":"m1","plain":"x"}}]`,
	}).want(t, "send", http.StatusNoContent)
	got := f.hubs.Messages(host, "d1")[0]
	if got.Properties["Room"] != "boiler" || got.Properties["plain"] != "x" || got.System["mid"] != "m1" ||
		len(got.Properties) != 2 {
		t.Errorf("got %v %v, want Room, plain and the message id", got.Properties, got.System)
	}
}
