package control

import (
	"crypto/subtle"
	"errors"
	"net"
	"net/http"
	"slices"
	"strings"
)

// guard passes requests with the token. Before that it refuses web pages of other sites, even for calls without a
// token: a page can reach a loopback port, also under its own name (DNS rebinding).
func (s surface) guard(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !s.isNamed(r.Host) || isForeign(r) {
			writeError(w, http.StatusForbidden,
				errors.New("the control port accepts loopback clients only, and no pages of other sites"))
			return
		}
		if !isOpen(r) && !s.hasToken(r) {
			w.Header().Set("WWW-Authenticate", `Bearer realm="evenkeel control port"`)
			writeError(w, http.StatusUnauthorized, errors.New("the control port needs its token: send the header "+
				"Authorization: Bearer, followed by the content of the file control-token in the emulator's data folder"))
			return
		}
		if r.URL.Path != "/seed" {
			r.Body = http.MaxBytesReader(w, r.Body, maxBody)
		}
		next.ServeHTTP(w, r)
	})
}

// isOpen reports whether a request needs no token: health, or the files of the page. Without a token, the page
// contains nothing of the emulated cloud.
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

// hasToken compares in constant time. An empty token is never valid.
func (s surface) hasToken(r *http.Request) bool {
	scheme, token, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	return s.Token != "" && strings.EqualFold(scheme, "Bearer") &&
		subtle.ConstantTimeCompare([]byte(strings.TrimSpace(token)), []byte(s.Token)) == 1
}

// isNamed reports whether a Host header is one by which clients reach the port. A page whose own name resolves to
// this machine sends that name.
func (s surface) isNamed(hostPort string) bool {
	host, _, err := net.SplitHostPort(hostPort)
	if err != nil {
		host = strings.Trim(hostPort, "[]")
	}
	host = strings.ToLower(host)
	if ip := net.ParseIP(host); ip != nil {
		return s.Remote || ip.IsLoopback()
	}
	return host == "localhost" || slices.ContainsFunc(s.Hosts,
		func(name string) bool { return strings.EqualFold(name, host) })
}

// isForeign reports whether a page of another site makes the request, by its origin or the browser's fetch metadata.
// Following a link to the page is permitted.
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
