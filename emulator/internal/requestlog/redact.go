package requestlog

import (
	"regexp"
	"slices"
	"strings"
	"unicode/utf8"
)

// secret matches what a path, query or topic must not show: the value after the name of a secret up to the next
// parameter, and whole signatures and connection strings, escaped or not.
var secret = regexp.MustCompile(
	`(?i)([?&;]|%26|%3B|^|/)(sig|code|key|primarykey|secondarykey|sharedaccesskey|client_secret|client_assertion|access_token|token|password|authorization)(=|%3D)[^&;]*` +
		`|SharedAccess(?:Signature|Key)\b[^&;]*|Bearer(?: |%20|\+)[^&;]*`)

// words: every text that secret matches contains one of them, in any letter case.
var words = []string{"sig", "code", "key", "token", "client_", "password", "authorization", "sharedaccess", "bearer"}

// hasNoSecretWord reports whether the text contains none of the words, which is much faster to check than secret. It
// returns false for letters outside ASCII, because some of them are ASCII letters in another case.
func hasNoSecretWord(text string) bool {
	if strings.ContainsFunc(text, func(r rune) bool { return r >= utf8.RuneSelf }) {
		return false
	}
	lower := strings.ToLower(text)
	return !slices.ContainsFunc(words, func(word string) bool { return strings.Contains(lower, word) })
}

// Redact returns a path, query or topic with its secrets replaced by a mark. The names of parameters are kept.
func Redact(text string) string {
	if hasNoSecretWord(text) {
		return text
	}
	return secret.ReplaceAllStringFunc(text, func(found string) string {
		parts := secret.FindStringSubmatch(found)
		return parts[1] + parts[2] + parts[3] + "…"
	})
}
