// Package dpsservice is the service API of the Device Provisioning Service (api-version 2021-10-01) as an http.Handler: individual
// enrollments, enrollment groups, their attestation mechanisms, bulk operations, queries, and the registration records of devices.
//
// One handler serves every provisioning service of the state: the request's host name picks one, as in Azure. It does not listen,
// does not decide allocation and keeps nothing of its own.
//
// Sources: the public 2021-10-01 service.json, recorded traffic of the Python SDK's tests, and the documentation of IoT DPS.
// Deviations begin with "Fidelity:" and stand in docs/FIDELITY.md.
package dpsservice

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"time"

	"github.com/google/uuid"

	"evenkeel/emulator/internal/state"
)

// maxBody bounds what a request may send. A bulk operation of ten entries with certificates and twins stays far under it.
const maxBody = 1 << 20

// Options say how the surface differs from its default.
type Options struct {
	// Strict makes a PUT without If-Match on an existing entry fail with 409201. Azure's documents disagree; the default replaces.
	Strict bool
	// Bearer checks a Microsoft Entra token and returns nil when its holder may use the data plane. Nil: no such token is accepted.
	Bearer func(ctx context.Context, token string) error
}

type surface struct {
	st   *state.State
	opts Options
}

// New returns the handler over st.
func New(st *state.State, opts Options) http.Handler {
	return &surface{st: st, opts: opts}
}

// request is a call that has been authenticated, split at its slashes.
type request struct {
	*http.Request
	service  state.Service
	segments []string // decoded, without empty ones
	rights   rights
	body     []byte
}

// reply is an answer; nil body sends none.
type reply struct {
	status int
	header map[string]string
	body   any
}

func ok(body any) reply { return reply{status: http.StatusOK, body: body} }

// ServeHTTP answers one request.
func (s *surface) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	answer, err := s.handle(w, r)
	if err != nil {
		s.writeError(w, err)
		return
	}
	for name, value := range answer.header {
		w.Header().Set(name, value)
	}
	w.Header().Set("x-ms-request-id", uuid.NewString())
	if answer.body == nil {
		w.WriteHeader(answer.status)
		return
	}
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	w.WriteHeader(answer.status)
	// The client may have gone; there is nobody to tell.
	_ = json.NewEncoder(w).Encode(answer.body)
}

func (s *surface) handle(w http.ResponseWriter, r *http.Request) (reply, error) {
	service, err := s.service(r.Host)
	if err != nil {
		return reply{}, err
	}
	granted, err := s.authenticate(r, service)
	if err != nil {
		return reply{}, err
	}
	if err := checkVersion(r.URL.Query().Get("api-version")); err != nil {
		return reply{}, err
	}
	segments, err := split(r.URL)
	if err != nil {
		return reply{}, err
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	if err != nil {
		var tooLarge *http.MaxBytesError
		if errors.As(err, &tooLarge) {
			return reply{}, refuse(http.StatusRequestEntityTooLarge, codeTooLarge, "The request body is larger than %d bytes.", maxBody)
		}
		return reply{}, invalid("The request body could not be read.")
	}
	return s.route(request{Request: r, service: service, segments: segments, rights: granted, body: body})
}

// service finds the provisioning service of a host name. One that is being created or deleted has no name in Azure's DNS either.
func (s *surface) service(host string) (state.Service, error) {
	name := hostName(host)
	service, err := s.st.ServiceByHost(name)
	if err == nil && service.Phase != state.Activating && service.Phase != state.Deleting {
		return service, nil
	}
	var refused *state.Error
	if err != nil && !errors.As(err, &refused) {
		return state.Service{}, err
	}
	return state.Service{}, refuse(http.StatusNotFound, codeNoService, "There is no provisioning service %s.", name)
}

var versionForm = regexp.MustCompile(`^\d{4}-\d{2}-\d{2}(-preview)?$`)

// checkVersion accepts every date: later versions only add members, and clients of all ages are in the field.
func checkVersion(version string) error {
	if !versionForm.MatchString(version) {
		return invalid("The api-version is missing or not a date.")
	}
	return nil
}

// split decodes the path. Empty segments are left out: bulk operations come with a trailing slash.
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

func hostName(host string) string {
	if i := strings.LastIndexByte(host, ':'); i >= 0 && !strings.HasSuffix(host, "]") {
		host = host[:i]
	}
	return strings.ToLower(strings.TrimSuffix(host, "."))
}

func wireTime(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05.0000000Z") }

func decode(body []byte, into any) error {
	if err := json.Unmarshal(body, into); err != nil {
		return invalid("%s", describe(err))
	}
	return nil
}

// describe says what is wrong with a JSON text without quoting it: a body may hold keys.
func describe(err error) string {
	var wrong *json.UnmarshalTypeError
	if errors.As(err, &wrong) && wrong.Field != "" {
		kind, _, _ := strings.Cut(wrong.Value, " ")
		return fmt.Sprintf("The request body is not valid: %s cannot be a JSON %s.", wrong.Field, kind)
	}
	return "The request body is not valid JSON."
}
