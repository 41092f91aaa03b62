package dpsservice

import (
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"slices"
	"strings"
)

// The kinds of refusals that callers distinguish with errors.Is.
var (
	// ErrNotFound: the service itself answers that the entry does not exist. A 404 from anything else, such as a proxy,
	// is not an ErrNotFound.
	ErrNotFound = errors.New("not found")
	// ErrConflict: the entry exists, or another client is changing it.
	ErrConflict = errors.New("conflict")
	// ErrPrecondition: the entry's etag is no longer the one that If-Match named.
	ErrPrecondition = errors.New("changed in the meantime")
	// ErrThrottled: the service still throttles the request after all retries.
	ErrThrottled = errors.New("throttled")
	// ErrUnauthorized: the credential is not accepted, or lacks a right.
	ErrUnauthorized = errors.New("not authorized")
	// ErrNoHost: the service's host name does not resolve.
	ErrNoHost = errors.New("no such host")
	// ErrUntrusted: the server's certificate is not trusted.
	ErrUntrusted = errors.New("not trusted")
	// ErrUnreachable: the connection failed.
	ErrUnreachable = errors.New("not reachable")
	// ErrUncertain: it is unknown whether the request was carried out. It accompanies the error that gives the cause.
	ErrUncertain = errors.New("perhaps carried out")
)

// Error is a refusal by the service: ProvisioningServiceErrorDetails of the service API 2021-10-01.
type Error struct {
	// Method, Host and Path are those of the request, without query.
	Method, Host, Path string
	// Status is the HTTP status.
	Status int
	// Code is the service's error code, such as 404201, or 0 when the answer does not have the service's format.
	Code int
	// Message and TrackingID are the service's; empty when absent.
	Message, TrackingID string
}

// Error returns the request, the answer and the tracking id.
func (e *Error) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s %s at %s: %d %s", e.Method, e.Path, e.Host, e.Status, http.StatusText(e.Status))
	if e.Message != "" {
		fmt.Fprintf(&b, ": %s", e.Message)
	}
	if e.Code != 0 {
		fmt.Fprintf(&b, " (code %d", e.Code)
		if e.TrackingID != "" {
			fmt.Fprintf(&b, ", tracking id %s", e.TrackingID)
		}
		b.WriteString(")")
	}
	return b.String()
}

// Is reports whether the refusal is of the kind target.
func (e *Error) Is(target error) bool {
	switch target {
	case ErrNotFound:
		return e.Status == http.StatusNotFound && e.Code/1000 == http.StatusNotFound
	case ErrConflict:
		return e.Status == http.StatusConflict
	case ErrPrecondition:
		return e.Status == http.StatusPreconditionFailed
	case ErrThrottled:
		return e.Status == http.StatusTooManyRequests
	case ErrUnauthorized:
		return e.Status == http.StatusUnauthorized || e.Status == http.StatusForbidden
	default:
		return false
	}
}

func newError(host string, k call, response *http.Response, payload []byte) *Error {
	e := &Error{Method: k.method, Host: host, Path: k.path, Status: response.StatusCode}
	var details struct {
		ErrorCode  int    `json:"errorCode"`
		TrackingID string `json:"trackingId"`
		Message    string `json:"message"`
	}
	if json.Unmarshal(payload, &details) == nil {
		e.Code, e.Message, e.TrackingID = details.ErrorCode, details.Message, details.TrackingID
	}
	return e
}

// isThrottled reports whether the service throttled the request, which is then retried for a long time.
func isThrottled(response *http.Response, err error) bool {
	return err == nil && (response.StatusCode == http.StatusTooManyRequests ||
		response.StatusCode == http.StatusServiceUnavailable)
}

// isTransient reports whether a failure is worth a few retries. Every call of this API may be repeated: a PUT sends
// the whole entry, and callers that send If-Match must expect that a 412 is the effect of their own first attempt.
func isTransient(response *http.Response, err error) bool {
	if err != nil {
		return !isPermanent(err)
	}
	return slices.Contains([]int{
		http.StatusRequestTimeout, http.StatusInternalServerError, http.StatusBadGateway, http.StatusGatewayTimeout,
	}, response.StatusCode)
}

// isPermanent reports whether a retry of a failure without an answer would fail in the same way.
func isPermanent(err error) bool {
	kind := connectionKind(err)
	return kind == ErrUntrusted || kind == ErrNoHost
}

// connectionKind returns why a request got no connection, or nil for other failures.
func connectionKind(err error) error {
	var untrusted *tls.CertificateVerificationError
	var name *net.DNSError
	var dial *net.OpError
	switch {
	case errors.As(err, &untrusted):
		return ErrUntrusted
	case errors.As(err, &name) && name.IsNotFound:
		return ErrNoHost
	case errors.As(err, &dial) && dial.Op == "dial":
		return ErrUnreachable
	}
	return nil
}

// marked is an error that is also of a kind.
type marked struct {
	error
	kind error
}

// mark makes the error also one of the kind; a nil error stays nil.
func mark(err, kind error) error {
	if err == nil || kind == nil {
		return err
	}
	return &marked{err, kind}
}

// Unwrap returns what went wrong.
func (e *marked) Unwrap() error { return e.error }

// Is reports whether target is the kind.
func (e *marked) Is(target error) bool { return target == e.kind }
