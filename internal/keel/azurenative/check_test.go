package azurenative_test

import (
	"context"
	"regexp"
	"strings"
	"testing"

	"evenkeel/internal/keel/azurenative"

	"github.com/google/go-cmp/cmp"
	"github.com/pulumi/pulumi/sdk/v3/go/common/resource"
	"github.com/pulumi/pulumi/sdk/v3/go/common/resource/plugin"
)

func computed() resource.PropertyValue { return resource.MakeComputed(resource.NewStringProperty("")) }

func TestNames(t *testing.T) {
	t.Parallel()
	e, _ := start(t)
	base := props(map[string]any{"resourceGroupName": "env", "location": "westeurope",
		"sku": map[string]any{"name": "S1"}})

	got, _ := e.check(hubType, "hub-1", nil, base)
	name := got["resourceName"].StringValue()
	if !regexp.MustCompile(`^hub-1[0-9a-f]{8}$`).MatchString(name) {
		t.Errorf("random name: got %q, want hub-1 and 8 hexadecimal digits", name)
	}
	if again, _ := e.check(hubType, "hub-1", nil, base); again["resourceName"].StringValue() != name {
		t.Errorf("same seed: got %v, want %s again", again["resourceName"], name)
	}
	if flag := got["__createBeforeDelete"]; !flag.IsBool() || !flag.BoolValue() {
		t.Errorf("__createBeforeDelete: got %v, want true", flag)
	}
	kept, _ := e.check(hubType, "hub-1", got, base)
	if diff := cmp.Diff(got.Mappable(), kept.Mappable()); diff != "" {
		t.Errorf("second check (-first +second):\n%s", diff)
	}
	given, _ := e.check(hubType, "hub-1", nil, hubInputs())
	if _, ok := given["__createBeforeDelete"]; ok {
		t.Error("a name from the program was marked as made by the plugin")
	}
	group := props(map[string]any{"resourceGroupName": "env", "resourceName": "hub", "eventHubEndpointName": "events",
		"properties": map[string]any{"name": "dashboards"}})
	if got, faults := e.check(consumers, "dashboards", nil, group); got["name"].StringValue() != "dashboards" ||
		faults != nil {
		t.Errorf("copied name: got %v, %v, want dashboards", got["name"], faults)
	}
	proposed, err := e.Check(context.Background(), plugin.CheckRequest{URN: urn(hubType, "hub-1"), News: base,
		Autonaming: &plugin.AutonamingOptions{ProposedName: "proposed", Mode: plugin.AutonamingModeEnforce}})
	if err != nil || proposed.Properties["resourceName"].StringValue() != "proposed" {
		t.Errorf("auto-naming: got %v, %v, want proposed", proposed.Properties["resourceName"], err)
	}
}

func TestLocationDefaultsToTheGroups(t *testing.T) {
	t.Parallel()
	e, arm := start(t)
	e.up(groupType, "env", groupInputs())
	arm.requests()
	news := props(map[string]any{"resourceGroupName": "env", "sku": map[string]any{"name": "S1"}})
	for range 2 {
		if got, _ := e.check(hubType, "hub", nil, news); !got["location"].IsString() ||
			got["location"].StringValue() != "westeurope" {
			t.Errorf("location: got %v, want westeurope", got["location"])
		}
	}
	want := []string{"GET /subscriptions/" + subscription + "/resourceGroups/env 2020-10-01"}
	if diff := cmp.Diff(want, arm.requests()); diff != "" {
		t.Errorf("requests (-want +got):\n%s", diff)
	}
	news["resourceGroupName"] = computed()
	if got, faults := e.check(hubType, "hub", nil, news); !got["location"].IsComputed() || faults != nil {
		t.Errorf("location in an unknown group: got %v, %v, want unknown", got["location"], faults)
	}
	news["resourceGroupName"] = resource.NewStringProperty("absent")
	if _, faults := e.check(hubType, "hub", nil, news); len(faults) != 1 ||
		!strings.Contains(faults[0], "azure-native:location") {
		t.Errorf("location in an absent group: got %q, want the key to set", faults)
	}
}

