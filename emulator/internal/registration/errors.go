package registration

import (
	"errors"
	"net/http"

	"evenkeel/emulator/internal/dpswire"
	"evenkeel/emulator/internal/state"
)

// refusal translates an error to a wire error. For a device, a missing service looks like bad credentials. A conflict
// means that its registration was changed at the same time.
func refusal(err error) *dpswire.Error {
	var refused *state.Error
	if errors.As(err, &refused) {
		switch refused.Kind {
		case state.ParentNotFound:
			return dpswire.ErrUnauthorized
		case state.Exists:
			return &dpswire.Error{Status: http.StatusConflict, Code: dpswire.CodeConflict,
				Message: dpswire.TextPrecondition}
		}
	}
	return dpswire.From(err)
}
