package enrollment

import (
	"regexp"
	"strings"
)

// MinWeight and MaxWeight limit the allocation weight of a linked hub ("Azure IoT Hub Device Provisioning Service
// limits").
const (
	MinWeight = 1
	MaxWeight = 1000
)

// How a provisioning service authenticates at a linked hub, in the spelling of Azure Resource Manager: by a key of a
// shared access policy, which is the default, or by a managed identity.
const (
	KeyBased       = "KeyBased"
	SystemAssigned = "SystemAssigned"
	UserAssigned   = "UserAssigned"
)

var servicePattern = regexp.MustCompile(
	`(?i)^/subscriptions/[^/]+/resourceGroups/[^/]+/providers/Microsoft\.Devices/provisioningServices/[^/]+$`)

// CheckServiceID checks the resource id of a provisioning service.
func CheckServiceID(path, id string) []Fault {
	if !servicePattern.MatchString(id) {
		return fault(path, "%s is not the resource id of a provisioning service: "+
			"/subscriptions/…/resourceGroups/…/providers/Microsoft.Devices/provisioningServices/…", Quote(id))
	}
	return nil
}

var identityPattern = regexp.MustCompile(
	`(?i)^/subscriptions/[^/]+/resourceGroups/[^/]+/providers/Microsoft\.ManagedIdentity/userAssignedIdentities/[^/]+$`)

// CheckIdentityID checks the resource id of a user-assigned managed identity.
func CheckIdentityID(path, id string) []Fault {
	if !identityPattern.MatchString(id) {
		return fault(path, "%s is not the resource id of a user-assigned managed identity: "+
			"/subscriptions/…/resourceGroups/…/providers/Microsoft.ManagedIdentity/userAssignedIdentities/…", Quote(id))
	}
	return nil
}

// CheckPolicyName checks the name of a shared access policy, which is part of a connection string.
func CheckPolicyName(path, name string) []Fault {
	if strings.TrimSpace(name) == "" || strings.ContainsAny(name, ";=") {
		return fault(path, "%s is not the name of a shared access policy", Quote(name))
	}
	return nil
}

// CheckWeight checks the allocation weight of a linked hub.
func CheckWeight(path string, weight int) []Fault {
	if weight < MinWeight || weight > MaxWeight {
		return fault(path, "the allocation weight is %d to %d, not %d", MinWeight, MaxWeight, weight)
	}
	return nil
}
