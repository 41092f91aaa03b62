package login_test

import (
	"fmt"
	"reflect"
	"strings"
	"testing"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/cloud"

	"evenkeel/internal/azure/login"
)

func TestVariablesCompleteTheConfiguration(t *testing.T) {
	t.Parallel()
	variables := map[string]string{
		"ARM_TENANT_ID": "t", "ARM_CLIENT_ID": "c", "ARM_CLIENT_SECRET": "s", "ARM_SUBSCRIPTION_ID": "sub",
		"ARM_ENVIRONMENT":       "china",
		"ARM_METADATA_HOSTNAME": "host", "ARM_AUXILIARY_TENANT_IDS": `["a","b"]`, "ARM_USE_MSI": "true",
		"ARM_USE_OIDC":                 "no",
		"ACTIONS_ID_TOKEN_REQUEST_URL": "https://github", "ACTIONS_ID_TOKEN_REQUEST_TOKEN": "r",
		"ARM_CLIENT_CERTIFICATE_PASSWORD":     "p",
		"ARM_ACTIVE_DIRECTORY_AUTHORITY_HOST": "https://login", "AZURE_ENVIRONMENT": "usgovernment",
	}
	lookup := func(name string) string { return variables[name] }
	everywhere := login.Settings{
		Environment: "china", MetadataHost: "host", AuthorityHost: "https://login", TenantID: "t", ClientID: "c",
		SubscriptionID:     "sub",
		AuxiliaryTenantIDs: []string{"a", "b"}, ClientCertificatePassword: "p", OIDCRequestURL: "https://github",
		OIDCRequestToken: "r",
	}
	with := func(change func(*login.Settings)) login.Settings {
		s := everywhere
		change(&s)
		return s
	}
	for name, test := range map[string]struct{ given, want login.Settings }{
		"no setting": {login.Settings{}, with(func(s *login.Settings) { s.ClientSecret, s.UseMSI = "s", true })},
		"settings come first": {login.Settings{TenantID: "mine", UseOIDC: true, OIDCToken: "o"},
			with(func(s *login.Settings) {
				s.TenantID, s.UseOIDC, s.OIDCToken, s.OIDCRequestURL, s.OIDCRequestToken = "mine", true, "o", "", ""
			})},
		"a way that is chosen": {login.Settings{UseAzureCLI: true},
			with(func(s *login.Settings) { s.UseAzureCLI = true })},
		"OIDC asks GitHub": {login.Settings{UseOIDC: true}, with(func(s *login.Settings) { s.UseOIDC = true })},
	} {
		t.Run(name, func(t *testing.T) {
			if got := test.given.WithVariables(lookup); !reflect.DeepEqual(got, test.want) {
				t.Errorf("%s: got %+v, want %+v", name, got, test.want)
			}
		})
	}
	if got := (login.Settings{}).WithVariables(nil); !reflect.DeepEqual(got, login.Settings{}) {
		t.Errorf("no variables: got %+v, want nothing", got)
	}
	variables["ARM_AUXILIARY_TENANT_IDS"] = "a; b"
	if got := (login.Settings{}).WithVariables(lookup).AuxiliaryTenantIDs; !reflect.DeepEqual(got, []string{"a", "b"}) {
		t.Errorf("tenants with semicolons: got %q", got)
	}
}

func TestCloudsAreFoundByName(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]string{
		"": "https://management.azure.com", "Public": "https://management.azure.com",
		"usgovernment":      "https://management.usgovcloudapi.net",
		"AzureUSGovernment": "https://management.usgovcloudapi.net", "china": "https://management.chinacloudapi.cn",
		"AzureChinaCloud": "https://management.chinacloudapi.cn",
	} {
		t.Run(fmt.Sprintf("%q", name), func(t *testing.T) {
			account, err := login.New(login.Settings{Environment: name}, nil)
			if err != nil {
				t.Fatal(err)
			}
			at, err := account.Cloud(t.Context())
			if got := at.Services[cloud.ResourceManager].Endpoint; err != nil || got != want {
				t.Errorf("%q: got %s, %v, want %s", name, got, err, want)
			}
		})
	}
}

func TestAConfiguredAuthorityHostTakesPrecedence(t *testing.T) {
	t.Parallel()
	account, err := login.New(login.Settings{AuthorityHost: "https://login.example"}, nil)
	if err != nil {
		t.Fatal(err)
	}
	if at, err := account.Cloud(t.Context()); err != nil || at.ActiveDirectoryAuthorityHost != "https://login.example" {
		t.Errorf("got %s, %v, want https://login.example", at.ActiveDirectoryAuthorityHost, err)
	}
}

// azure-native tries the logins in this order if variables name several.
func TestLoginsHaveAnOrder(t *testing.T) {
	t.Parallel()
	missing := login.Settings{TenantID: "t", ClientID: "c", ClientCertificatePath: "/nowhere.pem", ClientSecret: "s",
		UseOIDC: true, UseMSI: true}
	if _, err := login.New(missing, nil); err == nil || !strings.Contains(err.Error(), "/nowhere.pem") {
		t.Errorf("a certificate, a secret, OIDC and managed identity: got %v, want the certificate missed", err)
	}
	missing.UseDefault = true
	if _, err := login.New(missing, nil); err != nil {
		t.Errorf("the default chain too: got %v, want no certificate looked for", err)
	}
	missing.UseDefault, missing.UseAzureCLI = false, true
	if _, err := login.New(missing, nil); err != nil {
		t.Errorf("the Azure CLI too: got %v, want no certificate looked for", err)
	}
}
