package state_test

import (
	"fmt"
	"testing"

	"evenkeel/emulator/internal/state"
)

func TestEachNameOfAHubHasOneClassicName(t *testing.T) {
	t.Parallel()
	for host, want := range map[string]string{
		"Hub-1.azure-devices.net":         "hub-1.azure-devices.net",
		"hub-1.DEVICE.azure-devices.net":  "hub-1.azure-devices.net",
		"hub-1.service.azure-devices.net": "hub-1.azure-devices.net",
		// A hub may have such a name.
		"device.azure-devices.net":        "device.azure-devices.net",
		"device.device.azure-devices.net": "device.azure-devices.net",
		"a.b.device.azure-devices.net":    "a.b.device.azure-devices.net",
		"hub-1.device.example.net":        "hub-1.device.example.net",
		".device.azure-devices.net":       ".device.azure-devices.net", "127.0.0.11": "127.0.0.11", "": "",
		"dps.device.azure-devices-provisioning.net": "dps.device.azure-devices-provisioning.net",
	} {
		t.Run(fmt.Sprintf("%q", host), func(t *testing.T) {
			if got := state.ClassicHost(host); got != want {
				t.Errorf("%s: got %q, want %q", host, got, want)
			}
		})
	}
	const classic = "hub-1.azure-devices.net"
	for _, name := range []string{state.DeviceHost(classic), state.ServiceHostOfHub(classic)} {
		if name == classic || state.ClassicHost(name) != classic {
			t.Errorf("got the name %s", name)
		}
	}
}

func TestTheLinkWithTheExactNameWins(t *testing.T) {
	t.Parallel()
	both := []state.Link{
		{HubHost: "hub-1.azure-devices.net", KeyName: "p", Key: "classic"}, {HubHost: "hub-1.device.azure-devices.net",
			KeyName: "p", Key: "device"},
	}
	for _, test := range []struct {
		links      []state.Link
		host, want string
	}{
		{both, "hub-1.azure-devices.net", "classic"}, {both, "Hub-1.device.azure-devices.net", "device"},
		{both[:1], "hub-1.device.azure-devices.net", "classic"}, {both[1:], "hub-1.azure-devices.net", "device"},
		{both, "hub-2.azure-devices.net", ""}, {nil, "hub-1.azure-devices.net", ""},
	} {
		t.Run(fmt.Sprintf("%s among %d", test.host, len(test.links)), func(t *testing.T) {
			link, ok := state.FindLink(test.links, test.host)
			if link.Key != test.want || ok != (test.want != "") {
				t.Errorf("%s among %v: got %v, want the key %q", test.host, test.links, link, test.want)
			}
		})
	}
	service := state.Service{Links: both}
	for host, want := range map[string]string{
		"hub-1.azure-devices.net": "classic", "hub-1.device.azure-devices.net": "device", "hub-2.azure-devices.net": "",
	} {
		t.Run(host, func(t *testing.T) {
			if got := service.StoredKey(state.Link{HubHost: host, KeyName: "P"}); got != want {
				t.Errorf("the stored key of %s: got %q, want %q", host, got, want)
			}
		})
	}
	if got := service.StoredKey(state.Link{HubHost: "hub-1.azure-devices.net", KeyName: "other"}); got != "" {
		t.Errorf("another policy: got the key %q", got)
	}
}
