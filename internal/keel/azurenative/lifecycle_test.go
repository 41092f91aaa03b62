package azurenative_test

import (
	"context"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/pulumi/pulumi/sdk/v3/go/common/resource"
	"github.com/pulumi/pulumi/sdk/v3/go/common/resource/plugin"

	"evenkeel/internal/await"
)

func groupInputs() resource.PropertyMap {
	return props(map[string]any{"location": "westeurope", "resourceGroupName": "env"})
}

func hubInputs() resource.PropertyMap {
	in := props(map[string]any{
		"resourceGroupName": "env", "resourceName": "hub-1", "location": "westeurope",
		"sku": map[string]any{"name": "S1", "capacity": 1}, "tags": map[string]any{"owner": "ada", "a.b": "c"},
	})
	in["properties"] = resource.NewObjectProperty(resource.PropertyMap{
		"authorizationPolicies": resource.NewArrayProperty(
			[]resource.PropertyValue{resource.NewObjectProperty(resource.PropertyMap{
				"keyName": resource.NewStringProperty("link"),
				"rights":  resource.NewStringProperty("RegistryWrite, ServiceConnect"),
				"primaryKey": resource.MakeSecret(
					resource.NewStringProperty("c2VjcmV0LWtleS1vZi10aGlydHktdHdvLWJ5dGVzISE=")),
			})}),
	})
	return in
}

func serviceInputs() resource.PropertyMap {
	in := props(map[string]any{
		"resourceGroupName": "env", "provisioningServiceName": "dps", "location": "westeurope",
		"sku": map[string]any{"name": "S1", "capacity": 1},
	})
	in["properties"] = resource.NewObjectProperty(resource.PropertyMap{
		"allocationPolicy": resource.NewStringProperty("Hashed"),
		"iotHubs": resource.NewArrayProperty([]resource.PropertyValue{resource.NewObjectProperty(resource.PropertyMap{
			"location": resource.NewStringProperty("westeurope"),
			"connectionString": resource.MakeSecret(resource.NewStringProperty(
				"HostName=hub-1.azure-devices.net;SharedAccessKeyName=link;SharedAccessKey=c2VjcmV0LWtleS1vZi10aGlydHktdHdvLWJ5dGVzISE=")),
		})}),
	})
	return in
}

func TestEveryOperationSendsTheRequestsOfTheRealPlugin(t *testing.T) {
	t.Parallel()
	e, arm := start(t)
	expect := func(operation string, want ...string) {
		t.Helper()
		if diff := cmp.Diff(want, arm.requests()); diff != "" {
			t.Errorf("%s: requests (-want +got):\n%s", operation, diff)
		}
	}
	hub := func(method string) string { return method + " " + hubID + " " + hubVersion }
	service := func(method string) string { return method + " " + serviceID + " " + serviceVersion }
	poll := func(id string) string { return "GET /operations" + strings.ToLower(id) + " polled" }

	e.up(groupType, "environment", groupInputs())
	expect("create group", "GET "+groupID+" "+groupVersion, "PUT "+groupID+" "+groupVersion, "GET "+groupID+" "+
		groupVersion)

	made := e.up(hubType, "hub-1", hubInputs())
	expect("create hub", hub("GET"), hub("PUT"), poll(hubID), poll(hubID), poll(hubID), hub("GET"), hub("GET"))
	if made.id != hubID {
		t.Errorf("id: got %s, want %s", made.id, hubID)
	}

	dps := e.up(serviceType, "provisioning", serviceInputs())
	expect("create service", service("GET"), service("PUT"), poll(serviceID), poll(serviceID), poll(serviceID),
		service("GET"), service("GET"))

	e.refresh(dps)
	expect("refresh service", service("GET"))

	news := made.inputs.Copy()
	news["tags"] = resource.NewObjectProperty(props(map[string]any{"owner": "bob"}))
	e.update(made, news)
	expect("update hub", hub("PUT"), poll(hubID), poll(hubID), poll(hubID), hub("GET"), hub("GET"))

	for _, want := range [][]string{{hub("DELETE"), poll(hubID), poll(hubID), poll(hubID)}, {hub("DELETE")}} {
		if _, err := e.Delete(context.Background(), plugin.DeleteRequest{URN: made.urn, ID: made.id,
			Inputs: made.inputs, Outputs: made.outputs}); err != nil {
			t.Fatalf("Delete: %v", err)
		}
		expect("delete hub", want...)
	}
	if gone := e.refresh(made); gone.id != "" {
		t.Errorf("read of a deleted hub: got id %q, want none", gone.id)
	}
}

