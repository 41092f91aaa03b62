package broker_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/eclipse/paho.mqtt.golang/packets"

	"evenkeel/emulator/internal/broker"
	"evenkeel/internal/await"
)

const (
	secret = "SharedAccessSignature sr=x&sig=y&se=1"
)

// front accepts user names that begin with "ours/" with the right password; the rest names the session.
type front struct {
	mu       sync.Mutex
	connects []broker.Connect
	sessions []*session
	events   chan string
}

func (f *front) Accept(c broker.Connect) (broker.Session, error) {
	name, ours := strings.CutPrefix(c.UserName, "ours/")
	if !ours {
		return nil, broker.ErrNotMine
	}
	if c.Password != secret {
		return nil, errors.New("wrong password")
	}
	s := &session{id: name, client: c.Client, events: f.events, goOn: make(chan struct{})}
	if welcome, ok := strings.CutPrefix(name, "welcome "); ok {
		if err := c.Client.Send(broker.Message{Topic: "welcome", Payload: []byte(welcome)}); err != nil {
			return nil, err
		}
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.connects = append(f.connects, c)
	f.sessions = append(f.sessions, s)
	return s, nil
}

// session echoes what is published under "echo/", refuses other filters than "echo/#", and fails on "bad" and panics on
// "panic".
type session struct {
	id     string
	client broker.Client
	events chan string
	// goOn ends the waits when it is closed.
	goOn chan struct{}
}

func (s *session) Name() string { return s.id }

func (s *session) Resumed() bool { return s.id == "resumed" }

func (s *session) Subscribe(filter string, qos byte) (byte, error) {
	switch filter {
	case "echo/#":
		return qos, nil
	case "last":
		return qos, s.client.Send(broker.Message{Topic: "last", QoS: 1, Acknowledged: func() {
			s.events <- s.id + " acknowledged last"
		}})
	case "bad":
		return 0, errors.New("unknown topic")
	}
	return broker.Refused, nil
}

func (s *session) Unsubscribe(filter string) { s.events <- "unsubscribed " + filter }

func (s *session) Publish(m broker.Message) error {
	if strings.HasPrefix(m.Topic, "bad") {
		return errors.New("unknown topic")
	}
	switch m.Topic {
	case "panic":
		panic("as asked")
	case "wait":
		s.events <- s.id + " waits"
		select {
		case <-s.client.Context().Done():
			s.events <- s.id + " waited: " + s.client.Context().Err().Error()
			return s.client.Context().Err()
		case <-s.goOn:
			return nil
		}
	}
	s.events <- s.id + " published " + m.Topic + " " + string(m.Payload)
	if strings.HasPrefix(m.Topic, "echo/") {
		return s.client.Send(broker.Message{Topic: m.Topic, Payload: m.Payload, QoS: 1})
	}
	return nil
}

func (s *session) Closed() { s.events <- s.id + " closed" }

type server struct {
	broker *broker.Broker
	front  *front
	addr   string
	log    *lockedBuffer
}

type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

func serve(t testing.TB, change func(*broker.Options)) server {
	t.Helper()
	s := server{front: &front{events: make(chan string, 4096)}, log: &lockedBuffer{}}
	o := broker.Options{Fronts: []broker.Front{s.front},
		Log: slog.New(slog.NewTextHandler(s.log, &slog.HandlerOptions{Level: slog.LevelDebug}))}
	if change != nil {
		change(&o)
	}
	b, err := broker.New(o)
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s.broker, s.addr = b, l.Addr().String()
	served := make(chan error, 1)
	go func() { served <- b.Serve(l) }()
	t.Cleanup(func() {
		if err := b.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
		if err := await.Next(t, served, "the end of Serve"); err != nil {
			t.Errorf("serve: %v", err)
		}
	})
	return s
}

func (s server) await(t testing.TB, want string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), await.Limit)
	defer cancel()
	for {
		select {
		case got := <-s.front.events:
			if got == want {
				return
			}
		case <-ctx.Done():
			t.Fatalf("%q did not happen", want)
		}
	}
}

