// Package registration is the device API of the Device Provisioning Service: a device authenticates and gets its hub.
// The rules are implemented once, with two thin fronts over the same methods: HTTPS (an http.Handler) and MQTT (a
// broker.Front).
//
// It does not choose the hub, which the state or a webhook does, does not listen, and knows no hub protocol. AMQP is
// not supported.
//
// Sources: the device API's public description (2021-10-01), the documentation of IoT DPS over HTTPS and MQTT, and
// the Azure device SDKs. Deviations begin with "Fidelity:" and are listed in docs/reference/fidelity.md.
package registration

import (
	"log/slog"
	"sync/atomic"
	"time"

	"evenkeel/emulator/internal/requestlog"
	"evenkeel/emulator/internal/state"
	"evenkeel/emulator/internal/traffic"
)

// Options configure the API.
type Options struct {
	// Names returns the name of a hub that devices get as assignedHub. If nil, it is the host name.
	Names func(hubHost string) string
	// RetryAfter is how long a device should wait before it polls, in whole seconds. The default, zero, means no
	// wait; Azure's value is 3 seconds.
	RetryAfter time.Duration
	// Webhooks configures the calls of custom allocation.
	Webhooks Webhooks
	// Certificates configures the certificates that are issued to devices that ask for one.
	Certificates Certificates
	// Log receives errors that occur after the device got its response. It may be nil.
	Log *slog.Logger
	// Recorder records the MQTT operations. It may be nil. The HTTP server records HTTPS requests.
	Recorder requestlog.Recorder
	// Gate is applied to MQTT operations; it may be nil. HTTPS requests pass a gate earlier.
	Gate *traffic.Gate
}

// API is the device API over one state, for every provisioning service in it. It implements http.Handler and
// broker.Front.
type API struct {
	st         *state.State
	opts       Options
	challenges challenges
	remembered remembered
	pending    pending
	// connections counts all MQTT connections.
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
