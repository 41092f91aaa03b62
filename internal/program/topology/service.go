package topology

import (
	"github.com/pulumi/pulumi-azure-native-sdk/devices/v2"
	"github.com/pulumi/pulumi-azure-native-sdk/resources/v2"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"

	azuredps "evenkeel/sdks/azure-dps"
)

// purpose is the tag that identifies every resource of this program.
const purpose = "evenkeel"

// FixedLocation replaces a resource whose location changes: hubs and provisioning services cannot move.
var FixedLocation = pulumi.ReplaceOnChanges([]string{"location"})

// Group returns the arguments of the resource group. Only the group has the tags with the environment's lifetime, owner
// and protection, so that extending the lifetime changes one tag.
func (t *Topology) Group() *resources.ResourceGroupArgs {
	tags := t.tags()
	for name, value := range map[string]string{"createdAt": t.createdAt, "expiresAt": t.expiresAt, "origin": t.origin,
		"keep": t.keep} {
		if value != "" {
			tags[name] = pulumi.String(value)
		}
	}
	return &resources.ResourceGroupArgs{Location: pulumi.String(t.Location), Tags: tags}
}

// tags returns the tags of every resource. Their values come only from the stack's configuration.
func (t *Topology) tags() pulumi.StringMap {
	tags := pulumi.StringMap{"purpose": pulumi.String(purpose), "stack": pulumi.String(t.Stack)}
	if t.owner != "" {
		tags["owner"] = pulumi.String(t.owner)
	}
	return tags
}

// Service returns the arguments of the provisioning service, with all hubs linked.
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

// inline returns the links that the service itself declares: all of them, or nil if stacks share the service. An empty
// list differs from nil: it unlinks every hub.
func (t *Topology) inline(hubs Hubs) devices.IotHubDefinitionDescriptionArrayInput {
	switch {
	case !t.Shared:
		return hubs.links()
	case t.DropLinks:
		return devices.IotHubDefinitionDescriptionArray{}
	}
	return nil
}

// KeepsLinks keeps the links of a shared service as of the last refresh: an update sends them back with masked keys,
// which Azure takes as unchanged.
func (t *Topology) KeepsLinks() pulumi.ResourceOption {
	if !t.Shared || t.DropLinks {
		return pulumi.Composite()
	}
	return pulumi.IgnoreChanges([]string{linksPath})
}

// Provider returns the settings with which enrollments reach the provisioning service, and links Azure Resource
// Manager. On Local both are the emulator.
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
