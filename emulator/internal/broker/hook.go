package broker

import (
	"errors"
	"fmt"
	"strings"

	mqtt "github.com/mochi-mqtt/server/v2"
	"github.com/mochi-mqtt/server/v2/packets"
)

const (
	// protocolLevel is that of MQTT 3.1.1.
	protocolLevel = 4
	// maxKeepAlive is in seconds. Azure waits 1.5 times that long for a packet. Zero, which disables the check, means
	// the same. Source: "Communicate with your IoT hub using the MQTT protocol".
	maxKeepAlive = 1177
)

var (
	errProtocol = errors.New("only MQTT 3.1.1 is supported")
	errQoS2     = errors.New("quality of service 2 is not supported")
	errTopic    = errors.New("topic is not supported")
)

// hook receives the calls of the MQTT library. All of its methods run on the connection's own goroutine.
type hook struct {
	mqtt.HookBase
	broker *Broker
}

// ID implements mqtt.Hook.
func (h *hook) ID() string { return "fronts" }

// Provides implements mqtt.Hook.
func (h *hook) Provides(b byte) bool {
	switch b {
	case mqtt.OnConnect, mqtt.OnConnectAuthenticate, mqtt.OnACLCheck, mqtt.OnPacketRead, mqtt.OnSubscribe,
		mqtt.OnUnsubscribe, mqtt.OnPublish, mqtt.OnPublished,
		mqtt.OnSessionEstablished, mqtt.OnPacketEncode, mqtt.OnPacketSent:
		return true
	}
	return false
}

func wireOf(cl *mqtt.Client) *wire { return cl.Net.Conn.(*wire) }

func owner(cl *mqtt.Client) *connection { return wireOf(cl).owner }

// OnConnect configures the library's client so that it keeps no session and sends no will.
func (h *hook) OnConnect(cl *mqtt.Client, p packets.Packet) error {
	c := owner(cl)
	c.client = cl
	if p.ProtocolVersion != protocolLevel {
		cl.Properties.ProtocolVersion = protocolLevel // so that the refusal is written in the 3.1.1 format
		refusal := packets.Packet{FixedHeader: packets.FixedHeader{Type: packets.Connack},
			ReasonCode: packets.Err3UnsupportedProtocolVersion.Code}
		return errors.Join(errProtocol, cl.WritePacket(refusal))
	}
	cl.ID = c.name
	cl.Properties.Clean = true
	cl.Properties.Will = mqtt.Will{}
	if cl.State.Keepalive == 0 || cl.State.Keepalive > maxKeepAlive {
		cl.State.Keepalive = maxKeepAlive
	}
	return nil
}

// OnConnectAuthenticate calls the fronts. false makes the library send CONNACK 5.
func (h *hook) OnConnectAuthenticate(cl *mqtt.Client, p packets.Packet) bool {
	c := owner(cl)
	c.hold()
	session, err := h.broker.accept(Connect{
		ClientID: p.Connect.ClientIdentifier, UserName: string(p.Connect.Username),
		Password:     string(p.Connect.Password),
		CleanSession: p.Connect.Clean, Certificates: c.certificates(), Client: c,
	})
	if err != nil {
		h.broker.log.Debug("MQTT connection refused", "remote", c.Remote(), "client", p.Connect.ClientIdentifier,
			"reason", err)
		c.unavailable = errors.Is(err, ErrUnavailable)
		if c.closing.Load() {
			c.shut() // the front closed it: no CONNACK
		}
		return false
	}
	c.session = session
	h.broker.enter()
	return true
}

// OnSessionEstablished sends the messages that the front sent before the CONNACK.
func (h *hook) OnSessionEstablished(cl *mqtt.Client, _ packets.Packet) { owner(cl).release() }

// OnPacketEncode sets what the library cannot set in the CONNACK: whether the session continues an earlier one, a
// temporary refusal, and refusals for which the library only has codes of MQTT 5.
func (h *hook) OnPacketEncode(cl *mqtt.Client, p packets.Packet) packets.Packet {
	if p.FixedHeader.Type == packets.Connack && owner(cl).unavailable {
		p.ReasonCode = packets.Err3ServerUnavailable.Code
	}
	if p.FixedHeader.Type == packets.Connack && p.ReasonCode > packets.Err3NotAuthorized.Code &&
		cl.Properties.ProtocolVersion <= protocolLevel {
		p.ReasonCode = packets.Err3NotAuthorized.Code
	}
	if p.FixedHeader.Type == packets.Connack && p.ReasonCode == packets.CodeSuccess.Code {
		if session, ok := owner(cl).session.(Resumer); ok {
			p.SessionPresent = session.Resumed()
		}
	}
	return p
}

