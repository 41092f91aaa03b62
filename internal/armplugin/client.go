package armplugin

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/arm"
	armruntime "github.com/Azure/azure-sdk-for-go/sdk/azcore/arm/runtime"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/cloud"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/runtime"
)

// pollInterval is the wait between two polls of an operation whose answer gives no Retry-After. azcore takes no less.
const pollInterval = time.Second

// client sends ARM requests to one endpoint. It is safe for concurrent use.
type client struct {
	endpoint string
	pipeline runtime.Pipeline
}

func newClient(o Options) (*client, error) {
	settings := &arm.ClientOptions{
		ClientOptions: policy.ClientOptions{
			Cloud: cloud.Configuration{
				ActiveDirectoryAuthorityHost: o.Endpoint,
				Services: map[cloud.ServiceName]cloud.ServiceConfiguration{
					cloud.ResourceManager: {Endpoint: o.Endpoint, Audience: o.Endpoint},
				},
			},
			// Shorter waits than the real plugin's 20 s to 120 s: the far side is on the same machine.
			Retry:     policy.RetryOptions{RetryDelay: 200 * time.Millisecond, MaxRetryDelay: 5 * time.Second, ShouldRetry: shouldRetry},
			Telemetry: policy.TelemetryOptions{ApplicationID: "evenkeel"},
			Transport: o.Transport,
		},
	}
	pipeline, err := armruntime.NewPipeline("armplugin", "v"+Version, o.Credential, runtime.PipelineOptions{}, settings)
	if err != nil {
		return nil, fmt.Errorf("set up requests to %s: %w", o.Endpoint, err)
	}
	return &client{endpoint: o.Endpoint, pipeline: pipeline}, nil
}

// shouldRetry retries lost connections, overload, and the conflict that ARM answers while another operation on the same
// resource is under way.
func shouldRetry(response *http.Response, err error) bool {
	if err != nil {
		return true
	}
	if runtime.HasStatusCode(response, http.StatusRequestTimeout, http.StatusTooManyRequests, http.StatusInternalServerError,
		http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout) {
		return true
	}
	if response.StatusCode != http.StatusConflict {
		return false
	}
	var conflict *azcore.ResponseError
	return errors.As(runtime.NewResponseError(response), &conflict) && conflict.ErrorCode == "AnotherOperationInProgress"
}

// target is the resource that a request is about.
type target struct {
	id         string
	apiVersion string
}

// send makes one request and returns its answer, whatever its status; an error means that there was none.
func (c *client) send(ctx context.Context, method string, to target, body map[string]any) (*http.Response, error) {
	request, err := runtime.NewRequest(ctx, method, runtime.JoinPaths(c.endpoint, to.id))
	if err != nil {
		return nil, fmt.Errorf("%s %s: %w", method, to.id, err)
	}
	request.Raw().URL.RawQuery = url.Values{"api-version": {to.apiVersion}}.Encode()
	request.Raw().Header.Set("Accept", "application/json")
	if body != nil {
		if err := runtime.MarshalAsJSON(request, body); err != nil {
			return nil, fmt.Errorf("%s %s: %w", method, to.id, err)
		}
	}
	response, err := c.pipeline.Do(request)
	if err != nil {
		return nil, &unansweredError{method: method, target: to, cause: err}
	}
	return response, nil
}

// get reads the resource.
func (c *client) get(ctx context.Context, from target) (map[string]any, error) {
	response, err := c.send(ctx, http.MethodGet, from, nil)
	if err != nil {
		return nil, err
	}
	if response.StatusCode != http.StatusOK {
		return nil, newARMError(http.MethodGet, from, response)
	}
	return decode(http.MethodGet, from, response)
}

