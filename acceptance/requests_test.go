//go:build acceptance

package acceptance_test

import (
	"encoding/json"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	own "evenkeel/acceptance/checkout"
)

// The requests that one up sends to Azure Resource Manager, for each resource, written by hand from the REST
// descriptions: resource groups 2022-09-01, IotHubs 2022-04-30-preview and provisioningServices 2022-12-12, which are
// the defaults of azure-native 2.92.3. The plugin reads a resource, sends the PUT, polls the long-running operation
// until it returns the resource, and reads the resource again for the state, as the real plugin does.
var (
	groupRequests = []string{
		"GET /subscriptions/S/resourcegroups/environment 2022-09-01 404",
		"PUT /subscriptions/S/resourcegroups/environment 2022-09-01 201",
		"GET /subscriptions/S/resourcegroups/environment 2022-09-01 200",
	}
	serviceRequests = []string{
		"GET /subscriptions/S/resourcegroups/environment/providers/microsoft.devices/provisioningservices/provisioning 2022-12-12 404",
		"PUT /subscriptions/S/resourcegroups/environment/providers/microsoft.devices/provisioningservices/provisioning 2022-12-12 201",
		"GET /subscriptions/S/providers/microsoft.devices/locations/westeurope/provisioningserviceoperationresults/OP 2022-12-12 200",
		"GET /subscriptions/S/resourcegroups/environment/providers/microsoft.devices/provisioningservices/provisioning 2022-12-12 200",
		"GET /subscriptions/S/resourcegroups/environment/providers/microsoft.devices/provisioningservices/provisioning 2022-12-12 200",
	}
)

func hubRequests(name string) []string {
	return []string{
		"GET /subscriptions/S/resourcegroups/environment/providers/microsoft.devices/iothubs/" + name +
			" 2022-04-30-preview 404",
		"PUT /subscriptions/S/resourcegroups/environment/providers/microsoft.devices/iothubs/" + name +
			" 2022-04-30-preview 201",
		"GET /subscriptions/S/resourcegroups/environment/providers/microsoft.devices/iothubs/" + name +
			" 2022-04-30-preview 200",
		"GET /subscriptions/S/resourcegroups/environment/providers/microsoft.devices/iothubs/" + name +
			" 2022-04-30-preview 200",
	}
}

// quotaRequests are sent by keel before it starts Pulumi: the subscription's hubs and services, and its quotas.
var quotaRequests = []string{"GET /subscriptions/S/resources 2021-04-01 200",
	"GET /subscriptions/S/providers/microsoft.devices/usages 2023-06-30 200"}

func TestOneUpSendsTheRequestsThatTheRealPluginSends(t *testing.T) {
	own.TearDown(checkout)
	t.Cleanup(func() { own.TearDown(checkout) })
	if _, err := own.Keel(checkout, "up"); err != nil {
		t.Fatal(err)
	}
	s, err := own.EmulatorStatus(checkout)
	if err != nil {
		t.Fatal(err)
	}
	log := requestLog(t, s.Endpoints.Control)
	for name, want := range map[string][]string{
		"resourcegroups/environment": groupRequests,
		"iothubs/hub-1":              hubRequests("hub-1"),
		"iothubs/hub-2":              hubRequests("hub-2"),
		"/provisioning":              serviceRequests,
	} {
		t.Run(name, func(t *testing.T) {
			var got []string
			for _, line := range log {
				path := strings.Fields(line)[1]
				if strings.HasSuffix(path, name) || name == "/provisioning" &&
					strings.Contains(path, "provisioningserviceoperationresults") {
					got = append(got, line)
				}
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("%s (-want +got):\n%s", name, diff)
			}
		})
	}
	if diff := cmp.Diff(slices.Concat(quotaRequests, groupRequests[:1]), log[:len(quotaRequests)+1]); diff != "" {
		t.Errorf("the first requests (-want +got):\n%s", diff)
	}
}

var (
	suffix    = regexp.MustCompile(`(environment|hub-[0-9]+|provisioning)[0-9a-f]{8}\b`)
	operation = regexp.MustCompile(`(operationresults)/[^/ ]+`)
)

// requestLog returns the requests to ARM, one a line: method, path in lower case without random parts, api-version and
// status.
func requestLog(t *testing.T, control string) []string {
	t.Helper()
	request, err := http.NewRequest(http.MethodGet, control+"/requests?surface=arm", http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	response, err := atControl(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	var log []struct {
		Method     string
		Path       string
		APIVersion string `json:"apiVersion"`
		Status     json.Number
	}
	if err := json.NewDecoder(response.Body).Decode(&log); err != nil {
		t.Fatal(err)
	}
	var lines []string
	for _, r := range log {
		path, _, _ := strings.Cut(strings.ToLower(r.Path), "?")
		path = strings.Replace(path, "00000000-0000-0000-0000-000000000000", "S", 1)
		path = operation.ReplaceAllString(suffix.ReplaceAllString(path, "$1"), "$1/OP")
		lines = append(lines, strings.Join([]string{r.Method, path, r.APIVersion, r.Status.String()}, " "))
	}
	if len(lines) == 0 {
		t.Fatal("the request log of ARM is empty")
	}
	return lines
}
