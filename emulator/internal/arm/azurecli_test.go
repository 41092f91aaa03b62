package arm_test

import (
	"encoding/base64"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
)

// What the Azure CLI expects of answers, and sends. The source is azure-cli 2.45.0, command_modules/iot/custom.py,
// unless a test names another one.

// "hub.additional_properties['resourcegroup']": it looks hubs up in the lists, and continues with their group.
func TestHubsNameTheirGroupAndSubscription(t *testing.T) {
	t.Parallel()
	s := newSurface(t)
	s.makeGroup()
	type placed struct{ Resourcegroup, Subscriptionid string }
	var made, got placed
	s.must("PUT", aHub+ofHub, hubStart+`{}}`, http.StatusCreated, &made)
	s.must("GET", aHub+ofHub, "", http.StatusOK, &got)
	var inGroup, inSubscription struct{ Value []placed }
	s.must("GET", "/providers/Microsoft.Devices/IotHubs"+ofHub, "", http.StatusOK, &inGroup)
	s.must("GET", "/../../providers/Microsoft.Devices/IotHubs"+ofHub, "", http.StatusOK, &inSubscription)
	for name, p := range map[string]placed{"PUT": made, "GET": got, "group": inGroup.Value[0],
		"subscription": inSubscription.Value[0]} {
		t.Run(name, func(t *testing.T) {
			if p != (placed{"rg", subscription}) {
				t.Errorf("%s: got %+v, want the group and the subscription", name, p)
			}
		})
	}
}

// "{'IF-MATCH': hub.etag}" is intended as headers, but is sent as the text of the header.
func TestIfMatchOfTheAzureCLI(t *testing.T) {
	t.Parallel()
	s := newSurface(t)
	s.makeGroup()
	var hub struct{ ETag string }
	for _, test := range []struct {
		before, after string
		want          int
	}{
		{"{'IF-MATCH': '", "'}", 201}, {`{"If-Match": "`, `"}`, 201}, {"{ 'if-match' : '", "' }", 201}, {"", "", 201},
		{`W/"`, `"`, 201},
		{"{'IF-MATCH': '", "x'}", 412}, {"", "x", 412},
	} {
		t.Run(test.before+"…"+test.after, func(t *testing.T) {
			s.must("PUT", aHub+ofHub, hubStart+`{}}`, http.StatusCreated, nil)
			s.must("GET", aHub+ofHub, "", http.StatusOK, &hub)
			if got := s.putMatching(aHub+ofHub, test.before+hub.ETag+test.after); got != test.want {
				t.Errorf("%s…%s: got %d, want %d", test.before, test.after, got, test.want)
			}
		})
	}
	for match, want := range map[string]int{"{'IF-MATCH': None}": 201, "{'IF-MATCH': '*'}": 201,
		"{'IF-MATCH': 'AAAAAAAAAAA='}": 412} {
		t.Run(match, func(t *testing.T) {
			if got := s.putMatching(aHub+ofHub, match); got != want {
				t.Errorf("%s: got %d, want %d", match, got, want)
			}
		})
	}
}

// putMatching puts a hub with an If-Match, and returns the status.
func (s surface) putMatching(path, match string) int {
	r := httptest.NewRequest("PUT", "https://arm.example/subscriptions/"+subscription+"/resourceGroups/rg"+path,
		strings.NewReader(hubStart+`{}}`))
	r.Header.Set("Authorization", "Bearer "+s.token)
	r.Header.Set("If-Match", match)
	w := httptest.NewRecorder()
	s.handler.ServeHTTP(w, r)
	return w.Code
}

