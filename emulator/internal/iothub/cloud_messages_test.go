package iothub_test

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	mqtt "github.com/eclipse/paho.mqtt.golang"
	"github.com/eclipse/paho.mqtt.golang/packets"

	"evenkeel/emulator/internal/broker"
	"evenkeel/emulator/internal/iothub"
	"evenkeel/emulator/internal/state"
	"evenkeel/internal/await"
)

// send sends a message with each body to d1.
func (f *fixture) send(bodies ...string) {
	f.Helper()
	for _, body := range bodies {
		if _, err := f.hubs.SendCloudMessage(host, "d1", iothub.CloudMessage{Body: []byte(body)}); err != nil {
			f.Fatal(err)
		}
	}
}

// waiting returns the number of messages in d1's queue, according to the registry.
func (f *fixture) waiting(want int) {
	f.Helper()
	await.True(f.T, fmt.Sprintf("a queue of %d messages", want), func() bool {
		return fmt.Sprint(f.owner("GET", "/devices/d1", "").field(f.T, "cloudToDeviceMessageCount")) == fmt.Sprint(want)
	})
}

// accept connects d1 without the network: nothing is acknowledged until the test does it.
func (f *fixture) accept(key string, clean bool) (broker.Session, *fakeClient) {
	f.Helper()
	c := &fakeClient{}
	s, err := f.hubs.Accept(broker.Connect{ClientID: "d1", UserName: user("d1"), Password: f.deviceToken("d1", key),
		CleanSession: clean, Client: c})
	if err != nil {
		f.Fatal(err)
	}
	return s, c
}

func (c *fakeClient) bodies() string {
	var all []string
	for _, m := range c.sent {
		all = append(all, string(m.Payload))
	}
	return strings.Join(all, " ")
}

func TestMessagesReachADeviceOverMQTT(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	key := f.device("d1")
	f.send("before the device came")
	c := f.connect(f.options(f.listen(), "d1", key))
	got := make(chan string, 10)
	done(t, "subscribe", c.Subscribe("devices/d1/messages/devicebound/#", 1, func(_ mqtt.Client, m mqtt.Message) {
		got <- fmt.Sprintf("%s %d %s", m.Topic(), m.Qos(), m.Payload())
	}))
	const topic = "devices/d1/messages/devicebound/"
	if m, want := next(t, got), topic+
		"%24.to=%2Fdevices%2Fd1%2Fmessages%2Fdevicebound 1 before the device came"; m != want {
		t.Errorf("got %s\nwant %s", m, want)
	}
	_, err := f.hubs.SendCloudMessage(strings.ToUpper(host), "d1", iothub.CloudMessage{
		MessageID: "m 1", CorrelationID: "c", UserID: "u", ContentType: "text/plain", ContentEncoding: "utf-8",
		Ack:    "full",
		Expiry: f.clock.Now().Add(time.Hour), Properties: map[string]string{"b": "x&y+z", "a": ""},
		Body: []byte("while it is there"),
	})
	if err != nil {
		t.Fatal(err)
	}
	want := topic +
		"%24.cid=c&%24.ct=text%2Fplain&%24.ce=utf-8&%24.exp=2026-03-04T06%3A06%3A07.89Z&iothub-ack=full&%24.mid=m%201" +
		"&%24.to=%2Fdevices%2Fd1%2Fmessages%2Fdevicebound&%24.uid=u&a=&b=x%26y%2Bz 1 while it is there"
	if m := next(t, got); sorted(m) != sorted(want) {
		t.Errorf("got %s\nwant %s", m, want)
	}
	f.waiting(0)
}

// sorted puts the pairs of a topic's property bag in a fixed order, because clients do not depend on the order in the
// topic.
func sorted(message string) string {
	topic, rest, _ := strings.Cut(message, " ")
	pairs := strings.Split(strings.TrimPrefix(topic, "devices/d1/messages/devicebound/"), "&")
	slices.Sort(pairs)
	return strings.Join(pairs, "&") + " " + rest
}

