package login

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/cloud"
)

// clouds maps the names that azure-native and the Azure CLI use for clouds, in lower case.
var clouds = map[string]cloud.Configuration{
	"": cloud.AzurePublic, "public": cloud.AzurePublic, "azurecloud": cloud.AzurePublic,
	"azurepubliccloud": cloud.AzurePublic,
	"usgovernment":     cloud.AzureGovernment, "usgov": cloud.AzureGovernment,
	"azureusgovernment":      cloud.AzureGovernment,
	"azureusgovernmentcloud": cloud.AzureGovernment,
	"china":                  cloud.AzureChina, "azurechinacloud": cloud.AzureChina,
}

// CheckEnvironment returns an error for an unknown cloud.
func CheckEnvironment(name string) error {
	if _, ok := clouds[strings.ToLower(name)]; !ok {
		return fmt.Errorf("unknown Azure cloud %q: use public, usgovernment or china", name)
	}
	return nil
}

func (s Settings) namedCloud() (cloud.Configuration, error) {
	return clouds[strings.ToLower(s.Environment)], CheckEnvironment(s.Environment)
}

// The metadata endpoint: the first api-version that describes one cloud, and the maximum size of its response in bytes.
const (
	metadataVersion = "2022-09-01"
	maxMetadata     = 1 << 20
)

// describedCloud reads the cloud from the metadata endpoint.
func (a *Account) describedCloud(ctx context.Context) (cloud.Configuration, error) {
	fail := func(err error) (cloud.Configuration, error) {
		return cloud.Configuration{}, fmt.Errorf("read the cloud metadata of %s: %w", a.settings.MetadataHost, err)
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet,
		"https://"+a.settings.MetadataHost+"/metadata/endpoints?api-version="+metadataVersion, nil)
	if err != nil {
		return fail(err)
	}
	response, err := a.transport.Do(request)
	if err != nil {
		return fail(err)
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return fail(errors.New(response.Status))
	}
	var metadata struct {
		ResourceManager string `json:"resourceManager"`
		Authentication  struct {
			LoginEndpoint string   `json:"loginEndpoint"`
			Audiences     []string `json:"audiences"`
		} `json:"authentication"`
	}
	if err := json.NewDecoder(http.MaxBytesReader(nil, response.Body, maxMetadata)).Decode(&metadata); err != nil {
		return fail(fmt.Errorf("decode the response: %w", err))
	}
	if metadata.ResourceManager == "" || metadata.Authentication.LoginEndpoint == "" ||
		len(metadata.Authentication.Audiences) == 0 {
		return fail(errors.New("the response has no resourceManager, loginEndpoint or audience"))
	}
	return cloud.Configuration{
		ActiveDirectoryAuthorityHost: strings.TrimRight(metadata.Authentication.LoginEndpoint, "/"),
		Services: map[cloud.ServiceName]cloud.ServiceConfiguration{cloud.ResourceManager: {
			Endpoint: strings.TrimRight(metadata.ResourceManager, "/"),
			Audience: strings.TrimRight(metadata.Authentication.Audiences[0], "/"),
		}},
	}, nil
}
