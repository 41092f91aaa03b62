package dpswire

import (
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"

	"evenkeel/emulator/internal/state"
	"evenkeel/emulator/internal/traffic"
)

// Error codes. Seen on Azure: 401000 for a symmetric key, 401002, 404201, 404202, 404203 (in the tests of
// nrfconnect/sdk-nrf), 409201, 409203. Fidelity: the others are ours, in Azure's form (status × 1000 + n).
const (
	CodeInvalid      = 400004
	CodeBadKey       = 401000
	CodeUnauthorized = 401002
	CodeNotFound     = 404201
	CodeNoService    = 404202
	CodeNoOperation  = 404203
	CodeMethod       = 405000
	CodeExists       = 409201
	CodeConflict     = 409203
	CodePrecondition = 412001
	CodeTooLarge     = 413001
	CodeContentType  = 415000
	CodeQuota        = 429001
	CodeInternal     = 500001
)

// Messages that were observed from Azure. Clients display them, and some match them.
const (
	TextUnauthorized       = "Unauthorized"
	TextInvalidCertificate = "Invalid certificate."
	TextExists             = "Enrollment already exists."
	TextPrecondition       = "Precondition failed."
)

// Error is an error in the API's format.
type Error struct {
	// Status is the HTTP status. Code is a number that begins with it.
	Status, Code int
	Message      string
	// Allow are the methods of a path, with 405. RetryAfter is the number of seconds to wait, if the client should
	// retry.
	Allow, RetryAfter string
}

// Error implements error.
func (e *Error) Error() string { return fmt.Sprintf("%d %s", e.Code, e.Message) }

// Refuse returns an error.
func Refuse(status, code int, format string, args ...any) error {
	return &Error{Status: status, Code: code, Message: fmt.Sprintf(format, args...)}
}

// Invalid returns an error for an invalid request.
func Invalid(format string, args ...any) error {
	return Refuse(http.StatusBadRequest, CodeInvalid, format, args...)
}

// Errors for credentials. They reveal no more than Azure's.
var (
	ErrUnauthorized   = &Error{Status: http.StatusUnauthorized, Code: CodeUnauthorized, Message: TextUnauthorized}
	ErrBadKey         = &Error{Status: http.StatusUnauthorized, Code: CodeBadKey, Message: TextUnauthorized}
	ErrBadCertificate = &Error{Status: http.StatusUnauthorized, Code: CodeUnauthorized, Message: TextInvalidCertificate}
)

// internal hides the details of an internal error of the emulator.
var internal = &Error{Status: http.StatusInternalServerError, Code: CodeInternal,
	Message: "The emulator failed to process the request; see its log."}

// From translates a refusal of the state to a wire error, and any other error to an internal error without details.
func From(err error) *Error {
	var wire *Error
	if errors.As(err, &wire) {
		return wire
	}
	var refused *state.Error
	switch {
	case state.Stopped(err) != nil:
		return &Error{Status: http.StatusInternalServerError, Code: CodeInternal, Message: sentence(state.Stopped(err))}
	case !errors.As(err, &refused):
		return internal
	}
	switch refused.Kind {
	case state.NotFound:
		return &Error{Status: http.StatusNotFound, Code: CodeNotFound, Message: "Not found: " + refused.Object + "."}
	case state.ParentNotFound:
		return &Error{Status: http.StatusNotFound, Code: CodeNoService, Message: "Not found: " + refused.Object + "."}
	case state.Exists:
		return &Error{Status: http.StatusConflict, Code: CodeExists, Message: TextExists}
	case state.Precondition:
		return &Error{Status: http.StatusPreconditionFailed, Code: CodePrecondition, Message: TextPrecondition}
	case state.Busy:
		return &Error{Status: http.StatusConflict, Code: CodeConflict, Message: TextPrecondition}
	case state.Quota:
		return &Error{Status: http.StatusTooManyRequests, Code: CodeQuota, Message: refused.Reason + ".",
			RetryAfter: "1"}
	default:
		return &Error{Status: http.StatusBadRequest, Code: CodeInvalid, Message: refused.Reason + "."}
	}
}

// sentence turns an error's text into a sentence.
func sentence(err error) string {
	text := err.Error()
	return strings.ToUpper(text[:1]) + text[1:] + "."
}

// IsNotFound reports whether the object does not exist. It returns false if only the parent does not.
func IsNotFound(err error) bool {
	var refused *state.Error
	return errors.As(err, &refused) && refused.Kind == state.NotFound
}

// ErrorBody is ProvisioningServiceErrorDetails.
type ErrorBody struct {
	ErrorCode  int    `json:"errorCode"`
	TrackingID string `json:"trackingId"`
	Message    string `json:"message"`
	Timestamp  string `json:"timestampUtc"`
}

// Body returns the error as a body with a new tracking id.
func (e *Error) Body(now time.Time) ErrorBody {
	return ErrorBody{e.Code, uuid.NewString(), e.Message, Time(now)}
}

func (e *Error) reply(now time.Time) Reply {
	body := e.Body(now)
	reply := Reply{Status: e.Status, Body: body, Header: map[string]string{
		"x-ms-error-code": strconv.Itoa(e.Code), "x-ms-request-id": body.TrackingID,
	}}
	if e.Allow != "" {
		reply.Header["Allow"] = e.Allow
	}
	if e.RetryAfter != "" {
		reply.Header["Retry-After"] = e.RetryAfter
	}
	return reply
}

// Refused returns the error for an injected fault or a rate limit.
func Refused(r *traffic.Refusal) *Error {
	return &Error{Status: r.Status, Code: r.Code, Message: r.Message, RetryAfter: r.Seconds()}
}
