// Package control is the emulator's control port: health, readiness, the request log, holds, counts, telemetry,
// messages to devices, reset, snapshots, the clock, faults, limits, roles, and a page that shows all of it.
//
// It has its own port and no counterpart in Azure. Everything but health requires a token, and requests of pages from
// other sites are refused.
package control

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"time"

	"evenkeel/emulator/internal/hold"
	"evenkeel/emulator/internal/requestlog"
	"evenkeel/emulator/internal/routes"
	"evenkeel/emulator/internal/state"
	"evenkeel/emulator/internal/strictjson"
	"evenkeel/emulator/internal/traffic"
)

const (
	// maxBody leaves room for a message of 64 KiB to a device, in base64.
	maxBody = 256 << 10
	// maxAwait limits how long one request waits for a hold. Clients repeat the request.
	maxAwait = time.Minute
)

// Options are the functions and data that the control port uses.
type Options struct {
	Log   *requestlog.Log
	Holds *hold.Table
	// Ready returns why the emulator cannot serve yet, or nil.
	Ready func() error
	// About is merged into the response of /readyz: addresses, process id; nothing secret.
	About func() map[string]any
	// Counts returns the number of objects of each kind.
	Counts func() (any, error)
	// Hubs returns the number of devices of each hub, by host name.
	Hubs func() (map[string]int, error)
	// Devices returns the ids of a hub's devices.
	Devices func(hubHost string) ([]string, error)
	// Messages returns the telemetry of a hub and a device. Empty ones match all.
	Messages func(hubHost, device string) any
	// Follow follows the telemetry of a hub and a device, beginning with the stored messages if fromStart is set.
	Follow func(hubHost, device string, fromStart bool) Follower
	// Send sends a message to a device, and returns its place in the device's queue. Purge drops the queue of a
	// device.
	Send  func(CloudMessage) (sequence uint64, err error)
	Purge func(hubHost, device string) (dropped int, err error)
	// Status returns the HTTP status of an error of Send and Purge.
	Status func(error) int
	// Reset deletes everything in the emulator but its ports, authority and secrets.
	Reset     func() error
	State     *state.State
	Snapshots Snapshots
	// Clock is the time of the emulated cloud.
	Clock *state.Clock
	// Gate holds the faults and the limits.
	Gate *traffic.Gate
	// Token is the bearer token that a client must send for everything but health and the files of the page.
	Token string
	// Remote permits clients to use addresses other than loopback ones, if the emulator listens elsewhere. Hosts are
	// the names, in addition to localhost, that they may use.
	Remote bool
	Hosts  []string
}

// Follower gets all messages from its creation until Stop.
type Follower interface {
	// Each calls use with the messages, in order, until ctx is done or use fails.
	Each(ctx context.Context, use func(any) error) error
	Stop()
}

type surface struct {
	Options
	counted *tally
}

// New returns the handler of the control port.
func New(o Options) http.Handler {
	s := surface{o, &tally{}}
	return s.guard(s.routes())
}

// Routes returns what is served, for example "GET /healthz".
func Routes() []string { return surface{}.routes().Patterns() }

func (s surface) routes() *routes.Mux {
	mux := &routes.Mux{}
	mux.HandleFunc("GET /healthz", s.health)
	mux.HandleFunc("GET /readyz", s.ready)
	mux.HandleFunc("GET /requests", s.requests)
	mux.HandleFunc("GET /counts", s.counts)
	mux.HandleFunc("GET /hubs", s.hubs)
	mux.HandleFunc("GET /hubs/{host}/devices", s.devices)
	mux.HandleFunc("GET /messages", s.messages)
	mux.HandleFunc("POST /messages", s.send)
	mux.HandleFunc("DELETE /messages", s.purge)
	mux.HandleFunc("POST /reset", s.reset)
	mux.HandleFunc("POST /holds", s.addHold)
	mux.HandleFunc("GET /holds/{id}", s.getHold)
	mux.HandleFunc("POST /holds/{id}/release", s.releaseHold)
	s.routeSnapshots(mux)
	s.routeClock(mux)
	s.routeTraffic(mux)
	s.routePage(mux)
	return mux
}

func (s surface) health(w http.ResponseWriter, _ *http.Request) {
	writeJSON(w, http.StatusOK, map[string]any{"status": "ok"})
}

func (s surface) ready(w http.ResponseWriter, _ *http.Request) {
	if err := s.Ready(); err != nil {
		writeJSON(w, http.StatusServiceUnavailable, map[string]any{"status": "not ready", "reason": err.Error()})
		return
	}
	body := map[string]any{"status": "ready"}
	for name, value := range s.About() {
		body[name] = value
	}
	writeJSON(w, http.StatusOK, body)
}

