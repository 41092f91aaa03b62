package dpsapi

import (
	"errors"
	"net"
	"net/http"
	"sync/atomic"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
)

// attempt is what is known of the tries of one call.
type attempt struct {
	// lost says that a try was sent and got no answer, or one that does not tell whether it was carried out.
	lost atomic.Bool
}

type attemptKey struct{}

// attempts is the innermost policy: it sees each try as it goes out.
type attempts struct{}

// Do passes the try on, and notes when it may have been carried out though nobody says so.
func (attempts) Do(request *policy.Request) (*http.Response, error) {
	if err := request.Raw().Context().Err(); err != nil {
		return nil, err // nothing was sent
	}
	response, err := request.Next()
	if tries, ok := request.Raw().Context().Value(attemptKey{}).(*attempt); ok && mayBeDone(response, err) {
		tries.lost.Store(true)
	}
	return response, err
}

// mayBeDone reports whether a try may have been carried out without an answer that says so. One that found no connection was not sent.
func mayBeDone(response *http.Response, err error) bool {
	if err != nil {
		var dial *net.OpError
		return !isLasting(err) && (!errors.As(err, &dial) || dial.Op != "dial")
	}
	return isPassingFault(response, nil)
}

// uncertainError is an error of a call that may have been carried out all the same.
type uncertainError struct{ error }

// Unwrap returns what went wrong.
func (e *uncertainError) Unwrap() error { return e.error }

// Is reports whether target is ErrUncertain.
func (*uncertainError) Is(target error) bool { return target == ErrUncertain }
