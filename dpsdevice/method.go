package dpsdevice

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"strconv"
	"strings"

	mqtt "github.com/eclipse/paho.mqtt.golang"
)

const (
	methodCalls   = "$iothub/methods/POST/"
	methodAnswers = "$iothub/methods/res/"
)

// ReprovisionMethod is the name of the direct method that asks a device to register again. Its payload is a
// ReprovisionRequest. The device answers with a status from 200 to 299, and only then ends its connection, registers
// and connects to the hub that it is assigned to. Any other status means that the device does not register again.
const ReprovisionMethod = "reprovision"

// ReprovisionRequest is the payload of ReprovisionMethod. Devices ignore members that they do not know.
type ReprovisionRequest struct {
	// Run is the same for every request of one run, and for requests that are repeated because the run was interrupted.
	// A device that has already registered for this run can answer and do nothing.
	Run string `json:"run"`
}

// Call is a call of a direct method of the device.
type Call struct {
	// Method is the name of the method.
	Method string
	// Payload is JSON; null if the caller sent none.
	Payload json.RawMessage

	hub *Hub
	id  string
}

// HandleMethods subscribes to direct methods, and runs handle for each call, in a goroutine of its own. The caller of
// the method waits until handle has called Call.Answer.
func (h *Hub) HandleMethods(ctx context.Context, handle func(Call)) error {
	err := h.session.subscribe(ctx, methodCalls, func(m mqtt.Message) {
		if call, ok := h.readCall(m); ok {
			handle(call)
		}
	})
	if err != nil {
		return fmt.Errorf("subscribe to the direct methods of %q: %w", h.deviceID, err)
	}
	return nil
}

// readCall reads the topic of a call: $iothub/methods/POST/{method}/?$rid={request id}.
func (h *Hub) readCall(m mqtt.Message) (Call, bool) {
	name, query, _ := strings.Cut(strings.TrimPrefix(m.Topic(), methodCalls), "/?")
	method, err := url.PathUnescape(name)
	if err != nil {
		return Call{}, false
	}
	values, err := url.ParseQuery(query)
	if err != nil || !values.Has("$rid") {
		return Call{}, false
	}
	return Call{method, json.RawMessage(m.Payload()), h, values.Get("$rid")}, true
}

// Answer sends the answer, a status and a payload for JSON, and waits until the hub has it. After that the device may
// end its connection.
func (c Call) Answer(ctx context.Context, status int, payload any) error {
	body, err := json.Marshal(payload)
	if err == nil {
		err = c.hub.session.publish(ctx, methodAnswers+strconv.Itoa(status)+"/?$rid="+c.id, body)
	}
	if err != nil {
		return fmt.Errorf("answer the method %q of %q: %w", c.Method, c.hub.deviceID, err)
	}
	return nil
}

// ReprovisionRequest returns the request of a call of ReprovisionMethod. Its error is for other methods and for
// payloads that are no request.
func (c Call) ReprovisionRequest() (ReprovisionRequest, error) {
	if c.Method != ReprovisionMethod {
		return ReprovisionRequest{}, errors.New("the method is " + c.Method + ", not " + ReprovisionMethod)
	}
	var request ReprovisionRequest
	if err := json.Unmarshal(c.Payload, &request); err != nil {
		return ReprovisionRequest{}, fmt.Errorf("read the payload of %s: %w", ReprovisionMethod, err)
	}
	return request, nil
}
