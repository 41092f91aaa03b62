// Package hub is a client of the IoT Hub device registry, api-version 2021-04-12. It lists, reads and deletes the
// devices of one hub.
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
		runtime.PipelineOptions{PerRetry: []policy.Policy{authorization}},
		&policy.ClientOptions{Transport: &http.Client{Transport: transport},
			Telemetry: policy.TelemetryOptions{Disabled: true}})
	return c, nil
}

// Close closes idle connections.
func (c *Client) Close() { c.transport.CloseIdleConnections() }

// newAuthorization returns the policy that authorizes requests with a token of Microsoft Entra ID, or else with a
// signature.
func newAuthorization(o Options) (policy.Policy, error) {
	if o.Credential != nil {
		return runtime.NewBearerTokenPolicy(o.Credential, []string{domain.HubScope}, nil), nil
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

// Remove deletes up to BulkSize devices from the registry, regardless of their etags.
func (c *Client) Remove(ctx context.Context, ids []string) error {
	type entry struct {
		ID         string `json:"id"`
		ImportMode string `json:"importMode"`
	}
	var entries []entry
	for _, id := range ids {
		entries = append(entries, entry{id, "delete"})
	}
	_, err := c.send(ctx, http.MethodPost, "/devices", nil, entries, nil)
	return err
}

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
	case response.StatusCode == http.StatusNotFound && strings.Contains(response.Header.Get("iothub-errorcode")+
		string(text), "DeviceNotFound"):
		return nil, fmt.Errorf("%s: %w", what, ErrNotFound)
	case response.StatusCode == http.StatusUnauthorized || response.StatusCode == http.StatusForbidden:
		return nil, fmt.Errorf("%s: %w: %s: %.500s", what, ErrUnauthorized, response.Status,
			strings.TrimSpace(string(text)))
	case response.StatusCode/100 != 2:
		return nil, fmt.Errorf("%s: %s: %.500s", what, response.Status, strings.TrimSpace(string(text)))
	case out == nil:
		return response.Header, nil
	}
	if err := json.Unmarshal(text, out); err != nil {
		return nil, fmt.Errorf("%s: read the answer: %w", what, err)
	}
	return response.Header, nil
}
