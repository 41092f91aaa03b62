package hub

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
)

// The kinds of failed calls of a direct method, beside ErrNotFound.
var (
	// ErrOffline: the device is not connected, or takes no direct methods.
	ErrOffline = errors.New("not connected")
	// ErrNoAnswer: the device got the call and did not answer in time.
	ErrNoAnswer = errors.New("no answer")
)

// throttledTries is how often a throttled call is repeated. Throttling of calls lasts a second or two.
const throttledTries = 8

// Method is a call of a direct method.
type Method struct {
	Name string
	// Payload is sent as JSON, up to 128 KB.
	Payload any
	// Connect is how long the hub waits for a device that is not connected. Respond is how long it waits for the
	// answer, from 5 s to 300 s.
	Connect, Respond time.Duration
}

// Answer is a device's answer to a call of a direct method.
type Answer struct {
	// Status is the device's own, such as 200.
	Status  int             `json:"status"`
	Payload json.RawMessage `json:"payload"`
}

// Invoke calls a direct method of a device and returns its answer, whatever its status. The errors are ErrOffline,
// ErrNoAnswer and ErrNotFound, or another refusal of the hub.
func (c *Client) Invoke(ctx context.Context, device string, m Method) (Answer, error) {
	// A call that ran into a timeout is not repeated: the device may have got it.
	ctx = policy.WithRetryOptions(ctx, policy.RetryOptions{
		MaxRetries: throttledTries, RetryDelay: time.Second, MaxRetryDelay: time.Minute,
		ShouldRetry: func(response *http.Response, err error) bool {
			return err == nil && (response.StatusCode == http.StatusTooManyRequests ||
				response.StatusCode == http.StatusServiceUnavailable)
		},
	})
	var answer Answer
	_, err := c.send(ctx, http.MethodPost, "/twins/"+url.PathEscape(device)+"/methods", nil, map[string]any{
		"methodName": m.Name, "payload": m.Payload,
		"connectTimeoutInSeconds": int(m.Connect.Seconds()), "responseTimeoutInSeconds": int(m.Respond.Seconds()),
	}, &answer)
	return answer, err
}

// Count returns how many devices the registry holds, as the hub last counted them.
func (c *Client) Count(ctx context.Context) (int, error) {
	var statistics struct {
		Total int `json:"totalDeviceCount"`
	}
	_, err := c.send(ctx, http.MethodGet, "/statistics/devices", nil, nil, &statistics)
	if err != nil {
		return 0, fmt.Errorf("count devices: %w", err)
	}
	return statistics.Total, nil
}
