// Package hub is a client of the service API of one IoT hub, api-version 2021-04-12. It lists, reads, counts and
// deletes devices, reads their twins, and calls their direct methods.
//
// It does not act as a device and sends no messages. It shares no types with the emulator, so that a mistake here is
// not hidden by the same mistake there.
package hub

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/runtime"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/streaming"

	"evenkeel/internal/azure/domain"
	"evenkeel/internal/azure/meter"
	"evenkeel/internal/azure/sas"
)

// APIVersion is the api-version of every request.
const APIVersion = "2021-04-12"

// BulkSize is the maximum number of devices in a bulk operation.
const BulkSize = 100

// tokenLife is how long the token of a request is valid. Each request has its own token.
const tokenLife = 10 * time.Minute

// Sentinel errors.
var (
	// ErrNotFound is the error for a device that does not exist on the hub.
	ErrNotFound = errors.New("not found")
	// ErrUnauthorized is the error for a credential that the hub does not accept, or that lacks a right.
	ErrUnauthorized = errors.New("not authorized")
)

// Options identify a hub and the credentials for it.
type Options struct {
	// Host is the hub's own host name, {name}.azure-devices.net, whatever Endpoint is.
	Host string
	// PolicyName and Key (base64) sign the requests, unless there is a Credential; the policy needs RegistryRead,
	// RegistryWrite and ServiceConnect.
	PolicyName, Key string
	// Credential gets tokens of Microsoft Entra ID for the requests; nil to sign with the key. Its account needs the
	// role IoT Hub Data Contributor.
	Credential azcore.TokenCredential
	// RateLimit is the maximum number of requests a minute; 0 for no limit.
	RateLimit int
	// Endpoint is the https URL of the address to dial instead of Host; empty for Host itself.
	Endpoint string
	// Roots are the certificate authorities to trust; nil for the system's.
	Roots *x509.CertPool
}

// Client calls the registry of one hub. It is safe for concurrent use.
type Client struct {
	options   Options
	pipeline  runtime.Pipeline
	transport *http.Transport
	counter   meter.Counter
}

// Device is an entry of the registry. Times are as the hub returns them; the year 1 means never.
type Device struct {
	DeviceID         string `json:"deviceId"`
	Status           string `json:"status"`
	ConnectionState  string `json:"connectionState"`
	LastActivityTime string `json:"lastActivityTime"`
}

// New returns a client without sending a request.
func New(o Options) (*Client, error) {
	authorization, err := newAuthorization(o)
	if err != nil {
		return nil, fmt.Errorf("make a client of %s: %w", o.Host, err)
	}
	transport := &http.Transport{
		Proxy: http.ProxyFromEnvironment, TLSClientConfig: &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: o.Roots},
		MaxIdleConnsPerHost: 16, IdleConnTimeout: 90 * time.Second, ResponseHeaderTimeout: time.Minute,
	}
	if o.Endpoint != "" {
		endpoint, err := url.Parse(o.Endpoint)
		if err != nil || endpoint.Scheme != "https" || endpoint.Port() == "" {
			return nil, fmt.Errorf("make a client of %s: endpoint %q is not an https URL of a host and a port", o.Host,
				o.Endpoint)
		}
		transport.Proxy = nil
		transport.DialContext = func(ctx context.Context, network, _ string) (net.Conn, error) {
			return (&net.Dialer{Timeout: 15 * time.Second}).DialContext(ctx, network, endpoint.Host)
		}
	}
	c := &Client{options: o, transport: transport}
	c.pipeline = runtime.NewPipeline("evenkeel-hub", "v1",
		runtime.PipelineOptions{PerRetry: []policy.Policy{meter.Pace(o.RateLimit), authorization, &c.counter}},
		&policy.ClientOptions{Transport: &http.Client{Transport: transport},
			Telemetry: policy.TelemetryOptions{Disabled: true}})
	return c, nil
}

// Close closes idle connections.
func (c *Client) Close() { c.transport.CloseIdleConnections() }

