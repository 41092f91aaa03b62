package domain_test

import (
	"testing"

	"evenkeel/internal/azure/domain"
)

func TestOfService(t *testing.T) {
	t.Parallel()
	for host, want := range map[string]string{
		"dps-1.azure-devices-provisioning.net": "azure-devices-provisioning.net",
		"DPS-1.Azure-Devices-Provisioning.cn":  "azure-devices-provisioning.cn",
		"dps-1.azure-devices-provisioning.us":  "azure-devices-provisioning.us",
		"localhost":                            "azure-devices-provisioning.net",
		"dps-1.example.com":                    "azure-devices-provisioning.net",
	} {
		t.Run(host, func(t *testing.T) {
			if got := domain.OfService(host); got != want {
				t.Errorf("OfService(%q): got %q, want %q", host, got, want)
			}
		})
	}
}

func TestHubScope(t *testing.T) {
	t.Parallel()
	for host, want := range map[string]string{
		"hub-1.azure-devices.net":         "https://iothubs.azure.net/.default",
		"hub-1.service.Azure-Devices.net": "https://iothubs.azure.net/.default",
		"hub-1.azure-devices.us":          "https://iothubs.azure.us/.default",
		"hub-1.device.azure-devices.cn":   "https://iothubs.azure.cn/.default",
		"localhost":                       "https://iothubs.azure.net/.default",
	} {
		t.Run(host, func(t *testing.T) {
			if got := domain.HubScope(host); got != want {
				t.Errorf("HubScope(%q): got %q, want %q", host, got, want)
			}
		})
	}
}
