package arm_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
)

// inventory creates three hubs and a provisioning service in two groups; the test's calls use group "rg".
func (s surface) inventory() {
	s.t.Helper()
	for path, body := range map[string]string{
		"": `{"location":"westeurope"}`, "/../other": `{"location":"westeurope","tags":{"stage":"live"}}`,
	} {
		if status, answer := s.call("PUT", path+"?api-version=2022-09-01", body); status != http.StatusCreated {
			s.t.Fatalf("put group: got %d %s", status, answer)
		}
	}
	for path, more := range map[string]string{
		"/providers/Microsoft.Devices/IotHubs/hub-1?api-version=2023-06-30":              `"location":"westeurope","tags":{"stage":"test","team":"live"}`,
		"/providers/Microsoft.Devices/IotHubs/Hub-2?api-version=2023-06-30":              `"location":"northeurope","tags":{"Stage":"live"}`,
		"/../other/providers/Microsoft.Devices/IotHubs/lone?api-version=2023-06-30":      `"location":"westeurope"`,
		"/providers/Microsoft.Devices/provisioningServices/dps-1?api-version=2022-02-05": `"location":"westeurope","properties":{}`,
	} {
		if status, answer := s.call("PUT", path, `{"sku":{"name":"S1","capacity":1},`+more+
			`}`); status != http.StatusCreated {
			s.t.Fatalf("put %s: got %d %s", path, status, answer)
		}
	}
}

// names returns the names in a list's answer.
func names(t *testing.T, body string) string {
	t.Helper()
	var list struct{ Value []struct{ Name string } }
	if err := json.Unmarshal([]byte(body), &list); err != nil {
		t.Fatalf("%v in %s", err, body)
	}
	var all []string
	for _, one := range list.Value {
		all = append(all, one.Name)
	}
	slices.Sort(all)
	return strings.Join(all, " ")
}

// The filters are those of Resources_List, 2025-04-01.
func TestFiltersChooseResources(t *testing.T) {
	t.Parallel()
	s := newSurface(t)
	s.inventory()
	for filter, want := range map[string]string{
		"": "Hub-2 dps-1 hub-1 lone", "resourceType eq 'microsoft.devices/iothubs'": "Hub-2 hub-1 lone",
		"resourceType ne 'Microsoft.Devices/IotHubs'": "dps-1",
		"name eq 'HUB-1'": "hub-1", "name ne 'hub-1'": "Hub-2 dps-1 lone", "location eq 'North Europe'": "Hub-2",
		"resourceGroup eq 'Other'":                                     "lone",
		"substringof('UB', name)":                                      "Hub-2 hub-1",
		"substringof('the', resourceGroup) or substringof('dps',name)": "dps-1 lone",
		"resourceType eq 'Microsoft.Devices/IotHubs' or " +
			"resourceType eq 'Microsoft.Devices/provisioningServices'": "Hub-2 dps-1 hub-1 lone",
		"resourceType eq 'Microsoft.Devices/IotHubs' and " +
			"(location eq 'westeurope' or resourceGroup eq 'nowhere')": "hub-1 lone",
		"tagName eq 'stage'": "Hub-2 hub-1", "tagName eq 'stage' and tagValue eq 'live'": "Hub-2",
		"tagName eq 'STAGE' and tagValue eq 'Live'": "",
		"startswith(tagName, 'te')":                 "hub-1",
		"tagName eq 'stage' and resourceType eq 'Microsoft.Devices/IotHubs' and name eq 'hub-1'": "hub-1",
		"name eq 'it''s'": "", "name eq 'a' or name eq 'lone' and location eq 'westeurope'": "lone",
	} {
		t.Run(fmt.Sprintf("%.60q", filter), func(t *testing.T) {
			status, body := s.call("GET", "/../../resources?api-version=2022-09-01&$filter="+url.QueryEscape(filter),
				"")
			if got := names(t, body); status != http.StatusOK || got != want {
				t.Errorf("%s: got %d %q, want %q", filter, status, got, want)
			}
		})
	}
	_, body := s.call("GET", "/resources?api-version=2022-09-01&$expand=createdTime,provisioningState&$filter="+
		url.QueryEscape("tagName eq 'stage' and tagValue eq 'test'"), "")
	if strings.Contains(body, `"tags"`) || !strings.Contains(body, `"createdTime":"20`) ||
		!strings.Contains(body, `"provisioningState":"Succeeded"`) {
		t.Errorf("got %s, want no tags, and what was asked for", body)
	}
	_, body = s.call("GET", "/../?api-version=2022-09-01&$filter="+
		url.QueryEscape("tagName eq 'stage' and tagValue eq 'live'"), "")
	if got := names(t, body); got != "other" {
		t.Errorf("got the groups %q, want the tagged one", got)
	}
}

