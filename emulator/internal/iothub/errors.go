package iothub

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/google/uuid"

	"evenkeel/emulator/internal/state"
)

// wireError is an error in the hub's format. Status follows from the number: 404001 is a 404.
type wireError struct {
	number int
	code   string
	// text follows the code in the message. It contains no key.
	text string
}

// Error returns the message as sent.
func (e *wireError) Error() string { return "ErrorCode:" + e.code + ";" + e.text }

func (e *wireError) status() int { return e.number / 1000 }

// Numbers: ErrorCode of Microsoft.Azure.Devices. The texts after the code are recorded for PreconditionFailed and
// IotHubUnauthorizedAccess; the others are ours.
var (
	errUnauthorized = &wireError{401002, "IotHubUnauthorizedAccess", "Unauthorized"}
	errNoHub        = &wireError{401001, "IotHubNotFound", "Unauthorized"}
	errPrecondition = &wireError{412001, "PreconditionFailed", "PreconditionFailed"}
	errTooLarge     = &wireError{413001, "MessageTooLarge", "Message is larger than 262144 bytes"}
	errServer       = &wireError{500001, "ServerError", "The emulator failed; see its log"}
)

func invalid(format string, args ...any) error {
	return &wireError{400004, "ArgumentInvalid", fmt.Sprintf(format, args...)}
}

// wire translates any error to one that can be sent, and reports whether it is an internal error of the emulator.
func wire(err error) (e *wireError, fault bool) {
	if errors.As(err, &e) {
		return e, false
	}
	var refusal *state.Error
	switch {
	case state.Stopped(err) != nil:
		return &wireError{500001, "ServerError", state.Stopped(err).Error()}, true
	case !errors.As(err, &refusal):
		return errServer, true
	}
	switch refusal.Kind {
	case state.NotFound:
		return &wireError{404001, "DeviceNotFound", refusal.Error()}, false
	case state.ParentNotFound:
		return errNoHub, false
	case state.Exists:
		return &wireError{409001, "DeviceAlreadyExists", "A device with the same id is already registered"}, false
	case state.Precondition:
		return errPrecondition, false
	case state.Invalid:
		return &wireError{400004, "ArgumentInvalid", refusal.Error()}, false
	case state.Quota:
		return &wireError{413002, "TooManyDevices", refusal.Error()}, false
	case state.Busy:
		return &wireError{503001, "ServiceUnavailable", refusal.Error()}, false
	}
	return errServer, true
}

// Status returns the HTTP status for an error of this package's functions. Devices get 401 for an unknown hub; here
// it is 404.
func Status(err error) int {
	if refusal := (*state.Error)(nil); errors.As(err, &refusal) && refusal.Kind == state.ParentNotFound {
		return http.StatusNotFound
	}
	e, _ := wire(err)
	return e.status()
}

// writeError sends an error in response to an HTTP request, in the form recorded from the real service.
func (h *Hubs) writeError(w http.ResponseWriter, err error) {
	e, fault := wire(err)
	if fault {
		h.log.Error("IoT Hub request failed", "error", err)
	}
	body := struct {
		Message          string
		ExceptionMessage string
	}{
		e.Error(), fmt.Sprintf("Tracking ID:%s-G:0-TimeStamp:%s", trackingID(),
			h.state.Now().Format("01/02/2006 15:04:05"))}
	if method := (*methodError)(nil); errors.As(err, &method) {
		body.Message, body.ExceptionMessage = method.document(h.state.Now()), ""
	}
	spell(w.Header(), headerErrorCode, e.code)
	writeJSON(w, e.status(), body)
}

// twinError returns the body of a failed twin request over MQTT. Fidelity: its form is that of the DPS device API;
// unsure.
func twinError(e *wireError, now time.Time) []byte {
	body, _ := json.Marshal(struct {
		ErrorCode    int    `json:"errorCode"`
		TrackingID   string `json:"trackingId"`
		Message      string `json:"message"`
		TimestampUTC string `json:"timestampUtc"`
	}{e.number, trackingID(), e.text, stamp(now)})
	return body
}

func trackingID() string { return strings.ReplaceAll(uuid.NewString(), "-", "") }
