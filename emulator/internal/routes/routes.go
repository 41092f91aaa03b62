// Package routes is a ServeMux that can tell what it serves, so that docs/reference/fidelity.md can be held against it.
//
// It tells too which methods a path has. It adds nothing else to net/http, and knows no API.
package routes

import (
	"net/http"
	"slices"
	"strings"
)

// Mux is an http.ServeMux that remembers its patterns. The zero value is ready for use.
type Mux struct {
	http.ServeMux
	patterns []string
}

// HandleFunc registers a handler as http.ServeMux does.
func (m *Mux) HandleFunc(pattern string, handler func(http.ResponseWriter, *http.Request)) {
	m.patterns = append(m.patterns, pattern)
	m.ServeMux.HandleFunc(pattern, handler)
}

// Patterns are those registered, in their order.
func (m *Mux) Patterns() []string { return m.patterns }

// Allowed are the methods with which the path of a request is served, in alphabetical order.
func (m *Mux) Allowed(r *http.Request) []string {
	var methods []string
	for _, pattern := range m.patterns {
		method, _, found := strings.Cut(pattern, " ")
		if !found || slices.Contains(methods, method) {
			continue
		}
		other := r.Clone(r.Context())
		other.Method = method
		if _, served := m.Handler(other); served != "" {
			methods = append(methods, method)
		}
	}
	slices.Sort(methods)
	return methods
}
