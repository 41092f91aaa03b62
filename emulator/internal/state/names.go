package state

import (
	"strings"

	"evenkeel/emulator/internal/domain"
)

// HubHost returns the host name of the hub with that name, in lower case.
func HubHost(name string) string { return strings.ToLower(name) + "." + domain.Hub }

// ServiceHost returns the host name of the provisioning service with that name, in lower case.
func ServiceHost(name string) string { return strings.ToLower(name) + "." + domain.Service }
