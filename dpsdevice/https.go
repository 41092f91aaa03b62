package dpsdevice

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"evenkeel/internal/azure/sas"
)

// maxAnswer limits the size of an answer.
const maxAnswer = 1 << 20

// httpsRegistrar calls the device API over HTTPS.
type httpsRegistrar struct {
	client *http.Client
	base   string // https://host/scope/registrations/id
	// version is the api-version of every request.
	version string
	token   string // "" with a certificate
}

func openHTTPS(_ context.Context, o Options) (registrar, error) {
	token, err := o.Credential.password(o.IDScope+"/registrations/"+o.RegistrationID, sas.Policy, clock(o.Now))
	if err != nil {
		return nil, err
	}
	transport := &http.Transport{
		Proxy: http.ProxyFromEnvironment, TLSClientConfig: o.Network.tls(o.Host, o.Credential),
		TLSHandshakeTimeout: 30 * time.Second,
		DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
			dialer := net.Dialer{Timeout: 30 * time.Second}
			return dialer.DialContext(ctx, network, o.Network.address(o.Host, httpsPort))
		},
	}
	if o.Network.Address != nil {
		transport.Proxy = nil // the address was chosen by the caller
	} else {
		transport.DialContext = nil // a proxy's address must be dialled as it is
	}
	base := url.URL{Scheme: "https", Host: o.Host, Path: "/" + o.IDScope + "/registrations/" + o.RegistrationID}
	return &httpsRegistrar{&http.Client{Transport: transport, Timeout: time.Minute}, base.String(), o.version(), token},
		nil
}

func (h *httpsRegistrar) close() { h.client.CloseIdleConnections() }

func (h *httpsRegistrar) register(ctx context.Context, body []byte) (answer, error) {
	return h.do(ctx, http.MethodPut, "/register", body)
}

func (h *httpsRegistrar) poll(ctx context.Context, operation string) (answer, error) {
	return h.do(ctx, http.MethodGet, "/operations/"+url.PathEscape(operation), nil)
}

func (h *httpsRegistrar) do(ctx context.Context, method, path string, body []byte) (answer, error) {
	request, err := http.NewRequestWithContext(ctx, method, h.base+path+"?api-version="+h.version,
		bytes.NewReader(body))
	if err != nil {
		return answer{}, fmt.Errorf("make the request: %w", err)
	}
	request.Header.Set("Accept", "application/json")
	request.Header.Set("Content-Type", "application/json; charset=utf-8")
	if h.token != "" {
		request.Header.Set("Authorization", h.token)
	}
	response, err := h.client.Do(request)
	if err != nil {
		return answer{}, err // its text holds method and URL, no header
	}
	defer func() { _ = response.Body.Close() }()
	text, err := io.ReadAll(io.LimitReader(response.Body, maxAnswer))
	if err != nil {
		return answer{}, fmt.Errorf("read the answer: %w", err)
	}
	return answer{response.StatusCode, seconds(response.Header.Get("Retry-After")), text}, nil
}

// seconds parses a delay in seconds. It returns a negative number for an empty or invalid one.
func seconds(text string) time.Duration {
	n, err := strconv.Atoi(strings.TrimSpace(text))
	if err != nil || n < 0 {
		return -1
	}
	return time.Duration(n) * time.Second
}
