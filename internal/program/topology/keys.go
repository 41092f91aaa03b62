package topology

import (
	"maps"
	"slices"
	"strings"

	"github.com/pulumi/pulumi-azure-native-sdk/devices/v2"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"

	azuredps "evenkeel/sdks/azure-dps"
)

// Shared access policies that the program declares.
const (
	// RoleLink is the policy that the provisioning service uses at a hub.
	RoleLink = "link"
	// RoleOperator is the policy that keel uses at a hub.
	RoleOperator = "operator"
	// RoleHubOwner is Azure's owner policy of a hub, with generated keys.
	RoleHubOwner = "iothubowner"
	// RoleEnrollments is the policy that the enrollment provider uses at the provisioning service.
	RoleEnrollments = "enrollments"
	// RoleServiceOwner is Azure's owner policy of a provisioning service, with generated keys.
	RoleServiceOwner = "provisioningserviceowner"
)

// HubRoles and ServiceRoles are the policies of each hub and of the provisioning service. They include the owner
// policies, since a request with policies replaces the whole list.
var (
	HubRoles     = []string{RoleLink, RoleOperator, RoleHubOwner}
	ServiceRoles = []string{RoleEnrollments, RoleServiceOwner}
)

var hubRights = map[string]devices.AccessRights{
	RoleLink:     devices.AccessRights_RegistryWrite_ServiceConnect,
	RoleOperator: devices.AccessRights_RegistryRead_RegistryWrite_ServiceConnect,
	RoleHubOwner: devices.AccessRights_RegistryRead_RegistryWrite_ServiceConnect_DeviceConnect,
}

var serviceRights = map[string]string{
	RoleEnrollments:  "EnrollmentRead, EnrollmentWrite, RegistrationStatusRead, RegistrationStatusWrite",
	RoleServiceOwner: "ServiceConfig, DeviceConnect, EnrollmentWrite",
}

// Key is a pair of shared access keys. All of them are secrets.
type Key struct {
	Primary, Secondary pulumi.StringOutput
	// Active is the one of the two keys that clients sign with. A rotation switches to the other.
	Active pulumi.StringOutput
}

// Keys are the keys of one resource's policies, by role.
type Keys map[string]Key

// rotations reads the number of key rotations by role. Missing roles have 0.
func (r *reader) rotations() map[string]int {
	const key = "rotation"
	counts := map[string]int{}
	if value := r.text(key, ""); value != "" {
		r.decode(key, value, &counts)
	}
	roles := slices.Concat(HubRoles, ServiceRoles)
	for _, role := range slices.Sorted(maps.Keys(counts)) {
		switch {
		case !slices.Contains(roles, role):
			r.fault(key+"."+role, "unknown policy: use one of %s", strings.Join(roles, ", "))
		case counts[role] < 0:
			r.fault(key+"."+role, "%d is negative: use the number of rotations, from 0", counts[role])
		}
	}
	return counts
}

// Key returns the arguments of a pair of keys for a policy.
func (t *Topology) Key(role string) *azuredps.SharedAccessKeyArgs {
	args := &azuredps.SharedAccessKeyArgs{}
	if count := t.rotations[role]; count > 0 {
		args.Rotation = pulumi.Int(count)
	}
	return args
}

// connectionString returns a connection string in Azure's form. It is a secret because the key is one.
func connectionString(host pulumi.StringInput, role string, key pulumi.StringInput) pulumi.StringOutput {
	return pulumi.Sprintf("HostName=%s;SharedAccessKeyName=%s;SharedAccessKey=%s", host, role, key)
}

// KeyOf returns the keys of a resource that generates them, marked as secrets. In a preview a key is unknown, and the
// engine does not report that an unknown value will be a secret: an update plan would expect plain policies and links,
// and refuse the first deployment.
func KeyOf(key *azuredps.SharedAccessKey) Key {
	return Key{Primary: secretOf(key.PrimaryKey), Secondary: secretOf(key.SecondaryKey),
		Active: secretOf(key.ActiveKey)}
}

func secretOf(output pulumi.StringOutput) pulumi.StringOutput {
	return pulumi.ToSecret(output).(pulumi.StringOutput)
}
