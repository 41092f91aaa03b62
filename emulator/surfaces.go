package emulator

import (
	"context"
	"net"
	"net/http"
	"slices"
	"strings"

	"evenkeel/emulator/internal/arm"
	"evenkeel/emulator/internal/broker"
	"evenkeel/emulator/internal/dpsservice"
	"evenkeel/emulator/internal/entra"
	"evenkeel/emulator/internal/iothub"
	"evenkeel/emulator/internal/registration"
	"evenkeel/emulator/internal/requestlog"
)

// Domains of the data surface's hosts, as in Azure's public cloud.
const (
	hubDomain     = ".azure-devices.net"
	serviceDomain = ".azure-devices-provisioning.net"
	// globalHost is where devices of every provisioning service register.
	globalHost = "global" + serviceDomain
)

// armHandler serves Azure Resource Manager, and on the same port the endpoints that give its access tokens.
func (e *Emulator) armHandler() http.Handler {
	tokens := e.on(requestlog.Entra, e.entra.Handler())
	manager := e.on(requestlog.ARM, arm.New(arm.Options{
		State: e.state, Tokens: e.entra, Subscription: SubscriptionID, Delay: e.options.LRODelay,
		Quotas: arm.Quotas(e.options.Quotas), Unregistered: e.options.Unregistered, Received: e.hubs.Received,
		IgnoreServiceETags: e.options.IgnoreServiceETags,
	}))
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if entra.Owns(r.URL.Path) {
			tokens.ServeHTTP(w, r)
			return
		}
		manager.ServeHTTP(w, r)
	})
}

// dataHandler picks the surface by the host asked for. Loopback names are those of the provisioning services, as are the global one and
// their own.
func (e *Emulator) dataHandler() http.Handler {
	device := e.on(requestlog.DPSDevice, e.devices)
	service := e.on(requestlog.DPSService, dpsservice.New(e.state, dpsservice.Options{
		Bearer: func(_ context.Context, token string) error { return e.entra.Check("Bearer "+token, entra.DPSAudience) },
		Other:  e.addresses.Other,
		Strict: e.options.RequireIfMatch,
	}))
	hub := e.on(requestlog.Hub, e.hubs)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		host := e.addresses.Host(hostOf(r))
		switch {
		case strings.EqualFold(r.URL.Path, broker.WebSocketPath):
			// The MQTT user name picks the service; connections are logged when they say it.
			e.broker.ServeWebSocket(w, r)
		case host == globalHost:
			device.ServeHTTP(w, r)
		case host == "localhost" || net.ParseIP(host) != nil || strings.HasSuffix(host, serviceDomain):
			if devicePath(r.URL.Path) {
				device.ServeHTTP(w, r)
				return
			}
			if strings.HasSuffix(host, serviceDomain) {
				r.Host = host
			}
			service.ServeHTTP(w, r)
		case strings.HasSuffix(host, hubDomain):
			r.Host = host
			hub.ServeHTTP(w, r)
		default:
			http.Error(w, "The emulator serves hosts under "+hubDomain[1:]+" and "+serviceDomain[1:]+", and localhost.", http.StatusMisdirectedRequest)
		}
	})
}

// devicePath reports whether a path is of the device API, /{idScope}/registrations/{id}…; what begins with a collection of the service
// API is an entry there, which may have the id registrations.
func devicePath(path string) bool {
	scope, rest, _ := strings.Cut(strings.TrimPrefix(path, "/"), "/")
	second, _, _ := strings.Cut(rest, "/")
	isCollection := slices.Contains([]string{"registrations", "enrollments", "enrollmentgroups"}, strings.ToLower(scope))
	return !isCollection && strings.EqualFold(second, "registrations")
}

// openSurfaces makes the surfaces that HTTPS and MQTT share.
func (e *Emulator) openSurfaces() (err error) {
	e.webhooks = e.webhookTransport()
	e.devices = registration.New(e.state, registration.Options{
		Log: e.options.Logger, Recorder: e.log, Gate: e.gate, Names: e.told,
		Webhooks: registration.Webhooks{
			Timeout: e.options.WebhookTimeout, Entry: dpsservice.EntryJSON, Certificate: dpsservice.CertificateJSON, Transport: e.webhooks,
		},
	})
	e.hubs = iothub.New(iothub.Options{
		State: e.state, Recorder: e.log, Gate: e.gate, Log: e.options.Logger, Names: e.addresses,
		Bearer: func(token string) error { return e.entra.Check("Bearer "+token, entra.HubAudience) },
	})
	e.broker, err = broker.New(broker.Options{Fronts: []broker.Front{e.devices, e.hubs}, Log: e.options.Logger, ConnectTimeout: e.options.Bounds.Connect})
	return err
}
