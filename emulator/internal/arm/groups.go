package arm

import (
	"net/http"
	"regexp"
	"strings"
	"time"

	"evenkeel/emulator/internal/state"
)

const (
	groupList = "/subscriptions/{subscription}/resourcegroups"
	groupItem = groupList + "/{group}"
	groupKind = "Microsoft.Resources/resourceGroups"
)

// groupName is the pattern of resource-name-rules, except that the last character must not be a dot.
var groupName = regexp.MustCompile(`^[-\w._()]{1,90}$`)

// Resource groups: Microsoft.Resources, any api-version; the operations are those of 2021-04-01.
func (s *surface) routeGroups() {
	s.change("PUT "+groupItem, (*call).putGroup)
	s.change("PATCH "+groupItem, (*call).patchGroup)
	s.change("DELETE "+groupItem, (*call).deleteGroup)
	s.route("GET "+groupItem, (*call).getGroup)
	s.route("HEAD "+groupItem, (*call).headGroup)
	s.route("GET "+groupList, (*call).listGroups)
	s.route("GET "+groupItem+"/resources", (*call).listResources)
	s.route("GET /subscriptions/{subscription}/resources", (*call).listResources)
}

type groupBody struct {
	ID         string            `json:"id"`
	Name       string            `json:"name"`
	Type       string            `json:"type"`
	Location   string            `json:"location"`
	Tags       map[string]string `json:"tags,omitempty"`
	ManagedBy  string            `json:"managedBy,omitempty"`
	Properties struct {
		ProvisioningState string `json:"provisioningState"`
	} `json:"properties"`
}

func groupID(g state.Group) string {
	return "/subscriptions/" + g.Subscription + "/resourceGroups/" + g.Name
}

func showGroup(g state.Group) groupBody {
	body := groupBody{ID: groupID(g), Name: g.Name, Type: groupKind, Location: g.Location, Tags: g.Tags}
	body.Properties.ProvisioningState = provisioningState(g.Phase)
	return body
}

// group reads the group in the path.
func (c *call) group() (state.Group, error) {
	g, err := c.State.Group(c.values["subscription"], c.values["group"])
	if isKind(err, state.NotFound) {
		return g, groupNotFound(c.values["group"])
	}
	return g, err
}

// openGroup is group for a creation in it. It refuses a group that is being deleted.
func (c *call) openGroup() error {
	g, err := c.group()
	if err == nil && g.Phase == state.Deleting {
		err = groupDeleting(g.Name)
	}
	return err
}

func groupDeleting(name string) error {
	return armError(http.StatusConflict, "ResourceGroupBeingDeleted",
		"The resource group '%s' is in deprovisioning state and cannot perform this operation.", name)
}

// putGroup creates a group (201) or replaces its tags (200).
func (c *call) putGroup() error {
	var body groupBody
	if err := c.body(&body); err != nil {
		return err
	}
	name := c.values["group"]
	if !groupName.MatchString(name) || strings.HasSuffix(name, ".") {
		return armError(http.StatusBadRequest, "InvalidResourceGroupName",
			"The provided resource group name '%s' is invalid: it has 1 to 90 letters, digits, '-', '_', '.', '(' or "+
				"')' and does not end with '.'.", name)
	}
	if body.Location == "" {
		return locationRequired()
	}
	if err := checkTags(body.Tags); err != nil {
		return err
	}
	location := plainLocation(body.Location)
	switch old, err := c.State.Group(c.values["subscription"], name); {
	case err == nil && old.Location != location:
		return armError(http.StatusConflict, "InvalidResourceGroupLocation",
			"Invalid resource group location '%s'. The Resource group already exists in location '%s'.", location,
			old.Location)
	case err != nil && !knownLocation(location):
		return armError(http.StatusBadRequest, "LocationNotAvailableForResourceGroup",
			"The provided location '%s' is not available for resource group. List of available regions is '%s'.",
			body.Location, locationNames())
	}
	g, created, err := c.State.PutGroup(state.Group{Subscription: c.Subscription, Name: name, Location: location,
		Tags: body.Tags})
	if err != nil {
		return c.groupRefusal(err)
	}
	status := http.StatusOK
	if created {
		status = http.StatusCreated
	}
	return c.json(status, showGroup(g))
}

func (c *call) groupRefusal(err error) error {
	switch {
	case isKind(err, state.NotFound):
		return groupNotFound(c.values["group"])
	case isKind(err, state.Busy):
		return groupDeleting(c.values["group"])
	}
	return err
}

