package emulator

import (
	"context"
	"crypto"
	"net"
	"net/http"
	"strings"

	"evenkeel/emulator/internal/arm"
	"evenkeel/emulator/internal/broker"
	"evenkeel/emulator/internal/domain"
	"evenkeel/emulator/internal/dpsservice"
	"evenkeel/emulator/internal/entra"
	"evenkeel/emulator/internal/iothub"
	"evenkeel/emulator/internal/registration"
	"evenkeel/emulator/internal/requestlog"
	"evenkeel/emulator/internal/routes"
	"evenkeel/emulator/internal/state"
)

// Suffixes of host names on the data surface.
const (
	hubDomain     = "." + domain.Hub
	serviceDomain = "." + domain.Service
)

// armHandler serves Azure Resource Manager and, on the same port, the endpoints for its access tokens.
func (e *Emulator) armHandler() http.Handler {
	tokens := e.on(requestlog.Entra, e.entra.Handler())
	manager := e.on(requestlog.ARM, arm.New(arm.Options{
		State: e.state, Tokens: e.entra, Subscription: SubscriptionID, Delay: e.options.LRODelay,
		Quotas: arm.Quotas(e.options.Quotas), Unregistered: e.options.Unregistered, Received: e.hubs.Received,
		IgnoreServiceETags: e.options.IgnoreServiceETags, KeepNewerMembers: e.options.KeepNewerMembers,
	}))
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if entra.Owns(r.URL.Path) {
			tokens.ServeHTTP(w, r)
			return
		}
		manager.ServeHTTP(w, r)
	})
}

// dataHandler selects the surface by the request's host. Loopback names, the global host and the services' own host
// names select the provisioning services.
func (e *Emulator) dataHandler() http.Handler {
	device := e.on(requestlog.DPSDevice, e.devices)
	service := e.on(requestlog.DPSService, dpsservice.New(e.state, dpsservice.Options{
		Bearer: func(_ context.Context, token string) error {
			return e.entra.Check("Bearer "+token, domain.ServiceAudience)
		},
		Other:  e.addresses.Other,
		Strict: e.options.RequireIfMatch, KeepNewer: e.options.KeepNewerMembers,
	}))
	hub := e.on(requestlog.Hub, e.hubs)
	paths := provisioningPaths(device, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if host := e.addresses.Host(hostOf(r)); strings.HasSuffix(host, serviceDomain) {
			r.Host = host
		}
		service.ServeHTTP(w, r)
	}))
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		host := state.ClassicHost(e.addresses.Host(hostOf(r)))
		switch {
		case strings.EqualFold(r.URL.Path, broker.WebSocketPath):
			// The MQTT user name selects the service. Connections are logged once it is known.
			e.broker.ServeWebSocket(w, r)
		case host == domain.GlobalHost:
			device.ServeHTTP(w, r)
		case host == "localhost" || net.ParseIP(host) != nil || strings.HasSuffix(host, serviceDomain):
			paths.Find(r.Method, routes.Segments(r.URL.Path)).Serve.ServeHTTP(w, r)
		case strings.HasSuffix(host, hubDomain):
			r.Host = host
			hub.ServeHTTP(w, r)
		default:
			http.Error(w, "The emulator serves hosts under "+domain.Hub+" and "+domain.Service+", and localhost.",
				http.StatusMisdirectedRequest)
		}
	})
}

// provisioningPaths separates the two APIs of the Device Provisioning Service, which share hosts: paths of the device
// API are /{idScope}/registrations/{id}…, paths of the service API begin with a word such as /registrations.
func provisioningPaths(device, service http.Handler) *routes.Table[http.Handler] {
	paths := &routes.Table[http.Handler]{AnyCase: true}
	paths.Add("/{idScope}/registrations", device)
	paths.Add("/{idScope}/registrations/{rest...}", device)
	// an entry may have the id registrations
	for _, collection := range []string{"registrations", "enrollments", "enrollmentGroups"} {
		paths.Add("/"+collection+"/{rest...}", service)
	}
	paths.Add("/{rest...}", service)
	return paths
}

// openSurfaces creates the surfaces that HTTPS and MQTT share.
func (e *Emulator) openSurfaces() (err error) {
	e.webhooks = e.webhookTransport()
	e.devices = registration.New(e.state, registration.Options{
		Log: e.options.Logger, Recorder: e.log, Gate: e.gate, Names: e.dialName,
		Webhooks: registration.Webhooks{
			Timeout: e.options.WebhookTimeout, Entry: dpsservice.EntryJSON, Certificate: dpsservice.CertificateJSON,
			Transport: e.webhooks,
		},
		Certificates: registration.Certificates{
			AcceptRSA: e.options.IssuedCertificates.AcceptRSA,
			Issue: func(key crypto.PublicKey, deviceID string) ([][]byte, error) {
				return e.issuer.Issue(key, deviceID, e.options.IssuedCertificates.Lifetime)
			},
		},
	})
	e.hubs = iothub.New(iothub.Options{
		State: e.state, Recorder: e.log, Gate: e.gate, Log: e.options.Logger, Names: e.addresses,
		Issuing: e.issuer.Certificate(),
		Bearer:  func(token string) error { return e.entra.Check("Bearer "+token, domain.HubAudience) },
	})
	e.broker, err = broker.New(broker.Options{Fronts: []broker.Front{e.devices, e.hubs}, Log: e.options.Logger,
		ConnectTimeout: e.options.Bounds.Connect})
	return err
}
