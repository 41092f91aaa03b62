package arm_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"reflect"
	"slices"
	"strings"
	"testing"

	"evenkeel/emulator/internal/arm"
)

const (
	hubAt     = "/providers/Microsoft.Devices/IotHubs/hub-1?api-version="
	hubBefore = `{"location":"westeurope","sku":{"name":"S1","capacity":1},"properties":`

	streams     = `"deviceStreams":{"streamingEndpoints":["https://x"]}`
	collections = `"routing":{"endpoints":{"cosmosDBSqlCollections":[{"name":"c","endpointUri":"https://c","databaseName":"d","collectionName":"c"}]}}`
	containers  = `"routing":{"endpoints":{"cosmosDBSqlContainers":[{"name":"c","endpointUri":"https://c","databaseName":"d","containerName":"c"}]}}`
	eventStream = `"routing":{"endpoints":{"eventStreams":[{"name":"e","endpointUri":"https://e","entityPath":"p"}]}}`
)

// Source: iothub.json of 2021-07-02, 2023-06-30 and 2026-11-01; Azure/bicep-types-az for 2022-04-30-preview.
func TestAHubIsPutWithTheMembersThatItsVersionHas(t *testing.T) {
	t.Parallel()
	s := newSurface(t)
	s.inventory()
	for name, test := range map[string]struct {
		version, properties string
		want                string // of the message; "": 201
	}{
		"streams, too early":    {"2021-07-02", streams, "Use 2022-04-30-preview api-version or higher"},
		"streams":               {"2022-04-30-preview", streams, ""},
		"streams, dropped":      {"2026-11-01", streams, "Use 2022-04-30-preview api-version."},
		"encryption, too early": {"2020-03-01", `"encryption":{"keySource":"k"}`, "Use 2022-04-30-preview"},
		"root certificate": {"2023-06-30", `"rootCertificate":{"enableRootCertificateV2":true}`,
			"Use 2022-04-30-preview"},
		"no root certificate":      {"2023-06-30", `"rootCertificate":null`, ""},
		"collections":              {"2022-04-30-preview", collections, ""},
		"collections, dropped":     {"2023-06-30", collections, "Setting routing.endpoints.cosmosDBSqlCollections"},
		"containers, too early":    {"2022-04-30-preview", containers, "Use 2023-06-30 api-version or higher"},
		"containers":               {"2026-11-01", containers, ""},
		"event streams":            {"2026-11-01", eventStream, ""},
		"event streams, too early": {"2023-06-30", eventStream, "Use 2026-11-01 api-version or higher"},
		"event streams, 2025":      {"2025-08-01-preview", eventStream, "Use 2026-11-01 api-version or higher"},
		"a namespace of a preview": {"2026-05-01-preview", `"deviceRegistry":{"namespaceResourceId":"/n"}`,
			"does not link IoT hubs"},
		"a namespace, older": {"2023-06-30", `"deviceRegistry":{"namespaceResourceId":"/n"}`,
			"does not link IoT hubs"},
		"a namespace, read-only": {"2026-11-01", `"deviceRegistry":{"namespaceResourceId":"/n"}`, ""},
		"host names, read-only": {"2026-11-01",
			`"deviceHostName":"a","serviceHostName":"b","iotHubDetails":{"gatewayVersion":"V2"}`, ""},
		"routing of another form":     {"2023-06-30", `"routing":{"endpoints":7}`, "form of the specification"},
		"routing null, endpoint null": {"2023-06-30", `"routing":{"endpoints":null,"routes":null}`, ""},
	} {
		t.Run(name, func(t *testing.T) {
			status, body := s.call("PUT", hubAt+test.version, hubBefore+`{`+test.properties+`}}`)
			if test.want == "" && status != http.StatusCreated ||
				test.want != "" && (status != http.StatusBadRequest || !strings.Contains(body, test.want)) {
				t.Errorf("%s: got %d %s, want %q", name, status, body, test.want)
			}
		})
	}
}

