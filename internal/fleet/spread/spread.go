// Package spread compares how many devices each hub got with how many it is expected to get: the shares, the 95 % band,
// the chi-square test. It draws the result for terminals and as SVG.
//
// It judges only devices that are assigned in proportion to weights. A hub outside its 95 % band is no error: one in
// twenty is. The alarm band, which a fair split leaves in one of a million runs, is for programs that must decide.
//
// Distributions are exact, and their functions are gonum's. Only its package mathext is imported: the packages stat and
// distuv would add its linear algebra to every build of keel and of the emulator.
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
	// Devices is how many it got, Share the same as a fraction of all devices.
	Devices int     `json:"devices"`
	Share   float64 `json:"share"`
	// Expected is the fraction that the hub is expected to get. It is 0 on every hub if no device is judged.
	Expected float64 `json:"expectedShare"`
	// Low and High bound the count that 95 of 100 random assignments would give it.
	Low  int `json:"expectedLow"`
	High int `json:"expectedHigh"`
	// AlarmLow and AlarmHigh bound it in all but one of a million splits, whichever hub is outside.
	AlarmLow  int `json:"alarmLow"`
	AlarmHigh int `json:"alarmHigh"`
}

// Expect sets what is expected of every hub if all devices are assigned in proportion to the hubs' weights.
func Expect(hubs []Hub) Proof {
	all := Population{Devices: make([]int, len(hubs)), Weights: make([]int, len(hubs))}
	for i, h := range hubs {
		all.Devices[i], all.Weights[i] = h.Devices, h.Weight
	}
	return Prove(hubs, []Population{all})
}

// barWidth is the length of the longest bar, in characters.
const barWidth = 32

// Draw writes one line for each hub: name, bar, count, share, and what is expected if anything is.
func Draw(w io.Writer, hubs []Hub) error {
	longest, devices, name, judged := 1, 0, 0, isJudged(hubs)
	for _, h := range hubs {
		longest, devices, name = max(longest, h.Devices, h.High), devices+h.Devices, max(name, len(h.Name))
	}
	for _, h := range hubs {
		bar := strings.Repeat("█", int(math.Round(float64(h.Devices)*barWidth/float64(longest))))
		line := fmt.Sprintf("  %-*s  %-*s %6d  %5.1f %%", name, h.Name, barWidth, bar, h.Devices,
			percent(h.Devices, devices))
		if judged {
			line += fmt.Sprintf("   expected %4.1f %%, 95 %% band %d to %d", 100*h.Expected, h.Low, h.High)
		}
		if _, err := fmt.Fprintln(w, line); err != nil {
			return fmt.Errorf("draw the spread: %w", err)
		}
	}
	return nil
}

// isJudged reports whether anything is expected of the hubs.
func isJudged(hubs []Hub) bool {
	for _, h := range hubs {
		if h.Expected > 0 {
			return true
		}
	}
	return false
}

func percent(part, whole int) float64 {
	if whole == 0 {
		return 0
	}
	return 100 * float64(part) / float64(whole)
}
