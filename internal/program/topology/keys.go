package topology

import (
	"maps"
	"slices"
	"strings"

	"github.com/pulumi/pulumi-azure-native-sdk/devices/v2"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"

	azuredps "evenkeel/sdks/azure-dps"
)

// Shared access policies that the program declares, by who uses them.
const (
	// RoleLink is what the provisioning service uses at a hub.
	RoleLink = "link"
	// RoleOperator is what keel uses at a hub.
	RoleOperator = "operator"
	// RoleHubOwner is Azure's own owner policy of a hub, with keys of ours.
	RoleHubOwner = "iothubowner"
	// RoleEnrollments is what the enrollment provider uses at the provisioning service.
	RoleEnrollments = "enrollments"
	// RoleServiceOwner is Azure's own owner policy of a provisioning service, with keys of ours.
	RoleServiceOwner = "provisioningserviceowner"
)

// HubRoles and ServiceRoles are the policies of each hub and of the provisioning service. A request that names policies replaces
// the whole list, so the owners are declared too.
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

// Key is a pair of shared access keys; all are secrets.
type Key struct {
	Primary, Secondary pulumi.StringOutput
	// Active is the one of the two that clients sign with; a rotation moves it.
	Active pulumi.StringOutput
}

// Keys are the keys of one resource's policies, by role.
type Keys map[string]Key

// rotations reads how often the keys of each role were rotated; what is left out is 0.
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
			r.fault(key+"."+role, "there is no such policy: it is one of %s", strings.Join(roles, ", "))
		case counts[role] < 0:
			r.fault(key+"."+role, "%d is negative: it counts rotations from 0", counts[role])
		}
	}
	return counts
}

// Key are the arguments of a pair of keys for a policy.
func (t *Topology) Key(role string) *azuredps.SharedAccessKeyArgs {
	args := &azuredps.SharedAccessKeyArgs{}
	if count := t.rotations[role]; count > 0 {
		args.Rotation = pulumi.Int(count)
	}
	return args
}

// connectionString is how Azure writes an address with a policy and its key; it is a secret because the key is one.
func connectionString(host pulumi.StringInput, role string, key pulumi.StringInput) pulumi.StringOutput {
	return pulumi.Sprintf("HostName=%s;SharedAccessKeyName=%s;SharedAccessKey=%s", host, role, key)
}

// KeyOf reads the keys of a resource that makes them. They are marked as secrets here too: in a preview a key is unknown, and the engine
// does not say of an unknown value that it will be secret. An update plan would then expect plain policies and links, and refuse the
// first deployment.
func KeyOf(key *azuredps.SharedAccessKey) Key {
	return Key{Primary: secretOf(key.PrimaryKey), Secondary: secretOf(key.SecondaryKey), Active: secretOf(key.ActiveKey)}
}

func secretOf(output pulumi.StringOutput) pulumi.StringOutput {
	return pulumi.ToSecret(output).(pulumi.StringOutput)
}
