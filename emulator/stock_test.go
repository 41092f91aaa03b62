package emulator_test

import (
	"errors"
	"maps"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/arm"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/cloud"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/runtime"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/to"
	"github.com/Azure/azure-sdk-for-go/sdk/azidentity"
	"github.com/Azure/azure-sdk-for-go/sdk/resourcemanager/deviceprovisioningservices/armdeviceprovisioningservices"
	"github.com/Azure/azure-sdk-for-go/sdk/resourcemanager/iothub/armiothub"
	"github.com/Azure/azure-sdk-for-go/sdk/resourcemanager/resources/armresources"

	"evenkeel/emulator"
)

// policyOfService is a shared access policy of a provisioning service.
type policyOfService = armdeviceprovisioningservices.
	SharedAccessSignatureAuthorizationRuleAccessRightsDescription

// The stock clients of the Azure SDK for Go, over the wire, with the credential that users have.

const testGroup = "rg-1"

type clients struct {
	groups   *armresources.ResourceGroupsClient
	all      *armresources.Client
	hubs     *armiothub.ResourceClient
	services *armdeviceprovisioningservices.IotDpsResourceClient

	reports
	hubCertificates     *armiothub.CertificatesClient
	serviceCertificates *armdeviceprovisioningservices.DpsCertificateClient
}

func stock(t *testing.T, e *emulator.Emulator) clients {
	t.Helper()
	return stockOf(t, e, "", "")
}

// stockOf returns the clients with api-versions for hubs and for provisioning services instead of their own. "" is
// their own.
func stockOf(t *testing.T, e *emulator.Emulator, hubVersion, serviceVersion string) clients {
	t.Helper()
	ends := e.Endpoints()
	options := policy.ClientOptions{
		Transport: client(t, e),
		Retry:     policy.RetryOptions{MaxRetries: -1},
		Cloud: cloud.Configuration{
			ActiveDirectoryAuthorityHost: ends.ARM,
			Services: map[cloud.ServiceName]cloud.ServiceConfiguration{
				cloud.ResourceManager: {Endpoint: ends.ARM, Audience: ends.ARM}},
		},
	}
	credential, err := azidentity.NewClientSecretCredential(ends.TenantID, ends.ClientID, ends.ClientSecret,
		&azidentity.ClientSecretCredentialOptions{ClientOptions: options, DisableInstanceDiscovery: true})
	check(t, err)
	armOptions := &arm.ClientOptions{ClientOptions: options}
	groups, err := armresources.NewResourceGroupsClient(ends.SubscriptionID, credential, armOptions)
	check(t, err)
	all, err := armresources.NewClient(ends.SubscriptionID, credential, armOptions)
	check(t, err)
	hubOptions, serviceOptions := *armOptions, *armOptions
	hubOptions.APIVersion, serviceOptions.APIVersion = hubVersion, serviceVersion
	hubs, err := armiothub.NewResourceClient(ends.SubscriptionID, credential, &hubOptions)
	check(t, err)
	services, err := armdeviceprovisioningservices.NewIotDpsResourceClient(ends.SubscriptionID, credential,
		&serviceOptions)
	check(t, err)
	hubCertificates, err := armiothub.NewCertificatesClient(ends.SubscriptionID, credential, &hubOptions)
	check(t, err)
	serviceCertificates, err := armdeviceprovisioningservices.NewDpsCertificateClient(ends.SubscriptionID, credential,
		&serviceOptions)
	check(t, err)
	hubFactory, err := armiothub.NewClientFactory(ends.SubscriptionID, credential, &hubOptions)
	check(t, err)
	resources, err := armresources.NewClientFactory(ends.SubscriptionID, credential, armOptions)
	check(t, err)
	return clients{groups, all, hubs, services, newReports(hubFactory, resources), hubCertificates, serviceCertificates}
}

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// refused asserts the status of an error, and that its text holds want.
func refused(t *testing.T, err error, status int, want string) {
	t.Helper()
	var response *azcore.ResponseError
	if !errors.As(err, &response) {
		t.Fatalf("got %v, want status %d", err, status)
	}
	if response.StatusCode != status || !strings.Contains(err.Error(), want) {
		t.Errorf("got status %d, %v, want %d and %q", response.StatusCode, err, status, want)
	}
}

