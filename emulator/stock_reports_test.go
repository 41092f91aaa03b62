package emulator_test

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/to"
	"github.com/Azure/azure-sdk-for-go/sdk/resourcemanager/deviceprovisioningservices/armdeviceprovisioningservices"
	"github.com/Azure/azure-sdk-for-go/sdk/resourcemanager/iothub/armiothub"
	"github.com/Azure/azure-sdk-for-go/sdk/resourcemanager/resources/armresources"

	"evenkeel/emulator"
)

// The other methods of Azure's own clients: reports of hubs and services, private endpoints, providers, quotas, pages.

func TestHubReports(t *testing.T) {
	t.Parallel()
	e := emulator.RunT(t)
	c := stock(t, e)
	c.makeGroup(t)
	c.putHub(t, "hub-1", aHub())
	ctx := t.Context()
	stats, err := c.hubs.GetStats(ctx, testGroup, "hub-1", nil)
	check(t, err)
	if *stats.TotalDeviceCount != 0 || *stats.EnabledDeviceCount != 0 || *stats.DisabledDeviceCount != 0 {
		t.Errorf("got %+v of an empty hub, want zeros", stats.RegistryStatistics)
	}
	quotas, err := c.hubs.NewGetQuotaMetricsPager(testGroup, "hub-1", nil).NextPage(ctx)
	check(t, err)
	got := map[string]int64{}
	for _, m := range quotas.Value {
		got[*m.Name] = *m.MaxValue
	}
	if got["TotalMessages"] != 400_000 || got["TotalDeviceCount"] != 1_000_000 {
		t.Errorf("got quotas %v, want 400,000 messages and a million devices", got)
	}
	skus, err := c.hubs.NewGetValidSKUsPager(testGroup, "hub-1", nil).NextPage(ctx)
	check(t, err)
	names := []string{}
	for _, s := range skus.Value {
		names = append(names, fmt.Sprint(*s.SKU.Name, " ", *s.Capacity.Maximum, " ", *s.Capacity.ScaleType))
	}
	if want := "S1 200 Manual,S2 200 Manual,S3 10 Manual"; strings.Join(names, ",") != want {
		t.Errorf("got skus %v, want %s", names, want)
	}
	health, err := c.hubs.NewGetEndpointHealthPager(testGroup, "hub-1", nil).NextPage(ctx)
	check(t, err)
	jobs, err := c.hubs.NewListJobsPager(testGroup, "hub-1", nil).NextPage(ctx)
	check(t, err)
	if len(health.Value)+len(jobs.Value) != 0 {
		t.Errorf("got %d endpoints and %d jobs, want none", len(health.Value), len(jobs.Value))
	}
	_, err = c.hubs.GetJob(ctx, testGroup, "hub-1", "job-1", nil)
	refused(t, err, http.StatusNotFound, "job-1")
	_, err = c.hubs.GetStats(ctx, testGroup, "hub-9", nil)
	refused(t, err, http.StatusNotFound, "ResourceNotFound")
}

func TestUnsupportedHubOperationsAreRefused(t *testing.T) {
	t.Parallel()
	e := emulator.RunT(t)
	c := stock(t, e)
	c.makeGroup(t)
	c.putHub(t, "hub-1", aHub())
	_, err := c.hubs.ExportDevices(t.Context(), testGroup, "hub-1", armiothub.ExportDevicesRequest{}, nil)
	refused(t, err, http.StatusNotImplemented, "export")
	_, err = c.hubs.ImportDevices(t.Context(), testGroup, "hub-1", armiothub.ImportDevicesRequest{}, nil)
	refused(t, err, http.StatusNotImplemented, "import")
	_, err = c.hubs.TestAllRoutes(t.Context(), "hub-1", testGroup, armiothub.TestAllRoutesInput{}, nil)
	refused(t, err, http.StatusNotImplemented, "Routing")
	_, err = c.hubs.TestRoute(t.Context(), "hub-1", testGroup, armiothub.TestRouteInput{}, nil)
	refused(t, err, http.StatusNotImplemented, "Routing")
	_, err = c.failover.BeginManualFailover(t.Context(), "hub-1", testGroup,
		armiothub.FailoverInput{FailoverRegion: to.Ptr("northeurope")}, nil)
	refused(t, err, http.StatusNotImplemented, "failover")
}

