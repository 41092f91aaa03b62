package arm

import (
	"encoding/json"
	"strings"
)

// The values of enumerations, as the descriptions spell them (IotHubs 2023-06-30, provisioningServices 2022-12-12).
var (
	accessValues    = []string{"Enabled", "Disabled"}
	featureValues   = []string{"None", "DeviceManagement"}
	networkDefaults = []string{"Deny", "Allow"}
	networkActions  = []string{"Allow"}
	filterActions   = []string{"Accept", "Reject"}
	filterTargets   = []string{"all", "serviceApi", "deviceApi"}
	keyOrIdentity   = []string{"keyBased", "identityBased"}
	encodings       = []string{"Avro", "AvroDeflate", "JSON"}
	// tlsVersions are values of minTlsVersion. The description names 1.2 only; the CLI's test_iot_hub expects that
	// 2.5 is refused. Fidelity: whether Azure accepts the other versions is unsure.
	tlsVersions = []string{"1.0", "1.1", "1.2", "1.3"}
	// routeSources are the values of RoutingSource, and those of the preview that azure-native 2.92.3 uses.
	routeSources = []string{
		"Invalid", "DeviceMessages", "TwinChangeEvents", "DeviceLifecycleEvents", "DeviceJobLifecycleEvents",
		"DeviceConnectionStateEvents", "DigitalTwinChangeEvents", "MqttBrokerMessages",
	}
)

// enumeration is a member whose values are known. In its path, "*" is each item of a list or each member of an object.
type enumeration struct {
	path   string
	values []string
}

// hubEnumerations are the enumerations in IotHubProperties.
var hubEnumerations = []enumeration{
	{"publicNetworkAccess", accessValues},
	{"features", featureValues},
	{"networkRuleSets.defaultAction", networkDefaults},
	{"networkRuleSets.ipRules.*.action", networkActions},
	{"ipFilterRules.*.action", filterActions},
	{"storageEndpoints.*.authenticationType", keyOrIdentity},
	{"routing.routes.*.source", routeSources},
	{"routing.fallbackRoute.source", routeSources},
	{"routing.endpoints.*.*.authenticationType", keyOrIdentity},
	{"routing.endpoints.storageContainers.*.encoding", encodings},
}

// filterEnumerations are the enumerations in the ipFilterRules of a provisioning service.
var filterEnumerations = []enumeration{{"*.action", filterActions}, {"*.target", filterTargets}}

// spellValues returns JSON with the values of enumerations in the spelling of the description: requests may use any
// letter case, but Azure returns its own (Azure/azure-cli, test_iot_hub, which sends the sources of routes in lower
// case). Unknown values, and JSON of another form, stay as they are. Fidelity: known for the sources of routes,
// assumed for the other enumerations.
func spellValues(raw json.RawMessage, enumerations []enumeration) (json.RawMessage, error) {
	for _, e := range enumerations {
		var err error
		if raw, err = spellAt(raw, strings.Split(e.path, "."), e.values); err != nil {
			return nil, err
		}
	}
	return raw, nil
}

// spellAt spells the value at the end of a path.
func spellAt(raw json.RawMessage, path, values []string) (json.RawMessage, error) {
	if isNull(raw) {
		return raw, nil
	}
	if len(path) == 0 {
		var value string
		if json.Unmarshal(raw, &value) == nil {
			return text(spelled(value, values)), nil
		}
		return raw, nil
	}
	var items []json.RawMessage
	if path[0] == "*" && json.Unmarshal(raw, &items) == nil {
		for i := range items {
			var err error
			if items[i], err = spellAt(items[i], path[1:], values); err != nil {
				return nil, err
			}
		}
		return json.Marshal(items)
	}
	var object map[string]json.RawMessage
	if json.Unmarshal(raw, &object) != nil {
		return raw, nil
	}
	for name, value := range object {
		if path[0] != "*" && path[0] != name {
			continue
		}
		var err error
		if object[name], err = spellAt(value, path[1:], values); err != nil {
			return nil, err
		}
	}
	return json.Marshal(object)
}

// spelled returns the known value that equals another but for letter case, or the other.
func spelled(value string, known []string) string {
	for _, k := range known {
		if strings.EqualFold(k, value) {
			return k
		}
	}
	return value
}
