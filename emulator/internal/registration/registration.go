// Package registration is the device API of the Device Provisioning Service: a device proves what it is and is told its hub. The
// rules stand here once, with two thin fronts, HTTPS (an http.Handler) and MQTT (a broker.Front), over the same methods.
//
// It does not choose the hub, which is the state's or a webhook's, does not listen, and knows no hub protocol. AMQP is not there.
//
// Sources: the device API's public description (2021-10-01), the documentation of IoT DPS over HTTPS and MQTT, and the Azure device
// SDKs. Deviations begin with "Fidelity:" and stand in docs/reference/fidelity.md.
package registration

import (
	"log/slog"
	"sync/atomic"
	"time"

	"evenkeel/emulator/internal/requestlog"
	"evenkeel/emulator/internal/state"
	"evenkeel/emulator/internal/traffic"
)

// Options say how the surface differs from its default.
type Options struct {
	// Names turns the host name of a hub into the one told to devices as assignedHub; nil: as it is.
	Names func(hubHost string) string
	// RetryAfter is how long a device is asked to wait before it polls, in whole seconds. Zero, the default: no time at all; Azure
	// says 3 seconds.
	RetryAfter time.Duration
	// Webhooks says how custom allocation asks.
	Webhooks Webhooks
	// Log gets errors that occur after the device was answered; none when nil.
	Log *slog.Logger
	// Recorder records the MQTT operations; none when nil. Whoever mounts the handler records HTTPS requests.
	Recorder requestlog.Recorder
	// Gate is what MQTT operations go through; nil: nothing. HTTPS requests go through one before they come here.
	Gate *traffic.Gate
}

// API is the device API over one state, for every provisioning service in it. It implements http.Handler and broker.Front.
type API struct {
	st         *state.State
	opts       Options
	challenges challenges
	remembered remembered
	pending    pending
	// connections counts those over MQTT.
	connections atomic.Uint64
}

// New returns the device API over st.
func New(st *state.State, opts Options) *API {
	if opts.Names == nil {
		opts.Names = func(host string) string { return host }
	}
	if opts.Log == nil {
		opts.Log = slog.New(slog.DiscardHandler)
	}
	return &API{st: st, opts: opts}
}
