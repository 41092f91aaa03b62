package spread

import (
	"math"

	"gonum.org/v1/gonum/mathext"
)

// negligible is the probability below which counts are left out of a distribution.
const negligible = 1e-20

// distribution is that of a count: mass[i] is the probability of from+i. It always has at least one count.
type distribution struct {
	from int
	mass []float64
}

// binomial is the distribution of successes in n trials, each with probability p.
func binomial(n int, p float64) distribution {
	switch {
	case n <= 0 || p <= 0:
		return distribution{0, []float64{1}}
	case p >= 1:
		return distribution{n, []float64{1}}
	}
	mode := min(n, int(float64(n+1)*p))
	from, to := mode, mode
	for from > 0 && probability(n, p, from-1) > negligible {
		from--
	}
	for to < n && probability(n, p, to+1) > negligible {
		to++
	}
	d := distribution{from, make([]float64, 0, to-from+1)}
	for k := from; k <= to; k++ {
		d.mass = append(d.mass, probability(n, p, k))
	}
	return d
}

// plus is the distribution of the sum of two independent counts.
func (d distribution) plus(other distribution) distribution {
	sum := distribution{d.from + other.from, make([]float64, len(d.mass)+len(other.mass)-1)}
	for i, p := range d.mass {
		for j, q := range other.mass {
			sum.mass[i+j] += p * q
		}
	}
	return sum
}

// quantile returns the smallest count that is not exceeded with probability q or more.
func (d distribution) quantile(q float64) int {
	sum := 0.0
	for i, p := range d.mass {
		if sum += p; sum >= q {
			return d.from + i
		}
	}
	return d.from + len(d.mass) - 1
}

// band returns the counts between which all but alpha of the probability lies, half of alpha on each side.
func (d distribution) band(alpha float64) (low, high int) {
	// From above, small tails are summed without the rounding that a sum close to 1 has.
	high, sum := d.from, 0.0
	for i := len(d.mass) - 1; i >= 0; i-- {
		if sum += d.mass[i]; sum > alpha/2 {
			high = d.from + i
			break
		}
	}
	return d.quantile(alpha / 2), high
}

// twoSided is the probability of a count that is at least as far out as k: twice that of the smaller tail.
func (d distribution) twoSided(k int) float64 {
	below, above := 0.0, 0.0
	for i, p := range d.mass {
		if d.from+i <= k {
			below += p
		}
		if d.from+i >= k {
			above += p
		}
	}
	return min(1, 2*min(below, above))
}

// probability is that of k successes in n trials, each with probability p between 0 and 1.
func probability(n int, p float64, k int) float64 {
	ways := -math.Log(float64(n+1)) - mathext.Lbeta(float64(n-k+1), float64(k+1)) // the logarithm of n over k
	return math.Exp(ways + float64(k)*math.Log(p) + float64(n-k)*math.Log1p(-p))
}

// chiSquareTail is the probability that a chi-square variable is x or more.
func chiSquareTail(x float64, degrees int) float64 {
	return mathext.GammaIncRegComp(float64(degrees)/2, x/2)
}
