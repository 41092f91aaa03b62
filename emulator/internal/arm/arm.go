// Package arm is the emulator's Azure Resource Manager: resource groups, and the IotHubs and provisioningServices of
// Microsoft.Devices with their keys, long-running operations, etags and errors.
//
// It translates between the wire and the state and decides nothing about devices: allocation, registrations and keys
// are elsewhere. Sources are the specifications iothub.json and iotdps.json of the api-versions in versions.go. Where
// a handler deliberately differs from Azure, a comment begins with "Fidelity:" and docs/reference/fidelity.md has a
// row.
package arm

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"path"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/google/uuid"

	"evenkeel/emulator/internal/entra"
	"evenkeel/emulator/internal/routes"
	"evenkeel/emulator/internal/state"
	"evenkeel/emulator/internal/strictjson"
)

// Options are the options of New.
type Options struct {
	State *state.State
	// Tokens checks the access token that every call needs.
	Tokens *entra.Authority
	// Subscription is the only subscription.
	Subscription string
	Quotas       Quotas
	// Unregistered: Microsoft.Devices is not registered in the subscription yet.
	Unregistered bool
	// Received returns how many messages a hub has received. If nil, the number is 0.
	Received func(host string) uint64
	// Delay is how long a long-running operation takes. Zero means that it is complete when it is answered.
	Delay time.Duration
	// IgnoreServiceETags accepts every PUT of a provisioning service, regardless of its etag.
	IgnoreServiceETags bool
	// KeepNewerMembers keeps, in a PUT, the members that its api-version does not have. Otherwise the PUT resets them.
	KeepNewerMembers bool
}

type surface struct {
	Options
	operations *routes.Table[handler]
	// changes serializes calls that change something.
	changes sync.Mutex
	// registration guards Unregistered.
	registration sync.Mutex
}

// handler responds to one operation, or returns the error to respond with.
type handler func(*call) error

// call is a request in progress.
type call struct {
	*surface
	w http.ResponseWriter
	r *http.Request
	// values are the path's variables, as spelled in the request.
	values  map[string]string
	version string
	// content is the body, after it was read.
	content []byte
	whole   bool
}

// New returns the handler of the ARM surface.
func New(o Options) http.Handler { return newSurface(o) }

// Routes returns the operations that are served, for example "GET /subscriptions/{subscription}", in lower case
// except for the variables.
func Routes() []string {
	return slices.Sorted(slices.Values(newSurface(Options{}).operations.Patterns()))
}

func newSurface(o Options) *surface {
	o.Quotas.complete()
	// ARM compares paths case-insensitively.
	s := &surface{Options: o, operations: &routes.Table[handler]{AnyCase: true, HeadByGet: true}}
	s.routeGroups()
	s.routeHubs()
	s.routeServices()
	s.routeConsumerGroups()
	s.routeCertificates()
	s.routeOperations()
	s.routeSubscriptions()
	s.routeProviders()
	s.routeReports()
	s.routePrivateEndpoints()
	s.routeTags()
	s.routeExport()
	s.routeRoles()
	s.routeManagedIdentities()
	return s
}

// route registers an operation. Patterns are in lower case, which checkVersion relies on.
func (s *surface) route(pattern string, h handler) { s.operations.Add(pattern, h) }

// change is route for an operation that changes something.
func (s *surface) change(pattern string, h handler) {
	s.route(pattern, func(c *call) error {
		// Before the lock: a client that sends its body slowly must not block others.
		if err := c.read(); err != nil {
			return err
		}
		c.changes.Lock()
		defer c.changes.Unlock()
		return h(c)
	})
}

// ServeHTTP implements http.Handler.
func (s *surface) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.commonHeaders(w, r)
	if err := s.serve(w, r); err != nil {
		s.writeError(w, r, err)
	}
}

