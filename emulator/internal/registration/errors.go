package registration

import (
	"errors"
	"fmt"
	"net/http"

	"github.com/google/uuid"

	"evenkeel/emulator/internal/state"
)

// Error codes. Seen on Azure: 401000 for a symmetric key, 401002 for a certificate, 404201, 409203. Fidelity: the others are ours, in
// Azure's form (status × 1000 + n); so is the choice between 401000 and 401002 for an unknown device or scope.
const (
	codeInvalid            = 400004
	codeBadKey             = 401000
	codeUnauthorized       = 401002
	codeNotFound           = 404201
	codeMethod             = 405000
	codeConflict           = 409203
	codePrecondition       = 412001
	codeTooLarge           = 413001
	codeContentType        = 415000
	codeQuota              = 429001
	codeInternal           = 500001
	textUnauthorized       = "Unauthorized"
	textInvalidCertificate = "Invalid certificate."
	textConflict           = "Precondition failed."
)

// wireError is a refusal in the words of the wire.
type wireError struct {
	status  int
	code    int
	message string
}

func (e *wireError) Error() string { return fmt.Sprintf("%d %s", e.code, e.message) }

func refuse(status, code int, format string, args ...any) error {
	return &wireError{status: status, code: code, message: fmt.Sprintf(format, args...)}
}

func invalid(format string, args ...any) error {
	return refuse(http.StatusBadRequest, codeInvalid, format, args...)
}

// Refusals of credentials: they tell a device no more than Azure does.
var (
	errBadKey         = &wireError{http.StatusUnauthorized, codeBadKey, textUnauthorized}
	errUnauthorized   = &wireError{http.StatusUnauthorized, codeUnauthorized, textUnauthorized}
	errBadCertificate = &wireError{http.StatusUnauthorized, codeUnauthorized, textInvalidCertificate}
)

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
		return errUnauthorized
	case state.Exists, state.Busy:
		return &wireError{http.StatusConflict, codeConflict, textConflict}
	case state.Precondition:
		return &wireError{http.StatusPreconditionFailed, codePrecondition, textConflict}
	case state.Quota:
		return &wireError{http.StatusTooManyRequests, codeQuota, refused.Reason + "."}
	default:
		return &wireError{http.StatusBadRequest, codeInvalid, refused.Reason + "."}
	}
}

// errorBody is ProvisioningServiceErrorDetails, the same on both fronts.
type errorBody struct {
	ErrorCode  int    `json:"errorCode"`
	TrackingID string `json:"trackingId"`
	Message    string `json:"message"`
	Timestamp  string `json:"timestampUtc"`
}

func (a *API) errorBody(refused *wireError) errorBody {
	return errorBody{refused.code, uuid.NewString(), refused.message, wireTime(a.st.Now())}
}
