package emulator_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"evenkeel/emulator"
	"evenkeel/internal/await"
)

// hook is a webhook with a configurable response, which records its requests.
type hook struct {
	*httptest.Server
	mu     sync.Mutex
	status int
	body   string
	hang   bool
	asked  []string
}

func newHook(t *testing.T) *hook {
	t.Helper()
	h := &hook{}
	h.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		h.mu.Lock()
		h.asked = append(h.asked, r.Method+" "+r.RequestURI+" "+r.Header.Get("Content-Type")+"\n"+string(body))
		status, answer, hang := h.status, h.body, h.hang
		h.mu.Unlock()
		if hang {
			<-r.Context().Done()
			return
		}
		w.Header().Set("Location", "/elsewhere")
		w.WriteHeader(status)
		_, _ = io.WriteString(w, answer)
	}))
	t.Cleanup(h.Close)
	return h
}

func (h *hook) answer(status int, body string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.status, h.body, h.hang = status, body, false
}

// last is the newest request: its line, and its body as a tree.
func (h *hook) last(t *testing.T) (line string, body map[string]any) {
	t.Helper()
	h.mu.Lock()
	defer h.mu.Unlock()
	if len(h.asked) == 0 {
		t.Fatal("the webhook was not asked")
	}
	line, text, _ := strings.Cut(h.asked[len(h.asked)-1], "\n")
	check(t, json.Unmarshal([]byte(text), &body))
	return line, body
}

// custom are the members of an enrollment that is allocated by the webhook.
func (h *hook) custom() string {
	return `"allocationPolicy":"custom","customAllocationDefinition":{"webhookUrl":"` + h.URL +
		`/api/choose?code=s3cret","apiVersion":"2021-10-01"}`
}

func TestAWebhookChoosesTheHub(t *testing.T) {
	t.Parallel()
	y, h := newYard(t, emulator.Options{WebhookTimeout: await.Limit}), newHook(t)
	for name, register := range fronts {
		id := "sn-" + strings.ToLower(strings.ReplaceAll(name, " ", "-"))
		y.enroll(id, keyed+`,"iotHubs":["`+hub2+`","`+hub1+`"],"initialTwin":{"tags":{"from":"entry"}},`+h.custom())
		d := y.holding(id, primary)
		d.body = `{"registrationId":"` + id + `","payload":{"model":"toaster","n":1.50}}`
		h.answer(200,
			`{"iotHubHostname":"HUB-2.azure-devices.net","initialTwin":{"tags":{"from":"hook"},"properties":{"desired":{"dark":3}}},"payload":{"welcome":[1,2]}}`)
		got := register(y, d)
		if got.state("assignedHub") != hub2 || got.state("substatus") != "initialAssignment" ||
			got.state("payload") != "map[welcome:[1 2]]" {
			t.Fatalf("%s: got %v, want it on %s with the webhook's payload", name, got, hub2)
		}
		line, body := h.last(t)
		if line != "POST /api/choose?code=s3cret application/json; charset=utf-8" {
			t.Errorf("%s: got %q", name, line)
		}
		entry, _ := body["individualEnrollment"].(map[string]any)
		etag, _ := entry["etag"].(string)
		if !strings.HasPrefix(etag, `"`) || entry["createdDateTimeUtc"] == nil {
			t.Errorf("%s: got the entry %v, want its times and its etag in quotes", name, entry)
		}
		for _, volatile := range []string{"etag", "createdDateTimeUtc", "lastUpdatedDateTimeUtc"} {
			delete(entry, volatile)
		}
		want := map[string]any{
			"individualEnrollment": map[string]any{
				"registrationId": id, "attestation": map[string]any{"type": "symmetricKey"},
				"provisioningStatus": "enabled",
				"initialTwin":        map[string]any{"tags": map[string]any{"from": "entry"}},
				"allocationPolicy":   "custom",
				"iotHubs":            []any{hub2, hub1},
				"customAllocationDefinition": map[string]any{"webhookUrl": h.URL + "/api/choose?****",
					"apiVersion": "2021-10-01"},
			},
			"deviceRuntimeContext": map[string]any{
				"registrationId": id, "symmetricKey": map[string]any{}, "payload": map[string]any{"model": "toaster",
					"n": 1.5},
			},
			"linkedHubs": []any{hub2, hub1},
		}
		if diff := cmp.Diff(want, body); diff != "" {
			t.Errorf("%s: request differs (-want +got):\n%s", name, diff)
		}
		y.twinOf(hub2, id, `{"from":"hook"}`, `{"dark":3}`)

		// Again, to the other hub: the webhook learns where the device is, and its twin beats migration.
		h.answer(200, `{"iotHubHostName":"`+hub1+`","initialTwin":{"tags":{"from":"again"}}}`)
		got = register(y, y.holding(id, secondary))
		if got.state("assignedHub") != hub1 || got.state("substatus") != "deviceDataReset" ||
			got.state("payload") != "" {
			t.Errorf("%s, again: got %v, want its data reset on %s", name, got, hub1)
		}
		if _, body := h.last(t); body["deviceRuntimeContext"].(map[string]any)["currentIotHubHostName"] != hub2 ||
			body["deviceRuntimeContext"].(map[string]any)["currentDeviceId"] != id {
			t.Errorf("%s, again: got %v, want the present hub and device", name, body["deviceRuntimeContext"])
		}
		y.twinOf(hub1, id, `{"from":"again"}`, `{}`)
		y.absent(hub2, id)
	}
}

