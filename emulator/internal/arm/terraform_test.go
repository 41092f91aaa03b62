package arm_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"math/big"
	"net/http"
	"net/http/httptest"
	"reflect"
	"strings"
	"testing"
	"time"

	"evenkeel/emulator/internal/arm"
)

// What hashicorp/terraform-provider-azurerm 5.2.0 expects of answers. Each test names the source file.

const (
	aHub     = "/providers/Microsoft.Devices/IotHubs/hub-1"
	ofHub    = "?api-version=2022-04-30-preview"
	hubStart = `{"location":"westeurope","sku":{"name":"S1","capacity":1},"properties":`
)

// must makes a call, checks the status, and decodes the answer.
func (s surface) must(method, path, body string, want int, into any) {
	s.t.Helper()
	status, answer := s.call(method, path, body)
	if status != want {
		s.t.Fatalf("%s %s: got %d %s, want %d", method, path, status, answer, want)
	}
	if into == nil {
		return
	}
	if err := json.Unmarshal([]byte(answer), into); err != nil {
		s.t.Fatalf("%s %s: got %s: %v", method, path, answer, err)
	}
}

func (s surface) makeGroup() {
	s.t.Helper()
	s.must("PUT", ofGroups, `{"location":"westeurope"}`, http.StatusCreated, nil)
}

const ofGroups = "?api-version=2022-09-01"

// Sources: iothub_endpoint_servicebus_queue_resource.go ("if routing.Endpoints.EventHubs == nil"),
// iothub_fallback_route_resource_test.go (Name must not be nil); recorded in Azure/azure-cli, test_hub_wait.
func TestRoutingIsShownCompletely(t *testing.T) {
	t.Parallel()
	s := newSurface(t)
	s.makeGroup()
	const queue = `{"name":"q1","connectionString":"Endpoint=sb://x.servicebus.windows.net/;SharedAccessKeyName=k;SharedAccessKey=AAAA;EntityPath=q"}`
	for _, test := range []struct {
		routing, lists, fallback string
	}{
		{`{"endpoints":{"serviceBusQueues":[` + queue + `]}}`, "1 0 0 0", ""},
		{`{"endpoints":{"serviceBusQueues":[` + queue + `],"eventHubs":null},"routes":null}`, "1 0 0 0", ""},
		{`{"endpoints":null,"fallbackRoute":null}`, "0 0 0 0", ""},
		{`{"fallbackRoute":{"source":"DeviceMessages","endpointNames":["events"],"isEnabled":true}}`, "0 0 0 0",
			"$fallback"},
		{`{"fallbackRoute":{"name":null,"source":"DeviceMessages","endpointNames":["events"],"isEnabled":true}}`,
			"0 0 0 0", "$fallback"},
		{`null`, "0 0 0 0", "$fallback"},
	} {
		t.Run(test.routing, func(t *testing.T) {
			s.must("PUT", aHub+ofHub, hubStart+`{"routing":`+test.routing+`}}`, http.StatusCreated, nil)
			var hub, list struct {
				Properties struct{ Routing map[string]any }
				Value      []struct {
					Properties struct{ Routing map[string]any }
				}
			}
			s.must("GET", aHub+ofHub, "", http.StatusOK, &hub)
			s.must("GET", "/providers/Microsoft.Devices/IotHubs"+ofHub, "", http.StatusOK, &list)
			if !reflect.DeepEqual(list.Value[0].Properties.Routing, hub.Properties.Routing) {
				t.Errorf("%s: got %v in the list, want what the hub shows", test.routing, list.Value)
			}
			routing := hub.Properties.Routing
			endpoints, _ := routing["endpoints"].(map[string]any)
			var lists []string
			for _, name := range []string{"serviceBusQueues", "serviceBusTopics", "eventHubs", "storageContainers"} {
				items, is := endpoints[name].([]any)
				if !is {
					t.Errorf("%s: got %v of %s, want a list", test.routing, endpoints[name], name)
				}
				lists = append(lists, string(rune('0'+len(items))))
			}
			if got := strings.Join(lists, " "); got != test.lists {
				t.Errorf("%s: got lists of %s, want %s", test.routing, got, test.lists)
			}
			if _, is := routing["routes"].([]any); !is {
				t.Errorf("%s: got routes %v, want a list", test.routing, routing["routes"])
			}
			fallback, _ := routing["fallbackRoute"].(map[string]any)
			if name, _ := fallback["name"].(string); name != test.fallback {
				t.Errorf("%s: got the fallback route %q, want %q", test.routing, name, test.fallback)
			}
		})
	}
}

