package arm

import (
	"encoding/json"
	"net/http"
	"regexp"
	"strings"

	"evenkeel/emulator/internal/state"
)

const (
	hubsOfGroup = "/subscriptions/{subscription}/resourcegroups/{group}/providers/microsoft.devices/iothubs"
	hubItem     = hubsOfGroup + "/{name}"
)

// hubName is the specification's pattern. The code also refuses names of digits only.
var (
	hubName   = regexp.MustCompile(`^[a-zA-Z0-9][a-zA-Z0-9-]{1,48}[a-zA-Z0-9]$`)
	allDigits = regexp.MustCompile(`^[0-9]+$`)
)

// IoT hubs: IotHubResource_* of Microsoft.Devices, api-versions in hubVersions.
func (s *surface) routeHubs() {
	s.change("PUT "+hubItem, (*call).putHub)
	s.change("PATCH "+hubItem, hubs.patch)
	s.change("DELETE "+hubItem, hubs.delete)
	s.route("GET "+hubItem, hubs.getOne)
	s.route("HEAD "+hubItem, hubs.exists)
	s.route("GET "+hubsOfGroup, hubs.getAll)
	s.route("GET /subscriptions/{subscription}/providers/microsoft.devices/iothubs", hubs.getAll)
	s.route("POST "+hubItem+"/listkeys", hubs.listKeys)
	s.route("POST "+hubItem+"/iothubkeys/{key}/listkeys", hubs.getKey)
	s.route("POST /subscriptions/{subscription}/providers/microsoft.devices/checknameavailability",
		(*call).checkHubName)
}

// hubBody is IotHubDescription. Most properties are stored as sent, because the surface interprets few of them.
type hubBody struct {
	ID       string `json:"id,omitempty"`
	Name     string `json:"name,omitempty"`
	Type     string `json:"type,omitempty"`
	Location string `json:"location"`
	// No description has ResourceGroup and SubscriptionID, but the Azure CLI reads them (iot/custom.py,
	// "additional_properties").
	ResourceGroup  string                     `json:"resourcegroup,omitempty"`
	SubscriptionID string                     `json:"subscriptionid,omitempty"`
	Tags           map[string]string          `json:"tags"`
	ETag           string                     `json:"etag,omitempty"`
	Properties     map[string]json.RawMessage `json:"properties"`
	SKU            *skuBody                   `json:"sku"`
	Identity       json.RawMessage            `json:"identity,omitempty"`
	SystemData     map[string]string          `json:"systemData,omitempty"`
}

// hubRecord is the part of a hub in the state that only this surface uses.
type hubRecord struct {
	Properties map[string]json.RawMessage `json:"properties"`
	Identity   json.RawMessage            `json:"identity,omitempty"`
}

// putHub is IotHubResource_CreateOrUpdate: 201 and Azure-AsyncOperation, also for a change. Omitted properties are
// reset.
func (c *call) putHub() error {
	if err := c.checkRegistered(); err != nil {
		return err
	}
	id := c.resource()
	var body hubBody
	if err := c.body(&body); err != nil {
		return err
	}
	if err := c.checkHubMembers(body.Properties); err != nil {
		return err
	}
	if err := checkHubName(id.Name); err != nil {
		return err
	}
	present, err := c.presentHub(id)
	if err != nil {
		return err
	}
	var old *state.Resource
	if present != nil {
		old = &present.Resource
	}
	if err := checkPlace(hubKind, id.Name, body.Location, old); err != nil {
		return err
	}
	if err := checkTags(body.Tags); err != nil {
		return err
	}
	hub := state.Hub{Resource: state.Resource{ID: id, Location: body.Location, Tags: body.Tags}}
	if hub.SKU, err = readHubSKU(body.SKU, old); err != nil {
		return err
	}
	if present == nil {
		if err := c.checkHubQuota(hub.SKU); err != nil {
			return err
		}
	}
	if hub.Policies, err = readHubPolicies(body.Properties, old); err != nil {
		return err
	}
	record := hubRecord{}
	if record.Identity, err = c.readHubIdentity(body.Identity, present); err != nil {
		return err
	}
	if record.Properties, err = c.readHubProperties(body.Properties, hub, present); err != nil {
		return err
	}
	if hub.Properties, err = json.Marshal(record); err != nil {
		return err
	}
	hub, created, err := c.State.PutHub(hub, etagOf(c.r.Header.Get("If-Match")), c.Delay)
	if err != nil {
		return c.putRefusal(hubKind, err)
	}
	if err := c.begin(operationOfHub, hub.Location, false); err != nil {
		return err
	}
	return c.answerHubPut(hub, created, !isNull(body.Properties["authorizationPolicies"]))
}

