package environment

import (
	"crypto/sha256"
	"encoding/hex"
	"regexp"
	"strings"
)

// nameForm is what Pulumi, tags and file names all take.
var nameForm = regexp.MustCompile(`^[a-z0-9]([a-z0-9-]{0,38}[a-z0-9])?$`)

// ValidName reports whether a text can name an environment: up to 40 lower-case letters, digits and inner hyphens.
func ValidName(name string) bool { return nameForm.MatchString(name) }

// NameFor makes the name of an environment of some text: of a user's name, or of a pull request's. A text that has to be changed by
// more than letter case gets some digits that are its own, so that two texts do not make one name.
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
