package arm

import (
	"encoding/json"
	"fmt"
	"hash/fnv"
	"slices"
	"strconv"
	"strings"

	"evenkeel/emulator/internal/domain"
	"evenkeel/emulator/internal/state"
)

// hubSettings are the writable properties of IotHubProperties in hubVersions, except authorizationPolicies. Others in a
// request are read-only or unknown, and passed over.
var hubSettings = []string{
	"disableLocalAuth", "disableDeviceSAS", "disableModuleSAS", "restrictOutboundNetworkAccess", "allowedFqdnList",
	"publicNetworkAccess",
	"ipFilterRules", "networkRuleSets", "minTlsVersion", "eventHubEndpoints", "routing", "storageEndpoints",
	"messagingEndpoints",
	"enableFileUploadNotifications", "cloudToDevice", "comments", "deviceStreams", "features", "enableDataResidency",
	"rootCertificate", "encryption",
}

// defaultHubProperties are the properties that a GET returns if a PUT omitted them (recorded in Azure/azure-cli,
// test_hub_wait).
var defaultHubProperties = map[string]json.RawMessage{
	"routing": json.RawMessage(
		`{"endpoints":{"serviceBusQueues":[],"serviceBusTopics":[],"eventHubs":[],"storageContainers":[]},` +
			`"routes":[],"fallbackRoute":{"name":"$fallback","source":"DeviceMessages","condition":"true","endpointNames":["events"],"isEnabled":true}}`),
	"storageEndpoints": json.RawMessage(
		`{"$default":{"sasTtlAsIso8601":"PT1H","connectionString":"","containerName":""}}`),
	"messagingEndpoints": json.RawMessage(
		`{"fileNotifications":{"lockDurationAsIso8601":"PT5S","ttlAsIso8601":"PT1H","maxDeliveryCount":10}}`),
	"enableFileUploadNotifications": json.RawMessage(`false`),
	"cloudToDevice": json.RawMessage(`{"maxDeliveryCount":10,"defaultTtlAsIso8601":"PT1H",` +
		`"feedback":{"lockDurationAsIso8601":"PT5S","ttlAsIso8601":"PT1H","maxDeliveryCount":10}}`),
	"features":            json.RawMessage(`"None"`),
	"enableDataResidency": json.RawMessage(`false`),
}

// Limits of the built-in endpoint ("Choose the right IoT Hub tier"). That page names 32 partitions; azurerm permits
// 128, and its own tests create hubs with 77 (iothub_resource_test.go). The free tier has two partitions
// (MicrosoftDocs/azure-docs issue 45193); its retention is unsure.
const (
	minPartitions, defaultPartitions, maxPartitions = 2, 4, 128
	freePartitions                                  = 2
	defaultRetention, maxRetention                  = 1, 7
)

// numberPartitions is Azure's error for a number of partitions that the tier does not have (Azure/iotedgedev issue
// 534).
const numberPartitions = 400016

// eventHub is the built-in endpoint "events".
type eventHub struct {
	RetentionTimeInDays int64    `json:"retentionTimeInDays"`
	PartitionCount      int64    `json:"partitionCount"`
	PartitionIDs        []string `json:"partitionIds"`
	Path                string   `json:"path"`
	Endpoint            string   `json:"endpoint"`
}

// readHubProperties checks and keeps the settings of a request; masked secrets in them mean the present ones.
func (c *call) readHubProperties(
	sent map[string]json.RawMessage, hub state.Hub, present *state.Hub,
) (map[string]json.RawMessage, error) {
	old := map[string]json.RawMessage{}
	if present != nil {
		record, err := readRecord(present.Properties)
		if err != nil {
			return nil, err
		}
		old = record.Properties
	}
	kept := map[string]json.RawMessage{}
	for _, name := range hubSettings {
		raw := sent[name]
		if isNull(raw) {
			continue
		}
		unmasked, err := unmask(raw, old[name])
		if err != nil {
			return nil, invalid("The property %s: %s.", name, err)
		}
		kept[name] = unmasked
	}
	if err := c.keepHubMembers(kept, old); err != nil {
		return nil, err
	}
	events, err := readEvents(kept["eventHubEndpoints"], hub.SKU)
	if err != nil {
		return nil, err
	}
	if err := events.check(hub.SKU); err != nil {
		return nil, err
	}
	if present != nil {
		before, err := readEvents(old["eventHubEndpoints"], present.SKU)
		if err == nil && before.PartitionCount != events.PartitionCount {
			return nil, invalid("The partition count of an IotHub cannot be changed: it is %d.", before.PartitionCount)
		}
	}
	if err := checkHubForm(kept, hub.Location); err != nil {
		return nil, err
	}
	if err := checkRouting(kept["routing"]); err != nil {
		return nil, err
	}
	if err := checkCloudToDevice(kept["cloudToDevice"]); err != nil {
		return nil, err
	}
	return spellHub(kept)
}

// spellHub returns settings with the values of enumerations as Azure shows them.
func spellHub(kept map[string]json.RawMessage) (map[string]json.RawMessage, error) {
	raw, err := json.Marshal(kept)
	if err != nil {
		return nil, err
	}
	if raw, err = spellValues(raw, hubEnumerations); err != nil {
		return nil, err
	}
	spelt := map[string]json.RawMessage{}
	return spelt, json.Unmarshal(raw, &spelt)
}

// readEvents reads the built-in endpoint, with Azure's defaults for omitted members.
func readEvents(raw json.RawMessage, sku state.SKU) (eventHub, error) {
	var endpoints map[string]eventHub
	if raw != nil {
		if err := json.Unmarshal(raw, &endpoints); err != nil {
			return eventHub{}, invalid("The property eventHubEndpoints is not an object of endpoints.")
		}
	}
	events := endpoints["events"]
	if events.PartitionCount == 0 {
		events.PartitionCount = min(defaultPartitions, mostPartitions(sku))
	}
	if events.RetentionTimeInDays == 0 {
		events.RetentionTimeInDays = defaultRetention
	}
	return events, nil
}

