package routes_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/google/go-cmp/cmp"

	"evenkeel/emulator/internal/routes"
)

// TestMuxAnswersAsNetHTTPDoes compares status, headers, body and variables with http.ServeMux.
func TestMuxAnswersAsNetHTTPDoes(t *testing.T) {
	t.Parallel()
	var own routes.Mux
	var std http.ServeMux
	for _, pattern := range []string{
		"GET /{$}", "GET /items", "POST /items", "DELETE /items", "GET /items/{id}", "PUT /items/{id}",
		"POST /items/query",
		"HEAD /items/{id}/size", "GET /items/{id}/size", "GET /common/x/y", "GET /{tenant}/x/y",
		"POST /{tenant}/x/{name}",
	} {
		serve := func(w http.ResponseWriter, r *http.Request) {
			fmt.Fprintf(w, "%s id=%s tenant=%s name=%s", pattern, r.PathValue("id"), r.PathValue("tenant"),
				r.PathValue("name"))
		}
		own.HandleFunc(pattern, serve)
		std.HandleFunc(pattern, serve)
	}
	for _, method := range []string{"GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS", "BREW"} {
		t.Run(method, func(t *testing.T) {
			for _, path := range []string{
				"/", "/items", "/Items", "/items/", "/items/a", "/items/a%2Fb", "/items/%2e%2e", "/items/a%20b?q=1",
				"/items/query",
				"/items/a/size", "/items/a/", "//items", "/items//a?q=1", "/items/../items", "/items/./a/",
				"/common/x/y", "/t/x/y",
				"/t/x/z", "/nothing", "/items/a/b/c",
			} {
				t.Run(path, func(t *testing.T) {
					if diff := cmp.Diff(answer(&std, method, path), answer(&own, method, path)); diff != "" {
						t.Errorf("%s %s (-net/http +Mux):\n%s", method, path, diff)
					}
				})
			}
		})
	}
}

func answer(h http.Handler, method, path string) string {
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest(method, path, nil))
	return fmt.Sprint(w.Code, w.Header(), w.Body)
}

func TestMuxHasThePathsOfItsPatterns(t *testing.T) {
	t.Parallel()
	var m routes.Mux
	m.HandleFunc("POST /{tenant}/token", http.NotFound)
	for path, want := range map[string]bool{"/a/token": true, "/a/b/token": false, "/a": false, "//token": false,
		"/": false} {
		t.Run(path, func(t *testing.T) {
			if got := m.Has(path); got != want {
				t.Errorf("Has(%q): got %t, want %t", path, got, want)
			}
		})
	}
}
