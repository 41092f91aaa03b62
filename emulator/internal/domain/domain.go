// Package domain names the domains that the emulator serves and the audiences of the access tokens that it accepts: those of
// Azure's public cloud.
//
// Clients have their own list: the two sides share no names, so that a mistake in one shows.
package domain

// Domains of host names.
const (
	Hub     = "azure-devices.net"
	Service = "azure-devices-provisioning.net"
	// GlobalHost is the host where devices of every provisioning service register.
	GlobalHost = "global." + Service
	// ServiceBus is the domain of a hub's endpoint that is compatible with Event Hubs. The emulator serves nothing under it.
	ServiceBus = "servicebus.windows.net"
)

// PrivateLink begins the private DNS zone of a domain.
const PrivateLink = "privatelink."

// Audiences of access tokens.
const (
	// ManagementAudience is that of Azure Resource Manager, and CoreAudience the older one, which the Azure CLI requests.
	ManagementAudience = "https://management.azure.com"
	CoreAudience       = "https://management.core.windows.net"
	// ServiceAudience is that of the service API of provisioning services, and HubAudience that of hubs.
	ServiceAudience = "https://" + Service
	HubAudience     = "https://iothubs.azure.net"
)
