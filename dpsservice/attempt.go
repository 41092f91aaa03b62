package dpsservice

import (
	"net/http"
	"sync/atomic"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
)

// attempt records the attempts of one call.
type attempt struct {
	// lost is true if an attempt was sent and got no answer, or an answer that does not show whether it was carried
	// out.
	lost atomic.Bool
	// answer ends the call: the service carried out the request or refused it.
	answer atomic.Pointer[http.Response]
}

type attemptKey struct{}

// attempts is the innermost policy: it sees each attempt.
type attempts struct{}

// Do sends the attempt, and records its answer, or that it may have been carried out without an answer.
func (attempts) Do(request *policy.Request) (*http.Response, error) {
	if err := request.Raw().Context().Err(); err != nil {
		return nil, err // nothing was sent
	}
	response, err := request.Next()
	if tries, ok := request.Raw().Context().Value(attemptKey{}).(*attempt); ok {
		switch {
		case mayHaveTakenEffect(response, err):
			tries.lost.Store(true)
		case err == nil && !isThrottled(response, nil):
			tries.answer.Store(response)
		}
	}
	return response, err
}

// mayHaveTakenEffect reports whether an attempt may have been carried out without an answer. An attempt without a
// connection was not sent.
func mayHaveTakenEffect(response *http.Response, err error) bool {
	if err != nil {
		return connectionKind(err) == nil
	}
	return isTransient(response, nil)
}
