package arm

import "slices"

// numberNoResidency is Azure's error for data residency in a region without it (recorded in Azure/azure-cli,
// test_dps_lifecycle).
const numberNoResidency = 400309

// residencyRegions are the regions in which a provisioning service can keep its data (recorded there too), and
// hubRegions those of hubs, which must do so in Qatar (Azure/azure-cli pull request 24212). Fidelity: that hubs have
// the same regions otherwise, and the same number and text, is assumed.
var (
	residencyRegions = []string{"eastus2euap", "brazilsouth", "southeastasia"}
	hubRegions       = append(slices.Clone(residencyRegions), "qatarcentral")
)

// checkResidency refuses enableDataResidency in a region without it.
func checkResidency(kind string, enabled *bool, location string) error {
	regions, service := residencyRegions, "DPS"
	if kind == hubKind {
		regions, service = hubRegions, "IoT Hub"
	}
	if enabled == nil || !*enabled || slices.Contains(regions, plainLocation(location)) {
		return nil
	}
	return providerError(numberNoResidency, `DataResidency is not supported in %s for %s. Supported regions are `+
		`"East US 2 EUAP", "Brazil South", and "Southeast Asia".`, plainLocation(location), service)
}
