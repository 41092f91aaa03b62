package arm

import "encoding/json"

// endpointLists are the lists of endpoints that every hub returns, even if empty (recorded in Azure/azure-cli,
// test_hub_wait). azurerm's queue and topic endpoints treat a hub without the list of Event Hubs as one without any
// endpoint, and remove the others (iothub_endpoint_servicebus_queue_resource.go).
var endpointLists = []string{"serviceBusQueues", "serviceBusTopics", "eventHubs", "storageContainers"}

// fallbackName is the name of every fallback route, whatever the request contained (recorded there too).
const fallbackName = "$fallback"

// completeRouting adds the members of routing that Azure returns even if the request omitted them or contained null.
func completeRouting(raw json.RawMessage) (json.RawMessage, error) {
	var routing, endpoints, fallback map[string]json.RawMessage
	if err := json.Unmarshal(raw, &routing); err != nil {
		return nil, err
	}
	if !isNull(routing["endpoints"]) {
		if err := json.Unmarshal(routing["endpoints"], &endpoints); err != nil {
			return nil, err
		}
	}
	endpoints = withLists(endpoints, endpointLists...)
	routing = withLists(routing, "routes")
	var err error
	if routing["endpoints"], err = json.Marshal(endpoints); err != nil {
		return nil, err
	}
	if isNull(routing["fallbackRoute"]) {
		delete(routing, "fallbackRoute")
	} else {
		if err := json.Unmarshal(routing["fallbackRoute"], &fallback); err != nil {
			return nil, err
		}
		if isNull(fallback["name"]) {
			fallback["name"] = text(fallbackName)
		}
		if routing["fallbackRoute"], err = json.Marshal(fallback); err != nil {
			return nil, err
		}
	}
	return json.Marshal(routing)
}

// withLists replaces each absent or null member with an empty list.
func withLists(object map[string]json.RawMessage, names ...string) map[string]json.RawMessage {
	if object == nil {
		object = map[string]json.RawMessage{}
	}
	for _, name := range names {
		if isNull(object[name]) {
			object[name] = json.RawMessage("[]")
		}
	}
	return object
}