// exists says whether there is a resource of that id. Some services answer 200 or 204 without a body for none.
func (c *client) exists(ctx context.Context, at target) (bool, error) {
	response, err := c.send(ctx, http.MethodGet, at, nil)
	if err != nil {
		return false, err
	}
	switch response.StatusCode {
	case http.StatusNotFound, http.StatusNoContent:
		return false, drain(response)
	case http.StatusOK:
		found, err := decode(http.MethodGet, at, response)
		return err == nil && len(found) > 0, nil
	}
	return false, newARMError(http.MethodGet, at, response)
}

// put creates or updates the resource and waits until the operation that this starts has ended. accepted says that
// ARM took the request: when err is set too, something may exist.
func (c *client) put(ctx context.Context, to target, body map[string]any, longRunning bool) (result map[string]any, accepted bool, err error) {
	response, err := c.send(ctx, http.MethodPut, to, body)
	if err != nil {
		return nil, false, err
	}
	if !runtime.HasStatusCode(response, http.StatusOK, http.StatusCreated, http.StatusAccepted) {
		return nil, false, newARMError(http.MethodPut, to, response)
	}
	if longRunning || response.StatusCode == http.StatusAccepted {
		result, err = poll(ctx, c, http.MethodPut, to, response)
		return result, true, err
	}
	result, err = decode(http.MethodPut, to, response)
	return result, true, err
}

// delete removes the resource; an absent one is a success.
func (c *client) delete(ctx context.Context, at target, longRunning bool) error {
	response, err := c.send(ctx, http.MethodDelete, at, nil)
	if err != nil {
		return err
	}
	if response.StatusCode == http.StatusNotFound {
		return drain(response)
	}
	if !runtime.HasStatusCode(response, http.StatusOK, http.StatusAccepted, http.StatusNoContent) {
		return newARMError(http.MethodDelete, at, response)
	}
	if !longRunning {
		return drain(response)
	}
	_, err = poll(ctx, c, http.MethodDelete, at, response)
	if isNotFound(err) {
		return nil
	}
	return err
}

// post calls an action of the resource.
func (c *client) post(ctx context.Context, to target, body map[string]any) (map[string]any, error) {
	response, err := c.send(ctx, http.MethodPost, to, body)
	if err != nil {
		return nil, err
	}
	if !runtime.HasStatusCode(response, http.StatusOK, http.StatusCreated) {
		return nil, newARMError(http.MethodPost, to, response)
	}
	return decode(http.MethodPost, to, response)
}

// poll follows a long-running operation to its end.
func poll(ctx context.Context, c *client, method string, of target, first *http.Response) (map[string]any, error) {
	poller, err := runtime.NewPoller[map[string]any](first, c.pipeline, nil)
	if err != nil {
		return nil, asARMError(method, of, err)
	}
	result, err := poller.PollUntilDone(ctx, &runtime.PollUntilDoneOptions{Frequency: pollInterval})
	if err != nil {
		return nil, asARMError(method, of, err)
	}
	return result, nil
}

// decode reads a JSON object from an answer. An empty body is an empty object.
func decode(method string, of target, response *http.Response) (map[string]any, error) {
	raw, err := runtime.Payload(response)
	if err != nil {
		return nil, fmt.Errorf("%s %s: read answer: %w", method, of.id, err)
	}
	if len(raw) == 0 {
		return map[string]any{}, nil
	}
	var out map[string]any
	if err := json.Unmarshal(raw, &out); err != nil {
		return nil, fmt.Errorf("%s %s: the answer is not a JSON object: %w", method, of.id, err)
	}
	return out, nil
}

func drain(response *http.Response) error {
	runtime.Drain(response)
	return nil
}

// canonicalEndpoint checks an ARM base URL. Tokens travel with every request, so only https will do.
func canonicalEndpoint(endpoint string) (string, error) {
	parsed, err := url.Parse(endpoint)
	if err != nil {
		return "", fmt.Errorf("ARM endpoint %q: %w", endpoint, err)
	}
	if parsed.Scheme != "https" || parsed.Host == "" {
		return "", fmt.Errorf("ARM endpoint %q: want an https URL", endpoint)
	}
	return strings.TrimRight(endpoint, "/"), nil
}
