package iothub

import (
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
	"evenkeel/emulator/internal/state"
	"evenkeel/emulator/internal/strictjson"
)

// Limits of a method call. Source: "Understand and invoke direct methods from IoT Hub".
const (
	defaultMethodWait, minMethodWait, maxMethodWait = 30, 5, 300
	maxMethodConnect                                = 300
	maxMethodPayload                                = 128 << 10
	maxMethodName                                   = 128
	// methodMargin is how much longer the HTTP connection stays writable than the call may take.
	methodMargin = 30 * time.Second
)

// Errors of calls. Numbers and texts are recorded (Azure/azure-iot-sdk-java#640, Azure/azure-iot-sdk-csharp#317),
// except errBadAnswer. Fidelity: Azure's error for an answer that is not JSON is unsure.
var (
	errNoAnswer = &methodError{&wireError{504101, "GatewayTimeout", "Timed out waiting for the response from device."},
		map[string]string{}}
	errBadAnswer = &methodError{&wireError{502000, "BadDeviceResponse", "The device's answer is not JSON."},
		map[string]string{}}
)

// notOnline: the device did not connect, or did not subscribe to methods, in time.
func notOnline(wait time.Duration) error {
	return &methodError{
		&wireError{404103, "DeviceNotOnline", "Timed out waiting for device to connect."},
		map[string]string{"timeout": fmt.Sprintf("%02d:%02d:%02d", int(wait.Hours()), int(wait.Minutes())%60,
			int(wait.Seconds())%60)},
	}
}

// methodError is an error whose message is a JSON document in a string, the format of the real service for methods.
type methodError struct {
	refusal *wireError
	info    map[string]string
}

// Error returns the error as a sentence.
func (e *methodError) Error() string { return e.refusal.text }

// Unwrap returns the wire error.
func (e *methodError) Unwrap() error { return e.refusal }

// document returns the message as sent.
func (e *methodError) document(now time.Time) string {
	text, _ := json.Marshal(struct { // strings always encode
		ErrorCode    int               `json:"errorCode"`
		TrackingID   string            `json:"trackingId"`
		Message      string            `json:"message"`
		Info         map[string]string `json:"info"`
		TimestampUTC string            `json:"timestampUtc"`
	}{
		e.refusal.number, trackingID() + "-G:0-TimeStamp:" + now.Format("01/02/2006 15:04:05"), e.refusal.text, e.info,
		stamp(now)})
	return string(text)
}

// methodCall is the body of a call.
type methodCall struct {
	Name           string          `json:"methodName"`
	Payload        json.RawMessage `json:"payload"`
	ResponseWait   *looseInt       `json:"responseTimeoutInSeconds"`
	ConnectionWait looseInt        `json:"connectTimeoutInSeconds"`
}

func (m methodCall) check() error {
	if m.Name == "" || len(m.Name) > maxMethodName || strings.ContainsAny(m.Name, "/+#\x00") {
		return invalid("methodName is missing, longer than %d characters, or holds one of / + #", maxMethodName)
	}
	if len(m.Payload) > maxMethodPayload {
		return &wireError{413001, "MessageTooLarge", fmt.Sprintf("The payload is larger than %d bytes",
			maxMethodPayload)}
	}
	if w := m.responseSeconds(); w < minMethodWait || w > maxMethodWait {
		return invalid("responseTimeoutInSeconds is %d to %d, not %d", minMethodWait, maxMethodWait, w)
	}
	if m.ConnectionWait < 0 || m.ConnectionWait > maxMethodConnect {
		return invalid("connectTimeoutInSeconds is 0 to %d, not %d", maxMethodConnect, m.ConnectionWait)
	}
	return nil
}

func (m methodCall) responseSeconds() int {
	if m.ResponseWait == nil || *m.ResponseWait == 0 {
		return defaultMethodWait
	}
	return int(*m.ResponseWait)
}

// methodAnswer is the answer of a device.
type methodAnswer struct {
	Status  int             `json:"status"`
	Payload json.RawMessage `json:"payload"`
}

