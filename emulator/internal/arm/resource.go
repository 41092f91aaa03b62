package arm

import (
	"net/http"
	"regexp"
	"strings"

	"evenkeel/emulator/internal/state"
)

// What hubs and provisioning services share on the wire.

const (
	provider    = "Microsoft.Devices"
	hubKind     = "IotHubs"
	serviceKind = "provisioningServices"
)

// Limits of tags, from "Use tags to organize your Azure resources".
const (
	maxTags     = 50
	maxTagName  = 512
	maxTagValue = 256
)

type skuBody struct {
	Name     string `json:"name"`
	Tier     string `json:"tier,omitempty"`
	Capacity *int64 `json:"capacity"`
}

// units is the number of units in a request; the default is one.
func (s skuBody) units() (int64, error) {
	if s.Capacity == nil {
		return 1, nil
	}
	if *s.Capacity < 1 {
		return 0, invalid("The sku '%s' has at least one unit, not %d.", s.Name, *s.Capacity)
	}
	return *s.Capacity, nil
}

// tiers are the limits of hubs by sku name: units, and messages a day of each unit. Source: "Choose the right IoT Hub
// tier".
var tiers = map[string]struct {
	maxUnits int64
	messages int64
}{
	"F1": {1, 8000},
	"B1": {200, 400_000}, "B2": {200, 6_000_000}, "B3": {10, 300_000_000},
	"S1": {200, 400_000}, "S2": {200, 6_000_000}, "S3": {10, 300_000_000},
}

func showSKU(s state.SKU) skuBody {
	return skuBody{Name: s.Name, Tier: string(s.Tier()), Capacity: &s.Capacity}
}

func resourcePath(kind string, id state.ResourceID) string {
	return "/subscriptions/" + id.Subscription + "/resourceGroups/" + id.Group + "/providers/" + provider + "/" + kind +
		"/" + id.Name
}

func locationRequired() error {
	return armError(http.StatusBadRequest, "LocationRequired", "The location property is required for this definition.")
}

// plainLocation returns a location as ARM compares it: "West US" is "westus".
func plainLocation(location string) string {
	return strings.ToLower(strings.ReplaceAll(location, " ", ""))
}

// checkPlace refuses a resource whose location is not one of Azure's, or differs from the current one.
func checkPlace(kind, name, asked string, present *state.Resource) error {
	if strings.TrimSpace(asked) == "" {
		return locationRequired()
	}
	if present == nil && !knownLocation(plainLocation(asked)) {
		return armError(http.StatusBadRequest, "LocationNotAvailableForResourceType",
			"The provided location '%s' is not available for resource type '%s/%s'. List of available regions for "+
				"the resource type is '%s'.",
			asked, provider, kind, locationNames())
	}
	if present != nil && plainLocation(asked) != plainLocation(present.Location) {
		return armError(http.StatusConflict, "InvalidResourceLocation",
			"The resource '%s' already exists in location '%s' in resource group '%s'. A resource with the same name "+
				"cannot be created in location '%s'. Please select a new resource name.",
			name, present.Location, present.ID.Group, asked)
	}
	return nil
}

func checkTags(tags map[string]string) error {
	if len(tags) > maxTags {
		return armError(http.StatusBadRequest, "InvalidTags", "The resource has %d tags; at most %d are allowed.",
			len(tags), maxTags)
	}
	for name, value := range tags {
		switch {
		case name == "" || len(name) > maxTagName || strings.ContainsAny(name, `<>%&\?/`):
			return armError(http.StatusBadRequest, "InvalidTagNameCharacters",
				"The tag name '%s' is invalid: it has 1 to %d characters, none of <>%%&\\?/.", name, maxTagName)
		case len(value) > maxTagValue:
			return armError(http.StatusBadRequest, "TagValueTooLong",
				"The value of tag '%s' is longer than %d characters.", name, maxTagValue)
		}
	}
	return nil
}

// tagsOrEmpty returns tags as Microsoft.Devices does: an object even if it is empty.
func tagsOrEmpty(tags map[string]string) map[string]string {
	if tags == nil {
		return map[string]string{}
	}
	return tags
}

// dictionary matches the If-Match of the Azure CLI's hub commands: the text of a Python dictionary that was meant to
// become headers, as {'IF-MATCH': 'AAAAAAFOg6A='} (iot/custom.py, calls of begin_create_or_update).
var dictionary = regexp.MustCompile(`(?i)^\{\s*['"]if-match['"]\s*:\s*(?:['"](.*)['"]|None|null)\s*\}$`)

// etagOf removes the quotes and the weak mark that HTTP puts around an etag. Azure's clients send it bare, and the
// Azure CLI in a dictionary. A dictionary without an etag is no condition.
func etagOf(header string) string {
	header = strings.TrimSpace(header)
	if found := dictionary.FindStringSubmatch(header); found != nil {
		header = found[1]
	}
	return strings.Trim(strings.TrimPrefix(header, "W/"), `"`)
}

// provisioningState returns the properties.provisioningState of a phase.
func provisioningState(p state.Phase) string {
	if p == state.Active {
		return "Succeeded"
	}
	return string(p)
}

// tagsPatch is the body of PATCH for both kinds, which can change only tags.
func (c *call) tagsPatch() (map[string]string, error) {
	var body struct {
		Tags map[string]string `json:"tags"`
	}
	if err := c.body(&body); err != nil {
		return nil, err
	}
	return body.Tags, checkTags(body.Tags)
}
