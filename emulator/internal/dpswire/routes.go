package dpswire

import (
	"net/http"
	"net/url"
	"slices"
	"strings"

	"evenkeel/emulator/internal/routes"
)

// NewTable returns an empty table of operations that matches paths as the two APIs do.
func NewTable[T any]() *routes.Table[T] { return &routes.Table[T]{AnyCase: true, PathFirst: true} }

// Find returns the operation of a request and the decoded values of its path's variables.
func Find[T any](table *routes.Table[T], r *http.Request) (operation T, values map[string]string, err error) {
	found := table.Find(r.Method, segments(r.URL))
	switch allowed := strings.Join(found.Allowed, ", "); {
	case found.Pattern != "":
		return found.Serve, found.Values, nil
	case allowed != "":
		return operation, nil, &Error{
			Status: http.StatusMethodNotAllowed, Code: CodeMethod, Allow: allowed,
			Message: "The method is not allowed; allowed: " + allowed + ".",
		}
	case found.Incomplete:
		// A missing id answers 405 ("Troubleshooting with DPS").
		return operation, nil, Refuse(http.StatusMethodNotAllowed, CodeMethod, "The path needs an id.")
	}
	return operation, nil, Refuse(http.StatusNotFound, CodeNotFound, "Unknown operation.")
}

// segments returns the non-empty segments of a path: bulk operations come with a trailing slash, and some clients
// double slashes.
func segments(u *url.URL) []string {
	return slices.DeleteFunc(routes.Decoded(u), func(s string) bool { return s == "" })
}
