package arm

import (
	"cmp"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/google/uuid"

	"evenkeel/emulator/internal/entra"
	"evenkeel/emulator/internal/state"
)

// identityBody is ArmIdentity of hubs, and ManagedServiceIdentity of provisioning services. Fidelity: the identities
// cannot be used to log in.
type identityBody struct {
	Type        string                   `json:"type"`
	PrincipalID string                   `json:"principalId,omitempty"`
	TenantID    string                   `json:"tenantId,omitempty"`
	Users       map[string]*identityUser `json:"userAssignedIdentities,omitempty"`
}

type identityUser struct {
	PrincipalID string `json:"principalId,omitempty"`
	ClientID    string `json:"clientId,omitempty"`
}

// isSystem reports whether the resource has a system-assigned identity.
func (b identityBody) isSystem() bool {
	return strings.HasPrefix(strings.ToLower(b.Type), "systemassigned")
}

// identityTypes are the values of ResourceIdentityType. Versions differ in whether the combined one has a space.
var identityTypes = []string{"SystemAssigned", "UserAssigned", "SystemAssigned, UserAssigned",
	"SystemAssigned,UserAssigned", "None"}

// readIdentity reads the identity of a request and returns it with the ids of its principals, to be stored. A
// system-assigned identity keeps the principal that it has in the present one; an identity that was removed and added
// again has another principal, as on Azure.
func (c *call) readIdentity(sent, present json.RawMessage) (json.RawMessage, error) {
	if isNull(sent) {
		return nil, nil
	}
	var body, old identityBody
	if err := json.Unmarshal(sent, &body); err != nil {
		return nil, invalid("The identity does not have the form of the specification: %s.", describeJSON(err))
	}
	if err := oneOf("identity.type", body.Type, identityTypes...); err != nil {
		return nil, err
	}
	if !isNull(present) {
		if err := json.Unmarshal(present, &old); err != nil {
			return nil, fmt.Errorf("read the stored identity: %w", err)
		}
	}
	body.PrincipalID, body.TenantID = "", ""
	if body.isSystem() {
		if body.PrincipalID = old.PrincipalID; body.PrincipalID == "" || !old.isSystem() {
			var err error
			if body.PrincipalID, err = c.State.NewID(); err != nil {
				return nil, err
			}
		}
	}
	for id, user := range body.Users {
		if user == nil {
			delete(body.Users, id) // a null removes an identity
			continue
		}
		found, err := c.findUser(id)
		if err != nil {
			return nil, err
		}
		body.Users[id] = found
	}
	return json.Marshal(body)
}

// findUser returns the ids of a user-assigned identity. Those of other subscriptions do not exist here: their ids are
// derived from their names.
func (c *call) findUser(id string) (*identityUser, error) {
	own := "/subscriptions/" + c.Subscription + "/"
	if len(id) < len(own) || !strings.EqualFold(id[:len(own)], own) {
		return &identityUser{madeID(id, "principal"), madeID(id, "client")}, nil
	}
	all, err := c.State.ManagedIdentities(c.Subscription, "")
	if err != nil {
		return nil, err
	}
	for _, m := range all {
		if strings.EqualFold(m.Path(), id) {
			return &identityUser{m.Principal, m.Client}, nil
		}
	}
	return nil, armError(http.StatusBadRequest, "FailedIdentityOperation",
		"Identity operation for resource '%s' failed: the user-assigned identity '%s' was not found.",
		c.r.URL.Path, id)
}

// showIdentity adds the members of an identity that are not stored. id is the path of the resource.
func showIdentity(raw json.RawMessage, id string) (json.RawMessage, error) {
	if isNull(raw) {
		return raw, nil
	}
	var body identityBody
	if err := json.Unmarshal(raw, &body); err != nil {
		return nil, err
	}
	if body.isSystem() {
		body.PrincipalID = cmp.Or(body.PrincipalID, madeID(id, "principal")) // earlier snapshots have no ids
		body.TenantID = entra.TenantID
	}
	for user, ids := range body.Users {
		if ids == nil || ids.PrincipalID == "" {
			body.Users[user] = &identityUser{madeID(user, "principal"), madeID(user, "client")}
		}
	}
	return json.Marshal(body)
}

// Principals returns the principals of a provisioning service's identities, from its stored properties.
func Principals(r state.Resource) (state.Principals, error) {
	record, err := serviceRecordOf(&state.Service{Resource: r})
	if err != nil {
		return state.Principals{}, err
	}
	shown, err := showIdentity(record.Identity, resourcePath(serviceKind, r.ID))
	if err != nil || isNull(shown) {
		return state.Principals{}, err
	}
	var body identityBody
	if err := json.Unmarshal(shown, &body); err != nil {
		return state.Principals{}, err
	}
	principals := state.Principals{System: body.PrincipalID}
	if strings.Contains(strings.ToLower(body.Type), "userassigned") && len(body.Users) > 0 {
		principals.Users = map[string]string{}
		for id, user := range body.Users {
			principals.Users[strings.ToLower(id)] = user.PrincipalID
		}
	}
	return principals, nil
}

// isManagedIdentity reports whether a principal is that of an identity of the subscription.
func (c *call) isManagedIdentity(principal string) (bool, error) {
	principals := []string{}
	all, err := c.State.ManagedIdentities(c.Subscription, "")
	if err != nil {
		return false, err
	}
	for _, m := range all {
		principals = append(principals, m.Principal)
	}
	services, err := c.State.Services(c.Subscription, "")
	if err != nil {
		return false, err
	}
	for _, v := range services {
		principals = append(principals, v.Principals.System)
	}
	hubs, err := c.State.Hubs(c.Subscription, "")
	if err != nil {
		return false, err
	}
	for _, h := range hubs {
		record, err := readRecord(h.Properties)
		if err != nil {
			return false, err
		}
		var body identityBody
		if !isNull(record.Identity) {
			if err := json.Unmarshal(record.Identity, &body); err != nil {
				return false, err
			}
		}
		principals = append(principals, body.PrincipalID)
	}
	return slices.ContainsFunc(principals, func(p string) bool { return strings.EqualFold(p, principal) }), nil
}

func madeID(of, what string) string {
	return uuid.NewSHA1(uuid.NameSpaceURL, []byte(strings.ToLower(of)+"#"+what)).String()
}
