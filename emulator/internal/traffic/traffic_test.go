package traffic_test

import (
	"context"
	"errors"
	"net/http"
	"regexp"
	"sync"
	"testing"
	"time"

	"evenkeel/emulator/internal/hold"
	"evenkeel/emulator/internal/requestlog"
	"evenkeel/emulator/internal/state"
	"evenkeel/emulator/internal/traffic"
)

const hubHost = "hub-1.azure-devices.net"

// clock is a clock that tests set.
type clock struct {
	mu sync.Mutex
	at time.Time
}

func (c *clock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.at
}

func (c *clock) add(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.at = c.at.Add(d)
}

// gate returns a gate over a state with the hub hub-1 of that SKU.
func gate(t *testing.T, sku state.SKU) (*traffic.Gate, *clock) {
	t.Helper()
	c := &clock{at: time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)}
	st, err := state.Open(state.Options{Now: c.now})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = st.Close() })
	_, _, err = st.PutGroup(state.Group{Subscription: "s", Name: "g", Location: "l"})
	if err == nil {
		_, _, err = st.PutHub(state.Hub{Resource: state.Resource{
			ID: state.ResourceID{Subscription: "s", Group: "g", Name: "hub-1"}, Location: "l", SKU: sku,
			Policies: []state.Policy{{Name: "p", Rights: []string{"DeviceConnect"}}},
		}}, state.Unconditional, 0)
	}
	if err != nil {
		t.Fatal(err)
	}
	return &traffic.Gate{Faults: &traffic.Faults{}, Limits: traffic.NewLimits(st, true)}, c
}

func call(surface requestlog.Surface, host, method, path string) traffic.Call {
	return traffic.Call{Request: hold.Request{Surface: surface, Method: method, Path: path}, Host: host}
}

func on(hub string, bytes int64, method, path string) traffic.Call {
	c := call(requestlog.Hub, hub, method, path)
	c.Bytes = bytes
	return c
}

// TestLimits: the numbers are those of the documents that limits.go names.
func TestLimits(t *testing.T) {
	t.Parallel()
	s1, s2, s3 := state.SKU{Name: "S1", Capacity: 1}, state.SKU{Name: "S2", Capacity: 2},
		state.SKU{Name: "S3", Capacity: 1}
	of := func(device, path string) traffic.Call {
		c := call(requestlog.MQTTDPS, "0neA", "PUBLISH", path)
		c.Device = device
		return c
	}
	mqtt := func(method, path string) traffic.Call { return call(requestlog.MQTTHub, hubHost, method, path) }
	for name, tc := range map[string]struct {
		sku    state.SKU
		call   traffic.Call
		want   int
		window time.Duration
	}{
		"service API": {s1, call(requestlog.DPSService, "dps", "GET", "/enrollments/a"), 1000,
			time.Minute},
		"registrations over HTTPS": {s1, call(requestlog.DPSDevice, "0neA", "PUT", "/0neA/registrations/d/register"),
			1000, time.Minute},
		"registrations over MQTT": {s1, of("d", "$dps/registrations/PUT/iotdps-register/?$rid=1"), 1000,
			time.Minute},
		"polls over HTTPS": {s1, call(requestlog.DPSDevice, "0neA", "GET",
			"/0neA/registrations/d/operations/5"), 5, 10 * time.Second},
		"polls over MQTT": {s1, of("d",
			"$dps/registrations/GET/iotdps-get-operationstatus/?$rid=1&operationId=5"), 5, 10 * time.Second},
		"registry of S1":     {s1, on(hubHost, 0, "PUT", "/devices/d"), 100, time.Minute},
		"registry of two S2": {s2, on(hubHost, 0, "GET", "/devices"), 200, time.Minute},
		"registry of S3":     {s3, on(hubHost, 0, "DELETE", "/devices/d"), 5000, time.Minute},
		"queries":            {s1, on(hubHost, 0, "POST", "/devices/query"), 20, time.Minute},
		"twin reads of S1":   {s1, on(hubHost, 0, "GET", "/twins/d"), 100, time.Second},
		"twin reads of S3":   {s3, mqtt("PUBLISH", "$iothub/twin/GET/?$rid=1"), 500, time.Second},
		"twin updates of S1": {s1, mqtt("PUBLISH", "$iothub/twin/PATCH/properties/reported/?$rid=1"), 50,
			time.Second},
		"twin updates of S3":         {s3, on(hubHost, 0, "PATCH", "/twins/d"), 250, time.Second},
		"small methods":              {s1, on(hubHost, 10, "POST", "/twins/d/methods"), 40, time.Second},
		"methods of 5 KB":            {s1, on(hubHost, 5<<10, "POST", "/twins/d/methods"), 20, time.Second},
		"connections of S1":          {s1, mqtt("CONNECT", "d"), 100, time.Second},
		"connections of two S2":      {s2, mqtt("CONNECT", "d"), 240, time.Second},
		"telemetry over MQTT":        {s1, mqtt("PUBLISH", "devices/d/messages/events/"), 100, time.Second},
		"telemetry over HTTPS":       {s3, on(hubHost, 0, "POST", "/devices/d/messages/events"), 6000, time.Second},
		"messages received by HTTPS": {s1, on(hubHost, 0, "GET", "/devices/d/messages/devicebound"), 1000, time.Minute},
		"writes of ARM":              {s1, call(requestlog.ARM, "", "PUT", "/subscriptions/s"), 1200, time.Hour},
		"reads of ARM":               {s1, call(requestlog.ARM, "", "GET", "/subscriptions/s"), 12_000, time.Hour},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			g, c := gate(t, tc.sku)
			for i := range tc.want {
				if err := g.Pass(t.Context(), tc.call); err != nil {
					t.Fatalf("got %v of operation %d, want %d to pass", err, i+1, tc.want)
				}
			}
			var refusal *traffic.Refusal
			if err := g.Pass(t.Context(), tc.call); !errors.As(err, &refusal) {
				t.Fatalf("got %v beyond the limit, want a refusal", err)
			}
			if refusal.Status != http.StatusTooManyRequests || refusal.RetryAfter != tc.window ||
				refusal.Code != 429001 {
				t.Errorf("got %+v, want 429 until the window of %s ends", refusal, tc.window)
			}
			if _, refused := g.Limits.Status(); refused != 1 {
				t.Errorf("got %d refused operations, want 1", refused)
			}
			c.add(tc.window)
			if err := g.Pass(t.Context(), tc.call); err != nil {
				t.Errorf("got %v in the next window, want it to pass", err)
			}
		})
	}
}

