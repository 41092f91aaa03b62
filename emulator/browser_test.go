//go:build browser

package emulator_test

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

var screenshots = flag.Bool("screenshots", false, "write the screenshots in docs/images")

// chromium runs the headless browser on a page and returns what it prints, and what the page's console said.
func chromium(t *testing.T, url string, flags ...string) (output, console string) {
	t.Helper()
	name, err := exec.LookPath("chromium")
	if err != nil {
		t.Fatal("chromium is not installed: apt-get install chromium")
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	home := t.TempDir()
	command := exec.CommandContext(ctx, name, append([]string{
		"--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run", "--hide-scrollbars",
		"--disable-extensions",
		"--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1", // nothing but the emulator is found
		"--user-data-dir=" + home, "--enable-logging=stderr", "--virtual-time-budget=6000",
	}, append(flags, url)...)...)
	command.Env = append(os.Environ(), "HOME="+home)
	command.WaitDelay = 5 * time.Second
	var errors strings.Builder
	command.Stderr = &errors
	out, err := command.Output()
	if err != nil {
		t.Fatalf("chromium: %v\n%s", err, errors.String())
	}
	var said []string
	for line := range strings.Lines(errors.String()) {
		if strings.Contains(line, "CONSOLE") {
			said = append(said, line)
		}
	}
	return string(out), strings.Join(said, "")
}

// busy is an emulated cloud with enough devices to look at.
func busy(t *testing.T) *yard {
	t.Helper()
	y := newYard(t)
	for i := range 80 {
		id := fmt.Sprintf("device-%03d", i)
		y.enroll(id, keyed)
		if i < 40 {
			y.overHTTPS(y.holding(id, primary))
		}
	}
	return y
}

// pageOf is the address that keel prints.
func pageOf(y *yard) string {
	return y.e.Endpoints().Control + "/#token=" + y.e.Endpoints().ControlToken
}

func TestThePageWorksInABrowser(t *testing.T) {
	t.Parallel()
	y := busy(t)
	dom, console := chromium(t, pageOf(y), "--dump-dom")
	if console != "" {
		t.Errorf("the page's console says: %s", console)
	}
	for _, want := range []string{"40 registered", "hub-2.azure-devices.net", "device-024", "Next page",
		"Pause updates"} {
		if !strings.Contains(dom, want) {
			t.Errorf("got a page without %q", want)
		}
	}
	if !strings.Contains(dom, `data-updated="`) {
		t.Error("got a page whose script has never fetched it again")
	}
	if strings.Contains(dom, y.e.Endpoints().ControlToken) {
		t.Error("got a page that shows the token")
	}
	if strings.Contains(dom, `id="pause" hidden`) {
		t.Error("got a page without its button, which the script shows")
	}
}

// TestThePageIsLockedWithoutItsToken opens the page without a token, and with a wrong one.
func TestThePageIsLockedWithoutItsToken(t *testing.T) {
	t.Parallel()
	y := busy(t)
	for fragment, want := range map[string]string{"": "keel emulator page", "#token=another": "The token is wrong"} {
		t.Run(want, func(t *testing.T) {
			dom, _ := chromium(t, y.e.Endpoints().Control+"/"+fragment, "--dump-dom")
			if !strings.Contains(dom, want) || strings.Contains(dom, "hub-1") || strings.Contains(dom, "device-0") {
				t.Errorf("%q: got %s, want nothing but %q", fragment, dom, want)
			}
		})
	}
}

// TestPageIsRendered draws the page. A screenshot of nothing but ground has few bytes.
func TestPageIsRendered(t *testing.T) {
	t.Parallel()
	y := busy(t)
	folder := t.TempDir()
	if *screenshots {
		folder = filepath.Join("..", "docs", "images")
		check(t, os.MkdirAll(folder, 0o755))
	}
	for name, flags := range map[string][]string{
		"page.png":       {"--window-size=1100,900"},
		"page-dark.png":  {"--window-size=1100,900", "--force-dark-mode", "--blink-settings=preferredColorScheme=0"},
		"page-phone.png": {"--window-size=400,800"},
	} {
		t.Run(name, func(t *testing.T) {
			if *screenshots && name != "page.png" {
				return
			}
			file, err := filepath.Abs(filepath.Join(folder, name))
			check(t, err)
			if _, console := chromium(t, pageOf(y), append(flags, "--screenshot="+file)...); console != "" {
				t.Errorf("%s: the console says: %s", name, console)
			}
			info, err := os.Stat(file)
			check(t, err)
			if info.Size() < 20_000 {
				t.Errorf("%s: got a picture of %d bytes, want one with something on it", name, info.Size())
			}
		})
	}
}
