package arm

import (
	"net/http"

	"evenkeel/emulator/internal/state"
)

// Reports of hubs and provisioning services: statistics, quotas, skus, jobs; and operations that are refused.

func (s *surface) routeReports() {
	s.route("GET "+hubItem+"/iothubstats", (*call).hubStatistics)
	s.route("GET "+hubItem+"/quotametrics", (*call).quotaMetrics)
	s.route("GET "+hubItem+"/skus", (*call).hubSKUs)
	s.route("GET "+serviceItem+"/skus", (*call).serviceSKUs)
	s.route("GET "+hubItem+"/routingendpointshealth", (*call).endpointHealth)
	s.route("GET "+hubItem+"/jobs", (*call).listJobs)
	s.route("GET "+hubItem+"/jobs/{job}", (*call).getJob)
	for path, what := range map[string]string{
		"/failover": "A failover", "/exportdevices": "An export of devices", "/importdevices": "An import of devices",
		"/routing/routes/$testall": "Routing", "/routing/routes/$testnew": "Routing",
	} {
		s.route("POST "+hubItem+path, func(c *call) error {
			if _, err := hubs.read(c); err != nil {
				return err
			}
			return armError(http.StatusNotImplemented, "NotImplemented",
				"%s is not emulated: see docs/reference/fidelity.md.", what)
		})
	}
}

// statistics returns the statistics of the hub in the path.
func (c *call) statistics() (state.Hub, state.Statistics, error) {
	hub, err := hubs.read(c)
	if err != nil {
		return hub, state.Statistics{}, err
	}
	n, err := c.State.Statistics(hub.Host())
	if isKind(err, state.ParentNotFound) {
		err = notActive(hubKind, hub.ID.Name)
	}
	return hub, n, err
}

// hubStatistics is IotHubResource_GetStats.
func (c *call) hubStatistics() error {
	_, n, err := c.statistics()
	if err != nil {
		return err
	}
	return c.json(http.StatusOK, struct {
		Total    int `json:"totalDeviceCount"`
		Enabled  int `json:"enabledDeviceCount"`
		Disabled int `json:"disabledDeviceCount"`
	}{n.Total, n.Enabled, n.Disabled})
}

// quotaMetric is IotHubQuotaMetricInfo.
type quotaMetric struct {
	Name    string `json:"name"`
	Current int64  `json:"currentValue"`
	Max     int64  `json:"maxValue"`
}

// maxDevices is the largest number of devices of a hub; 500 in the free tier. Source: "IoT Hub quotas and
// throttling", "IoT Hub pricing".
const maxDevices, maxFreeDevices = 1_000_000, 500

// quotaMetrics is IotHubResource_GetQuotaMetrics. Fidelity: every message counts as one, since the emulator's start.
func (c *call) quotaMetrics() error {
	hub, n, err := c.statistics()
	if err != nil {
		return err
	}
	devices := int64(maxDevices)
	if hub.SKU.Tier() == state.Free {
		devices = maxFreeDevices
	}
	received := int64(0)
	if c.Received != nil {
		received = int64(c.Received(hub.Host()))
	}
	return c.json(http.StatusOK, list{[]quotaMetric{
		{"TotalMessages", received, tiers[hub.SKU.Name].messages * hub.SKU.Capacity},
		{"TotalDeviceCount", int64(n.Total), devices},
	}})
}

type skuDescription struct {
	ResourceType string         `json:"resourceType"`
	SKU          skuBody        `json:"sku"`
	Capacity     map[string]any `json:"capacity"`
}

// hubSKUs is IotHubResource_GetValidSkus: the skus that the hub can be changed to.
func (c *call) hubSKUs() error {
	hub, err := hubs.read(c)
	if err != nil {
		return err
	}
	skus := []skuDescription{}
	for _, name := range []string{"F1", "B1", "B2", "B3", "S1", "S2", "S3"} {
		tier := state.SKU{Name: name}.Tier()
		if !canBecome(hub.SKU, state.SKU{Name: name}) {
			continue
		}
		scale := "Manual"
		if tier == state.Free {
			scale = "None"
		}
		skus = append(skus, skuDescription{provider + "/" + hubKind, skuBody{Name: name, Tier: string(tier),
			Capacity: new(int64(1))}, map[string]any{
			"minimum": 1, "maximum": tiers[name].maxUnits, "default": 1, "scaleType": scale,
		}})
	}
	return c.json(http.StatusOK, list{skus})
}

// serviceSKUs is IotDpsResource_ListValidSkus.
func (c *call) serviceSKUs() error {
	if _, err := services.read(c); err != nil {
		return err
	}
	return c.json(http.StatusOK, list{[]any{map[string]string{"name": "S1"}}})
}

// endpointHealth is IotHubResource_GetEndpointHealth: of custom endpoints, which are never contacted.
func (c *call) endpointHealth() error { return c.emptyList() }

// listJobs is IotHubResource_ListJobs, getJob IotHubResource_GetJob: there are no jobs.
func (c *call) listJobs() error { return c.emptyList() }

func (c *call) emptyList() error {
	if _, err := hubs.read(c); err != nil {
		return err
	}
	return c.json(http.StatusOK, list{[]any{}})
}

func (c *call) getJob() error {
	if _, err := hubs.read(c); err != nil {
		return err
	}
	return providerError(numberChildNotFound, "The job '%s' was not found.", c.values["job"])
}
