// Package spread computes how many devices each hub of a set should get, and draws how many it has.
//
// It reports no error: it marks a hub outside its band, as one in twenty is.
package spread

import (
	"fmt"
	"io"
	"math"
	"strings"
)

// Hub is one hub and its share.
type Hub struct {
	Name string `json:"name"`
	// Weight is the hub's weight; 0 if it gets no new devices.
	Weight int `json:"weight"`
	// Devices is how many it got.
	Devices int `json:"devices"`
	// Low and High bound the count that 95 of 100 random assignments would give it; Expect sets them.
	Low  int `json:"expectedLow"`
	High int `json:"expectedHigh"`
}

// Expect sets Low and High of every hub: the central 95 % of a binomial distribution of all devices by weight.
func Expect(hubs []Hub) {
	devices, weights := 0, 0
	for _, h := range hubs {
		devices += h.Devices
		weights += h.Weight
	}
	for i := range hubs {
		p := 0.0
		if weights > 0 {
			p = float64(hubs[i].Weight) / float64(weights)
		}
		hubs[i].Low, hubs[i].High = quantile(devices, p, 0.025), quantile(devices, p, 0.975)
	}
}

// quantile returns the smallest k for which a binomial variable of n trials is at most k with probability q or more.
func quantile(n int, p, q float64) int {
	if n <= 0 || p <= 0 {
		return 0
	}
	if p >= 1 {
		return n
	}
	sum := 0.0
	for k := range n {
		if sum += probability(n, p, k); sum >= q {
			return k
		}
	}
	return n
}

// probability is that of k successes in n trials, each with probability p between 0 and 1.
func probability(n int, p float64, k int) float64 {
	whole, _ := math.Lgamma(float64(n) + 1)
	some, _ := math.Lgamma(float64(k) + 1)
	rest, _ := math.Lgamma(float64(n-k) + 1)
	return math.Exp(whole - some - rest + float64(k)*math.Log(p) + float64(n-k)*math.Log1p(-p))
}

// barWidth is the length of the longest bar, in characters.
const barWidth = 40

// Draw writes one line for each hub: name, bar, count, share, and the band of 95 %.
func Draw(w io.Writer, hubs []Hub) error {
	longest, devices, name := 1, 0, 0
	for _, h := range hubs {
		longest, devices, name = max(longest, h.Devices, h.High), devices+h.Devices, max(name, len(h.Name))
	}
	for _, h := range hubs {
		bar := strings.Repeat("█", int(math.Round(float64(h.Devices)*barWidth/float64(longest))))
		share := 0.0
		if devices > 0 {
			share = 100 * float64(h.Devices) / float64(devices)
		}
		if _, err := fmt.Fprintf(w, "  %-*s  %-*s %6d  %5.1f %%   95 %% band %d to %d\n", name, h.Name, barWidth, bar,
			h.Devices, share, h.Low, h.High); err != nil {
			return fmt.Errorf("draw the spread: %w", err)
		}
	}
	return nil
}
