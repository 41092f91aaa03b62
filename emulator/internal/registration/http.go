package registration

import (
	"context"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"evenkeel/emulator/internal/dpswire"
	"evenkeel/emulator/internal/routes"
)

// maxBody is Azure's limit for a device's message: 96 KB.
const maxBody = 96 << 10

// operation serves one call of a device.
type operation func(*API, *http.Request, caller, []byte) (dpswire.Reply, error)

// operations are RegisterDevice, OperationStatusLookup and DeviceRegistrationStatusLookup of api-version 2019-03-31 and
// later.
var operations = func() *routes.Table[operation] {
	t := dpswire.NewTable[operation]()
	t.Add("PUT /{idScope}/registrations/{id}/register", (*API).serveRegister)
	t.Add("GET /{idScope}/registrations/{id}/operations/{operation}", (*API).serveOperation)
	t.Add("POST /{idScope}/registrations/{id}", (*API).serveLookup)
	return t
}()

// Routes returns the operations that are served over HTTPS, for example "POST /{idScope}/registrations/{id}", and
// over MQTT, for example "PUBLISH {topic}".
func Routes() []string {
	return append(operations.Patterns(), "PUBLISH "+topicRegister, "PUBLISH "+topicOperation, "SUBSCRIBE "+
		filterReplies)
}

// ServeHTTP implements http.Handler.
func (a *API) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	dpswire.Serve(w, a.st.Now, func() (dpswire.Reply, error) {
		reply, err := a.serve(w, r)
		if err != nil {
			err = refusal(err)
		}
		return reply, err
	})
}

func (a *API) serve(w http.ResponseWriter, r *http.Request) (dpswire.Reply, error) {
	run, values, err := dpswire.Find(operations, r)
	if err != nil {
		return dpswire.Reply{}, err
	}
	c := caller{
		scope: values["idScope"], id: values["id"], apiVersion: r.URL.Query().Get("api-version"),
		token: r.Header.Get("Authorization"), https: true, operation: values["operation"],
	}
	if r.TLS != nil {
		c.certificates = r.TLS.PeerCertificates
	}
	if err := c.check(); err != nil {
		return dpswire.Reply{}, err
	}
	body, err := dpswire.ReadBody(w, r, maxBody)
	if err != nil {
		return dpswire.Reply{}, err
	}
	return run(a, r, c, body)
}

func (a *API) serveRegister(r *http.Request, c caller, body []byte) (dpswire.Reply, error) {
	if c.token == "" && len(c.certificates) == 0 {
		asked, err := a.challenge(c, body)
		return dpswire.Reply{Status: http.StatusUnauthorized, Body: asked}, err
	}
	m, err := a.attest(c)
	if err != nil {
		return dpswire.Reply{}, err
	}
	// An accepted registration is completed even if the device disconnects.
	started, err := a.register(context.WithoutCancel(r.Context()), c, m, body)
	if err != nil {
		return dpswire.Reply{}, err
	}
	reply := a.again(started)
	// The address is that of the registration, not of the operation, as in the documentation's samples.
	location := url.URL{Scheme: "https", Host: r.Host, Path: r.URL.Path}
	reply.Header["Location"] = location.String()
	return reply, nil
}

func (a *API) serveOperation(_ *http.Request, c caller, _ []byte) (dpswire.Reply, error) {
	m, err := a.attest(c)
	if err != nil {
		return dpswire.Reply{}, err
	}
	found, err := a.operation(c, m, c.operation)
	if err != nil {
		return dpswire.Reply{}, err
	}
	if found.running() {
		return a.again(found), nil
	}
	return dpswire.OK(found), nil
}

// again returns a response that asks the device to poll.
func (a *API) again(body operationReply) dpswire.Reply {
	return dpswire.Reply{Status: http.StatusAccepted, Body: body,
		Header: map[string]string{"Retry-After": a.retryAfter()}}
}

func (a *API) retryAfter() string { return strconv.FormatInt(int64(a.opts.RetryAfter/time.Second), 10) }

func (a *API) serveLookup(_ *http.Request, c caller, body []byte) (dpswire.Reply, error) {
	m, err := a.attest(c)
	if err != nil {
		return dpswire.Reply{}, err
	}
	sent, err := c.readBody(body)
	if err != nil {
		return dpswire.Reply{}, err
	}
	if c.hasCSR(sent) { // as the description of the operation requires
		return dpswire.Reply{}, dpswire.Invalid("csr is only for registrations, not for the lookup of one.")
	}
	found, err := a.lookup(c, m)
	if err != nil {
		return dpswire.Reply{}, err
	}
	return dpswire.OK(found), nil
}
