package hublink_test

import (
	"encoding/json"
	"errors"
	"net/http"
	"strings"
	"testing"

	"evenkeel/internal/azure/hublink"
)

// entry returns a link of the service by the beginning of its name. Callers hold the lock.
func entry(document map[string]any, name string) map[string]any {
	for _, item := range document["properties"].(map[string]any)["iotHubs"].([]any) {
		if entry := item.(map[string]any); strings.HasPrefix(entry["name"].(string), name) {
			return entry
		}
	}
	return nil
}

// TestDamageByTheWriteIsAnErrorThatNamesTheMember: the service changes something else when it takes the write.
func TestDamageByTheWriteIsAnErrorThatNamesTheMember(t *testing.T) {
	t.Parallel()
	type object = map[string]any
	properties := func(d object) object { return d["properties"].(object) }
	for name, test := range map[string]struct {
		harm   func(d object)
		member string // empty: no damage
	}{
		"local auth is on again": {func(d object) { delete(properties(d), "disableLocalAuth") },
			"properties.disableLocalAuth"},
		"local auth is false": {func(d object) { properties(d)["disableLocalAuth"] = false },
			"properties.disableLocalAuth"},
		"an identity link has a key": {func(d object) { entry(d, "two")["authenticationType"] = "KeyBased" },
			"properties.iotHubs[two.azure-devices.net].authenticationType"},
		"a link lost its key": {func(d object) { entry(d, "one")["connectionString"] = "" },
			"properties.iotHubs[one.azure-devices.net].connectionString"},
		"a link has another policy": {func(d object) { replacePolicy(entry(d, "one")) },
			"properties.iotHubs[one.azure-devices.net].connectionString"},
		"a link was removed": {func(d object) { dropEntry(d, "two") },
			"properties.iotHubs[two.azure-devices.net]"},
		"a link takes no devices": {func(d object) { entry(d, "two")["applyAllocationPolicy"] = false },
			"properties.iotHubs[two.azure-devices.net].applyAllocationPolicy"},
		"a weight": {func(d object) { entry(d, "one")["allocationWeight"] = 1 },
			"properties.iotHubs[one.azure-devices.net].allocationWeight"},
		"an unknown member of a link": {func(d object) { delete(entry(d, "one"), "later") },
			"properties.iotHubs[one.azure-devices.net].later"},
		"the identity": {func(d object) { delete(d, "identity") }, "identity"},
		"a tag":        {func(d object) { delete(d["tags"].(object), "owner") }, "tags.owner"},
		"an empty tag": {func(d object) { d["tags"] = object{"owner": "them", "more": ""} },
			"tags.more"},
		"a rule": {func(d object) { properties(d)["ipFilterRules"] = []any{} },
			"properties.ipFilterRules"},
		"a rule's action": {func(d object) {
			properties(d)["ipFilterRules"].([]any)[0].(object)["action"] = "Reject"
		}, "properties.ipFilterRules[0].action"},
		"an unknown number": {func(d object) {
			properties(d)["later"].(object)["n"] = json.Number("12345678901234567891")
		}, "properties.later.n"},
		"the kind of a member": {func(d object) { properties(d)["later"] = []any{1} }, "properties.later"},
		"the policy": {func(d object) { properties(d)["allocationPolicy"] = "Hashed" },
			"properties.allocationPolicy"},
		"a default that shows now": {func(d object) {
			properties(d)["publicNetworkAccess"], properties(d)["new"] = "Enabled", false
		}, ""},
		"nothing instead of nothing": {func(d object) { properties(d)["ipFilterRules2"], d["zones"] = []any{}, nil },
			""},
		"a number in another form": {func(d object) { d["sku"].(object)["new"] = json.Number("1.5") }, ""},
		"another mask": {func(d object) {
			entry(d, "one")["connectionString"] = "hostname=ONE.azure-devices.net;" +
				"SharedAccessKey=##;SharedAccessKeyName=p"
		}, ""},
		"the state": {func(d object) {
			properties(d)["state"], properties(d)["provisioningState"] = "Suspended", "Succeeded"
		}, ""},
		"the order of links": {func(d object) {
			hubs := properties(d)["iotHubs"].([]any)
			hubs[0], hubs[1] = hubs[1], hubs[0]
		}, ""},
		"the own link": {func(d object) { entry(d, "three")["later"] = "yes" }, ""},
		"a private endpoint of others": {
			func(d object) { properties(d)["privateEndpointConnections"] = []any{object{"name": "e"}} }, ""},
		"a place as Azure displays it":  {func(d object) { d["location"] = "West Europe" }, ""},
		"who wrote last":                {func(d object) { d["systemData"] = object{"lastModifiedAt": "now"} }, ""},
		"an identity link's empty text": {func(d object) { entry(d, "two")["connectionString"] = "" }, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFake(t)
			f.harm = test.harm
			result, err := f.client(t, quick).Create(t.Context(), serviceID, three())
			if test.member == "" {
				if err != nil {
					t.Errorf("got %v, want no damage", err)
				}
				return
			}
			var damage *hublink.DamageError
			if !result.Sent || !errors.As(err, &damage) || len(damage.Members) != 1 ||
				damage.Members[0] != test.member {
				t.Fatalf("got sent %t, %v, want damage to %s alone", result.Sent, err, test.member)
			}
			if text := err.Error(); !strings.Contains(text, "hint: ") || strings.Contains(text, secretKey) ||
				strings.Contains(text, "SharedAccessKey") ||
				strings.Contains(text, "1.2.3.4") {
				t.Errorf("got %q, want a hint and no value", text)
			}
		})
	}
}

