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

// Private endpoint connections and private link resources of hubs (PrivateEndpointConnections_*,
// PrivateLinkResources_*) and provisioning services (IotDpsResource_*PrivateEndpointConnection,
// *PrivateLinkResources). Fidelity: they are stored and returned but have no effect on the network. On Azure a
// private endpoint of Microsoft.Network creates the connection and a PUT changes it; here a PUT creates it too.

const connectionKind = "privateendpointconnections"

var connectionName = regexp.MustCompile(`^[\w.-]{1,100}$`)

func (s *surface) routePrivateEndpoints() {
	for item, ofHub := range map[string]bool{hubItem: true, serviceItem: false} {
		with := func(h func(*call, parent) error) handler { return ofParent(ofHub, h) }
		settled := func(h func(*call, parent) error) handler { return ofParent(ofHub, whenActive(h)) }
		s.route("GET "+item+"/privateendpointconnections", with((*call).listConnections))
		s.route("GET "+item+"/privateendpointconnections/{child}", with((*call).getConnection))
		s.change("PUT "+item+"/privateendpointconnections/{child}", settled((*call).putConnection))
		s.change("DELETE "+item+"/privateendpointconnections/{child}", settled((*call).deleteConnection))
		s.route("GET "+item+"/privatelinkresources", with((*call).listLinkResources))
		s.route("GET "+item+"/privatelinkresources/{resource}", with((*call).getLinkResource))
	}
}

// connectionBody is PrivateEndpointConnection.
type connectionBody struct {
	ID         string               `json:"id,omitempty"`
	Name       string               `json:"name,omitempty"`
	Type       string               `json:"type,omitempty"`
	Properties connectionProperties `json:"properties"`
}

type connectionProperties struct {
	PrivateEndpoint json.RawMessage  `json:"privateEndpoint,omitempty"`
	State           *connectionState `json:"privateLinkServiceConnectionState"`
}

type connectionState struct {
	Status          string `json:"status"`
	Description     string `json:"description"`
	ActionsRequired string `json:"actionsRequired,omitempty"`
}

// connectionStatuses are PrivateLinkServiceConnectionStatus, in the spelling of the specification.
var connectionStatuses = []string{"Pending", "Approved", "Rejected", "Disconnected"}

func showConnection(p parent, child state.Child) (connectionBody, error) {
	body := connectionBody{
		ID: p.path + "/privateEndpointConnections/" + child.Name, Name: child.Name, Type: provider + "/" + p.kind +
			"/PrivateEndpointConnections",
	}
	return body, json.Unmarshal(child.Body, &body.Properties)
}

func connectionNotFound(name string) error {
	return providerError(numberChildNotFound, "The private endpoint connection '%s' was not found.", name)
}

// putConnection creates a connection or changes its state: 201 and 200, complete when answered.
func (c *call) putConnection(p parent) error {
	name := c.values["child"]
	if !connectionName.MatchString(name) {
		return invalid("The private endpoint connection name '%s' is invalid.", name)
	}
	var body connectionBody
	if err := c.body(&body); err != nil {
		return err
	}
	sent := body.Properties
	if sent.State == nil || sent.State.Description == "" {
		return invalid("The property privateLinkServiceConnectionState needs a status and a description.")
	}
	known := ""
	for _, status := range connectionStatuses {
		if strings.EqualFold(status, sent.State.Status) {
			known = status
		}
	}
	if known == "" {
		return invalid("The status '%s' of a private endpoint connection is unknown; use one of %s.", sent.State.Status,
			strings.Join(connectionStatuses, ", "))
	}
	sent.State.Status = known
	data, err := json.Marshal(sent)
	if err != nil {
		return err
	}
	child, created, err := c.State.PutChild(state.Child{Parent: p.host, Kind: connectionKind, Name: name, Body: data},
		state.Unconditional)
	if err != nil {
		return err
	}
	answer, err := showConnection(p, child)
	if err != nil {
		return err
	}
	if created {
		return c.json(http.StatusCreated, answer)
	}
	return c.json(http.StatusOK, answer)
}

