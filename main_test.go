package main

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/pulumi/pulumi/sdk/v3/go/common/resource"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
	pulumirpc "github.com/pulumi/pulumi/sdk/v3/proto/go"

	"evenkeel/internal/fleet/deviceca"
	"evenkeel/internal/program/target"
	"evenkeel/internal/program/topology"
)

// cloud records what the program registers and answers like the providers.
type cloud struct {
	mu   sync.Mutex
	made map[string]resource.PropertyMap // by type and name
	// requests are the registrations by type and name
	requests map[string]*pulumirpc.RegisterResourceRequest
	// tags are those of a service that the program reads.
	tags map[string]string
}

func (c *cloud) NewResource(args pulumi.MockResourceArgs) (string, resource.PropertyMap, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.made[args.TypeToken+"/"+args.Name] = args.Inputs
	c.requests[args.TypeToken+"/"+args.Name] = args.RegisterRPC
	state := args.Inputs.Copy()
	switch args.TypeToken {
	case "azure-dps:index:SharedAccessKey":
		for _, name := range []string{"primaryKey", "secondaryKey", "activeKey", "nextKey"} {
			state[resource.PropertyKey(name)] = resource.MakeSecret(resource.NewStringProperty(args.Name + "-" + name))
		}
	default:
		state["name"] = resource.NewStringProperty(args.Name + "0123abcd")
	}
	return args.Name + "-id", state, nil
}

func (c *cloud) Call(pulumi.MockCallArgs) (resource.PropertyMap, error) {
	return resource.PropertyMap{"tags": resource.NewPropertyValue(c.tags), "properties": resource.NewObjectProperty(
		resource.PropertyMap{"idScope": resource.NewStringProperty("0ne00000001")})}, nil
}

// after returns the names of the resources that were registered before a resource.
func (c *cloud) after(typeAndName string) []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	var names []string
	for _, urn := range c.requests[typeAndName].GetDependencies() {
		names = append(names, urn[strings.LastIndex(urn, ":")+1:])
	}
	return names
}

// config is a stack's configuration by key.
type config map[string]string

func (c config) Get(key string) (string, bool) {
	value, ok := c[key]
	return value, ok
}

// File is the content of any file.
func (config) File(string) ([]byte, error) { return []byte("secret of a file\n"), nil }

// declared runs the program with a configuration and returns its resources.
func declared(t *testing.T, settings config) map[string]resource.PropertyMap {
	t.Helper()
	return run(t, settings).made
}

func run(t *testing.T, settings config) *cloud {
	t.Helper()
	mocks, err := attempt(t, settings, nil)
	if err != nil {
		t.Fatal(err)
	}
	return mocks
}

// attempt runs the program where a service that it reads has tags.
func attempt(t *testing.T, settings config, tags map[string]string) (*cloud, error) {
	t.Helper()
	settings["endpoint"], settings["caFile"] = "https://127.0.0.1:1", "/ca.pem"
	if _, ok := settings["emulator"]; !ok {
		settings["emulator"] = `{"arm":"https://127.0.0.1:2","tenantId":"t","clientId":"c","secretFile":"secret"}`
	}
	cfg, err := topology.Parse(settings, "local")
	if err != nil {
		t.Fatal(err)
	}
	mocks := &cloud{made: map[string]resource.PropertyMap{}, requests: map[string]*pulumirpc.RegisterResourceRequest{},
		tags: tags}
	err = pulumi.RunErr(func(ctx *pulumi.Context) error {
		return declare(ctx, cfg, target.Cloud{Resources: pulumi.Composite(), Hub: topology.FixedLocation,
			Service: pulumi.Composite(topology.FixedLocation, cfg.KeepsLinks()), Lookup: pulumi.CompositeInvoke()})
	}, pulumi.WithMocks("evenkeel", "local", mocks))
	return mocks, err
}

func links(t *testing.T, made map[string]resource.PropertyMap) []resource.PropertyMap {
	t.Helper()
	service, ok := made["azure-native:devices:IotDpsResource/provisioning"]
	if !ok {
		t.Fatalf("no provisioning service among %d resources", len(made))
	}
	var list []resource.PropertyMap
	for _, link := range service["properties"].ObjectValue()["iotHubs"].ArrayValue() {
		list = append(list, link.ObjectValue())
	}
	return list
}