// requests returns the log, oldest first. ?surface=, ?method= and ?after= (a sequence number) filter it.
func (s surface) requests(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	f := requestlog.Filter{Surface: requestlog.Surface(q.Get("surface")), Method: q.Get("method")}
	if text := q.Get("after"); text != "" {
		after, err := strconv.ParseUint(text, 10, 64)
		if err != nil {
			writeError(w, http.StatusBadRequest, fmt.Errorf("after=%q is not a sequence number", text))
			return
		}
		f.After = after
	}
	writeJSON(w, http.StatusOK, s.Log.Records(f))
}

func (s surface) counts(w http.ResponseWriter, _ *http.Request) {
	counts, err := s.Counts()
	if err != nil {
		writeError(w, http.StatusInternalServerError, err)
		return
	}
	writeJSON(w, http.StatusOK, counts)
}

// hubs returns the number of devices by hub.
func (s surface) hubs(w http.ResponseWriter, _ *http.Request) {
	devices, err := s.Hubs()
	if err != nil {
		writeError(w, http.StatusInternalServerError, err)
		return
	}
	writeJSON(w, http.StatusOK, devices)
}

// devices returns the ids of a hub's devices.
func (s surface) devices(w http.ResponseWriter, r *http.Request) {
	ids, err := s.Devices(r.PathValue("host"))
	if err != nil {
		writeError(w, statusOf(err), err)
		return
	}
	writeJSON(w, http.StatusOK, append([]string{}, ids...)) // [] rather than null
}

func (s surface) reset(w http.ResponseWriter, _ *http.Request) {
	if err := s.Reset(); err != nil {
		writeError(w, http.StatusInternalServerError, err)
		return
	}
	w.WriteHeader(http.StatusNoContent)
}

type holdAnswer struct {
	ID      string        `json:"id"`
	State   hold.State    `json:"state"`
	Request *hold.Request `json:"request,omitempty"`
}

func answer(h *hold.Hold) holdAnswer {
	a := holdAnswer{ID: h.ID, State: h.State()}
	if r, ok := h.Request(); ok {
		a.Request = &r
	}
	return a
}

func (s surface) addHold(w http.ResponseWriter, r *http.Request) {
	var body *matchRequest
	if !readJSON(w, r, &body) {
		return
	}
	if body == nil {
		writeError(w, http.StatusBadRequest, errors.New(
			"describe the request to hold; {} holds the next one of any surface"))
		return
	}
	m, err := body.match()
	if err != nil {
		writeError(w, http.StatusBadRequest, err)
		return
	}
	writeJSON(w, http.StatusCreated, answer(s.Holds.Add(m)))
}

// getHold returns the status of a hold. With ?await=held or ?await=done it first waits for that, at most ?timeout= (a
// Go duration, 30 s by default).
func (s surface) getHold(w http.ResponseWriter, r *http.Request) {
	h, ok := s.hold(w, r)
	if !ok {
		return
	}
	timeout := 30 * time.Second
	if text := r.URL.Query().Get("timeout"); text != "" {
		var err error
		if timeout, err = time.ParseDuration(text); err != nil {
			writeError(w, http.StatusBadRequest, fmt.Errorf("timeout=%q is not a duration", text))
			return
		}
	}
	ctx, cancel := context.WithTimeout(r.Context(), min(timeout, maxAwait))
	defer cancel()
	switch await := r.URL.Query().Get("await"); await {
	case "":
	case "held":
		_ = h.Held(ctx) // the response contains the status
	case "done":
		_ = h.Done(ctx)
	default:
		writeError(w, http.StatusBadRequest, fmt.Errorf("await=%q: use held or done", await))
		return
	}
	writeJSON(w, http.StatusOK, answer(h))
}

func (s surface) releaseHold(w http.ResponseWriter, r *http.Request) {
	if h, ok := s.hold(w, r); ok {
		h.Release()
		writeJSON(w, http.StatusOK, answer(h))
	}
}

func (s surface) hold(w http.ResponseWriter, r *http.Request) (*hold.Hold, bool) {
	id := r.PathValue("id")
	h, ok := s.Holds.Get(id)
	if !ok {
		writeError(w, http.StatusNotFound, fmt.Errorf("no hold %q", id))
	}
	return h, ok
}

// readJSON reads the body, which may be empty. If it is invalid, readJSON responds and returns false.
func readJSON(w http.ResponseWriter, r *http.Request, into any) bool {
	body, err := io.ReadAll(r.Body)
	if err == nil {
		err = strictjson.Check(body)
	}
	if err != nil {
		writeError(w, http.StatusBadRequest, fmt.Errorf("read the body: %w", err))
		return false
	}
	d := json.NewDecoder(bytes.NewReader(body))
	d.DisallowUnknownFields()
	if err := d.Decode(into); err != nil && !errors.Is(err, io.EOF) {
		writeError(w, http.StatusBadRequest, fmt.Errorf("read the body: %w", err))
		return false
	}
	return true
}

func writeJSON(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	// The status is sent: an error here means that the client has disconnected.
	_ = json.NewEncoder(w).Encode(body)
}

func writeError(w http.ResponseWriter, status int, err error) {
	writeJSON(w, status, map[string]any{"error": err.Error()})
}
