package main

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"evenkeel/internal/version"
)

func write(t *testing.T, name, text string, mode os.FileMode) string {
	t.Helper()
	if err := os.WriteFile(name, []byte(text), mode); err != nil {
		t.Fatal(err)
	}
	return name
}

func TestAnArchiveDependsOnItsFilesOnly(t *testing.T) {
	var archives [][]byte
	for i, mode := range []os.FileMode{0o700, 0o644} {
		folder := t.TempDir()
		program := write(t, filepath.Join(folder, "program"), "#!/bin/sh\n", mode)
		then := time.Date(2001+i, 1, 1, 0, 0, 0, 0, time.UTC)
		if err := os.Chtimes(program, then, then); err != nil {
			t.Fatal(err)
		}
		archive := filepath.Join(folder, "a.tar.gz")
		if err := writeArchive(archive, []entry{{"keel", program, 0o755}}); err != nil {
			t.Fatal(err)
		}
		content, err := os.ReadFile(archive)
		if err != nil {
			t.Fatal(err)
		}
		archives = append(archives, content)
	}
	if !bytes.Equal(archives[0], archives[1]) {
		t.Error("the archives of equal files with other times and modes differ")
	}
	unpacked, err := gzip.NewReader(bytes.NewReader(archives[0]))
	if err != nil {
		t.Fatal(err)
	}
	files := tar.NewReader(unpacked)
	header, err := files.Next()
	if err != nil || header.Name != "keel" || header.Mode != 0o755 || header.Uid != 0 || header.Uname != "" {
		t.Errorf("got %+v, %v, want keel with mode 755 and no user", header, err)
	}
	if text, err := io.ReadAll(files); err != nil || string(text) != "#!/bin/sh\n" {
		t.Errorf("got %q, %v, want the program", text, err)
	}
	if _, err := files.Next(); !errors.Is(err, io.EOF) {
		t.Errorf("got %v, want the end after one file", err)
	}
}

func TestTheBillOfMaterialsListsTheModulesOfAProgram(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	first, err := describe(self, "keel")
	if err != nil {
		t.Fatal(err)
	}
	var bom struct {
		BOMFormat, SpecVersion, SerialNumber string
		Metadata                             struct {
			Timestamp string
			Component struct{ Name, Version string }
		}
		Components []struct{ Name, Version, PURL string }
	}
	if err := json.Unmarshal(first, &bom); err != nil {
		t.Fatal(err)
	}
	if bom.BOMFormat != "CycloneDX" || bom.SpecVersion != "1.6" || bom.Metadata.Component.Name != "keel" ||
		bom.Metadata.Component.Version != version.Version || bom.SerialNumber+bom.Metadata.Timestamp != "" {
		t.Errorf("got %+v, want keel in CycloneDX 1.6 without a number and a time", bom)
	}
	found := map[string]string{}
	for _, component := range bom.Components {
		found[component.Name] = component.PURL
	}
	if url := found["github.com/CycloneDX/cyclonedx-go"]; !strings.HasPrefix(url,
		"pkg:golang/github.com/CycloneDX/cyclonedx-go@v") {
		t.Errorf("got %v, want the module that this test uses", found)
	}
	if url := found["std"]; url != "pkg:golang/std@"+runtime.Version() {
		t.Errorf("got the standard library as %q, want it at %s", url, runtime.Version())
	}
	if second, err := describe(self, "keel"); err != nil || !bytes.Equal(first, second) {
		t.Errorf("got another bill of materials for the same program, or %v", err)
	}
}

func TestTheNoticeHoldsTheLicencesOfAllModules(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	text, err := notices("../..", self)
	if err != nil {
		t.Fatal(err)
	}
	own, err := os.ReadFile("../../NOTICE")
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.HasPrefix(text, own) {
		t.Error("the notice does not begin with the project's own")
	}
	for _, want := range []string{"\nstd " + runtime.Version(), "The Go Authors",
		"\ngithub.com/CycloneDX/cyclonedx-go v", "OWASP Foundation"} {
		if !bytes.Contains(text, []byte(want)) {
			t.Errorf("the notice does not contain %q", want)
		}
	}
}

func TestAModuleWithoutALicenceIsAnError(t *testing.T) {
	folder := t.TempDir()
	write(t, filepath.Join(folder, "licenses.go"), "package licenses\n", 0o644)
	err := addLegal(&bytes.Buffer{}, dependency{Path: "example.com/secret", Version: "v1.0.0", Dir: folder})
	if err == nil || !strings.Contains(err.Error(), "example.com/secret v1.0.0 has no licence") {
		t.Errorf("got %v, want an error with the module", err)
	}
	write(t, filepath.Join(folder, "README.md"), "License: MIT\n", 0o644)
	var stated bytes.Buffer
	if err := addLegal(&stated, dependency{Path: "github.com/mattn/go-localereader", Dir: folder}); err != nil ||
		!strings.Contains(stated.String(), "License: MIT") {
		t.Errorf("got %s, %v, want the licence that the README states", &stated, err)
	}
	write(t, filepath.Join(folder, "LICENSE.md"), "Do what you want.\n", 0o644)
	var text bytes.Buffer
	if err := addLegal(&text, dependency{Path: "example.com/secret", Dir: folder}); err != nil ||
		!strings.Contains(text.String(), "Do what you want.") {
		t.Errorf("got %s, %v, want the licence", &text, err)
	}
}

