package iothub_test

import (
	"encoding/json"
	"net/http"
	"regexp"
	"strings"
	"testing"

	mqtt "github.com/eclipse/paho.mqtt.golang"

	"evenkeel/internal/await"
)

var methodTopic = regexp.MustCompile(`^\$iothub/methods/POST/([^/]+)/\?\$rid=([0-9a-f]+)$`)

// answering makes a device answer each method call with the status and the body that answer returns.
func answering(t *testing.T, c mqtt.Client, answer func(name, body string) (status, reply string)) {
	t.Helper()
	done(t, "subscribe", c.Subscribe("$iothub/methods/POST/#", 0, func(_ mqtt.Client, m mqtt.Message) {
		parts := methodTopic.FindStringSubmatch(m.Topic())
		if parts == nil {
			t.Errorf("got topic %s", m.Topic())
			return
		}
		status, reply := answer(parts[1], string(m.Payload()))
		c.Publish("$iothub/methods/res/"+status+"/?$rid="+parts[2], 0, false, reply)
	}))
}

func TestMethodsReachTheDeviceAndAnswersTheCaller(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	c := f.connect(f.options(f.listen(), "d1", f.device("d1")))
	answering(t, c, func(name, body string) (string, string) {
		switch name {
		case "empty":
			return "204", ""
		case "broken":
			return "200", "{"
		case "huge":
			return "200", `{"n":1e400}`
		}
		return "418", `{"name":"` + name + `","got":` + body + `}`
	})
	for _, tc := range []struct {
		path, body string
		status     int
		want       string
	}{
		{"/twins/d1/methods", `{"methodName":"reboot","payload":{"delay":3}}`, 200,
			`{"status":418,"payload":{"name":"reboot","got":{"delay":3}}}`},
		{"/twins/d1/Methods",
			`{"methodName":"reboot","payload":"text","responseTimeoutInSeconds":5,"connectTimeoutInSeconds":5}`, 200,
			`{"status":418,"payload":{"name":"reboot","got":"text"}}`},
		{"/twins/d1/methods", `{"methodName":"reboot"}`, 200, `{"status":418,"payload":{"name":"reboot","got":null}}`},
		{"/twins/d1/methods", `{"methodName":"empty"}`, 200, `{"status":204,"payload":null}`},
		{"/twins/d1/methods", `{"methodName":"broken"}`, 502, `\"errorCode\":502000`},
		{"/twins/d1/methods", `{"methodName":"huge"}`, 502, `\"errorCode\":502000`},
		{"/twins/d1/methods", `{}`, 400, "ErrorCode:ArgumentInvalid;methodName"},
		{"/twins/d1/methods", `{"methodName":"a/b"}`, 400, "ErrorCode:ArgumentInvalid;methodName"},
		{"/twins/d1/methods", `{"methodName":"m","responseTimeoutInSeconds":4}`, 400,
			"responseTimeoutInSeconds is 5 to 300"},
		{"/twins/d1/methods", `{"methodName":"m","connectTimeoutInSeconds":301}`, 400,
			"connectTimeoutInSeconds is 0 to 300"},
		{"/twins/d1/methods", `{"methodName":"m","payload":"` + strings.Repeat("x", 128<<10) + `"}`, 413,
			"ErrorCode:MessageTooLarge"},
		{"/twins/d9/methods", `{"methodName":"m"}`, 404, "ErrorCode:DeviceNotFound"},
	} {
		t.Run(tc.body[:min(60, len(tc.body))], func(t *testing.T) {
			if a := f.owner("POST", tc.path, tc.body).want(t, tc.body[:min(60, len(tc.body))],
				tc.status); !strings.Contains(a.body, tc.want) {
				t.Errorf("%s: got %s, want %s", tc.body[:min(60, len(tc.body))], a.body, tc.want)
			}
		})
	}
	f.do(call{method: "POST", path: "/twins/d1/methods" + version, body: `{"methodName":"m"}`,
		token: f.policy("read")}).want(t, "without ServiceConnect", 401)
}

func TestAMethodOfADisconnectedDeviceIsRefused(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	key := f.device("d1")
	refused := func(when string) {
		t.Helper()
		a := f.owner("POST", "/twins/d1/methods", `{"methodName":"m"}`).want(t, when, http.StatusNotFound)
		if got := a.header.Get("iothub-errorcode"); got != "DeviceNotOnline" {
			t.Errorf("%s: got code %q", when, got)
		}
		var inner struct {
			ErrorCode int
			Message   string
			Info      map[string]string
		}
		if err := json.Unmarshal([]byte(a.field(t, "Message").(string)), &inner); err != nil ||
			inner.ErrorCode != 404103 || inner.Info["timeout"] != "00:00:00" {
			t.Errorf("%s: got %+v, %v in %s", when, inner, err, a.body)
		}
	}
	refused("never connected")
	c := f.connect(f.options(f.listen(), "d1", key))
	refused("connected, but takes no methods")

	// A caller may wait for the device.
	answers := make(chan answer, 1)
	go func() {
		answers <- f.owner("POST", "/twins/d1/methods", `{"methodName":"m","connectTimeoutInSeconds":60}`)
	}()
	answering(t, c, func(string, string) (string, string) { return "200", `"here"` })
	await.Next(t, answers, "the answer to the call that waits for the device").want(t, "call that waits",
		200).wantField(t, "payload", "here")
	c.Disconnect(0)
	await.True(t, "the disconnection", func() bool {
		d, err := f.state.Device(host, "d1")
		return err == nil && !d.Connected
	})
	refused("disconnected")
}

func TestAMethodThatIsNotAnsweredTimesOut(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	c := f.connect(f.options(f.listen(), "d1", f.device("d1")))
	calls := subscribe(t, c, "$iothub/methods/POST/#")
	a := f.owner("POST", "/twins/d1/methods", `{"methodName":"m","responseTimeoutInSeconds":5}`).want(t, "call",
		http.StatusGatewayTimeout)
	if !strings.Contains(a.body, "Timed out waiting for the response from device.") ||
		!strings.Contains(a.body, "504101") {
		t.Errorf("got %s", a.body)
	}
	topic, _, _ := strings.Cut(next(t, calls), " ")
	_, rid, _ := strings.Cut(topic, "$rid=")
	// A late answer is dropped, and does not affect the device.
	done(t, "answer late", c.Publish("$iothub/methods/res/200/?$rid="+rid, 1, false, "{}"))
	done(t, "send", c.Publish("devices/d1/messages/events/", 1, false, "x"))
	if f.hubs.Received(host) != 1 {
		t.Error("the connection did not outlive a late answer")
	}
}
