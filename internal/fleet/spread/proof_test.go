package spread_test

import (
	"encoding/json"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"gonum.org/v1/gonum/mathext"

	"evenkeel/internal/fleet/spread"
)

// near reports whether two numbers agree to four digits.
func near(got, want float64) bool {
	return math.Abs(got-want) <= 5e-5*math.Max(math.Abs(want), 1e-300)
}

// The chi-square values are those of R: chisq.test(c(113, 87)), chisq.test(c(50, 30, 20), p = c(2, 1, 1) / 4).
func TestTheChiSquareTestIsThatOfR(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		hubs        []spread.Hub
		wantX       float64
		wantDegrees int
		wantP       float64
	}{
		"even": {[]spread.Hub{{Weight: 1, Devices: 113}, {Weight: 1, Devices: 87}}, 3.38, 1, 0.0659921},
		"weighted": {[]spread.Hub{{Weight: 2, Devices: 50}, {Weight: 1, Devices: 30}, {Weight: 1, Devices: 20}},
			2, 2, 0.3678794},
		"a drained hub has no part": {[]spread.Hub{{Weight: 1, Devices: 113}, {Devices: 0}, {Weight: 1, Devices: 87}},
			3.38, 1, 0.0659921},
		"no choice": {[]spread.Hub{{Weight: 1, Devices: 200}}, 0, 0, 1},
		"no device": {[]spread.Hub{{Weight: 1}, {Weight: 1}}, 0, 0, 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := spread.Expect(tc.hubs)
			if !near(got.ChiSquare, tc.wantX) || got.Degrees != tc.wantDegrees || !near(got.PValue, tc.wantP) ||
				got.Exact {
				t.Errorf("got %+v, want chi-square %v, %d degrees, p %v", got, tc.wantX, tc.wantDegrees, tc.wantP)
			}
		})
	}
}

// With few devices the chi-square distribution is a bad approximation: p is that of binom.test in R, for symmetric
// distributions: binom.test(7, 8), and for more hubs a bound.
func TestFewDevicesAreTestedByBinomialTails(t *testing.T) {
	t.Parallel()
	two := spread.Expect([]spread.Hub{{Weight: 1, Devices: 7}, {Weight: 1, Devices: 1}})
	if !two.Exact || !near(two.PValue, 0.0703125) {
		t.Errorf("got %+v, want p 0.0703125 by exact tails", two)
	}
	// 2 * pbinom(0, 8, 1/3) = 0.0780369, for three hubs
	three := spread.Expect([]spread.Hub{{Weight: 1, Devices: 0}, {Weight: 1, Devices: 4}, {Weight: 1, Devices: 4}})
	if !three.Exact || !near(three.PValue, 3*0.07803688) {
		t.Errorf("got %+v, want p 0.2341 by exact tails", three)
	}
	if got := two.String(); got != "chi-square 4.50, 1 degree of freedom, p = 0.070 by exact binomial tails" {
		t.Errorf("got %q", got)
	}
}

// tail is the probability that a binomial variable is at most k, by gonum's incomplete beta function.
func tail(n int, p float64, k int) float64 {
	switch {
	case k < 0:
		return 0
	case k >= n:
		return 1
	}
	return mathext.RegIncBeta(float64(n-k), float64(k+1), 1-p)
}

// TestTheAlarmBandHoldsAllButOneOfAMillionSplits compares the bands with the binomial distribution by another way of
// computing it, where the normal approximation is far off, too.
func TestTheAlarmBandHoldsAllButOneOfAMillionSplits(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct{ devices, weight, others int }{
		{200, 1, 1}, {10, 1, 1}, {200, 1, 999}, {4000, 1, 1000}, {100_000, 1, 2}, {1_000_000, 1, 49}, {20, 999, 1},
	} {
		name := fmt.Sprintf("%d devices, weight %d of %d", tc.devices, tc.weight, tc.weight+tc.others)
		t.Run(name, func(t *testing.T) {
			hubs := []spread.Hub{{Weight: tc.weight, Devices: tc.devices}, {Weight: tc.others}}
			spread.Expect(hubs)
			p, tailOfOne := float64(tc.weight)/float64(tc.weight+tc.others), 1e-6/2/2 // two hubs, two sides
			low, high := hubs[0].AlarmLow, hubs[0].AlarmHigh
			if below := tail(tc.devices, p, low-1); below > tailOfOne {
				t.Errorf("%+v: %g of the splits are below %d, want at most %g", tc, below, low, tailOfOne)
			}
			if tail(tc.devices, p, low) < tailOfOne*(1-1e-6) {
				t.Errorf("%+v: the band could begin above %d", tc, low)
			}
			if above := tail(tc.devices, 1-p, tc.devices-high-1); above > tailOfOne*(1+1e-6) {
				t.Errorf("%+v: %g of the splits are above %d, want at most %g", tc, above, high, tailOfOne)
			}
			if high > 0 && tail(tc.devices, 1-p, tc.devices-high) < tailOfOne*(1-1e-6) {
				t.Errorf("%+v: the band could end below %d", tc, high)
			}
		})
	}
}

