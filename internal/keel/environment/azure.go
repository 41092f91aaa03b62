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
	"sync"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/arm"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/cloud"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/Azure/azure-sdk-for-go/sdk/azidentity"
	"github.com/Azure/azure-sdk-for-go/sdk/resourcemanager/resources/armresources"

	"evenkeel/internal/azure/hublink"
)

// ResourceManager is a client of Azure's management API.
type ResourceManager struct {
	groups    *armresources.ResourceGroupsClient
	resources *armresources.Client
	providers *armresources.ProvidersClient
	// pipeline sends requests for which the SDK has no client.
	pipeline     *arm.Client
	subscription string
	credential   azcore.TokenCredential
	options      *arm.ClientOptions
	// viewsOf and viewsErr are what views returns, after once.
	viewsOf  *hublink.Client
	viewsErr error
	once     sync.Once
	// retry is the time between two attempts while a resource is in transition.
	retry time.Duration
	// Patience is how long a deletion waits for a resource in transition.
	Patience time.Duration
	// Notice receives a line when a deletion has to wait. Nil drops it.
	Notice func(text string)
}

// NewResourceManager returns a client for a subscription; options select Azure or the emulator.
func NewResourceManager(subscription string, credential azcore.TokenCredential, options *arm.ClientOptions,
	retry time.Duration) (*ResourceManager, error) {
	groups, err := armresources.NewResourceGroupsClient(subscription, credential, options)
	if err != nil {
		return nil, fmt.Errorf("create the resource group client: %w", err)
	}
	resources, err := armresources.NewClient(subscription, credential, options)
	if err != nil {
		return nil, fmt.Errorf("create the resource client: %w", err)
	}
	providers, err := armresources.NewProvidersClient(subscription, credential, options)
	if err != nil {
		return nil, fmt.Errorf("create the provider client: %w", err)
	}
	pipeline, err := arm.NewClient("evenkeel/environment", "v1.0.0", credential, options)
	if err != nil {
		return nil, fmt.Errorf("create the management client: %w", err)
	}
	return &ResourceManager{
		groups: groups, resources: resources, providers: providers, pipeline: pipeline, subscription: subscription,
		credential: credential, options: options, retry: retry, Patience: transitionPatience,
	}, nil
}

// Emulator returns a client of the emulator at the endpoints.
func Emulator(e Endpoints) (*ResourceManager, error) {
	credential, client, err := Client(e)
	if err != nil {
		return nil, err
	}
	return NewResourceManager(e.SubscriptionID, credential, &arm.ClientOptions{ClientOptions: client,
		DisableRPRegistration: true}, 50*time.Millisecond)
}

// Client returns the credential and options with which clients of the Azure SDK reach the emulator's management API.
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
			Services: map[cloud.ServiceName]cloud.ServiceConfiguration{
				cloud.ResourceManager: {Audience: e.ARM, Endpoint: e.ARM}},
		},
		Transport: &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool,
			MinVersion: tls.VersionTLS12}}},
	}
	credential, err := azidentity.NewClientSecretCredential(e.TenantID, e.ClientID, strings.TrimSpace(string(secret)),
		&azidentity.ClientSecretCredentialOptions{ClientOptions: options, DisableInstanceDiscovery: true})
	if err != nil {
		return nil, policy.ClientOptions{}, fmt.Errorf("create the emulator's credential: %w", err)
	}
	return credential, options, nil
}

// Roots returns a pool with only the emulator's certificate; nil, which means the system's roots, without an emulator.
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
		return nil, fmt.Errorf("read the emulator's certificate: no certificate in %s", e.CAFile)
	}
	return pool, nil
}

// Groups implements Cloud. It compares the tags itself, because ARM's filter takes only one tag.
func (m *ResourceManager) Groups(ctx context.Context, tags map[string]string) ([]Tagged, error) {
	var groups []Tagged
	for pager := m.groups.NewListPager(nil); pager.More(); {
		page, err := pager.NextPage(ctx)
		if err != nil {
			return nil, err
		}
		for _, found := range page.Value {
			if group := groupOf(found); group.ID != "" && group.hasTags(tags) {
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

// Tag implements Tagger. A PATCH of a group's tags replaces them all, so Tag reads the others and sends them along.
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
