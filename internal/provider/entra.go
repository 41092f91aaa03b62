package provider

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/cloud"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/Azure/azure-sdk-for-go/sdk/azidentity"
	"github.com/pulumi/pulumi-go-provider/infer"

	"evenkeel/internal/enrollment"
)

// entraNames are the properties of Entra in the order of the schema's documentation.
var entraNames = []string{
	"tenantId", "clientId", "clientSecret", "clientCertificatePath", "clientCertificatePassword", "useOidc", "oidcToken",
	"oidcTokenFilePath", "oidcRequestUrl", "oidcRequestToken", "useMsi", "useAzureCli", "authorityHost",
}

// Entra is the part of the configuration that logs in with Microsoft Entra ID. The names are those of azure-native, but for
// useAzureCli, which azure-native does when nothing else is said, and authorityHost.
type Entra struct {
	TenantID                  *string `pulumi:"tenantId,optional"`
	ClientID                  *string `pulumi:"clientId,optional"`
	ClientSecret              *string `pulumi:"clientSecret,optional" provider:"secret"`
	ClientCertificatePath     *string `pulumi:"clientCertificatePath,optional"`
	ClientCertificatePassword *string `pulumi:"clientCertificatePassword,optional" provider:"secret"`
	UseOIDC                   *bool   `pulumi:"useOidc,optional"`
	OIDCToken                 *string `pulumi:"oidcToken,optional" provider:"secret"`
	OIDCTokenFilePath         *string `pulumi:"oidcTokenFilePath,optional"`
	OIDCRequestURL            *string `pulumi:"oidcRequestUrl,optional"`
	OIDCRequestToken          *string `pulumi:"oidcRequestToken,optional" provider:"secret"`
	UseMSI                    *bool   `pulumi:"useMsi,optional"`
	UseAzureCLI               *bool   `pulumi:"useAzureCli,optional"`
	AuthorityHost             *string `pulumi:"authorityHost,optional"`
}

// Annotate describes the properties in the schema.
func (e *Entra) Annotate(an infer.Annotator) {
	an.Describe(&e.TenantID, "Microsoft Entra ID: the tenant to log in at. With `host`, instead of a policy and its key. The identity needs the role "+
		"Device Provisioning Service Data Contributor.")
	an.Describe(&e.ClientID, "Client id of the service principal or, with `useMsi`, of a user-assigned managed identity.")
	an.Describe(&e.ClientSecret, "Secret of the service principal.")
	an.Describe(&e.ClientCertificatePath, "File with the service principal's certificate and private key: PEM, or PKCS#12.")
	an.Describe(&e.ClientCertificatePassword, "Password of that file.")
	an.Describe(&e.UseOIDC, "Whether to log in with a token of another issuer (workload identity federation): `oidcToken`, `oidcTokenFilePath`, or `oidcRequestUrl` with `oidcRequestToken`.")
	an.Describe(&e.OIDCToken, "The other issuer's token.")
	an.Describe(&e.OIDCTokenFilePath, "File with the other issuer's token, read anew for each login.")
	an.Describe(&e.OIDCRequestURL, "Where a pipeline asks for its token, such as `ACTIONS_ID_TOKEN_REQUEST_URL` of GitHub Actions.")
	an.Describe(&e.OIDCRequestToken, "The token that such a request is made with, such as `ACTIONS_ID_TOKEN_REQUEST_TOKEN`.")
	an.Describe(&e.UseMSI, "Whether to log in as the machine's managed identity.")
	an.Describe(&e.UseAzureCLI, "Whether to log in as the Azure CLI (`az login`) is logged in.")
	an.Describe(&e.AuthorityHost, "Where to log in instead of at `https://login.microsoftonline.com`: another cloud's or an emulator's address. `caFile` holds there too.")
}

// given are the names of the properties that are set; a false switch counts as absent.
func (e *Entra) given() []string {
	text := map[string]*string{
		"tenantId": e.TenantID, "clientId": e.ClientID, "clientSecret": e.ClientSecret, "clientCertificatePath": e.ClientCertificatePath,
		"clientCertificatePassword": e.ClientCertificatePassword, "oidcToken": e.OIDCToken, "oidcTokenFilePath": e.OIDCTokenFilePath,
		"oidcRequestUrl": e.OIDCRequestURL, "oidcRequestToken": e.OIDCRequestToken, "authorityHost": e.AuthorityHost,
	}
	switches := map[string]*bool{"useOidc": e.UseOIDC, "useMsi": e.UseMSI, "useAzureCli": e.UseAzureCLI}
	var names []string
	for _, name := range entraNames {
		if text[name] != nil || isOn(switches[name]) {
			names = append(names, name)
		}
	}
	return names
}

func isOn(b *bool) bool { return b != nil && *b }

// methods are the ways to log in that are chosen, by the property that chooses each.
func (e *Entra) methods() []string {
	var chosen []string
	for _, name := range e.given() {
		switch name {
		case "clientSecret", "clientCertificatePath", "useOidc", "useMsi", "useAzureCli":
			chosen = append(chosen, name)
		}
	}
	return chosen
}

