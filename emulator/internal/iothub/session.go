package iothub

import (
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"

	"evenkeel/emulator/internal/broker"
	"evenkeel/emulator/internal/requestlog"
	"evenkeel/emulator/internal/state"
	"evenkeel/emulator/internal/traffic"
)

// Topics of a device. Source: "Communicate with your IoT hub using the MQTT protocol".
const (
	twinAnswers    = "$iothub/twin/res/#"
	desiredChanges = "$iothub/twin/PATCH/properties/desired/#"
	methodCalls    = "$iothub/methods/POST/#"

	twinGet       = "$iothub/twin/GET/"
	reportedPatch = "$iothub/twin/PATCH/properties/reported/"
	methodAnswers = "$iothub/methods/res/"
)

// subscription is a topic filter that devices may subscribe to, and its kind of subscription.
type subscription struct {
	filter string
	kind   state.Subscription
}

func subscriptions(device string) []subscription {
	return []subscription{
		{twinAnswers, state.SubscriptionTwinAnswers}, {desiredChanges, state.SubscriptionDesired},
		{methodCalls, state.SubscriptionMethods}, {devicebound(device), state.SubscriptionMessages},
	}
}

// subscriptionOf returns the subscription of a filter, or false if devices may not subscribe to it.
func subscriptionOf(device, filter string) (state.Subscription, bool) {
	for _, s := range subscriptions(device) {
		if s.filter == filter {
			return s.kind, true
		}
	}
	return "", false
}

// topics are the topics other than telemetry that devices may publish to, with the handler of the rest of the topic.
var topics = []struct {
	prefix string
	serve  func(s *session, m broker.Message, rest string) error
}{
	{twinGet, (*session).twin},
	{reportedPatch, (*session).report},
	{methodAnswers, (*session).methodAnswered},
}

// session is a device's MQTT connection.
type session struct {
	hubs *Hubs
	key  deviceKey
	// number distinguishes the connections of one device.
	number uint64
	// generation distinguishes the device from one that was deleted and created again under the same id.
	generation string
	version    string
	// model is the model id that the device sent, a DTMI, or empty.
	model  string
	client broker.Client
	// unwatch stops waiting for the expiry of the token; nil without a token.
	unwatch func()

	mu sync.Mutex
	// granted is what the device subscribed to, with the quality of service; it is never nil.
	granted state.Subscriptions
	// calls are the method calls that wait for an answer, by request id; lastCall is the latest id.
	calls    map[string]chan methodAnswer
	lastCall uint64

	// clean: subscriptions end with the connection. resumed: an earlier connection left some.
	clean, resumed bool
	// basic: the hub is of the basic tier. maxDeliveries is how often the hub delivers a message.
	basic         bool
	maxDeliveries int64
	// delivery keeps messages to the device in order. It guards the fields below.
	delivery sync.Mutex
	// taken are the locks of messages that were sent and not acknowledged.
	taken map[string]struct{}
	ended bool
}

// Name implements broker.Session.
func (s *session) Name() string { return fmt.Sprintf("hub %s %s %d", s.key.host, s.key.id, s.number) }

// End implements state.Connection.
func (s *session) End(reason error) { s.client.Close(reason) }

// Resumed implements broker.Resumer.
func (s *session) Resumed() bool { return s.resumed }

// Closed implements broker.Session.
func (s *session) Closed() {
	if s.unwatch != nil {
		s.unwatch()
	}
	s.returnUnacknowledged()
	if !s.hubs.state.Disconnect(s.key.host, s.key.id, s) {
		s.hubs.deliver(s.key) // the messages that this connection returned, to the one that took over
	}
}

// Subscribe implements broker.Session. Azure's limit of five subscriptions cannot be exceeded: there are four
// filters.
func (s *session) Subscribe(filter string, qos byte) (byte, error) {
	kind, ok := subscriptionOf(s.key.id, filter)
	if !ok {
		s.record("SUBSCRIBE", filter, 400)
		return 0, errors.New("unknown topic")
	}
	if err := s.hubs.pass(s.client.Context(), "SUBSCRIBE", filter, s.key, 0); errors.Is(err, traffic.ErrDropped) {
		return 0, err
	} else if err != nil {
		return broker.Refused, nil
	}
	if s.basic {
		s.record("SUBSCRIBE", filter, errTier.status())
		return 0, errTier
	}
	if !s.clean {
		if err := s.hubs.state.PutSubscription(s.key.host, s.key.id, kind, qos); err != nil {
			return 0, err
		}
	}
	s.mu.Lock()
	s.granted[kind] = qos
	s.mu.Unlock()
	s.record("SUBSCRIBE", filter, 200)
	s.serveSubscriptions()
	return qos, nil
}

// serveSubscriptions starts to send what the device subscribed to.
func (s *session) serveSubscriptions() {
	if _, ok := s.subscribed(state.SubscriptionMethods); ok {
		s.hubs.announceListener()
	}
	s.deliver()
}

// Unsubscribe implements broker.Session.
func (s *session) Unsubscribe(filter string) {
	kind, ok := subscriptionOf(s.key.id, filter)
	if !ok {
		return
	}
	s.mu.Lock()
	delete(s.granted, kind)
	s.mu.Unlock()
	if s.clean {
		return
	}
	if err := s.hubs.state.DropSubscription(s.key.host, s.key.id, kind); err != nil {
		s.hubs.log.Error("forget a subscription", "hub", s.key.host, "device", s.key.id, "error", err)
	}
}

