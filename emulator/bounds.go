package emulator

import (
	"cmp"
	"log/slog"
	"net"
	"sync"
	"time"
)

// Bounds limit what clients can make the emulator hold. They are the emulator's own limits, not Azure's. A zero field
// means the default that its comment names.
type Bounds struct {
	// Connections is how many connections each listener keeps open at a time: 20,000, which is twice the number of
	// devices that the emulator is designed for. A connection beyond the limit is closed at once; open ones are not
	// affected.
	Connections int
	// Connect is how long a client may take from connecting to its MQTT CONNECT, including the TLS handshake: 30 s,
	// because many may connect at once. Header is the time until the end of a request's headers: 10 s. Request is the
	// time until the end of its body: 1 minute. Idle is how long a connection may stay open between requests: 3
	// minutes.
	Connect, Header, Request, Idle time.Duration
}

func (b Bounds) complete() Bounds {
	return Bounds{
		Connections: cmp.Or(b.Connections, 20_000), Connect: cmp.Or(b.Connect, 30*time.Second),
		Header: cmp.Or(b.Header, 10*time.Second), Request: cmp.Or(b.Request, time.Minute),
		Idle: cmp.Or(b.Idle, 3*time.Minute),
	}
}

// bounded is a listener that limits the number of open connections.
type bounded struct {
	net.Listener
	slots chan struct{}
	log   *slog.Logger
}

func (e *Emulator) bound(l net.Listener) net.Listener {
	return &bounded{l, make(chan struct{}, e.options.Bounds.Connections), e.options.Logger}
}

// Accept returns the next connection. While the limit is reached, it closes new connections at once.
func (b *bounded) Accept() (net.Conn, error) {
	for {
		conn, err := b.Listener.Accept()
		if err != nil {
			return nil, err
		}
		select {
		case b.slots <- struct{}{}:
			return &boundedConn{Conn: conn, leave: sync.OnceFunc(func() { <-b.slots })}, nil
		default:
			b.log.Debug("connection refused: too many are open", "address", b.Addr(), "remote", conn.RemoteAddr(),
				"limit", cap(b.slots))
			_ = conn.Close() // the client may have disconnected already
		}
	}
}

// boundedConn frees its place in the limit when it is closed.
type boundedConn struct {
	net.Conn
	leave func()
}

// Close implements net.Conn.
func (c *boundedConn) Close() error {
	err := c.Conn.Close()
	c.leave()
	return err
}
