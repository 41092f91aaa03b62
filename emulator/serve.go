package emulator

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"runtime/debug"
	"strings"
	"sync"
	"time"

	"evenkeel/emulator/internal/hold"
	"evenkeel/emulator/internal/requestlog"
	"evenkeel/emulator/internal/traffic"
)

const (
	// maxBody is the limit of ARM, which is the largest of all services.
	maxBody   = 4 << 20
	maxHeader = 64 << 10
	// writeTimeout leaves time for slow readers of large responses.
	writeTimeout = 5 * time.Minute
)

func (e *Emulator) server(h http.Handler) *http.Server {
	bounds := e.options.Bounds
	return &http.Server{
		Handler: h, ReadHeaderTimeout: bounds.Header, ReadTimeout: bounds.Request, WriteTimeout: writeTimeout,
		IdleTimeout: bounds.Idle, MaxHeaderBytes: maxHeader,
		// A failed handshake is the client's problem, so it is logged at debug level only.
		ErrorLog: slog.NewLogLogger(e.options.Logger.Handler(), slog.LevelDebug),
	}
}

// on wraps a surface: it limits the body, applies holds, records the request and recovers from panics.
func (e *Emulator) on(surface requestlog.Surface, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		start := time.Now()
		// The original path: a handler may rewrite the URL.
		record := requestlog.Record{
			Surface: surface, Method: r.Method, Host: hostOf(r), Path: requestlog.Redact(r.URL.RequestURI()),
			APIVersion: r.URL.Query().Get("api-version"), Start: e.state.Now(),
		}
		sw := &statusWriter{ResponseWriter: w}
		// Before the response is sent, so that a client that has it finds the request in the log.
		keep := sync.OnceFunc(func() {
			record.Status, record.Duration = sw.status, time.Since(start)
			e.log.Record(record)
			e.options.Logger.Debug("request",
				"surface", surface, "method", record.Method, "path", record.Path, "status", record.Status)
		})
		sw.before = keep
		r.Body = http.MaxBytesReader(sw, r.Body, maxBody)
		done := func() {}
		// after the record, so that a client that waits for a held request finds it in the log
		defer func() { done() }()
		defer func() {
			if p := recover(); p != nil {
				if p == http.ErrAbortHandler {
					panic(p)
				}
				e.options.Logger.Error("panic", "surface", surface, "method", r.Method, "path", r.URL.Path, "panic", p,
					"stack", string(debug.Stack()))
				sw.fault()
			}
			keep() // unless the response did already
		}()
		if e.stopped(surface, next, sw, r) {
			return
		}
		if e.holds.Wants() {
			r, done = e.hold(surface, sw, r)
		}
		next.ServeHTTP(sw, r)
	})
}

// stopped answers a request that the gate refuses and reports whether it did.
func (e *Emulator) stopped(surface requestlog.Surface, next http.Handler, w http.ResponseWriter, r *http.Request) bool {
	call := traffic.Call{Request: hold.Request{Surface: surface, Method: r.Method, Path: r.URL.Path}, Host: hostOf(r),
		Bytes: r.ContentLength}
	if surface == requestlog.DPSDevice {
		call.Host, _, _ = strings.Cut(strings.TrimPrefix(r.URL.Path, "/"), "/")
	}
	err := e.gate.Pass(r.Context(), call)
	if err == nil {
		return false
	}
	refusal := (*traffic.Refusal)(nil)
	if !errors.As(err, &refusal) {
		panic(http.ErrAbortHandler) // closes the connection
	}
	if wait := refusal.Seconds(); wait != "" {
		w.Header().Set("Retry-After", wait)
	}
	if own, ok := next.(traffic.Refuser); ok {
		own.Refuse(w, refusal)
	} else {
		http.Error(w, refusal.Message, refusal.Status)
	}
	return true
}

// hold passes the request to the holds. A held request is independent of its client: its body has been read, its
// context is not cancelled, and its response may be discarded.
func (e *Emulator) hold(surface requestlog.Surface, w http.ResponseWriter, r *http.Request) (*http.Request, func()) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		panic(http.ErrAbortHandler) // the request arrived incomplete: there is nothing to carry out
	}
	r = r.WithContext(context.WithoutCancel(r.Context()))
	r.Body = io.NopCloser(bytes.NewReader(body))
	// A hold may last longer than the server's timeouts.
	_ = http.NewResponseController(w).SetWriteDeadline(time.Time{})
	done, ok := e.holds.Catch(hold.Request{Surface: surface, Method: r.Method, Path: r.URL.Path})
	if done == nil {
		return r, func() {}
	}
	if !ok {
		done()
		panic(http.ErrAbortHandler)
	}
	return r, done
}

// hostOf returns the Host header without its port, in lower case.
func hostOf(r *http.Request) string {
	host, _, err := net.SplitHostPort(r.Host)
	if err != nil {
		host = r.Host
	}
	return strings.ToLower(strings.TrimSuffix(strings.Trim(host, "[]"), "."))
}

// statusWriter records the status of the response.
type statusWriter struct {
	http.ResponseWriter
	status int
	// before is called once the status is known and before anything is sent.
	before func()
}

// WriteHeader records the first final status.
func (w *statusWriter) WriteHeader(status int) {
	if status >= http.StatusOK {
		w.answer(status)
	}
	w.ResponseWriter.WriteHeader(status)
}

func (w *statusWriter) answer(status int) {
	if w.status == 0 {
		w.status = status
		w.before()
	}
}

// Write implies status 200.
func (w *statusWriter) Write(p []byte) (int, error) {
	w.answer(http.StatusOK)
	return w.ResponseWriter.Write(p)
}

// fault responds for a handler that panicked, unless it had started to respond.
func (w *statusWriter) fault() {
	if w.status != 0 {
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(http.StatusInternalServerError)
	// The status is sent: an error here means that the client has disconnected.
	_, _ = w.Write([]byte(`{"error":{"code":"InternalServerError","message":"The emulator failed; see its log."}}`))
}

// Unwrap gives http.ResponseController access to the connection.
func (w *statusWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }
