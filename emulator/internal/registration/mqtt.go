package registration

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"evenkeel/emulator/internal/broker"
	"evenkeel/emulator/internal/dpswire"
	"evenkeel/emulator/internal/requestlog"
	"evenkeel/emulator/internal/traffic"
)

// Topics of the DPS MQTT contract ("Communicate with DPS using the MQTT protocol"). No others are served.
const (
	filterReplies  = "$dps/registrations/res/#"
	topicRegister  = "$dps/registrations/PUT/iotdps-register/"
	topicOperation = "$dps/registrations/GET/iotdps-get-operationstatus/"
	topicReply     = "$dps/registrations/res/"
)

var errTopic = errors.New("topic is not one of the device provisioning contract")

// session is one MQTT connection of a device.
type session struct {
	api    *API
	caller caller
	client broker.Client
	// granted is the quality of service of the replies. subscribed is set while the device subscribes to them.
	granted    byte
	subscribed bool
	// number distinguishes the connections of one device.
	number uint64
}

// Accept accepts connections whose user name is {idScope}/registrations/{registrationId}/api-version={date}[&…].
//
// Invalid credentials are refused in the reply to the registration: 401000 for a signature (MicrosoftDocs/azure-docs
// issue 43157, and the error of the SDK for Python that azure-iot-cli-extension knows) and 401002 for a certificate
// (real traffic). Only a device without credentials, or with contradictory ones, is refused when connecting (CONNACK
// 5).
func (a *API) Accept(c broker.Connect) (broker.Session, error) {
	start := a.st.Now()
	who, mine := callerOf(c)
	if !mine {
		return nil, broker.ErrNotMine
	}
	path := who.scope + "/registrations/" + who.id
	err := a.connected(c, path, who)
	if err == nil {
		err = a.admit(c, who)
	}
	a.record("CONNECT", path, who, err, http.StatusOK, start)
	if err != nil {
		return nil, err
	}
	return &session{api: a, caller: who, client: c.Client, number: a.connections.Add(1)}, nil
}

// admit returns why a connection is refused, or nil.
func (a *API) admit(c broker.Connect, who caller) error {
	if err := who.check(); err != nil {
		return err
	}
	if !strings.EqualFold(c.ClientID, who.id) {
		return dpswire.Invalid("The client id must be the registration id.")
	}
	_, err := a.attest(who)
	var refused *dpswire.Error
	if shown := who.token != "" || len(who.certificates) > 0; shown && errors.As(err, &refused) &&
		refused.Status == http.StatusUnauthorized {
		return nil
	}
	return err
}

// callerOf parses a user name and returns false if it does not have this form. The parameters after the id have no
// question mark.
func callerOf(c broker.Connect) (caller, bool) {
	parts := strings.SplitN(c.UserName, "/", 4)
	if len(parts) != 4 || parts[0] == "" || !strings.EqualFold(parts[1], "registrations") {
		return caller{}, false
	}
	who := caller{scope: parts[0], id: parts[2], token: c.Password, certificates: c.Certificates}
	for parameter := range strings.SplitSeq(strings.TrimPrefix(parts[3], "?"), "&") {
		if name, value, _ := strings.Cut(parameter, "="); strings.EqualFold(name, "api-version") {
			who.apiVersion = value
		}
	}
	return who, true
}

// Name implements broker.Session. Fidelity: a second connection of a device does not end the first, so a device that
// starts twice is assigned twice. Whether Azure ends the first, as MQTT requires, is unsure.
func (s *session) Name() string {
	return fmt.Sprintf("dps %s/%s %d", strings.ToLower(s.caller.scope), strings.ToLower(s.caller.id), s.number)
}

// Subscribe grants the only filter of the contract.
func (s *session) Subscribe(filter string, qos byte) (byte, error) {
	if filter != filterReplies {
		return 0, fmt.Errorf("subscribe to %q: %w", filter, errTopic)
	}
	if err := s.api.pass(s.client.Context(), "SUBSCRIBE", filter, s.caller); errors.Is(err, traffic.ErrDropped) {
		return 0, err
	} else if err != nil {
		return broker.Refused, nil
	}
	s.subscribed, s.granted = true, min(qos, broker.MaxQoS)
	return s.granted, nil
}

