package hublink_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
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

// described is a service that no client knows completely: it has unknown members at every level, and links in several
// forms.
const described = `{
 "id": "` + serviceID + `", "name": "dps", "location": "westeurope", "tags": {"owner": "them"}, "sku": {"name": "S1", "capacity": 3, "new": 1.50},
 "identity": {"type": "SystemAssigned, UserAssigned", "principalId": "p", "userAssignedIdentities": {"` + userID + `": {"principalId": "q", "clientId": "c"}}},
 "etag": "AAAA",
 "properties": {
  "state": "Active", "allocationPolicy": "GeoLatency", "ipFilterRules": [{"filterName": "a", "action": "Accept", "ipMask": "1.2.3.4/31"}], "later": {"x": null, "n": 12345678901234567890},
  "disableLocalAuth": true, "idScope": "0ne0",
  "iotHubs": [
   {"name": "one.azure-devices.net", "hostName": "one.azure-devices.net", "authenticationType": "KeyBased", "connectionString": "HostName=one.azure-devices.net;SharedAccessKeyName=p;SharedAccessKey=****", "location": "westus", "allocationWeight": 7, "later": true},
   {"name": "two.azure-devices.net", "hostName": "two.azure-devices.net", "authenticationType": "SystemAssigned", "location": "westus"},
   {"name": "four.azure-devices.net", "hostName": "four.azure-devices.net", "authenticationType": "UserAssigned", "selectedUserAssignedIdentityResourceId": "` + userID + `", "connectionString": "", "location": "westus", "later": {"kept": true}}
  ]
 }
}`

// othersLinks is how many links described has.
const othersLinks = 3

// userID is a user-assigned identity of the service.
const userID = "/subscriptions/s/resourceGroups/rg/providers/Microsoft.ManagedIdentity/userAssignedIdentities/id-1"

// since is the api-version that a member first appears in, by its path; links are "properties.iotHubs[]". Others were
// always there.
var since = map[string]string{
	"identity": "2023-03-01-preview", "properties.disableLocalAuth": "2026-06-01-preview",
	"properties.deviceRegistryNamespaces":                         "2026-06-01-preview",
	"properties.iotHubs[].hostName":                               "2026-03-01-preview",
	"properties.iotHubs[].authenticationType":                     "2026-03-01-preview",
	"properties.iotHubs[].selectedUserAssignedIdentityResourceId": "2026-03-01-preview",
	"properties.iotHubs[].connectionProfile":                      "2026-11-02-preview",
}

// decided are the members that the service decides: a PUT cannot change them.
var decided = []string{
	"id", "name", "type", "systemData", "properties.idScope", "properties.deviceRegistryNamespaces",
	"properties.iotHubs[].connectionProfile", "identity.principalId",
}

// fakeARM is Resource Manager with one provisioning service. A version shows the members that it has; a PUT that sets a
// newer one is refused, and whatever a PUT leaves out is reset, newer members too.
type fakeARM struct {
	*httptest.Server

	mu       sync.Mutex
	document map[string]any
	version  int
	log      []string
	// calls are the requests with their api-versions, as "PUT 2026-11-01".
	calls []string
	// served are the api-versions of provisioningServices; listed are those that the registration lists, refusing it
	// when nil.
	served, listed []string
	// writable are the versions that PUTs take; nil means all that are served.
	writable []string
	// since are further members with the version that they first appear in.
	since map[string]string
	// hubsListed are the hubs of the subscription, which only the preview profileVersion shows.
	hubsListed []any
	// before may answer a request itself by returning true; it is called with the lock held.
	before func(w http.ResponseWriter, r *http.Request) bool
	// harm changes what a PUT stored.
	harm func(document map[string]any)
	// stored sees the documents before and after each PUT that is taken, with who sent it.
	stored func(r *http.Request, before, after map[string]any)
	// ignoreETags takes every PUT.
	ignoreETags bool
}

const profileVersion = "2026-10-01-preview"