// lists returns the names of the lists of endpoints in an answer besides the four that each answer has.
func lists(t *testing.T, body string) string {
	t.Helper()
	var hub struct {
		Properties struct {
			DeviceStreams any `json:"deviceStreams"`
			Routing       struct {
				Endpoints map[string]any `json:"endpoints"`
			} `json:"routing"`
		} `json:"properties"`
	}
	if err := json.Unmarshal([]byte(body), &hub); err != nil {
		t.Fatalf("%s: %v", body, err)
	}
	more := slices.DeleteFunc(slices.Sorted(maps.Keys(hub.Properties.Routing.Endpoints)), func(name string) bool {
		return slices.Contains([]string{"serviceBusQueues", "serviceBusTopics", "eventHubs", "storageContainers"}, name)
	})
	if hub.Properties.DeviceStreams != nil {
		more = append(more, "deviceStreams")
	}
	return strings.Join(more, " ")
}

func TestAHubIsShownWithTheMembersThatItsVersionHas(t *testing.T) {
	t.Parallel()
	s := newSurface(t)
	s.inventory()
	put := func(version, properties string) {
		t.Helper()
		if status, body := s.call("PUT", hubAt+version, hubBefore+`{`+properties+`}}`); status != http.StatusCreated {
			t.Fatalf("got %d %s", status, body)
		}
	}
	both := strings.Replace(eventStream, `{"eventStreams"`, `{"cosmosDBSqlContainers":[{"name":"c"}],"eventStreams"`, 1)
	for _, test := range []struct {
		version, properties string
		want                map[string]string
	}{
		{"2026-11-01", both, map[string]string{
			"2016-02-03": "", "2021-07-02": "", "2022-04-30-preview": "", "2023-06-30": "cosmosDBSqlContainers",
			"2023-06-30-preview": "cosmosDBSqlContainers", "2026-10-01-preview": "cosmosDBSqlContainers eventStreams",
			"2026-11-01": "cosmosDBSqlContainers eventStreams",
		}},
		{"2022-04-30-preview", streams + "," + collections, map[string]string{
			"2021-07-02": "", "2019-07-01-preview": "cosmosDBSqlCollections deviceStreams", "2023-06-30": "",
			"2026-11-01":         "",
			"2022-04-30-preview": "cosmosDBSqlCollections deviceStreams",
		}},
	} {
		t.Run(test.version, func(t *testing.T) {
			put(test.version, test.properties)
			for version, want := range test.want {
				_, body := s.call("GET", hubAt+version, "")
				if got := lists(t, body); got != want {
					t.Errorf("GET with %s: got %q, want %q", version, got, want)
				}
				shown := member(t, body, "properties", "iotHubDetails") != ""
				if newest := strings.HasPrefix(version, "2026"); shown != newest {
					t.Errorf("GET with %s: got iotHubDetails %v, want %v", version, shown, newest)
				}
			}
		})
	}
}

func TestAPutResetsMembersOfOtherVersionsUnlessTheyAreKept(t *testing.T) {
	t.Parallel()
	for _, keep := range []bool{false, true} {
		t.Run(fmt.Sprintf("keep %v", keep), func(t *testing.T) {
			t.Parallel()
			s := newSurfaceWith(t, arm.Options{KeepNewerMembers: keep})
			s.inventory()
			want := map[bool]string{true: "eventStreams"}[keep]
			for _, plain := range []string{`{}`, `{"routing":{"routes":[]}}`,
				`{"routing":{"endpoints":{"eventHubs":[]}}}`} {
				s.call("PUT", hubAt+"2026-11-01", hubBefore+`{`+eventStream+`}}`)
				if status, body := s.call("PUT", hubAt+"2023-06-30", hubBefore+plain+
					`}`); status != http.StatusCreated {
					t.Fatalf("%s: got %d %s", plain, status, body)
				}
				_, body := s.call("GET", hubAt+"2026-11-01", "")
				if got := lists(t, body); got != want {
					t.Errorf("after a PUT of %s with 2023-06-30: got %q, want %q", plain, got, want)
				}
				s.call("PUT", hubAt+"2026-11-01", hubBefore+plain+`}`)
				if _, body := s.call("GET", hubAt+"2026-11-01", ""); lists(t, body) != "" {
					t.Errorf("after a PUT of %s with 2026-11-01: got %s, want it reset", plain, body)
				}
			}
			s.call("PUT", hubAt+"2022-04-30-preview", hubBefore+`{`+streams+`}}`)
			s.call("PUT", hubAt+"2026-11-01", hubBefore+`{}}`)
			_, body := s.call("GET", hubAt+"2022-04-30-preview", "")
			if got, want := lists(t, body), map[bool]string{true: "deviceStreams"}[keep]; got != want {
				t.Errorf("device streams: got %q, want %q", got, want)
			}
		})
	}
}

