package arm

import (
	"net/http"
	"regexp"
	"strings"
)

// Filters of lists: comparisons with eq and ne, substringof, startswith(tagName, …), joined by and, or and
// parentheses. Source: $filter of Resources_List and ResourceGroups_List, 2025-04-01. Fidelity: properties that this
// emulator's resources do not have (identity, plan) are refused, so that no list is longer than requested, and all
// combinations are accepted, where Azure accepts few.

// maxFilter is the length in bytes of the longest filter, which limits its nesting (ours).
const maxFilter = 8 << 10

// listed is a resource or a group as seen by filters.
type listed struct {
	kind, name, group, location string
	tags                        map[string]string
}

// filter reports whether a list includes something.
type filter func(listed) bool

// condition is a comparison: of the object itself, or of one of its tags. All conditions on tags that are joined by
// and apply to the same tag.
type condition struct {
	of  filter
	tag func(name, value string) bool
}

// compared are the members that eq and ne compare, case-insensitively.
var compared = map[string]func(listed) string{
	"resourcetype":  func(l listed) string { return l.kind },
	"name":          func(l listed) string { return l.name },
	"resourcegroup": func(l listed) string { return l.group },
	"location":      func(l listed) string { return l.location },
}

// searched are the members that substringof searches.
var searched = []string{"name", "resourcegroup"}

var filterToken = regexp.MustCompile(`^\s*('(?:[^']|'')*'|[A-Za-z/]+|[(),])`)

// filterParser parses the rest of a filter.
type filterParser struct {
	tokens []string
	failed bool
	// tagsOnly: only tags can be compared. byValue: the filter compares a tag's value.
	tagsOnly, byValue bool
}

// filterOf parses the filter of a list; an empty one includes everything. Resources that are selected by the value of
// a tag are returned without their tags.
func (c *call) filterOf(tagsOnly bool) (wanted filter, hideTags bool, err error) {
	text := c.r.URL.Query().Get("$filter")
	if len(text) > maxFilter {
		return nil, false, armError(http.StatusBadRequest, "InvalidFilterInQueryString",
			"The filter is longer than %d bytes.", maxFilter)
	}
	p := filterParser{tagsOnly: tagsOnly}
	rest := text
	for strings.TrimSpace(rest) != "" {
		found := filterToken.FindStringSubmatch(rest)
		if found == nil {
			return nil, false, invalidFilter(text)
		}
		p.tokens, rest = append(p.tokens, found[1]), rest[len(found[0]):]
	}
	if len(p.tokens) == 0 {
		return func(listed) bool { return true }, false, nil
	}
	wanted = p.or()
	if p.failed || len(p.tokens) > 0 {
		return nil, false, invalidFilter(text)
	}
	return wanted, p.byValue, nil
}

func invalidFilter(text string) error {
	return armError(http.StatusBadRequest, "InvalidFilterInQueryString",
		"The filter '%s' is invalid: the emulator supports resourceType, name, resourceGroup and location (lists of "+
			"groups do not), tagName and tagValue.", text)
}

// next consumes the next token if it is that word, case-insensitively.
func (p *filterParser) next(word string) bool {
	if len(p.tokens) == 0 || !strings.EqualFold(p.tokens[0], word) {
		return false
	}
	p.tokens = p.tokens[1:]
	return true
}

// word consumes a name and returns it in lower case.
func (p *filterParser) word() string {
	if len(p.tokens) == 0 || p.tokens[0][0] == '\'' {
		p.failed = true
		return ""
	}
	word := strings.ToLower(p.tokens[0])
	p.tokens = p.tokens[1:]
	return word
}

// text consumes a string.
func (p *filterParser) text() string {
	if len(p.tokens) == 0 || p.tokens[0][0] != '\'' {
		p.failed = true
		return ""
	}
	quoted := p.tokens[0]
	p.tokens = p.tokens[1:]
	return strings.ReplaceAll(quoted[1:len(quoted)-1], "''", "'")
}

func (p *filterParser) expect(word string) { p.failed = !p.next(word) || p.failed }

func (p *filterParser) or() filter {
	first := p.and()
	if p.failed || !p.next("or") {
		return first
	}
	other := p.or()
	return func(l listed) bool { return first(l) || other(l) }
}

func (p *filterParser) and() filter {
	all := []condition{p.condition()}
	for !p.failed && p.next("and") {
		all = append(all, p.condition())
	}
	return func(l listed) bool {
		ofTags := false
		for _, c := range all {
			if c.of != nil && !c.of(l) {
				return false
			}
			ofTags = ofTags || c.tag != nil
		}
		if !ofTags {
			return true
		}
		for name, value := range l.tags {
			if agreed(all, name, value) {
				return true
			}
		}
		return false
	}
}

// agreed reports whether a tag meets all conditions on tags.
func agreed(all []condition, name, value string) bool {
	for _, c := range all {
		if c.tag != nil && !c.tag(name, value) {
			return false
		}
	}
	return true
}

func (p *filterParser) condition() condition {
	if p.next("(") {
		inner := p.or()
		p.expect(")")
		return condition{of: inner}
	}
	switch name := p.word(); {
	case p.failed:
		return condition{}
	case name == "substringof" && !p.tagsOnly:
		return p.substring()
	case name == "startswith":
		p.expect("(")
		p.expect("tagName")
		p.expect(",")
		start := p.text()
		p.expect(")")
		return condition{tag: func(name, _ string) bool {
			return len(name) >= len(start) && strings.EqualFold(name[:len(start)], start)
		}}
	default:
		return p.comparison(name)
	}
}

func (p *filterParser) substring() condition {
	p.expect("(")
	part := strings.ToLower(p.text())
	p.expect(",")
	name := p.word()
	p.expect(")")
	for _, known := range searched {
		if member := compared[known]; name == known {
			return condition{of: func(l listed) bool { return strings.Contains(strings.ToLower(member(l)), part) }}
		}
	}
	p.failed = true
	return condition{}
}

func (p *filterParser) comparison(name string) condition {
	equal := p.next("eq")
	if !equal {
		p.expect("ne")
	}
	value := p.text()
	member, known := compared[name]
	switch {
	case equal && name == "tagname":
		return condition{tag: func(name, _ string) bool { return strings.EqualFold(name, value) }}
	case equal && name == "tagvalue":
		p.byValue = true
		return condition{tag: func(_, found string) bool { return found == value }}
	case !known || p.tagsOnly:
		p.failed = true
	case name == "location":
		value = plainLocation(value)
		return condition{of: func(l listed) bool { return (plainLocation(l.location) == value) == equal }}
	}
	return condition{of: func(l listed) bool { return strings.EqualFold(member(l), value) == equal }}
}