// patchGroup replaces the tags. Nothing else of a group can be changed.
func (c *call) patchGroup() error {
	var body struct {
		Tags map[string]string `json:"tags"`
	}
	if err := c.body(&body); err != nil {
		return err
	}
	if err := checkTags(body.Tags); err != nil {
		return err
	}
	g, err := c.group()
	if err != nil {
		return err
	}
	if body.Tags != nil {
		if g, err = c.State.SetGroupTags(c.values["subscription"], c.values["group"], body.Tags); err != nil {
			return c.groupRefusal(err)
		}
	}
	return c.json(http.StatusOK, showGroup(g))
}

func (c *call) getGroup() error {
	g, err := c.group()
	if err != nil {
		return err
	}
	return c.json(http.StatusOK, showGroup(g))
}

func (c *call) headGroup() error {
	if _, err := c.group(); err != nil {
		return err
	}
	c.w.WriteHeader(http.StatusNoContent)
	return nil
}

// deleteGroup deletes the group and every resource in it: 202 with Location.
func (c *call) deleteGroup() error {
	g, err := c.group()
	if err != nil {
		return err
	}
	if err := c.State.DeleteGroup(c.values["subscription"], c.values["group"], c.Delay); err != nil {
		return c.groupRefusal(err)
	}
	if err := c.begin(operationOfGroup, g.Location, true); err != nil {
		return err
	}
	c.w.WriteHeader(http.StatusAccepted)
	return nil
}

// listGroups lists the subscription's groups. Fidelity: it supports only filters by tag.
func (c *call) listGroups() error {
	groups, err := c.State.Groups(c.values["subscription"])
	if err != nil {
		return err
	}
	wanted, _, err := c.filterOf(true)
	if err != nil {
		return err
	}
	bodies := []groupBody{}
	for _, g := range groups {
		if wanted(listed{tags: g.Tags}) {
			bodies = append(bodies, showGroup(g))
		}
	}
	return pageOf(c, bodies)
}

// genericResource is a resource in lists of all types. The last two members are present only if $expand requests
// them.
type genericResource struct {
	ID                string            `json:"id"`
	Name              string            `json:"name"`
	Type              string            `json:"type"`
	Location          string            `json:"location"`
	Tags              map[string]string `json:"tags,omitempty"`
	SKU               *skuBody          `json:"sku,omitempty"`
	CreatedTime       string            `json:"createdTime,omitempty"`
	ProvisioningState string            `json:"provisioningState,omitempty"`
}

// listResources lists the resources of a group, or of the subscription. Fidelity: the changedTime of $expand is not
// supported.
func (c *call) listResources() error {
	group := c.values["group"]
	if group != "" {
		if _, err := c.group(); err != nil {
			return err
		}
	}
	hubs, err := c.State.Hubs(c.Subscription, group)
	if err != nil {
		return err
	}
	services, err := c.State.Services(c.Subscription, group)
	if err != nil {
		return err
	}
	wanted, hideTags, err := c.filterOf(false)
	if err != nil {
		return err
	}
	expand := strings.ToLower(c.r.URL.Query().Get("$expand"))
	bodies := []genericResource{}
	show := func(shown genericResource, as listed) {
		if !wanted(as) {
			return
		}
		if hideTags {
			shown.Tags = nil
		}
		if !strings.Contains(expand, "createdtime") {
			shown.CreatedTime = ""
		}
		if !strings.Contains(expand, "provisioningstate") {
			shown.ProvisioningState = ""
		}
		bodies = append(bodies, shown)
	}
	add := func(kind string, r state.Resource) {
		sku := showSKU(r.SKU)
		show(genericResource{
			ID: resourcePath(kind, r.ID), Name: r.ID.Name, Type: provider + "/" + kind, Location: r.Location,
			Tags: r.Tags, SKU: &sku, CreatedTime: r.Created.UTC().Format(time.RFC3339Nano),
			ProvisioningState: provisioningState(r.Phase),
		}, listed{provider + "/" + kind, r.ID.Name, r.ID.Group, r.Location, r.Tags})
	}
	for _, h := range hubs {
		add(hubKind, h.Resource)
	}
	for _, v := range services {
		add(serviceKind, v.Resource)
	}
	if err := c.addManagedIdentities(group, show); err != nil {
		return err
	}
	return pageOf(c, bodies)
}
