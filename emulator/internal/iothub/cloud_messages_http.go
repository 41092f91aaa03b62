package iothub

import (
	"errors"
	"net/http"
	"strconv"
	"time"

	"evenkeel/emulator/internal/state"
)

// lockTime is how long a device may take to settle a message over HTTPS, unless it requests another time with
// lockHeader (seconds). Source: the HTTP requirements in the developer documentation of azure-iot-sdk-node. Fidelity:
// the limits of lockHeader are unsure.
const (
	lockTime    = time.Minute
	maxLockTime = 300
	lockHeader  = "Iothub-Messagelocktimeout"
)

// cloudMessageHeaders are the headers that carry the system properties of a message to a device.
var cloudMessageHeaders = map[string]string{
	sysMessageID: "iothub-messageid", sysCorrelationID: "iothub-correlationid", sysUserID: "iothub-userid",
	sysTo: "iothub-to", sysExpiry: "iothub-expiry",
	sysContentType: "iothub-contenttype", sysContentEncoding: "iothub-contentencoding", sysAck: "iothub-ack",
}

// nextCloudMessage responds with the next message of a device, or with 204. The ETag is the lock token.
func (h *Hubs) nextCloudMessage(w http.ResponseWriter, r *http.Request, hub state.Hub) error {
	lock := lockTime
	if text := r.Header.Get(lockHeader); text != "" {
		seconds, err := strconv.Atoi(text)
		if err != nil || seconds < 1 || seconds > maxLockTime {
			return invalid("the header %s is 1 to %d seconds", lockHeader, maxLockTime)
		}
		lock = time.Duration(seconds) * time.Second
	}
	c, ok, err := h.state.TakeCloudMessage(hub.Host(), r.PathValue("id"), lock, hub.Settings.MaxDeliveries)
	if err != nil {
		return err
	}
	if !ok {
		w.WriteHeader(http.StatusNoContent)
		return nil
	}
	// A device that has connected over MQTT meanwhile receives the message when its lock ends; nothing else would
	// send it.
	key := deviceKey{hub.Host(), r.PathValue("id")}
	h.state.At(h.state.Now().Add(lock), func() { h.deliver(key) })
	header := w.Header()
	for name, value := range c.System {
		spell(header, cloudMessageHeaders[name], value)
	}
	for name, value := range c.Properties {
		spell(header, "iothub-app-"+name, value)
	}
	spell(header, headerETag, `"`+c.Lock+`"`)
	spell(header, "iothub-sequencenumber", strconv.FormatUint(c.Sequence, 10))
	spell(header, "iothub-enqueuedtime", stamp(c.Enqueued))
	spell(header, "iothub-deliverycount", strconv.FormatInt(c.Deliveries, 10))
	header.Set("Content-Type", "application/octet-stream")
	w.WriteHeader(http.StatusOK)
	_, _ = w.Write(c.Body) // a device that disconnected can receive the message again after the lock
	return nil
}

// completeCloudMessage completes a message that the device has received or, with ?reject, rejects it.
func (h *Hubs) completeCloudMessage(w http.ResponseWriter, r *http.Request, hub state.Hub) error {
	if r.URL.Query().Has("reject") {
		return h.settleCloudMessage(w, r, hub, state.Rejected)
	}
	return h.settleCloudMessage(w, r, hub, state.Success)
}

// abandonCloudMessage returns a message to the queue.
func (h *Hubs) abandonCloudMessage(w http.ResponseWriter, r *http.Request, hub state.Hub) error {
	return h.settleCloudMessage(w, r, hub, state.Abandoned)
}

func (h *Hubs) settleCloudMessage(w http.ResponseWriter, r *http.Request, hub state.Hub, outcome state.Outcome) error {
	id := r.PathValue("id")
	err := h.state.SettleCloudMessage(hub.Host(), id, r.PathValue("lock"), outcome)
	if refusal := (*state.Error)(nil); errors.As(err, &refusal) && refusal.Kind == state.NotFound {
		return errLockLost // the device was found when it authenticated
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

// purgeCloudMessages: CloudToDeviceMessages_PurgeCloudToDeviceMessageQueue, 2021-04-12. Fidelity: the required right
// is unsure.
func (h *Hubs) purgeCloudMessages(w http.ResponseWriter, r *http.Request, hub state.Hub) error {
	id := r.PathValue("id")
	n, err := h.state.PurgeCloudMessages(hub.Host(), id)
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
