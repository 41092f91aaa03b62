package environment_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/arm"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/to"
	"github.com/Azure/azure-sdk-for-go/sdk/resourcemanager/iothub/armiothub"
	"github.com/Azure/azure-sdk-for-go/sdk/resourcemanager/resources/armresources"

	"evenkeel/emulator"
	"evenkeel/internal/keel/environment"
)

// endpoints returns those of an emulator in which changes take a moment.
func endpoints(t *testing.T) environment.Endpoints {
	t.Helper()
	e := emulator.RunT(t, emulator.Options{LRODelay: 300 * time.Millisecond}).Endpoints()
	file := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(file, []byte(e.ClientSecret+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	return environment.Endpoints{
		ARM: e.ARM, Data: e.Data, CAFile: e.CAFile, SecretFile: file, TenantID: e.TenantID, ClientID: e.ClientID,
		SubscriptionID: e.SubscriptionID,
	}
}

func TestTheResourceManagerReadsAndDeletes(t *testing.T) {
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
	groups, err := armresources.NewResourceGroupsClient(ends.SubscriptionID, credential,
		&arm.ClientOptions{ClientOptions: options, DisableRPRegistration: true})
	if err != nil {
		t.Fatal(err)
	}
	for name, tags := range map[string]map[string]*string{
		"mine":   {"stack": to.Ptr("local"), "purpose": to.Ptr("evenkeel"), "Keep": to.Ptr("true")},
		"theirs": {"stack": to.Ptr("other"), "purpose": to.Ptr("evenkeel")},
		"bare":   nil,
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := groups.CreateOrUpdate(t.Context(), name,
				armresources.ResourceGroup{Location: to.Ptr("westeurope"), Tags: tags}, nil); err != nil {
				t.Fatal(err)
			}
		})
	}
	hubs, err := armiothub.NewResourceClient(ends.SubscriptionID, credential, &arm.ClientOptions{ClientOptions: options,
		DisableRPRegistration: true})
	if err != nil {
		t.Fatal(err)
	}
	// The test does not wait: a recovery finds resources that are still being created.
	if _, err := hubs.BeginCreateOrUpdate(t.Context(), "mine", "half-made", armiothub.Description{
		Location: to.Ptr("westeurope"), Tags: map[string]*string{"stack": to.Ptr("local")},
		SKU: &armiothub.SKUInfo{Name: to.Ptr(armiothub.IotHubSKUS1), Capacity: to.Ptr[int64](1)},
	}, nil); err != nil {
		t.Fatal(err)
	}
	if quota, err := azure.Quota(t.Context()); err != nil || quota.Hubs.Used != 1 || quota.FreeHubs.Used != 0 ||
		quota.Services.Used != 0 || quota.Hubs.Limit < 50 {
		t.Errorf("got quota %+v, %v, want the hub counted", quota, err)
	}
	own, err := azure.Groups(t.Context(), map[string]string{"purpose": "evenkeel", "stack": "local"})
	if err != nil || len(own) != 1 || own[0].Name() != "mine" || own[0].Tag("keep") != "true" {
		t.Fatalf("got groups %v, %v, want mine alone", own, err)
	}
	inside, err := azure.Resources(t.Context(), own[0].ID)
	if err != nil || len(inside) != 1 || inside[0].Name() != "half-made" || inside[0].Tag("STACK") != "local" {
		t.Fatalf("got resources %v, %v, want the hub", inside, err)
	}
	if _, there, err := azure.Group(t.Context(), own[0].ID); err != nil || !there {
		t.Errorf("got %v, %v, want the group there", there, err)
	}
	if _, there, err := azure.Group(t.Context(), own[0].ID+"-not"); err != nil || there {
		t.Errorf("got %v, %v, want no such group, and no error", there, err)
	}
	for i, id := range []string{inside[0].ID, inside[0].ID, own[0].ID, own[0].ID} {
		t.Run(fmt.Sprintf("deletion %d", i+1), func(t *testing.T) { // deleting an absent resource succeeds
			if err := azure.Delete(t.Context(), id); err != nil {
				t.Errorf("delete %s: %v", id, err)
			}
		})
	}
	if own, err := azure.Groups(t.Context(), map[string]string{"purpose": "evenkeel", "stack": "local"}); err != nil ||
		len(own) != 0 {
		t.Errorf("got %v, %v, want no group left", own, err)
	}
	if theirs, err := azure.Groups(t.Context(), map[string]string{"stack": "other"}); err != nil || len(theirs) != 1 {
		t.Errorf("got %v, %v, want the other group untouched", theirs, err)
	}
}

