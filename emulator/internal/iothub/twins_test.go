package iothub_test

import (
	"encoding/json"
	"net/http"
	"regexp"
	"strings"
	"testing"
)

// The formats are those recorded with the Azure SDK for .NET: DevicesClient_TwinLifecycle, 2020-03-13.
func TestATwinBeginsEmptyAndCountsItsChanges(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	etag := regexp.MustCompile(`"etag":"([^"]+)"`).FindStringSubmatch(f.owner("PUT", "/devices/d1",
		`{"deviceId":"d1"}`).body)[1]
	got := f.owner("GET", "/twins/d1", "").want(t, "get", http.StatusOK)
	want := `{"deviceId":"d1","etag":"AAAAAAAAAAE=","deviceEtag":"` + etag +
		`","status":"enabled","statusUpdateTime":"0001-01-01T00:00:00Z",` +
		`"connectionState":"Disconnected","lastActivityTime":"0001-01-01T00:00:00Z","cloudToDeviceMessageCount":0,"authenticationType":"sas",` +
		`"x509Thumbprint":{"primaryThumbprint":null,"secondaryThumbprint":null},"modelId":"","version":2,"properties":{` +
		`"desired":{"$metadata":{"$lastUpdated":"2026-03-04T05:06:07.89Z"},"$version":1},` +
		`"reported":{"$metadata":{"$lastUpdated":"2026-03-04T05:06:07.89Z"},"$version":1}},"capabilities":{"iotEdge":false}}`
	if got.body != want {
		t.Errorf("got %s\nwant %s", got.body, want)
	}
	// The client sends back what it read, with a change.
	a := f.owner("PATCH", "/twins/d1",
		`{"deviceId":"d1","properties":{"desired":{"$metadata":{"$lastUpdated":"2020-06-25T20:25:29.3360931Z"},"$version":1,
		"username":"userA"},"reported":{"$version":1,"ignored":true}},"etag":"AAAAAAAAAAE=","version":2,"tags":{"site":{"floor":2}}}`, "If-Match", "*").want(t, "patch", http.StatusOK)
	a.wantField(t, "etag", "AAAAAAAAAAI=")
	a.wantField(t, "version", 3)
	a.wantField(t, "tags.site.floor", 2)
	a.wantField(t, "properties.desired.username", "userA")
	a.wantField(t, "properties.desired.$version", 2)
	a.wantField(t, "properties.desired.$metadata.$lastUpdatedVersion", 2)
	a.wantField(t, "properties.desired.$metadata.username.$lastUpdatedVersion", 2)
	a.wantField(t, "properties.reported.$version", 1)
	a.wantField(t, "properties.reported.ignored", nil)
}

func TestPatchMergesAndPutReplaces(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.device("d1")
	f.owner("PATCH", "/twins/d1", `{"tags":{"a":1,"b":2},"properties":{"desired":{"x":{"y":1,"z":2},"w":3}}}`).want(t,
		"patch", 200)
	a := f.owner("PATCH", "/twins/d1", `{"tags":{"a":null},"properties":{"desired":{"x":{"y":null},"v":4}}}`).want(t,
		"patch", 200)
	a.wantField(t, "tags", map[string]any{"b": 2})
	a.wantField(t, "properties.desired.x", map[string]any{"z": 2})
	a.wantField(t, "properties.desired.w", 3)
	a = f.owner("PUT", "/twins/d1", `{"properties":{"desired":{"only":true}}}`).want(t, "put", 200)
	a.wantField(t, "properties.desired.only", true)
	a.wantField(t, "properties.desired.w", nil)
	a.wantField(t, "tags.b", 2)
}

func TestTwinChangesThatAreRefusedChangeNothing(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.device("d1")
	before := f.owner("GET", "/twins/d1", "").body
	f.owner("PATCH", "/twins/d1", `{"properties":{"desired":{"x":1}}}`, "If-Match", `"AAAAAAAAAAk="`).want(t,
		"stale etag", http.StatusPreconditionFailed)
	f.owner("PATCH", "/twins/d1", `{"properties":{"desired":[1]}}`).want(t, "array", http.StatusBadRequest)
	f.owner("PATCH", "/twins/d1", `{"tags":"x"}`).want(t, "tags as text", http.StatusBadRequest)
	f.owner("PATCH", "/twins/d1", `{"tags":`).want(t, "no JSON", http.StatusBadRequest)
	f.owner("PATCH", "/twins/nobody", `{}`).want(t, "unknown device", http.StatusNotFound)
	if after := f.owner("GET", "/twins/d1", "").body; after != before {
		t.Errorf("got %s, want %s", after, before)
	}
	f.owner("PATCH", "/twins/d1", `{"properties":{"desired":{"x":1}}}`, "If-Match", `"AAAAAAAAAAE="`).want(t,
		"right etag", http.StatusOK)
}

// Sources: Azure/azure-iot-sdk-csharp issue 954 (a PUT of {"a":1,"c":100} over {"a":1,"b":2} tells the device
// {"a":1,"b":null,"c":100}), Azure/azure-iot-sdk-node, e2etests/test/twin_e2e_tests.js ("can null out all desired
// properties").
func TestDevicesGetTheNamesOfDeletedProperties(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	key := f.device("d1")
	const start = `{"tags":{"floor":1},"properties":{"desired":{"a":1,"b":2,"deep":{"x":1,"y":{"z":2}},"list":[1]}}}`
	f.owner("PUT", "/twins/d1", start).want(t, "put", 200)
	c := f.connect(f.options(f.listen(), "d1", key))
	changes := subscribe(t, c, "$iothub/twin/PATCH/properties/desired/#")
	for _, step := range []struct{ method, body, told, desired, tags string }{
		{"PUT", `{"properties":{"desired":{"a":1,"c":100,"deep":{"y":{"w":3}},"list":{"m":1}}}}`,
			`{"a":1,"b":null,"c":100,"deep":{"x":null,"y":{"w":3,"z":null}},"list":{"m":1},"$version":3}`,
			`{"a":1,"c":100,"deep":{"y":{"w":3}},"list":{"m":1}}`, `{"floor":1}`},
		{"PATCH", `{"properties":{"desired":null}}`,
			`{"a":null,"c":null,"deep":null,"list":null,"$version":4}`, `{}`, `{"floor":1}`},
		{"PATCH", `{"properties":{"desired":{"a":2}},"tags":null}`, `{"a":2,"$version":5}`, `{"a":2}`, ``},
		{"PATCH", `{"properties":{"desired":{"b":3}}}`, `{"b":3,"$version":6}`, `{"a":2,"b":3}`, ``},
	} {
		t.Run(step.method+" "+step.body, func(t *testing.T) {
			a := f.owner(step.method, "/twins/d1", step.body).want(t, step.method, 200)
			if got := next(t, changes); !strings.HasSuffix(got, " "+step.told) {
				t.Errorf("%s %s: the device got %s, want %s", step.method, step.body, got, step.told)
			}
			var twin struct {
				Tags       json.RawMessage
				Properties struct{ Desired map[string]json.RawMessage }
			}
			if err := json.Unmarshal([]byte(a.body), &twin); err != nil {
				t.Fatal(err)
			}
			delete(twin.Properties.Desired, "$metadata")
			delete(twin.Properties.Desired, "$version")
			if got, err := json.Marshal(twin.Properties.Desired); err != nil || string(got) != step.desired ||
				string(twin.Tags) != step.tags {
				t.Errorf("%s %s: got desired %s and tags %s, want %s and %s", step.method, step.body, got, twin.Tags,
					step.desired, step.tags)
			}
		})
	}
}
