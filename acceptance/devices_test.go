//go:build acceptance

package acceptance_test

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/rogpeppe/go-internal/testscript"

	own "evenkeel/acceptance/checkout"
	"evenkeel/dpsdevice"
	"evenkeel/internal/await"
)

// deviceSide has the addresses for devices of the deployed provisioning service, and the key of the enrollment group.
type deviceSide struct {
	scope, host, groupKey string
	network               dpsdevice.Network
}

func dialDevices(folder string) (deviceSide, error) {
	out, err := own.Keel(folder, "exec", "--", "pulumi", "stack", "output", "--json", "--show-secrets")
	if err != nil {
		return deviceSide{}, err
	}
	var stack struct{ IDScope, DeviceHost, EnrollmentGroupKey string }
	if err := json.Unmarshal(out, &stack); err != nil {
		return deviceSide{}, err
	}
	at, err := findEmulator(folder)
	if err != nil {
		return deviceSide{}, err
	}
	network := dpsdevice.Network{Address: dpsdevice.Loopback(at.data, at.mqtt), TLS: at.tls}
	return deviceSide{stack.IDScope, stack.DeviceHost, stack.EnrollmentGroupKey, network}, nil
}

// register registers a device with its own symmetric key.
func (d deviceSide) register(ctx context.Context, id, key string) (dpsdevice.Registration, error) {
	ctx, cancel := context.WithTimeout(ctx, await.Limit)
	defer cancel()
	return dpsdevice.Register(ctx, dpsdevice.Options{
		Host: d.host, IDScope: d.scope, RegistrationID: id, Credential: dpsdevice.SymmetricKey(key), Network: d.network,
		Transport: dpsdevice.HTTPS,
	})
}

// registerDevice implements `[!] register ID KEY`, which registers a device with its own symmetric key and prints its
// hub and its device id.
func registerDevice(ts *testscript.TestScript, neg bool, args []string) {
	if len(args) != 2 {
		ts.Fatalf("usage: register ID KEY")
	}
	devices, err := dialDevices(checkout)
	ts.Check(err)
	got, err := devices.register(context.Background(), args[0], args[1])
	switch {
	case err == nil && neg:
		ts.Fatalf("%s was accepted, want it refused", args[0])
	case err != nil && !neg:
		ts.Fatalf("%v", err)
	case err == nil:
		fmt.Fprintln(ts.Stdout(), got.Hub, got.DeviceID)
	}
}
