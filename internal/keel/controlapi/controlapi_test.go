package controlapi_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"evenkeel/emulator"
	"evenkeel/internal/hint"
	"evenkeel/internal/keel/controlapi"
)

func clientOf(e *emulator.Emulator) controlapi.Client {
	return controlapi.Client{Control: e.Endpoints().Control, TokenFile: e.Endpoints().ControlTokenFile}
}

// TestTheTokenIsSent: the error for a client without the token, or with a wrong one, has a hint; a client of an
// emulator that needs no token sends none.
func TestTheTokenIsSent(t *testing.T) {
	t.Parallel()
	c := clientOf(emulator.RunT(t))
	another := filepath.Join(t.TempDir(), "control-token")
	if err := os.WriteFile(another, []byte("another\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, file := range map[string]string{"none": "", "a missing file": another + "-gone",
		"another one": another} {
		t.Run(name, func(t *testing.T) {
			err := controlapi.Client{Control: c.Control, TokenFile: file}.Reset(t.Context())
			if err == nil || !strings.Contains(err.Error(), "401") ||
				!strings.Contains(hint.Of(err), "keel emulator start") {
				t.Errorf("%s: got %v with the hint %q, want a refusal that says what to do", name, err, hint.Of(err))
			}
		})
	}
	if err := c.Reset(t.Context()); err != nil {
		t.Errorf("the right one: got %v", err)
	}
	earlier := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "" {
			http.Error(w, "got a token", http.StatusBadRequest)
		}
	}))
	defer earlier.Close()
	if err := (controlapi.Client{Control: earlier.URL}).Reset(t.Context()); err != nil {
		t.Errorf("an emulator of an earlier version: got %v", err)
	}
}

func TestAnEmulatorWithoutLoopbackNamesHasNoAddresses(t *testing.T) {
	t.Parallel()
	c := clientOf(emulator.RunT(t))
	if got, err := c.Addresses(t.Context()); err != nil || len(got) != 0 {
		t.Errorf("got %v, %v, want none", got, err)
	}
	if err := c.Reset(t.Context()); err != nil {
		t.Error(err)
	}
}

func TestSnapshotsAreSavedListedShownRestoredAndDeleted(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	e := emulator.RunT(t, emulator.Options{Dir: t.TempDir()})
	c := clientOf(e)
	if list, err := c.Snapshots(ctx); err != nil || list == nil || len(list) != 0 {
		t.Errorf("got %v, %v, want an empty list", list, err)
	}
	if err := c.SaveSnapshot(ctx, "first"); err != nil {
		t.Fatal(err)
	}
	if list, err := c.Snapshots(ctx); err != nil || len(list) != 1 || list[0].Name != "first" || list[0].Bytes == 0 ||
		list[0].Saved.IsZero() {
		t.Errorf("got %v, %v, want the one that was saved", list, err)
	}
	if text, err := c.Snapshot(ctx, "first"); err != nil || !json.Valid(text) {
		t.Errorf("got %q, %v, want a JSON document", text, err)
	}
	for _, do := range []func(string) error{
		func(name string) error { return c.RestoreSnapshot(ctx, name) },
		func(name string) error { return c.DeleteSnapshot(ctx, name) },
	} {
		if err := do("first"); err != nil {
			t.Error(err)
		}
		if err := do("second"); !errors.Is(err, controlapi.ErrNotFound) {
			t.Errorf("got %v for a snapshot that is not there, want ErrNotFound", err)
		}
	}
	if hubs, err := c.HubDevices(ctx); err != nil || len(hubs) != 0 {
		t.Errorf("got %v, %v, want no hub", hubs, err)
	}
}

func TestErrorsOfTheControlPortAreReturned(t *testing.T) {
	t.Parallel()
	for body, want := range map[string]string{`{"error":"no such thing"}`: "no such thing", "plain": "plain"} {
		t.Run(body, func(t *testing.T) {
			for status, absent := range map[int]bool{http.StatusNotFound: true, http.StatusConflict: false} {
				t.Run(fmt.Sprint(status), func(t *testing.T) {
					server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
						w.WriteHeader(status)
						_, _ = w.Write([]byte(body))
					}))
					err := controlapi.Client{Control: server.URL}.Reset(t.Context())
					server.Close()
					if err == nil || !strings.Contains(err.Error(), want) ||
						errors.Is(err, controlapi.ErrNotFound) != absent {
						t.Errorf("%d %s: got %v, want %q, absent %v", status, body, err, want, absent)
					}
				})
			}
		})
	}
}
