package control

import (
	"crypto/subtle"
	"errors"
	"net"
	"net/http"
	"slices"
	"strings"
)

// guard lets through whoever has the token. Before that it keeps web pages out, also those that have no token: a page
// can reach a loopback port, also under a name of its own (DNS rebinding).
func (s surface) guard(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !s.isNamed(r.Host) || isForeign(r) {
			writeError(w, http.StatusForbidden,
				errors.New("the control port answers to loopback clients, not to pages of other sites"))
			return
		}
		if !isOpen(r) && !s.hasToken(r) {
			w.Header().Set("WWW-Authenticate", `Bearer realm="evenkeel control port"`)
			writeError(w, http.StatusUnauthorized, errors.New("the control port asks for its token: send the header "+
				"Authorization: Bearer, followed by what the file control-token in the emulator's data folder holds"))
			return
		}
		if r.URL.Path != "/seed" {
			r.Body = http.MaxBytesReader(w, r.Body, maxBody)
		}
		next.ServeHTTP(w, r)
	})
}

// isOpen reports whether a request needs no token: it asks for health, or for the files of the page. Without a token,
// the page itself holds nothing of the emulated cloud.
func isOpen(r *http.Request) bool {
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		return false
	}
	switch r.URL.Path {
	case "/healthz", "/readyz", "/page.css", "/page.js":
		return true
	case "/":
		return r.Header.Get("Authorization") == ""
	}
	return false
}

// hasToken compares in constant time. No token is never the right one.
func (s surface) hasToken(r *http.Request) bool {
	scheme, token, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	return s.Token != "" && strings.EqualFold(scheme, "Bearer") &&
		subtle.ConstantTimeCompare([]byte(strings.TrimSpace(token)), []byte(s.Token)) == 1
}

// isNamed reports whether a Host header is one by which clients reach the port. A page under a name of its own, which
// leads to this machine, has its own name there.
func (s surface) isNamed(hostPort string) bool {
	host, _, err := net.SplitHostPort(hostPort)
	if err != nil {
		host = strings.Trim(hostPort, "[]")
	}
	host = strings.ToLower(host)
	if ip := net.ParseIP(host); ip != nil {
		return s.Remote || ip.IsLoopback()
	}
	return host == "localhost" || slices.ContainsFunc(s.Hosts, func(name string) bool { return strings.EqualFold(name, host) })
}

// isForeign reports whether a page of another site makes the request: by its origin or by what browsers say of
// themselves. To go to the page by a link is no harm.
func isForeign(r *http.Request) bool {
	if origin := r.Header.Get("Origin"); origin != "" && origin != "http://"+r.Host {
		return true
	}
	switch r.Header.Get("Sec-Fetch-Site") {
	case "", "same-origin", "none":
		return false
	}
	return r.Method != http.MethodGet || r.URL.Path != "/" || r.Header.Get("Sec-Fetch-Mode") != "navigate"
}