// OnPacketSent sends the messages that the session sent before the SUBACK.
func (h *hook) OnPacketSent(cl *mqtt.Client, p packets.Packet, _ []byte) {
	if p.FixedHeader.Type == packets.Suback {
		owner(cl).release()
	}
}

// OnACLCheck allows everything: OnSubscribe and OnPublish decide.
func (h *hook) OnACLCheck(*mqtt.Client, string, bool) bool { return true }

// OnPacketRead sees packets before the library processes them: empty passwords and wills, acknowledgements of our
// messages, and topics that the library would silently ignore.
func (h *hook) OnPacketRead(cl *mqtt.Client, p packets.Packet) (packets.Packet, error) {
	switch p.FixedHeader.Type {
	case packets.Connect:
		// Devices with a certificate may send an empty password, and a will may be empty: the library refuses both,
		// MQTT 3.1.1 does not.
		p.Connect.PasswordFlag = len(p.Connect.Password) > 0
		if will := p.Connect; will.WillFlag && will.WillTopic != "" && will.WillQos <= 2 {
			owner(cl).will = &Message{Topic: will.WillTopic, Payload: will.WillPayload, QoS: min(will.WillQos, MaxQoS),
				Retain: will.WillRetain, Will: true}
			p.Connect.WillFlag, p.Connect.WillRetain = false, false
		}
	case packets.Puback:
		owner(cl).acknowledged(p.PacketID)
	case packets.Publish:
		if len(p.TopicName) >= len(mqtt.SysPrefix) && strings.EqualFold(p.TopicName[:len(mqtt.SysPrefix)],
			mqtt.SysPrefix) {
			h.drop(cl, errTopic)
			return p, packets.ErrRejectPacket
		}
	}
	return p, nil
}

// OnSubscribe writes what the session granted into the packet. An empty filter makes the library return "refused" for
// it.
func (h *hook) OnSubscribe(cl *mqtt.Client, p packets.Packet) packets.Packet {
	c := owner(cl)
	filters := make(packets.Subscriptions, len(p.Filters))
	copy(filters, p.Filters)
	p.Filters = filters
	c.hold()
	for i, f := range filters {
		granted, err := c.session.Subscribe(f.Filter, min(f.Qos, MaxQoS))
		if err != nil {
			h.drop(cl, fmt.Errorf("subscribe to %q: %w", f.Filter, err))
			p.Filters = nil
			return p
		}
		if granted > MaxQoS {
			filters[i].Filter = ""
		}
		filters[i].Qos = min(granted, MaxQoS)
	}
	return p
}

// OnUnsubscribe passes the filters to the session.
func (h *hook) OnUnsubscribe(cl *mqtt.Client, p packets.Packet) packets.Packet {
	for _, f := range p.Filters {
		owner(cl).session.Unsubscribe(f.Filter)
	}
	return p
}

// OnPublish passes the message to the session only. The library then acknowledges it and calls OnPublished.
func (h *hook) OnPublish(cl *mqtt.Client, p packets.Packet) (packets.Packet, error) {
	c := owner(cl)
	if c.closing.Load() {
		return p, packets.ErrRejectPacket
	}
	if p.FixedHeader.Qos > MaxQoS {
		h.drop(cl, errQoS2)
		return p, packets.ErrRejectPacket
	}
	c.hold()
	err := c.session.Publish(Message{Topic: p.TopicName, Payload: p.Payload, QoS: p.FixedHeader.Qos,
		Retain: p.FixedHeader.Retain})
	if err != nil {
		h.drop(cl, fmt.Errorf("publish to %q: %w", p.TopicName, err))
		return p, packets.ErrRejectPacket
	}
	wireOf(cl).gather()
	return p, packets.CodeSuccessIgnore
}

// OnPublished sends the session's messages after the acknowledgement.
func (h *hook) OnPublished(cl *mqtt.Client, _ packets.Packet) {
	w := wireOf(cl)
	w.owner.release()
	if err := w.send(); err != nil {
		w.owner.Close(err)
	}
}

// maxReason is how many characters of a reason are logged: it contains a topic, and a client may send one of 64 KiB.
const maxReason = 300

// brief returns the part of a reason that is logged.
func brief(reason error) string {
	return strings.ToValidUTF8(fmt.Sprintf("%.*s", maxReason, fmt.Sprint(reason)), "?")
}

// drop ends the connection of a client that violated a rule, on its own goroutine, so that no further packet is read.
// MQTT 3.1.1 cannot report the reason to the client; the log contains it.
func (h *hook) drop(cl *mqtt.Client, reason error) {
	c := owner(cl)
	if c.stop(reason) && !errors.Is(reason, ErrClosed) {
		h.broker.log.Warn("MQTT connection closed: the client violated the protocol or a rule of the service",
			"remote", c.Remote(), "session", c.sessionName(), "reason", brief(reason))
	}
	cl.Stop(reason)
}