func replacePolicy(entry map[string]any) {
	entry["connectionString"] = strings.Replace(
		entry["connectionString"].(string),
		"SharedAccessKeyName=p",
		"SharedAccessKeyName=q",
		1,
	)
}

func dropEntry(document map[string]any, name string) {
	properties := document["properties"].(map[string]any)
	var kept []any
	for _, item := range properties["iotHubs"].([]any) {
		if !strings.HasPrefix(item.(map[string]any)["name"].(string), name) {
			kept = append(kept, item)
		}
	}
	properties["iotHubs"] = kept
}

// TestTheChangesOfOthersAreNoDamage: between the write and the read after it, another client changes all that a caller
// may change. Damage by the write itself is still found.
func TestTheChangesOfOthersAreNoDamage(t *testing.T) {
	t.Parallel()
	for name, harm := range map[string]func(map[string]any){
		"no damage": nil,
		"damage":    func(d map[string]any) { delete(d["properties"].(map[string]any), "disableLocalAuth") },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFake(t)
			f.harm = harm
			changed := false
			f.before = func(_ http.ResponseWriter, r *http.Request) bool {
				if r.Method == http.MethodGet && f.hubs()[threeHost] != nil && !changed {
					changed = true
					f.document["tags"] = map[string]any{"owner": "others"}
					f.properties()["allocationPolicy"] = "Static"
					f.properties()["later"] = nil
					entry(f.document, "one")["allocationWeight"] = json.Number("9")
					f.drop("two.azure-devices.net")
				}
				return false
			}
			_, err := f.client(t, quick).Create(t.Context(), serviceID, three())
			var damage *hublink.DamageError
			if harm == nil && (err != nil || !changed) {
				t.Errorf("got %v, want the link", err)
			}
			if harm != nil &&
				(!errors.As(err, &damage) || strings.Join(damage.Members, " ") != "properties.disableLocalAuth") {
				t.Errorf("got %v, want damage to the one member", err)
			}
		})
	}
}

// TestNothingThatTheServiceDecidesIsSent, and no policy: a PUT without policies keeps them.
func TestNothingThatTheServiceDecidesIsSent(t *testing.T) {
	t.Parallel()
	f := newFake(t)
	f.document["type"], f.document["systemData"] = "Microsoft.Devices/provisioningServices", map[string]any{
		"createdAt": "then",
	}
	f.document["identity"] = map[string]any{
		"type": "SystemAssigned, UserAssigned", "principalId": "p", "tenantId": "t", "unheard": "of",
		"userAssignedIdentities": map[string]any{
			"/u": map[string]any{"principalId": "p", "clientId": "c", "unheard": "of"},
		},
	}
	f.properties()["authorizationPolicies"] = []any{map[string]any{"keyName": "p"}}
	f.properties()["deviceRegistryNamespaces"] = []any{map[string]any{"resourceId": "/n", "linkingState": "Succeeded"}}
	var sent map[string]any
	f.before = func(_ http.ResponseWriter, r *http.Request) bool {
		if r.Method == http.MethodPut {
			sent = readBody(t, r)
		}
		return false
	}
	result, err := f.client(t, quick).Create(t.Context(), serviceID, three())
	var damage *hublink.DamageError
	if err != nil && !errors.As(err, &damage) { // this service drops policies that a PUT leaves out
		t.Fatal(err)
	}
	if got := strings.Join(result.Namespaces, " "); got != "/n" {
		t.Errorf("got namespaces %q, want /n", got)
	}
	text := string(mustJSON(t, sent))
	for _, name := range []string{"principalId", "clientId", "tenantId", "systemData", "idScope",
		"authorizationPolicies", "deviceRegistryNamespaces"} {
		t.Run(name, func(t *testing.T) {
			if strings.Contains(text, `"`+name+`"`) {
				t.Errorf("the write contains %s", name)
			}
		})
	}
	if got := strings.Count(text, `"unheard":"of"`); got != 2 {
		t.Errorf("the write has %d of 2 unknown members of the identity", got)
	}
}
