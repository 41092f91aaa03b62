package registration

import (
	"context"
	"errors"
	"net/http"

	"evenkeel/emulator/internal/broker"
	"evenkeel/emulator/internal/dpswire"
	"evenkeel/emulator/internal/hold"
	"evenkeel/emulator/internal/requestlog"
	"evenkeel/emulator/internal/traffic"
)

// Refuse implements traffic.Refuser.
func (a *API) Refuse(w http.ResponseWriter, r *traffic.Refusal) {
	dpswire.Serve(w, a.st.Now, func() (dpswire.Reply, error) { return dpswire.Reply{}, dpswire.Refused(r) })
}

// pass asks the gate whether an MQTT operation may be carried out. It stops waiting when ctx, the connection's, is
// done. HTTPS requests pass the gate earlier.
func (a *API) pass(ctx context.Context, method, path string, who caller) error {
	err := a.opts.Gate.Pass(ctx, traffic.Call{
		Request: hold.Request{Surface: requestlog.MQTTDPS, Method: method, Path: path}, Host: who.scope, Device: who.id,
	})
	if refusal := (*traffic.Refusal)(nil); errors.As(err, &refusal) {
		return dpswire.Refused(refusal)
	}
	return err
}

// connected is pass for a connection: a refused client gets a CONNACK and may retry, a dropped one gets nothing.
func (a *API) connected(c broker.Connect, path string, who caller) error {
	err := a.pass(c.Client.Context(), "CONNECT", path, who)
	switch {
	case errors.Is(err, traffic.ErrDropped):
		c.Client.Close(err)
	case err != nil:
		err = errors.Join(err, broker.ErrUnavailable)
	}
	return err
}
