package arm_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"evenkeel/emulator/internal/arm"
)

// Source: microsoft/vscode#68251.
func TestNothingBelowAResourceInTransitionChanges(t *testing.T) {
	t.Parallel()
	s := newSurfaceWith(t, arm.Options{Delay: time.Hour})
	s.call("PUT", "?api-version=2022-09-01", `{"location":"westeurope"}`)
	const hub, service = "/providers/Microsoft.Devices/IotHubs/hub-1",
		"/providers/Microsoft.Devices/provisioningServices/dps-1"
	const ofHub, ofService = "?api-version=2023-06-30", "?api-version=2022-02-05"
	body := `{"location":"westeurope","sku":{"name":"S1","capacity":1},"properties":{}}`
	for _, path := range []string{hub + ofHub, service + ofService} {
		t.Run(path, func(t *testing.T) {
			if status, answer := s.call("PUT", path, body); status != http.StatusCreated {
				t.Fatalf("put %s: got %d %s", path, status, answer)
			}
		})
	}
	for _, call := range [][2]string{
		{"PUT", hub + "/certificates/c" + ofHub}, {"DELETE", hub + "/certificates/c" + ofHub},
		{"POST", service + "/certificates/c/verify" + ofService},
		{"PUT", service + "/certificates/c" + ofService}, {"PUT", hub + "/eventHubEndpoints/events/ConsumerGroups/g" +
			ofHub},
		{"DELETE", hub + "/eventHubEndpoints/events/ConsumerGroups/g" + ofHub},
		{"PUT", hub + "/privateEndpointConnections/e" + ofHub},
	} {
		if status, answer := s.call(call[0], call[1], "{}"); status != http.StatusConflict ||
			!strings.Contains(answer, `"code":409002`) {
			t.Errorf("%s %s: got %d %s", call[0], call[1], status, answer)
		}
	}
	for _, path := range []string{"/certificates", "/eventHubEndpoints/events/ConsumerGroups",
		"/privateEndpointConnections"} {
		t.Run(path, func(t *testing.T) {
			if status, answer := s.call("GET", hub+path+ofHub, ""); status != http.StatusOK {
				t.Errorf("GET %s: got %d %s", path, status, answer)
			}
		})
	}
	s.call("PUT", "/../closing?api-version=2022-09-01", `{"location":"westeurope"}`)
	s.call("DELETE", "/../closing?api-version=2022-09-01", "")
	for _, path := range []string{"/providers/Microsoft.Devices/IotHubs/hub-2" + ofHub,
		"/providers/Microsoft.Devices/provisioningServices/dps-2" + ofService} {
		t.Run(path, func(t *testing.T) {
			if status, answer := s.call("PUT", "/../closing"+path, body); status != http.StatusConflict ||
				!strings.Contains(answer, "ResourceGroupBeingDeleted") {
				t.Errorf("put in a group that is being deleted: got %d %s", status, answer)
			}
		})
	}
}
