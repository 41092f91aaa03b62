package emulator_test

import (
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"evenkeel/emulator"
)

const (
	rolesVersion     = "?api-version=2022-04-01"
	identityPath     = groupPath + "/providers/Microsoft.ManagedIdentity/userAssignedIdentities/id-1"
	identityVersion  = "?api-version=2023-01-31"
	subscriptionPath = "/subscriptions/" + emulator.SubscriptionID
	hubDataRole      = "4fc6c259-987e-4a07-842e-c321cc9d413f" // IoT Hub Data Contributor
	readerRole       = "acdd72a7-3385-48ef-bd42-f606fba81ae7"
)

// text returns a text inside an answer, "" if it is not there.
func text(value any, path ...string) string {
	for _, name := range path {
		object, _ := value.(map[string]any)
		value = object[name]
	}
	s, _ := value.(string)
	return s
}

// identityLinkJSON links a hub by a managed identity; user is the resource id of a user-assigned one.
func identityLinkJSON(host, user string) string {
	if user != "" {
		return fmt.Sprintf(`{"hostName":%q,"location":"westeurope","authenticationType":"UserAssigned",
			"selectedUserAssignedIdentityResourceId":%q}`, host, user)
	}
	return fmt.Sprintf(`{"hostName":%q,"location":"westeurope","authenticationType":"SystemAssigned"}`, host)
}

// identify puts the service with an identity and links; empty texts leave them out, which resets the identity and keeps
// the links. It returns the principal of the system-assigned identity.
func (y *yard) identify(identity, links string) string {
	y.t.Helper()
	body := `{"location":"westeurope","sku":{"name":"S1","capacity":1},"properties":{`
	if links != "" {
		body += `"iotHubs":[` + links + `]`
	}
	body += "}"
	if identity != "" {
		body += `,"identity":` + identity
	}
	y.must("PUT", servicePath+newVersion, body+"}")
	return text(y.must("GET", servicePath+newVersion, ""), "identity", "principalId")
}

// grant gives a principal a role at a scope, and returns the path of the assignment.
func (y *yard) grant(scope, name, role, principal string) string {
	y.t.Helper()
	path := scope + "/providers/Microsoft.Authorization/roleAssignments/" + name
	y.must("PUT", path+rolesVersion, fmt.Sprintf(`{"properties":{"roleDefinitionId":
		"%s/providers/Microsoft.Authorization/roleDefinitions/%s","principalId":%q}}`, subscriptionPath, role, principal))
	return path
}

const systemIdentity = `{"type":"SystemAssigned"}`

// wantAssigned registers a device of that enrollment over every protocol and expects hub-1.
func (y *yard) wantAssigned(when, id string) {
	y.t.Helper()
	for name, register := range fronts {
		if got := register(y, y.holding(id, primary)); got.state("assignedHub") != hub1 {
			y.t.Errorf("%s, %s: got %v, want it assigned to %s", when, name, got, hub1)
		}
	}
}

// wantRefused expects the hub's refusal in the result of each registration.
func (y *yard) wantRefused(when, id, reason string) {
	y.t.Helper()
	for name, register := range fronts {
		got := register(y, y.holding(id, primary))
		if got.status != http.StatusOK || got.state("status") != "failed" || got.code() != "401002" ||
			!strings.Contains(got.state("errorMessage"), reason) {
			y.t.Errorf("%s, %s: got %v, want a failed registration with 401002 and %q", when, name, got, reason)
		}
	}
}

const (
	noRole     = `is not authorized for PUT on /devices/sn-1 due to no assigned permissions`
	noIdentity = "ErrorCode:IotHubUnauthorizedAccess;Unauthorized"
)

// Sources: the live tests of azure-iot-cli-extension (tests/dps/conftest.py) for the role, Azure/azure-iot-sdk-csharp
// issue 3344 for the hub's text without it.
func TestALinkByIdentityNeedsTheRoleWhereRolesAreRequired(t *testing.T) {
	t.Parallel()
	y := newYard(t, emulator.Options{RequireRoles: true})
	y.enroll("sn-1", keyed+`,"allocationPolicy":"hashed","iotHubs":["`+hub1+`"]`)
	principal := y.identify(systemIdentity, identityLinkJSON(hub1, ""))
	y.wantRefused("without a role", "sn-1", "ErrorCode:IotHubUnauthorized;Principal "+principal+" "+noRole)
	const name = "11111111-2222-3333-4444-55555555555"
	y.grant(hubPath, name+"1", readerRole, principal)
	y.grant(strings.Replace(hubPath, "hub-1", "hub-2", 1), name+"2", hubDataRole, principal)
	y.grant(hubPath, name+"3", hubDataRole, "99999999-2222-3333-4444-555555555555")
	y.wantRefused("with another role, at another hub and for another principal", "sn-1", noRole)
	for scope, at := range map[string]string{"the hub": hubPath, "its group": groupPath,
		"the subscription": subscriptionPath} {
		assignment := y.grant(at, name+"4", hubDataRole, strings.ToUpper(principal))
		y.wantAssigned("with the role at "+scope, "sn-1")
		y.must("DELETE", assignment+rolesVersion, "")
		y.wantRefused("after the role at "+scope+" is gone", "sn-1", noRole)
	}
	y.e.SetRequireRoles(false)
	y.wantAssigned("without roles required", "sn-1")
}

