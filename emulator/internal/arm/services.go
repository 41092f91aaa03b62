package arm

import (
	"encoding/json"
	"fmt"
	"net/http"
	"regexp"
	"strings"

	"evenkeel/emulator/internal/domain"
	"evenkeel/emulator/internal/state"
)

const (
	servicesOfGroup = "/subscriptions/{subscription}/resourcegroups/{group}/providers/microsoft.devices/" +
		"provisioningservices"
	serviceItem = servicesOfGroup + "/{name}"
)

// serviceName is the rule of resource-name-rules.
var serviceName = regexp.MustCompile(`^[a-zA-Z0-9-]{2,63}[a-zA-Z0-9]$`)

// Provisioning services: IotDpsResource_* of Microsoft.Devices, api-versions in serviceVersions.
func (s *surface) routeServices() {
	s.change("PUT "+serviceItem, (*call).putService)
	s.change("PATCH "+serviceItem, services.patch)
	s.change("DELETE "+serviceItem, services.delete)
	s.route("GET "+serviceItem, services.getOne)
	s.route("HEAD "+serviceItem, services.exists)
	s.route("GET "+servicesOfGroup, services.getAll)
	s.route("GET /subscriptions/{subscription}/providers/microsoft.devices/provisioningservices", services.getAll)
	s.route("POST "+serviceItem+"/listkeys", services.listKeys)
	s.route("POST "+serviceItem+"/keys/{key}/listkeys", services.getKey)
	s.route("POST /subscriptions/{subscription}/providers/microsoft.devices/checkprovisioningservicenameavailability",
		(*call).checkServiceName)
}

// serviceBody is ProvisioningServiceDescription.
type serviceBody struct {
	ID             string             `json:"id,omitempty"`
	Name           string             `json:"name,omitempty"`
	Type           string             `json:"type,omitempty"`
	Location       string             `json:"location"`
	ResourceGroup  string             `json:"resourcegroup,omitempty"`
	SubscriptionID string             `json:"subscriptionid,omitempty"`
	Tags           map[string]string  `json:"tags"`
	ETag           string             `json:"etag,omitempty"`
	Properties     *serviceProperties `json:"properties"`
	SKU            *skuBody           `json:"sku"`
	Identity       json.RawMessage    `json:"identity,omitempty"`
	SystemData     map[string]string  `json:"systemData,omitempty"`
}

// serviceProperties is IotDpsPropertiesDescription. A nil list was omitted from the request.
type serviceProperties struct {
	State                      string       `json:"state,omitempty"`
	ProvisioningState          string       `json:"provisioningState,omitempty"`
	IotHubs                    []linkBody   `json:"iotHubs"`
	AllocationPolicy           string       `json:"allocationPolicy,omitempty"`
	ServiceOperationsHostName  string       `json:"serviceOperationsHostName,omitempty"`
	DeviceProvisioningHostName string       `json:"deviceProvisioningHostName,omitempty"`
	IDScope                    *string      `json:"idScope"`
	AuthorizationPolicies      []policyBody `json:"authorizationPolicies,omitempty"`
	// PrivateEndpointConnections are read-only.
	PrivateEndpointConnections []connectionBody `json:"privateEndpointConnections,omitempty"`
	// Namespaces are read-only, from 2026-11-01 on.
	Namespaces *[]any `json:"deviceRegistryNamespaces,omitempty"`
	serviceSettings
}

// serviceSettings are the properties that the surface only stores and returns.
type serviceSettings struct {
	PublicNetworkAccess  string          `json:"publicNetworkAccess,omitempty"`
	IPFilterRules        json.RawMessage `json:"ipFilterRules,omitempty"`
	EnableDataResidency  *bool           `json:"enableDataResidency,omitempty"`
	PortalOperationsHost string          `json:"portalOperationsHostName,omitempty"`
	DisableLocalAuth     *bool           `json:"disableLocalAuth,omitempty"`
}

