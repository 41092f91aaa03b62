package environment

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/arm"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/cloud"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/runtime"
	"github.com/Azure/azure-sdk-for-go/sdk/azidentity"
	"github.com/Azure/azure-sdk-for-go/sdk/resourcemanager/resources/armresources"
)

// The api-versions with which recovery deletes what it finds: those of azure-native 2.92.3, with which it was created.
var deleteVersions = map[string]string{
	"microsoft.devices/iothubs":              "2022-04-30-preview",
	"microsoft.devices/provisioningservices": "2022-12-12",
}

// ResourceManager is Azure over the management API.
type ResourceManager struct {
	groups    *armresources.ResourceGroupsClient
	resources *armresources.Client
	providers *armresources.ProvidersClient
	// pipeline sends what no client of the SDK has.
	pipeline     *arm.Client
	subscription string
	// retry is the time between two tries while a resource is in transition.
	retry time.Duration
}

// NewResourceManager returns Azure for a subscription; options lead the same calls to Azure or to the emulator.
func NewResourceManager(subscription string, credential azcore.TokenCredential, options *arm.ClientOptions, retry time.Duration) (*ResourceManager, error) {
	groups, err := armresources.NewResourceGroupsClient(subscription, credential, options)
	if err != nil {
		return nil, fmt.Errorf("make the resource group client: %w", err)
	}
	resources, err := armresources.NewClient(subscription, credential, options)
	if err != nil {
		return nil, fmt.Errorf("make the resource client: %w", err)
	}
	providers, err := armresources.NewProvidersClient(subscription, credential, options)
	if err != nil {
		return nil, fmt.Errorf("make the provider client: %w", err)
	}
	pipeline, err := arm.NewClient("evenkeel/environment", "v1.0.0", credential, options)
	if err != nil {
		return nil, fmt.Errorf("make the management client: %w", err)
	}
	return &ResourceManager{groups, resources, providers, pipeline, subscription, retry}, nil
}

// Emulator returns Azure as the emulator at the endpoints plays it.
func Emulator(e Endpoints) (*ResourceManager, error) {
	credential, client, err := Client(e)
	if err != nil {
		return nil, err
	}
	return NewResourceManager(e.SubscriptionID, credential, &arm.ClientOptions{ClientOptions: client, DisableRPRegistration: true}, 50*time.Millisecond)
}

// Client returns what any client of the Azure SDK needs to speak to the emulator's management API.
func Client(e Endpoints) (azcore.TokenCredential, policy.ClientOptions, error) {
	secret, err := os.ReadFile(e.SecretFile)
	if err != nil {
		return nil, policy.ClientOptions{}, fmt.Errorf("read the emulator's client secret: %w", err)
	}
	pool, err := e.Roots()
	if err != nil {
		return nil, policy.ClientOptions{}, err
	}
	options := policy.ClientOptions{
		Cloud: cloud.Configuration{
			ActiveDirectoryAuthorityHost: e.ARM,
			Services:                     map[cloud.ServiceName]cloud.ServiceConfiguration{cloud.ResourceManager: {Audience: e.ARM, Endpoint: e.ARM}},
		},
		Transport: &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12}}},
	}
	credential, err := azidentity.NewClientSecretCredential(e.TenantID, e.ClientID, strings.TrimSpace(string(secret)),
		&azidentity.ClientSecretCredentialOptions{ClientOptions: options, DisableInstanceDiscovery: true})
	if err != nil {
		return nil, policy.ClientOptions{}, fmt.Errorf("make the emulator's credential: %w", err)
	}
	return credential, options, nil
}

