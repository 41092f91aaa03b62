package environment

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/runtime"
)

// usagesVersion is the api-version with which a subscription's hubs are counted.
const usagesVersion = "2023-06-30"

// Quota implements Meter: what the caller may see is counted, and Azure's own count of hubs taken when it is higher. Azure tells limits
// of hubs alone; that of provisioning services is the usual one.
func (m *ResourceManager) Quota(ctx context.Context) (Quota, error) {
	quota := UsualQuota
	for pager := m.resources.NewListPager(nil); pager.More(); {
		page, err := pager.NextPage(ctx)
		if err != nil {
			return Quota{}, err
		}
		for _, r := range page.Value {
			switch {
			case r.Type == nil:
			case strings.EqualFold(*r.Type, "Microsoft.Devices/provisioningServices"):
				quota.Services.Used++
			case strings.EqualFold(*r.Type, "Microsoft.Devices/IotHubs") && r.SKU != nil && r.SKU.Name != nil && *r.SKU.Name == freeSKU:
				quota.FreeHubs.Used++
			case strings.EqualFold(*r.Type, "Microsoft.Devices/IotHubs"):
				quota.Hubs.Used++
			}
		}
	}
	usages, err := m.usages(ctx)
	if err != nil {
		return Quota{}, err
	}
	for _, u := range usages {
		if share := quota.named(u.Name.Value); share != nil {
			share.Used, share.Limit = max(share.Used, u.CurrentValue), u.Limit
		}
	}
	return quota, nil
}

// usage is one entry of the list of usages (IoT Hub resource provider, ResourceProviderCommon_GetSubscriptionQuota).
type usage struct {
	CurrentValue int `json:"currentValue"`
	Limit        int `json:"limit"`
	Name         struct {
		Value string `json:"value"`
	} `json:"name"`
}

// named returns the share that an entry speaks of; nil for what is not known.
func (q *Quota) named(name string) *Share {
	switch name = strings.ToLower(name); {
	case strings.Contains(name, "free"):
		return &q.FreeHubs
	case strings.Contains(name, "provisioning"):
		return &q.Services
	case strings.Contains(name, "paid"), strings.Contains(name, "hub"):
		return &q.Hubs
	}
	return nil
}

func (m *ResourceManager) usages(ctx context.Context) ([]usage, error) {
	request, err := runtime.NewRequest(ctx, http.MethodGet, runtime.JoinPaths(m.pipeline.Endpoint(), "subscriptions", m.subscription, "providers/Microsoft.Devices/usages"))
	if err != nil {
		return nil, err
	}
	query := request.Raw().URL.Query()
	query.Set("api-version", usagesVersion)
	request.Raw().URL.RawQuery = query.Encode()
	answer, err := m.pipeline.Pipeline().Do(request)
	if err != nil {
		return nil, err
	}
	defer func() { _ = answer.Body.Close() }()
	if answer.StatusCode == http.StatusNotFound { // a cloud that has no such list: its limits are the usual ones
		return nil, nil
	}
	if !runtime.HasStatusCode(answer, http.StatusOK) {
		return nil, runtime.NewResponseError(answer)
	}
	var list struct {
		Value []usage `json:"value"`
	}
	if err := json.NewDecoder(answer.Body).Decode(&list); err != nil {
		return nil, fmt.Errorf("read the usages of the subscription: %w", err)
	}
	return list.Value, nil
}
