package arm_test

import (
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"

	"evenkeel/emulator/internal/arm"
)

const (
	hubScope   = "/providers/Microsoft.Devices/IotHubs/hub-1"
	roleCalls  = "?api-version=2022-04-01"
	principal1 = "aaaaaaaa-2222-3333-4444-555555555555"
	principal2 = "bbbbbbbb-2222-3333-4444-555555555555"
	dataRole   = "4fc6c259-987e-4a07-842e-c321cc9d413f"
)

func assignmentAt(scope, name string) string {
	return scope + "/providers/Microsoft.Authorization/roleAssignments/" + name + roleCalls
}

func guid(n int) string { return fmt.Sprintf("%08d-2222-3333-4444-555555555555", n) }

func assignmentJSON(role, principal, more string) string {
	return `{"properties":{"roleDefinitionId":"/subscriptions/` + subscription +
		`/providers/Microsoft.Authorization/roleDefinitions/` + role + `","principalId":"` + principal + `"` + more + `}}`
}

// Source: authorization-RoleAssignmentsCalls.json, 2022-04-01; the refusals are those in issues of azurerm and of the
// Azure CLI.
func TestRoleAssignments(t *testing.T) {
	t.Parallel()
	s := newIdentities(t, arm.Options{})
	path := assignmentAt(hubScope, guid(1))
	if status, body := s.call("GET", path, ""); status != http.StatusNotFound ||
		!strings.Contains(body, "RoleAssignmentNotFound") {
		t.Errorf("before: got %d %s, want 404 RoleAssignmentNotFound", status, body)
	}
	status, body := s.call("PUT", path, assignmentJSON(dataRole, principal1, `,"principalType":"ServicePrincipal"`))
	hub := "/subscriptions/" + subscription + "/resourceGroups/rg" + hubScope
	if status != http.StatusCreated || member(t, body,
		"id") != hub+"/providers/Microsoft.Authorization/roleAssignments/"+guid(1) ||
		member(t, body, "properties", "scope") != hub || member(t, body, "properties", "principalId") != principal1 ||
		!strings.HasSuffix(member(t, body, "properties", "roleDefinitionId"), "/roleDefinitions/"+dataRole) {
		t.Fatalf("got %d %s, want it created at %s", status, body, hub)
	}
	for name, test := range map[string]struct {
		path, body string
		status     int
		code       string
	}{
		"again": {path, assignmentJSON(dataRole, principal1, `,"description":"links"`), 200, `"links"`},
		"another principal": {path, assignmentJSON(dataRole, principal2, ""), 400,
			"RoleAssignmentUpdateNotPermitted"},
		"another role": {path, assignmentJSON(guid(9), principal1, ""), 400, "RoleAssignmentUpdateNotPermitted"},
		"under another name": {assignmentAt(hubScope, guid(2)), assignmentJSON(dataRole, principal1, ""), 409,
			"RoleAssignmentExists"},
		"no GUID": {assignmentAt(hubScope, "me"), assignmentJSON(dataRole, principal1, ""), 400,
			"InvalidRoleAssignmentId"},
		"no role": {assignmentAt(hubScope, guid(3)), assignmentJSON("Owner", principal1, ""), 400,
			"InvalidRoleDefinitionId"},
		"no principal": {assignmentAt(hubScope, guid(3)), assignmentJSON(dataRole, "me", ""), 400,
			"InvalidPrincipalId"},
		"a kind of principal": {assignmentAt(hubScope, guid(3)), assignmentJSON(dataRole, principal1,
			`,"principalType":"Robot"`), 400, "InvalidPrincipalType"},
		"a hub that is not": {assignmentAt(hubScope+"9", guid(3)), assignmentJSON(dataRole, principal1, ""), 404,
			"ResourceNotFound"},
		"a kind that is not": {assignmentAt("/providers/Microsoft.Storage/storageAccounts/a", guid(3)),
			assignmentJSON(dataRole, principal1, ""), 404, "ResourceNotFound"},
	} {
		t.Run(name, func(t *testing.T) {
			if status, body := s.call("PUT", test.path, test.body); status != test.status || !strings.Contains(body,
				test.code) {
				t.Errorf("got %d %s, want %d and %s", status, body, test.status, test.code)
			}
		})
	}
	if body := s.done("GET", strings.ToUpper(path[:len(path)-len(roleCalls)])+roleCalls, ""); member(t, body,
		"name") != guid(1) {
		t.Errorf("in capitals: got %s, want the assignment", body)
	}
	for _, want := range []int{200, 204} {
		if status, body := s.call("DELETE", path, ""); status != want {
			t.Errorf("delete: got %d %s, want %d", status, body, want)
		}
	}
}

