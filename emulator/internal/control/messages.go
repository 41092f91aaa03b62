package control

import (
	"encoding/json"
	"errors"
	"net/http"
	"strings"
	"time"
)

// CloudMessage is a message to a device, the body of POST /messages.
type CloudMessage struct {
	// Hub is the host name or the name of the hub. Device is the id of the device.
	Hub    string `json:"hub"`
	Device string `json:"device"`
	// Body is a string, which is sent as it is, or any other JSON value, which is sent as JSON. BodyBase64 is the
	// body in base64.
	Body       json.RawMessage `json:"body"`
	BodyBase64 []byte          `json:"bodyBase64"`

	MessageID       string `json:"messageId"`
	CorrelationID   string `json:"correlationId"`
	UserID          string `json:"userId"`
	ContentType     string `json:"contentType"`
	ContentEncoding string `json:"contentEncoding"`
	// Ack is none, positive, negative or full.
	Ack string `json:"ack"`
	// Expiry is when the message is no longer delivered (RFC 3339). The default is the hub's default lifetime.
	Expiry     time.Time         `json:"expiry"`
	Properties map[string]string `json:"properties"`
}

// Content returns the message's body in bytes.
func (c CloudMessage) Content() ([]byte, error) {
	switch {
	case c.Body == nil:
		return c.BodyBase64, nil
	case c.BodyBase64 != nil:
		return nil, errors.New("body and bodyBase64 are mutually exclusive")
	}
	var text string
	if json.Unmarshal(c.Body, &text) == nil {
		return []byte(text), nil
	}
	return c.Body, nil
}

// messages returns the telemetry of the hubs, oldest first. ?hub= (its name or host name) and ?device= filter it.
// With ?follow it continues with new messages, one JSON object per line, until the client disconnects; ?follow&tail=0
// omits the earlier messages.
//
//	curl -N 'http://127.0.0.1:PORT/messages?follow&device=device-1'
func (s surface) messages(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	hub, device := q.Get("hub"), q.Get("device")
	if !q.Has("follow") || strings.EqualFold(q.Get("follow"), "false") {
		writeJSON(w, http.StatusOK, s.Messages(hub, device))
		return
	}
	// The server's timeouts are for requests that end.
	answer := http.NewResponseController(w)
	_ = answer.SetReadDeadline(time.Time{})
	_ = answer.SetWriteDeadline(time.Time{})
	// A client that has the response may send the next message, so following must have begun by then.
	follower := s.Follow(hub, device, q.Get("tail") != "0")
	defer follower.Stop()
	w.Header().Set("Content-Type", "application/x-ndjson")
	w.WriteHeader(http.StatusOK)
	if answer.Flush() != nil {
		return
	}
	lines := json.NewEncoder(w)
	err := follower.Each(r.Context(), func(message any) error {
		if err := lines.Encode(message); err != nil {
			return err
		}
		return answer.Flush()
	})
	if err != nil && r.Context().Err() == nil {
		_ = lines.Encode(map[string]string{"error": err.Error()}) // the last line contains why the stream ends
	}
}

// send sends a message to a device. It stays in the device's queue until the device has received it.
//
//	curl -d '{"hub":"hub-1.azure-devices.net","device":"device-1","body":"hello"}' http://127.0.0.1:PORT/messages
func (s surface) send(w http.ResponseWriter, r *http.Request) {
	var c CloudMessage
	if !readJSON(w, r, &c) {
		return
	}
	if _, err := c.Content(); err != nil {
		writeError(w, http.StatusBadRequest, err)
		return
	}
	if c.Hub == "" || c.Device == "" {
		writeError(w, http.StatusBadRequest, errors.New("hub and device are required"))
		return
	}
	sequence, err := s.Send(c)
	if err != nil {
		writeError(w, s.Status(err), err)
		return
	}
	writeJSON(w, http.StatusCreated, map[string]any{"hub": c.Hub, "device": c.Device, "sequence": sequence})
}

// purge drops the queue of ?device= of ?hub=.
//
//	curl -X DELETE 'http://127.0.0.1:PORT/messages?hub=hub-1.azure-devices.net&device=device-1'
func (s surface) purge(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	if q.Get("hub") == "" || q.Get("device") == "" {
		writeError(w, http.StatusBadRequest, errors.New("hub and device are required"))
		return
	}
	dropped, err := s.Purge(q.Get("hub"), q.Get("device"))
	if err != nil {
		writeError(w, s.Status(err), err)
		return
	}
	writeJSON(w, http.StatusOK, map[string]any{"dropped": dropped})
}