func TestTheBodyHasTheInputsExceptThoseOfThePathAndThePlugin(t *testing.T) {
	t.Parallel()
	e, arm := start(t)
	in := props(map[string]any{"resourceGroupName": "env", "sku": map[string]any{"name": "S1"},
		"location": "westeurope",
		"identity": map[string]any{"type": "UserAssigned", "userAssignedIdentities": []any{"/subscriptions/x/id-1"}}})
	e.up(hubType, "hub", in)
	want := map[string]any{
		"location": "westeurope", "sku": map[string]any{"name": "S1"},
		"identity": map[string]any{"type": "UserAssigned",
			"userAssignedIdentities": map[string]any{"/subscriptions/x/id-1": map[string]any{}}},
	}
	if diff := cmp.Diff(want, arm.bodies[0]); diff != "" {
		t.Errorf("body (-want +got):\n%s", diff)
	}
}

func TestTheStateHasOutputsTheVersionAndSecretInputs(t *testing.T) {
	t.Parallel()
	e, _ := start(t)
	made := e.up(hubType, "hub-1", hubInputs())

	kept, ok := made.outputs["__inputs"]
	if !ok || !kept.IsSecret() {
		t.Fatalf("__inputs: got %v, want a secret", kept)
	}
	if got := made.outputs["azureApiVersion"]; !got.DeepEquals(resource.NewStringProperty(hubVersion)) {
		t.Errorf("azureApiVersion: got %v, want %s", got, hubVersion)
	}
	if got := made.outputs["id"]; !got.DeepEquals(resource.NewStringProperty(hubID)) {
		t.Errorf("id: got %v, want %s", got, hubID)
	}
	if _, ok := made.outputs["surprise"]; ok {
		t.Error("an answer's key that the schema does not name reached the state")
	}
	noPlainKey(t, "inputs", made.inputs)
	noPlainKey(t, "outputs", made.outputs)
	dps := e.up(serviceType, "dps", serviceInputs())
	noPlainKey(t, "inputs", dps.inputs)
	noPlainKey(t, "outputs", dps.outputs)
	refreshed := e.refresh(dps)
	noPlainKey(t, "refreshed inputs", refreshed.inputs)
	noPlainKey(t, "refreshed outputs", refreshed.outputs)
}

// noPlainKey walks values as a checkpoint stores them: those outside secrets are readable in the state.
func noPlainKey(t *testing.T, what string, values resource.PropertyMap) {
	t.Helper()
	var walk func(path string, v resource.PropertyValue)
	walk = func(path string, v resource.PropertyValue) {
		switch {
		case v.IsString() && strings.Contains(v.StringValue(), "c2VjcmV0LWtleS1vZi10aGlydHktdHdvLWJ5dGVzISE="):
			t.Errorf("%s: the key is readable at %s", what, path)
		case v.IsObject():
			for key, item := range v.ObjectValue() {
				walk(path+"."+string(key), item)
			}
		case v.IsArray():
			for _, item := range v.ArrayValue() {
				walk(path+"[]", item)
			}
		}
	}
	walk("", resource.NewObjectProperty(values))
}

func TestRefreshWithoutAChangeChangesNothing(t *testing.T) {
	t.Parallel()
	e, _ := start(t)
	for _, made := range []thing{e.up(hubType, "hub-1", hubInputs()), e.up(serviceType, "dps", serviceInputs()),
		e.up(groupType, "env", groupInputs())} {
		after := e.refresh(made)
		if !after.inputs.DeepEquals(made.inputs) {
			t.Errorf("%s inputs: got %v, want %v", made.urn.Name(), after.inputs, made.inputs)
		}
		if !after.outputs.DeepEquals(made.outputs) {
			t.Errorf("%s outputs: got %v, want %v", made.urn.Name(), after.outputs, made.outputs)
		}
		if got := e.diff(made, after.inputs); got.Changes != plugin.DiffNone {
			t.Errorf("%s diff after refresh: got %v", made.urn.Name(), got)
		}
	}
}

