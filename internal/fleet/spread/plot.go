package spread

import (
	"bytes"
	"fmt"
	"math"
)

// The plot's panels: their size, and where each begins.
const (
	panelWidth  = 360.0
	panelHeight = 220.0
	panelTop    = 50.0
	leftPanel   = 60.0
	rightPanel  = 510.0
)

// plottedDevices is how many devices the left panel distributes, as many as `keel devices provision` sends.
const plottedDevices = 200

// Plot draws as SVG what Expect computes for two hubs of equal weight: on the left how likely each count of devices is
// for one of them, with the 95 % band; on the right how the band narrows, as a share, when there are more devices.
func Plot() []byte {
	var svg bytes.Buffer
	svg.WriteString(`<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 900 330" ` +
		`font-family="sans-serif" font-size="12" role="img" aria-labelledby="title">
<title id="title">The 95 % band of devices on one of two hubs of equal weight</title>
<rect width="900" height="330" fill="#ffffff"/>
`)
	plotCounts(&svg)
	plotShares(&svg)
	svg.WriteString("</svg>\n")
	return svg.Bytes()
}

// bandOf returns the band of one of two hubs of equal weight.
func bandOf(devices int) (low, high int) {
	hubs := []Hub{{Weight: 1, Devices: devices}, {Weight: 1}}
	Expect(hubs)
	return hubs[0].Low, hubs[0].High
}

// plotCounts draws one bar for each count of devices.
func plotCounts(svg *bytes.Buffer) {
	const from, to = 70, 130
	low, high := bandOf(plottedDevices)
	highest := probability(plottedDevices, 0.5, plottedDevices/2)
	width := panelWidth / float64(to-from+1)
	text(svg, leftPanel, 24, "start", fmt.Sprintf("%d devices: how many does hub-1 get?", plottedDevices))
	for k := from; k <= to; k++ {
		color := "#c8c8c8"
		if k >= low && k <= high {
			color = "#2f6fb0"
		}
		height := panelHeight * probability(plottedDevices, 0.5, k) / highest
		fmt.Fprintf(svg, "<rect x=\"%.1f\" y=\"%.1f\" width=\"%.1f\" height=\"%.1f\" fill=\"%s\"/>\n",
			leftPanel+float64(k-from)*width, panelTop+panelHeight-height, width-1, height, color)
	}
	frame(svg, leftPanel)
	for k := from; k <= to; k += 10 {
		text(svg, leftPanel+(float64(k-from)+0.5)*width, panelTop+panelHeight+16, "middle", fmt.Sprint(k))
	}
	text(svg, leftPanel+panelWidth/2, panelTop+panelHeight+36, "middle", "devices on hub-1")
	text(svg, leftPanel+panelWidth/2, panelTop-8, "middle", fmt.Sprintf("95 %% of all runs: %d to %d", low, high))
}

// plotShares draws the band over the number of devices, on a logarithmic axis.
func plotShares(svg *bytes.Buffer) {
	const least, most = 10, 10_000
	x := func(devices float64) float64 {
		return rightPanel + panelWidth*math.Log10(devices/least)/math.Log10(most/least)
	}
	y := func(devices, of int) float64 {
		return panelTop + panelHeight*(1-float64(devices)/float64(of))
	}
	var upper, lower []string
	const steps = 60
	for i := range steps + 1 {
		devices := int(math.Round(least * math.Pow(most/least, float64(i)/steps)))
		low, high := bandOf(devices)
		upper = append(upper, fmt.Sprintf("%.1f,%.1f", x(float64(devices)), y(high, devices)))
		lower = append(lower, fmt.Sprintf("%.1f,%.1f", x(float64(devices)), y(low, devices)))
	}
	text(svg, rightPanel, 24, "start", "The more devices, the closer to one half")
	svg.WriteString(`<polygon fill="#2f6fb0" points="`)
	for _, point := range upper {
		svg.WriteString(point + " ")
	}
	for i := len(lower) - 1; i >= 0; i-- {
		svg.WriteString(lower[i] + " ")
	}
	svg.WriteString("\"/>\n")
	frame(svg, rightPanel)
	for devices := least; devices <= most; devices *= 10 {
		text(svg, x(float64(devices)), panelTop+panelHeight+16, "middle", fmt.Sprint(devices))
	}
	for percent := 0; percent <= 100; percent += 25 {
		text(svg, rightPanel-6, y(percent, 100)+4, "end", fmt.Sprintf("%d %%", percent))
	}
	text(svg, rightPanel+panelWidth/2, panelTop+panelHeight+36, "middle", "devices in all")
	text(svg, rightPanel+panelWidth/2, panelTop-8, "middle", "share of hub-1, 95 % band")
}

func frame(svg *bytes.Buffer, left float64) {
	fmt.Fprintf(svg, "<rect x=\"%.1f\" y=\"%.1f\" width=\"%.1f\" height=\"%.1f\" fill=\"none\" stroke=\"#404040\"/>\n",
		left, panelTop, panelWidth, panelHeight)
}

func text(svg *bytes.Buffer, x, y float64, anchor, content string) {
	fmt.Fprintf(svg, "<text x=\"%.1f\" y=\"%.1f\" text-anchor=\"%s\" fill=\"#202020\">%s</text>\n", x, y, anchor,
		content)
}
