package broker_test

import (
	"net"
	"strings"
	"testing"
	"time"

	"github.com/eclipse/paho.mqtt.golang/packets"

	"evenkeel/internal/await"
)

// writes sends the size of each write.
type writes struct {
	net.Conn
	sizes chan int
}

func (w writes) Write(p []byte) (int, error) {
	w.sizes <- len(p)
	return w.Conn.Write(p)
}

func TestAcknowledgementAndAnswerAreSentTogether(t *testing.T) {
	t.Parallel()
	s := serve(t, nil)
	ours, theirs := net.Pipe()
	t.Cleanup(func() { _ = theirs.Close() })
	_ = theirs.SetDeadline(time.Now().Add(await.Limit))
	sizes := make(chan int, 100)
	go s.broker.ServeConn(writes{ours, sizes})
	c := client{theirs, t}
	c.send(hello("ours/a"))
	c.read()
	if got := await.Next(t, sizes, "the first write"); got != 4 {
		t.Fatalf("got a first write of %d bytes, want a CONNACK", got)
	}
	for _, length := range []int{0, 5, 20 << 10, 5} { // the third is too long to wait for anything
		c.publish("echo/1", strings.Repeat("x", length), 1)
		if ack, ok := c.read().(*packets.PubackPacket); !ok || ack.MessageID != 7 {
			t.Fatalf("%d bytes: got %v, want the acknowledgement first", length, ack)
		}
		if got, ok := c.read().(*packets.PublishPacket); !ok || len(got.Payload) != length {
			t.Fatalf("%d bytes: got %v, want the answer", length, got)
		}
		got, alone := await.Next(t, sizes, "a write"), 4 // a PUBACK
		if together := got > alone; together != (length < 16<<10) {
			t.Errorf("%d bytes: got a first write of %d bytes", length, got)
		}
		if got == alone {
			await.Next(t, sizes, "the answer behind the acknowledgement")
		}
	}
}
