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
	UserIdentity          string `json:"selectedUserAssignedIdentityResourceId,omitempty"`
	ConnectionProfile     string `json:"connectionProfile,omitempty"` // shown only
	// ConnectionString is absent in a link by a managed identity.
	ConnectionString *string `json:"connectionString,omitempty"`
	Location         string  `json:"location"`
}

// keyBased is the authenticationType of links by a key, which is the default.
const keyBased = "KeyBased"

// identityOf returns the kind of managed identity of a link, "" for a key.
func (b linkBody) identityOf() state.LinkIdentity {
	for _, kind := range []state.LinkIdentity{state.SystemAssigned, state.UserAssigned} {
		if strings.EqualFold(b.AuthenticationType, string(kind)) {
			return kind
		}
	}
	return ""
}

// Limits of links ("Azure IoT Hub Device Provisioning Service limits").
const (
	maxLinks             = 50
	minWeight, maxWeight = 1, 1000
)

// readLinks converts the links of a request to the state's: nil stays nil (keep the current ones), an empty list
// unlinks all. A masked key means the stored one for the same hub and policy. principals are those that the service
// will have.
func (c *call) readLinks(bodies []linkBody, present *state.Service, principals state.Principals) ([]state.Link, error) {
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
		switch {
		case link.Identity != "":
			if err := c.checkIdentityLink(link, present, principals); err != nil {
				return nil, err
			}
		case link.Key == masked:
			if link.Key, err = storedKey(link, present); err != nil {
				return nil, err
			}
		default:
			if err := c.checkLinkedHub(link); err != nil {
				return nil, err
			}
		}
		links = append(links, link)
	}
	return links, nil
}

// checkLinkedHub refuses a link to a hub that does not exist, as Azure does
// (hashicorp/terraform-provider-azurerm#18153). Fidelity: only for new links, and for those sent with a key.
func (c *call) checkLinkedHub(link state.Link) error {
	_, err := c.State.HubByHost(link.HubHost)
	if isKind(err, state.NotFound) {
		return providerError(numberHubNotFound,
			"Unable to find the IoThub `%s`. Check if the hub exists and the connection information is correct.",
			link.HubHost)
	}
	return err
}

// checkIdentityLink checks a link by a managed identity. Fidelity: what Azure answers when the service has no such
// identity is not known. Whether the identity has a role at the hub is checked when a device registers.
func (c *call) checkIdentityLink(link state.Link, present *state.Service, principals state.Principals) error {
	if principals.Of(link) == "" {
		if link.Identity == state.UserAssigned {
			return invalid("The provisioning service does not have the user-assigned identity '%s' of the linked hub "+
				"'%s'.", link.User, link.HubHost)
		}
		return invalid("The provisioning service has no system-assigned identity for the linked hub '%s'.",
			link.HubHost)
	}
	if present != nil {
		if old, ok := state.FindLink(present.Links, link.HubHost); ok && old.Identity != "" {
			return nil
		}
	}
	return c.checkLinkedHub(link)
}

func readLink(b linkBody) (state.Link, error) {
	fields := map[string]string{}
	if b.ConnectionString != nil {
		for part := range strings.SplitSeq(*b.ConnectionString, ";") {
			name, value, _ := strings.Cut(part, "=")
			fields[strings.ToLower(strings.TrimSpace(name))] = strings.TrimSpace(value)
		}
	}
	link := state.Link{
		HubHost: strings.ToLower(fields["hostname"]), KeyName: fields["sharedaccesskeyname"],
		Key: fields["sharedaccesskey"], Identity: b.identityOf(), User: b.UserIdentity,
		Location: b.Location, Apply: b.ApplyAllocationPolicy, Weight: b.AllocationWeight,
	}
	if err := b.checkAuthentication(); err != nil {
		return link, err
	}
	switch {
	case link.Identity != "":
		link.HubHost = strings.ToLower(b.HostName)
	case link.HubHost == "" || link.KeyName == "" || link.Key == "":
		return link,
			invalid("The connection string of a linked hub needs HostName, SharedAccessKeyName and SharedAccessKey.")
	case b.HostName != "" && state.ClassicHost(b.HostName) != state.ClassicHost(link.HubHost):
		return link, invalid("The hostName '%s' of a linked hub and its connection string name different hubs.",
			b.HostName)
	}
	switch {
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

// checkAuthentication checks the members that depend on the authenticationType. Fidelity: which of these rules Azure
// has is not known; today's Azure CLI keeps them all.
func (b linkBody) checkAuthentication() error {
	err := oneOf("iotHubs.authenticationType", b.AuthenticationType, "", keyBased, string(state.SystemAssigned),
		string(state.UserAssigned))
	kind := b.identityOf()
	switch {
	case err != nil:
		return err
	case kind != "" && b.HostName == "":
		return invalid("A hub that is linked by a managed identity needs a hostName.")
	case kind != "" && b.ConnectionString != nil && *b.ConnectionString != "":
		return invalid("The hub '%s' is linked by a managed identity, and has a connection string too.", b.HostName)
	case kind == state.UserAssigned && b.UserIdentity == "":
		return invalid("The link of the hub '%s' needs the selectedUserAssignedIdentityResourceId.", b.HostName)
	case kind != state.UserAssigned && b.UserIdentity != "":
		return invalid("The selectedUserAssignedIdentityResourceId is for links of the authenticationType " +
			"UserAssigned.")
	}
	return nil
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

// showLinks returns links with masked keys, in the form of the newest api-version. Members that were not set are
// omitted.
func showLinks(links []state.Link) []linkBody {
	bodies := make([]linkBody, len(links))
	for i, l := range links {
		bodies[i] = linkBody{
			ApplyAllocationPolicy: l.Apply, AllocationWeight: l.Weight, Name: l.HubHost, Location: l.Location,
			HostName: l.HubHost, AuthenticationType: cmp.Or(string(l.Identity), keyBased), UserIdentity: l.User,
		}
		if l.Identity == "" {
			text := "HostName=" + l.HubHost + ";SharedAccessKeyName=" + l.KeyName + ";SharedAccessKey=" + masked
			bodies[i].ConnectionString = &text
		}
	}
	return bodies
}
