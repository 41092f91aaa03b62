package spread

import (
	"bytes"
	"encoding/xml"
	"fmt"
	"math"
)

// The picture's rows, one for each hub, in the units of its view box.
const (
	pictureWidth = 1000.0
	rowHeight    = 34.0
	firstRow     = 66.0
	rowLeft      = 190.0
	rowWidth     = 460.0
	barHeight    = 16.0
	axisHeight   = 58.0
	longestName  = 22 // characters that fit before the bars
)

// darkMode recolours a picture for viewers with a dark theme. The background belongs to the picture, so that its text
// is readable on any page.
const darkMode = `<style>@media (prefers-color-scheme: dark) {
.page { fill: #0d1117 } text { fill: #e6edf3 } .bar { fill: #4493f8 } .bar.out { fill: #f85149 }
.band { fill: #8b949e } .expected, .axis { stroke: #e6edf3 } }</style>
`

// Picture draws a split as SVG, readable in light and dark themes: for each hub a bar, its count and share, and over it
// the 95 % band and the expected count. The title and the lines below the bars are plain text.
func Picture(title string, hubs []Hub, below ...string) []byte {
	height := firstRow + rowHeight*float64(len(hubs)) + axisHeight + 18*float64(len(below))
	var svg bytes.Buffer
	fmt.Fprintf(&svg, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %.0f %.0f" font-family="sans-serif" `+
		`font-size="13" role="img" aria-labelledby="title">`+"\n"+`<title id="title">%s</title>`+"\n%s"+
		`<rect class="page" width="%.0f" height="%.0f" fill="#ffffff"/>`+"\n",
		pictureWidth, height, escaped(title), darkMode, pictureWidth, height)
	text(&svg, 24, 30, "start", escaped(title))
	devices, longest, judged := 0, 1, isJudged(hubs)
	for _, h := range hubs {
		devices, longest = devices+h.Devices, max(longest, h.Devices, h.High)
	}
	for i, h := range hubs {
		drawRow(&svg, h, firstRow+rowHeight*float64(i), rowWidth/float64(longest), devices, judged)
	}
	bottom := firstRow + rowHeight*float64(len(hubs))
	legend := "devices"
	if judged {
		legend = "devices; line: expected count, grey: 95 % band"
	}
	drawAxis(&svg, bottom, longest, legend)
	for i, line := range below {
		text(&svg, 24, bottom+axisHeight+18*float64(i), "start", escaped(line))
	}
	svg.WriteString("</svg>\n")
	return svg.Bytes()
}

// drawRow draws a hub; scale is the width of one device.
func drawRow(svg *bytes.Buffer, h Hub, top, scale float64, devices int, judged bool) {
	middle := top + barHeight/2 + 4
	name := []rune(h.Name)
	if len(name) > longestName {
		name = append(name[:longestName-1], '…')
	}
	text(svg, rowLeft-12, middle, "end", escaped(string(name)))
	class, color := "bar", "#2f6fb0"
	if judged && (h.Devices < h.AlarmLow || h.Devices > h.AlarmHigh) {
		class, color = "bar out", "#c0392b"
	}
	fmt.Fprintf(svg, `<rect class="%s" x="%.1f" y="%.1f" width="%.1f" height="%.1f" fill="%s"/>`+"\n",
		class, rowLeft, top, float64(h.Devices)*scale, barHeight, color)
	label := fmt.Sprintf("%d · %.1f %%", h.Devices, percent(h.Devices, devices))
	if judged {
		fmt.Fprintf(svg, `<rect class="band" x="%.1f" y="%.1f" width="%.1f" height="%.1f" fill="#57606a" `+
			`fill-opacity="0.35"/>`+"\n", rowLeft+float64(h.Low)*scale, top-4, math.Max(2, float64(h.High-h.Low)*scale),
			barHeight+8)
		center := rowLeft + h.Expected*float64(devices)*scale
		fmt.Fprintf(svg, `<line class="expected" x1="%.1f" x2="%.1f" y1="%.1f" y2="%.1f" stroke="#202020" `+
			`stroke-width="1.5"/>`+"\n", center, center, top-6, top+barHeight+6)
		label += fmt.Sprintf(" (expected %.1f %%, %d to %d)", 100*h.Expected, h.Low, h.High)
	}
	text(svg, rowLeft+rowWidth+10, middle, "start", label)
}

// drawAxis draws the axis of counts below the rows.
func drawAxis(svg *bytes.Buffer, top float64, longest int, legend string) {
	fmt.Fprintf(svg, `<line class="axis" x1="%.1f" x2="%.1f" y1="%.1f" y2="%.1f" stroke="#202020"/>`+"\n", rowLeft,
		rowLeft+rowWidth, top, top)
	step := tick(longest)
	for n := 0; n <= longest; n += step {
		text(svg, rowLeft+rowWidth*float64(n)/float64(longest), top+18, "middle", fmt.Sprint(n))
	}
	text(svg, rowLeft+rowWidth/2, top+36, "middle", legend)
}

// tick is the distance of the axis' numbers: 1, 2 or 5 times a power of ten, for up to six numbers.
func tick(longest int) int {
	for power := 1; ; power *= 10 {
		for _, digit := range []int{1, 2, 5} {
			if step := digit * power; longest/step <= 5 {
				return step
			}
		}
	}
}

// escaped makes a text safe in XML.
func escaped(plain string) string {
	var out bytes.Buffer
	_ = xml.EscapeText(&out, []byte(plain)) // a buffer never fails
	return out.String()
}