func TestUnknownPlatformsAndProgramsAreRefused(t *testing.T) {
	for name, r := range map[string]release{
		"platform": {platforms: []string{"linux/amd64", "plan9/386"}, commands: commands},
		"program":  {platforms: platforms, commands: []string{"kiel"}},
	} {
		t.Run(name, func(t *testing.T) {
			r.root, r.to, r.progress = "../..", filepath.Join(t.TempDir(), "dist"), io.Discard
			if err := r.build(); err == nil || !strings.Contains(err.Error(), "unknown "+name) {
				t.Errorf("got %v, want an unknown %s", err, name)
			}
			if _, err := os.Stat(r.to); err == nil {
				t.Error("the folder of the archives exists")
			}
		})
	}
}

// shelf serves a release whose keel is a script that prints its version.
func shelf(t *testing.T) (folder, url string) {
	t.Helper()
	if runtime.GOOS == "windows" {
		t.Skip("the install script is for Linux and macOS")
	}
	folder = t.TempDir()
	server := httptest.NewServer(http.FileServer(http.Dir(folder)))
	t.Cleanup(server.Close)
	program := write(t, filepath.Join(t.TempDir(), "keel"), "#!/bin/sh\necho keel "+version.Version+"\n", 0o755)
	name := archiveName("keel", runtime.GOOS+"/"+runtime.GOARCH) + ".tar.gz"
	if err := writeArchive(filepath.Join(folder, name), []entry{{"keel", program, 0o755}}); err != nil {
		t.Fatal(err)
	}
	r := release{root: "../..", to: folder, url: server.URL}
	if err := r.writeInstaller(); err != nil {
		t.Fatal(err)
	}
	if err := writeSums(folder); err != nil {
		t.Fatal(err)
	}
	return folder, server.URL
}

// install runs the install script of a release for a user with an empty home.
func install(t *testing.T, folder string, environment ...string) (home, output string, err error) {
	t.Helper()
	home = t.TempDir()
	cmd := exec.Command("sh", filepath.Join(folder, "install.sh"))
	cmd.Env = append([]string{"HOME=" + home, "PATH=" + os.Getenv("PATH")}, environment...)
	out, err := cmd.CombinedOutput()
	return home, string(out), err
}

func TestTheInstallScriptInstallsKeel(t *testing.T) {
	folder, _ := shelf(t)
	home, out, err := install(t, folder)
	if err != nil || !strings.Contains(out, "hint: add "+home+"/.local/bin to PATH") {
		t.Fatalf("got %v and %s, want a hint on PATH", err, out)
	}
	printed, err := exec.Command(filepath.Join(home, ".local", "bin", "keel")).Output()
	if err != nil || string(printed) != "keel "+version.Version+"\n" {
		t.Errorf("the installed keel: got %q, %v", printed, err)
	}
	elsewhere := filepath.Join(t.TempDir(), "a folder")
	if _, out, err := install(t, folder, "EVENKEEL_INSTALL_DIR="+elsewhere); err != nil {
		t.Errorf("into a folder with a space: %v\n%s", err, out)
	}
	if _, err := os.Stat(filepath.Join(elsewhere, "keel")); err != nil {
		t.Error(err)
	}
}

func TestTheInstallScriptRefusesWhatItCannotVerify(t *testing.T) {
	name := archiveName("keel", runtime.GOOS+"/"+runtime.GOARCH) + ".tar.gz"
	for what, tc := range map[string]struct {
		change func(t *testing.T, folder string)
		env    string
		want   string
	}{
		"another archive": {func(t *testing.T, folder string) {
			write(t, filepath.Join(folder, name), "other", 0o644)
		}, "", fmt.Sprintf("is %x, and should be ", sha256.Sum256([]byte("other")))},
		"no sum": {func(t *testing.T, folder string) {
			write(t, filepath.Join(folder, "SHA256SUMS"), "00  another-file\n", 0o644)
		}, "", "has no sum of " + name},
		"no archive": {func(t *testing.T, folder string) {
			if err := os.Remove(filepath.Join(folder, name)); err != nil {
				t.Fatal(err)
			}
		}, "", "cannot be downloaded"},
		"no server": {func(*testing.T, string) {}, "EVENKEEL_URL=http://127.0.0.1:1", "cannot be downloaded"},
	} {
		t.Run(what, func(t *testing.T) {
			folder, _ := shelf(t)
			tc.change(t, folder)
			home, out, err := install(t, folder, tc.env)
			if err == nil || !strings.Contains(out, tc.want) || !strings.Contains(out, "hint: ") {
				t.Errorf("got %v and %s, want %q with a hint", err, out, tc.want)
			}
			if _, err := os.Stat(filepath.Join(home, ".local", "bin", "keel")); err == nil {
				t.Error("keel was installed")
			}
		})
	}
}
