// Package await limits the waits of tests. No test waits longer than Limit, and a failure reports what the test waited
// for and what it had received.
//
// It is only for tests. Only a failing test reaches a limit, so tests pass on a loaded machine too.
package await

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"runtime"
	"strings"
	"testing"
	"time"
)

// Limit is how long a test waits for something that is immediate on an idle machine.
const Limit = time.Minute

// pause is the time between two checks of Until.
const pause = 2 * time.Millisecond

// Client sends requests to servers without TLS. A response that is not complete after Limit is an error.
var Client = &http.Client{Timeout: Limit}

// Context ends after Limit, or with the test.
func Context(t testing.TB) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeoutCause(t.Context(), Limit, fmt.Errorf("the test waited for %s", Limit))
	t.Cleanup(cancel)
	return ctx
}

// Next returns the next value of a channel. It fails the test if no value arrives or the channel is closed.
func Next[V any](t testing.TB, from <-chan V, what string) V {
	t.Helper()
	return next(t, from, what, Limit)
}

func next[V any](t testing.TB, from <-chan V, what string, limit time.Duration) (v V) {
	t.Helper()
	timer := time.NewTimer(limit)
	defer timer.Stop()
	select {
	case v, open := <-from:
		if !open {
			t.Fatalf("%s: the channel was closed", what)
		}
		return v
	case <-timer.C:
		t.Fatalf("%s: nothing came in %s\n%s", what, limit, goroutines())
	}
	return v
}

// Closed waits until a channel is closed, and discards the values before that.
func Closed[V any](t testing.TB, c <-chan V, what string) {
	t.Helper()
	timer := time.NewTimer(Limit)
	defer timer.Stop()
	for {
		select {
		case _, open := <-c:
			if !open {
				return
			}
		case <-timer.C:
			t.Fatalf("%s: not after %s\n%s", what, Limit, goroutines())
		}
	}
}

// Return waits until a function returns, for example WaitGroup.Wait.
func Return(t testing.TB, what string, wait func()) {
	t.Helper()
	done := make(chan struct{})
	go func() {
		defer close(done)
		wait()
	}()
	Closed(t, done, what)
}

// Until calls check repeatedly until it returns nil. It fails the test with the last error after Limit.
func Until(t testing.TB, what string, check func() error) {
	t.Helper()
	until(t, what, check, Limit)
}

func until(t testing.TB, what string, check func() error, limit time.Duration) {
	t.Helper()
	for deadline := time.Now().Add(limit); ; time.Sleep(pause) {
		err := check()
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("%s: not after %s: %v", what, limit, err)
		}
	}
}

// True is Until for a check without an error.
func True(t testing.TB, what string, check func() bool) {
	t.Helper()
	Until(t, what, func() error {
		if !check() {
			return errors.New("still false")
		}
		return nil
	})
}

// Lines reads the lines of a stream.
type Lines struct {
	t     testing.TB
	what  string
	limit time.Duration
	// read receives the lines. ended is the stream's error, nil at its end; it is set once read is closed.
	read  chan string
	ended error
	had   []string
}

// NewLines reads a stream in the background. The end of the test calls end, which must stop the reading.
func NewLines(t testing.TB, what string, stream io.Reader, end func()) *Lines {
	t.Helper()
	return newLines(t, what, stream, end, Limit)
}

func newLines(t testing.TB, what string, stream io.Reader, end func(), limit time.Duration) *Lines {
	t.Helper()
	l := &Lines{t: t, what: what, limit: limit, read: make(chan string)}
	stop := make(chan struct{})
	go func() {
		defer close(l.read)
		scanner := bufio.NewScanner(stream)
		scanner.Buffer(nil, 16<<20)
		for scanner.Scan() {
			select {
			case l.read <- scanner.Text():
			case <-stop:
				return
			}
		}
		l.ended = scanner.Err()
	}()
	t.Cleanup(func() {
		close(stop)
		end()
	})
	return l
}

// Next returns the next line. It fails the test if no line arrives, and reports the lines before.
func (l *Lines) Next() string {
	l.t.Helper()
	line, err := l.next()
	if err != nil {
		l.t.Fatalf("%s: no line %d: %v; the lines before:\n%s", l.what, len(l.had)+1, err, strings.Join(l.had, "\n"))
	}
	return line
}

// End waits until the stream ends without an error. It fails the test if another line arrives.
func (l *Lines) End() {
	l.t.Helper()
	line, err := l.next()
	if !errors.Is(err, io.EOF) {
		l.t.Fatalf("%s: got %q, %v, want the end after\n%s", l.what, line, err, strings.Join(l.had, "\n"))
	}
}

func (l *Lines) next() (string, error) {
	timer := time.NewTimer(l.limit)
	defer timer.Stop()
	select {
	case line, open := <-l.read:
		if open {
			l.had = append(l.had, line)
			return line, nil
		}
		if l.ended != nil {
			return "", l.ended
		}
		return "", io.EOF
	case <-timer.C:
		return "", fmt.Errorf("nothing came in %s", l.limit)
	}
}

// goroutines returns the stacks of all goroutines, which show what is blocked.
func goroutines() string {
	text := make([]byte, 256<<10)
	return string(text[:runtime.Stack(text, true)])
}

// Held blocks a server's handler, or another goroutine of a test, until released receives a value or is closed. It
// returns false if the test ends first, so that a failed test does not wait for its own server.
func Held[V any](t testing.TB, released <-chan V) bool {
	select {
	case <-released:
		return true
	case <-t.Context().Done():
		return false
	}
}