// serviceRecord is the part of a provisioning service in the state that only this surface uses.
type serviceRecord struct {
	Settings serviceSettings `json:"settings"`
	Identity json.RawMessage `json:"identity,omitempty"`
}

// putService is IotDpsResource_CreateOrUpdate: 201 and Azure-AsyncOperation, also for a change, and from
// versionOfLocation on Location, at which the result is read. Omitted policies and links are kept; other properties are
// reset. The etag, if any, is in the body or in If-Match. Fidelity: it is enforced unless an option disables that;
// Azure's behaviour is unknown.
func (c *call) putService() error {
	if err := c.checkRegistered(); err != nil {
		return err
	}
	id := c.resource()
	var body serviceBody
	if err := c.body(&body); err != nil {
		return err
	}
	if err := c.checkServiceMembers(); err != nil {
		return err
	}
	if !serviceName.MatchString(id.Name) {
		return invalid("The provisioning service name '%s' is invalid: it has 3 to 64 letters, digits and hyphens, "+
			"no hyphen last.", id.Name)
	}
	present, err := c.presentService(id)
	if err != nil {
		return err
	}
	var old *state.Resource
	if present != nil {
		old = &present.Resource
	}
	if err := checkPlace(serviceKind, id.Name, body.Location, old); err != nil {
		return err
	}
	if err := checkTags(body.Tags); err != nil {
		return err
	}
	if present == nil {
		if err := c.checkServiceQuota(); err != nil {
			return err
		}
	}
	service := state.Service{Resource: state.Resource{ID: id, Location: body.Location, Tags: body.Tags}}
	if err := c.readService(&service, body, present); err != nil {
		return err
	}
	etag := body.ETag
	if header := c.r.Header.Get("If-Match"); header != "" {
		etag = header
	}
	if c.IgnoreServiceETags {
		etag = ""
	}
	service, created, err := c.State.PutService(service, etagOf(etag), c.Delay)
	if err != nil {
		return c.putRefusal(serviceKind, err)
	}
	if err := c.beginOperation(operation{kind: operationOfService, location: service.Location, delay: c.Delay,
		withLocation: c.described(likeServices) >= versionOfLocation, result: id}); err != nil {
		return err
	}
	return c.answerServicePut(service, created, body.Properties.AuthorizationPolicies != nil)
}

// answerServicePut returns a service in transition: without host names, ID scope and etag if it is new.
func (c *call) answerServicePut(service state.Service, created, withPolicies bool) error {
	answer, err := c.showService(service)
	if err != nil {
		return err
	}
	p := answer.Properties
	p.State, p.ProvisioningState = string(state.Transitioning), "Accepted"
	if created {
		p.State, answer.ETag = string(state.Activating), ""
	}
	p.IDScope, p.ServiceOperationsHostName, p.DeviceProvisioningHostName = nil, "", ""
	if withPolicies {
		p.AuthorizationPolicies = showPolicies(service.Policies)
	}
	return c.json(http.StatusCreated, answer)
}

