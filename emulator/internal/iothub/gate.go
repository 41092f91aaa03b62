package iothub

import (
	"context"
	"errors"
	"net/http"
	"strings"

	"evenkeel/emulator/internal/broker"
	"evenkeel/emulator/internal/hold"
	"evenkeel/emulator/internal/requestlog"
	"evenkeel/emulator/internal/traffic"
)

// Refuse implements traffic.Refuser.
func (h *Hubs) Refuse(w http.ResponseWriter, r *traffic.Refusal) { h.writeError(w, refused(r)) }

func refused(r *traffic.Refusal) *wireError { return &wireError{r.Code, r.Name, r.Message} }

// pass asks the gate whether an MQTT operation may be carried out. It stops waiting when ctx, the connection's, is
// done. HTTP requests pass the gate earlier.
func (h *Hubs) pass(ctx context.Context, method, path string, key deviceKey, bytes int) error {
	err := h.gate.Pass(ctx, traffic.Call{
		Request: hold.Request{Surface: requestlog.MQTTHub, Method: method, Path: path}, Host: key.host, Device: key.id,
		Bytes: int64(bytes),
	})
	if refusal := (*traffic.Refusal)(nil); errors.As(err, &refusal) {
		return refused(refusal)
	}
	return err
}

// passConnect is pass for a connection: a refused client gets a CONNACK and may retry, a dropped one gets nothing.
func (h *Hubs) passConnect(c broker.Connect, key deviceKey) error {
	err := h.pass(c.Client.Context(), "CONNECT", key.id, key, 0)
	switch {
	case errors.Is(err, traffic.ErrDropped):
		c.Client.Close(err)
	case err != nil:
		err = errors.Join(err, broker.ErrUnavailable)
	}
	return err
}

// passPublish is pass for a message, and reports whether it may be processed. A refused twin request gets a response;
// any other refusal closes the connection, because MQTT 3.1.1 cannot refuse a PUBLISH. Fidelity: what IoT Hub does
// with telemetry that it throttles over MQTT is not documented.
func (s *session) passPublish(m broker.Message) (ok bool, err error) {
	err = s.hubs.pass(s.client.Context(), "PUBLISH", m.Topic, s.key, len(m.Payload))
	refusal := (*wireError)(nil)
	if !errors.As(err, &refusal) {
		return err == nil, err
	}
	for _, request := range []string{twinGet, reportedPatch} {
		if query, asked := strings.CutPrefix(m.Topic, request); asked {
			return false, s.answerError(m.Topic, query, refusal)
		}
	}
	s.record("PUBLISH", m.Topic, refusal.status())
	return false, err
}