func TestPrivateEndpointConnections(t *testing.T) {
	t.Parallel()
	e := emulator.RunT(t)
	c := stock(t, e)
	c.makeGroup(t)
	c.putHub(t, "hub-1", aHub())
	c.putService(t, "dps-1", armdeviceprovisioningservices.IotDpsPropertiesDescription{})
	ctx := t.Context()
	const endpoint = "/subscriptions/s/resourceGroups/g/providers/Microsoft.Network/privateEndpoints/p"

	hubConnection := func(status armiothub.PrivateLinkServiceConnectionStatus) armiothub.PrivateEndpointConnection {
		return armiothub.PrivateEndpointConnection{Properties: &armiothub.PrivateEndpointConnectionProperties{
			PrivateLinkServiceConnectionState: &armiothub.PrivateLinkServiceConnectionState{Status: &status,
				Description: to.Ptr("by me")},
		}}
	}
	_, err := c.hubConnections.Get(ctx, testGroup, "hub-1", "c1", nil)
	refused(t, err, http.StatusNotFound, "c1")
	for _, status := range []armiothub.PrivateLinkServiceConnectionStatus{"Pending", "Approved"} {
		poller, err := c.hubConnections.BeginUpdate(ctx, testGroup, "hub-1", "c1", hubConnection(status), nil)
		check(t, err)
		done, err := poller.PollUntilDone(ctx, nil)
		check(t, err)
		if *done.Properties.PrivateLinkServiceConnectionState.Status != status {
			t.Errorf("got %+v, want %s", done.Properties.PrivateLinkServiceConnectionState, status)
		}
	}
	_, err = c.hubConnections.BeginUpdate(ctx, testGroup, "hub-1", "c1", hubConnection("Maybe"), nil)
	refused(t, err, http.StatusBadRequest, "Maybe")
	listed, err := c.hubConnections.List(ctx, testGroup, "hub-1", nil)
	check(t, err)
	hub, err := c.hubs.Get(ctx, testGroup, "hub-1", nil)
	check(t, err)
	if shown := hub.Properties.PrivateEndpointConnections; len(listed.PrivateEndpointConnectionArray) != 1 ||
		len(shown) != 1 ||
		*shown[0].Properties.PrivateLinkServiceConnectionState.Status != "Approved" || *shown[0].Name != "c1" {
		t.Errorf("got %d in the list and %d in the hub, want the one that was approved",
			len(listed.PrivateEndpointConnectionArray), len(shown))
	}
	deleting, err := c.hubConnections.BeginDelete(ctx, testGroup, "hub-1", "c1", nil)
	check(t, err)
	_, err = deleting.PollUntilDone(ctx, nil)
	check(t, err)
	links, err := c.hubLinks.List(ctx, testGroup, "hub-1", nil)
	check(t, err)
	link, err := c.hubLinks.Get(ctx, testGroup, "hub-1", "iotHub", nil)
	check(t, err)
	if len(links.Value) != 1 || *link.Properties.GroupID != "iotHub" || len(link.Properties.RequiredZoneNames) != 2 {
		t.Errorf("got %d link resources, %+v, want iotHub with its zones", len(links.Value), link.Properties)
	}

	poller, err := c.services.BeginCreateOrUpdatePrivateEndpointConnection(ctx, testGroup, "dps-1", "c1",
		armdeviceprovisioningservices.PrivateEndpointConnection{
			Properties: &armdeviceprovisioningservices.PrivateEndpointConnectionProperties{
				PrivateEndpoint: &armdeviceprovisioningservices.PrivateEndpoint{ID: to.Ptr(endpoint)},
				PrivateLinkServiceConnectionState: &armdeviceprovisioningservices.PrivateLinkServiceConnectionState{
					Status:      to.Ptr(armdeviceprovisioningservices.PrivateLinkServiceConnectionStatusApproved),
					Description: to.Ptr("by me"),
				},
			},
		}, nil)
	check(t, err)
	_, err = poller.PollUntilDone(ctx, nil)
	check(t, err)
	one, err := c.services.GetPrivateEndpointConnection(ctx, testGroup, "dps-1", "c1", nil)
	check(t, err)
	if *one.Properties.PrivateEndpoint.ID != endpoint {
		t.Errorf("got the endpoint %s, want what was sent", *one.Properties.PrivateEndpoint.ID)
	}
	all, err := c.services.ListPrivateEndpointConnections(ctx, testGroup, "dps-1", nil)
	check(t, err)
	service, err := c.services.Get(ctx, "dps-1", testGroup, nil)
	check(t, err)
	if len(all.PrivateEndpointConnectionArray) != 1 || len(service.Properties.PrivateEndpointConnections) != 1 {
		t.Errorf("got %d in the list and %d in the service, want one", len(all.PrivateEndpointConnectionArray),
			len(service.Properties.PrivateEndpointConnections))
	}
	serviceLinks, err := c.services.ListPrivateLinkResources(ctx, testGroup, "dps-1", nil)
	check(t, err)
	serviceLink, err := c.services.GetPrivateLinkResources(ctx, testGroup, "dps-1", *serviceLinks.Value[0].Name, nil)
	check(t, err)
	if *serviceLink.Properties.GroupID != "iotDps" {
		t.Errorf("got the group %s, want iotDps", *serviceLink.Properties.GroupID)
	}
	_, err = c.services.GetPrivateLinkResources(ctx, testGroup, "dps-1", "iotHub", nil)
	refused(t, err, http.StatusNotFound, "iotHub")
	gone, err := c.services.BeginDeletePrivateEndpointConnection(ctx, testGroup, "dps-1", "c1", nil)
	check(t, err)
	_, err = gone.PollUntilDone(ctx, nil)
	check(t, err)
	skus := pages(t, c.services.NewListValidSKUsPager("dps-1", testGroup, nil),
		func(p armdeviceprovisioningservices.IotDpsResourceClientListValidSKUsResponse) int {
			return len(p.Value)
		})
	if skus != 1 {
		t.Errorf("got %d skus of a provisioning service, want S1", skus)
	}
}

