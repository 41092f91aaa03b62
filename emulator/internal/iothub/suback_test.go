package iothub_test

import (
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/eclipse/paho.mqtt.golang/packets"

	"evenkeel/emulator/internal/broker"
	"evenkeel/internal/await"
)

// bare is a device's raw MQTT connection, which does nothing automatically.
type bare struct {
	net.Conn
	*testing.T
	last uint16
}

// bare connects d1 and reads the CONNACK.
func (f *fixture) bare(address, key string, clean bool) *bare {
	f.Helper()
	conn, err := (&net.Dialer{}).DialContext(await.Context(f.T), "tcp", address)
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(func() { _ = conn.Close() })
	b := &bare{Conn: conn, T: f.T}
	p := packets.NewControlPacket(packets.Connect).(*packets.ConnectPacket)
	p.ProtocolName, p.ProtocolVersion, p.CleanSession, p.Keepalive, p.ClientIdentifier = "MQTT", 4, clean, 600, "d1"
	p.UsernameFlag, p.Username, p.PasswordFlag, p.Password = true, user("d1"), true, []byte(f.deviceToken("d1", key))
	b.send(p)
	if ack, ok := b.read().(*packets.ConnackPacket); !ok || ack.ReturnCode != packets.Accepted {
		f.Fatalf("got %v, want the CONNACK", ack)
	}
	return b
}

func (b *bare) send(p packets.ControlPacket) {
	b.Helper()
	if err := errors.Join(b.SetDeadline(time.Now().Add(await.Limit)), p.Write(b.Conn)); err != nil {
		b.Fatal(err)
	}
}

func (b *bare) read() packets.ControlPacket {
	b.Helper()
	p, err := packets.ReadPacket(b.Conn)
	if err != nil {
		b.Fatalf("after packet %d: %v", b.last, err)
	}
	return p
}

// subscribe subscribes and reads the SUBACK, which must come first.
func (b *bare) subscribe(filter string) {
	b.Helper()
	p := packets.NewControlPacket(packets.Subscribe).(*packets.SubscribePacket)
	b.last++
	p.MessageID, p.Topics, p.Qoss = b.last, []string{filter}, []byte{0}
	b.send(p)
	if ack, ok := b.read().(*packets.SubackPacket); !ok || ack.ReturnCodes[0] != 0 {
		b.Fatalf("subscribe to %s: got %v, want the SUBACK", filter, ack)
	}
}

func (b *bare) unsubscribe(filter string) {
	b.Helper()
	p := packets.NewControlPacket(packets.Unsubscribe).(*packets.UnsubscribePacket)
	b.last++
	p.MessageID, p.Topics = b.last, []string{filter}
	b.send(p)
	if ack, ok := b.read().(*packets.UnsubackPacket); !ok {
		b.Fatalf("unsubscribe from %s: got %v, want the UNSUBACK", filter, ack)
	}
}

// message reads the next message to the device.
func (b *bare) message() *packets.PublishPacket {
	b.Helper()
	p, ok := b.read().(*packets.PublishPacket)
	if !ok {
		b.Fatal("got another packet, want a message")
	}
	return p
}

// TestADeviceMissesNothingAfterItsSuback: a method call, twin change, answer or message that is sent at the moment of
// the SUBACK reaches the device, and so does one that is sent at the CONNACK of a resumed session.
func TestADeviceMissesNothingAfterItsSuback(t *testing.T) {
	t.Parallel()
	version := 1
	for name, tc := range map[string]struct {
		filter string
		// send makes the emulator send the n-th message; sent is called after that.
		send func(f *fixture, b *bare, n int)
		want func(n int) string
	}{
		"a message": {"devices/d1/messages/devicebound/#", func(f *fixture, _ *bare, n int) {
			f.send(fmt.Sprint(n))
		}, func(n int) string { return fmt.Sprint(n) }},
		"a twin change": {"$iothub/twin/PATCH/properties/desired/#", func(f *fixture, _ *bare, n int) {
			change := fmt.Sprintf(`{"properties":{"desired":{"n":%d}}}`, n)
			f.owner("PATCH", "/twins/d1", change).want(f.T, "patch", http.StatusOK)
		}, func(n int) string { return fmt.Sprintf(`{"n":%d,"$version":%d}`, n, version+n) }},
		"an answer": {"$iothub/twin/res/#", func(_ *fixture, b *bare, n int) {
			p := packets.NewControlPacket(packets.Publish).(*packets.PublishPacket)
			p.TopicName = fmt.Sprintf("$iothub/twin/GET/?$rid=%d", n)
			b.send(p)
		}, func(int) string { return `{"desired":{"$version":1},"reported":{"$version":1}}` }},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFixture(t)
			key, address := f.device("d1"), f.listen()
			b, n := f.bare(address, key, false), 0
			for begun := time.Now(); n < 2000 && time.Since(begun) < 2*time.Second; {
				n++
				if n%10 == 0 { // the subscription of an earlier connection
					b.subscribe(tc.filter)
					_ = b.Close()
					b = f.bare(address, key, false)
				} else {
					b.subscribe(tc.filter)
				}
				tc.send(f, b, n)
				if got, want := string(b.message().Payload), tc.want(n); got != want {
					t.Fatalf("subscription %d: got %s, want %s", n, got, want)
				}
				b.unsubscribe(tc.filter)
			}
			t.Logf("%d subscriptions", n)
		})
	}
}

