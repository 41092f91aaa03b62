package adopt

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/cloud"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"

	"evenkeel/internal/azure/arm"
	"evenkeel/internal/azure/enrollment"
	"evenkeel/internal/azure/hublink"
	"evenkeel/internal/azure/login"
	"evenkeel/internal/hint"
)

// serviceVersion is the api-version of provisioning services that is asked for the host.
const serviceVersion = "2022-12-12"

// Login returns the account that azure-native and the provider would log in with. Lookup returns environment variables.
func Login(lookup func(string) string, roots *x509.CertPool) (*login.Account, error) {
	account, err := login.New(login.Settings{}.WithVariables(lookup), roots)
	if err != nil {
		return nil, hint.To(fmt.Errorf("adopt: %w", err),
			"log in as for any azure-native program: az login, or the ARM_ variables of a service principal")
	}
	return account, nil
}

// ReadLinks reads the links of a provisioning service from Azure Resource Manager. It fails if the resource is not the
// service with this host.
func ReadLinks(ctx context.Context, account *login.Account, serviceID, host string) (
	[]hublink.Link, error) {
	if faults := enrollment.CheckServiceID("--service-id", serviceID); len(faults) > 0 {
		return nil, fmt.Errorf("adopt: %w", faults[0])
	}
	at, err := account.Cloud(ctx)
	if err != nil {
		return nil, fmt.Errorf("adopt: %w", err)
	}
	manager := at.Services[cloud.ResourceManager]
	client, err := arm.New(arm.Options{
		Endpoint: manager.Endpoint, Audience: manager.Audience, AuthorityHost: at.ActiveDirectoryAuthorityHost,
		Credential: account, AuxiliaryTenants: account.AuxiliaryTenants(), Transport: account.Transport(),
		Retry: policy.RetryOptions{MaxRetries: 6, RetryDelay: 800 * time.Millisecond}, Name: "keel", Version: "adopt",
	})
	if err != nil {
		return nil, fmt.Errorf("adopt: %w", err)
	}
	var service struct {
		Properties struct {
			Host string `json:"serviceOperationsHostName"`
		}
	}
	err = client.Get(ctx, arm.Target{ID: serviceID, APIVersion: serviceVersion}, &service)
	if err == nil && !strings.EqualFold(service.Properties.Host, host) {
		return nil, fmt.Errorf("adopt: the resource %s is the service %s, not %s", serviceID, service.Properties.Host,
			host)
	}
	var links []hublink.Link
	if err == nil {
		links, err = hublink.New(client, hublink.Pace{}).List(ctx, serviceID)
	}
	if arm.HasStatus(err, http.StatusUnauthorized, http.StatusForbidden) {
		err = hint.To(err, "the identity needs the right Microsoft.Devices/provisioningServices/read, such as the "+
			"role Reader")
	}
	if err != nil {
		return nil, fmt.Errorf("adopt: read the linked hubs: %w", err)
	}
	return links, nil
}

// ReadRoots reads the certificate authorities of a PEM file; nil for no file.
func ReadRoots(file string) (*x509.CertPool, error) {
	if file == "" {
		return nil, nil
	}
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("adopt: read the authorities to trust: %w", err)
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(text) {
		return nil, fmt.Errorf("adopt: %s contains no PEM certificate", file)
	}
	return roots, nil
}

// ReadCertificates reads the certificates of a folder: the first of each file that holds one. Other files are ignored.
func ReadCertificates(folder string) ([]*x509.Certificate, error) {
	entries, err := os.ReadDir(folder)
	if err != nil {
		return nil, fmt.Errorf("adopt: read the certificates: %w", err)
	}
	var list []*x509.Certificate
	for _, entry := range entries {
		if entry.IsDir() {
			continue
		}
		content, err := os.ReadFile(filepath.Join(folder, entry.Name()))
		if err != nil {
			return nil, fmt.Errorf("adopt: read the certificates: %w", err)
		}
		if certificate, err := enrollment.ParseCertificateFile(content); err == nil {
			list = append(list, certificate)
		}
	}
	if len(list) == 0 {
		return nil, fmt.Errorf("adopt: the folder %s contains no certificate", folder)
	}
	return list, nil
}

// ReadWebhooks reads the addresses of webhooks from a file, one a line.
func ReadWebhooks(file string) ([]string, error) {
	content, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("adopt: read the webhooks: %w", err)
	}
	var list []string
	for line := range strings.Lines(string(content)) {
		address := strings.TrimSpace(line)
		if address == "" {
			continue
		}
		if faults := enrollment.CheckWebhook("webhook", address); len(faults) > 0 {
			return nil, errors.New("adopt: " + file + ": " + faults[0].Message)
		}
		list = append(list, address)
	}
	return list, nil
}
