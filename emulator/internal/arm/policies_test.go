package arm_test

import (
	"net/http"
	"strings"
	"testing"
)

// AccessRights of iothub.json lists each combination once, in one order.
func TestRightsAreShownInOneOrder(t *testing.T) {
	t.Parallel()
	s := newSurface(t)
	s.inventory()
	for path, rights := range map[string][2]string{
		"/providers/Microsoft.Devices/IotHubs/hub-1?api-version=2023-06-30": {
			"deviceConnect,RegistryWrite, RegistryRead", "RegistryRead, RegistryWrite, DeviceConnect"},
		"/providers/Microsoft.Devices/provisioningServices/dps-1?api-version=2022-02-05": {
			"EnrollmentWrite, ServiceConfig,ServiceConfig", "ServiceConfig, EnrollmentWrite"},
	} {
		t.Run(path, func(t *testing.T) {
			status, body := s.call("PUT", path,
				`{"location":"westeurope","sku":{"name":"S1","capacity":1},"properties":{"authorizationPolicies":[{"keyName":"p","rights":"`+rights[0]+`"}]}}`)
			if status != http.StatusCreated || !strings.Contains(body, `"rights":"`+rights[1]+`"`) {
				t.Errorf("%s: got %d %s, want %s", path, status, body, rights[1])
			}
		})
	}
}