func TestIPFiltersAreStoredAndShown(t *testing.T) {
	t.Parallel()
	e := emulator.RunT(t)
	c := stock(t, e)
	c.makeGroup(t)
	d := aHub()
	d.Properties = &armiothub.Properties{
		PublicNetworkAccess: to.Ptr(armiothub.PublicNetworkAccessDisabled),
		IPFilterRules: []*armiothub.IPFilterRule{{FilterName: to.Ptr("office"),
			Action: to.Ptr(armiothub.IPFilterActionTypeAccept), IPMask: to.Ptr("10.0.0.0/8")}},
	}
	hub := c.putHub(t, "hub-1", d)
	if len(hub.Properties.IPFilterRules) != 1 || *hub.Properties.IPFilterRules[0].IPMask != "10.0.0.0/8" ||
		*hub.Properties.PublicNetworkAccess != "Disabled" {
		t.Errorf("got %+v, want the rule that was sent", hub.Properties)
	}
	service := c.putService(t, "dps-1", armdeviceprovisioningservices.IotDpsPropertiesDescription{
		IPFilterRules: []*armdeviceprovisioningservices.IPFilterRule{{
			FilterName: to.Ptr("office"), Action: to.Ptr(armdeviceprovisioningservices.IPFilterActionTypeReject),
			IPMask: to.Ptr("192.0.2.1"),
			Target: to.Ptr(armdeviceprovisioningservices.IPFilterTargetTypeDeviceAPI),
		}},
	})
	if rules := service.Properties.IPFilterRules; len(rules) != 1 || *rules[0].Target != "deviceApi" {
		t.Errorf("got %+v, want the rule that was sent", rules)
	}
}