func newFake(t *testing.T) *fakeARM {
	t.Helper()
	f := &fakeARM{
		document: parse(t, described), since: map[string]string{},
		served: []string{"2021-10-15", "2022-12-12", "2023-03-01-preview", "2026-08-31", "2026-11-01"},
	}
	f.listed = f.served
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
	w.Header().Set("Content-Type", "application/json")
	version := r.URL.Query().Get("api-version")
	f.calls = append(f.calls, r.Method+" "+version)
	switch {
	case r.URL.Path == "/subscriptions/s/providers/Microsoft.Devices" && version == "2021-04-01":
		f.list(w)
	case r.URL.Path == "/subscriptions/s/providers/Microsoft.Devices/IotHubs" && version == profileVersion:
		_ = json.NewEncoder(w).Encode(map[string]any{"value": f.hubsListed})
	case r.URL.Path != serviceID:
		refuse(w, 404, `{"error":{"code":"InvalidResourceType","message":"not that"}}`)
	case !slices.Contains(f.served, version) || r.Method == http.MethodPut && f.writable != nil &&
		!slices.Contains(f.writable, version):
		f.refuseVersion(w, version)
	default:
		f.log = append(f.log, r.Method)
		switch {
		case f.before != nil && f.before(w, r):
		case r.Method == http.MethodGet:
			_ = json.NewEncoder(w).Encode(f.shown(f.document, "", version))
		default:
			f.put(w, r, version)
		}
	}
}

// refuseVersion answers in one of the two ways that Azure is known to.
func (f *fakeARM) refuseVersion(w http.ResponseWriter, version string) {
	status, code := 400, "NoRegisteredProviderFound"
	if strings.HasSuffix(version, "preview") {
		status, code = 404, "InvalidResourceType"
	}
	refuse(
		w,
		status,
		fmt.Sprintf(
			`{"error":{"code":%q,"message":"No registered resource provider found for location 'westeurope' and API version '%s' for type 'ProvisioningServices'. `+
				`The supported api-versions are '%s'. The supported locations are ', westeurope'."}}`,
			code,
			version,
			strings.Join(f.served, ", "),
		),
	)
}

func (f *fakeARM) list(w http.ResponseWriter) {
	if f.listed == nil {
		refuse(w, 403, `{"error":{"code":"AuthorizationFailed","message":"no rights on the subscription"}}`)
		return
	}
	types := []any{map[string]any{"resourceType": "ProvisioningServices", "apiVersions": f.listed}}
	if f.hubsListed != nil {
		types = append(
			types,
			map[string]any{
				"resourceType": "iotHubs",
				"apiVersions":  []string{"2023-06-30", "2026-11-01", profileVersion},
			},
		)
	}
	_ = json.NewEncoder(w).Encode(map[string]any{"resourceTypes": types})
}

// has reports whether a version has a member.
func (f *fakeARM) has(path, version string) bool {
	from := since[path]
	if own, ok := f.since[path]; ok {
		from = own
	}
	return from == "" || date(from) <= date(version)
}

// date makes versions comparable: the preview of a day comes before the stable version.
func date(version string) string {
	return strings.TrimSuffix(
		version,
		"-preview",
	) + map[bool]string{true: "a", false: "b"}[strings.HasSuffix(version, "-preview")]
}

// shown is what a version shows of a value.
func (f *fakeARM) shown(value any, path, version string) any {
	switch value := value.(type) {
	case map[string]any:
		visible := map[string]any{}
		for name, member := range value {
			if at := strings.TrimPrefix(path+"."+name, "."); f.has(at, version) {
				visible[name] = f.shown(member, at, version)
			}
		}
		return visible
	case []any:
		visible := []any{}
		for _, item := range value {
			visible = append(visible, f.shown(item, path+"[]", version))
		}
		return visible
	}
	return value
}

// tooNew returns a member of a request that its version does not have, or "".
func (f *fakeARM) tooNew(value any, path, version string) string {
	switch value := value.(type) {
	case map[string]any:
		for name, member := range value {
			at := strings.TrimPrefix(path+"."+name, ".")
			if !f.has(at, version) {
				return at
			}
			if found := f.tooNew(member, at, version); found != "" {
				return found
			}
		}
	case []any:
		for _, item := range value {
			if found := f.tooNew(item, path+"[]", version); found != "" {
				return found
			}
		}
	}
	return ""
}