func TestAPutOfAServiceKeepsNewerMembersOnRequest(t *testing.T) {
	t.Parallel()
	s := newSurfaceWith(t, arm.Options{KeepNewerMembers: true})
	s.inventory()
	const start = `{"location":"westeurope","sku":{"name":"S1","capacity":1},"properties":{`
	full := start + `"disableLocalAuth":true,"portalOperationsHostName":"p"},"identity":{"type":"SystemAssigned"}}`
	for version, want := range map[string]string{
		"2021-10-15": "true SystemAssigned p", "2022-12-12": "true SystemAssigned ", "2023-03-01-preview": "true  ",
		"2026-08-31": "  ",
	} {
		t.Run(version, func(t *testing.T) {
			s.call("PUT", dps+"2026-08-31", full)
			if status, body := s.call("PUT", dps+version, start+`}}`); status != http.StatusCreated {
				t.Fatalf("got %d %s", status, body)
			}
			_, body := s.call("GET", dps+"2026-08-31", "")
			got := member(t, body, "properties", "disableLocalAuth") + " " + member(t, body, "identity", "type") + " " +
				member(t, body, "properties", "portalOperationsHostName")
			if got != want {
				t.Errorf("after a PUT with %s: got %q, want %q", version, got, want)
			}
		})
	}
}

// fullHub has a value in most members that every version has.
const fullHub = `{"location":"westeurope","tags":{"a":"b"},"sku":{"name":"S1","capacity":2},"identity":{"type":"SystemAssigned, UserAssigned",
	"userAssignedIdentities":{"/subscriptions/x/u":{}}},"properties":{"disableLocalAuth":false,"disableDeviceSAS":false,"disableModuleSAS":false,
	"restrictOutboundNetworkAccess":false,"allowedFqdnList":["x"],"publicNetworkAccess":"Enabled","minTlsVersion":"1.2","comments":"c",
	"ipFilterRules":[{"filterName":"a","action":"Accept","ipMask":"10.0.0.0/8"}],
	"networkRuleSets":{"defaultAction":"Deny","applyToBuiltInEventHubEndpoint":true,"ipRules":[{"filterName":"a","action":"Allow","ipMask":"10.0.0.1"}]},
	"routing":{"endpoints":{"eventHubs":[{"name":"e","connectionString":"Endpoint=sb://x.servicebus.windows.net/;SharedAccessKeyName=s;SharedAccessKey=a2V5;EntityPath=e"}]},
	"routes":[{"name":"r","source":"DeviceMessages","condition":"true","endpointNames":["e"],"isEnabled":true}],
	"enrichments":[{"key":"k","value":"v","endpointNames":["e"]}]},"enableFileUploadNotifications":true,"features":"None","enableDataResidency":false}}`

