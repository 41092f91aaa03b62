package topology

import (
	"github.com/pulumi/pulumi-azure-native-sdk/devices/v2"
	"github.com/pulumi/pulumi-azure-native-sdk/resources/v2"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"

	azuredps "evenkeel/sdks/azure-dps"
)

// purpose is the tag by which everything that this program makes is found again.
const purpose = "evenkeel"

// FixedLocation replaces a resource whose location changes: hubs and provisioning services cannot move.
var FixedLocation = pulumi.ReplaceOnChanges([]string{"location"})

// Group are the arguments of the resource group. It alone carries the environment's lifetime, so that extending one changes one tag,
// and what tells keel whose it is and whether it is to be kept.
func (t *Topology) Group() *resources.ResourceGroupArgs {
	tags := t.tags()
	for name, value := range map[string]string{"createdAt": t.createdAt, "expiresAt": t.expiresAt, "origin": t.origin, "keep": t.keep} {
		if value != "" {
			tags[name] = pulumi.String(value)
		}
	}
	return &resources.ResourceGroupArgs{Location: pulumi.String(t.Location), Tags: tags}
}

// tags are the tags of every resource. Their values come from the stack's configuration alone.
func (t *Topology) tags() pulumi.StringMap {
	tags := pulumi.StringMap{"purpose": pulumi.String(purpose), "stack": pulumi.String(t.Stack)}
	if t.owner != "" {
		tags["owner"] = pulumi.String(t.owner)
	}
	return tags
}

// Service are the arguments of the provisioning service, with all hubs linked.
func (t *Topology) Service(group *resources.ResourceGroup, hubs Hubs, keys Keys) *devices.IotDpsResourceArgs {
	var policies devices.SharedAccessSignatureAuthorizationRuleAccessRightsDescriptionArray
	for _, role := range ServiceRoles {
		policies = append(policies, devices.SharedAccessSignatureAuthorizationRuleAccessRightsDescriptionArgs{
			KeyName: pulumi.String(role), Rights: pulumi.String(serviceRights[role]),
			PrimaryKey: keys[role].Primary, SecondaryKey: keys[role].Secondary,
		})
	}
	return &devices.IotDpsResourceArgs{
		ResourceGroupName: group.Name,
		Location:          pulumi.String(t.Location),
		Sku:               devices.IotDpsSkuInfoArgs{Name: pulumi.String("S1"), Capacity: pulumi.Float64(1)},
		Properties: devices.IotDpsPropertiesDescriptionArgs{
			AllocationPolicy:      pulumi.String(t.Policy),
			IotHubs:               t.inline(hubs),
			AuthorizationPolicies: policies,
		},
		Tags: t.tags(),
	}
}

// inline are the links that the service itself declares: all, or none where stacks share it. Nothing is another thing than an empty
// list, which unlinks every hub.
func (t *Topology) inline(hubs Hubs) devices.IotHubDefinitionDescriptionArrayInput {
	switch {
	case !t.Shared:
		return hubs.links()
	case t.DropLinks:
		return devices.IotHubDefinitionDescriptionArray{}
	}
	return nil
}

// KeepsLinks leaves the links of a shared service as they were when its state was last refreshed: an update sends them back, their
// keys masked, and so keeps them.
func (t *Topology) KeepsLinks() pulumi.ResourceOption {
	if !t.Shared || t.DropLinks {
		return pulumi.Composite()
	}
	return pulumi.IgnoreChanges([]string{linksPath})
}

// Provider are the settings with which enrollments reach the provisioning service, and links Azure Resource Manager; on Local both lead
// to the emulator.
func (t *Topology) Provider(service Provisioning) *azuredps.ProviderArgs {
	args := &azuredps.ProviderArgs{Host: service.host}
	if service.policy != "" {
		args.PolicyName, args.Key = pulumi.String(service.policy), service.key
	}
	if t.Target == Local {
		args.Endpoint, args.CaFile = pulumi.String(t.Endpoint), pulumi.String(t.CAFile)
	}
	if t.emulator != nil {
		args.MetadataHost = pulumi.String(t.emulator.host)
		args.TenantId, args.ClientId = pulumi.String(t.emulator.TenantID), pulumi.String(t.emulator.ClientID)
		args.ClientSecret = secret(t.emulator.secret)
	}
	return args
}
