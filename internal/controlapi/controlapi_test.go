package controlapi_test

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"evenkeel/emulator"
	"evenkeel/internal/controlapi"
)

func TestAnEmulatorWithoutAddressesOfItsOwnNamesNone(t *testing.T) {
	t.Parallel()
	c := controlapi.Client{Control: emulator.RunT(t).Endpoints().Control}
	if got, err := c.Addresses(t.Context()); err != nil || len(got) != 0 {
		t.Errorf("got %v, %v, want none", got, err)
	}
	if err := c.Reset(t.Context()); err != nil {
		t.Error(err)
	}
}

func TestWhatTheControlPortRefusesIsTold(t *testing.T) {
	t.Parallel()
	for body, want := range map[string]string{`{"error":"no such thing"}`: "no such thing", "plain": "plain"} {
		for status, absent := range map[int]bool{http.StatusNotFound: true, http.StatusConflict: false} {
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				w.WriteHeader(status)
				_, _ = w.Write([]byte(body))
			}))
			err := controlapi.Client{Control: server.URL}.Reset(t.Context())
			server.Close()
			if err == nil || !strings.Contains(err.Error(), want) || errors.Is(err, controlapi.ErrNotFound) != absent {
				t.Errorf("%d %s: got %v, want %q, absent %v", status, body, err, want, absent)
			}
		}
	}
}
