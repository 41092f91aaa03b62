package provider_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	p "github.com/pulumi/pulumi-go-provider"

	"evenkeel/emulator"
	"evenkeel/internal/await"
	"evenkeel/internal/azure/sas"
)

// keyPair is a SharedAccessKey in a program: the policy has both keys, and clients use the active one.
type keyPair struct{ *managed }

func (k keyPair) keys() (primary, secondary, active string) {
	return k.secret("primaryKey"), k.secret("secondaryKey"), k.secret("activeKey")
}

// raise previews the next rotation and then runs it. The preview must know the keys that the following resources get.
func (k keyPair) raise(to int) {
	k.t.Helper()
	checked := k.check(object{"rotation": to})
	preview, err := k.server.Update(p.UpdateRequest{ID: k.id, Urn: k.urn, State: k.state, Inputs: checked,
		OldInputs: k.inputs, DryRun: true})
	if err != nil {
		k.t.Fatalf("preview rotation %d: %v", to, err)
	}
	k.up(object{"rotation": to})
	for _, name := range []string{"primaryKey", "secondaryKey", "activeKey"} {
		if foreseen := preview.Properties.Get(name); !foreseen.IsString() || foreseen.AsString() != k.secret(name) {
			k.t.Errorf("rotation %d: the preview did not know %s", to, name)
		}
	}
}

// TestRotationsNeverFailADevice rotates both keys of a deployment, in the order in which an update follows their
// outputs: the keys, the hub's policy, the provisioning service with its link, the provider's configuration. Meanwhile
// a device that is registered, and a new one, register every 100 ms.
func TestRotationsNeverFailADevice(t *testing.T) {
	t.Parallel()
	cloud := newAzure(t, emulator.Options{LRODelay: 50 * time.Millisecond})
	unconfigured := startProvider(t, object{})
	link, enroll := keyPair{manage(t, unconfigured, "SharedAccessKey", "link")},
		keyPair{manage(t, unconfigured, "SharedAccessKey", "enroll")}
	link.up(object{})
	enroll.up(object{})
	group := manage(t, unconfigured, "EnrollmentGroup", "devices")
	deploy := func(rotation int) (scope string) {
		primary, secondary, active := link.keys()
		must(t, cloud.putHub(t.Context(), primary, secondary))
		first, second, key := enroll.keys()
		scope, err := cloud.putService(t.Context(), first, second, active)
		must(t, err)
		group.server = startProvider(t, cloud.config(key))
		group.up(object{"enrollmentGroupId": "devices", "initialTwin": object{"tags": object{"rotation": rotation}}})
		return scope
	}
	scope := deploy(0)
	groupKey := group.secret("primaryKey")
	register := func(id string) error {
		key, err := sas.DeriveDeviceKey(groupKey, id)
		if err == nil {
			_, err = cloud.register(t.Context(), scope, id, key)
		}
		return err
	}

	ctx, stop := context.WithCancel(t.Context())
	var registering sync.WaitGroup
	registrations := make(chan error, 10_000)
	registering.Go(func() {
		every := time.NewTicker(100 * time.Millisecond)
		defer every.Stop()
		for n := 2; ctx.Err() == nil; n++ {
			// The same device, and one that its hub does not have yet.
			registrations <- errors.Join(register("sensor-1"), register(fmt.Sprintf("sensor-%d", n)))
			<-every.C
		}
	})
	awaitOne := func() {
		for range 2 { // the second registration begins after the first one has ended, so after the deployment
			if err := await.Next(t, registrations, "a registration"); err != nil {
				t.Errorf("a registration failed: %v", err)
			}
		}
	}
	for rotation := 1; rotation <= 4; rotation++ {
		link.raise(rotation)
		enroll.raise(rotation)
		deploy(rotation)
		awaitOne()
	}
	stop()
	await.Return(t, "the registrations", registering.Wait)
	close(registrations)
	for err := range registrations {
		if err != nil {
			t.Errorf("a registration failed: %v", err)
		}
	}

	// Without the order of the rotation the link is broken, and the device fails.
	must(t, cloud.putHub(t.Context(), newKey(t), newKey(t)))
	if err := register("sensor-0"); err == nil {
		t.Error("a link with an unknown key: got a registration, want a failure")
	}
}
