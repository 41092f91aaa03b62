package provider

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/cloud"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"

	"evenkeel/dpsservice"
	"evenkeel/internal/azure/arm"
	"evenkeel/internal/azure/hublink"
	"evenkeel/internal/azure/login"
	"evenkeel/internal/provider/entry"
)

// Retries of requests to Azure Resource Manager. A longer Retry-After of its answers counts, up to the last of these.
const (
	armTries     = 6
	armPause     = 800 * time.Millisecond
	armMostPause = 5 * time.Minute
)

// Configure keeps what completes the configuration. It sends no request.
func (c *Config) Configure(ctx context.Context) error {
	c.variables = variablesFrom(ctx)
	return nil
}

// service returns the client of the configured provisioning service.
func (c *Config) service() (*dpsservice.Client, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.client != nil {
		return c.client, nil
	}
	access, err := c.access()
	if err != nil {
		return nil, err
	}
	if access.Host == "" {
		return nil, errors.New("the provider azure-dps is not configured: set connectionString, or host with " +
			"policyName and key, or host alone to log in with Microsoft Entra ID")
	}
	options := dpsservice.Options{
		Host: strings.ToLower(access.Host), PolicyName: access.PolicyName, Key: access.Key,
		Endpoint: entry.Text(c.Endpoint), RateLimit: defaultRateLimit,
	}
	if c.RateLimit != nil {
		options.RateLimit = *c.RateLimit
	}
	if options.Roots, err = c.roots(); err != nil {
		return nil, err
	}
	if c.usesEntra() {
		if options.Credential, err = c.login(options.Roots); err != nil {
			return nil, err
		}
	}
	c.client, err = dpsservice.New(options)
	return c.client, err
}

// linker returns the client that changes links of hubs. It determines the endpoint of Azure Resource Manager first.
func (c *Config) linker(ctx context.Context) (*hublink.Client, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.links != nil {
		return c.links, nil
	}
	roots, err := c.roots()
	if err != nil {
		return nil, err
	}
	account, err := c.login(roots)
	if err != nil {
		return nil, err
	}
	at, err := account.Cloud(ctx)
	if err != nil {
		return nil, err
	}
	manager := at.Services[cloud.ResourceManager]
	client, err := arm.New(arm.Options{
		Endpoint: manager.Endpoint, Audience: manager.Audience, AuthorityHost: at.ActiveDirectoryAuthorityHost,
		Credential: account, AuxiliaryTenants: account.AuxiliaryTenants(), Transport: account.Transport(),
		Retry: policy.RetryOptions{MaxRetries: armTries, RetryDelay: armPause, MaxRetryDelay: armMostPause},
		Name:  Name, Version: Version,
	})
	if err != nil {
		return nil, err
	}
	c.links = hublink.New(client, hublink.Pace{})
	return c.links, nil
}

// login returns the account for both of Azure's services. Callers hold the lock.
func (c *Config) login(roots *x509.CertPool) (*login.Account, error) {
	if c.account == nil {
		account, err := login.New(c.settings(c.variables), roots)
		if err != nil {
			return nil, err
		}
		c.account = account
	}
	return c.account, nil
}

// roots returns the authorities of caFile, or nil for the system's.
func (c *Config) roots() (*x509.CertPool, error) {
	file := entry.Text(c.CAFile)
	if file == "" {
		return nil, nil
	}
	pem, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("read the provider's caFile: %w", err)
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("the provider's caFile %s contains no PEM certificate", file)
	}
	return roots, nil
}
