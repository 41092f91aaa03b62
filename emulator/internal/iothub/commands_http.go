package iothub

import (
	"errors"
	"net/http"
	"strconv"
	"time"

	"evenkeel/emulator/internal/state"
)

// lockTime is how long a device may take to settle a message over HTTPS, unless it asks for another time with lockHeader (seconds).
// Source: the HTTP requirements in the developer documentation of azure-iot-sdk-node. Fidelity: the bounds of the latter are unsure.
const (
	lockTime    = time.Minute
	maxLockTime = 300
	lockHeader  = "Iothub-Messagelocktimeout"
)

// commandHeaders are the headers in which a device gets the system properties of a message.
var commandHeaders = map[string]string{
	sysMessageID: "iothub-messageid", sysCorrelationID: "iothub-correlationid", sysUserID: "iothub-userid", sysTo: "iothub-to", sysExpiry: "iothub-expiry",
	sysContentType: "iothub-contenttype", sysContentEncoding: "iothub-contentencoding", sysAck: "iothub-ack",
}

// nextCommand gives a device its next message, or 204. The ETag is the lock token.
func (h *Hubs) nextCommand(w http.ResponseWriter, r *http.Request, hub state.Hub) error {
	lock := lockTime
	if text := r.Header.Get(lockHeader); text != "" {
		seconds, err := strconv.Atoi(text)
		if err != nil || seconds < 1 || seconds > maxLockTime {
			return invalid("the header %s is 1 to %d seconds", lockHeader, maxLockTime)
		}
		lock = time.Duration(seconds) * time.Second
	}
	c, ok, err := h.state.TakeCommand(hub.Host(), r.PathValue("id"), lock, hub.Settings.MaxDeliveries)
	if err != nil {
		return err
	}
	if !ok {
		w.WriteHeader(http.StatusNoContent)
		return nil
	}
	// A device that has come back over MQTT by then gets what it did not settle; nothing else would tell it.
	key := deviceKey{hub.Host(), r.PathValue("id")}
	h.state.At(h.state.Now().Add(lock), func() { h.deliver(key) })
	header := w.Header()
	for name, value := range c.System {
		header.Set(commandHeaders[name], value)
	}
	for name, value := range c.Properties {
		header.Set("iothub-app-"+name, value)
	}
	header.Set("ETag", `"`+c.Lock+`"`)
	header.Set("iothub-sequencenumber", strconv.FormatUint(c.Sequence, 10))
	header.Set("iothub-enqueuedtime", stamp(c.Enqueued))
	header.Set("iothub-deliverycount", strconv.FormatInt(c.Deliveries, 10))
	header.Set("Content-Type", "application/octet-stream")
	w.WriteHeader(http.StatusOK)
	_, _ = w.Write(c.Body) // a device that has gone finds the message free after the lock
	return nil
}

// completeCommand ends a message that the device has taken; with ?reject as one that the device refuses.
func (h *Hubs) completeCommand(w http.ResponseWriter, r *http.Request, hub state.Hub) error {
	if r.URL.Query().Has("reject") {
		return h.settleCommand(w, r, hub, state.Rejected)
	}
	return h.settleCommand(w, r, hub, state.Success)
}

// abandonCommand gives a message back to the queue.
func (h *Hubs) abandonCommand(w http.ResponseWriter, r *http.Request, hub state.Hub) error {
	return h.settleCommand(w, r, hub, state.Abandoned)
}

func (h *Hubs) settleCommand(w http.ResponseWriter, r *http.Request, hub state.Hub, outcome state.Outcome) error {
	id := r.PathValue("id")
	err := h.state.SettleCommand(hub.Host(), id, r.PathValue("lock"), outcome)
	if refusal := (*state.Error)(nil); errors.As(err, &refusal) && refusal.Kind == state.NotFound {
		return errLockLost // the device itself was found when it was let in
	}
	if err != nil {
		return err
	}
	if outcome == state.Abandoned {
		h.deliver(deviceKey{hub.Host(), id})
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}

// purgeCommands: CloudToDeviceMessages_PurgeCloudToDeviceMessageQueue, 2021-04-12. Fidelity: the right it needs is unsure.
func (h *Hubs) purgeCommands(w http.ResponseWriter, r *http.Request, hub state.Hub) error {
	id := r.PathValue("id")
	n, err := h.state.PurgeCommands(hub.Host(), id)
	if err != nil {
		return err
	}
	writeJSON(w, http.StatusOK, struct {
		Total    int     `json:"totalMessagesPurged"`
		DeviceID string  `json:"deviceId"`
		ModuleID *string `json:"moduleId"`
	}{n, id, nil})
	return nil
}