// readHubIdentity reads the identity of a hub; present is nil for a new one.
func (c *call) readHubIdentity(sent json.RawMessage, present *state.Hub) (json.RawMessage, error) {
	if present == nil {
		return c.readIdentity(sent, nil)
	}
	old, err := readRecord(present.Properties)
	if err != nil {
		return nil, err
	}
	return c.readIdentity(sent, old.Identity)
}

func checkHubName(name string) error {
	if !hubName.MatchString(name) || allDigits.MatchString(name) {
		return invalid("The IotHub name '%s' is invalid: it has 3 to 50 letters, digits and hyphens, not digits "+
			"alone, no hyphen first or last.", name)
	}
	return nil
}

// answerHubPut returns a hub in transition: without its host name if it is new.
func (c *call) answerHubPut(hub state.Hub, created, withPolicies bool) error {
	answer, err := c.showHub(hub)
	if err != nil {
		return err
	}
	under := state.Transitioning
	if created {
		under = state.Activating
		for _, name := range []string{"hostName", "deviceHostName", "serviceHostName"} {
			delete(answer.Properties, name)
		}
	}
	answer.Properties["state"], answer.Properties["provisioningState"] = text(string(under)), text("Accepted")
	if withPolicies {
		if answer.Properties["authorizationPolicies"], err = json.Marshal(showPolicies(hub.Policies)); err != nil {
			return err
		}
	}
	return c.json(http.StatusCreated, answer)
}

// presentHub returns the hub that a PUT changes, or nil. It is an error if the group does not exist.
func (c *call) presentHub(id state.ResourceID) (*state.Hub, error) {
	if err := c.openGroup(); err != nil {
		return nil, err
	}
	hub, err := c.State.Hub(id)
	if isKind(err, state.NotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return &hub, nil
}

func readHubSKU(body *skuBody, old *state.Resource) (state.SKU, error) {
	if body == nil || body.Name == "" {
		return state.SKU{}, invalid("The sku of an IotHub needs a name.")
	}
	name := strings.ToUpper(body.Name)
	tier, ok := tiers[name]
	if !ok {
		return state.SKU{}, invalid("The sku '%s' is unknown; an IotHub has F1, B1, B2, B3, S1, S2 or S3.", body.Name)
	}
	capacity, err := body.units()
	if err != nil {
		return state.SKU{}, err
	}
	if capacity > tier.maxUnits {
		return state.SKU{}, invalid("The sku '%s' has 1 to %d units, not %d.", name, tier.maxUnits, capacity)
	}
	wanted := state.SKU{Name: name, Capacity: capacity}
	if old != nil {
		if !canBecome(old.SKU, wanted) {
			return state.SKU{}, invalid("An IotHub of tier %s cannot be changed to tier %s.", old.SKU.Tier(),
				wanted.Tier())
		}
	}
	return wanted, nil
}

// canBecome reports whether the sku of a hub can be changed to the other.
func canBecome(from, to state.SKU) bool {
	before, after := from.Tier(), to.Tier()
	return before == after || before == state.Basic && after == state.Standard
}

func readHubPolicies(properties map[string]json.RawMessage, old *state.Resource) ([]state.Policy, error) {
	raw := properties["authorizationPolicies"]
	if isNull(raw) {
		if old == nil {
			return defaultHubPolicies(), nil
		}
		return nil, nil // nil keeps the stored policies
	}
	var bodies []policyBody
	if err := json.Unmarshal(raw, &bodies); err != nil {
		return nil, invalid("The property authorizationPolicies is not a list of shared access policies.")
	}
	var present []state.Policy
	if old != nil {
		present = old.Policies
	}
	return readPolicies(bodies, hubRights, present)
}