func (s *surface) serve(w http.ResponseWriter, r *http.Request) error {
	if err := s.Tokens.Check(r.Header.Get("Authorization"), s.Tokens.ARMAudiences()...); err != nil {
		return s.unauthorized(w, r, err)
	}
	found := s.operations.Find(r.Method, routes.Segments(path.Clean("/"+r.URL.Path)))
	if found.Pattern == "" {
		return notRouted(r)
	}
	c := &call{surface: s, w: w, r: r, values: found.Values}
	if subscription, ok := c.values["subscription"]; ok {
		if err := s.checkSubscription(subscription); err != nil {
			return err
		}
	}
	c.version = r.URL.Query().Get("api-version")
	if err := checkVersion(c.version, found.Pattern); err != nil {
		return err
	}
	return found.Serve(c)
}

func (s *surface) checkSubscription(id string) error {
	if _, err := uuid.Parse(id); err != nil {
		return armError(http.StatusBadRequest, "InvalidSubscriptionId",
			"The provided subscription identifier '%s' is malformed or invalid.", id)
	}
	if !strings.EqualFold(id, s.Subscription) {
		return armError(http.StatusNotFound, "SubscriptionNotFound", "The subscription '%s' could not be found.", id)
	}
	return nil
}

// commonHeaders are the headers of every response in recorded traffic that a client may use.
func (s *surface) commonHeaders(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h.Set("Cache-Control", "no-cache")
	h.Set("x-ms-request-id", uuid.NewString())
	correlation := r.Header.Get("x-ms-correlation-request-id")
	if correlation == "" {
		correlation = uuid.NewString()
	}
	h.Set("x-ms-correlation-request-id", correlation)
	if id := r.Header.Get("x-ms-client-request-id"); id != "" &&
		strings.EqualFold(r.Header.Get("x-ms-return-client-request-id"), "true") {
		h.Set("x-ms-client-request-id", id)
	}
	// Fidelity: the remaining quota never decreases.
	switch r.Method {
	case http.MethodGet, http.MethodHead:
		h.Set("x-ms-ratelimit-remaining-subscription-reads", "11999")
	case http.MethodDelete:
		h.Set("x-ms-ratelimit-remaining-subscription-deletes", "14999")
	default:
		h.Set("x-ms-ratelimit-remaining-subscription-writes", "1199")
	}
}

// resource returns the id of the hub or provisioning service in the path.
func (c *call) resource() state.ResourceID {
	return state.ResourceID{Subscription: c.values["subscription"], Group: c.values["group"], Name: c.values["name"]}
}

// read reads the whole body, once.
func (c *call) read() (err error) {
	if c.whole {
		return nil
	}
	if c.content, err = io.ReadAll(c.r.Body); err != nil {
		var tooLarge *http.MaxBytesError
		if errors.As(err, &tooLarge) {
			return armError(http.StatusRequestEntityTooLarge, "RequestContentTooLarge",
				"The request content exceeds the limit of %d bytes.", tooLarge.Limit)
		}
		return armError(http.StatusBadRequest, "InvalidRequestContent", "The request content could not be read.")
	}
	c.whole = true
	return nil
}

// body decodes the request's JSON. Unknown members are ignored, as by Azure.
func (c *call) body(into any) error {
	if err := c.read(); err != nil {
		return err
	}
	if err := strictjson.Check(c.content); err != nil {
		return armError(http.StatusBadRequest, "InvalidRequestContent",
			"The request content was invalid and could not be deserialized: '%v'.", err)
	}
	if err := json.Unmarshal(c.content, into); err != nil {
		return armError(http.StatusBadRequest, "InvalidRequestContent",
			"The request content was invalid and could not be deserialized: '%s'.", describeJSON(err))
	}
	return nil
}

// describeJSON describes what is wrong with a body without quoting it, because it may hold keys.
func describeJSON(err error) string {
	var kind *json.UnmarshalTypeError
	if errors.As(err, &kind) {
		return fmt.Sprintf("%s cannot be a %s", kind.Field, kind.Value)
	}
	var syntax *json.SyntaxError
	if errors.As(err, &syntax) {
		return fmt.Sprintf("not JSON at byte %d", syntax.Offset)
	}
	return "not JSON"
}

func (c *call) json(status int, body any) error {
	writeJSON(c.w, status, body)
	return nil
}

func writeJSON(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	w.WriteHeader(status)
	// The status is sent: an error here means that the client has disconnected.
	_ = json.NewEncoder(w).Encode(body)
}

// list is the envelope of lists with one page.
type list struct {
	Value any `json:"value"`
}