// client is a raw MQTT client that does nothing automatically.
type client struct {
	net.Conn
	t testing.TB
}

func (s server) dial(t testing.TB) client {
	t.Helper()
	conn, err := net.Dial("tcp", s.addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	_ = conn.SetDeadline(time.Now().Add(await.Limit))
	return client{conn, t}
}

func hello(user string) *packets.ConnectPacket {
	p := packets.NewControlPacket(packets.Connect).(*packets.ConnectPacket)
	p.ProtocolName, p.ProtocolVersion, p.CleanSession, p.Keepalive = "MQTT", 4, true, 60
	p.ClientIdentifier, p.UsernameFlag, p.Username, p.PasswordFlag, p.Password = "device", true, user, true,
		[]byte(secret)
	return p
}

func (s server) connect(t testing.TB, user string) client {
	t.Helper()
	c := s.dial(t)
	c.send(hello(user))
	if ack := c.read().(*packets.ConnackPacket); ack.ReturnCode != packets.Accepted || ack.SessionPresent {
		t.Fatalf("got %v", ack)
	}
	return c
}

func (c client) send(p packets.ControlPacket) {
	c.t.Helper()
	if err := p.Write(c.Conn); err != nil {
		c.t.Fatal(err)
	}
}

func (c client) read() packets.ControlPacket {
	c.t.Helper()
	p, err := packets.ReadPacket(c.Conn)
	if err != nil {
		c.t.Fatal(err)
	}
	return p
}

func (c client) publish(topic, payload string, qos byte) {
	c.t.Helper()
	p := packets.NewControlPacket(packets.Publish).(*packets.PublishPacket)
	p.TopicName, p.Payload, p.Qos, p.MessageID = topic, []byte(payload), qos, 7
	if qos == 0 {
		p.MessageID = 0
	}
	c.send(p)
}

func (c client) subscribe(filters []string, qos byte) []byte {
	c.t.Helper()
	p := packets.NewControlPacket(packets.Subscribe).(*packets.SubscribePacket)
	p.MessageID, p.Topics, p.Qoss = 1, filters, bytes.Repeat([]byte{qos}, len(filters))
	c.send(p)
	return c.read().(*packets.SubackPacket).ReturnCodes
}

func (c client) wantClosed(what string) {
	c.t.Helper()
	if p, err := packets.ReadPacket(c.Conn); err == nil {
		c.t.Errorf("%s: got %v, want a closed connection", what, p)
	} else if e, timeout := err.(net.Error); timeout && e.Timeout() {
		c.t.Errorf("%s: the connection stays open", what)
	}
}

func TestConnectionsAreAnsweredBeforeTheyAreClosed(t *testing.T) {
	t.Parallel()
	s := serve(t, nil)
	for name, tc := range map[string]struct {
		change func(*packets.ConnectPacket)
		want   byte
	}{
		"right": {func(*packets.ConnectPacket) {}, packets.Accepted},
		"wrong password": {func(p *packets.ConnectPacket) { p.Password = []byte("other") },
			packets.ErrRefusedNotAuthorised},
		"no password": {func(p *packets.ConnectPacket) { p.PasswordFlag, p.Password = false, nil },
			packets.ErrRefusedNotAuthorised},
		"empty password": {func(p *packets.ConnectPacket) { p.Password = nil }, packets.ErrRefusedNotAuthorised},
		"no client id": {func(p *packets.ConnectPacket) { p.ClientIdentifier, p.CleanSession = "", false },
			packets.ErrRefusedNotAuthorised},
		"no front": {func(p *packets.ConnectPacket) { p.Username = "theirs/x" }, packets.ErrRefusedNotAuthorised},
		"MQTT 3.1": {func(p *packets.ConnectPacket) { p.ProtocolName, p.ProtocolVersion = "MQIsdp", 3 },
			packets.ErrRefusedBadProtocolVersion},
	} {
		t.Run(name, func(t *testing.T) {
			c := s.dial(t)
			p := hello("ours/" + name)
			tc.change(p)
			c.send(p)
			if ack := c.read().(*packets.ConnackPacket); ack.ReturnCode != tc.want {
				t.Errorf("%s: got CONNACK %d, want %d", name, ack.ReturnCode, tc.want)
			}
			if tc.want != packets.Accepted {
				c.wantClosed(name)
			}
		})
	}
}

func TestMQTT5IsRefusedInMQTT311(t *testing.T) {
	t.Parallel()
	c := serve(t, nil).dial(t)
	// CONNECT, level 5, no properties, client id "d": MQTT 5.0 section 3.1.
	if _, err := c.Write([]byte{0x10, 14, 0, 4, 'M', 'Q', 'T', 'T', 5, 2, 0, 60, 0, 0, 1, 'd'}); err != nil {
		t.Fatal(err)
	}
	if got, err := io.ReadAll(c); err != nil || !bytes.Equal(got, []byte{0x20, 2, 0, 1}) {
		t.Errorf("got % x, %v, want CONNACK 1", got, err)
	}
}

func TestAnswersFollowTheAcknowledgement(t *testing.T) {
	t.Parallel()
	s := serve(t, nil)
	c := s.connect(t, "ours/a")
	c.publish("echo/1", "hello", 1)
	if ack, ok := c.read().(*packets.PubackPacket); !ok || ack.MessageID != 7 {
		t.Fatalf("got %v, want the acknowledgement first", ack)
	}
	got, ok := c.read().(*packets.PublishPacket)
	if !ok || got.TopicName != "echo/1" || string(got.Payload) != "hello" || got.Qos != 1 || got.Retain {
		t.Errorf("got %v", got)
	}
}

func TestMessagesFollowTheConnackAndSuback(t *testing.T) {
	t.Parallel()
	s := serve(t, nil)
	c := s.connect(t, "ours/welcome a") // reads the CONNACK
	if got, ok := c.read().(*packets.PublishPacket); !ok || got.TopicName != "welcome" {
		t.Fatalf("got %v, want the message that the front sent", got)
	}
	if got, want := c.subscribe([]string{"last"}, 1), []byte{1}; !bytes.Equal(got, want) { // reads the SUBACK
		t.Fatalf("got % x, want % x", got, want)
	}
	got, ok := c.read().(*packets.PublishPacket)
	if !ok || got.TopicName != "last" || got.Qos != 1 {
		t.Fatalf("got %v, want the message that the session sent", got)
	}
	ack := packets.NewControlPacket(packets.Puback).(*packets.PubackPacket)
	ack.MessageID = got.MessageID
	c.send(ack)
	s.await(t, "welcome a acknowledged last")
}

func TestTheSessionDecidesTheGrantedQoS(t *testing.T) {
	t.Parallel()
	s := serve(t, nil)
	c := s.connect(t, "ours/a")
	if got, want := c.subscribe([]string{"echo/#", "other"}, 2), []byte{1, 0x80}; !bytes.Equal(got, want) {
		t.Errorf("got % x, want % x", got, want)
	}
	p := packets.NewControlPacket(packets.Unsubscribe).(*packets.UnsubscribePacket)
	p.MessageID, p.Topics = 2, []string{"echo/#"}
	c.send(p)
	if _, ok := c.read().(*packets.UnsubackPacket); !ok {
		t.Error("no UNSUBACK")
	}
	s.await(t, "unsubscribed echo/#")
}

func TestForbiddenPacketsCloseTheConnection(t *testing.T) {
	t.Parallel()
	s := serve(t, nil)
	for name, do := range map[string]func(client){
		"publish to an unknown topic": func(c client) { c.publish("bad", "", 1) },
		"publish to $SYS":             func(c client) { c.publish("$SYS/broker", "", 0) },
		"publish with QoS 2":          func(c client) { c.publish("echo/1", "", 2) },
		"publish too much":            func(c client) { c.publish("echo/1", strings.Repeat("x", 400<<10), 0) },
		"panic of the front":          func(c client) { c.publish("panic", "", 1) },
		"second CONNECT":              func(c client) { c.send(hello("ours/second")) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			id := strings.ReplaceAll(name, " ", "-")
			c := s.connect(t, "ours/"+id)
			do(c)
			c.wantClosed(name)
		})
	}
}