// Source: Azure/azure-iot-cli-extension, azext_iot/iothub/providers/discovery.py, PRIVILEDGED_ACCESS_RIGHTS_SET.
func TestRightsOfTheFirstPolicies(t *testing.T) {
	t.Parallel()
	s := newSurface(t)
	s.makeGroup()
	s.must("PUT", aHub+ofHub, hubStart+`{}}`, http.StatusCreated, nil)
	var list struct {
		Value []struct{ KeyName, Rights string }
	}
	s.must("POST", aHub+"/listkeys"+ofHub, "", http.StatusOK, &list)
	got := map[string]string{}
	for _, p := range list.Value {
		got[p.KeyName] = p.Rights
	}
	for name, want := range map[string]string{
		"iothubowner": "RegistryWrite, ServiceConnect, DeviceConnect", "service": "ServiceConnect",
		"device":       "DeviceConnect",
		"registryRead": "RegistryRead", "registryReadWrite": "RegistryWrite",
	} {
		t.Run(name, func(t *testing.T) {
			if got[name] != want {
				t.Errorf("%s: got %q, want %q", name, got[name], want)
			}
		})
	}
}

// Source: Azure/azure-iot-cli-extension, azext_iot/iothub/providers/state.py: the template has the hub first, with an
// identity, and then its certificates, each with the hub that it depends on.
func TestAGroupIsExportedAsATemplate(t *testing.T) {
	t.Parallel()
	s := newSurface(t)
	s.inventory()
	authority, _ := selfSigned(t)
	s.must("PUT", aHub+"/certificates/c1"+ofHub, `{"properties":{"certificate":"`+
		base64.StdEncoding.EncodeToString(authority)+`"}}`, http.StatusCreated, nil)
	type template struct {
		Template struct {
			Schema    string `json:"$schema"`
			Resources []struct {
				Type, Name, APIVersion, Location string
				DependsOn                        []string
				Identity                         map[string]any
				Properties                       map[string]any
			}
		}
	}
	const prefix = "/subscriptions/" + subscription + "/resourceGroups/rg/providers/Microsoft.Devices/"
	for resources, want := range map[string]string{
		`["*"]`: "Hub-2 hub-1 dps-1 hub-1/c1", `[]`: "Hub-2 hub-1 dps-1 hub-1/c1",
		`["` + prefix + `IotHubs/HUB-1"]`:               "hub-1 hub-1/c1",
		`["` + prefix + `provisioningServices/dps-1/"]`: "dps-1",
	} {
		t.Run(resources, func(t *testing.T) {
			var got template
			s.must("POST", "/exportTemplate?api-version=2021-04-01", `{"resources":`+resources+
				`,"options":"SkipAllParameterization"}`, http.StatusOK, &got)
			var names []string
			for _, r := range got.Template.Resources {
				names = append(names, r.Name)
				if r.APIVersion == "" || r.Properties == nil ||
					strings.HasSuffix(r.Type, "certificates") != (len(r.DependsOn) == 1) {
					t.Errorf("%s: got %+v, want a resource of a template", resources, r)
				}
				if strings.HasSuffix(r.Type, "/IotHubs") &&
					(r.Identity["type"] != "None" || r.Properties["hostName"] != nil ||
						r.Properties["routing"] == nil) {
					t.Errorf("%s: got %+v, want what can be set of a hub, and its identity", resources, r)
				}
			}
			if joined := strings.Join(names, " "); !sameWords(joined, want) || got.Template.Schema == "" {
				t.Errorf("%s: got %s, want %s", resources, joined, want)
			}
		})
	}
	s.must("POST", "/exportTemplate?api-version=2021-04-01", `{"resources":["`+prefix+`IotHubs/absent"]}`,
		http.StatusNotFound, nil)
	s.must("POST", "/../absent/exportTemplate?api-version=2021-04-01", `{"resources":["*"]}`, http.StatusNotFound, nil)
}

func sameWords(a, b string) bool {
	left, right := strings.Fields(a), strings.Fields(b)
	slices.Sort(left)
	slices.Sort(right)
	return slices.Equal(left, right)
}

// `az iot hub devicestream show`.
func TestDeviceStreamsAreReadWithAnOlderVersion(t *testing.T) {
	t.Parallel()
	s := newSurface(t)
	s.makeGroup()
	s.must("PUT", aHub+ofHub, hubStart+`{"deviceStreams":{"streamingEndpoints":["https://x"]}}}`, http.StatusCreated,
		nil)
	var hub struct {
		Properties struct{ DeviceStreams map[string]any }
	}
	s.must("GET", aHub+"?api-version=2019-07-01-preview", "", http.StatusOK, &hub)
	if hub.Properties.DeviceStreams == nil {
		t.Error("got no device streams, want those that were put")
	}
}

