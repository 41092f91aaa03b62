package broker

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"sync"
	"sync/atomic"
	"time"

	mqtt "github.com/mochi-mqtt/server/v2"
	"github.com/mochi-mqtt/server/v2/packets"
)

// maxQueued is how many messages may wait for a client, unwritten or unacknowledged, before its connection is closed.
const maxQueued = 1024

// Reasons for which a connection ends.
var (
	errShutdown = errors.New("broker is shutting down")
	errSlow     = errors.New("client does not read its messages")
)

// connection is the Client of a session.
type connection struct {
	conn   net.Conn
	wire   *wire
	broker *Broker
	// running is not done while the connection lasts.
	running context.Context
	ended   context.CancelFunc
	// name is the library's client id. It is unique, because the front decides which connections belong to one
	// client.
	name    string
	closing atomic.Bool
	cause   atomic.Pointer[error]

	// Set on the connection's own goroutine before the CONNACK, constant afterwards.
	client  *mqtt.Client
	session Session
	will    *Message
	// unavailable: the connection is refused temporarily.
	unavailable bool

	mu        sync.Mutex
	queue     []Message
	answering bool // the front or the session runs: messages wait for the acknowledgement
	draining  bool // a goroutine writes the queue
	// unacked maps the packet ids of messages sent with QoS 1 to the function to call when they are acknowledged, or
	// nil; lastID is the latest packet id in use. The library's own table is not used: it shares one number space
	// with the client's packets.
	unacked map[uint16]func()
	lastID  uint16
}

func newConnection(b *Broker, conn net.Conn, name string) *connection {
	c := &connection{conn: conn, broker: b, name: name}
	c.wire = &wire{Conn: conn, owner: c}
	c.running, c.ended = context.WithCancel(context.Background())
	return c
}

// Context implements Client.
func (c *connection) Context() context.Context { return watched{c.running, c.wire} }

// Send implements Client.
func (c *connection) Send(m Message) error {
	if c.closing.Load() {
		return ErrClosed
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.queue) >= maxQueued {
		c.Close(errSlow)
		return errSlow
	}
	c.queue = append(c.queue, m)
	if !c.answering && !c.draining {
		c.draining = true
		go c.drain()
	}
	return nil
}

// Remote implements Client.
func (c *connection) Remote() string { return c.conn.RemoteAddr().String() }

// hold delays outgoing messages until release.
func (c *connection) hold() {
	c.mu.Lock()
	c.answering = true
	c.mu.Unlock()
}

// release writes what was sent since hold.
func (c *connection) release() {
	c.mu.Lock()
	c.answering = false
	write := !c.draining && len(c.queue) > 0
	c.draining = c.draining || write
	c.mu.Unlock()
	if write {
		c.drain()
	}
}

// drain writes the queue until it is empty, or has to wait for an acknowledgement. The caller has set draining.
func (c *connection) drain() {
	for {
		c.mu.Lock()
		var batch []Message
		if !c.answering {
			batch, c.queue = c.queue, nil
		}
		c.draining = len(batch) > 0
		c.mu.Unlock()
		if len(batch) == 0 {
			return
		}
		for _, m := range batch {
			if err := c.write(m); err != nil {
				c.Close(err)
			}
		}
	}
}

func (c *connection) write(m Message) error {
	if c.closing.Load() {
		return ErrClosed
	}
	p := packets.Packet{
		FixedHeader: packets.FixedHeader{Type: packets.Publish, Qos: min(m.QoS, MaxQoS), Dup: m.Resent && m.QoS > 0},
		TopicName:   m.Topic, Payload: m.Payload, Created: time.Now().Unix(),
	}
	if p.FixedHeader.Qos > 0 {
		id, err := c.packetID(m.Acknowledged)
		if err != nil {
			return err
		}
		p.PacketID = id
	}
	if err := c.client.WritePacket(p); err != nil {
		return fmt.Errorf("write: %w", err)
	}
	return nil
}

// packetID chooses the id of a message with QoS 1 and stores it until the client acknowledges.
func (c *connection) packetID(acknowledged func()) (uint16, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.unacked) >= maxQueued {
		return 0, errSlow
	}
	if c.unacked == nil {
		c.unacked = map[uint16]func(){}
	}
	for {
		c.lastID++
		if _, used := c.unacked[c.lastID]; c.lastID != 0 && !used {
			c.unacked[c.lastID] = acknowledged
			return c.lastID, nil
		}
	}
}

func (c *connection) acknowledged(id uint16) {
	c.mu.Lock()
	tell := c.unacked[id]
	delete(c.unacked, id)
	c.mu.Unlock()
	if tell != nil {
		tell()
	}
}

// Close implements Client.
func (c *connection) Close(reason error) {
	if c.stop(reason) {
		// Closing TLS sends an alert first, and may wait seconds for a client that does not read.
		go c.shut()
	}
}

// stop records the reason and reports whether it was the first one.
func (c *connection) stop(reason error) bool {
	if !c.closing.CompareAndSwap(false, true) {
		return false
	}
	c.cause.Store(&reason)
	c.ended()
	return true
}

func (c *connection) shut() { _ = c.conn.Close() }

// reason returns why the connection ended. err is the library's error.
func (c *connection) reason(err error) error {
	if cause := c.cause.Load(); cause != nil {
		return *cause
	}
	return err
}

// endLevel returns the level at which the end of the connection is logged. MQTT 3.1.1 cannot report a violation to the
// client, so its developer reads the log. Violations of the service's rules are logged where they are checked.
func (c *connection) endLevel(err error) slog.Level {
	const failures = 0x80 // the reason codes of MQTT 5 from here on
	if code := (packets.Code{}); c.session != nil && c.cause.Load() == nil && errors.As(err, &code) &&
		code.Code >= failures {
		return slog.LevelWarn
	}
	return slog.LevelDebug
}

func (c *connection) sessionName() string {
	if c.session == nil {
		return ""
	}
	return c.session.Name()
}

// finish ends the session. The network connection is closed already, or never had a session.
func (c *connection) finish() {
	c.shut()
	graceful := c.client != nil && errors.Is(c.client.StopCause(), packets.CodeDisconnect)
	c.stop(ErrClosed)
	c.broker.leave(c)
	if c.session == nil {
		return
	}
	if c.will != nil && !graceful {
		_ = c.session.Publish(*c.will)
	}
	c.session.Closed()
}

// certificates returns those of the underlying TLS connection, if any.
func (c *connection) certificates() []*x509.Certificate {
	if secure, ok := c.conn.(interface{ ConnectionState() tls.ConnectionState }); ok {
		return secure.ConnectionState().PeerCertificates
	}
	return nil
}
