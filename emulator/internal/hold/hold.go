// Package hold keeps selected requests waiting before they take effect, so that a test can kill a client at exactly
// that point.
//
// A hold catches one request. When it is released, the request is carried out even if its client has disconnected, as
// a cloud does with a request that it has accepted. It supports only HTTP; MQTT operations cannot be held.
package hold

import (
	"context"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"sync"

	"evenkeel/emulator/internal/requestlog"
)

// Match selects the request to hold. Empty fields match everything.
type Match struct {
	Surface requestlog.Surface
	Method  string
	// Path is compared with the path without its query.
	Path *regexp.Regexp
	// Mutating excludes requests that only read: GET, HEAD, and POSTs that list keys, query or check.
	Mutating bool
	// Nth selects one of the matching requests since the hold was created: 1 (or 0) means the first.
	Nth int
}

// Request describes the request that a hold has caught.
type Request struct {
	Surface requestlog.Surface `json:"surface"`
	Method  string             `json:"method"`
	Path    string             `json:"path"`
}

// State is the status of a hold.
type State string

// States of a hold, in order. A hold that is released before it caught a request goes from Armed to Done.
const (
	Armed    State = "armed"
	Held     State = "held"
	Released State = "released"
	Done     State = "done"
)

// Hold waits for one request and holds it.
type Hold struct {
	ID    string
	match Match

	mu       sync.Mutex
	seen     int
	request  *Request
	held     chan struct{} // closed when a request is held
	released chan struct{}
	done     chan struct{} // closed when the request has been carried out
	dropped  bool          // the emulator was closed before the release
}

// Table is the set of holds. The zero value is ready; its methods may be called concurrently.
type Table struct {
	mu     sync.Mutex
	last   int
	holds  []*Hold
	closed bool
}

// Add adds a hold.
func (t *Table) Add(m Match) *Hold {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.last++
	h := &Hold{
		ID: strconv.Itoa(t.last), match: m,
		held: make(chan struct{}), released: make(chan struct{}), done: make(chan struct{}),
	}
	t.holds = append(t.holds, h)
	return h
}

// Get returns the hold with that id.
func (t *Table) Get(id string) (*Hold, bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, h := range t.holds {
		if h.ID == id {
			return h, true
		}
	}
	return nil, false
}

// Close drops every held request without carrying it out. Later requests pass.
func (t *Table) Close() {
	t.mu.Lock()
	t.closed = true
	holds := t.holds
	t.mu.Unlock()
	for _, h := range holds {
		h.end(true)
	}
}

// Reset releases and removes every hold.
func (t *Table) Reset() {
	t.mu.Lock()
	holds := t.holds
	t.holds = nil
	t.mu.Unlock()
	for _, h := range holds {
		h.Release()
	}
}

// Catch passes a request to the first hold that matches it and waits for the release. It returns a function to call
// when the request has been carried out (nil if no hold matched), and false if the request must be dropped.
func (t *Table) Catch(r Request) (done func(), ok bool) {
	t.mu.Lock()
	holds, closed := t.holds, t.closed
	t.mu.Unlock()
	if closed {
		return nil, true
	}
	for _, h := range holds {
		if h.take(r) {
			<-h.released
			return func() { close(h.done) }, !h.wasDropped()
		}
	}
	return nil, true
}

// Wants reports whether any hold could still catch a request, so that callers can skip the preparation otherwise.
func (t *Table) Wants() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, h := range t.holds {
		if h.State() == Armed {
			return true
		}
	}
	return false
}

func (h *Hold) take(r Request) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.request != nil || isClosed(h.released) || !h.match.Matches(r) {
		return false
	}
	h.seen++
	if h.seen < h.match.Nth {
		return false
	}
	h.request = &r
	close(h.held)
	return true
}

// Held waits until the hold has caught a request or ctx is done.
func (h *Hold) Held(ctx context.Context) error { return wait(ctx, h.held) }

// Done waits until the caught request has been carried out (or dropped) or ctx is done.
func (h *Hold) Done(ctx context.Context) error { return wait(ctx, h.done) }

// Release lets the request continue. A hold that has caught none is disabled. Releasing again does nothing.
func (h *Hold) Release() { h.end(false) }

func (h *Hold) end(drop bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if isClosed(h.released) {
		return
	}
	h.dropped = drop
	close(h.released)
	if h.request == nil {
		close(h.done)
	}
}

func (h *Hold) wasDropped() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.dropped
}

// Request returns the caught request, or false before it is caught.
func (h *Hold) Request() (Request, bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.request == nil {
		return Request{}, false
	}
	return *h.request, true
}

// State returns the current status of the hold.
func (h *Hold) State() State {
	switch {
	case isClosed(h.done):
		return Done
	case isClosed(h.released):
		return Released
	case isClosed(h.held):
		return Held
	}
	return Armed
}

// Matches reports whether m selects the request. The caller counts for Nth.
func (m Match) Matches(r Request) bool {
	return (m.Surface == "" || m.Surface == r.Surface) &&
		(m.Method == "" || strings.EqualFold(m.Method, r.Method)) &&
		(m.Path == nil || m.Path.MatchString(r.Path)) &&
		(!m.Mutating || mutating(r))
}

// readingPosts are the ends of the paths of POSTs that change nothing.
var readingPosts = []string{"/listkeys", "/query", "/attestationmechanism", "availability", "/token"}

func mutating(r Request) bool {
	switch r.Method {
	case http.MethodPut, http.MethodPatch, http.MethodDelete:
		return true
	case http.MethodPost:
		path := strings.ToLower(strings.TrimSuffix(r.Path, "/"))
		for _, end := range readingPosts {
			if strings.HasSuffix(path, end) {
				return false
			}
		}
		return r.Surface != requestlog.DPSDevice
	}
	return false
}

func wait(ctx context.Context, c <-chan struct{}) error {
	select {
	case <-c:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func isClosed(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}