func TestCheckReportsEveryError(t *testing.T) {
	t.Parallel()
	e, _ := start(t)
	in := props(map[string]any{
		"resourceGroupName": "env", "location": "westeurope", "sku": map[string]any{"capacity": "one"},
		"properties": map[string]any{
			"iotHubs":          []any{map[string]any{"allocationWeight": 1.5, "location": "westeurope"}},
			"allocationPolicy": 3,
		},
	})
	_, got := e.check(serviceType, "dps", nil, in)
	want := []string{
		"'properties.allocationPolicy' should be of type 'string' but got 'number'",
		"'properties.iotHubs[0].allocationWeight' must be an integer but got 1.5",
		"missing required property 'properties.iotHubs[0].connectionString'",
		"'sku.capacity' should be of type 'number' but got 'string'",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("faults (-want +got):\n%s", diff)
	}
	_, got = e.check(hubType, "hub", nil, props(map[string]any{"location": "westeurope", "properties": map[string]any{
		"cloudToDevice": map[string]any{"maxDeliveryCount": 101},
		"routing": map[string]any{"routes": []any{map[string]any{
			"name": "a b", "isEnabled": true, "endpointNames": []any{"events"}, "source": "DeviceMessages"}}}}}))
	want = []string{
		"'properties.cloudToDevice.maxDeliveryCount' is too high (101 > 100)",
		"'properties.routing.routes[0].name' does not match expression '^[A-Za-z0-9-._]{1,64}$'",
		"missing required property 'resourceGroupName'",
		"missing required property 'sku'",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("faults (-want +got):\n%s", diff)
	}
}

func TestPreviewsKnowInputsAndOnUpdateNameAndLocation(t *testing.T) {
	t.Parallel()
	e, arm := start(t)
	inputs, _ := e.check(hubType, "hub-1", nil, hubInputs())
	arm.requests()
	created, err := e.Create(context.Background(), plugin.CreateRequest{URN: urn(hubType, "hub-1"), Properties: inputs,
		Preview: true})
	if err != nil {
		t.Fatal(err)
	}
	if got := created.Properties["location"]; !got.IsString() {
		t.Errorf("preview of create: location is %v, want the input", got)
	}
	if got := created.Properties["name"]; !got.IsComputed() {
		t.Errorf("preview of create: name is %v, want unknown", got)
	}
	if requests := arm.requests(); requests != nil {
		t.Errorf("a preview asked %q", requests)
	}

	made := e.up(hubType, "hub-1", hubInputs())
	got, err := e.Update(context.Background(), plugin.UpdateRequest{URN: made.urn, ID: made.id, OldInputs: made.inputs,
		OldOutputs: made.outputs, NewInputs: made.inputs, Preview: true})
	if err != nil {
		t.Fatal(err)
	}
	for _, key := range []resource.PropertyKey{"name", "location"} {
		if !got.Properties[key].IsString() {
			t.Errorf("preview of update: %s is %v, want it known", key, got.Properties[key])
		}
	}
	if host := got.Properties["properties"].ObjectValue()["hostName"]; !host.IsComputed() {
		t.Errorf("preview of update: hostName is %v, want unknown", host)
	}
}

