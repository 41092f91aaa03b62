package emulator_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"evenkeel/emulator"
)

// serveOn serves a handler until the test has ended, and returns its URL.
func serveOn(t *testing.T, h http.Handler) string {
	t.Helper()
	server := httptest.NewServer(h)
	t.Cleanup(server.Close)
	return server.URL
}

func TestPanicOfASurfaceIsAnInternalError(t *testing.T) {
	t.Parallel()
	e := emulator.RunT(t)
	server := httptest.NewServer(emulator.On(e, "arm", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/panic" {
			panic("an inner detail")
		}
		_, err := io.Copy(io.Discard, r.Body)
		if err != nil {
			w.WriteHeader(http.StatusRequestEntityTooLarge)
		}
	})))
	defer server.Close()
	if status, body := get(t, server.Client(), server.URL+"/panic"); status != http.StatusInternalServerError ||
		strings.Contains(body, "an inner detail") {
		t.Errorf("got %d %q, want 500 without the detail", status, body)
	}
	if status, _ := get(t, server.Client(), server.URL+"/next"); status != http.StatusOK {
		t.Errorf("got %d after the panic, want 200", status)
	}
	response, err := server.Client().Post(server.URL+"/large", "text/plain",
		strings.NewReader(strings.Repeat("x", 5<<20)))
	check(t, err)
	response.Body.Close()
	if response.StatusCode != http.StatusRequestEntityTooLarge {
		t.Errorf("got %d for 5 MiB, want that the body is cut off", response.StatusCode)
	}
	if got := e.Requests("arm", ""); len(got) != 3 || got[0].Status != http.StatusInternalServerError {
		t.Errorf("got %+v in the log, want the 500 first of three", got)
	}
}
