// Package arm is a small client of Azure Resource Manager for resources as raw JSON: GET, PUT, DELETE and POST,
// long-running operations until their end, retries of throttled requests, errors with status and code.
//
// It knows no resource type and no Pulumi, and does not log in: the caller provides the credential.
package arm

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

// pollInterval is the wait between two polls of an operation whose answer gives no Retry-After. azcore accepts no
// shorter one.
const pollInterval = time.Second

// Options are the endpoint, the credential and the transport of requests.
type Options struct {
	// Endpoint is the base URL, https only.
	Endpoint string
	// Audience is the audience of the tokens from Credential; Endpoint when empty.
	Audience string
	// AuthorityHost is the cloud's login endpoint, which azcore needs in addition to Credential.
	AuthorityHost string
	Credential    azcore.TokenCredential
	// AuxiliaryTenants are additional tenants whose tokens are sent with each request.
	AuxiliaryTenants []string
	// Transport sends the requests; nil means azcore's own client, which trusts the system's authorities only.
	Transport policy.Transporter
	// Retry defines the retries after lost connections and throttling.
	Retry policy.RetryOptions
	// Name and Version are the caller's, for the User-Agent header.
	Name, Version string
}

// Client sends requests to one endpoint. It is safe for concurrent use.
type Client struct {
	endpoint string
	pipeline runtime.Pipeline
}

// New returns a client without sending a request.
func New(o Options) (*Client, error) {
	endpoint, err := CanonicalEndpoint(o.Endpoint)
	if err != nil {
		return nil, err
	}
	if o.Audience == "" {
		o.Audience = endpoint
	}
	if o.AuthorityHost == "" {
		o.AuthorityHost = endpoint
	}
	if o.Retry.ShouldRetry == nil {
		o.Retry.ShouldRetry = shouldRetry
	}
	settings := &arm.ClientOptions{
		ClientOptions: policy.ClientOptions{
			Cloud: cloud.Configuration{
				ActiveDirectoryAuthorityHost: o.AuthorityHost,
				Services: map[cloud.ServiceName]cloud.ServiceConfiguration{
					cloud.ResourceManager: {Endpoint: endpoint, Audience: o.Audience},
				},
			},
			Retry:     o.Retry,
			Telemetry: policy.TelemetryOptions{ApplicationID: "evenkeel"},
			Transport: o.Transport,
		},
		AuxiliaryTenants: o.AuxiliaryTenants,
		// This client must not register resource providers in a user's subscription, and azcore's policy for that fails
		// on a 409 that is not JSON.
		DisableRPRegistration: true,
	}
	pipeline, err := armruntime.NewPipeline(o.Name, "v"+o.Version, o.Credential, runtime.PipelineOptions{}, settings)
	if err != nil {
		return nil, fmt.Errorf("set up requests to %s: %w", endpoint, err)
	}
	return &Client{endpoint: endpoint, pipeline: pipeline}, nil
}

// shouldRetry retries lost connections, overload, and the conflict that ARM answers while another operation on the same
// resource is under way.
func shouldRetry(response *http.Response, err error) bool {
	if err != nil {
		return true
	}
	if runtime.HasStatusCode(response, http.StatusRequestTimeout, http.StatusTooManyRequests,
		http.StatusInternalServerError,
		http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout) {
		return true
	}
	if response.StatusCode != http.StatusConflict {
		return false
	}
	var conflict *azcore.ResponseError
	return errors.As(runtime.NewResponseError(response), &conflict) &&
		conflict.ErrorCode == "AnotherOperationInProgress"
}

// Target is the resource that a request is about.
type Target struct {
	ID         string
	APIVersion string
	// IfMatch is the etag for If-Match of a PUT or DELETE, as the resource shows it; empty for no condition.
	IfMatch string
	// query holds the parameters, except the api-version, of a link to the next page of a list.
	query url.Values
}

// send sends one request and returns its answer, whatever its status; an error means that there was no answer. A nil
// body is not sent.
func (c *Client) send(ctx context.Context, method string, to Target, body any) (*http.Response, error) {
	request, err := runtime.NewRequest(ctx, method, runtime.JoinPaths(c.endpoint, to.ID))
	if err != nil {
		return nil, fmt.Errorf("%s %s: %w", method, to.ID, err)
	}
	query := url.Values{"api-version": {to.APIVersion}}
	for name, values := range to.query {
		query[name] = values
	}
	request.Raw().URL.RawQuery = query.Encode()
	request.Raw().Header.Set("Accept", "application/json")
	if to.IfMatch != "" {
		request.Raw().Header.Set("If-Match", to.IfMatch)
	}
	if body != nil {
		if err := runtime.MarshalAsJSON(request, body); err != nil {
			return nil, fmt.Errorf("%s %s: %w", method, to.ID, err)
		}
	}
	response, err := c.pipeline.Do(request)
	if err != nil {
		return nil, &UnansweredError{method: method, target: to, cause: err}
	}
	return response, nil
}