func TestASubscriptionToAnUnknownTopicClosesTheConnection(t *testing.T) {
	t.Parallel()
	s := serve(t, nil)
	c := s.connect(t, "ours/a")
	p := packets.NewControlPacket(packets.Subscribe).(*packets.SubscribePacket)
	p.MessageID, p.Topics, p.Qoss = 1, []string{"bad"}, []byte{0}
	c.send(p)
	c.wantClosed("subscribe")
	s.await(t, "a closed")
}

// TestConnectionsMayShareAClientID checks that the front decides which connection stays.
func TestConnectionsMayShareAClientID(t *testing.T) {
	t.Parallel()
	s := serve(t, nil)
	first, second := s.connect(t, "ours/a"), s.connect(t, "ours/a")
	for _, c := range []client{first, second} {
		c.publish("echo/1", "x", 0)
		if _, ok := c.read().(*packets.PublishPacket); !ok {
			t.Error("a connection that should live does not answer")
		}
	}
	if got := s.broker.Connections(); got != 2 {
		t.Errorf("got %d connections, want 2", got)
	}
	s.front.mu.Lock()
	s.front.sessions[0].client.Close(errors.New("as the front says"))
	s.front.mu.Unlock()
	first.wantClosed("first")
	s.await(t, "a closed")
	if got := s.broker.Connections(); got != 1 {
		t.Errorf("got %d connections, want 1", got)
	}
}

