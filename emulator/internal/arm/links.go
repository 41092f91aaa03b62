package arm

import (
	"cmp"
	"strings"

	"evenkeel/emulator/internal/state"
)

// linkBody is IotHubDefinitionDescription: a hub linked to a provisioning service.
type linkBody struct {
	ApplyAllocationPolicy *bool  `json:"applyAllocationPolicy,omitempty"`
	AllocationWeight      *int   `json:"allocationWeight,omitempty"`
	Name                  string `json:"name,omitempty"`
	HostName              string `json:"hostName,omitempty"`
	AuthenticationType    string `json:"authenticationType,omitempty"`
	ConnectionProfile     string `json:"connectionProfile,omitempty"` // shown only
	ConnectionString      string `json:"connectionString"`
	Location              string `json:"location"`
}

// Limits of links ("Azure IoT Hub Device Provisioning Service limits").
const (
	maxLinks             = 50
	minWeight, maxWeight = 1, 1000
)

// readLinks converts the links of a request to the state's: nil stays nil (keep the current ones), an empty list
// unlinks all. A masked key means the stored one for the same hub and policy.
func (c *call) readLinks(bodies []linkBody, present *state.Service) ([]state.Link, error) {
	if bodies == nil {
		return nil, nil
	}
	if len(bodies) > maxLinks {
		return nil, invalid("A provisioning service has at most %d linked hubs, not %d.", maxLinks, len(bodies))
	}
	links := make([]state.Link, 0, len(bodies))
	seen := map[string]bool{}
	for _, b := range bodies {
		link, err := readLink(b)
		if err != nil {
			return nil, err
		}
		if seen[link.HubHost] {
			return nil, providerError(numberDuplicateHubs, "Cannot have duplicate iot hubs in description: '%s'.",
				link.HubHost)
		}
		seen[link.HubHost] = true
		if link.Key != masked {
			// Azure checks that the hub exists (hashicorp/terraform-provider-azurerm#18153). Fidelity: only for links
			// sent with a key.
			if _, err := c.State.HubByHost(link.HubHost); isKind(err, state.NotFound) {
				return nil, providerError(numberHubNotFound,
					"Unable to find the IoThub `%s`. Check if the hub exists and the connection information is correct.",
					link.HubHost)
			} else if err != nil {
				return nil, err
			}
		} else if link.Key, err = storedKey(link, present); err != nil {
			return nil, err
		}
		links = append(links, link)
	}
	return links, nil
}

func readLink(b linkBody) (state.Link, error) {
	fields := map[string]string{}
	for part := range strings.SplitSeq(b.ConnectionString, ";") {
		name, value, _ := strings.Cut(part, "=")
		fields[strings.ToLower(strings.TrimSpace(name))] = strings.TrimSpace(value)
	}
	link := state.Link{
		HubHost: strings.ToLower(fields["hostname"]), KeyName: fields["sharedaccesskeyname"],
		Key:      fields["sharedaccesskey"],
		Location: b.Location, Apply: b.ApplyAllocationPolicy, Weight: b.AllocationWeight,
	}
	if err := b.checkAuthentication(); err != nil {
		return link, err
	}
	switch {
	case b.HostName != "" && state.ClassicHost(b.HostName) != state.ClassicHost(link.HubHost):
		return link, invalid("The hostName '%s' of a linked hub and its connection string name different hubs.",
			b.HostName)
	case link.HubHost == "" || link.KeyName == "" || link.Key == "":
		return link,
			invalid("The connection string of a linked hub needs HostName, SharedAccessKeyName and SharedAccessKey.")
	case link.Location == "":
		return link, invalid("The linked hub '%s' needs a location.", link.HubHost)
	case state.IsServiceHostOfHub(cmp.Or(b.HostName, link.HubHost)):
		// The Azure CLI refuses it; what Azure answers is not known.
		return link, invalid("The host name '%s' is that of a hub's service API, under which no hub is linked.",
			cmp.Or(b.HostName, link.HubHost))
	case link.Weight != nil && (*link.Weight < minWeight || *link.Weight > maxWeight):
		return link, invalid("The allocation weight of the linked hub '%s' is %d to %d, not %d.", link.HubHost,
			minWeight, maxWeight, *link.Weight)
	}
	if b.HostName != "" {
		link.HubHost = strings.ToLower(b.HostName) // of the hub's names the one to be told to devices
	}
	return link, nil
}

func storedKey(link state.Link, present *state.Service) (string, error) {
	if present != nil {
		if key := present.StoredKey(link); key != "" {
			return key, nil
		}
	}
	return "", invalid("The key of the linked hub '%s' is masked, and none is stored for it and the policy '%s'.",
		link.HubHost, link.KeyName)
}

// showLinks returns links with masked keys. Members that were not set are omitted.
func showLinks(links []state.Link) []linkBody {
	bodies := make([]linkBody, len(links))
	for i, l := range links {
		bodies[i] = linkBody{
			ApplyAllocationPolicy: l.Apply, AllocationWeight: l.Weight, Name: l.HubHost, Location: l.Location,
			ConnectionString: "HostName=" + l.HubHost + ";SharedAccessKeyName=" + l.KeyName + ";SharedAccessKey=" +
				masked,
		}
	}
	return bodies
}
