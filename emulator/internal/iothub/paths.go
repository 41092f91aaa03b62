package iothub

import (
	"net/http"
	"slices"
	"strings"

	"github.com/google/uuid"

	"evenkeel/emulator/internal/routes"
)

// ServeHTTP implements http.Handler. Words in paths are case-insensitive; ids and lock tokens are not.
func (h *Hubs) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	spell(w.Header(), headerRequestID, uuid.NewString())
	if isUnclean(r.URL.EscapedPath()) {
		h.writeError(w, errNoPath)
		return
	}
	found := h.calls.Find(r.Method, routes.Decoded(r.URL))
	if found.Pattern == "" {
		h.refuseCall(w, r, found.Allowed)
		return
	}
	routes.SetValues(r, found.Values)
	found.Serve(w, r)
}

// isUnclean reports whether a path has empty or dotted segments.
func isUnclean(escaped string) bool {
	segments := strings.Split(strings.TrimSuffix(escaped, "/"), "/")[1:]
	return slices.ContainsFunc(segments, func(segment string) bool {
		return segment == "" || segment == "." || segment == ".."
	})
}

var errNoPath = &wireError{404000, "GenericNotFound", "The emulator does not serve this path"}

// refuseCall responds to requests that match no call. Fidelity: the text and the number for a wrong method are
// unsure.
func (h *Hubs) refuseCall(w http.ResponseWriter, r *http.Request, methods []string) {
	if len(methods) == 0 {
		h.writeError(w, errNoPath)
		return
	}
	allowed := strings.Join(slices.Sorted(slices.Values(methods)), ", ")
	w.Header().Set("Allow", allowed)
	h.writeError(w, &wireError{405000, "GenericMethodNotAllowed", "The method " + r.Method +
		" is not allowed here; allowed: " + allowed})
}