func TestAHubOutsideTheAlarmBandIsNamed(t *testing.T) {
	t.Parallel()
	hubs := []spread.Hub{{Name: "hub-1", Weight: 1, Devices: 140}, {Name: "hub-2", Weight: 1, Devices: 60}}
	proof := spread.Expect(hubs)
	if !slices.Equal(proof.Outside, []string{"hub-1", "hub-2"}) || proof.PValue > 1e-6 {
		t.Errorf("got %+v, want both hubs outside", proof)
	}
	hubs[0].Devices, hubs[1].Devices = 120, 80 // outside the 95 % band
	if proof := spread.Expect(hubs); len(proof.Outside) > 0 || hubs[0].Devices <= hubs[0].High {
		t.Errorf("got %+v, %+v, want a split outside the 95 %% band and inside the other", proof, hubs)
	}
	drained := []spread.Hub{{Name: "hub-1", Devices: 3}, {Name: "hub-2", Weight: 1, Devices: 197}}
	if proof := spread.Expect(drained); !slices.Equal(proof.Outside, []string{"hub-2"}) {
		t.Errorf("got %+v, want the hub outside that should have all devices", proof)
	}
}

// TestPopulationsWithOtherHubsAddUp: a fleet of two groups, of which one may use two hubs and the other all three. The
// expected shares and the variance are those of the sum.
func TestPopulationsWithOtherHubsAddUp(t *testing.T) {
	t.Parallel()
	hubs := []spread.Hub{{Name: "hub-1", Devices: 150}, {Name: "hub-2", Devices: 160}, {Name: "hub-3", Devices: 90}}
	proof := spread.Prove(hubs, []spread.Population{
		{Devices: []int{50, 60, 90}, Weights: []int{1, 1, 2}},
		{Devices: []int{60, 60, 0}, Weights: []int{1, 1, 0}},
		{Devices: []int{40, 40, 0}, Weights: []int{1, 1, 0}},
	})
	for i, want := range []float64{0.375, 0.375, 0.25} {
		if !near(hubs[i].Expected, want) {
			t.Errorf("got %+v, want the expected share %v", hubs[i], want)
		}
	}
	// (50-50)²/50 + (60-50)²/50 + (90-100)²/100 + 0: the second and third are one population.
	if proof.Judged != 400 || !near(proof.ChiSquare, 3) || proof.Degrees != 3 {
		t.Errorf("got %+v, want 400 devices, chi-square 3 with 3 degrees of freedom", proof)
	}
	// The variance of hub-1 is 200/4·3/4 + 200/2·1/2 = 87.5, so that the band is about 150 ± 18.3.
	if hubs[0].Low != 132 || hubs[0].High != 168 {
		t.Errorf("got the band %d to %d, want 132 to 168", hubs[0].Low, hubs[0].High)
	}
	if len(proof.Outside) > 0 {
		t.Errorf("got %v outside, want no hub", proof.Outside)
	}
}

// TestFairSplitsAreFair draws splits with a fixed seed: p is below 5 % about as often as it says, and no split alarms.
func TestFairSplitsAreFair(t *testing.T) {
	t.Parallel()
	random := rand.New(rand.NewPCG(7, 11))
	const runs = 2000
	low := 0
	for range runs {
		hubs := []spread.Hub{{Name: "a", Weight: 1}, {Name: "b", Weight: 2}, {Name: "c", Weight: 3}}
		for range 300 {
			switch n := random.IntN(6); {
			case n < 1:
				hubs[0].Devices++
			case n < 3:
				hubs[1].Devices++
			default:
				hubs[2].Devices++
			}
		}
		proof := spread.Expect(hubs)
		if proof.PValue < 0.05 {
			low++
		}
		if len(proof.Outside) > 0 {
			t.Fatalf("got %+v of %+v, want no alarm in %d runs", proof, hubs, runs)
		}
	}
	if low < 60 || low > 140 {
		t.Errorf("got p below 5 %% in %d of %d fair splits, want about 100", low, runs)
	}
}

func TestAProofIsListedInJSON(t *testing.T) {
	t.Parallel()
	text, err := json.Marshal(spread.Expect([]spread.Hub{{Weight: 1, Devices: 1}}))
	if err != nil || !strings.Contains(string(text), `"outside":[]`) {
		t.Errorf("got %s, %v, want an empty list", text, err)
	}
}

func TestSmallProbabilitiesKeepTheirSize(t *testing.T) {
	t.Parallel()
	proof := spread.Proof{ChiSquare: 32, Degrees: 1, PValue: 1.54e-8}
	if got, want := proof.String(), "chi-square 32.00, 1 degree of freedom, p = 1.5e-08"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}
