package provider_test

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/to"
	dps "github.com/Azure/azure-sdk-for-go/sdk/resourcemanager/deviceprovisioningservices/armdeviceprovisioningservices"
	p "github.com/pulumi/pulumi-go-provider"

	"evenkeel/emulator"
	"evenkeel/internal/await"
)

const servicePath = "/subscriptions/" + emulator.SubscriptionID +
	"/resourceGroups/rg-1/providers/Microsoft.Devices/provisioningServices/dps-1"

// shared is a provisioning service to which several stacks link their hubs.
type shared struct {
	*azure
	t *testing.T
	// config logs in to Resource Manager and contains nothing for the service API.
	config object
	keys   map[string]string
	// ignoresETags makes the service accept a PUT whatever its etag.
	ignoresETags bool
}

// newShared creates the service with hub-1 linked by its owner, and hubs hub-2 and hub-3, which are not linked.
func newShared(t *testing.T, options ...emulator.Options) *shared {
	t.Helper()
	s := &shared{azure: newAzure(t, options...), t: t, keys: map[string]string{}}
	for _, name := range []string{"hub-1", "hub-2", "hub-3"} {
		s.keys[name] = newKey(t)
		must(t, s.putHubNamed(t.Context(), name, s.keys[name], newKey(t)))
	}
	_, err := s.putService(t.Context(), newKey(t), newKey(t), s.keys["hub-1"])
	must(t, err)
	ends := s.Endpoints()
	s.config = object{
		"metadataHost": strings.TrimPrefix(ends.ARM, "https://"), "caFile": ends.CAFile,
		"tenantId": ends.TenantID, "clientId": ends.ClientID, "clientSecret": ends.ClientSecret,
	}
	return s
}

// stack returns a link of the hub in another stack: with its own provider.
func (s *shared) stack(hub string) *managed {
	s.t.Helper()
	return manage(s.t, startProvider(s.t, s.config), "LinkedHub", hub)
}

// link returns the inputs of a hub's link, with changes; nil removes a property.
func (s *shared) link(hub string, changes object) object {
	return object{
		"provisioningServiceId": servicePath, "hubHostName": hub + ".azure-devices.net", "policyName": linkPolicy,
		"key": s.keys[hub], "location": "westeurope",
	}.edited(changes)
}

// links returns the service's links by the short names of their hubs.
func (s *shared) links() map[string]*dps.IotHubDefinitionDescription {
	s.t.Helper()
	got, err := s.services.Get(s.t.Context(), "dps-1", "rg-1", nil)
	must(s.t, err)
	links := map[string]*dps.IotHubDefinitionDescription{}
	for _, link := range got.Properties.IotHubs {
		links[strings.Split(*link.Name, ".")[0]] = link
	}
	return links
}

// linked fails the test unless exactly these hubs are linked.
func (s *shared) linked(want ...string) {
	s.t.Helper()
	var got []string
	for name := range s.links() {
		got = append(got, name)
	}
	slices.Sort(got)
	if !slices.Equal(got, want) {
		s.t.Errorf("linked hubs: got %v, want %v", got, want)
	}
}

// rewrite changes the links without the provider, as the Azure CLI does: it sends masked keys back.
func (s *shared) rewrite(change func([]*dps.IotHubDefinitionDescription) []*dps.IotHubDefinitionDescription) {
	s.t.Helper()
	got, err := s.services.Get(s.t.Context(), "dps-1", "rg-1", nil)
	must(s.t, err)
	got.Properties.IotHubs = change(got.Properties.IotHubs)
	poller, err := s.services.BeginCreateOrUpdate(s.t.Context(), "rg-1", "dps-1", got.ProvisioningServiceDescription,
		nil)
	must(s.t, err)
	_, err = poller.PollUntilDone(s.t.Context(), nil)
	must(s.t, err)
}

func TestALinkDoesNotChangeTheLinksOfOthers(t *testing.T) {
	t.Parallel()
	s := newShared(t)
	m := s.stack("hub-2")
	m.up(s.link("hub-2", object{"allocationWeight": 5}))
	s.linked("hub-1", "hub-2")
	if got := s.links()["hub-2"]; *got.AllocationWeight != 5 || got.ApplyAllocationPolicy != nil {
		t.Errorf("got weight %d, apply %v, want 5 and nothing said", *got.AllocationWeight, got.ApplyAllocationPolicy)
	}
	m.secret("key")
	inputs := s.link("hub-2", object{"applyAllocationPolicy": false, "location": "West Europe"})
	if got := m.up(inputs); !slices.Equal(got, []string{"allocationWeight", "applyAllocationPolicy"}) {
		t.Errorf("change: got %v, want the weight and whether it applies", got)
	}
	if got := s.links()["hub-2"]; got.AllocationWeight != nil || *got.ApplyAllocationPolicy {
		t.Errorf("got weight %v, apply %v, want nothing said and false", got.AllocationWeight,
			*got.ApplyAllocationPolicy)
	}
	if got := m.refresh(); got != nil {
		t.Errorf("refresh: got %v, want none", got)
	}
	m.secret("key")
	if got := m.up(inputs); got != nil {
		t.Errorf("up again: got %v, want none", got)
	}

	imported := s.stack("imported")
	imported.id = m.id
	imported.refresh()
	if imported.inputs.Get("key").IsString() {
		t.Error("the import made up a key")
	}
	if got := imported.up(inputs.edited(object{"key": nil})); got != nil {
		t.Errorf("up after the import: got %v, want none", got)
	}
	if got := imported.up(inputs); got != nil {
		t.Errorf("up with the key: got %v, want none", got)
	}
	if got := imported.up(inputs.edited(object{"key": newKey(t)})); !slices.Equal(got, []string{"key"}) {
		t.Errorf("up with another key: got %v, want key", got)
	}

	key := m.secret("key")
	m.up(inputs.edited(object{"key": nil, "allocationWeight": 2}))
	if got := m.secret("key"); got != key {
		t.Error("a change that leaves the key out does not keep it")
	}
	m.up(inputs)

	m.delete()
	s.linked("hub-1")
	m.delete() // deleting an absent link succeeds
	if got := m.refresh(); !slices.Equal(got, []string{"gone"}) {
		t.Errorf("after deletion: got %v, want gone", got)
	}
}

