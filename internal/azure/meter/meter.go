// Package meter counts and paces the requests of a client of Azure, as policies of azcore's pipeline.
//
// It knows no API and does not retry.
package meter

import (
	"net/http"
	"sync/atomic"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"golang.org/x/time/rate"
)

// Counter counts requests as they are sent, retries included. The zero value is ready, and it is safe for concurrent
// use.
type Counter struct{ sent atomic.Int64 }

// Do counts the request and passes it on.
func (c *Counter) Do(request *policy.Request) (*http.Response, error) {
	c.sent.Add(1)
	return request.Next()
}

// Sent returns how many requests there have been.
func (c *Counter) Sent() int { return int(c.sent.Load()) }

// pace delays requests beyond the rate limit.
type pace struct{ limiter *rate.Limiter }

// Pace returns a policy that sends at most that many requests a minute; 0 means no limit.
func Pace(perMinute int) policy.Policy {
	if perMinute <= 0 {
		return pace{rate.NewLimiter(rate.Inf, 1)}
	}
	// A tenth of a minute's requests may be sent at once, so that small stacks never wait.
	return pace{rate.NewLimiter(rate.Limit(float64(perMinute)/60), max(1, perMinute/10))}
}

// Do waits until the request may be sent, or the context ends.
func (p pace) Do(request *policy.Request) (*http.Response, error) {
	if err := p.limiter.Wait(request.Raw().Context()); err != nil {
		return nil, err
	}
	return request.Next()
}
