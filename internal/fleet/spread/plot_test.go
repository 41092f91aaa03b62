package spread_test

import (
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"

	"evenkeel/internal/fleet/spread"
)

func TestThePlotIsXMLAndShowsTheBandOfExpect(t *testing.T) {
	t.Parallel()
	plot := string(spread.Plot())
	hubs := []spread.Hub{{Weight: 1, Devices: 200}, {Weight: 1}}
	spread.Expect(hubs)
	if want := fmt.Sprintf("95 %% of all runs: %d to %d<", hubs[0].Low, hubs[0].High); !strings.Contains(plot, want) {
		t.Errorf("got a plot without %q", want)
	}
	if got, want := strings.Count(plot, `height="`), 61; got < want {
		t.Errorf("got %d rectangles, want a bar for each of %d counts", got, want)
	}
	if inside, want := strings.Count(plot, `fill="#2f6fb0"/>`), hubs[0].High-hubs[0].Low+1; inside != want {
		t.Errorf("got %d bars in the band, want %d", inside, want)
	}
	decoder := xml.NewDecoder(strings.NewReader(plot))
	for {
		if _, err := decoder.Token(); errors.Is(err, io.EOF) {
			return
		} else if err != nil {
			t.Fatal(err)
		}
	}
}
