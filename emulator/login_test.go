package emulator_test

import (
	"encoding/json"
	"net/http"
	"os"
	"sync/atomic"
	"testing"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/arm"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/cloud"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/Azure/azure-sdk-for-go/sdk/azidentity"
	"github.com/Azure/azure-sdk-for-go/sdk/resourcemanager/resources/armresources"

	"evenkeel/emulator"
)

// TestAzureClientsUseTheMetadataEndpoint knows the address of the metadata endpoint and what identifies the client, and
// nothing else: the login endpoint, Resource Manager and the audience come from the answer.
func TestAzureClientsUseTheMetadataEndpoint(t *testing.T) {
	t.Parallel()
	e := emulator.RunT(t, emulator.Options{Dir: t.TempDir()})
	ends := e.Endpoints()
	web := client(t, e)
	response, err := web.Get(ends.ARM + "/metadata/endpoints?api-version=2022-09-01")
	check(t, err)
	defer response.Body.Close()
	var metadata struct {
		ResourceManager string
		Authentication  struct {
			LoginEndpoint string
			Audiences     []string
		}
	}
	check(t, json.NewDecoder(response.Body).Decode(&metadata))
	options := policy.ClientOptions{Transport: web, Cloud: cloud.Configuration{
		ActiveDirectoryAuthorityHost: metadata.Authentication.LoginEndpoint,
		Services: map[cloud.ServiceName]cloud.ServiceConfiguration{
			cloud.ResourceManager: {Endpoint: metadata.ResourceManager, Audience: metadata.Authentication.Audiences[0]},
		},
	}}
	bySecret, err := azidentity.NewClientSecretCredential(ends.TenantID, ends.ClientID, ends.ClientSecret,
		&azidentity.ClientSecretCredentialOptions{ClientOptions: options, DisableInstanceDiscovery: true})
	check(t, err)
	file, err := os.ReadFile(ends.ClientCertificateFile)
	check(t, err)
	certificates, key, err := azidentity.ParseCertificates(file, nil)
	check(t, err)
	byCertificate, err := azidentity.NewClientCertificateCredential(ends.TenantID, ends.ClientID, certificates, key,
		&azidentity.ClientCertificateCredentialOptions{ClientOptions: options, DisableInstanceDiscovery: true,
			SendCertificateChain: true})
	check(t, err)
	for name, credential := range map[string]azcore.TokenCredential{"a secret": bySecret,
		"a certificate": byCertificate} {
		t.Run(name, func(t *testing.T) {
			groups, err := armresources.NewResourceGroupsClient(ends.SubscriptionID, credential,
				&arm.ClientOptions{ClientOptions: options})
			check(t, err)
			location := "westeurope"
			if _, err := groups.CreateOrUpdate(t.Context(), "rg-1", armresources.ResourceGroup{Location: &location},
				nil); err != nil {
				t.Errorf("a login by %s: got %v", name, err)
			}
		})
	}
}

func TestResourceManagerRefusesTokens(t *testing.T) {
	t.Parallel()
	var ahead atomic.Int64
	e := emulator.RunT(t, emulator.Options{
		Now: func() time.Time { return time.Now().Add(time.Duration(ahead.Load())) }})
	web := client(t, e)
	call := func(token string) int {
		t.Helper()
		r, err := http.NewRequestWithContext(t.Context(), "GET", e.Endpoints().ARM+
			"/subscriptions?api-version=2022-12-01", nil)
		check(t, err)
		r.Header.Set("Authorization", "Bearer "+token)
		response, err := web.Do(r)
		check(t, err)
		defer response.Body.Close()
		return response.StatusCode
	}
	const management = "https://management.azure.com/.default"
	good := tokenFor(t, e, management)
	if got := call(good); got != http.StatusOK {
		t.Fatalf("a good token: got %d, want 200", got)
	}
	other := emulator.RunT(t)
	for name, token := range map[string]string{
		"another audience":         tokenFor(t, e, "https://azure-devices-provisioning.net/.default"),
		"another cloud's issuer":   tokenFor(t, other, management),
		"another cloud's audience": tokenFor(t, other, other.Endpoints().ARM+"/.default"),
		"another signature":        good[:len(good)-6] + "AAAAAA",
	} {
		t.Run(name, func(t *testing.T) {
			if got := call(token); got != http.StatusUnauthorized {
				t.Errorf("%s: got %d, want 401", name, got)
			}
		})
	}
	ahead.Store(int64(2 * time.Hour))
	if got := call(good); got != http.StatusUnauthorized {
		t.Errorf("an expired token: got %d, want 401", got)
	}
}