// Source: iothub_resource.go, IothubConnectionStringSuppress ("Azure ... will include the port number in the GET
// response").
func TestConnectionStringsOfNamespacesShowThePort(t *testing.T) {
	t.Parallel()
	s := newSurface(t)
	s.makeGroup()
	put := func(connection string, want int) {
		t.Helper()
		s.must("PUT", aHub+ofHub, hubStart+`{"routing":{"endpoints":{"eventHubs":[{"name":"e1","connectionString":"`+
			connection+`"}]}}}}`, want, nil)
	}
	const key, other = "SharedAccessKeyName=k;SharedAccessKey=", ";EntityPath=e"
	const shown = "Endpoint=sb://ns1.servicebus.windows.net:5671/;" + key + "****" + other
	for _, sent := range []string{
		"Endpoint=sb://ns1.servicebus.windows.net/;" + key + "AAAA" + other,
		"Endpoint=sb://ns1.servicebus.windows.net:5671/;" + key + "AAAA" + other,
	} {
		t.Run(sent, func(t *testing.T) {
			put(sent, http.StatusCreated)
			for _, masked := range []string{shown, strings.ReplaceAll(shown, ":5671", "")} {
				if _, body := s.call("GET", aHub+ofHub, ""); !strings.Contains(body, `"`+shown+`"`) {
					t.Errorf("%s: got %s, want %s", sent, body, shown)
				}
				put(masked, http.StatusCreated)
				if hub, err := s.state.HubByHost("hub-1.azure-devices.net"); err != nil ||
					!bytes.Contains(hub.Properties, []byte("=AAAA")) {
					t.Errorf("%s after %s: got a hub without its key, %v", masked, sent, err)
				}
			}
		})
	}
	put(strings.Replace(shown, "ns1", "ns2", 1), http.StatusBadRequest)
	s.must("PUT", aHub+ofHub, hubStart+
		`{"storageEndpoints":{"$default":{"containerName":"c","CONNECTIONSTRING":"AccountName=a;AccountKey=c2VjcmV0"}}}}`, http.StatusCreated, nil)
	if _, body := s.call("GET", aHub+ofHub, ""); strings.Contains(body, "c2VjcmV0") || strings.Contains(body, "5671") {
		t.Errorf("got %s, want the key of a storage account masked, and no port", body)
	}
}

// Source: iothub_certificate_resource_test.go uploads filebase64 of a PEM file and wants an empty plan; recorded of PEM
// in Azure/azure-cli, test_certificate_lifecycle.
func TestHubCertificatesAreShownAsTheyWereSent(t *testing.T) {
	t.Parallel()
	s := newSurface(t)
	s.makeGroup()
	s.must("PUT", aHub+ofHub, hubStart+`{}}`, http.StatusCreated, nil)
	authority, key := selfSigned(t)
	der := base64.StdEncoding.EncodeToString(authority)
	text := string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: authority}))
	private := text + string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: key}))
	base64OfPEM := base64.StdEncoding.EncodeToString([]byte(text))
	for name, test := range map[string]struct{ sent, put, get string }{
		"der":         {der, der, der},
		"pem":         {text, text, der},
		"base64":      {base64OfPEM, base64OfPEM, base64OfPEM},
		"private":     {private, der, der},
		"private-b64": {base64.StdEncoding.EncodeToString([]byte(private)), der, der},
	} {
		t.Run(name, func(t *testing.T) {
			body, err := json.Marshal(map[string]any{"properties": map[string]any{"certificate": test.sent}})
			if err != nil {
				t.Fatal(err)
			}
			var put, get struct{ Properties struct{ Certificate string } }
			s.must("PUT", aHub+"/certificates/"+name+ofHub, string(body), http.StatusCreated, &put)
			s.must("GET", aHub+"/certificates/"+name+ofHub, "", http.StatusOK, &get)
			if put.Properties.Certificate != test.put || get.Properties.Certificate != test.get {
				t.Errorf("%s: got %.40q from PUT and %.40q from GET, want %.40q and %.40q", name,
					put.Properties.Certificate, get.Properties.Certificate, test.put, test.get)
			}
			if child, err := s.state.Child("hub-1.azure-devices.net", "certificates", name); err != nil ||
				bytes.Contains(
					child.Body, []byte(base64.StdEncoding.EncodeToString([]byte(private))[len(base64OfPEM):])) {
				t.Errorf("%s: got a private key in the state, %v", name, err)
			}
		})
	}
}

