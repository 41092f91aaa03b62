package iothub_test

import (
	"net/http"
	"strings"
	"testing"

	mqtt "github.com/eclipse/paho.mqtt.golang"
)

// again connects d1 without a clean session and subscribes to nothing. It answers calls with their own payload, and
// returns the other messages, like subscribe.
func (f *fixture) again(address, key string) (mqtt.Client, <-chan string) {
	f.Helper()
	got := make(chan string, 100)
	return f.connect(f.options(address, "d1", key).SetDefaultPublishHandler(func(c mqtt.Client, m mqtt.Message) {
		if _, rid, call := strings.Cut(m.Topic(), "$iothub/methods/POST/echo/"); call {
			c.Publish("$iothub/methods/res/200/"+rid, 0, false, m.Payload())
			return
		}
		got <- m.Topic() + " " + string(m.Payload())
	})), got
}

// TestSubscriptionsContinueWithTheNextConnection is what the Node SDK relies on, which reconnects with each token:
// https://github.com/Azure/iotedge/pull/3214.
func TestSubscriptionsContinueWithTheNextConnection(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	key, address := f.device("d1"), f.listen()
	const answers, echo = "$iothub/twin/res/#", `{"methodName":"echo","payload":7,"responseTimeoutInSeconds":5}`
	first, _ := f.again(address, key)
	for _, filter := range []string{answers, "$iothub/twin/PATCH/properties/desired/#", "$iothub/methods/POST/#"} {
		subscribe(t, first, filter)
	}
	first.Disconnect(0)

	second, got := f.again(address, key)
	if body := f.owner("POST", "/twins/d1/methods", echo).want(t, "call",
		http.StatusOK).body; body != `{"status":200,"payload":7}` {
		t.Errorf("got %s of the call, want its payload", body)
	}
	done(t, "ask", second.Publish("$iothub/twin/GET/?$rid=1", 1, false, ""))
	if m := next(t, got); m != `$iothub/twin/res/200/?$rid=1 {"desired":{"$version":1},"reported":{"$version":1}}` {
		t.Errorf("got %s, want the twin", m)
	}
	f.owner("PATCH", "/twins/d1", `{"properties":{"desired":{"a":1}}}`).want(t, "patch", http.StatusOK)
	if m := next(t, got); m != `$iothub/twin/PATCH/properties/desired/?$version=2 {"a":1,"$version":2}` {
		t.Errorf("got %s, want the change", m)
	}
	done(t, "unsubscribe", second.Unsubscribe(answers))
	second.Disconnect(0)

	third, got := f.again(address, key)
	done(t, "ask", third.Publish("$iothub/twin/GET/?$rid=2", 1, false, ""))
	f.owner("PATCH", "/twins/d1", `{"properties":{"desired":{"a":2}}}`).want(t, "patch", http.StatusOK)
	if m := next(t, got); !strings.HasPrefix(m, "$iothub/twin/PATCH/") {
		t.Errorf("got %s after it unsubscribed from answers, want the change alone", m)
	}
	third.Disconnect(0)

	clean := f.connect(f.options(address, "d1", key).SetCleanSession(true))
	f.owner("POST", "/twins/d1/methods", echo).want(t, "call in a clean session", http.StatusNotFound)
	clean.Disconnect(0)
	f.again(address, key)
	f.owner("POST", "/twins/d1/methods", echo).want(t, "call after a clean session", http.StatusNotFound)
}

func TestADeviceNamesItsModel(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	key, address := f.device("d1"), f.listen()
	const model = "dtmi:com:example:Thermostat;1"
	wantModel := func(when, want string) {
		t.Helper()
		if got := f.owner("GET", "/twins/d1", "").field(t, "modelId"); got != want {
			t.Errorf("%s: got the model %q, want %q", when, got, want)
		}
	}
	wantModel("at first", "")
	for _, given := range []string{model, "dtmi%3acom%3aexample%3aThermostat%3b1"} {
		c := f.connect(f.options(address, "d1", key).SetUsername(host + "/d1/?api-version=2021-04-12&model-id=" +
			given + "&DeviceClientType=test"))
		wantModel("when it has connected", model)
		done(t, "publish", c.Publish("devices/d1/messages/events/", 1, false, "{}"))
		c.Disconnect(0)
	}
	done(t, "publish", f.connect(f.options(address, "d1", key)).Publish("devices/d1/messages/events/", 1, false, "{}"))
	wantModel("after a connection without one", model)
	for i, m := range f.hubs.Messages(host, "d1") {
		want := model
		if i == 2 {
			want = ""
		}
		if m.System["dt-dataschema"] != want {
			t.Errorf("message %d: got the model %q, want %q", i, m.System["dt-dataschema"], want)
		}
	}
	found := f.owner("POST", "/devices/query", `{"query":"SELECT deviceId FROM devices WHERE modelId = '`+model+
		`'"}`).want(t, "query", http.StatusOK).body
	if found != `[{"deviceId":"d1"}]` {
		t.Errorf("got %s, want d1", found)
	}
}
