package state_test

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"
	"time"

	"pgregory.net/rapid"

	"evenkeel/emulator/internal/state"
)

func allocate(t interface{ Fatal(...any) }, policy state.AllocationPolicy, id string, cs []state.Candidate) string {
	host, err := state.Allocate(policy, id, cs)
	if err != nil {
		t.Fatal(err)
	}
	return host
}

func hubs(weights ...int) []state.Candidate {
	var cs []state.Candidate
	for i, w := range weights {
		cs = append(cs, state.Candidate{Host: fmt.Sprintf("hub-%d.azure-devices.net", i+1), Weight: w})
	}
	return cs
}

// TestHashedSpreadsByWeight counts 20,000 devices. A hub's share is binomial: the test allows five standard deviations,
// which a correct formula exceeds once in two million runs, and the ids are always the same.
func TestHashedSpreadsByWeight(t *testing.T) {
	t.Parallel()
	const devices = 20_000
	for _, weights := range [][]int{{1, 1}, {1, 1, 1, 1, 1}, {1, 3}, {5, 3, 2}, {1, 1000}, {0, 1}} {
		t.Run(fmt.Sprint(weights), func(t *testing.T) {
			cs, total := hubs(weights...), 0.0
			for _, c := range cs {
				total += float64(max(c.Weight, 1))
			}
			got := make(map[string]float64)
			for i := range devices {
				got[allocate(t, state.Hashed, fmt.Sprintf("device-%d", i), cs)]++
			}
			for _, c := range cs {
				p := float64(max(c.Weight, 1)) / total
				want, spread := devices*p, math.Sqrt(devices*p*(1-p))
				if math.Abs(got[c.Host]-want) > 5*spread {
					t.Errorf("weights %v, %s: got %.0f devices, want %.0f ± %.0f", weights, c.Host, got[c.Host], want,
						5*spread)
				}
			}
		})
	}
}

func drawHubs(t *rapid.T) []state.Candidate {
	return hubs(rapid.SliceOfN(rapid.IntRange(1, 1000), 1, 12).Draw(t, "weights")...)
}

func TestHashedIgnoresOrderAndLetterCase(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		cs, id := drawHubs(t), rapid.StringMatching(`[a-z0-9:._-]{1,40}`).Draw(t, "id")
		want := allocate(t, state.Hashed, id, cs)
		shuffled := append([]state.Candidate(nil), cs...)
		rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "seed"), 0)).Shuffle(len(cs), func(i, j int) {
			shuffled[i], shuffled[j] = shuffled[j], shuffled[i]
		})
		upper := []byte(id)
		for i, c := range upper {
			if 'a' <= c && c <= 'z' {
				upper[i] = c - 'a' + 'A'
			}
		}
		if got := allocate(t, state.Hashed, string(upper), shuffled); got != want {
			t.Fatalf("got %s for another order and letter case, want %s", got, want)
		}
	})
}

func TestAChangedHubMovesOnlyItsOwnDevices(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		cs, id := drawHubs(t), rapid.StringMatching(`[a-z0-9-]{1,20}`).Draw(t, "id")
		before := allocate(t, state.Hashed, id, cs)
		changed := rapid.IntRange(0, len(cs)-1).Draw(t, "changed")
		name := cs[changed].Host

		if len(cs) > 1 {
			without := append(append([]state.Candidate(nil), cs[:changed]...), cs[changed+1:]...)
			if after := allocate(t, state.Hashed, id, without); before != name && after != before {
				t.Fatalf("removing %s: got moved from %s to %s, want it left alone", name, before, after)
			}
		}
		more := append(append([]state.Candidate(nil), cs...), state.Candidate{Host: "new.azure-devices.net", Weight: 7})
		if after := allocate(t, state.Hashed, id, more); after != before && after != "new.azure-devices.net" {
			t.Fatalf("adding a hub: got moved from %s to %s, want it left or on the new one", before, after)
		}
		heavier := append([]state.Candidate(nil), cs...)
		heavier[changed].Weight += rapid.IntRange(1, 1000).Draw(t, "more")
		if after := allocate(t, state.Hashed, id, heavier); after != before && after != name {
			t.Fatalf("raising %s: got moved from %s to %s, want it left or on the raised one", name, before, after)
		}
	})
}

func TestGeoLatencyTakesTheNearestAndHashesTheRest(t *testing.T) {
	t.Parallel()
	far, near := 80*time.Millisecond, 5*time.Millisecond
	cs := hubs(1, 1, 1, 1)
	cs[0].Latency, cs[1].Latency, cs[2].Latency = &far, &near, &near
	got := make(map[string]int)
	for i := range 200 {
		got[allocate(t, state.GeoLatency, fmt.Sprint(i), cs)]++
	}
	if got[cs[0].Host] != 0 || got[cs[3].Host] != 0 || got[cs[1].Host] < 60 || got[cs[2].Host] < 60 {
		t.Errorf("got %v, want the two nearest to share the devices", got)
	}
	unknown := hubs(1, 1, 1)
	for i := range 50 {
		id := fmt.Sprint(i)
		if got, want := allocate(t, state.GeoLatency, id, unknown),
			allocate(t, state.Hashed, id, unknown); got != want {
			t.Errorf("no distance known, device %s: got %s, want %s as hashed", id, got, want)
		}
	}
}

func TestAllocationRefusesWhatItCannotDecide(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		policy state.AllocationPolicy
		cs     []state.Candidate
	}{
		"no hub":               {state.Hashed, nil},
		"static with two hubs": {state.Static, hubs(1, 1)},
		"custom":               {state.Custom, hubs(1)},
	} {
		t.Run(name, func(t *testing.T) {
			if got, err := state.Allocate(test.policy, "d", test.cs); err == nil {
				t.Errorf("%s: got %s, want a refusal", name, got)
			}
		})
	}
	if got := allocate(t, state.Static, "d", hubs(1)); got != hubs(1)[0].Host {
		t.Errorf("static with one hub: got %s, want it", got)
	}
}
