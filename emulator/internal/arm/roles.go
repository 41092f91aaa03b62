package arm

import (
	"cmp"
	"encoding/json"
	"net/http"
	"path"
	"regexp"
	"slices"
	"strings"

	"github.com/google/uuid"

	"evenkeel/emulator/internal/entra"
	"evenkeel/emulator/internal/state"
)

// Role assignments and role definitions of Microsoft.Authorization, any api-version; the operations are those of
// 2022-04-01. Fidelity: the only role with an effect is the one of a provisioning service at a linked hub, and only
// when roles are required; any GUID is taken as a principal and as a role.

const authorization = "/providers/microsoft.authorization"

// roleScopes are the paths at which roles are assigned.
var roleScopes = []string{
	"/subscriptions/{subscription}",
	groupItem,
	groupItem + "/providers/{namespace}/{type}/{resource}",
}

func (s *surface) routeRoles() {
	for _, at := range roleScopes {
		assignments, definitions := at+authorization+"/roleassignments", at+authorization+"/roledefinitions"
		s.route("GET "+assignments, (*call).listRoleAssignments)
		s.route("GET "+assignments+"/{assignment}", (*call).getRoleAssignment)
		s.change("PUT "+assignments+"/{assignment}", (*call).putRoleAssignment)
		s.change("DELETE "+assignments+"/{assignment}", (*call).deleteRoleAssignment)
		s.route("GET "+definitions, (*call).listRoleDefinitions)
		s.route("GET "+definitions+"/{definition}", (*call).getRoleDefinition)
	}
	s.route("GET "+authorization+"/roledefinitions", (*call).listRoleDefinitions)
	s.route("GET "+authorization+"/roledefinitions/{definition}", (*call).getRoleDefinition)
}

// scope returns the scope in the path, which must exist.
func (c *call) scope() (state.Scope, error) {
	at := state.Scope{Subscription: c.Subscription}
	if c.values["group"] == "" {
		return at, nil
	}
	g, err := c.group()
	if err != nil {
		return at, err
	}
	at.Group = g.Name
	if c.values["resource"] == "" {
		return at, nil
	}
	kind := c.values["namespace"] + "/" + c.values["type"]
	id := state.ResourceID{Subscription: c.Subscription, Group: at.Group, Name: c.values["resource"]}
	for _, known := range []struct {
		kind string
		find func() (string, error)
	}{
		{provider + "/" + hubKind, func() (string, error) { h, err := c.State.Hub(id); return h.ID.Name, err }},
		{provider + "/" + serviceKind, func() (string, error) { v, err := c.State.Service(id); return v.ID.Name, err }},
		{managedIdentities, func() (string, error) { m, err := c.State.ManagedIdentity(id); return m.ID.Name, err }},
	} {
		if !strings.EqualFold(kind, known.kind) {
			continue
		}
		at.Kind = known.kind
		at.Name, err = known.find()
		if isKind(err, state.NotFound) {
			break
		}
		return at, err
	}
	return at, armError(http.StatusNotFound, "ResourceNotFound",
		"The Resource '%s/%s' under resource group '%s' was not found. For more details please go to "+
			"https://aka.ms/ARMResourceNotFoundFix", kind, id.Name, id.Group)
}

// scopePath returns a scope as it is in resource ids.
func scopePath(at state.Scope) string {
	p := "/subscriptions/" + at.Subscription
	if at.Group != "" {
		p += "/resourceGroups/" + at.Group
	}
	if at.Name != "" {
		p += "/providers/" + at.Kind + "/" + at.Name
	}
	return p
}

// assignmentBody is RoleAssignment.
type assignmentBody struct {
	ID         string               `json:"id"`
	Name       string               `json:"name"`
	Type       string               `json:"type"`
	Properties assignmentProperties `json:"properties"`
}

// assignmentProperties is RoleAssignmentProperties. The members after assignmentSettings are decided by Azure.
type assignmentProperties struct {
	RoleDefinitionID string `json:"roleDefinitionId"`
	PrincipalID      string `json:"principalId"`
	assignmentSettings
	Scope     string `json:"scope"`
	CreatedOn string `json:"createdOn"`
	UpdatedOn string `json:"updatedOn"`
	CreatedBy string `json:"createdBy"`
	UpdatedBy string `json:"updatedBy"`
}

