package entra

import (
	"net/http"
	"strings"

	"evenkeel/emulator/internal/domain"
)

// The metadata endpoint has a format for each generation of its api-versions. Only the Azure CLI's `az cloud
// register` uses one before firstClouds (cloud/custom.py, _populate_from_metadata_endpoint), and only azurerm's check
// of locations one before firstListed (hashicorp/go-azure-helpers, resourcemanager/location). The version where each
// format begins is unsure.
const (
	firstClouds = "2018-01-01"
	firstListed = "2018-05-01"
	firstSingle = "2022-09-01"
)

// commonTenant is what Azure returns in place of a tenant. hashicorp/go-azure-sdk treats any other value as Azure
// Stack (sdk/environments/azure_stack.go); neither azure-native (provider/pkg/azure/cloud) nor the Azure CLI
// (core/cloud.py) uses it.
const commonTenant = "common"

// SetLocations sets the regions in the metadata. It must not be called while requests are served.
func (a *Authority) SetLocations(names []string) { a.locations = names }

// serveMetadata describes the emulator's cloud in the format of the api-version.
func (a *Authority) serveMetadata(w http.ResponseWriter, r *http.Request) {
	version := r.URL.Query().Get("api-version")
	switch {
	case version != "" && version < firstListed:
		writeJSON(w, http.StatusOK, a.oldMetadata(version >= firstClouds))
	case version != "" && version < firstSingle:
		writeJSON(w, http.StatusOK, []any{a.metadata()})
	default:
		writeJSON(w, http.StatusOK, a.metadata())
	}
}

func (a *Authority) metadata() map[string]any {
	return map[string]any{
		"name":            "evenkeel",
		"portal":          a.base,
		"resourceManager": a.base,
		"authentication": map[string]any{
			"loginEndpoint": a.base, "audiences": a.ARMAudiences(), "tenant": commonTenant, "identityProvider": "AAD",
		},
		"media": "", "graph": a.base, "graphAudience": a.base, "microsoftGraphResourceId": a.base, "gallery": a.base,
		"batch": a.base,
		// The emulator has neither a key vault nor storage, but azurerm does not start without their suffixes
		// (internal/clients/builder.go builds an authorizer for each). The others are empty, so that clients of
		// missing services never connect to Azure's.
		"suffixes": map[string]any{
			"acrLoginServer": "", "keyVaultDns": domain.KeyVault, "storage": domain.Storage, "sqlServerHostname": "",
		},
	}
}

// oldMetadata is the format of 2015-01-01, and of 2018-01-01 with the clouds and their regions.
func (a *Authority) oldMetadata(withClouds bool) map[string]any {
	body := map[string]any{
		"galleryEndpoint": a.base, "graphEndpoint": a.base, "portalEndpoint": a.base,
		"authentication": map[string]any{"loginEndpoint": a.base, "audiences": a.ARMAudiences()},
	}
	if withClouds {
		body["cloudEndpoint"] = map[string]any{
			"evenkeel": map[string]any{"endpoint": strings.TrimPrefix(a.base, "https://"), "locations": a.locations},
		}
	}
	return body
}
