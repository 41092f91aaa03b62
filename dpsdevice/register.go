package dpsdevice

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"time"
)

// Transport is the protocol of a registration.
type Transport int

// The transports.
const (
	MQTT Transport = iota
	HTTPS
)

// Options are the options of Register.
type Options struct {
	// Host is the service's host; GlobalHost when empty.
	Host string
	// IDScope selects the provisioning service.
	IDScope string
	// RegistrationID is the device's name there. Write it in lower case: keys are derived from its spelling.
	RegistrationID string
	Credential     Credential
	Transport      Transport
	// CSR asks for a certificate for the hub: a certificate signing request in DER, as NewCSR makes one. Nil asks for
	// none.
	CSR []byte
	// Payload is passed to a custom allocation webhook; nil for no payload.
	Payload json.RawMessage
	Network Network
	// Now is the clock for the expiry of tokens; nil for time.Now.
	Now func() time.Time
}

// Registration is the result of a registration.
type Registration struct {
	RegistrationID string
	// Hub is the assigned hub's host name, as the service sends it.
	Hub      string
	DeviceID string
	// Substatus is how the device was assigned: initialAssignment, deviceDataMigrated, deviceDataReset or
	// reprovisionedToInitialAssignment.
	Substatus        string
	Created, Updated time.Time
	ETag             string
	// IssuedChain is the certificate that Options.CSR asked for, with those above it up to the root: DER, the device's
	// own first. Nil without a request. Only the result of the registration has it; see Registration.Certificate.
	IssuedChain [][]byte
	// Payload is what a custom allocation webhook returned for the device.
	Payload json.RawMessage
}

// answer is a reply of the service to a register or poll request.
type answer struct {
	status     int
	retryAfter time.Duration // negative without a Retry-After
	body       []byte
}

// registrar sends requests to the service over one transport.
type registrar interface {
	register(ctx context.Context, body []byte) (answer, error)
	poll(ctx context.Context, operation string) (answer, error)
	close()
}

// operation is the body of a successful reply (RegistrationOperationStatus of 2026-11-01).
type operation struct {
	OperationID       string `json:"operationId"`
	Status            string `json:"status"`
	RegistrationState *struct {
		RegistrationID string          `json:"registrationId"`
		AssignedHub    string          `json:"assignedHub"`
		DeviceID       string          `json:"deviceId"`
		Status         string          `json:"status"`
		Substatus      string          `json:"substatus"`
		Created        time.Time       `json:"createdDateTimeUtc"`
		Updated        time.Time       `json:"lastUpdatedDateTimeUtc"`
		ErrorCode      int             `json:"errorCode"`
		ErrorMessage   string          `json:"errorMessage"`
		ETag           string          `json:"etag"`
		IssuedChain    []string        `json:"issuedCertificateChain"`
		Payload        json.RawMessage `json:"payload"`
	} `json:"registrationState"`
}

// version is the api-version of the registration: the first stable one with certificate signing requests when there is
// one, and otherwise an older one that every cloud serves.
func (o Options) version() string {
	if o.CSR != nil {
		return csrVersion
	}
	return registrationVersion
}

// Register registers the device and waits until it is assigned to a hub. A refusal is an *Error. Throttled requests and
// server errors are retried, after the service's Retry-After, until ctx ends.
func Register(ctx context.Context, o Options) (Registration, error) {
	if o.Host == "" {
		o.Host = GlobalHost
	}
	registration, err := register(ctx, o)
	if err != nil {
		return Registration{}, fmt.Errorf("register %q: %w", o.RegistrationID, err)
	}
	return registration, nil
}

func register(ctx context.Context, o Options) (Registration, error) {
	if o.IDScope == "" || o.RegistrationID == "" {
		return Registration{}, errors.New("the id scope or the registration id is empty")
	}
	if err := o.Credential.check(); err != nil {
		return Registration{}, err
	}
	body, err := json.Marshal(struct {
		RegistrationID string          `json:"registrationId"`
		CSR            []byte          `json:"csr,omitempty"` // in base64, as the service wants it
		Payload        json.RawMessage `json:"payload,omitempty"`
	}{o.RegistrationID, o.CSR, o.Payload})
	if err != nil {
		return Registration{}, fmt.Errorf("payload: %w", err)
	}
	open := openMQTT
	if o.Transport == HTTPS {
		open = openHTTPS
	}
	service, err := open(ctx, o)
	if err != nil {
		return Registration{}, err
	}
	defer service.close()
	registration, err := converse(ctx, service, body)
	if err == nil && o.CSR != nil && registration.IssuedChain == nil {
		err = errNotIssued
	}
	return registration, err
}

// converse registers and polls until the service has decided.
func converse(ctx context.Context, service registrar, body []byte) (Registration, error) {
	id := ""
	for {
		var reply answer
		var err error
		if id == "" {
			reply, err = service.register(ctx, body)
		} else {
			reply, err = service.poll(ctx, id)
		}
		if err != nil {
			return Registration{}, err
		}
		wait := reply.retryAfter
		if wait < 0 {
			wait = pollDefault
		}
		if reply.status == http.StatusTooManyRequests || reply.status >= http.StatusInternalServerError {
			if err := pause(ctx, wait); err != nil {
				return Registration{}, errors.Join(err, refusal(reply.status, reply.body))
			}
			continue
		}
		if reply.status >= http.StatusMultipleChoices {
			return Registration{}, refusal(reply.status, reply.body)
		}
		var op operation
		if err := json.Unmarshal(reply.body, &op); err != nil {
			return Registration{}, fmt.Errorf("read the answer of the service: %w", err)
		}
		// The device SDKs continue to poll on both.
		if op.Status != "assigning" && op.Status != "unassigned" {
			return op.result()
		}
		if op.OperationID != "" {
			id = op.OperationID
		}
		if err := pause(ctx, wait); err != nil {
			return Registration{}, err
		}
	}
}

func (op operation) result() (Registration, error) {
	state := op.RegistrationState
	if op.Status != "assigned" {
		refused := &Error{Status: http.StatusOK, Message: "the registration is " + op.Status}
		if state != nil && (state.ErrorCode != 0 || state.ErrorMessage != "") {
			refused.Code, refused.Message = state.ErrorCode, state.ErrorMessage
		}
		return Registration{}, refused
	}
	if state == nil || state.AssignedHub == "" || state.DeviceID == "" {
		return Registration{}, errors.New("the service says assigned, but not to which hub")
	}
	chain, err := readChain(state.IssuedChain)
	if err != nil {
		return Registration{}, err
	}
	return Registration{
		RegistrationID: state.RegistrationID, Hub: state.AssignedHub, DeviceID: state.DeviceID,
		Substatus: state.Substatus,
		Created:   state.Created, Updated: state.Updated, ETag: state.ETag, IssuedChain: chain, Payload: state.Payload,
	}, nil
}
