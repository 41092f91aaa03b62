package arm_test

import (
	"net/http"
	"strings"
	"testing"
)

// Source: iothub.json, 2023-06-30, and iotdps.json, 2022-12-12 and 2023-03-01-preview.
func TestSettingsHaveTheFormOfTheSpecification(t *testing.T) {
	t.Parallel()
	s := newSurface(t)
	s.inventory()
	const hub, service = "/providers/Microsoft.Devices/IotHubs/hub-1?api-version=2023-06-30",
		"/providers/Microsoft.Devices/provisioningServices/dps-1?api-version=2022-12-12"
	for path, settings := range map[string]map[string]int{
		hub: {
			`"disableLocalAuth":"yes"`: 400, `"disableLocalAuth":true`: 201, `"disableDeviceSAS":1`: 400,
			`"publicNetworkAccess":"Maybe"`: 400, `"publicNetworkAccess":"disabled"`: 201,
			`"minTlsVersion":"2.5"`: 400, `"minTlsVersion":"1.2"`: 201, `"minTlsVersion":null`: 201,
			`"publicNetworkAccess":null`: 201, `"ipFilterRules":"x"`: 400,
			`"ipFilterRules":[{"filterName":"a","action":"Accept","ipMask":"10.0.0.0/8"}]`:                                                        201,
			`"ipFilterRules":[{"filterName":"a","action":"Accept","ipMask":"10.0.0.1"}]`:                                                          201,
			`"ipFilterRules":[{"filterName":"a","action":"Allow","ipMask":"10.0.0.0/8"}]`:                                                         400,
			`"ipFilterRules":[{"filterName":"a","action":"Accept","ipMask":"ten"}]`:                                                               400,
			`"ipFilterRules":[{"action":"Accept","ipMask":"10.0.0.0/8"}]`:                                                                         400,
			`"networkRuleSets":{"defaultAction":"Deny","applyToBuiltInEventHubEndpoint":true,"ipRules":[{"filterName":"a","ipMask":"10.0.0.1"}]}`: 201,
			`"networkRuleSets":{"defaultAction":"Never","applyToBuiltInEventHubEndpoint":true,"ipRules":[]}`:                                      400, `"features":"All"`: 400, `"allowedFqdnList":[1]`: 400,
			`"routing":{"routes":[{"name":"r","source":"DeviceMessages","endpointNames":["events"],"isEnabled":true}]}`: 201,
			`"routing":{"routes":[{"name":"r","source":"Devices","endpointNames":["events"],"isEnabled":true}]}`:        400, `"routing":{"routes":[{"source":"DeviceMessages"}]}`: 400,
		},
		service: {
			`"publicNetworkAccess":"Nope"`: 400, `"publicNetworkAccess":"Disabled"`: 201,
			`"enableDataResidency":"no"`: 400, `"ipFilterRules":{}`: 400,
			`"ipFilterRules":[{"filterName":"a","action":"Reject","ipMask":"10.0.0.0/8","target":"deviceApi"}]`: 201,
			`"ipFilterRules":[{"filterName":"a","action":"Reject","ipMask":"10.0.0.0/8","target":"none"}]`:      400,
		},
	} {
		t.Run(path, func(t *testing.T) {
			for text, want := range settings {
				status, body := s.call("PUT", path,
					`{"location":"westeurope","sku":{"name":"S1","capacity":1},"properties":{`+text+`}}`)
				if status != want {
					t.Errorf("%s: got %d %s, want %d", text, status, body, want)
				}
			}
		})
	}
}

func TestIdentitiesGetTheirIDs(t *testing.T) {
	t.Parallel()
	s := newSurface(t)
	s.inventory()
	for _, path := range []string{"IotHubs/hub-1?api-version=2023-06-30",
		"provisioningServices/dps-1?api-version=2023-03-01-preview"} {
		t.Run(path, func(t *testing.T) {
			path = "/providers/Microsoft.Devices/" + path
			put := func(identity string) (int, string) {
				return s.call("PUT", path,
					`{"location":"westeurope","sku":{"name":"S1","capacity":1},"properties":{},"identity":`+identity+
						`}`)
			}
			if status, body := put(`{"type":"Magic"}`); status != http.StatusBadRequest {
				t.Errorf("%s: got %d %s for an unknown type, want 400", path, status, body)
			}
			if status, body := put(`{"type":"SystemAssigned"}`); status != http.StatusCreated ||
				!strings.Contains(body, `"identity":{"type":"SystemAssigned","principalId":"`) {
				t.Errorf("%s: got %d %s, want a principal", path, status, body)
			}
			const user = "/subscriptions/x/resourceGroups/g/providers/Microsoft.ManagedIdentity/" +
				"userAssignedIdentities/u"
			put(`{"type":"UserAssigned","userAssignedIdentities":{"` + user + `":{}}}`)
			if _, body := s.call("GET", path, ""); !strings.Contains(body,
				`"identity":{"type":"UserAssigned","userAssignedIdentities":{"`+user+`":{"principalId":"`) {
				t.Errorf("%s: got %s, want the ids of the user", path, body)
			}
		})
	}
}