// Sources: Azure/azure-cli, test_iot_hub ("--sku F1" fails, because the CLI asks for four partitions),
// Azure/iotedgedev issue 534 (number and text).
func TestTheFreeTierHasTwoPartitions(t *testing.T) {
	t.Parallel()
	s := newSurface(t)
	s.makeGroup()
	const free = `{"location":"westeurope","sku":{"name":"F1","capacity":1},"properties":`
	for _, properties := range []string{`{"eventHubEndpoints":{"events":{"partitionCount":4}}}`,
		`{"eventHubEndpoints":{"events":{"partitionCount":1,"retentionTimeInDays":1}}}`} {
		status, answer := s.call("PUT", aHub+ofHub, free+properties+`}`)
		if status != http.StatusBadRequest || !strings.Contains(answer, `"code":400016`) ||
			!strings.Contains(answer, "value must be between 2 and 2.") {
			t.Errorf("%s: got %d %s, want 400016 and the range", properties, status, answer)
		}
	}
	var hub struct {
		Properties struct {
			EventHubEndpoints map[string]struct {
				PartitionCount int
				PartitionIDs   []string
			}
		}
	}
	for _, properties := range []string{`{}`, `{"eventHubEndpoints":{"events":{"partitionCount":2}}}`, `{}`} {
		s.must("PUT", aHub+ofHub, free+properties+`}`, http.StatusCreated, nil)
		s.must("GET", aHub+ofHub, "", http.StatusOK, &hub)
		if events := hub.Properties.EventHubEndpoints["events"]; events.PartitionCount != 2 ||
			len(events.PartitionIDs) != 2 {
			t.Errorf("%s: got %+v, want two partitions", properties, events)
		}
	}
	const paid = "/providers/Microsoft.Devices/IotHubs/hub-2"
	status, answer := s.call("PUT", paid+ofHub, hubStart+`{"eventHubEndpoints":{"events":{"partitionCount":129}}}}`)
	if status != http.StatusBadRequest || !strings.Contains(answer, "129 - value must be between 2 and 128.") {
		t.Errorf("got %d %s for S1, want 400016 and the range", status, answer)
	}
}

