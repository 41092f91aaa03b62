package azurenative_test

import (
	"context"
	"fmt"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/pulumi/pulumi/sdk/v3/go/common/resource"
	"github.com/pulumi/pulumi/sdk/v3/go/common/resource/plugin"
)

const (
	roleType     = "azure-native:authorization:RoleAssignment"
	identityType = "azure-native:managedidentity:UserAssignedIdentity"
	identityID   = "/subscriptions/" + subscription +
		"/resourceGroups/env/providers/Microsoft.ManagedIdentity/userAssignedIdentities/links"
	// hubDataRole is IoT Hub Data Contributor.
	hubDataRole = "/subscriptions/" + subscription +
		"/providers/Microsoft.Authorization/roleDefinitions/4fc6c259-987e-4a07-842e-c321cc9d413f"
)

func roleInputs(scope, principal string) resource.PropertyMap {
	return props(map[string]any{
		"scope": scope, "principalId": principal, "principalType": "ServicePrincipal", "roleDefinitionId": hubDataRole,
	})
}

// TestARoleOfAnIdentityAtAHub lives through everything that an engine does with a role assignment and a user-assigned
// identity: their properties are a level deeper on the wire, and a scope is a whole id.
func TestARoleOfAnIdentityAtAHub(t *testing.T) {
	t.Parallel()
	e := attach(t, serveEmulated(t), nil)
	group := e.up(groupType, "environment", groupInputs())
	hub := e.up(hubType, "hub-1", hubInputs())
	identity := e.up(identityType, "links", props(map[string]any{"resourceGroupName": "env", "resourceName": "links",
		"tags": map[string]any{"owner": "ada"}}))
	principal := identity.outputs["principalId"]
	if identity.id != identityID || !principal.IsString() || len(principal.StringValue()) != 36 ||
		!identity.outputs["clientId"].IsString() {
		t.Fatalf("identity: got %s %v, want its id and its principal", identity.id, identity.outputs)
	}
	role := e.up(roleType, "hub-1-link", roleInputs(string(hub.id), principal.StringValue()))
	name := role.inputs["roleAssignmentName"].StringValue()
	if !regexp.MustCompile(`^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$`).MatchString(name) ||
		string(role.id) != string(hub.id)+"/providers/Microsoft.Authorization/roleAssignments/"+name {
		t.Errorf("role: got the name %q and the id %s, want a GUID below %s", name, role.id, hub.id)
	}
	for key, want := range map[resource.PropertyKey]string{
		"scope": string(hub.id), "principalId": principal.StringValue(), "roleDefinitionId": hubDataRole,
		"principalType": "ServicePrincipal", "name": name,
	} {
		t.Run(fmt.Sprint(key), func(t *testing.T) {
			if got := role.outputs[key]; !got.IsString() || got.StringValue() != want {
				t.Errorf("role: got %s %v, want %s", key, got, want)
			}
		})
	}
	for _, made := range []thing{identity, role} {
		after := e.refresh(made)
		if !after.inputs.DeepEquals(made.inputs) || !after.outputs.DeepEquals(made.outputs) {
			t.Errorf("%s after refresh: got %v and %v, want %v and %v", made.urn.Name(), after.inputs, after.outputs,
				made.inputs, made.outputs)
		}
		imported := e.refresh(thing{urn: made.urn, id: made.id})
		for key, want := range made.inputs {
			if !strings.HasPrefix(string(key), "__") && !imported.inputs[key].DeepEquals(want) {
				t.Errorf("%s after import: got %s %v, want %v", made.urn.Name(), key, imported.inputs[key], want)
			}
		}
	}
	described := role.inputs.Copy()
	described["description"] = resource.NewStringProperty("links")
	if got := e.diff(role, described); len(got.ReplaceKeys) > 0 || !cmp.Equal(got.ChangedKeys,
		[]resource.PropertyKey{"description"}) {
		t.Errorf("another description: got %+v, want an update of it", got)
	}
	if role = e.update(role, described); role.outputs["description"].StringValue() != "links" {
		t.Errorf("after the update: got %v, want its description", role.outputs)
	}
	for _, key := range []resource.PropertyKey{"scope", "principalId", "roleDefinitionId"} {
		changed := role.inputs.Copy()
		changed[key] = resource.NewStringProperty(groupID)
		if got := e.diff(role, changed); !cmp.Equal(got.ReplaceKeys, []resource.PropertyKey{key}) {
			t.Errorf("another %s: got %+v, want a replacement", key, got)
		}
	}
	for _, made := range []thing{role, identity, hub, group} {
		for range 2 { // what is gone is no error
			if _, err := e.Delete(context.Background(), plugin.DeleteRequest{URN: made.urn, ID: made.id,
				Inputs: made.inputs, Outputs: made.outputs}); err != nil {
				t.Errorf("delete %s: %v", made.urn.Name(), err)
			}
		}
		if gone := e.refresh(made); gone.id != "" {
			t.Errorf("%s is still there after its deletion", made.urn.Name())
		}
	}
}
