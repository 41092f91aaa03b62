package hublink_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"

	"evenkeel/internal/azure/arm"
	"evenkeel/internal/azure/hublink"
)

const serviceID = "/subscriptions/s/resourceGroups/rg/providers/Microsoft.Devices/provisioningServices/dps"

// described is a service as no client of ours knows it in full: unknown members at every level, and links in several forms.
const described = `{
 "id": "` + serviceID + `", "name": "dps", "location": "westeurope", "tags": {"owner": "them"}, "sku": {"name": "S1", "capacity": 3, "new": 1.50},
 "identity": {"type": "SystemAssigned"}, "etag": "AAAA",
 "properties": {
  "state": "Active", "allocationPolicy": "GeoLatency", "ipFilterRules": [{"filterName": "a", "action": "Accept", "ipMask": "1.2.3.4/31"}], "later": {"x": null, "n": 12345678901234567890},
  "iotHubs": [
   {"name": "one.azure-devices.net", "connectionString": "HostName=one.azure-devices.net;SharedAccessKeyName=p;SharedAccessKey=****", "location": "westus", "allocationWeight": 7, "later": true},
   {"name": "two.azure-devices.net", "authenticationType": "SystemAssigned", "location": "westus"}
  ]
 }
}`

// fakeARM is Resource Manager with one provisioning service, which it keeps as it is sent.
type fakeARM struct {
	*httptest.Server

	mu       sync.Mutex
	document map[string]any
	version  int
	log      []string
	// before may answer a request itself by returning true; it is called with the lock held.
	before func(w http.ResponseWriter, r *http.Request) bool
	// ignoreETags takes every PUT.
	ignoreETags bool
}

func newFake(t *testing.T) *fakeARM {
	t.Helper()
	f := &fakeARM{document: parse(t, described)}
	f.Server = httptest.NewTLSServer(f)
	t.Cleanup(f.Close)
	return f
}

func parse(t *testing.T, text string) map[string]any {
	t.Helper()
	decoder := json.NewDecoder(strings.NewReader(text))
	decoder.UseNumber()
	var document map[string]any
	if err := decoder.Decode(&document); err != nil {
		t.Fatal(err)
	}
	return document
}

func (f *fakeARM) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.log = append(f.log, r.Method)
	w.Header().Set("Content-Type", "application/json")
	switch {
	case r.URL.Path != serviceID || r.URL.Query().Get("api-version") != "2022-12-12":
		refuse(w, 404, `{"error":{"code":"InvalidResourceType","message":"not that"}}`)
	case f.before != nil && f.before(w, r):
	case r.Method == http.MethodGet:
		_ = json.NewEncoder(w).Encode(f.document)
	default:
		f.put(w, r)
	}
}

func (f *fakeARM) put(w http.ResponseWriter, r *http.Request) {
	raw, _ := io.ReadAll(r.Body)
	decoder := json.NewDecoder(strings.NewReader(string(raw)))
	decoder.UseNumber()
	var sent map[string]any
	if err := decoder.Decode(&sent); err != nil {
		refuse(w, 400, `{"code":400300,"message":"no JSON"}`)
		return
	}
	if now := f.document["etag"]; !f.ignoreETags && (r.Header.Get("If-Match") != now || sent["etag"] != now) {
		refuse(w, 412, `{"code":412001,"message":"the etag is old"}`)
		return
	}
	f.document = sent
	f.touch()
	_ = json.NewEncoder(w).Encode(sent)
}

// touch moves the etag. Callers hold the lock.
func (f *fakeARM) touch() {
	f.version++
	f.document["etag"] = fmt.Sprintf("v%d", f.version)
}

func refuse(w http.ResponseWriter, status int, body string) {
	w.WriteHeader(status)
	_, _ = io.WriteString(w, body)
}

// hubs returns the links by host. Callers may hold the lock or not, as long as no request runs.
func (f *fakeARM) hubs() map[string]map[string]any {
	hubs := map[string]map[string]any{}
	for _, entry := range f.document["properties"].(map[string]any)["iotHubs"].([]any) {
		entry := entry.(map[string]any)
		name, ok := entry["name"].(string)
		if !ok {
			_, name, _ = strings.Cut(strings.Split(entry["connectionString"].(string), ";")[0], "=")
		}
		hubs[name] = entry
	}
	return hubs
}

// drop removes a hub's link and moves the etag, as somebody else's change does. Callers hold the lock.
func (f *fakeARM) drop(host string) {
	properties := f.document["properties"].(map[string]any)
	var kept []any
	for _, entry := range properties["iotHubs"].([]any) {
		if raw, _ := json.Marshal(entry); !strings.Contains(string(raw), host) {
			kept = append(kept, entry)
		}
	}
	properties["iotHubs"] = kept
	f.touch()
}

type anyone struct{}

func (anyone) GetToken(context.Context, policy.TokenRequestOptions) (azcore.AccessToken, error) {
	return azcore.AccessToken{Token: "t", ExpiresOn: time.Now().Add(time.Hour)}, nil
}

func (f *fakeARM) client(t *testing.T, pace hublink.Pace) *hublink.Client {
	t.Helper()
	arm, err := arm.New(arm.Options{
		Endpoint: f.URL, Credential: anyone{}, Transport: f.Client(), Retry: policy.RetryOptions{MaxRetries: 1, RetryDelay: time.Millisecond}, Name: "test", Version: "0",
	})
	if err != nil {
		t.Fatal(err)
	}
	return hublink.New(arm, pace)
}

// quick is a pace for tests: patience long enough for any machine, everything else short.
var quick = hublink.Pace{FirstPause: time.Millisecond, MostPause: 4 * time.Millisecond, Settle: 2 * time.Millisecond, Patience: time.Minute}
