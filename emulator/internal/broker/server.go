package broker

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"runtime/debug"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	mqtt "github.com/mochi-mqtt/server/v2"
)

// Defaults of Options.
const (
	defaultConnectTimeout = 30 * time.Second
	// defaultMaxPacket: a device-to-cloud message of 256 KiB with its topic and properties.
	defaultMaxPacket = 256<<10 + 64<<10
)

// Options are the settings of a Broker. Only Fronts is required.
type Options struct {
	// Fronts are tried in this order.
	Fronts []Front
	// Log receives connections and their ends at level debug, and panics of a front at level error. It may be nil.
	Log *slog.Logger
	// ConnectTimeout is how long a client may take for the TLS handshake and its CONNECT. Zero means 30 s.
	ConnectTimeout time.Duration
	// MaxPacket is the size in bytes of the largest packet. Zero means 320 KiB.
	MaxPacket uint32
}

// Broker serves MQTT connections. Use New to create one.
type Broker struct {
	fronts  []Front
	log     *slog.Logger
	timeout time.Duration
	server  *mqtt.Server
	names   atomic.Uint64
	active  sync.WaitGroup

	mu        sync.Mutex
	closed    bool
	listeners map[net.Listener]struct{}
	conns     map[*connection]struct{}
	sessions  int
}

// New returns a broker. Call Serve or ServeConn to accept connections.
func New(o Options) (*Broker, error) {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.ConnectTimeout <= 0 {
		o.ConnectTimeout = defaultConnectTimeout
	}
	if o.MaxPacket == 0 {
		o.MaxPacket = defaultMaxPacket
	}
	limits := mqtt.NewDefaultServerCapabilities()
	limits.MaximumPacketSize = o.MaxPacket
	// The library allocates a queue of this length for each client, which we do not use.
	limits.MaximumClientWritesPending = 1
	limits.RetainAvailable = 1 // retained publishes are accepted; the session decides what they mean
	b := &Broker{
		fronts: o.Fronts, log: o.Log, timeout: o.ConnectTimeout,
		// The server's own Serve is never called: it would publish $SYS topics and expire sessions, and the broker
		// has neither.
		server:    mqtt.New(&mqtt.Options{Capabilities: limits, Logger: quiet(o.Log)}),
		listeners: map[net.Listener]struct{}{}, conns: map[*connection]struct{}{},
	}
	if err := b.server.AddHook(&hook{broker: b}, nil); err != nil {
		return nil, fmt.Errorf("set up the MQTT server: %w", err)
	}
	return b, nil
}

// Serve accepts connections until the listener or the broker is closed, and then returns nil. With a TLS listener,
// the handshake runs on the connection's own goroutine.
func (b *Broker) Serve(l net.Listener) error { return b.serve(l, b.ServeConn) }

// ServeAMQP accepts connections like Serve, and refuses each in AMQP.
func (b *Broker) ServeAMQP(l net.Listener) error { return b.serve(l, b.RefuseAMQP) }

func (b *Broker) serve(l net.Listener, each func(net.Conn)) error {
	b.mu.Lock()
	if b.closed {
		b.mu.Unlock()
		return l.Close()
	}
	b.listeners[l] = struct{}{}
	b.mu.Unlock()
	defer func() {
		b.mu.Lock()
		defer b.mu.Unlock()
		delete(b.listeners, l)
	}()
	pause := time.Duration(0)
	for {
		conn, err := l.Accept()
		var temporary interface{ Temporary() bool }
		switch {
		case err == nil:
			pause = 0
			go each(conn)
		case errors.Is(err, net.ErrClosed):
			return nil
		case errors.As(err, &temporary) && temporary.Temporary():
			// Most likely out of file descriptors: wait until some connections end, as net/http does.
			pause = min(max(2*pause, 5*time.Millisecond), time.Second)
			time.Sleep(pause)
		default:
			return fmt.Errorf("accept connections: %w", err)
		}
	}
}

// ServeConn serves one connection, of any kind that carries MQTT packets as a stream, and returns when it has ended.
// If the connection or what it wraps has a method ConnectionState, like *tls.Conn, the peer certificates come from
// there.
func (b *Broker) ServeConn(conn net.Conn) {
	c := newConnection(b, conn, strconv.FormatUint(b.names.Add(1), 10))
	if !b.add(c) {
		_ = conn.Close()
		return
	}
	defer b.active.Done()
	defer b.guard(c.finish)
	b.guard(func() {
		_ = conn.SetDeadline(time.Now().Add(b.timeout))
		err := b.server.EstablishConnection("", c.wire)
		b.log.Log(context.Background(), c.endLevel(err), "MQTT connection ended",
			"remote", c.Remote(), "session", c.sessionName(), "reason", brief(c.reason(err)))
	})
}

// guard recovers from a panic of a front: it ends only that connection.
func (b *Broker) guard(do func()) {
	defer func() {
		if fault := recover(); fault != nil {
			b.log.Error("MQTT front panicked", "panic", fault, "stack", string(debug.Stack()))
		}
	}()
	do()
}

// Close closes the listeners and connections and waits for the sessions' Closed to return.
func (b *Broker) Close() error {
	b.mu.Lock()
	b.closed = true
	var errs []error
	for l := range b.listeners {
		if err := l.Close(); err != nil && !errors.Is(err, net.ErrClosed) {
			errs = append(errs, fmt.Errorf("close MQTT listener: %w", err))
		}
	}
	open := make([]*connection, 0, len(b.conns))
	for c := range b.conns {
		open = append(open, c)
	}
	b.mu.Unlock()
	for _, c := range open {
		c.Close(errShutdown)
	}
	b.active.Wait()
	return errors.Join(errs...)
}

// Connections returns the number of open sessions.
func (b *Broker) Connections() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.sessions
}

func (b *Broker) add(c *connection) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed {
		return false
	}
	b.conns[c] = struct{}{}
	b.active.Add(1)
	return true
}

// enter counts a connection that has a session.
func (b *Broker) enter() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.sessions++
}

func (b *Broker) leave(c *connection) {
	b.mu.Lock()
	defer b.mu.Unlock()
	delete(b.conns, c)
	if c.session != nil {
		b.sessions--
	}
}

// accept tries the fronts in order.
func (b *Broker) accept(c Connect) (Session, error) {
	for _, front := range b.fronts {
		session, err := front.Accept(c)
		if !errors.Is(err, ErrNotMine) {
			return session, err
		}
	}
	return nil, ErrNotMine
}

// quiet returns a logger for the MQTT library that logs only at level debug and omits packets, which contain
// passwords.
func quiet(log *slog.Logger) *slog.Logger { return slog.New(debugOnly{log.Handler()}) }

type debugOnly struct{ slog.Handler }

func (h debugOnly) Enabled(ctx context.Context, _ slog.Level) bool {
	return h.Handler.Enabled(ctx, slog.LevelDebug)
}

func (h debugOnly) Handle(ctx context.Context, r slog.Record) error {
	clean := slog.NewRecord(r.Time, slog.LevelDebug, "mqtt: "+r.Message, r.PC)
	r.Attrs(func(a slog.Attr) bool {
		switch a.Key {
		case "error", "client", "remote", "hook":
			clean.AddAttrs(a)
		}
		return true
	})
	return h.Handler.Handle(ctx, clean)
}

func (h debugOnly) WithAttrs([]slog.Attr) slog.Handler { return h }

func (h debugOnly) WithGroup(string) slog.Handler { return h }
