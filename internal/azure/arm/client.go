// Package arm is a small client of Azure Resource Manager for resources as raw JSON: GET, PUT, DELETE and POST, long-running
// operations followed to their end, overload waited for, refusals told by status and code.
//
// It knows no resource type and no Pulumi, and does not log in: the caller brings the credential.
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

// pollInterval is the wait between two polls of an operation whose answer gives no Retry-After. azcore takes no less.
const pollInterval = time.Second

// Options say where requests go and as whom.
type Options struct {
	// Endpoint is the base URL, https only.
	Endpoint string
	// Audience is that of the tokens asked of Credential; Endpoint when empty.
	Audience string
	// AuthorityHost is the cloud's login endpoint, which azcore wants to know beside Credential.
	AuthorityHost string
	Credential    azcore.TokenCredential
	// AuxiliaryTenants are further tenants whose tokens travel with each request.
	AuxiliaryTenants []string
	// Transport sends the requests; nil means azcore's own client, which trusts the system's authorities only.
	Transport policy.Transporter
	// Retry is how lost connections and overload are met.
	Retry policy.RetryOptions
	// Name and Version are those of the caller, for the User-Agent header.
	Name, Version string
}

// Client sends requests to one endpoint. It is safe for concurrent use.
type Client struct {
	endpoint string
	pipeline runtime.Pipeline
}

// New returns a client. It makes no request.
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
		// Registering resource providers in somebody's subscription is not for this client, and its look at every 409 fails on one
		// that is not JSON.
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

// Target is the resource that a request is about.
type Target struct {
	ID         string
	APIVersion string
	// IfMatch is the etag that a PUT or DELETE depends on, as the resource shows it; none when empty.
	IfMatch string
	// query is what a link to the next page of a list has beside the api-version.
	query url.Values
}

// send makes one request and returns its answer, whatever its status; an error means that there was none. A nil body is none.
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

// Exists says whether there is a resource of that id. Some services answer 200 or 204 without a body for none.
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

// Put creates or updates the resource and, when longRunning or when the answer says so, waits until the operation that this
// starts has ended. accepted says that ARM took the request: when err is set too, something may exist.
func (c *Client) Put(ctx context.Context, to Target, body any, longRunning bool) (result map[string]any, accepted bool, err error) {
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

// Delete removes the resource; an absent one is a success.
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

// decode reads a JSON object from an answer. An empty body leaves into as it is.
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

// CanonicalEndpoint checks a base URL and cuts the slash at its end. Tokens travel with every request, so only https will do.
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
