package main

import "evenkeel/internal/fleet/spread"

// spreadPlot draws the pictures of the documents by the code that `keel devices provision` uses: the band of the
// tutorial, and a split as `--svg` writes it.
func spreadPlot(string) (map[string][]byte, error) {
	hubs := []spread.Hub{{Name: "hub-1", Weight: 1, Devices: 113}, {Name: "hub-2", Weight: 1, Devices: 87}}
	proof := spread.Expect(hubs)
	return map[string][]byte{
		"spread.svg": spread.Plot(),
		"split.svg":  spread.Picture("200 devices of group devices, policy Hashed", hubs, proof.String()),
	}, nil
}
