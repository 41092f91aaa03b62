package dpsdevice

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

const twinAnswers = "$iothub/twin/res/"

// HubOptions are the options of Connect.
type HubOptions struct {
	// Host is the assigned hub's host name.
	Host     string
	DeviceID string
	// Credential is the credential of the registration, which the service copies to the hub, or the certificate that
	// the registration issued: X509 of Registration.Certificate.
	Credential Credential
	Network    Network
	// Now is the clock for the expiry of tokens; nil for time.Now.
	Now func() time.Time
}

// Hub is a device's connection to its hub. Its methods may be called concurrently.
type Hub struct {
	session  *session
	deviceID string
}

// Connect connects the device to its hub over MQTT. A refusal is an *Error with status 401.
func Connect(ctx context.Context, o HubOptions) (*Hub, error) {
	hub, err := connectHub(ctx, o)
	if err != nil {
		return nil, fmt.Errorf("connect %q to its hub: %w", o.DeviceID, err)
	}
	return hub, nil
}

func connectHub(ctx context.Context, o HubOptions) (*Hub, error) {
	if err := o.Credential.check(); err != nil {
		return nil, err
	}
	password, err := o.Credential.password(o.Host+"/devices/"+o.DeviceID, "", clock(o.Now))
	if err != nil {
		return nil, err
	}
	s, err := connect(ctx, login{
		host: o.Host, clientID: o.DeviceID, user: o.Host + "/" + o.DeviceID + "/?api-version=" + hubVersion,
		password:   password,
		credential: o.Credential, network: o.Network, clean: true,
	}, twinAnswers)
	if err != nil {
		return nil, err
	}
	return &Hub{s, o.DeviceID}, nil
}

// Send sends one telemetry message and waits until the hub has it. Properties may be nil.
func (h *Hub) Send(ctx context.Context, body []byte, properties map[string]string) error {
	bag := make([]string, 0, len(properties))
	for _, name := range slices.Sorted(maps.Keys(properties)) {
		bag = append(bag, escape(name)+"="+escape(properties[name]))
	}
	if err := h.session.publish(ctx, "devices/"+h.deviceID+"/messages/events/"+strings.Join(bag, "&"),
		body); err != nil {
		return fmt.Errorf("send telemetry of %q: %w", h.deviceID, err)
	}
	return nil
}

// escape encodes a property for a topic: a space is %20 there, not a plus.
func escape(text string) string { return strings.ReplaceAll(url.QueryEscape(text), "+", "%20") }

// Twin is the device's view of its twin. Each part holds its $version.
type Twin struct {
	Desired  map[string]any `json:"desired"`
	Reported map[string]any `json:"reported"`
}

// Twin reads the twin.
func (h *Hub) Twin(ctx context.Context) (Twin, error) {
	r, err := h.session.request(ctx, func(id string) string { return "$iothub/twin/GET/?$rid=" + id }, nil)
	if err == nil && r.status != http.StatusOK {
		err = refusal(r.status, r.payload)
	}
	var twin Twin
	if err == nil {
		err = json.Unmarshal(r.payload, &twin)
	}
	if err != nil {
		return Twin{}, fmt.Errorf("read the twin of %q: %w", h.deviceID, err)
	}
	return twin, nil
}

// Report merges a patch (an object; nulls delete) into the reported properties and returns their new version.
func (h *Hub) Report(ctx context.Context, patch any) (version int, err error) {
	body, err := json.Marshal(patch)
	if err != nil {
		return 0, fmt.Errorf("report properties of %q: %w", h.deviceID, err)
	}
	r, err := h.session.request(ctx, func(id string) string {
		return "$iothub/twin/PATCH/properties/reported/?$rid=" + id
	}, body)
	if err == nil && r.status != http.StatusNoContent && r.status != http.StatusOK {
		err = refusal(r.status, r.payload)
	}
	if err == nil {
		version, err = strconv.Atoi(r.query.Get("$version"))
	}
	if err != nil {
		return 0, fmt.Errorf("report properties of %q: %w", h.deviceID, err)
	}
	return version, nil
}

// Close sends DISCONNECT and closes the connection.
func (h *Hub) Close() { h.session.close() }

// Lost is closed when the connection has ended without Close.
func (h *Hub) Lost() <-chan struct{} { return h.session.lost }
