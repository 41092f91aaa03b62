package iothub

import (
	"errors"
	"net/http"

	"evenkeel/emulator/internal/state"
)

const (
	// feedbackType is the content type of feedback. Source: "Send cloud-to-device messages from an IoT hub".
	feedbackType = "application/vnd.microsoft.iothub.feedback.json"
	// maxFeedback is how many records one message contains. Source: the same.
	maxFeedback = 64
)

// feedbackDocument is one record. The service SDKs for Java and C read these names.
type feedbackDocument struct {
	MessageID    string `json:"originalMessageId"`
	EnqueuedTime string `json:"enqueuedTimeUtc"`
	StatusCode   string `json:"statusCode"`
	Description  string `json:"description"`
	DeviceID     string `json:"deviceId"`
	GenerationID string `json:"deviceGenerationId"`
}

// receiveFeedback: CloudToDeviceMessages_ReceiveFeedbackNotification, 2021-04-12. The ETag is the lock token of the
// whole response. Fidelity: records are returned as soon as they exist, whereas Azure collects them for up to 15
// seconds; deliveries of feedback are not counted.
func (h *Hubs) receiveFeedback(w http.ResponseWriter, _ *http.Request, hub state.Hub) error {
	taken, err := h.state.TakeFeedback(hub.Host(), maxFeedback, hub.Settings.FeedbackLock, hub.Settings.FeedbackLife)
	if err != nil {
		return err
	}
	if len(taken) == 0 {
		w.WriteHeader(http.StatusNoContent)
		return nil
	}
	records := make([]feedbackDocument, len(taken))
	for i, f := range taken {
		records[i] = feedbackDocument{f.MessageID, stamp(f.Time), string(f.Outcome), string(f.Outcome), f.DeviceID,
			f.GenerationID}
	}
	header := w.Header()
	spell(header, headerETag, `"`+taken[0].Lock+`"`)
	spell(header, "iothub-enqueuedtime", stamp(taken[0].Time))
	spell(header, "iothub-userid", hub.ID.Name)
	writeJSONAs(w, feedbackType, http.StatusOK, records)
	return nil
}

// completeFeedback: CloudToDeviceMessages_CompleteFeedbackNotification, 2021-04-12.
func (h *Hubs) completeFeedback(w http.ResponseWriter, r *http.Request, hub state.Hub) error {
	return h.settleFeedback(w, r, hub, true)
}

// abandonFeedback: CloudToDeviceMessages_AbandonFeedbackNotification, 2021-04-12.
func (h *Hubs) abandonFeedback(w http.ResponseWriter, r *http.Request, hub state.Hub) error {
	return h.settleFeedback(w, r, hub, false)
}

func (h *Hubs) settleFeedback(w http.ResponseWriter, r *http.Request, hub state.Hub, done bool) error {
	err := h.state.SettleFeedback(hub.Host(), r.PathValue("lock"), done)
	if refusal := (*state.Error)(nil); errors.As(err, &refusal) && refusal.Kind == state.NotFound {
		return errLockLost
	}
	if err != nil {
		return err
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}
