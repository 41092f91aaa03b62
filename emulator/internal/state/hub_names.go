package state

import (
	"strings"

	"evenkeel/emulator/internal/domain"
)

// Every hub has three host names: {hub}.azure-devices.net, the classic one, {hub}.device.azure-devices.net for devices,
// and {hub}.service.azure-devices.net for the service API. The state keeps devices under the classic one.

const (
	deviceDomain  = ".device." + domain.Hub
	serviceDomain = ".service." + domain.Hub
)

// ClassicHost returns the classic host name of a hub that has the given host name, in lower case. Other names are
// returned in lower case.
func ClassicHost(host string) string {
	host = strings.ToLower(host)
	for _, end := range []string{deviceDomain, serviceDomain} {
		if hub, ok := strings.CutSuffix(host, end); ok && hub != "" && !strings.Contains(hub, ".") {
			return hub + "." + domain.Hub
		}
	}
	return host
}

// DeviceHost returns the host name for devices of the hub with that classic host name.
func DeviceHost(classic string) string {
	return strings.TrimSuffix(classic, "."+domain.Hub) + deviceDomain
}

// ServiceHostOfHub returns the host name for the service API of the hub with that classic host name.
func ServiceHostOfHub(classic string) string {
	return strings.TrimSuffix(classic, "."+domain.Hub) + serviceDomain
}

// IsServiceHostOfHub reports whether a host name is that for the service API of a hub.
func IsServiceHostOfHub(host string) bool {
	return strings.HasSuffix(strings.ToLower(host), serviceDomain)
}

// FindLink returns the link with that host name, or else the link of the same hub under another of its names.
func FindLink(links []Link, host string) (Link, bool) {
	for _, l := range links {
		if strings.EqualFold(l.HubHost, host) {
			return l, true
		}
	}
	for _, l := range links {
		if ClassicHost(l.HubHost) == ClassicHost(host) {
			return l, true
		}
	}
	return Link{}, false
}

// storedKey returns the key that is stored for the hub and the policy of a link, by preference under the same host
// name; "" when none is.
func storedKey(l Link, known []Link) string {
	key := ""
	for _, k := range known {
		switch {
		case !strings.EqualFold(k.KeyName, l.KeyName):
		case k.HubHost == l.HubHost:
			return k.Key
		case ClassicHost(k.HubHost) == ClassicHost(l.HubHost):
			key = k.Key
		}
	}
	return key
}

// StoredKey returns the key of a service's link to that hub by that policy, or "" without such a link.
func (v *Service) StoredKey(l Link) string { return storedKey(l, v.Links) }

// keptHub returns the name that an assigned device got for its hub: the linked name.
func (r *registering) keptHub() string {
	if r.prior.hub == "" {
		return ""
	}
	if given := r.prior.AssignedHub; ClassicHost(given) == r.prior.hub {
		return given
	}
	if l, ok := r.link(r.prior.hub); ok {
		return l.HubHost
	}
	return r.prior.hub
}