// Source: Azure/modern-web-app-pattern-dotnet#129. azure-native says User where a program leaves the type out.
func TestAManagedIdentityIsAServicePrincipal(t *testing.T) {
	t.Parallel()
	s := newIdentities(t, arm.Options{})
	if status, body := s.linked(systemOnly, ""); status != http.StatusCreated {
		t.Fatalf("got %d %s", status, body)
	}
	hub := s.done("PUT", hubScope+"?api-version=2023-06-30",
		`{"location":"westeurope","sku":{"name":"S1","capacity":1},"identity":{"type":"SystemAssigned"}}`)
	user := s.done("PUT", identities+"id-1"+identityCalls, `{"location":"westeurope"}`)
	for name, principal := range map[string]string{
		"a hub's identity":  member(t, hub, "identity", "principalId"),
		"a service's":       member(t, s.done("GET", dps+"2026-08-31", ""), "identity", "principalId"),
		"a user-assigned's": member(t, user, "properties", "principalId"),
	} {
		t.Run(name, func(t *testing.T) {
			for n, kind := range []string{"User", "Group"} {
				status, body := s.call("PUT", assignmentAt(hubScope, guid(n+1)),
					assignmentJSON(dataRole, strings.ToUpper(principal), `,"principalType":"`+kind+`"`))
				if status != http.StatusBadRequest || !strings.Contains(body, "UnmatchedPrincipalType") {
					t.Errorf("%s as %s: got %d %s, want UnmatchedPrincipalType", name, kind, status, body)
				}
			}
		})
	}
	s.done("PUT", assignmentAt(hubScope, guid(1)), assignmentJSON(dataRole, principal1, `,"principalType":"User"`))
}

// names are the first digits of the names of the assignments that a list shows.
func (s surface) assigned(scope, filter string) []string {
	s.t.Helper()
	body := s.done("GET", strings.TrimSuffix(assignmentAt(scope, ""), "/"+roleCalls)+roleCalls+"&$filter="+
		url.QueryEscape(filter), "")
	names := []string{}
	for i := 0; member(s.t, body, "value", i) != ""; i++ {
		names = append(names, strings.TrimLeft(member(s.t, body, "value", i, "name")[:8], "0"))
	}
	slices.Sort(names)
	return names
}

func TestListsOfRoleAssignments(t *testing.T) {
	t.Parallel()
	s := newIdentities(t, arm.Options{})
	// The calls of a surface are below its group.
	const up = "/../.."
	for n, scope := range []string{up, "", hubScope, "/providers/Microsoft.Devices/provisioningServices/dps-1",
		"/providers/Microsoft.ManagedIdentity/userAssignedIdentities/id-1"} {
		s.done("PUT", assignmentAt(scope, guid(n+1)), assignmentJSON(dataRole, principal1, ""))
	}
	s.done("PUT", assignmentAt(hubScope, guid(6)), assignmentJSON(dataRole, principal2, ""))
	for _, test := range []struct {
		scope, filter string
		want          string
	}{
		{up, "", "1 2 3 4 5 6"}, {"", "", "1 2 3 4 5 6"}, {hubScope, "", "1 2 3 6"}, {hubScope, "atScope()", "1 2 3 6"},
		{up, "atScope()", "1"}, {"", "atScope()", "1 2"},
		{"", "principalId eq '" + principal2 + "'", "6"},
		{hubScope, "atScope() and assignedTo('" + strings.ToUpper(principal1) + "')", "1 2 3"},
		{hubScope, "principalId eq '" + guid(7) + "'", ""},
	} {
		t.Run(test.scope, func(t *testing.T) {
			if got := strings.Join(s.assigned(test.scope, test.filter), " "); got != test.want {
				t.Errorf("at %q with %q: got %s, want %s", test.scope, test.filter, got, test.want)
			}
		})
	}
	if status, body := s.call("GET", "/providers/Microsoft.Authorization/roleAssignments"+roleCalls+"&$filter=x",
		""); status !=
		http.StatusBadRequest {
		t.Errorf("another filter: got %d %s, want 400", status, body)
	}
	// What a resource had goes with it.
	for _, deleted := range []struct{ path, left string }{
		{hubScope + "?api-version=2023-06-30", "1 2 4 5"}, {dps + "2022-12-12", "1 2 5"},
		{identities + "id-1" + identityCalls, "1 2"}, {"?api-version=2021-04-01", "1"},
	} {
		t.Run(deleted.path, func(t *testing.T) {
			s.done("DELETE", deleted.path, "")
			if got := strings.Join(s.assigned(up, ""), " "); got != deleted.left {
				t.Errorf("after DELETE %s: got %s, want %s", deleted.path, got, deleted.left)
			}
		})
	}
}