func TestMessagesWaitForTheirAcknowledgement(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	key := f.device("d1")
	filter := "devices/d1/messages/devicebound/#"
	s, c := f.accept(key, false)
	if _, err := s.Subscribe(filter, 1); err != nil {
		t.Fatal(err)
	}
	f.send("a", "b", "c")
	if c.bodies() != "a b c" {
		t.Fatalf("got %q, want all three, in order", c.bodies())
	}
	c.sent[1].Acknowledged()
	f.waiting(2)
	s.Closed()
	f.send("d")

	// Without a clean session the subscription still exists.
	s, c = f.accept(key, false)
	if c.bodies() != "a c d" {
		t.Errorf("got %q at the next connection, want a c d", c.bodies())
	}
	for _, m := range c.sent {
		m.Acknowledged()
	}
	f.waiting(0)
	s.Unsubscribe(filter)
	f.send("e")
	s.Closed()
	s, c = f.accept(key, false)
	if c.bodies() != "" {
		t.Errorf("got %q after it unsubscribed", c.bodies())
	}
	if _, err := s.Subscribe(filter, 0); err != nil {
		t.Fatal(err)
	}
	if c.bodies() != "e" || c.sent[0].QoS != 0 {
		t.Errorf("got %q, want e without acknowledgement", c.bodies())
	}
	f.waiting(0)
	s.Closed()

	s, c = f.accept(key, true)
	f.send("f")
	if c.bodies() != "" {
		t.Errorf("got %q, want nothing: a clean session has no subscription", c.bodies())
	}
	s.Closed()
}

// resent lists the messages that a connection received, each with a star if an earlier connection did not acknowledge
// it.
func (c *fakeClient) resent() string {
	var all []string
	for _, m := range c.sent {
		text := string(m.Payload)
		if m.Resent {
			text += "*"
		}
		all = append(all, text)
	}
	return strings.Join(all, " ")
}

func TestRetransmittedMessagesHaveTheDUPFlag(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	key := f.device("d1")
	want := func(step string, c *fakeClient, want string) {
		t.Helper()
		if got := c.resent(); got != want {
			t.Errorf("%s: got %q, want %q", step, got, want)
		}
	}
	first, c := f.accept(key, false)
	if _, err := first.Subscribe("devices/d1/messages/devicebound/#", 1); err != nil {
		t.Fatal(err)
	}
	f.send("a")
	want("the first time", c, "a")
	first.Closed()
	second, c := f.accept(key, false)
	f.send("b")
	want("again, with a new one", c, "a* b")
	c.sent[1].Acknowledged()
	second.Closed()
	clean, c := f.accept(key, true)
	if _, err := clean.Subscribe("devices/d1/messages/devicebound/#", 1); err != nil {
		t.Fatal(err)
	}
	want("in another session", c, "a")
	clean.Closed()
	f.owner("DELETE", "/devices/d1/commands", "").want(t, "purge", http.StatusOK)

	// A message that the device received over HTTPS, and whose lock has ended, was not sent over MQTT.
	f.send("c")
	take := call{method: "GET", path: "/devices/d1/messages/devicebound" + version, token: f.deviceToken("d1", key)}
	f.do(take).want(t, "take", http.StatusOK)
	f.clock.advance(2 * time.Minute)
	third, _ := f.accept(key, false)
	if _, err := third.Subscribe("devices/d1/messages/devicebound/#", 1); err != nil {
		t.Fatal(err)
	}
	third.Closed()
	last, c := f.accept(key, false)
	want("after HTTPS and an earlier connection", c, "c*")
	last.Closed()
}