func selfSigned(t *testing.T) (der, key []byte) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "authority"}, IsCA: true,
		BasicConstraintsValid: true,
		NotBefore:             time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
	}
	if der, err = x509.CreateCertificate(rand.Reader, template, template, private.Public(), private); err != nil {
		t.Fatal(err)
	}
	if key, err = x509.MarshalPKCS8PrivateKey(private); err != nil {
		t.Fatal(err)
	}
	return der, key
}

// Source: iothub_resource.go (event_hub_partition_count is 2 to 128), iothub_resource_test.go (77).
func TestPartitionsUpTo128(t *testing.T) {
	t.Parallel()
	s := newSurface(t)
	s.makeGroup()
	for count, want := range map[string]int{"1": 400, "2": 201, "77": 201, "128": 201, "129": 400} {
		s.must("PUT", aHub+"-"+count+ofHub, hubStart+
			`{"eventHubEndpoints":{"events":{"retentionTimeInDays":7,"partitionCount":`+count+`}}}}`, want, nil)
	}
}

// Source: iothub_consumer_group_resource_test.go, operationsMonitoringEvents.
func TestConsumerGroupsOfOperationsMonitoring(t *testing.T) {
	t.Parallel()
	s := newSurface(t)
	s.makeGroup()
	s.must("PUT", aHub+ofHub, hubStart+`{}}`, http.StatusCreated, nil)
	const events, monitoring = aHub + "/eventHubEndpoints/events/ConsumerGroups", aHub +
		"/eventhubendpoints/OperationsMonitoringEvents/ConsumerGroups"
	var made struct{ ID string }
	s.must("PUT", monitoring+"/test"+ofHub, `{"properties":{"name":"test"}}`, http.StatusOK, &made)
	if !strings.HasSuffix(made.ID, aHub+"/eventHubEndpoints/operationsMonitoringEvents/ConsumerGroups/test") {
		t.Errorf("got the id %s, want that of the endpoint", made.ID)
	}
	s.must("GET", events+"/test"+ofHub, "", http.StatusNotFound, nil)
	for path, want := range map[string]int{events: 1, monitoring: 2} {
		t.Run(path, func(t *testing.T) {
			var list struct{ Value []any }
			s.must("GET", path+ofHub, "", http.StatusOK, &list)
			if len(list.Value) != want {
				t.Errorf("%s: got %d consumer groups, want %d", path, len(list.Value), want)
			}
		})
	}
	s.must("DELETE", monitoring+"/test"+ofHub, "", http.StatusOK, nil)
	s.must("GET", monitoring+"/test"+ofHub, "", http.StatusNotFound, nil)
	s.must("PUT", aHub+"/eventHubEndpoints/other/ConsumerGroups/test"+ofHub, `{}`, http.StatusNotFound, nil)
}

// Source: hashicorp/go-azure-sdk, sdk/client/resourcemanager/poller_lro.go: without Retry-After, 10 s pass before the
// first poll.
func TestCompletedOperationsAreReportedAtOnce(t *testing.T) {
	t.Parallel()
	for delay, want := range map[time.Duration]string{0: "0", time.Hour: "1"} {
		t.Run(fmt.Sprint(delay), func(t *testing.T) {
			s := newSurfaceWith(t, arm.Options{Delay: delay})
			s.makeGroup()
			for _, call := range []struct{ method, path, body string }{
				{"PUT", aHub + ofHub, hubStart + `{}}`},
				{"PUT", "/providers/Microsoft.Devices/provisioningServices/dps-1?api-version=2022-02-05", hubStart + `{}}`},
				{"DELETE", ofGroups, ""},
			} {
				t.Run(call.method+" "+call.path, func(t *testing.T) {
					r := httptest.NewRequest(call.method, "https://arm.example/subscriptions/"+subscription+
						"/resourceGroups/rg"+call.path, strings.NewReader(call.body))
					r.Header.Set("Authorization", "Bearer "+s.token)
					w := httptest.NewRecorder()
					s.handler.ServeHTTP(w, r)
					if got := w.Header().Get("Retry-After"); got != want || w.Code/100 != 2 {
						t.Errorf("got %d, Retry-After %q, want %q", w.Code, got, want)
					}
				})
			}
		})
	}
}