// Unsubscribe stops the replies.
func (s *session) Unsubscribe(filter string) {
	if filter == filterReplies {
		s.subscribed = false
	}
}

// Closed implements broker.Session. A session holds no resources.
func (s *session) Closed() {}

// Publish handles a request and sends its reply. Errors are replies too; only an unknown topic closes the connection.
func (s *session) Publish(m broker.Message) error {
	start := s.api.st.Now()
	run, query, known := s.operation(m)
	if !known {
		return fmt.Errorf("publish to %q: %w", m.Topic, errTopic)
	}
	rid := query["$rid"]
	var reply operationReply
	err := s.api.pass(s.client.Context(), "PUBLISH", m.Topic, s.caller)
	if errors.Is(err, traffic.ErrDropped) {
		return err
	}
	if err == nil {
		reply, err = run()
	}
	status, again := http.StatusOK, ""
	var body any = reply
	switch {
	case err != nil:
		refused := refusal(err)
		status, body = refused.Status, refused.Body(s.api.st.Now())
		if status == http.StatusTooManyRequests || status >= http.StatusInternalServerError {
			again = cmp.Or(refused.RetryAfter, s.api.retryAfter())
		}
	case reply.running():
		status, again = http.StatusAccepted, s.api.retryAfter()
	}
	s.api.record("PUBLISH", m.Topic, s.caller, err, status, start)
	return s.send(status, rid, again, body)
}

// operation returns the function for a topic and the topic's parameters, which follow "/?".
func (s *session) operation(m broker.Message) (run func() (operationReply, error), query map[string]string,
	known bool) {
	path, parameters, _ := strings.Cut(m.Topic, "?")
	query = map[string]string{}
	for parameter := range strings.SplitSeq(parameters, "&") {
		name, value, _ := strings.Cut(parameter, "=")
		query[name] = value
	}
	switch path {
	case topicRegister:
		return func() (operationReply, error) { return s.register(m.Payload) }, query, true
	case topicOperation:
		id := query["operationId"]
		if decoded, err := url.PathUnescape(id); err == nil {
			id = decoded
		}
		return func() (operationReply, error) { return s.poll(id) }, query, true
	}
	return nil, nil, false
}

func (s *session) register(body []byte) (operationReply, error) {
	if len(body) > maxBody {
		return operationReply{}, dpswire.Refuse(http.StatusRequestEntityTooLarge, dpswire.CodeTooLarge,
			"The message is larger than %d bytes.", maxBody)
	}
	// The entry may have changed since the connection was made, and the token may have expired.
	m, err := s.api.attest(s.caller)
	if err != nil {
		return operationReply{}, err
	}
	// The operation is not cancelled with the connection: an accepted registration is carried out.
	return s.api.register(context.Background(), s.caller, m, body)
}

func (s *session) poll(id string) (operationReply, error) {
	m, err := s.api.attest(s.caller)
	if err != nil {
		return operationReply{}, err
	}
	return s.api.operation(s.caller, m, id)
}

// send replies to a request. $rid comes first because the C# SDK requires it. There is always a body because the Node
// SDK crashes without one.
func (s *session) send(status int, rid, again string, body any) error {
	if !s.subscribed {
		return nil
	}
	payload, err := json.Marshal(body)
	if err != nil {
		return fmt.Errorf("encode the reply: %w", err)
	}
	topic := topicReply + strconv.Itoa(status) + "/?$rid=" + rid
	if again != "" {
		topic += "&retry-after=" + again
	}
	return s.client.Send(broker.Message{Topic: topic, Payload: payload, QoS: s.granted})
}

// record records an MQTT operation with the status that HTTP would return.
func (a *API) record(method, path string, who caller, err error, status int, start time.Time) {
	if a.opts.Recorder == nil {
		return
	}
	if err != nil {
		status = refusal(err).Status
	}
	a.opts.Recorder.Record(requestlog.Record{
		Surface: requestlog.MQTTDPS, Method: method, Path: path, APIVersion: who.apiVersion,
		Status: status, Start: start, Duration: a.st.Now().Sub(start),
	})
}