func TestInvalidFilters(t *testing.T) {
	t.Parallel()
	s := newSurface(t)
	s.inventory()
	for _, filter := range []string{
		"name", "name eq", "name eq x", "name eq 'x", "name gt 'x'", "plan eq 'x'", "identity ne ''", "'x' eq name",
		"name eq 'x' and", "name eq 'x' 'y'", "(name eq 'x'",
		"name eq 'x')", "substringof('x')", "substringof('x', location)", "startswith(name, 'x')", "tagName ne 'x'",
		"and", "or name eq 'x'", "name eq 'x' xor name eq 'y'",
		strings.Repeat("(", 10_000), "%",
	} {
		t.Run(fmt.Sprintf("%.60q", filter), func(t *testing.T) {
			status, body := s.call("GET", "/resources?api-version=2022-09-01&$filter="+url.QueryEscape(filter), "")
			if status != http.StatusBadRequest || !strings.Contains(body, "InvalidFilterInQueryString") {
				t.Errorf("%.40s: got %d %.200s", filter, status, body)
			}
		})
	}
	for _, filter := range []string{"name eq 'rg'", "substringof('r', name)"} {
		t.Run(fmt.Sprintf("%.60q", filter), func(t *testing.T) {
			if status, _ := s.call("GET", "/../?api-version=2022-09-01&$filter="+url.QueryEscape(filter),
				""); status != http.StatusBadRequest {
				t.Errorf("groups, %s: got %d, want 400", filter, status)
			}
		})
	}
}

func TestCheckExistence(t *testing.T) {
	t.Parallel()
	s := newSurface(t)
	s.inventory()
	for path, want := range map[string]int{
		"/providers/Microsoft.Devices/IotHubs/hub-1?api-version=2023-06-30":              204,
		"/providers/Microsoft.Devices/IotHubs/hub-9?api-version=2023-06-30":              404,
		"/providers/Microsoft.Devices/provisioningServices/dps-1?api-version=2022-02-05": 204,
		"/providers/Microsoft.Devices/provisioningServices/x?api-version=2022-02-05":     404,
	} {
		t.Run(path, func(t *testing.T) {
			if status, _ := s.call("HEAD", path, ""); status != want {
				t.Errorf("%s: got %d, want %d", path, status, want)
			}
		})
	}
	for path, want := range map[string]string{
		"/../../providers/Microsoft.Devices/resourceTypes": `"resourceType":"provisioningServices"`,
		"/../../../../providers":                           `"namespace":"Microsoft.Devices"`,
		"/../../../../providers/Microsoft.Devices":         `"registrationState":"Registered"`,
	} {
		t.Run(path, func(t *testing.T) {
			if status, body := s.call("GET", path+"?api-version=2022-09-01", ""); status != http.StatusOK ||
				!strings.Contains(body, want) {
				t.Errorf("%s: got %d %s, want %s", path, status, body, want)
			}
		})
	}
	for method, path := range map[string]string{"GET": "", "POST": "/register"} {
		t.Run(method, func(t *testing.T) {
			status, body := s.call(method, "/../../providers/Microsoft.Nothing"+path+"?api-version=2022-09-01", "")
			if status != 404 || !strings.Contains(body,
				`"InvalidResourceNamespace","message":"The resource namespace 'Microsoft.Nothing' is invalid."`) {
				t.Errorf("another namespace: got %d %s", status, body)
			}
		})
	}
}

// Source: "Cloud-to-device configuration options" in "Send cloud-to-device messages from an IoT hub".
func TestPeriodsOfMessagesHaveBounds(t *testing.T) {
	t.Parallel()
	s := newSurface(t)
	s.inventory()
	for settings, want := range map[string]int{
		`"defaultTtlAsIso8601":"PT1M"`: 201, `"defaultTtlAsIso8601":"P2D"`: 201, `"defaultTtlAsIso8601":"PT48H"`: 201,
		`"defaultTtlAsIso8601":"PT59S"`:     400,
		`"defaultTtlAsIso8601":"PT2880M1S"`: 400, `"defaultTtlAsIso8601":"an hour"`: 400,
		`"defaultTtlAsIso8601":""`: 400, `"defaultTtlAsIso8601":null`: 201,
		`"feedback":{"ttlAsIso8601":"P3D"}`: 400, `"feedback":{"lockDurationAsIso8601":"PT5M"}`: 201,
		`"feedback":{"lockDurationAsIso8601":"PT301S"}`: 400,
		`"feedback":{"lockDurationAsIso8601":"PT4S"}`:   400, `"feedback":{"maxDeliveryCount":0}`: 400,
		`"maxDeliveryCount":100`: 201, `"maxDeliveryCount":101`: 400,
	} {
		t.Run(settings, func(t *testing.T) {
			status, body := s.call("PUT", "/providers/Microsoft.Devices/IotHubs/hub-1?api-version=2023-06-30",
				`{"location":"westeurope","sku":{"name":"S1","capacity":1},"properties":{"cloudToDevice":{`+settings+
					`}}}`)
			if status != want {
				t.Errorf("%s: got %d %s, want %d", settings, status, body, want)
			}
		})
	}
}
