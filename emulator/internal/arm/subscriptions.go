package arm

import (
	"net/http"
	"strings"

	"evenkeel/emulator/internal/entra"
	"evenkeel/emulator/internal/state"
)

// Calls about subscriptions and names.
func (s *surface) routeSubscriptions() {
	s.route("GET /subscriptions", (*call).listSubscriptions)
	s.route("GET /subscriptions/{subscription}", (*call).getSubscription)
	s.route("GET /tenants", (*call).listTenants)
}

func (s *surface) subscription() map[string]any {
	return map[string]any{
		"id": "/subscriptions/" + s.Subscription, "subscriptionId": s.Subscription, "tenantId": entra.TenantID,
		"displayName": "evenkeel local emulator", "state": "Enabled", "authorizationSource": "RoleBased",
	}
}

// listSubscriptions is Subscriptions_List.
func (c *call) listSubscriptions() error {
	return c.json(http.StatusOK, list{[]any{c.subscription()}})
}

// getSubscription is Subscriptions_Get.
func (c *call) getSubscription() error { return c.json(http.StatusOK, c.subscription()) }

// listTenants is Tenants_List.
func (c *call) listTenants() error {
	return c.json(http.StatusOK, list{[]any{map[string]any{"id": "/tenants/" + entra.TenantID,
		"tenantId": entra.TenantID}}})
}

// nameAvailability responds for both kinds. The reason is "Invalid" even for a free name (recorded in
// Azure/azure-cli, test_hub_wait).
type nameAvailability struct {
	NameAvailable bool    `json:"nameAvailable"`
	Reason        string  `json:"reason"`
	Message       *string `json:"message"`
}

func (c *call) nameToCheck() (string, error) {
	var body struct {
		Name string `json:"name"`
	}
	if err := c.body(&body); err != nil {
		return "", err
	}
	if body.Name == "" {
		return "", invalid("The name to check is missing.")
	}
	return body.Name, nil
}

func (c *call) answerName(kind, name string, valid, taken bool) error {
	answer := nameAvailability{NameAvailable: valid && !taken, Reason: "Invalid"}
	message := noun(kind) + " name '" + name + "' is not available"
	switch {
	case taken:
		answer.Reason, answer.Message = "AlreadyExists", &message
	case !valid:
		message = noun(kind) + " name '" + name + "' is invalid"
		answer.Message = &message
	}
	return c.json(http.StatusOK, answer)
}

// checkHubName is IotHubResource_CheckNameAvailability.
func (c *call) checkHubName() error {
	name, err := c.nameToCheck()
	if err != nil {
		return err
	}
	_, err = c.State.HubByHost(state.HubHost(name))
	if err != nil && !isKind(err, state.NotFound) {
		return err
	}
	return c.answerName(hubKind, name, hubName.MatchString(name) && !allDigits.MatchString(name), err == nil)
}

// checkServiceName is IotDpsResource_CheckProvisioningServiceNameAvailability.
func (c *call) checkServiceName() error {
	name, err := c.nameToCheck()
	if err != nil {
		return err
	}
	_, err = c.State.ServiceByHost(state.ServiceHost(strings.TrimSpace(name)))
	if err != nil && !isKind(err, state.NotFound) {
		return err
	}
	return c.answerName(serviceKind, name, serviceName.MatchString(name), err == nil)
}