// TestSlowWebhookDoesNotBlockOthers: the device gets a response, and may disconnect, while the webhook runs.
func TestSlowWebhookDoesNotBlockOthers(t *testing.T) {
	t.Parallel()
	y, decide, asked := newYard(t, emulator.Options{WebhookTimeout: await.Limit}), make(chan struct{}),
		make(chan struct{}, 1)
	slow := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		asked <- struct{}{}
		if !await.Held(t, decide) {
			return
		}
		_, _ = io.WriteString(w, `{"iotHubHostName":"`+hub2+`"}`)
	}))
	t.Cleanup(slow.Close)
	y.enroll("sn-slow", keyed+`,"allocationPolicy":"custom","customAllocationDefinition":{"webhookUrl":"`+slow.URL+
		`","apiVersion":"2021-10-01"}`)
	y.enroll("sn-other", keyed)
	d := y.holding("sn-slow", primary)
	path := "/" + y.scope + "/registrations/sn-slow"
	status, started := y.on(globalHost, "PUT", path+"/register?api-version=2021-10-01", "{}", d.token)
	await.Next(t, asked, "the call of the webhook")
	if status != http.StatusAccepted || started["status"] != "assigning" {
		t.Fatalf("got %d %v, want the registration to be under way", status, started)
	}
	operation := fmt.Sprintf("/operations/%v?api-version=2021-10-01", started["operationId"])
	if status, got := y.on(globalHost, "GET", path+operation, "", d.token); status != http.StatusAccepted ||
		got["status"] != "assigning" {
		t.Errorf("got %d %v while the webhook thinks, want assigning", status, got)
	}
	other := y.holding("sn-other", primary)
	if status, got := y.on(globalHost, "GET", "/"+y.scope+"/registrations/sn-other"+operation, "",
		other.token); status != http.StatusNotFound {
		t.Errorf("got %d %v for another device, want it not to be found", status, got)
	}
	close(decide)
	for deadline := time.Now().Add(await.Limit); status == http.StatusAccepted && time.Now().Before(deadline); {
		status, started = y.on(globalHost, "GET", path+operation, "", d.token)
	}
	if got := (result{status, started}); status != http.StatusOK || got.state("assignedHub") != hub2 {
		t.Errorf("got %v, want the hub of the webhook", got)
	}
}

// TestWebhookRequestHasGroupsAndCertificates checks the other forms of the request.
func TestWebhookRequestHasGroupsAndCertificates(t *testing.T) {
	t.Parallel()
	y, h := newYard(t, emulator.Options{WebhookTimeout: await.Limit}), newHook(t)
	root := issue(t, nil, "root", true)
	y.must("PUT", servicePath+"/certificates/root"+serviceVersion, `{"properties":{"certificate":"`+root.base64()+
		`","isVerified":true}}`)
	y.service("PUT", "/enrollmentGroups/g",
		`{"enrollmentGroupId":"g","attestation":{"type":"x509","x509":{"caReferences":{"primary":"root"}}},`+h.custom()+
			`}`)
	h.answer(200, `{"iotHubHostName":"`+hub1+`","payload":null}`)
	got := y.overHTTPS(device{scope: y.scope, id: "sn-1", certificate: issue(t, root, "sn-1", false).presented(1)})
	if got.state("assignedHub") != hub1 {
		t.Fatalf("got %v, want it on %s", got, hub1)
	}
	_, body := h.last(t)
	group, _ := body["enrollmentGroup"].(map[string]any)
	context, _ := body["deviceRuntimeContext"].(map[string]any)
	text, err := json.Marshal(context["x509"])
	check(t, err)
	if group["enrollmentGroupId"] != "g" || body["individualEnrollment"] != nil || context["symmetricKey"] != nil ||
		!strings.Contains(string(text), `{"clientCertificates":{"primary":{"info":`) ||
		!strings.Contains(string(text), `"subjectName":"CN=sn-1"`) {
		t.Errorf("got %v, want the group and the device's certificate", body)
	}
	if hubs := fmt.Sprint(body["linkedHubs"]); hubs != "["+hub1+" "+hub2+"]" {
		t.Errorf("got linked hubs %s, want all", hubs)
	}
}

