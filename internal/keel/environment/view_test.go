package environment_test

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"evenkeel/emulator"
	"evenkeel/internal/azure/arm"
	"evenkeel/internal/azure/hublink"
	"evenkeel/internal/keel/environment"
)

// environmentWithState returns the environment "mine" of a checkout, with those resources in its state and those
// settings, both in JSON.
func environmentWithState(t *testing.T, resources, settings string) *environment.Environment {
	t.Helper()
	folder := checkoutOf(t, map[string]string{"stacks/Pulumi.mine.yaml": "config: " + settings + "\n",
		".evenkeel/backend/.pulumi/stacks/evenkeel/mine.json": `{"checkpoint":{"latest":{"resources":` + resources +
			`}}}`})
	return &environment.Environment{Folder: folder, Stack: "mine"}
}

func TestTheInventoryOfAStack(t *testing.T) {
	t.Parallel()
	const prefix = "/subscriptions/s/resourceGroups/rg/providers/Microsoft.Devices/"
	const declared = `"evenkeel:hubSettings": {"hub-1": {"disableLocalAuth": true}, "hub-2": {"weight": 2}}`
	hub := func(name string) string {
		return `{"urn": "urn:pulumi:mine::p::azure-native:devices:IotHubResource::` + name +
			`", "type": "azure-native:devices:IotHubResource", "custom": true, "id": "` + prefix + `IotHubs/` + name +
			`-0a1b2c3d"}`
	}
	const service = `{"urn": "urn:pulumi:mine::p::azure-native:devices:IotDpsResource::provisioning",
		"type": "azure-native:devices:IotDpsResource", "custom": true, "id": "` + prefix + `provisioningServices/dps-1"}`
	state := func(resources ...string) string { return `[` + strings.Join(resources, ",") + `]` }
	hubs := []string{hub("hub-1"), hub("hub-2"), hub("hub-3")}
	for name, test := range map[string]struct {
		resources, settings string
		want                environment.Inventory
	}{
		"no resources": {state(), "{}", environment.Inventory{}},
		"its own service": {state(append(hubs, service)...), "{" + declared + "}", environment.Inventory{
			Service: prefix + "provisioningServices/dps-1", OwnsService: true, UsesServiceKey: true}},
		"another's, by a key": {state(hubs...), `{` + declared + `, "evenkeel:provisioningService": "` + prefix +
			`provisioningServices/theirs", "evenkeel:provisioningPolicy": "x"}`, environment.Inventory{
			Service: prefix + "provisioningServices/theirs", UsesServiceKey: true}},
		"another's, by Entra": {state(hubs...), `{` + declared + `, "evenkeel:provisioningService": "` + prefix +
			`provisioningServices/theirs"}`, environment.Inventory{Service: prefix + "provisioningServices/theirs"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			e := environmentWithState(t, test.resources, test.settings)
			got, err := e.Inventory(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			if test.want.Service != got.Service || test.want.OwnsService != got.OwnsService ||
				test.want.UsesServiceKey != got.UsesServiceKey {
				t.Errorf("got %+v, want %+v", got, test.want)
			}
			for i, h := range got.Hubs {
				if h.AzureName() != h.Name+"-0a1b2c3d" || h.LocalAuthDisabled != (i == 0) {
					t.Errorf("got hub %+v", h)
				}
			}
		})
	}
}

func TestTheInventoryOfAnUnknownStackIsEmpty(t *testing.T) {
	t.Parallel()
	e := environmentWithState(t, "[]", "{}")
	e.Stack = "other"
	if got, err := e.Inventory(t.Context()); err != nil || got.Service != "" || len(got.Hubs) > 0 {
		t.Errorf("got %+v, %v, want nothing", got, err)
	}
}

func TestViewsOfTheEmulatorsResources(t *testing.T) {
	t.Parallel()
	ends := endpoints(t)
	azure, err := environment.Emulator(ends)
	if err != nil {
		t.Fatal(err)
	}
	credential, options, err := environment.Client(ends)
	if err != nil {
		t.Fatal(err)
	}
	raw, err := arm.New(arm.Options{Endpoint: ends.ARM, Credential: credential, Transport: options.Transport,
		Name: "test", Version: "0"})
	if err != nil {
		t.Fatal(err)
	}
	put := func(id, version, body string) {
		t.Helper()
		if _, _, err := raw.Put(t.Context(), arm.Target{ID: id, APIVersion: version}, json.RawMessage(body),
			true); err != nil {
			t.Fatal(err)
		}
	}
	const group = "/subscriptions/" + emulator.SubscriptionID + "/resourceGroups/rg"
	const devices = group + "/providers/Microsoft.Devices"
	const sku = `"location":"westeurope","sku":{"name":"S1","capacity":1}`
	put(group, "2021-04-01", `{"location":"westeurope"}`)
	put(devices+"/IotHubs/hub-1", "2026-11-01", `{`+sku+`,"properties":{}}`)
	put(devices+"/provisioningServices/dps-1", "2026-08-31", `{`+sku+`,"properties":{}}`)
	look := func() (service, hub hublink.View) {
		service, err := azure.ViewService(t.Context(), devices+"/provisioningServices/dps-1")
		if err != nil {
			t.Fatal(err)
		}
		if hub, err = azure.ViewHub(t.Context(), devices+"/IotHubs/hub-1"); err != nil {
			t.Fatal(err)
		}
		return service, hub
	}
	service, hub := look()
	for name, got := range map[string]hublink.View{"service": service, "hub": hub} {
		t.Run(name, func(t *testing.T) {
			if got.LocalAuthDisabled || len(got.Hidden) > 0 {
				t.Errorf("a new %s: got %+v, want nothing of note", name, got)
			}
			if got.Version < "2026-11-01" {
				t.Errorf("a new %s: got version %s, want the newest", name, got.Version)
			}
		})
	}
	put(devices+"/IotHubs/hub-1", "2026-11-01", `{`+sku+`,"properties":{"disableLocalAuth":true}}`)
	put(devices+"/provisioningServices/dps-1", "2026-08-31", `{`+sku+`,"properties":{"disableLocalAuth":true}}`)
	service, hub = look()
	if !service.LocalAuthDisabled || !slices.Equal(service.Hidden, []string{"properties.disableLocalAuth"}) {
		t.Errorf("a service without local auth: got %+v", service)
	}
	if !hub.LocalAuthDisabled || len(hub.Hidden) > 0 { // the program's version has the member
		t.Errorf("a hub without local auth: got %+v", hub)
	}
}
