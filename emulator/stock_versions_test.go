package emulator_test

import (
	"encoding/base64"
	"net/http"
	"slices"
	"testing"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/to"
	"github.com/Azure/azure-sdk-for-go/sdk/resourcemanager/deviceprovisioningservices/armdeviceprovisioningservices"
	"github.com/Azure/azure-sdk-for-go/sdk/resourcemanager/iothub/armiothub"

	"evenkeel/emulator"
)

// stockVersions are the api-versions that the lives below are led with: those of the clients in go.mod (empty), those
// that the newer betas for Go are generated from, and those of 2026.
var stockVersions = []struct{ name, hubs, services string }{
	{"the clients' own", "", ""},
	{"azure-native 3.28.0", "2023-06-30", "2023-03-01-preview"},
	{"armiothub 2.0.0-beta.1 and armdeviceprovisioningservices 1.3.0-beta.2", "2026-03-01-preview",
		"2025-02-01-preview"},
	{"armiothub 2.0.0-beta.2", "2026-05-01-preview", "2026-03-01-preview"},
	{"stable versions of 2026", "2026-11-01", "2026-08-31"},
	{"the newest stable versions", "2026-11-01", "2026-11-01"},
	{"the newest previews", "2026-10-01-preview", "2026-11-02-preview"},
}

// TestLivesOfHubsWithTheVersionsOfToday leads the whole life of a hub with the stock client, by api-version.
func TestLivesOfHubsWithTheVersionsOfToday(t *testing.T) {
	t.Parallel()
	for _, version := range stockVersions {
		t.Run(version.name, func(t *testing.T) {
			t.Parallel()
			e := emulator.RunT(t)
			c := stockOf(t, e, version.hubs, version.services)
			c.makeGroup(t)
			ctx := t.Context()
			made := c.putHub(t, "hub-1", aHub())
			if *made.Properties.State != "Active" || *made.Properties.HostName != "hub-1.azure-devices.net" {
				t.Errorf("got state %s, host %s", *made.Properties.State, *made.Properties.HostName)
			}
			got, err := c.hubs.Get(ctx, testGroup, "hub-1", nil)
			check(t, err)
			// What a client reads it may send back, read-only members included.
			got.SKU.Capacity = to.Ptr[int64](2)
			if again := c.putHub(t, "hub-1", got.Description); *again.SKU.Capacity != 2 {
				t.Errorf("got capacity %d after the update, want 2", *again.SKU.Capacity)
			}
			patch, err := c.hubs.BeginUpdate(ctx, testGroup, "hub-1",
				armiothub.TagsResource{Tags: map[string]*string{"a": to.Ptr("b")}}, nil)
			check(t, err)
			patched, err := patch.PollUntilDone(ctx, nil)
			check(t, err)
			if *patched.Tags["a"] != "b" {
				t.Errorf("got tags %v after the update", patched.Tags)
			}
			listed := pages(t, c.hubs.NewListBySubscriptionPager(nil),
				func(p armiothub.ResourceClientListBySubscriptionResponse) int { return len(p.Value) }) +
				pages(t, c.hubs.NewListByResourceGroupPager(testGroup, nil),
					func(p armiothub.ResourceClientListByResourceGroupResponse) int { return len(p.Value) })
			if listed != 2 {
				t.Errorf("got %d hubs in two lists, want one in each", listed)
			}
			if n := pages(t, c.hubs.NewListKeysPager(testGroup, "hub-1", nil),
				func(p armiothub.ResourceClientListKeysResponse) int { return len(p.Value) }); n != 5 {
				t.Errorf("got %d keys, want 5", n)
			}
			c.connection(t, "hub-1", "iothubowner")
			taken, err := c.hubs.CheckNameAvailability(ctx, armiothub.OperationInputs{Name: to.Ptr("HUB-1")}, nil)
			check(t, err)
			if *taken.NameAvailable {
				t.Error("got that HUB-1 is free, want taken")
			}
			c.childrenOfAHub(t)
			remove, err := c.hubs.BeginDelete(ctx, testGroup, "hub-1", nil)
			check(t, err)
			_, err = remove.PollUntilDone(ctx, nil)
			check(t, err)
			_, err = c.hubs.Get(ctx, testGroup, "hub-1", nil)
			refused(t, err, http.StatusNotFound, "ResourceNotFound")
		})
	}
}

// childrenOfAHub makes, lists and deletes a consumer group and a certificate of hub-1.
func (c clients) childrenOfAHub(t *testing.T) {
	t.Helper()
	ctx := t.Context()
	_, err := c.hubs.CreateEventHubConsumerGroup(ctx, testGroup, "hub-1", "events", "readers",
		armiothub.EventHubConsumerGroupBodyDescription{
			Properties: &armiothub.EventHubConsumerGroupName{Name: to.Ptr("readers")}}, nil)
	check(t, err)
	if n := pages(t, c.hubs.NewListEventHubConsumerGroupsPager(testGroup, "hub-1", "events", nil),
		func(p armiothub.ResourceClientListEventHubConsumerGroupsResponse) int { return len(p.Value) }); n != 2 {
		t.Errorf("got %d consumer groups, want 2", n)
	}
	_, err = c.hubs.DeleteEventHubConsumerGroup(ctx, testGroup, "hub-1", "events", "readers", nil)
	check(t, err)
	certificate := base64.StdEncoding.EncodeToString(pemOf(newAuthority(t).cert))
	made, err := c.hubCertificates.CreateOrUpdate(ctx, testGroup, "hub-1", "ca-1", armiothub.CertificateDescription{
		Properties: &armiothub.CertificateProperties{Certificate: &certificate, IsVerified: to.Ptr(true)}}, nil)
	check(t, err)
	listed, err := c.hubCertificates.ListByIotHub(ctx, testGroup, "hub-1", nil)
	check(t, err)
	if len(listed.Value) != 1 || !*listed.Value[0].Properties.IsVerified {
		t.Errorf("got certificates %v, want the verified one", listed.Value)
	}
	code, err := c.hubCertificates.GenerateVerificationCode(ctx, testGroup, "hub-1", "ca-1", *made.Etag, nil)
	check(t, err)
	_, err = c.hubCertificates.Delete(ctx, testGroup, "hub-1", "ca-1", *code.Etag, nil)
	check(t, err)
}

