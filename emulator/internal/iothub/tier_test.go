package iothub_test

import (
	"net/http"
	"testing"

	mqtt "github.com/eclipse/paho.mqtt.golang"

	"evenkeel/emulator/internal/iothub"
	"evenkeel/emulator/internal/state"
	"evenkeel/internal/await"
)

// downgrade moves hub-1 to the basic tier.
func (f *fixture) downgrade() {
	f.Helper()
	hub, err := f.state.HubByHost(host)
	if err != nil {
		f.Fatal(err)
	}
	hub.SKU.Name = "B1"
	if _, _, err := f.state.PutHub(hub, state.Unconditional, 0); err != nil {
		f.Fatal(err)
	}
}

func TestAHubOfTheBasicTierServesItsFeatures(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	key := f.device("d1")
	f.downgrade()
	for _, r := range []struct{ method, path, body string }{
		{"GET", "/twins/d1", ""}, {"PATCH", "/twins/d1", `{"tags":{}}`}, {"PUT", "/twins/d1", `{"tags":{}}`},
		{"POST", "/twins/d1/methods", `{"methodName":"m"}`}, {"DELETE", "/devices/d1/commands", ""},
		{"DELETE", "/devices/d1/messages/devicebound/lock", ""},
		{"POST", "/devices/d1/messages/devicebound/lock/abandon", ""},
		{"PUT", "/devices/edge", `{"capabilities":{"iotEdge":true}}`},
	} {
		got := f.owner(r.method, r.path, r.body).want(t, r.method+" "+r.path, http.StatusForbidden)
		got.wantField(t, "Message",
			"ErrorCode:OperationNotAvailableInCurrentTier;The operation is not available in the basic tier")
	}
	for _, r := range []struct {
		method, path, body string
		status             int
	}{
		{"GET", "/devices/d1", "", 200}, {"PUT", "/devices/d2", `{}`, 200},
		{"POST", "/devices/query", `{"query":"SELECT * FROM devices"}`, 200},
		{"GET", "/devices/d1/messages/devicebound", "", 204}, {"POST", "/devices/d1/messages/events", "x", 204},
		{"GET", "/statistics/devices", "", 200},
	} {
		f.owner(r.method, r.path, r.body).want(t, r.method+" "+r.path, r.status)
	}
	if _, err := f.hubs.SendCloudMessage(host, "d1",
		iothub.CloudMessage{Body: []byte("x")}); iothub.Status(err) != http.StatusForbidden {
		t.Errorf("got %v of a message to a device, want it refused", err)
	}
	// MQTT cannot report the reason: the connection ends.
	address := f.listen()
	for name, act := range map[string]func(mqtt.Client) mqtt.Token{
		"messages": func(c mqtt.Client) mqtt.Token { return c.Subscribe("devices/d1/messages/devicebound/#", 1, nil) },
		"methods":  func(c mqtt.Client) mqtt.Token { return c.Subscribe("$iothub/methods/POST/#", 0, nil) },
		"its twin": func(c mqtt.Client) mqtt.Token { return c.Publish("$iothub/twin/GET/?$rid=1", 0, false, "") },
		"reporting": func(c mqtt.Client) mqtt.Token {
			return c.Publish("$iothub/twin/PATCH/properties/reported/?$rid=1", 0, false, "{}")
		},
	} {
		options, gone := lost(f.options(address, "d1", key))
		c := f.connect(options)
		done(t, "telemetry", c.Publish("devices/d1/messages/events/", 1, false, "x"))
		act(c)
		await.Closed(t, gone, name+": the end of the connection")
	}
}
