package dpsservice

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"

	"github.com/google/uuid"

	"evenkeel/emulator/internal/state"
)

// Error codes. Seen on Azure: 401002, 404201, 404202, 409201, 409203. Fidelity: the others are ours, in Azure's form (status × 1000 + n).
const (
	codeInvalid      = 400004
	codeUnauthorized = 401002
	codeNotFound     = 404201
	codeNoService    = 404202
	codeMethod       = 405000
	codeExists       = 409201
	codeConflict     = 409203
	codePrecondition = 412001
	codeTooLarge     = 413001
	codeQuota        = 429001
	codeInternal     = 500001
)

// Messages that Azure was seen to send; clients show them and some match them.
const (
	textUnauthorized = "Unauthorized"
	textExists       = "Enrollment already exists."
	textPrecondition = "Precondition failed."
)

// wireError is a refusal in the words of the wire.
type wireError struct {
	status  int
	code    int
	message string
}

func (e *wireError) Error() string { return e.message }

func refuse(status, code int, format string, args ...any) error {
	return &wireError{status: status, code: code, message: fmt.Sprintf(format, args...)}
}

func invalid(format string, args ...any) error {
	return refuse(http.StatusBadRequest, codeInvalid, format, args...)
}

func unauthorized() error {
	return &wireError{status: http.StatusUnauthorized, code: codeUnauthorized, message: textUnauthorized}
}

// asWire turns a refusal of the state into the wire's, and anything else into an internal error that tells nothing.
func asWire(err error) *wireError {
	var wire *wireError
	if errors.As(err, &wire) {
		return wire
	}
	var refused *state.Error
	if !errors.As(err, &refused) {
		return &wireError{http.StatusInternalServerError, codeInternal, "The emulator could not carry out the request."}
	}
	switch refused.Kind {
	case state.NotFound:
		return &wireError{http.StatusNotFound, codeNotFound, "Not found: " + refused.Object + "."}
	case state.ParentNotFound:
		return &wireError{http.StatusNotFound, codeNoService, "Not found: " + refused.Object + "."}
	case state.Exists:
		return &wireError{http.StatusConflict, codeExists, textExists}
	case state.Precondition:
		return &wireError{http.StatusPreconditionFailed, codePrecondition, textPrecondition}
	case state.Busy:
		return &wireError{http.StatusConflict, codeConflict, textPrecondition}
	case state.Quota:
		return &wireError{http.StatusTooManyRequests, codeQuota, refused.Reason + "."}
	default:
		return &wireError{http.StatusBadRequest, codeInvalid, refused.Reason + "."}
	}
}

// errorBody is ProvisioningServiceErrorDetails.
type errorBody struct {
	ErrorCode  int    `json:"errorCode"`
	TrackingID string `json:"trackingId"`
	Message    string `json:"message"`
	Timestamp  string `json:"timestampUtc"`
}

func (s *surface) writeError(w http.ResponseWriter, err error) {
	refused := asWire(err)
	tracking := uuid.NewString()
	h := w.Header()
	h.Set("Content-Type", "application/json; charset=utf-8")
	h.Set("x-ms-error-code", strconv.Itoa(refused.code))
	h.Set("x-ms-request-id", tracking)
	if refused.status == http.StatusTooManyRequests {
		h.Set("Retry-After", "1")
	}
	w.WriteHeader(refused.status)
	// The client may have gone; there is nobody to tell.
	_ = json.NewEncoder(w).Encode(errorBody{
		ErrorCode: refused.code, TrackingID: tracking, Message: refused.message, Timestamp: wireTime(s.st.Now()),
	})
}
