package dpsservice

import (
	"net/http"
	"sync/atomic"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
)

// attempt is what is known of the tries of one call.
type attempt struct {
	// lost says that a try was sent and got no answer, or an answer that leaves open whether it was carried out.
	lost atomic.Bool
	// answer is one that ends the call: the service did what was asked, or refused it.
	answer atomic.Pointer[http.Response]
}

type attemptKey struct{}

// attempts is the innermost policy: it sees each try as it goes out.
type attempts struct{}

// Do passes the try on, and notes its answer, or that it may have been carried out though nobody says so.
func (attempts) Do(request *policy.Request) (*http.Response, error) {
	if err := request.Raw().Context().Err(); err != nil {
		return nil, err // nothing was sent
	}
	response, err := request.Next()
	if tries, ok := request.Raw().Context().Value(attemptKey{}).(*attempt); ok {
		switch {
		case mayBeDone(response, err):
			tries.lost.Store(true)
		case err == nil && !isThrottled(response, nil):
			tries.answer.Store(response)
		}
	}
	return response, err
}

// mayBeDone reports whether a try may have been carried out without an answer that says so. One that found no connection was not sent.
func mayBeDone(response *http.Response, err error) bool {
	if err != nil {
		return connectionKind(err) == nil
	}
	return isPassingFault(response, nil)
}