func TestBadAnswersOfAWebhookFailTheRegistration(t *testing.T) {
	t.Parallel()
	patient, h := newYard(t, emulator.Options{WebhookTimeout: await.Limit}), newHook(t)
	hurried := newYard(t, emulator.Options{WebhookTimeout: 200 * time.Millisecond}) // for the webhook that is silent
	gone := httptest.NewServer(http.NotFoundHandler())
	gone.Close()
	tests := []struct {
		name   string
		status int
		body   string
		code   string
		text   string
	}{
		{"a failure", 500, `{}`, "400207", "Custom allocation failed with status code: 500"},
		{"not found", 404, `{"iotHubHostName":"` + hub1 + `"}`, "400207",
			"Custom allocation failed with status code: 404"},
		{"a redirection", 302, ``, "400207", "Custom allocation failed with status code: 302"},
		{"no JSON", 200, `hub-1`, "400207", "not a valid allocation response"},
		{"nothing", 200, ``, "400207", "not a valid allocation response"},
		{"a list", 200, `[]`, "400207", "not a valid allocation response"},
		{"no hub", 200, `{}`, "400208", "named no IoT hub"},
		{"a hub that is not linked", 200, `{"iotHubHostName":"hub-3.azure-devices.net"}`, "400207",
			"not among the linked hubs"},
		{"a linked hub that the entry does not name", 200, `{"iotHubHostName":"` + hub2 + `"}`, "400207",
			"not among the linked hubs"},
		{"too much", 200, `{"payload":"` + strings.Repeat("x", 300<<10) + `"}`, "400207", "larger than"},
		{"an invalid twin", 200, `{"iotHubHostName":"` + hub1 + `","initialTwin":7}`, "400207", "initial twin"},
		{"a number beyond a double", 200, `{"iotHubHostName":"` + hub1 + `","initialTwin":{"tags":{"a":1e400}}}`,
			"400207", "not a valid allocation response"},
		{"silence", 0, "", "400207", "did not respond within 200ms"},
		{"nothing listens", -1, "", "400207", "could not be called"},
	}
	for i, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			id := fmt.Sprintf("sn-%d", i)
			custom, y := h.custom(), patient
			switch test.status {
			case 0:
				y = hurried
				h.mu.Lock()
				h.hang = true
				h.mu.Unlock()
			case -1:
				custom = strings.Replace(custom, h.URL, gone.URL, 1)
			default:
				h.answer(test.status, test.body)
			}
			y.enroll(id, keyed+`,"iotHubs":["`+hub1+`"],`+custom)
			for name, register := range fronts {
				got := register(y, y.holding(id, primary))
				if got.status != 200 || got.state("status") != "failed" || got.code() != test.code ||
					!strings.Contains(got.state("errorMessage"), test.text) {
					t.Errorf("%s over %s: got %v, want a failed registration with %s and %q", test.name, name, got,
						test.code, test.text)
				}
				if strings.Contains(got.state("errorMessage"), "s3cret") {
					t.Errorf("%s over %s: the message contains the webhook's key: %s", test.name, name,
						got.state("errorMessage"))
				}
			}
		})
	}
}

