// Package domain names the domains that the emulator serves and the audiences of the access tokens that it accepts:
// those of Azure's public cloud.
//
// Clients have their own list: the two sides share no names, so that a mistake in one shows.
package domain

// Domains of host names.
const (
	Hub     = "azure-devices.net"
	Service = "azure-devices-provisioning.net"
	// GlobalHost is the host where devices of every provisioning service register.
	GlobalHost = "global." + Service
	// ServiceBus is the domain of a hub's endpoint that is compatible with Event Hubs. The emulator serves nothing
	// under it.
	ServiceBus = "servicebus.windows.net"
	// Storage and KeyVault are the domains of services that the emulator does not have, but that its metadata names.
	Storage  = "core.windows.net"
	KeyVault = "vault.azure.net"
	// TemplateSchema identifies the format of an exported template.
	TemplateSchema = "https://schema.management.azure.com/schemas/2019-04-01/deploymentTemplate.json#"
)

// PrivateLink is the prefix of a domain's private DNS zone.
const PrivateLink = "privatelink."

// Audiences of access tokens.
const (
	// ManagementAudience is the audience of Azure Resource Manager. CoreAudience is the older one, which the Azure
	// CLI requests.
	ManagementAudience = "https://management.azure.com"
	CoreAudience       = "https://management.core.windows.net"
	// ServiceAudience is that of the service API of provisioning services, and HubAudience that of hubs.
	ServiceAudience = "https://" + Service
	HubAudience     = "https://iothubs.azure.net"
)
