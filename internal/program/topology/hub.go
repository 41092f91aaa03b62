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

// Limits of Azure IoT Hub and DPS ("IoT Hub quotas and throttling", "IoT Hub DPS limits").
const (
	maxHubs   = 50
	maxWeight = 1000
)

// hubName is Azure's rule for names of IoT hubs ("Naming rules and restrictions for Azure resources").
var hubName = regexp.MustCompile(`^[A-Za-z0-9-]{2,49}[A-Za-z0-9]$`)

// units is how many units a hub of each sku may have.
var units = map[string]int{"F1": 1, "S1": 200, "S2": 200, "S3": 10, "B1": 200, "B2": 200, "B3": 10}

// Hub is one IoT hub of the topology.
type Hub struct {
	// Name is the resource's name in the program: hub-1, hub-2 and so on.
	Name string
	// AzureName is the hub's name on Azure, global; empty: Name and eight hex digits.
	AzureName string
	Location  string
	// SKU is F1, S1 to S3 or B1 to B3; Units how many of it.
	SKU   string
	Units int
	// Weight is the hub's share under even distribution, 1 to 1000.
	Weight int
	// Drain keeps the hub and its devices, but gives it no new ones.
	Drain bool
}

// hubSettings is one entry of the configuration key hubSettings.
type hubSettings struct {
	Name     *string `json:"name"`
	Location *string `json:"location"`
	SKU      *string `json:"sku"`
	Capacity *int    `json:"capacity"`
	Weight   *int    `json:"weight"`
	Drain    bool    `json:"drain"`
	Remove   bool    `json:"remove"`
}

func (r *reader) hubs(location string) []Hub {
	count := r.whole("hubs", 2, 1, maxHubs)
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
		r.fault("hubSettings."+id, "there is no such hub: `hubs` makes hub-1 to hub-%d", count)
	}
	r.someTake(hubs)
	r.namesDiffer(hubs)
	return hubs
}

// hub applies the settings of one hub to the defaults.
func (r *reader) hub(id, location string, set hubSettings) Hub {
	key := "hubSettings." + id
	hub := Hub{Name: id, Location: location, SKU: "S1", Units: 1, Weight: 1, Drain: set.Drain}
	if set.Name != nil {
		hub.AzureName = *set.Name
		if !hubName.MatchString(hub.AzureName) {
			r.fault(key+".name", "%s is not a hub name: 3 to 50 letters, digits and hyphens, with no hyphen at the end", enrollment.Quote(hub.AzureName))
		}
	}
	if set.Location != nil {
		hub.Location = locationName(*set.Location)
		if hub.Location == "" {
			r.fault(key+".location", "is empty; leave it out to use `location`")
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
			r.fault(key+".capacity", "%d is not between 1 and %d, the units that %s has", hub.Units, units[hub.SKU], hub.SKU)
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

// locationName is a location in Azure's short form: the portal shows "West Europe", which is westeurope. One spelling everywhere, since
// links compare them letter by letter.
func locationName(location string) string {
	return strings.ToLower(strings.Join(strings.Fields(location), ""))
}

// namesDiffer checks that no two hubs have one name; letter case makes no difference on Azure.
func (r *reader) namesDiffer(hubs []Hub) {
	seen := map[string]string{}
	for _, h := range hubs {
		name := strings.ToLower(h.AzureName)
		if first, twice := seen[name]; twice && name != "" {
			r.fault("hubSettings."+h.Name+".name", "%q is the name of %s already; letter case makes no difference", h.AzureName, first)
		}
		seen[name] = h.Name
	}
}

// someTake checks that at least one hub is there and takes devices.
func (r *reader) someTake(hubs []Hub) {
	if len(hubs) == 0 {
		r.fault("hubSettings", "removes every hub; at least one must stay")
		return
	}
	if !slices.ContainsFunc(hubs, func(h Hub) bool { return !h.Drain }) {
		r.fault("hubSettings", "drains every hub; at least one must take devices")
	}
}

// Hub are the arguments of a hub: its policies are declared with keys of ours, known before Azure has made anything.
func (t *Topology) Hub(h Hub, group *resources.ResourceGroup, keys Keys) *devices.IotHubResourceArgs {
	var policies devices.SharedAccessSignatureAuthorizationRuleArray
	for _, role := range HubRoles {
		policies = append(policies, devices.SharedAccessSignatureAuthorizationRuleArgs{
			KeyName: pulumi.String(role), Rights: hubRights[role],
			PrimaryKey: keys[role].Primary, SecondaryKey: keys[role].Secondary,
		})
	}
	args := &devices.IotHubResourceArgs{
		ResourceGroupName: group.Name,
		Location:          pulumi.String(h.Location),
		Sku:               devices.IotHubSkuInfoArgs{Name: pulumi.String(h.SKU), Capacity: pulumi.Float64(float64(h.Units))},
		Properties:        devices.IotHubPropertiesArgs{AuthorizationPolicies: policies},
		Tags:              t.tags(),
	}
	if h.AzureName != "" {
		args.ResourceName = pulumi.String(h.AzureName)
	}
	return args
}

// LinkedHub is a declared hub with what links it to the provisioning service.
type LinkedHub struct {
	Hub
	// Host is the hub's host name.
	Host pulumi.StringOutput
	keys Keys
}

// Hubs are the declared hubs, in order.
type Hubs []LinkedHub

// Link makes the hub's link. Its host name comes from the resource's name, which every preview knows, and not from a property, which
// the preview of an update hides.
func (t *Topology) Link(h Hub, hub *devices.IotHubResource, keys Keys) LinkedHub {
	return LinkedHub{Hub: h, Host: pulumi.Sprintf("%s.%s", hub.Name, t.hubSuffix), keys: keys}
}

// links are the entries of the provisioning service: the least privileged policy, the weight, and whether the hub takes devices.
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

// hosts are the host names of the hubs of those names.
func (hubs Hubs) hosts(names []string) pulumi.StringArray {
	var hosts pulumi.StringArray
	for _, h := range hubs {
		if slices.Contains(names, h.Name) {
			hosts = append(hosts, h.Host)
		}
	}
	return hosts
}
