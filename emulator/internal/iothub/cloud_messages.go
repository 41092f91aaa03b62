package iothub

import (
	"errors"
	"fmt"
	"maps"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"time"

	"evenkeel/emulator/internal/broker"
	"evenkeel/emulator/internal/state"
)

// Cloud-to-device messages are queued in the state, in order, until their device has received them. A device over
// MQTT completes a message by acknowledging it, and otherwise gets it again at its next connection; a device over
// HTTPS settles it by its lock token. The outcome of a message is kept for the sender if it requested feedback.
// Source: "Send cloud-to-device messages from an IoT hub".

// maxCloudMessage is the size in bytes of the largest message to a device. Source: "IoT Hub quotas and throttling".
const maxCloudMessage = 64 << 10

// Names of the system properties of a message, in the MQTT property bag without "$.". Those of acknowledgements have
// no prefix there.
const (
	sysMessageID, sysCorrelationID, sysUserID, sysTo, sysExpiry, sysContentType, sysContentEncoding, sysAck = "mid",
		"cid", "uid", "to", "exp", "ct", "ce", "iothub-ack"
)

var (
	// The name is that of the description of 2021-04-12 and of "Troubleshoot Azure IoT Hub error codes".
	errLockLost  = &wireError{412002, "DeviceMessageLockLost", "The lock of the message has ended or is unknown"}
	errQueueFull = &wireError{403004, "DeviceMaximumQueueDepthExceeded",
		fmt.Sprintf("The queue of the device already holds %d messages", state.MaxCloudMessages)}
)

// propertyForm: "Create and read IoT Hub messages".
var propertyForm = regexp.MustCompile("^[A-Za-z0-9!#$%&'*+.^_`|~-]+$")

// CloudMessage is a message to a device.
type CloudMessage struct {
	MessageID, CorrelationID, UserID, ContentType, ContentEncoding string
	// Ack requests feedback: "none", "positive", "negative" or "full". Empty means none.
	Ack string
	// Expiry is when the message is no longer delivered. Zero means the hub's default lifetime.
	Expiry     time.Time
	Properties map[string]string
	Body       []byte
}

func (c CloudMessage) check(now time.Time) error {
	size := len(c.Body)
	for name, value := range c.Properties {
		if !propertyForm.MatchString(name) {
			return invalid("the property name %q is empty or has a character that is not allowed", name)
		}
		size += len(name) + len(value)
	}
	for _, text := range append(slices.Collect(maps.Values(c.Properties)), c.MessageID, c.CorrelationID, c.UserID,
		c.ContentType, c.ContentEncoding) {
		if strings.ContainsFunc(text, func(r rune) bool { return r < ' ' || r == 0x7f }) {
			return invalid("a property holds a control character")
		}
	}
	if size > maxCloudMessage {
		return &wireError{413001, "MessageTooLarge", fmt.Sprintf("Message is larger than %d bytes", maxCloudMessage)}
	}
	if !slices.Contains([]string{"", "none", "positive", "negative", "full"}, c.Ack) {
		return invalid("ack must be none, positive, negative or full")
	}
	if !c.Expiry.IsZero() && !c.Expiry.After(now) {
		return invalid("the message has expired")
	}
	return nil
}

// SendCloudMessage queues a message for a device, and sends it at once if the device is connected and subscribes to
// messages.
func (h *Hubs) SendCloudMessage(host, device string, c CloudMessage) (sequence uint64, err error) {
	hub, err := h.state.HubByHost(h.hostOf(host))
	if err != nil {
		return 0, fmt.Errorf("find hub: %w", err)
	}
	if isBasic(hub) {
		return 0, errTier
	}
	if err := c.check(h.state.Now()); err != nil {
		return 0, err
	}
	system := map[string]string{sysTo: "/devices/" + device + "/messages/devicebound"}
	for name, value := range map[string]string{
		sysMessageID: c.MessageID, sysCorrelationID: c.CorrelationID, sysUserID: c.UserID,
		sysContentType:     c.ContentType,
		sysContentEncoding: c.ContentEncoding, sysAck: c.Ack,
	} {
		if value != "" {
			system[name] = value
		}
	}
	until := c.Expiry
	if until.IsZero() {
		until = h.state.Now().Add(hub.Settings.MessageLife)
	} else {
		system[sysExpiry] = stamp(until)
	}
	queued, err := h.state.QueueCloudMessage(hub.Host(), device, state.CloudMessage{
		System: system, Properties: c.Properties, Body: c.Body, Expiry: until, MessageID: c.MessageID,
		Ack: state.Ack(c.Ack),
	})
	if refusal := (*state.Error)(nil); errors.As(err, &refusal) && refusal.Kind == state.Quota {
		return 0, errQueueFull
	}
	if err != nil {
		return 0, err
	}
	h.deliver(deviceKey{hub.Host(), device})
	return queued.Sequence, nil
}

