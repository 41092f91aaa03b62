package emulator_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	mqtt "github.com/eclipse/paho.mqtt.golang"

	"evenkeel/internal/await"
)

// The conversation of the device SDK for Python, azure-iot-device 2.14.0, as its sources have it: api-versions
// 2019-03-31 at the provisioning service and 2019-10-01 at a hub, tokens that name no key, CleanSession 0 at both, a
// user agent in the user name, and QoS 1 for everything. TestTheDeviceSDKForPython runs the SDK itself where it is
// available.
const (
	pythonRegistration = "2019-03-31"
	pythonHub          = "2019-10-01"
	pythonAgent        = "-py/2.14.0(3.11.2;Linux #1 SMP PREEMPT_DYNAMIC Debian 6.1.0;x86_64)"
)

// What a service sends: a method call, and a message to a hub's device.
const (
	pythonMethod  = `{"methodName":"reboot","payload":{"in":1},"responseTimeoutInSeconds":60}`
	pythonMessage = `{"hub":%q,"device":%q,"body":"hello","messageId":"m1","properties":{"k":"v w"}}`
)

// pythonEscape is urllib.parse.quote(text, safe="").
func pythonEscape(text string) string { return strings.ReplaceAll(url.QueryEscape(text), "+", "%20") }

// pythonClient is what the SDK connects with.
func (y *yard) pythonClient(webSocket bool, host, id, user, password string) mqtt.Client {
	y.t.Helper()
	o := mqtt.NewClientOptions().SetClientID(id).SetUsername(user).SetPassword(password).SetProtocolVersion(4).
		SetCleanSession(false).SetAutoReconnect(false).SetKeepAlive(time.Minute).SetConnectTimeout(await.Limit).
		SetTLSConfig(trusting(y.e, host))
	if webSocket {
		o.AddBroker(strings.Replace(y.e.Endpoints().Data, "https://", "wss://", 1) + "/$iothub/websocket").
			SetHTTPHeaders(http.Header{"Host": {host}})
	} else {
		o.AddBroker("tls://" + y.e.Endpoints().MQTT)
	}
	c := mqtt.NewClient(o)
	y.wait(c.Connect())
	y.t.Cleanup(func() { c.Disconnect(0) })
	return c
}

// pythonRegister registers as ProvisioningDeviceClient.register does.
func (y *yard) pythonRegister(webSocket bool, id, key string) result {
	y.t.Helper()
	path := y.scope + "/registrations/" + id
	user := path + "/api-version=" + pythonRegistration + "&ClientVersion=" +
		pythonEscape("azure-iot-device-provisioning"+pythonAgent)
	c := y.pythonClient(webSocket, globalHost, id, user, token(y.t, path, "", key))
	defer c.Disconnect(0)
	replies := make(chan mqtt.Message, 8)
	y.wait(c.Subscribe("$dps/registrations/res/#", 1, func(_ mqtt.Client, m mqtt.Message) { replies <- m }))
	ask := func(topic, body string) (got result) {
		y.t.Helper()
		y.wait(c.Publish(topic, 1, false, body))
		m := await.Next(y.t, replies, "the reply to "+topic)
		if _, err := fmt.Sscanf(m.Topic(), "$dps/registrations/res/%d/", &got.status); err != nil {
			y.t.Fatalf("got a reply to %s: %v", m.Topic(), err)
		}
		check(y.t, json.Unmarshal(m.Payload(), &got.body))
		return got
	}
	const rid = "6cb5fc9d-8d0f-4fbc-9f34-1c8a8d3a3c3b"
	got := ask("$dps/registrations/PUT/iotdps-register/?$rid="+rid, fmt.Sprintf(`{"registrationId": %q}`, id))
	for deadline := time.Now().Add(await.Limit); got.status == http.StatusAccepted && time.Now().Before(deadline); {
		operation := fmt.Sprint(got.body["operationId"])
		got = ask("$dps/registrations/GET/iotdps-get-operationstatus/?$rid="+rid+"&operationId="+operation, " ")
	}
	return got
}

func TestTheConversationOfTheDeviceSDKForPython(t *testing.T) {
	t.Parallel()
	y := newYard(t)
	for name, webSocket := range map[string]bool{"MQTT": false, "MQTT over WebSocket": true} {
		id := "py-" + strings.ReplaceAll(strings.ToLower(name), " ", "-")
		y.enroll(id, keyed)
		for range 2 {
			got := y.pythonRegister(webSocket, id, primary)
			if got.status != http.StatusOK || got.body["status"] != "assigned" ||
				got.state("substatus") != "initialAssignment" {
				t.Fatalf("%s: got %v, want the initial assignment each time", name, got)
			}
		}
		hub, _ := y.service("GET", "/registrations/"+id, "")["assignedHub"].(string)
		t.Run(name, func(t *testing.T) { y.pythonHub(t, webSocket, hub, id) })
	}
}

