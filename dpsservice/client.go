// Package dpsservice is a client of the DPS service API 2021-10-01 and, for entries that name a certificate policy,
// 2026-11-01: individual enrollments, enrollment groups and
// registration records, with etags, paging, bulk operations, retries, a rate limit and kinds of errors.
//
// It does not know Pulumi or the device protocols, and does not validate enrollments: callers decide what to send. It
// shares no types with the emulator, so that the same mistake on both sides cannot go unnoticed.
//
// It uses azcore's pipeline rather than go-retryablehttp because azcore reads Retry-After in all of Azure's forms,
// rewinds bodies, stops at once when the context ends, and supports Microsoft Entra ID credentials as a policy.
//
// Source: deviceprovisioningservices data plane, service.json 2021-10-01 and 2026-11-01.
package dpsservice

import (
	"bytes"
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/runtime"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/streaming"

	"evenkeel/internal/azure/meter"
)

// The versions of the service API. Requests name APIVersion, which every cloud serves, and those about certificate
// policies IssuanceVersion, the first one that knows them: see Collection.WithIssuance.
const (
	APIVersion      = "2021-10-01"
	IssuanceVersion = "2026-11-01"
)

// Pauses and counts of the retries. A throttled request is retried for a long time, one with another failure only
// briefly.
const (
	firstPause      = 400 * time.Millisecond
	throttledTries  = 12
	faultTries      = 2
	longestPause    = 5 * time.Minute // the longest Retry-After that is waited; a longer one fails at once
	dialTimeout     = 15 * time.Second
	responseTimeout = time.Minute
)

// Options select a provisioning service, and how to connect to it and authenticate.
type Options struct {
	// Host is the service's own host name, {name}.azure-devices-provisioning.net. It is used in the URL, the Host
	// header, the TLS server name and the token, whatever Endpoint is.
	Host string
	// PolicyName and Key (base64) sign the requests, unless there is a Credential.
	PolicyName string
	Key        string
	// Credential gets tokens of Microsoft Entra ID for the requests; nil to sign with the key.
	Credential azcore.TokenCredential
	// Endpoint is the https URL of the address to dial instead of Host; empty for Host itself.
	Endpoint string
	// Roots are the certificate authorities to trust; nil for the system's.
	Roots *x509.CertPool
	// RateLimit is the maximum number of requests a minute; 0 for no limit.
	RateLimit int
	// FirstPause is the pause before the first retry when the service gives no Retry-After; 0 means 400 ms. Later
	// pauses grow.
	FirstPause time.Duration
	// Now is the clock for the expiry of tokens; nil for time.Now.
	Now func() time.Time
}

// Client calls one provisioning service. It is safe for concurrent use.
type Client struct {
	host      string
	pipeline  runtime.Pipeline
	transport *http.Transport
	counter   meter.Counter
}

// New returns a client without sending a request.
func New(o Options) (*Client, error) {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.FirstPause == 0 {
		o.FirstPause = firstPause
	}
	transport, err := newTransport(o)
	if err != nil {
		return nil, fmt.Errorf("reach provisioning service %q: %w", o.Host, err)
	}
	authorize, err := newAuthorization(o)
	if err != nil {
		return nil, fmt.Errorf("sign requests to provisioning service %q: %w", o.Host, err)
	}
	perTry := []policy.Policy{runtime.NewRetryPolicy(&policy.RetryOptions{
		MaxRetries: faultTries, RetryDelay: o.FirstPause, MaxRetryDelay: longestPause, ShouldRetry: isTransient,
	})}
	c := &Client{host: o.Host, transport: transport}
	c.pipeline = runtime.NewPipeline("evenkeel/dpsservice", APIVersion,
		runtime.PipelineOptions{PerRetry: append(perTry, meter.Pace(o.RateLimit), authorize, &c.counter, attempts{})},
		&policy.ClientOptions{
			Transport: &http.Client{Transport: transport, Timeout: responseTimeout, CheckRedirect: refuseRedirect},
			Retry: policy.RetryOptions{
				MaxRetries: throttledTries, RetryDelay: o.FirstPause, MaxRetryDelay: longestPause,
				ShouldRetry: isThrottled,
			},
		})
	return c, nil
}

// Requests returns how many requests the client has sent to the service, retries included.
func (c *Client) Requests() int { return c.counter.Sent() }

// Host returns the host name of the provisioning service.
func (c *Client) Host() string { return c.host }

// Close ends idle connections.
func (c *Client) Close() { c.transport.CloseIdleConnections() }

