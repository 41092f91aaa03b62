package emulator_test

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"maps"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"evenkeel/emulator"
	"evenkeel/internal/durable"
	"evenkeel/internal/durable/durabletest"
	"evenkeel/internal/hint"
)

// keptFiles are those of the data folder that clients depend on.
var keptFiles = []string{"ca.pem", "ca-key.pem", "client-secret", "token-key.pem", "client-certificate.pem",
	"endpoints.json", "control-token", "issuing-ca.pem", "issuing-ca-key.pem"}

// given is what a client has of an emulator.
type given struct {
	files    map[string]string
	snapshot string
}

// take starts an emulator and notes what a client is given.
func take(t *testing.T, o emulator.Options, files *durabletest.FS) (given, error) {
	t.Helper()
	e, err := emulator.New(o)
	if err != nil {
		return given{}, err
	}
	defer func() { check(t, e.Close()) }()
	// Tests beside this one may have taken a port since.
	if err := e.Start(); err != nil && !isTaken(err) {
		return given{}, err
	}
	g := given{files: map[string]string{}}
	for _, name := range keptFiles {
		data, err := durable.Disk{FS: files}.ReadFile(filepath.Join(o.Dir, name))
		check(t, err)
		g.files[name] = string(data)
	}
	var text strings.Builder
	check(t, e.WriteSnapshot(&text))
	g.snapshot = text.String()
	return g, nil
}

// isTaken reports whether a remembered port was taken, so that it was remembered.
func isTaken(err error) bool {
	taken := (*emulator.PortTakenError)(nil)
	return errors.As(err, &taken) && taken.Remembered != ""
}

func (g given) differs(from given) string {
	var differences []string
	for name := range g.files {
		if g.files[name] != from.files[name] {
			differences = append(differences, name)
		}
	}
	if g.snapshot != from.snapshot {
		differences = append(differences, "the state")
	}
	return strings.Join(differences, ", ")
}

// TestClientCredentialsSurviveAPowerFailure cuts the power right after a start and a snapshot, with nothing kept that
// was not synced and with some of it: the CA, every key, the secret and the ports are the same afterwards.
func TestClientCredentialsSurviveAPowerFailure(t *testing.T) {
	t.Parallel()
	files := durabletest.New()
	options := emulator.Options{Dir: "deep/data"}.InFiles(files)
	e, err := emulator.New(options)
	check(t, err)
	check(t, e.Start())
	check(t, e.SaveSnapshot("kept"))
	address, err := emulator.AddressOf(files, "deep/data/addresses.json", "hub-2.azure-devices.net")
	check(t, err)
	var cuts []*durabletest.FS
	for seed := range uint64(6) {
		chance := rand.New(rand.NewPCG(seed, 1))
		if seed == 0 {
			chance = nil
		}
		cuts = append(cuts, files.Crash(chance))
	}
	check(t, e.Close())
	before, err := take(t, options, files)
	check(t, err)
	for n, cut := range cuts {
		after, err := take(t, emulator.Options{Dir: "deep/data"}.InFiles(cut), cut)
		if err != nil {
			t.Errorf("cut %d: start: %v", n, err)
			continue
		}
		if changed := before.differs(after); changed != "" {
			t.Errorf("cut %d: got other %s, want what was given", n, changed)
		}
		if got, err := emulator.AddressOf(cut, "deep/data/addresses.json", "hub-2.azure-devices.net"); err != nil ||
			got != address {
			t.Errorf("cut %d: got the address %s, %v; want %s", n, got, err, address)
		}
		if _, err := (durable.Disk{FS: cut}).Stat("deep/data/snapshots/kept.json"); err != nil {
			t.Errorf("cut %d: the snapshot: %v", n, err)
		}
	}
}

// TestInterruptedFirstStartIsRepeated cuts the power before each change that the first start makes to files: the
// next start needs no help.
func TestInterruptedFirstStartIsRepeated(t *testing.T) {
	t.Parallel()
	files := durabletest.New()
	var cuts []*durabletest.FS
	chance := rand.New(rand.NewPCG(1, 1))
	files.Before(func(string) error {
		if cuts = append(cuts, files.Crash(nil)); len(cuts)%4 == 0 {
			cuts = append(cuts, files.Crash(chance))
		}
		return nil
	})
	if _, err := take(t, emulator.Options{Dir: "data"}.InFiles(files), files); err != nil {
		t.Fatal(err)
	}
	if len(cuts) < 5*len(keptFiles) {
		t.Errorf("got %d cuts, want at least five for each file", len(cuts))
	}
	for n, cut := range cuts {
		var logged strings.Builder
		options := emulator.Options{Dir: "data", Logger: slog.New(slog.NewTextHandler(&logged, nil))}.InFiles(cut)
		if _, err := take(t, options, cut); err != nil {
			t.Errorf("cut %d: %v\n%s", n, err, logged.String())
		}
		if strings.Contains(logged.String(), "empty:") {
			t.Errorf("cut %d: got the log %q, want no file found empty", n, logged.String())
		}
	}
}