func TestRemovingAnIdentityBreaksItsLinks(t *testing.T) {
	t.Parallel()
	y := newYard(t)
	y.enroll("sn-1", keyed+`,"allocationPolicy":"hashed","iotHubs":["`+hub1+`"]`)
	y.must("PUT", identityPath+identityVersion, groupJSON)
	both := `{"type":"SystemAssigned, UserAssigned","userAssignedIdentities":{"` + identityPath + `":{}}}`
	for kind, user := range map[string]string{"SystemAssigned": "", "UserAssigned": strings.ToUpper(identityPath)} {
		t.Run(kind, func(t *testing.T) {
			before := y.identify(both, identityLinkJSON(hub1, user))
			y.wantAssigned(kind, "sn-1")
			y.identify("", "")
			y.wantRefused(kind+", without the identity", "sn-1", noIdentity)
			if again := y.identify(both, ""); again == before || again == "" {
				t.Errorf("%s: got the principal %s again, want another one than %s", kind, again, before)
			}
			y.wantAssigned(kind+", with the identity again", "sn-1")
		})
	}
	// A PUT of an older version does the same, because it does not have the member.
	y.identify(both, identityLinkJSON(hub1, identityPath))
	y.must("PUT", servicePath+serviceVersion, serviceJSON)
	y.wantRefused("after a PUT with 2022-12-12", "sn-1", noIdentity)
	y.identify(both, "")
	y.wantAssigned("with the identity again", "sn-1")
	y.must("DELETE", identityPath+identityVersion, "")
	y.wantRefused("after the user-assigned identity is deleted", "sn-1", noIdentity)
}

// Source: "Link and manage IoT hubs" of the DPS documentation, and a live run of azure-iot-cli-extension.
func TestAHubWithoutLocalAuthTakesALinkByIdentity(t *testing.T) {
	t.Parallel()
	y := newYard(t, emulator.Options{RequireRoles: true})
	y.must("PUT", hubPath+hubVersion,
		`{"location":"westeurope","sku":{"name":"S1","capacity":1},"properties":{"disableLocalAuth":true}}`)
	y.enroll("sn-1", keyed+`,"allocationPolicy":"hashed","iotHubs":["`+hub1+`"]`)
	y.wantRefused("by a key", "sn-1", noIdentity)
	principal := y.identify(systemIdentity, identityLinkJSON(hub1, ""))
	y.wantRefused("by an identity without a role", "sn-1", noRole)
	y.grant(hubPath, "11111111-2222-3333-4444-555555555551", hubDataRole, principal)
	y.wantAssigned("by an identity", "sn-1")
}

// TestRolesAndIdentitiesSurvive a restart and a snapshot.
func TestRolesAndIdentitiesSurvive(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	y := newYard(t, emulator.Options{Dir: dir, RequireRoles: true})
	y.enroll("sn-1", keyed+`,"allocationPolicy":"hashed","iotHubs":["`+hub1+`"]`)
	principal := text(y.must("PUT", identityPath+identityVersion, groupJSON), "properties", "principalId")
	y.identify(`{"type":"UserAssigned","userAssignedIdentities":{"`+identityPath+`":{}}}`,
		identityLinkJSON(hub1, identityPath))
	assignment := y.grant(hubPath, "11111111-2222-3333-4444-555555555551", hubDataRole, principal)
	seed := filepath.Join(t.TempDir(), "seed.json")
	snapshot, err := os.Create(seed)
	check(t, err)
	check(t, y.e.WriteSnapshot(snapshot))
	check(t, snapshot.Close())
	check(t, y.e.Close())

	again := emulator.RunT(t, emulator.Options{Dir: dir, RequireRoles: true})
	seeded := emulator.RunT(t, emulator.Options{Seed: seed, RequireRoles: true})
	for name, e := range map[string]*emulator.Emulator{"a restart": again, "a snapshot": seeded} {
		t.Run(name, func(t *testing.T) {
			other := *y
			other.wire, other.roots = plain(t, e), y.roots.Clone()
			other.roots.AppendCertsFromPEM(e.Endpoints().CAPEM)
			if got := other.must("GET", identityPath+identityVersion, ""); text(got, "properties",
				"principalId") != principal {
				t.Errorf("after %s: got %v, want the principal %s", name, got, principal)
			}
			other.wantAssigned("after "+name, "sn-1")
			other.must("DELETE", assignment+rolesVersion, "")
			other.wantRefused("after "+name+" and without the role", "sn-1", noRole)
		})
	}
}

// TestTheControlPortRequiresRoles turns the check on and off while the emulator runs.
func TestTheControlPortRequiresRoles(t *testing.T) {
	t.Parallel()
	y := newYard(t)
	y.enroll("sn-1", keyed+`,"allocationPolicy":"hashed","iotHubs":["`+hub1+`"]`)
	y.identify(systemIdentity, identityLinkJSON(hub1, ""))
	put := func(body string) (int, string) {
		r, err := http.NewRequestWithContext(t.Context(), "PUT", y.e.Endpoints().Control+"/roles",
			strings.NewReader(body))
		check(t, err)
		r.Header.Set("Authorization", "Bearer "+y.e.Endpoints().ControlToken)
		response, err := http.DefaultClient.Do(r)
		check(t, err)
		defer response.Body.Close()
		answer, err := io.ReadAll(response.Body)
		check(t, err)
		return response.StatusCode, strings.TrimSpace(string(answer))
	}
	for _, required := range []string{"true", "false"} {
		body := `{"required":` + required + `}`
		if status, answer := put(body); status != http.StatusOK || answer != body {
			t.Errorf("%s: got %d %s, want it back", body, status, answer)
		}
		if required == "true" {
			y.wantRefused("roles required", "sn-1", noRole)
		} else {
			y.wantAssigned("roles not required", "sn-1")
		}
	}
	if status, answer := put(`{}`); status != http.StatusBadRequest {
		t.Errorf("{}: got %d %s, want 400", status, answer)
	}
}
