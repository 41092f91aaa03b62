package azurenative

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"sync"
	"sync/atomic"

	pulumirpc "github.com/pulumi/pulumi/sdk/v3/proto/go"
	"google.golang.org/grpc"
)

// Limits of what engines can make the plugin hold.
const (
	// maxMessage is the size of the largest message accepted from an engine, in bytes: several times a resource of the
	// 4 MiB that ARM accepts.
	maxMessage = 32 << 20
	// maxUnproven is how many bytes the plugin reads from a connection before its Configure.
	maxUnproven = 1 << 20
	// maxEngines is the maximum number of connections. A run of Pulumi has about three.
	maxEngines = 256
)

// Serve serves engines on listener until ctx is done. Every connection gets its own provider and gRPC server, so that
// Configure, Cancel and the end of one engine do not affect others. Serve closes listener when it returns.
func Serve(ctx context.Context, listener net.Listener, o Options) error {
	defer listener.Close()
	if err := requireLoopback(listener.Addr()); err != nil {
		return err
	}
	// Check Options once here, so that an error stops the start instead of the first engine.
	first, err := newProvider(o)
	if err != nil {
		return err
	}
	first.close()
	log := o.Logger
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	var engines sync.WaitGroup
	defer engines.Wait()
	// Connections end with Serve, also after an error of Accept.
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	unlink := context.AfterFunc(ctx, func() { listener.Close() })
	defer unlink()
	places := make(chan struct{}, maxEngines)
	for {
		conn, err := listener.Accept()
		if err != nil {
			if ctx.Err() != nil {
				return nil
			}
			return fmt.Errorf("accept engine: %w", err)
		}
		select {
		case places <- struct{}{}:
		default:
			log.Warn("local azure-native plugin: a connection was closed, for there are too many", "most", maxEngines)
			_ = conn.Close() // no client needs an error here
			continue
		}
		engines.Go(func() {
			defer func() { <-places }()
			if err := serveEngine(ctx, conn, o); err != nil {
				log.Error("local azure-native plugin: connection failed", "error", err)
			}
		})
	}
}

// serveEngine serves one connection until either side ends it.
func serveEngine(ctx context.Context, conn net.Conn, o Options) error {
	p, err := newProvider(o)
	if err != nil {
		conn.Close()
		return err
	}
	defer p.close()
	server := grpc.NewServer(grpc.MaxRecvMsgSize(maxMessage), grpc.UnaryInterceptor(p.requireSecret),
		grpc.StreamInterceptor(p.streamDoor))
	pulumirpc.RegisterResourceProviderServer(server, p)
	unlink := context.AfterFunc(ctx, func() {
		p.stop()
		server.Stop()
	})
	defer unlink()
	defer server.Stop()
	if err := server.Serve(newSingleListener(&unprovenConn{Conn: conn, configured: &p.configured})); err != nil &&
		!errors.Is(err, net.ErrClosed) && !errors.Is(err, grpc.ErrServerStopped) {
		return fmt.Errorf("serve engine: %w", err)
	}
	return nil
}

func requireLoopback(addr net.Addr) error {
	tcp, ok := addr.(*net.TCPAddr)
	if !ok || !tcp.IP.IsLoopback() {
		return fmt.Errorf("local azure-native plugin: %s is not a loopback address, and engines on other machines "+
			"are not served", addr)
	}
	return nil
}

// unprovenConn fails if it receives more bytes before Configure than an engine sends.
type unprovenConn struct {
	net.Conn
	configured *atomic.Bool
	read       int
}

// Read implements net.Conn. gRPC has one reader of a connection.
func (c *unprovenConn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	if c.read <= maxUnproven && !c.configured.Load() {
		if c.read += n; c.read > maxUnproven {
			return 0, errors.New("too much data before Configure")
		}
	}
	return n, err
}

// singleListener is a listener that accepts one connection and ends with that connection.
type singleListener struct {
	conns  chan net.Conn
	addr   net.Addr
	once   sync.Once
	closed chan struct{}
}

func newSingleListener(conn net.Conn) *singleListener {
	l := &singleListener{conns: make(chan net.Conn, 1), addr: conn.LocalAddr(), closed: make(chan struct{})}
	l.conns <- &watchedConn{Conn: conn, ended: l.end}
	return l
}

func (l *singleListener) end() { l.once.Do(func() { close(l.closed) }) }

// Accept returns the connection, then waits for its end.
func (l *singleListener) Accept() (net.Conn, error) {
	select {
	case conn := <-l.conns:
		return conn, nil
	case <-l.closed:
		return nil, net.ErrClosed
	}
}

// Close ends the wait of Accept. The caller of Accept closes the connection.
func (l *singleListener) Close() error {
	l.end()
	return nil
}

func (l *singleListener) Addr() net.Addr { return l.addr }

// watchedConn is a connection that calls a function when it is closed.
type watchedConn struct {
	net.Conn
	ended func()
}

func (c *watchedConn) Close() error {
	defer c.ended()
	return c.Conn.Close()
}
