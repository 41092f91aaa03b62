package requestlog

import "regexp"

// secret is what a path, query or topic must not show: what follows the name of a secret up to the next parameter, and whole signatures and
// connection strings, escaped or not.
var secret = regexp.MustCompile(`(?i)([?&;]|%26|%3B|^|/)(sig|code|key|primarykey|secondarykey|sharedaccesskey|client_secret|client_assertion|access_token|token|password|authorization)(=|%3D)[^&;]*` +
	`|SharedAccess(?:Signature|Key)\b[^&;]*|Bearer(?: |%20|\+)[^&;]*`)

// Redact returns a path, query or topic with its secrets replaced by a mark. The names of parameters stay.
func Redact(text string) string {
	return secret.ReplaceAllStringFunc(text, func(found string) string {
		parts := secret.FindStringSubmatch(found)
		return parts[1] + parts[2] + parts[3] + "…"
	})
}
