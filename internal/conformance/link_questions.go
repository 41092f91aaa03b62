package conformance

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
)

// linkQuestions are about links by a managed identity of the provisioning service. The numbers begin at 50.
var linkQuestions = []question{
	{50, "a link by an identity that the service does not have is refused with 400", func(c *cloud, t *testing.T) {
		whole := c.active(t, c.servicePath+wholeVersion)
		whole.tree["identity"] = map[string]any{"type": "None"}
		whole.tree["properties"].(map[string]any)["iotHubs"] = []any{c.identityLink()}
		body, err := json.Marshal(whole.tree)
		if err != nil {
			t.Fatal(err)
		}
		c.must(t, "PUT", c.servicePath+wholeVersion, string(body), 400)
	}},
	{51, "2022-12-12 shows a link by an identity without a connection string, and does not take it back",
		func(c *cloud, t *testing.T) {
			_, restore := c.linkByIdentity(t)
			defer restore()
			older := c.active(t, c.servicePath+serviceVersion)
			links, _ := older.tree["properties"].(map[string]any)["iotHubs"].([]any)
			if len(links) != 1 || older.text("properties", "iotHubs") == "" {
				t.Fatalf("got %s, want one link", older.body)
			}
			if text, _ := links[0].(map[string]any)["connectionString"].(string); text != "" {
				t.Error("the link has a connection string")
			}
			body, err := json.Marshal(older.tree)
			if err != nil {
				t.Fatal(err)
			}
			c.must(t, "PUT", c.servicePath+serviceVersion, string(body), 400)
		}},
	{52, "a registration over a link by an identity without a role fails with 401002", func(c *cloud, t *testing.T) {
		_, restore := c.linkByIdentity(t)
		defer restore()
		got := c.register(t, c.scope, "question-52", c.enrolled(t, "question-52"))
		if got.text("status") != "failed" || got.text("registrationState", "errorCode") != "401002" ||
			!strings.Contains(got.text("registrationState", "errorMessage"), "due to no assigned permissions") {
			t.Errorf("got %s, want the status failed, 401002 and the hub's text", got.body)
		}
	}},
	{53, "the role IoT Hub Registry Contributor is not enough for such a link", func(c *cloud, t *testing.T) {
		principal, restore := c.linkByIdentity(t)
		defer restore()
		const registryContributor = "4ea46cd5-c1b2-4a8e-910b-273211f9ce47"
		c.must(t, "PUT", c.hubPath+"/providers/Microsoft.Authorization/roleAssignments/"+
			"33333333-2222-3333-4444-555555555555?api-version=2022-04-01", fmt.Sprintf(`{"properties":{
			"roleDefinitionId":"/providers/Microsoft.Authorization/roleDefinitions/%s","principalId":%q,
			"principalType":"ServicePrincipal"}}`, registryContributor, principal), 201)
		// A new role takes minutes to have an effect.
		ctx, cancel := context.WithTimeout(t.Context(), c.Patience)
		defer cancel()
		key := c.enrolled(t, "question-53")
		for c.pause(ctx) {
			if got := c.register(t, c.scope, "question-53", key); got.text("status") == "assigned" {
				t.Fatalf("got %s, want it refused", got.body)
			}
		}
	}},
	{54, "a PUT with 2022-12-12 takes the identity of a provisioning service away", func(c *cloud, t *testing.T) {
		_, restore := c.linkByIdentity(t)
		defer restore()
		c.must(t, "PUT", c.servicePath+serviceVersion,
			fmt.Sprintf(`{"location":%q,"sku":{"name":"S1","capacity":1},"properties":{}}`, c.Location), 201)
		after := c.active(t, c.servicePath+wholeVersion)
		if kind := after.text("identity", "type"); kind != "" && kind != "None" {
			t.Errorf("the service still has the identity %s", kind)
		}
	}},
}

// identityLink is the hub's link by the system-assigned identity.
func (c *cloud) identityLink() map[string]any {
	return map[string]any{"hostName": c.hub, "location": c.Location, "authenticationType": "SystemAssigned"}
}

// linkByIdentity links the hub by the service's system-assigned identity, and returns its principal. restore links the
// hub by its key again; the context of a test's cleanup has ended.
func (c *cloud) linkByIdentity(t *testing.T) (principal string, restore func()) {
	t.Helper()
	put := func(identity map[string]any, link map[string]any) {
		t.Helper()
		whole := c.active(t, c.servicePath+wholeVersion)
		whole.tree["identity"] = identity
		if link != nil {
			whole.tree["properties"].(map[string]any)["iotHubs"] = []any{link}
		}
		c.replace(t, wholeVersion, whole)
	}
	system := map[string]any{"type": "SystemAssigned"}
	put(system, nil) // the identity must exist before a link names it
	put(system, c.identityLink())
	return c.active(t, c.servicePath+wholeVersion).text("identity", "principalId"), func() {
		put(system, map[string]any{"location": c.Location, "connectionString": "HostName=" + c.hub +
			";SharedAccessKeyName=link;SharedAccessKey=" + c.keys["link"]})
	}
}
