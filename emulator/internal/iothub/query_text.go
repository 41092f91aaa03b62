package iothub

import (
	"fmt"
	"strconv"
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

// quoted parses a string in single or double quotes. A doubled quote, or one after a backslash, is a quote, and
// \uXXXX is a character by its number ("IoT Hub query language for device and module twins", string_literal).
func quoted(text string) (value string, size int, err error) {
	var b strings.Builder
	for i := 1; i < len(text); i++ {
		switch c := text[i]; {
		case c == '\\' && i+1 < len(text):
			if r, n := numbered(text[i:]); n > 0 {
				b.WriteRune(r)
				i += n - 1
				continue
			}
			i++
			b.WriteByte(text[i])
		case c == text[0] && i+1 < len(text) && text[i+1] == c:
			i++
			b.WriteByte(c)
		case c == text[0]:
			return b.String(), i + 1, nil
		default:
			b.WriteByte(c)
		}
	}
	return "", 0, fmt.Errorf("the string %s is not closed", first(text, 20))
}

// numbered parses \uXXXX, or a surrogate pair of two of them, and returns its length in bytes, which is zero if the
// text does not begin with one.
func numbered(text string) (r rune, size int) {
	one, ok := unit(text)
	if !ok {
		return 0, 0
	}
	if !utf16.IsSurrogate(one) {
		return one, unitSize
	}
	if other, ok := unit(text[unitSize:]); ok {
		if both := utf16.DecodeRune(one, other); both != utf8.RuneError {
			return both, 2 * unitSize
		}
	}
	return utf8.RuneError, unitSize
}

const unitSize = len(`\u0000`)

func unit(text string) (rune, bool) {
	if len(text) < unitSize || !strings.HasPrefix(text, `\u`) {
		return 0, false
	}
	n, err := strconv.ParseUint(text[2:unitSize], 16, 16)
	return rune(n), err == nil
}
