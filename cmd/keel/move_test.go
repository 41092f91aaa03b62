//go:build unix

package main

import (
	"context"
	"crypto/sha256"
	"crypto/tls"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/arm"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/runtime"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/to"
	"github.com/Azure/azure-sdk-for-go/sdk/resourcemanager/deviceprovisioningservices/armdeviceprovisioningservices"
	"github.com/rogpeppe/go-internal/testscript"

	"evenkeel/acceptance/live"
	"evenkeel/dpsdevice"
	"evenkeel/dpsservice"
	"evenkeel/internal/azure/sas"
	"evenkeel/internal/keel/environment"
)

// seeded returns the outputs of the seeded stack and the emulator's endpoints.
func seeded(ts *testscript.TestScript) (out outputs, ends environment.Endpoints) {
	text, err := os.ReadFile(filepath.Join(ts.Getenv("FAKE"), "outputs"))
	ts.Check(err)
	ts.Check(json.Unmarshal(text, &out))
	record, err := process(ts.Getenv("CHECKOUT")).Find()
	ts.Check(err)
	ends, err = decode(record)
	ts.Check(err)
	return out, ends
}

// keyOfEntry returns the key that entry gives an enrollment. It differs between groups: with a derived key a device
// belongs to whichever group has the key that it was derived from.
func keyOfEntry(id string) string {
	if id == "devices" || id == "device-1" {
		return groupKey
	}
	digest := sha256.Sum256([]byte(id))
	return base64.StdEncoding.EncodeToString(digest[:])
}

// entry: entry group|individual ID open|never|disabled|only HUB — puts an enrollment into the seeded service.
func entry(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 3 {
		ts.Fatalf("usage: entry group|individual ID open|never|disabled|only HUB")
	}
	out, ends := seeded(ts)
	client, err := out.service(ends)
	ts.Check(err)
	defer client.Close()
	e := dpsservice.Enrollment{ID: args[1], Attestation: &dpsservice.Attestation{
		Type:         dpsservice.SymmetricKeyAttestation,
		SymmetricKey: &dpsservice.SymmetricKey{PrimaryKey: keyOfEntry(args[1]), SecondaryKey: keyOfEntry(args[1])},
	}}
	switch args[2] {
	case "never":
		e.ReprovisionPolicy = &dpsservice.ReprovisionPolicy{}
	case "disabled":
		e.ProvisioningStatus = to.Ptr("disabled")
	case "only":
		h, err := out.findHub(args[3])
		ts.Check(err)
		e.AllocationPolicy, e.IotHubs = to.Ptr("hashed"), []string{h.HostName}
	}
	entries := client.Groups()
	if args[0] == individual {
		entries = client.Individuals()
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	_, err = entries.Put(ctx, args[1], e, "")
	ts.Check(err)
}

// fleets are the devices that run in a story.
type fleets struct {
	mu  sync.Mutex
	all []*live.Fleet
}

// fleetsKey is the key under which a story keeps its devices.
type fleetsKey struct{}

// alive: alive GROUP COUNT MANNER — runs devices of a group, GROUP-0001 and so on, until the story ends or until `!
// alive`; `alive individual ID MANNER` runs one with an individual enrollment. It returns when all are connected.
func alive(ts *testscript.TestScript, neg bool, args []string) {
	f := ts.Value(fleetsKey{}).(*fleets)
	f.mu.Lock()
	defer f.mu.Unlock()
	if neg && len(args) == 0 {
		for _, fleet := range f.all {
			fleet.Stop()
		}
		return
	}
	if neg || len(args) != 3 {
		ts.Fatalf("usage: alive GROUP COUNT MANNER, alive individual ID MANNER, or ! alive")
	}
	keys := map[string]string{}
	if args[0] == individual {
		keys[args[1]] = keyOfEntry(args[1])
	} else {
		n, err := strconv.Atoi(args[1])
		ts.Check(err)
		for i := range n {
			id := fmt.Sprintf("%s-%04d", args[0], i+1)
			keys[id], err = sas.DeriveDeviceKey(keyOfEntry(args[0]), id)
			ts.Check(err)
		}
	}
	out, ends := seeded(ts)
	roots, err := ends.Roots()
	ts.Check(err)
	data, err := url.Parse(ends.Data)
	ts.Check(err)
	var devices []live.Device
	for id, key := range keys {
		devices = append(devices, live.Device{Manner: live.Manner(args[2]), Options: dpsdevice.Options{
			Host: out.DeviceHost, IDScope: out.IDScope, RegistrationID: id, Credential: dpsdevice.SymmetricKey(key),
			Network: dpsdevice.Network{Address: dpsdevice.Loopback(data.Host, ends.MQTT),
				TLS: &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}},
		}})
	}
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	fleet, err := live.Start(ctx, devices)
	ts.Check(err)
	ts.Defer(fleet.Stop)
	f.all = append(f.all, fleet)
}

// asked: asked ID|all LEAST [MOST] — how often a device, or all of them together, has been asked to register again.
func asked(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 || len(args) > 3 {
		ts.Fatalf("usage: asked ID|all LEAST [MOST]")
	}
	least, err := strconv.Atoi(args[1])
	ts.Check(err)
	most, err := strconv.Atoi(args[len(args)-1])
	ts.Check(err)
	f := ts.Value(fleetsKey{}).(*fleets)
	f.mu.Lock()
	defer f.mu.Unlock()
	n := 0
	for _, fleet := range f.all {
		if args[0] == "all" {
			n += fleet.Asked()
		} else {
			n += len(fleet.Runs(args[0]))
		}
	}
	if n < least || n > most {
		ts.Fatalf("%s was asked %d times; want %d to %d", args[0], n, least, most)
	}
}

// deleted: deleted DEVICE — deletes a device at the seeded hubs, and keeps its registration record.
func deleted(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: deleted DEVICE")
	}
	out, ends := seeded(ts)
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	for _, h := range out.Hubs {
		client, err := out.hub(ends, h.HostName)
		ts.Check(err)
		defer client.Close()
		if _, err := client.Device(ctx, args[0]); err == nil {
			ts.Check(client.Remove(ctx, args))
			return
		}
	}
	ts.Fatalf("no hub has %s", args[0])
}

// drained: drained HUB — excludes a hub of the seeded service from allocation, as keel hub drain HUB --up does.
func drained(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: drained HUB")
	}
	out, ends := seeded(ts)
	hub, err := out.findHub(args[0])
	ts.Check(err)
	credential, client, err := environment.Client(ends)
	ts.Check(err)
	services, err := armdeviceprovisioningservices.NewIotDpsResourceClient(ends.SubscriptionID, credential,
		&arm.ClientOptions{ClientOptions: client, DisableRPRegistration: true})
	ts.Check(err)
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	service, err := services.Get(ctx, "seeded", "seeded", nil)
	ts.Check(err)
	for _, link := range service.Properties.IotHubs {
		if *link.Name == hub.HostName {
			link.ApplyAllocationPolicy = to.Ptr(false)
		}
	}
	poller, err := services.BeginCreateOrUpdate(ctx, "seeded", "seeded", service.ProvisioningServiceDescription, nil)
	ts.Check(err)
	_, err = poller.PollUntilDone(ctx, &runtime.PollUntilDoneOptions{Frequency: time.Second})
	ts.Check(err)
	for i := range out.Hubs {
		out.Hubs[i].Drain = out.Hubs[i].Drain || out.Hubs[i].Name == args[0]
	}
	text, err := json.Marshal(out)
	ts.Check(err)
	ts.Check(os.WriteFile(filepath.Join(ts.Getenv("FAKE"), "outputs"), text, 0o600))
}
