package enrollment

import (
	"bytes"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

const byteOrderMark = "\ufeff"

// DecodeText returns the text of a file that a user wrote: UTF-8, with or without a byte order mark, or UTF-16 with
// one. Other encodings are refused, with the first line that shows them, because their letters would be lost.
func DecodeText(content []byte) (string, error) {
	switch {
	case bytes.HasPrefix(content, []byte{0xff, 0xfe, 0, 0}), bytes.HasPrefix(content, []byte{0, 0, 0xfe, 0xff}):
		return "", errors.New("it is UTF-32 text: save it as UTF-8")
	case bytes.HasPrefix(content, []byte{0xff, 0xfe}):
		return decodeUTF16(content[2:], binary.LittleEndian)
	case bytes.HasPrefix(content, []byte{0xfe, 0xff}):
		return decodeUTF16(content[2:], binary.BigEndian)
	}
	text := strings.TrimPrefix(string(content), byteOrderMark)
	if !utf8.ValidString(text) {
		return "", fmt.Errorf("line %d is not UTF-8: save the file as UTF-8", badLine(text))
	}
	if line, _, found := strings.Cut(text, "\x00"); found {
		return "", fmt.Errorf(
			"line %d holds a NUL character, as UTF-16 text does: save the file as UTF-8",
			strings.Count(line, "\n")+1,
		)
	}
	return text, nil
}

func decodeUTF16(content []byte, order binary.ByteOrder) (string, error) {
	if len(content)%2 != 0 {
		return "", errors.New("it is UTF-16 text that ends in the middle of a character: save it as UTF-8")
	}
	units := make([]uint16, len(content)/2)
	for i := range units {
		units[i] = order.Uint16(content[2*i:])
	}
	text := string(utf16.Decode(units))
	if before, _, found := strings.Cut(text, string(utf8.RuneError)); found {
		return "", fmt.Errorf(
			"line %d is not UTF-16, as the file's first bytes promise: save the file as UTF-8",
			strings.Count(before, "\n")+1,
		)
	}
	return strings.TrimPrefix(text, byteOrderMark), nil
}

// badLine returns the first line that is not UTF-8, counted from 1.
func badLine(text string) int {
	line := 1
	for part := range strings.Lines(text) {
		if !utf8.ValidString(part) {
			return line
		}
		line++
	}
	return line
}

// CleanKey removes the line breaks of a key that a tool printed on several lines (as openssl rand -base64 64 does), and
// the blanks around it. Blanks inside stay and make it invalid: they show that something else was lost.
func CleanKey(key string) string {
	return strings.NewReplacer("\r", "", "\n", "").Replace(strings.TrimSpace(key))
}

// privateKeyText is in the text form of every private key. The others are its base64, wherever in a group of three
// bytes it begins.
const privateKeyText = "PRIVATE KEY"

var encodedPrivateKey = func() (needles []string) {
	for shift := range 3 {
		encoded := base64.StdEncoding.EncodeToString([]byte("---"[:shift] + privateKeyText))
		encoded = strings.TrimRight(encoded, "=")
		needles = append(needles, encoded[(shift*4+2)/3:len(encoded)-1])
	}
	return needles
}()

// HoldsPrivateKey reports whether a text contains a private key in PEM, in PuTTY's format, or in the base64 of either.
func HoldsPrivateKey(text string) bool {
	if strings.Contains(text, privateKeyText) || strings.Contains(text, "PuTTY-User-Key-File") {
		return true
	}
	packed := text
	if strings.ContainsAny(text, " \t\r\n") {
		packed = strings.Join(strings.Fields(text), "")
	}
	for _, needle := range encodedPrivateKey {
		if strings.Contains(packed, needle) {
			return true
		}
	}
	return false
}

// maxQuoted is the maximum length of a quoted value in a message, in characters.
const maxQuoted = 160

// Quote returns a value for a message: in quotes, truncated if it is long, and without a private key that was put in
// the wrong place.
func Quote(value string) string {
	if HoldsPrivateKey(value) {
		return "(a private key)"
	}
	if runes := []rune(value); len(runes) > maxQuoted {
		return fmt.Sprintf("%q", string(runes[:maxQuoted])+"…")
	}
	return fmt.Sprintf("%q", value)
}