func TestQuotasOfASubscription(t *testing.T) {
	t.Parallel()
	e := emulator.RunT(t)
	c := stock(t, e)
	c.makeGroup(t)
	free := aHub()
	free.SKU = &armiothub.SKUInfo{Name: to.Ptr(armiothub.IotHubSKUF1), Capacity: to.Ptr[int64](1)}
	c.putHub(t, "free-1", free)
	c.putHub(t, "free-1", free) // a change is no creation
	_, err := c.hubs.BeginCreateOrUpdate(t.Context(), testGroup, "free-2", free, nil)
	refused(t, err, http.StatusBadRequest,
		"Max number of Iot Hubs exceeded for sku = Free, Max Allowed = 1, Current = 2")
	w := plain(t, e)
	for i := range 50 {
		w.must("PUT", groupPath+fmt.Sprintf("/providers/Microsoft.Devices/IotHubs/hub-%d", i)+hubVersion, hubJSON)
	}
	_, err = c.hubs.BeginCreateOrUpdate(t.Context(), testGroup, "hub-50", aHub(), nil)
	refused(t, err, http.StatusBadRequest, "IH400019")
	for i := range 10 {
		w.must("PUT", groupPath+fmt.Sprintf("/providers/Microsoft.Devices/provisioningServices/dps-%d", i)+
			serviceVersion, serviceJSON)
	}
	_, err = c.services.BeginCreateOrUpdate(t.Context(), testGroup, "dps-10",
		aService(armdeviceprovisioningservices.IotDpsPropertiesDescription{}), nil)
	refused(t, err, http.StatusBadRequest, "Max Allowed = 10, Current = 11")
	usages, err := c.quotas.GetSubscriptionQuota(t.Context(), nil)
	check(t, err)
	var names []string
	for _, u := range usages.Value {
		names = append(names, *u.Name.Value)
		if *u.CurrentValue != *u.Limit {
			t.Errorf("got %s with %d of %d, want it full", *u.Name.Value, *u.CurrentValue, *u.Limit)
		}
	}
	if want := []string{"freeIotHubCount", "paidIotHubCount"}; !slices.Equal(names, want) {
		t.Errorf("got usages %q, want %q", names, want)
	}
}

func TestQuotasCanBeChanged(t *testing.T) {
	t.Parallel()
	w := plain(t, emulator.RunT(t, emulator.Options{Quotas: emulator.Quotas{Hubs: 1, Services: -1}}))
	w.must("PUT", groupPath+groupVersion, groupJSON)
	w.must("PUT", hubPath+hubVersion, hubJSON)
	if status, body := w.call("PUT", strings.Replace(hubPath, "hub-1", "hub-2", 1)+hubVersion,
		hubJSON); status != 400 || body["code"] != 400019.0 {
		t.Errorf("got %d %v of a second hub, want 400019", status, body)
	}
	for i := range 12 {
		w.must("PUT", groupPath+fmt.Sprintf("/providers/Microsoft.Devices/provisioningServices/dps-%d", i)+
			serviceVersion, serviceJSON)
	}
}

func TestASubscriptionRegistersItsProviders(t *testing.T) {
	t.Parallel()
	e := emulator.RunT(t, emulator.Options{Unregistered: true})
	c := stock(t, e)
	c.makeGroup(t)
	w := plain(t, e)
	for path, body := range map[string]string{hubPath + hubVersion: hubJSON, servicePath +
		serviceVersion: serviceJSON} {
		t.Run(path, func(t *testing.T) {
			if status, answer := w.call("PUT", path, body); status != http.StatusConflict ||
				!strings.Contains(fmt.Sprint(answer), "MissingSubscriptionRegistration") {
				t.Errorf("%s: got %d %v, want MissingSubscriptionRegistration", path, status, answer)
			}
		})
	}
	provider, err := c.providers.Get(t.Context(), "Microsoft.Devices", nil)
	check(t, err)
	if *provider.RegistrationState != "NotRegistered" || len(provider.ResourceTypes) != 2 {
		t.Errorf("got %s with %d types, want NotRegistered with two", *provider.RegistrationState,
			len(provider.ResourceTypes))
	}
	c.putHub(t, "hub-1", aHub()) // Azure's own client registers automatically after this error
	registered, err := c.providers.Register(t.Context(), "Microsoft.Devices", nil)
	check(t, err)
	if *registered.RegistrationState != "Registered" {
		t.Errorf("got %s, want Registered", *registered.RegistrationState)
	}
	_, err = c.providers.Unregister(t.Context(), "Microsoft.Devices", nil)
	refused(t, err, http.StatusConflict, "CannotUnregisterNamespace")
	if n := pages(t, c.providers.NewListPager(nil),
		func(p armresources.ProvidersClientListResponse) int { return len(p.Value) }); n != 1 {
		t.Errorf("got %d providers, want Microsoft.Devices", n)
	}
	if n := pages(t, c.operations.NewListPager(nil),
		func(p armiothub.OperationsClientListResponse) int { return len(p.Value) }); n != 6 {
		t.Errorf("got %d operations, want 6", n)
	}
}

