package registration

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"time"

	"evenkeel/emulator/internal/state"
	"evenkeel/emulator/internal/strictjson"
)

// Limits of a webhook call. Fidelity: ours; Azure documents neither its timeout nor whether it retries. We do not
// retry.
const (
	defaultWebhookTimeout = 5 * time.Second
	maxWebhookAnswer      = 256 << 10
)

// Webhooks configures the webhook calls of custom allocation.
type Webhooks struct {
	// Timeout limits a call from the dial to the last byte of the response. Zero means 5 s.
	Timeout time.Duration
	// Transport sends the calls. Nil means http.DefaultTransport.
	Transport http.RoundTripper
	// Entry returns an enrollment or a group (the other is nil) as the service API does, without keys. It is required
	// for custom allocation.
	Entry func(*state.Enrollment, *state.EnrollmentGroup) (json.RawMessage, error)
	// Certificate returns the description of a certificate in DER, as the service API does. It is required together
	// with Entry.
	Certificate func(der []byte) (json.RawMessage, error)
}

// ErrOwnAddress is the error with which Webhooks.Transport refuses an address of the emulator itself. Otherwise
// anyone who can write an enrollment could make the emulator call itself with the rights of a local client.
var ErrOwnAddress = errors.New("the address is the emulator's own")

// allocationRequest is the body of a webhook call ("Understand custom allocation policies" in the documentation of
// IoT DPS).
type allocationRequest struct {
	Individual json.RawMessage      `json:"individualEnrollment,omitempty"`
	Group      json.RawMessage      `json:"enrollmentGroup,omitempty"`
	Device     deviceRuntimeContext `json:"deviceRuntimeContext"`
	LinkedHubs []string             `json:"linkedHubs"`
}

type deviceRuntimeContext struct {
	RegistrationID  string          `json:"registrationId"`
	CurrentHub      string          `json:"currentIotHubHostName,omitempty"`
	CurrentDeviceID string          `json:"currentDeviceId,omitempty"`
	SymmetricKey    *struct{}       `json:"symmetricKey,omitempty"`
	X509            *x509Context    `json:"x509,omitempty"`
	TPM             *tpmBody        `json:"tpm,omitempty"`
	Payload         json.RawMessage `json:"payload,omitempty"`
}

// x509Context is X509DeviceAttestation: the leaf that the device presented.
type x509Context struct {
	ClientCertificates struct {
		Primary json.RawMessage `json:"primary"`
	} `json:"clientCertificates"`
}

// allocationResponse is the response of a webhook. Members are case-insensitive: Azure's documentation spells the
// first one in two ways.
type allocationResponse struct {
	IotHubHostName string          `json:"iotHubHostName"`
	InitialTwin    json.RawMessage `json:"initialTwin"`
	Payload        json.RawMessage `json:"payload"`
}

// allocationError is why a webhook chose no hub, as the device receives it.
type allocationError string

func (e allocationError) Error() string { return "Custom allocation failed" + string(e) }

// decide returns the call of the webhook of m's enrollment, or nil if it has no webhook.
//
// Fidelity: on Azure the definition's apiVersion selects the format of the entry; here it selects between those of
// 2021-10-01 and 2026-11-01.
func (a *API) decide(m match) func(context.Context, state.AllocationInput) (state.AllocationAnswer, error) {
	var hook *state.Webhook
	if m.enrollment != nil {
		hook = m.enrollment.Webhook
	} else {
		hook = m.group.Webhook
	}
	if hook == nil || a.opts.Webhooks.Entry == nil {
		return nil
	}
	return func(ctx context.Context, in state.AllocationInput) (state.AllocationAnswer, error) {
		body, err := a.question(m, in)
		if err != nil {
			return state.AllocationAnswer{}, err
		}
		return a.ask(ctx, hook.URL, body)
	}
}

