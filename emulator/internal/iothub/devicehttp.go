package iothub

import (
	"encoding/base64"
	"encoding/json"
	"io"
	"mime"
	"net/http"
	"strings"

	"evenkeel/emulator/internal/state"
	"evenkeel/emulator/internal/strictjson"
)

// batchType is the content type of a request that carries several messages.
const batchType = "application/vnd.microsoft.iothub.json"

// systemHeaders are the headers of message properties that the protocol defines, with their names in the MQTT property
// bag. Source: the HTTP requirements in the developer documentation of azure-iot-sdk-node.
var systemHeaders = map[string]string{
	"Iothub-Messageid": "mid", "Iothub-Correlationid": "cid", "Iothub-Userid": "uid", "Iothub-Expiry": "exp",
	"Iothub-Ack":         "ack",
	"Iothub-Contenttype": "ct", "Iothub-Contentencoding": "ce", "Iothub-To": "to", "Iothub-Creationtimeutc": "ctime",
	"Iothub-Interface-Id": "ifid", "Dt-Subject": "sub",
}

// appHeader is the prefix of headers that carry application properties, in the form of net/http.
const appHeader = "Iothub-App-"

// authorizeDevice checks the SAS or the certificate of a device over HTTPS. Messages over HTTP
// do not change lastActivityTime (Twin, 2021-04-12).
func (h *Hubs) authorizeDevice(hub state.Hub, r *http.Request) error {
	var err error
	if r.TLS != nil {
		_, err = h.authenticateDevice(hub, r.PathValue("id"), r.Header.Get("Authorization"), r.TLS.PeerCertificates)
	} else {
		_, err = h.authenticateDevice(hub, r.PathValue("id"), r.Header.Get("Authorization"), nil)
	}
	if err != nil {
		h.log.Debug("device refused", "hub", hub.Host(), "reason", err)
		return errUnauthorized
	}
	return nil
}

// postEvent accepts telemetry over HTTPS, one message or a batch. Fidelity: names of application properties are
// converted to lower case, because HTTP header names are case-insensitive.
func (h *Hubs) postEvent(w http.ResponseWriter, r *http.Request, hub state.Hub) error {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxMessage))
	if err != nil {
		return errTooLarge
	}
	message := Message{Host: hub.Host(), DeviceID: r.PathValue("id"), Protocol: "https", Received: h.state.Now(),
		Body: body}
	if kind, _, _ := mime.ParseMediaType(r.Header.Get("Content-Type")); kind == batchType {
		err = h.addBatch(message)
	} else if message = withHeaders(message, r.Header); message.checkSize() == nil {
		h.inbox.add(message)
	} else {
		err = errTooLarge
	}
	if err != nil {
		return err
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}

func withHeaders(m Message, header http.Header) Message {
	for name, values := range header {
		if known, ok := systemHeaders[name]; ok {
			m.System = set(m.System, known, values[0])
		} else if app, ok := strings.CutPrefix(name, appHeader); ok {
			m.Properties = set(m.Properties, strings.ToLower(app), values[0])
		}
	}
	return m
}

// withProperties sets the properties of a message in a batch. They are named like the headers of a single message.
// Names without the prefix are application properties too.
func withProperties(m Message, properties map[string]string) Message {
	for name, value := range properties {
		header := http.CanonicalHeaderKey(name)
		if known, ok := systemHeaders[header]; ok {
			m.System = set(m.System, known, value)
		} else if strings.HasPrefix(header, appHeader) {
			m.Properties = set(m.Properties, name[len(appHeader):], value)
		} else {
			m.Properties = set(m.Properties, name, value)
		}
	}
	return m
}

func (h *Hubs) addBatch(template Message) error {
	var batch []struct {
		Body       string            `json:"body"`
		Base64     *bool             `json:"base64Encoded"`
		Properties map[string]string `json:"properties"`
	}
	if err := strictjson.Check(template.Body); err != nil {
		return invalid("The batch is not a JSON array of messages: %v", err)
	}
	if err := json.Unmarshal(template.Body, &batch); err != nil {
		return invalid("The batch is not a JSON array of messages")
	}
	messages := make([]Message, 0, len(batch))
	for _, one := range batch {
		m := withProperties(template, one.Properties)
		m.Body = []byte(one.Body)
		if one.Base64 == nil || *one.Base64 {
			raw, err := base64.StdEncoding.DecodeString(one.Body)
			if err != nil {
				return invalid("The body of a message in the batch is not base64")
			}
			m.Body = raw
		}
		if err := m.checkSize(); err != nil {
			return err
		}
		messages = append(messages, m)
	}
	for _, m := range messages {
		h.inbox.add(m)
	}
	return nil
}
