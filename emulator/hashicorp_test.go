package emulator_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"net/http"
	"os"
	"os/exec"
	"runtime"
	"testing"
	"time"

	"github.com/hashicorp/go-azure-sdk/sdk/auth"
	"github.com/hashicorp/go-azure-sdk/sdk/environments"
	"software.sslmate.com/src/go-pkcs12"

	"evenkeel/emulator"
)

// hashicorpARM gives the process that TestHashicorpsSDKLogsIn starts the address of Resource Manager.
const hashicorpARM = "EVENKEEL_TEST_HASHICORP_ARM"

// TestHashicorpsSDKLogsIn lets hashicorp/go-azure-sdk, which Terraform's azurerm and azuread are built on, read the
// metadata and log in. It takes its trust from the system alone, which Go reads once, so that it runs in its own
// process.
func TestHashicorpsSDKLogsIn(t *testing.T) {
	t.Parallel()
	if runtime.GOOS != "linux" {
		t.Skip("SSL_CERT_FILE is heeded on Linux")
	}
	e := emulator.RunT(t, emulator.Options{Dir: t.TempDir()})
	ends := e.Endpoints()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	child := exec.CommandContext(ctx, os.Args[0], "-test.run=^TestHashicorpsSDKInItsProcess$", "-test.v")
	child.Env = append(os.Environ(), "SSL_CERT_FILE="+ends.CAFile, "SSL_CERT_DIR=/nonexistent", "NO_PROXY=127.0.0.1",
		hashicorpARM+"="+ends.ARM,
		"ARM_TENANT_ID="+ends.TenantID, "ARM_CLIENT_ID="+ends.ClientID, "ARM_CLIENT_SECRET="+ends.ClientSecret,
		"ARM_CLIENT_CERTIFICATE_PATH="+ends.ClientCertificateFile)
	if output, err := child.CombinedOutput(); err != nil {
		t.Errorf("got %v, want a login in each way:\n%s", err, output)
	}
}

// TestHashicorpsSDKInItsProcess does nothing unless TestHashicorpsSDKLogsIn started it.
func TestHashicorpsSDKInItsProcess(t *testing.T) {
	arm := os.Getenv(hashicorpARM)
	if arm == "" {
		t.Skip("TestHashicorpsSDKLogsIn runs this")
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	environment, err := environments.FromEndpoint(ctx, arm)
	check(t, err)
	if environment.IsAzureStack() {
		t.Fatal("the cloud is taken for Azure Stack, which azurerm refuses")
	}
	base := auth.Credentials{Environment: *environment, TenantID: os.Getenv("ARM_TENANT_ID"),
		ClientID: os.Getenv("ARM_CLIENT_ID")}
	bySecret, byCertificate, byPipeline := base, base, base
	bySecret.EnableAuthenticatingUsingClientSecret, bySecret.ClientSecret = true, os.Getenv("ARM_CLIENT_SECRET")
	byCertificate.EnableAuthenticatingUsingClientCertificate = true
	byCertificate.ClientCertificateData, byCertificate.ClientCertificatePassword = pfx(t,
		os.Getenv("ARM_CLIENT_CERTIFICATE_PATH")), "pass"
	byPipeline.EnableAuthenticationUsingGitHubOIDC = true
	byPipeline.OIDCTokenRequestURL, byPipeline.OIDCTokenRequestToken = arm+"/oidc/token", bySecret.ClientSecret
	for name, credentials := range map[string]auth.Credentials{"secret": bySecret, "certificate": byCertificate,
		"OIDC": byPipeline} {
		t.Run(name, func(t *testing.T) {
			// azurerm builds one for each of these before it does anything, and asks the first alone for a token.
			for _, api := range []environments.Api{environment.ResourceManager, environment.Storage,
				environment.KeyVault} {
				if _, err := auth.NewAuthorizerFromCredentials(ctx, credentials, api); err != nil {
					t.Errorf("build the authorizer for %s: %v", api.Name(), err)
				}
			}
			authorizer, err := auth.NewAuthorizerFromCredentials(ctx, credentials, environment.ResourceManager)
			check(t, err)
			list(ctx, t, arm, authorizer)
		})
	}
}

// list lists resource groups with a token of the authorizer.
func list(ctx context.Context, t *testing.T, arm string, authorizer auth.Authorizer) {
	t.Helper()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, arm+"/subscriptions/"+emulator.SubscriptionID+
		"/resourcegroups?api-version=2021-04-01", nil)
	check(t, err)
	token, err := authorizer.Token(ctx, request)
	check(t, err)
	token.SetAuthHeader(request)
	response, err := http.DefaultClient.Do(request)
	check(t, err)
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		t.Errorf("list resource groups: got %d, want 200", response.StatusCode)
	}
}

// pfx is a certificate and its key in the container that azurerm's client_certificate_path has.
func pfx(t *testing.T, file string) []byte {
	t.Helper()
	pair, err := tls.LoadX509KeyPair(file, file)
	check(t, err)
	leaf, err := x509.ParseCertificate(pair.Certificate[0])
	check(t, err)
	data, err := pkcs12.Modern.Encode(pair.PrivateKey, leaf, nil, "pass")
	check(t, err)
	return data
}