func (c clients) makeGroup(t *testing.T) {
	t.Helper()
	_, err := c.groups.CreateOrUpdate(t.Context(), testGroup, armresources.ResourceGroup{
		Location: to.Ptr("West Europe"), Tags: map[string]*string{"owner": to.Ptr("me")},
	}, nil)
	check(t, err)
}

func aHub() armiothub.Description {
	return armiothub.Description{
		Location: to.Ptr("westeurope"),
		SKU:      &armiothub.SKUInfo{Name: to.Ptr(armiothub.IotHubSKUS1), Capacity: to.Ptr[int64](1)},
	}
}

func (c clients) putHub(t *testing.T, name string, d armiothub.Description) armiothub.Description {
	t.Helper()
	poller, err := c.hubs.BeginCreateOrUpdate(t.Context(), testGroup, name, d, nil)
	check(t, err)
	done, err := poller.PollUntilDone(t.Context(), nil)
	check(t, err)
	return done.Description
}

func (c clients) putService(t *testing.T, name string, p armdeviceprovisioningservices.IotDpsPropertiesDescription,
) armdeviceprovisioningservices.ProvisioningServiceDescription {
	t.Helper()
	poller, err := c.services.BeginCreateOrUpdate(t.Context(), testGroup, name, aService(p), nil)
	check(t, err)
	done, err := poller.PollUntilDone(t.Context(), nil)
	check(t, err)
	return done.ProvisioningServiceDescription
}

func aService(
	p armdeviceprovisioningservices.IotDpsPropertiesDescription,
) armdeviceprovisioningservices.ProvisioningServiceDescription {
	return armdeviceprovisioningservices.ProvisioningServiceDescription{
		Location: to.Ptr("westeurope"), Properties: &p,
		SKU: &armdeviceprovisioningservices.IotDpsSKUInfo{Name: to.Ptr(armdeviceprovisioningservices.IotDpsSKUS1),
			Capacity: to.Ptr[int64](1)},
	}
}

func (c clients) connection(t *testing.T, hub, policy string) string {
	t.Helper()
	key, err := c.hubs.GetKeysForKeyName(t.Context(), testGroup, hub, policy, nil)
	check(t, err)
	return "HostName=" + hub + ".azure-devices.net;SharedAccessKeyName=" + policy + ";SharedAccessKey=" +
		*key.PrimaryKey
}

func link(connection string, weight *int32) *armdeviceprovisioningservices.IotHubDefinitionDescription {
	return &armdeviceprovisioningservices.IotHubDefinitionDescription{
		ConnectionString: to.Ptr(connection), Location: to.Ptr("westeurope"), AllocationWeight: weight,
	}
}

