package broker_test

import (
	"bytes"
	"crypto/tls"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/eclipse/paho.mqtt.golang/packets"
	"github.com/gorilla/websocket"

	"evenkeel/emulator/internal/broker"
	"evenkeel/internal/await"
)

// sockets serves a broker over WebSockets and TLS, and returns the address.
func sockets(t *testing.T, f *front) (string, *broker.Broker) {
	t.Helper()
	b, err := broker.New(broker.Options{Fronts: []broker.Front{f}, MaxPacket: 1 << 10})
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewUnstartedServer(http.HandlerFunc(b.ServeWebSocket))
	server.TLS = &tls.Config{ClientAuth: tls.RequestClientCert}
	server.StartTLS()
	t.Cleanup(func() {
		_ = b.Close()
		server.Close()
	})
	return server.Listener.Addr().String(), b
}

func dialer(protocols ...string) *websocket.Dialer {
	return &websocket.Dialer{
		TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, Subprotocols: protocols, EnableCompression: true,
		HandshakeTimeout: await.Limit,
	}
}

// socket is a WebSocket whose messages form a stream.
type socket struct {
	*websocket.Conn
	t    *testing.T
	rest []byte
}

func open(t *testing.T, address string, d *websocket.Dialer) *socket {
	t.Helper()
	conn, _, err := d.Dial("wss://"+address+broker.WebSocketPath+"?iothub-no-client-cert=true", nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	_ = conn.SetReadDeadline(time.Now().Add(await.Limit))
	return &socket{Conn: conn, t: t}
}

func (s *socket) Read(p []byte) (int, error) {
	if len(s.rest) == 0 {
		kind, message, err := s.ReadMessage()
		if err != nil {
			return 0, io.EOF
		}
		if kind != websocket.BinaryMessage {
			s.t.Errorf("got a message of kind %d, want a binary one", kind)
		}
		s.rest = message
	}
	n := copy(p, s.rest)
	s.rest = s.rest[n:]
	return n, nil
}

// say sends packets in messages of at most size bytes.
func (s *socket) say(size int, all ...packets.ControlPacket) {
	s.t.Helper()
	var b bytes.Buffer
	for _, p := range all {
		if err := p.Write(&b); err != nil {
			s.t.Fatal(err)
		}
	}
	for b.Len() > 0 {
		if err := s.WriteMessage(websocket.BinaryMessage, b.Next(size)); err != nil {
			s.t.Fatal(err)
		}
	}
}

func (s *socket) hear() packets.ControlPacket {
	s.t.Helper()
	p, err := packets.ReadPacket(s)
	if err != nil {
		s.t.Fatalf("read: %v", err)
	}
	return p
}

func TestMQTTOverWebSockets(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		offered []string
		want    string
		size    int
	}{
		"the Node SDK":                 {[]string{"mqtt"}, "mqtt", 1 << 20},
		"the C SDK":                    {[]string{"MQTT"}, "MQTT", 1 << 20},
		"the first that is understood": {[]string{"AMQPWSB10", "mqtt"}, "mqtt", 1 << 20},
		"packets in pieces":            {[]string{"mqtt"}, "mqtt", 3},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := &front{events: make(chan string, 16)}
			address, _ := sockets(t, f)
			device := pair(t, "device")
			d := dialer(test.offered...)
			d.TLSClientConfig.Certificates = []tls.Certificate{device}
			s := open(t, address, d)
			if got := s.Subprotocol(); got != test.want {
				t.Errorf("got subprotocol %q, want %q", got, test.want)
			}
			// With a large size, all packets are in one message: packets and messages need not coincide.
			subscribe := packets.NewControlPacket(packets.Subscribe).(*packets.SubscribePacket)
			subscribe.Topics, subscribe.Qoss, subscribe.MessageID = []string{"echo/#"}, []byte{1}, 7
			publish := packets.NewControlPacket(packets.Publish).(*packets.PublishPacket)
			publish.TopicName, publish.Payload = "echo/x", []byte("hello")
			s.say(test.size, hello("ours/a"), subscribe, publish)
			if ack := s.hear().(*packets.ConnackPacket); ack.ReturnCode != packets.Accepted {
				t.Fatalf("got %v, want the connection accepted", ack)
			}
			if _, ok := s.hear().(*packets.SubackPacket); !ok {
				t.Error("got no SUBACK")
			}
			if got := s.hear().(*packets.PublishPacket); string(got.Payload) != "hello" {
				t.Errorf("got %q, want the echo", got.Payload)
			}
			f.mu.Lock()
			got := f.connects[0].Certificates
			f.mu.Unlock()
			if len(got) != 1 || got[0].Subject.CommonName != "device" {
				t.Errorf("got %d certificates, want the device's", len(got))
			}
		})
	}
}