func TestTwoHubsAreLinkedToOneServiceWithEvenDistribution(t *testing.T) {
	t.Parallel()
	made := declared(t, config{})
	service := made["azure-native:devices:IotDpsResource/provisioning"]["properties"].ObjectValue()
	if got := service["allocationPolicy"].StringValue(); got != "Hashed" {
		t.Errorf("got allocation policy %q, want Hashed", got)
	}
	linked := links(t, made)
	if len(linked) != 2 {
		t.Fatalf("got %d links, want 2", len(linked))
	}
	for i, link := range linked {
		name := fmt.Sprintf("hub-%d", i+1)
		if _, ok := made["azure-native:devices:IotHubResource/"+name]; !ok {
			t.Errorf("%s is not declared", name)
		}
		secret := link["connectionString"]
		if !secret.IsSecret() {
			t.Fatalf("%s: the connection string is not a secret", name)
		}
		want := "HostName=" + name + "0123abcd.azure-devices.net;SharedAccessKeyName=link;SharedAccessKey=" + name +
			"-link-activeKey"
		if got := secret.SecretValue().Element.StringValue(); got != want {
			t.Errorf("%s: got link %q, want %q", name, got, want)
		}
		if got := link["applyAllocationPolicy"].BoolValue(); !got {
			t.Errorf("%s takes no devices", name)
		}
	}
	for _, want := range []string{"EnrollmentGroup/devices", "IndividualEnrollment/device-1",
		"IndividualEnrollment/device-2"} {
		if _, ok := made["azure-dps:index:"+want]; !ok {
			t.Errorf("%s is not declared", want)
		}
	}
}

func TestADrainedHubStaysLinkedButLeavesTheHubListsOfTheStack(t *testing.T) {
	t.Parallel()
	made := declared(t, config{
		"hubs": "3", "hubSettings": `{"hub-2":{"drain":true,"weight":7}}`,
		"enrollmentGroup": `{"id":"devices","hubs":["hub-1","hub-2"]}`,
	})
	linked := links(t, made)
	if len(linked) != 3 || linked[1]["applyAllocationPolicy"].BoolValue() ||
		linked[1]["allocationWeight"].NumberValue() != 7 {
		t.Errorf("got links %v", linked)
	}
	hubs := made["azure-dps:index:EnrollmentGroup/devices"]["iotHubs"].ArrayValue()
	if len(hubs) != 1 || !strings.HasPrefix(hubs[0].StringValue(), "hub-1") {
		t.Errorf("got group's hubs %v, want hub-1 alone", hubs)
	}
}

// Azure accepts no hubs without a policy (Azure/azure-sdk-for-python issue 35368), so the program sends the service's
// own policy.
func TestHubsComeWithAPolicy(t *testing.T) {
	t.Parallel()
	made := declared(t, config{
		"allocationPolicy": "GeoLatency", "enrollmentGroup": `{"id":"devices","hubs":["hub-1"]}`,
		"devices": `["none", {"id":"service-s","hubs":["hub-2"]}, {"id":"own","hubs":["hub-2"],"allocationPolicy":"static"}]`,
	})
	for name, want := range map[string]string{
		"EnrollmentGroup/devices": "geoLatency", "IndividualEnrollment/service-s": "geoLatency",
		"IndividualEnrollment/own": "static", "IndividualEnrollment/none": "",
	} {
		t.Run(name, func(t *testing.T) {
			policy := made["azure-dps:index:"+name]["allocationPolicy"]
			if (want == "") != policy.IsNull() || want != "" && policy.StringValue() != want {
				t.Errorf("%s: got the policy %v, want %q", name, policy, want)
			}
		})
	}
}

func TestRemovingAHubDoesNotChangeTheOthers(t *testing.T) {
	t.Parallel()
	all := declared(t, config{"hubs": "3"})
	without := declared(t, config{"hubs": "3", "hubSettings": `{"hub-2":{"remove":true}}`})
	for name, args := range without {
		if before, ok := all[name]; !ok {
			t.Errorf("%s is new", name)
		} else if !strings.Contains(name, "IotDpsResource") && !before.DeepEquals(args) {
			t.Errorf("%s: got %v, want %v", name, args, before)
		}
	}
	if len(links(t, without)) != 2 || len(all)-len(without) != 1+len(topology.HubRoles) {
		t.Errorf("got %d links and %d resources fewer", len(links(t, without)), len(all)-len(without))
	}
}