func TestResourceGroups(t *testing.T) {
	t.Parallel()
	e := emulator.RunT(t)
	c := stock(t, e)
	if exists, err := c.groups.CheckExistence(t.Context(), testGroup, nil); err != nil || exists.Success {
		t.Errorf("got %v, %v before the group was made, want false", exists.Success, err)
	}
	_, err := c.groups.Get(t.Context(), testGroup, nil)
	refused(t, err, http.StatusNotFound, "ResourceGroupNotFound")
	c.makeGroup(t)
	group, err := c.groups.Get(t.Context(), strings.ToUpper(testGroup), nil)
	check(t, err)
	if *group.Name != testGroup || *group.Location != "westeurope" || *group.Tags["owner"] != "me" ||
		*group.Properties.ProvisioningState != "Succeeded" {
		t.Errorf("got group %s in %s, tags %v", *group.Name, *group.Location, group.Tags)
	}
	if exists, err := c.groups.CheckExistence(t.Context(), testGroup, nil); err != nil || !exists.Success {
		t.Errorf("got %v, %v, want that the group exists", exists.Success, err)
	}
	updated, err := c.groups.Update(t.Context(), testGroup,
		armresources.ResourceGroupPatchable{Tags: map[string]*string{"owner": to.Ptr("you")}}, nil)
	check(t, err)
	if got := *updated.Tags["owner"]; got != "you" {
		t.Errorf("got owner %q after the update, want you", got)
	}
	_, err = c.groups.CreateOrUpdate(t.Context(), testGroup, armresources.ResourceGroup{Location: to.Ptr("eastus")},
		nil)
	refused(t, err, http.StatusConflict, "InvalidResourceGroupLocation")
	if n := pages(t, c.groups.NewListPager(
		nil), func(p armresources.ResourceGroupsClientListResponse) int { return len(p.Value) }); n != 1 {
		t.Errorf("got %d groups in the list, want 1", n)
	}
}

func pages[T any](t *testing.T, pager *runtime.Pager[T], count func(T) int) int {
	t.Helper()
	n := 0
	for pager.More() {
		page, err := pager.NextPage(t.Context())
		check(t, err)
		n += count(page)
	}
	return n
}

func TestDeletingGroupDeletesWhatIsInIt(t *testing.T) {
	t.Parallel()
	e := emulator.RunT(t, emulator.Options{LRODelay: 50 * time.Millisecond})
	c := stock(t, e)
	c.makeGroup(t)
	c.putHub(t, "hub-in-group", aHub())
	c.putService(t, "dps-in-group", armdeviceprovisioningservices.IotDpsPropertiesDescription{})
	listed := pages(t, c.all.NewListByResourceGroupPager(testGroup, nil),
		func(p armresources.ClientListByResourceGroupResponse) int { return len(p.Value) })
	if listed != 2 {
		t.Errorf("got %d resources in the group, want 2", listed)
	}
	poller, err := c.groups.BeginDelete(t.Context(), testGroup, nil)
	check(t, err)
	_, err = poller.PollUntilDone(t.Context(), nil)
	check(t, err)
	counts, err := e.Counts()
	check(t, err)
	if counts != (emulator.Counts{}) {
		t.Errorf("got %+v after the group was deleted, want nothing", counts)
	}
}

func TestHubLifecycle(t *testing.T) {
	t.Parallel()
	e := emulator.RunT(t)
	c := stock(t, e)
	c.makeGroup(t)
	hub := c.putHub(t, "hub-1", aHub())
	if *hub.Properties.HostName != "hub-1.azure-devices.net" || *hub.Properties.State != "Active" ||
		*hub.Properties.ProvisioningState != "Succeeded" {
		t.Errorf("got host %s, state %s, %s", *hub.Properties.HostName, *hub.Properties.State,
			*hub.Properties.ProvisioningState)
	}
	if hub.Properties.AuthorizationPolicies != nil {
		t.Error("got authorization policies in a GET, want none")
	}
	if *hub.SKU.Tier != armiothub.IotHubSKUTierStandard ||
		*hub.Properties.EventHubEndpoints["events"].PartitionCount != 4 || len(hub.Properties.Locations) != 2 {
		t.Errorf("got tier %s, %d partitions, %d locations", *hub.SKU.Tier,
			*hub.Properties.EventHubEndpoints["events"].PartitionCount, len(hub.Properties.Locations))
	}
	patch, err := c.hubs.BeginUpdate(t.Context(), testGroup, "hub-1",
		armiothub.TagsResource{Tags: map[string]*string{"a": to.Ptr("b")}}, nil)
	check(t, err)
	patched, err := patch.PollUntilDone(t.Context(), nil)
	check(t, err)
	if *patched.Tags["a"] != "b" || *patched.SKU.Name != armiothub.IotHubSKUS1 {
		t.Errorf("got tags %v after the update", patched.Tags)
	}
	if n := pages(t, c.hubs.NewListByResourceGroupPager(testGroup, nil),
		func(p armiothub.ResourceClientListByResourceGroupResponse) int { return len(p.Value) }); n != 1 {
		t.Errorf("got %d hubs in the group, want 1", n)
	}
	remove, err := c.hubs.BeginDelete(t.Context(), testGroup, "hub-1", nil)
	check(t, err)
	_, err = remove.PollUntilDone(t.Context(), nil)
	check(t, err)
	_, err = c.hubs.Get(t.Context(), testGroup, "hub-1", nil)
	refused(t, err, http.StatusNotFound, "ResourceNotFound")
	again, err := c.hubs.BeginDelete(t.Context(), testGroup, "hub-1", nil)
	check(t, err)
	_, err = again.PollUntilDone(t.Context(), nil)
	check(t, err)
}

