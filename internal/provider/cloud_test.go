package provider_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"testing"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/arm"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/cloud"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/to"
	"github.com/Azure/azure-sdk-for-go/sdk/azidentity"
	dps "github.com/Azure/azure-sdk-for-go/sdk/resourcemanager/deviceprovisioningservices/armdeviceprovisioningservices"
	"github.com/Azure/azure-sdk-for-go/sdk/resourcemanager/iothub/armiothub"
	"github.com/Azure/azure-sdk-for-go/sdk/resourcemanager/resources/armresources"

	"evenkeel/emulator"
	"evenkeel/internal/await"
	"evenkeel/internal/azure/sas"
)

const (
	emulatedHost = "dps-1.azure-devices-provisioning.net"
	emulatedHub  = "hub-1.azure-devices.net"
	linkPolicy   = "provisioning"
)

// azure is an emulated cloud, its clients (Azure's own), and devices that register in it.
type azure struct {
	*emulator.Emulator
	roots    *x509.CertPool
	services *dps.IotDpsResourceClient
	hubs     *armiothub.ResourceClient
	devices  *http.Client
}

// newAzure starts an emulator with an empty resource group rg-1.
func newAzure(t *testing.T, options ...emulator.Options) *azure {
	t.Helper()
	a := &azure{Emulator: emulator.RunT(t, options...), roots: x509.NewCertPool()}
	ends := a.Endpoints()
	a.roots.AppendCertsFromPEM(ends.CAPEM)
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: a.roots}}
	t.Cleanup(transport.CloseIdleConnections)
	a.devices = &http.Client{Transport: transport, Timeout: await.Limit}
	client := policy.ClientOptions{
		Transport: a.devices,
		Cloud: cloud.Configuration{
			ActiveDirectoryAuthorityHost: ends.ARM,
			Services: map[cloud.ServiceName]cloud.ServiceConfiguration{
				cloud.ResourceManager: {Endpoint: ends.ARM, Audience: ends.ARM}},
		},
	}
	credential, err := azidentity.NewClientSecretCredential(ends.TenantID, ends.ClientID, ends.ClientSecret,
		&azidentity.ClientSecretCredentialOptions{ClientOptions: client, DisableInstanceDiscovery: true})
	must(t, err)
	armOptions := &arm.ClientOptions{ClientOptions: client}
	resourceGroups, err := armresources.NewResourceGroupsClient(ends.SubscriptionID, credential, armOptions)
	must(t, err)
	_, err = resourceGroups.CreateOrUpdate(t.Context(), "rg-1",
		armresources.ResourceGroup{Location: to.Ptr("westeurope")}, nil)
	must(t, err)
	a.services, err = dps.NewIotDpsResourceClient(ends.SubscriptionID, credential, armOptions)
	must(t, err)
	a.hubs, err = armiothub.NewResourceClient(ends.SubscriptionID, credential, armOptions)
	must(t, err)
	return a
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// putHub creates or updates the hub with the keys of the policy that the provisioning service uses.
func (a *azure) putHub(ctx context.Context, primary, secondary string) error {
	return a.putHubNamed(ctx, "hub-1", primary, secondary)
}

func (a *azure) putHubNamed(ctx context.Context, name, primary, secondary string) error {
	poller, err := a.hubs.BeginCreateOrUpdate(ctx, "rg-1", name, armiothub.Description{
		Location: to.Ptr("westeurope"),
		SKU:      &armiothub.SKUInfo{Name: to.Ptr(armiothub.IotHubSKUS1), Capacity: to.Ptr[int64](1)},
		Properties: &armiothub.Properties{AuthorizationPolicies: []*armiothub.SharedAccessSignatureAuthorizationRule{{
			KeyName: to.Ptr(linkPolicy), PrimaryKey: &primary, SecondaryKey: &secondary,
			Rights: to.Ptr(armiothub.AccessRightsRegistryReadRegistryWriteServiceConnectDeviceConnect),
		}}},
	}, nil)
	if err != nil {
		return err
	}
	_, err = poller.PollUntilDone(ctx, nil)
	return err
}