func TestClientsAreIsolated(t *testing.T) {
	t.Parallel()
	s := serve(t, nil)
	listener, speaker := s.connect(t, "ours/a"), s.connect(t, "ours/b")
	listener.subscribe([]string{"echo/#"}, 1)
	speaker.publish("echo/1", "from b", 1)
	s.await(t, "b published echo/1 from b")
	listener.publish("echo/2", "from a", 0)
	if got := listener.read().(*packets.PublishPacket); string(got.Payload) != "from a" {
		t.Errorf("got %q of another client", got.Payload)
	}
}

func TestWillIsPublishedWithoutADisconnect(t *testing.T) {
	t.Parallel()
	s := serve(t, nil)
	for _, tc := range []struct {
		will   string
		polite bool
	}{{"gone", true}, {"gone", false}, {"", false}} {
		t.Run(fmt.Sprintf("will=%q goodbye=%t", tc.will, tc.polite), func(t *testing.T) {
			p := hello("ours/a")
			p.WillFlag, p.WillTopic, p.WillMessage = true, "will", []byte(tc.will)
			c := s.dial(t)
			c.send(p)
			c.read()
			if tc.polite {
				c.send(packets.NewControlPacket(packets.Disconnect))
			}
			_ = c.Close()
			var got []string
			for !slices.Contains(got, "a closed") {
				got = append(got, await.Next(t, s.front.events, fmt.Sprintf("the end of a after %q", got)))
			}
			if published := slices.Contains(got, "a published will "+tc.will); published == tc.polite {
				t.Errorf("will %q, goodbye %v: got %q", tc.will, tc.polite, got)
			}
		})
	}
}

func TestConnackReportsAResumedSession(t *testing.T) {
	t.Parallel()
	s := serve(t, nil)
	for _, user := range []string{"ours/a", "ours/resumed"} {
		t.Run(user, func(t *testing.T) {
			c := s.dial(t)
			c.send(hello(user))
			if ack := c.read().(*packets.ConnackPacket); ack.SessionPresent != (user == "ours/resumed") {
				t.Errorf("%s: got session present %t", user, ack.SessionPresent)
			}
		})
	}
}