// Requests returns how many requests the client has sent to the hub, retries included.
func (c *Client) Requests() int { return c.counter.Sent() }

// newAuthorization returns the policy that authorizes requests with a token of Microsoft Entra ID, or else with a
// signature.
func newAuthorization(o Options) (policy.Policy, error) {
	if o.Credential != nil {
		return runtime.NewBearerTokenPolicy(o.Credential, []string{domain.HubScope(o.Host)}, nil), nil
	}
	_, err := sas.New(o.Host, o.PolicyName, o.Key, time.Now().Add(tokenLife))
	return signer(o), err
}

// signer adds a shared access signature to each attempt.
type signer Options

// Do signs the request and sends it.
func (s signer) Do(request *policy.Request) (*http.Response, error) {
	token, err := sas.New(s.Host, s.PolicyName, s.Key, time.Now().Add(tokenLife))
	if err != nil {
		return nil, err
	}
	request.Raw().Header.Set("Authorization", token)
	return request.Next()
}

// Device returns a device, or ErrNotFound if it does not exist.
func (c *Client) Device(ctx context.Context, id string) (Device, error) {
	var device Device
	_, err := c.send(ctx, http.MethodGet, "/devices/"+url.PathEscape(id), nil, nil, &device)
	return device, err
}

// Twin is the part of a device's twin that the hub writes, and the state of the device. Times are as the hub returns
// them; the year 1 means never.
type Twin struct {
	DeviceID         string `json:"deviceId"`
	Version          int    `json:"version"`
	Status           string `json:"status"`
	ConnectionState  string `json:"connectionState"`
	LastActivityTime string `json:"lastActivityTime"`
}

// Twin returns a device's twin, or ErrNotFound if the device does not exist.
func (c *Client) Twin(ctx context.Context, id string) (Twin, error) {
	var twin Twin
	_, err := c.send(ctx, http.MethodGet, "/twins/"+url.PathEscape(id), nil, nil, &twin)
	return twin, err
}

// IDs yields the ids of all devices, page by page. It ends at the first error.
func (c *Client) IDs(ctx context.Context) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		header := map[string]string{}
		for {
			var page []Device
			answer, err := c.send(ctx, http.MethodPost, "/devices/query", header,
				map[string]string{"query": "SELECT * FROM devices"}, &page)
			if err != nil {
				yield("", err)
				return
			}
			for _, device := range page {
				if !yield(device.DeviceID, nil) {
					return
				}
			}
			next := answer.Get("x-ms-continuation")
			if next == "" {
				return
			}
			header["x-ms-continuation"] = next
		}
	}
}

// Remove deletes up to BulkSize devices from the registry, regardless of their etags. Devices that do not exist are an
// error; the others are deleted nevertheless.
func (c *Client) Remove(ctx context.Context, ids []string) error {
	result, err := c.removeAll(ctx, ids)
	if err == nil && !result.Successful {
		err = fmt.Errorf("delete devices at %s: %d of %d failed, the first with %v", c.options.Host,
			len(result.Errors), len(ids), result.first())
	}
	return err
}

// RemoveAny is Remove for devices of which some may not exist. It returns how many did.
func (c *Client) RemoveAny(ctx context.Context, ids []string) (removed int, err error) {
	result, err := c.removeAll(ctx, ids)
	refused := &refusal{}
	if errors.As(err, &refused) && refused.status == http.StatusBadRequest {
		if json.Unmarshal([]byte(refused.body), &result) != nil || len(result.Errors) == 0 {
			return 0, err
		}
		err = nil
	}
	if err != nil {
		return 0, err
	}
	for _, one := range result.Errors {
		// The code is a name; ErrorCode.cs of the SDKs has its number.
		if code := fmt.Sprint(one.Code); code != "DeviceNotFound" && code != "404001" {
			return 0, fmt.Errorf("delete device %q at %s: %s", one.DeviceID, c.options.Host, code)
		}
	}
	return len(ids) - len(result.Errors), nil
}