func (c *call) connection(p parent) (connectionBody, error) {
	child, err := c.State.Child(p.host, connectionKind, c.values["child"])
	if isKind(err, state.NotFound) {
		return connectionBody{}, connectionNotFound(c.values["child"])
	}
	if err != nil {
		return connectionBody{}, err
	}
	return showConnection(p, child)
}

func (c *call) getConnection(p parent) error {
	body, err := c.connection(p)
	if err != nil {
		return err
	}
	return c.json(http.StatusOK, body)
}

// connections returns all connections of a parent.
func (c *call) connections(p parent) ([]connectionBody, error) {
	children, err := c.State.Children(p.host, connectionKind)
	bodies := make([]connectionBody, len(children))
	for i := 0; err == nil && i < len(children); i++ {
		bodies[i], err = showConnection(p, children[i])
	}
	return bodies, err
}

// listConnections returns a bare list, as in the specification.
func (c *call) listConnections(p parent) error {
	bodies, err := c.connections(p)
	if err != nil {
		return err
	}
	return c.json(http.StatusOK, bodies)
}

// deleteConnection returns 200 with the deleted connection, or 204 if it does not exist.
func (c *call) deleteConnection(p parent) error {
	child, err := c.State.Child(p.host, connectionKind, c.values["child"])
	if isKind(err, state.NotFound) {
		c.w.WriteHeader(http.StatusNoContent)
		return nil
	}
	if err != nil {
		return err
	}
	body, err := showConnection(p, child)
	if err != nil {
		return err
	}
	if err := c.State.DeleteChild(p.host, connectionKind, child.Name, state.Unconditional); err != nil {
		return err
	}
	return c.json(http.StatusOK, body)
}

// linkResource is GroupIdInformation: a target of private endpoints. Source: "Azure Private Endpoint private DNS zone
// values".
type linkResource struct {
	ID         string `json:"id"`
	Name       string `json:"name"`
	Type       string `json:"type"`
	Properties struct {
		GroupID           string   `json:"groupId"`
		RequiredMembers   []string `json:"requiredMembers"`
		RequiredZoneNames []string `json:"requiredZoneNames"`
	} `json:"properties"`
}

func (p parent) linkResource() linkResource {
	group, zones := "iotDps", []string{domain.PrivateLink + domain.Service}
	if p.ofHub {
		group, zones = "iotHub", []string{domain.PrivateLink + domain.Hub, domain.PrivateLink + domain.ServiceBus}
	}
	r := linkResource{ID: p.path + "/privateLinkResources/" + group, Name: group, Type: provider + "/" + p.kind +
		"/PrivateLinkResources"}
	r.Properties.GroupID, r.Properties.RequiredMembers, r.Properties.RequiredZoneNames = group, []string{group}, zones
	return r
}

func (c *call) listLinkResources(p parent) error {
	return c.json(http.StatusOK, list{[]linkResource{p.linkResource()}})
}

func (c *call) getLinkResource(p parent) error {
	r := p.linkResource()
	if !strings.EqualFold(c.values["resource"], r.Name) {
		return providerError(numberChildNotFound, "The private link resource '%s' was not found.", c.values["resource"])
	}
	return c.json(http.StatusOK, r)
}

// showHub is the function showHub with the connections of the hub, if it has any.
func (c *call) showHub(h state.Hub) (hubBody, error) {
	body, err := showHub(h)
	if err != nil {
		return body, err
	}
	if err := shapeHub(body.Properties, c.described(likeHubs)); err != nil {
		return body, fmt.Errorf("show property routing: %w", err)
	}
	bodies, err := c.connections(parentHub(h))
	if err == nil && len(bodies) > 0 {
		body.Properties["privateEndpointConnections"], err = json.Marshal(bodies)
	}
	return body, err
}

// showService does for a provisioning service what showHub does for a hub.
func (c *call) showService(v state.Service) (serviceBody, error) {
	body, err := showService(v)
	if err == nil {
		c.shape(&body)
		body.Properties.PrivateEndpointConnections, err = c.connections(parentService(v))
	}
	return body, err
}
