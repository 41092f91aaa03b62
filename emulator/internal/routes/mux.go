package routes

import (
	"net/http"
	"net/url"
	"path"
	"slices"
	"strings"
)

// Mux serves a table of handlers and responds like http.ServeMux to other requests. The zero value is ready for use.
type Mux struct {
	table Table[http.HandlerFunc]
}

// HandleFunc registers a handler, which reads the pattern's variables with PathValue.
func (m *Mux) HandleFunc(pattern string, handler func(http.ResponseWriter, *http.Request)) {
	m.table.HeadByGet = true
	m.table.Add(pattern, handler)
}

// Patterns returns the registered patterns in order.
func (m *Mux) Patterns() []string { return m.table.Patterns() }

// Has reports whether a path, which is not escaped, has a handler for some method.
func (m *Mux) Has(path string) bool {
	found := m.table.Find("", Segments(path))
	return found.Pattern != "" || len(found.Allowed) > 0
}

// ServeHTTP implements http.Handler. As http.ServeMux does, it redirects a path with empty or dotted segments to the
// clean one.
func (m *Mux) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	escaped := r.URL.EscapedPath()
	clean := cleanPath(escaped)
	if clean != escaped && r.Method != http.MethodConnect {
		target := url.URL{Path: clean, RawQuery: r.URL.RawQuery}
		http.Redirect(w, r, target.String(), http.StatusTemporaryRedirect)
		return
	}
	found := m.table.Find(r.Method, decode(escaped))
	switch {
	case found.Pattern != "":
		SetValues(r, found.Values)
		found.Serve(w, r)
	case len(found.Allowed) > 0:
		w.Header().Set("Allow", strings.Join(withHead(found.Allowed), ", "))
		http.Error(w, http.StatusText(http.StatusMethodNotAllowed), http.StatusMethodNotAllowed)
	default:
		http.NotFound(w, r)
	}
}

// SetValues sets the values of a path's variables for PathValue.
func SetValues(r *http.Request, values map[string]string) {
	for name, value := range values {
		r.SetPathValue(name, value)
	}
}

func withHead(methods []string) []string {
	if slices.Contains(methods, http.MethodGet) && !slices.Contains(methods, http.MethodHead) {
		methods = append(methods, http.MethodHead)
	}
	slices.Sort(methods)
	return methods
}

// cleanPath is path.Clean, except that it keeps a trailing slash.
func cleanPath(escaped string) string {
	clean := path.Clean("/" + escaped)
	if strings.HasSuffix(escaped, "/") && clean != "/" {
		clean += "/"
	}
	return clean
}
