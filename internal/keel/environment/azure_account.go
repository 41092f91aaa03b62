package environment

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/runtime"
)

// namespace is the resource provider of hubs and provisioning services.
const namespace = "Microsoft.Devices"

// subscriptionVersion is the api-version with which a subscription is described (Subscriptions - Get).
const subscriptionVersion = "2022-12-01"

// Account is a subscription as the caller sees it.
type Account struct {
	// Name and ID are the subscription's. State is Enabled if resources can be created in it.
	Name, ID, State string
	// Now is the time by Azure's clock; zero if Azure did not send it.
	Now time.Time
}

// Account describes the subscription.
func (m *ResourceManager) Account(ctx context.Context) (Account, error) {
	var body struct {
		DisplayName string `json:"displayName"`
		State       string `json:"state"`
	}
	header, err := m.get(ctx, "", subscriptionVersion, &body)
	if err != nil {
		return Account{}, err
	}
	account := Account{Name: body.DisplayName, ID: m.subscription, State: body.State}
	if now, err := http.ParseTime(header.Get("Date")); err == nil {
		account.Now = now
	}
	return account, nil
}

// Registration returns the state of the subscription's registration for hubs and provisioning services. Only in the
// state Registered can they be created.
func (m *ResourceManager) Registration(ctx context.Context) (string, error) {
	provider, err := m.providers.Get(ctx, namespace, nil)
	if err != nil {
		return "", err
	}
	if provider.RegistrationState == nil {
		return "", fmt.Errorf("the answer about %s names no registration", namespace)
	}
	return *provider.RegistrationState, nil
}

// get sends a GET for a path of the subscription, which no client of the SDK has, and decodes the body into into.
func (m *ResourceManager) get(ctx context.Context, path, version string, into any) (http.Header, error) {
	request, err := runtime.NewRequest(ctx, http.MethodGet, runtime.JoinPaths(m.pipeline.Endpoint(), "subscriptions",
		m.subscription, path))
	if err != nil {
		return nil, err
	}
	query := request.Raw().URL.Query()
	query.Set("api-version", version)
	request.Raw().URL.RawQuery = query.Encode()
	answer, err := m.pipeline.Pipeline().Do(request)
	if err != nil {
		return nil, err
	}
	defer func() { _ = answer.Body.Close() }()
	if !runtime.HasStatusCode(answer, http.StatusOK) {
		return nil, runtime.NewResponseError(answer)
	}
	if err := json.NewDecoder(answer.Body).Decode(into); err != nil {
		return nil, fmt.Errorf("read the answer to GET %s: %w", request.Raw().URL.Path, err)
	}
	return answer.Header, nil
}