// TestDamagedFilesAreRecreatedOrReported damages each file of a data folder alone.
func TestDamagedFilesAreRecreatedOrReported(t *testing.T) {
	t.Parallel()
	origin := t.TempDir()
	e, err := emulator.New(emulator.Options{Dir: origin})
	check(t, err)
	check(t, e.Start())
	check(t, e.Close())
	const again, refused = "recreated", "refused"
	for name, want := range map[string]struct{ missing, blank, damaged string }{
		// without its certificate no client trusts a CA, so the first start was interrupted
		"ca.pem":                 {again, refused, refused},
		"ca-key.pem":             {refused, refused, refused},
		"issuing-ca.pem":         {again, refused, refused},
		"issuing-ca-key.pem":     {refused, refused, refused},
		"client-secret":          {again, again, refused},
		"token-key.pem":          {again, again, again},
		"client-certificate.pem": {again, again, refused},
		"endpoints.json":         {again, again, refused},
		"control-token":          {again, again, refused},
		"addresses.json":         {again, again, refused},
	} {
		for harm, c := range map[string]struct {
			want string
			do   func(data []byte) []byte
		}{
			"missing":   {want.missing, func([]byte) []byte { return nil }},
			"empty":     {want.blank, func([]byte) []byte { return []byte{} }},
			"zeros":     {want.blank, func(data []byte) []byte { return make([]byte, len(data)) }},
			"truncated": {want.damaged, func(data []byte) []byte { return data[:len(data)/2] }},
			"cut short": {want.damaged, func(data []byte) []byte { return data[:len(data)-30] }},
			"garbage":   {want.damaged, func([]byte) []byte { return []byte("\xff garbage \x01") }},
		} {
			t.Run(name+" "+harm, func(t *testing.T) {
				t.Parallel()
				dir := filepath.Join(t.TempDir(), "data")
				check(t, os.CopyFS(dir, os.DirFS(origin)))
				file := filepath.Join(dir, name)
				if name == "addresses.json" {
					text := `{"hub-1.azure-devices.net": "127.0.0.11", "hub-2.azure-devices.net": "127.0.0.12"}`
					check(t, os.WriteFile(file, []byte(text), 0o600))
				}
				data, err := os.ReadFile(file)
				check(t, err)
				check(t, os.Remove(file))
				if harmed := c.do(data); harmed != nil {
					check(t, os.WriteFile(file, harmed, 0o600))
				}
				damagedStart(t, dir, name, harm, c.want == again)
			})
		}
	}
}

// damagedStart starts an emulator in a folder with a damaged file, and checks the error or the log.
func damagedStart(t *testing.T, dir, name, harm string, again bool) {
	t.Helper()
	before := dataFiles(t, dir)
	var logged strings.Builder
	e, err := emulator.New(emulator.Options{Dir: dir, Logger: slog.New(slog.NewTextHandler(&logged, nil)),
		Ports: emulator.Ports{}})
	if err == nil {
		err = e.Start()
		check(t, e.Close())
	}
	if again {
		if err != nil && !isTaken(err) {
			t.Fatalf("got %v, want a start", err)
		}
		if warned := strings.Contains(logged.String(), "level=WARN") &&
			strings.Contains(logged.String(), name); warned != (harm != "missing") &&
			!strings.HasSuffix(name, "ca.pem") {
			t.Errorf("got the log %q, want a warning that names the file: %v", logged.String(), harm != "missing")
		}
		return
	}
	if err == nil || !strings.Contains(err.Error(), name) || hint.Of(err) == "" {
		t.Fatalf("got %v with the hint %q, want an error that names the file and what to do", err, hint.Of(err))
	}
	if strings.Contains(err.Error(), "-----BEGIN") {
		t.Errorf("got %v, want no part of the file in it", err)
	}
	if after := dataFiles(t, dir); !maps.Equal(after, before) {
		t.Error("a refused start changed the files")
	}
}