// faults are those of a login that is configured.
func (e *Entra) faults() []enrollment.Fault {
	var faults []enrollment.Fault
	add := func(path, message string) { faults = append(faults, enrollment.Fault{Path: path, Message: message}) }
	switch methods := e.methods(); {
	case len(methods) == 0:
		add(e.given()[0], "it does not say how to log in: set one of clientSecret, clientCertificatePath, useOidc, useMsi and useAzureCli")
	case len(methods) > 1:
		for _, name := range methods {
			add(name, "there is more than one way to log in: set one of "+strings.Join(methods, ", "))
		}
	case methods[0] != "useMsi" && methods[0] != "useAzureCli":
		for path, value := range map[string]*string{"tenantId": e.TenantID, "clientId": e.ClientID} {
			if text(value) == "" {
				add(path, "tenantId and clientId are needed with "+methods[0])
			}
		}
	}
	if isOn(e.UseOIDC) && text(e.OIDCToken) == "" && text(e.OIDCTokenFilePath) == "" && (text(e.OIDCRequestURL) == "" || text(e.OIDCRequestToken) == "") {
		add("useOidc", "it needs a token: set oidcToken, or oidcTokenFilePath, or oidcRequestUrl and oidcRequestToken")
	}
	if e.AuthorityHost != nil {
		if u, err := url.Parse(*e.AuthorityHost); err != nil || u.Scheme != "https" || u.Host == "" {
			add("authorityHost", "it is not an https URL such as https://login.microsoftonline.com")
		}
	}
	return faults
}

// credential makes the credential that is configured; roots are those of caFile, nil for the system's.
func (e *Entra) credential(roots *x509.CertPool) (azcore.TokenCredential, error) {
	client := azcore.ClientOptions{Retry: policy.RetryOptions{MaxRetries: loginTries, RetryDelay: loginPause}}
	elsewhere := e.AuthorityHost != nil
	if elsewhere {
		client.Cloud = cloud.Configuration{ActiveDirectoryAuthorityHost: *e.AuthorityHost}
		client.Transport = &http.Client{Timeout: loginTimeout, Transport: &http.Transport{
			Proxy: http.ProxyFromEnvironment, TLSClientConfig: &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: roots},
		}}
	}
	switch {
	case e.ClientSecret != nil:
		return azidentity.NewClientSecretCredential(text(e.TenantID), text(e.ClientID), *e.ClientSecret,
			&azidentity.ClientSecretCredentialOptions{ClientOptions: client, DisableInstanceDiscovery: elsewhere})
	case e.ClientCertificatePath != nil:
		file, err := os.ReadFile(*e.ClientCertificatePath)
		if err != nil {
			return nil, fmt.Errorf("read clientCertificatePath: %w", err)
		}
		certificates, key, err := azidentity.ParseCertificates(file, []byte(text(e.ClientCertificatePassword)))
		if err != nil {
			return nil, fmt.Errorf("read the certificate and key of clientCertificatePath %s: %w", *e.ClientCertificatePath, err)
		}
		return azidentity.NewClientCertificateCredential(text(e.TenantID), text(e.ClientID), certificates, key,
			&azidentity.ClientCertificateCredentialOptions{ClientOptions: client, DisableInstanceDiscovery: elsewhere})
	case isOn(e.UseOIDC):
		return azidentity.NewClientAssertionCredential(text(e.TenantID), text(e.ClientID), e.assertion,
			&azidentity.ClientAssertionCredentialOptions{ClientOptions: client, DisableInstanceDiscovery: elsewhere})
	case isOn(e.UseMSI):
		options := &azidentity.ManagedIdentityCredentialOptions{}
		if e.ClientID != nil {
			options.ID = azidentity.ClientID(*e.ClientID)
		}
		return azidentity.NewManagedIdentityCredential(options)
	case isOn(e.UseAzureCLI):
		return azidentity.NewAzureCLICredential(&azidentity.AzureCLICredentialOptions{TenantID: text(e.TenantID)})
	}
	return nil, errors.New("the provider azure-dps is not told how to log in: set one of clientSecret, clientCertificatePath, useOidc, useMsi and useAzureCli")
}

const (
	loginTimeout = 30 * time.Second
	// A login that fails is tried again this often, after this pause at first.
	loginTries = 2
	loginPause = 300 * time.Millisecond
	// federatedAudience is what Entra wants other issuers' tokens made out to ("Workload identity federation").
	federatedAudience = "api://AzureADTokenExchange"
	// maxAssertion bounds the answer of a pipeline's token service, in bytes.
	maxAssertion = 1 << 20
)

// assertion returns the other issuer's token.
func (e *Entra) assertion(ctx context.Context) (string, error) {
	if token := text(e.OIDCToken); token != "" {
		return token, nil
	}
	if path := text(e.OIDCTokenFilePath); path != "" {
		token, err := os.ReadFile(path)
		if err != nil {
			return "", fmt.Errorf("read oidcTokenFilePath: %w", err)
		}
		return strings.TrimSpace(string(token)), nil
	}
	return e.requestAssertion(ctx)
}

// requestAssertion asks as GitHub Actions documents it ("OpenID Connect reference").
func (e *Entra) requestAssertion(ctx context.Context) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, loginTimeout)
	defer cancel()
	address, err := url.Parse(text(e.OIDCRequestURL))
	if err != nil {
		return "", errors.New("ask for an OIDC token: oidcRequestUrl is not a URL")
	}
	query := address.Query()
	query.Set("audience", federatedAudience)
	address.RawQuery = query.Encode()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, address.String(), nil)
	if err != nil {
		return "", fmt.Errorf("ask for an OIDC token: %w", err)
	}
	request.Header.Set("Authorization", "Bearer "+text(e.OIDCRequestToken))
	request.Header.Set("Accept", "application/json")
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return "", fmt.Errorf("ask for an OIDC token: %w", err)
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return "", fmt.Errorf("ask for an OIDC token at %s: %s", address.Host, response.Status)
	}
	var answer struct {
		Value string `json:"value"`
	}
	if err := json.NewDecoder(http.MaxBytesReader(nil, response.Body, maxAssertion)).Decode(&answer); err != nil || answer.Value == "" {
		return "", fmt.Errorf("ask for an OIDC token at %s: the answer holds none", address.Host)
	}
	return answer.Value, nil
}