func TestLimitsAreSeparateForEachResourceAndCanBeDisabled(t *testing.T) {
	t.Parallel()
	g, _ := gate(t, state.SKU{Name: "S1", Capacity: 1})
	poll := call(requestlog.DPSDevice, "0neA", "GET", "/0neA/registrations/one/operations/5")
	other := call(requestlog.DPSDevice, "0neA", "GET", "/0neA/registrations/two/operations/5")
	for range 5 {
		_ = g.Pass(t.Context(), poll)
	}
	if g.Pass(t.Context(), poll) == nil || g.Pass(t.Context(), other) != nil {
		t.Error("got the limit of one device for another, want each its own")
	}
	g.Limits.Set(false)
	for range 50 {
		if err := g.Pass(t.Context(), poll); err != nil {
			t.Fatalf("got %v with limits off, want none", err)
		}
	}
	for _, free := range []traffic.Call{
		on(hubHost, 0, "DELETE", "/devices/d/messages/devicebound/lock"), on("hub-9.azure-devices.net", 0, "GET",
			"/devices"),
		call(requestlog.Entra, "", "POST", "/t/oauth2/v2.0/token"), call(requestlog.MQTTHub, hubHost, "SUBSCRIBE",
			"$iothub/twin/res/#"),
	} {
		g.Limits.Set(true)
		for range 20_000 {
			if err := g.Pass(t.Context(), free); err != nil {
				t.Fatalf("%s %s: got %v, want no limit", free.Method, free.Path, err)
			}
		}
	}
	if len(g.Limits.All()) < 10 {
		t.Errorf("got %d limits in the list, want all", len(g.Limits.All()))
	}
}

func TestAFreeHubHasADailyQuotaOfMessages(t *testing.T) {
	t.Parallel()
	g, c := gate(t, state.SKU{Name: "F1", Capacity: 1})
	send := on(hubHost, 1024, "POST", "/devices/d/messages/events") // two messages of 0.5 KB
	for i := range 4000 {
		if i%100 == 0 {
			c.add(time.Second) // a hundred messages a second
		}
		if err := g.Pass(t.Context(), send); err != nil {
			t.Fatalf("got %v of send %d, want 4000 to pass", err, i+1)
		}
	}
	c.add(time.Second)
	var refusal *traffic.Refusal
	if err := g.Pass(t.Context(), send); !errors.As(err, &refusal) || refusal.Code != 403002 ||
		refusal.Status != http.StatusForbidden {
		t.Fatalf("got %v beyond the quota, want 403002", err)
	}
	c.add(12 * time.Hour)
	if err := g.Pass(t.Context(), send); err != nil {
		t.Errorf("got %v on the next day, want it to pass", err)
	}
}

