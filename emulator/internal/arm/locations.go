package arm

import (
	"net/http"
	"slices"
	"strings"
)

// azureLocations are Azure's regions. Fidelity: the table is of 2026, every region has every type of resource, and
// regions of the other clouds are accepted too, but not listed.
var azureLocations = []struct{ name, display string }{
	{"australiacentral", "Australia Central"}, {"australiacentral2", "Australia Central 2"},
	{"australiaeast", "Australia East"},
	{"australiasoutheast", "Australia Southeast"}, {"austriaeast", "Austria East"},
	{"belgiumcentral", "Belgium Central"},
	{"brazilsouth", "Brazil South"}, {"brazilsoutheast", "Brazil Southeast"}, {"canadacentral", "Canada Central"},
	{"canadaeast", "Canada East"},
	{"centralindia", "Central India"}, {"centralus", "Central US"}, {"centraluseuap", "Central US EUAP"},
	{"chilecentral", "Chile Central"},
	{"denmarkeast", "Denmark East"}, {"eastasia", "East Asia"}, {"eastus", "East US"}, {"eastus2", "East US 2"},
	{"eastus2euap", "East US 2 EUAP"},
	{"eastus3", "East US 3"}, {"finlandcentral", "Finland Central"}, {"francecentral", "France Central"},
	{"francesouth", "France South"},
	{"germanynorth", "Germany North"}, {"germanywestcentral", "Germany West Central"},
	{"greececentral", "Greece Central"},
	{"indiasouthcentral", "India South Central"}, {"indonesiacentral", "Indonesia Central"},
	{"israelcentral", "Israel Central"},
	{"israelnorthwest", "Israel Northwest"}, {"italynorth", "Italy North"}, {"japaneast", "Japan East"},
	{"japanwest", "Japan West"},
	{"jioindiacentral", "Jio India Central"}, {"jioindiawest", "Jio India West"}, {"koreacentral", "Korea Central"},
	{"koreasouth", "Korea South"},
	{"malaysiasouth", "Malaysia South"}, {"malaysiawest", "Malaysia West"}, {"mexicocentral", "Mexico Central"},
	{"newzealandnorth", "New Zealand North"}, {"northcentralus", "North Central US"}, {"northeurope", "North Europe"},
	{"norwayeast", "Norway East"}, {"norwaywest", "Norway West"}, {"polandcentral", "Poland Central"},
	{"qatarcentral", "Qatar Central"},
	{"saudiarabiacentral", "Saudi Arabia Central"}, {"saudiarabiaeast", "Saudi Arabia East"},
	{"southafricanorth", "South Africa North"},
	{"southafricawest", "South Africa West"}, {"southcentralus", "South Central US"},
	{"southcentralus2", "South Central US 2"},
	{"southeastasia", "Southeast Asia"}, {"southeastus", "Southeast US"}, {"southindia", "South India"},
	{"spaincentral", "Spain Central"},
	{"swedencentral", "Sweden Central"}, {"swedensouth", "Sweden South"}, {"switzerlandnorth", "Switzerland North"},
	{"switzerlandwest", "Switzerland West"}, {"taiwannorth", "Taiwan North"}, {"taiwannorthwest", "Taiwan Northwest"},
	{"uaecentral", "UAE Central"}, {"uaenorth", "UAE North"}, {"uksouth", "UK South"}, {"ukwest", "UK West"},
	{"westcentralus", "West Central US"}, {"westeurope", "West Europe"}, {"westindia", "West India"},
	{"westus", "West US"},
	{"westus2", "West US 2"}, {"westus3", "West US 3"},
}

// otherClouds are the prefixes of region names in Azure Government and Azure operated by 21Vianet.
var otherClouds = []string{"usgov", "usdod", "china"}

// knownLocation reports whether a location, as ARM compares it, is one of Azure's.
func knownLocation(plain string) bool {
	for _, prefix := range otherClouds {
		if strings.HasPrefix(plain, prefix) {
			return true
		}
	}
	return slices.ContainsFunc(azureLocations, func(l struct{ name, display string }) bool { return l.name == plain })
}

// Locations returns the names of Azure's regions.
func Locations() []string {
	names := make([]string, len(azureLocations))
	for i, l := range azureLocations {
		names[i] = l.name
	}
	return names
}

// locationNames returns the regions as ARM's errors list them.
func locationNames() string { return strings.Join(Locations(), ",") }

// listLocations is Subscriptions_ListLocations.
func (c *call) listLocations() error {
	bodies := []any{}
	for _, l := range azureLocations {
		bodies = append(bodies, map[string]any{
			"id": "/subscriptions/" + c.Subscription + "/locations/" + l.name, "name": l.name, "displayName": l.display,
			"regionalDisplayName": l.display, "type": "Region", "subscriptionId": strings.ToLower(c.Subscription),
		})
	}
	return c.json(http.StatusOK, list{bodies})
}