func TestRefreshReportsAChangeInAzureAndAnUpdateRevertsIt(t *testing.T) {
	t.Parallel()
	e, arm := start(t)
	made := e.up(hubType, "hub-1", hubInputs())
	arm.change(hubID, func(thing map[string]any) {
		thing["tags"].(map[string]any)["owner"] = "mallory"
		thing["properties"].(map[string]any)["minTlsVersion"] = "1.2"
	})
	drifted := e.refresh(made)
	if got := drifted.inputs["tags"].ObjectValue()["owner"].StringValue(); got != "mallory" {
		t.Errorf("owner after refresh: got %s, want mallory", got)
	}
	if !drifted.inputs["properties"].ObjectValue().HasValue("authorizationPolicies") {
		t.Error("the refresh lost the authorization policies, which Azure never returns")
	}
	diff := e.diff(drifted, made.inputs)
	want := map[string]plugin.DiffKind{"tags.owner": plugin.DiffUpdate, "properties.minTlsVersion": plugin.DiffDelete}
	if d := cmp.Diff(want, kinds(diff)); d != "" {
		t.Errorf("diff (-want +got):\n%s", d)
	}
	healed := e.update(drifted, made.inputs)
	if got := healed.outputs["tags"].ObjectValue()["owner"].StringValue(); got != "ada" {
		t.Errorf("owner after update: got %s, want ada", got)
	}
}

func kinds(d plugin.DiffResult) map[string]plugin.DiffKind {
	out := map[string]plugin.DiffKind{}
	for path, found := range d.DetailedDiff {
		out[path] = found.Kind
	}
	return out
}

func TestImportReadsInputsFromTheIDAndTheAnswer(t *testing.T) {
	t.Parallel()
	e, _ := start(t)
	e.up(serviceType, "dps", serviceInputs())
	got, err := e.Read(context.Background(), plugin.ReadRequest{URN: urn(serviceType, "dps"), ID: serviceID})
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]any{"resourceGroupName": "env", "provisioningServiceName": "dps", "location": "westeurope"}
	for key, value := range want {
		t.Run(key, func(t *testing.T) {
			if v := got.Inputs[resource.PropertyKey(key)]; !v.DeepEquals(resource.NewPropertyValue(value)) {
				t.Errorf("%s: got %v, want %v", key, v, value)
			}
		})
	}
	if got.Inputs["properties"].ObjectValue().HasValue("hostName") {
		t.Error("a read-only output became an input")
	}
	_, err = e.Read(context.Background(), plugin.ReadRequest{URN: urn(serviceType, "dps"), ID: hubID})
	if err == nil || !strings.Contains(err.Error(), "provisioningServices") {
		t.Errorf("import of an id of another type: got %v, want an error that shows the form", err)
	}
}

func TestCreateRefusesWhatExists(t *testing.T) {
	t.Parallel()
	e, _ := start(t)
	made := e.up(hubType, "hub-1", hubInputs())
	_, err := e.Create(context.Background(), plugin.CreateRequest{URN: made.urn, Properties: made.inputs})
	if err == nil || !strings.Contains(err.Error(), "cannot create already existing resource '"+hubID+"'") {
		t.Errorf("got %v, want the real plugin's refusal", err)
	}
}

