package environment

import (
	"context"
	"errors"
	"net/http"
	"strings"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
)

// usagesVersion is the api-version with which a subscription's hubs are counted.
const usagesVersion = "2023-06-30"

// Quota implements Meter. It counts the resources that the caller may list, and takes Azure's own count of hubs if that
// is higher. Azure reports only the limits of hubs; for provisioning services Quota returns the default limit.
func (m *ResourceManager) Quota(ctx context.Context) (Quota, error) {
	quota := DefaultQuota
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
			case strings.EqualFold(*r.Type, "Microsoft.Devices/IotHubs") && r.SKU != nil && r.SKU.Name != nil &&
				*r.SKU.Name == freeSKU:
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

// named returns the share for the name of an entry; nil for an unknown name. The list has no entry for provisioning
// services.
func (q *Quota) named(name string) *Share {
	switch name {
	case "freeIotHubCount":
		return &q.FreeHubs
	case "paidIotHubCount":
		return &q.Hubs
	}
	return nil
}

func (m *ResourceManager) usages(ctx context.Context) ([]usage, error) {
	var list struct {
		Value []usage `json:"value"`
	}
	_, err := m.get(ctx, "providers/"+namespace+"/usages", usagesVersion, &list)
	if answer := (*azcore.ResponseError)(nil); errors.As(err, &answer) && answer.StatusCode == http.StatusNotFound {
		return nil, nil // a cloud without such a list has the default limits
	}
	return list.Value, err
}