// newTransport dials o.Endpoint when it is set; TLS still asks for the certificate of the host in the URL.
func newTransport(o Options) (*http.Transport, error) {
	dialer := &net.Dialer{Timeout: dialTimeout}
	transport := &http.Transport{
		Proxy:                 http.ProxyFromEnvironment,
		DialContext:           dialer.DialContext,
		TLSClientConfig:       &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: o.Roots},
		ForceAttemptHTTP2:     true,
		MaxIdleConnsPerHost:   64,
		IdleConnTimeout:       90 * time.Second,
		TLSHandshakeTimeout:   dialTimeout,
		ResponseHeaderTimeout: responseTimeout,
	}
	if o.Endpoint == "" {
		return transport, nil
	}
	address, err := endpointAddress(o.Endpoint)
	if err != nil {
		return nil, err
	}
	transport.Proxy = nil
	transport.DialContext = func(ctx context.Context, network, _ string) (net.Conn, error) {
		return dialer.DialContext(ctx, network, address)
	}
	return transport, nil
}

func endpointAddress(endpoint string) (string, error) {
	u, err := url.Parse(endpoint)
	if err != nil || u.Scheme != "https" || u.Hostname() == "" || (u.Path != "" && u.Path != "/") {
		return "", fmt.Errorf("endpoint %q is not an https URL of a host and a port", endpoint)
	}
	port := u.Port()
	if port == "" {
		port = "443"
	}
	return net.JoinHostPort(u.Hostname(), port), nil
}

// refuseRedirect prevents sending the token to another host.
func refuseRedirect(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }

// call is one request to the service.
type call struct {
	method string
	// path is escaped and begins with a slash.
	path   string
	header map[string]string
	// version is the api-version; APIVersion when empty.
	version string
	// body is sent as JSON; nil sends no body.
	body any
	// accept is the status of a successful answer.
	accept int
}

// send makes the call, decodes its answer into out (when not nil) and returns the answer's header.
func (c *Client) send(ctx context.Context, k call, out any) (http.Header, error) {
	header, _, err := c.exchange(ctx, k, out)
	return header, err
}

// exchange is send, and reports whether an answer was lost: then the request was sent more than once, or the error is
// also an ErrUncertain.
func (c *Client) exchange(ctx context.Context, k call, out any) (header http.Header, lost bool, err error) {
	var tries attempt
	header, err = c.roundTrip(context.WithValue(ctx, attemptKey{}, &tries), &tries, k, out)
	if lost = tries.lost.Load(); err != nil && lost {
		err = mark(err, ErrUncertain)
	}
	return header, lost, err
}

func (c *Client) roundTrip(ctx context.Context, tries *attempt, k call, out any) (http.Header, error) {
	request, err := runtime.NewRequest(ctx, k.method, "https://"+c.host+k.path+"?api-version="+
		cmp.Or(k.version, APIVersion))
	if err != nil {
		return nil, fmt.Errorf("%s %s: %w", k.method, k.path, err)
	}
	request.Raw().Header.Set("Accept", "application/json")
	for name, value := range k.header {
		request.Raw().Header.Set(name, value)
	}
	if k.body != nil {
		body, err := json.Marshal(k.body)
		if err != nil {
			return nil, fmt.Errorf("%s %s: %w", k.method, k.path, err)
		}
		if err := request.SetBody(streaming.NopCloser(bytes.NewReader(body)),
			"application/json; charset=utf-8"); err != nil {
			return nil, fmt.Errorf("%s %s: %w", k.method, k.path, err)
		}
	}
	response, err := c.pipeline.Do(request)
	if answer := tries.answer.Load(); answer != nil {
		response, err = answer, nil // azcore drops an answer if the context ends at the same time
	}
	if err != nil {
		kind := connectionKind(err)
		if name := (*net.DNSError)(nil); errors.As(err, &name) && !strings.EqualFold(strings.TrimSuffix(name.Name, "."),
			c.host) {
			kind = nil // a login's, or an endpoint's
		}
		if whole := (*url.Error)(nil); errors.As(err, &whole) {
			err = whole.Err // the rest names the request again
		}
		return nil, mark(fmt.Errorf("%s %s at %s: %w", k.method, k.path, c.host, err), kind)
	}
	payload, err := runtime.Payload(response)
	if err != nil {
		return nil, fmt.Errorf("%s %s at %s: %w", k.method, k.path, c.host, err)
	}
	if response.StatusCode != k.accept {
		return nil, newError(c.host, k, response, payload)
	}
	if out != nil {
		if err := json.Unmarshal(payload, out); err != nil {
			return nil, mark(fmt.Errorf("%s %s at %s: read the answer: %w", k.method, k.path, c.host, err),
				ErrUncertain)
		}
	}
	return response.Header, nil
}
