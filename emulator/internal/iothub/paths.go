package iothub

import (
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/google/uuid"
)

// ServeHTTP implements http.Handler. Paths are matched without regard to letter case, but for the ids and lock tokens in them.
func (h *Hubs) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("x-ms-request-id", uuid.NewString())
	escaped := r.URL.EscapedPath()
	if lower := lowerWords(r.Method, escaped); lower != escaped {
		r = r.Clone(r.Context())
		r.URL.RawPath = lower
		r.URL.Path, _ = url.PathUnescape(lower) // it was escaped well before
	}
	if unclean(escaped) { // the mux would lead //devices to another path
		h.writeError(w, errNoPath)
		return
	}
	if _, pattern := h.routes.Handler(r); pattern == "" {
		h.unrouted(w, r)
		return
	}
	h.routes.ServeHTTP(w, r)
}

// unclean reports whether a path has empty segments, or such as lead elsewhere.
func unclean(escaped string) bool {
	segments := strings.Split(strings.TrimSuffix(escaped, "/"), "/")[1:]
	return slices.ContainsFunc(segments, func(segment string) bool { return segment == "" || segment == "." || segment == ".." })
}

// named are the words that an id follows, unless it is one of words, which name calls.
var (
	named = map[string]bool{
		"devices": true, "twins": true, "modules": true, "configurations": true, "jobs": true, "v2": true, "devicebound": true, "notifications": true,
		"digitaltwins": true, "components": true, "commands": true,
	}
	words = []string{"POST devices/query", "POST configurations/testqueries", "POST jobs/create", "GET v2/query", "GET jobs/v2", "PUT jobs/v2", "POST jobs/v2"}
)

// ofKeys is a call whose words stand where other calls have ids.
const ofKeys = "/devices/keys/regenerate"

// lowerWords puts the segments of a path that are no ids into lower case, as /devices/{id}/messages/devicebound/{lock}/abandon.
func lowerWords(method, escaped string) string {
	if strings.EqualFold(escaped, ofKeys) {
		return ofKeys
	}
	segments := strings.Split(escaped, "/")
	for i, segment := range segments {
		if i > 1 && named[segments[i-1]] && !slices.Contains(words, method+" "+segments[i-1]+"/"+strings.ToLower(segment)) {
			continue
		}
		segments[i] = strings.ToLower(segment)
	}
	return strings.Join(segments, "/")
}

var errNoPath = &wireError{404000, "GenericNotFound", "The emulator knows no such path"}

// unrouted refuses what no call matches. Fidelity: the text and the number of a wrong method are unsure.
func (h *Hubs) unrouted(w http.ResponseWriter, r *http.Request) {
	allowed := strings.Join(h.routes.Allowed(r), ", ")
	if allowed == "" {
		h.writeError(w, errNoPath)
		return
	}
	w.Header().Set("Allow", allowed)
	h.writeError(w, &wireError{405000, "GenericMethodNotAllowed", "The method " + r.Method + " is not allowed here; allowed: " + allowed})
}
