package topology

import (
	"net/url"
	"strings"

	"github.com/pulumi/pulumi-azure-native-sdk/devices/v2"
	"github.com/pulumi/pulumi-azure-native-sdk/resources/v2"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"

	"evenkeel/internal/azure/enrollment"
)

// Existing is a provisioning service that another stack owns, with the credentials for this stack's enrollments.
type Existing struct {
	// ID is the Azure resource id; Subscription, Group and Name are its parts.
	ID, Subscription, Group, Name string
	// policy and key are a shared access policy of the service. Both are empty to log in with Microsoft Entra ID.
	policy, key string
}

// existing reads which service the stack uses, and returns nil for its own service.
func (r *reader) existing() *Existing {
	const key = "provisioningService"
	e := &Existing{ID: r.text(key, ""), policy: r.text("provisioningPolicy", ""),
		key: enrollment.CleanKey(r.text("provisioningKey", ""))}
	if e.ID == "" {
		for name, value := range map[string]string{"provisioningPolicy": e.policy, "provisioningKey": e.key} {
			if value != "" {
				r.fault(name, "is only for an existing service: set `%s` to its resource id", key)
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
		r.fault("provisioningKey",
			"set both provisioningPolicy and provisioningKey, or neither to log in with Microsoft Entra ID")
	}
	if e.key != "" {
		r.faults = append(r.faults, enrollment.CheckKey("provisioningKey", e.key)...)
	}
	return e
}

// ServiceID splits the resource id of a provisioning service. All parts are empty if id is not one.
func ServiceID(id string) (subscription, group, name string) {
	if len(enrollment.CheckServiceID("", id)) > 0 {
		return "", "", ""
	}
	// "", subscriptions, …, resourceGroups, …, providers, Microsoft.Devices, provisioningServices, …
	parts := strings.Split(id, "/")
	return parts[2], parts[4], parts[8]
}

// sharing reads whether others may link their hubs to the stack's service.
func (r *reader) sharing(t *Topology) {
	t.Shared, t.DropLinks = r.truth("shared"), r.truth("dropLinks")
	if t.Existing != nil && t.Shared {
		r.fault("shared",
			"a stack either shares its own service or uses the one in `provisioningService`: remove one of the settings")
	}
	if t.Existing != nil && t.DropLinks {
		r.fault("dropLinks", "is a setting of the stack that owns the service")
	}
}

// linked reports whether each hub has a separate link resource, because stacks share the service.
func (t *Topology) linked() bool { return t.Shared || t.Existing != nil }

// Separate returns the hubs that need a separate link resource: all if stacks share the service, otherwise none, since
// the service declares its links.
func (t *Topology) Separate(hubs Hubs) Hubs {
	if t.linked() {
		return hubs
	}
	return nil
}

// scoped returns an id that does not collide with ids of other stacks at the same service.
func (t *Topology) scoped(id string) string {
	if id == "" {
		return id
	}
	return t.prefix() + id
}

// prefix returns the prefix of such ids. It is empty if the stack owns the service.
func (t *Topology) prefix() string {
	if t.Existing == nil {
		return ""
	}
	return t.Stack + "-"
}

// login is how the provider reaches the emulator's Azure Resource Manager. It needs none for Azure itself.
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
	if value == "" || t.Target != Local { // a stack that no longer shares still has links to remove
		if t.Target == Local && t.linked() {
			r.fault(key,
				"a local stack that shares a provisioning service needs the emulator's login, which `keel up` and "+
					"`keel exec` write")
		}
		return nil
	}
	var l login
	if r.decode(key, value, &l); r.isReported(key) {
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

// Provisioning is the service that the stack's devices register with: the stack's own or an existing one.
type Provisioning struct {
	// ID is the Azure resource id.
	ID pulumi.StringInput
	// Within makes resources inside the service end with it, if the stack owns both.
	Within  pulumi.ResourceOption
	group   pulumi.StringInput
	name    pulumi.StringInput
	host    pulumi.StringOutput
	idScope pulumi.StringOutput
	// policy is empty if the provider logs in with Microsoft Entra ID.
	policy  string
	key     pulumi.StringOutput
	linking linking
}

// Own returns the stack's own service.
func (t *Topology) Own(group *resources.ResourceGroup, dps *devices.IotDpsResource, keys Keys) Provisioning {
	return Provisioning{
		ID: dps.ID().ToStringOutput(), Within: pulumi.DeletedWith(dps), group: group.Name, name: dps.Name,
		host: pulumi.Sprintf("%s.%s", dps.Name, t.serviceSuffix), idScope: dps.Properties.IdScope(),
		policy: RoleEnrollments, key: keys[RoleEnrollments].Active, linking: linking{kind: enrollment.KeyBased},
	}
}

// Lookup are the arguments that read the existing service from Azure.
func (e *Existing) Lookup() devices.LookupIotDpsResourceOutputArgs {
	return devices.LookupIotDpsResourceOutputArgs{ResourceGroupName: pulumi.String(e.Group),
		ProvisioningServiceName: pulumi.String(e.Name)}
}

// Found returns the existing service. Its host name comes from its id, which every preview knows.
func (t *Topology) Found(answer devices.LookupIotDpsResourceResultOutput) Provisioning {
	return Provisioning{
		ID: t.linkable(answer), linking: t.linking, Within: pulumi.Composite(), group: pulumi.String(t.Existing.Group),
		name: pulumi.String(t.Existing.Name), host: pulumi.Sprintf("%s.%s", t.Existing.Name, t.serviceSuffix),
		idScope: answer.Properties().IdScope(),
		policy:  t.Existing.policy, key: pulumi.ToSecret(pulumi.String(t.Existing.key)).(pulumi.StringOutput),
	}
}
