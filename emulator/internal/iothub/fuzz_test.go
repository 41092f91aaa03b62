package iothub_test

import (
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"evenkeel/emulator/internal/broker"
	"evenkeel/emulator/internal/iothub"
	"evenkeel/emulator/internal/state"
	"evenkeel/internal/azure/sas"
)

// fuzzKey is every key of the fuzzed hub.
const fuzzKey = "MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE="

// fuzzHub is hub-1 with the device d1, in memory.
func fuzzHub(f *testing.F) (*iothub.Hubs, *state.State) {
	f.Helper()
	st, err := state.Open(state.Options{})
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(func() { _ = st.Close() })
	if _, _, err := st.PutGroup(state.Group{Subscription: "s", Name: "g", Location: "westeurope"}); err != nil {
		f.Fatal(err)
	}
	_, _, err = st.PutHub(state.Hub{Resource: state.Resource{
		ID: state.ResourceID{Subscription: "s", Group: "g", Name: "hub-1"}, Location: "westeurope",
		SKU: state.SKU{Name: "S1", Capacity: 1},
		Policies: []state.Policy{{Name: "owner", Rights: policies["owner"], PrimaryKey: fuzzKey,
			SecondaryKey: fuzzKey}},
	}}, state.Unconditional, 0)
	if err != nil {
		f.Fatal(err)
	}
	key := state.SymmetricKey{Primary: fuzzKey, Secondary: fuzzKey}
	if _, err := st.PutDevice(host, state.Device{ID: "d1", Auth: state.AuthSAS, Key: key}, "", true); err != nil {
		f.Fatal(err)
	}
	hubs := iothub.New(iothub.Options{State: st})
	f.Cleanup(hubs.Close)
	return hubs, st
}

func fuzzToken(f *testing.F, resource, policy string) string {
	f.Helper()
	text, err := sas.New(resource, policy, fuzzKey, time.Now().Add(24*time.Hour))
	if err != nil {
		f.Fatal(err)
	}
	return text
}

// deaf is a client that ignores everything that it receives.
type deaf struct{}

func (deaf) Send(broker.Message) error { return nil }
func (deaf) Close(error)               {}
func (deaf) Remote() string            { return "fuzz" }
func (deaf) Context() context.Context  { return context.Background() }

// FuzzTopic: whatever a device subscribes to or publishes is answered or ends its connection; no topic reaches beyond
// the device.
func FuzzTopic(f *testing.F) {
	hubs, st := fuzzHub(f)
	if _, err := st.PutDevice(host, state.Device{ID: "d2", Auth: state.AuthSAS}, "", true); err != nil {
		f.Fatal(err)
	}
	before, err := st.Twin(host, "d2")
	if err != nil {
		f.Fatal(err)
	}
	password := fuzzToken(f, host+"/devices/d1", "")
	for _, topic := range []string{
		"devices/d1/messages/events/", "devices/d1/messages/events/%24.mid=1&a=b", "devices/d2/messages/events/",
		"$iothub/twin/GET/?$rid=1",
		"$iothub/twin/PATCH/properties/reported/?$rid=2", "$iothub/methods/res/200/?$rid=1", "$iothub/methods/POST/#",
		"devices/d1/messages/devicebound/#",
		"$iothub/twin/res/#", "$iothub/twin/PATCH/properties/desired/#", "#", "+/+", "",
	} {
		f.Add(topic, []byte(`{"a":{"b":[1,"x",null]}}`), byte(1), false)
	}
	f.Fuzz(func(t *testing.T, topic string, payload []byte, qos byte, flag bool) {
		s, err := hubs.Accept(broker.Connect{ClientID: "d1", UserName: user("d1"), Password: password,
			CleanSession: flag, Client: deaf{}})
		if err != nil {
			t.Fatal(err)
		}
		if granted, err := s.Subscribe(topic, qos%2); err == nil && granted > 1 {
			t.Errorf("subscribe to %q: granted %d", topic, granted)
		}
		_ = s.Publish(broker.Message{Topic: topic, Payload: payload, QoS: qos % 2, Retain: flag, Will: qos > 127})
		s.Unsubscribe(topic)
		s.Closed()
		if m := hubs.Messages(host, "d2"); len(m) > 0 {
			t.Errorf("%q sent telemetry of another device", topic)
		}
		if after, err := st.Twin(host, "d2"); err != nil || after.Version != before.Version {
			t.Errorf("%q changed the twin of another device: %v", topic, err)
		}
	})
}