// invokeMethod: Devices_InvokeMethod, 2021-04-12. The call is sent to the device over MQTT.
func (h *Hubs) invokeMethod(w http.ResponseWriter, r *http.Request, hub state.Hub) error {
	var call methodCall
	if err := readJSON(w, r, &call); err != nil {
		return err
	}
	if err := call.check(); err != nil {
		return err
	}
	id := r.PathValue("id")
	if _, err := h.state.Device(hub.Host(), id); err != nil {
		return err
	}
	connect, respond := time.Duration(call.ConnectionWait)*time.Second,
		time.Duration(call.responseSeconds())*time.Second
	// The server's own timeouts are shorter, and its read timeout would cancel the request's context. A recorder in a
	// test has none.
	deadlines := http.NewResponseController(w)
	_ = deadlines.SetReadDeadline(time.Time{})
	_ = deadlines.SetWriteDeadline(time.Now().Add(connect + respond + methodMargin))
	answer, err := h.callWhenConnected(r.Context(), deviceKey{hub.Host(), id}, call, connect, respond)
	if err != nil {
		return err
	}
	writeJSON(w, http.StatusOK, answer)
	return nil
}

// callWhenConnected calls a method of a device. If the device does not accept methods yet, it waits until it does. A
// connection that has just ended counts as none: the device may be reconnecting.
func (h *Hubs) callWhenConnected(
	ctx context.Context, key deviceKey, call methodCall, wait, respond time.Duration,
) (methodAnswer, error) {
	timer := time.NewTimer(wait)
	defer timer.Stop()
	for {
		// Later changes close this channel, so no connection is missed between the check and the wait.
		s, changed := h.listener(key)
		if s != nil {
			answer, err := s.call(ctx, call.Name, call.Payload, respond)
			if !errors.Is(err, broker.ErrClosed) {
				return answer, err
			}
		}
		if wait <= 0 {
			return methodAnswer{}, notOnline(wait)
		}
		select {
		case <-changed:
		case <-timer.C:
			return methodAnswer{}, notOnline(wait)
		case <-ctx.Done():
			return methodAnswer{}, notOnline(wait)
		}
	}
}

// listener returns the device's connection if it subscribed to methods, or nil; and a channel that is closed when a
// device subscribes to them.
func (h *Hubs) listener(key deviceKey) (*session, <-chan struct{}) {
	h.mu.Lock()
	changed := h.listening
	h.mu.Unlock()
	s := h.session(key)
	if s == nil {
		return nil, changed
	}
	if _, ok := s.subscribed(state.SubscriptionMethods); !ok {
		return nil, changed
	}
	return s, changed
}

// announceListener wakes the calls that wait for a device to subscribe to methods.
func (h *Hubs) announceListener() {
	h.mu.Lock()
	defer h.mu.Unlock()
	close(h.listening)
	h.listening = make(chan struct{})
}

// call sends a method call to the device and waits for its answer. It returns broker.ErrClosed if the connection has
// ended before.
func (s *session) call(ctx context.Context, name string, payload []byte, wait time.Duration) (methodAnswer, error) {
	if !present(payload) {
		payload = []byte("null")
	}
	answered := make(chan methodAnswer, 1)
	s.mu.Lock()
	s.lastCall++
	rid := strconv.FormatUint(s.lastCall, 16)
	if s.calls == nil {
		s.calls = map[string]chan methodAnswer{}
	}
	s.calls[rid] = answered
	s.mu.Unlock()
	defer func() {
		s.mu.Lock()
		delete(s.calls, rid)
		s.mu.Unlock()
	}()
	topic := "$iothub/methods/POST/" + url.PathEscape(name) + "/?$rid=" + rid
	if err := s.client.Send(broker.Message{Topic: topic, Payload: payload}); err != nil {
		return methodAnswer{}, broker.ErrClosed
	}
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case a := <-answered:
		if !json.Valid(a.Payload) || strictjson.Check(a.Payload) != nil {
			return methodAnswer{}, errBadAnswer
		}
		return a, nil
	case <-timer.C:
	case <-ctx.Done():
	}
	return methodAnswer{}, errNoAnswer
}

// methodAnswered processes a device's answer, $iothub/methods/res/{status}/?$rid={rid}. An unexpected or late answer
// is dropped; a malformed topic closes the connection, as every unknown topic does.
func (s *session) methodAnswered(m broker.Message, rest string) error {
	number, query, ok := strings.Cut(rest, "/")
	status, err := strconv.Atoi(number)
	if !ok || err != nil {
		s.record("PUBLISH", m.Topic, 400)
		return errors.New("unknown topic")
	}
	payload := m.Payload
	if len(payload) == 0 {
		payload = []byte("null")
	}
	s.mu.Lock()
	waiting := s.calls[requestID(query)]
	delete(s.calls, requestID(query))
	s.mu.Unlock()
	s.record("PUBLISH", m.Topic, 204) // first: a caller that has the answer finds it in the log
	if waiting != nil {
		waiting <- methodAnswer{status, payload}
	}
	return nil
}
