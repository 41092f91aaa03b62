package arm

import (
	"encoding/json"
	"net/http"
	"regexp"
	"strings"
	"time"

	"evenkeel/emulator/internal/state"
)

// Consumer groups of a hub's built-in endpoint: IotHubResource_*EventHubConsumerGroup.
// Fidelity: they are names only; nothing reads a hub's messages through them.

const (
	consumerGroupsOfHub = hubItem + "/eventhubendpoints/{endpoint}/consumergroups"
	consumerGroupItem   = consumerGroupsOfHub + "/{child}"
	consumerGroupKind   = "consumergroups"
	// builtInEndpoint is the only endpoint that has consumer groups, and defaultConsumerGroup the one that is always there.
	builtInEndpoint      = "events"
	defaultConsumerGroup = "$Default"
)

var consumerGroupName = regexp.MustCompile(`^[\w.-]{1,50}$`)

func (s *surface) routeConsumerGroups() {
	s.change("PUT "+consumerGroupItem, (*call).putConsumerGroup)
	s.change("DELETE "+consumerGroupItem, (*call).deleteConsumerGroup)
	s.route("GET "+consumerGroupItem, (*call).getConsumerGroup)
	s.route("GET "+consumerGroupsOfHub, (*call).listConsumerGroups)
}

// consumerGroupBody is EventHubConsumerGroupInfo.
type consumerGroupBody struct {
	ID         string            `json:"id"`
	Name       string            `json:"name"`
	Type       string            `json:"type"`
	ETag       *string           `json:"etag"`
	Properties map[string]string `json:"properties"`
}

func (c *call) showConsumerGroup(hub state.Hub, name string, created time.Time) consumerGroupBody {
	return consumerGroupBody{
		ID:         resourcePath(hubKind, hub.ID) + "/eventHubEndpoints/" + builtInEndpoint + "/ConsumerGroups/" + name,
		Name:       name,
		Type:       provider + "/" + hubKind + "/EventHubEndpoints/ConsumerGroups",
		Properties: map[string]string{"created": created.UTC().Format(http.TimeFormat)},
	}
}

// consumerGroupHub reads the hub and checks that the path's endpoint is the built-in one.
func (c *call) consumerGroupHub() (state.Hub, error) {
	hub, err := hubs.read(c)
	if err == nil && !strings.EqualFold(c.values["endpoint"], builtInEndpoint) {
		err = providerError(numberChildNotFound, "The endpoint '%s' was not found.", c.values["endpoint"])
	}
	if err == nil && c.r.Method != http.MethodGet && hub.Phase != state.Active {
		err = notActive(hubKind, hub.ID.Name)
	}
	return hub, err
}

// putConsumerGroup makes a consumer group; one that is there stays as it is. 200 in both cases.
func (c *call) putConsumerGroup() error {
	hub, err := c.consumerGroupHub()
	if err != nil {
		return err
	}
	name := c.values["child"]
	if strings.EqualFold(name, defaultConsumerGroup) {
		return c.json(http.StatusOK, c.showConsumerGroup(hub, defaultConsumerGroup, hub.Created))
	}
	if !consumerGroupName.MatchString(name) {
		return invalid("The consumer group name '%s' is invalid: it has 1 to 50 letters, digits, '.', '-' or '_'.", name)
	}
	if _, err := c.State.Child(hub.Host(), consumerGroupKind, name); isKind(err, state.NotFound) {
		data, err := json.Marshal(c.State.Now())
		if err != nil {
			return err
		}
		if _, _, err := c.State.PutChild(state.Child{Parent: hub.Host(), Kind: consumerGroupKind, Name: name, Body: data}, state.Unconditional); err != nil {
			return err
		}
	} else if err != nil {
		return err
	}
	return c.getConsumerGroup()
}

func (c *call) getConsumerGroup() error {
	hub, err := c.consumerGroupHub()
	if err != nil {
		return err
	}
	name := c.values["child"]
	if strings.EqualFold(name, defaultConsumerGroup) {
		return c.json(http.StatusOK, c.showConsumerGroup(hub, defaultConsumerGroup, hub.Created))
	}
	child, err := c.State.Child(hub.Host(), consumerGroupKind, name)
	if isKind(err, state.NotFound) {
		return noConsumerGroup(name)
	}
	if err != nil {
		return err
	}
	body, err := c.readConsumerGroup(hub, child)
	if err != nil {
		return err
	}
	return c.json(http.StatusOK, body)
}

func noConsumerGroup(name string) error {
	return providerError(numberChildNotFound, "The consumer group '%s' was not found.", name)
}

func (c *call) readConsumerGroup(hub state.Hub, child state.Child) (consumerGroupBody, error) {
	var created time.Time
	if err := json.Unmarshal(child.Body, &created); err != nil {
		return consumerGroupBody{}, err
	}
	return c.showConsumerGroup(hub, child.Name, created), nil
}

func (c *call) listConsumerGroups() error {
	hub, err := c.consumerGroupHub()
	if err != nil {
		return err
	}
	children, err := c.State.Children(hub.Host(), consumerGroupKind)
	if err != nil {
		return err
	}
	bodies := []consumerGroupBody{c.showConsumerGroup(hub, defaultConsumerGroup, hub.Created)}
	for _, child := range children {
		body, err := c.readConsumerGroup(hub, child)
		if err != nil {
			return err
		}
		bodies = append(bodies, body)
	}
	return c.json(http.StatusOK, list{bodies})
}

// deleteConsumerGroup answers 200. Fidelity: that the default one stays, and 404 for one that is not there, are unsure; the description has no 204.
func (c *call) deleteConsumerGroup() error {
	hub, err := c.consumerGroupHub()
	if err != nil {
		return err
	}
	name := c.values["child"]
	if strings.EqualFold(name, defaultConsumerGroup) {
		return invalid("The consumer group '%s' cannot be deleted.", defaultConsumerGroup)
	}
	err = c.State.DeleteChild(hub.Host(), consumerGroupKind, name, state.Unconditional)
	if isKind(err, state.NotFound) {
		return noConsumerGroup(name)
	}
	if err != nil {
		return err
	}
	c.w.WriteHeader(http.StatusOK)
	return nil
}