func TestDiffs(t *testing.T) {
	t.Parallel()
	e, _ := start(t)
	hub := e.up(hubType, "hub-1", hubInputs())
	group := e.up(groupType, "env", groupInputs())
	policies := func(names ...string) resource.PropertyValue {
		var list []any
		for _, name := range names {
			list = append(list, map[string]any{"keyName": name, "rights": "ServiceConnect"})
		}
		return resource.NewObjectProperty(props(map[string]any{"authorizationPolicies": list}))
	}
	ordered := hub
	ordered.inputs = hub.inputs.Copy()
	ordered.inputs["properties"] = policies("a", "b")

	for name, c := range map[string]struct {
		old           thing
		key           resource.PropertyKey
		value         any
		want          map[string]plugin.DiffKind
		deleteFirst   bool
		replaces      bool
		removeInstead bool
	}{
		"nothing": {old: hub, key: "location", value: "westeurope",
			want: map[string]plugin.DiffKind{}},
		"spelling of the location": {old: hub, key: "location", value: "West Europe",
			want: map[string]plugin.DiffKind{}},
		"case of the group's name": {old: hub, key: "resourceGroupName", value: "ENV",
			want: map[string]plugin.DiffKind{}},
		"a hub's location is sent as an update": {old: hub, key: "location", value: "westus",
			want: map[string]plugin.DiffKind{"location": plugin.DiffUpdate}},
		"a group's location replaces": {old: group, key: "location", value: "westus", replaces: true, deleteFirst: true,
			want: map[string]plugin.DiffKind{"location": plugin.DiffUpdateReplace}},
		"a part of the id replaces": {old: hub, key: "resourceName", value: "other", replaces: true, deleteFirst: true,
			want: map[string]plugin.DiffKind{"resourceName": plugin.DiffUpdateReplace}},
		"an unknown group replaces": {old: hub, key: "resourceGroupName", value: computed(), replaces: true,
			deleteFirst: true,
			want:        map[string]plugin.DiffKind{"resourceGroupName": plugin.DiffUpdateReplace}},
		"tags with dots": {old: hub, key: "tags", value: map[string]any{"owner": "ada", "a.b": "d", "new": "x"},
			want: map[string]plugin.DiffKind{`tags["a.b"]`: plugin.DiffUpdate, "tags.new": plugin.DiffAdd}},
		"a removed input": {old: hub, key: "tags", removeInstead: true,
			want: map[string]plugin.DiffKind{"tags": plugin.DiffDelete}},
		"policies in another order": {old: ordered, key: "properties", value: policies("b", "a"),
			want: map[string]plugin.DiffKind{}},
		"one policy removed, one added": {old: ordered, key: "properties", value: policies("b", "c"),
			want: map[string]plugin.DiffKind{"properties.authorizationPolicies[0]": plugin.DiffDelete,
				"properties.authorizationPolicies[1]": plugin.DiffAdd}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			news := c.old.inputs.Copy()
			if c.removeInstead {
				delete(news, c.key)
			} else {
				news[c.key] = resource.NewPropertyValue(c.value)
			}
			got := e.diff(c.old, news)
			if diff := cmp.Diff(c.want, kinds(got)); diff != "" {
				t.Errorf("diff (-want +got):\n%s", diff)
			}
			if got.Replace() != c.replaces || got.DeleteBeforeReplace != c.deleteFirst {
				t.Errorf("got replace %v, delete first %v, want %v, %v", got.Replace(), got.DeleteBeforeReplace,
					c.replaces, c.deleteFirst)
			}
		})
	}
}

func TestResourceID(t *testing.T) {
	t.Parallel()
	got, err := azurenative.ResourceID(hubType, subscription, map[string]any{"resourceGroupName": "env",
		"resourceName": "hub-1"})
	if err != nil || got != hubID {
		t.Errorf("got %s, %v, want %s", got, err, hubID)
	}
	if _, err := azurenative.ResourceID(hubType, subscription, map[string]any{"resourceGroupName": "env"}); err == nil {
		t.Error("an id without a name was made")
	}
}

func TestServeRefusesWhatIsNotLocalOrNotSafe(t *testing.T) {
	t.Parallel()
	for name, o := range map[string]azurenative.Options{
		"no TLS":          {Endpoint: "http://127.0.0.1:1", Credential: credential{}, SubscriptionID: subscription},
		"no credential":   {Endpoint: "https://127.0.0.1:1", SubscriptionID: subscription},
		"no subscription": {Endpoint: "https://127.0.0.1:1", Credential: credential{}},
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := azurenative.New(o); err == nil {
				t.Errorf("%s: got no error", name)
			}
		})
	}
}