// TestHubAnswersAreAsDescribed validates real answers of each version whose description is in testdata.
func TestHubAnswersAreAsDescribed(t *testing.T) {
	t.Parallel()
	for _, version := range []string{"2021-07-02", "2023-06-30", "2026-11-01"} {
		t.Run(version, func(t *testing.T) {
			t.Parallel()
			s, described := newSurface(t), readDescription(t, "IotHubs", version)
			s.inventory()
			// Members of other versions must not be in the answers of this one.
			s.call("PUT", hubAt+"2022-04-30-preview", hubBefore+`{`+streams+`}}`)
			s.call("PUT", strings.Replace(hubAt, "hub-1", "hub-3", 1)+"2026-11-01", hubBefore+`{`+eventStream+`}}`)
			all := strings.Replace(hubAt, "/hub-1", "", 1)
			answers := map[string]struct{ body, as string }{}
			ask := func(name, as, method, path, body string) string {
				_, answer := s.call(method, path+version, body)
				answers[name] = struct{ body, as string }{answer, as}
				return answer
			}
			ask("put", "IotHubDescription", "PUT", hubAt, fullHub)
			got := ask("get", "IotHubDescription", "GET", hubAt, "")
			ask("list", "IotHubDescriptionListResult", "GET", all, "")
			ask("keys", "SharedAccessSignatureAuthorizationRuleListResult", "POST",
				strings.Replace(hubAt, "?", "/listkeys?", 1), "")
			ask("patch", "IotHubDescription", "PATCH", hubAt, `{"tags":{"c":"d"}}`)
			ask("put again", "IotHubDescription", "PUT", hubAt, got)
			for name, answer := range answers {
				var value any
				if err := json.Unmarshal([]byte(answer.body), &value); err != nil {
					t.Fatal(err)
				}
				for _, wrong := range described.validate(name, value, &schema{Ref: "#/definitions/" + answer.as}) {
					// Recorded traffic of the Azure CLI contains these two, unlike the description.
					if !strings.Contains(wrong, ".resourcegroup: no such") &&
						!strings.Contains(wrong, ".subscriptionid: no such") {
						t.Error(wrong)
					}
				}
			}
		})
	}
}

func TestAHubIsPutWithNullsAndWithItsOwnAnswer(t *testing.T) {
	t.Parallel()
	for _, version := range []string{"2021-07-02", "2023-06-30", "2026-11-01"} {
		s, described := newSurface(t), readDescription(t, "IotHubs", version)
		s.inventory()
		nulls := map[string]any{}
		for name := range described["IotHubProperties"].Properties {
			nulls[name] = nil
		}
		hub := map[string]any{
			"location": "westeurope", "sku": map[string]any{"name": "S1", "capacity": 1, "tier": nil},
			"properties": nulls, "tags": nil,
			"identity": nil, "systemData": nil, "id": nil, "name": nil, "type": nil, "etag": nil,
		}
		body, err := json.Marshal(hub)
		if err != nil {
			t.Fatal(err)
		}
		if status, answer := s.call("PUT", hubAt+version, string(body)); status != http.StatusCreated {
			t.Errorf("%s: got %d %s for nulls", version, status, answer)
		}
		s.call("PUT", hubAt+version, fullHub)
		shown := func() (all map[string]any, text string) {
			_, text = s.call("GET", hubAt+version, "")
			if err := json.Unmarshal([]byte(text), &all); err != nil {
				t.Fatal(err)
			}
			delete(all, "etag")
			return all, text
		}
		before, text := shown()
		if status, answer := s.call("PUT", hubAt+version, text); status != http.StatusCreated {
			t.Errorf("%s: got %d %s for the answer sent back", version, status, answer)
		}
		if after, _ := shown(); !reflect.DeepEqual(before, after) {
			t.Errorf("%s: got %v after the answer was sent back, want %v", version, after, before)
		}
	}
}

func TestTheRegistrationListsTheVersionsOfHubs(t *testing.T) {
	t.Parallel()
	s := newSurface(t)
	s.inventory()
	status, refused := s.call("PUT", hubAt+"2026-12-31", `{}`)
	if status != http.StatusBadRequest || member(t, refused, "error", "code") != "NoRegisteredProviderFound" {
		t.Errorf("PUT with an unknown version: got %d %s", status, refused)
	}
	if status, refused := s.call("GET", hubAt+"2026-12-31", ""); status != http.StatusNotFound {
		t.Errorf("GET with an unknown version: got %d %s", status, refused)
	}
	_, registered := s.call("GET", "/../../providers/Microsoft.Devices?api-version=2021-04-01", "")
	var provider struct {
		ResourceTypes []struct {
			ResourceType string
			APIVersions  []string `json:"apiVersions"`
		}
	}
	if err := json.Unmarshal([]byte(registered), &provider); err != nil || len(provider.ResourceTypes) == 0 {
		t.Fatalf("got %s (%v)", registered, err)
	}
	versions := provider.ResourceTypes[0].APIVersions
	for _, want := range []string{"2016-02-03", "2023-06-30", "2026-10-01-preview", "2026-11-01"} {
		if !slices.Contains(versions, want) {
			t.Errorf("%s is not listed in %v", want, versions)
		}
	}
	for _, version := range versions {
		if !strings.Contains(refused, version) {
			t.Errorf("%s is not listed in %s", version, refused)
		}
		for _, method := range []string{"GET", "PUT"} {
			if status, body := s.call(method, hubAt+version, hubBefore+`{}}`); status >= 300 {
				t.Errorf("%s with %s, which is listed: got %d %s", method, version, status, body)
			}
		}
	}
}

