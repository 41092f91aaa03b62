//go:build acceptance

package acceptance_test

import (
	"encoding/json"
	"fmt"
	"math"
	"strings"
	"sync"
	"testing"

	own "evenkeel/acceptance/checkout"
)

// parallel is the number of environments that commands run for at the same time.
const parallel = 4

// inAMillion is how many standard deviations a normal variable exceeds, in either direction, once in a million times.
const inAMillion = 4.8916

// TestTwelveEnvironmentsOnOneEmulator brings up twelve environments, four at a time, with Azure's quotas on. Eight have
// their own provisioning service; four share a ninth service, which the first of the four owns.
func TestTwelveEnvironmentsOnOneEmulator(t *testing.T) {
	own.TearDown(checkout)
	t.Cleanup(func() { own.TearDown(checkout) })
	mustKeel(t, "-s", "bystander", "exec", "--", "true") // keeps the emulator running to the end
	s, err := own.EmulatorStatus(checkout)
	if err != nil {
		t.Fatal(err)
	}
	owners := []string{"owner"}
	for i := range 8 {
		owners = append(owners, fmt.Sprintf("own-%d", i+1))
	}
	guests := []string{"guest-1", "guest-2", "guest-3"}
	all := append(append([]string{}, owners...), guests...)

	mustKeel(t, "-s", "owner", "exec", "--", "pulumi", "config", "set", "shared", "true")
	inParallel(t, owners, func(name string) error { return keel("up", name) })
	service := strings.TrimSpace(mustKeel(t, "-s", "owner", "exec", "--", "pulumi", "stack", "output",
		"provisioningService"))
	inParallel(t, guests, func(name string) error {
		if err := keel("-s", name, "exec", "--", "pulumi", "config", "set", "provisioningService",
			service); err != nil {
			return err
		}
		return keel("up", name)
	})
	wantCounts(t, s, map[string]int{"groups": 12, "hubs": 24, "services": 9, "enrollmentGroups": 12, "enrollments": 24})

	inParallel(t, all, evenlySpread)
	mustKeel(t, "-s", "owner", "exec", "--", "pulumi", "refresh", "--yes") // it sees the links of its guests
	inParallel(t, all, func(name string) error {
		return keel("-s", name, "exec", "--", "pulumi", "preview", "--refresh", "--expect-no-changes")
	})

	// 24 of 50 hubs exist.
	mustKeel(t, "-s", "large", "exec", "--", "pulumi", "config", "set", "hubs", "27")
	if err := keel("up", "large"); err == nil || !strings.Contains(err.Error(),
		"it needs 27 more IoT hubs (24 of 50 in use)") {
		t.Errorf("got %v, want an error for the quota", err)
	}

	inParallel(t, guests, func(name string) error { return keel("down", name) })
	wantCounts(t, s, map[string]int{"groups": 9, "hubs": 18, "services": 9, "enrollmentGroups": 9})
	inParallel(t, owners, evenlySpread)
	inParallel(t, owners, func(name string) error { return keel("down", name) })
	wantCounts(t, s, map[string]int{"groups": 0, "hubs": 0, "services": 0, "enrollmentGroups": 0, "enrollments": 0,
		"registrations": 0})
	var left []struct{ Name string }
	if err := json.Unmarshal([]byte(mustKeel(t, "ls", "--json")), &left); err != nil {
		t.Fatal(err)
	}
	if len(left) != 2 || left[0].Name != "bystander" || left[1].Name != "large" {
		t.Errorf("got %v, want only the environments that were never up", left)
	}
}

func keel(args ...string) error {
	_, err := own.Keel(checkout, args...)
	return err
}

// inParallel calls do for all environments, a few at a time.
func inParallel(t *testing.T, names []string, do func(name string) error) {
	t.Helper()
	var wait sync.WaitGroup
	slots := make(chan struct{}, parallel)
	for _, name := range names {
		slots <- struct{}{}
		wait.Go(func() {
			defer func() { <-slots }()
			if err := do(name); err != nil {
				t.Errorf("%s: %v", name, err)
			}
		})
	}
	wait.Wait()
	if t.Failed() {
		t.FailNow()
	}
}

// evenlySpread registers devices in an environment and checks their distribution over its two hubs.
func evenlySpread(name string) error {
	const count = 200
	text, err := own.Keel(checkout, "devices", "provision", "-s", name, "--count", fmt.Sprint(count), "--json")
	if err != nil {
		return err
	}
	var result struct {
		Devices, Failed int
		Hubs            []struct {
			Name    string
			Devices int
		}
	}
	if err := json.Unmarshal(text, &result); err != nil {
		return err
	}
	if result.Devices != count || result.Failed != 0 || len(result.Hubs) != 2 {
		return fmt.Errorf("got %s, want %d devices on two hubs", text, count)
	}
	band := inAMillion*math.Sqrt(count)/2 + 0.5
	for _, hub := range result.Hubs {
		if math.Abs(float64(hub.Devices)-count/2) > band {
			return fmt.Errorf("hub %s got %d of %d devices, which is less likely than one in a million", hub.Name,
				hub.Devices, count)
		}
	}
	return nil
}