// FuzzPropertyBag: what is read of a bag is what comes out when it is written and read again.
func FuzzPropertyBag(f *testing.F) {
	for _, seed := range []string{"a=b&c=d", "%24.mid=1&%24.ct=application%2Fjson&k", "?a=", "a=%zz", "=", "&&",
		"a%3Db=c%26d", "iothub-ack=full&a+b=c+d", "%24.=x", "k=50%&l=%f6&m=%C3%B6"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		properties, system := iothub.ParseBag(text)
		again, systemAgain := iothub.ParseBag(iothub.WriteBag(properties, system))
		// The acknowledgement is written without the prefix of system properties.
		if _, ack := system["iothub-ack"]; ack {
			return
		}
		for name, value := range properties {
			if name != "" && again[name] != value {
				t.Errorf("%q: %q is %q, then %q", text, name, value, again[name])
			}
		}
		for name, value := range system {
			if systemAgain[name] != value {
				t.Errorf("%q: $.%q is %q, then %q", text, name, value, systemAgain[name])
			}
		}
	})
}

// FuzzQuery: whatever a query holds, it is answered.
func FuzzQuery(f *testing.F) {
	for _, seed := range []string{
		"SELECT * FROM devices WHERE tags.a['b'] IN ['c'] AND NOT (x != 1.5e3)",
		"select count() as n from devices d where contains(d.a, '\\'')",
		"SELECT TOP 3 a, SUM(tags.a.b) AS s, AVG(x), MIN(a), MAX(y) FROM devices GROUP BY a",
		"SELECT * FROM devices.modules m WHERE m.a = null", "SELECT '",
		"SELECT * FROM devices WHERE (tags.a.b * -1 + 2) % 0 / 1e308 - 3 <> 4 OR NOT y",
	} {
		f.Add(seed)
	}
	twin := map[string]any{"a": "text", "tags": map[string]any{"a": map[string]any{"b": json.Number("1e999")}},
		"x": nil, "y": []any{true}}
	f.Fuzz(func(t *testing.T, query string) {
		rows, err := iothub.RunQuery(query, twin)
		if len(rows) > 1 || err != nil && rows != nil {
			t.Errorf("%q: got %d rows of one twin, %v", query, len(rows), err)
		}
	})
}

// FuzzBody: whatever body a call of the hub gets, and whatever path, it is answered with JSON or nothing, and is no
// fault of the emulator.
func FuzzBody(f *testing.F) {
	hubs, st := fuzzHub(f)
	key := state.SymmetricKey{Primary: fuzzKey, Secondary: fuzzKey}
	owner, device := fuzzToken(f, host, "owner"), fuzzToken(f, host+"/devices/d1", "")
	for _, seed := range []struct{ method, path, body string }{
		{"PUT", "/devices/d1",
			`{"deviceId":"d1","authentication":{"type":"sas","symmetricKey":{"primaryKey":"YQ=="}},"status":"disabled"}`},
		{"POST", "/devices",
			`[{"id":"d2","importMode":"create","tags":{"a":1}},{"id":"d1","importMode":"updateTwin","properties":{"desired":{"a":null}}}]`},
		{"PATCH", "/twins/d1", `{"tags":{"a":{"b":[1]}},"properties":{"desired":{"x":4503599627370496}}}`},
		{"PUT", "/twins/d1", `{"tags":null}`},
		{"POST", "/twins/d1/methods", `{"methodName":"m","payload":{},"responseTimeoutInSeconds":5}`},
		{"POST", "/devices/query", `{"query":"SELECT * FROM devices"}`}, {"POST", "/devices/d1/messages/events",
			`[{"body":"YQ==","properties":{"a":"b"}}]`},
		{"GET", "/devices/%2e%2e/modules/%00", ``}, {"DELETE", "/devices/d1/commands", `x`},
		{"GET", "//devices///", ``},
	} {
		f.Add(seed.method, seed.path, []byte(seed.body))
	}
	f.Fuzz(func(t *testing.T, method, path string, body []byte) {
		target, err := url.Parse("https://" + host + "/" + strings.TrimPrefix(path, "/") + version)
		if err != nil || strings.ContainsAny(method, " \t\r\n") || method == "" {
			return // the HTTP server refuses it
		}
		// Earlier calls may have changed it.
		if _, err := st.PutDevice(host, state.Device{ID: "d1", Auth: state.AuthSAS, Key: key}, state.Unconditional,
			false); err != nil {
			t.Fatal(err)
		}
		// a call of a method may wait for its device
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
		defer cancel()
		for _, token := range []string{owner, device} {
			r := httptest.NewRequest(http.MethodPost, "https://"+host+"/", strings.NewReader(string(body)))
			r = r.WithContext(ctx)
			r.Method, r.URL = method, target
			r.Header.Set("Authorization", token)
			r.Header.Set("Content-Type", "application/vnd.microsoft.iothub.json")
			w := httptest.NewRecorder()
			hubs.ServeHTTP(w, r)
			if w.Code >= http.StatusInternalServerError && w.Code != http.StatusNotImplemented {
				t.Fatalf("%s %s %q: got %d %s", method, path, body, w.Code, w.Body)
			}
			if strings.Contains(w.Header().Get("Content-Type"), "json") && !json.Valid(w.Body.Bytes()) {
				t.Errorf("%s %s: got %q, which is not JSON", method, path, w.Body)
			}
		}
	})
}