// assignmentSettings are stored and shown, without any effect.
type assignmentSettings struct {
	PrincipalType    string  `json:"principalType"`
	Condition        *string `json:"condition"`
	ConditionVersion *string `json:"conditionVersion"`
	Description      *string `json:"description"`
	Delegated        *string `json:"delegatedManagedIdentityResourceId"`
}

// servicePrincipal is the PrincipalType of managed identities. Fidelity: Azure looks every principal up in the
// directory; here those that are no managed identity are what the request says, or service principals.
const servicePrincipal = "ServicePrincipal"

// principalTypes are the values of PrincipalType.
var principalTypes = []string{servicePrincipal, "User", "Group", "ForeignGroup", "Device"}

func roleID(subscription, role string) string {
	return "/subscriptions/" + subscription + "/providers/Microsoft.Authorization/roleDefinitions/" + role
}

// assignmentRecord is the part of a role assignment in the state that only this surface uses.
type assignmentRecord struct {
	assignmentSettings
	// SentScope is the scope as the request that made the assignment spelled it.
	SentScope string `json:"sentScope"`
}

// sentScope returns the scope in the path of a call, in the letter case that the client used: Azure returns it so
// (crossplane-contrib/provider-upjet-azure issue 1003, hashicorp/terraform-provider-azurerm issue 16213), and azurerm
// spells the type of hubs iotHubs.
func (c *call) sentScope() string {
	sent := c.r.URL.Path
	return sent[:max(0, strings.LastIndex(strings.ToLower(sent), authorization))]
}

func showAssignment(a state.RoleAssignment) (assignmentBody, error) {
	var record assignmentRecord
	if err := json.Unmarshal(a.Properties, &record); err != nil {
		return assignmentBody{}, err
	}
	at := cmp.Or(record.SentScope, scopePath(a.Scope))
	return assignmentBody{
		ID: at + "/providers/Microsoft.Authorization/roleAssignments/" + a.Name, Name: a.Name,
		Type: "Microsoft.Authorization/roleAssignments",
		Properties: assignmentProperties{
			RoleDefinitionID: roleID(a.Scope.Subscription, a.Role), PrincipalID: a.Principal, Scope: at,
			CreatedOn: stamp(a.Created), UpdatedOn: stamp(a.Updated),
			CreatedBy: entra.ClientID, UpdatedBy: entra.ClientID, assignmentSettings: record.assignmentSettings,
		},
	}, nil
}

func (c *call) answerAssignment(status int, a state.RoleAssignment) error {
	body, err := showAssignment(a)
	if err != nil {
		return err
	}
	return c.json(status, body)
}

// putRoleAssignment is RoleAssignments_Create: 201 for a new one. Only the settings of an assignment can change. The
// texts of RoleAssignmentUpdateNotPermitted and UnmatchedPrincipalType are from OfficeDev/microsoft-teams-apps-company-
// communicator#569 and Azure/modern-web-app-pattern-dotnet#129; those of what is no GUID are unsure.
func (c *call) putRoleAssignment() error {
	at, err := c.scope()
	if err != nil {
		return err
	}
	var body assignmentBody
	if err := c.body(&body); err != nil {
		return err
	}
	a, err := c.readAssignment(at, body.Properties)
	if err != nil {
		return err
	}
	a, created, err := c.State.PutRoleAssignment(a)
	switch {
	case isKind(err, state.Exists):
		return armError(http.StatusConflict, "RoleAssignmentExists", "The role assignment already exists.")
	case isKind(err, state.Invalid):
		return armError(http.StatusBadRequest, "RoleAssignmentUpdateNotPermitted",
			"Tenant ID, application ID, principal ID, and scope are not allowed to be updated.")
	case err != nil:
		return err
	case created:
		return c.answerAssignment(http.StatusCreated, a)
	}
	return c.answerAssignment(http.StatusOK, a)
}

