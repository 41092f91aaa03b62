package iothub_test

import (
	"net/http"
	"regexp"
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
