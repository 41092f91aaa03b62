package emulator

import (
	"context"
	"fmt"
	"time"

	"evenkeel/emulator/internal/control"
	"evenkeel/emulator/internal/iothub"
)

// Message is telemetry that a hub took in.
type Message struct {
	HubHost  string    `json:"hubHost"`
	DeviceID string    `json:"deviceId"`
	Protocol string    `json:"protocol"` // "mqtt" or "https"
	Received time.Time `json:"received"`
	Body     []byte    `json:"body"`
	// Properties are the application's; System those of the protocol, as "mid" for the message id.
	Properties map[string]string `json:"properties,omitempty"`
	System     map[string]string `json:"system,omitempty"`
}

func showMessage(m iothub.Message) Message {
	return Message{
		HubHost: m.Host, DeviceID: m.DeviceID, Protocol: m.Protocol, Received: m.Received, Body: m.Body, Properties: m.Properties, System: m.System,
	}
}

// Messages returns the last telemetry that the hubs took in since the start, oldest first; an empty host or device matches all.
func (e *Emulator) Messages(hubHost, device string) []Message {
	found := e.hubs.Messages(hubHost, device)
	messages := make([]Message, len(found))
	for i, m := range found {
		messages[i] = showMessage(m)
	}
	return messages
}

// Follow calls each with the telemetry of Messages and then with what comes in, until ctx ends or each fails, and returns that error.
func (e *Emulator) Follow(ctx context.Context, hubHost, device string, each func(Message) error) error {
	follower := e.hubs.Follow(hubHost, device, true)
	defer follower.Stop()
	return follower.Each(ctx, func(m iothub.Message) error { return each(showMessage(m)) })
}

// CloudMessage is a cloud-to-device message.
type CloudMessage struct {
	MessageID, CorrelationID, UserID, ContentType, ContentEncoding string
	// Ack asks for feedback: "none", "positive", "negative" or "full"; empty means none. It is read at the hub's service API.
	Ack string
	// Expiry is when the message is no longer delivered; the hub's default lifetime from now when zero.
	Expiry     time.Time
	Properties map[string]string
	Body       []byte
}

// Send sends a message to a device: at once when it is connected over MQTT and takes messages, else it waits. Azure's clients send over
// AMQP, which the emulator does not speak.
func (e *Emulator) Send(hubHost, device string, c CloudMessage) error {
	if _, err := e.hubs.SendCloudMessage(hubHost, device, iothub.CloudMessage(c)); err != nil {
		return fmt.Errorf("emulator: send to device %q: %w", device, err)
	}
	return nil
}

// Purge drops the messages that wait for a device, and returns how many there were.
func (e *Emulator) Purge(hubHost, device string) (int, error) {
	n, err := e.hubs.PurgeCloudMessages(hubHost, device)
	if err != nil {
		return 0, fmt.Errorf("emulator: purge messages to device %q: %w", device, err)
	}
	return n, nil
}

// follower shows the control port the messages that a hub's follower receives.
type follower struct{ *iothub.Follower }

// Each implements control.Follower.
func (f follower) Each(ctx context.Context, use func(any) error) error {
	return f.Follower.Each(ctx, func(m iothub.Message) error { return use(showMessage(m)) })
}

// messageOptions are what the control port needs of messages.
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
