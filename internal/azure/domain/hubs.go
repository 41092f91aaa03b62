package domain

import "strings"

// hubScopes are the scopes of Microsoft Entra ID tokens for the service API of hubs, by the hubs' domain. Those of the
// sovereign clouds are inferred from their other domains.
var hubScopes = map[string]string{
	Hub:                "https://iothubs.azure.net/.default",
	"azure-devices.us": "https://iothubs.azure.us/.default",
	"azure-devices.cn": "https://iothubs.azure.cn/.default",
}

// HubScope returns the scope of Microsoft Entra ID tokens for a hub by its host name: that of its cloud, or else of the
// public one.
func HubScope(host string) string {
	_, _, domain := splitHost(host)
	if scope, ok := hubScopes[domain]; ok {
		return scope
	}
	return hubScopes[Hub]
}

// HubNames returns the host names of the hub of that name, in lower case: the classic one, that for devices and that
// for the service API.
func HubNames(hub string) []string {
	hub = strings.ToLower(hub)
	return []string{hub + "." + Hub, hub + ".device." + Hub, hub + ".service." + Hub}
}

// ClassicHost returns the form `{hub}.azure-devices.net` of a hub's host name, in lower case. It works in every cloud.
func ClassicHost(host string) string {
	hub, kind, domain := splitHost(host)
	if kind != "" {
		return hub + "." + domain
	}
	return strings.ToLower(strings.TrimSpace(host))
}

// SameHost reports whether two host names belong to one hub: `{hub}.azure-devices.net`,
// `{hub}.device.azure-devices.net` and `{hub}.service.azure-devices.net` do, in any letter case.
func SameHost(a, b string) bool { return ClassicHost(a) == ClassicHost(b) }

// IsServiceHost reports whether a host name is `{hub}.service.azure-devices.net`, under which no provisioning
// service links a hub.
func IsServiceHost(host string) bool {
	_, kind, _ := splitHost(host)
	return kind == "service"
}

// splitHost takes a host name apart. kind is "device" or "service", and empty for a classic name.
func splitHost(host string) (hub, kind, domain string) {
	hub, rest, _ := strings.Cut(strings.ToLower(strings.TrimSpace(host)), ".")
	kind, domain, _ = strings.Cut(rest, ".")
	// A domain has two labels at least: without that, "hub.device.test" would be a hub of the domain "test".
	if (kind != "device" && kind != "service") || !strings.Contains(domain, ".") {
		return hub, "", rest
	}
	return hub, kind, domain
}