// readAssignment checks a role assignment at a scope.
func (c *call) readAssignment(at state.Scope, sent assignmentProperties) (state.RoleAssignment, error) {
	a := state.RoleAssignment{Scope: at, Name: c.values["assignment"], Role: path.Base(sent.RoleDefinitionID),
		Principal: sent.PrincipalID}
	if _, err := uuid.Parse(a.Name); err != nil {
		return a, armError(http.StatusBadRequest, "InvalidRoleAssignmentId",
			"The role assignment ID '%s' is not valid. The role assignment ID must be a GUID.", a.Name)
	}
	if _, err := uuid.Parse(a.Role); err != nil {
		return a, armError(http.StatusBadRequest, "InvalidRoleDefinitionId",
			"The role definition ID '%s' is not valid. The role definition ID must be a GUID.", a.Role)
	}
	if _, err := uuid.Parse(a.Principal); err != nil {
		return a, armError(http.StatusBadRequest, "InvalidPrincipalId",
			"A valid principal ID must be provided for role assignment.")
	}
	settings := sent.assignmentSettings
	if settings.PrincipalType == "" {
		settings.PrincipalType = servicePrincipal
	}
	if !slices.Contains(principalTypes, settings.PrincipalType) {
		return a, armError(http.StatusBadRequest, "InvalidPrincipalType",
			"The principal type '%s' is unknown; use one of %s.", settings.PrincipalType,
			strings.Join(principalTypes, ", "))
	}
	managed, err := c.isManagedIdentity(a.Principal)
	if err != nil {
		return a, err
	}
	if managed && settings.PrincipalType != servicePrincipal {
		return a, armError(http.StatusBadRequest, "UnmatchedPrincipalType",
			"The PrincipalId '%s' has type '%s' , which is different from specified PrinciaplType '%s'.",
			strings.ReplaceAll(a.Principal, "-", ""), servicePrincipal, settings.PrincipalType)
	}
	record := assignmentRecord{assignmentSettings: settings, SentScope: c.sentScope()}
	present, err := c.State.RoleAssignment(at, a.Name)
	if err == nil {
		var old assignmentRecord
		if err := json.Unmarshal(present.Properties, &old); err != nil {
			return a, err
		}
		record.SentScope = old.SentScope
	} else if !isKind(err, state.NotFound) {
		return a, err
	}
	a.Properties, err = json.Marshal(record)
	return a, err
}

// getRoleAssignment is RoleAssignments_Get.
func (c *call) getRoleAssignment() error {
	at, err := c.scope()
	if err != nil {
		return err
	}
	a, err := c.State.RoleAssignment(at, c.values["assignment"])
	if isKind(err, state.NotFound) {
		return armError(http.StatusNotFound, "RoleAssignmentNotFound", "The role assignment '%s' is not found.",
			c.values["assignment"])
	}
	if err != nil {
		return err
	}
	return c.answerAssignment(http.StatusOK, a)
}

// deleteRoleAssignment is RoleAssignments_Delete: the deleted assignment, or 204 if it does not exist.
func (c *call) deleteRoleAssignment() error {
	at, err := c.scope()
	if err != nil {
		return err
	}
	a, err := c.State.DeleteRoleAssignment(at, c.values["assignment"])
	if isKind(err, state.NotFound) {
		c.w.WriteHeader(http.StatusNoContent)
		return nil
	}
	if err != nil {
		return err
	}
	return c.answerAssignment(http.StatusOK, a)
}

// assignmentFilter matches the conditions of $filter that role assignments have, joined by "and".
var assignmentFilter = regexp.MustCompile(
	`(?i)^(?:(atScope)\(\)|assignedTo\('([^']+)'\)|principalId\s+eq\s+'([^']+)')(?:\s+and\s+|$)`)

// listRoleAssignments is RoleAssignments_ListForScope: assignments at, above and below the scope; with atScope() not
// below it.
func (c *call) listRoleAssignments() error {
	at, err := c.scope()
	if err != nil {
		return err
	}
	upward, principal := false, ""
	for rest := strings.TrimSpace(c.r.URL.Query().Get("$filter")); rest != ""; {
		found := assignmentFilter.FindStringSubmatch(rest)
		if found == nil {
			return armError(http.StatusBadRequest, "UnsupportedQuery", "The filter '%s' is not supported. Supported "+
				"are atScope(), assignedTo('{value}') and principalId eq '{value}'.", rest)
		}
		upward = upward || found[1] != ""
		principal += found[2] + found[3]
		rest = rest[len(found[0]):]
	}
	all, err := c.State.RoleAssignments()
	if err != nil {
		return err
	}
	bodies := []assignmentBody{}
	for _, a := range all {
		if !a.Scope.Contains(at) && (upward || !at.Contains(a.Scope)) ||
			principal != "" && !strings.EqualFold(principal, a.Principal) {
			continue
		}
		body, err := showAssignment(a)
		if err != nil {
			return err
		}
		bodies = append(bodies, body)
	}
	return pageOf(c, bodies)
}
