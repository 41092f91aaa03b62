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
	// federatedAudience is the audience that Entra requires in tokens of other issuers ("Workload identity
	// federation").
	federatedAudience = "api://AzureADTokenExchange"
	// maxAssertion limits the response of a pipeline's token service, in bytes.
	maxAssertion = 1 << 20
)

// assertion returns the token of the other issuer. It reads the file or calls the service for every login, since these
// tokens are short-lived.
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

// requestAssertion requests a token as GitHub Actions documents it ("OpenID Connect reference").
func (a *Account) requestAssertion(ctx context.Context) (string, error) {
	s := a.settings
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	address, err := url.Parse(s.OIDCRequestURL)
	if err != nil {
		return "", errors.New("request an OIDC token: oidcRequestUrl is not a URL")
	}
	query := address.Query()
	query.Set("audience", cmp.Or(s.OIDCAudience, federatedAudience))
	address.RawQuery = query.Encode()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, address.String(), nil)
	if err != nil {
		return "", fmt.Errorf("request an OIDC token: %w", err)
	}
	request.Header.Set("Authorization", "Bearer "+s.OIDCRequestToken)
	request.Header.Set("Accept", "application/json")
	response, err := a.issuer(address.Host).Do(request)
	if err != nil {
		return "", fmt.Errorf("request an OIDC token: %w", err)
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return "", fmt.Errorf("request an OIDC token from %s: %s", address.Host, response.Status)
	}
	var answer struct {
		Value string `json:"value"`
	}
	if err := json.NewDecoder(http.MaxBytesReader(nil, response.Body, maxAssertion)).Decode(&answer); err != nil ||
		answer.Value == "" {
		return "", fmt.Errorf("request an OIDC token from %s: the response contains no token", address.Host)
	}
	return answer.Value, nil
}

// issuer returns the transport for token requests. It trusts the authorities of the described cloud for a service of
// that cloud, and the system's authorities for any other.
func (a *Account) issuer(host string) policy.Transporter {
	if a.transport != nil && strings.EqualFold(host, a.settings.MetadataHost) {
		return a.transport
	}
	return http.DefaultClient
}
