package requestlog

import (
	"regexp"
	"slices"
	"strings"
	"unicode/utf8"
)

// secret is what a path, query or topic must not show: what follows the name of a secret up to the next parameter, and whole signatures and
// connection strings, escaped or not.
var secret = regexp.MustCompile(`(?i)([?&;]|%26|%3B|^|/)(sig|code|key|primarykey|secondarykey|sharedaccesskey|client_secret|client_assertion|access_token|token|password|authorization)(=|%3D)[^&;]*` +
	`|SharedAccess(?:Signature|Key)\b[^&;]*|Bearer(?: |%20|\+)[^&;]*`)

// words are in every text that secret matches: one of them, in any letter case.
var words = []string{"sig", "code", "key", "token", "client_", "password", "authorization", "sharedaccess", "bearer"}

// innocent reports whether the text has none of the words, which is told much faster than what they mean. Letters outside ASCII are left
// to secret: some of them are ASCII ones in another case.
func innocent(text string) bool {
	if strings.ContainsFunc(text, func(r rune) bool { return r >= utf8.RuneSelf }) {
		return false
	}
	lower := strings.ToLower(text)
	return !slices.ContainsFunc(words, func(word string) bool { return strings.Contains(lower, word) })
}

// Redact returns a path, query or topic with its secrets replaced by a mark. The names of parameters stay.
func Redact(text string) string {
	if innocent(text) {
		return text
	}
	return secret.ReplaceAllStringFunc(text, func(found string) string {
		parts := secret.FindStringSubmatch(found)
		return parts[1] + parts[2] + parts[3] + "…"
	})
}
