package dpsservice_test

import (
	"context"
	"errors"
	"slices"
	"testing"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"

	"evenkeel/dpsservice"
)

// asked is a credential that records the scope of each request and returns no token.
type asked struct{ scopes []string }

var errNothing = errors.New("no token")

func (a *asked) GetToken(_ context.Context, o policy.TokenRequestOptions) (azcore.AccessToken, error) {
	a.scopes = o.Scopes
	return azcore.AccessToken{}, errNothing
}

func TestTheScopeIsThatOfTheHostsCloud(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]string{
		"dps-1.azure-devices-provisioning.net": "https://azure-devices-provisioning.net/.default",
		"DPS-1.Azure-Devices-Provisioning.us":  "https://azure-devices-provisioning.us/.default",
		"dps-1.azure-devices-provisioning.cn":  "https://azure-devices-provisioning.cn/.default",
		"dps-1.example.com":                    "https://azure-devices-provisioning.net/.default",
	} {
		t.Run(name, func(t *testing.T) {
			credential := &asked{}
			client, err := dpsservice.New(dpsservice.Options{Host: name, Credential: credential})
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(client.Close)
			if _, err := client.Registration(t.Context(), "a"); !errors.Is(err, errNothing) {
				t.Errorf("%s: got %v, want %v", name, err, errNothing)
			}
			if !slices.Equal(credential.scopes, []string{want}) {
				t.Errorf("%s: got %v, want %s", name, credential.scopes, want)
			}
		})
	}
}
