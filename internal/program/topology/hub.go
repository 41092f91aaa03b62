package topology

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"

	"github.com/pulumi/pulumi-azure-native-sdk/devices/v2"
	"github.com/pulumi/pulumi-azure-native-sdk/resources/v2"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"

	"evenkeel/internal/azure/enrollment"
)

// Limits of Azure IoT Hub and DPS, from "IoT Hub quotas and throttling" and "IoT Hub DPS limits".
const (
	maxHubs   = 50
	maxWeight = 1000
)

// hubName matches valid names of IoT hubs, from "Naming rules and restrictions for Azure resources".
var hubName = regexp.MustCompile(`^[A-Za-z0-9-]{2,49}[A-Za-z0-9]$`)

// units is the maximum number of units by sku.
var units = map[string]int{"F1": 1, "S1": 200, "S2": 200, "S3": 10, "B1": 200, "B2": 200, "B3": 10}

// Hub is one IoT hub of the topology.
type Hub struct {
	// Name is the resource name in the program: hub-1, hub-2 and so on.
	Name string
	// AzureName is the globally unique name of the hub on Azure. If it is empty, the name is Name and eight hex digits.
	AzureName string
	Location  string
	// SKU is F1, S1 to S3 or B1 to B3. Units is the number of its units.
	SKU   string
	Units int
	// Weight is the hub's weight under even distribution, 1 to 1000.
	Weight int
	// Drain keeps the hub and its devices, but assigns no new devices to it.
	Drain bool
	// DisableLocalAuth makes the hub refuse the keys of its shared access policies.
	DisableLocalAuth bool
}

// hubSettings is one entry of the configuration key hubSettings.
type hubSettings struct {
	Name             *string `json:"name"`
	Location         *string `json:"location"`
	SKU              *string `json:"sku"`
	Capacity         *int    `json:"capacity"`
	Weight           *int    `json:"weight"`
	Drain            bool    `json:"drain"`
	Remove           bool    `json:"remove"`
	DisableLocalAuth bool    `json:"disableLocalAuth"`
}

func (r *reader) hubs(location string) []Hub {
	count := r.integer("hubs", 2, 1, maxHubs)
	settings := map[string]hubSettings{}
	if value := r.text("hubSettings", ""); value != "" {
		r.decode("hubSettings", value, &settings)
	}
	var hubs []Hub
	for i := range count {
		id := fmt.Sprintf("hub-%d", i+1)
		set := settings[id]
		delete(settings, id)
		if hub := r.hub(id, location, set); !set.Remove {
			hubs = append(hubs, hub)
		}
	}
	for _, id := range slices.Sorted(maps.Keys(settings)) {
		r.fault("hubSettings."+id, "unknown hub: `hubs` declares hub-1 to hub-%d", count)
	}
	r.requireAcceptingHub(hubs)
	r.namesDiffer(hubs)
	return hubs
}

// hub applies the settings of one hub to the defaults.
func (r *reader) hub(id, location string, set hubSettings) Hub {
	key := "hubSettings." + id
	hub := Hub{Name: id, Location: location, SKU: "S1", Units: 1, Weight: 1, Drain: set.Drain,
		DisableLocalAuth: set.DisableLocalAuth}
	if set.Name != nil {
		hub.AzureName = *set.Name
		if !hubName.MatchString(hub.AzureName) {
			r.fault(key+".name",
				"%s is not a valid hub name: use 3 to 50 letters, digits and hyphens, and no hyphen at the end",
				enrollment.Quote(hub.AzureName))
		}
	}
	if set.Location != nil {
		hub.Location = locationName(*set.Location)
		if hub.Location == "" {
			r.fault(key+".location", "is empty: remove it to use `location`")
		}
	}
	if set.SKU != nil {
		known := slices.Sorted(maps.Keys(units))
		match, ok := fold(*set.SKU, known)
		if !ok {
			r.fault(key+".sku", "%s is not one of %s", enrollment.Quote(*set.SKU), strings.Join(known, ", "))
			match = hub.SKU
		}
		hub.SKU = match
	}
	if set.Capacity != nil {
		hub.Units = *set.Capacity
		if hub.Units < 1 || hub.Units > units[hub.SKU] {
			r.fault(key+".capacity", "%d is not between 1 and %d, the maximum number of units of %s", hub.Units,
				units[hub.SKU], hub.SKU)
		}
	}
	if set.Weight != nil {
		hub.Weight = *set.Weight
		if hub.Weight < 1 || hub.Weight > maxWeight {
			r.fault(key+".weight", "%d is not between 1 and %d", hub.Weight, maxWeight)
		}
	}
	return hub
}