// Get reads the resource into an object, a pointer to a map or struct.
func (c *Client) Get(ctx context.Context, from Target, into any) error {
	response, err := c.send(ctx, http.MethodGet, from, nil)
	if err != nil {
		return err
	}
	if response.StatusCode != http.StatusOK {
		return newError(http.MethodGet, from, response)
	}
	return decode(http.MethodGet, from, response, into)
}

// Exists reports whether the resource exists. Some services answer 200 or 204 without a body if it does not.
func (c *Client) Exists(ctx context.Context, at Target) (bool, error) {
	response, err := c.send(ctx, http.MethodGet, at, nil)
	if err != nil {
		return false, err
	}
	switch response.StatusCode {
	case http.StatusNotFound, http.StatusNoContent:
		return false, drain(response)
	case http.StatusOK:
		found := map[string]json.RawMessage{}
		err := decode(http.MethodGet, at, response, &found)
		return err == nil && len(found) > 0, nil
	}
	return false, newError(http.MethodGet, at, response)
}

// Put creates or updates the resource and waits for the end of the operation, if longRunning or if the answer names
// one. accepted reports whether ARM accepted the request: with an error, the resource may still exist.
func (c *Client) Put(ctx context.Context, to Target, body any, longRunning bool) (result map[string]any, accepted bool,
	err error) {
	response, err := c.send(ctx, http.MethodPut, to, body)
	if err != nil {
		return nil, false, err
	}
	if !runtime.HasStatusCode(response, http.StatusOK, http.StatusCreated, http.StatusAccepted) {
		return nil, false, newError(http.MethodPut, to, response)
	}
	if longRunning || response.StatusCode == http.StatusAccepted {
		result, err = poll[map[string]any](ctx, c, http.MethodPut, to, response)
		return result, true, err
	}
	result = map[string]any{}
	err = decode(http.MethodPut, to, response, &result)
	return result, true, err
}

// Delete deletes the resource; it succeeds if the resource does not exist.
func (c *Client) Delete(ctx context.Context, at Target, longRunning bool) error {
	response, err := c.send(ctx, http.MethodDelete, at, nil)
	if err != nil {
		return err
	}
	if response.StatusCode == http.StatusNotFound {
		return drain(response)
	}
	if !runtime.HasStatusCode(response, http.StatusOK, http.StatusAccepted, http.StatusNoContent) {
		return newError(http.MethodDelete, at, response)
	}
	if !longRunning {
		return drain(response)
	}
	_, err = poll[map[string]any](ctx, c, http.MethodDelete, at, response)
	if HasStatus(err, http.StatusNotFound) {
		return nil
	}
	return err
}

// Post calls an action of the resource.
func (c *Client) Post(ctx context.Context, to Target, body any) (map[string]any, error) {
	response, err := c.send(ctx, http.MethodPost, to, body)
	if err != nil {
		return nil, err
	}
	if !runtime.HasStatusCode(response, http.StatusOK, http.StatusCreated) {
		return nil, newError(http.MethodPost, to, response)
	}
	result := map[string]any{}
	return result, decode(http.MethodPost, to, response, &result)
}

// poll follows a long-running operation to its end.
func poll[T any](ctx context.Context, c *Client, method string, of Target, first *http.Response) (T, error) {
	poller, err := runtime.NewPoller[T](first, c.pipeline, nil)
	if err != nil {
		return *new(T), asError(method, of, err)
	}
	result, err := poller.PollUntilDone(ctx, &runtime.PollUntilDoneOptions{Frequency: pollInterval})
	if err != nil {
		return *new(T), asError(method, of, err)
	}
	return result, nil
}

// decode reads a JSON object from an answer. An empty body does not change into.
func decode(method string, of Target, response *http.Response, into any) error {
	raw, err := runtime.Payload(response)
	if err != nil {
		return fmt.Errorf("%s %s: read answer: %w", method, of.ID, err)
	}
	if len(raw) == 0 {
		return nil
	}
	if err := json.Unmarshal(raw, into); err != nil {
		return fmt.Errorf("%s %s: the answer is not a JSON object: %w", method, of.ID, err)
	}
	return nil
}

func drain(response *http.Response) error {
	runtime.Drain(response)
	return nil
}

// CanonicalEndpoint checks a base URL and removes the slash at its end. Every request contains a token, so the URL must
// be https.
func CanonicalEndpoint(endpoint string) (string, error) {
	parsed, err := url.Parse(endpoint)
	if err != nil {
		return "", fmt.Errorf("ARM endpoint %q: %w", endpoint, err)
	}
	if parsed.Scheme != "https" || parsed.Host == "" {
		return "", fmt.Errorf("ARM endpoint %q: want an https URL", endpoint)
	}
	return strings.TrimRight(endpoint, "/"), nil
}
