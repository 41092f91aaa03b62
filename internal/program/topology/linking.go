package topology

import (
	"fmt"

	"github.com/pulumi/pulumi-azure-native-sdk/devices/v2"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"

	"evenkeel/internal/azure/enrollment"
	azuredps "evenkeel/sdks/azure-dps"
)

// linking is how a provisioning service authenticates at the stack's hubs.
type linking struct {
	// kind is KeyBased, SystemAssigned or UserAssigned. identity is the resource id of a user-assigned identity.
	kind, identity string
}

// byIdentity reports whether a managed identity replaces the key.
func (l linking) byIdentity() bool { return l.kind != enrollment.KeyBased }

// linking reads how hubs are linked. A link by a managed identity does not last at a service that this program
// declares: an update with the api-version 2022-12-12, which does not have such links, may reset it.
func (r *reader) linking(t *Topology) linking {
	const key = "linkAuthentication"
	const keyOfIdentity = "linkIdentity"
	kind := r.choice(key, enrollment.KeyBased, enrollment.KeyBased, enrollment.SystemAssigned,
		enrollment.UserAssigned)
	l := linking{kind, r.text(keyOfIdentity, "")}
	switch {
	case l.kind == enrollment.UserAssigned && l.identity == "":
		r.fault(keyOfIdentity, "required with linkAuthentication UserAssigned: set it to the identity's resource id "+
			"(`az identity list --query [].id`)")
	case l.kind != enrollment.UserAssigned && l.identity != "":
		r.fault(keyOfIdentity, "is only for linkAuthentication UserAssigned: remove it")
	case l.identity != "":
		r.faults = append(r.faults, enrollment.CheckIdentityID(keyOfIdentity, l.identity)...)
	}
	if l.byIdentity() && t.Existing == nil && !r.isReported("provisioningService") {
		r.fault(key, "%s needs a provisioning service that this program does not declare: it updates its own with the "+
			"api-version 2022-12-12, and the next update could reset the links. Create a service with another tool "+
			"(`az iot dps create`), and set `provisioningService` to its resource id", l.kind)
	}
	return l
}

// linkable returns the id of the existing service, for links. A service that an evenkeel stack declares is refused for
// links by a managed identity, in previews too: that stack updates it as this program would.
func (t *Topology) linkable(answer devices.LookupIotDpsResourceResultOutput) pulumi.StringInput {
	id := t.Existing.ID
	if !t.linking.byIdentity() {
		return pulumi.String(id)
	}
	return answer.Tags().ApplyT(func(tags map[string]string) (string, error) {
		if tags["purpose"] != purpose {
			return id, nil
		}
		return "", fmt.Errorf("linkAuthentication %s: the service %s belongs to the evenkeel stack %q, which updates "+
			"it with the api-version 2022-12-12, and the next update could reset the links. hint: pulumi config set "+
			"linkAuthentication %s, or set provisioningService to a service that another tool created",
			t.linking.kind, id, tags["stack"], enrollment.KeyBased)
	}).(pulumi.StringOutput)
}

// LinkTo returns the arguments of a hub's link to a shared service.
func (h LinkedHub) LinkTo(service Provisioning) *azuredps.LinkedHubArgs {
	args := &azuredps.LinkedHubArgs{
		ProvisioningServiceId: service.ID, HubHostName: h.Host, Location: pulumi.String(h.Location),
		AllocationWeight: pulumi.Int(h.Weight), ApplyAllocationPolicy: pulumi.Bool(!h.Drain),
	}
	if !service.linking.byIdentity() {
		args.PolicyName, args.Key = pulumi.String(RoleLink), h.keys[RoleLink].Active
		return args
	}
	args.AuthenticationType = azuredps.LinkAuthentication(service.linking.kind)
	if service.linking.identity != "" {
		args.IdentityId = pulumi.String(service.linking.identity)
	}
	return args
}
