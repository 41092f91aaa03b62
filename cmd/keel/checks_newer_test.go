package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"evenkeel/emulator"
	"evenkeel/internal/azure/arm"
	"evenkeel/internal/azure/hublink"
	"evenkeel/internal/keel/background"
	"evenkeel/internal/keel/environment"
)

const (
	testGroup   = "/subscriptions/" + emulator.SubscriptionID + "/resourceGroups/rg"
	testDevices = testGroup + "/providers/Microsoft.Devices/"
	testHub     = testDevices + "IotHubs/hub-1-0a1b"
	testService = testDevices + "provisioningServices/dps-1"
	testSKU     = `"location":"westeurope","sku":{"name":"S1","capacity":1}`
	hubOfState  = `{"urn":"urn:pulumi:local::evenkeel::azure-native:devices:IotHubResource::hub-1",
		"type":"azure-native:devices:IotHubResource","custom":true,"id":"` + testHub + `"}`
	serviceOfState = `{"urn":"urn:pulumi:local::evenkeel::azure-native:devices:IotDpsResource::provisioning",
		"type":"azure-native:devices:IotDpsResource","custom":true,"id":"` + testService + `"}`
)

// clinic is a checkout with a running emulator, a hub and a provisioning service that is linked to it.
type clinic struct {
	*testing.T
	d *diagnosis
	// put writes a resource of the emulator.
	put func(id, version, body string)
	// link is the link of the hub, as a member of the service's properties; key is that of the hub's owner.
	link, key string
	ends      environment.Endpoints
}

func newClinic(t *testing.T) *clinic {
	t.Helper()
	e := emulator.RunT(t).Endpoints()
	root := t.TempDir()
	folder := environment.Folder{Root: root}
	secret := filepath.Join(root, "secret")
	err := errors.Join(os.WriteFile(secret, []byte(e.ClientSecret), 0o600),
		os.WriteFile(filepath.Join(root, "Pulumi.yaml"), []byte("name: evenkeel\nstackConfigDir: stacks\n"), 0o600),
		os.MkdirAll(filepath.Join(root, "stacks"), 0o700), os.MkdirAll(folder.Background(), 0o700),
		os.MkdirAll(filepath.Join(folder.Backend(), ".pulumi", "stacks", "evenkeel"), 0o700))
	if err != nil {
		t.Fatal(err)
	}
	c := &clinic{T: t, d: &diagnosis{folder: folder,
		process:  background.Process{Folder: folder.Background(), Log: folder.Log()},
		selected: &environment.Environment{Folder: folder, Stack: environment.Local}}}
	release, err := c.d.process.Claim()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(release)
	ends := environment.Endpoints{ARM: e.ARM, Data: e.Data, CAFile: e.CAFile, SecretFile: secret, TenantID: e.TenantID,
		ClientID: e.ClientID, SubscriptionID: e.SubscriptionID}
	if err := c.d.process.Announce(e.Control+"/readyz", ends); err != nil {
		t.Fatal(err)
	}
	credential, options, err := environment.Client(ends)
	if err != nil {
		t.Fatal(err)
	}
	raw, err := arm.New(arm.Options{Endpoint: e.ARM, Credential: credential, Transport: options.Transport,
		Name: "test", Version: "0"})
	if err != nil {
		t.Fatal(err)
	}
	c.put = func(id, version, body string) {
		t.Helper()
		if _, _, err := raw.Put(t.Context(), arm.Target{ID: id, APIVersion: version}, json.RawMessage(body),
			true); err != nil {
			t.Fatal(err)
		}
	}
	c.put(testGroup, "2021-04-01", `{"location":"westeurope"}`)
	c.put(testHub, "2026-11-01", `{`+testSKU+`,"properties":{}}`)
	key, err := raw.Post(t.Context(), arm.Target{ID: testHub + "/IotHubKeys/iothubowner/listkeys",
		APIVersion: "2026-11-01"}, nil)
	if err != nil {
		t.Fatal(err)
	}
	c.link = `"iotHubs":[{"location":"westeurope","connectionString":"HostName=hub-1-0a1b.azure-devices.net;` +
		`SharedAccessKeyName=iothubowner;SharedAccessKey=` + fmt.Sprint(key["primaryKey"]) + `"}]`
	c.put(testService, "2026-08-31", `{`+testSKU+`,"properties":{`+c.link+`}}`)
	c.ends, c.key = ends, fmt.Sprint(key["primaryKey"])
	return c
}