// TestAMessageThatIsSentAgainHasTheDUPFlag, as [MQTT-3.3.1-1] of MQTT 3.1.1 requires; the device's acknowledgement
// settles it.
func TestAMessageThatIsSentAgainHasTheDUPFlag(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	key, address := f.device("d1"), f.listen()
	f.send("a")
	for _, dup := range []bool{false, true} {
		b := f.bare(address, key, false)
		if !dup {
			p := packets.NewControlPacket(packets.Subscribe).(*packets.SubscribePacket)
			p.MessageID, p.Topics, p.Qoss = 1, []string{"devices/d1/messages/devicebound/#"}, []byte{1}
			b.send(p)
			b.read()
		}
		m := b.message()
		if string(m.Payload) != "a" || m.Qos != 1 || m.Dup != dup {
			t.Errorf("got %q with QoS %d and DUP %v, want a with QoS 1 and DUP %v", m.Payload, m.Qos, m.Dup, dup)
		}
		if dup {
			ack := packets.NewControlPacket(packets.Puback).(*packets.PubackPacket)
			ack.MessageID = m.MessageID
			b.send(ack)
			f.waiting(0)
		}
		_ = b.Close()
	}
}

func TestReplacedConnectionReturnsItsMessages(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	key := f.device("d1")
	first, _ := f.accept(key, false)
	if _, err := first.Subscribe("devices/d1/messages/devicebound/#", 1); err != nil {
		t.Fatal(err)
	}
	f.send("a")
	_, c := f.accept(key, false)
	if c.bodies() != "" {
		t.Errorf("got %q while the first connection may still acknowledge", c.bodies())
	}
	first.Closed()
	if c.bodies() != "a" {
		t.Errorf("got %q, want what the first connection left", c.bodies())
	}
}

func TestMessagesAreDroppedAfterTooManyDeliveries(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	key := f.device("d1")
	hub, err := f.state.HubByHost(host)
	if err != nil {
		t.Fatal(err)
	}
	hub.Properties = []byte(`{"MaxDeliveries":2,"MessageLife":60000000000}`)
	if _, _, err := f.state.PutHub(hub, state.Unconditional, 0); err != nil {
		t.Fatal(err)
	}
	f.send("a")
	for i := range 3 { // the end of a connection does not count as a failed delivery
		s, c := f.accept(key, true)
		if _, err := s.Subscribe("devices/d1/messages/devicebound/#", 1); err != nil {
			t.Fatal(err)
		}
		if c.bodies() != "a" {
			t.Errorf("connection %d: got %q, want the message", i+1, c.bodies())
		}
		s.Closed()
	}
	token := f.deviceToken("d1", key)
	for i := range 2 {
		taken := f.do(call{method: "GET", path: "/devices/d1/messages/devicebound" + version, token: token}).want(t,
			"take", http.StatusOK)
		if got := taken.header.Get("iothub-deliverycount"); got != fmt.Sprint(i) {
			t.Errorf("got the delivery count %s, want %d", got, i)
		}
		lock := strings.Trim(taken.header.Get("ETag"), `"`)
		f.do(call{method: "POST", path: "/devices/d1/messages/devicebound/" + lock + "/abandon" + version,
			token: token}).want(t, "abandon", http.StatusNoContent)
	}
	f.waiting(0)
	f.send("b")
	f.clock.advance(time.Minute)
	f.waiting(0)
}

