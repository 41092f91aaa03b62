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
