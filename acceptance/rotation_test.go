//go:build acceptance

package acceptance_test

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	own "evenkeel/acceptance/checkout"
	"evenkeel/internal/await"
	"evenkeel/internal/azure/sas"
)

// unknown is Pulumi's form of a value that is not known during a preview.
const unknown = "04da6b54-80e4-46f7-96ec-b56ff0331ba9"

// TestARotationInterruptsNoDevice rotates the keys of the links and of the enrollments three times, so that each key of
// a pair is replaced once. Meanwhile a device that has registered before and a new device register every 100 ms.
func TestARotationInterruptsNoDevice(t *testing.T) {
	own.TearDown(checkout)
	t.Cleanup(func() { own.TearDown(checkout) })
	mustKeel(t, "up")
	fleet := newRegistrar(t)
	ctx, stop := context.WithCancel(t.Context())
	var registering sync.WaitGroup
	registering.Go(func() { fleet.every(ctx, 100*time.Millisecond) })
	before := keysInUse(t)
	for rotation := 1; rotation <= 3; rotation++ {
		for _, role := range []string{"link", "enrollments"} {
			mustKeel(t, "exec", "--", "pulumi", "config", "set", "--path", "rotation."+role, fmt.Sprint(rotation))
		}
		checkPreview(t, rotation)
		began := fleet.done.Load()
		mustKeel(t, "up")
		if fleet.done.Load() == began {
			t.Errorf("rotation %d: no device registered while it ran", rotation)
		}
		mustKeel(t, "exec", "--", "pulumi", "preview", "--expect-no-changes")
		after := keysInUse(t)
		if after == before {
			t.Errorf("rotation %d: the provider still uses the key from before", rotation)
		}
		before = after
	}
	stop()
	await.Return(t, "the last registrations", registering.Wait)
	t.Logf("%d registrations, %d failed", fleet.done.Load(), len(fleet.failures))
	for _, err := range fleet.failures {
		t.Errorf("a registration failed: %v", err)
	}

	// A rotation that skips a number would revoke the key in use: it is rejected, and nothing changes.
	mustKeel(t, "exec", "--", "pulumi", "config", "set", "--path", "rotation.link", "5")
	if _, err := own.Keel(checkout, "up"); err == nil || !strings.Contains(err.Error(), "raise it by one") {
		t.Errorf("rotation from 3 to 5: got %v, want a refusal", err)
	}
	if err := fleet.register(t.Context(), "after-the-refusal"); err != nil {
		t.Errorf("after the refusal: %v", err)
	}
}

// keysInUse returns the connection string with which the provider manages the stack's enrollments.
func keysInUse(t *testing.T) string {
	t.Helper()
	out, err := own.Keel(checkout, "exec", "--", "pulumi", "stack", "output", "serviceConnectionString",
		"--show-secrets")
	if err != nil {
		t.Fatal(err)
	}
	return string(out)
}

// checkPreview checks that the preview of the stack knows every input of every resource.
func checkPreview(t *testing.T, rotation int) {
	t.Helper()
	out, err := own.Keel(checkout, "exec", "--", "pulumi", "preview", "--json", "--show-secrets")
	if err != nil {
		t.Fatal(err)
	}
	var preview struct {
		Steps []struct {
			Op       string
			URN      string
			NewState struct{ Inputs json.RawMessage }
		}
	}
	if err := json.Unmarshal(out, &preview); err != nil {
		t.Fatal(err)
	}
	updates := 0
	for _, step := range preview.Steps {
		if step.Op == "update" {
			updates++
		} else if step.Op != "same" {
			t.Errorf("the preview will %s %s, want only updates", step.Op, step.URN)
		}
		if strings.Contains(string(step.NewState.Inputs), unknown) {
			t.Errorf("the preview does not know all inputs of %s", step.URN)
		}
	}
	// Three keys, the service and the provider of its enrollments; from the second rotation on the two hubs get a new
	// key.
	want := 5
	if rotation > 1 {
		want = 7
	}
	if updates != want {
		t.Errorf("rotation %d: the preview will update %d resources, want %d", rotation, updates, want)
	}
}

// registrar registers devices of the stack's enrollment group repeatedly.
type registrar struct {
	deviceSide
	done     atomic.Int64
	failures []error
}

func newRegistrar(t *testing.T) *registrar {
	t.Helper()
	side, err := dialDevices(checkout)
	if err != nil {
		t.Fatal(err)
	}
	return &registrar{deviceSide: side}
}

// every registers a known device and a new one at each tick, until ctx is done.
func (r *registrar) every(ctx context.Context, interval time.Duration) {
	tick := time.NewTicker(interval)
	defer tick.Stop()
	for n := 1; ctx.Err() == nil; n++ {
		for _, id := range []string{"sensor-0", fmt.Sprintf("sensor-%d", n)} {
			if err := r.register(context.WithoutCancel(ctx), id); err != nil {
				r.failures = append(r.failures, err)
			}
		}
		r.done.Add(1)
		<-tick.C
	}
}

func (r *registrar) register(ctx context.Context, id string) error {
	key, err := sas.DeriveDeviceKey(r.groupKey, id)
	if err != nil {
		return err
	}
	_, err = r.deviceSide.register(ctx, id, key)
	return err
}