func TestListsArePaged(t *testing.T) {
	t.Parallel()
	e := emulator.RunT(t)
	c := stock(t, e)
	c.makeGroup(t)
	d := aHub()
	d.Tags = map[string]*string{"stage": to.Ptr("test")}
	for i := range 5 {
		c.putHub(t, fmt.Sprintf("hub-%d", i), d)
		d.Tags = nil
	}
	c.putService(t, "dps-1", armdeviceprovisioningservices.IotDpsPropertiesDescription{})
	count := 0
	pager := c.all.NewListByResourceGroupPager(testGroup,
		&armresources.ClientListByResourceGroupOptions{Top: to.Ptr[int32](2)})
	for pages := 0; pager.More(); pages++ {
		page, err := pager.NextPage(t.Context())
		check(t, err)
		if len(page.Value) > 2 || pages > 2 {
			t.Fatalf("got %d items on page %d, want at most 2 on each of three", len(page.Value), pages)
		}
		count += len(page.Value)
	}
	if count != 6 {
		t.Errorf("got %d resources on all pages, want 6", count)
	}
	for filter, want := range map[string]int{
		"resourceType eq 'Microsoft.Devices/IotHubs'": 5, "tagName eq 'stage' and tagValue eq 'test'": 1,
		"resourceType eq 'microsoft.devices/provisioningservices'": 1, "tagName eq 'Stage' and tagValue eq 'live'": 0,
	} {
		t.Run(filter, func(t *testing.T) {
			got := pages(t, c.all.NewListPager(&armresources.ClientListOptions{Filter: to.Ptr(filter)}),
				func(p armresources.ClientListResponse) int { return len(p.Value) })
			if got != want {
				t.Errorf("%s: got %d resources, want %d", filter, got, want)
			}
		})
	}
	_, err := c.all.NewListPager(&armresources.ClientListOptions{Filter: to.Ptr("plan eq 'hub'")}).NextPage(t.Context())
	refused(t, err, http.StatusBadRequest, "InvalidFilterInQueryString")
	w := plain(t, e)
	for path, code := range map[string]string{"&$top=none": "InvalidTopInQueryString",
		"&$skiptoken=!": "InvalidSkipToken"} {
		t.Run(path, func(t *testing.T) {
			if status, body := w.call("GET", groupPath+"/resources"+groupVersion+path, ""); status != 400 ||
				!strings.Contains(fmt.Sprint(body), code) {
				t.Errorf("%s: got %d %v, want %s", path, status, body, code)
			}
		})
	}
	if locations := w.must("GET", "/subscriptions/"+emulator.SubscriptionID+"/locations"+groupVersion,
		"")["value"].([]any); len(locations) < 20 {
		t.Errorf("got %d locations, want Azure's", len(locations))
	}
	if status, body := w.call("PUT", groupPath+"/providers/Microsoft.Resources/deployments/d"+groupVersion,
		"{}"); status != 404 {
		t.Errorf("got %d %v for a deployment, want 404", status, body)
	}
}

// reports are the clients of this file.
type reports struct {
	failover       *armiothub.Client
	hubConnections *armiothub.PrivateEndpointConnectionsClient
	hubLinks       *armiothub.PrivateLinkResourcesClient
	quotas         *armiothub.ResourceProviderCommonClient
	operations     *armiothub.OperationsClient
	providers      *armresources.ProvidersClient
}

func newReports(factory *armiothub.ClientFactory, resources *armresources.ClientFactory) reports {
	return reports{
		factory.NewClient(), factory.NewPrivateEndpointConnectionsClient(), factory.NewPrivateLinkResourcesClient(),
		factory.NewResourceProviderCommonClient(), factory.NewOperationsClient(), resources.NewProvidersClient(),
	}
}