func TestHubKeys(t *testing.T) {
	t.Parallel()
	c := stock(t, emulator.RunT(t))
	c.makeGroup(t)
	c.putHub(t, "hub-1", aHub())
	keys := func() map[string]string {
		found := map[string]string{}
		pages(t, c.hubs.NewListKeysPager(testGroup, "hub-1", nil),
			func(p armiothub.ResourceClientListKeysResponse) int {
				for _, k := range p.Value {
					found[*k.KeyName] = *k.PrimaryKey
				}
				return 0
			})
		return found
	}
	defaults := keys()
	if len(defaults) != 5 || defaults["iothubowner"] == "" || defaults["registryReadWrite"] == "" {
		t.Fatalf("got policies %v, want Azure's five default ones", slicesOf(defaults))
	}
	c.putHub(t, "hub-1", aHub())
	if !maps.Equal(defaults, keys()) {
		t.Error("got other keys after an update without policies, want the same")
	}
	named := aHub()
	named.Properties = &armiothub.Properties{AuthorizationPolicies: []*armiothub.SharedAccessSignatureAuthorizationRule{
		{KeyName: to.Ptr("link"), Rights: to.Ptr(armiothub.AccessRightsRegistryWriteServiceConnect)},
		{KeyName: to.Ptr("service"), Rights: to.Ptr(armiothub.AccessRightsServiceConnect)},
	}}
	c.putHub(t, "hub-1", named)
	replaced := keys()
	if len(replaced) != 2 || replaced["service"] != defaults["service"] || replaced["link"] == "" {
		t.Errorf("got policies %v, want link and service, the latter with its key", slicesOf(replaced))
	}
	_, err := c.hubs.GetKeysForKeyName(t.Context(), testGroup, "hub-1", "iothubowner", nil)
	refused(t, err, http.StatusNotFound, "iothubowner")
}

func slicesOf(keys map[string]string) (names []string) {
	for name := range keys {
		names = append(names, name)
	}
	return names
}

func TestHubEtag(t *testing.T) {
	t.Parallel()
	c := stock(t, emulator.RunT(t))
	c.makeGroup(t)
	first := c.putHub(t, "hub-1", aHub())
	second := c.putHub(t, "hub-1", aHub())
	if *first.Etag == *second.Etag {
		t.Error("got the same etag after a change, want another")
	}
	_, err := c.hubs.BeginCreateOrUpdate(t.Context(), testGroup, "hub-1", aHub(),
		&armiothub.ResourceClientBeginCreateOrUpdateOptions{IfMatch: first.Etag})
	refused(t, err, http.StatusPreconditionFailed, "Either bad ETag was supplied or IotHub description was changed")
	_, err = c.hubs.BeginCreateOrUpdate(t.Context(), testGroup, "hub-1", aHub(),
		&armiothub.ResourceClientBeginCreateOrUpdateOptions{IfMatch: second.Etag})
	check(t, err)
}