func TestCertificatesOfHubsAreNotTiedToDeviceRegistry(t *testing.T) {
	t.Parallel()
	s := newSurface(t)
	s.inventory()
	at := strings.Replace(hubAt, "?", "/certificates/c?", 1)
	for version, test := range map[string]struct{ member, want string }{
		"2023-06-30":         {"certificateAuthorityResourceId", "errorcode: IH400024"},
		"2026-11-01":         {"certificateAuthorityResourceId", "does not tie certificates"},
		"2025-08-01-preview": {"policyResourceId", "does not tie certificates"},
	} {
		t.Run(version, func(t *testing.T) {
			status, body := s.call("PUT", at+version, `{"properties":{"`+test.member+`":"/x"}}`)
			if status != http.StatusBadRequest || !strings.Contains(body, test.want) {
				t.Errorf("%s: got %d %s, want %q", version, status, body, test.want)
			}
		})
	}
}

// Source: iotdps.json of 2026-11-02-preview.
func TestLinksShowTheirConnectionProfileInOneVersion(t *testing.T) {
	t.Parallel()
	s := newSurface(t)
	s.inventory()
	s.call("PUT", dps+"2026-08-31",
		`{"location":"westeurope","sku":{"name":"S1","capacity":1},"properties":{"iotHubs":[{"location":"westeurope",`+
			`"connectionString":"HostName=hub-1.azure-devices.net;SharedAccessKeyName=p;SharedAccessKey=a2V5"}]}}`)
	for version, want := range map[string]string{"2026-08-31": "", "2026-11-01": "", "2026-11-02-preview": "Classic"} {
		t.Run(version, func(t *testing.T) {
			_, body := s.call("GET", dps+version, "")
			if got := member(t, body, "properties", "iotHubs", 0, "connectionProfile"); got != want {
				t.Errorf("%s: got %q, want %q", version, got, want)
			}
			if status, answer := s.call("PUT", dps+version, body); status != http.StatusCreated {
				t.Errorf("%s: got %d %s for the answer sent back", version, status, answer)
			}
		})
	}
}

// Source: iothub.json of 2026-11-01: a hub with the gateway V2 has all three names.
func TestAHubShowsItsNamesFrom2026On(t *testing.T) {
	t.Parallel()
	s := newSurface(t)
	s.inventory()
	for version, want := range map[string][3]string{
		"2023-06-30": {"", "", ""}, "2025-08-01-preview": {"", "", ""},
		"2026-03-01-preview": {"hub-1.device.azure-devices.net", "hub-1.service.azure-devices.net", "V2"},
		"2026-11-01":         {"hub-1.device.azure-devices.net", "hub-1.service.azure-devices.net", "V2"},
	} {
		t.Run(version, func(t *testing.T) {
			_, body := s.call("GET", hubAt+version, "")
			got := [3]string{
				member(t, body, "properties", "deviceHostName"), member(t, body, "properties", "serviceHostName"),
				member(t, body, "properties", "iotHubDetails", "gatewayVersion"),
			}
			if got != want || member(t, body, "properties", "hostName") != "hub-1.azure-devices.net" {
				t.Errorf("%s: got %q of %s, want %q", version, got, body, want)
			}
		})
	}
	status, made := s.call("PUT", strings.Replace(hubAt, "hub-1", "new", 1)+"2026-11-01", hubBefore+`{}}`)
	if status != http.StatusCreated || strings.Contains(made, "ostName\"") {
		t.Errorf("a new hub: got %d %s, want no host names yet", status, made)
	}
}
