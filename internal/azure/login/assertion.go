package login

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"strings"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
)

const (
	// federatedAudience is what Entra wants other issuers' tokens made out to ("Workload identity federation").
	federatedAudience = "api://AzureADTokenExchange"
	// maxAssertion bounds the answer of a pipeline's token service, in bytes.
	maxAssertion = 1 << 20
)

// assertion returns the other issuer's token. A file is read and a service asked anew for each login: such tokens do not last.
func (a *Account) assertion(ctx context.Context) (string, error) {
	s := a.settings
	switch {
	case s.OIDCToken != "":
		return s.OIDCToken, nil
	case s.OIDCTokenFilePath != "":
		token, err := os.ReadFile(s.OIDCTokenFilePath)
		if err != nil {
			return "", fmt.Errorf("read oidcTokenFilePath: %w", err)
		}
		return strings.TrimSpace(string(token)), nil
	}
	return a.requestAssertion(ctx)
}

// requestAssertion asks as GitHub Actions documents it ("OpenID Connect reference").
func (a *Account) requestAssertion(ctx context.Context) (string, error) {
	s := a.settings
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	address, err := url.Parse(s.OIDCRequestURL)
	if err != nil {
		return "", errors.New("ask for an OIDC token: oidcRequestUrl is not a URL")
	}
	query := address.Query()
	query.Set("audience", cmp.Or(s.OIDCAudience, federatedAudience))
	address.RawQuery = query.Encode()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, address.String(), nil)
	if err != nil {
		return "", fmt.Errorf("ask for an OIDC token: %w", err)
	}
	request.Header.Set("Authorization", "Bearer "+s.OIDCRequestToken)
	request.Header.Set("Accept", "application/json")
	response, err := a.issuer(address.Host).Do(request)
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

// issuer sends a request for a token: to a service beside the described cloud with its authorities, to any other with the system's.
func (a *Account) issuer(host string) policy.Transporter {
	if a.transport != nil && strings.EqualFold(host, a.settings.MetadataHost) {
		return a.transport
	}
	return http.DefaultClient
}
