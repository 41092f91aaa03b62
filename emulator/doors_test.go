package emulator_test

import (
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"evenkeel/emulator"
	"evenkeel/emulator/internal/control"
	"evenkeel/internal/await"
)

func readAll(t *testing.T, response *http.Response) string {
	t.Helper()
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	check(t, err)
	return string(text)
}

// knock sends a request to the control port with a header of the test's choice, and returns status and body.
func knock(t *testing.T, e *emulator.Emulator, method, path, authorization string) (int, string) {
	t.Helper()
	r := controlRequest(t, e, method, path, "")
	if r.Header.Del("Authorization"); authorization != "" {
		r.Header.Set("Authorization", authorization)
	}
	response, err := await.Client.Do(r)
	check(t, err)
	return response.StatusCode, readAll(t, response)
}

// TestTheControlPortAsksForItsToken goes through everything that the port serves, as the emulator lists it.
func TestTheControlPortAsksForItsToken(t *testing.T) {
	t.Parallel()
	y := newYard(t, emulator.Options{Dir: t.TempDir()})
	check(t, y.e.SaveSnapshot("kept"))
	before, err := y.e.Counts()
	check(t, err)
	token := y.e.Endpoints().ControlToken
	open := map[string]bool{
		"GET /healthz": true, "GET /readyz": true, "GET /page.css": true, "GET /page.js": true, "GET /{$}": true,
	}
	for _, route := range control.Routes() {
		method, path, _ := strings.Cut(route, " ")
		path = strings.NewReplacer("{$}", "", "{host}", hub1, "{id}", "1", "{name}", "kept").Replace(path)
		for name, header := range map[string]string{
			"no token": "", "another": "Bearer " + strings.Repeat("A", len(token)), "an empty one": "Bearer ",
			"a bare one": token,
			"a part":     "Bearer " + token[:len(token)-1], "the client secret": "Bearer " +
				y.e.Endpoints().ClientSecret,
			"another scheme": "Basic " + token,
		} {
			t.Run(route+", "+name, func(t *testing.T) {
				want := http.StatusUnauthorized
				if open[route] && (path != "/" || header == "") {
					want = http.StatusOK
				}
				if status, body := knock(t, y.e, method, path, header); status != want ||
					strings.Contains(body, token) || path == "/" && strings.Contains(body, "hub-1") {
					t.Errorf("%s with %s: got %d %s, want %d", route, name, status, body, want)
				}
			})
		}
	}
	after, err := y.e.Counts()
	check(t, err)
	if status, list := knock(t, y.e, "GET", "/snapshots", "Bearer "+token); after != before ||
		!strings.Contains(list, `"kept"`) {
		t.Errorf("got %+v and %d %s after all the refusals, want %+v and one snapshot", after, status, list, before)
	}
	for _, scheme := range []string{"Bearer ", "bearer "} {
		if status, body := knock(t, y.e, "GET", "/counts", scheme+token); status != http.StatusOK {
			t.Errorf("the token after %q: got %d %s", scheme, status, body)
		}
	}
}

// TestTheControlTokenIsPrivateAndPersistent: the file is for its owner alone, its token outlives a restart, and a
// folder of an earlier version, which has none, gets one.
func TestTheControlTokenIsPrivateAndPersistent(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	start := func() (token string) {
		e, err := emulator.New(emulator.Options{Dir: dir})
		check(t, err)
		check(t, emulator.StartOnFreePorts(e))
		defer func() { check(t, e.Close()) }()
		ends := e.Endpoints()
		info, err := os.Stat(ends.ControlTokenFile)
		check(t, err)
		if info.Mode().Perm() != 0o600 {
			t.Errorf("got mode %s, want 0600", info.Mode())
		}
		text, err := os.ReadFile(ends.ControlTokenFile)
		check(t, err)
		if strings.TrimSpace(string(text)) != ends.ControlToken || len(ends.ControlToken) < 40 {
			t.Errorf("got %d bytes in the file, want the token", len(text))
		}
		return ends.ControlToken
	}
	first := start()
	if again := start(); again != first {
		t.Error("got another token after a restart")
	}
	check(t, os.Remove(filepath.Join(dir, emulator.ControlTokenFile)))
	if next := start(); next == first {
		t.Error("got the token of before after its file was removed")
	}
	if mine, other := emulator.RunT(t).Endpoints(),
		emulator.RunT(t).Endpoints(); mine.ControlToken == other.ControlToken {
		t.Error("two emulators have the same token")
	}
}

// TestRebindingIsRefusedBeyondThisMachine: an emulator that listens on other addresses serves IP addresses and its
// configured names, not every name that resolves to it.
func TestRebindingIsRefusedBeyondThisMachine(t *testing.T) {
	t.Parallel()
	e := emulator.RunT(t, emulator.Options{AllowRemote: true, ControlHosts: []string{"Emulator.Test"}})
	for host, want := range map[string]int{
		"evil.example.com": 403, "evil.example.com:80": 403, "emulator": 403, "127.0.0.1.example.com": 403,
		"emulator.test": 200, "emulator.test:20003": 200, "EMULATOR.test": 200, "localhost:1": 200,
		"192.0.2.7": 200, "192.0.2.7:20003": 200, "[2001:db8::1]:20003": 200, "[2001:db8::1]": 200,
	} {
		t.Run(host, func(t *testing.T) {
			for _, origin := range []string{"", "http://" + host} {
				t.Run("origin "+origin, func(t *testing.T) {
					r := controlRequest(t, e, "GET", "/counts", "")
					if r.Host = host; origin != "" {
						r.Header.Set("Origin", origin)
					}
					response, err := await.Client.Do(r)
					check(t, err)
					if text := readAll(t, response); response.StatusCode != want {
						t.Errorf("got %d %s, want %d", response.StatusCode, text, want)
					}
				})
			}
		})
	}
	if _, err := emulator.New(emulator.Options{ControlHosts: []string{"emulator.test"}}); err == nil {
		t.Error("got no error for names without remote access, want one")
	}
}
