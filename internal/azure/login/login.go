// Package login logs in to Azure with the methods of the provider azure-native: a service principal with a secret, a
// certificate or a token of another issuer (OIDC), a managed identity, the Azure CLI, or the default chain of the Azure
// SDK. It finds the cloud by its name or by its metadata endpoint.
//
// It sends only requests that log in, stores no token, and reads environment variables only through the caller's
// lookup.
package login

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net/http"
	"os"
	"sync"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	_ "github.com/Azure/azure-sdk-for-go/sdk/azcore/arm/runtime" // adds the addresses of Resource Manager to the clouds
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/cloud"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/Azure/azure-sdk-for-go/sdk/azidentity"
)

const (
	timeout = 30 * time.Second
	// A failed login is retried this often, first after this pause.
	tries = 2
	pause = 300 * time.Millisecond
)

// Account is an identity that can log in. It implements azcore.TokenCredential and is safe for concurrent use.
type Account struct {
	settings Settings
	// transport is nil for the default transport of the Azure SDK.
	transport policy.Transporter

	mu         sync.Mutex // guards the fields below; held while the cloud is looked up
	known      *cloud.Configuration
	credential azcore.TokenCredential
}

var _ azcore.TokenCredential = (*Account)(nil)

// New returns the account that the settings describe, without sending a request. If roots is not nil, they replace the
// system's authorities for the cloud of MetadataHost or AuthorityHost.
func New(s Settings, roots *x509.CertPool) (*Account, error) {
	a := &Account{settings: s}
	if s.isCustomCloud() {
		a.transport = &http.Client{Timeout: timeout, Transport: &http.Transport{
			Proxy: http.ProxyFromEnvironment, ForceAttemptHTTP2: true,
			TLSClientConfig: &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: roots},
		}}
	}
	if s.MetadataHost == "" {
		named, err := s.namedCloud()
		if err != nil {
			return nil, err
		}
		if err := a.complete(named); err != nil {
			return nil, err
		}
	}
	return a, nil
}

// complete creates the credential for a cloud. Callers hold the lock or have the only reference.
func (a *Account) complete(of cloud.Configuration) error {
	if a.settings.AuthorityHost != "" {
		of.ActiveDirectoryAuthorityHost = a.settings.AuthorityHost
	}
	credential, err := a.makeCredential(of)
	if err != nil {
		return err
	}
	a.known, a.credential = &of, credential
	return nil
}

// Cloud returns the cloud of the account. It reads a metadata endpoint until one request succeeds.
func (a *Account) Cloud(ctx context.Context) (cloud.Configuration, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.known == nil {
		described, err := a.describedCloud(ctx)
		if err != nil {
			return cloud.Configuration{}, err
		}
		if err := a.complete(described); err != nil {
			return cloud.Configuration{}, err
		}
	}
	return *a.known, nil
}

// Transport returns the transport for requests to the account's cloud, or nil for the Azure SDK's default.
func (a *Account) Transport() policy.Transporter { return a.transport }

// AuxiliaryTenants returns the additional tenants for which the account requests tokens.
func (a *Account) AuxiliaryTenants() []string { return a.settings.AuxiliaryTenantIDs }

// GetToken logs in, or returns a token of an earlier login that is still valid.
func (a *Account) GetToken(ctx context.Context, options policy.TokenRequestOptions) (azcore.AccessToken, error) {
	if _, err := a.Cloud(ctx); err != nil {
		return azcore.AccessToken{}, err
	}
	token, err := a.credential.GetToken(ctx, options)
	if err != nil {
		return azcore.AccessToken{}, fmt.Errorf("log in to Azure by %s: %w", a.settings.method(), err)
	}
	return token, nil
}

// makeCredential creates the credential of the chosen method. It never falls back to another method.
func (a *Account) makeCredential(of cloud.Configuration) (azcore.TokenCredential, error) {
	s := a.settings
	client := azcore.ClientOptions{Cloud: of, Transport: a.transport, Retry: policy.RetryOptions{MaxRetries: tries,
		RetryDelay: pause}}
	method := s.method()
	switch method {
	case bySecret, byCertificate, byOIDC:
		if s.TenantID == "" || s.ClientID == "" {
			return nil,
				fmt.Errorf("log in to Azure by %s: tenantId and clientId (ARM_TENANT_ID and ARM_CLIENT_ID) are "+
					"required too", method)
		}
	}
	switch method {
	case byDefault:
		return azidentity.NewDefaultAzureCredential(&azidentity.DefaultAzureCredentialOptions{
			ClientOptions: client, DisableInstanceDiscovery: s.isCustomCloud(), TenantID: s.TenantID,
			AdditionallyAllowedTenants: s.AuxiliaryTenantIDs,
		})
	case byCertificate:
		return s.byCertificate(client)
	case bySecret:
		return azidentity.NewClientSecretCredential(s.TenantID, s.ClientID, s.ClientSecret,
			&azidentity.ClientSecretCredentialOptions{
				ClientOptions: client, DisableInstanceDiscovery: s.isCustomCloud(),
				AdditionallyAllowedTenants: s.AuxiliaryTenantIDs,
			})
	case byOIDC:
		if !s.hasAssertion() {
			return nil,
				errors.New("log in to Azure by OIDC: no token: set oidcToken, or oidcTokenFilePath, or " +
					"oidcRequestUrl and oidcRequestToken")
		}
		return azidentity.NewClientAssertionCredential(s.TenantID, s.ClientID, a.assertion,
			&azidentity.ClientAssertionCredentialOptions{
				ClientOptions: client, DisableInstanceDiscovery: s.isCustomCloud(),
				AdditionallyAllowedTenants: s.AuxiliaryTenantIDs,
			})
	case byIdentity:
		options := &azidentity.ManagedIdentityCredentialOptions{} // the machine's own endpoint knows the cloud
		if s.ClientID != "" {
			options.ID = azidentity.ClientID(s.ClientID)
		}
		return azidentity.NewManagedIdentityCredential(options)
	}
	options := &azidentity.AzureCLICredentialOptions{TenantID: s.TenantID,
		AdditionallyAllowedTenants: s.AuxiliaryTenantIDs}
	if s.TenantID == "" {
		options.Subscription = s.SubscriptionID // az takes one or the other
	}
	return azidentity.NewAzureCLICredential(options)
}

func (s Settings) byCertificate(client azcore.ClientOptions) (azcore.TokenCredential, error) {
	file, err := os.ReadFile(s.ClientCertificatePath)
	if err != nil {
		return nil, fmt.Errorf("read clientCertificatePath: %w", err)
	}
	certificates, key, err := azidentity.ParseCertificates(file, []byte(s.ClientCertificatePassword))
	if err != nil {
		return nil, fmt.Errorf("read the certificate and key of clientCertificatePath %s: %w", s.ClientCertificatePath,
			err)
	}
	return azidentity.NewClientCertificateCredential(s.TenantID, s.ClientID, certificates, key,
		&azidentity.ClientCertificateCredentialOptions{
			ClientOptions: client, DisableInstanceDiscovery: s.isCustomCloud(),
			AdditionallyAllowedTenants: s.AuxiliaryTenantIDs,
		})
}
