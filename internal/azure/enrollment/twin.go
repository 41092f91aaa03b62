package enrollment

import (
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Limits of the documents in a device's twin ("Understand device twins" and "Understand IoT Hub quotas" of the IoT
// Hub documentation). Sizes are in bytes.
const (
	maxTags       = 8 << 10
	maxProperties = 32 << 10
	maxTwinDepth  = 10
	maxTwinText   = 4 << 10
	maxTwinName   = 1 << 10
	maxTwinWhole  = 4503599627370495
	minTwinWhole  = -4503599627370496
)

// beyondDigits is the value from which on JSON writes a number with an exponent, which hubs do not treat as an integer.
const beyondDigits = 1e21

// maxTwinFaults limits the reported errors of one document.
const maxTwinFaults = 10

// CheckTags checks the tags of a twin. A hub refuses invalid tags, so every device that starts with such a twin would
// fail to register.
func CheckTags(path string, tags map[string]any) []Fault { return checkTwin(path, tags, maxTags) }

// CheckDesired checks the desired properties of a twin, as CheckTags does tags.
func CheckDesired(path string, properties map[string]any) []Fault {
	return checkTwin(path, properties, maxProperties)
}

func checkTwin(path string, document map[string]any, limit int) []Fault {
	c := twinChecker{path: path}
	size := c.object("", document, 0)
	if size > limit {
		c.fault("", "it has %d bytes, and a hub accepts %d", size, limit)
	}
	return c.faults
}

type twinChecker struct {
	path   string
	faults []Fault
}

// fault records an error at a place in the document.
func (c *twinChecker) fault(place, format string, values ...any) {
	if len(c.faults) == maxTwinFaults {
		return
	}
	message := fmt.Sprintf(format, values...)
	if place != "" {
		message = Quote(place) + ": " + message
	}
	c.faults = append(c.faults, Fault{Path: c.path, Message: message})
}

// object checks the object at a place, and returns its size.
func (c *twinChecker) object(place string, object map[string]any, depth int) (size int) {
	if depth > maxTwinDepth {
		c.fault(place, "objects are nested deeper than %d", maxTwinDepth)
		return 0
	}
	for _, name := range slices.Sorted(maps.Keys(object)) {
		if depth == 0 && (name == "$version" || name == "$metadata") {
			continue // the service's own, which it leaves out
		}
		at := strings.TrimPrefix(place+"."+name, ".")
		if name == "" || len(name) > maxTwinName {
			c.fault(place, "a name is empty or longer than %d bytes", maxTwinName)
		}
		if i := strings.IndexFunc(name, isForbiddenInTwinName); i >= 0 {
			bad, _ := utf8.DecodeRuneInString(name[i:])
			c.fault("", "the name %s contains %q: a hub accepts no control character, '.', '$', '#' or ' '", Quote(at),
				bad)
		}
		size += twinTextSize(name) + c.value(at, object[name], depth)
	}
	return size
}

func isForbiddenInTwinName(r rune) bool {
	return unicode.IsControl(r) || strings.ContainsRune(" .$#", r)
}

func (c *twinChecker) value(place string, value any, depth int) (size int) {
	switch v := value.(type) {
	case map[string]any:
		return c.object(place, v, depth+1)
	case []any:
		for i, part := range v {
			size += c.value(fmt.Sprintf("%s[%d]", place, i), part, depth)
		}
		return size
	case string:
		if len(v) > maxTwinText {
			c.fault(place, "the text has %d bytes, and a hub accepts %d", len(v), maxTwinText)
		}
		return twinTextSize(v)
	case float64:
		if v == math.Trunc(v) && math.Abs(v) < beyondDigits && (v > maxTwinWhole || v < minTwinWhole) {
			c.fault(place, "the whole number %.0f is not between %d and %d: write it as a string", v,
				int64(minTwinWhole), int64(maxTwinWhole))
		}
		return 8
	case bool:
		return 4
	}
	return 0
}

// twinTextSize counts a text as hubs do: in UTF-8, without control characters.
func twinTextSize(text string) (size int) {
	for _, r := range text {
		if !unicode.IsControl(r) {
			size += utf8.RuneLen(r)
		}
	}
	return size
}
