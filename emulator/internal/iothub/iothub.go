// Package iothub emulates IoT hubs for their clients: the service API over HTTPS (identity registry, twins,
// statistics, queries, direct methods), and devices over MQTT and HTTPS (telemetry, twins, methods over MQTT). One
// Hubs serves every hub of the state; the host name selects the hub.
//
// It does not create hubs, which is ARM's task, and does not provision devices. Jobs, modules, routes, file upload
// and configurations are missing; requests to create them are refused. SendCloudMessage sends cloud-to-device
// messages: the service API has them only over AMQP, which is not supported.
//
// Sources: "IoT Hub service REST API" 2021-04-12, "Communicate with your IoT hub using the MQTT protocol", "Control
// access to IoT Hub with SAS", and traffic recorded with the Azure SDK for .NET (2020-03-13).
package iothub

import (
	"crypto/x509"
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

// Names are the alternative names of hubs, which are addresses.
type Names interface {
	// Host returns the host name of the hub that a name belongs to, or the name itself if it belongs to no hub.
	Host(name string) string
	// Other returns the alternative name of the hub with that host, or "".
	Other(host string) string
}

// noNames: hubs have only their host names.
type noNames struct{}

func (noNames) Host(name string) string { return name }
func (noNames) Other(string) string     { return "" }

// Options are the options of New. Only State is required.
type Options struct {
	State *state.State
	// Names may be nil: hubs then have no alternative names.
	Names Names
	// Recorder gets one record for each MQTT connect, subscription and publish. The HTTP server records HTTP
	// requests.
	Recorder requestlog.Recorder
	// Gate is applied to MQTT operations; it may be nil. HTTP requests pass a gate earlier.
	Gate *traffic.Gate
	// Bearer checks an access token of Microsoft Entra ID, given without its scheme. If nil, every token is refused.
	Bearer func(token string) error
	// Issuing is the authority that signs certificates for devices when they register with the provisioning service.
	// It may be nil.
	Issuing *x509.Certificate
	// Log receives internal errors of the emulator. It may be nil.
	Log *slog.Logger
}

// Hubs is the http.Handler of the hosts {hub}.azure-devices.net, and the broker.Front of their devices.
type Hubs struct {
	state    *state.State
	names    Names
	recorder requestlog.Recorder
	gate     *traffic.Gate
	bearer   func(token string) error
	issuing  *x509.Certificate
	log      *slog.Logger
	calls    *routes.Table[http.HandlerFunc]
	inbox    *inbox
	stop     func()
	// connections counts all connections of devices.
	connections atomic.Uint64

	mu sync.Mutex
	// listening is closed and replaced when a device subscribes to methods.
	listening chan struct{}
}

var (
	_ broker.Front = (*Hubs)(nil)
	_ http.Handler = (*Hubs)(nil)
)

// deviceKey identifies a device of a hub. host is lower case; ids are case-sensitive.
type deviceKey struct{ host, id string }

// New returns the hubs of a state. The caller must Close it.
func New(o Options) *Hubs {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Names == nil {
		o.Names = noNames{}
	}
	h := &Hubs{
		state: o.State, names: o.Names, recorder: o.Recorder, gate: o.Gate, bearer: o.Bearer, log: o.Log,
		issuing: o.Issuing,
		inbox:   newInbox(), listening: make(chan struct{}),
	}
	h.calls = h.newCalls()
	h.stop = o.State.OnDesired(h.pushDesired)
	return h
}

// Close stops watching the state. The broker ends the connections.
func (h *Hubs) Close() { h.stop() }

// Messages returns the stored telemetry of the hubs, oldest first. An empty host or device matches all; a hub may be
// given by its name, its host name or its alternative name.
func (h *Hubs) Messages(host, device string) []Message {
	return h.inbox.messages(h.hostOf(host), device)
}

// ErrBehind ends the Each of a Follower that is too slow.
var ErrBehind = errors.New("telemetry arrives faster than it is read")

// Follow returns a follower of the hubs' telemetry. With fromStart it begins with the stored messages; then it gets
// every message that arrives after Follow has returned. Host and device are as in Messages. The caller must Stop it.
func (h *Hubs) Follow(host, device string, fromStart bool) *Follower {
	return h.inbox.follow(h.hostOf(host), device, fromStart)
}

// Received returns how many messages a hub has received since the emulator started, stored or not.
func (h *Hubs) Received(host string) uint64 { return h.inbox.received(host) }

// Reset deletes the stored telemetry.
func (h *Hubs) Reset() { h.inbox.reset() }

// session returns the device's MQTT connection, or nil.
func (h *Hubs) session(key deviceKey) *session {
	s, _ := h.state.Connection(key.host, key.id).(*session)
	return s
}