// TestDriftOfALinkIsReportedAndReverted walks the schema: an input without a case fails.
func TestDriftOfALinkIsReportedAndReverted(t *testing.T) {
	t.Parallel()
	s := newShared(t)
	cases := map[string]func(*dps.IotHubDefinitionDescription){
		"allocationWeight":      func(l *dps.IotHubDefinitionDescription) { l.AllocationWeight = to.Ptr[int32](7) },
		"applyAllocationPolicy": func(l *dps.IotHubDefinitionDescription) { l.ApplyAllocationPolicy = to.Ptr(false) },
		"location":              func(l *dps.IotHubDefinitionDescription) { l.Location = to.Ptr("northeurope") },
		"policyName": func(l *dps.IotHubDefinitionDescription) {
			l.ConnectionString = to.Ptr(fmt.Sprintf(
				"HostName=hub-2.azure-devices.net;SharedAccessKeyName=other;SharedAccessKey=%s", s.keys["hub-2"]))
		},
	}
	m := s.stack("hub-2")
	inputs := s.link("hub-2", nil)
	m.up(inputs)
	for path := range inputPaths(t, readSchema(t), "azure-dps:index:LinkedHub") {
		edit, covered := cases[path]
		if !covered {
			// The parts of the id cannot drift, and no answer contains the key. A separate test covers the properties
			// of the authentication, which drift together.
			if !slices.Contains([]string{"provisioningServiceId", "hubHostName", "key", "authenticationType",
				"identityId"}, path) {
				t.Errorf("no case for the input %s", path)
			}
			continue
		}
		s.rewrite(func(links []*dps.IotHubDefinitionDescription) []*dps.IotHubDefinitionDescription {
			for _, link := range links {
				if strings.HasPrefix(*link.Name, "hub-2.") {
					edit(link)
				}
			}
			return links
		})
		if got := m.refresh(); !slices.Equal(got, []string{path}) {
			t.Errorf("refresh: got %v, want %s alone", got, path)
		}
		if got := m.up(inputs); !slices.Equal(got, []string{path}) {
			t.Errorf("up: got %v, want %s alone", got, path)
		}
		if got := m.refresh(); got != nil {
			t.Errorf("refresh after healing %s: got %v, want none", path, got)
		}
	}
	s.linked("hub-1", "hub-2")
}

// race holds the first stack's PUT until the second stack's link exists, and then releases it.
func race(t *testing.T, s *shared) {
	t.Helper()
	hold := s.Hold(emulator.Match{Surface: "arm", Method: "PUT",
		Path: regexp.MustCompile("(?i)/provisioningServices/dps-1$")})
	first, second := s.stack("hub-2"), s.stack("hub-3")
	done := make(chan error, 1)
	inputs := s.link("hub-2", nil)
	checked := first.check(inputs)
	go func() {
		created, err := first.server.Create(p.CreateRequest{Urn: first.urn, Properties: checked})
		first.id, first.inputs, first.state = created.ID, checked, created.Properties
		done <- err
	}()
	must(t, hold.Held(await.Context(t)))
	second.up(s.link("hub-3", nil))
	hold.Release()
	must(t, await.Next(t, done, "the first link"))
	if got := first.refresh(); got != nil {
		t.Errorf("the first stack: refresh got %v, want none", got)
	}
	if got := second.refresh(); s.ignoresETags {
		if !slices.Equal(got, []string{"gone"}) {
			t.Errorf("the second stack, undone by a slow writer: refresh got %v, want gone", got)
		}
		second.id = ""
		second.up(s.link("hub-3", nil))
	} else if got != nil {
		t.Errorf("the second stack: refresh got %v, want none", got)
	}
	s.linked("hub-1", "hub-2", "hub-3")
}

func TestTwoStacksCanLinkAtTheSameTime(t *testing.T) {
	t.Parallel()
	race(t, newShared(t))
}

func TestALinkThatASlowWriterUndidIsRecreated(t *testing.T) {
	t.Parallel()
	s := newShared(t, emulator.Options{IgnoreServiceETags: true})
	s.ignoresETags = true
	race(t, s)
}
