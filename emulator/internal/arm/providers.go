package arm

import (
	"net/http"

	"evenkeel/emulator/internal/state"
)

// The resource provider Microsoft.Devices: its registration, its operations, and the resource limits of a
// subscription.

// Quotas are the numbers of resources that a subscription may have. Zero means Azure's quota, a negative value means
// no resource.
type Quotas struct {
	// Hubs is the quota for hubs of paid tiers: 50. FreeHubs: 1. Source: "IoT Hub quotas and throttling".
	Hubs, FreeHubs int
	// Services is the quota for provisioning services: 10. Source: "Azure IoT Hub Device Provisioning Service
	// limits".
	Services int
}

const (
	azureHubs, azureFreeHubs, azureServices = 50, 1, 10
	// unbounded is the limit that usages return if there is no quota.
	unbounded = 1 << 30
)

func (q *Quotas) complete() {
	for _, quota := range []struct {
		n     *int
		azure int
	}{{&q.Hubs, azureHubs}, {&q.FreeHubs, azureFreeHubs}, {&q.Services, azureServices}} {
		switch {
		case *quota.n == 0:
			*quota.n = quota.azure
		case *quota.n < 0:
			*quota.n = unbounded
		}
	}
}

func (s *surface) routeProviders() {
	const all = "/subscriptions/{subscription}/providers"
	const devices = all + "/microsoft.devices"
	s.route("GET "+devices, (*call).getProvider)
	s.route("GET "+all, (*call).listProviders)
	s.route("GET /providers", (*call).listProviders)
	s.route("GET /providers/microsoft.devices", (*call).getProvider)
	s.route("GET "+devices+"/resourcetypes", (*call).listResourceTypes)
	s.route("GET "+all+"/{namespace}", (*call).otherProvider)
	s.route("POST "+all+"/{namespace}/register", (*call).otherProvider)
	s.route("POST "+all+"/{namespace}/unregister", (*call).otherProvider)
	s.change("POST "+devices+"/register", (*call).registerProvider)
	s.change("POST "+devices+"/unregister", (*call).unregisterProvider)
	s.route("GET "+devices+"/usages", (*call).getUsages)
	s.route("GET /providers/microsoft.devices/operations", (*call).listOperations)
	s.route("GET /subscriptions/{subscription}/locations", (*call).listLocations)
}

// providerBody is Provider of Microsoft.Resources.
func (c *call) providerBody() map[string]any {
	places := []string{}
	for _, l := range azureLocations {
		places = append(places, l.display)
	}
	kind := func(name string, versions []string) map[string]any {
		return map[string]any{"resourceType": name, "apiVersions": versions, "locations": places}
	}
	c.registration.Lock()
	defer c.registration.Unlock()
	phase := "Registered"
	if c.Unregistered {
		phase = "NotRegistered"
	}
	return map[string]any{
		"id": "/subscriptions/" + c.Subscription + "/providers/" + provider, "namespace": provider,
		"registrationState":  phase,
		"registrationPolicy": "RegistrationRequired",
		"resourceTypes":      []any{kind(hubKind, servedHubs), kind(serviceKind, servedServices)},
	}
}

// getProvider is Providers_Get and Providers_GetAtTenantScope, listProviders Providers_List and
// Providers_ListAtTenantScope. Microsoft.Devices is the only provider.
func (c *call) getProvider() error   { return c.json(http.StatusOK, c.providerBody()) }
func (c *call) listProviders() error { return pageOf(c, []any{c.providerBody()}) }

// listResourceTypes is ProviderResourceTypes_List.
func (c *call) listResourceTypes() error {
	return c.json(http.StatusOK, list{c.providerBody()["resourceTypes"]})
}

// otherProvider responds for every provider but Microsoft.Devices as Azure does for unknown ones ("Resolve errors for
// resource provider registration"). Fidelity: Azure has many.
func (c *call) otherProvider() error {
	return armError(http.StatusNotFound, "InvalidResourceNamespace", "The resource namespace '%s' is invalid.",
		c.values["namespace"])
}

// registerProvider is Providers_Register, unregisterProvider Providers_Unregister. Fidelity: they take effect at
// once, and a restart reverts to the options.
func (c *call) registerProvider() error {
	c.setUnregistered(false)
	return c.getProvider()
}

func (c *call) unregisterProvider() error {
	hubs, err := c.State.Hubs(c.Subscription, "")
	if err != nil {
		return err
	}
	services, err := c.State.Services(c.Subscription, "")
	if err != nil {
		return err
	}
	if len(hubs)+len(services) > 0 {
		return armError(http.StatusConflict, "CannotUnregisterNamespace",
			"Cannot unregister namespace '%s': the subscription has resources of it.", provider)
	}
	c.setUnregistered(true)
	return c.getProvider()
}

