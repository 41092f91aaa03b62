package arm

import (
	"encoding/json"
	"net/http"
	"strings"
)

// How the api-versions of provisioning services differ. A version returns the members that it has, refuses newer ones
// in a PUT, and a PUT resets what it omits, including newer members (Azure/azure-iot-cli-extension#880 reports it for
// disableLocalAuth; there is no recording of it).

// Versions that add members to provisioning services.
const (
	versionOfPortal    = "2022-12-12"
	versionOfIdentity  = "2023-03-01-preview"
	versionOfLocalAuth = "2026-08-31"
	// versionOfLocation is the first that describes the header Location in the answers of PUT and PATCH.
	versionOfLocation   = "2026-08-31"
	versionOfNamespaces = "2026-11-01"
	// versionOfProfiles alone shows the connectionProfile of links.
	versionOfProfiles = "2026-11-02-preview"
)

// classic is the connectionProfile of every hub here: none has the profile of MQTT 5.
const classic = "Classic"

// likeServices are versions that Azure serves, or served, without a description here; each is answered as a described
// one.
var likeServices = map[string]string{
	"2017-08-21-preview": "2021-10-15", "2017-11-15": "2021-10-15", "2018-01-22": "2021-10-15",
	"2020-01-01": "2021-10-15", "2020-03-01": "2021-10-15",
	"2025-02-01-preview": "2023-03-01-preview", "2026-03-01-preview": "2026-08-31", "2026-06-01-preview": "2026-08-31",
	"2026-11-02-preview": "2026-11-01",
}

// servedServices are all versions of provisioning services, oldest first.
var servedServices = served(serviceVersions, likeServices)

// linkMembers are the members of links that were added with links by a managed identity.
var linkMembers = []string{"hostName", "authenticationType", "selectedUserAssignedIdentityResourceId"}

// checkServiceMembers refuses members that the call's version does not have. A null does not count.
func (c *call) checkServiceMembers() error {
	var body struct {
		Identity   json.RawMessage `json:"identity"`
		Properties struct {
			LocalAuth json.RawMessage              `json:"disableLocalAuth"`
			Portal    json.RawMessage              `json:"portalOperationsHostName"`
			Namespace json.RawMessage              `json:"deviceRegistryNamespace"`
			Hubs      []map[string]json.RawMessage `json:"iotHubs"`
		} `json:"properties"`
	}
	if json.Unmarshal(c.content, &body) != nil {
		return nil // decoding the body reports what is wrong with it
	}
	if !isNull(body.Properties.Namespace) {
		// Fidelity: two previews had it. The emulator does not link services to namespaces, so a request for it must
		// not be ignored.
		return invalid("The emulator does not link provisioning services to Device Registry namespaces.")
	}
	version := c.described(likeServices)
	if version < versionOfPortal && !isNull(body.Properties.Portal) {
		return tooNew("portalOperationsHostName", versionOfPortal)
	}
	if version < versionOfIdentity && !isNull(body.Identity) {
		return tooNew("identity", versionOfIdentity)
	}
	if version >= versionOfLocalAuth {
		return nil
	}
	if !isNull(body.Properties.LocalAuth) {
		return tooNew("disableLocalAuth", versionOfLocalAuth)
	}
	for _, hub := range body.Properties.Hubs {
		for _, member := range linkMembers {
			if !isNull(hub[member]) {
				return tooNew(member, versionOfLocalAuth)
			}
		}
	}
	return nil
}

// numberTooNew and the form of the text are from Azure/azure-cli#18184.
const numberTooNew = 400024

func tooNew(member, since string) error {
	return providerError(
		numberTooNew,
		"Setting %s is not supported on this api-version. Use %s api-version or higher.",
		member,
		since,
	)
}

// shape removes from a response what the call's version does not have, and adds what only it has.
func (c *call) shape(body *serviceBody) {
	version := c.described(likeServices)
	if version < versionOfPortal {
		body.Properties.PortalOperationsHost = ""
	}
	if version < versionOfIdentity {
		body.Identity = nil
	}
	if version < versionOfLocalAuth {
		body.Properties.DisableLocalAuth = nil
	}
	for i := range body.Properties.IotHubs {
		link := &body.Properties.IotHubs[i]
		if version < versionOfLocalAuth {
			link.HostName, link.AuthenticationType, link.UserIdentity = "", "", ""
			if link.ConnectionString == nil {
				// Fidelity: these versions require the member; how Azure shows a link by a managed identity with
				// them is not known.
				link.ConnectionString = new(string)
			}
		}
		if strings.EqualFold(c.version, versionOfProfiles) {
			link.ConnectionProfile = classic
		}
	}
	if version >= versionOfNamespaces {
		body.Properties.Namespaces = &[]any{} // nothing links services to namespaces here
	}
}

// versionRefused responds to a call with an unsupported version, in one of Azure's two ways: changes and actions as
// in Azure/azure-sdk-for-js#21999, the rest as in Azure/azure-cli#9681. Fidelity: how Azure chooses between them is
// unknown.
func versionRefused(method, kind, version string, served []string) error {
	if method == http.MethodPut || method == http.MethodPost {
		return armError(http.StatusBadRequest, "NoRegisteredProviderFound",
			"No registered resource provider found for location 'westeurope' and API version '%s' for type '%s'. "+
				"The supported api-versions are '%s'. The supported locations are '%s'.",
			version, kind, strings.Join(served, ", "), locationNames())
	}
	return armError(
		http.StatusNotFound,
		"InvalidResourceType",
		"The resource type '%s' could not be found in the namespace 'Microsoft.Devices' for api version '%s'. The "+
			"supported api-versions are '%s'.",
		kind,
		version,
		strings.Join(served, ","),
	)
}
