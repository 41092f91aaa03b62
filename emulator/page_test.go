package emulator_test

import (
	"fmt"
	"io"
	"net/http"
	"regexp"
	"strings"
	"testing"

	"evenkeel/emulator"
	"evenkeel/internal/await"
)

// browse gets a page of the control port as the page's script does, with the token.
func browse(t *testing.T, e *emulator.Emulator, path string, header ...string) (*http.Response, string) {
	t.Helper()
	r := controlRequest(t, e, "GET", path, "")
	for i := 0; i+1 < len(header); i += 2 {
		if header[i] == "Host" {
			r.Host = header[i+1]
		}
		r.Header.Set(header[i], header[i+1])
	}
	response, err := await.Client.Do(r)
	check(t, err)
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	check(t, err)
	return response, string(body)
}

func TestThePageShowsWhatThereIs(t *testing.T) {
	t.Parallel()
	l := newLived(t)
	l.must("PATCH", hubPath+hubVersion, `{"tags":{}}`)
	l.on(hub1, "GET", "/<script>alert(1)</script>", "", "")
	response, page := browse(t, l.e, "/")
	if response.StatusCode != 200 || !strings.HasPrefix(response.Header.Get("Content-Type"), "text/html") {
		t.Fatalf("got %d %s, want a page", response.StatusCode, response.Header.Get("Content-Type"))
	}
	for _, want := range []string{
		"hub-1.azure-devices.net", "hub-2.azure-devices.net", "dps-1", l.scope, "hashed", "4 registered", "expected",
		"S1 × 1", "group-1", "device-3",
		"symmetric key", "member-1", "assigned", "dps-device", "mqtt-dps", "/register", `aria-label="`,
	} {
		if !strings.Contains(page, want) {
			t.Errorf("got a page without %q", want)
		}
	}
	for _, never := range []string{primary, secondary, l.token, "SharedAccess", "<script>alert", "http://", "https://",
		"style="} {
		if strings.Contains(page, never) {
			t.Errorf("got a page with %q, want none", never)
		}
	}
	if policy := response.Header.Get("Content-Security-Policy"); !strings.Contains(policy, "default-src 'none'") ||
		!strings.Contains(policy, "frame-ancestors 'none'") {
		t.Errorf("got the policy %q, want one that loads nothing from other hosts", policy)
	}
	for path, kind := range map[string]string{"/page.css": "text/css", "/page.js": "text/javascript"} {
		t.Run(path, func(t *testing.T) {
			if response, body := browse(t, l.e, path); response.StatusCode != 200 ||
				!strings.HasPrefix(response.Header.Get("Content-Type"), kind) || body == "" {
				t.Errorf("%s: got %d %s, want %s", path, response.StatusCode, response.Header.Get("Content-Type"), kind)
			}
		})
	}
	if response, page := browse(t, emulator.RunT(t), "/"); response.StatusCode != 200 ||
		!strings.Contains(page, "No hub.") {
		t.Errorf("got %d of an empty emulator, want a page without hubs", response.StatusCode)
	}
}

func TestPageListsEnrollmentsPageByPage(t *testing.T) {
	t.Parallel()
	y := newYard(t)
	for i := range 60 {
		y.enroll(fmt.Sprintf("device-%02d", i), keyed)
	}
	found, path, turned := 0, "/", 0
	for ; path != ""; turned++ {
		_, page := browse(t, y.e, path)
		found += strings.Count(page, `<th scope="row">device-`)
		path = ""
		if next := regexp.MustCompile(`href="([^"]+)#enrollments">Next page`).FindStringSubmatch(page); next != nil {
			path = strings.ReplaceAll(next[1], "&amp;", "&")
		}
	}
	if found != 60 || turned != 3 {
		t.Errorf("got %d enrollments on %d pages, want 60 on 3", found, turned)
	}
}

func TestThePageIsNotForOtherSites(t *testing.T) {
	t.Parallel()
	e := emulator.RunT(t)
	host := strings.TrimPrefix(e.Endpoints().Control, "http://")
	for name, tc := range map[string]struct {
		path   string
		header []string
		want   int
	}{
		"typed into the address bar": {"/", []string{"Sec-Fetch-Site", "none", "Sec-Fetch-Mode", "navigate"},
			200},
		"its own script": {"/", []string{"Sec-Fetch-Site", "same-origin", "Sec-Fetch-Mode", "cors"},
			200},
		"its own origin": {"/counts", []string{"Origin", "http://" + host}, 200},
		"a link of another site": {"/", []string{"Sec-Fetch-Site", "cross-site", "Sec-Fetch-Mode",
			"navigate"}, 200},
		"a link of another site to data": {"/requests", []string{"Sec-Fetch-Site", "cross-site", "Sec-Fetch-Mode",
			"navigate"}, 403},
		"a script of another site": {"/", []string{"Sec-Fetch-Site", "cross-site", "Sec-Fetch-Mode", "no-cors"},
			403},
		"another port of this machine": {"/counts", []string{"Sec-Fetch-Site", "same-site", "Sec-Fetch-Mode",
			"cors"}, 403},
		"an origin elsewhere":               {"/", []string{"Origin", "http://localhost:1"}, 403},
		"a hidden origin":                   {"/", []string{"Origin", "null"}, 403},
		"a name that resolves to this host": {"/", []string{"Host", "evil.example.com"}, 403},
		"a name that begins with loopback":  {"/", []string{"Host", "127.0.0.1.example.com"}, 403},
	} {
		t.Run(name, func(t *testing.T) {
			if response, _ := browse(t, e, tc.path, tc.header...); response.StatusCode != tc.want {
				t.Errorf("%s: got %d, want %d", name, response.StatusCode, tc.want)
			}
		})
	}
}