// presentService returns the service that a PUT changes, or nil. It is an error if the group does not exist.
func (c *call) presentService(id state.ResourceID) (*state.Service, error) {
	if err := c.openGroup(); err != nil {
		return nil, err
	}
	service, err := c.State.Service(id)
	if isKind(err, state.NotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return &service, nil
}

// readService reads everything in the body but location and tags.
func (c *call) readService(service *state.Service, body serviceBody, present *state.Service) error {
	if body.Properties == nil {
		return invalid("The properties of a provisioning service are missing.")
	}
	if body.SKU == nil || !strings.EqualFold(body.SKU.Name, "S1") {
		return invalid("The sku of a provisioning service is S1.")
	}
	units, err := body.SKU.units()
	if err != nil {
		return err
	}
	service.SKU = state.SKU{Name: "S1", Capacity: units}
	var ok bool
	if service.Allocation, ok = allocations[strings.ToLower(body.Properties.AllocationPolicy)]; !ok {
		return invalid("The allocation policy '%s' is unknown; "+
			"a provisioning service has Hashed, GeoLatency or Static.",
			body.Properties.AllocationPolicy)
	}
	switch policies := body.Properties.AuthorizationPolicies; {
	case policies != nil:
		var old []state.Policy
		if present != nil {
			old = present.Policies
		}
		if service.Policies, err = readPolicies(policies, serviceRights, old); err != nil {
			return err
		}
	case present == nil:
		service.Policies = defaultServicePolicies()
	}
	if err := checkServiceForm(body.Properties.serviceSettings); err != nil {
		return err
	}
	return c.readServiceRecord(service, body, present)
}

// readServiceRecord reads the part of a service that only this surface uses, and the links, which depend on the
// service's identities.
func (c *call) readServiceRecord(service *state.Service, body serviceBody, present *state.Service) error {
	record, err := serviceRecordOf(present)
	if err != nil {
		return err
	}
	next := serviceRecord{Settings: body.Properties.serviceSettings}
	if next.Identity, err = c.readIdentity(body.Identity, record.Identity); err != nil {
		return err
	}
	c.keepServiceMembers(&next, record)
	if err := checkResidency(serviceKind, next.Settings.EnableDataResidency, service.Location); err != nil {
		return err
	}
	next.Settings.PublicNetworkAccess = spelled(next.Settings.PublicNetworkAccess, accessValues)
	if next.Settings.IPFilterRules, err = spellValues(next.Settings.IPFilterRules, filterEnumerations); err != nil {
		return err
	}
	if service.Properties, err = json.Marshal(next); err != nil {
		return err
	}
	principals, err := Principals(service.Resource)
	if err != nil {
		return err
	}
	service.Links, err = c.readLinks(body.Properties.IotHubs, present, principals)
	return err
}

// serviceRecordOf returns the stored record of a service, which may be nil.
func serviceRecordOf(v *state.Service) (record serviceRecord, err error) {
	if v == nil || len(v.Properties) == 0 {
		return record, nil
	}
	if err := json.Unmarshal(v.Properties, &record); err != nil {
		return record, fmt.Errorf("read the settings of provisioning service %q: %w", v.ID.Name, err)
	}
	return record, nil
}

// allocations are the policies by their ARM spelling in lower case. An empty one means Hashed.
var allocations = map[string]state.AllocationPolicy{
	"": state.Hashed, "hashed": state.Hashed, "geolatency": state.GeoLatency, "static": state.Static,
}

// allocationNames are the ARM spellings.
var allocationNames = map[state.AllocationPolicy]string{
	state.Hashed: "Hashed", state.GeoLatency: "GeoLatency", state.Static: "Static",
}

// showService returns a provisioning service as GET shows it.
func showService(v state.Service) (serviceBody, error) {
	record, err := serviceRecordOf(&v)
	if err != nil {
		return serviceBody{}, err
	}
	sku := showSKU(v.SKU)
	scope := v.IDScope
	body := serviceBody{
		ID: resourcePath(serviceKind, v.ID), Name: v.ID.Name, Type: provider + "/" + serviceKind, Location: v.Location,
		ResourceGroup: v.ID.Group, SubscriptionID: v.ID.Subscription, Tags: tagsOrEmpty(v.Tags), ETag: v.ETag(),
		SKU: &sku, SystemData: map[string]string{"createdAt": stamp(v.Created)},
		Properties: &serviceProperties{
			State: string(v.Phase), ProvisioningState: provisioningState(v.Phase), IotHubs: showLinks(v.Links),
			AllocationPolicy: allocationNames[v.Allocation], ServiceOperationsHostName: v.Host(),
			DeviceProvisioningHostName: domain.GlobalHost, IDScope: &scope, serviceSettings: record.Settings,
		},
	}
	if body.Identity, err = showIdentity(record.Identity, body.ID); err != nil {
		return serviceBody{}, err
	}
	if v.Phase == state.Activating {
		p := body.Properties
		p.IDScope, p.ServiceOperationsHostName, p.DeviceProvisioningHostName = nil, "", ""
	}
	return body, nil
}
