package arm

import (
	"encoding/json"
	"slices"
	"strings"
)

// routing is the part of RoutingProperties with names of endpoints.
type routing struct {
	Endpoints map[string][]struct {
		Name string `json:"name"`
	} `json:"endpoints"`
	Routes []struct {
		Name      string   `json:"name"`
		Endpoints []string `json:"endpointNames"`
	} `json:"routes"`
	Fallback *struct {
		Endpoints []string `json:"endpointNames"`
	} `json:"fallbackRoute"`
	Enrichments []struct {
		Key       string   `json:"key"`
		Endpoints []string `json:"endpointNames"`
	} `json:"enrichments"`
}

// builtInEndpoints exist without being declared: the one for messages, and that of routes which Event Grid creates
// (hashicorp/terraform-provider-azurerm issue 11800).
var builtInEndpoints = []string{builtInEndpoint, "eventgrid"}

// reservedEndpoints are names that an endpoint cannot have (IotHub RoutingEventHubProperties, 2023-06-30).
var reservedEndpoints = []string{builtInEndpoint, "fileNotifications", "$default", "eventgrid"}

// numberNoEndpoint is Azure's error for an enrichment with an unknown endpoint (Azure/azure-iot-cli-extension issue
// 650).
const numberNoEndpoint = 400131

// checkRouting refuses routes, fallback routes and enrichments with unknown endpoints, and therefore the removal of
// an endpoint in use. Fidelity: Azure's number and text are known only for enrichments (Azure/azure-iot-cli-extension
// issue 650, pull request 655).
func checkRouting(raw json.RawMessage) error {
	if isNull(raw) {
		return nil
	}
	var r routing
	if err := json.Unmarshal(raw, &r); err != nil {
		return invalid("The property routing does not have the form of the specification: %s.", describeJSON(err))
	}
	known := slices.Clone(builtInEndpoints)
	for _, endpoints := range r.Endpoints {
		for _, endpoint := range endpoints {
			if endpoint.Name == "" || hasName(reservedEndpoints, endpoint.Name) || hasName(known, endpoint.Name) {
				return invalid(
					"An endpoint needs a unique name other than %s: '%s'.",
					strings.Join(reservedEndpoints, ", "),
					endpoint.Name,
				)
			}
			known = append(known, endpoint.Name)
		}
	}
	undefined := func(endpoints []string) string {
		for _, name := range endpoints {
			if !hasName(known, name) {
				return name
			}
		}
		return ""
	}
	for _, route := range r.Routes {
		if name := undefined(route.Endpoints); name != "" {
			return providerError(
				numberNoEndpoint,
				"Route has an undefined endpoint, Route Name:%s, EndpointName:%s.",
				route.Name,
				name,
			)
		}
	}
	if r.Fallback != nil {
		if name := undefined(r.Fallback.Endpoints); name != "" {
			return providerError(numberNoEndpoint, "Fallback route has an undefined endpoint, EndpointName:%s.", name)
		}
	}
	for _, enrichment := range r.Enrichments {
		if name := undefined(enrichment.Endpoints); name != "" {
			return providerError(
				numberNoEndpoint,
				"Enrichment has an undefined endpoint, Enrichment Key:%s, EndpointName:%s.",
				enrichment.Key,
				name,
			)
		}
	}
	return nil
}

func hasName(names []string, name string) bool {
	return slices.ContainsFunc(names, func(known string) bool { return strings.EqualFold(known, name) })
}
