package emulator

import (
	"cmp"
	"log/slog"
	"net"
	"sync"
	"time"
)

// Bounds are of what clients can make the emulator hold; they are its own, not Azure's. Zero ones are the defaults named.
type Bounds struct {
	// Connections is how many may be open at a time on each listener: 20,000, twice the devices that an emulator is made for. A newcomer
	// beyond it is closed at once, so that those that are there go on.
	Connections int
	// Connect is how long a client may take from connecting to its MQTT CONNECT, the TLS handshake included: 30 s, for many may come at
	// once. Header is the same to the end of a request's headers: 10 s. Request is how long a whole request may take to arrive: a minute.
	// Idle is how long a connection may be without one between requests: 3 minutes.
	Connect, Header, Request, Idle time.Duration
}

func (b Bounds) complete() Bounds {
	return Bounds{
		Connections: cmp.Or(b.Connections, 20_000), Connect: cmp.Or(b.Connect, 30*time.Second), Header: cmp.Or(b.Header, 10*time.Second), Request: cmp.Or(b.Request, time.Minute),
		Idle: cmp.Or(b.Idle, 3*time.Minute),
	}
}

// bounded is a listener that keeps so many connections at a time.
type bounded struct {
	net.Listener
	slots chan struct{}
	log   *slog.Logger
}

func (e *Emulator) bound(l net.Listener) net.Listener {
	return &bounded{l, make(chan struct{}, e.options.Bounds.Connections), e.options.Logger}
}

// Accept returns the next connection that there is room for, and closes those that there is none for.
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
			b.log.Debug("connection refused: too many are open", "address", b.Addr(), "remote", conn.RemoteAddr(), "limit", cap(b.slots))
			_ = conn.Close() // it has gone at once, or hears nothing
		}
	}
}

// boundedConn makes room when it is closed.
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
