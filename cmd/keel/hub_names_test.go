package main

import (
	"testing"

	"evenkeel/internal/keel/environment"
)

// TestTheHubOfADeviceIsFoundByEachOfItsNames: a device gets the name under which its hub is linked, which is one of
// three.
func TestTheHubOfADeviceIsFoundByEachOfItsNames(t *testing.T) {
	t.Parallel()
	o := outputs{
		Hubs: hubsOut{{Name: "plant-1", HostName: "Plant-1.azure-devices.net"}},
		HubConnectionStrings: map[string]string{
			"plant-1": "HostName=Plant-1.azure-devices.net;SharedAccessKeyName=p;SharedAccessKey=" +
				"MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE=",
		},
	}
	for host, want := range map[string]bool{
		"plant-1.azure-devices.net": true, "plant-1.device.azure-devices.net": true,
		"plant-1.service.azure-devices.net": true,
		"plant-2.device.azure-devices.net":  false, "device.azure-devices.net": false,
	} {
		t.Run(host, func(t *testing.T) {
			client, err := o.hub(environment.Endpoints{}, host)
			if found := client != nil; err != nil || found != want {
				t.Errorf("%s: got %v, %v, want found %v", host, client, err, want)
			}
		})
	}
}
