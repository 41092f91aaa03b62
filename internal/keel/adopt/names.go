package adopt

import (
	"fmt"
	"regexp"
	"strings"
)

// unnamed are the characters of ids that names of resources and settings do not have.
var unnamed = regexp.MustCompile(`[^A-Za-z0-9_-]+`)

// names gives out names of resources and settings, each once: a program in YAML has one space of names for both.
type names map[string]bool

// pick returns a name that is like the id.
func (n names) pick(id string) string {
	base := strings.Trim(unnamed.ReplaceAllString(id, "-"), "-")
	if base == "" || base == "pulumi" { // the latter is a variable of Pulumi's own
		base = "entry-" + base
	}
	name := base
	for i := 2; n[strings.ToLower(name)]; i++ {
		name = fmt.Sprintf("%s-%d", base, i)
	}
	n[strings.ToLower(name)] = true
	return name
}
