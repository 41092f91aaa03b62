package registration

import (
	"errors"
	"net/http"

	"evenkeel/emulator/internal/dpswire"
	"evenkeel/emulator/internal/state"
)

// refusal turns an error into the wire's. A device is not told more of a missing service than of bad credentials, and for it there is
// nothing that exists already: somebody changed its registration at the same time.
func refusal(err error) *dpswire.Error {
	var refused *state.Error
	if errors.As(err, &refused) {
		switch refused.Kind {
		case state.ParentNotFound:
			return dpswire.ErrUnauthorized
		case state.Exists:
			return &dpswire.Error{Status: http.StatusConflict, Code: dpswire.CodeConflict, Message: dpswire.TextPrecondition}
		}
	}
	return dpswire.From(err)
}
