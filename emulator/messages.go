package emulator

import (
	"context"
	"fmt"
	"time"

	"evenkeel/emulator/internal/control"
	"evenkeel/emulator/internal/iothub"
)

// Message is a telemetry message that a hub accepted.
type Message struct {
	HubHost  string    `json:"hubHost"`
	DeviceID string    `json:"deviceId"`
	Protocol string    `json:"protocol"` // "mqtt" or "https"
	Received time.Time `json:"received"`
	Body     []byte    `json:"body"`
	// Properties are the application's properties. System are the protocol's, for example "mid" for the message id.
	Properties map[string]string `json:"properties,omitempty"`
	System     map[string]string `json:"system,omitempty"`
}

func showMessage(m iothub.Message) Message {
	return Message{
		HubHost: m.Host, DeviceID: m.DeviceID, Protocol: m.Protocol, Received: m.Received, Body: m.Body,
		Properties: m.Properties, System: m.System,
	}
}

// Messages returns the latest telemetry that the hubs accepted since the start, oldest first. An empty host or device
// matches all.
func (e *Emulator) Messages(hubHost, device string) []Message {
	found := e.hubs.Messages(hubHost, device)
	messages := make([]Message, len(found))
	for i, m := range found {
		messages[i] = showMessage(m)
	}
	return messages
}

// Follow calls each with the telemetry of Messages and then with new messages, until ctx is done or each returns an
// error, which Follow returns.
func (e *Emulator) Follow(ctx context.Context, hubHost, device string, each func(Message) error) error {
	follower := e.hubs.Follow(hubHost, device, true)
	defer follower.Stop()
	return follower.Each(ctx, func(m iothub.Message) error { return each(showMessage(m)) })
}

// CloudMessage is a cloud-to-device message.
type CloudMessage struct {
	MessageID, CorrelationID, UserID, ContentType, ContentEncoding string
	// Ack requests feedback: "none", "positive", "negative" or "full". Empty means none. The hub's service API
	// returns the feedback.
	Ack string
	// Expiry is the time after which the message is no longer delivered. Zero means the hub's default lifetime.
	Expiry     time.Time
	Properties map[string]string
	Body       []byte
}

// Send sends a message to a device: at once if the device is connected over MQTT and subscribes to messages,
// otherwise when it does. Azure's clients send over AMQP, which the emulator does not support.
func (e *Emulator) Send(hubHost, device string, c CloudMessage) error {
	if _, err := e.hubs.SendCloudMessage(hubHost, device, iothub.CloudMessage(c)); err != nil {
		return fmt.Errorf("emulator: send to device %q: %w", device, err)
	}
	return nil
}

// Purge deletes the queued messages of a device and returns their number.
func (e *Emulator) Purge(hubHost, device string) (int, error) {
	n, err := e.hubs.PurgeCloudMessages(hubHost, device)
	if err != nil {
		return 0, fmt.Errorf("emulator: purge messages to device %q: %w", device, err)
	}
	return n, nil
}

// follower passes the messages of a hub's follower to the control port.
type follower struct{ *iothub.Follower }

// Each implements control.Follower.
func (f follower) Each(ctx context.Context, use func(any) error) error {
	return f.Follower.Each(ctx, func(m iothub.Message) error { return use(showMessage(m)) })
}

// messageOptions are the options of the control port for messages.
func (e *Emulator) messageOptions(o control.Options) control.Options {
	o.Messages = func(hubHost, device string) any { return e.Messages(hubHost, device) }
	o.Follow = func(hubHost, device string, fromStart bool) control.Follower {
		return follower{e.hubs.Follow(hubHost, device, fromStart)}
	}
	o.Send = func(c control.CloudMessage) (uint64, error) {
		body, err := c.Content()
		if err != nil {
			return 0, err
		}
		return e.hubs.SendCloudMessage(c.Hub, c.Device, iothub.CloudMessage{
			MessageID: c.MessageID, CorrelationID: c.CorrelationID, UserID: c.UserID, ContentType: c.ContentType,
			ContentEncoding: c.ContentEncoding, Ack: c.Ack, Expiry: c.Expiry, Properties: c.Properties, Body: body,
		})
	}
	o.Purge, o.Status = e.hubs.PurgeCloudMessages, iothub.Status
	return o
}
