package broker

import (
	"net"
	"sync"
)

// maxGathered is how many bytes wait at most until an acknowledgement and what follows it leave together.
const maxGathered = 16 << 10

// wire is the network connection as the MQTT library sees it; the library's hooks find the connection through it.
type wire struct {
	net.Conn
	owner *connection

	mu        sync.Mutex
	gathering bool
	waiting   []byte
}

// gather keeps what is written from now on until send, so that an acknowledgement and the answer behind it leave as one TLS record and
// cost one system call here and at the client.
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

// flush writes what waits; the caller holds mu.
func (w *wire) flush() error {
	if len(w.waiting) == 0 {
		return nil
	}
	_, err := w.Conn.Write(w.waiting)
	w.waiting = nil
	return err
}

// Write implements net.Conn. An error of what was gathered shows at send.
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
