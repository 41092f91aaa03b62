// Package domain names the domains under which Azure serves IoT hubs and provisioning services, for clients.
//
// It resolves nothing and knows no login: the addresses of Azure's clouds come from the Azure SDK. The emulator has its
// own list: the two sides share no names, so that a mistake in one fails a test.
package domain

import "strings"

// Domains of Azure's public cloud.
const (
	Hub     = "azure-devices.net"
	Service = "azure-devices-provisioning.net"
	// GlobalHost is the host where devices of every provisioning service register.
	GlobalHost = "global." + Service
)

// serviceInEachCloud begins the domain of provisioning services in each cloud.
const serviceInEachCloud = "azure-devices-provisioning."

// OfService returns the domain of a provisioning service by its host name: that of its cloud, or else of the public
// one.
func OfService(host string) string {
	_, domain, _ := strings.Cut(strings.ToLower(host), ".")
	if strings.HasPrefix(domain, serviceInEachCloud) {
		return domain
	}
	return Service
}
