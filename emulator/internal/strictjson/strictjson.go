// Package strictjson finds JSON that clients in other languages cannot read, or would read differently: text that is
// not UTF-8, unpaired surrogates, and numbers that exceed a double. Go's own decoder accepts the first two and
// silently changes them.
//
// It does not decode the text, and ignores other errors, which the decoder reports.
package strictjson

import (
	"errors"
	"fmt"
	"math"
	"strconv"
	"unicode/utf8"
)

// safeNumber is the length of the longest number that cannot exceed a double unless it has an exponent.
const safeNumber = 308

// Check returns why a JSON text is refused, with the offset of the byte, or nil. The error does not quote the text,
// which may hold keys.
func Check(text []byte) error {
	if !utf8.Valid(text) {
		return fmt.Errorf("it is not UTF-8 at byte %d", invalidAt(text))
	}
	for at := 0; at < len(text); {
		switch c := text[at]; {
		case c == '"':
			end, err := checkString(text, at+1)
			if err != nil {
				return err
			}
			at = end
		case c == '-' || c >= '0' && c <= '9':
			end := numberEnd(text, at)
			if isBeyondDouble(text[at:end]) {
				return fmt.Errorf("the number at byte %d exceeds a double", at)
			}
			at = end
		default:
			at++
		}
	}
	return nil
}

func invalidAt(text []byte) int {
	for at := 0; at < len(text); {
		r, size := utf8.DecodeRune(text[at:])
		if r == utf8.RuneError && size < 2 {
			return at
		}
		at += size
	}
	return len(text)
}

// checkString checks a string that begins at a byte, and returns where the text continues after it.
func checkString(text []byte, at int) (end int, err error) {
	for at < len(text) {
		switch text[at] {
		case '"':
			return at + 1, nil
		case '\\':
			unit, isUnit := escaped(text, at)
			switch {
			case !isUnit:
				at += 2
			case unit < 0xD800 || unit > 0xDFFF:
				at += 6
			default:
				low, isPair := escaped(text, at+6)
				if !isPair || unit > 0xDBFF || low < 0xDC00 || low > 0xDFFF {
					return at, fmt.Errorf("the escape at byte %d is half a surrogate pair", at)
				}
				at += 12
			}
		default:
			at++
		}
	}
	return at, nil
}

// escaped returns the code unit of an escape such as \u00e9 at a byte.
func escaped(text []byte, at int) (unit uint64, ok bool) {
	if at+6 > len(text) || text[at] != '\\' || text[at+1] != 'u' {
		return 0, false
	}
	unit, err := strconv.ParseUint(string(text[at+2:at+6]), 16, 16)
	return unit, err == nil
}

func numberEnd(text []byte, at int) int {
	for at < len(text) {
		switch c := text[at]; {
		case c >= '0' && c <= '9', c == '+', c == '-', c == '.', c == 'e', c == 'E':
			at++
		default:
			return at
		}
	}
	return at
}

func isBeyondDouble(number []byte) bool {
	if len(number) <= 1 || len(number) <= safeNumber && !hasExponent(number) {
		return false
	}
	value, err := strconv.ParseFloat(string(number), 64)
	return errors.Is(err, strconv.ErrRange) && math.IsInf(value, 0)
}

func hasExponent(number []byte) bool {
	for _, c := range number {
		if c == 'e' || c == 'E' {
			return true
		}
	}
	return false
}