// TestGeoLatencyTakesTheNearestHub uses the table of latencies.
func TestGeoLatencyTakesTheNearestHub(t *testing.T) {
	t.Parallel()
	y := newYard(t, emulator.Options{Latencies: map[string]time.Duration{"West Europe": 20 * time.Millisecond,
		"eastus": 5 * time.Millisecond}})
	y.must("PUT", groupPath+"/providers/Microsoft.Devices/IotHubs/hub-3"+hubVersion,
		`{"location":"East US","sku":{"name":"S1","capacity":1}}`)
	key := y.firstKey(groupPath+"/providers/Microsoft.Devices/IotHubs/hub-3/IotHubKeys/iothubowner", hubVersion)
	links := []string{strings.Replace(ownerLinkJSON("hub-3.azure-devices.net", key), "westeurope", "eastus", 1)}
	for _, name := range []string{"hub-1", "hub-2"} {
		links = append(links, ownerLinkJSON(name+".azure-devices.net",
			y.firstKey(groupPath+"/providers/Microsoft.Devices/IotHubs/"+name+"/IotHubKeys/iothubowner", hubVersion)))
	}
	y.must("PUT", servicePath+serviceVersion, linkedJSON(strings.Join(links, ",")))
	hubs := map[string]map[string]int{}
	for policy, more := range map[string]string{"everywhere": "", "europe": `,"iotHubs":["` + hub1 + `","` + hub2 +
		`"]`} {
		hubs[policy] = map[string]int{}
		for i := range 20 {
			id := fmt.Sprintf("%s-%d", policy, i)
			y.enroll(id, keyed+`,"allocationPolicy":"geoLatency"`+more)
			hubs[policy][y.overHTTPS(y.holding(id, primary)).state("assignedHub")]++
		}
	}
	if got := hubs["everywhere"]; got["hub-3.azure-devices.net"] != 20 {
		t.Errorf("got %v, want all on the nearest hub", got)
	}
	if got := hubs["europe"]; got[hub1] == 0 || got[hub2] == 0 || got[hub1]+got[hub2] != 20 {
		t.Errorf("got %v, want the equally near hubs to share", got)
	}
}

// TestWebhooksCannotCallTheEmulator: a client that may write enrollments cannot make the emulator call its own ports,
// however these are named.
func TestWebhooksCannotCallTheEmulator(t *testing.T) {
	t.Parallel()
	y, away := newYard(t, emulator.Options{WebhookTimeout: await.Limit}), newHook(t)
	ends := y.e.Endpoints()
	port := func(address string) string {
		_, port, err := net.SplitHostPort(address[strings.LastIndex(address, "/")+1:])
		check(t, err)
		return port
	}
	control := port(ends.Control)
	targets := []string{"https://127.0.0.1:" + port(ends.ARM), "https://127.0.0.1:" + port(ends.Data),
		"https://127.0.0.1:" + port(ends.MQTT)}
	for _, host := range []string{"127.0.0.1", "localhost", "LOCALHOST.", "0.0.0.0", "[::ffff:127.0.0.1]",
		"[::ffff:7f00:1]", "[::]", "[::ffff:0.0.0.0]"} {
		targets = append(targets, "http://"+host+":"+control)
	}
	own := 0
	for i, target := range targets {
		id := fmt.Sprint("own-", i)
		y.enroll(id, keyed+`,"allocationPolicy":"custom","customAllocationDefinition":{"webhookUrl":"`+target+
			`/reset","apiVersion":"2021-10-01"}`)
		got := y.overHTTPS(y.holding(id, primary))
		if got.state("status") != "failed" {
			t.Errorf("%s: got %v, want that the registration fails", target, got)
		}
		if strings.Contains(got.state("errorMessage"), "the emulator's own") {
			own++
		} else if !strings.Contains(target, "[::") && !strings.Contains(target, "localhost") &&
			!strings.Contains(target, "LOCALHOST") {
			// a machine may lack IPv6, or the name
			t.Errorf("%s: got %v, want that the address is the emulator's own", target, got)
		}
	}
	if own < 6 {
		t.Errorf("got %d of %d addresses refused for what they are, want nearly all", own, len(targets))
	}
	// A redirect is not followed.
	away.Server.Config.Handler = http.RedirectHandler(ends.Control+"/reset", http.StatusTemporaryRedirect)
	y.enroll("sent-on", keyed+","+away.custom())
	if got := y.overHTTPS(y.holding("sent-on", primary)); got.state("status") != "failed" {
		t.Errorf("redirected: got %v, want that the registration fails", got)
	}
	if counts, err := y.e.Counts(); err != nil || counts.Hubs != 2 {
		t.Errorf("got %+v, %v afterwards, want both hubs", counts, err)
	}
}