// PurgeCloudMessages drops the queued messages of a device and returns their number.
func (h *Hubs) PurgeCloudMessages(host, device string) (int, error) {
	return h.state.PurgeCloudMessages(h.hostOf(host), device)
}

// hostOf returns the host name of the hub with that host name, name or alias.
func (h *Hubs) hostOf(name string) string {
	if name != "" && !strings.Contains(name, ".") {
		return state.HubHost(name)
	}
	return state.ClassicHost(h.names.Host(name))
}

// deliver sends a device its queued messages if it is connected over MQTT.
func (h *Hubs) deliver(key deviceKey) {
	if s := h.session(key); s != nil {
		s.deliver()
	}
}

// deliver sends the queued messages, in order, if the device subscribed to them.
func (s *session) deliver() {
	s.delivery.Lock()
	defer s.delivery.Unlock()
	qos, ok := s.subscribed(state.SubscriptionMessages)
	if !ok || s.ended {
		return
	}
	for {
		c, ok, err := s.hubs.state.TakeCloudMessage(s.key.host, s.key.id, 0, s.maxDeliveries)
		if err != nil {
			s.hubs.log.Error("take message to device", "hub", s.key.host, "device", s.key.id, "error", err)
		}
		if !ok {
			return
		}
		m := broker.Message{Topic: strings.TrimSuffix(s.devicebound(), "#") + bag(c), Payload: c.Body, QoS: qos,
			Resent: c.Resent && !s.clean}
		if qos > 0 {
			s.taken[c.Lock] = struct{}{}
			m.Acknowledged = func() { s.acknowledged(c.Lock) }
		}
		err = s.client.Send(m)
		if qos == 0 || err != nil {
			s.settle(c.Lock, outcomeOf(err))
		}
		if err != nil {
			return
		}
	}
}

func (s *session) acknowledged(lock string) {
	s.delivery.Lock()
	defer s.delivery.Unlock()
	if _, ok := s.taken[lock]; ok {
		s.settle(lock, state.Success)
	}
}

// outcomeOf returns the outcome of a message that needs no acknowledgement.
func outcomeOf(err error) state.Outcome {
	if err != nil {
		return state.Released
	}
	return state.Success
}

// settle settles a message of this connection; s.delivery is held. A message that was purged meanwhile is skipped.
func (s *session) settle(lock string, outcome state.Outcome) {
	delete(s.taken, lock)
	err := s.hubs.state.SettleCloudMessage(s.key.host, s.key.id, lock, outcome)
	if refusal := (*state.Error)(nil); err != nil && !errors.As(err, &refusal) {
		s.hubs.log.Error("settle message to device", "hub", s.key.host, "device", s.key.id, "error", err)
	}
}

// returnUnacknowledged returns the messages that the device did not acknowledge to the queue. The connection has ended.
func (s *session) returnUnacknowledged() {
	s.delivery.Lock()
	defer s.delivery.Unlock()
	s.ended = true
	for lock := range s.taken {
		s.settle(lock, state.Unacknowledged)
	}
}

// bag writes the properties of a message to the topic: those of the protocol first, each group sorted by name.
func bag(c state.CloudMessage) string {
	var pairs []string
	for _, name := range slices.Sorted(maps.Keys(c.System)) {
		key := escape("$." + name)
		if name == sysAck {
			key = sysAck
		}
		pairs = append(pairs, key+"="+escape(c.System[name]))
	}
	for _, name := range slices.Sorted(maps.Keys(c.Properties)) {
		pairs = append(pairs, escape(name)+"="+escape(c.Properties[name]))
	}
	return strings.Join(pairs, "&")
}

// escape writes a space as %20: readers of topics take a plus sign literally.
func escape(text string) string { return strings.ReplaceAll(url.QueryEscape(text), "+", "%20") }