func TestHostsAreThoseOfTheSubscription(t *testing.T) {
	t.Parallel()
	ends := endpoints(t)
	azure, err := environment.Emulator(ends)
	if err != nil {
		t.Fatal(err)
	}
	if hosts, err := azure.Hosts(t.Context()); err != nil || len(hosts) != 0 {
		t.Errorf("got %v, %v, want no host", hosts, err)
	}
	credential, options, err := environment.Client(ends)
	if err != nil {
		t.Fatal(err)
	}
	given := &arm.ClientOptions{ClientOptions: options, DisableRPRegistration: true}
	groups, err := armresources.NewResourceGroupsClient(ends.SubscriptionID, credential, given)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := groups.CreateOrUpdate(t.Context(), "g", armresources.ResourceGroup{Location: to.Ptr("westeurope")},
		nil); err != nil {
		t.Fatal(err)
	}
	hubs, err := armiothub.NewResourceClient(ends.SubscriptionID, credential, given)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"Hub-2", "hub-1"} {
		if _, err := hubs.BeginCreateOrUpdate(t.Context(), "g", name, armiothub.Description{
			Location: to.Ptr("westeurope"), SKU: &armiothub.SKUInfo{Name: to.Ptr(armiothub.IotHubSKUS1),
				Capacity: to.Ptr[int64](1)},
		}, nil); err != nil {
			t.Fatal(err)
		}
	}
	hosts, err := azure.Hosts(t.Context())
	if got := strings.Join(hosts, " "); err != nil ||
		got != "hub-1.azure-devices.net hub-1.device.azure-devices.net hub-1.service.azure-devices.net "+
			"hub-2.azure-devices.net hub-2.device.azure-devices.net hub-2.service.azure-devices.net" {
		t.Errorf("got %q, %v, want all names of both hubs in lower case", got, err)
	}
}

func TestHubNamesAreChecked(t *testing.T) {
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
	given := &arm.ClientOptions{ClientOptions: options, DisableRPRegistration: true}
	groups, err := armresources.NewResourceGroupsClient(ends.SubscriptionID, credential, given)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := groups.CreateOrUpdate(t.Context(), "g", armresources.ResourceGroup{Location: to.Ptr("westeurope")},
		nil); err != nil {
		t.Fatal(err)
	}
	hubs, err := armiothub.NewResourceClient(ends.SubscriptionID, credential, given)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := hubs.BeginCreateOrUpdate(t.Context(), "g", "press-x1", armiothub.Description{
		Location: to.Ptr("westeurope"), SKU: &armiothub.SKUInfo{Name: to.Ptr(armiothub.IotHubSKUS1),
			Capacity: to.Ptr[int64](1)},
	}, nil); err != nil {
		t.Fatal(err)
	}
	if taken, err := azure.HubName(t.Context(), "Press-X1"); err != nil || taken == "" {
		t.Errorf("a taken name: got %q, %v", taken, err)
	}
	if taken, err := azure.HubName(t.Context(), "press-x2"); err != nil || taken != "" {
		t.Errorf("a free name: got %q, %v", taken, err)
	}
	if taken, err := azure.HubName(t.Context(), "a_b"); err != nil || taken == "" {
		t.Errorf("an invalid name: got %q, %v", taken, err)
	}
}
