// Package routes is a ServeMux that can tell what it serves, so that docs/FIDELITY.md can be held against it.
//
// It adds nothing else to net/http, and knows no API.
package routes

import "net/http"

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