// Source: Azure/azure-cli, test_iot_hub: the CLI sends the sources of routes in lower case, and expects
// DeviceMessages.
func TestEnumerationsAreShownInTheDescribedSpelling(t *testing.T) {
	t.Parallel()
	s := newSurface(t)
	s.makeGroup()
	const endpoint = `"connectionString":"Endpoint=sb://x.servicebus.windows.net/;SharedAccessKeyName=k;` +
		`SharedAccessKey=AAAA;EntityPath=q"`
	const service = "/providers/Microsoft.Devices/provisioningServices/dps-1?api-version=2022-12-12"
	for path, settings := range map[string][]string{
		aHub + ofHub: {
			`"publicNetworkAccess":"Enabled"`, `"features":"DeviceManagement"`,
			`"networkRuleSets":{"applyToBuiltInEventHubEndpoint":true,"defaultAction":"Deny",` +
				`"ipRules":[{"action":"Allow","filterName":"A","ipMask":"10.0.0.1"}]}`,
			`"ipFilterRules":[{"action":"Reject","filterName":"A","ipMask":"10.0.0.1"}]`,
			`"routes":[{"endpointNames":["events"],"isEnabled":true,"name":"R","source":"DeviceLifecycleEvents"},` +
				`{"endpointNames":["events"],"isEnabled":true,"name":"S","source":"TwinChangeEvents"}]`,
			`"fallbackRoute":{"endpointNames":["events"],"isEnabled":true,"name":"$fallback",` +
				`"source":"DeviceMessages"}`,
			`"eventHubs":[{"authenticationType":"identityBased","endpointUri":"sb://x.servicebus.windows.net",` +
				`"entityPath":"Q","name":"E"}]`,
			`"storageContainers":[{"authenticationType":"keyBased"`, `"containerName":"C","encoding":"AvroDeflate"`,
		},
		service: {
			`"publicNetworkAccess":"Disabled"`,
			`"ipFilterRules":[{"action":"Accept","filterName":"A","ipMask":"10.0.0.1","target":"serviceApi"}]`,
		},
	} {
		t.Run(path, func(t *testing.T) {
			properties := `{"publicNetworkAccess":"DISABLED","ipFilterRules":[{"filterName":"A","ipMask":"10.0.0.1",` +
				`"action":"accept","target":"serviceapi"}]}`
			if path != service {
				properties = `{"publicNetworkAccess":"enabled","features":"devicemanagement",` +
					`"networkRuleSets":{"defaultAction":"deny","applyToBuiltInEventHubEndpoint":true,` +
					`"ipRules":[{"filterName":"A","action":"allow","ipMask":"10.0.0.1"}]},` +
					`"ipFilterRules":[{"filterName":"A","action":"reject","ipMask":"10.0.0.1"}],` +
					`"routing":{"routes":[{"name":"R","source":"devicelifecycleevents","endpointNames":["events"],` +
					`"isEnabled":true},{"name":"S","source":"TWINCHANGEEVENTS","endpointNames":["events"],` +
					`"isEnabled":true}],"fallbackRoute":{"source":"devicemessages","endpointNames":["events"],` +
					`"isEnabled":true},"endpoints":{"eventHubs":[{"name":"E","authenticationType":"IDENTITYBASED",` +
					`"endpointUri":"sb://x.servicebus.windows.net","entityPath":"Q"}],"storageContainers":[{` +
					`"name":"K","containerName":"C","encoding":"avrodeflate","authenticationType":"keybased",` +
					endpoint + `}]}}}`
			}
			s.must("PUT", path, hubStart+properties+`}`, http.StatusCreated, nil)
			status, answer := s.call("GET", path, "")
			for _, want := range settings {
				if status != http.StatusOK || !strings.Contains(answer, want) {
					t.Errorf("got %d %s, want %s", status, answer, want)
				}
			}
		})
	}
}

// Sources: recorded in Azure/azure-cli, test_dps_lifecycle; its test_iot_hub and its pull request 24212.
func TestDataResidencyIsForSomeRegions(t *testing.T) {
	t.Parallel()
	s := newSurface(t)
	s.makeGroup()
	const services = "/providers/Microsoft.Devices/provisioningServices/dps-"
	for _, test := range []struct {
		path, location string
		want           int
	}{
		{services + "1?api-version=2022-12-12", "westus", http.StatusBadRequest},
		{services + "1?api-version=2022-12-12", "qatarcentral", http.StatusBadRequest},
		{services + "1?api-version=2022-12-12", "Brazil South", http.StatusCreated},
		{services + "2?api-version=2026-11-01", "southeastasia", http.StatusCreated},
		{aHub + ofHub, "West US", http.StatusBadRequest},
		{aHub + ofHub, "qatarcentral", http.StatusCreated},
	} {
		t.Run(test.path+" "+test.location, func(t *testing.T) {
			start := strings.Replace(hubStart, "westeurope", test.location, 1)
			status, answer := s.call("PUT", test.path, start+`{"enableDataResidency":true}}`)
			if status != test.want {
				t.Fatalf("got %d %s, want %d", status, answer, test.want)
			}
			if where := strings.ToLower(strings.ReplaceAll(test.location, " ", "")); status == http.StatusBadRequest &&
				!strings.Contains(answer, `{"code":400309,"httpStatusCode":"BadRequest",`+
					`"message":"DataResidency is not supported in `+where) {
				t.Errorf("got %s, want Azure's error", answer)
			}
			if status == http.StatusCreated && !strings.Contains(answer, `"enableDataResidency":true`) {
				t.Errorf("got %s, want the setting", answer)
			}
		})
	}
}
