package dpswire

import (
	"net/http"
	"net/url"
	"strings"
)

// Route is one operation: its method, its path with variables in braces ("/enrollments/{id}"), and what serves it.
type Route[H any] struct {
	Method, Path string
	Serve        H
}

// Routes are the operations of an API. Where two paths match a request, the first one has it.
type Routes[H any] []Route[H]

// Find returns the operation of a request and the values of its path's variables, decoded. Words are compared without regard to
// letter case, and empty segments are passed over: clients send both.
func (t Routes[H]) Find(r *http.Request) (found H, values map[string]string, err error) {
	segments, err := split(r.URL)
	if err != nil {
		return found, nil, err
	}
	path, allowed, incomplete := "", []string{}, false
	for _, route := range t {
		if path != "" && path != route.Path {
			continue
		}
		matched, rest := match(words(route.Path), segments)
		if matched == nil {
			incomplete = incomplete || rest
			continue
		}
		if r.Method == route.Method {
			return route.Serve, matched, nil
		}
		path, allowed = route.Path, append(allowed, route.Method)
	}
	switch {
	case path != "":
		return found, nil, &Error{
			Status: http.StatusMethodNotAllowed, Code: CodeMethod, Allow: strings.Join(allowed, ", "),
			Message: "The method is not allowed here; allowed: " + strings.Join(allowed, ", ") + ".",
		}
	case incomplete:
		// A missing id answers 405 ("Troubleshooting with DPS").
		return found, nil, Refuse(http.StatusMethodNotAllowed, CodeMethod, "The path needs an id.")
	}
	return found, nil, Refuse(http.StatusNotFound, CodeNotFound, "There is no such operation.")
}

// List names the operations, as "GET /enrollments/{id}".
func (t Routes[H]) List() []string {
	list := make([]string, len(t))
	for i, route := range t {
		list[i] = route.Method + " " + route.Path
	}
	return list
}

// match returns the variables' values, nil when the path is another; incomplete when all that lacks is a variable.
func match(pattern, segments []string) (values map[string]string, incomplete bool) {
	if len(segments) > len(pattern) {
		return nil, false
	}
	values = map[string]string{}
	for i, segment := range segments {
		if name, variable := strings.CutPrefix(pattern[i], "{"); variable {
			values[strings.TrimSuffix(name, "}")] = segment
		} else if !strings.EqualFold(pattern[i], segment) {
			return nil, false
		}
	}
	if len(segments) < len(pattern) {
		return nil, len(segments) > 0 && strings.HasPrefix(pattern[len(segments)], "{")
	}
	return values, false
}

func words(path string) []string { return strings.Split(strings.Trim(path, "/"), "/") }

// split decodes the path. Empty segments are left out: bulk operations come with a trailing slash.
func split(u *url.URL) ([]string, error) {
	var segments []string
	for part := range strings.SplitSeq(u.EscapedPath(), "/") {
		if part == "" {
			continue
		}
		decoded, err := url.PathUnescape(part)
		if err != nil {
			return nil, Invalid("The path is not URL-encoded.")
		}
		segments = append(segments, decoded)
	}
	return segments, nil
}