// question returns the request's body.
func (a *API) question(m match, in state.AllocationInput) ([]byte, error) {
	entry, err := a.opts.Webhooks.Entry(m.enrollment, m.group)
	if err != nil {
		return nil, fmt.Errorf("describe the enrollment: %w", err)
	}
	request := allocationRequest{
		Individual: entry, LinkedHubs: in.LinkedHubs,
		Device: deviceRuntimeContext{
			RegistrationID: in.RegistrationID, CurrentHub: in.CurrentHub, CurrentDeviceID: in.CurrentDeviceID,
			Payload: in.Payload,
		},
	}
	if m.group != nil {
		request.Individual, request.Group = nil, entry
	}
	switch {
	case m.challenge != nil:
		request.Device.TPM = &m.challenge.tpm
	case m.leaf != nil:
		info, err := a.opts.Webhooks.Certificate(m.leaf.Raw)
		if err != nil {
			return nil, fmt.Errorf("describe the device's certificate: %w", err)
		}
		request.Device.X509 = &x509Context{}
		request.Device.X509.ClientCertificates.Primary = info
	default:
		// Azure sends an empty object, without the keys.
		request.Device.SymmetricKey = &struct{}{}
	}
	return json.Marshal(request)
}

// ask calls a webhook. Devices receive its errors, which never contain the query of the address, because it usually
// is a key.
func (a *API) ask(ctx context.Context, address string, body []byte) (state.AllocationAnswer, error) {
	timeout := a.opts.Webhooks.Timeout
	if timeout <= 0 {
		timeout = defaultWebhookTimeout
	}
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, address, bytes.NewReader(body))
	if err != nil {
		return state.AllocationAnswer{}, allocationError(": the address of the webhook is invalid.")
	}
	request.Header.Set("Content-Type", "application/json; charset=utf-8")
	request.Header.Set("Accept", "application/json")
	client := &http.Client{
		Transport:     a.opts.Webhooks.Transport,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	response, err := client.Do(request)
	if err != nil {
		return state.AllocationAnswer{}, unreachable(ctx, err, timeout)
	}
	defer response.Body.Close()
	if response.StatusCode < 200 || response.StatusCode > 299 {
		// Azure/iotedge issue 3233.
		return state.AllocationAnswer{}, allocationError(fmt.Sprintf(" with status code: %d", response.StatusCode))
	}
	text, err := io.ReadAll(io.LimitReader(response.Body, maxWebhookAnswer+1))
	switch {
	case err != nil:
		return state.AllocationAnswer{}, unreachable(ctx, err, timeout)
	case len(text) > maxWebhookAnswer:
		return state.AllocationAnswer{}, allocationError(
			fmt.Sprintf(": the webhook's response is larger than %d bytes.", maxWebhookAnswer))
	}
	var answer allocationResponse
	if strictjson.Check(text) != nil || json.Unmarshal(text, &answer) != nil {
		return state.AllocationAnswer{}, allocationError(": the webhook's response is not a valid allocation response.")
	}
	return state.AllocationAnswer{HubHost: answer.IotHubHostName, InitialTwin: orNil(answer.InitialTwin),
		Payload: orNil(answer.Payload)}, nil
}

// unreachable says why there was no answer.
func unreachable(ctx context.Context, err error, timeout time.Duration) error {
	if errors.Is(ctx.Err(), context.DeadlineExceeded) {
		return allocationError(fmt.Sprintf(": the webhook did not respond within %s.", timeout))
	}
	if errors.Is(err, ErrOwnAddress) {
		return allocationError(": the address of the webhook is the emulator's own.")
	}
	var outer *url.Error
	if errors.As(err, &outer) {
		err = outer.Err
	}
	return allocationError(fmt.Sprintf(": the webhook could not be called: %v.", err))
}

// orNil makes a JSON null nothing.
func orNil(text json.RawMessage) []byte {
	if bytes.Equal(bytes.TrimSpace(text), []byte("null")) {
		return nil
	}
	return text
}