func TestServiceLifecycle(t *testing.T) {
	t.Parallel()
	e := emulator.RunT(t)
	c := stock(t, e)
	c.makeGroup(t)
	c.putHub(t, "hub-1", aHub())
	c.putHub(t, "hub-2", aHub())
	one, two := c.connection(t, "hub-1", "iothubowner"), c.connection(t, "hub-2", "iothubowner")
	type properties = armdeviceprovisioningservices.IotDpsPropertiesDescription
	type hubList = []*armdeviceprovisioningservices.IotHubDefinitionDescription
	made := c.putService(t, "dps-1", properties{IotHubs: hubList{link(one, nil), link(two, to.Ptr[int32](3))}})
	p := made.Properties
	if *p.AllocationPolicy != armdeviceprovisioningservices.AllocationPolicyHashed || *p.State != "Active" ||
		!strings.HasPrefix(*p.IDScope, "0ne") ||
		*p.ServiceOperationsHostName != "dps-1.azure-devices-provisioning.net" ||
		*p.DeviceProvisioningHostName != "global.azure-devices-provisioning.net" {
		t.Errorf("got policy %s, state %s, scope %s, hosts %s, %s", *p.AllocationPolicy, *p.State, *p.IDScope,
			*p.ServiceOperationsHostName, *p.DeviceProvisioningHostName)
	}
	if *p.IotHubs[0].Name != "hub-1.azure-devices.net" || p.IotHubs[0].AllocationWeight != nil ||
		*p.IotHubs[1].AllocationWeight != 3 ||
		!strings.HasSuffix(*p.IotHubs[0].ConnectionString, ";SharedAccessKey=****") {
		t.Errorf("got links %+v, %+v, want them masked, the weight on the second only", *p.IotHubs[0], *p.IotHubs[1])
	}
	// What the CLI does to change a weight: send back what it read.
	p.IotHubs[0].AllocationWeight = to.Ptr[int32](7)
	changed := c.putService(t, "dps-1", properties{IotHubs: p.IotHubs})
	services, err := e.Services()
	check(t, err)
	if *changed.Properties.IDScope != *p.IDScope || services[0].Links[0].Weight != 7 ||
		services[0].Links[1].Weight != 3 {
		t.Errorf("got scope %s and links %+v, want the same scope and weights 7 and 3", *changed.Properties.IDScope,
			services[0].Links)
	}
	if kept := c.putService(t, "dps-1", properties{}); len(kept.Properties.IotHubs) != 2 {
		t.Errorf("got %d links after an update without iotHubs, want 2", len(kept.Properties.IotHubs))
	}
	if unlinked := c.putService(t, "dps-1", properties{IotHubs: hubList{}}); len(unlinked.Properties.IotHubs) != 0 {
		t.Errorf("got %d links after an update with none, want 0", len(unlinked.Properties.IotHubs))
	}
	patch, err := c.services.BeginUpdate(t.Context(), testGroup, "dps-1",
		armdeviceprovisioningservices.TagsResource{Tags: map[string]*string{"a": to.Ptr("b")}}, nil)
	check(t, err)
	patched, err := patch.PollUntilDone(t.Context(), nil)
	check(t, err)
	if *patched.Tags["a"] != "b" {
		t.Errorf("got tags %v after the update", patched.Tags)
	}
	remove, err := c.services.BeginDelete(t.Context(), "dps-1", testGroup, nil)
	check(t, err)
	_, err = remove.PollUntilDone(t.Context(), nil)
	check(t, err)
	_, err = c.services.Get(t.Context(), "dps-1", testGroup, nil)
	refused(t, err, http.StatusNotFound, "ResourceNotFound")
}

