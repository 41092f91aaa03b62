package state

import (
	"strings"

	"evenkeel/emulator/internal/domain"
)

// HubHost is the host name of the hub of that name, lower case.
func HubHost(name string) string { return strings.ToLower(name) + "." + domain.Hub }

// ServiceHost is the host name of the provisioning service of that name, lower case.
func ServiceHost(name string) string { return strings.ToLower(name) + "." + domain.Service }
