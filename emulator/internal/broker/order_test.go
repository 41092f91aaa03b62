package broker_test

import (
	"errors"
	"io"
	"testing"
	"time"

	"github.com/eclipse/paho.mqtt.golang/packets"

	"evenkeel/emulator/internal/broker"
	"evenkeel/internal/await"
)

// TestMessagesNeverPrecedeTheSuback although others send to the client continuously: a client may drop a message for
// which it has no subscription yet.
func TestMessagesNeverPrecedeTheSuback(t *testing.T) {
	t.Parallel()
	s := serve(t, nil)
	c := s.connect(t, "ours/a")
	s.front.mu.Lock()
	session := s.front.sessions[0]
	s.front.mu.Unlock()
	slots := make(chan struct{}, 32) // as many messages as the client may leave unread
	go func() {
		for {
			select {
			case slots <- struct{}{}:
			case <-t.Context().Done():
				return
			}
			if session.client.Send(broker.Message{Topic: "echo/noise"}) != nil {
				return
			}
		}
	}()
	begun := time.Now()
	for n := range 3000 {
		p := packets.NewControlPacket(packets.Subscribe).(*packets.SubscribePacket)
		p.MessageID, p.Topics, p.Qoss = 1, []string{"last"}, []byte{1}
		c.send(p)
		acknowledged := false
		for done := false; !done; {
			switch p := c.read().(type) {
			case *packets.SubackPacket:
				acknowledged = true
			case *packets.PublishPacket:
				if p.TopicName != "last" {
					<-slots
					continue
				}
				if !acknowledged {
					t.Fatalf("subscription %d: what it brings came before its SUBACK", n)
				}
				done = true
				ack := packets.NewControlPacket(packets.Puback).(*packets.PubackPacket)
				ack.MessageID = p.MessageID
				c.send(ack)
			}
		}
		await.Next(t, s.front.events, "the acknowledgement")
		if time.Since(begun) > 2*time.Second {
			break
		}
	}
}

// TestAWaitOfASessionEndsWithItsClient: while a session works, the broker does not read from the client, but still
// notices that the client has disconnected.
func TestAWaitOfASessionEndsWithItsClient(t *testing.T) {
	t.Parallel()
	for name, end := range map[string]func(server, client){
		"the client disconnects": func(_ server, c client) { _ = c.Close() },
		"the broker ends":        func(s server, _ client) { _ = s.broker.Close() },
	} {
		for _, over := range []string{"TCP", "WebSocket"} {
			t.Run(name+" over "+over, func(t *testing.T) {
				t.Parallel()
				s := serve(t, nil)
				c := s.dial(t)
				if over == "WebSocket" {
					address, b := sockets(t, s.front)
					socket := open(t, address, dialer("mqtt"))
					s.broker = b
					c = client{webSocketConn{socket}, t}
				}
				c.send(hello("ours/a"))
				c.read()
				c.publish("wait", "", 1)
				s.await(t, "a waits")
				end(s, c)
				s.await(t, "a waited: context canceled")
				s.await(t, "a closed")
			})
		}
	}
}

// TestPacketsSentDuringAWaitAreReadAfterIt: the check for the client's end takes no byte of the next packet.
func TestPacketsSentDuringAWaitAreReadAfterIt(t *testing.T) {
	t.Parallel()
	s := serve(t, nil)
	c := s.connect(t, "ours/a")
	c.publish("wait", "", 1)
	s.await(t, "a waits")
	for range 3 {
		c.publish("echo/1", "hello", 0)
	}
	s.front.mu.Lock()
	close(s.front.sessions[0].goOn)
	s.front.mu.Unlock()
	if _, ok := c.read().(*packets.PubackPacket); !ok {
		t.Fatal("got another packet, want the acknowledgement of the one that had to wait")
	}
	for range 3 {
		if got, ok := c.read().(*packets.PublishPacket); !ok || string(got.Payload) != "hello" {
			t.Fatalf("got %v, want the echo", got)
		}
	}
}

// webSocketConn is a WebSocket of a test as a connection.
type webSocketConn struct{ *socket }

func (c webSocketConn) Read(p []byte) (int, error) { return c.socket.Read(p) }

func (c webSocketConn) Write(p []byte) (int, error) {
	if err := c.socket.WriteMessage(2, p); err != nil {
		return 0, errors.Join(io.ErrClosedPipe, err)
	}
	return len(p), nil
}

func (c webSocketConn) Close() error                { return c.socket.UnderlyingConn().Close() }
func (c webSocketConn) SetDeadline(time.Time) error { return nil }