func TestAMQPOverWebSocketsIsRefusedInAMQP(t *testing.T) {
	t.Parallel()
	address, _ := sockets(t, &front{events: make(chan string, 16)})
	s := open(t, address, dialer("AMQPWSB10"))
	if err := s.WriteMessage(websocket.BinaryMessage,
		[]byte("AMQP\x00\x01\x00\x00\x00\x00\x00\x11\x02\x00\x00\x00\x00\x53\x10\xc0\x04\x01\xa1\x01c")); err != nil {
		t.Fatal(err)
	}
	var heard []byte
	for !bytes.Contains(heard, []byte("amqp:not-implemented")) {
		_, message, err := s.ReadMessage()
		if err != nil {
			t.Fatalf("got %q and then %v, want the error amqp:not-implemented", heard, err)
		}
		heard = append(heard, message...)
	}
}

func TestRefusedWebSockets(t *testing.T) {
	t.Parallel()
	address, _ := sockets(t, &front{events: make(chan string, 16)})
	for name, test := range map[string]struct {
		offered []string
		status  int
		text    string
	}{
		"another": {[]string{"soap"}, 400, "must be mqtt"},
		"nothing": {nil, 400, "must be mqtt"},
	} {
		t.Run(name, func(t *testing.T) {
			_, response, err := dialer(test.offered...).Dial("wss://"+address+broker.WebSocketPath, nil)
			if err == nil || response == nil {
				t.Fatalf("%s: got %v, want an answer that refuses", name, err)
			}
			body, _ := io.ReadAll(response.Body)
			if response.StatusCode != test.status || !strings.Contains(string(body), test.text) {
				t.Errorf("%s: got %d %s, want %d %q", name, response.StatusCode, body, test.status, test.text)
			}
		})
	}
	client := &http.Client{Timeout: await.Limit, Transport: &http.Transport{
		TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}}
	response, err := client.Get("https://" + address + broker.WebSocketPath)
	if err != nil {
		t.Fatal(err)
	}
	_ = response.Body.Close()
	if response.StatusCode != http.StatusUpgradeRequired {
		t.Errorf("no WebSocket: got %d, want %d", response.StatusCode, http.StatusUpgradeRequired)
	}

	// Errors after the upgrade are reported in MQTT, or close the connection.
	wrong := hello("ours/a")
	wrong.Password = []byte("wrong")
	s := open(t, address, dialer("mqtt"))
	s.say(1<<20, wrong)
	if ack := s.hear().(*packets.ConnackPacket); ack.ReturnCode != packets.ErrRefusedNotAuthorised {
		t.Errorf("got %v, want a refusal", ack)
	}
	s = open(t, address, dialer("mqtt"))
	if err := s.WriteMessage(websocket.TextMessage, []byte("hello")); err != nil {
		t.Fatal(err)
	}
	if _, err := packets.ReadPacket(s); err == nil {
		t.Error("a text message was answered, want the connection closed")
	}
	s = open(t, address, dialer("mqtt"))
	s.say(1<<20, hello("ours/a"))
	s.hear()
	// The message exceeds the limit; the broker may close the connection before all of it is written.
	_ = s.WriteMessage(websocket.BinaryMessage, append([]byte{0x30, 0x80, 0x80, 0x40}, make([]byte, 64<<10)...))
	if _, err := packets.ReadPacket(s); err == nil {
		t.Error("a packet over the limit was answered, want the connection closed")
	}
}

func TestWebSocketsEndWithTheBroker(t *testing.T) {
	t.Parallel()
	f := &front{events: make(chan string, 16)}
	address, b := sockets(t, f)
	s := open(t, address, dialer("mqtt"))
	s.say(1<<20, hello("ours/a"))
	s.hear()
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	if _, _, err := s.ReadMessage(); !websocket.IsCloseError(err, websocket.CloseNormalClosure) {
		t.Errorf("got %v, want the WebSocket closed", err)
	}
}
