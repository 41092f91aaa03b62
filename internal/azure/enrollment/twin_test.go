package enrollment_test

import (
	"encoding/json"
	"strings"
	"testing"

	"evenkeel/internal/azure/enrollment"
)

func nested(depth int) string {
	return strings.Repeat(`{"a":`, depth) + "{}" + strings.Repeat("}", depth)
}

// The rules are those of "Understand device twins"; '#' is from a message of the hub (Azure/azure-iot-sdk-java issue
// 243).
func TestTwins(t *testing.T) {
	t.Parallel()
	for document, want := range map[string]string{
		`{"site":"Köln","floor":{"n":3,"ok":true,"l":[1,"x",{"y":null}]}}`: "",
		nested(10):               "",
		nested(11):               "nested deeper than 10",
		`{"a.b":1}`:              `contains '.'`,
		`{"a#b":1}`:              `contains '#'`,
		`{"a b":1}`:              `contains ' '`,
		`{"a":{"$b":1}}`:         `the name "a.$b" contains '$'`,
		`{"a":[{"b\u0085":1}]}`:  `contains '\u0085'`,
		`{"":1}`:                 "a name is empty",
		`{"$version":3}`:         "",
		`{"n":4503599627370495}`: "", `{"n":4503599627370496}`: "write it as a string",
		`{"n":-4503599627370496}`: "", `{"n":-4503599627370497}`: "write it as a string",
		`{"n":1152921504606846976}`: `"n": the whole number 1152921504606846976`,
		`{"n":1e30}`:                "", `{"n":1.5}`: "",
		`{"` + strings.Repeat("k", 1025) + `":1}`:     "longer than 1024 bytes",
		`{"t":"` + strings.Repeat("x", 4096) + `"}`:   "",
		`{"t":["` + strings.Repeat("x", 5000) + `"]}`: `"t[0]": the text has 5000 bytes`,
		`{"t":"` + strings.Repeat("x", 4000) + `","u":["` + strings.Repeat("x", 4000) + `","` +
			strings.Repeat("x", 400) + `"]}`: "it has 8402 bytes, and a hub accepts 8192",
	} {
		t.Run(document, func(t *testing.T) {
			var tags map[string]any
			if err := json.Unmarshal([]byte(document), &tags); err != nil {
				t.Fatal(err)
			}
			expect(t, document, enrollment.CheckTags("initialTwin.tags", tags), want)
			if strings.Contains(want, "8192") {
				want = ""
			}
			expect(t, document, enrollment.CheckDesired("initialTwin.desiredProperties", tags), want)
		})
	}
}

func TestEveryErrorOfATwinIsReported(t *testing.T) {
	t.Parallel()
	faults := enrollment.CheckTags("tags", map[string]any{"a.b": 1.0, "c#": map[string]any{"d e": float64(1 << 60)}})
	if len(faults) != 4 {
		t.Errorf("got %v, want 4 faults", faults)
	}
	many := map[string]any{}
	for _, name := range strings.Split(strings.Repeat("#", 30), "") {
		many[strings.Repeat(name, len(many)+1)] = true
	}
	if faults := enrollment.CheckTags("tags", many); len(faults) != 10 {
		t.Errorf("got %d faults, want the first 10", len(faults))
	}
}