func (c *call) setUnregistered(un bool) {
	c.registration.Lock()
	defer c.registration.Unlock()
	c.surface.Unregistered = un
}

// checkRegistered refuses a creation if the provider is not registered in the subscription. Source: "Resolve errors
// for resource provider registration".
func (c *call) checkRegistered() error {
	c.registration.Lock()
	defer c.registration.Unlock()
	if !c.Unregistered {
		return nil
	}
	return armError(http.StatusConflict, "MissingSubscriptionRegistration",
		"The subscription is not registered to use namespace '%s'. See https://aka.ms/rps-not-found for how to "+
			"register subscriptions.", provider)
}

// usage is UserSubscriptionQuota, with the current use.
type usage struct {
	ID           string            `json:"id"`
	Type         string            `json:"type"`
	Unit         string            `json:"unit"`
	CurrentValue int               `json:"currentValue"`
	Limit        int               `json:"limit"`
	Name         map[string]string `json:"name"`
}

// getUsages is ResourceProviderCommon_GetSubscriptionQuota. It has two entries, whose names the tests of Azure's SDK
// for .NET rely on (IotHubLifeCycleTests). Fidelity: the rest of an entry is unsure.
func (c *call) getUsages() error {
	paid, free, _, err := c.used()
	if err != nil {
		return err
	}
	show := func(name, text string, used, limit int) usage {
		return usage{
			ID:   "/subscriptions/" + c.Subscription + "/providers/" + provider + "/usages/" + name,
			Type: provider + "/" + name, Unit: "Count", CurrentValue: used, Limit: limit,
			Name: map[string]string{"value": name, "localizedValue": text},
		}
	}
	return c.json(http.StatusOK, list{[]usage{
		show("freeIotHubCount", "Free IoT Hub Count", free, c.Quotas.FreeHubs),
		show("paidIotHubCount", "Paid IoT Hub Count", paid, c.Quotas.Hubs),
	}})
}

// used returns the numbers of the subscription's hubs of paid tiers, free hubs, and provisioning services.
func (c *call) used() (paid, free, services int, err error) {
	hubs, err := c.State.Hubs(c.Subscription, "")
	if err != nil {
		return 0, 0, 0, err
	}
	for _, h := range hubs {
		if h.SKU.Tier() == state.Free {
			free++
		} else {
			paid++
		}
	}
	all, err := c.State.Services(c.Subscription, "")
	return paid, free, len(all), err
}

// checkHubQuota refuses a hub beyond the quota. The number and the text are from
// MicrosoftLearning/DP-900T00A-Azure-Data-Fundamentals#6, for the free tier; that all other tiers share one quota is
// unsure.
func (c *call) checkHubQuota(sku state.SKU) error {
	paid, free, _, err := c.used()
	if err != nil {
		return err
	}
	used, limit, name := paid, c.Quotas.Hubs, "Standard"
	if sku.Tier() == state.Free {
		used, limit, name = free, c.Quotas.FreeHubs, "Free"
	}
	if used < limit {
		return nil
	}
	return providerError(numberQuota,
		"Max number of Iot Hubs exceeded for sku = %s, Max Allowed = %d, Current = %d in the subscription Id: %s.",
		name, limit, used+1, c.Subscription)
}

// checkServiceQuota is checkHubQuota for provisioning services. Its text is modelled on that one (unsure).
func (c *call) checkServiceQuota() error {
	_, _, services, err := c.used()
	if err != nil || services < c.Quotas.Services {
		return err
	}
	return providerError(numberQuota,
		"Max number of Provisioning Services exceeded, Max Allowed = %d, Current = %d in the subscription Id: %s.",
		c.Quotas.Services, services+1, c.Subscription)
}

// listOperations is Operations_List. Fidelity: Azure lists more, for example those of its portal.
func (c *call) listOperations() error {
	operations := []any{}
	for _, of := range []struct{ kind, noun string }{{hubKind, "IoT Hub"},
		{serviceKind, "IoT Hub Device Provisioning Service"}} {
		for _, verb := range []string{"Read", "Write", "Delete"} {
			operations = append(operations, map[string]any{
				"name": provider + "/" + of.kind + "/" + verb,
				"display": map[string]string{
					"provider": "Microsoft Devices", "resource": of.noun, "operation": verb + " " + of.noun,
					"description": verb + " a resource of type " + provider + "/" + of.kind,
				},
			})
		}
	}
	return c.json(http.StatusOK, list{operations})
}
