// Package dpswire contains the wire formats that the two APIs of the Device Provisioning Service, the service API and
// the device API, share: errors, times, ids, registration records, and the matching of paths.
//
// It authenticates no client, decides nothing about enrollments or devices, and knows neither API.
//
// Sources: the public 2021-10-01 service.json and device.json, and recorded traffic of the Python SDK's tests.
package dpswire

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"mime"
	"net/http"
	"regexp"
	"time"

	"github.com/google/uuid"
)

// Reply is a response. If the body is nil, none is sent.
type Reply struct {
	Status int
	Header map[string]string
	Body   any
}

// OK returns a 200 with that body.
func OK(body any) Reply { return Reply{Status: http.StatusOK, Body: body} }

// Serve sends what serve returns. serve must not write the response itself. An error is sent as
// ProvisioningServiceErrorDetails; so is a panic, which is then raised again for the HTTP server to log.
func Serve(w http.ResponseWriter, now func() time.Time, serve func() (Reply, error)) {
	defer func() {
		fault := recover()
		if fault == nil {
			return
		}
		if fault != http.ErrAbortHandler {
			write(w, internal.reply(now()))
		}
		panic(fault)
	}()
	reply, err := serve()
	if err != nil {
		reply = From(err).reply(now())
	}
	write(w, reply)
}

func write(w http.ResponseWriter, reply Reply) {
	var text []byte
	if reply.Body != nil {
		var err error
		if text, err = json.Marshal(reply.Body); err != nil {
			panic(err) // nothing of the wire's types can fail: see Serve
		}
		text = bytes.ToValidUTF8(text, []byte("\ufffd")) // stores of earlier versions may hold other bytes
	}
	h := w.Header()
	h.Set("x-ms-request-id", uuid.NewString())
	for name, value := range reply.Header {
		h.Set(name, value)
	}
	if reply.Body != nil {
		h.Set("Content-Type", "application/json; charset=utf-8")
	}
	w.WriteHeader(reply.Status)
	// The client may have disconnected.
	_, _ = w.Write(text)
}

// ReadBody reads a body of at most limit bytes. A Content-Type must be that of JSON if there is one ("Troubleshooting
// with DPS"). Content-Encoding is ignored: the documentation's own samples send a bogus one.
func ReadBody(w http.ResponseWriter, r *http.Request, limit int64) ([]byte, error) {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, limit))
	var tooLarge *http.MaxBytesError
	switch {
	case errors.As(err, &tooLarge):
		return nil, Refuse(http.StatusRequestEntityTooLarge, CodeTooLarge, "The request body is larger than %d bytes.",
			limit)
	case err != nil:
		return nil, Invalid("The request body could not be read.")
	}
	if given := r.Header.Get("Content-Type"); given != "" && len(body) > 0 {
		if kind, _, err := mime.ParseMediaType(given); err != nil || kind != "application/json" {
			return nil, Refuse(http.StatusUnsupportedMediaType, CodeContentType,
				"The content type must be application/json.")
		}
	}
	return body, nil
}

// Time formats a time as the service does: UTC, seven fractional digits.
func Time(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05.0000000Z") }

// idForm is the documented form of registration and group ids. The rule for the first character is unsure: only the
// last one is checked.
var idForm = regexp.MustCompile(`^[A-Za-z0-9\-._:]{0,127}[A-Za-z0-9\-]$`)

// CheckID refuses an invalid id of a registration, an enrollment or a group. The message contains member.
func CheckID(member, id string) error {
	if idForm.MatchString(id) {
		return nil
	}
	return Invalid("%s must have 1 to 128 characters of A-Z, a-z, 0-9, '-', '.', '_' and ':', the last one "+
		"alphanumeric or '-'.", member)
}

var versionForm = regexp.MustCompile(`^\d{4}-\d{2}-\d{2}(-preview)?$`)

// CheckVersion accepts every date: later versions only add members, and clients of all ages are in use.
func CheckVersion(version string) error {
	if versionForm.MatchString(version) {
		return nil
	}
	return Invalid("The api-version is missing or not a date.")
}