// state writes the state and the configuration of the environment.
func (c *clinic) state(resources, config string) {
	c.Helper()
	err := errors.Join(
		os.WriteFile(filepath.Join(c.d.folder.Backend(), ".pulumi", "stacks", "evenkeel", "local.json"),
			[]byte(`{"checkpoint":{"latest":{"resources":[`+resources+`]}}}`), 0o600),
		os.WriteFile(filepath.Join(c.d.folder.Root, "stacks", "Pulumi.local.yaml"), []byte("config: "+config+"\n"),
			0o600))
	if err != nil {
		c.Fatal(err)
	}
}

// want runs a check and compares its only finding.
func (c *clinic) want(name string, got []finding, want verdict, texts ...string) {
	c.Helper()
	if len(got) != 1 || got[0].Verdict != want {
		c.Errorf("%s: got %+v, want one that is %s", name, got, want)
		return
	}
	for _, text := range texts {
		if !strings.Contains(got[0].Detail+"\n"+got[0].Hint, text) {
			c.Errorf("%s: got %+v, want %q in it", name, got[0], text)
		}
	}
	if want == failed && got[0].Hint == "" {
		c.Errorf("%s: got no hint", name)
	}
}

func TestDoctorFindsRefusedKeysAndWhatAnUpdateResets(t *testing.T) {
	t.Parallel()
	const both = hubOfState + "," + serviceOfState
	const noKeys = `"disableLocalAuth":true`
	existing := `{"evenkeel:provisioningService": "` + testService + `"`
	for name, tc := range map[string]struct {
		state, config string
		hub, service  string // members of the properties
		identity      string // member of the service
		keys, updates verdict
		keysText      []string
		updatesText   []string
	}{
		"all well": {state: both, keys: fine, updates: fine,
			keysText: []string{"the provisioning service and 1 hubs accept keys"}},
		"nothing deployed": {state: "", keys: note, updates: note, keysText: []string{"no provisioning service"},
			updatesText: []string{"not checked"}},
		"its own service refuses keys": {state: both, service: noKeys, keys: failed, updates: failed,
			keysText: []string{"provisioning service dps-1 refuses keys", "401002", "devices still register",
				"az iot dps update --name dps-1 --resource-group rg --disable-local-auth false"},
			updatesText: []string{"provisioning service dps-1", "the refusal of keys (disableLocalAuth)", "2022-12-12",
				"docs/how-to/newer-azure.md"}},
		"another's service refuses keys": {state: hubOfState, config: existing + `, "evenkeel:provisioningPolicy": "p"}`,
			service: noKeys, keys: failed, updates: fine,
			keysText:    []string{"provisioningKey is one", "pulumi config rm provisioningPolicy"},
			updatesText: []string{"disableLocalAuth", "this environment does not update it"}},
		"another's service refuses keys, and Entra is used": {state: hubOfState, config: existing + "}",
			service: noKeys, keys: fine, updates: fine, keysText: []string{"logs in with Microsoft Entra ID"}},
		"a hub refuses keys": {state: both, hub: noKeys, keys: failed, updates: failed,
			keysText: []string{"hub-1 (hub-1-0a1b) refuses keys", "registrations of its devices fail with 401002",
				"az iot hub update --name hub-1-0a1b --resource-group rg --disable-local-auth false"},
			updatesText: []string{"hub-1 (hub-1-0a1b)", "the refusal of keys (disableLocalAuth)", "does not declare"}},
		"a hub refuses keys as declared": {state: both, hub: noKeys, keys: failed, updates: fine,
			config: `{"evenkeel:hubSettings": {"hub-1": {"disableLocalAuth": true}}}`},
		"a hub that is not linked": {state: hubOfState, hub: noKeys, keys: note, updates: failed,
			keysText: []string{"is not linked"}},
		"the service has an identity": {state: both, identity: `,"identity":{"type":"SystemAssigned"}`, keys: fine,
			updates: failed, updatesText: []string{"the managed identity (identity)"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := newClinic(t)
			c.state(tc.state, cmp.Or(tc.config, "{}"))
			c.put(testHub, "2026-11-01", `{`+testSKU+`,"properties":{`+tc.hub+`}}`)
			more := c.link
			if tc.service != "" {
				more += "," + tc.service
			}
			c.put(testService, "2026-08-31", `{`+testSKU+tc.identity+`,"properties":{`+more+`}}`)
			c.want("keys", c.d.keys(t.Context()), tc.keys, tc.keysText...)
			c.want("updates", c.d.updates(t.Context()), tc.updates, tc.updatesText...)
		})
	}
}

