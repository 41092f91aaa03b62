package state

import "strings"

// Domains of the host names, as in Azure's public cloud.
const (
	hubDomain     = ".azure-devices.net"
	serviceDomain = ".azure-devices-provisioning.net"
)

// HubHost is the host name of the hub of that name, lower case.
func HubHost(name string) string { return strings.ToLower(name) + hubDomain }

// ServiceHost is the host name of the provisioning service of that name, lower case.
func ServiceHost(name string) string { return strings.ToLower(name) + serviceDomain }