// bulkResult is BulkRegistryOperationResult. It comes with status 200 or 400 if an entry failed.
type bulkResult struct {
	Successful bool `json:"isSuccessful"`
	Errors     []struct {
		DeviceID string `json:"deviceId"`
		Code     any    `json:"errorCode"`
	} `json:"errors"`
}

func (r bulkResult) first() any {
	if len(r.Errors) == 0 {
		return "no reason"
	}
	return r.Errors[0].Code
}

func (c *Client) removeAll(ctx context.Context, ids []string) (result bulkResult, err error) {
	_, err = c.send(ctx, http.MethodPost, "/devices", nil, deletions(ids), &result)
	return result, err
}

// deletion is an entry of a bulk operation.
type deletion struct {
	ID         string `json:"id"`
	ImportMode string `json:"importMode"`
}

func deletions(ids []string) []deletion {
	var entries []deletion
	for _, id := range ids {
		entries = append(entries, deletion{id, "delete"})
	}
	return entries
}

// refusal is an answer of the hub that is not a success.
type refusal struct {
	status             int
	what, reason, body string
}

// Error returns the request and the beginning of the answer.
func (r *refusal) Error() string { return fmt.Sprintf("%s: %s: %.500s", r.what, r.reason, r.body) }

func (c *Client) send(ctx context.Context, method, path string, header map[string]string, body, out any) (http.Header,
	error) {
	what := fmt.Sprintf("%s %s at %s", method, path, c.options.Host)
	request, err := runtime.NewRequest(ctx, method, "https://"+c.options.Host+path+"?api-version="+APIVersion)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", what, err)
	}
	for name, value := range header {
		request.Raw().Header.Set(name, value)
	}
	if body != nil {
		text, err := json.Marshal(body)
		if err == nil {
			err = request.SetBody(streaming.NopCloser(bytes.NewReader(text)), "application/json")
		}
		if err != nil {
			return nil, fmt.Errorf("%s: %w", what, err)
		}
	}
	response, err := c.pipeline.Do(request)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", what, err)
	}
	defer func() { _ = response.Body.Close() }()
	text, err := io.ReadAll(io.LimitReader(response.Body, 64<<20))
	switch {
	case err != nil:
		return nil, fmt.Errorf("%s: %w", what, err)
	case response.StatusCode/100 != 2:
		if kind := kindOf(response, string(text)); kind != nil {
			return nil, fmt.Errorf("%s: %w", what, kind)
		}
		said := strings.TrimSpace(string(text))
		if response.StatusCode == http.StatusUnauthorized || response.StatusCode == http.StatusForbidden {
			return nil, fmt.Errorf("%s: %w: %s: %.500s", what, ErrUnauthorized, response.Status, said)
		}
		return nil, &refusal{response.StatusCode, what, response.Status, said}
	case out == nil:
		return response.Header, nil
	}
	if err := json.Unmarshal(text, out); err != nil {
		return nil, fmt.Errorf("%s: read the answer: %w", what, err)
	}
	return response.Header, nil
}

// kindOf returns the kind of a refusal, or nil for other refusals. A status counts only with the hub's own code, which
// is a name in the header and in most bodies, and a number in those of direct methods.
func kindOf(response *http.Response, body string) error {
	said := response.Header.Get("iothub-errorcode") + " " + body
	for _, kind := range []struct {
		status       int
		name, number string
		err          error
	}{
		{http.StatusNotFound, "DeviceNotFound", "404001", ErrNotFound},
		{http.StatusNotFound, "DeviceNotOnline", "404103", ErrOffline},
		{http.StatusGatewayTimeout, "GatewayTimeout", "504101", ErrNoAnswer},
	} {
		if response.StatusCode == kind.status && (strings.Contains(said, kind.name) ||
			strings.Contains(said, kind.number)) {
			return kind.err
		}
	}
	return nil
}
