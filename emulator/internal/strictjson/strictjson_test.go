package strictjson_test

import (
	"encoding/json"
	"fmt"
	"math"
	"strings"
	"testing"
	"unicode/utf8"

	"evenkeel/emulator/internal/strictjson"
)

func TestCheck(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		`{"a":"Köln 😀 \ud83d\ude00 \u00f6 \\ud800 \" \/"}`: "",
		`{"a":"K` + "\xf6" + `ln"}`:                        "not UTF-8 at byte 7",
		`{"` + "\xf6" + `":1}`:                             "not UTF-8 at byte 2",
		"{\"a\":\"\xed\xa0\x80\"}":                         "not UTF-8 at byte 6", // a surrogate in UTF-8
		`"` + "\xc3" + `"`:                                 "not UTF-8 at byte 1",
		`{"a":"\ud800"}`:                                   "escape at byte 6 is half",
		`{"\uD800":1}`:                                     "escape at byte 2 is half",
		`{"a":"\ud800\ud800"}`:                             "is half",
		`{"a":"\udc00\ud800"}`:                             "is half",
		`{"a":"\ud800x\udc00"}`:                            "is half",
		`{"a":"\ud83d\u0041"}`:                             "is half",
		`"�"`:                                              "", // is a character as others are
		`{"a":1e400}`:                                      "number at byte 5",
		`[1,-1E+400]`:                                      "number at byte 3",
		`1e999999`:                                         "number at byte 0",
		strings.Repeat("9", 400):                           "number at byte 0",
		strings.Repeat("9", 310) + ".5":                    "number at byte 0",
		`[1.7976931348623157e308,-1.7976931348623157e308,1e-400,0e999,123456789012345678901234567890]`: "",
		"0." + strings.Repeat("0", 400) + "1": "",
		`{"a":"1e400 and 9e999"}`:             "",
		`{"a":`:                               "",
		`"\u12`:                               "",
		``:                                    "",
	} {
		t.Run(fmt.Sprintf("%.60q", text), func(t *testing.T) {
			err := strictjson.Check([]byte(text))
			if got := fmt.Sprint(err); want == "" && err != nil || want != "" && !strings.Contains(got, want) {
				t.Errorf("%.60q: got %v, want %q", text, err, want)
			}
		})
	}
}

// FuzzCheck: Go's decoder reads accepted text without adding a replacement character, and its numbers are doubles.
func FuzzCheck(f *testing.F) {
	for _, seed := range []string{`{"a":["\ud83d\ude00",1e400]}`, `"\ud800"`, "\"\xf6\"", `1.5e300`} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		var value any
		if strictjson.Check(text) != nil || !json.Valid(text) {
			return
		}
		if err := json.Unmarshal(text, &value); err != nil {
			t.Fatalf("%q: got %v, want that its numbers are doubles", text, err)
		}
		out, err := json.Marshal(value)
		if err != nil || !utf8.Valid(out) {
			t.Errorf("%q: got %q, %v", text, out, err)
		}
		replaced := strings.Count(string(out), "\ufffd") + strings.Count(string(out), `\ufffd`)
		if given := strings.Count(string(text), "\ufffd") + strings.Count(strings.ToLower(string(text)),
			`\ufffd`); replaced > given {
			t.Errorf("%q: got %q, with more replaced than was given", text, out)
		}
		if number, ok := value.(float64); ok && math.IsInf(number, 0) {
			t.Errorf("%q: got %v", text, number)
		}
	})
}
