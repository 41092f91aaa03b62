package spread_test

import (
	"strings"
	"testing"

	"evenkeel/internal/fleet/spread"
)

// The bounds are those of R: qbinom(c(0.025, 0.975), n, p).
func TestTheBandIsTheMiddleOfTheBinomialDistribution(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name            string
		weight, other   int
		devices         int
		wantLow, wantUp int
	}{
		{"two even hubs", 1, 1, 200, 86, 114},
		{"ten devices", 1, 1, 10, 2, 8},
		{"three to one", 3, 1, 200, 138, 162},
		{"drained", 0, 1, 200, 0, 0},
		{"alone", 1, 0, 200, 200, 200},
		{"no device", 1, 1, 0, 0, 0},
	} {
		t.Run(tc.name, func(t *testing.T) {
			hubs := []spread.Hub{{Weight: tc.weight, Devices: tc.devices}, {Weight: tc.other}}
			spread.Expect(hubs)
			if got := hubs[0]; got.Low != tc.wantLow || got.High != tc.wantUp {
				t.Errorf("%s: got %d to %d, want %d to %d", tc.name, got.Low, got.High, tc.wantLow, tc.wantUp)
			}
		})
	}
}

func TestBarsAreInProportion(t *testing.T) {
	t.Parallel()
	hubs := []spread.Hub{{Name: "hub-1", Weight: 1, Devices: 50}, {Name: "hub-2", Weight: 1, Devices: 150}}
	spread.Expect(hubs)
	var out strings.Builder
	if err := spread.Draw(&out, hubs); err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSuffix(out.String(), "\n"), "\n")
	if len(lines) != 2 {
		t.Fatalf("got %d lines, want 2:\n%s", len(lines), out.String())
	}
	one, two := strings.Count(lines[0], "█"), strings.Count(lines[1], "█")
	if one == 0 || two < 3*one-2 || two > 3*one+2 {
		t.Errorf("got bars of %d and %d, want one to three", one, two)
	}
	if !strings.Contains(lines[1], "150") || !strings.Contains(lines[1], "75.0 %") {
		t.Errorf("got %q, want count and share", lines[1])
	}
}
