//go:build acceptance

// Package published_test checks the copy of the project that is published: programs outside this repository import its
// packages, and `go install` installs its commands, from a module proxy in the file system. It checks nothing that
// imports the upstream SDK of azure-native, which this copy requires and a test cannot download: that is the
// publisher's check (CONTRIBUTING.md).
package published_test

import (
	"context"
	"crypto/sha256"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/txtar"
	"golang.org/x/mod/module"
	"golang.org/x/mod/zip"
)

// path is the module path of the published copy.
const path = "github.com/acme/evenkeel"

// limit is the time limit of a command. With a cold build cache, the emulator and keel take some minutes.
const limit = 15 * time.Minute

// proxy is a module proxy in the file system that serves one version of the copy.
type proxy struct {
	*testing.T
	folder, version string
}

func TestProgramsOutsideUseThePublishedPackages(t *testing.T) {
	p := publish(t)
	outside, err := txtar.ParseFile("testdata/outside.txtar")
	if err != nil {
		t.Fatal(err)
	}
	folder := t.TempDir()
	for _, file := range outside.Files {
		name := filepath.Join(folder, filepath.FromSlash(file.Name))
		if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
			t.Fatal(err)
		}
		text := strings.NewReplacer("MODULE", path, "VERSION", p.version).Replace(string(file.Data))
		if err := os.WriteFile(name, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	for name, packages := range map[string]string{"device": "./...", "program": "./..."} {
		t.Run(name, func(t *testing.T) {
			p := proxy{t, p.folder, p.version}
			if out := p.command(filepath.Join(folder, name), "test", "-count=1", "-v", packages); !strings.Contains(out,
				"--- PASS: ") {
				t.Errorf("got %s, want a test that passes", out)
			}
		})
	}
	t.Run("go install", func(t *testing.T) {
		p, bin := proxy{t, p.folder, p.version}, t.TempDir()
		t.Setenv("GOBIN", bin)
		p.command(folder, "install", path+"/cmd/keel@"+p.version, path+"/cmd/pulumi-resource-azure-dps@"+p.version)
		out, err := exec.Command(filepath.Join(bin, "keel"), "--help").CombinedOutput()
		if err != nil || !strings.Contains(string(out), "keel up") {
			t.Errorf("keel --help: got %v\n%s", err, out)
		}
	})
}

// publish makes the copy and a proxy with it. The version contains a hash of the copy, so that the go command, which
// takes versions as unchangeable, never uses an older copy from its cache.
func publish(t *testing.T) proxy {
	t.Helper()
	copied, p := filepath.Join(t.TempDir(), "copy"), proxy{T: t, folder: t.TempDir()}
	copying := exec.Command("go", "run", "./tools/module", "-path", path, "-to", copied)
	copying.Dir = filepath.Join("..", "..")
	if out, err := copying.CombinedOutput(); err != nil {
		t.Fatalf("copy the project: %v\n%s", err, out)
	}
	p.version = "v0.0.0-20260101000000-" + hash(t, copied)
	folder := filepath.Join(p.folder, filepath.FromSlash(path), "@v")
	if err := os.MkdirAll(folder, 0o755); err != nil {
		t.Fatal(err)
	}
	file, err := os.Create(filepath.Join(folder, p.version+".zip"))
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	if err := zip.CreateFromDir(file, module.Version{Path: path, Version: p.version}, copied); err != nil {
		t.Fatalf("pack the copy: %v", err)
	}
	mod, err := os.ReadFile(filepath.Join(copied, "go.mod"))
	if err != nil {
		t.Fatal(err)
	}
	info := fmt.Sprintf(`{"Version":%q,"Time":"2026-01-01T00:00:00Z"}`, p.version)
	for name, text := range map[string]string{p.version + ".mod": string(mod), p.version + ".info": info,
		"list": p.version + "\n"} {
		if err := os.WriteFile(filepath.Join(folder, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	t.Cleanup(p.forget)
	return p
}

// hash returns twelve hexadecimal digits that identify the files of a folder.
func hash(t *testing.T, folder string) string {
	t.Helper()
	sum := sha256.New()
	if err := filepath.WalkDir(folder, func(name string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		content, err := os.ReadFile(name)
		fmt.Fprintf(sum, "%s %d\n%s", strings.TrimPrefix(name, folder), len(content), content)
		return err
	}); err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf("%x", sum.Sum(nil))[:12]
}

// command runs the go command outside of any workspace, with the proxy before the user's own, and returns its output.
func (p proxy) command(folder string, args ...string) string {
	p.Helper()
	ctx, cancel := context.WithTimeoutCause(p.Context(), limit, fmt.Errorf("it is still running after %s", limit))
	defer cancel()
	cmd := exec.CommandContext(ctx, "go", args...)
	cmd.Dir = folder
	cmd.Env = append(os.Environ(), "GOPROXY=file://"+filepath.ToSlash(p.folder)+","+goenv(p.T, "GOPROXY"),
		"GONOSUMDB="+path, "GONOPROXY=none", "GOWORK=off",
		"GOFLAGS=-mod=mod -buildvcs=false -tags=osusergo") // the flags of the Makefile, so that the cache serves both
	out, err := cmd.CombinedOutput()
	if err != nil {
		p.Fatalf("go %s: %v (%v)\n%s", strings.Join(args, " "), err, context.Cause(ctx), out)
	}
	return string(out)
}

// forget removes the copy from the module cache, where the go command has unpacked it.
func (p proxy) forget() {
	cache := goenv(p.T, "GOMODCACHE")
	unpacked := filepath.Join(cache, filepath.FromSlash(path)+"@"+p.version)
	if err := filepath.WalkDir(unpacked, func(name string, entry fs.DirEntry, err error) error {
		if err != nil || !entry.IsDir() {
			return err
		}
		return os.Chmod(name, 0o755) // the cache is read-only
	}); err != nil {
		p.Errorf("remove the copy from the module cache: %v", err)
	}
	files, err := filepath.Glob(filepath.Join(cache, "cache", "download", filepath.FromSlash(path), "@v", p.version+
		".*"))
	for _, name := range append(files, unpacked) {
		if err := os.RemoveAll(name); err != nil {
			p.Errorf("remove the copy from the module cache: %v", err)
		}
	}
	if err != nil {
		p.Errorf("list the copy in the module cache: %v", err)
	}
}

func goenv(t *testing.T, name string) string {
	t.Helper()
	out, err := exec.Command("go", "env", name).Output()
	if err != nil {
		t.Fatalf("go env %s: %v", name, err)
	}
	return strings.TrimSpace(string(out))
}
