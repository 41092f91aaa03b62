package environment

import (
	"crypto/sha256"
	"encoding/hex"
	"regexp"
	"strings"
)

// nameForm matches names that are valid for Pulumi, tags and files.
var nameForm = regexp.MustCompile(`^[a-z0-9]([a-z0-9-]{0,38}[a-z0-9])?$`)

// ValidName reports whether name is valid for an environment: up to 40 lower-case letters, digits and inner hyphens.
func ValidName(name string) bool { return nameForm.MatchString(name) }

// NameFor returns the name of an environment for a text, such as a user's name. If it has to change more than the
// letter case, it appends digits of the text's hash, so that two texts do not get the same name.
func NameFor(text string) string {
	lower := strings.ToLower(text)
	if ValidName(lower) {
		return lower
	}
	kept := strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= '0' && r <= '9' {
			return r
		}
		return '-'
	}, lower)
	sum := sha256.Sum256([]byte(lower))
	own := hex.EncodeToString(sum[:3])
	kept = strings.Trim(kept, "-")
	if kept = strings.Trim(kept[:min(len(kept), 40-1-len(own))], "-"); kept == "" {
		return "env-" + own
	}
	return kept + "-" + own
}