func (f *fakeARM) put(w http.ResponseWriter, r *http.Request, version string) {
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
	if member := f.tooNew(sent, "", version); member != "" {
		refuse(
			w,
			400,
			fmt.Sprintf(`{"code":400024,"message":"Setting %s is not supported on this api-version."}`, member),
		)
		return
	}
	for _, item := range sent["properties"].(map[string]any)["iotHubs"].([]any) {
		nameEntry(item.(map[string]any))
	}
	keepDecided(sent, f.document, "")
	if f.stored != nil {
		f.stored(r, f.document, sent)
	}
	f.document = sent
	if f.harm != nil {
		f.harm(sent)
	}
	f.touch()
	_ = json.NewEncoder(w).Encode(f.shown(f.document, "", version))
}

// readBody returns what a request sends, and leaves it for the next reader.
func readBody(t *testing.T, r *http.Request) map[string]any {
	raw, err := io.ReadAll(r.Body)
	if err != nil {
		t.Error(err)
	}
	r.Body = io.NopCloser(strings.NewReader(string(raw)))
	return parse(t, string(raw))
}

// nameEntry makes an entry's name from its hostName or its connection string.
func nameEntry(entry map[string]any) {
	host, _ := entry["hostName"].(string)
	if connection, _ := entry["connectionString"].(string); host == "" {
		for part := range strings.SplitSeq(connection, ";") {
			if name, value, _ := strings.Cut(part, "="); strings.EqualFold(name, "HostName") {
				host = value
			}
		}
	}
	entry["name"] = host
}

// keepDecided brings what the service decides from the document before into the new one.
func keepDecided(sent, before map[string]any, path string) {
	for name, was := range before {
		at := strings.TrimPrefix(path+"."+name, ".")
		if slices.Contains(decided, at) || strings.HasPrefix(at, "identity.userAssignedIdentities.") &&
			(name == "principalId" || name == "clientId") {
			sent[name] = was
			continue
		}
		switch was := was.(type) {
		case map[string]any:
			if is, ok := sent[name].(map[string]any); ok {
				keepDecided(is, was, at)
			}
		case []any:
			is, _ := sent[name].([]any)
			for i := range min(len(is), len(was)) {
				if is, ok := is[i].(map[string]any); ok {
					if was, ok := was[i].(map[string]any); ok && is["name"] == was["name"] {
						keepDecided(is, was, at+"[]")
					}
				}
			}
		}
	}
}

// puts are the api-versions of all PUTs, in order.
func (f *fakeARM) puts() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	var versions []string
	for _, call := range f.calls {
		if version, ok := strings.CutPrefix(call, "PUT "); ok {
			versions = append(versions, version)
		}
	}
	return versions
}

// properties are the service's. Callers hold the lock, or no request runs.
func (f *fakeARM) properties() map[string]any { return f.document["properties"].(map[string]any) }

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

// drop removes a hub's link and moves the etag, as a change by another client does. Callers hold the lock.
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
	return f.clientNamed(t, "test", pace)
}

// clientNamed returns a client whose name is in the User-Agent header.
func (f *fakeARM) clientNamed(t *testing.T, name string, pace hublink.Pace) *hublink.Client {
	t.Helper()
	arm, err := arm.New(arm.Options{
		Endpoint: f.URL, Credential: anyone{}, Transport: f.Client(), Retry: policy.RetryOptions{MaxRetries: 1,
			RetryDelay: time.Millisecond}, Name: name, Version: "0",
	})
	if err != nil {
		t.Fatal(err)
	}
	return hublink.New(arm, pace)
}

// quick is a pace for tests: patience long enough for any machine, everything else short.
var quick = hublink.Pace{
	FirstPause: time.Millisecond,
	MostPause:  4 * time.Millisecond,
	Settle:     2 * time.Millisecond,
	Patience:   time.Minute,
}