func TestOnlyTheResourceGroupHasTheTagsOfTheLifetime(t *testing.T) {
	t.Parallel()
	made := declared(t, config{"owner": "me", "createdAt": "2026-01-01T08:00:00Z", "expiresAt": "2026-01-01T16:00:00Z",
		"origin": "p@0", "keep": "true"})
	for name, args := range made {
		tags, ok := args["tags"]
		if !ok {
			continue
		}
		for _, tag := range []resource.PropertyKey{"createdAt", "expiresAt", "origin", "keep"} {
			_, got := tags.ObjectValue()[tag]
			if want := strings.Contains(name, "ResourceGroup"); got != want {
				t.Errorf("%s: got %s %v, want %v", name, tag, got, want)
			}
		}
		for _, tag := range []resource.PropertyKey{"owner", "stack", "purpose"} {
			if !tags.ObjectValue()[tag].HasValue() {
				t.Errorf("%s has no tag %s", name, tag)
			}
		}
	}
}

func TestDevicesWithCertificatesRegisterByTheirAuthority(t *testing.T) {
	t.Parallel()
	authority, err := deviceca.Open(t.TempDir(), time.Now())
	if err != nil {
		t.Fatal(err)
	}
	program := run(t, config{
		"attestation": "X509", "certificate": string(authority.PEM()), "manifest": "devices.csv",
		"devices": `["device-1", {"id": "old-1", "primaryKey": "` + strings.Repeat("A", 44) + `"}]`,
	})
	certificate := program.made["azure-native:devices:DpsCertificate/authority"]
	properties := certificate["properties"].ObjectValue()
	if got := properties["certificate"].StringValue(); got != string(authority.PEM()) ||
		!properties["isVerified"].BoolValue() {
		t.Errorf("got certificate %q, verified %v, want the authority's, true", got, properties["isVerified"])
	}
	for _, name := range []string{"EnrollmentGroup/devices", "IndividualEnrollment/device-1",
		"EnrollmentSet/manifest"} {
		entry, way := program.made["azure-dps:index:"+name], []resource.PropertyKey{"attestation", "x509"}
		if name == "EnrollmentSet/manifest" {
			way = []resource.PropertyKey{"defaults"} // for rows that do not set it
		}
		for _, member := range way {
			entry = entry[member].ObjectValue()
		}
		if got, want := entry["caReferences"].ObjectValue()["primary"].StringValue(),
			certificate["certificateName"].StringValue(); got != want {
			t.Errorf("%s: got CA reference %q, want %q", name, got, want)
		}
		if got := program.after("azure-dps:index:" + name); !slices.Contains(got, "authority") {
			t.Errorf("%s: is made after %v, want the authority among them", name, got)
		}
	}
	old := program.made["azure-dps:index:IndividualEnrollment/old-1"]["attestation"].ObjectValue()
	if !old["symmetricKey"].IsObject() {
		t.Errorf("a device with its own key: got attestation %v, want that key", old)
	}
	if _, ok := declared(t, config{
		"certificate": string(authority.PEM())})["azure-native:devices:DpsCertificate/authority"]; ok {
		t.Error("symmetric keys: got a certificate, want none")
	}
}

func TestAManifestIsOneSetOfEnrollments(t *testing.T) {
	t.Parallel()
	const set = "azure-dps:index:EnrollmentSet/manifest"
	if got, ok := declared(t, config{})[set]; ok {
		t.Errorf("got %v without a manifest, want no set", got)
	}
	program := run(t, config{"manifest": "devices.csv"})
	file := program.made[set]
	if got := program.requests[set].GetDeletedWith(); !strings.HasSuffix(got, "::provisioning") {
		t.Errorf("the set is deleted with %q, want it deleted with the provisioning service", got)
	}
	if asset := file["manifest"]; !asset.IsAsset() || asset.AssetValue().Path != "devices.csv" ||
		file["manifestText"].HasValue() {
		t.Errorf("got %v of a file, want its asset", file)
	}
	for _, text := range []string{`[{"registrationId":"press-1"}]`, "registrationId,tags\npress-1,"} {
		t.Run(text, func(t *testing.T) {
			if got := declared(t, config{"manifest": text})[set]; !got["manifestText"].IsSecret() ||
				got["manifest"].HasValue() {
				t.Errorf("got %v of a text, want a secret text", got)
			}
		})
	}
	for _, name := range []resource.PropertyKey{"idPrefix", "deleteRegistrations"} {
		if file[name].HasValue() {
			t.Errorf("got %s %v at a service of the stack's own, want none", name, file[name])
		}
	}
	if defaults := file["defaults"]; defaults.HasValue() && len(defaults.ObjectValue()) > 0 {
		t.Errorf("got defaults %v, want none", defaults)
	}
}

