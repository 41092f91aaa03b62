package registration

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"mime"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"
)

// maxBody is Azure's limit of a device's message: 96 KB.
const maxBody = 96 << 10

// answer is what the HTTPS front says: a status, a body, and whether the device is to come again.
type answer struct {
	status   int
	body     any
	location string
	again    bool
}

// ServeHTTP answers RegisterDevice, OperationStatusLookup and DeviceRegistrationStatusLookup of api-version 2019-03-31 and later.
func (a *API) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	got, err := a.serve(w, r)
	h := w.Header()
	h.Set("Content-Type", "application/json; charset=utf-8")
	h.Set("x-ms-request-id", uuid.NewString())
	if err != nil {
		refused := asWire(err)
		body := a.errorBody(refused)
		h.Set("x-ms-error-code", strconv.Itoa(refused.code))
		h.Set("x-ms-request-id", body.TrackingID)
		got = answer{status: refused.status, body: body, again: refused.status == http.StatusTooManyRequests}
	}
	if got.location != "" {
		h.Set("Location", got.location)
	}
	if got.again {
		h.Set("Retry-After", a.retryAfter())
	}
	w.WriteHeader(got.status)
	// The device may have gone; there is nobody to tell.
	_ = json.NewEncoder(w).Encode(got.body)
}

func (a *API) retryAfter() string { return strconv.FormatInt(int64(a.opts.RetryAfter/time.Second), 10) }

// serve routes /{idScope}/registrations/{registrationId}[/register|/operations/{operationId}].
func (a *API) serve(w http.ResponseWriter, r *http.Request) (answer, error) {
	segments, err := split(r.URL)
	if err != nil {
		return answer{}, err
	}
	if len(segments) < 2 || !strings.EqualFold(segments[1], "registrations") {
		return answer{}, refuse(http.StatusNotFound, codeNotFound, "There is no such operation.")
	}
	if len(segments) == 2 {
		return answer{}, refuse(http.StatusMethodNotAllowed, codeMethod, "The path needs a registration id.")
	}
	c := caller{
		scope: segments[0], id: segments[2], apiVersion: r.URL.Query().Get("api-version"),
		token: r.Header.Get("Authorization"), https: true,
	}
	if r.TLS != nil {
		c.certificates = r.TLS.PeerCertificates
	}
	if err := c.check(); err != nil {
		return answer{}, err
	}
	body, err := readAll(w, r)
	if err != nil {
		return answer{}, err
	}
	switch rest := segments[3:]; {
	case len(rest) == 1 && strings.EqualFold(rest[0], "register"):
		return a.serveRegister(r, c, body)
	case len(rest) == 2 && strings.EqualFold(rest[0], "operations"):
		return a.serveOperation(r, c, rest[1])
	case len(rest) == 0:
		return a.serveLookup(r, c, body)
	}
	return answer{}, refuse(http.StatusNotFound, codeNotFound, "There is no such operation.")
}

func (a *API) serveRegister(r *http.Request, c caller, body []byte) (answer, error) {
	if err := only(r, http.MethodPut); err != nil {
		return answer{}, err
	}
	if c.token == "" && len(c.certificates) == 0 {
		asked, err := a.challenge(c, body)
		return answer{status: http.StatusUnauthorized, body: asked}, err
	}
	m, err := a.attest(c)
	if err != nil {
		return answer{}, err
	}
	// An accepted registration is carried out even if the device goes away.
	started, err := a.register(context.WithoutCancel(r.Context()), c, m, body)
	if err != nil {
		return answer{}, err
	}
	// The address is that of the registration itself, not of the operation, as in the documents' samples.
	location := url.URL{Scheme: "https", Host: r.Host, Path: r.URL.Path}
	return answer{status: http.StatusAccepted, body: started, location: location.String(), again: true}, nil
}

func (a *API) serveOperation(r *http.Request, c caller, id string) (answer, error) {
	if err := only(r, http.MethodGet); err != nil {
		return answer{}, err
	}
	m, err := a.attest(c)
	if err != nil {
		return answer{}, err
	}
	found, err := a.operation(c, m, id)
	if err != nil {
		return answer{}, err
	}
	if found.running() {
		return answer{status: http.StatusAccepted, body: found, again: true}, nil
	}
	return answer{status: http.StatusOK, body: found}, nil
}

func (a *API) serveLookup(r *http.Request, c caller, body []byte) (answer, error) {
	if err := only(r, http.MethodPost); err != nil {
		return answer{}, err
	}
	m, err := a.attest(c)
	if err != nil {
		return answer{}, err
	}
	if _, err := c.readBody(body); err != nil {
		return answer{}, err
	}
	found, err := a.lookup(c, m)
	if err != nil {
		return answer{}, err
	}
	return answer{status: http.StatusOK, body: found}, nil
}

func only(r *http.Request, method string) error {
	if r.Method == method {
		return nil
	}
	return refuse(http.StatusMethodNotAllowed, codeMethod, "The method is not allowed here; allowed: %s.", method)
}

// readAll reads a body of JSON. A Content-Encoding is not looked at: the documents' own samples send a bogus one.
func readAll(w http.ResponseWriter, r *http.Request) ([]byte, error) {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	if err != nil {
		var tooLarge *http.MaxBytesError
		if errors.As(err, &tooLarge) {
			return nil, refuse(http.StatusRequestEntityTooLarge, codeTooLarge, "The request body is larger than %d bytes.", maxBody)
		}
		return nil, invalid("The request body could not be read.")
	}
	if given := r.Header.Get("Content-Type"); given != "" && len(body) > 0 {
		if kind, _, err := mime.ParseMediaType(given); err != nil || kind != "application/json" {
			return nil, refuse(http.StatusUnsupportedMediaType, codeContentType, "The content type must be application/json.")
		}
	}
	return body, nil
}

// split decodes the path, leaving out empty segments.
func split(u *url.URL) ([]string, error) {
	var segments []string
	for part := range strings.SplitSeq(u.EscapedPath(), "/") {
		if part == "" {
			continue
		}
		decoded, err := url.PathUnescape(part)
		if err != nil {
			return nil, invalid("The path is not URL-encoded.")
		}
		segments = append(segments, decoded)
	}
	return segments, nil
}
