// Package iothub is the emulated IoT hubs as their clients see them: the service API over HTTPS (identity registry, twins, statistics,
// queries, direct methods), and devices over MQTT and HTTPS (telemetry, twins, methods over MQTT). One Hubs serves every hub of the state; the host name picks the hub.
//
// It creates no hub (that is ARM's), decides nothing about provisioning, and has no jobs, modules, routes, file upload or
// configurations, which it refuses to make. Cloud-to-device messages are sent with SendCloudMessage: the service API has them over AMQP only, which is not spoken.
//
// Sources: "IoT Hub service REST API" 2021-04-12, "Communicate with your IoT hub using the MQTT protocol", "Control access to IoT Hub
// with SAS", and traffic recorded with the Azure SDK for .NET (2020-03-13).
package iothub

import (
	"errors"
	"log/slog"
	"net/http"
	"sync"
	"sync/atomic"

	"evenkeel/emulator/internal/broker"
	"evenkeel/emulator/internal/requestlog"
	"evenkeel/emulator/internal/routes"
	"evenkeel/emulator/internal/state"
	"evenkeel/emulator/internal/traffic"
)

// Names are the other names by which hubs are reached, as addresses.
type Names interface {
	// Host is the host name of the hub that a name belongs to; the name itself when it belongs to none.
	Host(name string) string
	// Other is the other name of the hub of that host; empty when it has none.
	Other(host string) string
}

// noNames: hubs have their host names only.
type noNames struct{}

func (noNames) Host(name string) string { return name }
func (noNames) Other(string) string     { return "" }

// Options are what New needs; only State must be set.
type Options struct {
	State *state.State
	// Names are none when nil.
	Names Names
	// Recorder gets one record for each MQTT connect, subscription and publish; HTTP requests are recorded by whoever serves them.
	Recorder requestlog.Recorder
	// Gate is what MQTT operations go through; nil: nothing. HTTP requests go through one before they come here.
	Gate *traffic.Gate
	// Bearer checks an access token of Microsoft Entra ID, given without its scheme; without it every one is refused.
	Bearer func(token string) error
	// Log gets internal errors of the emulator; none when nil.
	Log *slog.Logger
}

// Hubs is the http.Handler of the hosts {hub}.azure-devices.net, and the broker.Front of their devices.
type Hubs struct {
	state    *state.State
	names    Names
	recorder requestlog.Recorder
	gate     *traffic.Gate
	bearer   func(token string) error
	log      *slog.Logger
	calls    *routes.Table[http.HandlerFunc]
	inbox    *inbox
	stop     func()
	// connections counts the connections of devices so far.
	connections atomic.Uint64

	mu sync.Mutex
	// listening is closed, and replaced, when a device begins to take methods.
	listening chan struct{}
}

var (
	_ broker.Front = (*Hubs)(nil)
	_ http.Handler = (*Hubs)(nil)
)

// deviceKey names a device of a hub; host is lower case, ids are case-sensitive.
type deviceKey struct{ host, id string }

// New returns the hubs of a state. Close ends what it watches.
func New(o Options) *Hubs {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Names == nil {
		o.Names = noNames{}
	}
	h := &Hubs{
		state: o.State, names: o.Names, recorder: o.Recorder, gate: o.Gate, bearer: o.Bearer, log: o.Log,
		inbox: newInbox(), listening: make(chan struct{}),
	}
	h.calls = h.newCalls()
	h.stop = o.State.OnDesired(h.pushDesired)
	return h
}

// Close stops watching the state. Connections are the broker's to end.
func (h *Hubs) Close() { h.stop() }

// Messages returns the telemetry that hubs took in and still remember, oldest first. An empty host or device matches every one; a
// hub may be called by its own name, its host name or another name of it.
func (h *Hubs) Messages(host, device string) []Message {
	return h.inbox.messages(h.hostOf(host), device)
}

// ErrBehind ends the Each of a Follower that does not keep up with what comes in.
var ErrBehind = errors.New("telemetry comes in faster than it is read")

// Follow returns a follower of the telemetry that hubs take in. It has every message that comes in after Follow has
// returned, and before those the messages that are still remembered when fromStart. Host and device are as in
// Messages. The caller must Stop it.
func (h *Hubs) Follow(host, device string, fromStart bool) *Follower {
	return h.inbox.follow(h.hostOf(host), device, fromStart)
}

// Received is how many messages a hub has taken in since the emulator started, remembered or not.
func (h *Hubs) Received(host string) uint64 { return h.inbox.received(host) }

// Reset forgets the telemetry.
func (h *Hubs) Reset() { h.inbox.reset() }

// session is the device's connection over MQTT, or nil.
func (h *Hubs) session(key deviceKey) *session {
	s, _ := h.state.Connection(key.host, key.id).(*session)
	return s
}
