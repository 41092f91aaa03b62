// Package routes finds the operation of a request. All surfaces of the emulator use it.
//
// Patterns are written as for net/http, without hosts: "GET /devices/{id}", "/{scope}/registrations/{rest...}". Each
// API decides how it splits a path into segments, and how it responds if no operation matches. Mux responds like
// net/http. The package knows no API.
package routes

import (
	"net/http"
	"net/url"
	"slices"
	"strings"
)

// Table holds the operations of an API with their handlers. The zero value is an empty table whose words are
// case-sensitive.
type Table[T any] struct {
	// AnyCase compares the words of paths case-insensitively. The values of variables keep their case.
	AnyCase bool
	// PathFirst selects the most specific path that matches, whatever its methods. Otherwise a less specific path is
	// selected if only that one has the method, as in net/http.
	PathFirst bool
	// HeadByGet serves HEAD with the operation for GET if the path has none for HEAD.
	HeadByGet bool

	routes []*route[T]
}

type route[T any] struct {
	pattern, method string
	segments        []segment
	serve           T
}

// segment is one part of a pattern: a word to compare, or the name of a variable.
type segment struct {
	kind kind
	text string
}

// kind orders segments: if two patterns match, the one with the lower kind at the first difference is more specific.
type kind int

const (
	word kind = iota
	variable
	rest
)

// Match is the result of a lookup.
type Match[T any] struct {
	// Pattern is the operation's pattern as it was added, or empty if no operation matches.
	Pattern string
	Serve   T
	// Values are the values of the variables by name.
	Values map[string]string
	// Allowed are the methods of the path, in the table's order, if it has no operation for the request's method.
	Allowed []string
	// Incomplete reports that nothing matches, but that a pattern continues after the request's path with a variable.
	Incomplete bool
}

// Add adds an operation. A pattern without a method serves all methods. {name} matches one segment that is not empty,
// {name...} at the end any number of segments, and {$} at the end a slash. It panics if the table already has the
// pattern, ignoring the names of variables.
func (t *Table[T]) Add(pattern string, serve T) {
	method, path, found := strings.Cut(pattern, " ")
	if !found {
		method, path = "", pattern
	}
	added := &route[T]{pattern: pattern, method: method, serve: serve}
	for _, text := range Segments(path) {
		added.segments = append(added.segments, parse(text))
	}
	for _, r := range t.routes {
		if r.method == method && slices.EqualFunc(r.segments, added.segments, segment.same) {
			panic("routes: " + pattern + " conflicts with " + r.pattern)
		}
	}
	t.routes = append(t.routes, added)
}

func parse(text string) segment {
	name, braced := strings.CutPrefix(text, "{")
	if !braced {
		return segment{word, text}
	}
	name = strings.TrimSuffix(name, "}")
	if name == "$" {
		return segment{word, ""}
	}
	if name, all := strings.CutSuffix(name, "..."); all {
		return segment{rest, name}
	}
	return segment{variable, name}
}

func (s segment) same(other segment) bool {
	return s.kind == other.kind && (s.kind != word || s.text == other.text)
}

// Patterns returns the added patterns in order.
func (t *Table[T]) Patterns() []string {
	list := make([]string, len(t.routes))
	for i, r := range t.routes {
		list[i] = r.pattern
	}
	return list
}

// Find returns the operation for a method and the decoded segments of a path.
func (t *Table[T]) Find(method string, segments []string) Match[T] {
	var matching []*route[T]
	incomplete := false
	for _, r := range t.routes {
		switch all, begins := t.compare(r.segments, segments); {
		case all:
			matching = append(matching, r)
		case begins:
			incomplete = true
		}
	}
	if len(matching) == 0 {
		return Match[T]{Incomplete: incomplete}
	}
	if t.PathFirst {
		best := slices.MinFunc(matching, specificity)
		matching = slices.DeleteFunc(matching, func(r *route[T]) bool { return specificity(r, best) != 0 })
	}
	methods := []string{method, ""}
	if method == http.MethodHead && t.HeadByGet {
		methods = []string{method, http.MethodGet, ""}
	}
	for _, m := range methods {
		var best *route[T]
		for _, r := range matching {
			if r.method == m && (best == nil || specificity(r, best) < 0) {
				best = r
			}
		}
		if best != nil {
			return Match[T]{Pattern: best.pattern, Serve: best.serve, Values: best.values(segments)}
		}
	}
	var allowed []string
	for _, r := range matching {
		if !slices.Contains(allowed, r.method) {
			allowed = append(allowed, r.method)
		}
	}
	return Match[T]{Allowed: allowed}
}

// compare reports whether a pattern matches the segments of a path, or only continues after them with a variable.
func (t *Table[T]) compare(pattern []segment, segments []string) (all, begins bool) {
	for i, s := range pattern {
		switch {
		case s.kind == rest:
			return true, false
		case i == len(segments):
			return false, i > 0 && s.kind == variable
		case s.kind == variable && segments[i] == "":
			return false, false
		case s.kind == word && s.text != segments[i] && !(t.AnyCase && strings.EqualFold(s.text, segments[i])):
			return false, false
		}
	}
	return len(pattern) == len(segments), false
}

// specificity is negative if a is more specific than b, for routes that match the same path.
func specificity[T any](a, b *route[T]) int {
	return slices.CompareFunc(a.segments, b.segments, func(x, y segment) int { return int(x.kind - y.kind) })
}

func (r *route[T]) values(segments []string) map[string]string {
	values := map[string]string{}
	for i, s := range r.segments {
		switch s.kind {
		case variable:
			values[s.text] = segments[i]
		case rest:
			values[s.text] = strings.Join(segments[i:], "/")
		}
	}
	return values
}

// Segments splits a path at its slashes. "/" has one segment, which is empty.
func Segments(path string) []string { return strings.Split(strings.TrimPrefix(path, "/"), "/") }

// Decoded returns the segments of a URL's path, each decoded: an escaped slash stays in its segment.
func Decoded(u *url.URL) []string { return decode(u.EscapedPath()) }

func decode(escaped string) []string {
	segments := Segments(escaped)
	for i, s := range segments {
		if text, err := url.PathUnescape(s); err == nil { // net/url validated the path
			segments[i] = text
		}
	}
	return segments
}