// TestLivesOfServicesWithTheVersionsOfToday leads the whole life of a provisioning service with the stock client, by
// api-version.
func TestLivesOfServicesWithTheVersionsOfToday(t *testing.T) {
	t.Parallel()
	type properties = armdeviceprovisioningservices.IotDpsPropertiesDescription
	type hubList = []*armdeviceprovisioningservices.IotHubDefinitionDescription
	for _, version := range stockVersions {
		t.Run(version.name, func(t *testing.T) {
			t.Parallel()
			e := emulator.RunT(t)
			c := stockOf(t, e, version.hubs, version.services)
			c.makeGroup(t)
			ctx := t.Context()
			c.putHub(t, "hub-1", aHub())
			made := c.putService(t, "dps-1",
				properties{IotHubs: hubList{link(c.connection(t, "hub-1", "iothubowner"), nil)}})
			if *made.Properties.State != "Active" || *made.Properties.IotHubs[0].Name != "hub-1.azure-devices.net" {
				t.Errorf("got %+v, want it active and linked", made.Properties)
			}
			got, err := c.services.Get(ctx, "dps-1", testGroup, nil)
			check(t, err)
			got.Properties.IotHubs[0].AllocationWeight = to.Ptr[int32](7)
			update, err := c.services.BeginCreateOrUpdate(ctx, testGroup, "dps-1", got.ProvisioningServiceDescription,
				nil)
			check(t, err)
			updated, err := update.PollUntilDone(ctx, nil)
			check(t, err)
			if *updated.Properties.IotHubs[0].AllocationWeight != 7 {
				t.Errorf("got links %+v, want the weight 7", updated.Properties.IotHubs[0])
			}
			patch, err := c.services.BeginUpdate(ctx, testGroup, "dps-1",
				armdeviceprovisioningservices.TagsResource{Tags: map[string]*string{"a": to.Ptr("b")}}, nil)
			check(t, err)
			patched, err := patch.PollUntilDone(ctx, nil)
			check(t, err)
			if *patched.Tags["a"] != "b" {
				t.Errorf("got tags %v after the update", patched.Tags)
			}
			c.readsOfAService(t)
			certificate, err := c.serviceCertificates.CreateOrUpdate(ctx, testGroup, "dps-1", "ca-1",
				armdeviceprovisioningservices.CertificateResponse{
					Properties: &armdeviceprovisioningservices.CertificateProperties{
						Certificate: pemOf(newAuthority(t).cert), IsVerified: to.Ptr(true)}}, nil)
			check(t, err)
			_, err = c.serviceCertificates.Delete(ctx, testGroup, *certificate.Etag, "dps-1", "ca-1", nil)
			check(t, err)
			remove, err := c.services.BeginDelete(ctx, "dps-1", testGroup, nil)
			check(t, err)
			_, err = remove.PollUntilDone(ctx, nil)
			check(t, err)
			_, err = c.services.Get(ctx, "dps-1", testGroup, nil)
			refused(t, err, http.StatusNotFound, "ResourceNotFound")
			sent := e.Requests("arm", "PUT")
			if wanted := version.services; wanted != "" && !slices.ContainsFunc(sent,
				func(r emulator.Request) bool { return r.APIVersion == wanted }) {
				t.Errorf("no request has the api-version %s: %v", wanted, sent)
			}
		})
	}
}

// readsOfAService lists dps-1 and its keys, and looks whether its name is taken.
func (c clients) readsOfAService(t *testing.T) {
	t.Helper()
	ctx := t.Context()
	listed := pages(t, c.services.NewListBySubscriptionPager(nil),
		func(p armdeviceprovisioningservices.IotDpsResourceClientListBySubscriptionResponse) int {
			return len(p.Value)
		}) + pages(t, c.services.NewListByResourceGroupPager(testGroup, nil),
		func(p armdeviceprovisioningservices.IotDpsResourceClientListByResourceGroupResponse) int {
			return len(p.Value)
		})
	if listed != 2 {
		t.Errorf("got %d services in two lists, want one in each", listed)
	}
	type keys = armdeviceprovisioningservices.IotDpsResourceClientListKeysResponse
	if n := pages(t, c.services.NewListKeysPager("dps-1", testGroup, nil),
		func(p keys) int { return len(p.Value) }); n != 1 {
		t.Errorf("got %d keys, want 1", n)
	}
	taken, err := c.services.CheckProvisioningServiceNameAvailability(ctx,
		armdeviceprovisioningservices.OperationInputs{Name: to.Ptr("DPS-1")}, nil)
	check(t, err)
	if *taken.NameAvailable {
		t.Error("got that DPS-1 is free, want taken")
	}
}
