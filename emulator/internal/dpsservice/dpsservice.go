// Package dpsservice is the service API of the Device Provisioning Service (api-versions 2021-10-01 and 2026-11-01) as
// an http.Handler: individual enrollments, enrollment groups, their attestation mechanisms, bulk operations, queries,
// and the registration records of devices.
//
// One handler serves every provisioning service of the state: the request's host name selects one, as in Azure. It
// does not listen, does not decide allocation and holds no data.
//
// Sources: the public service.json of both versions, recorded traffic of the Python SDK's tests, and the documentation
// of IoT DPS. Deviations begin with "Fidelity:" and are listed in docs/reference/fidelity.md.
package dpsservice

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"

	"evenkeel/emulator/internal/dpswire"
	"evenkeel/emulator/internal/state"
	"evenkeel/emulator/internal/strictjson"
	"evenkeel/emulator/internal/traffic"
)

// maxBody limits the size of a request. A bulk operation of ten entries with certificates and twins is far below it.
const maxBody = 1 << 20

// Options configure the API.
type Options struct {
	// Strict makes a PUT without If-Match on an existing entry fail with 409201, as observed in issues 3076 of
	// azure-iot-sdk-csharp and 35187 of azure-sdk-for-python. Azure's documentation disagrees; the default replaces.
	Strict bool
	// KeepNewer lets a PUT keep the members of an entry that its api-version does not have. Otherwise it resets them.
	// Which of the two Azure does is not known.
	KeepNewer bool
	// Bearer checks a Microsoft Entra token and returns nil if its holder may use the data plane. If nil, no such
	// token is accepted.
	Bearer func(ctx context.Context, token string) error
	// Other returns the alternative name of a service, an address, or "". If nil, services have no alternative names.
	Other func(host string) string
}

type surface struct {
	st   *state.State
	opts Options
}

// New returns the handler over st.
func New(st *state.State, opts Options) http.Handler {
	return &surface{st: st, opts: opts}
}

// request is a call that has been authenticated.
type request struct {
	*http.Request
	service state.Service
	// id is the one in the path, decoded; empty where the path has none.
	id   string
	body []byte
}

// version returns the api-version of the call.
func (r request) version() string { return r.URL.Query().Get("api-version") }

// ServeHTTP implements http.Handler.
func (s *surface) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	dpswire.Serve(w, s.st.Now, func() (dpswire.Reply, error) { return s.handle(w, r) })
}

func (s *surface) handle(w http.ResponseWriter, r *http.Request) (dpswire.Reply, error) {
	service, err := s.service(r.Host)
	if err != nil {
		return dpswire.Reply{}, err
	}
	granted, err := s.authenticate(r, service)
	if err != nil {
		return dpswire.Reply{}, err
	}
	if err := dpswire.CheckVersion(r.URL.Query().Get("api-version")); err != nil {
		return dpswire.Reply{}, err
	}
	wanted, values, err := dpswire.Find(operations, r)
	if err != nil {
		return dpswire.Reply{}, err
	}
	if err := granted.need(wanted.needs); err != nil {
		return dpswire.Reply{}, err
	}
	body, err := dpswire.ReadBody(w, r, maxBody)
	if err != nil {
		return dpswire.Reply{}, err
	}
	return wanted.run(s, request{Request: r, service: service, id: values["id"], body: body})
}

// service finds the provisioning service with a host name. Like Azure's DNS, it does not find one that is being
// created or deleted.
func (s *surface) service(host string) (state.Service, error) {
	name := hostName(host)
	service, err := s.st.ServiceByHost(name)
	if err != nil && local(name) {
		service, err = s.only()
	}
	if err == nil && service.Phase != state.Activating && service.Phase != state.Deleting {
		return service, nil
	}
	var refused *state.Error
	if err != nil && !errors.As(err, &refused) {
		return state.Service{}, err
	}
	return state.Service{}, dpswire.Refuse(http.StatusNotFound, dpswire.CodeNoService,
		"Unknown provisioning service %s.", name)
}

// only returns the provisioning service for a local address: clients that cannot map Azure's names to the emulator
// cannot select one. It must be the only one.
func (s *surface) only() (state.Service, error) {
	services, err := s.st.Services("", "")
	if err != nil {
		return state.Service{}, err
	}
	if len(services) != 1 {
		return state.Service{}, dpswire.Refuse(http.StatusNotFound, dpswire.CodeNoService,
			"An address can be used only with a single provisioning service, but there are %d: use a host name.",
			len(services))
	}
	return services[0], nil
}

// local reports whether a host name refers to this machine and is not an Azure name.
func local(name string) bool {
	return name == "localhost" || net.ParseIP(strings.Trim(name, "[]")) != nil
}

func hostName(host string) string {
	if i := strings.LastIndexByte(host, ':'); i >= 0 && !strings.HasSuffix(host, "]") {
		host = host[:i]
	}
	return strings.ToLower(strings.TrimSuffix(host, "."))
}

func decode(body []byte, into any) error {
	if err := strictjson.Check(body); err != nil {
		return dpswire.Invalid("The request body is not valid JSON: %v.", err)
	}
	if err := json.Unmarshal(body, into); err != nil {
		return dpswire.Invalid("%s", describe(err))
	}
	return nil
}

// describe describes what is wrong with a JSON text without quoting it, because a body may hold keys.
func describe(err error) string {
	var wrong *json.UnmarshalTypeError
	if errors.As(err, &wrong) && wrong.Field != "" {
		kind, _, _ := strings.Cut(wrong.Value, " ")
		return fmt.Sprintf("The request body is not valid: %s cannot be a JSON %s.", wrong.Field, kind)
	}
	return "The request body is not valid JSON."
}

// Refuse implements traffic.Refuser.
func (s *surface) Refuse(w http.ResponseWriter, r *traffic.Refusal) {
	dpswire.Serve(w, s.st.Now, func() (dpswire.Reply, error) { return dpswire.Reply{}, dpswire.Refused(r) })
}
