package topology

import (
	"net/url"
	"strings"

	"github.com/pulumi/pulumi-azure-native-sdk/devices/v2"
	"github.com/pulumi/pulumi-azure-native-sdk/resources/v2"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"

	"evenkeel/internal/azure/enrollment"
	azuredps "evenkeel/sdks/azure-dps"
)

// Existing is a provisioning service that another stack owns, and how this stack's enrollments reach it.
type Existing struct {
	// ID is the Azure resource id; Subscription, Group and Name are its parts.
	ID, Subscription, Group, Name string
	// policy and key are a shared access policy of it; both empty to log in with Microsoft Entra ID.
	policy, key string
}

// existing reads which service the stack is to use, nil for one of its own.
func (r *reader) existing() *Existing {
	const key = "provisioningService"
	e := &Existing{ID: r.text(key, ""), policy: r.text("provisioningPolicy", ""), key: enrollment.CleanKey(r.text("provisioningKey", ""))}
	if e.ID == "" {
		for name, value := range map[string]string{"provisioningPolicy": e.policy, "provisioningKey": e.key} {
			if value != "" {
				r.fault(name, "belongs to an existing service, which `%s` names by its resource id", key)
			}
		}
		return nil
	}
	if faults := enrollment.CheckServiceID(key, e.ID); len(faults) > 0 {
		r.faults = append(r.faults, faults...)
		return nil
	}
	e.Subscription, e.Group, e.Name = ServiceID(e.ID)
	if (e.policy == "") != (e.key == "") {
		r.fault("provisioningKey", "provisioningPolicy and provisioningKey are needed together, or neither to log in with Microsoft Entra ID")
	}
	if e.key != "" {
		r.faults = append(r.faults, enrollment.CheckKey("provisioningKey", e.key)...)
	}
	return e
}

// ServiceID takes the resource id of a provisioning service apart; all parts of another text are empty.
func ServiceID(id string) (subscription, group, name string) {
	if len(enrollment.CheckServiceID("", id)) > 0 {
		return "", "", ""
	}
	parts := strings.Split(id, "/") // "", subscriptions, …, resourceGroups, …, providers, Microsoft.Devices, provisioningServices, …
	return parts[2], parts[4], parts[8]
}

// sharing reads whether others link their hubs to the stack's own service.
func (r *reader) sharing(t *Topology) {
	t.Shared, t.DropLinks = r.truth("shared"), r.truth("dropLinks")
	if t.Existing != nil && t.Shared {
		r.fault("shared", "a stack owns a service that others share, or uses one that `provisioningService` names, not both")
	}
	if t.Existing != nil && t.DropLinks {
		r.fault("dropLinks", "belongs to the stack that owns the service")
	}
}

// linked reports whether each hub is linked by a resource of its own, because stacks share one service.
func (t *Topology) linked() bool { return t.Shared || t.Existing != nil }

// Separate are the hubs that resources of their own link to the service: all where stacks share it, else none, since the service
// declares them.
func (t *Topology) Separate(hubs Hubs) Hubs {
	if t.linked() {
		return hubs
	}
	return nil
}

// scoped is an id that is unlike those of other stacks at the same service.
func (t *Topology) scoped(id string) string {
	if id == "" {
		return id
	}
	return t.prefix() + id
}

// prefix is what makes ids so; empty at a service of the stack's own.
func (t *Topology) prefix() string {
	if t.Existing == nil {
		return ""
	}
	return t.Stack + "-"
}

// login is how the provider reaches the emulator's Azure Resource Manager; Azure's own is known to it.
type login struct {
	ARM        string `json:"arm"`
	TenantID   string `json:"tenantId"`
	ClientID   string `json:"clientId"`
	SecretFile string `json:"secretFile"`

	host, secret string
}

func (r *reader) login(t *Topology) *login {
	const key = "emulator"
	value := r.text(key, "")
	if value == "" || t.Target != Local { // a stack that shares no more still has links to remove
		if t.Target == Local && t.linked() {
			r.fault(key, "a local stack that shares a provisioning service needs the emulator's login, which `keel up` and `keel exec` write")
		}
		return nil
	}
	var l login
	if r.decode(key, value, &l); r.isTold(key) {
		return nil
	}
	address, err := url.Parse(l.ARM)
	if err != nil || address.Scheme != "https" || address.Host == "" {
		r.fault(key+".arm", "is not an https address")
		return nil
	}
	secret, err := r.file(l.SecretFile)
	if err != nil {
		r.fault(key+".secretFile", "cannot be read: %v", err)
		return nil
	}
	l.host, l.secret = address.Host, strings.TrimSpace(string(secret))
	return &l
}

// Provisioning is the service that the stack's devices register with: its own, or an existing one.
type Provisioning struct {
	// ID is the Azure resource id.
	ID pulumi.StringInput
	// Within ends with the service what lies in it, where both are the stack's own.
	Within  pulumi.ResourceOption
	group   pulumi.StringInput
	name    pulumi.StringInput
	host    pulumi.StringOutput
	idScope pulumi.StringOutput
	// policy is empty where Microsoft Entra ID is the way in.
	policy string
	key    pulumi.StringOutput
}

// Own describes the stack's own service.
func (t *Topology) Own(group *resources.ResourceGroup, dps *devices.IotDpsResource, keys Keys) Provisioning {
	return Provisioning{
		ID: dps.ID().ToStringOutput(), Within: pulumi.DeletedWith(dps), group: group.Name, name: dps.Name, host: pulumi.Sprintf("%s.%s", dps.Name, t.serviceSuffix), idScope: dps.Properties.IdScope(),
		policy: RoleEnrollments, key: keys[RoleEnrollments].Active,
	}
}

// Lookup are the arguments that read the existing service from Azure.
func (e *Existing) Lookup() devices.LookupIotDpsResourceOutputArgs {
	return devices.LookupIotDpsResourceOutputArgs{ResourceGroupName: pulumi.String(e.Group), ProvisioningServiceName: pulumi.String(e.Name)}
}

// Found describes the existing service. Its host name comes from its id, which every preview knows.
func (t *Topology) Found(answer devices.LookupIotDpsResourceResultOutput) Provisioning {
	return Provisioning{
		ID: pulumi.String(t.Existing.ID), Within: pulumi.Composite(), group: pulumi.String(t.Existing.Group), name: pulumi.String(t.Existing.Name), host: pulumi.Sprintf("%s.%s", t.Existing.Name, t.serviceSuffix), idScope: answer.Properties().IdScope(),
		policy: t.Existing.policy, key: pulumi.ToSecret(pulumi.String(t.Existing.key)).(pulumi.StringOutput),
	}
}

// LinkTo are the arguments of one hub's link to a service that stacks share.
func (h LinkedHub) LinkTo(service Provisioning) *azuredps.LinkedHubArgs {
	return &azuredps.LinkedHubArgs{
		ProvisioningServiceId: service.ID, HubHostName: h.Host, Location: pulumi.String(h.Location),
		PolicyName: pulumi.String(RoleLink), Key: h.keys[RoleLink].Active,
		AllocationWeight: pulumi.Int(h.Weight), ApplyAllocationPolicy: pulumi.Bool(!h.Drain),
	}
}