func TestErrorsOfAzureAreReturnedUnchanged(t *testing.T) {
	t.Parallel()
	for name, with := range map[string]refusal{
		"ARM": {409,
			`{"error":{"code":"SkuNotAvailable","message":"one F1 only","details":[{"code":"x","message":"y"}]}}`},
		"IoT Hub":     {400, `{"code":400309,"httpStatusCode":"BadRequest","message":"one F1 only"}`},
		"not JSON":    {400, "one F1\nonly"},
		"nothing":     {403, ""},
		"in the poll": {0, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			e, arm := start(t)
			want := []string{"PUT " + hubID, hubVersion, "one F1 only"}
			switch {
			case with.status == 0:
				arm.failedOps[strings.ToLower(hubID)] = true
				want = []string{"PUT " + hubID, hubVersion, "QuotaExceeded: no more hubs"}
			case with.body == "":
				want = []string{"PUT " + hubID, hubVersion, "403 Forbidden"}
				fallthrough
			default:
				arm.refuse("PUT", hubID, with)
			}
			_, err := e.Create(context.Background(), plugin.CreateRequest{URN: urn(hubType, "hub-1"),
				Properties: hubInputs()})
			if err == nil {
				t.Fatal("got no error")
			}
			for _, part := range want {
				if !strings.Contains(err.Error(), part) {
					t.Errorf("got %q, want %q in it", err, part)
				}
			}
			if strings.Contains(err.Error(), "c2VjcmV0") {
				t.Errorf("the key is in the error: %v", err)
			}
		})
	}
}

func TestTransientErrorsAreRetried(t *testing.T) {
	t.Parallel()
	for name, with := range map[string]refusal{
		"overload":              {429, `{"error":{"code":"TooManyRequests"}}`},
		"unavailable":           {503, ""},
		"a change under way":    {409, `{"error":{"code":"AnotherOperationInProgress","message":"wait"}}`},
		"a conflict that stays": {409, `{"error":{"code":"Conflict","message":"no"}}`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			e, arm := start(t)
			arm.refuse("PUT", groupID, with)
			_, err := e.Create(context.Background(), plugin.CreateRequest{URN: urn(groupType, "env"),
				Properties: groupInputs()})
			if stays := name == "a conflict that stays"; (err != nil) != stays {
				t.Errorf("got %v, want an error: %v", err, stays)
			}
		})
	}
}

func TestAFailedOperationLeavesTheResourceInTheState(t *testing.T) {
	t.Parallel()
	e, arm := start(t)
	arm.failedOps[strings.ToLower(hubID)] = true
	got, err := e.Create(context.Background(), plugin.CreateRequest{URN: urn(hubType, "hub-1"),
		Properties: hubInputs()})
	if err == nil {
		t.Fatal("got no error")
	}
	if got.Status != resource.StatusPartialFailure || got.ID != hubID {
		t.Errorf("got status %v and id %q, want a partial failure of %s", got.Status, got.ID, hubID)
	}
	if _, ok := got.Properties["sku"]; !ok {
		t.Errorf("state: got %v, want what a GET shows", got.Properties)
	}
	noPlainKey(t, "partial state", got.Properties)
}

func TestCancelEndsAHangingRequestAndRecordsWhatMayExist(t *testing.T) {
	t.Parallel()
	e, arm := start(t)
	arm.holdRequest(t, "PUT", hubID)
	type outcome struct {
		got plugin.CreateResponse
		err error
	}
	created := make(chan outcome, 1)
	go func() {
		got, err := e.Create(context.Background(), plugin.CreateRequest{URN: urn(hubType, "hub-1"),
			Properties: hubInputs()})
		created <- outcome{got, err}
	}()
	await.Next(t, arm.held, "the held request")
	if err := e.SignalCancellation(context.Background()); err != nil {
		t.Fatalf("Cancel: %v", err)
	}
	o := await.Next(t, created, "the end of the cancelled operation") // the fake ARM still holds the request
	if o.err == nil || o.got.Status != resource.StatusPartialFailure || o.got.ID != hubID {
		t.Errorf("got %+v and %v, want a partial failure of %s", o.got, o.err, hubID)
	}
}