// putService creates or updates the provisioning service with the keys of the policy for enrollments. With a link key
// it links hub-1 and the other hubs that have this key.
func (a *azure) putService(ctx context.Context, primary, secondary, linkKey string, others ...string) (scope string,
	err error) {
	properties := &dps.IotDpsPropertiesDescription{
		AuthorizationPolicies: []*dps.SharedAccessSignatureAuthorizationRuleAccessRightsDescription{{
			KeyName: to.Ptr(policyName), PrimaryKey: &primary, SecondaryKey: &secondary,
			Rights: to.Ptr(dps.AccessRightsDescription("EnrollmentWrite, RegistrationStatusWrite")),
		}},
	}
	for _, hub := range append([]string{"hub-1"}, others...) {
		if linkKey == "" {
			break
		}
		properties.IotHubs = append(properties.IotHubs, &dps.IotHubDefinitionDescription{
			Location: to.Ptr("westeurope"),
			ConnectionString: to.Ptr(fmt.Sprintf(
				"HostName=%s.azure-devices.net;SharedAccessKeyName=%s;SharedAccessKey=%s", hub, linkPolicy, linkKey)),
		})
	}
	poller, err := a.services.BeginCreateOrUpdate(ctx, "rg-1", "dps-1", dps.ProvisioningServiceDescription{
		Location:   to.Ptr("westeurope"),
		SKU:        &dps.IotDpsSKUInfo{Name: to.Ptr(dps.IotDpsSKUS1), Capacity: to.Ptr[int64](1)},
		Properties: properties,
	}, nil)
	if err != nil {
		return "", err
	}
	made, err := poller.PollUntilDone(ctx, nil)
	if err != nil {
		return "", err
	}
	return *made.Properties.IDScope, nil
}

// linked creates the hub and the service, and returns the provider's configuration for the service and its ID scope.
func (a *azure) linked(t *testing.T) (config object, scope string) {
	t.Helper()
	linkKey, key := newKey(t), newKey(t)
	must(t, a.putHub(t.Context(), linkKey, newKey(t)))
	scope, err := a.putService(t.Context(), key, newKey(t), linkKey)
	must(t, err)
	return a.config(key), scope
}

func (a *azure) config(key string) object {
	ends := a.Endpoints()
	return object{"host": emulatedHost, "policyName": policyName, "key": key, "endpoint": ends.Data,
		"caFile": ends.CAFile, "rateLimit": 0}
}

// register registers a device with a symmetric key over HTTPS and returns the hub that it is assigned to.
func (a *azure) register(ctx context.Context, scope, id, key string) (string, error) {
	token, err := sas.New(scope+"/registrations/"+id, sas.Policy, key, time.Now().Add(time.Hour))
	if err != nil {
		return "", err
	}
	var state struct {
		OperationID  string `json:"operationId"`
		Status       string `json:"status"`
		Registration struct {
			AssignedHub  string `json:"assignedHub"`
			ErrorMessage string `json:"errorMessage"`
		} `json:"registrationState"`
	}
	send := func(method, path, body string) error {
		r, err := http.NewRequestWithContext(ctx, method,
			a.Endpoints().Data+"/"+scope+"/registrations/"+id+path+"?api-version=2021-10-01",
			bytes.NewBufferString(body))
		if err != nil {
			return err
		}
		r.Host = "global.azure-devices-provisioning.net"
		r.Header.Set("Authorization", token)
		r.Header.Set("Content-Type", "application/json")
		response, err := a.devices.Do(r)
		if err != nil {
			return err
		}
		defer response.Body.Close()
		answer, err := io.ReadAll(response.Body)
		if err == nil && response.StatusCode >= 300 {
			err = fmt.Errorf("%s %s: %s: %s", method, path, response.Status, answer)
		}
		if err != nil {
			return err
		}
		return json.Unmarshal(answer, &state)
	}
	err = send(http.MethodPut, "/register", fmt.Sprintf(`{"registrationId":%q}`, id))
	for err == nil && state.Status == "assigning" && ctx.Err() == nil {
		err = send(http.MethodGet, "/operations/"+state.OperationID, "")
	}
	if err == nil && state.Status != "assigned" {
		err = fmt.Errorf("registration of %s ended as %q: %s", id, state.Status, state.Registration.ErrorMessage)
	}
	return state.Registration.AssignedHub, err
}
