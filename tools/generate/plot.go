package main

import "evenkeel/internal/fleet/spread"

// spreadPlot draws the tutorial's picture of the band by the code that `keel devices provision` uses.
func spreadPlot(string) (map[string][]byte, error) {
	return map[string][]byte{"spread.svg": spread.Plot()}, nil
}