func TestACancelledUpdateKeepsTheOutputsAndTheNewInputs(t *testing.T) {
	t.Parallel()
	e, arm := start(t)
	made := e.up(hubType, "hub-1", hubInputs())
	arm.holdRequest(t, "PUT", hubID)
	news := made.inputs.Copy()
	news["tags"] = resource.NewObjectProperty(props(map[string]any{"owner": "bob"}))
	type outcome struct {
		got plugin.UpdateResponse
		err error
	}
	updated := make(chan outcome, 1)
	go func() {
		got, err := e.Update(context.Background(), plugin.UpdateRequest{URN: made.urn, ID: made.id,
			OldInputs: made.inputs, OldOutputs: made.outputs, NewInputs: news})
		updated <- outcome{got, err}
	}()
	await.Next(t, arm.held, "the held request")
	if err := e.SignalCancellation(context.Background()); err != nil {
		t.Fatalf("Cancel: %v", err)
	}
	o := await.Next(t, updated, "the end of the cancelled operation")
	if o.err == nil || o.got.Status != resource.StatusPartialFailure {
		t.Fatalf("got %+v and %v, want a partial failure", o.got, o.err)
	}
	if got := o.got.Properties["name"]; !got.DeepEquals(made.outputs["name"]) {
		t.Errorf("name: got %v, want %v", got, made.outputs["name"])
	}
	noPlainKey(t, "partial state", o.got.Properties)
}

func TestEnginesAreIndependent(t *testing.T) {
	t.Parallel()
	arm := newFakeARM(t)
	address := servePlugin(t, arm.URL, arm.Client())
	first := attach(t, address, props(map[string]any{"location": "northeurope"}))
	second := attach(t, address, props(map[string]any{"location": "westus"}))
	news := props(map[string]any{"resourceGroupName": "env", "sku": map[string]any{"name": "S1"}})
	for want, e := range map[string]*engine{"northeurope": first, "westus": second} {
		t.Run(want, func(t *testing.T) {
			got, _ := e.check(hubType, "hub", nil, news)
			if got["location"].StringValue() != want {
				t.Errorf("location: got %v, want %s", got["location"], want)
			}
		})
	}
	if err := first.SignalCancellation(context.Background()); err != nil {
		t.Fatal(err)
	}
	if _, err := first.Create(context.Background(), plugin.CreateRequest{URN: urn(groupType, "g"),
		Properties: groupInputs()}); err == nil {
		t.Error("a cancelled engine went on")
	}
	second.up(groupType, "g", groupInputs())
}

func TestInvokes(t *testing.T) {
	t.Parallel()
	e, arm := start(t)
	e.up(hubType, "hub-1", hubInputs())
	arm.requests()
	args := props(map[string]any{"resourceGroupName": "env", "resourceName": "hub-1"})

	got, err := e.Invoke(context.Background(), plugin.InvokeRequest{Tok: "azure-native:devices:getIotHubResource",
		Args: args})
	if err != nil || got.Properties["name"].StringValue() != "hub-1" {
		t.Errorf("getIotHubResource: got %v, %v", got.Properties, err)
	}
	got, err = e.Invoke(context.Background(), plugin.InvokeRequest{Tok: "azure-native:devices:listIotHubResourceKeys",
		Args: args})
	if err != nil ||
		got.Properties["value"].ArrayValue()[0].ObjectValue()["primaryKey"].StringValue() != "cHJpbWFyeQ==" {
		t.Errorf("listIotHubResourceKeys: got %v, %v", got.Properties, err)
	}
	want := []string{"GET " + hubID + " " + hubVersion, "POST " + hubID + "/listkeys " + hubVersion}
	if diff := cmp.Diff(want, arm.requests()); diff != "" {
		t.Errorf("requests (-want +got):\n%s", diff)
	}
	got, err = e.Invoke(context.Background(), plugin.InvokeRequest{Tok: "azure-native:authorization:getClientConfig"})
	wantConfig := props(map[string]any{"clientId": "the-client", "objectId": "the-object", "tenantId": "the-tenant",
		"subscriptionId": subscription})
	if err != nil || !got.Properties.DeepEquals(wantConfig) {
		t.Errorf("getClientConfig: got %v, %v, want %v", got.Properties, err, wantConfig)
	}
	if _, err = e.Invoke(context.Background(), plugin.InvokeRequest{Tok: "azure-native:storage:getBlob"}); err == nil {
		t.Error("a function of another module was served")
	}
}