// Roots returns the certificate that every client of the emulator trusts, and no other; nil, which is what the system trusts, where
// there is no emulator.
func (e Endpoints) Roots() (*x509.CertPool, error) {
	if e.CAFile == "" {
		return nil, nil
	}
	authority, err := os.ReadFile(e.CAFile)
	if err != nil {
		return nil, fmt.Errorf("read the emulator's certificate: %w", err)
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(authority) {
		return nil, fmt.Errorf("read the emulator's certificate: %s holds none", e.CAFile)
	}
	return pool, nil
}

// Groups implements Cloud. The tags are compared here: ARM's own filter takes one tag only.
func (m *ResourceManager) Groups(ctx context.Context, tags map[string]string) ([]Tagged, error) {
	var groups []Tagged
	for pager := m.groups.NewListPager(nil); pager.More(); {
		page, err := pager.NextPage(ctx)
		if err != nil {
			return nil, err
		}
		for _, found := range page.Value {
			if group := groupOf(found); group.ID != "" && group.carries(tags) {
				groups = append(groups, group)
			}
		}
	}
	return groups, nil
}

// Group implements Cloud.
func (m *ResourceManager) Group(ctx context.Context, text string) (Tagged, bool, error) {
	id, err := arm.ParseResourceID(text)
	if err != nil {
		return Tagged{}, false, err
	}
	found, err := m.groups.Get(ctx, id.ResourceGroupName, nil)
	if answer := (*azcore.ResponseError)(nil); errors.As(err, &answer) && answer.StatusCode == http.StatusNotFound {
		return Tagged{}, false, nil
	}
	return groupOf(&found.ResourceGroup), err == nil, err
}

func groupOf(found *armresources.ResourceGroup) Tagged { return tagged(found.ID, found.Tags) }

func tagged(id *string, tags map[string]*string) Tagged {
	t := Tagged{Tags: map[string]string{}}
	if id != nil {
		t.ID = *id
	}
	for name, value := range tags {
		if value != nil {
			t.Tags[strings.ToLower(name)] = *value
		}
	}
	return t
}

// Resources implements Cloud.
func (m *ResourceManager) Resources(ctx context.Context, group string) ([]Tagged, error) {
	id, err := arm.ParseResourceID(group)
	if err != nil {
		return nil, err
	}
	var found []Tagged
	for pager := m.resources.NewListByResourceGroupPager(id.ResourceGroupName, nil); pager.More(); {
		page, err := pager.NextPage(ctx)
		if err != nil {
			return nil, err
		}
		for _, resource := range page.Value {
			if resource.ID != nil {
				found = append(found, tagged(resource.ID, resource.Tags))
			}
		}
	}
	return found, nil
}

// Tag implements Tagger. A PATCH of a group's tags replaces them all, so that the others are read and sent along.
func (m *ResourceManager) Tag(ctx context.Context, group, name, value string) error {
	id, err := arm.ParseResourceID(group)
	if err != nil {
		return err
	}
	have, err := m.groups.Get(ctx, id.ResourceGroupName, nil)
	if err != nil {
		return err
	}
	tags := map[string]*string{}
	maps.Copy(tags, have.Tags)
	tags[name] = &value
	_, err = m.groups.Update(ctx, id.ResourceGroupName, armresources.ResourceGroupPatchable{Tags: tags}, nil)
	return err
}

// Delete implements Cloud. A resource that is still being made answers 409 until it is ready; Delete waits for that.
func (m *ResourceManager) Delete(ctx context.Context, id string) error {
	for {
		err := m.delete(ctx, id)
		var answer *azcore.ResponseError
		if !errors.As(err, &answer) {
			return err
		}
		if answer.StatusCode == http.StatusNotFound {
			return nil
		}
		if answer.StatusCode != http.StatusConflict {
			return err
		}
		select {
		case <-ctx.Done():
			return err
		case <-time.After(m.retry):
		}
	}
}

func (m *ResourceManager) delete(ctx context.Context, text string) error {
	id, err := arm.ParseResourceID(text)
	if err != nil {
		return err
	}
	wait := &runtime.PollUntilDoneOptions{Frequency: time.Second} // the least that azcore takes; retry-after-ms may shorten it
	if strings.EqualFold(id.ResourceType.String(), "Microsoft.Resources/resourceGroups") {
		poller, err := m.groups.BeginDelete(ctx, id.ResourceGroupName, nil)
		if err == nil {
			_, err = poller.PollUntilDone(ctx, wait)
		}
		return err
	}
	version, err := m.version(ctx, id.ResourceType)
	if err != nil {
		return err
	}
	poller, err := m.resources.BeginDeleteByID(ctx, text, version, nil)
	if err == nil {
		_, err = poller.PollUntilDone(ctx, wait)
	}
	return err
}

// version returns an api-version with which a resource type can be deleted; Azure is asked about types that the program never makes.
func (m *ResourceManager) version(ctx context.Context, kind arm.ResourceType) (string, error) {
	if version := deleteVersions[strings.ToLower(kind.String())]; version != "" {
		return version, nil
	}
	provider, err := m.providers.Get(ctx, kind.Namespace, nil)
	if err != nil {
		return "", fmt.Errorf("look for the api-versions of %s: %w", kind, err)
	}
	for _, known := range provider.ResourceTypes {
		if known.ResourceType == nil || !strings.EqualFold(*known.ResourceType, kind.Type) {
			continue
		}
		if known.DefaultAPIVersion != nil {
			return *known.DefaultAPIVersion, nil
		}
		if len(known.APIVersions) > 0 && known.APIVersions[0] != nil {
			return *known.APIVersions[0], nil
		}
	}
	return "", fmt.Errorf("no api-version is known for type %s", kind)
}
