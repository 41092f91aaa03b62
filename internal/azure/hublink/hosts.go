package hublink

import "evenkeel/internal/azure/domain"

// SameHost reports whether two host names belong to one hub: `{hub}.azure-devices.net`,
// `{hub}.device.azure-devices.net` and `{hub}.service.azure-devices.net` do, in any letter case.
func SameHost(a, b string) bool { return ClassicHost(a) == ClassicHost(b) }

// ClassicHost returns the form `{hub}.azure-devices.net` of a hub's host name, in lower case.
func ClassicHost(host string) string { return domain.ClassicHost(host) }

// IsServiceHost reports whether a host name is `{hub}.service.azure-devices.net`, under which no provisioning service
// links a hub.
func IsServiceHost(host string) bool { return domain.IsServiceHost(host) }