// Publish implements broker.Session. A will can only be telemetry.
func (s *session) Publish(m broker.Message) error {
	if m.Will {
		// The connection has ended, and another one may have replaced it: the will is still the device's own.
		if err := s.stillRegistered(); err != nil {
			return err
		}
	} else if !s.hubs.state.RecordActivity(s.key.host, s.key.id, s) {
		return broker.ErrClosed
	}
	if ok, err := s.passPublish(m); !ok {
		return err
	}
	if bag, ok := strings.CutPrefix(m.Topic+"/", s.events()); ok {
		return s.telemetry(m, strings.TrimSuffix(bag, "/"))
	}
	if m.Will {
		s.record("PUBLISH", m.Topic, 400)
		return errors.New("the will's topic is not the telemetry topic")
	}
	for _, topic := range topics {
		if rest, ok := strings.CutPrefix(m.Topic, topic.prefix); ok {
			if s.basic {
				s.record("PUBLISH", m.Topic, errTier.status())
				return errTier
			}
			return topic.serve(s, m, rest)
		}
	}
	s.record("PUBLISH", m.Topic, 400)
	return errors.New("unknown topic")
}

// stillRegistered returns an error when the device is no longer the one that connected.
func (s *session) stillRegistered() error {
	device, err := s.hubs.state.Device(s.key.host, s.key.id)
	if err != nil {
		return fmt.Errorf("find device: %w", err)
	}
	if device.Disabled || device.GenerationID != s.generation {
		return state.ErrDeviceChanged
	}
	return nil
}

func events(device string) string      { return "devices/" + device + "/messages/events/" }
func devicebound(device string) string { return "devices/" + device + "/messages/devicebound/#" }

func (s *session) events() string      { return events(s.key.id) }
func (s *session) devicebound() string { return devicebound(s.key.id) }

func (s *session) telemetry(m broker.Message, bag string) error {
	properties, system := parseBag(bag)
	if m.Retain {
		properties = set(properties, "mqtt-retain", "true")
	}
	if m.Will {
		properties = set(properties, "iothub-MessageType", "Will")
	}
	if s.model != "" {
		system = set(system, "dt-dataschema", s.model) // "Create and read IoT Hub messages"
	}
	message := Message{
		Host: s.key.host, DeviceID: s.key.id, Protocol: "mqtt", Received: s.hubs.state.Now(),
		Body: m.Payload, Properties: properties, System: system,
	}
	if err := message.checkSize(); err != nil {
		s.record("PUBLISH", m.Topic, 413)
		return err
	}
	s.hubs.inbox.add(message)
	s.record("PUBLISH", m.Topic, 204)
	return nil
}

// twin answers a request for the twin.
func (s *session) twin(m broker.Message, query string) error {
	twin, err := s.hubs.state.Twin(s.key.host, s.key.id)
	if err != nil {
		return s.answerError(m.Topic, query, err)
	}
	body, err := json.Marshal(deviceTwin(twin))
	if err != nil {
		return s.answerError(m.Topic, query, err)
	}
	return s.answer(m.Topic, query, 200, "", body)
}

// report changes the reported properties.
func (s *session) report(m broker.Message, query string) error {
	// An empty payload is not a JSON object, but the state would treat it as no change.
	if len(m.Payload) == 0 {
		return s.answerError(m.Topic, query, invalid("The body is empty"))
	}
	twin, err := s.hubs.state.PatchTwin(s.key.host, s.key.id, state.TwinPatch{Reported: m.Payload}, state.Unconditional)
	if err != nil {
		return s.answerError(m.Topic, query, err)
	}
	return s.answer(m.Topic, query, 204, "&$version="+strconv.FormatInt(twin.ReportedVersion, 10), nil)
}

func (s *session) answerError(topic, query string, err error) error {
	e, fault := wire(err)
	if fault {
		s.hubs.log.Error("twin request failed", "hub", s.key.host, "device", s.key.id, "error", err)
	}
	return s.answer(topic, query, e.status(), "", twinError(e, s.hubs.state.Now()))
}

// answer sends the response to a twin request if the device subscribed to responses.
func (s *session) answer(topic, query string, status int, more string, body []byte) error {
	s.record("PUBLISH", topic, status)
	qos, ok := s.subscribed(state.SubscriptionTwinAnswers)
	if !ok {
		return nil
	}
	return s.client.Send(broker.Message{Topic: "$iothub/twin/res/" + strconv.Itoa(status) + "/?$rid=" +
		requestID(query) + more, Payload: body, QoS: qos})
}

func (s *session) pushDesired(change state.DesiredChange) {
	qos, ok := s.subscribed(state.SubscriptionDesired)
	if !ok {
		return
	}
	version := strconv.FormatInt(change.Version, 10)
	body := splice(change.Patch, `"$version":`+version)
	// A client that disconnected reads the twin when it connects again.
	_ = s.client.Send(broker.Message{Topic: "$iothub/twin/PATCH/properties/desired/?$version=" + version, Payload: body,
		QoS: qos})
}

func (s *session) subscribed(kind state.Subscription) (qos byte, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	qos, ok = s.granted[kind]
	return qos, ok
}

func (s *session) record(method, topic string, status int) {
	s.hubs.record(requestlog.Record{Method: method, Host: s.key.host, Path: topic, APIVersion: s.version,
		Status: status, Start: s.hubs.state.Now()})
}

// requestID returns $rid in the query of a topic, as the client wrote it.
func requestID(query string) string {
	for pair := range strings.SplitSeq(strings.TrimPrefix(query, "?"), "&") {
		if id, ok := strings.CutPrefix(pair, "$rid="); ok {
			return id
		}
	}
	return ""
}
