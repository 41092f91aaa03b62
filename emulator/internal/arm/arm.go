// Package arm is the emulator's Azure Resource Manager: resource groups, and the IotHubs and provisioningServices of Microsoft.Devices
// with their keys, long-running operations, etags and errors.
//
// It translates between the wire and the state and decides nothing about devices: allocation, registrations and keys are elsewhere.
// Sources are the specifications iothub.json and iotdps.json of the api-versions in versions.go; where a handler differs from Azure
// on purpose, a comment begins with "Fidelity:" and docs/reference/fidelity.md has the row.
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
)

// Options are what the surface needs of the emulator.
type Options struct {
	State *state.State
	// Tokens checks the access token that every call needs.
	Tokens *entra.Authority
	// Subscription is the only one there is.
	Subscription string
	Quotas       Quotas
	// Unregistered: the subscription has not registered Microsoft.Devices yet.
	Unregistered bool
	// Received is how many messages a hub has taken in; nil: none.
	Received func(host string) uint64
	// Delay is how long a long-running operation takes; zero: done when answered.
	Delay time.Duration
	// IgnoreServiceETags takes every PUT of a provisioning service, whatever etag it carries.
	IgnoreServiceETags bool
	// KeepNewerMembers keeps, in a PUT, the members that its api-version does not have. Otherwise the PUT resets them.
	KeepNewerMembers bool
}

type surface struct {
	Options
	operations *routes.Table[handler]
	// changes lets one changing call at a time read, decide and write.
	changes sync.Mutex
	// registration guards Unregistered.
	registration sync.Mutex
}

// handler answers one operation, or returns the error to answer with.
type handler func(*call) error

// call is one request on its way through a handler.
type call struct {
	*surface
	w http.ResponseWriter
	r *http.Request
	// values are the path's variables, as spelled in the request.
	values  map[string]string
	version string
	// content is the body, once it was read.
	content []byte
	whole   bool
}

// New returns the handler of the ARM surface.
func New(o Options) http.Handler { return newSurface(o) }

// Routes lists the operations that are served, as "GET /subscriptions/{subscription}", in lower case but for the variables.
func Routes() []string {
	return slices.Sorted(slices.Values(newSurface(Options{}).operations.Patterns()))
}

func newSurface(o Options) *surface {
	o.Quotas.complete()
	// ARM compares paths without regard to letter case.
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
	return s
}

// route registers an operation. Patterns are in lower case, which checkVersion relies on.
func (s *surface) route(pattern string, h handler) { s.operations.Add(pattern, h) }

// change is route for an operation that changes something.
func (s *surface) change(pattern string, h handler) {
	s.route(pattern, func(c *call) error {
		// Before the lock: a client that sends its body slowly holds up nobody.
		if err := c.read(); err != nil {
			return err
		}
		c.changes.Lock()
		defer c.changes.Unlock()
		return h(c)
	})
}

// ServeHTTP answers any request to ARM.
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
		return armError(http.StatusBadRequest, "InvalidSubscriptionId", "The provided subscription identifier '%s' is malformed or invalid.", id)
	}
	if !strings.EqualFold(id, s.Subscription) {
		return armError(http.StatusNotFound, "SubscriptionNotFound", "The subscription '%s' could not be found.", id)
	}
	return nil
}

// commonHeaders are those of every answer that recorded traffic shows and a client may look at.
func (s *surface) commonHeaders(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h.Set("Cache-Control", "no-cache")
	h.Set("x-ms-request-id", uuid.NewString())
	correlation := r.Header.Get("x-ms-correlation-request-id")
	if correlation == "" {
		correlation = uuid.NewString()
	}
	h.Set("x-ms-correlation-request-id", correlation)
	if id := r.Header.Get("x-ms-client-request-id"); id != "" && strings.EqualFold(r.Header.Get("x-ms-return-client-request-id"), "true") {
		h.Set("x-ms-client-request-id", id)
	}
	// Fidelity: the remaining quota never sinks.
	switch r.Method {
	case http.MethodGet, http.MethodHead:
		h.Set("x-ms-ratelimit-remaining-subscription-reads", "11999")
	case http.MethodDelete:
		h.Set("x-ms-ratelimit-remaining-subscription-deletes", "14999")
	default:
		h.Set("x-ms-ratelimit-remaining-subscription-writes", "1199")
	}
}

// resource is the hub or provisioning service that the path names.
func (c *call) resource() state.ResourceID {
	return state.ResourceID{Subscription: c.values["subscription"], Group: c.values["group"], Name: c.values["name"]}
}

// read reads the body to its end, once.
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

// body decodes the request's JSON. Unknown members are passed over, as Azure does.
func (c *call) body(into any) error {
	if err := c.read(); err != nil {
		return err
	}
	if err := json.Unmarshal(c.content, into); err != nil {
		return armError(http.StatusBadRequest, "InvalidRequestContent",
			"The request content was invalid and could not be deserialized: '%s'.", describeJSON(err))
	}
	return nil
}

// describeJSON says what is wrong with a body without quoting it: it may hold keys.
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
	// The status is out: an error here means that the client has gone.
	_ = json.NewEncoder(w).Encode(body)
}

// list is the envelope of lists that have one page.
type list struct {
	Value any `json:"value"`
}