func TestARotationChangesOnlyTheKeysOfItsRole(t *testing.T) {
	t.Parallel()
	made := declared(t, config{"rotation": `{"link":2,"enrollments":1}`})
	for name, want := range map[string]float64{"hub-1-link": 2, "hub-2-link": 2, "provisioning-enrollments": 1,
		"hub-1-operator": 0} {
		t.Run(name, func(t *testing.T) {
			args := made["azure-dps:index:SharedAccessKey/"+name]
			if got, ok := args["rotation"]; ok != (want > 0) || ok && got.NumberValue() != want {
				t.Errorf("%s: got rotation %v, want %v", name, got, want)
			}
		})
	}
}

// TestAGuestLinksItsHubsByIdentity, but not at a service that an evenkeel stack declares.
func TestAGuestLinksItsHubsByIdentity(t *testing.T) {
	t.Parallel()
	const id = "/subscriptions/s/resourceGroups/g/providers/Microsoft.Devices/provisioningServices/shared-dps"
	const user = "/subscriptions/s/resourceGroups/g/providers/Microsoft.ManagedIdentity/userAssignedIdentities/id-1"
	for kind, identity := range map[string]string{"SystemAssigned": "", "UserAssigned": user} {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			settings := func() config {
				return config{"provisioningService": id, "linkAuthentication": strings.ToLower(kind),
					"linkIdentity": identity}
			}
			program, err := attempt(t, settings(), map[string]string{"purpose": "devices"})
			if err != nil {
				t.Fatal(err)
			}
			for _, hub := range []string{"hub-1", "hub-2"} {
				link := program.made["azure-dps:index:LinkedHub/"+hub]
				if link["authenticationType"].V != kind || identity != "" && link["identityId"].V != identity ||
					link["provisioningServiceId"].V != id || link["key"].HasValue() || link["policyName"].HasValue() {
					t.Errorf("%s: got link %v, want one by the identity", hub, link)
				}
			}
			program, err = attempt(t, settings(), map[string]string{"purpose": "evenkeel", "stack": "prod"})
			if err == nil || !strings.Contains(err.Error(), `evenkeel stack "prod"`) || !strings.Contains(err.Error(), "hint: ") {
				t.Errorf("at a service of evenkeel: got %v, want its stack named", err)
			}
			if _, made := program.made["azure-dps:index:LinkedHub/hub-1"]; made {
				t.Error("at a service of evenkeel: the hub is linked")
			}
		})
	}
}

func TestStacksThatShareAServiceLinkTheirOwnHubs(t *testing.T) {
	t.Parallel()
	const id = "/subscriptions/s/resourceGroups/g/providers/Microsoft.Devices/provisioningServices/shared-dps"
	for name, tc := range map[string]struct {
		settings config
		prefix   string
		service  bool // the stack owns the service
	}{
		"the owner": {config{"shared": "true"}, "", true},
		"a guest":   {config{"provisioningService": id}, "local-", false},
		"with a key": {config{"provisioningService": id, "provisioningPolicy": "p",
			"provisioningKey": strings.Repeat("A", 44)}, "local-", false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			program := run(t, tc.settings)
			service, own := program.made["azure-native:devices:IotDpsResource/provisioning"]
			if own != tc.service || own && service["properties"].ObjectValue()["iotHubs"].HasValue() {
				t.Errorf("got a service in the stack: %v, %v; want %v, without links", own, service, tc.service)
			}
			for _, hub := range []string{"hub-1", "hub-2"} {
				link, ok := program.made["azure-dps:index:LinkedHub/"+hub]
				if !ok || link["hubHostName"].StringValue() != hub+"0123abcd.azure-devices.net" ||
					!link["key"].IsSecret() || link["policyName"].StringValue() != "link" {
					t.Errorf("%s: got link %v", hub, link)
				}
			}
			for _, want := range []string{"EnrollmentGroup/" + tc.prefix + "devices", "IndividualEnrollment/" +
				tc.prefix + "device-1"} {
				entry, ok := program.made["azure-dps:index:"+want]
				if !ok || len(entry["iotHubs"].ArrayValue()) != 2 ||
					entry["allocationPolicy"].StringValue() != "hashed" {
					t.Errorf("%s: got %v, want one that is spread evenly over the stack's own two hubs", want, entry)
				}
				if got := entry["deleteRegistrations"]; got.HasValue() == tc.service {
					t.Errorf("%s: got deleteRegistrations %v; a guest leaves no registrations behind", want, got)
				}
				if got := program.requests["azure-dps:index:"+want].GetDeletedWith(); strings.HasSuffix(got,
					"::provisioning") != tc.service {
					t.Errorf("%s: deleted with %q, want it deleted only with the stack's own service", want, got)
				}
				if got := program.after("azure-dps:index:" + want); !slices.Contains(got, "hub-1") ||
					!slices.Contains(got, "hub-2") {
					t.Errorf("%s: is made after %v, want both links among them", want, got)
				}
			}
			provider := program.made["pulumi:providers:azure-dps/enrollments"]
			if got := provider["policyName"]; got.HasValue() == (name == "a guest") {
				t.Errorf("got access by policy %v; only a guest without one logs in with Entra ID", got)
			}
			if !provider["clientSecret"].IsSecret() || provider["metadataHost"].StringValue() != "127.0.0.1:2" {
				t.Errorf("got login at %v with secret %v", provider["metadataHost"], provider["clientSecret"])
			}
		})
	}
}

