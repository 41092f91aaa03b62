package main

import (
	"fmt"
	"testing"
)

func TestHostLines(t *testing.T) {
	t.Parallel()
	const hub, service = "h1.azure-devices.net", "d1.azure-devices-provisioning.net"
	for name, test := range map[string]struct {
		hosts     []string
		addresses map[string]string
		want      string
	}{
		"no hubs": {nil, nil, "[{127.0.0.1 [global.azure-devices-provisioning.net]}]"},
		"one address": {[]string{hub, service}, nil,
			"[{127.0.0.1 [d1.azure-devices-provisioning.net global.azure-devices-provisioning.net " +
				"h1.azure-devices.net]}]"},
		"own addresses": {
			[]string{hub, service}, map[string]string{hub: "127.0.0.11", service: "127.0.0.12",
				"gone.azure-devices.net": "127.0.0.13"},
			"[{127.0.0.12 [d1.azure-devices-provisioning.net]} {127.0.0.1 [global.azure-devices-provisioning.net]} " +
				"{127.0.0.11 [h1.azure-devices.net]}]",
		},
	} {
		t.Run(name, func(t *testing.T) {
			if got := fmt.Sprint(hostLines(test.hosts, test.addresses)); got != test.want {
				t.Errorf("%s: got %s, want %s", name, got, test.want)
			}
		})
	}
}