// TestNoMethodIsLostAfterTheSuback: a call that waits for a device, or arrives at the moment of its SUBACK, reaches the
// present connection, even if the device has only just closed the one before.
func TestNoMethodIsLostAfterTheSuback(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	key, address := f.device("d1"), f.listen()
	const filter = "$iothub/methods/POST/#"
	const body = `{"methodName":"m","connectTimeoutInSeconds":60,"responseTimeoutInSeconds":60}`
	answers := make(chan answer, 1)
	n := 0
	for begun := time.Now(); n < 1000 && time.Since(begun) < 2*time.Second; n++ {
		b := f.bare(address, key, true)
		if n%2 == 0 { // before the subscription
			go func() { answers <- f.owner("POST", "/twins/d1/methods", body) }()
		}
		b.subscribe(filter)
		if n%2 == 1 {
			go func() { answers <- f.owner("POST", "/twins/d1/methods", body) }()
		}
		call := b.message()
		_, rid, _ := strings.Cut(call.TopicName, "$rid=")
		p := packets.NewControlPacket(packets.Publish).(*packets.PublishPacket)
		p.TopicName, p.Payload = "$iothub/methods/res/200/?$rid="+rid, []byte(fmt.Sprint(n))
		b.send(p)
		a := await.Next(t, answers, fmt.Sprint("the answer to call ", n))
		a.want(t, "call", http.StatusOK).wantField(t, "payload", n)
		_ = b.Close() // the next one connects while this one ends
	}
	t.Logf("%d calls", n)
}

// TestMethodCallWaitsForAReconnect: the device reconnects while a call with a connect timeout waits.
func TestMethodCallWaitsForAReconnect(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	key := f.device("d1")
	const methods = "$iothub/methods/POST/#"
	first, c := f.accept(key, false)
	if _, err := first.Subscribe(methods, 0); err != nil {
		t.Fatal(err)
	}
	c.Close(errors.New("the network failed")) // the session has not noticed it yet
	a := f.owner("POST", "/twins/d1/methods", `{"methodName":"echo"}`)
	a.want(t, "a call that does not wait", http.StatusNotFound)
	if got := a.header.Get("iothub-errorcode"); got != "DeviceNotOnline" {
		t.Errorf("got code %q, want DeviceNotOnline", got)
	}
	answers := make(chan answer, 1)
	go func() {
		const waiting = `{"methodName":"echo","payload":7,"connectTimeoutInSeconds":60}`
		answers <- f.owner("POST", "/twins/d1/methods", waiting)
	}()
	f.again(f.listen(), key) // continues the stored subscription
	a = await.Next(t, answers, "the answer of the next connection")
	a.want(t, "call", http.StatusOK).wantField(t, "payload", 7)
	first.Closed()
}

// TestAMessageWhoseLockEndsReachesTheConnectedDevice: the device received it over HTTPS, did not settle it and
// connected over MQTT.
func TestAMessageWhoseLockEndsReachesTheConnectedDevice(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	key := f.device("d1")
	f.send("a")
	f.do(call{
		method: "GET", path: "/devices/d1/messages/devicebound" + version, token: f.deviceToken("d1", key),
		header: map[string]string{"iothub-messagelocktimeout": "1"},
	}).want(t, "take", http.StatusOK)
	b := f.bare(f.listen(), key, true)
	b.subscribe("devices/d1/messages/devicebound/#")
	f.clock.advance(time.Second)
	if got := string(b.message().Payload); got != "a" {
		t.Errorf("got %q, want the message", got)
	}
}

// TestLatestConnectionReplacesTheEarlierOne checks this in whatever order the connections end.
func TestLatestConnectionReplacesTheEarlierOne(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	key := f.device("d1")
	connected := func() bool {
		d, err := f.state.Device(host, "d1")
		if err != nil {
			t.Fatal(err)
		}
		return d.Connected
	}
	first, gone := f.accept(key, true)
	second, c := f.accept(key, true)
	if gone.end() == nil || c.end() != nil {
		t.Fatalf("got the first ended %v, the second %v, want the first taken over", gone.end(), c.end())
	}
	if err := first.Publish(broker.Message{Topic: "devices/d1/messages/events/"}); err == nil {
		t.Error("a connection that was taken over sends on")
	}
	first.Closed()
	if !connected() {
		t.Error("the end of the connection before made the device disconnected")
	}
	second.Closed()
	if connected() {
		t.Error("got the device connected when its last connection has ended")
	}
}