// Source: what `az role assignment create --role NAME` asks (azure-cli, command_modules/role/custom.py).
func TestRoleDefinitions(t *testing.T) {
	t.Parallel()
	s := newSurface(t)
	s.inventory()
	const definitions = "/providers/Microsoft.Authorization/roleDefinitions"
	for _, scope := range []string{"/../..", "", hubScope} {
		body := s.done("GET",
			scope+definitions+roleCalls+"&$filter="+url.QueryEscape("roleName eq 'IoT Hub Data contributor'"), "")
		if member(t, body, "value", 0, "name") != dataRole || member(t, body, "value", 1) != "" {
			t.Errorf("at %q: got %s, want the role alone", scope, body)
		}
		if body := s.done("GET", scope+definitions+"/"+dataRole+roleCalls, ""); member(t, body, "properties",
			"roleName") !=
			"IoT Hub Data Contributor" {
			t.Errorf("at %q: got %s, want its name", scope, body)
		}
	}
	if body := s.done("GET", definitions+roleCalls+"&$filter="+url.QueryEscape("roleName eq 'No Role'"), ""); member(t,
		body,
		"value", 0) != "" {
		t.Errorf("got %s, want an empty list", body)
	}
	if body := s.done("GET", definitions+roleCalls, ""); !strings.Contains(body, `"Owner"`) {
		t.Errorf("got %s, want all roles", body)
	}
	if status, body := s.call("GET", definitions+"/"+guid(1)+roleCalls, ""); status != http.StatusNotFound {
		t.Errorf("got %d %s, want 404", status, body)
	}
}

// Sources: crossplane-contrib/provider-upjet-azure issue 1003 and hashicorp/terraform-provider-azurerm issue 16213:
// Azure returns a scope in the letter case in which the assignment was made. azurerm compares it, and spells the type
// of hubs iotHubs.
func TestScopesKeepTheirLetterCase(t *testing.T) {
	t.Parallel()
	s := newIdentities(t, arm.Options{})
	ofAzurerm := strings.Replace(hubScope, "IotHubs", "iotHubs", 1)
	want := "/subscriptions/" + subscription + "/resourceGroups/rg" + ofAzurerm
	s.done("PUT", assignmentAt(ofAzurerm, guid(1)), assignmentJSON(dataRole, principal1, ""))
	for _, call := range []struct{ name, method, path, body string }{
		{"in its own case", "GET", assignmentAt(ofAzurerm, guid(1)), ""},
		{"in the described case", "GET", assignmentAt(hubScope, guid(1)), ""},
		{"after a change in another case", "PUT", assignmentAt(hubScope, guid(1)),
			assignmentJSON(dataRole, principal1, `,"description":"links"`)},
	} {
		t.Run(call.name, func(t *testing.T) {
			body := s.done(call.method, call.path, call.body)
			if got := member(t, body, "properties", "scope"); got != want {
				t.Errorf("got the scope %s, want %s", got, want)
			}
			if got := member(t, body, "id"); !strings.HasPrefix(got, want+"/providers/Microsoft.Authorization/") {
				t.Errorf("got the id %s, want one at %s", got, want)
			}
		})
	}
}