func TestAHubRefusesKeysAsConfigured(t *testing.T) {
	t.Parallel()
	program := run(t, config{"hubSettings": `{"hub-1":{"disableLocalAuth":true}}`, "linkAuthentication": "SystemAssigned",
		"provisioningService": "/subscriptions/s/resourceGroups/g/providers/Microsoft.Devices/provisioningServices/x"})
	for hub, want := range map[string]bool{"hub-1": true, "hub-2": false} {
		t.Run(hub, func(t *testing.T) {
			properties := program.made["azure-native:devices:IotHubResource/"+hub]["properties"]
			// The keys make all properties secret.
			set := properties.SecretValue().Element.ObjectValue()["disableLocalAuth"]
			if set.HasValue() != want || want && !set.BoolValue() {
				t.Errorf("%s: got disableLocalAuth %v, want %t", hub, set, want)
			}
		})
	}
}

func TestTheManifestOfAStackThatSharesAServiceUsesItsPrefix(t *testing.T) {
	t.Parallel()
	const id = "/subscriptions/s/resourceGroups/g/providers/Microsoft.Devices/provisioningServices/shared-dps"
	for name, tc := range map[string]struct {
		settings config
		prefix   string
		hubs     int
		policy   string
	}{
		"the owner": {config{"shared": "true"}, "", 2, "hashed"},
		"a guest":   {config{"provisioningService": id}, "local-", 2, "hashed"},
		"of one drain": {config{"provisioningService": id, "allocationPolicy": "Static",
			"hubSettings": `{"hub-2":{"drain":true}}`}, "local-", 1, "static"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			tc.settings["manifest"] = "devices.csv"
			program := run(t, tc.settings)
			set := program.made["azure-dps:index:EnrollmentSet/manifest"]
			defaults := set["defaults"].ObjectValue()
			if got := set["idPrefix"]; got.HasValue() != (tc.prefix != "") || got.HasValue() &&
				got.StringValue() != tc.prefix {
				t.Errorf("got prefix %v, want %q", got, tc.prefix)
			}
			if hubs := defaults["iotHubs"].ArrayValue(); len(hubs) != tc.hubs ||
				hubs[0].StringValue() != "hub-10123abcd.azure-devices.net" ||
				defaults["allocationPolicy"].StringValue() != tc.policy {
				t.Errorf("got defaults %v, want the policy %s over the stack's own hubs, %d of them", defaults,
					tc.policy, tc.hubs)
			}
			if got := set["deleteRegistrations"]; got.HasValue() != (tc.prefix != "") || got.HasValue() &&
				!got.BoolValue() {
				t.Errorf("got deleteRegistrations %v; a guest leaves no registrations behind", got)
			}
			if got := program.after("azure-dps:index:EnrollmentSet/manifest"); !slices.Contains(got, "hub-1") {
				t.Errorf("is made after %v, want the links among them", got)
			}
		})
	}
}

func TestDroppingLinksDeclaresNoLinks(t *testing.T) {
	t.Parallel()
	const service = "azure-native:devices:IotDpsResource/provisioning"
	program := run(t, config{"shared": "true", "dropLinks": "true"})
	if links := program.made[service]["properties"].ObjectValue()["iotHubs"]; !links.IsArray() ||
		len(links.ArrayValue()) != 0 {
		t.Errorf("got links %v, want an empty list, which unlinks all", links)
	}
	if got := program.requests[service].GetIgnoreChanges(); len(got) > 0 {
		t.Errorf("got changes of %v ignored, want none: the links are to go", got)
	}
	if got := run(t, config{"shared": "true"}).requests[service].GetIgnoreChanges(); !slices.Equal(got,
		[]string{"properties.iotHubs"}) {
		t.Errorf("without dropping: got changes of %v ignored, want those of the links", got)
	}
}