// dataFiles are the files beside the store.
func dataFiles(t *testing.T, dir string) map[string]string {
	t.Helper()
	all := map[string]string{}
	entries, err := os.ReadDir(dir)
	check(t, err)
	for _, entry := range entries {
		if entry.Type().IsRegular() {
			data, err := os.ReadFile(filepath.Join(dir, entry.Name()))
			check(t, err)
			all[entry.Name()] = string(data)
		}
	}
	return all
}

// TestFilesThatAnEarlierVersionLostAreRecreated empties all that earlier versions did not sync, beside a whole store.
func TestFilesThatAnEarlierVersionLostAreRecreated(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	y := newYard(t, emulator.Options{Dir: dir})
	before, err := y.e.Counts()
	check(t, err)
	check(t, y.e.Close())
	for _, name := range keptFiles {
		check(t, os.Truncate(filepath.Join(dir, name), 0))
	}
	var logged strings.Builder
	e, err := emulator.New(emulator.Options{Dir: dir, Logger: slog.New(slog.NewTextHandler(&logged, nil))})
	check(t, err)
	check(t, e.Start()) // on new ports
	after, err := e.Counts()
	check(t, err)
	check(t, e.Close())
	if after != before || after.Hubs == 0 {
		t.Errorf("got %+v, want the store as it was: %+v", after, before)
	}
	if got := strings.Count(logged.String(), "level=WARN"); got != 7 { // one for the two files of a CA
		t.Errorf("got %d warnings, want one for each file: %s", got, logged.String())
	}
}

// lines are a log that is written by one goroutine and read by another.
type lines struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

// TestRemovedFilesAreReported removes files under a running emulator: readyz and the log say it, health and reading go
// on, and nothing is changed any more.
func TestRemovedFilesAreReported(t *testing.T) {
	t.Parallel()
	for _, name := range append(slices.Clone(keptFiles), "store", ".") {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := filepath.Join(t.TempDir(), "data")
			var logged lines
			y := newYard(t, emulator.Options{Dir: dir, Logger: slog.New(slog.NewTextHandler(&logged, nil))})
			ready := y.e.Endpoints().Control + "/readyz"
			if status, text := get(t, http.DefaultClient, ready); status != http.StatusOK {
				t.Fatalf("readyz before: got %d %s", status, text)
			}
			check(t, os.RemoveAll(filepath.Join(dir, name)))
			status, text := awaitStatus(t, ready, http.StatusServiceUnavailable)
			if !strings.Contains(text, "were removed") {
				t.Errorf("readyz: got %d %s, want the reason", status, text)
			}
			if status, text := get(t, http.DefaultClient, y.e.Endpoints().Control+"/healthz"); status != http.StatusOK {
				t.Errorf("healthz: got %d %s, want 200: the process answers", status, text)
			}
			status, body := y.on(serviceHost, "PUT", "/enrollments/late?api-version=2021-10-01",
				fmt.Sprintf(`{"registrationId":"late",%s}`, keyed), y.owner)
			if message, _ := body["message"].(string); status != http.StatusInternalServerError ||
				!strings.Contains(message, "were removed") {
				t.Errorf("a change: got %d %v, want 500 with the reason", status, body)
			}
			check(t, y.e.Close())
			if got := strings.Count(logged.String(), "level=ERROR"); got != 1 {
				t.Errorf("got %d errors in the log, want one: %s", got, logged.String())
			}
		})
	}
}

// awaitStatus asks until the status is answered.
func awaitStatus(t *testing.T, url string, want int) (status int, text string) {
	t.Helper()
	deadline := time.Now().Add(time.Minute)
	for time.Now().Before(deadline) {
		if status, text = get(t, http.DefaultClient, url); status == want {
			return status, text
		}
		time.Sleep(20 * time.Millisecond)
	}
	t.Fatalf("%s: got %d %s for a minute, want %d", url, status, text, want)
	return status, text
}

// TestAStartOnAFullDiskSaysWhatToDo has no room for the first file, and for those of a later start.
func TestAStartOnAFullDiskSaysWhatToDo(t *testing.T) {
	t.Parallel()
	files := durabletest.New()
	files.Fill(true)
	options := emulator.Options{Dir: "data"}.InFiles(files)
	_, err := emulator.New(options)
	if err == nil || !strings.Contains(hint.Of(err), "free disk space") {
		t.Errorf("got %v with the hint %q, want to free disk space", err, hint.Of(err))
	}
	files.Fill(false)
	if _, err := take(t, options, files); err != nil {
		t.Errorf("with room: %v", err)
	}
	if _, err := (durable.Disk{FS: files}).Stat("data/" + durable.TempPrefix); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("got %v, want only complete files", err)
	}
}