func TestDoctorSaysWhyItDidNotReadTheEnvironment(t *testing.T) {
	t.Parallel()
	t.Run("the emulator does not run", func(t *testing.T) {
		t.Parallel()
		c := newClinic(t)
		c.state(serviceOfState, "{}")
		c.d.process = background.Process{Folder: filepath.Join(t.TempDir(), "none")}
		c.want("keys", c.d.keys(t.Context()), note, "the emulator does not run", "keel emulator start")
		c.want("updates", c.d.updates(t.Context()), note, "not checked")
	})
	t.Run("on Azure, with and without a login", func(t *testing.T) {
		t.Parallel()
		c := newClinic(t)
		c.state(serviceOfState, "{}")
		c.d.process = background.Process{Folder: filepath.Join(t.TempDir(), "none")}
		c.d.azure = func(context.Context) (*environment.ResourceManager, error) { return environment.Emulator(c.ends) }
		c.want("keys", c.d.keys(t.Context()), note, "there is no login", "az login")
		var err error
		if c.d.cloud, err = c.d.azure(t.Context()); err != nil {
			t.Fatal(err)
		}
		c.d.read = nil
		c.want("keys", c.d.keys(t.Context()), fine, "accept keys")
	})
	t.Run("the service was deleted", func(t *testing.T) {
		t.Parallel()
		c := newClinic(t)
		c.state(strings.ReplaceAll(serviceOfState, "dps-1", "dps-2"), "{}")
		c.want("keys", c.d.keys(t.Context()), failed, "read the provisioning service dps-2", "pulumi refresh")
	})
	t.Run("the hub was deleted", func(t *testing.T) {
		t.Parallel()
		c := newClinic(t)
		c.state(strings.ReplaceAll(hubOfState, "hub-1-0a1b", "hub-9"), "{}")
		c.want("keys", c.d.keys(t.Context()), failed, "read the hub hub-9", "pulumi refresh")
	})
	t.Run("the state cannot be read", func(t *testing.T) {
		t.Parallel()
		c := newClinic(t)
		c.state("{", "{}")
		c.want("keys", c.d.keys(t.Context()), note, "the state cannot be read")
	})
}

func TestAHubWithoutKeysThatIsLinkedByIdentityIsFine(t *testing.T) {
	t.Parallel()
	const host = "hub-1-0a1b.azure-devices.net"
	hub := environment.InventoryHub{Name: "hub-1", ID: testHub}
	for kind, want := range map[string]verdict{"SystemAssigned": fine, "UserAssigned": fine, "": failed} {
		t.Run(kind, func(t *testing.T) {
			found := deployed{service: &hublink.View{Links: []hublink.Link{
				{Host: "hub-1-0a1b.device.azure-devices.net", Identity: kind}}}}
			if got := found.hubWithoutKeys(hub, hublink.View{Host: host}); got.Verdict != want {
				t.Errorf("linked by %q: got %+v, want %s", kind, got, want)
			}
		})
	}
}

func TestFeaturesAreNamedOnce(t *testing.T) {
	t.Parallel()
	got := features([]string{"identity", "properties.deviceRegistryNamespaces",
		"properties.iotHubs[a.azure-devices.net].authenticationType",
		"properties.iotHubs[a.azure-devices.net].selectedUserAssignedIdentityResourceId", "properties.later.member"})
	want := "the managed identity (identity), the link to a Device Registry namespace (deviceRegistryNamespaces), " +
		"the link of a.azure-devices.net by identity (authenticationType), properties.later.member"
	if got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}
