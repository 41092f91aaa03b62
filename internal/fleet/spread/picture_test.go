package spread_test

import (
	"bytes"
	"encoding/xml"
	"errors"
	"io"
	"strings"
	"testing"

	"evenkeel/internal/fleet/spread"
)

// elements counts the elements of an XML document by name and class, and returns its texts.
func elements(t *testing.T, document []byte) (map[string]int, string) {
	t.Helper()
	counts, texts := map[string]int{}, ""
	decoder := xml.NewDecoder(bytes.NewReader(document))
	for {
		token, err := decoder.Token()
		if errors.Is(err, io.EOF) {
			return counts, texts
		}
		if err != nil {
			t.Fatalf("%v in\n%s", err, document)
		}
		switch token := token.(type) {
		case xml.StartElement:
			name := token.Name.Local
			for _, a := range token.Attr {
				if a.Name.Local == "class" {
					name += "." + a.Value
				}
			}
			counts[name]++
		case xml.CharData:
			texts += string(token) + "\n"
		}
	}
}

func TestThePictureHasABarABandAndACountForEachHub(t *testing.T) {
	t.Parallel()
	hubs := []spread.Hub{{Name: "hub-1", Weight: 1, Devices: 113}, {Name: "a <b> & \"c\"", Weight: 1, Devices: 87},
		{Name: strings.Repeat("long", 20), Devices: 0}}
	proof := spread.Expect(hubs)
	counts, texts := elements(t, spread.Picture("200 devices of group <devices>", hubs, proof.String()))
	if counts["rect.bar"] != 3 || counts["rect.band"] != 3 || counts["line.expected"] != 3 ||
		counts["rect.bar out"] > 0 {
		t.Errorf("got %v, want a bar, a band and an expected count for each of three hubs", counts)
	}
	for _, want := range []string{
		"200 devices of group <devices>", "113 · 56.5 %", "expected 50.0 %, 86 to 114", "a <b> & \"c\"",
		"longlonglonglonglongl…\n", "chi-square 3.38", "95 % band", "prefers-color-scheme: dark",
	} {
		if !strings.Contains(texts, want) {
			t.Errorf("got\n%s\nwant %q in it", texts, want)
		}
	}
}

func TestThePictureMarksHubsOutsideTheAlarmBand(t *testing.T) {
	t.Parallel()
	hubs := []spread.Hub{{Name: "hub-1", Weight: 1, Devices: 180}, {Name: "hub-2", Weight: 1, Devices: 20}}
	spread.Expect(hubs)
	if counts, _ := elements(t, spread.Picture("", hubs)); counts["rect.bar out"] != 2 || counts["rect.bar"] != 0 {
		t.Errorf("got %v, want both bars marked", counts)
	}
}

// A split that is not judged has bars and counts only.
func TestASplitThatIsNotJudgedHasNoBand(t *testing.T) {
	t.Parallel()
	hubs := []spread.Hub{{Name: "hub-1", Devices: 5}, {Name: "hub-2", Devices: 0}}
	spread.Prove(hubs, nil)
	counts, texts := elements(t, spread.Picture("near", hubs))
	if counts["rect.bar"] != 2 || counts["rect.band"]+counts["line.expected"]+counts["rect.bar out"] > 0 ||
		strings.Contains(texts, "95 %") {
		t.Errorf("got %v and\n%s\nwant bars without bands", counts, texts)
	}
	var lines strings.Builder
	if err := spread.Draw(&lines, hubs); err != nil || strings.Contains(lines.String(), "band") ||
		!strings.Contains(lines.String(), "5  100.0 %") {
		t.Errorf("got %v and\n%s\nwant bars without bands", err, lines.String())
	}
}

func TestAnEmptySplitIsDrawn(t *testing.T) {
	t.Parallel()
	for _, hubs := range [][]spread.Hub{nil, {{Name: "hub-1", Weight: 1}}} {
		spread.Expect(hubs)
		if counts, _ := elements(t, spread.Picture("none", hubs)); counts["rect.page"] != 1 {
			t.Errorf("got %v, want a picture", counts)
		}
	}
}