// pythonHub does what IoTHubDeviceClient does at a hub: telemetry, twin, direct methods and cloud-to-device messages.
func (y *yard) pythonHub(t *testing.T, webSocket bool, hub, id string) {
	agent := pythonEscape("azure-iot-device-iothub" + pythonAgent)
	user := hub + "/" + id + "/?api-version=" + pythonHub + "&DeviceClientType=" + agent
	c := y.pythonClient(webSocket, hub, id, user, token(t, hub+"/devices/"+id, "", secondary))
	came := make(chan mqtt.Message, 16)
	for _, filter := range []string{
		"$iothub/twin/res/#", "$iothub/twin/PATCH/properties/desired/#", "$iothub/methods/POST/#",
		"devices/" + id + "/messages/devicebound/#",
	} {
		y.wait(c.Subscribe(filter, 1, func(_ mqtt.Client, m mqtt.Message) { came <- m }))
	}
	next := func(what, topic, payload string) mqtt.Message {
		t.Helper()
		m := await.Next(t, came, what)
		if !strings.HasPrefix(m.Topic(), topic) || payload != "" && string(m.Payload()) != payload {
			t.Fatalf("%s: got %s on %s, want %s on %s", what, m.Payload(), m.Topic(), payload, topic)
		}
		return m
	}
	const bag = "%24.mid=m%201&%24.ct=application%2Fjson&%24.ce=utf-8&room=boiler%20room"
	y.wait(c.Publish("devices/"+id+"/messages/events/"+bag, 1, false, `{"t": 21}`))
	kept := y.e.Messages(hub, id)
	if len(kept) != 1 || kept[0].Properties["room"] != "boiler room" || kept[0].System["mid"] != "m 1" ||
		kept[0].System["ct"] != "application/json" {
		t.Errorf("telemetry: got %+v", kept)
	}
	const rid = "0e2f2b1c-6bb8-4d5b-9a63-3d6b4c3f5f0a"
	y.wait(c.Publish("$iothub/twin/GET/?$rid="+rid, 1, false, " "))
	next("the twin", "$iothub/twin/res/200/?$rid="+rid, `{"desired":{"$version":1},"reported":{"$version":1}}`)
	y.wait(c.Publish("$iothub/twin/PATCH/properties/reported/?$rid="+rid, 1, false, `{"fan": true}`))
	next("the answer to a patch", "$iothub/twin/res/204/?$rid="+rid+"&$version=2", "")
	if status, body := y.hubCall(hub, "PATCH", "/twins/"+id,
		`{"properties":{"desired":{"interval":5}}}`); status != http.StatusOK {
		t.Fatalf("patch the twin: got %d %v", status, body)
	}
	next("the desired change", "$iothub/twin/PATCH/properties/desired/?$version=2", `{"interval":5,"$version":2}`)

	answered := make(chan map[string]any, 1)
	go func() {
		_, body := y.hubCall(hub, "POST", "/twins/"+id+"/methods", pythonMethod)
		answered <- body
	}()
	call := next("the method", "$iothub/methods/POST/reboot/?$rid=", `{"in":1}`)
	_, request, _ := strings.Cut(call.Topic(), "$rid=")
	y.wait(c.Publish("$iothub/methods/res/200/?$rid="+pythonEscape(request), 1, false, `{"done": true}`))
	if body := await.Next(t, answered, "the method's answer"); fmt.Sprint(
		body) != "map[payload:map[done:true] status:200]" {
		t.Errorf("method: got %v", body)
	}
	if status, body := y.control("POST", "/messages",
		fmt.Sprintf(pythonMessage, hub, id)); status != http.StatusCreated {
		t.Fatalf("send: got %d %s", status, body)
	}
	topic := next("a message", "devices/"+id+"/messages/devicebound/", "hello").Topic()
	if !strings.Contains(topic, "%24.mid=m1") || !strings.Contains(topic, "k=v%20w") {
		t.Errorf("a message: got the topic %s", topic)
	}
}

// TestPythonOverHTTPS: the SDK asks for uploads over HTTPS; azure-iot-cli-extension, which builds on it, sends the same
// tokens with telemetry and registrations.
func TestPythonOverHTTPS(t *testing.T) {
	t.Parallel()
	y := newYard(t)
	y.enroll("py-1", keyed)
	d := device{
		scope: y.scope, id: "py-1", token: token(t, y.scope+"/registrations/py-1", "", secondary),
		version: pythonRegistration, body: `{"registrationId": "py-1"}`,
	}
	for range 2 {
		got := y.overHTTPS(d)
		if got.status != http.StatusOK || got.body["status"] != "assigned" ||
			got.state("substatus") != "initialAssignment" {
			t.Fatalf("register: got %v, want the initial assignment each time", got)
		}
	}
	hub, _ := y.service("GET", "/registrations/py-1", "")["assignedHub"].(string)
	key := token(t, hub+"/devices/py-1", "", primary)
	agent := pythonEscape("azure-iot-device-iothub" + pythonAgent)
	for path, want := range map[string]int{
		"/devices/py-1/messages/events":     http.StatusNoContent,
		"/devices/py-1/files":               http.StatusBadRequest,
		"/devices/py-1/files/notifications": http.StatusBadRequest,
	} {
		t.Run(path, func(t *testing.T) {
			status, body := y.on(hub, "POST", path+"?api-version="+pythonHub, `{"blobName": "b"}`, key,
				"User-Agent", agent, "Accept", "application/json")
			message, _ := body["Message"].(string)
			if status != want || want == http.StatusBadRequest &&
				!strings.Contains(message, "DefaultStorageEndpointNotConfigured") {
				t.Errorf("%s: got %d %v, want %d", path, status, body, want)
			}
		})
	}
	status, body := y.on(hub, "GET", "/devices/py-1/messages/devicebound?api-version="+pythonHub, "", key)
	if status != http.StatusNoContent {
		t.Errorf("messages: got %d %v, want none", status, body)
	}
	if kept := y.e.Messages(hub, "py-1"); len(kept) != 1 || kept[0].Protocol != "https" {
		t.Errorf("telemetry: got %+v", kept)
	}
}
