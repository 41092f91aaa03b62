package arm

import (
	"net/http"
	"regexp"

	"evenkeel/emulator/internal/entra"
	"evenkeel/emulator/internal/state"
)

// User-assigned identities: userAssignedIdentities of Microsoft.ManagedIdentity, any api-version; the operations are
// those of 2023-01-31. Fidelity: no federated credentials.

const (
	managedIdentities = "Microsoft.ManagedIdentity/userAssignedIdentities"
	identitiesOfGroup = groupItem + "/providers/microsoft.managedidentity/userassignedidentities"
	identityItem      = identitiesOfGroup + "/{name}"
)

// identityName is the rule of resource-name-rules.
var identityName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9_-]{2,127}$`)

func (s *surface) routeManagedIdentities() {
	s.change("PUT "+identityItem, (*call).putManagedIdentity)
	s.change("PATCH "+identityItem, (*call).patchManagedIdentity)
	s.change("DELETE "+identityItem, (*call).deleteManagedIdentity)
	s.route("GET "+identityItem, (*call).getManagedIdentity)
	s.route("GET "+identitiesOfGroup, (*call).listManagedIdentities)
	s.route("GET /subscriptions/{subscription}/providers/microsoft.managedidentity/userassignedidentities",
		(*call).listManagedIdentities)
}

// managedIdentityBody is Identity of the description.
type managedIdentityBody struct {
	ID         string            `json:"id"`
	Name       string            `json:"name"`
	Type       string            `json:"type"`
	Location   string            `json:"location"`
	Tags       map[string]string `json:"tags"`
	Properties map[string]string `json:"properties"`
}

func showManagedIdentity(m state.ManagedIdentity) managedIdentityBody {
	return managedIdentityBody{
		ID: m.Path(), Name: m.ID.Name, Type: managedIdentities, Location: m.Location, Tags: tagsOrEmpty(m.Tags),
		Properties: map[string]string{
			"tenantId": entra.TenantID, "principalId": m.Principal, "clientId": m.Client,
		},
	}
}

// managedIdentity returns the identity in the path.
func (c *call) managedIdentity() (state.ManagedIdentity, error) {
	if _, err := c.group(); err != nil {
		return state.ManagedIdentity{}, err
	}
	m, err := c.State.ManagedIdentity(c.resource())
	if isKind(err, state.NotFound) {
		return m, armError(http.StatusNotFound, "ResourceNotFound",
			"The Resource '%s/%s' under resource group '%s' was not found. For more details please go to "+
				"https://aka.ms/ARMResourceNotFoundFix", managedIdentities, c.values["name"], c.values["group"])
	}
	return m, err
}

// putManagedIdentity creates an identity (201) or replaces its tags (200).
func (c *call) putManagedIdentity() error {
	if err := c.openGroup(); err != nil {
		return err
	}
	var body struct {
		Location string            `json:"location"`
		Tags     map[string]string `json:"tags"`
	}
	if err := c.body(&body); err != nil {
		return err
	}
	id := c.resource()
	if !identityName.MatchString(id.Name) {
		return armError(http.StatusBadRequest, "InvalidParameter",
			"The name '%s' is invalid: an identity has 3 to 128 "+
				"letters, digits, hyphens and underscores, a letter or a digit first.", id.Name)
	}
	var old *state.Resource
	if present, err := c.State.ManagedIdentity(id); err == nil {
		old = &state.Resource{ID: present.ID, Location: present.Location}
	} else if !isKind(err, state.NotFound) {
		return err
	}
	if err := checkPlace("userAssignedIdentities", id.Name, body.Location, old); err != nil {
		return err
	}
	if err := checkTags(body.Tags); err != nil {
		return err
	}
	return c.keepManagedIdentity(state.ManagedIdentity{ID: id, Location: body.Location, Tags: body.Tags})
}

// patchManagedIdentity changes the tags; nothing else can be changed.
func (c *call) patchManagedIdentity() error {
	m, err := c.managedIdentity()
	if err != nil {
		return err
	}
	tags, err := c.tagsPatch()
	if err != nil {
		return err
	}
	if tags != nil {
		m.Tags = tags
	}
	return c.keepManagedIdentity(m)
}

func (c *call) keepManagedIdentity(m state.ManagedIdentity) error {
	m, created, err := c.State.PutManagedIdentity(m)
	if err != nil {
		return err
	}
	status := http.StatusOK
	if created {
		status = http.StatusCreated
	}
	return c.json(status, showManagedIdentity(m))
}

func (c *call) getManagedIdentity() error {
	m, err := c.managedIdentity()
	if err != nil {
		return err
	}
	return c.json(http.StatusOK, showManagedIdentity(m))
}

// deleteManagedIdentity deletes an identity: 200, or 204 if it does not exist.
func (c *call) deleteManagedIdentity() error {
	if _, err := c.group(); err != nil {
		return err
	}
	status := http.StatusOK
	if err := c.State.DeleteManagedIdentity(c.resource()); isKind(err, state.NotFound) {
		status = http.StatusNoContent
	} else if err != nil {
		return err
	}
	c.w.WriteHeader(status)
	return nil
}

func (c *call) listManagedIdentities() error {
	group := c.values["group"]
	if group != "" {
		if _, err := c.group(); err != nil {
			return err
		}
	}
	all, err := c.State.ManagedIdentities(c.Subscription, group)
	if err != nil {
		return err
	}
	bodies := make([]managedIdentityBody, len(all))
	for i, m := range all {
		bodies[i] = showManagedIdentity(m)
	}
	return pageOf(c, bodies)
}

// addManagedIdentities adds the identities of a group to a list of resources of all types.
func (c *call) addManagedIdentities(group string, add func(genericResource, listed)) error {
	all, err := c.State.ManagedIdentities(c.Subscription, group)
	for _, m := range all {
		add(genericResource{
			ID: m.Path(), Name: m.ID.Name, Type: managedIdentities, Location: m.Location, Tags: m.Tags,
			CreatedTime: stamp(m.Created), ProvisioningState: "Succeeded",
		}, listed{managedIdentities, m.ID.Name, m.ID.Group, m.Location, m.Tags})
	}
	return err
}
