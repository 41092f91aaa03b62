package arm_test

import (
	"strings"
	"testing"
)

// Sources: Azure/azure-iot-cli-extension issue 650 and pull request 655 (routes and enrichments had to be removed
// before their endpoint).
func TestRoutesNeedExistingEndpoints(t *testing.T) {
	t.Parallel()
	s := newSurface(t)
	s.inventory()
	const hub = "/providers/Microsoft.Devices/IotHubs/hub-1?api-version=2023-06-30"
	put := func(routing string) (int, string) {
		return s.call(
			"PUT",
			hub,
			`{"location":"westeurope","sku":{"name":"S1","capacity":1},"properties":{"routing":`+routing+`}}`,
		)
	}
	endpoint := func(name string) string {
		return `{"name":"` + name +
			`","connectionString":"Endpoint=sb://x.servicebus.windows.net/;SharedAccessKeyName=send;SharedAccessKey=a;EntityPath=e"}`
	}
	route := func(endpoint string) string {
		return `"routes":[{"name":"r","source":"DeviceMessages","condition":"true","endpointNames":["` + endpoint +
			`"],"isEnabled":true}]`
	}
	one := `"endpoints":{"eventHubs":[` + endpoint("one") + `],"serviceBusQueues":[]}`
	for _, test := range []struct{ routing, want string }{
		{`{` + route("nowhere") + `}`, "Route has an undefined endpoint, Route Name:r, EndpointName:nowhere."},
		{`{` + one + `,` + route("one") + `}`, ""},
		{`{` + one + `,` + route("ONE") + `}`, ""},
		{`{"endpoints":{"eventHubs":[]},` + route("one") + `}`, "EndpointName:one."}, // removed while a route uses it
		{`{` + route("events") + `}`, ""},
		{`{` + route("eventgrid") + `}`, ""},
		{`{"endpoints":{"cosmosDBSqlContainers":[` + endpoint("c") + `],"storageContainers":[` + endpoint("s") + `]},` +
			route("c") + `}`, ""},
		{`{"fallbackRoute":{"name":"$fallback","source":"DeviceMessages","endpointNames":["nowhere"],"isEnabled":true}}`, "Fallback route has an undefined endpoint"},
		{`{"fallbackRoute":{"name":"$fallback","source":"DeviceMessages","endpointNames":["events"],"isEnabled":true}}`,
			""},
		{`{"enrichments":[{"key":"k","value":"v","endpointNames":["nowhere"]}]}`,
			"Enrichment has an undefined endpoint, Enrichment Key:k, EndpointName:nowhere."},
		{`{` + one + `,"enrichments":[{"key":"k","value":"v","endpointNames":["one","events"]}]}`, ""},
		{`{"endpoints":{"eventHubs":[` + endpoint("one") + `],"serviceBusTopics":[` + endpoint("One") + `]}}`,
			"a unique name"},
		{`{"endpoints":{"eventHubs":[` + endpoint("Events") + `]}}`, "a unique name"},
		{`{"endpoints":[]}`, "the form of the specification"},
		{`null`, ""},
	} {
		t.Run(test.routing, func(t *testing.T) {
			status, body := put(test.routing)
			if test.want == "" && status != 201 ||
				test.want != "" && (status != 400 || !strings.Contains(body, test.want)) {
				t.Errorf("%s: got %d %s, want %q", test.routing, status, body, test.want)
			}
		})
	}
}
