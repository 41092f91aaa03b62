package provider_test

import (
	"crypto/tls"
	"errors"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"testing"
)

// unreliable describes what fails between a provider and a provisioning service.
type unreliable struct {
	// refuse answers a request instead of the service if it returns true.
	refuse func(w http.ResponseWriter, r *http.Request) bool
	// lose drops the answer to a request that was carried out if it returns true.
	lose func(r *http.Request) bool
}

// through returns the configuration of a provider that reaches the service of an emulator through a proxy with these
// failures.
func (s serviceAPI) through(t *testing.T, way unreliable) object {
	t.Helper()
	target, err := url.Parse(s.cloud.Endpoints().Data)
	must(t, err)
	errLost := errors.New("the answer is lost")
	proxy := &httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) {
			r.SetURL(target)
			r.Out.Host = r.In.Host
		},
		Transport: s.cloud.devices.Transport,
		ModifyResponse: func(answer *http.Response) error {
			if way.lose != nil && way.lose(answer.Request) {
				return errLost
			}
			return nil
		},
		ErrorHandler: func(http.ResponseWriter, *http.Request, error) { panic(http.ErrAbortHandler) },
	}
	ca := newAuthority(t, "unreliable root")
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if way.refuse == nil || !way.refuse(w, r) {
			proxy.ServeHTTP(w, r)
		}
	}))
	server.TLS = &tls.Config{Certificates: []tls.Certificate{ca.server(t, emulatedHost)}}
	server.StartTLS()
	t.Cleanup(server.Close)
	file := filepath.Join(t.TempDir(), "ca.pem")
	must(t, os.WriteFile(file, []byte(ca.PEM), 0o600))
	return s.cloud.config(s.key).edited(object{"endpoint": server.URL, "caFile": file})
}

// isBulk reports whether a request is a bulk operation.
func isBulk(r *http.Request) bool { return r.Method == http.MethodPost && r.URL.Path == "/enrollments" }
