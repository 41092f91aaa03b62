package environment

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"evenkeel/internal/azure/domain"
)

// Hosts returns all host names of the subscription's hubs and provisioning services, in alphabetical order and lower
// case.
func (m *ResourceManager) Hosts(ctx context.Context) ([]string, error) {
	var hosts []string
	for pager := m.resources.NewListPager(nil); pager.More(); {
		page, err := pager.NextPage(ctx)
		if err != nil {
			return nil, fmt.Errorf("list hubs and provisioning services: %w", err)
		}
		for _, r := range page.Value {
			switch {
			case r.Type == nil || r.Name == nil:
			case strings.EqualFold(*r.Type, "Microsoft.Devices/IotHubs"):
				hosts = append(hosts, domain.HubNames(*r.Name)...)
			case strings.EqualFold(*r.Type, "Microsoft.Devices/provisioningServices"):
				hosts = append(hosts, strings.ToLower(*r.Name)+"."+domain.Service)
			}
		}
	}
	slices.Sort(hosts)
	return hosts, nil
}