// mostPartitions returns the largest number of partitions of a hub.
func mostPartitions(sku state.SKU) int64 {
	if sku.Tier() == state.Free {
		return freePartitions
	}
	return maxPartitions
}

// check refuses numbers that a hub of the tier cannot have.
func (e eventHub) check(sku state.SKU) error {
	if most := mostPartitions(sku); e.PartitionCount < minPartitions || e.PartitionCount > most {
		return providerError(numberPartitions, "Invalid PartitionCount %d - value must be between %d and %d.",
			e.PartitionCount, minPartitions, most)
	}
	if e.RetentionTimeInDays < 1 || e.RetentionTimeInDays > maxRetention {
		return invalid("The endpoint events keeps messages 1 to %d days, not %d.", maxRetention, e.RetentionTimeInDays)
	}
	return nil
}

// showHub returns a hub as GET shows it.
func showHub(h state.Hub) (hubBody, error) {
	record, err := readRecord(h.Properties)
	if err != nil {
		return hubBody{}, err
	}
	properties := map[string]json.RawMessage{}
	for name, value := range defaultHubProperties {
		properties[name] = value
	}
	for name, value := range record.Properties {
		if properties[name], err = mask(value); err != nil {
			return hubBody{}, fmt.Errorf("show property %s: %w", name, err)
		}
	}
	if properties["routing"], err = completeRouting(properties["routing"]); err != nil {
		return hubBody{}, fmt.Errorf("show property routing: %w", err)
	}
	events, err := readEvents(record.Properties["eventHubEndpoints"], h.SKU)
	if err != nil {
		return hubBody{}, err
	}
	completeEvents(&events, h.ID.Name)
	if properties["eventHubEndpoints"], err = json.Marshal(map[string]eventHub{"events": events}); err != nil {
		return hubBody{}, err
	}
	if properties["locations"], err = json.Marshal(locations(h.Location)); err != nil {
		return hubBody{}, err
	}
	properties["state"], properties["provisioningState"] = text(string(h.Phase)), text(provisioningState(h.Phase))
	if h.Phase != state.Activating {
		properties["hostName"] = text(h.Host())
	}
	sku := showSKU(h.SKU)
	body := hubBody{
		ID: resourcePath(hubKind, h.ID), Name: h.ID.Name, Type: provider + "/" + hubKind, Location: h.Location,
		ResourceGroup: h.ID.Group, SubscriptionID: h.ID.Subscription, Tags: tagsOrEmpty(h.Tags), ETag: h.ETag(),
		Properties: properties, SKU: &sku,
		SystemData: map[string]string{"createdAt": stamp(h.Created)},
	}
	if body.Identity, err = showIdentity(record.Identity, body.ID); err != nil {
		return hubBody{}, fmt.Errorf("show identity: %w", err)
	}
	if isNull(body.Identity) {
		body.Identity = json.RawMessage(`{"type":"None"}`)
	}
	return body, nil
}

// completeEvents sets the members of the built-in endpoint that Azure sets. Its name does not exist in DNS.
func completeEvents(e *eventHub, hub string) {
	e.PartitionIDs = make([]string, e.PartitionCount)
	for i := range e.PartitionIDs {
		e.PartitionIDs[i] = strconv.Itoa(i)
	}
	name := strings.ToLower(hub)
	sum := fnv.New64a()
	sum.Write([]byte(name)) // never fails
	e.Path = name
	e.Endpoint = fmt.Sprintf("sb://iothub-ns-%.10s-%d-%010x.%s/", name, sum.Sum64()%1_000_000,
		sum.Sum64()&0xff_ffff_ffff, domain.ServiceBus)
}

type hubLocation struct {
	Location string `json:"location"`
	Role     string `json:"role"`
}

// pairs are some of Azure's region pairs. A hub in another region shows its own region twice. Fidelity: the table is
// incomplete.
var pairs = [][2]string{
	{"eastus", "westus"}, {"eastus2", "centralus"}, {"northcentralus", "southcentralus"}, {"westus2", "westcentralus"},
	{"northeurope", "westeurope"}, {"uksouth", "ukwest"}, {"francecentral", "francesouth"},
	{"germanywestcentral", "germanynorth"},
	{"switzerlandnorth", "switzerlandwest"}, {"swedencentral", "swedensouth"}, {"norwayeast", "norwaywest"},
	{"eastasia", "southeastasia"}, {"japaneast", "japanwest"}, {"australiaeast", "australiasoutheast"},
	{"canadacentral", "canadaeast"},
	{"koreacentral", "koreasouth"}, {"centralindia", "southindia"}, {"brazilsouth", "southcentralus"},
}

func locations(primary string) []hubLocation {
	plain, secondary := plainLocation(primary), primary
	for _, pair := range pairs {
		if i := slices.Index(pair[:], plain); i >= 0 {
			secondary = pair[1-i]
			break
		}
	}
	return []hubLocation{{primary, "primary"}, {secondary, "secondary"}}
}

func readRecord(data []byte) (hubRecord, error) {
	var record hubRecord
	if len(data) == 0 {
		return record, nil
	}
	if err := json.Unmarshal(data, &record); err != nil {
		return record, fmt.Errorf("read stored properties: %w", err)
	}
	return record, nil
}

// text returns a string as JSON.
func text(s string) json.RawMessage {
	data, _ := json.Marshal(s) // a string always encodes
	return data
}

func isNull(raw json.RawMessage) bool { return len(raw) == 0 || string(raw) == "null" }