func TestClientsThatDoNotConnectAreDropped(t *testing.T) {
	t.Parallel()
	s := serve(t, func(o *broker.Options) { o.ConnectTimeout = 50 * time.Millisecond })
	s.dial(t).wantClosed("silent client")
}

func TestAClientThatDoesNotAcknowledgeIsClosed(t *testing.T) {
	t.Parallel()
	s := serve(t, nil)
	c := s.connect(t, "ours/a")
	go func() { _, _ = io.Copy(io.Discard, c) }()
	s.front.mu.Lock()
	session := s.front.sessions[0]
	s.front.mu.Unlock()
	for range 2000 {
		if session.client.Send(broker.Message{Topic: "echo/1", QoS: 1}) != nil {
			break
		}
	}
	s.await(t, "a closed")
}

func TestCloseEndsEverySession(t *testing.T) {
	t.Parallel()
	s := serve(t, nil)
	for _, user := range []string{"ours/a", "ours/b"} {
		s.connect(t, user)
	}
	if err := s.broker.Close(); err != nil {
		t.Fatal(err)
	}
	got := []string{await.Next(t, s.front.events, "the first end"), await.Next(t, s.front.events, "the second end")}
	if slices.Sort(got); !slices.Equal(got, []string{"a closed", "b closed"}) {
		t.Errorf("got %q", got)
	}
	if conn, err := net.Dial("tcp", s.addr); err == nil {
		_ = conn.Close()
		t.Error("still listening")
	}
}

// TestLogNamesTheViolatedRule checks the default log level, because MQTT 3.1.1 cannot report the rule to the client.
func TestLogNamesTheViolatedRule(t *testing.T) {
	t.Parallel()
	s := serve(t, nil)
	for name, breach := range map[string]func(client){
		"quality of service 2": func(c client) { c.publish("good", "x", 2) },
		"unknown topic":        func(c client) { c.publish("bad", "x", 1) },
		`publish to \"badx`:    func(c client) { c.publish("bad"+strings.Repeat("x", 60_000), "x", 1) },
		"packet too large":     func(c client) { c.publish("good", strings.Repeat("x", 400<<10), 0) },
		"protocol violation":   func(c client) { c.send(hello("ours/a")) },
	} {
		t.Run(name, func(t *testing.T) {
			c := s.connect(t, "ours/a")
			breach(c)
			c.wantClosed(name)
			s.await(t, "a closed")
			found := false
			for line := range strings.Lines(s.log.String()) {
				if strings.Contains(line, "level=WARN") && strings.Contains(line, name) {
					found = true
				}
				if len(line) > 1000 {
					t.Errorf("%s: got a line of %d bytes, want the reason cut", name, len(line))
				}
			}
			if !found {
				t.Errorf("%s: got log %s\nwant a warning with the reason", name, s.log.String())
			}
		})
	}
}

func TestTheLogHoldsNoPassword(t *testing.T) {
	t.Parallel()
	s := serve(t, nil)
	refused := s.dial(t)
	refused.send(hello("theirs/x"))
	refused.read()
	again := s.connect(t, "ours/a")
	again.send(hello("ours/a")) // the library logs the packet that broke the rules
	again.wantClosed("second CONNECT")
	s.await(t, "a closed")
	if log := s.log.String(); strings.Contains(log, "sig=") || !strings.Contains(log, "refused") {
		t.Errorf("got log %s", log)
	}
}

func TestAListenerThatIsClosedIsForgotten(t *testing.T) {
	t.Parallel()
	b, err := broker.New(broker.Options{Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	for range 3 {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		served := make(chan error, 1)
		go func() { served <- b.Serve(l) }()
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
		if err := <-served; err != nil {
			t.Errorf("serve: %v", err)
		}
	}
	if n := b.Listeners(); n != 0 {
		t.Errorf("got %d listeners held, want none", n)
	}
	if err := b.Close(); err != nil {
		t.Errorf("close: %v", err)
	}
}
