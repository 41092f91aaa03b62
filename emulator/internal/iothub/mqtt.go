package iothub

import (
	"errors"
	"fmt"
	"maps"
	"net/url"
	"strings"

	"evenkeel/emulator/internal/broker"
	"evenkeel/emulator/internal/requestlog"
	"evenkeel/emulator/internal/state"
)

// errExpired is why a connection with an expired token is closed. The state defines the other reasons.
var errExpired = errors.New("the shared access signature has expired")

// Accept implements broker.Front for user names {host}/{deviceId}/?api-version=…; the query and the slash before it may
// be missing. Source: "Communicate with your IoT hub using the MQTT protocol". Fidelity: modules are refused.
func (h *Hubs) Accept(c broker.Connect) (broker.Session, error) {
	host, rest, _ := strings.Cut(c.UserName, "/")
	host = state.ClassicHost(h.names.Host(host))
	if !strings.HasSuffix(strings.ToLower(host), state.HubHost("")) {
		return nil, broker.ErrNotMine
	}
	start := h.state.Now()
	var s *session
	err := h.passConnect(c, deviceKey{strings.ToLower(host), c.ClientID})
	if err == nil {
		s, err = h.connect(host, rest, c)
	}
	status := 200
	if refusal := (*wireError)(nil); errors.As(err, &refusal) {
		status = refusal.status()
	} else if err != nil {
		status = 401
	}
	h.record(requestlog.Record{
		Method: "CONNECT", Host: strings.ToLower(host), Path: c.ClientID, APIVersion: parameter(c, "api-version"),
		Status: status, Start: start, Duration: h.state.Now().Sub(start),
	})
	if err != nil {
		return nil, err
	}
	return s, nil
}

func (h *Hubs) connect(host, rest string, c broker.Connect) (*session, error) {
	id := c.ClientID
	tail, ok := strings.CutPrefix(rest, id)
	if id == "" || !ok || tail != "" && tail[0] != '/' {
		return nil, errors.New("the user name and the client id name different devices")
	}
	if strings.Contains(id, "/") {
		return nil, errors.New("modules are not emulated")
	}
	hub, err := h.state.HubByHost(host)
	if err != nil {
		return nil, fmt.Errorf("find hub %q: %w", host, err)
	}
	granted, err := h.authenticateDevice(hub, id, c.Password, c.Certificates)
	if err != nil {
		return nil, err
	}
	s := &session{
		hubs: h, number: h.connections.Add(1), key: deviceKey{hub.Host(), id}, generation: granted.device.GenerationID,
		version: parameter(c, "api-version"), model: parameter(c, "model-id"), client: c.Client,
		clean: c.CleanSession, basic: isBasic(hub), maxDeliveries: hub.Settings.MaxDeliveries,
		granted: state.Subscriptions{}, taken: map[string]struct{}{},
	}
	// From here on, changes of the device's credentials close the connection, and messages to the device reach it.
	if err := h.state.Connect(s.key.host, granted.device, s); err != nil {
		return nil, err
	}
	if err := s.begin(); err != nil {
		h.state.Disconnect(s.key.host, id, s)
		return nil, err
	}
	if !granted.expiry.IsZero() {
		s.unwatch = h.state.At(granted.expiry, func() { s.End(errExpired) })
	}
	s.serveSubscriptions()
	return s, nil
}

// begin restores the subscriptions of an earlier connection and stores the device's model.
func (s *session) begin() error {
	if err := s.resume(); err != nil || s.model == "" {
		return err
	}
	return s.hubs.state.SetModelID(s.key.host, s.key.id, s.model)
}

// resume restores the subscriptions of a device that connects without a clean session. The documentation promises
// this only for messages, but the Node SDK reconnects with each new token and does not subscribe again (Azure/iotedge
// issue 3214). Fidelity: that stored subscriptions set "session present" in the CONNACK is unsure.
func (s *session) resume() error {
	if s.clean {
		return s.hubs.state.DropSubscriptions(s.key.host, s.key.id)
	}
	kept, err := s.hubs.state.Subscriptions(s.key.host, s.key.id)
	if err != nil {
		return err
	}
	s.resumed = len(kept) > 0
	s.mu.Lock()
	defer s.mu.Unlock()
	maps.Copy(s.granted, kept)
	return nil
}

// pushDesired sends a change of desired properties to the device, if it is connected and subscribed to them.
func (h *Hubs) pushDesired(change state.DesiredChange) {
	if s := h.session(deviceKey{strings.ToLower(change.Hub), change.DeviceID}); s != nil {
		s.pushDesired(change)
	}
}

func (h *Hubs) record(r requestlog.Record) {
	if h.recorder != nil {
		r.Surface = requestlog.MQTTHub
		h.recorder.Record(r)
	}
}

// parameter returns a parameter of the user name. Parameters follow the device, as in
// {host}/{deviceId}/?api-version=…&model-id=…
func parameter(c broker.Connect, name string) string {
	_, rest, _ := strings.Cut(c.UserName, "/")
	given := strings.TrimLeft(strings.TrimPrefix(rest, c.ClientID), "/?")
	for pair := range strings.SplitSeq(given, "&") {
		value, ok := strings.CutPrefix(pair, name+"=")
		if !ok {
			continue
		}
		if decoded, err := url.PathUnescape(value); err == nil {
			return decoded
		}
		return value
	}
	return ""
}
