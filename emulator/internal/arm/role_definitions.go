package arm

import (
	"net/http"
	"regexp"
	"strings"

	"evenkeel/emulator/internal/state"
)

// roles are built-in roles that concern hubs and provisioning services, and the general ones, by the ids of their
// definitions ("Azure built-in roles"). Fidelity: Azure has several hundred more, and custom ones.
var roles = []struct{ id, name, description string }{
	{"8e3af657-a8ff-443c-a75c-2fe8c4bcb635", "Owner", "Manages all resources, and access to them."},
	{"b24988ac-6180-42a0-ab88-20f7382dd24c", "Contributor", "Manages all resources, but not access to them."},
	{"acdd72a7-3385-48ef-bd42-f606fba81ae7", "Reader", "Views all resources."},
	{"18d7d88d-d35e-4fb5-a5c3-7773c20a72d9", "User Access Administrator", "Manages access to resources."},
	{state.RoleHubData, "IoT Hub Data Contributor", "Reads and changes what is in an IoT hub."},
	{"b447c946-2db7-41ec-983d-d8bf3b1c77e3", "IoT Hub Data Reader", "Reads what is in an IoT hub."},
	{"4ea46cd5-c1b2-4a8e-910b-273211f9ce47", "IoT Hub Registry Contributor", "Reads and changes an IoT hub's devices."},
	{"494bdba2-168f-4f31-a0a1-191d2f7c028c", "IoT Hub Twin Contributor", "Reads and changes an IoT hub's twins."},
	{"dfce44e4-17b7-4bd1-a6d1-04996ec95633", "Device Provisioning Service Data Contributor",
		"Reads and changes what is in a provisioning service."},
	{"10745317-c249-44a1-a5ce-3a4353c0bbd8", "Device Provisioning Service Data Reader",
		"Reads what is in a provisioning service."},
}

func (c *call) showRole(i int) map[string]any {
	return map[string]any{
		"id": roleID(c.Subscription, roles[i].id), "name": roles[i].id,
		"type": "Microsoft.Authorization/roleDefinitions",
		"properties": map[string]any{
			"roleName": roles[i].name, "type": "BuiltInRole", "description": roles[i].description,
			"assignableScopes": []string{"/"}, "permissions": []any{},
		},
	}
}

var roleFilter = regexp.MustCompile(`(?i)^(atScopeAndBelow|atScope)\(\)$|^(roleName|type)\s+eq\s+'([^']*)'$`)

// listRoleDefinitions is RoleDefinitions_List. Fidelity: permissions are not shown.
func (c *call) listRoleDefinitions() error {
	filter := strings.TrimSpace(c.r.URL.Query().Get("$filter"))
	found := roleFilter.FindStringSubmatch(filter)
	if filter != "" && found == nil {
		return armError(http.StatusBadRequest, "UnsupportedQuery",
			"The filter '%s' is not supported. Supported are roleName eq '{value}' and type eq '{value}'.", filter)
	}
	bodies := []any{}
	for i, role := range roles {
		if found == nil || found[2] == "" || strings.EqualFold(found[2], "roleName") &&
			strings.EqualFold(found[3], role.name) ||
			strings.EqualFold(found[2], "type") && strings.EqualFold(found[3], "BuiltInRole") {
			bodies = append(bodies, c.showRole(i))
		}
	}
	return pageOf(c, bodies)
}

// getRoleDefinition is RoleDefinitions_Get and RoleDefinitions_GetById.
func (c *call) getRoleDefinition() error {
	for i, role := range roles {
		if strings.EqualFold(role.id, c.values["definition"]) {
			return c.json(http.StatusOK, c.showRole(i))
		}
	}
	return armError(http.StatusNotFound, "RoleDefinitionDoesNotExist",
		"The specified role definition with ID '%s' does not exist.", c.values["definition"])
}
