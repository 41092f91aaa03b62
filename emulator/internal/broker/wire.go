package broker

import (
	"context"
	"net"
	"sync"
)

// maxGathered is how many bytes are buffered at most so that an acknowledgement and what follows it are sent
// together.
const maxGathered = 16 << 10

// wire is the network connection that the MQTT library uses. The library's hooks find our connection through it.
type wire struct {
	net.Conn
	owner *connection

	mu        sync.Mutex
	gathering bool
	waiting   []byte

	// ahead is a read that watch started and Read has not returned yet. reading is set while the library reads.
	reads   sync.Mutex
	ahead   *readAhead
	reading bool
}

// readAhead is a read of one byte before the library requests it. byte, n and err are set when done is closed.
type readAhead struct {
	done chan struct{}
	byte [1]byte
	n    int
	err  error
}

// watched is a connection's context. The library does not read while a session works, so a client that disconnects
// would go unnoticed. The first call of Done therefore starts to read ahead.
type watched struct {
	context.Context
	wire *wire
}

// Done implements context.Context.
func (w watched) Done() <-chan struct{} {
	w.wire.watch()
	return w.Context.Done()
}

// watch reads one byte ahead and ends the connection's context when that fails, unless a read is in progress, which
// notices the end too.
func (w *wire) watch() {
	w.reads.Lock()
	defer w.reads.Unlock()
	if w.reading || w.ahead != nil {
		return
	}
	r := &readAhead{done: make(chan struct{})}
	w.ahead = r
	go func() {
		defer close(r.done)
		if r.n, r.err = w.Conn.Read(r.byte[:]); r.err != nil {
			w.owner.ended()
		}
	}()
}

// Read implements net.Conn. It first returns what was read ahead.
func (w *wire) Read(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	w.reads.Lock()
	r := w.ahead
	w.ahead = nil
	w.reading = true
	w.reads.Unlock()
	defer func() {
		w.reads.Lock()
		w.reading = false
		w.reads.Unlock()
	}()
	if r == nil {
		return w.Conn.Read(p)
	}
	<-r.done // the connection's deadline applies to this read too
	return copy(p, r.byte[:r.n]), r.err
}

// gather buffers writes until send, so that an acknowledgement and the message behind it are sent as one TLS record,
// with one system call here and at the client.
func (w *wire) gather() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.gathering = true
}

// send writes what was gathered.
func (w *wire) send() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.gathering = false
	return w.flush()
}

// flush writes the buffer. The caller holds mu.
func (w *wire) flush() error {
	if len(w.waiting) == 0 {
		return nil
	}
	_, err := w.Conn.Write(w.waiting)
	w.waiting = nil
	return err
}

// Write implements net.Conn. Errors of buffered writes are returned by send.
func (w *wire) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.gathering && len(w.waiting)+len(p) <= maxGathered {
		w.waiting = append(w.waiting, p...)
		return len(p), nil
	}
	if err := w.flush(); err != nil {
		return 0, err
	}
	return w.Conn.Write(p)
}