func TestFaultsMatchTheirOperations(t *testing.T) {
	t.Parallel()
	g, _ := gate(t, state.SKU{Name: "S1", Capacity: 1})
	g.Limits.Set(false)
	faults := g.Faults
	pass := func(c traffic.Call) error { return g.Pass(t.Context(), c) }
	faults.Add(traffic.Fault{
		Match:  hold.Match{Surface: requestlog.Hub, Method: "get", Path: regexp.MustCompile("^/twins/"), Nth: 2},
		Count:  2,
		Refuse: &traffic.Refusal{Status: 503, RetryAfter: 1500 * time.Millisecond},
	})
	get := on(hubHost, 0, "GET", "/twins/d")
	var got []bool
	for range 5 {
		got = append(got, pass(get) != nil)
	}
	for i, want := range []bool{false, true, true, false, false} {
		if got[i] != want {
			t.Errorf("got refusals %v, want the second and the third", got)
			break
		}
	}
	if err := pass(on(hubHost, 0, "PUT", "/twins/d")); err != nil {
		t.Errorf("got %v of another method, want it to pass", err)
	}
	list := faults.List()
	if len(list) != 1 || list[0].Met != 2 || list[0].Refuse.Code != 503001 ||
		list[0].Refuse.Name != "ServiceUnavailable" || list[0].Refuse.Seconds() != "2" {
		t.Errorf("got %+v, want one fault that met two, its refusal completed", list)
	}
	if !faults.Remove(list[0].ID) || faults.Remove(list[0].ID) {
		t.Error("got another answer than that the fault was there once")
	}
	faults.Add(traffic.Fault{Drop: true})
	if err := pass(get); !errors.Is(err, traffic.ErrDropped) {
		t.Errorf("got %v, want %v", err, traffic.ErrDropped)
	}
	faults.Clear()
	faults.Add(traffic.Fault{Delay: time.Hour})
	gone, leave := context.WithCancel(t.Context())
	leave()
	if err := g.Pass(gone, get); !errors.Is(err, traffic.ErrDropped) {
		t.Errorf("got %v of a client that disconnected, want %v", err, traffic.ErrDropped)
	}
}

func TestEqualSeedsSelectTheSameOperations(t *testing.T) {
	t.Parallel()
	met := func(seed uint64) (pattern string) {
		g, _ := gate(t, state.SKU{Name: "S1", Capacity: 1})
		g.Limits.Set(false)
		g.Faults.Add(traffic.Fault{Probability: 0.5, Seed: seed, Drop: true})
		for range 64 {
			if g.Pass(t.Context(), on(hubHost, 0, "GET", "/devices")) != nil {
				pattern += "x"
			} else {
				pattern += "."
			}
		}
		return pattern
	}
	first := met(7)
	if again := met(7); again != first {
		t.Errorf("got %s and %s, want the same", first, again)
	}
	if other := met(8); other == first || first == "" {
		t.Errorf("got %s of both seeds, want them to differ", first)
	}
}

func TestInvalidFaults(t *testing.T) {
	t.Parallel()
	refuse := &traffic.Refusal{Status: 503}
	for name, f := range map[string]traffic.Fault{
		"nothing":           {},
		"two ends":          {Drop: true, Refuse: refuse},
		"negative delay":    {Delay: -1},
		"endless delay":     {Delay: time.Hour},
		"a success":         {Refuse: &traffic.Refusal{Status: 200}},
		"a foreign code":    {Refuse: &traffic.Refusal{Status: 503, Code: 429001}},
		"probability":       {Drop: true, Probability: 1.5},
		"negative count":    {Drop: true, Count: -1},
		"negative patience": {Refuse: &traffic.Refusal{Status: 503, RetryAfter: -1}},
	} {
		t.Run(name, func(t *testing.T) {
			if f.Check() == nil {
				t.Errorf("%s: got no error", name)
			}
		})
	}
	if err := (traffic.Fault{Delay: time.Second, Refuse: refuse}).Check(); err != nil {
		t.Errorf("got %v of a delayed refusal, want none", err)
	}
}
