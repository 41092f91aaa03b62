package azurenative_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"sync"
	"testing"
)

// fakeARM is a small Azure Resource Manager: it stores bodies by id, changes hubs and provisioning services in
// long-running operations, masks the keys of linked hubs, never returns authorization policies, and logs requests.
type fakeARM struct {
	*httptest.Server

	mu        sync.Mutex
	things    map[string]map[string]any // by id in lower case
	polls     map[string]int            // answers "Running" still to be given, by operation
	log       []string                  // "METHOD path api-version"
	bodies    []map[string]any          // of the PUTs, in order
	failNext  map[string]refusal        // by "METHOD" and lower-case id
	failedOps map[string]bool           // ids whose operation fails
	hold      map[string]chan struct{}  // by method and lower-case id: the request waits until the channel is closed
	held      chan string
}

type refusal struct {
	status int
	body   string
}

var longRunning = regexp.MustCompile(`(?i)/providers/microsoft\.devices/(iothubs|provisioningservices)/[^/]+$`)

func newFakeARM(t *testing.T) *fakeARM {
	t.Helper()
	f := &fakeARM{
		things: map[string]map[string]any{}, polls: map[string]int{}, failNext: map[string]refusal{},
		failedOps: map[string]bool{}, hold: map[string]chan struct{}{}, held: make(chan string, 16),
	}
	f.Server = httptest.NewTLSServer(http.HandlerFunc(f.serve))
	t.Cleanup(f.Close)
	return f
}

func (f *fakeARM) serve(w http.ResponseWriter, r *http.Request) {
	if !strings.HasPrefix(r.Header.Get("Authorization"), "Bearer ") {
		answer(w, http.StatusUnauthorized, map[string]any{"error": map[string]any{"code": "AuthenticationFailed"}})
		return
	}
	id := strings.ToLower(r.URL.Path)
	f.mu.Lock()
	f.log = append(f.log, r.Method+" "+r.URL.Path+" "+r.URL.Query().Get("api-version"))
	wait := f.hold[r.Method+" "+id]
	f.mu.Unlock()
	if wait != nil {
		f.held <- r.Method + " " + id
		<-wait
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if refused, ok := f.failNext[r.Method+" "+id]; ok {
		delete(f.failNext, r.Method+" "+id)
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(refused.status)
		fmt.Fprint(w, refused.body)
		return
	}
	if strings.HasPrefix(id, "/operations/") {
		f.poll(w, strings.TrimPrefix(id, "/operations"))
		return
	}
	switch r.Method {
	case http.MethodGet:
		thing, ok := f.things[id]
		if !ok {
			answer(w, http.StatusNotFound, map[string]any{"error": map[string]any{"code": "ResourceNotFound",
				"message": "no " + id}})
			return
		}
		answer(w, http.StatusOK, shown(thing))
	case http.MethodPut:
		f.put(w, r, id)
	case http.MethodDelete:
		f.remove(w, id)
	case http.MethodPost:
		answer(w, http.StatusOK, map[string]any{"value": []any{map[string]any{
			"keyName": "link", "primaryKey": "cHJpbWFyeQ==", "secondaryKey": "c2Vjb25k", "rights": "ServiceConnect",
			"secret": "not in the schema",
		}}})
	}
}

func (f *fakeARM) put(w http.ResponseWriter, r *http.Request, id string) {
	var body map[string]any
	if err := json.NewDecoder(r.Body).Decode(&body); err != nil {
		answer(w, http.StatusBadRequest, map[string]any{"code": 400, "message": err.Error()})
		return
	}
	f.bodies = append(f.bodies, body)
	parts := strings.Split(r.URL.Path, "/")
	thing := map[string]any{"id": r.URL.Path, "name": parts[len(parts)-1], "type": "Fake",
		"etag": fmt.Sprintf("e%d", len(f.bodies)), "surprise": 1}
	for key, value := range body {
		thing[key] = value
	}
	status := http.StatusCreated
	if _, ok := f.things[id]; ok {
		status = http.StatusOK
	}
	f.things[id] = thing
	if longRunning.MatchString(id) {
		f.start(w, id)
		accepted := shown(thing)
		accepted["properties"] = map[string]any{"provisioningState": "Accepted"}
		answer(w, http.StatusCreated, accepted)
		return
	}
	answer(w, status, shown(thing))
}

// start begins an operation that takes two polls.
func (f *fakeARM) start(w http.ResponseWriter, id string) {
	f.polls[id] = 2
	w.Header().Set("Azure-AsyncOperation", f.URL+"/operations"+id+"?api-version=polled")
	w.Header().Set("retry-after-ms", "1")
}

func (f *fakeARM) poll(w http.ResponseWriter, id string) {
	w.Header().Set("retry-after-ms", "1")
	switch {
	case f.polls[id] > 0:
		f.polls[id]--
		answer(w, http.StatusOK, map[string]any{"status": "Running"})
	case f.failedOps[id]:
		answer(w, http.StatusOK, map[string]any{"status": "Failed", "error": map[string]any{"code": "QuotaExceeded",
			"message": "no more hubs"}})
	default:
		answer(w, http.StatusOK, map[string]any{"status": "Succeeded"})
	}
}

func (f *fakeARM) remove(w http.ResponseWriter, id string) {
	if _, ok := f.things[id]; !ok {
		answer(w, http.StatusNotFound, map[string]any{"error": map[string]any{"code": "ResourceNotFound"}})
		return
	}
	delete(f.things, id)
	if longRunning.MatchString(id) {
		f.start(w, id)
		answer(w, http.StatusAccepted, nil)
		return
	}
	w.WriteHeader(http.StatusNoContent)
}

// shown is what a GET returns of a thing.
func shown(thing map[string]any) map[string]any {
	raw, _ := json.Marshal(thing)
	var out map[string]any
	_ = json.Unmarshal(raw, &out)
	props, ok := out["properties"].(map[string]any)
	if !ok {
		return out
	}
	delete(props, "authorizationPolicies")
	props["provisioningState"] = "Succeeded"
	props["hostName"] = fmt.Sprintf("%v.azure-devices.net", out["name"])
	links, _ := props["iotHubs"].([]any)
	for _, link := range links {
		link := link.(map[string]any)
		text, _ := link["connectionString"].(string)
		head, _, _ := strings.Cut(text, "SharedAccessKey=")
		link["connectionString"] = head + "SharedAccessKey=****"
		link["name"] = "linked"
	}
	return out
}

func answer(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(body)
}

// requests returns the log and clears it.
func (f *fakeARM) requests() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	out := f.log
	f.log = nil
	return out
}

// change edits a stored thing without the plugin.
func (f *fakeARM) change(id string, edit func(thing map[string]any)) {
	f.mu.Lock()
	defer f.mu.Unlock()
	edit(f.things[strings.ToLower(id)])
}

func (f *fakeARM) refuse(method, id string, with refusal) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.failNext[method+" "+strings.ToLower(id)] = with
}

func (f *fakeARM) holdRequest(t *testing.T, method, id string) {
	t.Helper()
	release := make(chan struct{})
	f.mu.Lock()
	defer f.mu.Unlock()
	f.hold[method+" "+strings.ToLower(id)] = release
	// Before the server's own Close, which waits for handlers.
	t.Cleanup(sync.OnceFunc(func() { close(release) }))
}