func TestMessagesOverHTTPS(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	token := f.deviceToken("d1", f.device("d1"))
	do := func(method, path string) answer {
		t.Helper()
		return f.do(call{method: method, path: "/devices/d1/messages/" + path, token: token})
	}
	if _, err := f.hubs.SendCloudMessage(host, "d1", iothub.CloudMessage{MessageID: "m1", Ack: "positive",
		Properties: map[string]string{"room": "boiler"}, Body: []byte("a")}); err != nil {
		t.Fatal(err)
	}
	f.send("b")
	receive := func(want string) (lock string) {
		t.Helper()
		a := do("GET", "deviceBound"+version).want(t, "receive "+want, http.StatusOK)
		if a.body != want {
			t.Fatalf("got %q, want %q", a.body, want)
		}
		return strings.Trim(a.header.Get("ETag"), `"`)
	}
	a := do("GET", "devicebound"+version).want(t, "receive", http.StatusOK)
	for name, want := range map[string]string{
		"iothub-messageid": "m1", "iothub-to": "/devices/d1/messages/devicebound", "iothub-ack": "positive",
		"iothub-app-room":       "boiler",
		"iothub-sequencenumber": "1", "iothub-deliverycount": "0", "iothub-enqueuedtime": "2026-03-04T05:06:07.89Z",
	} {
		t.Run(name, func(t *testing.T) {
			if got := a.header.Get(name); got != want {
				t.Errorf("header %s: got %q, want %q", name, got, want)
			}
		})
	}
	lock := strings.Trim(a.header.Get("ETag"), `"`)
	second := receive("b")
	do("GET", "devicebound"+version).want(t, "receive with all locked", http.StatusNoContent)
	do("POST", "devicebound/"+lock+"/abandon"+version).want(t, "abandon", http.StatusNoContent)
	lock = receive("a")
	do("DELETE", "devicebound/"+lock+version).want(t, "complete", http.StatusNoContent)
	do("DELETE", "devicebound/"+lock+version).want(t, "complete again", http.StatusPreconditionFailed).wantField(t,
		"Message", "ErrorCode:DeviceMessageLockLost;The lock of the message has ended or is unknown")
	f.clock.advance(time.Minute)
	do("DELETE", "devicebound/"+second+version).want(t, "complete too late", http.StatusPreconditionFailed)
	second = receive("b")
	do("DELETE", "devicebound/"+second+version+"&reject").want(t, "reject", http.StatusNoContent)
	do("GET", "devicebound"+version).want(t, "receive", http.StatusNoContent)
	f.do(call{method: "GET", path: "/devices/d1/messages/devicebound" + version, token: f.policy("service")}).want(t,
		"with a service policy", 401)

	f.send("c", "d")
	f.owner("GET", "/twins/d1", "").wantField(t, "cloudToDeviceMessageCount", 2)
	if a := f.owner("GET", "/devices", ""); !strings.Contains(a.body, `"cloudToDeviceMessageCount":2`) {
		t.Errorf("got list %s", a.body)
	}
	f.owner("DELETE", "/devices/d1/commands", "").want(t, "purge", 200).wantField(t, "totalMessagesPurged", 2)
	f.waiting(0)
	f.owner("DELETE", "/devices/d9/commands", "").want(t, "purge of an unknown device", 404)
}

func TestMessagesThatCannotBeSent(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.device("d1")
	for name, tc := range map[string]struct {
		host, device string
		message      iothub.CloudMessage
		want         string
	}{
		"too large": {host, "d1", iothub.CloudMessage{Body: make([]byte, 64<<10+1)}, "MessageTooLarge"},
		"expired":   {host, "d1", iothub.CloudMessage{Expiry: f.clock.Now()}, "expired"},
		"ack":       {host, "d1", iothub.CloudMessage{Ack: "yes"}, "ack must be"},
		"property name": {host, "d1", iothub.CloudMessage{Properties: map[string]string{"a b": "c"}},
			"property name"},
		"property value": {host, "d1", iothub.CloudMessage{Properties: map[string]string{"a": "b\nc"}},
			"control character"},
		"unknown device":  {host, "d9", iothub.CloudMessage{}, "not registered"},
		"unknown hub":     {"hub-9.azure-devices.net", "d1", iothub.CloudMessage{}, "does not exist"},
		"message id line": {host, "d1", iothub.CloudMessage{MessageID: "a\r\nb"}, "control character"},
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := f.hubs.SendCloudMessage(tc.host, tc.device, tc.message); err == nil ||
				!strings.Contains(err.Error(), tc.want) {
				t.Errorf("%s: got %v, want %q", name, err, tc.want)
			}
		})
	}
	for range state.MaxCloudMessages {
		f.send("x")
	}
	_, err := f.hubs.SendCloudMessage(host, "d1", iothub.CloudMessage{})
	if err == nil || !strings.Contains(err.Error(), "DeviceMaximumQueueDepthExceeded") {
		t.Errorf("one more: got %v", err)
	}
}
