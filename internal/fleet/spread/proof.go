package spread

import (
	"fmt"
	"slices"
)

const (
	// bandTail is the probability outside the 95 % band.
	bandTail = 0.05
	// alarmTail is the probability that a fair split leaves the alarm band of any hub.
	alarmTail = 1e-6
	// leastExpected is the expected count from which on the chi-square distribution approximates the test well
	// (Cochran's rule).
	leastExpected = 5
)

// Population is devices that are assigned in the same way: each to one of the hubs, with a probability in proportion to
// the hubs' weights. Both slices follow the order of the hubs.
type Population struct {
	// Devices is how many of them each hub got.
	Devices []int
	// Weights are the hubs' weights for them: 0 for a hub that gets none.
	Weights []int
}

// Proof is the result of comparing a split with what is expected.
type Proof struct {
	// Judged is how many devices were compared.
	Judged int `json:"judged"`
	// ChiSquare is the sum of (observed − expected)² / expected over populations and hubs. It is 0 if the devices had
	// no choice, and Degrees and PValue are then 0 and 1.
	ChiSquare float64 `json:"chiSquare"`
	Degrees   int     `json:"degreesOfFreedom"`
	// PValue is the probability that a fair split is at least as uneven.
	PValue float64 `json:"pValue"`
	// Exact is true if PValue comes from the binomial tails of single hubs, because a hub is expected to get fewer than
	// five devices and the chi-square distribution would be a bad approximation. It is then an upper bound if there are
	// more than two hubs.
	Exact bool `json:"exact"`
	// Outside are the names of the hubs outside the alarm band.
	Outside []string `json:"outside"`
}

// Prove compares a split with the weights of the populations. It sets the share of each hub from its Devices, and what
// is expected of it from the populations, whose devices are the judged part of the hubs' devices.
func Prove(hubs []Hub, populations []Population) Proof {
	populations = pooled(populations)
	p := Proof{PValue: 1, Outside: []string{}}
	all := 0
	for _, h := range hubs {
		all += h.Devices
	}
	for _, population := range populations {
		p.Judged += total(population.Devices)
	}
	alarms := 0 // hubs that can be outside
	for i := range hubs {
		if weightOf(populations, i) > 0 {
			alarms++
		}
	}
	exact := 1.0
	for i := range hubs {
		h := &hubs[i]
		h.Share = percent(h.Devices, all) / 100
		count, got := distribution{0, []float64{1}}, 0
		h.Expected = 0
		for _, population := range populations {
			n, share := total(population.Devices), population.share(i)
			count = count.plus(binomial(n, share))
			got += population.Devices[i]
			switch {
			case p.Judged > 0:
				h.Expected += share * float64(n) / float64(p.Judged)
			default: // without devices, the shares are still known
				h.Expected += share / float64(len(populations))
			}
		}
		h.Low, h.High = count.band(bandTail)
		h.AlarmLow, h.AlarmHigh = count.band(alarmTail / float64(max(1, alarms)))
		if weightOf(populations, i) == 0 {
			continue
		}
		exact = min(exact, count.twoSided(got))
		if got < h.AlarmLow || got > h.AlarmHigh {
			p.Outside = append(p.Outside, h.Name)
		}
	}
	least := p.chiSquare(populations)
	switch {
	case p.Degrees == 0:
	case least < leastExpected:
		p.Exact = true
		if alarms == 2 { // the count of one is that of the other
			alarms = 1
		}
		p.PValue = min(1, exact*float64(alarms))
	default:
		p.PValue = chiSquareTail(p.ChiSquare, p.Degrees)
	}
	return p
}

// chiSquare sums over all populations, and returns the least expected count of devices that have a choice.
func (p *Proof) chiSquare(populations []Population) (least float64) {
	least = leastExpected
	for _, population := range populations {
		n, takers := float64(total(population.Devices)), 0
		for _, weight := range population.Weights {
			if weight > 0 {
				takers++
			}
		}
		if n == 0 || takers < 2 {
			continue
		}
		for i, devices := range population.Devices {
			expected := n * population.share(i)
			if expected == 0 {
				continue
			}
			least = min(least, expected)
			p.ChiSquare += (float64(devices) - expected) * (float64(devices) - expected) / expected
		}
		p.Degrees += takers - 1
	}
	return least
}

// share is the probability that a device of the population gets the hub with that index.
func (p Population) share(hub int) float64 {
	all := total(p.Weights)
	if all == 0 {
		return 0
	}
	return float64(p.Weights[hub]) / float64(all)
}

// pooled makes one population of those with the same weights, so that the figures are those of the split that is shown.
func pooled(populations []Population) []Population {
	var pools []Population
	for _, one := range populations {
		same := slices.IndexFunc(pools, func(p Population) bool { return slices.Equal(p.Weights, one.Weights) })
		if same < 0 {
			pools = append(pools, Population{slices.Clone(one.Devices), one.Weights})
			continue
		}
		for i, n := range one.Devices {
			pools[same].Devices[i] += n
		}
	}
	return pools
}

func weightOf(populations []Population, hub int) int {
	sum := 0
	for _, p := range populations {
		sum += p.Weights[hub]
	}
	return sum
}

func total(counts []int) int {
	sum := 0
	for _, n := range counts {
		sum += n
	}
	return sum
}

// String returns the test's result as one line, or "" if no device had a choice.
func (p Proof) String() string {
	if p.Degrees == 0 {
		return ""
	}
	plural, by := "s", ""
	if p.Degrees == 1 {
		plural = ""
	}
	if p.Exact {
		by = " by exact binomial tails"
	}
	return fmt.Sprintf("chi-square %.2f, %d degree%s of freedom, p = %s%s", p.ChiSquare, p.Degrees, plural,
		formatP(p.PValue), by)
}

// formatP formats a probability so that small ones keep their size.
func formatP(p float64) string {
	if p >= 0.001 {
		return fmt.Sprintf("%.3f", p)
	}
	return fmt.Sprintf("%.1e", p)
}