func TestServiceKeys(t *testing.T) {
	t.Parallel()
	c := stock(t, emulator.RunT(t))
	c.makeGroup(t)
	type properties = armdeviceprovisioningservices.IotDpsPropertiesDescription
	c.putService(t, "dps-1", properties{})
	owner, err := c.services.ListKeysForKeyName(t.Context(), "dps-1", "provisioningserviceowner", testGroup, nil)
	check(t, err)
	if string(*owner.Rights) != "ServiceConfig, DeviceConnect, EnrollmentWrite" || *owner.PrimaryKey == "" {
		t.Errorf("got rights %q, want the owner's", *owner.Rights)
	}
	key := "MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE="
	c.putService(t, "dps-1", properties{
		AuthorizationPolicies: []*policyOfService{
			{KeyName: to.Ptr("enrollments"), PrimaryKey: to.Ptr(key), SecondaryKey: to.Ptr(key),
				Rights: to.Ptr(armdeviceprovisioningservices.AccessRightsDescriptionEnrollmentWrite)},
		},
	})
	pages(t, c.services.NewListKeysPager("dps-1", testGroup, nil),
		func(p armdeviceprovisioningservices.IotDpsResourceClientListKeysResponse) int {
			if len(p.Value) != 1 || *p.Value[0].KeyName != "enrollments" || *p.Value[0].PrimaryKey != key {
				t.Errorf("got %d policies, want enrollments alone with the key that was sent", len(p.Value))
			}
			return 0
		})
}

func TestNameAvailability(t *testing.T) {
	t.Parallel()
	c := stock(t, emulator.RunT(t))
	c.makeGroup(t)
	c.putHub(t, "hub-1", aHub())
	free, err := c.hubs.CheckNameAvailability(t.Context(), armiothub.OperationInputs{Name: to.Ptr("hub-2")}, nil)
	check(t, err)
	taken, err := c.hubs.CheckNameAvailability(t.Context(), armiothub.OperationInputs{Name: to.Ptr("HUB-1")}, nil)
	check(t, err)
	if !*free.NameAvailable || *taken.NameAvailable ||
		*taken.Reason != armiothub.IotHubNameUnavailabilityReasonAlreadyExists {
		t.Errorf("got hub-2 %v, HUB-1 %v (%s), want free and taken", *free.NameAvailable, *taken.NameAvailable,
			*taken.Reason)
	}
	dps, err := c.services.CheckProvisioningServiceNameAvailability(t.Context(),
		armdeviceprovisioningservices.OperationInputs{Name: to.Ptr("dps-1")}, nil)
	check(t, err)
	if !*dps.NameAvailable {
		t.Error("got that dps-1 is taken, want free")
	}
}

func TestLongRunningOperationsTakeTheirTime(t *testing.T) {
	t.Parallel()
	e := emulator.RunT(t, emulator.Options{LRODelay: time.Hour})
	c := stock(t, e)
	c.makeGroup(t)
	poller, err := c.hubs.BeginCreateOrUpdate(t.Context(), testGroup, "hub-1", aHub(), nil)
	check(t, err)
	if response, err := poller.Poll(t.Context()); err != nil || poller.Done() ||
		response.Header.Get("retry-after-ms") == "" {
		t.Errorf("got %v, done %v, want a running operation that says when to ask again", err, poller.Done())
	}
	hub, err := c.hubs.Get(t.Context(), testGroup, "hub-1", nil)
	check(t, err)
	if *hub.Properties.State != "Activating" || hub.Properties.HostName != nil {
		t.Errorf("got state %s, host %v, want Activating without a host", *hub.Properties.State,
			hub.Properties.HostName)
	}
	_, err = c.hubs.BeginCreateOrUpdate(t.Context(), testGroup, "hub-1", aHub(), nil)
	refused(t, err, http.StatusConflict, "IH409002")
	_, err = c.hubs.GetKeysForKeyName(t.Context(), testGroup, "hub-1", "iothubowner", nil)
	refused(t, err, http.StatusConflict, "IH409002")
}
