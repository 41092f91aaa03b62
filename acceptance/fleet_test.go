//go:build acceptance

package acceptance_test

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"net/url"
	"testing"
	"time"

	own "evenkeel/acceptance/checkout"
	"evenkeel/acceptance/live"
	"evenkeel/dpsdevice"
	"evenkeel/internal/azure/sas"
)

// pageDevices is how many devices a page has that needs some: with fewer, a hub might have none of them.
const pageDevices = 30

// startDevices runs devices of the environment's group until the test ends. They register again when they are asked.
func startDevices(t *testing.T, n int) *live.Fleet {
	t.Helper()
	out, err := own.Keel(checkout, "exec", "--", "pulumi", "stack", "output", "--json", "--show-secrets")
	if err != nil {
		t.Fatal(err)
	}
	var stack struct{ IDScope, DeviceHost, EnrollmentGroup, EnrollmentGroupKey string }
	if err := json.Unmarshal(out, &stack); err != nil {
		t.Fatal(err)
	}
	status, err := own.EmulatorStatus(checkout)
	if err != nil {
		t.Fatal(err)
	}
	roots, err := status.Endpoints.Roots()
	if err != nil {
		t.Fatal(err)
	}
	data, err := url.Parse(status.Endpoints.Data)
	if err != nil {
		t.Fatal(err)
	}
	var devices []live.Device
	for i := range n {
		id := fmt.Sprintf("%s-%04d", stack.EnrollmentGroup, i+1)
		key, err := sas.DeriveDeviceKey(stack.EnrollmentGroupKey, id)
		if err != nil {
			t.Fatal(err)
		}
		devices = append(devices, live.Device{Manner: live.Obedient, Options: dpsdevice.Options{
			Host: stack.DeviceHost, IDScope: stack.IDScope, RegistrationID: id,
			Credential: dpsdevice.SymmetricKey(key),
			Network: dpsdevice.Network{Address: dpsdevice.Loopback(data.Host, status.Endpoints.MQTT),
				TLS: &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}},
		}})
	}
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	fleet, err := live.Start(ctx, devices)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(fleet.Stop)
	return fleet
}