// locationName returns a location in Azure's short form, for example westeurope for the "West Europe" that the portal
// shows. All resources need the same form, since links compare locations by their exact text.
func locationName(location string) string {
	return strings.ToLower(strings.Join(strings.Fields(location), ""))
}

// namesDiffer checks that no two hubs have the same name, ignoring letter case as Azure does.
func (r *reader) namesDiffer(hubs []Hub) {
	seen := map[string]string{}
	for _, h := range hubs {
		name := strings.ToLower(h.AzureName)
		if first, twice := seen[name]; twice && name != "" {
			r.fault("hubSettings."+h.Name+".name", "%q is already the name of %s; names are not case-sensitive",
				h.AzureName, first)
		}
		seen[name] = h.Name
	}
}

// requireAcceptingHub checks that at least one hub remains and accepts new devices.
func (r *reader) requireAcceptingHub(hubs []Hub) {
	if len(hubs) == 0 {
		r.fault("hubSettings", "removes every hub: keep at least one")
		return
	}
	if !slices.ContainsFunc(hubs, func(h Hub) bool { return !h.Drain }) {
		r.fault("hubSettings", "drains every hub: at least one must accept new devices")
	}
}

// localAuth refuses hubs that would not accept the key of their link.
func (r *reader) localAuth(t *Topology) {
	for _, h := range t.Hubs {
		if h.DisableLocalAuth && !t.linking.byIdentity() {
			r.fault("hubSettings."+h.Name+".disableLocalAuth",
				"the hub would refuse the key of its link, so that no device could register: remove the setting, or "+
					"link the stack's hubs by a managed identity (`linkAuthentication`)")
		}
	}
}

// Hub returns the arguments of a hub. They declare its shared access policies with generated keys, so that previews
// know the keys before the hub exists.
func (t *Topology) Hub(h Hub, group *resources.ResourceGroup, keys Keys) *devices.IotHubResourceArgs {
	var policies devices.SharedAccessSignatureAuthorizationRuleArray
	for _, role := range HubRoles {
		policies = append(policies, devices.SharedAccessSignatureAuthorizationRuleArgs{
			KeyName: pulumi.String(role), Rights: hubRights[role],
			PrimaryKey: keys[role].Primary, SecondaryKey: keys[role].Secondary,
		})
	}
	properties := devices.IotHubPropertiesArgs{AuthorizationPolicies: policies}
	if h.DisableLocalAuth {
		properties.DisableLocalAuth = pulumi.Bool(true)
	}
	args := &devices.IotHubResourceArgs{
		ResourceGroupName: group.Name,
		Location:          pulumi.String(h.Location),
		Sku: devices.IotHubSkuInfoArgs{Name: pulumi.String(h.SKU),
			Capacity: pulumi.Float64(float64(h.Units))},
		Properties: properties,
		Tags:       t.tags(),
	}
	if h.AzureName != "" {
		args.ResourceName = pulumi.String(h.AzureName)
	}
	return args
}

// LinkedHub is a declared hub and the data that links it to the provisioning service.
type LinkedHub struct {
	Hub
	// Host is the hub's host name.
	Host pulumi.StringOutput
	keys Keys
}

// Hubs are the declared hubs, in order.
type Hubs []LinkedHub

// Link returns the link of a hub. It takes the host name from the resource name, which every preview knows, since the
// preview of an update does not know the resource's properties.
func (t *Topology) Link(h Hub, hub *devices.IotHubResource, keys Keys) LinkedHub {
	return LinkedHub{Hub: h, Host: pulumi.Sprintf("%s.%s", hub.Name, t.hubSuffix), keys: keys}
}

// links returns the links that the provisioning service declares: the connection string of the least privileged policy,
// the weight, and whether the hub accepts new devices.
func (hubs Hubs) links() devices.IotHubDefinitionDescriptionArray {
	var links devices.IotHubDefinitionDescriptionArray
	for _, h := range hubs {
		links = append(links, devices.IotHubDefinitionDescriptionArgs{
			ConnectionString:      connectionString(h.Host, RoleLink, h.keys[RoleLink].Active),
			Location:              pulumi.String(h.Location),
			AllocationWeight:      pulumi.Int(h.Weight),
			ApplyAllocationPolicy: pulumi.Bool(!h.Drain),
		})
	}
	return links
}

// hosts returns the host names of the hubs with the given resource names.
func (hubs Hubs) hosts(names []string) pulumi.StringArray {
	var hosts pulumi.StringArray
	for _, h := range hubs {
		if slices.Contains(names, h.Name) {
			hosts = append(hosts, h.Host)
		}
	}
	return hosts
}
