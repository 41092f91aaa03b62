package arm

import (
	"encoding/json"
	"net/http"
	"regexp"
	"strings"
	"time"

	"evenkeel/emulator/internal/state"
)

// Consumer groups of a hub's built-in endpoints: IotHubResource_*EventHubConsumerGroup. Fidelity: only their names
// exist; nothing reads a hub's messages through them.

const (
	consumerGroupsOfHub = hubItem + "/eventhubendpoints/{endpoint}/consumergroups"
	consumerGroupItem   = consumerGroupsOfHub + "/{child}"
	consumerGroupKind   = "consumergroups"
	// builtInEndpoint is the endpoint that device messages are sent to.
	builtInEndpoint = "events"
	// monitoringEndpoint is the endpoint of the former operations monitoring. Hubs no longer return it, but it still
	// has consumer groups (azurerm, iothub_consumer_group_resource_test.go).
	monitoringEndpoint = "operationsMonitoringEvents"
	// defaultConsumerGroup always exists.
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
	endpoint, _ := c.consumerGroupEndpoint() // consumerGroupHub has checked it
	return consumerGroupBody{
		ID:         resourcePath(hubKind, hub.ID) + "/eventHubEndpoints/" + endpoint + "/ConsumerGroups/" + name,
		Name:       name,
		Type:       provider + "/" + hubKind + "/EventHubEndpoints/ConsumerGroups",
		Properties: map[string]string{"created": created.UTC().Format(http.TimeFormat)},
	}
}

// consumerGroupEndpoint returns the endpoint in the path, in Azure's spelling, or false if it has no consumer groups.
func (c *call) consumerGroupEndpoint() (string, bool) {
	for _, endpoint := range []string{builtInEndpoint, monitoringEndpoint} {
		if strings.EqualFold(c.values["endpoint"], endpoint) {
			return endpoint, true
		}
	}
	return "", false
}

// childKind returns the state's kind for consumer groups of the endpoint in the path.
func (c *call) childKind() string {
	if endpoint, _ := c.consumerGroupEndpoint(); endpoint != builtInEndpoint {
		return consumerGroupKind + " of " + endpoint
	}
	return consumerGroupKind
}

// consumerGroupHub reads the hub and checks that the path's endpoint has consumer groups.
func (c *call) consumerGroupHub() (state.Hub, error) {
	hub, err := hubs.read(c)
	if _, has := c.consumerGroupEndpoint(); err == nil && !has {
		err = providerError(numberChildNotFound, "The endpoint '%s' was not found.", c.values["endpoint"])
	}
	if err == nil && c.r.Method != http.MethodGet && hub.Phase != state.Active {
		err = notActive(hubKind, hub.ID.Name)
	}
	return hub, err
}

// putConsumerGroup creates a consumer group; an existing one is unchanged. 200 in both cases.
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
		return invalid("The consumer group name '%s' is invalid: it has 1 to 50 letters, digits, '.', '-' or '_'.",
			name)
	}
	if _, err := c.State.Child(hub.Host(), c.childKind(), name); isKind(err, state.NotFound) {
		data, err := json.Marshal(c.State.Now())
		if err != nil {
			return err
		}
		if _, _, err := c.State.PutChild(state.Child{Parent: hub.Host(), Kind: c.childKind(), Name: name, Body: data},
			state.Unconditional); err != nil {
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
	child, err := c.State.Child(hub.Host(), c.childKind(), name)
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
	children, err := c.State.Children(hub.Host(), c.childKind())
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

// deleteConsumerGroup responds with 200. Fidelity: that the default one cannot be deleted, and 404 for an unknown
// one, are unsure; the description has no 204.
func (c *call) deleteConsumerGroup() error {
	hub, err := c.consumerGroupHub()
	if err != nil {
		return err
	}
	name := c.values["child"]
	if strings.EqualFold(name, defaultConsumerGroup) {
		return invalid("The consumer group '%s' cannot be deleted.", defaultConsumerGroup)
	}
	err = c.State.DeleteChild(hub.Host(), c.childKind(), name, state.Unconditional)
	if isKind(err, state.NotFound) {
		return noConsumerGroup(name)
	}
	if err != nil {
		return err
	}
	c.w.WriteHeader(http.StatusOK)
	return nil
}
